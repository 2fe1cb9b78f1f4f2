//! How fast a backlog in a broker becomes committed bronze.
//!
//! 5 M events of 308 bytes in 4 partitions are produced first; then the server starts on an empty warehouse and the
//! clock runs from its ready file until readers see all of them. `BENCH_EVENTS` and `BENCH_RUNS` change the size. Where
//! `.ci/fetch-spark` has been run, Spark Structured Streaming then drains the same topic into Delta.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::harness::cache::cache;
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
    let runs: Vec<Drained> = (1..=runs).map(|run| drain(&broker, count, run)).collect();
    let rate = median(runs.iter().map(|run| run.rate).collect());
    let per_cpu = median(runs.iter().map(|run| run.per_cpu_second).collect());
    println!("\nmedian: {rate:.0} events/s, {per_cpu:.0} events per CPU second");
    if let Some(spark) = spark(&broker, count) {
        println!("per CPU second Sluice takes {:.1} times as many as Spark", per_cpu / spark);
    }
}

/// What one drain reached, in events.
struct Drained {
    rate: f64,
    per_cpu_second: f64,
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

fn drain(broker: &Broker, count: u64, run: u64) -> Drained {
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
    let drained = Drained { rate: count as f64 / seconds, per_cpu_second: count as f64 / cpu };
    println!(
        "| {run} | {count} | {seconds:.1} | {:.0} | {:.0} | {cpu:.1} | {:.0} | {:.0} |",
        drained.rate,
        drained.rate * events::EVENT_BYTES as f64 / 1e6,
        drained.per_cpu_second,
        after.peak_mib
    );
    // Every event once: a fast wrong answer is no answer.
    let sum = count * (count - 1) / 2;
    assert_eq!(
        session.text("SELECT count(*), sum(seq), count(DISTINCT seq) FROM bronze.events"),
        format!("{count}|{sum}|{count}")
    );
    drained
}

/// Events per CPU second of Spark Structured Streaming over the same topic, warm.
fn spark(broker: &Broker, count: u64) -> Option<f64> {
    let python = cache().join("spark/bin/python");
    if !python.exists() {
        println!("Spark: not measured, run .ci/fetch-spark once");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/spark_ingest.py"))
        .arg(broker.plain_address())
        .args(["events", &count.to_string()])
        .arg(folder.path())
        // Spark leaves folders where it runs.
        .current_dir(folder.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "Spark failed: {}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    let result: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let figure = |name: &str| result[name].as_f64().unwrap();
    let per_cpu = figure("events") / figure("cpu_seconds");
    println!(
        "Spark {}, warm: {:.0} events/s, {per_cpu:.0} events per CPU second, peak {:.0} MiB",
        result["spark"].as_str().unwrap(),
        figure("events") / figure("seconds"),
        figure("peak_mib")
    );
    Some(per_cpu)
}
