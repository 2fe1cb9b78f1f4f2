//! `sluice dev`: an edited project over production's tables.

use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("dev::what_differs_is_computed_beside_production", what_differs_is_computed_beside_production),
        trial("dev::production_is_left_as_it_is", production_is_left_as_it_is),
        trial("dev::mistakes_are_named", mistakes_are_named),
        trial(
            "dev::what_production_cleaned_up_is_said_to_be_gone",
            what_production_cleaned_up_is_said_to_be_gone,
        ),
    ]
}

const DAILY: &str = "sql/gold/daily_sales.sql";
const TWICE: &str = "CREATE MATERIALIZED VIEW gold.daily_sales AS\n\
    SELECT order_date, count(*) AS orders, 2 * sum(amount) AS revenue FROM silver.orders GROUP BY order_date;\n";

/// A server in development over production's folder.
fn dev(edited: &Warehouse, production: &Warehouse) -> Server {
    edited.serve_with(&["--production", production.data().to_str().unwrap()])
}

fn what_differs_is_computed_beside_production() {
    let production = Warehouse::of("shop");
    let live = production.serve();
    live.wait_until("SELECT count(*) > 0 FROM gold.customer_sales", "t");
    live.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");

    let edited = Warehouse::of("shop");
    edited.write(DAILY, TWICE);
    let server = dev(&edited, &production);
    let revenue = "SELECT sum(revenue) FROM gold.daily_sales";
    let twice = || live.query("SELECT 2 * sum(revenue) FROM gold.daily_sales");
    server.wait_until(revenue, &twice());
    assert_eq!(
        server.query("SELECT model, kind FROM sluice.models WHERE kind <> 'view'"),
        "gold.daily_sales|materialized view"
    );
    assert_eq!(
        server.query("SELECT source, connector FROM sluice.sources WHERE source LIKE 'silver.%' ORDER BY 1"),
        "silver.customers|delta\nsilver.orders|delta\nsilver.orders__quarantine|delta"
    );
    let rows = "SELECT * FROM gold.customer_sales ORDER BY customer_id";
    assert_eq!(server.query(rows), live.query(rows), "read where it lies");

    // Production goes on, and is followed.
    let before = live.query("SELECT count(*) FROM silver.orders");
    let header_and_row =
        fs::read_to_string(production.project().join("input/orders/2026-01-01.csv")).unwrap();
    let first: Vec<&str> = header_and_row.lines().take(2).collect();
    production.write("input/orders/later.csv", format!("{}\n{}\n", first[0], first[1]));
    live.wait_until(&format!("SELECT count(*) > {before} FROM silver.orders"), "t");
    live.query("REFRESH TABLE gold.daily_sales");
    server.wait_until(revenue, &twice());

    // An edit of a streaming table takes production's rows through it, and what reads it follows.
    let silver = fs::read_to_string(edited.project().join("sql/silver/orders.sql")).unwrap();
    edited.write(
        "sql/silver/orders.sql",
        silver.replace("  amount,\n  lower", "  amount * 10 AS amount,\n  lower"),
    );
    server.wait_until("SELECT count(*) FROM sluice.models WHERE kind <> 'view'", "3");
    let ten =
        live.query("SELECT 20 * sum(amount) FROM bronze.orders WHERE status IS NOT NULL AND amount > 0");
    server.wait_until(revenue, &ten);
}

/// Every file below a folder, with what tells whether it was touched.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path(), (meta.len(), meta.modified().unwrap()));
            }
        }
    }
    found
}

fn production_is_left_as_it_is() {
    let production = Warehouse::of("shop");
    let live = production.serve();
    live.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");
    live.terminate();
    let before = files(&production.data());
    let edited = Warehouse::of("shop");
    edited.write(DAILY, TWICE);
    edited.write(
        "sql/gold/more.sql",
        "CREATE MATERIALIZED VIEW gold.more AS SELECT max(revenue) AS best FROM gold.daily_sales;\n",
    );
    let server = dev(&edited, &production);
    server.wait_until("SELECT count(*) FROM gold.more WHERE best > 0", "1");
    server.terminate();
    assert_eq!(files(&production.data()), before);
}

fn mistakes_are_named() {
    let edited = Warehouse::of("shop");
    let nowhere = edited.folder().join("nowhere");
    edited
        .sluice(&["dev", "--production", nowhere.to_str().unwrap()])
        .expect(1, &["production's data folder", "nowhere", "is not there"]);
    let project = edited.project();
    edited
        .sluice(&["dev", "--production", project.to_str().unwrap()])
        .expect(1, &["is no warehouse's data folder"]);
    let own = edited.folder().join("own");
    fs::create_dir(&own).unwrap();
    let own = own.to_str().unwrap();
    edited.sluice(&["dev", "--production", own, "--data", own]).expect(1, &["production's own folder"]);
}

/// Production knows nothing of who reads its versions, and cleans up as it does: who reads on in an old one is told so.
fn what_production_cleaned_up_is_said_to_be_gone() {
    let production = Warehouse::of("shop");
    let live = production.serve();
    live.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");
    let edited = Warehouse::of("shop");
    edited.write(DAILY, TWICE);
    let server = dev(&edited, &production);
    let revenue = "SELECT sum(revenue) FROM gold.daily_sales";
    let twice = live.query("SELECT 2 * sum(revenue) FROM gold.daily_sales");
    server.wait_until(revenue, &twice);

    let pinned = server.connect();
    pinned.text("BEGIN");
    assert_eq!(pinned.text("SELECT count(*) FROM silver.orders"), "6");
    // All rows are written anew, and what stood before is vacuumed.
    let folder = production.data().join("silver/orders");
    let is_data = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
    let before: Vec<PathBuf> = files(&folder).into_keys().filter(is_data).collect();
    live.query("REFRESH TABLE silver.orders FULL");
    assert!(!before.is_empty());
    before.iter().for_each(|path| fs::remove_file(path).unwrap());

    let (code, message) = pinned.refusal("SELECT sum(amount) FROM silver.orders");
    assert_eq!(code, "72000", "{message}");
    assert!(message.contains("not kept any more") && message.contains("Begin the transaction"), "{message}");
    // What is there now is read, and what is computed here goes on from it.
    let sum = live.query("SELECT sum(amount) FROM silver.orders");
    server.wait_until("SELECT sum(amount) FROM silver.orders", &sum);
    let (header, row) =
        ("order_id,customer_id,amount,status,ordered_at", "50,10,1.00,paid,2026-01-02T00:00:00Z");
    production.write("input/orders/later.csv", format!("{header}\n{row}\n"));
    live.wait_until("SELECT count(*) FROM silver.orders", "7");
    live.query("REFRESH TABLE gold.daily_sales");
    let twice = live.query("SELECT 2 * sum(revenue) FROM gold.daily_sales");
    server.wait_until(revenue, &twice);
}
