//! Incidents: trouble that does not pass by itself is noted once, with its error and its tries, until it has healed.

use crate::support::warehouse::copy;
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::fs;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("incidents::a_rejected_view_is_one_until_its_data_is_mended", rejected),
        trial("incidents::a_failing_model_is_one_after_its_retries_and_over_a_restart", failing),
        trial("incidents::a_source_that_stops_is_one", stopped),
        trial("incidents::a_source_is_paused_until_it_can_read", paused),
        trial("incidents::a_table_of_others_is_paused_until_it_is_there", a_table_of_others),
    ]
}

const INCIDENTS: &str =
    "SELECT object, kind, state, closed_at IS NOT NULL FROM sluice.incidents ORDER BY opened_at";

fn sales() -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/sales.sql",
        "CREATE SOURCE bronze.sales (sale_id BIGINT, store INT, amount INT)\n\
         WITH (connector = 'files', path = 'input/sales', on_change = 'error') FORMAT PLAIN ENCODE CSV;\n",
    );
    sell(&warehouse, "1", "1,1,10\n2,2,5\n");
    warehouse
}

fn sell(warehouse: &Warehouse, file: &str, rows: &str) {
    warehouse.write(&format!("input/sales/{file}.csv"), format!("sale_id,store,amount\n{rows}"));
}

fn rejected() {
    let warehouse = sales();
    warehouse.write(
        "sql/gold/by_store.sql",
        "CREATE MATERIALIZED VIEW gold.by_store AS SELECT store, sum(amount) AS total FROM bronze.sales GROUP BY store;\n\
         CREATE AUDIT no_debts ON gold.by_store BLOCKING AS SELECT store FROM this WHERE total < 0;\n",
    );
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM gold.by_store", "2");
    assert_eq!(server.query(INCIDENTS), "");
    sell(&warehouse, "2", "3,1,-50\n");
    server.wait_until(INCIDENTS, "gold.by_store|rejected|open|f");
    let said = "SELECT error LIKE '%no_debts%', attempts > 0 FROM sluice.incidents";
    assert_eq!(server.query(said), "t|t");
    sell(&warehouse, "3", "4,1,100\n");
    server.wait_until(INCIDENTS, "gold.by_store|rejected|closed|t");
    sell(&warehouse, "4", "5,1,-100\n");
    server.wait_until(INCIDENTS, "gold.by_store|rejected|closed|t\ngold.by_store|rejected|open|f");
}

fn failing() {
    let warehouse = sales();
    let model = |by: &str| {
        let query = format!("SELECT sale_id, 100 / {by} AS share FROM STREAM bronze.sales");
        let statement = format!("CREATE OR REFRESH STREAMING TABLE silver.shares AS {query};\n");
        warehouse.write("sql/silver/shares.sql", statement);
    };
    model("(amount - 5)");
    // The first failure and one try again.
    let serve = || {
        let limits = ["env", "SLUICE_LIMITS_RETRIES_MAX=1"];
        Server::launch_within(&limits, &warehouse, &[]).ready().unwrap()
    };
    let server = serve();
    let failures =
        "SELECT count(*) FROM sluice.refreshes WHERE model = 'silver.shares' AND outcome = 'failed'";
    server.wait_until(INCIDENTS, "silver.shares|refresh|open|f");
    let tried: i64 = server.query(failures).parse().unwrap();
    assert!(tried >= 2, "{tried} tries before there was an incident");
    let id = server.query("SELECT id FROM sluice.incidents WHERE attempts >= 2");
    assert_ne!(id, "");
    // It waits for its next try, and does not wake the warehouse meanwhile.
    server.wait_until(&format!("{failures} HAVING count(*) > 2"), "3");
    // A second, then two, each shortened by chance by a quarter at most.
    let pauses = "SELECT bool_and(CASE n WHEN 2 THEN began - before > INTERVAL '0.4 seconds' WHEN 3 THEN began - before > INTERVAL '1 second' \
                  ELSE n = 1 END) FROM (SELECT began, lag(began) OVER (ORDER BY began) AS before, row_number() OVER (ORDER BY began) AS n \
                  FROM (SELECT at - seconds * INTERVAL '1 second' AS began FROM sluice.refreshes WHERE model = 'silver.shares' AND \
                  outcome = 'failed') AS tries) AS numbered WHERE n < 4";
    assert_eq!(server.query(pauses), "t");
    // What was noted is written each second.
    server.wait_until("SELECT count(*) > 0 FROM sluice.incident_log", "t");
    assert!(server.terminate().0.success());

    let server = serve();
    server.wait_until(INCIDENTS, "silver.shares|refresh|open|f");
    assert_eq!(server.query("SELECT id FROM sluice.incidents"), id, "it is the same");
    assert!(server.terminate().0.success());
    model("(amount + 5)");
    let server = serve();
    server.wait_until("SELECT count(*) FROM silver.shares", "2");
    server.wait_until(INCIDENTS, "silver.shares|refresh|closed|t");
    assert_eq!(server.query("SELECT id FROM sluice.incidents"), id);
}

fn stopped() {
    let warehouse = sales();
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM bronze.sales", "2");
    sell(&warehouse, "1", "1,1,10\n2,2,6\n");
    server.wait_until(INCIDENTS, "bronze.sales|ingest|open|f");
    assert_eq!(server.query("SELECT error LIKE '%1.csv%' FROM sluice.incidents"), "t");
    server.wait_until("SELECT state FROM sluice.sources", "failed");
}

fn paused() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/sales.sql",
        "CREATE SOURCE bronze.sales (sale_id BIGINT) WITH (connector = 'files', path = 'input/sales', poll_ms = 20)\n\
         FORMAT PLAIN ENCODE PARQUET;\n",
    );
    warehouse.write("input/sales/1.parquet", "this is no parquet");
    let limits = ["env", "SLUICE_LIMITS_RETRIES_MAX=1"];
    let server = Server::launch_within(&limits, &warehouse, &[]).ready().unwrap();
    server.wait_until("SELECT state, error LIKE '%1.parquet%' FROM sluice.sources", "paused|t");
    server.wait_until(INCIDENTS, "bronze.sales|ingest|open|f");
    // Each look has failed, and few rows tell so.
    let failed = "SELECT sum(attempts) > 20, count(*) < 10, bool_and(batch IS NULL), bool_and(error LIKE '%1.parquet%') \
                  FROM sluice.ingest_log WHERE outcome = 'failed'";
    server.wait_until(failed, "t|t|t|t");
    fs::remove_file(warehouse.project().join("input/sales/1.parquet")).unwrap();
    server.wait_until("SELECT state, error FROM sluice.sources", "running|");
    server.wait_until(INCIDENTS, "bronze.sales|ingest|closed|t");
    // What waited to be told is told before the end.
    let told = server.query("SELECT count(*) FROM sluice.ingest_log").parse::<u32>().unwrap();
    assert!(server.terminate().0.success());
    let server = warehouse.serve();
    server.wait_until(&format!("SELECT count(*) >= {told} FROM sluice.ingest_log"), "t");
}

fn a_table_of_others() {
    let others = sales();
    let writer = others.serve();
    writer.wait_until("SELECT count(*) FROM bronze.sales", "2");
    assert!(writer.terminate().0.success());

    let warehouse = Warehouse::new();
    let folder = warehouse.folder().join("lake");
    warehouse.write(
        "catalog/sales.sql",
        "CREATE SOURCE lakehouse.sales WITH (connector = 'delta', path = '../lake', poll_ms = 20);\n",
    );
    let limits = ["env", "SLUICE_LIMITS_RETRIES_MAX=1"];
    let server = Server::launch_within(&limits, &warehouse, &[]).ready().unwrap();
    server.wait_until("SELECT state, error LIKE '%does not exist' FROM sluice.sources", "paused|t");
    server.wait_until(INCIDENTS, "lakehouse.sales|ingest|open|f");
    let failed = "SELECT sum(attempts) > 1, bool_and(batch IS NULL), bool_and(error LIKE '%does not exist') \
                  FROM sluice.ingest_log WHERE source = 'lakehouse.sales' AND outcome = 'failed'";
    server.wait_until(failed, "t|t|t");
    let staged = warehouse.folder().join("staged");
    copy(&others.data().join("bronze/sales"), &staged);
    fs::rename(staged, folder).unwrap();
    server.wait_until("SELECT count(*) FROM lakehouse.sales", "2");
    server.wait_until("SELECT state, error FROM sluice.sources", "running|");
    server.wait_until(INCIDENTS, "lakehouse.sales|ingest|closed|t");
}
