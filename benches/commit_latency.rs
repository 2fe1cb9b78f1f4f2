//! What a small commit costs as a table ages: synced parquet and synced log entry together.
//!
//! 10,000 appends of 1,000 rows to one table, through the server's own commit path. `BENCH_COMMITS` changes the number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use sluice::lake::{Commit, Effort, Lake, TableDefinition, TableKind, TableName, UpkeepSettings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{ms, number, percentile};

/// Rows of one commit.
const ROWS: i64 = 1000;
/// Commits over which a percentile is taken.
const WINDOW: usize = 100;
/// Commits between two rounds of upkeep, which runs beside ingest in the server and here outside the clock.
const UPKEEP_EVERY: usize = 100;

fn main() {
    support::announce("commit_latency");
    let commits = number("BENCH_COMMITS", 10_000) as usize;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("\n| upkeep | commits so far | files | p50 ms | p99 ms | p50 against the first {WINDOW} |");
    println!("|---|---|---|---|---|---|");
    for upkeep in [false, true] {
        runtime.block_on(age(commits, upkeep));
    }
}

async fn age(commits: usize, upkeep: bool) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path()).unwrap();
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
    ]));
    let definition = TableDefinition {
        schema: Arc::clone(&schema),
        partition_columns: Vec::new(),
        kind: TableKind::AppendOnly,
        properties: BTreeMap::new(),
    };
    let table = lake.ensure(&TableName::new("bronze", "aging"), &definition).unwrap();
    let mut took: Vec<Duration> = Vec::with_capacity(commits);
    let mut first = None;
    for number in 0..commits {
        let from = number as i64 * ROWS;
        let ids = Int64Array::from_iter_values(from..from + ROWS);
        let texts = StringArray::from_iter_values((from..from + ROWS).map(|id| format!("event {id}")));
        let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(texts)]).unwrap();
        let start = Instant::now();
        let mut writer = table.writer(Effort::Fast).unwrap();
        writer.write(&rows).unwrap();
        let adds = writer.finish().unwrap();
        let transactions = vec![("batch".to_string(), number as i64)];
        table.commit(Commit::append(adds, transactions)).await.unwrap();
        took.push(start.elapsed());
        if upkeep && (number + 1) % UPKEEP_EVERY == 0 {
            let floor = table.snapshot().version;
            table.tidy(floor, UpkeepSettings::default()).await.unwrap();
        }
        let age = number + 1;
        if age == WINDOW || (age >= 1000 && age.is_multiple_of(commits.div_ceil(4))) || age == commits {
            let mut window = took[took.len().saturating_sub(WINDOW)..].to_vec();
            window.sort();
            let p50 = percentile(&window, 50.0);
            let base = *first.get_or_insert(p50);
            println!(
                "| {} | {age} | {} | {} | {} | {:.2}x |",
                if upkeep { "yes" } else { "no" },
                table.snapshot().files.len(),
                ms(p50),
                ms(percentile(&window, 99.0)),
                p50.as_secs_f64() / base.as_secs_f64()
            );
        }
    }
    let rows = table.snapshot().rows();
    assert_eq!(rows, Some(commits as u64 * ROWS as u64), "every row once");
}
