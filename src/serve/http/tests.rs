//! The server as its clients see it: a real listener and an HTTP client; the inbox behind it is a double.

use super::{Addresses, listen};
use crate::catalog::cut::Cut;
use crate::config::LimitSettings;
use crate::ingest::{Committed, Inbox, Push, PushOutcome};
use crate::ops::shutdown::Shutdown;
use crate::serve::fixture::{cut, readers};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Answers from a list and remembers what it was given.
#[derive(Default)]
struct Double {
    pushes: Mutex<Vec<(Option<(String, i64)>, usize)>>,
    outcomes: Mutex<Vec<PushOutcome>>,
}

#[async_trait]
impl Inbox for Double {
    async fn push(&self, push: Push) -> PushOutcome {
        self.pushes.lock().push((push.channel, push.body.bytes()));
        let taken = || PushOutcome::Taken {
            rows: 2,
            rejected: 1,
            committed: Some(Committed { batch: 7, version: 9 }),
        };
        self.outcomes.lock().pop().unwrap_or_else(taken)
    }

    fn columns(&self) -> &[crate::sql::ColumnDefinition] {
        &[]
    }
}

struct Server {
    address: SocketAddr,
    inbox: Arc<Double>,
    cuts: watch::Sender<Arc<Cut>>,
    shutdown: Shutdown,
    done: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start(trust_loopback: bool, push_bytes_max: usize) -> Server {
    let limits = LimitSettings { push_bytes_max, ..LimitSettings::default() };
    let (readers, cuts) = readers(limits, trust_loopback);
    let inbox = Arc::new(Double::default());
    readers.inboxes.write().insert("orders".to_string(), Arc::clone(&inbox) as Arc<dyn Inbox>);
    let shutdown = readers.shutdown.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let addresses = Addresses {
        pg: "127.0.0.1:1".parse().unwrap(),
        flight: "127.0.0.1:2".parse().unwrap(),
        http: address,
    };
    let done = tokio::spawn(listen(listener, readers, addresses));
    Server { address, inbox, cuts, shutdown, done }
}

struct Answer {
    status: u16,
    retry_after: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

impl Server {
    async fn get(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.address);
        tokio::task::spawn_blocking(move || answer(agent().get(&url).call())).await.unwrap()
    }

    async fn push(&self, path: &str, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.to_string())).collect();
        let body = body.to_string();
        let call = move || {
            let mut request = agent().post(&url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            answer(request.send(body))
        };
        tokio::task::spawn_blocking(call).await.unwrap()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = result.unwrap();
    let retry_after = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_string());
    Answer {
        status: response.status().as_u16(),
        retry_after,
        text: response.body_mut().read_to_string().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_tells_the_addresses_once_there_is_a_cut() {
    let server = start(true, 1000).await;
    let ready = server.get("/ready").await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.text.lines().count(), 1);
    assert_eq!(ready.json()["flight"], "127.0.0.1:2");
    assert_eq!(ready.json()["http"], server.address.to_string());
    let empty = Cut { tables: Default::default(), ..cut(0, 0).as_ref().clone() };
    server.cuts.send(Arc::new(empty)).unwrap();
    let starting = server.get("/ready").await;
    assert_eq!((starting.status, starting.retry_after.as_deref()), (503, Some("1")));
    assert_eq!(server.get("/health").await.status, 200);
    assert!(server.get("/").await.text.contains("psql -h 127.0.0.1 -p 1 -U sluice"));
    assert_eq!(server.get("/none").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_the_cut() {
    let server = start(true, 1000).await;
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("\nsluice_epoch 1\n"), "{}", metrics.text);
    assert!(metrics.text.contains("sluice_table_version{schema=\"gold\",table=\"days\"} 1\n"));
    assert!(
        metrics.text.contains("sluice_table_freshness{schema=\"gold\",table=\"days\",state=\"fresh\"} 1\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_with_channel_and_token_is_exactly_once() {
    let server = start(true, 1000).await;
    let pushed = server
        .push("/ingest/orders", &[("channel", "till-4"), ("token", "17")], "{\"a\":1}\n{\"a\":2}")
        .await;
    assert_eq!(pushed.status, 200, "{}", pushed.text);
    let expected = serde_json::json!({
        "rows": 2, "rejected": 1, "batch": 7, "read_token": "bronze.orders@9", "exactly_once": true, "duplicate": false,
    });
    assert_eq!(pushed.json(), expected);
    let plain = server.push("/ingest/orders", &[], "{\"a\":1}").await;
    assert_eq!(plain.json()["exactly_once"], false);
    assert_eq!(*server.inbox.pushes.lock(), [(Some(("till-4".to_string(), 17)), 15), (None, 7)]);
    server.inbox.outcomes.lock().push(PushOutcome::Taken { rows: 0, rejected: 0, committed: None });
    let again = server.push("/ingest/orders", &[("channel", "till-4"), ("token", "17")], "{}").await.json();
    assert_eq!((&again["duplicate"], &again["read_token"]), (&Value::Bool(true), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_pushes_are_told_what_is_wrong() {
    let server = start(true, 1000).await;
    let unknown = server.push("/ingest/order", &[], "{}").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["sources"], serde_json::json!(["orders"]));
    for headers in [
        vec![("channel", "a")],
        vec![("token", "1")],
        vec![("channel", "a"), ("token", "-1")],
        vec![("channel", "a"), ("token", "9223372036854775808")],
        vec![("channel", "a"), ("token", "one")],
        vec![("channel", ""), ("token", "1")],
    ] {
        let refused = server.push("/ingest/orders", &headers, "{}").await;
        assert_eq!(refused.status, 400, "{headers:?} {}", refused.text);
        assert!(refused.json()["error"].as_str().unwrap().contains("header"), "{}", refused.text);
    }
    assert_eq!(server.push("/ingest/orders", &[], " \n").await.status, 400);
    assert_eq!(server.push("/ingest/orders", &[], &"x".repeat(1001)).await.status, 413);
    assert_eq!(server.get("/ingest/orders").await.status, 405);
    assert!(server.inbox.pushes.lock().is_empty());
    assert_eq!(server.push("/ingest/orders", &[], &"x".repeat(1000)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_refused_before_it_is_sent_and_without_a_length_too() {
    let server = start(true, 1000).await;
    let address = server.address;
    let statuses = tokio::task::spawn_blocking(move || {
        let status = |request: &[u8]| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request).unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            String::from_utf8(answer.to_vec()).unwrap()
        };
        let announced =
            status(b"POST /ingest/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n");
        let mut chunked =
            b"POST /ingest/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        chunked.extend_from_slice(format!("7d0\r\n{}\r\n", "x".repeat(2000)).as_bytes());
        (announced, status(&chunked))
    });
    assert_eq!(statuses.await.unwrap(), ("HTTP/1.1 413".to_string(), "HTTP/1.1 413".to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn back_pressure_says_when_to_try_again() {
    let server = start(true, 1000).await;
    server.inbox.outcomes.lock().push(PushOutcome::Busy);
    let busy = server.push("/ingest/orders", &[], "{}").await;
    assert_eq!((busy.status, busy.retry_after.as_deref()), (429, Some("1")));
    server.inbox.outcomes.lock().push(PushOutcome::Stopped("its topic is gone".to_string()));
    let stopped = server.push("/ingest/orders", &[], "{}").await;
    assert_eq!(stopped.status, 503);
    assert!(stopped.text.contains("its topic is gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_trust_a_password_is_needed() {
    let server = start(false, 1000).await;
    let anonymous = server.push("/ingest/orders", &[], "{}").await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(server.get("/metrics").await.status, 401);
    assert_eq!(server.get("/ready").await.status, 200);
    let wrong = server.push("/ingest/orders", &[("authorization", "Basic YW5hOnBlbg==")], "{}").await;
    assert_eq!(wrong.status, 401);
    let right = server.push("/ingest/orders", &[("authorization", "Basic YW5hOnBlbmNpbA==")], "{}").await;
    assert_eq!(right.status, 200, "{}", right.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_the_listener() {
    let server = start(true, 1000).await;
    assert_eq!(server.get("/health").await.status, 200);
    server.shutdown.request();
    tokio::time::timeout(Duration::from_secs(5), server.done).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(server.address).is_err());
}
