//! Flight SQL's bad clients: who speaks another protocol, vanishes in the middle, or says what makes no sense. Each pays
//! for itself only: an error or the end of its own connection, nothing half stored, and other sessions go on.

use crate::flight::{Flight, text};
use crate::push::READINGS;
use crate::support::{READY, Server, Warehouse, shared, trial};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, Any, CommandGetCatalogs, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate,
    ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use prost::Message as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use tokio::sync::Notify;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("flight_bad_clients::noise_ends_its_own_connection", noise_ends_its_own_connection),
        trial("flight_bad_clients::the_silent_are_let_go", the_silent_are_let_go),
        trial("flight_bad_clients::a_reader_that_vanishes_ends_its_query", a_reader_that_vanishes),
        trial("flight_bad_clients::a_put_that_breaks_off_keeps_nothing", a_put_that_breaks_off_keeps_nothing),
        trial("flight_bad_clients::nonsense_is_an_error_of_its_own_call", nonsense_is_an_error),
        trial("flight_bad_clients::what_is_too_long_is_refused", what_is_too_long_is_refused),
    ]
}

/// What begins every HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fn noise_ends_its_own_connection() {
    let server = shared::server();
    let mut other = Flight::connect(&server, "sluice", "").unwrap();
    let begun = [PREFACE, SETTINGS].concat();
    let frame = |kind: u8, stream: u8, body: &[u8]| {
        [&begun[..], &[0, 0, body.len() as u8, kind, 4, 0, 0, 0, stream], body].concat()
    };
    for (what, noise) in [
        ("HTTP/1", b"GET / HTTP/1.1\r\nHost: sluice\r\n\r\n".to_vec()),
        ("PostgreSQL's protocol", b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x09\0\x03\0\0\0".repeat(4)),
        (
            "TLS where there is none",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 and what looks random".repeat(4),
        ),
        ("zeros", vec![0; 4096]),
        ("headers that do not unpack", frame(1, 1, &[0xff; 40])),
        ("data of a call that nobody began", frame(0, 7, b"data")),
        ("settings of no known length", frame(4, 0, b"12345")),
        ("a frame of 16 MiB", [&begun[..], b"\xff\xff\xff\0\0\0\0\0\x01", &[b'x'; 100]].concat()),
        ("a call on the stream of the connection itself", frame(1, 0, b"\x82")),
    ] {
        let mut socket = TcpStream::connect(server.flight).unwrap();
        socket.set_read_timeout(Some(READY)).unwrap();
        // It may be gone before all is said.
        let _ = socket.write_all(&noise);
        match socket.read_to_end(&mut vec![]) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{what}: it is not closed"),
        }
        assert_eq!(text(&other.query("SELECT 1").unwrap()), "1", "{what}");
    }
}

/// Nobody waits for it to read on: its query ends at once, long before `limits.stall_ms_max`.
fn a_reader_that_vanishes() {
    let server = shared::server();
    let mut other = Flight::connect(&server, "sluice", "").unwrap();
    let endless = "SELECT value AS endless FROM generate_series(1, 100000000000) AS t(value)";
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT value AS endless%' AND state = 'active'";
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let (runtime, client) = (&flight.runtime, &mut flight.client);
    let stream = runtime.block_on(async {
        let info = client.execute(endless.to_string(), None).await.unwrap();
        let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
        assert!(stream.try_next().await.unwrap().unwrap().num_rows() > 0);
        stream
    });
    assert_eq!(server.query(running), "1", "it runs");
    // With all that drives it, as a process that is killed.
    drop(flight);
    drop(stream);
    server.wait_until(running, "0");
    assert_eq!(text(&other.query("SELECT 1").unwrap()), "1");
}

/// With a source that takes rows, and a user who may read what is noted of it.
fn warehouse() -> (Warehouse, Server) {
    let warehouse = Warehouse::new();
    let settings = "[users.sluice]\ntrust_loopback = true\nmay_define = true\n";
    warehouse.write("catalog/warehouse.toml", settings);
    warehouse.write("catalog/readings.sql", READINGS);
    let server = warehouse.serve();
    (warehouse, server)
}

/// Rows for `bronze.readings`: more than a push without a token takes at a time, in messages of 100 KiB.
fn readings() -> Vec<RecordBatch> {
    let rows = |n: usize| {
        let sensors = StringArray::from_iter_values((0..100).map(|row| format!("{n} {row} {:01000}", 0)));
        RecordBatch::try_from_iter([("sensor", Arc::new(sensors) as ArrayRef)]).unwrap()
    };
    (0..80).map(rows).collect()
}

/// Puts rows and waits for more that never come: resolves to nothing, once the server has taken most of them.
async fn put_half(client: &mut FlightSqlServiceClient<Channel>) {
    let last = Arc::new(Notify::new());
    let asked_for_more = Arc::clone(&last);
    let more = stream::once(async move {
        // A message is asked for when those before it have left: a window of HTTP/2 is all that is still on its way.
        asked_for_more.notify_one();
        futures::future::pending().await
    });
    let command =
        CommandStatementIngest { table: "readings".to_string(), ..CommandStatementIngest::default() };
    let put = client.execute_ingest(command, stream::iter(readings().into_iter().map(Ok)).chain(more));
    tokio::select! {
        ended = put => panic!("it has ended: {ended:?}"),
        () = last.notified() => {}
    }
}

/// With a token the rows of a call are one push: whole or not at all, however it ends.
fn a_put_that_breaks_off_keeps_nothing() {
    let (_warehouse, server) = warehouse();
    let connect = || {
        let mut flight = Flight::connect(&server, "sluice", "").unwrap();
        flight.client.set_header("sluice-channel", "loader");
        flight.client.set_header("sluice-token", "1");
        flight
    };
    let mut flight = connect();
    let ended = "SELECT count(*), count(*) FILTER (WHERE outcome = 'ok') FROM sluice.audit_log \
                 WHERE statement LIKE 'INGEST bronze.readings%'";
    let stored = "SELECT count(*) FROM bronze.readings";
    // The call is given up, and its connection goes on.
    flight.runtime.block_on(put_half(&mut flight.client));
    server.wait_until(ended, "1|0");
    assert_eq!(text(&flight.query(stored).unwrap()), "0");
    // The connection is gone.
    flight.runtime.block_on(put_half(&mut flight.client));
    drop(flight);
    server.wait_until(ended, "2|0");
    assert_eq!(server.query(stored), "0");

    // Nothing of the token is used up: sent again, whole, it is taken, once.
    let mut flight = connect();
    for taken in [8_000, 0] {
        let (runtime, client) = (&flight.runtime, &mut flight.client);
        let command =
            CommandStatementIngest { table: "readings".to_string(), ..CommandStatementIngest::default() };
        let rows = stream::iter(readings().into_iter().map(Ok));
        assert_eq!(runtime.block_on(client.execute_ingest(command, rows)).unwrap(), taken);
    }
    server.wait_until("SELECT count(*), count(DISTINCT sensor) FROM bronze.readings", "8000|8000");
}

/// Who does not begin holds a place that others need, so the server ends it: before anything is said, and in the middle of it.
fn the_silent_are_let_go() {
    let server = shared::server();
    let mut other = Flight::connect(&server, "sluice", "").unwrap();
    let silent = [
        (server.flight, &b""[..]),
        (server.flight, &PREFACE[..12]),
        (server.http, &b""[..]),
        (server.http, &b"GET /rea"[..]),
    ];
    let sockets = silent.map(|(address, words)| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(READY)).unwrap();
        socket.write_all(words).unwrap();
        (socket, words)
    });
    for (mut socket, words) in sockets {
        let end = socket.read_to_end(&mut vec![]);
        let is_over = end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
        assert!(is_over, "kept after {:?}", String::from_utf8_lossy(words));
    }
    assert_eq!(text(&other.query("SELECT 1").unwrap()), "1");
}

/// Calls of one session that say anything.
struct Calls<'a> {
    client: &'a mut FlightServiceClient<Channel>,
    token: AsciiMetadataValue,
}

impl Calls<'_> {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }

    async fn get(&mut self, ticket: Vec<u8>) -> String {
        let request = self.request(Ticket { ticket: ticket.into() });
        match self.client.do_get(request).await {
            Ok(stream) => told(stream.into_inner().try_collect::<Vec<_>>().await),
            Err(status) => told::<()>(Err(status)),
        }
    }

    async fn info(&mut self, descriptor: FlightDescriptor) -> String {
        let request = self.request(descriptor);
        told(self.client.get_flight_info(request).await)
    }

    async fn put(&mut self, messages: Vec<FlightData>) -> String {
        let request = self.request(stream::iter(messages));
        match self.client.do_put(request).await {
            Ok(stream) => told(stream.into_inner().try_collect::<Vec<_>>().await),
            Err(status) => told::<()>(Err(status)),
        }
    }

    async fn act(&mut self, name: &str, body: Vec<u8>) -> String {
        let request = self.request(Action::new(name, body));
        match self.client.do_action(request).await {
            Ok(stream) => told(stream.into_inner().try_collect::<Vec<_>>().await),
            Err(status) => told::<()>(Err(status)),
        }
    }
}

/// What a call is answered: its status, and the SQLSTATE in the trailer.
fn told<T>(answer: Result<T, Status>) -> String {
    match answer {
        Ok(_) => "taken".to_string(),
        Err(status) => {
            let sqlstate = status.metadata().get("sluice-sqlstate").and_then(|code| code.to_str().ok());
            format!("{:?} {}", status.code(), sqlstate.unwrap_or("-"))
        }
    }
}

/// A command as the bytes of a ticket, a descriptor or an action.
fn command(message: &impl ProstMessageExt) -> Vec<u8> {
    message.as_any().encode_to_vec()
}

fn nonsense_is_an_error() {
    let (_warehouse, server) = warehouse();
    let mut other = Flight::connect(&server, "sluice", "").unwrap();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let token = format!("Bearer {}", flight.client.token().unwrap()).parse().unwrap();
    let mut calls = Calls { client: flight.client.inner_mut(), token };
    let handle = Bytes::from_static(b"no handle of ours");
    let type_url = "type.googleapis.com/arrow.flight.protocol.sql.Nothing".to_string();
    let unknown = Any { type_url, value: Bytes::from_static(b"x") }.encode_to_vec();
    let select = command(&CommandStatementQuery { query: "SELECT 1".to_string(), transaction_id: None });
    let update = command(&CommandStatementUpdate { query: "SELECT 1".to_string(), transaction_id: None });
    let prepared = command(&CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() });
    let prepared_update =
        command(&CommandPreparedStatementUpdate { prepared_statement_handle: handle.clone() });
    let ticket = command(&TicketStatementQuery { statement_handle: handle.clone() });
    let close = command(&ActionClosePreparedStatementRequest { prepared_statement_handle: handle });
    let into = |table: &str| {
        command(&CommandStatementIngest { table: table.to_string(), ..CommandStatementIngest::default() })
    };
    let (ingest, elsewhere) = (into("readings"), into("nothing"));
    let torn = [command(&CommandGetCatalogs {}), b"\x12\x7f".to_vec()].concat();
    let noise = vec![0xff; 100];
    flight.runtime.block_on(async {
        for (what, bytes, expected) in [
            ("nothing", vec![], "Unimplemented -"),
            ("text", b"SELECT 1".to_vec(), "InvalidArgument -"),
            ("noise", noise.clone(), "InvalidArgument -"),
            ("a torn command", torn.clone(), "InvalidArgument -"),
            ("an unknown command", unknown.clone(), "Unimplemented -"),
            ("a statement, not its ticket", select.clone(), "Unimplemented -"),
            ("an update", update.clone(), "Unimplemented -"),
            ("an unknown ticket", ticket.clone(), "NotFound 26000"),
            ("an unknown prepared statement", prepared.clone(), "NotFound 26000"),
        ] {
            assert_eq!(calls.get(bytes).await, expected, "get {what}");
        }
        for (what, descriptor, expected) in [
            ("nothing", FlightDescriptor::default(), "InvalidArgument 42601"),
            ("noise", FlightDescriptor::new_cmd(noise.clone()), "InvalidArgument 08P01"),
            ("a torn command", FlightDescriptor::new_cmd(torn.clone()), "InvalidArgument 42601"),
            ("an unknown command", FlightDescriptor::new_cmd(unknown.clone()), "Unimplemented -"),
            ("an update", FlightDescriptor::new_cmd(update.clone()), "Unimplemented -"),
            ("a ticket", FlightDescriptor::new_cmd(ticket.clone()), "Unimplemented -"),
            ("an unknown prepared statement", FlightDescriptor::new_cmd(prepared.clone()), "NotFound 26000"),
            (
                "a path to nowhere",
                FlightDescriptor::new_path(vec!["gold".into(), "a\"; DROP".into()]),
                "NotFound 42P01",
            ),
            (
                "a path of too many parts",
                FlightDescriptor::new_path(vec!["gold".into(); 9]),
                "InvalidArgument 42000",
            ),
        ] {
            assert_eq!(calls.info(descriptor).await, expected, "info {what}");
        }
        // What a client sends of rows: their columns, then the rows.
        let sent =
            FlightDataEncoderBuilder::new().build(stream::iter(readings().into_iter().take(1).map(Ok)));
        let [mut columns, rows]: [FlightData; 2] =
            sent.try_collect::<Vec<_>>().await.unwrap().try_into().unwrap();
        columns.flight_descriptor = Some(FlightDescriptor::new_cmd(ingest.clone()));
        let damaged = |damage: &dyn Fn(&mut FlightData)| {
            let mut rows = rows.clone();
            damage(&mut rows);
            rows
        };
        let of = |command: &[u8], header: &[u8], body: &[u8]| FlightData {
            flight_descriptor: Some(FlightDescriptor::new_cmd(command.to_vec())),
            data_header: header.to_vec().into(),
            data_body: body.to_vec().into(),
            ..FlightData::default()
        };
        for (what, messages, expected) in [
            ("no message", vec![], "Unimplemented -"),
            ("a message without a descriptor", vec![FlightData::default()], "Unimplemented -"),
            ("noise", vec![of(&noise, b"", b"")], "InvalidArgument -"),
            ("a torn command", vec![of(&torn, b"", b"")], "InvalidArgument -"),
            ("an unknown command", vec![of(&unknown, b"", b"")], "Unimplemented -"),
            ("a query", vec![of(&select, b"", b"")], "Unimplemented -"),
            ("an update that is none", vec![of(&update, b"", b"")], "Unimplemented 0A000"),
            ("values of an unknown statement", vec![of(&prepared, b"", b"")], "NotFound 26000"),
            ("an update of an unknown statement", vec![of(&prepared_update, b"", b"")], "NotFound 26000"),
            ("rows of an unknown table", vec![of(&elsewhere, b"", b"")], "NotFound 42P01"),
            ("rows that are noise", vec![of(&ingest, &noise, &noise)], "InvalidArgument 08P01"),
            ("rows without columns", vec![of(&ingest, b"", b""), rows.clone()], "InvalidArgument 08P01"),
            (
                "rows that are cut short",
                vec![columns.clone(), damaged(&|rows| rows.data_body.truncate(10))],
                "InvalidArgument 08P01",
            ),
            (
                "rows whose header is noise",
                vec![columns.clone(), damaged(&|rows| rows.data_header = noise.clone().into())],
                "InvalidArgument 08P01",
            ),
            (
                "rows that point nowhere",
                vec![
                    columns.clone(),
                    damaged(&|rows| rows.data_body = vec![0xfe; rows.data_body.len()].into()),
                ],
                "InvalidArgument 08P01",
            ),
        ] {
            assert_eq!(calls.put(messages).await, expected, "put {what}");
        }
        for (name, what, body, expected) in [
            ("Nothing", "", vec![], "InvalidArgument -"),
            ("", "", vec![], "InvalidArgument -"),
            ("CreatePreparedStatement", "noise", noise.clone(), "InvalidArgument -"),
            ("CreatePreparedStatement", "another command", select.clone(), "InvalidArgument -"),
            ("ClosePreparedStatement", "noise", noise.clone(), "InvalidArgument -"),
            // What is closed already is closed.
            ("ClosePreparedStatement", "an unknown statement", close.clone(), "taken"),
            ("CancelQuery", "noise", noise.clone(), "InvalidArgument -"),
            ("CancelFlightInfo", "noise", noise.clone(), "InvalidArgument 08P01"),
            ("CancelFlightInfo", "nothing", vec![], "NotFound 26000"),
            ("RenewFlightEndpoint", "noise", noise.clone(), "InvalidArgument 08P01"),
            ("RenewFlightEndpoint", "nothing", vec![], "NotFound 26000"),
            ("SetSessionOptions", "noise", noise.clone(), "InvalidArgument 08P01"),
            ("BeginTransaction", "nothing", vec![], "InvalidArgument -"),
        ] {
            assert_eq!(calls.act(name, body).await, expected, "{name} {what}");
        }
    });
    assert_eq!(text(&other.query("SELECT count(*) FROM bronze.readings").unwrap()), "0");
}

/// Statements and values have room in a message, more is refused before it is read whole; so are headers.
fn what_is_too_long_is_refused() {
    let (_warehouse, server) = warehouse();
    let mut other = Flight::connect(&server, "sluice", "").unwrap();
    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    let statement = |bytes: usize| format!("SELECT length('{}')", "x".repeat(bytes));
    assert_eq!(text(&flight.query(&statement(1 << 20)).unwrap()), (1 << 20).to_string());
    let before = server.peak_mib();
    let long = statement(100 << 20);
    for refused in [flight.query(&long).map(drop), flight.update(&long).map(drop)] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("the limit is: 16777216 bytes"), "{refused}");
    }
    let grown = server.peak_mib().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more");
    // The session goes on, and so do the others.
    assert_eq!(text(&flight.query("SELECT 1").unwrap()), "1");
    flight.client.set_header("sluice-time-zone", "x".repeat(1 << 20));
    flight.query("SELECT 1").unwrap_err();
    assert_eq!(text(&other.query("SELECT 1").unwrap()), "1");
}
