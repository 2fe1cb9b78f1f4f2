//! kill -9 at random moments under load: nothing acknowledged is lost, nothing is taken twice, gold is what its query
//! says. The kills are planned before the run from a printed seed.
//!
//! What was produced is known in full (every record carries sender, number and checksum), so the end is compared with a
//! model, not with what the server believes.

use crate::support::http::Http;
use crate::support::{READY, Server, Warehouse, seed, trial, until};
use libtest_mimic::Trial;
use rand::RngExt as _;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![trial("crash::twenty_kills_under_load", twenty_kills_under_load)]
}

/// How often the server is killed.
const KILLS: usize = 20;
/// Senders that push over HTTP at the same time.
const SENDERS: usize = 3;
/// Records of one push or one file.
const RECORDS: u64 = 5;
/// The longest that a start took so far, milliseconds.
static LONGEST_MS: AtomicU64 = AtomicU64::new(0);
/// After the last kill everything must be in its place within this.
const SETTLED: Duration = Duration::from_secs(120);

/// One planned kill.
#[derive(Debug)]
enum Kill {
    /// So many milliseconds after the start, ready or not.
    DuringStart(u64),
    /// So many milliseconds after it was ready.
    AfterReady(u64),
}

/// What one sender produced: the truth that bronze is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Produced {
    count: u64,
    seq_total: u64,
    checksum_total: u64,
}

impl Produced {
    /// The next `RECORDS` records as NDJSON.
    fn next(&mut self, sender: &str) -> String {
        let mut lines = String::new();
        for _ in 0..RECORDS {
            let seq = self.count;
            // Any mixing will do that makes a record's number visible in its checksum.
            let checksum = (seq + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 34;
            self.count += 1;
            self.seq_total += seq;
            self.checksum_total += checksum;
            lines.push_str(&format!(
                "{{\"sender\": \"{sender}\", \"seq\": {seq}, \"checksum\": {checksum}}}\n"
            ));
        }
        lines
    }
}

fn twenty_kills_under_load() {
    let mut random = seed::generator("crash::twenty_kills_under_load");
    let plan: Vec<Kill> = (0..KILLS)
        .map(|_| match random.random_range(0..5) {
            0 => Kill::DuringStart(random.random_range(0..1500)),
            _ => Kill::AfterReady(random.random_range(0..2500)),
        })
        .collect();
    eprintln!("crash::twenty_kills_under_load: {plan:?}");

    let warehouse = Warehouse::of("crash");
    warehouse.write("catalog/sales.sql", sales_at("0"));
    let address: Mutex<Option<SocketAddr>> = Mutex::new(None);
    let over = AtomicBool::new(false);

    let (server, produced) = thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (address, over) = (&address, &over);
                scope.spawn(move || push_until_over(&format!("push-{sender}"), address, over))
            })
            .collect();
        let files = scope.spawn(|| write_files_until_over(&warehouse, &over));

        // Whatever fails here, the load must end, or the scope never does.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for kill in &plan {
                strike(&warehouse, kill, &address);
            }
            // The generator slows down, so that what follows can be compared at rest.
            warehouse.write("catalog/sales.sql", sales_at("20"));
            let server = start(&warehouse);
            *address.lock().unwrap() = Some(server.http);
            server
        }));
        over.store(true, Ordering::Relaxed);
        let mut produced: BTreeMap<String, Produced> =
            senders.into_iter().map(|s| s.join().unwrap()).collect();
        let (sender, truth) = files.join().unwrap();
        produced.insert(sender, truth);
        match outcome {
            Ok(server) => (server, produced),
            Err(cause) => std::panic::resume_unwind(cause),
        }
    });
    let longest = LONGEST_MS.load(Ordering::Relaxed);
    eprintln!("crash::twenty_kills_under_load: ready again after {longest} ms at most");
    compare(&warehouse, &server, &produced);
    assert_eq!(server.terminate().0.code(), Some(0), "after all that, an orderly stop");
    let server = warehouse.serve();
    compare(&warehouse, &server, &produced);
}

/// The generator at a rate; 0 is flat out.
fn sales_at(rate: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/projects/crash/catalog/sales.sql");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("rows_per_second = 1000"), "{text}");
    text.replace("rows_per_second = 1000", &format!("rows_per_second = {rate}"))
}

fn strike(warehouse: &Warehouse, kill: &Kill, address: &Mutex<Option<SocketAddr>>) {
    match kill {
        Kill::DuringStart(after_ms) => {
            let starting = Server::launch(warehouse, &[]);
            thread::sleep(Duration::from_millis(*after_ms));
            starting.kill9();
        }
        Kill::AfterReady(after_ms) => {
            let server = start(warehouse);
            *address.lock().unwrap() = Some(server.http);
            thread::sleep(Duration::from_millis(*after_ms));
            *address.lock().unwrap() = None;
            server.kill9();
        }
    }
}

fn start(warehouse: &Warehouse) -> Server {
    let server = warehouse.serve();
    let took = u64::try_from(server.ready_after.as_millis()).unwrap();
    LONGEST_MS.fetch_max(took, Ordering::Relaxed);
    server
}

/// Pushes batch after batch, each again and again under its token until it is acknowledged.
fn push_until_over(
    sender: &str,
    address: &Mutex<Option<SocketAddr>>,
    over: &AtomicBool,
) -> (String, Produced) {
    let http = Http::new(Duration::from_secs(20));
    let path = "/ingest/pushes";
    let mut produced = Produced::default();
    for token in 1_u64.. {
        if over.load(Ordering::Relaxed) && produced.count > 0 {
            break;
        }
        let body = produced.next(sender);
        let token = token.to_string();
        until("a push that is acknowledged", READY * 3, || {
            let at = address.lock().unwrap().ok_or("no server")?;
            let reply = http.post(at, path, &[("channel", sender), ("token", &token)], body.as_str())?;
            match reply.status {
                200 => Ok(()),
                429 | 503 => Err(format!("{reply:?}")),
                _ => panic!("{reply:?}"),
            }
        });
    }
    (sender.to_string(), produced)
}

/// Lets a new file arrive every now and then.
fn write_files_until_over(warehouse: &Warehouse, over: &AtomicBool) -> (String, Produced) {
    let sender = "files";
    let mut produced = Produced::default();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let records = produced.next(sender);
        warehouse.write(&format!("input/arrivals/{number:06}.json"), records);
        thread::sleep(Duration::from_millis(150));
    }
    (sender.to_string(), produced)
}

fn compare(warehouse: &Warehouse, server: &Server, produced: &BTreeMap<String, Produced>) {
    let shown = |senders: &dyn Fn(&str) -> bool| {
        let rows = produced.iter().filter(|(sender, _)| senders(sender));
        let rows = rows.map(|(sender, p)| {
            format!("{sender}|{}|{}|{}|{}", p.count, p.count, p.seq_total, p.checksum_total)
        });
        rows.collect::<Vec<_>>().join("\n")
    };
    let totals = |table: &str| {
        format!(
            "SELECT sender, count(*), count(DISTINCT seq), sum(seq), sum(checksum) FROM {table} GROUP BY 1 ORDER BY 1"
        )
    };
    server.wait_until_within(&totals("bronze.pushes"), &shown(&|s| s != "files"), SETTLED);
    server.wait_until_within(&totals("bronze.arrivals"), &shown(&|s| s == "files"), SETTLED);

    // Generated records: positions from 0 without a gap, none twice, in bronze and behind it, and the very records that
    // the generator makes for these positions.
    let whole = "SELECT count(*) > 0, min(p) = 0, max(p) + 1 = count(*), count(DISTINCT p) = count(*) FROM";
    for source in ["SELECT _offset AS p FROM bronze.sales", "SELECT position AS p FROM silver.sales"] {
        server.wait_until_within(&format!("{whole} ({source}) AS t"), "t|t|t|t", SETTLED);
    }
    let rows: u64 = server.query("SELECT count(*) FROM silver.sales").parse().unwrap();
    assert_eq!(
        server.query(&format!(
            "SELECT count(DISTINCT sale_id), sum(quantity), sum(price) FROM silver.sales WHERE position < {rows}"
        )),
        generated(warehouse, rows)
    );

    // Silver: rows in are rows out and rows kept apart, whose numbers stand in the JSON that is kept of them.
    let apart =
        |name: &str| format!("regexp_replace(CAST(raw AS TEXT), '.*\"{name}\": ?\"?([^\",}}]+).*', '\\1')");
    let everything = format!(
        "(SELECT sender, seq, checksum FROM silver.events UNION ALL \
          SELECT {}, CAST({} AS BIGINT), CAST({} AS BIGINT) FROM silver.events__quarantine) AS e",
        apart("sender"),
        apart("seq"),
        apart("checksum")
    );
    server.wait_until_within(&totals(&everything), &shown(&|_| true), SETTLED);
    // Gold against its own query, computed now, in one statement and so in one epoch. Sales still come, and a recomputed
    // view joins an epoch when it is done, so its query is taken over as many sales as it has seen.
    for (gold, columns, query) in [
        (
            "gold.events_by_sender",
            "sender, events, seq_total, checksum_total",
            "SELECT sender, count(*), sum(seq), sum(checksum) FROM silver.events GROUP BY sender",
        ),
        (
            "gold.sales_by_store",
            "store, sales, quantity, positions",
            "SELECT store, count(*), sum(quantity), sum(position) FROM silver.sales \
             WHERE position < (SELECT sum(sales) FROM gold.sales_by_store) GROUP BY store",
        ),
    ] {
        let stored = format!("SELECT {columns} FROM {gold}");
        server.wait_until_within(
            &format!(
                "SELECT a.n AS too_many, b.n AS missing, g.n > 0 AS filled FROM \
                 (SELECT count(*) AS n FROM ({stored} EXCEPT {query}) AS t) AS a, \
                 (SELECT count(*) AS n FROM ({query} EXCEPT {stored}) AS t) AS b, \
                 (SELECT count(*) AS n FROM {gold}) AS g"
            ),
            "0|0|t",
            SETTLED,
        );
    }
}

/// What the generator makes of its first `rows` records: count, quantity, price.
fn generated(warehouse: &Warehouse, rows: u64) -> String {
    let limit = rows.to_string();
    let made =
        warehouse.sluice(&["datagen", "shopsmart.sales", "--seed", "7", "--rate", "0", "--rows", &limit]);
    made.expect(0, &[]);
    let (mut count, mut quantity, mut cents) = (0_u64, 0_u64, 0_u64);
    for line in made.stdout.lines() {
        let sale: serde_json::Value = serde_json::from_str(line).unwrap();
        count += 1;
        quantity += sale["quantity"].as_u64().unwrap();
        let price = sale["price"].to_string();
        let (euros, rest) = price.split_once('.').unwrap_or((&price, "00"));
        cents += euros.parse::<u64>().unwrap() * 100 + format!("{rest:0<2}").parse::<u64>().unwrap();
    }
    format!("{count}|{quantity}|{}.{:02}", cents / 100, cents % 100)
}
