use super::fixture::{Server, code};
use crate::config::LimitSettings;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so() {
    let server = Server::start(LimitSettings { connections_max: 2, ..LimitSettings::default() }).await;
    let (_one, two) = (server.connect().await, server.connect().await);
    let error = server.try_connect("user=sluice").await.err().unwrap();
    assert_eq!(code(&error), ("53300".to_string(), "sorry, too many clients already".to_string()));
    drop(two);
    eventually(async || server.try_connect("user=sluice").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_its_place_and_query() {
    let server = Server::start(LimitSettings { connections_max: 1, ..LimitSettings::default() }).await;
    let mut socket = open(&server).await;
    socket.write_all(&query("select count(*) from generate_series(1, 100000000000)")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(server.try_connect("user=sluice").await.is_err());
    drop(socket);
    eventually(async || server.try_connect("user=sluice").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_lets_a_statement_end_and_closes_the_rest() {
    let server = Server::default().await;
    let (busy, idle) = (server.connect().await, server.connect().await);
    let running = tokio::spawn(async move {
        busy.simple_query("select count(*) from generate_series(1, 30000000)").await.map(|_| ())
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.shutdown.request();
    assert!(running.await.unwrap().is_ok());
    tokio::time::timeout(Duration::from_secs(5), server.ended).await.unwrap().unwrap();
    assert!(idle.simple_query("select 1").await.is_err());
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn binds_that_do_not_fit_are_errors_of_that_message() {
    let server = Server::default().await;
    let mut socket = open(&server).await;
    let parse = message(b'P', b"s\0select id, qty from gold.sales where id = $1\0\0\0");
    let sync = message(b'S', b"");
    let binds: [(&[u8], &str); 5] = [
        (b"\0s\0\0\0\0\0\0\0", "08P01"),
        (b"\0s\0\0\0\0\x02\0\0\0\x011\0\0\0\x011\0\0", "08P01"),
        (b"\0s\0\0\x03\0\0\0\0\0\0\0\x01\0\0\0\x011\0\0", "08P01"),
        (b"\0s\0\0\0\0\x01\0\0\0\x011\0\x03\0\x01\0\x01\0\x01", "08P01"),
        (b"\0s\0\0\0\0\x01\0\0\0\x01x\0\0", "22P02"),
    ];
    socket.write_all(&[parse, sync.clone()].concat()).await.unwrap();
    assert_eq!(until_ready(&mut socket).await, "1Z");
    for (bind, code) in binds {
        // What follows the error is skipped up to the sync.
        let execute = message(b'E', b"\0\0\0\0\0");
        socket.write_all(&[message(b'B', bind), execute, sync.clone()].concat()).await.unwrap();
        assert_eq!(until_ready(&mut socket).await, format!("E{code}Z"));
    }
    let bind = message(b'B', b"\0s\0\0\0\0\x01\0\0\0\x011\0\x01\0\x01");
    let describe = message(b'D', b"P\0");
    let execute = message(b'E', b"\0\0\0\0\0");
    socket.write_all(&[bind, describe, execute, sync].concat()).await.unwrap();
    assert_eq!(until_ready(&mut socket).await, "2TDCZ");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_ends_its_connection_only() {
    let server = Server::default().await;
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let client = server.connect().await;
    for round in 0..200 {
        let mut socket = if round % 2 == 0 {
            TcpStream::connect(server.address).await.unwrap()
        } else {
            open(&server).await
        };
        let mut noise = vec![0; random.random_range(1..200)];
        random.fill(&mut noise[..]);
        if round % 4 > 1 {
            // A message that begins well.
            noise[0] = *b"QPBDECHSXpdcfF".get(random.random_range(0..14)).unwrap();
            let length = u32::try_from(noise.len()).unwrap().saturating_sub(1).max(4);
            noise.resize(length as usize + 1, 0);
            noise[1..5].copy_from_slice(&length.to_be_bytes());
        }
        let _ = socket.write_all(&noise).await;
        let _ = socket.shutdown().await;
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest))
            .await
            .expect("an end");
    }
    for length in [-1_i32, 0, 3, 4, 7, i32::MAX] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(&length.to_be_bytes()).await.unwrap();
        let _ = socket.shutdown().await;
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        let mut socket = open(&server).await;
        socket.write_all(&[b"Q".as_slice(), &length.to_be_bytes()].concat()).await.unwrap();
        let _ = socket.shutdown().await;
        let _ = socket.read_to_end(&mut rest).await;
    }
    assert!(client.simple_query("select count(*) from gold.sales").await.is_ok());
}

/// Waits up to ten seconds for something to become true.
pub(super) async fn eventually(holds: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not happen");
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], length.to_be_bytes().as_slice(), body].concat()
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

/// A socket that has logged in as the trusted user.
async fn open(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let body = b"\0\x03\0\0user\0sluice\0\0";
    let length = u32::try_from(body.len() + 4).unwrap();
    socket.write_all(&[length.to_be_bytes().as_slice(), body].concat()).await.unwrap();
    assert!(until_ready(&mut socket).await.starts_with('R'));
    socket
}

/// The kinds of messages up to `ReadyForQuery`; errors with their code.
async fn until_ready(socket: &mut TcpStream) -> String {
    let mut kinds = String::new();
    loop {
        let kind = socket.read_u8().await.unwrap() as char;
        let length = socket.read_u32().await.unwrap() as usize;
        let mut body = vec![0; length - 4];
        socket.read_exact(&mut body).await.unwrap();
        kinds.push(kind);
        if kind == 'E' {
            let mut fields = body.split(|byte| *byte == 0);
            let code = fields.rfind(|field| field.first() == Some(&b'C')).unwrap();
            kinds.push_str(std::str::from_utf8(&code[1..]).unwrap());
        }
        if kind == 'Z' {
            return kinds;
        }
    }
}
