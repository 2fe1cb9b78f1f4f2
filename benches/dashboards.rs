//! How many dashboard questions a second are answered, beside PostgreSQL with an index for each of them.
//!
//! pgbench asks eight parametrised queries of gold, one a transaction, picked at random; simple and prepared; over 1, 8 and
//! 64 connections. PostgreSQL holds the same rows, copied from gold, all in its cache. `BENCH_ROWS` changes the size,
//! `BENCH_SECONDS` how long each mode is asked.
//!
//! `BENCH_EVENTS=20000` asks Sluice a second time while so many events a second are pushed, of which gold is kept up to date.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::feed::{parquet_source, push_from, scattered, write_parquet};
use support::harness::postgres::{self, Postgres};
use support::{Server, Warehouse, ms, number, percentile};

const ARRIVED: Duration = Duration::from_secs(600);
const CUSTOMERS: u64 = 100_000;
const DAYS: u64 = 730;
const FIRST_DAY: &str = "DATE '2024-01-01'";
const STATUS: [&str; 4] = ["open", "paid", "shipped", "returned"];

/// Gold tables: name, query, columns in PostgreSQL, what is indexed there.
const GOLD: [[&str; 4]; 3] = [
    [
        "customer_sales",
        "SELECT customer, count(*) AS orders, sum(amount) AS revenue FROM silver.sales GROUP BY customer",
        "customer int, orders bigint, revenue numeric",
        "customer",
    ],
    [
        "daily_sales",
        "SELECT day, count(*) AS orders, sum(amount) AS revenue FROM silver.sales GROUP BY day",
        "day date, orders bigint, revenue numeric",
        "day",
    ],
    [
        "daily_status",
        "SELECT day, status, count(*) AS orders, sum(amount) AS revenue FROM silver.sales GROUP BY day, status",
        "day date, status text, orders bigint, revenue numeric",
        "day, status",
    ],
];

/// `:c` is a customer, `:d` a number of days since the first.
const QUESTIONS: [&str; 8] = [
    "SELECT orders, revenue FROM gold.customer_sales WHERE customer = :c",
    "SELECT day, revenue FROM gold.daily_sales WHERE day BETWEEN {first} + :d::int AND {first} + :d::int + 6 ORDER BY day",
    "SELECT sum(revenue) FROM gold.daily_sales WHERE day >= {first} + :d::int AND day < {first} + :d::int + 30",
    "SELECT status, orders, revenue FROM gold.daily_status WHERE day = {first} + :d::int ORDER BY status",
    "SELECT day, revenue FROM gold.daily_sales WHERE day >= {first} + :d::int ORDER BY revenue DESC LIMIT 10",
    "SELECT count(*), sum(revenue) FROM gold.customer_sales WHERE customer BETWEEN :c AND :c + 1000",
    "SELECT s.status, s.revenue / d.revenue FROM gold.daily_status s JOIN gold.daily_sales d ON d.day = s.day \
     WHERE d.day = {first} + :d::int ORDER BY s.status",
    "SELECT status, sum(orders) FROM gold.daily_status WHERE day BETWEEN {first} + :d::int AND {first} + :d::int + 89 GROUP BY status \
     ORDER BY status",
];

fn main() {
    support::announce("dashboards");
    let (rows, seconds) = (number("BENCH_ROWS", 1_000_000), number("BENCH_SECONDS", 5));
    let peer = support::peer(&["shared_buffers=1GB", "max_connections=200"]);
    let warehouse = Warehouse::new();
    let server = filled(&warehouse, rows);
    copy(&server, &peer);
    support::wait_until_idle(&server);
    let scripts = scripts(&warehouse);
    let events = number("BENCH_EVENTS", 0);
    println!(
        "\n| mode | connections | Sluice: queries/s, p50, p99 ms | PostgreSQL: queries/s, p50, p99 ms | Sluice to PostgreSQL |"
    );
    println!("|---|---|---|---|---|");
    let mut idle = Vec::new();
    for mode in ["simple", "prepared"] {
        for clients in [1, 8, 64] {
            let ours = asked(&scripts, server.pg, "sluice", mode, clients, seconds);
            let theirs = asked(&scripts, peer.address, "postgres", mode, clients, seconds);
            let share = ours.len() as f64 / theirs.len() as f64;
            println!(
                "| {mode} | {clients} | {} | {} | {share:.2}x |",
                shown(&ours, seconds),
                shown(&theirs, seconds)
            );
            idle.push((mode, clients, ours.len()));
        }
    }
    if events > 0 {
        println!(
            "\n| mode | connections | queries/s, p50, p99 ms, while events come | events/s | to idle | bar |"
        );
        println!("|---|---|---|---|---|---|");
        let mut senders = Senders::default();
        for (mode, clients, before) in idle {
            let asked = || asked(&scripts, server.pg, "sluice", mode, clients, seconds);
            let (busy, rate) = senders.while_events_come(&server, events, asked);
            let share = busy.len() as f64 / before as f64;
            let shown = shown(&busy, seconds);
            println!("| {mode} | {clients} | {shown} | {rate:.0} | {share:.2}x | {EVENTS_BAR}x |");
        }
    }
}

/// Those who push events side by side, each with its own channel.
const SENDERS: u64 = 4;
/// Each pushes so often.
const PUSH_EVERY: Duration = Duration::from_millis(200);
/// What is answered while events come, to what an idle server answers.
const EVENTS_BAR: f64 = 0.6;

/// Senders of events, with the number of each one's next push.
#[derive(Default)]
struct Senders {
    next: [u64; SENDERS as usize],
}

impl Senders {
    /// What something gives while so many events a second come, and how many really came.
    fn while_events_come<T>(&mut self, server: &Server, rate: u64, work: impl FnOnce() -> T) -> (T, f64) {
        let a_push = rate * PUSH_EVERY.as_millis() as u64 / 1000 / SENDERS;
        let (stop, start) = (AtomicBool::new(false), Instant::now());
        let (done, pushes) = thread::scope(|scope| {
            let pushing = self.next.iter_mut().enumerate().map(|(sender, next)| {
                let stop = &stop;
                scope.spawn(move || {
                    let first = *next;
                    while !stop.load(Ordering::Relaxed) {
                        let due = start + PUSH_EVERY * u32::try_from(*next - first).unwrap();
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        let body = sales_as_json(sender as u64, *next, a_push);
                        push_from(server, &format!("sender-{sender}"), "arriving", *next as i64, body);
                        *next += 1;
                    }
                    *next - first
                })
            });
            let pushing: Vec<_> = pushing.collect();
            let done = work();
            stop.store(true, Ordering::Relaxed);
            (done, pushing.into_iter().map(|sender| sender.join().unwrap()).sum::<u64>())
        });
        (done, (pushes * a_push) as f64 / start.elapsed().as_secs_f64())
    }
}

/// Sales of one push, a line each.
fn sales_as_json(sender: u64, push: u64, count: u64) -> String {
    let mut lines = String::new();
    for at in 0..count {
        let id = ((sender * 1_000_000 + push) * count + at) as i64;
        let number = scattered(id);
        let (customer, amount) = (number % CUSTOMERS, (number >> 48) + 1);
        let day = chrono::NaiveDate::from_ymd_opt(2024, 1, 1).unwrap() + chrono::Days::new(number % DAYS);
        let status = STATUS[(number & 3) as usize];
        writeln!(
            lines,
            r#"{{"id":{id},"customer":{customer},"day":"{day}","status":"{status}","amount":{}.{:02}}}"#,
            amount / 100,
            amount % 100
        )
        .unwrap();
    }
    lines
}

fn shown(took: &[Duration], seconds: u64) -> String {
    let rate = took.len() as f64 / seconds as f64;
    format!("{rate:.0}, {}, {}", ms(percentile(took, 50.0)), ms(percentile(took, 99.0)))
}

/// How long each transaction took, sorted.
fn asked(
    scripts: &[String],
    address: SocketAddr,
    database: &str,
    mode: &str,
    clients: u32,
    seconds: u64,
) -> Vec<Duration> {
    let logs = tempfile::tempdir().unwrap();
    let mut pgbench = Command::new(postgres::program("pgbench"));
    pgbench.current_dir(logs.path()).args(["-n", "-l", "-M", mode, "-c", &clients.to_string(), "-j", "1"]);
    pgbench.args([
        "-T",
        &seconds.to_string(),
        "-U",
        "sluice",
        "-h",
        "127.0.0.1",
        "-p",
        &address.port().to_string(),
    ]);
    for script in scripts {
        pgbench.args(["-f", script]);
    }
    let output = pgbench.arg(database).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("ERROR"), "{mode}, {clients} connections: {said}");
    let mut took = Vec::new();
    for log in fs::read_dir(logs.path()).unwrap() {
        let log = fs::read_to_string(log.unwrap().path()).unwrap();
        let third = |line: &str| line.split(' ').nth(2).unwrap().parse().unwrap();
        took.extend(log.lines().map(|line| Duration::from_micros(third(line))));
    }
    took.sort();
    took
}

/// A script a question.
fn scripts(warehouse: &Warehouse) -> Vec<String> {
    let script = |(number, question): (usize, &&str)| {
        let question = question.replace("{first}", FIRST_DAY);
        let path = format!("pgbench/{number}.sql");
        let text =
            format!("\\set c random(0, {})\n\\set d random(0, {})\n{question};\n", CUSTOMERS - 1, DAYS - 100);
        warehouse.write(&path, text);
        warehouse.project().join(path).to_str().unwrap().to_string()
    };
    QUESTIONS.iter().enumerate().map(script).collect()
}

/// A server whose gold is up to date.
fn filled(warehouse: &Warehouse, rows: u64) -> Server {
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\n");
    let columns = "id BIGINT, customer INT, day DATE, status STRING, amount DECIMAL(18,2)";
    let source = format!("CREATE SOURCE bronze.sales ({columns})\n{}", parquet_source("sales"));
    warehouse.write("catalog/sales.sql", source);
    let arriving = "WITH (connector = 'http')\nFORMAT PLAIN ENCODE JSON;\n";
    warehouse.write("catalog/arriving.sql", format!("CREATE SOURCE bronze.arriving ({columns})\n{arriving}"));
    let both =
        ["sales", "arriving"].map(|of| format!("SELECT id, customer, day, status, amount FROM bronze.{of}"));
    warehouse.write(
        "sql/silver/sales.sql",
        format!("CREATE VIEW silver.sales AS {};\n", both.join(" UNION ALL ")),
    );
    for [name, query, ..] in GOLD {
        let view = format!("CREATE MATERIALIZED VIEW gold.{name} AS {query};\n");
        warehouse.write(&format!("sql/gold/{name}.sql"), view);
    }
    write_parquet(warehouse, "sales/all", &sales(rows as i64));
    let server = warehouse.serve();
    for [name, ..] in GOLD {
        let sum = format!("SELECT sum(orders) FROM gold.{name}");
        server.wait_until_within(&sum, &rows.to_string(), ARRIVED);
    }
    server
}

fn sales(rows: i64) -> RecordBatch {
    let each = || (0..rows).map(|id| (id, scattered(id)));
    let below = |n: u64, shift: u32, count: u64| ((n >> shift) % count) as i32;
    let amounts = Decimal128Array::from_iter_values(each().map(|(_, n)| i128::from(n >> 48) + 1));
    let status = |n: u64| STATUS[(n & 3) as usize];
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("customer", Arc::new(Int32Array::from_iter_values(each().map(|(_, n)| below(n, 20, CUSTOMERS))))),
        ("day", Arc::new(Date32Array::from_iter_values(each().map(|(_, n)| 19_723 + below(n, 8, DAYS))))),
        ("status", Arc::new(StringArray::from_iter_values(each().map(|(_, n)| status(n))))),
        ("amount", Arc::new(amounts.with_precision_and_scale(18, 2).unwrap())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Gold's rows in PostgreSQL, with an index each.
fn copy(server: &Server, peer: &Postgres) {
    support::run(peer, "CREATE SCHEMA gold");
    for [name, _, columns, key] in GOLD {
        let table = format!("gold.{name}");
        support::run(peer, &format!("CREATE TABLE {table} ({columns})"));
        support::run(peer, &format!("CREATE UNIQUE INDEX ON {table} ({key})"));
        support::copy(server, &format!("SELECT * FROM {table}"), peer, &table);
    }
}
