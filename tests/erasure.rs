//! ERASE SUBJECT: a person is in no row and no file any more, everybody else is where they were, whatever is killed when.

use crate::lake_readers::{read, sorted};
use crate::push::push;
use crate::support::traces::traces;
use crate::support::{FLOW, Pg, Server, Warehouse, needs, trial, until};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("erasure::a_person_is_in_no_row_and_no_file", nowhere),
        trial("erasure::whatever_is_killed_when", killed),
        trial("erasure::while_everything_flows", flowing),
        trial("erasure::lines_set_apart_go_by_their_field", lines),
        trial("erasure::what_cannot_be_erased_is_refused", refused),
        trial("erasure::definitions_keep_their_meaning", definitions_keep_their_meaning),
    ];
    trials.extend(needs::python(
        "deltalake, pyarrow",
        vec![trial("erasure::other_engines_read_what_is_left", other_engines)],
    ));
    trials
}

/// Each is reached, on its way from the statement to the certificate.
pub const STEPS: &[&str] = &[
    "erase.phase.kept=kill",
    "erase.rows.erased[bronze.customers]=kill",
    "erase.rows.erased[bronze.orders]=kill",
    "erase.rows.erased[silver.orders]=kill",
    "erase.rows.erased[silver.orders__quarantine]=kill",
    "erase.phase.kept=kill@3",
    "refresh.view.committed[gold.by_customer]=kill",
    "erase.phase.kept=kill@4",
    "erase.table.purged[bronze.orders]=kill",
    "erase.table.purged[gold.by_customer]=kill",
    "erase.table.purged[sluice.audit_log]=kill",
];

/// Who is erased: a number that stands nowhere by chance, and what only this person has.
const WHO: &str = "4242424242";
const MARKS: [&str; 3] = [WHO, "wilhelmina", "Rosengasse"];

fn warehouse() -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\nmay_define = true\n[users.guest]\ntrust_loopback = true\n",
    );
    warehouse.write(
        "catalog/sources.sql",
        "CREATE SOURCE bronze.customers (customer_id BIGINT NOT NULL TAG subject, name TEXT, email TEXT, seq BIGINT)\n\
         WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n\
         CREATE SOURCE bronze.orders (order_id BIGINT, customer_id BIGINT TAG subject, amount DECIMAL(10,2), address TEXT)\n\
         WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    );
    for (path, text) in [
        (
            "sql/silver/customers.sql",
            "CREATE OR REFRESH STREAMING TABLE silver.customers\n\
             FLOW AUTO CDC FROM STREAM bronze.customers KEYS (customer_id) SEQUENCE BY seq\n  \
             COLUMNS customer_id, name, email STORED AS SCD TYPE 2;\n",
        ),
        (
            "sql/silver/orders.sql",
            "CREATE OR REFRESH STREAMING TABLE silver.orders (order_id BIGINT, customer_id BIGINT, amount DECIMAL(10,2),\n  \
             CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE ROW)\n\
             AS SELECT order_id, customer_id, amount FROM STREAM bronze.orders;\n",
        ),
        (
            "sql/silver/hashed.sql",
            "CREATE OR REFRESH STREAMING TABLE silver.hashed\n\
             AS SELECT order_id, 'c' || CAST(customer_id AS TEXT) AS who, amount FROM STREAM silver.orders;\n",
        ),
        (
            "sql/silver/slow.sql",
            "CREATE OR REFRESH STREAMING TABLE silver.slow SCHEDULE EVERY 12 HOUR\n\
             AS SELECT order_id, customer_id FROM STREAM bronze.orders;\n",
        ),
        (
            "sql/gold/nightly.sql",
            "CREATE MATERIALIZED VIEW gold.nightly SCHEDULE EVERY 12 HOUR AS\n\
             SELECT max(name) AS last, count(*) AS versions FROM silver.customers;\n",
        ),
        (
            "sql/gold/by_customer.sql",
            "CREATE MATERIALIZED VIEW gold.by_customer AS\n\
             SELECT customer_id, count(*) AS orders, sum(amount) AS total FROM silver.orders GROUP BY customer_id;\n",
        ),
        (
            "sql/gold/total.sql",
            "CREATE MATERIALIZED VIEW gold.total AS SELECT count(*) AS orders, sum(amount) AS total, max(amount) AS most\n\
             FROM silver.orders;\n",
        ),
        (
            "sql/gold/named.sql",
            "CREATE MATERIALIZED VIEW gold.named AS\n\
             SELECT o.order_id, c.name, c.email, o.amount FROM silver.orders AS o\n  \
             JOIN silver.customers AS c ON c.customer_id = o.customer_id WHERE c.__end_at IS NULL;\n",
        ),
        (
            "sql/gold/regular.sql",
            "CREATE MATERIALIZED VIEW gold.regular AS\n\
             SELECT customer_id, avg(amount) AS mean FROM silver.orders GROUP BY customer_id HAVING sum(amount) > 1;\n",
        ),
    ] {
        warehouse.write(path, text);
    }
    warehouse
}

const VIEWS: [&str; 4] = ["gold.by_customer", "gold.total", "gold.named", "gold.regular"];

const TABLES: [(&str, &str); 9] = [
    ("bronze.customers", "customer_id, name, email, seq, _raw, _partition, _offset, _batch"),
    ("bronze.orders", "order_id, customer_id, amount, address, _raw, _partition, _offset, _batch"),
    ("bronze.orders__quarantine", "rule, reason, raw, partition, \"offset\""),
    ("silver.customers", "customer_id, name, email, __start_at, __end_at"),
    ("silver.orders", "order_id, customer_id, amount"),
    ("silver.orders__quarantine", "rule, raw, partition, \"offset\""),
    ("silver.hashed", "order_id, who, amount"),
    ("gold.named", "order_id, name, email, amount"),
    ("gold.by_customer", "customer_id, orders, total"),
];

/// Rows of six customers in several commits, the one that will be erased among them.
fn fill(server: &Server) {
    let customer = |id: &str, seq: i64| {
        let name = if id == WHO { "wilhelmina".to_string() } else { format!("name{id}") };
        format!(
            "{{\"customer_id\": {id}, \"name\": \"{name} {seq}\", \"email\": \"{name}@example.com\", \"seq\": {seq}}}\n"
        )
    };
    let people = ["1", "2", WHO, "3", "4", "42424242"];
    for round in 0..3i64 {
        let customers: String = people.iter().map(|id| customer(id, round)).collect();
        taken(server, "customers", round, &customers);
        let orders = people.iter().enumerate().map(|(place, id)| {
            let order = round * 100 + i64::try_from(place).unwrap();
            let address = if *id == WHO { "Rosengasse 7".to_string() } else { format!("Street {order}") };
            let amount = if round == 2 && place > 1 { "-1".to_string() } else { format!("{order}.50") };
            let bad = if round == 1 && place < 4 { ", \"amount\": \"none\"" } else { "" };
            format!("{{\"order_id\": {order}, \"customer_id\": {id}, \"amount\": {amount}, \"address\": \"{address}\"{bad}}}\n")
        });
        let orders: String = orders.collect();
        let torn = format!(
            "{{\"order_id\": 7, \"customer_id\": {WHO}, torn\n{{\"order_id\": 8, \"customer_id\": 5, torn\n"
        );
        taken(server, "orders", round, &(orders + &torn));
    }
    server.wait_until("SELECT count(*) FROM bronze.orders__quarantine", "10");
    server.wait_until("SELECT count(*) FROM silver.orders__quarantine", "4");
    server.wait_until("SELECT count(*) FROM silver.hashed", "10");
    server.wait_until("SELECT count(*), count(__end_at) FROM silver.customers", "18|12");
    // Of the third round's names.
    server.wait_until("SELECT count(*) FROM gold.named WHERE name LIKE '% 2'", "10");
    server.wait_until("SELECT orders FROM gold.total", "10");
    server.wait_until(&format!("SELECT orders FROM gold.by_customer WHERE customer_id = {WHO}"), "1");
}

fn taken(server: &Server, source: &str, token: i64, body: &str) {
    let reply = push(server, source, Some(("sender", token)), body).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// What everybody else has.
fn others(server: &Server) -> Vec<String> {
    let read = |(table, columns): &(&str, &str)| {
        let sql = format!("SELECT {columns} FROM {table} ORDER BY {columns}");
        let rows = server.query(&sql);
        let is_marked = |row: &str| MARKS.iter().any(|mark| row.contains(mark) || row.contains(&hex(mark)));
        let kept = rows.lines().filter(|row| !is_marked(row));
        format!("{table}\n{}", kept.collect::<Vec<_>>().join("\n"))
    };
    TABLES.iter().map(read).collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn is_nowhere(warehouse: &Warehouse) {
    for mark in MARKS {
        let (found, looked_at) = traces(&warehouse.data(), mark);
        assert!(looked_at > 50, "{looked_at} files");
        assert!(found.is_empty(), "{mark:?} is in {found:?}");
    }
}

fn verified(server: &Server) {
    for view in VIEWS {
        let verdict = format!("VERIFY MATERIALIZED VIEW {view}");
        let row = server.query(&verdict);
        assert!(row.contains("|equal|"), "{verdict}: {row}");
    }
    assert_eq!(server.query("SELECT count(*) FROM silver.hashed AS h LEFT JOIN silver.orders AS o USING (order_id) WHERE o.order_id IS NULL"), "0");
}

fn nowhere() {
    let warehouse = warehouse();
    // A model that the project will have no more when the person is erased; its table stays.
    let left_behind =
        "CREATE MATERIALIZED VIEW gold.left_behind AS SELECT customer_id, name FROM bronze.customers;\n";
    warehouse.write("sql/gold/left_behind.sql", left_behind);
    let server = warehouse.serve();
    fill(&server);
    server.wait_until("SELECT count(*) FROM gold.left_behind", "18");
    assert_eq!(server.terminate().0.code(), Some(0));
    std::fs::remove_file(warehouse.project().join("sql/gold/left_behind.sql")).unwrap();
    let server = warehouse.serve();
    let before = others(&server);
    assert!(!traces(&warehouse.data(), "Rosengasse").0.is_empty(), "what is there is found");
    server.query(&format!("SELECT count(*) FROM gold.by_customer WHERE customer_id = {WHO}"));

    let dry = server.query(&format!("ERASE SUBJECT '{WHO}' DRY RUN"));
    let expected = [
        "|bronze.customers|customer_id|3||",
        "|bronze.orders|customer_id|2||",
        "|silver.customers|customer_id|3||",
        "|silver.orders|customer_id|1||",
        "|gold.by_customer|customer_id|1||",
        "|bronze.orders__quarantine|raw|4||",
        "|silver.orders__quarantine|raw|1||",
    ];
    for row in expected {
        assert!(dry.contains(row), "{row} is missing in\n{dry}");
    }

    // Someone who began to read before.
    let pinned: Pg = server.connect();
    pinned.text("BEGIN");
    assert_eq!(pinned.text(&format!("SELECT count(*) FROM bronze.orders WHERE customer_id = {WHO}")), "2");

    let erased = server.query(&format!("ERASE SUBJECT '{WHO}'"));
    for row in [
        "|bronze.customers|customer_id|3|",
        "|silver.orders__quarantine|raw|1|",
        "|gold.by_customer|customer_id|1|",
    ] {
        assert!(erased.contains(row), "{row} is missing in\n{erased}");
    }
    assert!(erased.lines().all(|row| row.ends_with("|t")), "{erased}");
    let (code, message) = pinned.refusal("SELECT sum(order_id) FROM bronze.orders");
    assert_eq!(code, "72000", "{message}");
    drop(pinned);

    assert_eq!(others(&server), before);
    verified(&server);
    assert_eq!(
        server.query(&format!(
            "SELECT count(DISTINCT id), sum(rows), bool_and(verified), min(requested_by), \
             bool_and(subject_hash = sha256(subject_salt || '{}' || '{}')) FROM sluice.erasures",
            &WHO[..5],
            &WHO[5..]
        )),
        "1|21|t|sluice|t"
    );
    assert_eq!(
        server.query("SELECT count(*) FROM sluice.audit_log WHERE statement LIKE 'ERASE SUBJECT ''***''%' AND outcome = 'ok'"),
        "2"
    );
    drop(server);
    is_nowhere(&warehouse);

    // It goes on: what comes is taken once, also by what reads streams, and what stands can be made anew.
    let server = warehouse.serve();
    assert_eq!(others(&server), before);
    taken(&server, "orders", 9, "{\"order_id\": 900, \"customer_id\": 1, \"amount\": 9}\n");
    server.wait_until("SELECT count(*) FROM silver.hashed", "10");
    server.wait_until("SELECT total FROM gold.by_customer WHERE customer_id = 1", "210.00");
    server.query("REFRESH TABLE silver.orders FULL");
    server.wait_until("SELECT count(*) FROM silver.hashed", "10");
    verified(&server);
    assert_eq!(
        server.query("SELECT count(*) FROM sluice.refreshes WHERE outcome = 'failed'"),
        "0",
        "nothing failed on the way"
    );
}

fn killed() {
    let untouched = warehouse();
    let server = untouched.serve();
    fill(&server);
    let expected = others(&server);
    drop(server);
    for step in STEPS {
        let warehouse = warehouse();
        let server = warehouse.serve();
        fill(&server);
        assert_eq!(others(&server), expected, "before {step}");
        // What was asked is written down at the latest when the server ends: one that is killed may leave no row to purge.
        assert_eq!(server.terminate().0.code(), Some(0));
        let armed = format!("SLUICE_FAILPOINTS={step}");
        let mut server = Server::launch_within(&["env", &armed], &warehouse, &[]).ready().unwrap();
        // The connection ends with the process.
        let answer = server.connect().try_text(&format!("ERASE SUBJECT '{WHO}'"));
        assert!(answer.is_err(), "{step} was not reached: {answer:?}");
        until(step, FLOW, || if server.is_running() { Err("runs".to_string()) } else { Ok(()) });
        drop(server);
        let server = warehouse.serve();
        server.wait_until(
            "SELECT count(DISTINCT id), bool_and(verified), sum(rows) FROM sluice.erasures",
            "1|t|18",
        );
        assert_eq!(others(&server), expected, "after {step}");
        verified(&server);
        drop(server);
        is_nowhere(&warehouse);
    }
}

/// Rows come all the while, also to a streaming table that takes them twice a day: each is there once.
fn flowing() {
    let warehouse = warehouse();
    let server = warehouse.serve();
    fill(&server);
    let erased = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while !erased.load(std::sync::atomic::Ordering::Relaxed) {
                let order = 1_000 + sent;
                let body = format!("{{\"order_id\": {order}, \"customer_id\": 1, \"amount\": 1}}");
                // While it starts anew, the source takes nothing: what was not acknowledged is sent again.
                until("take an order", FLOW, || match push(&server, "orders", Some(("flow", sent)), &body) {
                    Ok(reply) if reply.status == 200 => Ok(()),
                    other => Err(format!("{other:?}")),
                });
                sent += 1;
            }
            sent
        });
        let answer = server.query(&format!("ERASE SUBJECT '{WHO}'"));
        erased.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(answer.lines().all(|row| row.ends_with("|t")), "{answer}");
        sender.join().unwrap()
    });
    assert!(sent > 3, "{sent} orders came meanwhile");
    for table in ["bronze.orders", "silver.orders", "silver.hashed"] {
        let counts = format!("SELECT count(*), count(DISTINCT order_id) FROM {table} WHERE order_id >= 1000");
        server.wait_until(&counts, &format!("{sent}|{sent}"));
    }
    server.wait_until("SELECT orders FROM gold.by_customer WHERE customer_id = 1", &(sent + 2).to_string());
    verified(&server);
    drop(server);
    is_nowhere(&warehouse);
}

fn definitions_keep_their_meaning() {
    let warehouse = warehouse();
    let server = warehouse.serve();
    fill(&server);
    let session = server.connect();
    session.text(&format!(
        "CREATE VIEW gold.others AS SELECT order_id /* not {WHO} */ FROM silver.orders WHERE customer_id < 1000;
         COMMENT ON VIEW gold.others IS 'Without {WHO}'; CREATE ROLE clerk;
         CREATE POLICY few ON gold.by_customer TO clerk USING (customer_id <> {WHO})"
    ));
    let rows = session.text("SELECT order_id FROM gold.others ORDER BY 1");
    for (whose, note) in [(WHO, "-- for us"), ("1", "-- for us, and not for the one before")] {
        warehouse.write(
            "sql/gold/vip.sql",
            format!("{note}\nCREATE VIEW gold.vip AS SELECT * FROM gold.by_customer WHERE customer_id = {whose};\n"),
        );
        session.text("APPLY");
    }
    warehouse.write(
        "sql/gold/vip.sql",
        format!("-- no more {WHO}\nCREATE VIEW gold.vip AS SELECT 1 AS customer_id;\n"),
    );
    session.text("APPLY");
    warehouse.write("sql/gold/vip.sql", "CREATE VIEW gold.vip AS SELECT 2 AS customer_id;\n");
    session.text("APPLY");
    drop(session);

    let policy = "|sluice.access_rules|CREATE POLICY \"few\" ON \"gold\".\"by_customer\" AS PERMISSIVE FOR SELECT TO \"clerk\" \
                  USING (customer_id <> (erased))|1|";
    let dry = server.query(&format!("ERASE SUBJECT '{WHO}' DRY RUN"));
    assert!(dry.contains(policy), "{dry}");
    let erased = server.query(&format!("ERASE SUBJECT '{WHO}'"));
    let left: Vec<&str> = erased.lines().filter(|row| !row.ends_with("|t")).collect();
    assert!(left.len() == 1 && left[0].contains(policy) && left[0].ends_with("|0|f"), "{erased}");
    assert_eq!(
        server.query(
            "SELECT count(*) FROM sluice.erasures WHERE NOT verified AND table_name = 'sluice.access_rules'"
        ),
        "1"
    );

    // What is said for people alone is gone, and what it stood in means what it meant.
    let said = "SELECT definition, comment FROM sluice.definitions";
    assert_eq!(
        server.query(said),
        "AS SELECT order_id /* not (erased) */ FROM silver.orders WHERE customer_id < 1000|Without (erased)"
    );
    assert_eq!(server.query("SELECT obj_description('gold.others'::regclass)"), "Without (erased)");
    assert_eq!(server.query("SELECT order_id FROM gold.others ORDER BY 1"), rows);
    let policies = format!("SELECT count(*) FROM sluice.access_rules WHERE statement LIKE '%<> {WHO})'");
    assert_eq!(server.query(&policies), "1");
    // Files that ran before and named the person are given up; those with a comment are not.
    let deployments = "SELECT deployment, files LIKE '%gold.vip%', files LIKE '%no more (erased)%' FROM sluice.deployments ORDER BY 1";
    assert_eq!(server.query(deployments), "1|f|f\n2|f|f\n3|t|f\n4|t|t\n5|t|f");
    let (code, message) = server.connect().refusal("APPLY ROLLBACK TO 2");
    assert_eq!(code, "55000", "{message}");
    assert!(message.contains("the files of deployment 2 are not kept"), "{message}");
    server.query("APPLY ROLLBACK TO 4");
    server.wait_until("SELECT customer_id FROM gold.vip", "1");
    server.query("APPLY ROLLBACK TO 3");

    // Once somebody has seen to the policy, nothing is left.
    server.query("DROP POLICY few ON gold.by_customer");
    let erased = server.query(&format!("ERASE SUBJECT '{WHO}'"));
    assert!(erased.lines().all(|row| row.ends_with("|t")), "{erased}");
    drop(server);
    is_nowhere(&warehouse);
    let server = warehouse.serve();
    server.wait_until("SELECT order_id FROM gold.others ORDER BY 1", &rows);
}

fn other_engines() {
    let warehouse = warehouse();
    let server = warehouse.serve();
    fill(&server);
    server.query(&format!("ERASE SUBJECT '{WHO}'"));
    let tables = [
        ("bronze.orders", "order_id, customer_id, amount, _offset", "order_id"),
        ("bronze.orders__quarantine", "rule, reason", "reason"),
        ("silver.orders", "order_id, customer_id, amount", "order_id"),
        ("silver.customers", "customer_id, name, email", "name"),
        ("gold.by_customer", "customer_id, orders, total", "customer_id"),
    ];
    let folders = tables.map(|(table, ..)| warehouse.data().join(table.replace('.', "/")));
    let questions: Vec<_> = folders
        .iter()
        .zip(tables)
        .map(|(folder, (_, columns, order))| (folder, columns, order, ""))
        .collect();
    for ((table, columns, order), theirs) in tables.into_iter().zip(read("deltalake", &questions)) {
        let ours = server.query(&format!("SELECT {columns} FROM {table} ORDER BY {order}"));
        assert_eq!(sorted(&theirs), sorted(&ours), "{table}");
        assert!(!ours.is_empty() && !ours.contains(WHO), "{table}: {ours}");
    }
}

fn refused() {
    let warehouse = warehouse();
    let server = warehouse.serve();
    let pg = server.connect();
    let (code, message) = pg.refusal("ERASE SUBJECT '1' TAG employee");
    assert_eq!(code, "42704", "{message}");
    assert!(message.contains("no column is tagged employee"), "{message}");
    assert_eq!(pg.refusal("ERASE SUBJECT 42").0, "42601");
    assert_eq!(pg.refusal("ERASE SUBJECT ''").0, "42601");
    pg.text("BEGIN");
    assert_eq!(pg.refusal("ERASE SUBJECT '42'").0, "25001");
    let guest = Pg::connect(server.pg, "guest", None).unwrap();
    assert_eq!(guest.refusal("ERASE SUBJECT '42' DRY RUN").0, "42501");
    assert_eq!(server.query("SELECT count(*) FROM sluice.erasures"), "0");
}

/// A short id stands in many lines as a word: those go in which it stands in the column's field, and torn ones.
fn lines() {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\nmay_define = true\n");
    warehouse.write(
        "catalog/visits.sql",
        "CREATE SOURCE bronze.visits (visit_id BIGINT, customer_id BIGINT TAG subject, page TEXT)\n\
         WITH (connector = 'files', path = 'input/visits') FORMAT PLAIN ENCODE CSV;\n\
         CREATE SOURCE bronze.pushed (visit_id BIGINT, customer_id BIGINT TAG subject, page TEXT)\n\
         WITH (connector = 'http') FORMAT PLAIN ENCODE CSV (header = false);\n",
    );
    // The header has another order than the columns.
    let lines = "x,front,7\nx,front 7,8\n7,front,x\n\"7\",front,x,7\nx,\"front, 7\",7\n1,front,7\n";
    warehouse.write("input/visits/1.csv", format!("visit_id,page,customer_id\n{lines}"));
    let server = warehouse.serve();
    let pushed = push(&server, "pushed", None, "x,7,a\nx,8,7\n7,x,b\n").unwrap();
    assert_eq!(pushed.status, 200, "{pushed:?}");
    let apart = |source: &str| {
        format!("SELECT CAST(raw AS TEXT) FROM bronze.{source}__quarantine ORDER BY \"offset\"")
    };
    let visits = "x,front,7\nx,front 7,8\n7,front,x\n\"7\",front,x,7\nx,\"front, 7\",7";
    server.wait_until(&apart("visits"), visits);
    server.wait_until(&apart("pushed"), "x,7,a\nx,8,7\n7,x,b");
    server.query("ERASE SUBJECT '7'");
    assert_eq!(server.query(&apart("visits")), "x,front 7,8\n7,front,x");
    assert_eq!(server.query(&apart("pushed")), "x,8,7\n7,x,b");
    assert_eq!(server.query("SELECT count(*) FROM bronze.visits"), "0");
}
