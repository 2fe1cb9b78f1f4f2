//! How soon an existing warehouse answers, and what it holds while idle.
//!
//! The repository's own project runs until its figures are there, is stopped, and is started again and again on its data.
//! `BENCH_RUNS` changes how often.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::thread;
use std::time::{Duration, Instant};
use support::{Server, Warehouse, ms, number, percentile, usage};

/// What is asked first: a gold table.
const QUESTION: &str = "SELECT count(*) > 0 FROM gold.agg_daily_sales";
/// The first start fills every table.
const FILLED: Duration = Duration::from_secs(300);
/// How long a server has been left alone when its memory is read.
const IDLE: Duration = Duration::from_secs(10);

fn main() {
    support::announce("start");
    let runs = number("BENCH_RUNS", 10);
    let warehouse = Warehouse::new();
    let repository = env!("CARGO_MANIFEST_DIR");
    let flags = ["--project", repository, "--demo"];
    let server = Server::start(&warehouse, &flags);
    server.wait_until_within(QUESTION, "t", FILLED);
    assert_eq!(server.terminate().0.code(), Some(0));

    let (mut ready, mut answered, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let start = Instant::now();
        let server = Server::start(&warehouse, &flags);
        ready.push(server.ready_after);
        assert_eq!(server.query(QUESTION), "t");
        answered.push(start.elapsed());
        thread::sleep(IDLE);
        idle.push(usage::of(server.pid()).resident_mib);
        assert_eq!(server.terminate().0.code(), Some(0));
    }
    ready.sort();
    answered.sort();
    println!(
        "\n| starts | ready p50 ms | first answer p50 ms | first answer max ms | memory after {IDLE:?} MiB |"
    );
    println!("|---|---|---|---|---|");
    println!(
        "| {runs} | {} | {} | {} | {:.0} |",
        ms(percentile(&ready, 50.0)),
        ms(percentile(&answered, 50.0)),
        ms(percentile(&answered, 100.0)),
        support::median(idle)
    );
}
