//! Expectations of models: warn, drop, quarantine, each with its counts; nothing vanishes.

use crate::smoke::wait_for_shop;
use crate::support::{Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("expectations::each_action_does_what_it_says", each_action_does_what_it_says),
        trial("expectations::counts_add_up_as_data_comes", counts_add_up_as_data_comes),
        trial("expectations::views_have_them_too", views_have_them_too),
        trial("expectations::views_set_rows_apart_that_come_and_go", views_set_rows_apart),
    ]
}

const COUNTS: &str = "SELECT name, action, sum(passed), sum(failed) FROM sluice.expectations \
                      WHERE model = 'silver.orders' GROUP BY 1, 2 ORDER BY 1";

fn each_action_does_what_it_says() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    // 8 rows in: one has no status, one a negative amount, one is large and kept.
    server.wait_until(COUNTS, "amount_positive|drop|7|1\namount_usual|warn|7|1\nstatus_known|quarantine|7|1");
    assert_eq!(server.query("SELECT order_id FROM silver.orders WHERE amount >= 1000"), "6");
    assert_eq!(server.query("SELECT count(*) FROM silver.orders WHERE order_id IN (3, 5)"), "0");
    assert_eq!(
        server.query("SELECT count(*), min(CAST(raw AS TEXT)) LIKE '3,%' FROM silver.orders__quarantine"),
        "1|t"
    );
    assert_eq!(
        server.query(
            "SELECT rule, reason <> '', state FROM sluice.quarantine WHERE table_name = 'silver.orders'"
        ),
        "status_known|t|open"
    );
}

fn counts_add_up_as_data_comes() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    warehouse.write(
        "input/orders/more.csv",
        "order_id,customer_id,amount,status,ordered_at\n\
         20,10,1.00,paid,2026-01-03T00:00:00Z\n\
         21,10,1.00,,2026-01-03T00:00:00Z\n\
         22,10,-1.00,,2026-01-03T00:00:00Z\n\
         23,10,-1.00,paid,2026-01-03T00:00:00Z\n",
    );
    // Row 22 breaks two rules: it is kept apart, which loses nothing, and counted for both.
    server.wait_until(
        "SELECT count(*), count(*) FILTER (WHERE CAST(raw AS TEXT) LIKE '22,%') FROM silver.orders__quarantine",
        "3|1",
    );
    server.wait_until("SELECT count(*) FROM silver.orders WHERE order_id >= 20", "1");
    server.wait_until(
        "SELECT name, sum(failed) FROM sluice.expectations WHERE model = 'silver.orders' GROUP BY 1 ORDER BY 1",
        "amount_positive|3\namount_usual|1\nstatus_known|3",
    );
    let rule =
        "SELECT count(*) FROM sluice.expectations WHERE model = 'silver.orders' AND rule LIKE '%amount > 0%'";
    assert_ne!(server.query(rule), "0", "the rule is shown as it was written");
}

fn views_have_them_too() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "sql/gold/good_days.sql",
        "CREATE MATERIALIZED VIEW gold.good_days (\n  order_date DATE,\n  revenue DECIMAL(28,2),\n  \
         CONSTRAINT sold_enough EXPECT (revenue > 100) ON VIOLATION DROP ROW\n)\n\
         AS SELECT order_date, sum(amount) AS revenue FROM silver.orders GROUP BY order_date;\n",
    );
    let server = warehouse.serve();
    wait_for_shop(&server);
    server.wait_until("SELECT order_date, revenue FROM gold.good_days", "2026-01-01|1275.50");
    server.wait_until(
        "SELECT passed, failed FROM sluice.expectations WHERE model = 'gold.good_days' ORDER BY epoch DESC LIMIT 1",
        "1|1",
    );
}

/// What a view sets apart is computed as it is: a row is in one of the two, and changes its place with the inputs.
fn views_set_rows_apart() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "sql/gold/good_days.sql",
        "CREATE MATERIALIZED VIEW gold.good_days (\n  order_date DATE,\n  revenue DECIMAL(28,2),\n  \
         CONSTRAINT sold_enough EXPECT (revenue > 100) ON VIOLATION QUARANTINE ROW,\n  \
         CONSTRAINT not_too_much EXPECT (revenue < 1000000) ON VIOLATION QUARANTINE ROW\n)\n\
         AS SELECT order_date, sum(amount) AS revenue FROM silver.orders GROUP BY order_date;\n",
    );
    // Judged is what is stored: rounded.
    warehouse.write(
        "sql/gold/rounded.sql",
        "CREATE MATERIALIZED VIEW gold.rounded (n DECIMAL(10,0), CONSTRAINT some EXPECT (n > 0) ON VIOLATION QUARANTINE ROW)\n\
         AS SELECT CAST(0.4 AS DECIMAL(10,1)) AS n FROM silver.orders;\n",
    );
    warehouse.write(
        "sql/gold/bad_days.sql",
        "CREATE MATERIALIZED VIEW gold.bad_days AS SELECT count(*) AS days FROM gold.good_days__quarantine;\n",
    );
    let server = warehouse.serve();
    wait_for_shop(&server);
    let (kept, apart) =
        ("SELECT * FROM gold.good_days ORDER BY 1", "SELECT * FROM gold.good_days__quarantine");
    server.wait_until(kept, "2026-01-01|1275.50");
    server.wait_until(
        apart,
        "2026-01-02|75.50|sold_enough|expectation \"sold_enough\" is not met: revenue > 100",
    );
    server.wait_until("SELECT days FROM gold.bad_days", "1");
    server.wait_until("SELECT count(*), min(n) FROM gold.rounded__quarantine", "6|0");
    assert_eq!(server.query("SELECT count(*) FROM gold.rounded"), "0");
    server.wait_until(
        "SELECT name, action, sum(passed) > 0, sum(failed) > 0 FROM sluice.expectations WHERE model = 'gold.good_days' GROUP BY 1, 2 ORDER BY 1",
        "not_too_much|quarantine|t|f\nsold_enough|quarantine|t|t",
    );
    let shown = "SELECT source, rule, reason <> '', CAST(raw AS TEXT) LIKE '{\"order_date\":\"2026-01-02\",\"revenue\":%75.50%}', \
                 length(definition_hash), state FROM sluice.quarantine WHERE table_name = 'gold.good_days'";
    assert_eq!(server.query(shown), "silver.orders|sold_enough|t|t|16|in view");
    assert_eq!(
        server.query("SELECT kind FROM sluice.models WHERE model = 'gold.good_days__quarantine'"),
        "rows set apart"
    );
    let (code, message) = server.connect().refusal("REPLAY QUARANTINE gold.good_days");
    assert_eq!(code, "42809", "{message}");
    warehouse.write(
        "input/orders/more.csv",
        "order_id,customer_id,amount,status,ordered_at\n20,10,50.00,paid,2026-01-02T00:00:00Z\n21,10,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    server.wait_until(kept, "2026-01-01|1275.50\n2026-01-02|125.50");
    server.wait_until("SELECT order_date, revenue FROM gold.good_days__quarantine", "2026-01-03|9.00");
    for view in ["gold.good_days", "gold.good_days__quarantine"] {
        assert!(server.query(&format!("VERIFY MATERIALIZED VIEW {view}")).contains("|equal|"), "{view}");
    }
    // Nothing of a day is lost.
    server.wait_until(
        "SELECT (SELECT sum(revenue) FROM gold.good_days) + (SELECT sum(revenue) FROM gold.good_days__quarantine) \
         - (SELECT sum(amount) FROM silver.orders)",
        "0.00",
    );
}
