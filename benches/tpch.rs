//! What it costs to keep TPC-H's 22 queries and the 13 of the star schema benchmark as views while orders and lines come,
//! go and change, and rows of dimensions change; beside it our own full answer and DuckDB's recompute and write.
//!
//! Each table is a change feed (`FLOW AUTO CDC`) from parquet files. All are on a schedule that never comes: each is asked
//! to refresh while all else is at rest, so that the time and the CPU time are those of one refresh, as DuckDB's are those
//! of one query. After each change every view is compared with its query. Beside the rows that a refresh reads stand those
//! that have changed and those that join with them by key: one that reads more than [`READ_MAX`] times as many counts as
//! full, whatever it is called. `BENCH_SCALE` is the scale factor, `BENCH_QUERIES` (comma between: `tpch.q01,ssb.q41`)
//! measures a few only, `BENCH_POLICY=INCREMENTAL` leaves the clock no choice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

#[path = "../src/refresh/benchmark_tests/columns.rs"]
mod columns;
#[path = "support/partners.rs"]
mod partners;
#[path = "../src/refresh/benchmark_tests/ssb.rs"]
mod ssb;
#[path = "../src/refresh/benchmark_tests/stream.rs"]
mod stream;
mod support;
#[path = "../src/refresh/benchmark_tests/tpch.rs"]
mod tpch;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema};
use parquet::arrow::ArrowWriter;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::{Change, Rows, Stream};
use support::harness::Pg;
use support::{Server, Warehouse, usage};

/// What was written must be in bronze within this.
const ARRIVED: Duration = Duration::from_secs(3600);
/// Which rows change and what they become.
const SEED: u64 = 1;

/// Rows that an incremental refresh may read for each that has changed or joins with one.
const READ_MAX: f64 = 20.0;

/// A benchmark's name, which is the schema of its tables; its queries; its tables of dimensions.
struct Benchmark {
    schema: &'static str,
    queries: Vec<(&'static str, String)>,
    facts: &'static [&'static str],
    dimensions: &'static [&'static str],
    keys: &'static [partners::ForeignKey],
}

/// A change that is measured.
#[derive(Clone, Copy)]
enum Round {
    /// This share of the orders: of four, one comes, one goes, two have a line that changes.
    Facts(f64),
    /// This share of each dimension's rows.
    Dimensions(f64),
}

const ROUNDS: [(&str, Round); 3] = [
    ("facts 0.1 %", Round::Facts(0.001)),
    ("facts 1 %", Round::Facts(0.01)),
    ("dims 0.1 %", Round::Dimensions(0.001)),
];

fn main() {
    support::announce("tpch");
    let scale: f64 = std::env::var("BENCH_SCALE").map_or(0.1, |text| text.parse().unwrap());
    let wanted = std::env::var("BENCH_QUERIES").unwrap_or_default();
    let wanted: HashSet<&str> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let queries = |schema: &str, all: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
        let is_wanted =
            |name: &str| wanted.is_empty() || wanted.contains(format!("{schema}.{name}").as_str());
        let all = all.iter().filter(|(name, _)| is_wanted(name));
        all.map(|(name, text)| (*name, at_scale(name, text, scale))).collect()
    };
    println!("scale {scale}; SF 1 has 6 M lines");
    let benchmarks = [
        Benchmark {
            schema: "tpch",
            queries: queries("tpch", tpch::QUERIES),
            facts: &["lineitem"],
            dimensions: &["customer", "part", "supplier"],
            keys: partners::TPCH,
        },
        Benchmark {
            schema: "ssb",
            queries: queries("ssb", ssb::QUERIES),
            facts: &["lineorder"],
            dimensions: &["customer", "part", "supplier"],
            keys: partners::SSB,
        },
    ];
    for benchmark in benchmarks.iter().filter(|benchmark| !benchmark.queries.is_empty()) {
        let stream = match benchmark.schema {
            "tpch" => tpch::stream(scale, SEED),
            _ => ssb::stream(scale, SEED),
        };
        measure(benchmark, stream);
    }
}

/// The one parameter that the specification makes smaller with the scale.
fn at_scale(name: &str, text: &str, scale: f64) -> String {
    match name {
        "q11" => text.replace("0.0001", &format!("{:.10}", 0.0001 / scale)),
        _ => text.to_string(),
    }
}

fn measure(benchmark: &Benchmark, mut stream: Stream) {
    let warehouse = Warehouse::new();
    let mut files = Files::new(benchmark, &warehouse);
    for table in &stream.tables {
        files.write(table, &[(stream.base(table), "I")]);
    }
    let duckdb = duckdb(benchmark, &warehouse);
    let server = warehouse.serve();
    let session = server.connect();
    arrive(&server, &session, &files);
    for (name, _) in &benchmark.queries {
        session.text(&format!("REFRESH TABLE gold.{}_{name}", benchmark.schema));
    }
    println!(
        "\n{}: {} rows in {} tables",
        benchmark.schema,
        files.rows.values().sum::<usize>(),
        files.rows.len()
    );
    operators(&session, benchmark);
    println!("\nms, CPU ms in brackets; changed rows count as they were and as they are\n");
    println!(
        "| view | change | mode | changed | partners | read | for each | written | refresh | our query | \
         DuckDB, own tables | / refresh | DuckDB, parquet | / refresh | how |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    // What refreshes look up is indexed by the first of them.
    let firsts = [("(first)", Round::Facts(0.001)), ("(first)", Round::Dimensions(0.001))];
    for (label, round) in firsts.into_iter().chain(ROUNDS) {
        let changes = changes(benchmark, &mut stream, round);
        for change in &changes {
            let table = stream.tables.iter().find(|table| table.name == change.table).unwrap();
            files.write(table, &parts(table, change));
        }
        arrive(&server, &session, &files);
        support::wait_until_idle(&server);
        // One soon after the other, as in a wave: what has changed is still in memory then.
        let refreshed = benchmark.queries.iter().map(|(name, _)| refresh(&server, &session, benchmark, name));
        let refreshed: Vec<Refreshed> = refreshed.collect();
        let mut incremental = 0;
        for ((name, query), refreshed) in benchmark.queries.iter().zip(refreshed) {
            let moved = partners::of_changes(&stream.tables, benchmark.keys, &changes, query);
            let peer = duckdb.get(*name);
            incremental +=
                usize::from(report(&session, benchmark, (name, query), label, refreshed, moved, peer));
        }
        println!("{label}: {incremental} of {} incremental\n", benchmark.queries.len());
    }
}

/// Shows which operators each view is made of, and which of them have no rule.
fn operators(session: &Pg, benchmark: &Benchmark) {
    println!("\n| view | operators | without a rule |\n|---|---|---|");
    for (name, query) in &benchmark.queries {
        let view = format!("{}_{name}", benchmark.schema);
        let explained =
            session.text(&format!("EXPLAIN CREATE OR REPLACE MATERIALIZED VIEW gold.{view} AS {query}"));
        let (mut all, mut recomputed) = (BTreeMap::<String, usize>::new(), Vec::new());
        for line in explained.lines() {
            let line = line.trim_start().trim_start_matches("->").trim_start();
            let Some((shown, mode)) = line.rsplit_once("  (") else { continue };
            let kinds =
                ["Scan", "Filter", "Join", "Aggregate", "Distinct", "Window", "Union", "Sort", "Limit"];
            let Some(kind) = shown.split([' ', ':']).find(|word| kinds.contains(word)) else { continue };
            let kind = shown.split(kind).next().unwrap_or_default().to_string() + kind;
            if mode.contains("recomputed") {
                recomputed.push(kind.clone());
            }
            *all.entry(kind).or_default() += 1;
        }
        let all: Vec<String> = all.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let recomputed = if recomputed.is_empty() { "none".to_string() } else { recomputed.join(", ") };
        println!("| {}.{name} | {} | {recomputed} |", benchmark.schema, all.join(", "));
    }
}

fn changes(benchmark: &Benchmark, stream: &mut Stream, round: Round) -> Vec<Change> {
    // A count of rows, at least one.
    let part = |rows: usize, share: f64| ((rows as f64 * share).round() as usize).max(1);
    match round {
        Round::Facts(share) => {
            let quarter = part(stream.order_count(), share / 4.0);
            let mut changes = stream.insert_orders(quarter);
            changes.extend(stream.delete_orders(quarter));
            changes.extend(benchmark.facts.iter().map(|table| stream.update(table, 2 * quarter)));
            changes
        }
        Round::Dimensions(share) => {
            let rows = |stream: &Stream, name: &str| {
                stream.tables.iter().find(|table| table.name == name).unwrap().all.num_rows()
            };
            let dimensions = benchmark.dimensions.iter();
            dimensions.map(|name| stream.update(name, part(rows(stream, name), share))).collect()
        }
    }
}

/// What something took: on the clock, and of the processors.
#[derive(Clone, Copy)]
struct Took {
    ms: f64,
    cpu_ms: f64,
}

/// What a query takes DuckDB over tables of its own, and over parquet files.
struct Peer {
    tables: Took,
    files: Took,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1})", self.ms, self.cpu_ms)
    }
}

/// What a refresh took, and what it said of itself.
struct Refreshed {
    cpu_ms: f64,
    /// Mode, rows read, rows written, seconds, reason.
    said: String,
}

/// Refreshes a view alone.
fn refresh(server: &Server, session: &Pg, benchmark: &Benchmark, name: &str) -> Refreshed {
    let view = format!("{}_{name}", benchmark.schema);
    let idle = usage::threads_asleep(server.pid());
    session.text(&format!("REFRESH TABLE gold.{view}"));
    let cpu = usage::threads_asleep(server.pid()).since(&idle);
    let said = session.text(&format!(
        "SELECT mode, rows_read, rows_inserted + rows_deleted, seconds, reason FROM sluice.refreshes \
         WHERE model = 'gold.{view}' ORDER BY at DESC LIMIT 1"
    ));
    Refreshed { cpu_ms: cpu.as_secs_f64() * 1000.0, said }
}

/// Shows a refresh in a line of the table: true when it was incremental; panics when the view is not its query's answer.
/// `moved` are the rows that have changed, and their partners.
fn report(
    session: &Pg,
    benchmark: &Benchmark,
    (name, query): (&str, &str),
    change: &str,
    Refreshed { cpu_ms, said }: Refreshed,
    moved: (usize, usize),
    duckdb: Option<&Peer>,
) -> bool {
    let view = format!("{}_{name}", benchmark.schema);
    let cells: Vec<&str> = said.splitn(5, '|').collect();
    let [mode, read, written, seconds, how] = cells[..] else { panic!("{said}") };
    let refresh = Took { ms: seconds.parse::<f64>().unwrap() * 1000.0, cpu_ms };
    let started = Instant::now();
    session.text(query);
    let spent = started.elapsed();
    // A reader's average has more digits than a stored one: the server compares what it stores.
    let verified = session.text(&format!("VERIFY MATERIALIZED VIEW gold.{view}"));
    assert!(verified.contains("|equal|"), "gold.{view} is not its query's answer after {change}: {verified}");
    let beside = |peer: fn(&Peer) -> Took| match duckdb.map(peer) {
        Some(took) => format!("{took} | {:.1}x ({:.1}x)", took.ms / refresh.ms, took.cpu_ms / refresh.cpu_ms),
        None => "- | -".to_string(),
    };
    let (changed, partners) = moved;
    let for_each = read.parse::<f64>().unwrap() / (changed + partners).max(1) as f64;
    println!(
        "| {}.{name} | {change} | {mode} | {changed} | {partners} | {read} | {for_each:.1} | {written} | {refresh} | {} | {} | {} | {how} |",
        benchmark.schema,
        support::ms(spent),
        beside(|peer| peer.tables),
        beside(|peer| peer.files),
    );
    changed == 0 || mode != "recompute" && for_each <= READ_MAX
}

/// Waits until all that was written is in bronze, and refreshes the tables from it.
fn arrive(server: &Server, session: &Pg, files: &Files<'_>) {
    for (table, rows) in &files.rows {
        let question = format!("SELECT count(*) FROM bronze.{table}");
        server.wait_until_within(&question, &rows.to_string(), ARRIVED);
        session.text(&format!("REFRESH TABLE {}.{table}", files.schema));
    }
}

/// The files that tables are fed from.
struct Files<'a> {
    warehouse: &'a Warehouse,
    schema: &'static str,
    /// Rows written for each table.
    rows: BTreeMap<&'static str, usize>,
    sequence: i64,
}

impl<'a> Files<'a> {
    fn new(benchmark: &Benchmark, warehouse: &'a Warehouse) -> Self {
        let policy = std::env::var("BENCH_POLICY")
            .map_or(String::new(), |policy| format!("REFRESH POLICY {policy}\n"));
        for (name, query) in &benchmark.queries {
            let view = format!("{}_{name}", benchmark.schema);
            let definition = format!(
                "CREATE MATERIALIZED VIEW gold.{view}\n{policy}SCHEDULE EVERY 24 HOURS\nAS {query};\n"
            );
            warehouse.write(&format!("sql/gold/{view}.sql"), definition);
        }
        Self { warehouse, schema: benchmark.schema, rows: BTreeMap::new(), sequence: 0 }
    }

    /// Writes a file of changes: rows, and whether each is inserted, updated or deleted.
    fn write(&mut self, table: &Rows, parts: &[(RecordBatch, &str)]) {
        if !self.rows.contains_key(table.name) {
            declare(self.warehouse, self.schema, table);
        }
        self.sequence += 1;
        let parts: Vec<RecordBatch> = parts
            .iter()
            .map(|(rows, operation)| {
                let count = rows.num_rows();
                let columns = rows.schema_ref().fields().iter().zip(rows.columns());
                let mut columns: Vec<(&str, ArrayRef)> =
                    columns.map(|(field, column)| (field.name().as_str(), Arc::clone(column))).collect();
                columns.push(("op", Arc::new(StringArray::from(vec![*operation; count]))));
                columns.push(("seq", Arc::new(Int64Array::from(vec![self.sequence; count]))));
                RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
                    .unwrap()
            })
            .collect();
        let batch = concat_batches(&parts[0].schema(), &parts).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let path = format!("input/{}/{:04}.parquet", table.name, self.sequence);
        self.warehouse.write(&path, writer.into_inner().unwrap());
        *self.rows.entry(table.name).or_default() += batch.num_rows();
    }
}

/// A change as rows of a feed: of those that go for good, the keys.
fn parts<'a>(table: &Rows, change: &Change) -> Vec<(RecordBatch, &'a str)> {
    let mut parts = Vec::new();
    let come = change.rows.as_ref().map(|rows| stream::keys(rows, change.key)).unwrap_or_default();
    let mut gone: Vec<&Vec<i64>> = change.gone.difference(&come).collect();
    gone.sort_unstable();
    if !gone.is_empty() {
        let columns = table.all.schema_ref().fields().iter().map(|field| -> ArrayRef {
            match change.key.iter().position(|key| key == field.name()) {
                Some(at) => {
                    let keys = Int64Array::from_iter_values(gone.iter().map(|key| key[at]));
                    arrow::compute::cast(&keys, field.data_type()).unwrap()
                }
                None => new_null_array(field.data_type(), gone.len()),
            }
        });
        parts.push((RecordBatch::try_new(table.all.schema(), columns.collect()).unwrap(), "D"));
    }
    parts.extend(change.rows.iter().map(|rows| (rows.clone(), "U")));
    parts
}

/// A source of changes, and the table that keeps the newest row of each key.
fn declare(warehouse: &Warehouse, schema: &str, table: &Rows) {
    let name = table.name;
    let columns = columns_of(table.all.schema_ref());
    warehouse.write(
        &format!("catalog/{name}.sql"),
        format!(
            "CREATE SOURCE bronze.{name} ({columns}, op STRING, seq BIGINT)\n\
             WITH (connector = 'files', path = 'input/{name}')\nFORMAT PLAIN ENCODE PARQUET;\n"
        ),
    );
    warehouse.write(
        &format!("sql/{schema}/{name}.sql"),
        format!(
            "CREATE OR REFRESH STREAMING TABLE {schema}.{name}\nSCHEDULE EVERY 24 HOURS\n\
             FLOW AUTO CDC FROM STREAM bronze.{name} KEYS ({})\n  \
             APPLY AS DELETE WHEN op = 'D'\n  SEQUENCE BY seq\n  COLUMNS * EXCEPT (op, seq)\n  \
             STORED AS SCD TYPE 1;\n",
            table.key.join(", ")
        ),
    );
}

fn columns_of(schema: &Schema) -> String {
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let data_type = match field.data_type() {
            DataType::Int64 => "BIGINT".to_string(),
            DataType::Int32 => "INT".to_string(),
            DataType::Date32 => "DATE".to_string(),
            DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
            DataType::Utf8 => "STRING".to_string(),
            other => panic!("{} is of type {other}", field.name()),
        };
        format!("{} {data_type}", field.name())
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}

/// What DuckDB takes to compute each query anew and write the answer, over the rows that the tables start with.
fn duckdb(benchmark: &Benchmark, warehouse: &Warehouse) -> BTreeMap<String, Peer> {
    let cache = std::env::var_os("SLUICE_BENCH_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/sluice-bench")));
    let Some(python) = cache.map(|cache| cache.join("duckdb/bin/python")).filter(|python| python.exists())
    else {
        println!("DuckDB: not measured, run benches/peers/fetch-duckdb once");
        return BTreeMap::new();
    };
    let queries = warehouse.folder().join("duckdb");
    std::fs::create_dir_all(&queries).unwrap();
    for (name, query) in &benchmark.queries {
        std::fs::write(queries.join(format!("{name}.sql")), query).unwrap();
    }
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/duckdb_recompute.py"))
        .arg(benchmark.schema)
        .arg(warehouse.project().join("input"))
        .arg(&queries)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "DuckDB failed: {}", output.status);
    let said = String::from_utf8(output.stdout).unwrap();
    let said: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    println!("DuckDB {}, {} threads", said["version"].as_str().unwrap(), said["threads"]);
    let ms = |value: &serde_json::Value| value.as_f64().unwrap() * 1000.0;
    let took = |way: &str, name: &str| {
        let took = &said[way][name];
        Took { ms: ms(&took["seconds"]), cpu_ms: ms(&took["cpu"]) }
    };
    let of = |name: &str| Peer { tables: took("tables", name), files: took("files", name) };
    benchmark.queries.iter().map(|(name, _)| (name.to_string(), of(name))).collect()
}
