//! How fast a large result leaves the server over Arrow Flight, beside Sail's Flight server over the same Delta table and
//! pyarrow's with the same rows in memory, on the same machine.
//!
//! 3 million rows of ten columns of mixed types are read by a client that only drains, in turns. `BENCH_ROWS` and
//! `BENCH_ROUNDS` change the size. The peers come by `benches/peers/fetch-flight`; without them Sluice is measured alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use arrow_flight::Ticket;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::drain::{Drained, drain, query};
use support::harness::until;
use support::wide::{ROWS, filled};
use support::{Warehouse, median, number, usage};
use tokio::runtime::Runtime;

/// A peer has read its rows, or listens, within this.
const STARTED: Duration = Duration::from_secs(120);
/// What Sluice's rate is to a peer's, at least.
const SAIL_BAR: f64 = 1.5;
const MEMORY_BAR: f64 = 0.7;

fn main() {
    support::announce("flight_out");
    let (rows, rounds) = (number("BENCH_ROWS", 3_000_000), number("BENCH_ROUNDS", 5));
    let warehouse = Warehouse::new();
    let server = filled(&warehouse, rows);
    support::wait_until_idle(&server);
    let peers = home().join("bin/python").exists().then(|| Peers::start(&warehouse));
    if peers.is_none() {
        println!("without its peers: run benches/peers/fetch-flight once");
    }

    let runtime = Runtime::new().unwrap();
    let sql = format!("{ROWS} bronze.sales");
    let whole = || runtime.block_on(query(server.flight, &sql, true, false));
    let parts = || runtime.block_on(query(server.flight, &sql, true, true));
    let mut found = [vec![], vec![], vec![], vec![]];
    let mut memory = Vec::new();
    // The first round warms up.
    for round in 0..=rounds {
        usage::forget_peak(server.pid());
        let idle = usage::of(server.pid()).resident_mib;
        let mut taken = vec![whole()];
        memory.push(usage::of(server.pid()).peak_mib - idle);
        taken.push(parts());
        if let Some(peers) = &peers {
            taken.push(runtime.block_on(query(peers.sail.1, &peers.sail_sql, false, true)));
            let ticket = Ticket::new("sales");
            taken.push(runtime.block_on(drain(peers.memory.1, ticket, None)).unwrap());
        }
        for (drained, found) in taken.into_iter().zip(&mut found) {
            assert_eq!(drained.rows, rows);
            if round > 0 {
                found.push(drained);
            }
        }
    }
    report(&found, rows, median(memory));
}

fn report(found: &[Vec<Drained>; 4], rows: u64, memory: f64) {
    let names = ["Sluice, one stream", "Sluice, streams side by side", "Sail", "pyarrow, rows in memory"];
    let rate = |rounds: &[Drained]| {
        median(rounds.iter().map(|drained| rows as f64 / drained.all.as_secs_f64()).collect())
    };
    println!("\n| {rows} rows of 10 columns | rows/s | MiB/s | Sluice's, to it | bar |");
    println!("|---|---|---|---|---|");
    for (at, name) in names.into_iter().enumerate().filter(|(at, _)| !found[*at].is_empty()) {
        let mib = |drained: &Drained| drained.bytes as f64 / drained.all.as_secs_f64() / (1 << 20) as f64;
        let mib = median(found[at].iter().map(mib).collect());
        let (to, bar) = match at {
            2 | 3 => {
                let to = |ours: &[Drained]| format!("{:.2}x", rate(ours) / rate(&found[at]));
                let bar = if at == 2 { SAIL_BAR } else { MEMORY_BAR };
                (format!("{}, {}", to(&found[0]), to(&found[1])), format!("{bar}x"))
            }
            _ => (String::new(), String::new()),
        };
        println!("| {name} | {:.2} M | {mib:.0} | {to} | {bar} |", rate(&found[at]) / 1e6);
    }
    println!("memory above idle, one stream: {memory:.0} MiB");
}

/// Servers of others, each with where it listens.
struct Peers {
    sail: (Process, SocketAddr),
    sail_sql: String,
    memory: (Process, SocketAddr),
}

/// A process that ends with the bench.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Peers {
    fn start(warehouse: &Warehouse) -> Self {
        let bin = home().join("bin");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut sail = Command::new(bin.join("sail"));
        sail.args(["flight", "server", "--port", &port.port().to_string()]);
        let sail = Process(sail.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/flight_memory.py");
        let mut memory = Command::new(bin.join("python"));
        memory.arg(script).arg(warehouse.project().join("input/sales"));
        let mut memory = Process(memory.stdout(Stdio::piped()).spawn().unwrap());
        let mut said = String::new();
        BufReader::new(memory.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let memory_port = said.trim().parse().expect("pyarrow's server has said its port");
        until("Sail's server", STARTED, || {
            TcpStream::connect(port).map(drop).map_err(|error| error.to_string())
        });
        let table = warehouse.data().join("bronze/sales");
        Self {
            sail: (sail, port),
            sail_sql: format!("{ROWS} delta.`{}`", table.display()),
            memory: (memory, SocketAddr::from(([127, 0, 0, 1], memory_port))),
        }
    }
}

/// Where `fetch-flight` puts the peers.
fn home() -> PathBuf {
    let cached = || std::env::home_dir().unwrap_or_default().join(".cache/sluice-bench");
    std::env::var_os("SLUICE_BENCH_CACHE").map_or_else(cached, PathBuf::from).join("flight")
}
