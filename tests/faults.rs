//! What goes wrong at start or outside, and what the server says about it.

use crate::smoke::wait_for_shop;
use crate::support::{READY, Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::net::TcpListener;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("faults::one_writer_a_data_folder", one_writer_a_data_folder),
        trial("faults::a_port_in_use_is_named", a_port_in_use_is_named),
        trial("faults::a_bad_sql_file_is_placed", a_bad_sql_file_is_placed),
        trial("faults::a_missing_project_is_named", a_missing_project_is_named),
        trial("faults::a_wrong_setting_is_named", a_wrong_setting_is_named),
        trial("faults::an_unreachable_broker_holds_up_nobody", an_unreachable_broker_holds_up_nobody),
        trial("faults::a_missing_folder_holds_up_nobody", a_missing_folder_holds_up_nobody),
        trial("faults::bad_records_cost_no_neighbour", bad_records_cost_no_neighbour),
        trial(
            "faults::a_failing_model_keeps_its_last_good_version",
            a_failing_model_keeps_its_last_good_version,
        ),
        trial("faults::a_changed_type_costs_only_its_model", a_changed_type_costs_only_its_model),
    ]
}

fn one_writer_a_data_folder() {
    let warehouse = Warehouse::of("shop");
    let mut first = warehouse.serve();
    let data = warehouse.data();
    Server::refused(&warehouse, &[]).expect(1, &[data.to_str().unwrap(), "another"]);
    assert!(first.is_running());
    wait_for_shop(&first);
    first.kill9();
    // The lock is the operating system's: it does not outlive its holder.
    wait_for_shop(&warehouse.serve());
}

fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--pg-listen", "--flight-listen", "--http-listen"] {
        let warehouse = Warehouse::of("shop");
        Server::refused(&warehouse, &[flag, &address]).expect(1, &[&address, flag]);
    }
}

fn a_bad_sql_file_is_placed() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("sql/gold/broken.sql", "CREATE MATERIALIZED VIEW gold.broken\nAS SELEC 1;\n");
    Server::refused(&warehouse, &[]).expect(1, &["sql/gold/broken.sql:2:4"]);
    warehouse.write(
        "sql/gold/broken.sql",
        "CREATE MATERIALIZED VIEW gold.broken\nAS SELECT amont FROM silver.orders;\n",
    );
    Server::refused(&warehouse, &[]).expect(1, &["sql/gold/broken.sql:2", "amont", "amount"]);
    assert!(!warehouse.data().join("bronze").exists(), "a project that is refused touches no data");
}

fn a_missing_project_is_named() {
    let warehouse = Warehouse::of("shop");
    let nowhere = warehouse.folder().join("nowhere");
    Server::refused(&warehouse, &["--project", nowhere.to_str().unwrap()])
        .expect(1, &[nowhere.to_str().unwrap()]);
}

fn a_wrong_setting_is_named() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", "[limits]\nconnections_maximum = 3\n");
    Server::refused(&warehouse, &[]).expect(1, &["catalog/warehouse.toml", "connections_maximum"]);
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\nverifier = \"secret\"\n");
    let finished = Server::refused(&warehouse, &[]);
    finished.expect(1, &["catalog/warehouse.toml"]);
    assert!(!finished.text().contains("secret"), "what stands for a password is never printed");
}

fn an_unreachable_broker_holds_up_nobody() {
    let warehouse = Warehouse::of("shop");
    // Bound and never accepting: nothing else can take the port.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    warehouse.write(
        "catalog/hub.sql",
        format!("CREATE CONNECTION hub TO KAFKA (bootstrap.servers = '{address}');\n"),
    );
    warehouse.write(
        "catalog/remote.sql",
        "CREATE SOURCE bronze.remote (id BIGINT)\n\
         WITH (connector = 'kafka', connection = hub, topic = 'remote', scan.startup.mode = 'earliest')\n\
         FORMAT PLAIN ENCODE JSON;\n",
    );
    let server = warehouse.serve();
    wait_for_shop(&server);
    server.wait_until(
        "SELECT connector, error LIKE '%hub%' OR error LIKE '%127.0.0.1%' FROM sluice.sources WHERE source = 'bronze.remote'",
        "kafka|t",
    );
    assert_eq!(server.query("SELECT error IS NULL FROM sluice.sources WHERE source = 'bronze.orders'"), "t");
    assert_eq!(server.terminate().0.code(), Some(0));
}

fn a_missing_folder_holds_up_nobody() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "catalog/late.sql",
        "CREATE SOURCE bronze.late (id BIGINT) WITH (connector = 'files', path = 'input/late')\n\
         FORMAT PLAIN ENCODE JSON;\n",
    );
    let server = warehouse.serve();
    wait_for_shop(&server);
    assert_eq!(server.query("SELECT count(*) FROM bronze.late"), "0");
    warehouse.write("input/late/one.json", "{\"id\": 1}\n");
    server.wait_until("SELECT count(*) FROM bronze.late", "1");
}

fn bad_records_cost_no_neighbour() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    let session = server.connect();
    assert_eq!(session.text("SELECT count(*) FROM bronze.orders"), "8");
    // Raw bytes, place and reason; the field's name stands in the reason.
    assert_eq!(
        session.text(
            "SELECT CAST(raw AS TEXT), reason LIKE '%amount%' OR reason LIKE '%order_id%' \
             FROM bronze.orders__quarantine ORDER BY 1"
        ),
        "4,12,abc,paid,2026-01-01T09:07:00Z|t\nnot-a-number,13,2.00,open,2026-01-02T08:31:00Z|t"
    );
    assert_eq!(session.text("SELECT count(*) FROM bronze.customers"), "4");
    assert_eq!(session.text("SELECT count(*) FROM bronze.customers__quarantine"), "2");
    assert_eq!(
        session.text(
            "SELECT table_name, count(*), count(DISTINCT position), bool_and(rule <> '' AND reason <> '') \
             FROM sluice.quarantine WHERE table_name LIKE 'bronze.%' GROUP BY 1 ORDER BY 1"
        ),
        "bronze.customers|2|2|t\nbronze.orders|2|2|t"
    );
    // Rows in are rows out and rows kept apart: every position is taken once.
    assert_eq!(
        session.text(
            "SELECT count(*), count(DISTINCT (_partition, _offset)) FROM \
             (SELECT _partition, _offset FROM bronze.orders UNION ALL \
              SELECT partition, \"offset\" FROM bronze.orders__quarantine) AS taken"
        ),
        "10|10"
    );
}

fn a_failing_model_keeps_its_last_good_version() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "sql/gold/ratio.sql",
        "CREATE MATERIALIZED VIEW gold.ratio AS\n\
         SELECT sum(100 / (order_id - 50)) AS ratio, count(*) AS orders FROM silver.orders;\n",
    );
    let server = warehouse.serve();
    wait_for_shop(&server);
    server.wait_until("SELECT orders FROM gold.ratio", "6");
    warehouse.write(
        "input/orders/bad.csv",
        "order_id,customer_id,amount,status,ordered_at\n50,13,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    // The rest goes on, the failed one says so and stands as it was.
    server.wait_until("SELECT orders FROM gold.daily_sales WHERE order_date = '2026-01-03'", "1");
    server.wait_until_within(
        "SELECT state FROM sluice.freshness WHERE table_name = 'gold.ratio'",
        "failed",
        READY,
    );
    assert_eq!(server.query("SELECT orders FROM gold.ratio"), "6");
    server.wait_until(
        "SELECT count(*) > 0, bool_and(error LIKE '%ivi%') FROM sluice.refreshes \
         WHERE model = 'gold.ratio' AND outcome = 'failed'",
        "t|t",
    );
}

fn a_changed_type_costs_only_its_model() {
    let warehouse = Warehouse::of("shop");
    let notes = |data_type: &str| {
        format!(
            "CREATE OR REFRESH STREAMING TABLE silver.notes (order_id BIGINT, note {data_type}) AS\n\
             SELECT order_id, order_id AS note FROM STREAM bronze.orders;\n"
        )
    };
    warehouse.write("sql/silver/notes.sql", notes("BIGINT"));
    warehouse.write(
        "sql/gold/notes.sql",
        "CREATE MATERIALIZED VIEW gold.notes AS SELECT count(*) AS notes FROM silver.notes;\n",
    );
    let server = warehouse.serve();
    wait_for_shop(&server);
    server.wait_until("SELECT notes FROM gold.notes", "8");
    server.terminate();

    warehouse.write("sql/silver/notes.sql", notes("TEXT"));
    let server = warehouse.serve();
    warehouse.write(
        "input/orders/more.csv",
        "order_id,customer_id,amount,status,ordered_at\n50,13,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    server.wait_until("SELECT orders FROM gold.daily_sales WHERE order_date = '2026-01-03'", "1");
    server.wait_until("SELECT state FROM sluice.freshness WHERE table_name = 'silver.notes'", "failed");
    server.wait_until(
        "SELECT bool_and(error LIKE '%column \"note\" is stored as BIGINT%') FROM sluice.refreshes \
         WHERE model = 'silver.notes' AND outcome = 'failed'",
        "t",
    );
    assert_eq!(server.query("SELECT notes FROM gold.notes"), "8", "what reads it stands as it was");
    server.terminate();

    // Put right, it takes what it missed.
    warehouse.write("sql/silver/notes.sql", notes("BIGINT"));
    warehouse.serve().wait_until("SELECT notes FROM gold.notes", "9");
}
