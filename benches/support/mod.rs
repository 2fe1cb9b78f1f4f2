//! What the benches share: the events, the program under measure, its CPU and memory, percentiles.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]
#![allow(dead_code, unused_imports, reason = "no bench needs all of it")]

pub mod drain;
pub mod events;
pub mod feed;
pub mod harness;
pub mod usage;
pub mod wide;
pub mod wire;

pub use harness::http::Http;
pub use harness::kafka::{Broker, BrokerOptions, Producer};
pub use harness::{Server, Warehouse};

use harness::postgres::{self, Postgres};
use harness::until;
use std::env;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// A server is idle when it uses less than this share of a core.
const IDLE_SHARE_MAX: f64 = 0.03;
/// Over how long that is looked at: longer than the second between two rounds of upkeep.
const IDLE_WINDOW: Duration = Duration::from_millis(1_500);
/// What was asked of a server must be done within this.
const IDLE_DEADLINE: Duration = Duration::from_secs(1_800);

/// A size from the environment, for shorter or longer runs.
pub fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// A broker that runs at full speed; ends the bench with one line where none can be had.
pub fn broker() -> Broker {
    if let Some(reason) = harness::kafka::missing() {
        eprintln!("not measured: {reason}");
        std::process::exit(2);
    }
    Broker::start(BrokerOptions { heap_mib: 1024, quick: false })
}

/// A producer for the listener without login and encryption: what is measured is not TLS.
pub fn producer(broker: &Broker) -> Producer {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", broker.plain_address()).set("batch.size", "1000000");
    Producer::new(config)
}

/// A PostgreSQL to compare with, with these settings; ends the bench with one line where none can be had.
pub fn peer(settings: &[&str]) -> Postgres {
    if !["initdb", "pgbench"].into_iter().all(|name| postgres::program(name).is_absolute()) {
        eprintln!("not measured: PostgreSQL is not installed (Debian: postgresql)");
        std::process::exit(2);
    }
    Postgres::start(settings)
}

/// Runs a statement in a PostgreSQL.
pub fn run(peer: &Postgres, sql: &str) {
    let output = peer.psql(&["-c", sql]);
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The server's rows of a query in a table of a PostgreSQL, vacuumed and in its cache.
pub fn copy(server: &Server, query: &str, peer: &Postgres, table: &str) {
    let mut from = Command::new("psql");
    from.args(["-X", "-q", "-h", &server.pg.ip().to_string(), "-p", &server.pg.port().to_string()]);
    from.args(["-U", "sluice", "-d", "sluice", "-c", &format!("COPY ({query}) TO STDOUT")]);
    let mut from = from.stdout(Stdio::piped()).spawn().unwrap();
    let mut to = peer.psql_command();
    to.args(["-c", &format!("COPY {table} FROM STDIN")]).stdin(from.stdout.take().unwrap());
    assert!(to.status().unwrap().success() && from.wait().unwrap().success(), "{query}");
    run(peer, &format!("VACUUM (ANALYZE, FREEZE) {table}"));
}

/// A project whose connection `hub` is the broker.
pub fn warehouse(broker: &Broker) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/hub.sql",
        format!("CREATE CONNECTION hub TO KAFKA (bootstrap.servers = '{}');\n", broker.plain_address()),
    );
    warehouse
}

/// Waits until the server has nothing left to do: folds, journals and files that were found are over with.
pub fn wait_until_idle(server: &Server) {
    until("the server to be idle", IDLE_DEADLINE, || {
        let before = usage::threads(server.pid());
        thread::sleep(IDLE_WINDOW);
        let used = usage::threads(server.pid()).since(&before);
        if used < IDLE_WINDOW.mul_f64(IDLE_SHARE_MAX) { Ok(()) } else { Err(format!("{used:?} of CPU time")) }
    });
}

/// The value below which `percent` of the sorted values lie.
pub fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    assert!(!sorted.is_empty(), "nothing was measured");
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Milliseconds with one digit.
pub fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1000.0)
}

/// The head of every report: what ran where.
pub fn announce(bench: &str) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{bench}: {cores} cores, {}; load {}; {} build",
        model.trim_start_matches([' ', '\t', ':']),
        load.split(' ').next().unwrap_or("?"),
        if cfg!(debug_assertions) { "DEBUG (figures mean nothing)" } else { "release" },
    );
}
