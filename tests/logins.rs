//! Logging in as a role, with a password that is a secret; secrets that come late; what is noted of who ran what; logins
//! that are never ended.

use crate::roles::{ROLES, SETTINGS, of, shop};
use crate::support::http::Http;
use crate::support::pg::{Pg, code, describe};
use crate::support::{FLOW, READY, Server, Warehouse, trial, until};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::sql::CommandStatementIngest;
use arrow_flight::sql::client::FlightSqlServiceClient;
use libtest_mimic::Trial;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("logins::go_by_a_secret_that_may_change", go_by_a_secret_that_may_change),
        trial(
            "logins::sources_start_once_their_secrets_can_be_had",
            sources_start_once_their_secrets_can_be_had,
        ),
        trial("logins::who_ran_what_is_noted", who_ran_what_is_noted),
        trial("logins::those_that_fail_are_noted_and_counted", those_that_fail_are_noted_and_counted),
        trial("logins::who_pushed_what_is_noted", who_pushed_what_is_noted),
        trial("logins::those_that_are_never_ended_are_let_go", those_that_are_never_ended_are_let_go),
        trial("logins::too_many_at_a_time_are_told_so", too_many_at_a_time_are_told_so),
    ]
}

fn go_by_a_secret_that_may_change() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", SETTINGS);
    warehouse.write("secrets/eve", "pencil\n");
    warehouse.write(
        "catalog/roles.sql",
        format!(
            "{ROLES}CREATE SECRET eve_password WITH (backend = 'file') AS 'secrets/eve';
             CREATE ROLE eve LOGIN PASSWORD SECRET eve_password IN ROLE reader;
             CREATE ROLE closed NOLOGIN PASSWORD SECRET eve_password;\n"
        ),
    );
    let server = warehouse.serve();
    let log_in = |user: &str, password: &str| Pg::connect(server.pg, user, Some(password));
    assert_eq!(log_in("eve", "pencil").unwrap().text("SELECT current_user"), "eve");
    for (user, password) in [("eve", "pen"), ("closed", "pencil"), ("nobody", "pencil")] {
        let error = log_in(user, password).err().unwrap();
        assert_eq!(crate::support::pg::code(&error), "28P01", "{user}");
    }
    warehouse.write("secrets/eve", "pen\n");
    assert_eq!(log_in("eve", "pen").unwrap().text("SELECT current_user"), "eve");
    assert!(log_in("eve", "pencil").is_err());
    let log = server.log();
    assert!(!log.contains("pencil"), "{log}");
}

fn sources_start_once_their_secrets_can_be_had() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "catalog/late.sql",
        "CREATE SECRET place WITH (backend = 'file') AS 'secrets/place';
         CREATE SOURCE bronze.late (a INT) WITH (connector = 'files', path = SECRET place) FORMAT PLAIN ENCODE CSV;\n",
    );
    warehouse.write("input/late/1.csv", "a\n1\n2\n");
    let server = warehouse.serve();
    let state = "SELECT state, error FROM sluice.sources WHERE source = 'bronze.late'";
    server.wait_until(&format!("SELECT state FROM ({state})"), "failed");
    assert!(server.query(state).contains("secret \"place\": could not read file"), "{}", server.query(state));
    warehouse.write("secrets/place", "input/late\n");
    server.wait_until("SELECT count(*) FROM bronze.late", "2");
}

fn who_ran_what_is_noted() {
    let (warehouse, server) = shop();
    let bob = of(&server, "bob");
    assert_eq!(bob.refusal("SELECT * FROM silver.orders").0, "42501");
    let root = server.connect();
    root.text("SELECT count(*) FROM silver.orders; SET ROLE ann; SELECT 1; RESET ROLE");
    assert_eq!(root.refusal("SELECT nothing FROM gold.daily_sales").0, "42703");
    assert_eq!(root.refusal("SELECT 1 / (order_id - order_id) FROM silver.orders").0, "22012");
    root.refusal("ALTER ROLE ann PASSWORD 'SCRAM-SHA-256$4096:hunter2$a:b'");
    root.run(root.client().query("SELECT order_id FROM silver.orders WHERE order_id = $1", &[&1_i64]))
        .unwrap();
    let noted = "SELECT role, login, protocol, objects, outcome, coalesce(sqlstate, '-'), statement FROM sluice.audit_log \
                 WHERE at > now() - interval '1 hour' AND statement NOT LIKE '%sluice.audit_log%' AND \
                 (statement LIKE '%orders%' OR statement LIKE '%1%' OR statement LIKE '%ann%' OR outcome <> 'ok') ORDER BY at";
    let expected = [
        "bob|bob|postgres|silver.orders|denied|42501|SELECT * FROM silver.orders",
        "sluice|sluice|postgres|silver.orders|ok|-|SELECT count(*) FROM silver.orders",
        "sluice|sluice|postgres|ann|ok|-|SET ROLE ann",
        "ann|sluice|postgres||ok|-|SELECT 1",
        "sluice|sluice|postgres|gold.daily_sales|failed|42703|SELECT nothing FROM gold.daily_sales",
        "sluice|sluice|postgres|silver.orders|failed|22012|SELECT 1 / (order_id - order_id) FROM silver.orders",
        "sluice|sluice|postgres|ann|denied|42501|ALTER ROLE ann PASSWORD '***'",
        "sluice|sluice|postgres|silver.orders|ok|-|SELECT order_id FROM silver.orders WHERE order_id = $1",
    ];
    let ours = |text: String| {
        let ours = |line: &&str| expected.contains(line);
        text.lines().filter(ours).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(ours(root.text(noted)), expected);
    assert_eq!(root.text("SELECT count(*) FROM sluice.audit_log WHERE statement LIKE '%hunter2%'"), "0");
    assert!(root.text("SELECT client FROM sluice.audit_log LIMIT 1").starts_with("127.0.0.1"));
    // It outlasts the server once it is written.
    let (status, _) = server.terminate();
    assert!(status.success());
    let server = warehouse.serve();
    assert_eq!(ours(server.query(noted)), expected);
}

/// A `Basic` header.
fn login(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// A Flight client, over a runtime of its own.
fn flight(server: &Server) -> (Runtime, FlightSqlServiceClient<Channel>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", server.flight)).unwrap();
    let client = runtime.block_on(async { FlightSqlServiceClient::new(endpoint.connect().await.unwrap()) });
    (runtime, client)
}

fn those_that_fail_are_noted_and_counted() {
    let (warehouse, server) = shop();
    for number in 0..40 {
        let user = format!("eve{}", number % 3);
        let error = Pg::connect(server.pg, &user, Some("hunter2")).err().unwrap();
        assert_eq!(crate::support::pg::code(&error), "28P01");
    }
    let http = Http::new(FLOW);
    for header in [&login("eve", "hunter2"), "Bearer hunter2", "Digest hunter2"] {
        let refused = http.post(server.http, "/ingest/readings", &[("authorization", header)], "{}").unwrap();
        assert_eq!(refused.status, 401, "{header}");
    }
    let (runtime, mut client) = flight(&server);
    assert!(runtime.block_on(client.handshake("eve", "hunter2")).is_err());
    // The first of each protocol at once, the others once the minute is over or the server ends.
    let noted = "SELECT protocol, client, login, role, outcome, sqlstate, statement FROM sluice.audit_log \
                 WHERE statement LIKE 'LOGIN%' ORDER BY protocol, at, statement";
    let first = "flight|127.0.0.1|eve||denied|28P01|LOGIN\nhttp|127.0.0.1|eve||denied|28P01|LOGIN\n\
                 postgres|127.0.0.1|eve0||denied|28P01|LOGIN";
    assert_eq!(server.query(noted), first);
    assert!(server.terminate().0.success());

    let server = warehouse.serve();
    assert_eq!(
        server.query(noted),
        "flight|127.0.0.1|eve||denied|28P01|LOGIN\n\
         http|127.0.0.1|eve||denied|28P01|LOGIN\n\
         http|127.0.0.1|||denied|28000|LOGIN (2 more within a minute)\n\
         postgres|127.0.0.1|eve0||denied|28P01|LOGIN\n\
         postgres|127.0.0.1|eve0||denied|28P01|LOGIN (39 more within a minute)"
    );
    let users = "SELECT objects FROM sluice.audit_log WHERE statement LIKE 'LOGIN (39%'";
    assert_eq!(server.query(users), "eve1, eve2, eve0");
    assert_eq!(
        server.query(
            "SELECT count(*) FROM sluice.audit_log WHERE statement LIKE '%hunter%' OR objects LIKE '%hunter%'"
        ),
        "0"
    );
}

fn who_pushed_what_is_noted() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", SETTINGS);
    warehouse.write(
        "catalog/readings.sql",
        "CREATE SOURCE bronze.readings (sensor TEXT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    );
    warehouse.write("catalog/roles.sql", format!("{ROLES}GRANT INSERT ON bronze.readings TO ann;\n"));
    let server = warehouse.serve();
    let http = Http::new(FLOW);
    let push = |user: &str, headers: &[(&str, &str)], body: &str| {
        let login = login(user, "");
        let mut all = vec![("authorization", login.as_str())];
        all.extend_from_slice(headers);
        http.post(server.http, "/ingest/readings", &all, body.to_string()).unwrap().status
    };
    // A row of the log for each push, however many records it holds.
    assert_eq!(
        push("ann", &[("channel", "boiler"), ("token", "1")], &"{\"sensor\": \"a\"}\n".repeat(100)),
        200
    );
    assert_eq!(push("bob", &[], "{\"sensor\": \"b\"}"), 403);
    assert_eq!(push("ann", &[("channel", "boiler")], "{}"), 400);
    let elsewhere = [("authorization", login("bob", "")), ("channel", "x".into()), ("token", "7".into())];
    let elsewhere: Vec<(&str, &str)> =
        elsewhere.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(http.post(server.http, "/ingest/raedings", &elsewhere, "{}").unwrap().status, 404);
    let sensors: ArrayRef = Arc::new(StringArray::from(vec!["c", "d"]));
    let rows = RecordBatch::try_from_iter([("sensor", sensors)]).unwrap();
    let ingest = |user: &str| {
        // A client goes on with the token of its first login.
        let (runtime, mut client) = flight(&server);
        let command =
            CommandStatementIngest { table: "readings".to_string(), ..CommandStatementIngest::default() };
        let rows = futures::stream::iter([Ok(rows.clone())]);
        runtime.block_on(async {
            client.handshake(user, "").await.unwrap();
            client.execute_ingest(command, rows).await
        })
    };
    assert_eq!(ingest("ann").unwrap(), 2);
    assert!(ingest("bob").is_err());
    let noted = "SELECT role, login, client, protocol, objects, outcome, coalesce(sqlstate, '-'), statement FROM sluice.audit_log \
                 WHERE protocol <> 'postgres' ORDER BY at";
    assert_eq!(
        server.query(noted),
        "ann|ann|127.0.0.1|http|bronze.readings|ok|-|POST /ingest/readings (channel boiler, token 1)\n\
         bob|bob|127.0.0.1|http|bronze.readings|denied|42501|POST /ingest/readings\n\
         ann|ann|127.0.0.1|http|bronze.readings|failed|22023|POST /ingest/readings\n\
         bob|bob|127.0.0.1|http||failed|42P01|POST /ingest/raedings (channel x, token 7)\n\
         ann|ann|127.0.0.1|flight|bronze.readings|ok|-|INGEST bronze.readings\n\
         bob|bob|127.0.0.1|flight|bronze.readings|denied|42501|INGEST bronze.readings"
    );
    assert_eq!(server.query("SELECT count(*) FROM bronze.readings"), "102");
}

/// The first message of a client of the PostgreSQL protocol.
fn startup(user: &str) -> Vec<u8> {
    let body = format!("\0\x03\0\0user\0{user}\0database\0sluice\0\0");
    [&(body.len() as u32 + 4).to_be_bytes()[..], body.as_bytes()].concat()
}

/// Connects and says just this.
fn say(server: &Server, words: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(server.pg).unwrap();
    socket.set_read_timeout(Some(READY)).unwrap();
    socket.write_all(words).unwrap();
    socket
}

/// What the server says up to the end of a connection, which is for the server to bring about.
fn last_words(mut socket: TcpStream) -> String {
    let mut said = vec![];
    if let Err(error) = socket.read_to_end(&mut said) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it is not closed");
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// A client that stops in the middle of its login holds a place among those who log in, and not for long.
fn those_that_are_never_ended_are_let_go() {
    let warehouse = Warehouse::new();
    let ada = format!(
        "[users.sluice]\ntrust_loopback = true\n[users.ada]\nverifier = \"{}\"\n",
        crate::readers::VERIFIER
    );
    warehouse.write("catalog/warehouse.toml", ada);
    let server = warehouse.serve();
    let other = server.connect();
    let encryption = b"\0\0\0\x08\x04\xd2\x16\x2f".as_slice();
    let stopped = [
        ("nothing", vec![], ""),
        ("the beginning of a length", vec![0, 0], ""),
        ("asks for encryption", encryption.to_vec(), ""),
        ("half a start-up message", startup("ada")[..20].to_vec(), "08006"),
        ("no password", startup("ada"), "08006"),
        ("half a password", [startup("ada"), b"p\0\0\0\x40SCRAM".to_vec()].concat(), "08006"),
    ];
    let sockets = stopped.each_ref().map(|(_, words, _)| say(&server, words));
    for ((what, _, code), socket) in stopped.iter().zip(sockets) {
        let said = last_words(socket);
        assert!(said.contains(code) && said.contains("FATAL") != code.is_empty(), "{what}: {said:?}");
    }
    // Whoever is in stays in.
    assert_eq!(other.text("SELECT 1"), "1");
}

/// Clients that may be logging in at a time, beside those that are in: `LOGINS_MAX` of the server.
const LOGINS_MAX: usize = 256;

fn too_many_at_a_time_are_told_so() {
    let warehouse = Warehouse::new();
    let server = warehouse.serve();
    let other = server.connect();
    let silent: Vec<TcpStream> = (0..LOGINS_MAX + 40).map(|_| say(&server, b"")).collect();
    until("no more places to log in", READY, || match Pg::connect(server.pg, "sluice", None) {
        Ok(_) => Err("there is room".to_string()),
        Err(error) if code(&error) == "53300" => Ok(()),
        Err(error) => panic!("{}", describe(&error)),
    });
    assert_eq!(other.text("SELECT 1"), "1");
    // Those without a place are told so before they have said a word; the others are let go, and there is room again.
    let said: Vec<String> = silent.into_iter().map(last_words).collect();
    let (waited, refused): (Vec<&String>, Vec<_>) = said.iter().partition(|said| said.is_empty());
    assert!(refused.iter().all(|said| said.contains("53300") && said.contains("FATAL")), "{refused:?}");
    // A place or two may have been those of logins that came in between.
    assert!((LOGINS_MAX - 8..=LOGINS_MAX).contains(&waited.len()), "{} waited", waited.len());
    assert_eq!(server.query("SELECT 1"), "1");
    assert_eq!(other.text("SELECT 1"), "1");
}
