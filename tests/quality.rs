//! What must hold of a result before readers see it: blocking audits, FAIL UPDATE, shares; what reads a rejected result
//! waits, and all heals by itself once the data is mended.

use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("quality::a_blocking_audit_keeps_readers_on_the_last_good_rows", a_blocking_audit),
        trial("quality::fail_update_gives_the_refresh_up", fail_update),
        trial("quality::a_stream_that_fails_waits_for_what_mends_it", a_stream_that_fails),
        trial("quality::shares_are_of_the_whole_view", shares),
        trial("quality::audits_that_block_nothing_are_counted", everyday_checks),
        trial("quality::a_rejected_result_is_rejected_after_a_restart_too", after_a_restart),
        trial("quality::mistakes_in_audits_are_placed", mistakes),
        trial("quality::rows_in_are_rows_out_and_apart_and_filtered", nothing_is_lost),
    ]
}

/// Sales by store: a project whose data comes in files.
fn shop(by_store: &str) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/sales.sql",
        "CREATE SOURCE bronze.sales (sale_id BIGINT, store INT, amount DECIMAL(18,2))\n\
         WITH (connector = 'files', path = 'input/sales') FORMAT PLAIN ENCODE CSV;\n",
    );
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.sales AS SELECT sale_id, store, amount FROM STREAM bronze.sales;\n",
    );
    warehouse.write("sql/gold/by_store.sql", by_store);
    warehouse.write(
        "sql/gold/stores.sql",
        "CREATE MATERIALIZED VIEW gold.stores AS SELECT b.store, b.total, s.largest FROM gold.by_store b\n\
         JOIN (SELECT store, max(amount) AS largest FROM silver.sales GROUP BY store) s ON s.store = b.store;\n",
    );
    warehouse.write(
        "sql/gold/all_sales.sql",
        "CREATE MATERIALIZED VIEW gold.all_sales AS SELECT count(*) AS sales FROM silver.sales;\n",
    );
    warehouse
}

fn sell(warehouse: &Warehouse, file: &str, rows: &str) {
    warehouse.write(&format!("input/sales/{file}.csv"), format!("sale_id,store,amount\n{rows}"));
}

const BY_STORE: &str = "SELECT string_agg(store || ':' || total, ' ' ORDER BY store) FROM gold.by_store";
const STORES: &str =
    "SELECT string_agg(store || ':' || total || ':' || largest, ' ' ORDER BY store) FROM gold.stores";

const AUDITED: &str = "CREATE MATERIALIZED VIEW gold.by_store AS\n\
     SELECT store, sum(amount) AS total FROM silver.sales GROUP BY store;\n\
     CREATE AUDIT no_debts ON gold.by_store BLOCKING AS\n\
     SELECT store, total FROM this WHERE total < 0;\n";

/// Two good stores, then a sale that makes a debt of one.
fn until_rejected(warehouse: &Warehouse, server: &Server) {
    sell(warehouse, "1", "1,1,10.00\n2,2,5.00\n");
    server.wait_until(BY_STORE, "1:10.00 2:5.00");
    server.wait_until(STORES, "1:10.00:10.00 2:5.00:5.00");
    sell(warehouse, "2", "3,1,-50.00\n4,3,7.00\n");
    server.wait_until("SELECT state FROM sluice.freshness WHERE table_name = 'gold.by_store'", "failed");
    server.wait_until("SELECT sales FROM gold.all_sales", "4");
}

fn a_blocking_audit() {
    let warehouse = shop(AUDITED);
    let server = warehouse.serve();
    until_rejected(&warehouse, &server);
    assert_eq!(server.query(BY_STORE), "1:10.00 2:5.00", "readers keep the last good rows");
    assert_eq!(server.query(STORES), "1:10.00:10.00 2:5.00:5.00", "what reads it waits");
    let error =
        "SELECT error FROM sluice.refreshes WHERE model = 'gold.by_store' AND outcome = 'failed' LIMIT 1";
    let said = server.query(error);
    for part in [
        "sql/gold/by_store.sql:3:1",
        "audit \"no_debts\" of gold.by_store found 1 row that should not be there",
        "store = 1, total = -40.00",
        "mend what gold.by_store reads",
    ] {
        assert!(said.contains(part), "{part:?} is missing in {said:?}");
    }
    assert_eq!(
        server.query(
            "SELECT DISTINCT blocking, outcome, rows, examples, defined_at FROM sluice.audits \
             WHERE model = 'gold.by_store' AND name = 'no_debts' AND outcome <> 'passed'"
        ),
        "t|failed|1|store = 1, total = -40.00|sql/gold/by_store.sql:3:1"
    );
    let (code, message) = server.connect().refusal("REFRESH TABLE gold.by_store");
    assert_eq!(code, "23514", "{message}");
    assert!(message.contains("no_debts"), "{message}");
    let (code, message) = server.connect().refusal("REFRESH TABLE gold.stores");
    assert_eq!(code, "55000", "{message}");
    assert!(message.contains("gold.stores waits for gold.by_store"), "{message}");

    sell(&warehouse, "3", "5,1,100.00\n");
    server.wait_until(BY_STORE, "1:60.00 2:5.00 3:7.00");
    server.wait_until(STORES, "1:60.00:100.00 2:5.00:5.00 3:7.00:7.00");
    server.wait_until("SELECT count(*) FROM sluice.freshness WHERE state = 'failed'", "0");
    let passed =
        "SELECT outcome, rows FROM sluice.audits WHERE model = 'gold.by_store' ORDER BY at DESC LIMIT 1";
    assert_eq!(server.query(passed), "passed|0");
    assert!(server.query("VERIFY MATERIALIZED VIEW gold.by_store").contains("|equal|"));
}

fn fail_update() {
    let warehouse = shop(
        "CREATE MATERIALIZED VIEW gold.by_store (\n  store INT, total DECIMAL(28,2),\n  \
         CONSTRAINT no_debts EXPECT (total >= 0) ON VIOLATION FAIL UPDATE\n)\n\
         AS SELECT store, sum(amount) AS total FROM silver.sales GROUP BY store;\n",
    );
    let server = warehouse.serve();
    until_rejected(&warehouse, &server);
    assert_eq!(server.query(BY_STORE), "1:10.00 2:5.00");
    let said = server.query("SELECT error FROM sluice.refreshes WHERE outcome = 'failed' LIMIT 1");
    for part in ["sql/gold/by_store.sql:3:14", "\"no_debts\"", "(total >= 0)", "store = 1, total = -40.00"] {
        assert!(said.contains(part), "{part:?} is missing in {said:?}");
    }
    let counts = "SELECT DISTINCT action, failed, met FROM sluice.expectations WHERE name = 'no_debts' ORDER BY failed";
    assert_eq!(server.query(counts), "fail|0|t\nfail|1|f");
    sell(&warehouse, "3", "5,1,100.00\n");
    server.wait_until(BY_STORE, "1:60.00 2:5.00 3:7.00");
}

fn a_stream_that_fails() {
    let warehouse = shop(AUDITED);
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.sales (\n  sale_id BIGINT, store INT, amount DECIMAL(18,2),\n  \
         CONSTRAINT mostly_sold EXPECT (amount > 0) AT LEAST 50 PERCENT ON VIOLATION FAIL UPDATE\n)\n\
         AS SELECT sale_id, store, amount FROM STREAM bronze.sales;\n",
    );
    let server = warehouse.serve();
    sell(&warehouse, "1", "1,1,10.00\n2,2,-5.00\n");
    let rows = "SELECT count(*) FROM silver.sales";
    server.wait_until(rows, "2");
    sell(&warehouse, "2", "3,1,-5.00\n4,1,-5.00\n5,1,1.00\n");
    server.wait_until("SELECT state FROM sluice.freshness WHERE table_name = 'silver.sales'", "failed");
    assert_eq!(server.query(rows), "2");
    let said = server.query(
        "SELECT error FROM sluice.refreshes WHERE model = 'silver.sales' AND outcome = 'failed' LIMIT 1",
    );
    assert!(
        said.contains("2 of 3 rows do not meet (amount > 0), of which at least 50 percent must"),
        "{said}"
    );
    // The rows are taken once, together with those that make them good enough.
    sell(&warehouse, "3", "6,1,1.00\n");
    server.wait_until(rows, "6");
    assert_eq!(server.query("SELECT count(DISTINCT sale_id) FROM silver.sales"), "6");
}

fn shares() {
    let warehouse = shop(
        "CREATE MATERIALIZED VIEW gold.by_store (\n  store INT, total DECIMAL(28,2),\n  \
         CONSTRAINT mostly_sold EXPECT (total > 0) AT LEAST 50 PERCENT ON VIOLATION FAIL UPDATE,\n  \
         CONSTRAINT all_sold EXPECT (total > 0) AT LEAST 100 PERCENT\n)\n\
         AS SELECT store, sum(amount) AS total FROM silver.sales GROUP BY store;\n",
    );
    let server = warehouse.serve();
    sell(&warehouse, "1", "1,1,10.00\n2,2,5.00\n");
    server.wait_until(BY_STORE, "1:10.00 2:5.00");
    // Both rows of this change break the rule, and half of the view's.
    sell(&warehouse, "2", "3,3,-1.00\n4,4,-1.00\n");
    server.wait_until(BY_STORE, "1:10.00 2:5.00 3:-1.00 4:-1.00");
    let newest = "SELECT name, passed, failed, at_least, met FROM sluice.expectations WHERE model = 'gold.by_store' \
                  ORDER BY epoch DESC, name LIMIT 2";
    server.wait_until(newest, "all_sold|2|2|100|f\nmostly_sold|2|2|50|t");
    sell(&warehouse, "3", "5,5,-1.00\n");
    server.wait_until("SELECT state FROM sluice.freshness WHERE table_name = 'gold.by_store'", "failed");
    assert_eq!(server.query(BY_STORE), "1:10.00 2:5.00 3:-1.00 4:-1.00");
    sell(&warehouse, "4", "6,5,2.00\n");
    server.wait_until(BY_STORE, "1:10.00 2:5.00 3:-1.00 4:-1.00 5:1.00");
}

fn everyday_checks() {
    let warehouse = shop(AUDITED);
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.sales AS SELECT sale_id, store, amount FROM STREAM bronze.sales;\n\
         CREATE AUDIT one_row_a_sale ON silver.sales UNIQUE (sale_id);\n\
         CREATE AUDIT sold ON silver.sales NOT NULL (amount, store);\n\
         CREATE AUDIT our_stores ON silver.sales ACCEPTED VALUES (store) IN (1, 2);\n\
         CREATE AUDIT known ON silver.sales FOREIGN KEY (store) REFERENCES gold.by_store (store);\n",
    );
    let server = warehouse.serve();
    sell(&warehouse, "1", "1,1,10.00\n2,2,5.00\n");
    let newest = "SELECT string_agg(name || ':' || outcome || ':' || rows, ' ' ORDER BY name) FROM sluice.audits a \
                  WHERE model = 'silver.sales' AND epoch = (SELECT max(epoch) FROM sluice.audits b WHERE b.model = a.model)";
    server.wait_until(newest, "known:passed:0 one_row_a_sale:passed:0 our_stores:passed:0 sold:passed:0");
    sell(&warehouse, "2", "2,2,6.00\n7,3,\n");
    // Store 3 is in gold.by_store as soon as that view has followed.
    server.wait_until(newest, "known:passed:0 one_row_a_sale:failed:1 our_stores:failed:1 sold:failed:1");
    assert_eq!(server.query("SELECT count(*) FROM silver.sales"), "4", "they block nothing");
    assert_eq!(
        server.query(
            "SELECT DISTINCT examples FROM sluice.audits WHERE name IN ('one_row_a_sale', 'sold') AND rows > 0 ORDER BY 1"
        ),
        "sale_id = 2, times = 2\nsale_id = 7, store = 3, amount = NULL"
    );
}

fn after_a_restart() {
    let warehouse = shop(AUDITED);
    let server = warehouse.serve();
    until_rejected(&warehouse, &server);
    server.kill9();
    let server = warehouse.serve();
    server.wait_until("SELECT state FROM sluice.freshness WHERE table_name = 'gold.by_store'", "failed");
    assert_eq!(server.query(BY_STORE), "1:10.00 2:5.00");
    sell(&warehouse, "3", "5,1,100.00\n");
    server.wait_until(STORES, "1:60.00:100.00 2:5.00:5.00 3:7.00:7.00");
}

fn mistakes() {
    for (statement, place, says) in [
        (
            "CREATE AUDIT a ON gold.by_store NOT NULL (totl);",
            "3:",
            "audit \"a\": column \"totl\" does not exist",
        ),
        ("CREATE AUDIT a ON gold.by_store AS\nSELECT stoer FROM this;", "4:8", "Did you mean \"store\"?"),
        ("CREATE AUDIT a ON gold.by_stor UNIQUE (store);", "3:1", "Did you mean \"gold.by_store\"?"),
        (
            "CREATE AUDIT a ON gold.by_store FOREIGN KEY (store) REFERENCES gold.shops (store);",
            "3:",
            "table \"gold.shops\" does not exist",
        ),
        (
            "CREATE AUDIT a ON gold.by_store UNIQUE (store);\nCREATE AUDIT a ON gold.by_store NOT NULL (store);",
            "4:1",
            "audit \"a on gold.by_store\" is defined twice",
        ),
    ] {
        let view = "CREATE MATERIALIZED VIEW gold.by_store AS\nSELECT store, sum(amount) AS total FROM silver.sales GROUP BY store;";
        let warehouse = shop(&format!("{view}\n{statement}\n"));
        warehouse.sluice(&["check"]).expect(1, &[&format!("sql/gold/by_store.sql:{place}"), says]);
    }
    let warehouse = shop(
        "CREATE VIEW gold.by_store AS SELECT 1 AS store, 2 AS total;\nCREATE AUDIT a ON gold.by_store UNIQUE (store);\n",
    );
    warehouse
        .sluice(&["check"])
        .expect(1, &["audit \"a\" is on \"gold.by_store\", a view, which is not stored"]);
}

/// Records that cannot be read, rows that break a rule and are kept apart or dropped, rows that SQL filters: each record is
/// in one place, over several arrivals and a kill.
fn nothing_is_lost() {
    const FILES: i64 = 4;
    const LINES: i64 = 60;
    let warehouse = shop(AUDITED);
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.sales (\n  sale_id BIGINT NOT NULL, store INT, amount DECIMAL(18,2),\n  \
         CONSTRAINT store_known EXPECT (store IS NOT NULL) ON VIOLATION QUARANTINE ROW,\n  \
         CONSTRAINT sold EXPECT (amount > 0) ON VIOLATION DROP ROW\n)\n\
         AS SELECT sale_id, store, amount FROM STREAM bronze.sales WHERE sale_id % 5 <> 0;\n",
    );
    let line = |n: i64| match n % 7 {
        0 => "one,two,three\n".to_string(),
        1 => format!("{n},,5.00\n"),
        2 => format!("{n},1,-5.00\n"),
        3 => format!("{n},,-5.00\n"),
        4 => ",1,5.00\n".to_string(),
        _ => format!("{n},1,5.00\n"),
    };
    let mut server = warehouse.serve();
    for file in 0..FILES {
        let rows: String = (file * LINES..(file + 1) * LINES).map(line).collect();
        sell(&warehouse, &file.to_string(), &rows);
        if file == FILES / 2 {
            server.kill9();
            server = warehouse.serve();
        }
    }
    let all = FILES * LINES;
    let records = "(SELECT count(*) FROM bronze.sales) + (SELECT count(*) FROM bronze.sales__quarantine)";
    server.wait_until(&format!("SELECT {records}"), &all.to_string());
    let filtered = "(SELECT count(*) FROM bronze.sales WHERE (sale_id % 5 <> 0) IS NOT TRUE)";
    let dropped =
        "(SELECT count(*) FROM bronze.sales WHERE sale_id % 5 <> 0 AND store IS NOT NULL AND amount <= 0)";
    let kept = "(SELECT count(*) FROM silver.sales)";
    let apart = "(SELECT count(*) FROM silver.sales__quarantine)";
    server.wait_until(
        &format!("SELECT (SELECT count(*) FROM bronze.sales) - ({kept} + {apart} + {dropped} + {filtered})"),
        "0",
    );
    for part in [kept, apart, dropped, filtered, "(SELECT count(*) FROM bronze.sales__quarantine)"] {
        assert_ne!(server.query(&format!("SELECT {part}")), "0", "{part} shows nothing");
    }
    assert_eq!(
        server.query("SELECT table_name, count(*) > 0, count(raw) = count(*) FROM sluice.quarantine GROUP BY 1 ORDER BY 1"),
        "bronze.sales|t|t\nsilver.sales|t|t"
    );
    // What is dropped is counted by its rule; a row that is kept apart, too, breaks both.
    let both =
        server.query("SELECT count(*) FROM silver.sales__quarantine WHERE CAST(raw AS TEXT) LIKE '%,-5.00%'");
    let counted =
        format!("SELECT sum(failed) - {both} - {dropped} FROM sluice.expectations WHERE name = 'sold'");
    server.wait_until(&counted, "0");
}
