//! Roles, rights, row policies and column masks, in both protocols.

use crate::support::pg::Pg;
use crate::support::{Server, Warehouse, needs, trial};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use libtest_mimic::Trial;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let psql = vec![trial("roles::psql_shows_roles_and_rights", psql_shows_roles_and_rights)];
    let mut trials = vec![
        trial("roles::nothing_is_allowed_that_was_not_granted", nothing_is_allowed_that_was_not_granted),
        trial("roles::columns_are_granted_one_by_one", columns_are_granted_one_by_one),
        trial(
            "roles::policies_choose_rows_and_masks_cover_columns",
            policies_choose_rows_and_masks_cover_columns,
        ),
        trial("roles::rights_end_when_they_are_revoked", rights_end_when_they_are_revoked),
        trial("roles::rights_that_were_typed_outlast_the_server", rights_that_were_typed_outlast_the_server),
        trial("roles::take_on_those_they_are_members_of", take_on_those_they_are_members_of),
        trial("roles::define_where_they_may_create", define_where_they_may_create),
        trial("roles::see_only_what_they_may", see_only_what_they_may),
        trial("roles::flight_goes_by_the_same_rights", flight_goes_by_the_same_rights),
        trial("roles::pushes_go_by_rights", pushes_go_by_rights),
        trial("roles::mistakes_are_named_with_place_and_way_out", mistakes_are_named_with_place_and_way_out),
    ];
    trials.extend(needs::psql(psql));
    trials
}

pub const SETTINGS: &str = "[users.sluice]\ntrust_loopback = true\nmay_define = true\n\
    [users.old]\ntrust_loopback = true\n[users.ann]\ntrust_loopback = true\n[users.bob]\ntrust_loopback = true\n";

pub const ROLES: &str = "
CREATE ROLE reader NOLOGIN;
CREATE ROLE ann LOGIN IN ROLE reader;
CREATE ROLE bob LOGIN;
GRANT SELECT ON SCHEMA gold TO reader;
";

/// Project `shop` with a superuser, `ann` who reads gold, `bob` who may nothing, and `old` of before there were roles.
pub fn shop_with(roles: &str) -> (Warehouse, Server) {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", SETTINGS);
    warehouse.write("catalog/roles.sql", format!("{ROLES}{roles}"));
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    (warehouse, server)
}

pub fn shop() -> (Warehouse, Server) {
    shop_with("")
}

pub fn of(server: &Server, user: &str) -> Pg {
    Pg::connect(server.pg, user, None).unwrap()
}

fn nothing_is_allowed_that_was_not_granted() {
    let (_warehouse, server) = shop();
    let ann = of(&server, "ann");
    assert_eq!(ann.text("SELECT sum(orders) FROM gold.daily_sales"), "6");
    // A view reads by its owner's rights what ann may not read.
    assert_eq!(ann.text("SELECT count(*) FROM gold.open_orders"), "2");
    for denied in [
        "SELECT * FROM silver.orders",
        "SELECT 1 FROM (SELECT * FROM silver.orders) AS o",
        "WITH o AS (SELECT * FROM silver.orders) SELECT count(*) FROM o",
        "SELECT (SELECT count(*) FROM silver.orders)",
        "SELECT * FROM gold.daily_sales WHERE orders IN (SELECT order_id FROM silver.orders)",
        "SELECT * FROM gold.daily_sales AS d, LATERAL (SELECT * FROM silver.orders WHERE order_date = d.order_date) AS o",
        "EXPLAIN SELECT * FROM silver.orders",
        "EXPLAIN ANALYZE SELECT * FROM silver.orders",
        "EXPLAIN CREATE MATERIALIZED VIEW gold.x AS SELECT * FROM silver.orders",
        "COPY silver.orders TO STDOUT",
        "COPY (SELECT * FROM silver.orders) TO STDOUT",
        "BEGIN; DECLARE c CURSOR FOR SELECT * FROM silver.orders",
        "PREPARE p AS SELECT * FROM silver.orders",
        "TABLE silver.orders",
        "SET search_path = silver; SELECT * FROM orders",
        "SELECT * FROM silver.orders__quarantine",
        "SELECT * FROM sluice.quarantine",
        "SELECT * FROM sluice.sources",
        "SELECT * FROM sluice.audit_log",
        "REFRESH TABLE silver.orders",
        "VERIFY MATERIALIZED VIEW gold.daily_sales",
        "CREATE VIEW gold.x AS SELECT 1 AS a",
        "DROP VIEW gold.open_orders",
        "COMMENT ON TABLE gold.daily_sales IS 'x'",
        "CREATE ROLE eve SUPERUSER",
        "ALTER ROLE ann SUPERUSER",
        "GRANT SELECT ON silver.orders TO ann",
        "DROP POLICY p ON silver.orders",
        "SET ROLE sluice",
        "SET role = sluice",
        "SET SESSION AUTHORIZATION sluice",
    ] {
        let session = of(&server, "ann");
        let (code, said) = session.refusal(denied);
        assert_eq!(code, "42501", "{denied}: {said}");
    }
    let (_, said) = ann.refusal("SELECT * FROM silver.orders");
    assert!(said.contains("permission denied for table orders"), "{said}");
    assert!(said.contains("GRANT SELECT ON silver.orders TO ann"), "{said}");
    let (code, _) = ann.refusal("SELECT set_config('role', 'sluice', false)");
    assert_eq!(code, "55P02");
    // The extended protocol.
    let error = ann.run(ann.client().query("SELECT * FROM silver.orders WHERE order_id = $1", &[&1_i64]));
    assert_eq!(crate::support::pg::code(&error.unwrap_err()), "42501");
    // Users of the settings without a role of their own go on as before, but for the audit log.
    let old = of(&server, "old");
    assert_eq!(old.text("SELECT count(*) FROM silver.orders"), "6");
    old.text("REFRESH TABLE gold.daily_sales");
    assert_eq!(old.refusal("SELECT * FROM sluice.audit_log").0, "42501");
    assert_eq!(old.refusal("CREATE ROLE eve").0, "42501");
}

fn columns_are_granted_one_by_one() {
    let (_warehouse, server) = shop_with("GRANT SELECT (order_id, status) ON silver.orders TO bob;\n");
    let bob = of(&server, "bob");
    assert_eq!(bob.text("SELECT order_id FROM silver.orders WHERE status = 'open' ORDER BY 1"), "6\n8");
    assert_eq!(bob.text("SELECT count(*) FROM silver.orders"), "6");
    for denied in [
        "SELECT * FROM silver.orders",
        "SELECT amount FROM silver.orders",
        "SELECT order_id FROM silver.orders WHERE amount > 10",
        "SELECT order_id FROM silver.orders ORDER BY amount",
        "SELECT status, max(amount) FROM silver.orders GROUP BY 1",
        "SELECT a.order_id FROM silver.orders AS a JOIN silver.orders AS b ON a.amount = b.amount",
        "SELECT row_to_json(o) FROM silver.orders AS o",
    ] {
        assert_eq!(bob.refusal(denied).0, "42501", "{denied}");
    }
    let columns = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns \
                   WHERE table_schema = 'silver'";
    assert_eq!(bob.text(columns), "order_id,status");
    assert_eq!(
        bob.text(
            "SELECT has_table_privilege('silver.orders', 'SELECT'), has_any_column_privilege('silver.orders', 'SELECT'),
                    has_column_privilege('silver.orders', 'status', 'SELECT'),
                    has_column_privilege('silver.orders', 'amount', 'SELECT'),
                    has_table_privilege('gold.daily_sales', 'SELECT'), has_schema_privilege('gold', 'USAGE'),
                    has_table_privilege('ann', 'gold.daily_sales', 'SELECT'), pg_has_role('ann', 'reader', 'MEMBER')"
        ),
        "f|t|t|f|f|f|t|t"
    );
}

fn policies_choose_rows_and_masks_cover_columns() {
    let (_warehouse, server) = shop_with(
        "CREATE ROLE support NOLOGIN;
         GRANT SELECT ON SCHEMA silver TO bob, ann, support;
         CREATE POLICY cheap ON silver.orders FOR SELECT TO bob USING (amount < 30);
         CREATE POLICY of_customers ON silver.orders TO reader
           USING (customer_id IN (SELECT customer_id FROM bronze.customers WHERE current_user = 'ann' AND customer_id = 11));
         CREATE POLICY paid ON silver.orders AS RESTRICTIVE USING (status = 'paid');
         ALTER TABLE silver.orders ALTER COLUMN status SET MASK (current_user || ' sees ' || upper(status)) EXCEPT support;
         ALTER TABLE silver.orders ALTER COLUMN ordered_at SET MASK (NULL);\n",
    );
    let bob = of(&server, "bob");
    let rows = "SELECT order_id, amount, status, ordered_at FROM silver.orders ORDER BY 1";
    assert_eq!(bob.text(rows), "1|20.00|bob sees PAID|\n2|5.50|bob sees PAID|");
    assert_eq!(bob.text("SELECT count(*), sum(amount), max(amount) FROM silver.orders"), "2|25.50|20.00");
    // What is asked of a mask is asked of what it shows.
    assert_eq!(bob.text("SELECT count(*) FROM silver.orders WHERE status = 'paid'"), "0");
    // No expression comes to see a hidden row: this one would fail on it.
    assert_eq!(bob.text("SELECT count(*) FROM silver.orders WHERE 1 / (amount - 44.45) IS NOT NULL"), "2");
    assert_eq!(
        bob.text("SELECT order_id FROM silver.orders WHERE 1 / (order_id - 9) <> 7 ORDER BY 1"),
        "1\n2"
    );
    assert_eq!(bob.text("SELECT min(1 / (order_id - 9)) FROM silver.orders"), "0");
    let explained = bob.text("EXPLAIN VERBOSE SELECT * FROM silver.orders");
    assert!(!explained.contains("30"), "{explained}");
    // By the owner's rights, as in PostgreSQL: the view shows what is hidden from bob in its table.
    assert_eq!(bob.refusal("SELECT count(*) FROM gold.open_orders").0, "42501");
    assert_eq!(of(&server, "ann").text("SELECT count(*) FROM gold.open_orders"), "2");
    assert_eq!(
        of(&server, "ann").text("SELECT order_id, status FROM silver.orders ORDER BY 1"),
        "2|ann sees PAID\n9|ann sees PAID"
    );
    // The rows that were set apart are the table's own, uncovered.
    assert_eq!(bob.refusal("SELECT * FROM silver.orders__quarantine").0, "42501");
    assert_eq!(of(&server, "old").refusal("SELECT * FROM sluice.quarantine").0, "42501");
    // Who has no policy sees no rows, and who is not masked sees the column.
    assert_eq!(of(&server, "old").text("SELECT count(*) FROM silver.orders"), "0");
    let root = server.connect();
    assert_eq!(root.text("SELECT count(*) FROM silver.orders"), "6");
    root.text("GRANT bob TO support; SET ROLE support");
    assert_eq!(root.text("SELECT order_id, status FROM silver.orders ORDER BY 1"), "1|paid\n2|paid");
    // Through a cursor, a copy and a prepared statement.
    assert_eq!(bob.text("BEGIN; DECLARE c CURSOR FOR SELECT order_id FROM silver.orders ORDER BY 1; FETCH ALL FROM c; COMMIT"), "1\n2");
    let query = bob
        .run(bob.client().prepare("SELECT order_id FROM silver.orders WHERE amount < $1::int ORDER BY 1"))
        .unwrap();
    for _ in 0..3 {
        let rows = bob.run(bob.client().query(&query, &[&1000_i32])).unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(), [1, 2]);
    }
}

fn rights_end_when_they_are_revoked() {
    let (_warehouse, server) = shop();
    let (root, bob) = (server.connect(), of(&server, "bob"));
    root.text("GRANT SELECT ON silver.orders TO bob");
    let query =
        bob.run(bob.client().prepare("SELECT order_id FROM silver.orders WHERE order_id = $1")).unwrap();
    let read = || bob.run(bob.client().query(&query, &[&1_i64])).map(|rows| rows.len());
    // The plan is kept from the second time on.
    for _ in 0..4 {
        assert_eq!(read().unwrap(), 1);
        assert_eq!(bob.text("SELECT order_id FROM silver.orders WHERE order_id = 1"), "1");
    }
    root.text("CREATE POLICY none ON silver.orders TO bob USING (false)");
    assert_eq!(read().unwrap(), 0);
    assert_eq!(bob.text("SELECT order_id FROM silver.orders WHERE order_id = 1"), "");
    root.text("DROP POLICY none ON silver.orders");
    assert_eq!(read().unwrap(), 1);
    // In a transaction, too: rights are those of now, whatever cut is read.
    bob.text("BEGIN; SELECT count(*) FROM silver.orders");
    root.text("REVOKE SELECT ON silver.orders FROM bob");
    assert_eq!(bob.refusal("SELECT order_id FROM silver.orders").0, "42501");
    bob.text("ROLLBACK");
    assert_eq!(crate::support::pg::code(&read().unwrap_err()), "42501");
    root.text("GRANT SELECT ON ALL TABLES IN SCHEMA silver TO PUBLIC");
    assert_eq!(read().unwrap(), 1);
}

fn rights_that_were_typed_outlast_the_server() {
    let (warehouse, server) = shop();
    let root = server.connect();
    root.text("CREATE ROLE eve LOGIN; GRANT reader TO eve; GRANT SELECT (order_id) ON silver.orders TO eve");
    root.text("CREATE POLICY few ON silver.orders TO eve USING (order_id < 3)");
    root.text("ALTER TABLE silver.orders ALTER COLUMN status SET MASK ('x')");
    // All of a transaction or nothing, with what else it defines.
    root.text("BEGIN; CREATE VIEW gold.two AS SELECT 2 AS two; GRANT SELECT ON gold.two TO bob; COMMIT");
    root.text("BEGIN; GRANT SELECT ON silver.orders TO bob; ROLLBACK");
    let kept = root.text("SELECT statement FROM sluice.access_rules ORDER BY 1");
    assert_eq!(kept.lines().count(), 6, "{kept}");
    server.kill9();

    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM silver.orders", "6");
    let root = server.connect();
    assert_eq!(root.text("SELECT statement FROM sluice.access_rules ORDER BY 1"), kept);
    let bob = of(&server, "bob");
    assert_eq!(bob.text("SELECT two FROM gold.two"), "2");
    assert_eq!(bob.refusal("SELECT order_id FROM silver.orders").0, "42501");
    root.text("SET ROLE eve");
    assert_eq!(root.text("SELECT order_id FROM silver.orders ORDER BY 1"), "1\n2");
    assert_eq!(root.text("SELECT sum(orders) FROM gold.daily_sales"), "6");
    root.text("RESET ROLE; DROP VIEW gold.two; DROP POLICY few ON silver.orders; DROP ROLE eve");
    let left = root.text("SELECT statement FROM sluice.access_rules");
    assert!(left.contains("SET MASK") && left.lines().count() == 1, "{left}");
    root.text("CREATE ROLE eve LOGIN PASSWORD 'SCRAM-SHA-256$4096:hunter2$a:b'");
    assert_eq!(root.text("SELECT count(*) FROM sluice.access_rules WHERE statement LIKE '%hunter2%'"), "0");
    let (code, said) = root.refusal("REVOKE SELECT ON SCHEMA gold FROM reader");
    assert_eq!(code, "42501");
    assert!(said.contains("catalog/roles.sql:5"), "{said}");
}

fn take_on_those_they_are_members_of() {
    let (_warehouse, server) = shop();
    let ann = of(&server, "ann");
    let who = "SELECT session_user, current_user";
    assert_eq!(ann.text(who), "ann|ann");
    assert_eq!(ann.text(&format!("SET ROLE reader; {who}")), "ann|reader");
    assert_eq!(ann.text(&format!("RESET ROLE; {who}")), "ann|ann");
    assert_eq!(
        ann.text(&format!("BEGIN; SET LOCAL ROLE reader; {who}; COMMIT; {who}")),
        "ann|reader\nann|ann"
    );
    assert_eq!(ann.text(&format!("BEGIN; SET ROLE reader; ROLLBACK; {who}")), "ann|ann");
    let root = server.connect();
    root.text("SET ROLE bob");
    assert_eq!(root.refusal("SELECT 1 FROM gold.daily_sales").0, "42501");
    assert_eq!(root.refusal("CREATE ROLE x").0, "42501");
    root.text("RESET ALL");
    assert_eq!(root.text("SHOW role"), "bob");
    root.text("DISCARD ALL");
    assert_eq!(root.text("SELECT count(*) FROM silver.orders"), "6");
    assert_eq!(root.refusal("SET ROLE nobody").0, "22023");
}

fn define_where_they_may_create() {
    let (_warehouse, server) =
        shop_with("GRANT CREATE ON SCHEMA gold TO bob;\nGRANT SELECT ON gold.daily_sales TO bob;\n");
    let bob = of(&server, "bob");
    bob.text("CREATE VIEW gold.days AS SELECT order_date FROM gold.daily_sales");
    assert_eq!(bob.refusal("CREATE VIEW gold.all_orders AS SELECT * FROM silver.orders").0, "42501");
    assert_eq!(bob.refusal("CREATE VIEW silver.days AS SELECT 1 AS a").0, "42501");
    assert_eq!(bob.refusal("SELECT * FROM gold.days").0, "42501");
    server.connect().text("GRANT SELECT ON gold.days TO bob");
    assert_eq!(bob.text("SELECT count(*) FROM gold.days"), "2");
    bob.text("DROP VIEW gold.days");
}

fn see_only_what_they_may() {
    let (_warehouse, server) = shop();
    let (ann, bob) = (of(&server, "ann"), of(&server, "bob"));
    let tables = "SELECT string_agg(table_schema || '.' || table_name, ',' ORDER BY 1) FROM \
                  (SELECT table_schema, table_name FROM information_schema.tables \
                   WHERE table_schema NOT IN ('pg_catalog', 'information_schema')) AS t(table_schema, table_name)";
    let tables = tables.replace("ORDER BY 1", "ORDER BY table_schema, table_name");
    assert_eq!(ann.text(&tables), "gold.customer_sales,gold.daily_sales,gold.open_orders");
    assert_eq!(bob.text(&tables), "");
    let classes = "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace \
                   WHERE nspname IN ('bronze', 'silver', 'gold', 'sluice')";
    assert_eq!(ann.text(classes), "3");
    assert_eq!(bob.text(classes), "0");
    assert_eq!(bob.refusal("SELECT 'silver.orders'::regclass").0, "42P01");
    assert_eq!(
        ann.text(
            "SELECT privilege_type FROM information_schema.table_privileges WHERE table_name = 'daily_sales'"
        ),
        "SELECT"
    );
    assert_eq!(ann.text("SELECT role_name FROM information_schema.enabled_roles ORDER BY 1"), "ann\nreader");
}

fn pushes_go_by_rights() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", SETTINGS);
    warehouse.write(
        "catalog/readings.sql",
        "CREATE SOURCE bronze.readings (sensor STRING) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    );
    warehouse.write("catalog/roles.sql", format!("{ROLES}GRANT INSERT ON bronze.readings TO ann;\n"));
    let server = warehouse.serve();
    let copy = "COPY bronze.readings FROM STDIN";
    assert_eq!(of(&server, "bob").refusal(copy).0, "42501");
    let http = crate::support::http::Http::new(std::time::Duration::from_secs(10));
    let push = |user: &str| {
        let login = format!("Basic {}", base64_of(&format!("{user}:")));
        http.post(server.http, "/ingest/readings", &[("authorization", &login)], b"{\"sensor\": \"a\"}")
            .unwrap()
    };
    let refused = push("bob");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("permission denied for table readings"), "{}", refused.body);
    assert_eq!(push("ann").status, 200);
    server.wait_until("SELECT count(*) FROM bronze.readings", "1");
    assert_eq!(of(&server, "ann").refusal("SELECT * FROM bronze.readings").0, "42501");
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn flight_goes_by_the_same_rights() {
    let (_warehouse, server) = shop_with(
        "GRANT SELECT ON silver.orders TO bob;
         CREATE POLICY cheap ON silver.orders TO bob USING (amount < 30);\n",
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", server.flight)).unwrap();
    let rows = |user: &str, sql: &str| {
        runtime.block_on(async {
            let mut client = FlightSqlServiceClient::new(channel.connect().await.unwrap());
            client.handshake(user, "").await.unwrap();
            let info = client.execute(sql.to_string(), None).await.map_err(|error| error.to_string())?;
            let mut count = 0;
            for endpoint in info.endpoint {
                use futures::TryStreamExt as _;
                let batches =
                    client.do_get(endpoint.ticket.unwrap()).await.map_err(|error| error.to_string())?;
                let batches: Vec<_> = batches.try_collect().await.map_err(|error| error.to_string())?;
                count += batches.iter().map(|batch| batch.num_rows()).sum::<usize>();
            }
            Ok::<_, String>(count)
        })
    };
    assert_eq!(rows("bob", "SELECT * FROM silver.orders"), Ok(3));
    assert_eq!(rows("sluice", "SELECT * FROM silver.orders"), Ok(6));
    let denied = rows("bob", "SELECT * FROM silver.customers").unwrap_err();
    assert!(denied.contains("permission denied for table customers"), "{denied}");
    let listed = |user: &str| {
        runtime.block_on(async {
            let mut client = FlightSqlServiceClient::new(channel.connect().await.unwrap());
            client.handshake(user, "").await.unwrap();
            let command = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
            let tables = client.get_tables(command).await.unwrap();
            let schemas = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
            let mut counts = vec![];
            for info in [tables, schemas] {
                use futures::TryStreamExt as _;
                let ticket = info.endpoint[0].ticket.clone().unwrap();
                let batches: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
                counts.push(batches.iter().map(|batch| batch.num_rows()).sum::<usize>());
            }
            counts
        })
    };
    assert_eq!(listed("bob"), [1, 1]);
    assert_eq!(listed("ann"), [3, 1]);
    // A ticket is good for as long as the rights that it was given by.
    let stale = runtime.block_on(async {
        let mut client = FlightSqlServiceClient::new(channel.connect().await.unwrap());
        client.handshake("bob", "").await.unwrap();
        let info = client.execute("SELECT order_id FROM silver.orders".to_string(), None).await.unwrap();
        (client, info)
    });
    let (mut client, info) = stale;
    server.query("CREATE POLICY none ON silver.orders AS RESTRICTIVE USING (false)");
    let stale = runtime.block_on(async {
        use futures::TryStreamExt as _;
        let batches = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        let batches: Vec<_> = batches.try_collect().await.unwrap();
        batches.iter().map(|batch| batch.num_rows()).sum::<usize>()
    });
    assert_eq!(stale, 0);
}

fn mistakes_are_named_with_place_and_way_out() {
    for (sql, place, words) in [
        ("GRANT SELECT ON SCHEMA gold TO nobody;", "catalog/x.sql:1:", "role \"nobody\" does not exist"),
        ("\nGRANT SELECT ON SCHEMA gold TO anne;", "catalog/x.sql:2:", "Did you mean \"ann\"?"),
        ("GRANT SELECT ON SCHEMA glod TO ann;", "catalog/x.sql:1:", "Did you mean \"gold\"?"),
        ("GRANT SELECT ON silver.ordres TO ann;", "catalog/x.sql:1:", "silver.orders"),
        ("GRANT SELECT ON orders TO ann;", "catalog/x.sql:1:", "Write schema.name"),
        (
            "GRANT SELECT (custmer_id) ON bronze.orders TO ann;",
            "catalog/x.sql:1:",
            "Did you mean \"customer_id\"?",
        ),
        (
            "GRANT SELECT (custmer_id) ON silver.orders TO ann;",
            "catalog/x.sql:1:",
            "Did you mean \"customer_id\"?",
        ),
        ("GRANT DELETE ON silver.orders TO ann;", "catalog/x.sql:1:", "privilege DELETE is not supported"),
        ("GRANT ann TO reader;", "catalog/x.sql:1:", "is a member of role"),
        ("CREATE POLICY p ON silver.orders USING (amuont > 1);", "catalog/x.sql:1:", "amuont"),
        ("CREATE POLICY p ON silver.orders USING (amount);", "catalog/x.sql:1:", "boolean"),
        (
            "CREATE POLICY p ON silver.orders USING (true); CREATE POLICY p ON silver.orders USING (true);",
            "catalog/x.sql:1:",
            "defined twice",
        ),
        (
            "ALTER TABLE silver.orders ALTER COLUMN stauts SET MASK ('x');",
            "catalog/x.sql:1:",
            "Did you mean \"status\"?",
        ),
        (
            "ALTER TABLE silver.orders ALTER COLUMN amount SET MASK (now());",
            "catalog/x.sql:1:",
            "not of the column's type",
        ),
        ("CREATE ROLE x LOGIN PASSWORD 'pencil';", "catalog/x.sql:1:", "a password is written out"),
        (
            "CREATE ROLE x LOGIN PASSWORD SECRET nothing;",
            "catalog/x.sql:1:",
            "secret \"nothing\" does not exist",
        ),
        ("CREATE ROLE pg_x;", "catalog/x.sql:1:", "reserved"),
        ("REVOKE SELECT ON SCHEMA gold FROM reader;", "catalog/x.sql:1:", "does not stand in files"),
        ("GRANT SELECT ON SCHEMA gold TO ann GRANTED BY bob;", "catalog/x.sql:1:", "does not stand in files"),
        (
            "CREATE SECRET s WITH (backend = 'vault', address = 'http://vault:8200', token = SECRET s) AS 'a/b#c';",
            "catalog/x.sql:1:",
            "https://",
        ),
        (
            "CREATE SECRET s WITH (backend = 'azure_key_vault') AS 'a';",
            "catalog/x.sql:1:",
            "has no option \"vault\"",
        ),
        (
            "CREATE SECRET s WITH (backend = 'vault', address = 'https://v', token = SECRET s) AS 'a/b#c';",
            "catalog/x.sql:1:",
            "in a vault itself",
        ),
    ] {
        let warehouse = Warehouse::of("shop");
        warehouse.write("catalog/warehouse.toml", SETTINGS);
        warehouse.write("catalog/roles.sql", ROLES);
        warehouse.write("catalog/x.sql", format!("{sql}\n"));
        let checked = warehouse.sluice(&["check"]);
        checked.expect(1, &[place, words]);
        assert!(!checked.text().contains("pencil"), "{}", checked.text());
    }
    let (_warehouse, server) = shop();
    let root = server.connect();
    for (sql, code) in [
        ("GRANT SELECT ON gold.daily_sales TO nobody", "42704"),
        ("GRANT SELECT ON gold.nothing TO ann", "42P01"),
        ("GRANT SELECT ON SCHEMA nothing TO ann", "3F000"),
        ("GRANT SELECT (nothing) ON gold.daily_sales TO ann", "42703"),
        ("GRANT ann TO reader", "0LP01"),
        ("GRANT nobody TO ann", "42704"),
        ("CREATE POLICY p ON gold.daily_sales USING (nothing)", "42703"),
        ("CREATE POLICY p ON gold.daily_sales USING (orders +)", "42601"),
        ("ALTER TABLE gold.daily_sales ALTER COLUMN nothing SET MASK (1)", "42703"),
        ("ALTER TABLE gold.daily_sales ALTER COLUMN orders SET MASK (now())", "42804"),
        ("CREATE ROLE ann", "42710"),
        ("CREATE ROLE x PASSWORD 'pencil'", "0A000"),
        ("DROP ROLE nobody", "42704"),
        ("GRANT SELECT ON gold.daily_sales TO PUBLIC WITH GRANT OPTION", "0LP01"),
        ("GRANT SELECT ON gold.daily_sales TO ann GRANTED BY ann", "0A000"),
        ("REVOKE GRANT OPTION FOR SELECT ON SCHEMA gold FROM nobody", "42704"),
    ] {
        let (found, said) = root.refusal(sql);
        assert_eq!(found, code, "{sql}: {said}");
        assert!(!said.contains("pencil"), "{said}");
    }
}

fn psql_shows_roles_and_rights() {
    let (_warehouse, server) = shop_with(
        "GRANT SELECT (order_id) ON silver.orders TO bob;
         CREATE ROLE chief CREATEROLE;
         GRANT SELECT ON gold.daily_sales TO bob WITH GRANT OPTION;
         CREATE POLICY cheap ON silver.orders TO bob USING (amount < 30);\n",
    );
    let psql = |command: &str| {
        let (host, port) = (server.pg.ip().to_string(), server.pg.port().to_string());
        let ran = Command::new("psql")
            .args(["-h", &host, "-p", &port, "-U", "sluice", "-d", "sluice", "-X", "-A", "-t", "-c", command])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    let roles = psql("\\du");
    assert!(roles.contains("ann||{reader}"), "{roles}");
    assert!(roles.contains("reader|Cannot login|{}"), "{roles}");
    let rights = psql("\\dp gold.daily_sales");
    assert!(rights.contains("reader=r/sluice") && rights.contains("bob=r*/sluice"), "{rights}");
    assert!(roles.contains("chief|Create role, Cannot login|{}"), "{roles}");
    assert_eq!(psql("\\z gold.daily_sales"), rights);
    let rights = psql("\\dp silver.orders");
    assert!(rights.contains("order_id:") && rights.contains("bob=r/sluice"), "{rights}");
    assert!(rights.contains("cheap") && rights.contains("amount < 30"), "{rights}");
}
