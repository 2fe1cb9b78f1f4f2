//! How long `psql`'s `\d` takes over many tables, beside PostgreSQL with as many.
//!
//! What `psql` sends is asked of `psql` itself (`-E`), then sent again and again over one connection, and every answer read
//! to its end. `BENCH_TABLES` changes how many tables there are, `BENCH_TIMES` how often each command is asked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use support::harness::postgres::Postgres;
use support::{Server, Warehouse, ms, number, percentile};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The commands, and how many rows their answers have at least in all, by tables.
const COMMANDS: [(&str, fn(u64) -> u64); 5] = [
    ("\\d", |tables| tables),
    ("\\dtv gold.*", |tables| tables),
    ("\\dtv+ gold.*", |tables| tables),
    ("\\d gold.t_1", |_| COLUMNS),
    ("\\dn", |_| 1),
];
const COLUMNS: u64 = 4;

fn main() {
    support::announce("catalog");
    let (tables, times) = (number("BENCH_TABLES", 1_000), number("BENCH_TIMES", 20));
    let peer = support::peer(&["search_path=gold"]);
    let warehouse = Warehouse::new();
    let server = filled(&warehouse, tables);
    copy(&peer, tables);
    support::wait_until_idle(&server);
    println!("\n| command | Sluice: p50, p99 ms | PostgreSQL: p50, p99 ms |");
    println!("|---|---|---|");
    for (command, rows) in COMMANDS {
        let ours = asked(server.pg, "sluice", command, rows(tables), times);
        let theirs = asked(peer.address, "postgres", command, rows(tables), times);
        println!("| `{command}` | {} | {} |", shown(&ours), shown(&theirs));
    }
}

fn shown(took: &[Duration]) -> String {
    format!("{}, {}", ms(percentile(took, 50.0)), ms(percentile(took, 99.0)))
}

/// How long a command's statements took together, each time, sorted.
fn asked(address: SocketAddr, database: &str, command: &str, rows_min: u64, times: u64) -> Vec<Duration> {
    let statements = sent(address, database, command);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let target = target(address, database);
        let (client, connection) = tokio_postgres::connect(&target, NoTls).await.unwrap();
        tokio::spawn(async move { connection.await.ok() });
        client.batch_execute("SET search_path = gold").await.unwrap();
        let mut took = vec![];
        for _ in 0..times {
            let start = Instant::now();
            let rows = answered(&client, &statements).await;
            took.push(start.elapsed());
            assert!(rows >= rows_min, "{command}: {rows} rows, not {rows_min}");
        }
        took.sort();
        took
    })
}

async fn answered(client: &Client, statements: &[String]) -> u64 {
    let mut rows = 0;
    for statement in statements {
        let messages = client.simple_query(statement).await.unwrap();
        rows +=
            messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count() as u64;
    }
    rows
}

/// The statements that `psql` sends for a command.
fn sent(address: SocketAddr, database: &str, command: &str) -> Vec<String> {
    let target = format!("{} options='-c search_path=gold'", target(address, database));
    let output = Command::new("psql").args(["-X", "-E", "-d", &target, "-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let parts = said.split("********* QUERY **********\n").skip(1);
    let statements = parts.filter_map(|part| part.split_once("\n**************************"));
    let statements: Vec<String> = statements.map(|(statement, _)| statement.to_string()).collect();
    assert!(!statements.is_empty(), "{command}: psql shows no statement");
    statements
}

fn target(address: SocketAddr, database: &str) -> String {
    format!("host={} port={} user=sluice dbname={database}", address.ip(), address.port())
}

/// A server with that many tables, each of four columns.
fn filled(warehouse: &Warehouse, tables: u64) -> Server {
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\n");
    let source = "CREATE SOURCE bronze.events (id BIGINT, day DATE, name STRING, amount DECIMAL(18,2))\n\
                  WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n";
    warehouse.write("catalog/events.sql", source);
    for table in 1..=tables {
        let view = format!(
            "CREATE VIEW gold.t_{table} AS SELECT id, day, name, amount FROM bronze.events WHERE id % {tables} = {table};\n"
        );
        warehouse.write(&format!("sql/gold/t_{table}.sql"), view);
    }
    warehouse.serve()
}

fn copy(peer: &Postgres, tables: u64) {
    support::run(peer, "CREATE SCHEMA gold");
    let create = "format('CREATE TABLE gold.t_%s (id bigint, day date, name text, amount numeric(18,2))', n)";
    let each = format!("DO $$ BEGIN FOR n IN 1..{tables} LOOP EXECUTE {create}; END LOOP; END $$");
    support::run(peer, &each);
}
