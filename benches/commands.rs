//! How long `check`, `plan` and `test` take over a large project: what engineers wait for with every edit.
//!
//! 500 models over 20 sources: streaming tables with expectations, joins, sums by day, windows, views on views; 100 unit
//! tests. `plan --against` compares with a copy in which one silver table and one gold view are others.
//! `BENCH_MODELS`, `BENCH_TESTS` and `BENCH_RUNS` change the sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};
use support::harness::warehouse::copy;
use support::{Warehouse, median, number};

const SOURCES: u64 = 20;

fn main() {
    support::announce("commands");
    let (models, tests, runs) =
        (number("BENCH_MODELS", 500), number("BENCH_TESTS", 100), number("BENCH_RUNS", 5));
    let warehouse = Warehouse::new();
    write_project(&warehouse, models, tests);
    let before = warehouse.folder().join("before");
    copy(&warehouse.project(), &before);
    edit(&warehouse);
    let before = before.to_str().unwrap();
    println!("\n| command over {models} models | median s | bar s |\n|---|---|---|");
    for (arguments, words, bar) in [
        (vec!["check"], format!("{models} models"), 2.0),
        (vec!["test"], format!("{tests} passed, 0 failed"), 5.0),
        (vec!["plan", "--against", before], "2 changed".to_string(), 3.0),
        (vec!["lineage", "bronze.s0.amount", "--downstream"], "silver.t0.amount".to_string(), f64::NAN),
    ] {
        let took: Vec<f64> = (0..runs).map(|_| timed(&warehouse, &arguments, &words).as_secs_f64()).collect();
        let bar = if bar.is_nan() { String::new() } else { format!("{bar:.0}") };
        println!("| `{}` | {:.2} | {bar} |", arguments[0], median(took));
    }
}

fn timed(warehouse: &Warehouse, arguments: &[&str], words: &str) -> Duration {
    let start = Instant::now();
    let finished = warehouse.sluice(arguments);
    let took = start.elapsed();
    finished.expect(0, &[words]);
    took
}

/// Two fifths streaming tables, the rest views of five kinds over them and over each other.
fn write_project(warehouse: &Warehouse, models: u64, tests: u64) {
    for source in 0..SOURCES {
        let text = format!(
            "CREATE SOURCE bronze.s{source} (id BIGINT NOT NULL, customer_id BIGINT, store_id INT, status TEXT, amount \
             DECIMAL(18,2), quantity INT, note TEXT, at TIMESTAMPTZ, WATERMARK FOR at AS at - INTERVAL '10' MINUTE) WITH \
             (connector = 'http') FORMAT PLAIN ENCODE JSON;\n"
        );
        warehouse.write(&format!("catalog/s{source}.sql"), text);
    }
    let silver = models * 2 / 5;
    for model in 0..silver {
        warehouse.write(&format!("sql/silver/t{model}.sql"), streaming_table(model));
    }
    let gold = models - silver;
    for model in 0..gold {
        let mut text = view(model, silver);
        if model < tests {
            text += &unit_test(model, silver);
        }
        warehouse.write(&format!("sql/gold/g{model}.sql"), text);
    }
}

fn streaming_table(model: u64) -> String {
    format!(
        "CREATE OR REFRESH STREAMING TABLE silver.t{model} (\n  id BIGINT NOT NULL,\n  customer_id BIGINT,\n  store_id INT,\n  \
         status TEXT,\n  amount DECIMAL(18,2),\n  quantity INT,\n  day DATE,\n  at TIMESTAMPTZ,\n  CONSTRAINT known EXPECT \
         (status IS NOT NULL) ON VIOLATION QUARANTINE ROW,\n  CONSTRAINT positive EXPECT (amount > 0)\n)\nAS SELECT id, \
         customer_id, store_id, lower(trim(status)) AS status, amount, coalesce(quantity, 1) AS quantity,\n  CAST(at AS DATE) AS \
         day, at FROM STREAM bronze.s{} WHERE id % {} <> 1;\n",
        model % SOURCES,
        model + 2,
    )
}

fn view(model: u64, silver: u64) -> String {
    let (a, b) = (model % silver, (model * 7 + 3) % silver);
    let head = format!("CREATE MATERIALIZED VIEW gold.g{model} AS\n");
    let query = match model % 5 {
        0 => format!(
            "SELECT day, store_id, count(*) AS orders, sum(amount) AS revenue, avg(amount) AS mean FROM silver.t{a} GROUP BY \
             day, store_id"
        ),
        1 => format!(
            "SELECT l.id, l.customer_id, r.status, l.amount * r.quantity AS value FROM silver.t{a} AS l JOIN silver.t{b} AS r ON \
             l.id = r.id WHERE r.status <> 'void'"
        ),
        2 => format!(
            "WITH ranked AS (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY at DESC) AS n FROM silver.t{a}) \
             SELECT customer_id, status, amount, at FROM ranked WHERE n = 1"
        ),
        3 => format!(
            "SELECT window_start, store_id, sum(quantity) AS pieces FROM TUMBLE(silver.t{a}, at, INTERVAL '5' MINUTE) GROUP BY \
             window_start, store_id"
        ),
        _ => format!(
            "SELECT orders > 10 AS busy, count(*) AS days, sum(revenue) AS revenue FROM gold.g{} GROUP BY orders > 10",
            model - 4
        ),
    };
    format!("{head}{query};\n")
}

fn unit_test(model: u64, silver: u64) -> String {
    let (a, b) = (model % silver, (model * 7 + 3) % silver);
    let mut text = format!("EXECUTE UNIT TEST one FOR gold.g{model}\n");
    let row = "(1, 2, 3, 'paid', 5.00, 2, '2026-01-01', '2026-01-01 10:00:00+00')";
    let columns = "(id BIGINT, customer_id BIGINT, store_id INT, status TEXT, amount DECIMAL(18,2), quantity INT, day DATE, at \
                   TIMESTAMPTZ)";
    let mock = |table: u64| format!("  MOCK silver.t{table}{columns} AS (VALUES {row})\n");
    let (mocks, expected) = match model % 5 {
        0 => (mock(a), "(orders BIGINT) AS (VALUES (1))"),
        1 => (mock(a) + &mock(b), "(value DECIMAL(20,2)) AS (VALUES (10.00))"),
        2 => (mock(a), "(customer_id BIGINT, amount DECIMAL(18,2)) AS (VALUES (2, 5.00))"),
        3 => (mock(a), "(pieces BIGINT) AS (VALUES (2))"),
        _ => (
            format!(
                "  MOCK gold.g{}(orders BIGINT, revenue DECIMAL(38,2)) AS (VALUES (11, 1.00))\n",
                model - 4
            ),
            "(busy BOOLEAN, days BIGINT) AS (VALUES (true, 1))",
        ),
    };
    let _ = writeln!(text, "{mocks}  EXPECTED{expected};");
    text
}

fn edit(warehouse: &Warehouse) {
    let silver = streaming_table(0).replace("amount, coalesce", "amount * 2 AS amount, coalesce");
    warehouse.write("sql/silver/t0.sql", silver);
    let path = warehouse.project().join("sql/gold/g1.sql");
    let gold = fs::read_to_string(path).unwrap().replace("'void'", "'gone'");
    warehouse.write("sql/gold/g1.sql", gold);
}
