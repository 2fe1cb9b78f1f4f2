//! Who is connected and what each does; ending another's statement or session.

use crate::roles::{of, shop};
use crate::support::pg::{self, Pg};
use crate::support::{Server, shared, trial, until};
use arrow_flight::sql::client::FlightSqlServiceClient;
use libtest_mimic::Trial;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("sessions::show_what_each_does", show_what_each_does),
        trial("sessions::hide_what_others_do", hide_what_others_do),
        trial("sessions::are_numbered_as_the_protocol_says", are_numbered_as_the_protocol_says),
        trial("sessions::another_s_statement_is_cancelled", another_s_statement_is_cancelled),
        trial("sessions::another_is_terminated", another_is_terminated),
        trial("sessions::of_flight_are_shown_and_cancelled", of_flight_are_shown_and_cancelled),
    ]
}

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 2000000) AS a(x), generate_series(1, 2000000) AS b(y) \
                       WHERE x % 7 = y % 11";
const SOON: Duration = Duration::from_secs(20);

fn pid(session: &Pg) -> i32 {
    session.text("SELECT pg_backend_pid()").parse().unwrap()
}

/// Waits until a session is seen in a state, and gives the rest of what is seen of it.
fn seen(watcher: &Pg, pid: i32, state: &str, columns: &str) -> String {
    let sql = format!("SELECT {columns} FROM pg_stat_activity WHERE pid = {pid} AND state = '{state}'");
    until(&format!("session {pid} is {state}"), SOON, || match watcher.text(&sql) {
        nothing if nothing.is_empty() => {
            Err(watcher.text("SELECT pid, state, query FROM pg_stat_activity ORDER BY 1"))
        }
        answer => Ok(answer),
    })
}

fn show_what_each_does() {
    let server = shared::server();
    let (watcher, other) = (server.connect(), server.connect());
    let number = pid(&other);
    other.text("SET application_name = 'the other'");
    let columns = "usename, datname, application_name, client_addr, client_port > 0, query, backend_type, \
                   xact_start IS NULL, backend_start <= query_start, query_start <= state_change";
    assert_eq!(
        seen(&watcher, number, "idle", columns),
        "sluice|sluice|the other|127.0.0.1|t|SET application_name = 'the other'|client backend|t|t|t"
    );
    other.text("BEGIN");
    other.text("SELECT 1 AS one");
    let columns = "query, xact_start <= query_start, wait_event_type, wait_event";
    assert_eq!(seen(&watcher, number, "idle in transaction", columns), "SELECT 1 AS one|t|Client|ClientRead");
    other.refusal("SELECT 1 / 0");
    assert_eq!(seen(&watcher, number, "idle in transaction (aborted)", "query"), "SELECT 1 / 0");
    other.text("ROLLBACK");
    // The extended protocol's statements are shown by the text that was parsed.
    other.run(other.client().query("SELECT $1::int4 + 1", &[&41_i32])).unwrap();
    assert_eq!(seen(&watcher, number, "idle", "query"), "SELECT $1::int4 + 1");
    // What is shown is the statement that looks, kept plan or not.
    let look = watcher.run(
        watcher
            .client()
            .prepare("SELECT state, query, client_addr FROM pg_stat_activity WHERE pid = pg_backend_pid()"),
    );
    let look = look.unwrap();
    for _ in 0..2 {
        let row = watcher.run(watcher.client().query_one(&look, &[])).unwrap();
        assert_eq!(row.get::<_, String>(0), "active");
        assert!(row.get::<_, String>(1).starts_with("SELECT state, query"));
        assert_eq!(row.get::<_, IpAddr>(2), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    other.text("SET ROLE none");
    let sessions =
        "SELECT login, role, protocol, client LIKE '127.0.0.1:%', application, state FROM sluice.sessions";
    let sessions = format!("{sessions} WHERE session = {number}");
    assert_eq!(watcher.text(&sessions), "sluice|sluice|postgres|t|the other|idle");
    drop(other);
    until("the session is gone", SOON, || match watcher.text(&sessions).as_str() {
        "" => Ok(()),
        still => Err(still.to_string()),
    });
}

fn hide_what_others_do() {
    let (_warehouse, server) = shop();
    let (root, ann, bob) = (server.connect(), of(&server, "ann"), of(&server, "bob"));
    bob.text("SELECT 'a secret of bob'");
    let sql = "SELECT usename, state, query, client_addr, backend_start FROM pg_stat_activity WHERE usename = 'bob'";
    assert_eq!(ann.text(sql), "bob||<insufficient privilege>||");
    assert!(root.text(sql).starts_with("bob|idle|SELECT 'a secret of bob'|127.0.0.1|20"));
    assert_eq!(
        seen(&root, pid(&ann), "idle", "query"),
        "SELECT pg_backend_pid()",
        "a role sees what it does itself"
    );
    let (watcher, number) = (server.connect(), pid(&root));
    // Refused, and all the same a password that was said.
    root.refusal("ALTER ROLE bob PASSWORD 'hunter2'");
    assert_eq!(seen(&watcher, number, "idle", "query"), "ALTER ROLE bob PASSWORD '***'");
    for (signal, of_bob, of_root) in [
        (
            "cancel",
            "must be a member of the role whose query is being canceled",
            "must be a superuser to cancel",
        ),
        (
            "terminate",
            "must be a member of the role whose process is being terminated",
            "must be a superuser to terminate",
        ),
    ] {
        for (other, expected) in [(&bob, of_bob), (&root, of_root)] {
            let (code, said) = ann.refusal(&format!("SELECT pg_{signal}_backend({})", pid(other)));
            assert_eq!(code, "42501");
            assert!(said.contains(expected), "{said}");
        }
        // One's own.
        let own = of(&server, "ann");
        assert_eq!(ann.text(&format!("SELECT pg_{signal}_backend({})", pid(&own))), "t");
    }
    assert_eq!(bob.text("SELECT 1"), "1");
    assert_eq!(root.text("SELECT 1"), "1");
}

/// The key that a client is given to cancel with is of the number that SQL tells.
fn are_numbered_as_the_protocol_says() {
    use std::io::{Read as _, Write as _};
    let server = shared::server();
    let watcher = server.connect();
    let mut socket = std::net::TcpStream::connect(server.pg).unwrap();
    let parameters = b"user\0sluice\0database\0sluice\0application_name\0raw\0\0";
    let length = u32::try_from(8 + parameters.len()).unwrap().to_be_bytes();
    socket.write_all(&[&length, &[0, 3, 0, 0], parameters.as_slice()].concat()).unwrap();
    let key = loop {
        let mut head = [0; 5];
        socket.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        socket.read_exact(&mut body).unwrap();
        if head[0] == b'K' {
            break i32::from_be_bytes(body[..4].try_into().unwrap());
        }
        assert_ne!(head[0], b'E', "{}", String::from_utf8_lossy(&body));
    };
    assert_eq!(
        watcher.text("SELECT pid FROM pg_stat_activity WHERE application_name = 'raw'"),
        key.to_string()
    );
    assert_ne!(pid(&watcher), key);
}

fn another_s_statement_is_cancelled() {
    let server = shared::server();
    let (watcher, busy) = (server.connect(), server.connect());
    let number = pid(&busy);
    for extended in [false, true] {
        let error = thread::scope(|scope| {
            let running = scope.spawn(|| match extended {
                false => busy.run(busy.client().simple_query(ENDLESS)).err(),
                true => busy.run(busy.client().query(ENDLESS, &[])).err(),
            });
            assert_eq!(seen(&watcher, number, "active", "query"), ENDLESS);
            assert_eq!(watcher.text(&format!("SELECT pg_cancel_backend({number})")), "t");
            running.join().unwrap()
        });
        assert_eq!(pg::code(&error.expect("it had to be cancelled")), "57014");
        // An idle session is not touched.
        assert_eq!(watcher.text(&format!("SELECT pg_cancel_backend({number})")), "t");
        assert_eq!(busy.text("SELECT 1"), "1");
    }
    assert_eq!(watcher.text("SELECT pg_cancel_backend(2147483647)"), "f");
    assert_eq!(watcher.text("SELECT pg_cancel_backend(NULL)"), "");
}

fn another_is_terminated() {
    let server = shared::server();
    let watcher = server.connect();
    for busy in [false, true] {
        let other = server.connect();
        let number = pid(&other);
        let error = thread::scope(|scope| {
            let running = busy.then(|| scope.spawn(|| other.run(other.client().simple_query(ENDLESS)).err()));
            seen(&watcher, number, if busy { "active" } else { "idle" }, "pid");
            assert_eq!(watcher.text(&format!("SELECT pg_terminate_backend({number})")), "t");
            running.map(|running| running.join().unwrap().expect("it had to end"))
        });
        if let Some(error) = error {
            assert_eq!(pg::code(&error), "57P01", "{}", pg::describe(&error));
        }
        until("the session is gone", SOON, || match other.try_text("SELECT 1") {
            Ok(_) => Err("it goes on".to_string()),
            Err(_) => Ok(()),
        });
        assert_eq!(watcher.text(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {number}")), "0");
    }
    // With the time to wait that PostgreSQL 14 added, it has ended when the answer comes.
    for _ in 0..5 {
        let other = server.connect();
        let number = pid(&other);
        let waiting = format!("SELECT pg_terminate_backend({number}, 60000)");
        assert_eq!(watcher.text(&waiting), "t");
        assert_eq!(watcher.text(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {number}")), "0");
        assert_eq!(watcher.text(&waiting), "f");
    }
    assert_eq!(watcher.refusal("SELECT pg_terminate_backend(pg_backend_pid(), -1)").0, "22003");
    let own = server.connect();
    assert_eq!(own.refusal("SELECT pg_terminate_backend(pg_backend_pid(), 60000)").0, "57P01");
    let messages = watcher.run(watcher.client().simple_query("SELECT 1")).unwrap();
    assert!(messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))));
}

fn of_flight_are_shown_and_cancelled() {
    let server = shared::server();
    let watcher = server.connect();
    let error = thread::scope(|scope| {
        let running = scope.spawn(|| flight(&server, ENDLESS));
        let sql = "SELECT pid, usename, client_addr FROM pg_stat_activity \
                   WHERE backend_type = 'flight backend' AND state = 'active' AND query LIKE 'SELECT count(*)%'";
        let found = until("the query is shown", SOON, || match watcher.text(sql) {
            nothing if nothing.is_empty() => Err(watcher.text("SELECT * FROM pg_stat_activity")),
            found => Ok(found),
        });
        let (number, rest) = found.split_once('|').unwrap();
        assert_eq!(rest, "sluice|127.0.0.1");
        // A cancel that falls between planning and running hits nothing, so it is sent until the query has ended.
        until("the query ends", SOON, || {
            watcher.text(&format!("SELECT pg_cancel_backend({number})"));
            if running.is_finished() { Ok(()) } else { Err("it runs".to_string()) }
        });
        running.join().unwrap()
    });
    let error = error.expect_err("it had to be cancelled");
    assert!(error.contains("canceling statement due to user request"), "{error}");
}

/// Runs a statement over Flight SQL to its end.
fn flight(server: &Server, sql: &str) -> Result<usize, String> {
    use futures::TryStreamExt as _;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let channel = tonic::transport::Channel::from_shared(format!("http://{}", server.flight)).unwrap();
        let mut client = FlightSqlServiceClient::new(channel.connect().await.unwrap());
        client.handshake("sluice", "").await.unwrap();
        let info = client.execute(sql.to_string(), None).await.map_err(|error| error.to_string())?;
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let batches = client.do_get(ticket).await.map_err(|error| error.to_string())?;
        let batches: Vec<_> = batches.try_collect().await.map_err(|error| error.to_string())?;
        Ok(batches.iter().map(|batch| batch.num_rows()).sum())
    })
}
