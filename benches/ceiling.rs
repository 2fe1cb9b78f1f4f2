//! What parsing and writing alone cost: the ceiling for ingest.
//!
//! The decoder and the table writer that the server uses, on one thread, without broker, queues and commits; `_raw` is
//! written as the server does. `BENCH_EVENTS` changes the size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use sluice::ingest::decode::{Record, RecordBuffer};
use sluice::lake::{Effort, Lake, TableDefinition, TableKind, conform};
use sluice::sql::table_schema;
use sluice::sql::{Definition, SourceDefinition, parse_file};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use support::{events, median, number};

/// Events decoded together and events in one file: about what the server does under load.
const BATCH: u64 = 16_384;
const BATCHES_A_FILE: u64 = 6;
const RUNS: u64 = 5;

fn main() {
    support::announce("ceiling");
    let count = number("BENCH_EVENTS", 1_000_000);
    println!("\n| run | parse s | parse and write s | events/s on one core |");
    println!("|---|---|---|---|");
    let rates: Vec<f64> = (1..=RUNS).map(|run| parse_and_write(count, run)).collect();
    println!("\nmedian: {:.0} events/s on one core", median(rates));
}

fn source() -> SourceDefinition {
    let parsed = parse_file(Path::new("catalog/events.sql"), &events::source()).unwrap();
    match parsed.into_iter().next() {
        Some(Definition::Source(source)) => source,
        other => panic!("not a source: {other:?}"),
    }
}

fn parse_and_write(count: u64, run: u64) -> f64 {
    let source = source();
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path()).unwrap();
    let definition = TableDefinition {
        schema: table_schema(&source),
        partition_columns: Vec::new(),
        kind: TableKind::AppendOnly,
        properties: BTreeMap::new(),
    };
    let table = lake.ensure(&source.name, &definition).unwrap();
    // Made before the clock runs.
    let mut payloads = vec![Vec::new(); count as usize];
    for (seq, payload) in (0..).zip(&mut payloads) {
        events::write(seq, payload);
    }

    let mut buffer = RecordBuffer::new(&source).unwrap();
    let (mut parsing, start) = (0.0, Instant::now());
    for file in payloads.chunks((BATCH * BATCHES_A_FILE) as usize) {
        let mut writer = table.writer(Effort::Fast).unwrap();
        let schema = writer.schema().clone();
        for batch in file.chunks(BATCH as usize) {
            let parse = Instant::now();
            for (offset, payload) in (0..).zip(batch) {
                buffer.push(&Record {
                    payload,
                    source: "events",
                    partition: "0",
                    offset,
                    key: None,
                    timestamp_us: None,
                    headers: &[],
                });
            }
            let decoded = buffer.finish().unwrap();
            parsing += parse.elapsed().as_secs_f64();
            assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected.first());
            writer.write(&conform(table.name(), &decoded.rows, &schema).unwrap()).unwrap();
        }
        writer.finish().unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("| {run} | {parsing:.2} | {seconds:.2} | {:.0} |", count as f64 / seconds);
    count as f64 / seconds
}
