//! How fast a large result leaves the server over one connection, beside PostgreSQL with the same rows on the same machine.
//!
//! 3 million rows of ten columns of mixed types are read by a client that only drains, in text, in binary and by COPY, in
//! turns with PostgreSQL, all of whose rows are in its cache. `BENCH_ROWS` and `BENCH_ROUNDS` change the size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use std::sync::Arc;
use std::time::Duration;
use support::feed::{parquet_source, scattered, write_parquet};
use support::wire::{Drained, Mode, Wire};
use support::{Server, Warehouse, median, ms, number, usage};

/// Rows of one file.
const PIECE: u64 = 500_000;
const ARRIVED: Duration = Duration::from_secs(600);
const ROWS: &str = "SELECT id, customer, quantity, price, ratio, sold_on, sold_at, paid, status, note FROM";
const TABLE: &str = "CREATE TABLE sales (id bigint, customer int, quantity int, price numeric(18,2), ratio float8, sold_on date, \
                     sold_at timestamp, paid boolean, status text, note text)";
const MODES: [(Mode, &str, f64); 3] = [
    (Mode::Text, "text, simple query", 2.0),
    (Mode::Binary, "binary, extended query", 2.0),
    (Mode::CopyBinary, "COPY, binary", 1.5),
];

fn main() {
    support::announce("rows_out");
    let (rows, rounds) = (number("BENCH_ROWS", 3_000_000), number("BENCH_ROUNDS", 5));
    let peer = support::peer(&["shared_buffers=2GB", "max_wal_size=8GB"]);
    let warehouse = Warehouse::new();
    let server = filled(&warehouse, rows);
    support::run(&peer, TABLE);
    support::copy(&server, &format!("{ROWS} bronze.sales"), &peer, "sales");
    support::wait_until_idle(&server);

    let mut ours = Wire::connect(server.pg, "sluice", "sluice");
    let mut theirs = Wire::connect(peer.address, "sluice", "postgres");
    let (our_sql, their_sql) = (format!("{ROWS} bronze.sales"), format!("{ROWS} sales"));
    println!(
        "\n| {rows} rows of 10 columns | Sluice | first row | memory above idle | PostgreSQL | first row | rows/s, Sluice to PostgreSQL | bar |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (mode, name, bar) in MODES {
        // One to warm up.
        let (expected, _) = (theirs.drain(mode, &their_sql), ours.drain(mode, &our_sql));
        let (mut our_rounds, mut their_rounds, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            support::wait_until_idle(&server);
            usage::forget_peak(server.pid());
            let idle = usage::of(server.pid()).resident_mib;
            let drained = ours.drain(mode, &our_sql);
            memory.push(usage::of(server.pid()).peak_mib - idle);
            if mode != Mode::CopyBinary {
                assert_eq!(drained.rows, rows);
                assert_eq!(expected.rows, rows);
            }
            our_rounds.push(drained);
            their_rounds.push(theirs.drain(mode, &their_sql));
        }
        let (our, their) = (rate(&our_rounds, rows), rate(&their_rounds, rows));
        println!(
            "| {name} | {} | {} | {:.0} MiB | {} | {} | {:.2}x | {bar}x |",
            shown(our, &our_rounds),
            ms(first(&our_rounds)),
            median(memory),
            shown(their, &their_rounds),
            ms(first(&their_rounds)),
            our / their
        );
    }
}

/// Rows a second, the middle of the rounds.
fn rate(rounds: &[Drained], rows: u64) -> f64 {
    median(rounds.iter().map(|drained| rows as f64 / drained.all.as_secs_f64()).collect())
}

fn first(rounds: &[Drained]) -> Duration {
    Duration::from_secs_f64(median(rounds.iter().map(|drained| drained.first_row.as_secs_f64()).collect()))
}

fn shown(rate: f64, rounds: &[Drained]) -> String {
    let mib = |drained: &Drained| drained.bytes as f64 / drained.all.as_secs_f64() / (1 << 20) as f64;
    format!("{:.2} M rows/s ({:.0} MiB/s)", rate / 1e6, median(rounds.iter().map(mib).collect()))
}

/// A server whose bronze table has all rows.
fn filled(warehouse: &Warehouse, rows: u64) -> Server {
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\n");
    let columns = "id BIGINT, customer INT, quantity INT, price DECIMAL(18,2), ratio DOUBLE, sold_on DATE, sold_at TIMESTAMP, \
                   paid BOOLEAN, status STRING, note STRING";
    let source = format!("CREATE SOURCE bronze.sales ({columns})\n{}", parquet_source("sales"));
    warehouse.write("catalog/sales.sql", source);
    for from in (0..rows).step_by(PIECE as usize) {
        let piece = batch(from as i64..(from + PIECE).min(rows) as i64);
        write_parquet(warehouse, &format!("sales/{from:09}"), &piece);
    }
    let server = warehouse.serve();
    server.wait_until_within("SELECT count(*) FROM bronze.sales", &rows.to_string(), ARRIVED);
    server
}

/// Rows of ten columns: numbers, text, times, every thirteenth note NULL.
fn batch(numbers: std::ops::Range<i64>) -> RecordBatch {
    let each = || numbers.clone().map(|id| (id, scattered(id)));
    let texts =
        |text: fn(u64) -> Option<String>| Arc::new(StringArray::from_iter(each().map(|(_, n)| text(n))));
    let ints = |int: fn(u64) -> i32| Arc::new(Int32Array::from_iter_values(each().map(|(_, n)| int(n))));
    let prices = Decimal128Array::from_iter_values(each().map(|(_, n)| i128::from(n >> 44)));
    let columns: [(&str, ArrayRef); 10] = [
        ("id", Arc::new(Int64Array::from_iter_values(numbers.clone()))),
        ("customer", ints(|n| (n >> 16) as i32 & 0xF_FFFF)),
        ("quantity", ints(|n| (n & 63) as i32)),
        ("price", Arc::new(prices.with_precision_and_scale(18, 2).unwrap())),
        ("ratio", Arc::new(Float64Array::from_iter_values(each().map(|(_, n)| (n >> 11) as f64 / 9.0)))),
        (
            "sold_on",
            Arc::new(Date32Array::from_iter_values(each().map(|(id, _)| 19_000 + (id / 5_000) as i32))),
        ),
        (
            "sold_at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                each().map(|(id, n)| 1_700_000_000_000_000 + id * 1_000_003 + (n & 0xFFFF) as i64),
            )),
        ),
        ("paid", Arc::new(BooleanArray::from_iter(each().map(|(_, n)| Some(n & 1 == 0))))),
        ("status", texts(|n| Some(["open", "paid", "shipped", "returned"][(n & 3) as usize].to_string()))),
        ("note", texts(|n| (n % 13 > 0).then(|| format!("{:024x}", u128::from(n) * 7)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
