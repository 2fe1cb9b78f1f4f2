//! HTTP push: durable before it is acknowledged, once for each channel and token, refused in clear words.

use crate::alerts::shipped;
use crate::support::http::{Http, Reply};
use crate::support::{FLOW, Server, Warehouse, trial, until};
use libtest_mimic::Trial;
use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("push::an_acknowledged_push_is_durable", an_acknowledged_push_is_durable),
        trial("push::a_token_is_taken_once", a_token_is_taken_once),
        trial("push::without_a_token_the_reply_promises_less", without_a_token_the_reply_promises_less),
        trial("push::bad_records_are_kept_apart", bad_records_are_kept_apart),
        trial("push::what_cannot_be_taken_is_refused", what_cannot_be_taken_is_refused),
        trial("push::what_is_refused_is_logged_and_counted", what_is_refused_is_logged_and_counted),
        trial("push::too_much_at_a_time_is_counted_and_alarms", too_much_at_a_time_is_counted_and_alarms),
        trial("push::many_senders_at_once", many_senders_at_once),
        trial("push::a_read_token_makes_reads_wait", a_read_token_makes_reads_wait),
        trial("push::ready_and_metrics", ready_and_metrics),
    ]
}

/// A source that takes pushes.
pub const READINGS: &str = "CREATE SOURCE bronze.readings (sensor STRING, value DOUBLE)\n\
                            WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n";

/// How long one push may take, durability included.
const PUSH: Duration = Duration::from_secs(20);

/// Pushes to a source as one sender.
pub fn push(server: &Server, source: &str, sender: Option<(&str, i64)>, body: &str) -> Result<Reply, String> {
    let token = sender.map(|(_, token)| token.to_string()).unwrap_or_default();
    let headers: Vec<(&str, &str)> = match &sender {
        Some((channel, _)) => vec![("channel", channel), ("token", &token)],
        None => vec![],
    };
    Http::new(PUSH).post(server.http, &format!("/ingest/{source}"), &headers, body)
}

fn accepted(reply: Result<Reply, String>) -> Reply {
    let reply = reply.unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

fn an_acknowledged_push_is_durable() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    accepted(push(&server, "readings", Some(("one", 1)), "{\"sensor\": \"a\", \"value\": 1.5}\n"));
    server.kill9();
    let server = warehouse.serve();
    server.wait_until("SELECT sensor, value, _partition, _offset FROM bronze.readings", "a|1.5|one|1000000");
    server.wait_until("SELECT sensor, readings, total FROM gold.readings_by_sensor", "a|1|1.5");
}

fn a_token_is_taken_once() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    let body = "{\"sensor\": \"a\", \"value\": 1}\n{\"sensor\": \"b\", \"value\": 2}\n";
    let first = accepted(push(&server, "readings", Some(("one", 7)), body)).json();
    assert_eq!((first["rows"].as_i64(), first["duplicate"].as_bool()), (Some(2), Some(false)), "{first}");
    let again = accepted(push(&server, "readings", Some(("one", 7)), body)).json();
    assert_eq!(again["duplicate"].as_bool(), Some(true), "{again}");
    // An older token of the channel was taken, too; another channel counts for itself.
    let older = accepted(push(&server, "readings", Some(("one", 6)), body)).json();
    assert_eq!(older["duplicate"].as_bool(), Some(true), "{older}");
    accepted(push(&server, "readings", Some(("two", 7)), body));
    server.wait_until("SELECT count(*), sum(value) FROM bronze.readings", "4|6");
    // What was taken is known after a kill.
    server.kill9();
    let server = warehouse.serve();
    let after = accepted(push(&server, "readings", Some(("one", 7)), body)).json();
    assert_eq!(after["duplicate"].as_bool(), Some(true), "{after}");
    accepted(push(&server, "readings", Some(("one", 8)), "{\"sensor\": \"c\", \"value\": 4}"));
    server.wait_until("SELECT count(*), sum(value) FROM bronze.readings", "5|10");
}

fn without_a_token_the_reply_promises_less() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    let reply = accepted(push(&server, "readings", None, "{\"sensor\": \"a\", \"value\": 1}")).json();
    assert_eq!(reply["exactly_once"].as_bool(), Some(false), "{reply}");
    let reply =
        accepted(push(&server, "readings", Some(("one", 1)), "{\"sensor\": \"a\", \"value\": 1}")).json();
    assert_eq!(reply["exactly_once"].as_bool(), Some(true), "{reply}");
    server.wait_until("SELECT count(*) FROM bronze.readings", "2");
}

fn bad_records_are_kept_apart() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    let body = "{\"sensor\": \"a\", \"value\": 1}\n{\"sensor\": \"a\", \"value\": \"much\"}\n{\"sensor\": \n{\"sensor\": \"b\", \"value\": 2}\n[1]\n";
    let reply = accepted(push(&server, "readings", Some(("one", 1)), body)).json();
    assert_eq!((reply["rows"].as_i64(), reply["rejected"].as_i64()), (Some(2), Some(3)), "{reply}");
    server.wait_until("SELECT count(*), sum(value) FROM bronze.readings", "2|3");
    server.wait_until(
        "SELECT CAST(raw AS TEXT) FROM bronze.readings__quarantine WHERE rule = 'type' AND reason LIKE '%\"value\"%'",
        "{\"sensor\": \"a\", \"value\": \"much\"}",
    );
    server.wait_until(
        "SELECT count(*), bool_and(rule <> ''), bool_and(reason <> '') FROM bronze.readings__quarantine",
        "3|t|t",
    );
}

fn what_cannot_be_taken_is_refused() {
    let warehouse = Warehouse::of("events");
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\npush_bytes_max = 1024\n",
    );
    let server = warehouse.serve();
    let http = Http::new(PUSH);
    let post = |path: &str, headers: &[(&str, &str)], body: &str| {
        http.post(server.http, path, headers, body).unwrap()
    };

    let unknown = post("/ingest/nothing", &[], "{}");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("nothing"), "{unknown:?}");
    assert_eq!(post("/ingest/sales", &[], "{}").status, 404, "a source that is not pushed to");

    let large = post("/ingest/readings", &[], &format!("{{\"sensor\": \"{}\"}}", "x".repeat(2000)));
    assert_eq!(large.status, 413);
    assert!(large.body.contains("1024"), "the limit is named: {large:?}");

    let half = post("/ingest/readings", &[("channel", "one")], "{\"sensor\": \"a\", \"value\": 1}");
    assert_eq!(half.status, 400, "a channel without a token: {half:?}");
    let words = post(
        "/ingest/readings",
        &[("channel", "one"), ("token", "soon")],
        "{\"sensor\": \"a\", \"value\": 1}",
    );
    assert_eq!(words.status, 400, "a token that is not a number: {words:?}");
    assert_eq!(http.get(server.http, "/ingest/readings").unwrap().status, 405);
    assert_eq!(http.get(server.http, "/no/such/page").unwrap().status, 404);

    assert_eq!(post("/ingest/readings", &[], "{\"sensor\": \"z\", \"value\": 1}").status, 200);
    server.wait_until("SELECT string_agg(sensor, ',') FROM bronze.readings", "z");
}

/// A load that fails before there is anything to commit is one row for each reason, however often it is repeated.
fn what_is_refused_is_logged_and_counted() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    let post = |headers: &[(&str, &str)], body: &str| {
        Http::new(PUSH).post(server.http, "/ingest/readings", headers, body).unwrap().status
    };
    for _ in 0..20 {
        assert_eq!(post(&[("channel", "anonymous-1"), ("token", "1")], "{\"sensor\": \"a\"}"), 400);
    }
    assert_eq!(post(&[("channel", "one")], "{\"sensor\": \"a\"}"), 400);
    let logged = "SELECT sum(attempts), count(*) < 10, bool_and(batch IS NULL AND rows = 0 AND outcome = 'failed') \
                  FROM sluice.ingest_log WHERE source = 'bronze.readings' AND error LIKE ";
    server.wait_until(&format!("{logged} 'push refused: a channel''s name must not start%'"), "20|t|t");
    server.wait_until(&format!("{logged} 'push refused: header \"channel\" needs%'"), "1|t|t");
    assert_eq!(
        server.query("SELECT state, error FROM sluice.sources WHERE source = 'bronze.readings'"),
        "running|"
    );
    assert_eq!(post(&[], "{\"sensor\": \"a\", \"value\": 1}"), 200);
    server.wait_until(
        "SELECT attempts, rows, error IS NULL FROM sluice.ingest_log WHERE outcome = 'ok' AND source = 'bronze.readings'",
        "1|1|t",
    );
}

fn too_much_at_a_time_is_counted_and_alarms() {
    let warehouse = Warehouse::of("events");
    warehouse.write("catalog/alerts.sql", shipped(Some("ingest_limit_exceeded")));
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\npush_bytes_max = 1024\n",
    );
    let server = warehouse.serve();
    let count = "SELECT pushes_limited > 0, last_limited_at IS NOT NULL FROM sluice.sources WHERE source = 'bronze.readings'";
    assert_eq!(server.query(count), "f|f");
    // Senders that are slow with their bodies hold all the room there is. More of them, should one be told to come back.
    let mut slow = Vec::new();
    until("429", FLOW, || {
        let mut stream = TcpStream::connect(server.http).unwrap();
        stream
            .write_all(b"POST /ingest/readings HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\n\r\n{")
            .unwrap();
        slow.push(stream);
        // Nothing is taken of these, so that the rate does not alarm.
        match push(&server, "readings", None, " ").unwrap().status {
            429 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    server.wait_until(count, "t|t");
    let fired = "SELECT count(*) > 0 FROM sluice.alert_instances WHERE alert = 'ingest_limit_exceeded' AND state = 'firing' \
                 AND labels LIKE '%bronze.readings%'";
    server.wait_until(fired, "t");
    let metrics = Http::new(PUSH).get(server.http, "/metrics").unwrap().body;
    let limited = server.query("SELECT pushes_limited FROM sluice.sources WHERE source = 'bronze.readings'");
    let shown = format!("sluice_sources_pushes_limited{{source=\"bronze.readings\"}} {limited}\n");
    assert!(metrics.contains(&shown), "{metrics}");
    drop(slow);
}

/// More pushes at a time than the queue holds: some are told to come back, none that was taken is lost.
fn many_senders_at_once() {
    const SENDERS: i64 = 24;
    const PUSHES: i64 = 8;
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let server = &server;
            scope.spawn(move || {
                for token in 1..=PUSHES {
                    let body = format!("{{\"sensor\": \"s{sender}\", \"value\": {token}}}");
                    let mut tries = 0;
                    loop {
                        let reply =
                            push(server, "readings", Some((&format!("s{sender}"), token)), &body).unwrap();
                        match reply.status {
                            200 => break,
                            429 => {
                                assert!(reply.retry_after.is_some(), "{reply:?}");
                                tries += 1;
                                assert!(tries < 1000, "told to come back {tries} times");
                                thread::sleep(Duration::from_millis(20));
                            }
                            _ => panic!("{reply:?}"),
                        }
                    }
                }
            });
        }
    });
    let total = SENDERS * PUSHES * (PUSHES + 1) / 2;
    server.wait_until(
        "SELECT count(*), sum(value), count(DISTINCT (_partition, _offset)) FROM bronze.readings",
        &format!("{}|{total}|{}", SENDERS * PUSHES, SENDERS * PUSHES),
    );
}

fn ready_and_metrics() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    let http = Http::new(PUSH);
    let ready = http.get(server.http, "/ready").unwrap();
    assert_eq!(ready.status, 200);
    assert_eq!(ready.content_type, "application/json");
    let addresses = ready.json();
    assert_eq!(addresses["pg"].as_str(), Some(server.pg.to_string().as_str()), "{ready:?}");
    assert_eq!(addresses["flight"].as_str(), Some(server.flight.to_string().as_str()), "{ready:?}");
    assert_eq!(addresses["http"].as_str(), Some(server.http.to_string().as_str()), "{ready:?}");
    let metrics = http.get(server.http, "/metrics").unwrap();
    assert_eq!(metrics.status, 200);
    for name in ["sluice_epoch ", "sluice_table_version{", "table=\"sales_by_store\""] {
        assert!(metrics.body.contains(name), "{name} is missing in:\n{}", metrics.body);
    }
    assert_eq!(http.get(server.http, "/health").unwrap().status, 200);
    assert!(http.get(server.http, "/").unwrap().body.contains("psql -h"), "the front page says what to type");
}

fn a_read_token_makes_reads_wait() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    let session = server.connect();
    for token in 1..=10 {
        let body = format!("{{\"sensor\": \"a\", \"value\": {token}}}");
        let reply = accepted(push(&server, "readings", Some(("one", token)), &body)).json();
        let read_token = reply["read_token"].as_str().unwrap_or_else(|| panic!("{reply}"));
        session.text(&format!("SET sluice.read_after = '{read_token}'"));
        // No waiting here: the session itself waits for the epoch that holds the push.
        assert_eq!(session.text("SELECT count(*) FROM bronze.readings"), token.to_string());
    }
}
