//! How fast a large result leaves the server over one connection, beside PostgreSQL with the same rows on the same machine.
//!
//! 3 million rows of ten columns of mixed types are read by a client that only drains, in text, in binary and by COPY, in
//! turns with PostgreSQL, all of whose rows are in its cache. `BENCH_ROWS` and `BENCH_ROUNDS` change the size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::time::Duration;
use support::wide::{ROWS, filled};
use support::wire::{Drained, Mode, Wire};
use support::{Warehouse, median, ms, number, usage};

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
