//! The warehouse that ships with the project: the figures of the shop's own data set, from the real program and for two
//! seeds, so that nothing is fitted to one of them.

use crate::sql::{Protocol, run_file};
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// From the first start until gold stands, on a slow machine and a debug build.
const LOADED: Duration = Duration::from_secs(180);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("shopsmart::seed_42_gives_the_shops_own_figures", seed_42_gives_the_shops_own_figures),
        trial("shopsmart::a_second_seed_gives_what_it_planted", a_second_seed_gives_what_it_planted),
        trial("shopsmart::clicks_and_sales_keep_coming", clicks_and_sales_keep_coming),
    ]
}

/// A copy of this repository's warehouse, with another seed.
fn shopsmart(seed: u64) -> Warehouse {
    let warehouse = Warehouse::new();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = fs::read_to_string(repository.join("catalog/shopsmart.sql")).unwrap();
    assert!(sources.contains("seed = 42"));
    warehouse.write("catalog/alerts.sql", fs::read(repository.join("catalog/alerts.sql")).unwrap());
    warehouse.write("catalog/shopsmart.sql", sources.replace("seed = 42", &format!("seed = {seed}")));
    for layer in ["sql/silver", "sql/gold"] {
        for file in repository.join(layer).read_dir().unwrap() {
            let file = file.unwrap();
            let name = format!("{layer}/{}", file.file_name().to_string_lossy());
            warehouse.write(&name, fs::read(file.path()).unwrap());
        }
    }
    warehouse
}

fn truth(warehouse: &Warehouse, seed: u64) -> Value {
    let told = warehouse.sluice(&["datagen", "shopsmart", "--truth", "--seed", &seed.to_string()]);
    told.expect(0, &[]);
    serde_json::from_str(&told.stdout).unwrap()
}

/// Waits for what is computed last; all else follows from the same cut.
fn wait_for_gold(server: &Server, truth: &Value) {
    let whole = [
        ("SELECT count(*) FROM silver.orders__quarantine", truth["orders"]["quarantined"].to_string()),
        (
            "SELECT sum(net_amount) FROM gold.agg_daily_sales",
            truth["net_sales"].as_str().unwrap().to_string(),
        ),
        ("SELECT sum(order_count) FROM gold.dim_customer", truth["orders"]["good"].to_string()),
        // Nothing that was loaded whole waits for its lane any more: what it holds follows from one cut.
        (
            "SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh' AND table_name IN ('gold.dim_product', \
             'gold.dim_customer', 'gold.fact_sales', 'gold.agg_daily_sales')",
            "0".to_string(),
        ),
        ("SELECT count(*) FROM silver.inventory", truth["inventory"]["rows"].to_string()),
        ("SELECT count(*) FROM gold.dim_date", "1096".to_string()),
        ("SELECT count(*) FROM gold.sessions", truth["clickstream"]["sessions"].to_string()),
        ("SELECT count(*) FROM gold.ml_customer_rfm", truth["customers"]["with_orders"].to_string()),
        ("SELECT count(*) FROM gold.ml_anomaly_detection", truth["payments"]["rows"].to_string()),
        (
            "SELECT count(*) FROM sluice.freshness WHERE table_name LIKE 'gold.%' AND state = 'failed'",
            "0".to_string(),
        ),
    ];
    for (sql, expected) in whole {
        server.wait_until_within(sql, &expected, LOADED);
    }
}

fn seed_42_gives_the_shops_own_figures() {
    let warehouse = shopsmart(42);
    let server = warehouse.serve();
    wait_for_gold(&server, &truth(&warehouse, 42));
    for file in ["shopsmart.slt", "shopsmart_rules.slt"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt").join(file);
        run_file(&file, server.pg, Protocol::Simple);
        run_file(&file, server.pg, Protocol::Extended);
    }
}

fn a_second_seed_gives_what_it_planted() {
    let warehouse = shopsmart(7);
    let server = warehouse.serve();
    let truth = truth(&warehouse, 7);
    wait_for_gold(&server, &truth);
    let session = server.connect();
    let checks = [
        ("SELECT count(*) FROM silver.orders", &truth["orders"]["good"]),
        ("SELECT count(*) FROM silver.order_items", &truth["order_items"]),
        ("SELECT count(*) FROM gold.fact_sales", &truth["fact_sales"]),
        ("SELECT count(*) FROM silver.customers WHERE email_missing", &truth["customers"]["missing_email"]),
        ("SELECT count(*) FROM silver.products", &truth["products"]),
        ("SELECT count(*) FROM silver.inventory WHERE stock_corrected", &truth["inventory"]["negative"]),
        ("SELECT count(DISTINCT visitor_id) FROM gold.sessions", &truth["clickstream"]["visitors"]),
        (
            "SELECT count(*) FROM gold.ml_anomaly_detection WHERE is_statistical_anomaly",
            &truth["payments"]["statistical"],
        ),
    ];
    for (sql, expected) in checks {
        assert_eq!(session.text(sql), expected.to_string(), "{sql}");
    }
    for (segment, expected) in truth["rfm"].as_object().unwrap() {
        let sql = format!("SELECT customers FROM gold.rfm_segments WHERE segment = '{segment}'");
        assert_eq!(session.text(&sql), expected.to_string(), "{segment}");
    }
    for (tier, expected) in truth["payments"]["tiers"].as_object().unwrap() {
        let sql = format!("SELECT count(*) FROM gold.ml_anomaly_detection WHERE severity = '{tier}'");
        assert_eq!(session.text(&sql), expected.to_string(), "{tier}");
    }
    let quarantined: Vec<String> =
        truth["orders"]["quarantined_ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    let missing = "SELECT b.order_id FROM bronze.orders b LEFT JOIN silver.orders s ON s.order_id = b.order_id \
                   WHERE s.order_id IS NULL ORDER BY b.order_id";
    assert_eq!(session.text(missing), quarantined.join("\n"));
}

fn clicks_and_sales_keep_coming() {
    let warehouse = shopsmart(42);
    let server = warehouse.serve();
    for table in ["silver.streaming_clickstream", "silver.sales"] {
        server.wait_until_within(&format!("SELECT count(*) >= 10 FROM {table}"), "t", LOADED);
        let seen: i64 = server.query(&format!("SELECT count(*) FROM {table}")).parse().unwrap();
        server.wait_until(&format!("SELECT count(*) > {seen} FROM {table}"), "t");
    }
    server.wait_until_within("SELECT sum(sale_count) >= 10 FROM gold.sales_per_minute", "t", LOADED);
}
