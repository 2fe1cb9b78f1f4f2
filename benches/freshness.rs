//! How long an event takes from the producer's call to the gold row that a client sees.
//!
//! 1 M events lie behind (topic, bronze, silver, gold); then 10,000 a second come for a minute, and a client asks gold
//! over the PostgreSQL protocol without a pause. Sizes: `BENCH_BEHIND`, `BENCH_RATE`, `BENCH_SECONDS`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use support::{Server, Warehouse, events, ms, number, percentile, usage};

/// Every so many milliseconds the producer notes which event it has just sent.
const TICK: Duration = Duration::from_millis(10);
/// The stream warms caches before figures are taken.
const WARM_UP: Duration = Duration::from_secs(5);
/// All of what lies behind must be in gold within this.
const BEHIND_DEADLINE: Duration = Duration::from_secs(600);
/// After the last event gold must have everything within this.
const LAST_DEADLINE: Duration = Duration::from_secs(60);
/// Pause between two questions.
const ASK_EVERY: Duration = Duration::from_millis(5);

fn main() {
    let behind = number("BENCH_BEHIND", 1_000_000);
    let rate = number("BENCH_RATE", 10_000);
    let seconds = number("BENCH_SECONDS", 60);
    support::announce("freshness");
    let broker = support::broker();
    broker.create_topic("events", 4, &[]);
    let producer = support::producer(&broker);
    let mut event = Vec::new();
    let mut send = |seq: u64| {
        events::write(seq, &mut event);
        producer.send("events", (seq % 4) as i32, &event);
    };
    (0..behind).for_each(&mut send);
    producer.flush();

    let warehouse = support::warehouse(&broker);
    project(&warehouse);
    let server = warehouse.serve();
    server.wait_until_within("SELECT sum(events) FROM gold.by_store", &behind.to_string(), BEHIND_DEADLINE);

    let before = usage::of(server.pid());
    let (sent, to_see) = channel();
    let total = behind + rate * (seconds + WARM_UP.as_secs());
    let watched = thread::scope(|scope| {
        let server = &server;
        let watching = scope.spawn(move || watch(server, &to_see, total));
        let start = Instant::now();
        let a_tick = rate / (1000 / TICK.as_millis() as u64);
        for (tick, first) in (behind..total).step_by(a_tick as usize).enumerate() {
            let due = start + TICK * tick as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let called = Instant::now();
            let end = (first + a_tick).min(total);
            (first..end).for_each(&mut send);
            // Gold has counted this event when it counts `first + 1`; it was sent first of its tick.
            sent.send((first + 1, called)).unwrap();
        }
        producer.flush();
        drop(sent);
        watching.join().unwrap()
    });
    let after = usage::of(server.pid());
    report(watched, rate, behind, after.cpu - before.cpu, after.peak_mib);
}

fn project(warehouse: &Warehouse) {
    warehouse.write("catalog/events.sql", events::source());
    warehouse.write(
        "sql/silver/events.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.events AS\n\
         SELECT seq, event_time, store_id, product_id, quantity, quantity * price AS revenue\n\
         FROM STREAM bronze.events WHERE store_id IS NOT NULL;\n",
    );
    warehouse.write(
        "sql/gold/by_store.sql",
        "CREATE MATERIALIZED VIEW gold.by_store AS\n\
         SELECT store_id, count(*) AS events, sum(quantity) AS quantity, sum(revenue) AS revenue\n\
         FROM silver.events GROUP BY store_id;\n",
    );
}

/// For each noted event: when it was sent, and how long until gold had counted as many as had been sent with it.
fn watch(server: &Server, sent: &Receiver<(u64, Instant)>, total: u64) -> Vec<(Instant, Duration)> {
    let session = server.connect();
    let mut waiting: VecDeque<(u64, Instant)> = VecDeque::new();
    let mut seen = Vec::new();
    let mut last_news = Instant::now();
    loop {
        waiting.extend(sent.try_iter());
        let counted: u64 = session.text("SELECT sum(events) FROM gold.by_store").parse().unwrap();
        let now = Instant::now();
        while let Some(&(count, called)) = waiting.front()
            && count <= counted
        {
            waiting.pop_front();
            seen.push((called, now - called));
            last_news = now;
        }
        if counted == total {
            return seen;
        }
        assert!(last_news.elapsed() < LAST_DEADLINE, "stuck at {counted} of {total}:\n{}", server.log());
        thread::sleep(ASK_EVERY);
    }
}

fn report(watched: Vec<(Instant, Duration)>, rate: u64, behind: u64, cpu: Duration, peak_mib: f64) {
    let start = watched.iter().map(|(called, _)| *called).min().unwrap();
    let mut took: Vec<Duration> =
        watched.iter().filter(|(called, _)| *called - start >= WARM_UP).map(|(_, took)| *took).collect();
    took.sort();
    let [p50, p95, p99, most] = [50.0, 95.0, 99.0, 100.0].map(|percent| ms(percentile(&took, percent)));
    println!("\n| events/s | rows behind | samples | p50 ms | p95 ms | p99 ms | max ms | CPU s | peak MiB |");
    println!("|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {rate} | {behind} | {} | {p50} | {p95} | {p99} | {most} | {:.1} | {peak_mib:.0} |",
        took.len(),
        cpu.as_secs_f64()
    );
}
