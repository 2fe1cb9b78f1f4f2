//! What a refresh costs by the size of what lies behind it: 1,000 new sales and 1,000 corrected ones on 100,000, 1 M and
//! 10 M.
//!
//! Each base comes from one parquet file; then new and corrected sales come in files of their own, and the seconds are
//! those that `sluice.refreshes` gives for each view. `BENCH_BASES` (comma between) and `BENCH_ROUNDS` change the sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use std::sync::Arc;
use std::time::Duration;
use support::{Server, Warehouse, median, number};

/// New sales of a round, and as many corrected ones.
const CHANGE: i64 = 1_000;
/// Rows of a batch as the base is written.
const BATCH: usize = 65_536;
/// The whole base must be in gold within this.
const FILLED: Duration = Duration::from_secs(600);

const VIEWS: [(&str, &str, &str); 6] = [
    (
        "daily_sales",
        "sums by day",
        "SELECT day, count(*) AS sales, sum(amount) AS amount FROM silver.sales GROUP BY day",
    ),
    (
        "by_category",
        "star join, sums by category",
        "SELECT p.category, count(*) AS sales, sum(s.amount) AS amount \
         FROM silver.sales s JOIN silver.products p ON p.product_id = s.product_id GROUP BY p.category",
    ),
    (
        "newest_of_store",
        "newest sale of each of 200 stores",
        "SELECT store_id, sale_id, version, amount FROM (SELECT *, row_number() OVER \
         (PARTITION BY store_id ORDER BY sale_id DESC, version DESC) AS n FROM silver.sales) WHERE n = 1",
    ),
    (
        "sales",
        "newest version of each sale (keyed update)",
        "SELECT sale_id, version, day, product_id, amount FROM (SELECT *, row_number() OVER \
         (PARTITION BY sale_id ORDER BY version DESC) AS n FROM silver.sales) WHERE n = 1",
    ),
    (
        "daily_of_newest",
        "sums by day of the newest versions",
        "SELECT day, count(*) AS sales, sum(amount) AS amount, avg(amount) AS mean FROM gold.sales GROUP BY day",
    ),
    (
        "category_of_newest",
        "star join of the newest versions, sums by category",
        "SELECT p.category, count(*) AS sales, sum(s.amount) AS amount \
         FROM gold.sales s JOIN silver.products p ON p.product_id = s.product_id GROUP BY p.category",
    ),
];

fn main() {
    support::announce("refresh");
    let rounds = number("BENCH_ROUNDS", 15);
    let bases = std::env::var("BENCH_BASES").unwrap_or_else(|_| "100000,1000000,10000000".to_string());
    println!("\n| rows behind | view | mode | refresh p50 ms | read | written |");
    println!("|---|---|---|---|---|---|");
    for base in bases.split(',') {
        measure(base.trim().parse().unwrap(), rounds);
    }
}

fn measure(base: i64, rounds: u64) {
    let warehouse = Warehouse::new();
    project(&warehouse);
    write_sales(&warehouse, "base", (0..base).map(|sale| (sale, 0)));
    let server = warehouse.serve();
    // All views have come to the end of a round when they say so many rows, so many sales and this newest version.
    let reach = |sales: i64, rows: i64, version: i64| {
        let wait = |sql: &str, wanted: i64| server.wait_until_within(sql, &wanted.to_string(), FILLED);
        wait("SELECT sum(sales) FROM gold.daily_sales", rows);
        wait("SELECT sum(sales) FROM gold.by_category", rows);
        wait("SELECT max(sale_id) FROM gold.newest_of_store", sales - 1);
        wait("SELECT max(version) FROM gold.sales", version);
        wait("SELECT sum(sales) FROM gold.daily_of_newest", sales);
        wait("SELECT sum(sales) FROM gold.category_of_newest", sales);
    };
    reach(base, base, 0);
    for round in 1..=i64::try_from(rounds).unwrap() {
        let from = base + (round - 1) * CHANGE;
        let new = (from..from + CHANGE).map(|sale| (sale, 0));
        let corrected = (0..CHANGE).map(|n| (n * (base / CHANGE) + round, round));
        write_sales(&warehouse, &format!("round-{round:03}"), new.chain(corrected));
        reach(from + CHANGE, base + 2 * round * CHANGE, round);
    }
    for (view, what, _) in VIEWS {
        report(&server, base, view, what, rounds);
    }
}

fn report(server: &Server, base: i64, view: &str, what: &str, rounds: u64) {
    let last = format!("FROM sluice.refreshes WHERE model = 'gold.{view}' ORDER BY at DESC LIMIT {rounds}");
    let seconds = server.query(&format!("SELECT seconds {last}"));
    let seconds: Vec<f64> = seconds.lines().map(|line| line.parse().unwrap()).collect();
    let rows = server.query(&format!("SELECT mode, rows_read, rows_inserted + rows_deleted {last}"));
    let row: Vec<&str> = rows.lines().next().unwrap().split('|').collect();
    println!("| {base} | {what} | {} | {:.1} | {} | {} |", row[0], median(seconds) * 1000.0, row[1], row[2]);
}

fn project(warehouse: &Warehouse) {
    let files = |path: &str| {
        format!("WITH (connector = 'files', path = 'input/{path}')\nFORMAT PLAIN ENCODE PARQUET;\n")
    };
    warehouse.write(
        "catalog/sales.sql",
        format!(
            "CREATE SOURCE bronze.sales (sale_id BIGINT, version BIGINT, day DATE, store_id INT, product_id INT, amount DECIMAL(18,2))\n{}",
            files("sales")
        ),
    );
    warehouse.write(
        "catalog/products.sql",
        "CREATE SOURCE bronze.products (product_id INT, category INT)\n\
         WITH (connector = 'files', path = 'input/products')\nFORMAT PLAIN ENCODE CSV;\n",
    );
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.sales AS\n\
         SELECT sale_id, version, day, store_id, product_id, amount FROM STREAM bronze.sales;\n",
    );
    warehouse.write(
        "sql/silver/products.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.products AS\n\
         SELECT product_id, category FROM STREAM bronze.products;\n",
    );
    for (view, _, query) in VIEWS {
        warehouse.write(
            &format!("sql/gold/{view}.sql"),
            format!("CREATE MATERIALIZED VIEW gold.{view} AS\n{query};\n"),
        );
    }
    let products: String = (0..5_000).map(|product| format!("{product},{}\n", product % 40)).collect();
    warehouse.write("input/products/products.csv", format!("product_id,category\n{products}"));
}

/// A parquet file of sales, each a number and a version.
fn write_sales(warehouse: &Warehouse, name: &str, sales: impl Iterator<Item = (i64, i64)>) {
    let mut sales = sales.peekable();
    let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
    while sales.peek().is_some() {
        let batch = rows(&sales.by_ref().take(BATCH).collect::<Vec<_>>());
        let writer =
            writer.get_or_insert_with(|| ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap());
        writer.write(&batch).unwrap();
    }
    warehouse.write(&format!("input/sales/{name}.parquet"), writer.unwrap().into_inner().unwrap());
}

fn rows(sales: &[(i64, i64)]) -> RecordBatch {
    // Scattered, so that every change touches most groups.
    let mixed = |sale: i64| (sale as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let one_of = |sale: i64, shift: u32, count: u64| i32::try_from((mixed(sale) >> shift) % count).unwrap();
    let numbers = || sales.iter().map(|(sale, _)| *sale);
    let amounts = sales.iter().map(|(sale, version)| i128::from(mixed(*sale) >> 50) + i128::from(*version));
    let days = numbers().map(|sale| 19_723 + one_of(sale, 20, 730));
    let columns: [(&str, ArrayRef); 6] = [
        ("sale_id", Arc::new(Int64Array::from_iter_values(numbers()))),
        ("version", Arc::new(Int64Array::from_iter_values(sales.iter().map(|(_, version)| *version)))),
        ("day", Arc::new(Date32Array::from_iter_values(days))),
        ("store_id", Arc::new(Int32Array::from_iter_values(numbers().map(|sale| one_of(sale, 33, 200))))),
        ("product_id", Arc::new(Int32Array::from_iter_values(numbers().map(|sale| one_of(sale, 12, 5_000))))),
        (
            "amount",
            Arc::new(Decimal128Array::from_iter_values(amounts).with_precision_and_scale(18, 2).unwrap()),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
