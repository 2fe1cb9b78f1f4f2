//! What memory and time an update of one row of 20 M takes.
//!
//! A change feed keeps the newest row of each key (`FLOW AUTO CDC`, SCD type 1). The server is started again on what it has
//! loaded, so that it is idle and nothing is cached; then one row changes, again and again. What the first update needs
//! (finding the row in a table that was never looked into) is told apart from what the later ones do. Keys come in no order,
//! so that every file may hold any of them; with `BENCH_ORDERED=1` they grow, and a file's bounds tell which. `BENCH_ROWS`
//! and `BENCH_ROUNDS` change the sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::feed::{parquet_source, scattered, write_parquet};
use support::harness::Pg;
use support::{Server, Warehouse, median, number, usage};

/// Rows of one file of the base: what the bench itself holds at once. Soon less than a fifth of what is there, of which a
/// change is computed anew no more.
const PIECE: i64 = 500_000;
/// Rows must be in the table within this.
const LOADED: Duration = Duration::from_secs(3_600);

/// What an update took.
struct Update {
    idle_mib: f64,
    peak_mib: f64,
    seconds: f64,
    rows_read: String,
}

fn main() {
    support::announce("one_row");
    let rows = i64::try_from(number("BENCH_ROWS", 20_000_000)).unwrap();
    let rounds = i64::try_from(number("BENCH_ROUNDS", 9)).unwrap();
    let warehouse = Warehouse::new();
    project(&warehouse);
    load(&warehouse, rows);

    let server = warehouse.serve();
    let session = server.connect();
    let updates: Vec<Update> = (1..=rounds)
        .map(|round| {
            support::wait_until_idle(&server);
            let account = i64::try_from(scattered(round) % rows as u64).unwrap();
            update(&warehouse, &server, &session, account, round)
        })
        .collect();
    let whole = "SELECT count(*), count(DISTINCT account_id), sum(version) FROM silver.accounts";
    assert_eq!(session.text(whole), format!("{rows}|{rows}|{}", rounds * (rounds + 1) / 2));
    println!("\n| rows | update | idle MiB | peak MiB | above idle MiB | refresh ms | rows read |");
    println!("|---|---|---|---|---|---|---|");
    let (first, later) = updates.split_first().unwrap();
    report(rows, "the first after a start", &[first]);
    report(rows, &format!("{} more: the most, medians", later.len()), &later.iter().collect::<Vec<_>>());
}

fn project(warehouse: &Warehouse) {
    warehouse.write(
        "catalog/accounts.sql",
        format!(
            "CREATE SOURCE bronze.accounts (account_id BIGINT, version BIGINT, owner STRING, opened DATE, balance \
             DECIMAL(18,2))\n{}",
            parquet_source("accounts")
        ),
    );
    warehouse.write(
        "sql/silver/accounts.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.accounts\n\
         FLOW AUTO CDC FROM STREAM bronze.accounts KEYS (account_id) SEQUENCE BY version STORED AS SCD TYPE 1;\n",
    );
}

/// Fills the table, piece by piece, and stops the server that did.
fn load(warehouse: &Warehouse, rows: i64) {
    let started = Instant::now();
    let server = warehouse.serve();
    let session = server.connect();
    for from in (0..rows).step_by(PIECE as usize) {
        let to = (from + PIECE).min(rows);
        write_parquet(warehouse, &format!("accounts/base-{from:09}"), &accounts(from..to, 0));
        wait_for_rows(&session, to);
    }
    support::wait_until_idle(&server);
    println!(
        "{rows} rows loaded in {:.0} s, {:.0} MiB at most",
        started.elapsed().as_secs_f64(),
        usage::of(server.pid()).peak_mib
    );
    drop(session);
    assert_eq!(server.terminate().0.code(), Some(0));
}

fn wait_for_rows(session: &Pg, rows: i64) {
    support::harness::until(&format!("{rows} rows"), LOADED, || {
        let there: i64 = session.text("SELECT count(*) FROM silver.accounts").parse().unwrap();
        if there >= rows { Ok(()) } else { Err(format!("{there} rows")) }
    });
}

/// Changes one row and waits until it stands in the table, by what is known without looking into the table.
fn update(warehouse: &Warehouse, server: &Server, session: &Pg, account: i64, round: i64) -> Update {
    let last = "SELECT epoch, seconds, rows_read FROM sluice.refreshes WHERE model = 'silver.accounts' \
                ORDER BY at DESC LIMIT 1";
    let before = session.text(last);
    let idle_mib = usage::of(server.pid()).resident_mib;
    usage::forget_peak(server.pid());
    write_parquet(warehouse, &format!("accounts/round-{round:03}"), &accounts([account], round));
    let told = support::harness::until("the update", LOADED, || {
        Some(session.text(last)).filter(|told| *told != before).ok_or_else(|| before.clone())
    });
    let peak_mib = usage::of(server.pid()).peak_mib;
    let stands = format!("SELECT version FROM silver.accounts WHERE account_id = {}", key(account));
    assert_eq!(session.text(&stands), round.to_string());
    let cells: Vec<&str> = told.split('|').collect();
    Update { idle_mib, peak_mib, seconds: cells[1].parse().unwrap(), rows_read: cells[2].to_string() }
}

fn report(rows: i64, what: &str, updates: &[&Update]) {
    if updates.is_empty() {
        return;
    }
    let above = |update: &&&Update| update.peak_mib - update.idle_mib;
    let most = updates.iter().max_by(|a, b| above(a).total_cmp(&above(b))).unwrap();
    println!(
        "| {rows} | {what} | {:.0} | {:.0} | {:.0} | {:.1} | {} |",
        most.idle_mib,
        most.peak_mib,
        most.peak_mib - most.idle_mib,
        median(updates.iter().map(|update| update.seconds * 1000.0).collect()),
        most.rows_read
    );
}

/// The key of a row.
fn key(number: i64) -> i64 {
    if support::number("BENCH_ORDERED", 0) == 1 { number } else { (scattered(number) >> 1) as i64 }
}

fn accounts(numbers: impl IntoIterator<Item = i64>, version: i64) -> RecordBatch {
    let numbers: Vec<i64> = numbers.into_iter().collect();
    let owners = numbers.iter().map(|number| format!("owner {:012x}", scattered(*number) >> 16));
    let opened =
        numbers.iter().map(|number| 10_957 + i32::try_from((scattered(*number) >> 20) % 9_000).unwrap());
    let balances = numbers.iter().map(|number| i128::from(scattered(*number) >> 40) + i128::from(version));
    let columns: [(&str, ArrayRef); 5] = [
        ("version", Arc::new(Int64Array::from(vec![version; numbers.len()]))),
        ("owner", Arc::new(StringArray::from_iter_values(owners))),
        ("opened", Arc::new(Date32Array::from_iter_values(opened))),
        (
            "balance",
            Arc::new(Decimal128Array::from_iter_values(balances).with_precision_and_scale(18, 2).unwrap()),
        ),
        ("account_id", Arc::new(Int64Array::from_iter_values(numbers.into_iter().map(key)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
