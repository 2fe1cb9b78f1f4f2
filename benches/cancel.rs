//! How long a statement goes on after its client has asked for its end: while it computes, and while its rows come.
//!
//! `BENCH_ROUNDS` changes how often each is tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use futures::{Stream, StreamExt as _, pin_mut};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::{Warehouse, ms, number, percentile};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

/// Has no row before it has seen all pairs.
const COMPUTES: &str =
    "SELECT sum(a * b % 7) FROM generate_series(1, 1000000) AS x(a), generate_series(1, 1000000) AS y(b)";
/// Has rows at once, and more than anyone waits for.
const STREAMS: &str =
    "SELECT a, b, a * b AS c FROM generate_series(1, 1000000) AS x(a), generate_series(1, 1000000) AS y(b)";
/// How long a statement that has no row runs before it is to end.
const COMPUTED_FOR: Duration = Duration::from_millis(200);

#[derive(Clone, Copy)]
enum Mode {
    Simple,
    Extended,
    Copy,
    Cursor,
}

fn main() {
    support::announce("cancel");
    let rounds = number("BENCH_ROUNDS", 10);
    let warehouse = Warehouse::new();
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\n");
    let server = warehouse.serve();
    let modes = [
        ("simple query", Mode::Simple),
        ("extended query", Mode::Extended),
        ("COPY TO STDOUT", Mode::Copy),
        ("FETCH of a cursor", Mode::Cursor),
    ];
    println!("\n| mode | while it computes: p50, max ms | while rows come: p50, max ms |");
    println!("|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (name, mode) in modes {
        let took = |statement| runtime.block_on(ended(server.pg, mode, statement, rounds));
        let (computing, streaming) = (took(COMPUTES), took(STREAMS));
        println!("| {name} | {} | {} |", shown(&computing), shown(&streaming));
    }
}

fn shown(took: &[Duration]) -> String {
    format!("{}, {}", ms(percentile(took, 50.0)), ms(percentile(took, 100.0)))
}

/// How long it took from the request to the error, each time, sorted.
async fn ended(address: SocketAddr, mode: Mode, statement: &'static str, rounds: u64) -> Vec<Duration> {
    let target = format!("host={} port={} user=sluice dbname=sluice", address.ip(), address.port());
    let mut took = vec![];
    for _ in 0..rounds {
        let (client, connection) = tokio_postgres::connect(&target, NoTls).await.unwrap();
        tokio::spawn(async move { connection.await.ok() });
        let cancel = client.cancel_token();
        let (asked, error) = match statement {
            COMPUTES => {
                let running = tokio::spawn(async move { run(&client, mode, statement, async || ()).await });
                tokio::time::sleep(COMPUTED_FOR).await;
                let asked = Instant::now();
                cancel.cancel_query(NoTls).await.unwrap();
                (asked, running.await.unwrap())
            }
            _ => {
                let mut asked = Instant::now();
                let error = run(&client, mode, statement, async || {
                    asked = Instant::now();
                    cancel.cancel_query(NoTls).await.unwrap();
                });
                let error = error.await;
                (asked, error)
            }
        };
        took.push(asked.elapsed());
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error}");
    }
    took.sort();
    took
}

/// Runs a statement to its error, and something as soon as its first row is there.
async fn run(client: &Client, mode: Mode, statement: &str, at_first: impl AsyncFnOnce()) -> Error {
    match mode {
        Mode::Simple => match client.simple_query_raw(statement).await {
            Ok(rows) => drained(rows, at_first).await,
            Err(error) => error,
        },
        Mode::Extended => match client.query_raw(statement, Vec::<i32>::new()).await {
            Ok(rows) => drained(rows, at_first).await,
            Err(error) => error,
        },
        Mode::Copy => match client.copy_out(&format!("COPY ({statement}) TO STDOUT")).await {
            Ok(rows) => drained(rows, at_first).await,
            Err(error) => error,
        },
        Mode::Cursor => {
            let declared = format!("BEGIN; DECLARE c NO SCROLL CURSOR FOR {statement}");
            client.batch_execute(&declared).await.unwrap();
            match client.simple_query_raw("FETCH ALL FROM c").await {
                Ok(rows) => drained(rows, at_first).await,
                Err(error) => error,
            }
        }
    }
}

async fn drained<T>(rows: impl Stream<Item = Result<T, Error>>, at_first: impl AsyncFnOnce()) -> Error {
    pin_mut!(rows);
    let first = rows.next().await.expect("a row or an error");
    if let Err(error) = first {
        return error;
    }
    at_first().await;
    while let Some(row) = rows.next().await {
        if let Err(error) = row {
            return error;
        }
    }
    panic!("all rows came");
}
