//! How fast a backlog in a broker becomes committed bronze.
//!
//! 5 M events of 308 bytes in 4 partitions are produced first; then the server starts on an empty warehouse and the
//! clock runs from its ready file until readers see all of them. `BENCH_EVENTS` and `BENCH_RUNS` change the size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::thread;
use std::time::{Duration, Instant};
use support::{Broker, events, median, number, usage};

/// Partitions of the topic.
const PARTITIONS: u64 = 4;
/// How often the count is asked for. Asking costs the server as well.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// When a run counts as stuck: nothing new for so long.
const STUCK_AFTER: Duration = Duration::from_secs(60);

fn main() {
    let count = number("BENCH_EVENTS", 5_000_000);
    let runs = number("BENCH_RUNS", 3);
    support::announce("ingest");
    let broker = support::broker();
    fill(&broker, count);
    println!("\n| run | events | seconds | events/s | MB/s | CPU s | events/CPU s | peak MiB |");
    println!("|---|---|---|---|---|---|---|---|");
    let rates: Vec<f64> = (1..=runs).map(|run| drain(&broker, count, run)).collect();
    println!("\nmedian: {:.0} events/s", median(rates));
}

fn fill(broker: &Broker, count: u64) {
    broker.create_topic(
        "events",
        PARTITIONS as i32,
        &[("retention.ms", "-1"), ("segment.bytes", "268435456")],
    );
    let start = Instant::now();
    let producer = support::producer(broker);
    let mut event = Vec::new();
    for seq in 0..count {
        events::write(seq, &mut event);
        producer.send("events", (seq % PARTITIONS) as i32, &event);
    }
    producer.flush();
    println!("{count} events produced in {:.1} s", start.elapsed().as_secs_f64());
}

fn drain(broker: &Broker, count: u64, run: u64) -> f64 {
    let warehouse = support::warehouse(broker);
    warehouse.write("catalog/events.sql", events::source());
    let server = warehouse.serve();
    let start = Instant::now();
    let before = usage::of(server.pid());
    let session = server.connect();
    let (mut seen, mut moved) = (0, start);
    while seen < count {
        thread::sleep(ASK_EVERY);
        let now: u64 = session.text("SELECT count(*) FROM bronze.events").parse().unwrap();
        if now > seen {
            (seen, moved) = (now, Instant::now());
        }
        assert!(moved.elapsed() < STUCK_AFTER, "stuck at {seen} of {count}; it said:\n{}", server.log());
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = usage::of(server.pid());
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    let rate = count as f64 / seconds;
    println!(
        "| {run} | {count} | {seconds:.1} | {rate:.0} | {:.0} | {cpu:.1} | {:.0} | {:.0} |",
        rate * events::EVENT_BYTES as f64 / 1e6,
        count as f64 / cpu,
        after.peak_mib
    );
    // Every event once: a fast wrong answer is no answer.
    let sum = count * (count - 1) / 2;
    assert_eq!(
        session.text("SELECT count(*), sum(seq), count(DISTINCT seq) FROM bronze.events"),
        format!("{count}|{sum}|{count}")
    );
    rate
}
