//! Audits and alerts that are defined over a connection.

use crate::roles::{of, shop};
use crate::support::receiver::Receiver;
use crate::support::{FLOW, Server, Warehouse, trial, until};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("watches::outlast_the_server", outlast_the_server),
        trial("watches::block_what_files_define", block_what_files_define),
        trial("watches::files_come_first", files_come_first),
        trial("watches::go_with_what_they_are_of", go_with_what_they_are_of),
        trial("watches::of_a_transaction_stand_together", of_a_transaction_stand_together),
        trial("watches::are_for_those_who_may_define", are_for_those_who_may_define),
    ]
}

const DEFINED: &str =
    "SELECT kind, schema_name, table_name, name, changed_by FROM sluice.definitions ORDER BY 1, 4";

/// The newest outcome of each audit.
const OUTCOMES: &str = "SELECT name, last_value(outcome ORDER BY at), last_value(blocking ORDER BY at) FROM sluice.audits GROUP BY 1 ORDER BY 1";

fn again(warehouse: &Warehouse, server: Server) -> Server {
    server.kill9();
    warehouse.serve()
}

fn outlast_the_server() {
    let receiver = Receiver::start(vec![]);
    let (warehouse, server) = shop();
    let session = server.connect();
    session.text("SET search_path = silver; CREATE AUDIT cheap ON orders AS SELECT this.order_id FROM this, orders AS o WHERE o.amount > 1000 AND o.order_id = this.order_id");
    session.text("CREATE AUDIT one_row ON silver.orders UNIQUE (order_id)");
    session.text(&format!(
        "CREATE ALERT open_orders BY (order_id) IF (EXISTS (SELECT order_id FROM orders WHERE status = 'open')) \
         THEN NOTIFY (WEBHOOK yard URL 'http://{}/s3cr3t')",
        receiver.address
    ));
    let told =
        "ALERT|||open_orders|sluice\nAUDIT|silver|orders|cheap|sluice\nAUDIT|silver|orders|one_row|sluice";
    assert_eq!(server.query(DEFINED), told);
    let firing = "SELECT alert, state, rows FROM sluice.alerts";
    server.wait_until(firing, "open_orders|firing|2");
    until("the alert's message", FLOW, || match receiver.posted().len() {
        1 => Ok(()),
        other => Err(format!("{other} came")),
    });
    server.wait_until(
        "SELECT count(*) > 0 FROM sluice.audit_log WHERE statement LIKE '%WEBHOOK yard URL ''***''%'",
        "t",
    );
    assert_eq!(server.query("SELECT count(*) FROM sluice.audit_log WHERE statement LIKE '%/s3cr3t%'"), "0");

    let server = again(&warehouse, server);
    assert_eq!(server.query(DEFINED), told);
    server.wait_until(firing, "open_orders|firing|2");
    warehouse.write(
        "input/orders/2026-01-03.csv",
        "order_id,customer_id,amount,status,ordered_at\n10,13,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    server.wait_until(OUTCOMES, "cheap|failed|f\none_row|passed|f");
    let session = server.connect();
    session.text(
        "CREATE OR REPLACE AUDIT cheap ON silver.orders AS SELECT order_id FROM this WHERE amount > 5000",
    );
    session.text("CREATE OR REPLACE ALERT open_orders IF (EXISTS (SELECT order_id FROM silver.orders WHERE status = 'lost'))");
    server.wait_until(firing, "open_orders|inactive|0");
    warehouse.write(
        "input/orders/2026-01-04.csv",
        "order_id,customer_id,amount,status,ordered_at\n11,13,9.00,paid,2026-01-04T00:00:00Z\n",
    );
    server.wait_until(OUTCOMES, "cheap|passed|f\none_row|passed|f");
    assert_eq!(session.text("PLAN"), "", "what was typed is no change of the folder");
    session.text("DROP AUDIT one_row, cheap ON silver.orders; DROP ALERT open_orders");
    assert_eq!(server.query(DEFINED), "");
    assert_eq!(server.query(firing), "");
    let server = again(&warehouse, server);
    assert_eq!(server.query(DEFINED), "");
}

fn block_what_files_define() {
    let (warehouse, server) = shop();
    let session = server.connect();
    session.text(
        "CREATE AUDIT few ON gold.daily_sales BLOCKING AS SELECT order_date FROM this WHERE orders > 3",
    );
    warehouse.write(
        "input/orders/2026-01-03.csv",
        "order_id,customer_id,amount,status,ordered_at\n10,13,9.00,paid,2026-01-02T00:00:00Z\n",
    );
    server.wait_until("SELECT count(*) FROM silver.orders", "7");
    server.wait_until("SELECT state FROM sluice.freshness WHERE table_name = 'gold.daily_sales'", "failed");
    let error = server.query(
        "SELECT error FROM sluice.refreshes WHERE model = 'gold.daily_sales' ORDER BY at DESC LIMIT 1",
    );
    assert!(error.contains("few") && error.contains("typed/audit few on gold.daily_sales:1:1"), "{error}");
    assert_eq!(server.query("SELECT sum(orders) FROM gold.daily_sales"), "6");
    session.text("DROP AUDIT few ON gold.daily_sales");
    server.wait_until("SELECT sum(orders) FROM gold.daily_sales", "7");
}

fn files_come_first() {
    let (warehouse, server) = shop();
    warehouse.write(
        "catalog/alerts.sql",
        "CREATE ALERT filed IF (EXISTS (SELECT 1 AS one FROM gold.daily_sales WHERE orders > 99));\n",
    );
    let server = again(&warehouse, server);
    crate::smoke::wait_for_shop(&server);
    let session = server.connect();
    session.text("CREATE ALERT mine IF (EXISTS (SELECT 1 AS one FROM gold.daily_sales WHERE orders > 9))");
    session.text("CREATE AUDIT mine ON silver.orders NOT NULL (order_id)");
    for (statement, code, said) in [
        ("CREATE ALERT filed IF (EXISTS (SELECT 1 AS one))", "42710", "is defined in the project's files"),
        (
            "CREATE OR REPLACE ALERT filed IF (EXISTS (SELECT 1 AS one))",
            "42710",
            "is defined in the project's files",
        ),
        ("DROP ALERT filed", "42501", "is defined in the project's files"),
        ("CREATE ALERT mine IF (EXISTS (SELECT 1 AS one))", "42710", "alert mine already exists"),
        (
            "CREATE AUDIT mine ON silver.orders UNIQUE (order_id)",
            "42710",
            "audit mine on silver.orders already exists",
        ),
        ("DROP ALERT nothing", "42704", "alert nothing does not exist"),
        ("DROP AUDIT nothing ON silver.orders", "42704", "audit nothing on silver.orders does not exist"),
        ("CREATE AUDIT a ON silver.nothing UNIQUE (a)", "42P01", "does not exist"),
        ("CREATE AUDIT a ON gold.open_orders UNIQUE (order_id)", "42809", "a view, which is not stored"),
        ("CREATE AUDIT a ON silver.orders UNIQUE (nothing)", "42703", "nothing"),
        ("CREATE AUDIT a ON silver.orders UNIQE (order_id)", "42601", "expected AS and a query, UNIQUE"),
        ("CREATE ALERT a IF (EXISTS (SELECT nothing FROM silver.orders))", "42703", "nothing"),
        (
            "CREATE ALERT a IF (EXISTS (SELECT 1 AS one)) THEN NOTIFY (EMAIL 'a@b.c' CONNECTION none)",
            "42704",
            "connection \"none\" does not exist",
        ),
    ] {
        let (found, message) = session.refusal(statement);
        assert_eq!(found, code, "{statement}: {message}");
        assert!(message.contains(said), "{statement}: {message}");
    }
    assert_eq!(
        session.text("DROP ALERT IF EXISTS nothing; DROP AUDIT IF EXISTS a ON silver.nothing; SELECT 1"),
        "1"
    );

    // A file that comes to say the same is the truth; what was typed is left out, and said to be.
    warehouse.write(
        "catalog/alerts.sql",
        "CREATE ALERT mine IF (EXISTS (SELECT 1 AS one FROM gold.daily_sales WHERE orders > 0));\n",
    );
    session.text("APPLY");
    server.wait_until("SELECT alert, state FROM sluice.alerts", "mine|firing");
    server.wait_until(
        "SELECT object, kind FROM sluice.incidents WHERE state = 'open'",
        "typed alert mine|definition",
    );
    let error = server.query("SELECT error FROM sluice.incidents WHERE state = 'open'");
    assert!(error.contains("defined first at catalog/alerts.sql:1:1"), "{error}");
    session.text("DROP ALERT mine");
    server.wait_until("SELECT count(*) FROM sluice.incidents WHERE state = 'open'", "0");
    assert_eq!(server.query("SELECT count(*) FROM sluice.alerts"), "1");
}

fn go_with_what_they_are_of() {
    let (_warehouse, server) = shop();
    let session = server.connect();
    let make = || {
        session.text("CREATE TABLE reports.t AS SELECT order_id, amount FROM silver.orders");
        session.text("CREATE AUDIT whole ON reports.t NOT NULL (amount)");
    };
    make();
    session.text("CREATE ALERT large IF (EXISTS (SELECT order_id FROM reports.t WHERE amount > 1000))");
    for (statement, said) in [
        ("DROP TABLE reports.t", "It is read by alert large."),
        ("ALTER TABLE reports.t RENAME TO u", "It is read by audit whole on reports.t, alert large."),
    ] {
        let (code, message) = session.refusal(statement);
        assert_eq!(code, "2BP01", "{statement}: {message}");
        assert!(message.contains(said), "{statement}: {message}");
    }
    session.text("DROP TABLE reports.t CASCADE");
    assert_eq!(server.query(DEFINED), "");
    make();
    session.text("DROP TABLE reports.t");
    assert_eq!(server.query(DEFINED), "");
    // As dbt replaces: the audit is of the name, if what takes it can be audited so.
    make();
    let swap = |columns: &str| {
        session.text(&format!(
            "BEGIN; CREATE TABLE reports.t__new AS SELECT {columns} FROM silver.orders;
             ALTER TABLE reports.t RENAME TO t__old; ALTER TABLE reports.t__new RENAME TO t; COMMIT;
             DROP TABLE reports.t__old CASCADE"
        ));
    };
    swap("order_id, amount + 1 AS amount");
    let left = "SELECT name, table_name FROM sluice.definitions ORDER BY 2, 1";
    assert_eq!(server.query(left), "whole|t\n|t");
    swap("order_id");
    assert_eq!(server.query(left), "|t");
}

fn of_a_transaction_stand_together() {
    let (_warehouse, server) = shop();
    let session = server.connect();
    session.text("BEGIN; CREATE TABLE reports.t AS SELECT order_id FROM silver.orders; CREATE AUDIT a ON reports.t UNIQUE (order_id); ROLLBACK");
    assert_eq!(server.query(DEFINED), "");
    session.text("BEGIN; CREATE TABLE reports.t AS SELECT order_id FROM silver.orders; CREATE AUDIT a ON reports.t UNIQUE (order_id)");
    let (code, said) = session.refusal("CREATE AUDIT b ON reports.t UNIQUE (nothing)");
    assert_eq!(code, "42703", "{said}");
    session.text("ROLLBACK; BEGIN; CREATE TABLE reports.t AS SELECT order_id FROM silver.orders; CREATE AUDIT a ON reports.t UNIQUE (order_id); COMMIT");
    server.wait_until("SELECT DISTINCT model, name, outcome FROM sluice.audits", "reports.t|a|passed");
}

fn are_for_those_who_may_define() {
    let (_warehouse, server) = shop();
    let root = server.connect();
    root.text("GRANT SELECT ON SCHEMA silver TO bob; CREATE ROLE nobody");
    let denied = |statement: &str, hint: &str| {
        let (code, said) = of(&server, "bob").refusal(statement);
        assert_eq!(code, "42501", "{statement}: {said}");
        assert!(said.contains(hint), "{statement}: {said}");
    };
    denied("CREATE AUDIT a ON silver.orders UNIQUE (order_id)", "GRANT CREATE ON SCHEMA silver TO bob");
    root.text("GRANT CREATE ON SCHEMA silver TO bob");
    // sluice.audits shows some of the rows: who may not read them may not audit them either.
    denied("CREATE AUDIT a ON silver.orders AS SELECT * FROM gold.daily_sales", "permission denied for");
    denied(
        "CREATE AUDIT a ON silver.orders BLOCKING UNIQUE (order_id)",
        "GRANT MAINTAIN ON silver.orders TO bob",
    );
    denied("CREATE ALERT a IF (EXISTS (SELECT order_id FROM silver.orders))", "Superusers do");
    denied("DROP ALERT a", "Superusers do");
    let bob = of(&server, "bob");
    bob.text("CREATE AUDIT a ON silver.orders UNIQUE (order_id)");
    root.text("GRANT MAINTAIN ON SCHEMA silver TO bob");
    bob.text("CREATE AUDIT b ON silver.orders BLOCKING UNIQUE (order_id); DROP AUDIT a ON silver.orders");
    assert_eq!(server.query(DEFINED), "AUDIT|silver|orders|b|bob");
    denied("DROP AUDIT b ON gold.daily_sales", "GRANT CREATE ON SCHEMA gold TO bob");
}
