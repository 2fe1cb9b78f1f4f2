//! What is defined over a connection: by statements, and by dbt, whose views and tables become views and materialized
//! views of the warehouse.

use crate::support::{Server, Warehouse, needs, trial};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let dbt =
        vec![trial("definitions::dbt_builds_tests_and_builds_again", dbt_builds_tests_and_builds_again)];
    let mut trials = vec![
        trial("definitions::outlast_the_server", outlast_the_server),
        trial("definitions::copies_count_in_views", copies_count_in_views),
        trial("definitions::of_a_transaction_are_its_own", of_a_transaction_are_its_own),
        trial("definitions::take_the_place_of_others", take_the_place_of_others),
        trial("definitions::need_a_user_who_may", need_a_user_who_may),
        trial("definitions::come_from_several_at_once", come_from_several_at_once),
    ];
    trials.extend(needs::python("dbt.adapters.postgres", dbt));
    trials
}

/// Project `shop`, whose user may define.
fn shop() -> (Warehouse, Server) {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\nmay_define = true\n[users.guest]\ntrust_loopback = true\n",
    );
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    (warehouse, server)
}

fn copies_count_in_views() {
    let (_warehouse, server) = shop();
    let session = server.connect();
    session.text(
        "CREATE VIEW reports.rest AS SELECT x FROM (VALUES (1), (1), (1), (2)) AS t(x) EXCEPT ALL SELECT 1",
    );
    session.text("CREATE TABLE reports.counts AS SELECT x, count(*) AS n FROM reports.rest GROUP BY x");
    assert_eq!(session.text("SELECT * FROM reports.counts ORDER BY 1"), "1|2\n2|1");
    assert_eq!(session.text("SELECT * FROM reports.rest EXCEPT ALL SELECT 2"), "1\n1");
}

fn outlast_the_server() {
    let (warehouse, server) = shop();
    let session = server.connect();
    session.text("CREATE TABLE reports.days AS (SELECT order_date, sum(amount) AS total FROM silver.orders GROUP BY 1)");
    assert_eq!(session.text("SELECT * FROM reports.days ORDER BY 1"), "2026-01-01|1275.50\n2026-01-02|75.50");
    session.text("SET search_path = silver; CREATE VIEW reports.large AS WITH o AS (SELECT * FROM orders) SELECT * FROM o WHERE amount > 100");
    session.text(
        "COMMENT ON TABLE reports.days IS 'By day'; COMMENT ON COLUMN reports.days.total IS 'In euros'",
    );
    let told =
        "SELECT table_name, kind, comment, column_comments, changed_by FROM sluice.definitions ORDER BY 1";
    let expected = "days|MATERIALIZED VIEW|By day|{\"total\":\"In euros\"}|sluice\nlarge|VIEW||{}|sluice";
    assert_eq!(server.query(told), expected);
    server.kill9();

    let server = warehouse.serve();
    assert_eq!(server.query(told), expected);
    assert_eq!(server.query("SELECT order_id FROM reports.large"), "6");
    server.wait_until("SELECT count(*) FROM reports.days", "2");
    // A row more is a change of the stored view, not a computation of it.
    warehouse.write(
        "input/orders/2026-01-03.csv",
        "order_id,customer_id,amount,status,ordered_at\n8,10,1.00,paid,2026-01-02T09:00:00Z\n",
    );
    server.wait_until("SELECT total FROM reports.days WHERE order_date = '2026-01-02'", "76.50");
    server.query("DROP TABLE reports.days; DROP VIEW reports.large");
    assert_eq!(server.query("SELECT count(*) FROM sluice.definitions"), "0");
    assert_eq!(server.connect().refusal("SELECT * FROM reports.days").0, "42P01");
}

fn of_a_transaction_are_its_own() {
    let (_warehouse, server) = shop();
    let (session, other) = (server.connect(), server.connect());
    session.text("BEGIN; CREATE VIEW reports.v AS SELECT order_id FROM silver.orders; CREATE TABLE reports.t AS SELECT count(*) AS n FROM reports.v");
    let columns = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'reports' ORDER BY 1";
    assert_eq!(session.text(columns), "t|n|bigint\nv|order_id|bigint");
    assert_eq!(session.text("SELECT n FROM reports.t"), "6");
    assert_eq!(other.text(columns), "");
    session.text("SAVEPOINT s; DROP TABLE reports.t");
    assert_eq!(session.text(columns), "v|order_id|bigint");
    session.text("ROLLBACK TO s");
    assert_eq!(session.text(columns), "t|n|bigint\nv|order_id|bigint");
    session.text("ROLLBACK");
    assert_eq!(session.text(columns), "");

    session.text("BEGIN; CREATE VIEW reports.v AS SELECT order_id FROM silver.orders");
    let (code, said) = session.refusal("CREATE VIEW reports.w AS SELECT nothing FROM reports.v");
    assert_eq!(code, "42703", "{said}");
    session.text("ROLLBACK; BEGIN; CREATE VIEW reports.v AS SELECT order_id FROM silver.orders; COMMIT");
    assert_eq!(other.text(columns), "v|order_id|bigint");
}

fn take_the_place_of_others() {
    let (_warehouse, server) = shop();
    let session = server.connect();
    session.text("CREATE VIEW reports.a AS SELECT order_id, amount FROM silver.orders");
    session.text("CREATE VIEW reports.ids AS SELECT order_id FROM reports.a");
    session.text("CREATE VIEW reports.amounts AS SELECT amount FROM reports.a");
    for (statement, code) in [
        ("CREATE VIEW reports.a AS SELECT 1 AS x", "42P07"),
        ("DROP VIEW reports.a", "2BP01"),
        ("ALTER VIEW reports.a RENAME TO b", "2BP01"),
        ("DROP MATERIALIZED VIEW reports.a", "42809"),
        ("DROP VIEW gold.open_orders CASCADE", "42501"),
        ("CREATE OR REPLACE VIEW reports.a AS SELECT amount FROM silver.orders", "42703"),
        ("CREATE TABLE reports.t (a int)", "0A000"),
        ("CREATE VIEW sluice.mine AS SELECT 1 AS x", "42939"),
        ("ALTER TABLE other.reports.a RENAME TO b", "0A000"),
    ] {
        let (found, said) = session.refusal(statement);
        assert_eq!(found, code, "{statement}: {said}");
    }
    // As dbt replaces: who reads the name goes on, but for those whom the new one does not give what they read.
    session.text(
        "BEGIN; CREATE VIEW reports.a__new AS SELECT order_id + 100 AS order_id FROM silver.orders;
         ALTER TABLE reports.a RENAME TO a__old; ALTER TABLE reports.a__new RENAME TO a; COMMIT;
         DROP VIEW IF EXISTS reports.a__old CASCADE",
    );
    assert_eq!(session.text("SELECT min(order_id) FROM reports.ids"), "101");
    let left = "SELECT string_agg(table_name, ',' ORDER BY table_name) FROM sluice.definitions";
    assert_eq!(session.text(left), "a,ids");
    session.text("DROP SCHEMA reports CASCADE");
    assert_eq!(session.text("SELECT count(*) FROM sluice.definitions"), "0");
}

fn need_a_user_who_may() {
    let (_warehouse, server) = shop();
    let guest = crate::support::Pg::connect(server.pg, "guest", None).unwrap();
    let (code, said) = guest.refusal("CREATE VIEW reports.v AS SELECT 1 AS x");
    assert_eq!(code, "42501");
    assert!(said.contains("may_define = true under [users.guest]"), "{said}");
}

/// Each waits for its own table to be computed while the others have the project reloaded.
fn come_from_several_at_once() {
    let (_warehouse, server) = shop();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let session = server.connect();
                session.text(&format!(
                    "CREATE TABLE reports.t{number} AS SELECT {number} AS k, count(*) AS n FROM silver.orders"
                ));
                assert_eq!(
                    session.text(&format!("SELECT k, n FROM reports.t{number}")),
                    format!("{number}|6")
                );
                session.text(&format!("BEGIN; ALTER TABLE reports.t{number} RENAME TO u{number}; COMMIT"));
            });
        }
    });
    let left = "SELECT string_agg(table_name, ',' ORDER BY table_name) FROM sluice.definitions";
    assert_eq!(server.query(left), "u0,u1,u2,u3");
}

/// `dbt build` on an empty schema, and again over what it left.
fn dbt_builds_tests_and_builds_again() {
    let (warehouse, server) = shop();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/dbt");
    for _ in 0..2 {
        let mut dbt = Command::new(needs::python_path());
        dbt.args(["-c", "from dbt.cli.main import cli; cli()", "build"]);
        dbt.arg("--project-dir").arg(&project).arg("--profiles-dir").arg(&project);
        dbt.arg("--target-path").arg(warehouse.folder().join("dbt"));
        dbt.arg("--log-path").arg(warehouse.folder().join("dbt-log"));
        dbt.env("SLUICE_PORT", server.pg.port().to_string()).env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false");
        let output = dbt.current_dir(warehouse.folder()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("PASS=8 WARN=0 ERROR=0 SKIP=0"), "{said}");
        assert_eq!(
            server.query("SELECT table_name, kind, comment FROM sluice.definitions ORDER BY 1"),
            "best_day|VIEW|\ndaily_revenue|MATERIALIZED VIEW|Revenue by day\nsold_orders|VIEW|Orders that were paid for"
        );
        assert_eq!(server.query("SELECT * FROM reports.best_day"), "2026-01-01|1275.50");
    }
    // The second time the stored view was what it had been: nothing was computed anew.
    let computed =
        "SELECT count(*) FROM sluice.refreshes WHERE model = 'reports.daily_revenue' AND mode = 'recompute'";
    assert_eq!(server.query(computed), "1");
}
