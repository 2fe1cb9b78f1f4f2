//! The PostgreSQL protocol byte by byte, as no driver shows it: tags, notices, settings that are reported, and messages
//! that nobody should send.

use crate::support::{READY, Server, Warehouse, shared, trial};
use libtest_mimic::Trial;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("protocol::tags_are_postgresqls", tags_are_postgresqls),
        trial("protocol::settings_go_back_with_what_failed", settings_go_back_with_what_failed),
        trial("protocol::transactions_tell_what_was_said_of_them", transactions_tell_what_was_said),
        trial("protocol::settings_that_clients_follow_are_reported", settings_are_reported),
        trial("protocol::notices", notices),
        trial("protocol::errors_do_not_wait", errors_do_not_wait),
        trial("protocol::a_pipeline_keeps_all_or_nothing", a_pipeline_keeps_all_or_nothing),
        trial("protocol::what_takes_steps_is_cancelled_in_each", what_takes_steps_is_cancelled_in_each),
        trial("protocol::a_client_that_stops_reading_is_cut_off", a_client_that_stops_reading_is_cut_off),
        trial("protocol::a_client_that_says_nothing_is_asked", a_client_that_says_nothing_is_asked),
        trial("protocol::a_message_of_a_gigabyte_is_refused_unread", a_gigabyte_is_refused),
        trial("protocol::bad_messages_cost_their_own_statement", bad_messages_cost_their_own_statement),
    ]
}

/// A connection that speaks in bytes.
struct Raw {
    socket: TcpStream,
    /// What was reported when it began.
    settings: Vec<(String, String)>,
    /// What a cancel request names it by.
    key: Vec<u8>,
}

type Messages = Vec<(u8, Vec<u8>)>;

impl Raw {
    fn open(server: &Server) -> Self {
        let socket = TcpStream::connect(server.pg).unwrap();
        socket.set_read_timeout(Some(READY)).unwrap();
        let mut raw = Self { socket, settings: vec![], key: vec![] };
        let body = b"\0\x03\0\0user\0sluice\0database\0sluice\0\0";
        raw.socket.write_all(&[&length(body), &body[..]].concat()).unwrap();
        let messages = raw.until_ready();
        raw.settings = messages.iter().filter_map(setting).collect();
        raw.key = messages.into_iter().find(|(kind, _)| *kind == b'K').unwrap().1;
        raw
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        self.socket.write_all(&[&[kind][..], &length(body), body].concat()).unwrap();
    }

    /// Over a connection of its own, as protocol 3 has it.
    fn cancel(&self, server: &Server) {
        let body = [&80_877_102_u32.to_be_bytes()[..], &self.key].concat();
        let mut socket = TcpStream::connect(server.pg).unwrap();
        socket.write_all(&[&length(&body), &body[..]].concat()).unwrap();
    }

    /// The code of the error that comes before it is ready.
    fn failure(&mut self) -> String {
        let messages = self.until_ready();
        messages.iter().find(|(kind, _)| *kind == b'E').map(|(_, body)| field(body, b'C')).unwrap_or_default()
    }

    fn message(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.socket.read_exact(&mut body)?;
        Ok((head[0], body))
    }

    fn until_ready(&mut self) -> Messages {
        let mut messages = vec![];
        loop {
            messages.push(self.message().unwrap());
            if messages.last().unwrap().0 == b'Z' {
                return messages;
            }
        }
    }

    fn query(&mut self, sql: &str) -> Messages {
        self.send(b'Q', &[sql.as_bytes(), b"\0"].concat());
        self.until_ready()
    }

    /// The tags of a text's statements.
    fn tags(&mut self, sql: &str) -> String {
        let messages = self.query(sql);
        let tags = messages.iter().filter(|(kind, _)| *kind == b'C').map(|(_, body)| text(body));
        tags.collect::<Vec<_>>().join(", ")
    }

    /// The one value of a text's last row.
    fn value(&mut self, sql: &str) -> String {
        let messages = self.query(sql);
        let (_, row) = messages.iter().rfind(|(kind, _)| *kind == b'D').unwrap();
        String::from_utf8_lossy(&row[6..]).into_owned()
    }
}

fn length(body: &[u8]) -> [u8; 4] {
    (body.len() as u32 + 4).to_be_bytes()
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim_end_matches('\0').to_string()
}

/// A `ParameterStatus`.
fn setting((kind, body): &(u8, Vec<u8>)) -> Option<(String, String)> {
    let both = String::from_utf8_lossy(body.strip_suffix(b"\0")?).into_owned();
    (*kind == b'S').then(|| both.split_once('\0').map(|(a, b)| (a.to_string(), b.to_string()))).flatten()
}

/// A field of an error or a notice.
fn field(body: &[u8], which: u8) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    fields.find(|field| field.first() == Some(&which)).map(|field| text(&field[1..])).unwrap_or_default()
}

/// Whose user may define views, and drop them.
fn definer() -> (Warehouse, Server) {
    let warehouse = Warehouse::new();
    let settings = "[users.sluice]\ntrust_loopback = true\nmay_define = true\n";
    warehouse.write("catalog/warehouse.toml", settings);
    let server = warehouse.serve();
    (warehouse, server)
}

fn tags_are_postgresqls() {
    let (_warehouse, server) = definer();
    let mut raw = Raw::open(&server);
    for (sql, tags) in [
        ("SELECT 1", "SELECT 1"),
        ("SELECT 1 WHERE false; VALUES (1), (2)", "SELECT 0, SELECT 2"),
        ("BEGIN", "BEGIN"),
        ("SAVEPOINT a", "SAVEPOINT"),
        ("ROLLBACK TO a; RELEASE SAVEPOINT a", "ROLLBACK, RELEASE"),
        ("DECLARE c SCROLL CURSOR FOR SELECT generate_series(1, 5)", "DECLARE CURSOR"),
        ("FETCH 2 FROM c; MOVE 2 IN c; FETCH ALL FROM c; CLOSE c", "FETCH 2, MOVE 2, FETCH 1, CLOSE CURSOR"),
        ("COMMIT AND CHAIN", "COMMIT"),
        ("ROLLBACK", "ROLLBACK"),
        ("START TRANSACTION READ ONLY; END", "START TRANSACTION, COMMIT"),
        ("PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p", "PREPARE, SELECT 1, DEALLOCATE"),
        ("DEALLOCATE ALL; DEALLOCATE PREPARE ALL", "DEALLOCATE ALL, DEALLOCATE ALL"),
        ("SET jit = on; RESET jit; SHOW jit; RESET ALL", "SET, RESET, SHOW, RESET"),
        ("SET TRANSACTION READ ONLY; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET, SET"),
        ("DISCARD PLANS; DISCARD SEQUENCES; DISCARD TEMP", "DISCARD PLANS, DISCARD SEQUENCES, DISCARD TEMP"),
        ("DISCARD ALL", "DISCARD ALL"),
        ("CLOSE ALL; UNLISTEN *", "CLOSE CURSOR ALL, UNLISTEN"),
        ("COPY (SELECT 1 UNION ALL SELECT 2) TO STDOUT", "COPY 2"),
        ("EXPLAIN SELECT 1", "EXPLAIN"),
        ("DROP VIEW IF EXISTS gold.nothing", "DROP VIEW"),
    ] {
        assert_eq!(raw.tags(sql), tags, "{sql}");
    }
    // Nothing at all is answered as that.
    assert_eq!(raw.query(" ; ").first().unwrap().0, b'I');
}

/// As in PostgreSQL, what fails takes the settings back that it changed: those of its message, of its transaction, or since
/// the savepoint that is gone back to.
fn settings_go_back_with_what_failed() {
    let server = shared::server();
    let mut raw = Raw::open(&server);
    let shown = "SHOW application_name";
    raw.query("SET application_name = 'kept'");
    raw.query("SET application_name = 'lost'; SELECT 1 / 0");
    assert_eq!(raw.value(shown), "kept");
    raw.query(
        "BEGIN; SET application_name = 'committed'; COMMIT; SET application_name = 'lost'; SELECT 1 / 0",
    );
    assert_eq!(raw.value(shown), "committed");
    raw.query("BEGIN; SET application_name = 'first'; SAVEPOINT s; SET application_name = 'lost'");
    raw.query("SET LOCAL extra_float_digits = 0; ROLLBACK TO s");
    assert_eq!(raw.value(shown), "first");
    assert_eq!(raw.value("SHOW extra_float_digits"), "1");
    raw.query("SET LOCAL application_name = 'here'; COMMIT");
    assert_eq!(raw.value(shown), "first", "SET LOCAL ends with its transaction");
}

fn transactions_tell_what_was_said() {
    let server = shared::server();
    let mut raw = Raw::open(&server);
    let (level, default) = ("SHOW transaction_isolation", "SHOW default_transaction_isolation");
    assert_eq!(raw.value(level), "read committed");
    raw.query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY, DEFERRABLE");
    assert_eq!(raw.value(level), "repeatable read");
    assert_eq!(raw.value("SHOW transaction_deferrable"), "on");
    raw.query("COMMIT AND CHAIN");
    assert_eq!(raw.value(level), "repeatable read", "the next has what this one had");
    raw.query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    assert_eq!(raw.value(level), "serializable");
    raw.query("ROLLBACK");
    assert_eq!(raw.value(level), "read committed");
    raw.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    assert_eq!((raw.value(level), raw.value(default)), ("serializable".into(), "serializable".into()));
    raw.query("BEGIN ISOLATION LEVEL READ UNCOMMITTED; COMMIT");
    assert_eq!(raw.value(level), "serializable");
    let refused = raw.query("ROLLBACK AND CHAIN");
    assert_eq!(field(&refused[0].1, b'C'), "25P01");
}

fn settings_are_reported() {
    let server = shared::server();
    let mut raw = Raw::open(&server);
    let names: Vec<&str> = raw.settings.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "application_name",
        "client_encoding",
        "DateStyle",
        "in_hot_standby",
        "integer_datetimes",
        "IntervalStyle",
        "is_superuser",
        "server_encoding",
        "server_version",
        "session_authorization",
        "standard_conforming_strings",
        "TimeZone",
    ] {
        assert!(names.contains(&name), "{name} not in {names:?}");
    }
    for (sql, reported) in [
        ("SET TIME ZONE 'Europe/Berlin'", ("TimeZone", "Europe/Berlin")),
        ("SET DateStyle = German", ("DateStyle", "German, DMY")),
        ("SET IntervalStyle = iso_8601", ("IntervalStyle", "iso_8601")),
        ("SET application_name = 'report'", ("application_name", "report")),
        ("SELECT set_config('TimeZone', 'UTC', false)", ("TimeZone", "UTC")),
    ] {
        let found: Vec<_> = raw.query(sql).iter().filter_map(setting).collect();
        assert_eq!(found, [(reported.0.to_string(), reported.1.to_string())], "{sql}");
    }
    // Nothing is said of what clients do not follow, nor of what stays as it is.
    assert_eq!(raw.query("SET jit = on; SET TimeZone = 'UTC'").iter().filter_map(setting).count(), 0);
    // What a rollback undoes is told, too.
    raw.query("BEGIN; SET TimeZone = 'Asia/Tokyo'");
    let found: Vec<_> = raw.query("ROLLBACK").iter().filter_map(setting).collect();
    assert_eq!(found, [("TimeZone".to_string(), "UTC".to_string())]);
}

fn notices() {
    let (_warehouse, server) = definer();
    let mut raw = Raw::open(&server);
    for (sql, severity, code, message) in [
        ("DROP VIEW IF EXISTS gold.nothing", "NOTICE", "00000", "view \"nothing\" does not exist, skipping"),
        ("BEGIN; BEGIN; ROLLBACK", "WARNING", "25001", "there is already a transaction in progress"),
        ("COMMIT", "WARNING", "25P01", "there is no transaction in progress"),
        ("ROLLBACK", "WARNING", "25P01", "there is no transaction in progress"),
        (
            "SET TRANSACTION READ ONLY",
            "WARNING",
            "25P01",
            "SET TRANSACTION can only be used in transaction blocks",
        ),
    ] {
        let messages = raw.query(sql);
        let found = messages.iter().find(|(kind, _)| *kind == b'N');
        let (_, notice) = found.unwrap_or_else(|| panic!("{sql}: no notice"));
        let found = (field(notice, b'S'), field(notice, b'C'), field(notice, b'M'));
        assert_eq!(found, (severity.to_string(), code.to_string(), message.to_string()), "{sql}");
    }
    for (least, told) in [("notice", 2), ("warning", 1), ("error", 0)] {
        raw.query(&format!("SET client_min_messages = {least}"));
        let messages = raw.query("DROP VIEW IF EXISTS gold.nothing; COMMIT");
        let count = messages.iter().filter(|(kind, _)| *kind == b'N').count();
        assert_eq!(count, told, "{least}");
    }
}

/// `Flush` behind what fails brings the error, without `Sync`.
fn errors_do_not_wait() {
    let server = shared::server();
    let mut raw = Raw::open(&server);
    raw.send(b'P', b"\0SELECT nothing\0\0\0");
    raw.send(b'H', b"");
    let (kind, body) = raw.message().unwrap();
    assert_eq!((kind, field(&body, b'C')), (b'E', "42703".to_string()));
    raw.send(b'S', b"");
    assert_eq!(raw.until_ready().len(), 1);
}

fn a_pipeline_keeps_all_or_nothing() {
    let (_warehouse, server) = crate::copy_in::warehouse();
    let mut raw = Raw::open(&server);
    let run = |raw: &mut Raw, sql: &str| {
        raw.send(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
        raw.send(b'B', &[0; 8]);
        raw.send(b'E', &[0; 5]);
    };
    for (values, kept) in [(["(1)", "(NULL)"], "0"), (["(1)", "(2)"], "2"), (["(3)", "('x')"], "2")] {
        values.iter().for_each(|row| {
            run(&mut raw, &format!("INSERT INTO bronze.meters (id) VALUES {row}"));
        });
        raw.send(b'S', b"");
        raw.until_ready();
        assert_eq!(raw.value("SELECT count(*) FROM bronze.meters"), kept, "{values:?}");
    }
    assert_eq!(raw.value("SELECT count(DISTINCT _batch) FROM bronze.meters"), "1");
    // What reads sees what stands before it.
    run(&mut raw, "INSERT INTO bronze.meters (id) VALUES (4)");
    run(&mut raw, "SELECT count(*) FROM bronze.meters");
    raw.send(b'S', b"");
    let rows = raw.until_ready();
    assert!(rows.iter().any(|(kind, row)| *kind == b'D' && row.ends_with(b"3")), "{rows:?}");
}

fn what_takes_steps_is_cancelled_in_each() {
    let (_warehouse, server) = crate::copy_in::warehouse();
    let mut raw = Raw::open(&server);
    let say = |raw: &mut Raw, sql: &str| raw.send(b'Q', &[sql.as_bytes(), b"\0"].concat());
    let copy = "COPY bronze.meters (id) FROM STDIN";
    say(&mut raw, copy);
    assert_eq!(raw.message().unwrap().0, b'G');
    raw.cancel(&server);
    assert_eq!(raw.failure(), "57014");
    say(&mut raw, &format!("SET statement_timeout = 200; {copy}"));
    assert_eq!(raw.failure(), "57014", "nothing is sent in time");
    let endless = "SELECT n FROM generate_series(1, 100000000000) AS t(n)";
    raw.query(&format!("SET statement_timeout = 0; BEGIN; DECLARE c CURSOR FOR {endless} WHERE n < 0"));
    say(&mut raw, "FETCH 1 FROM c");
    let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH%' AND state = 'active'";
    server.wait_until(running, "1");
    raw.cancel(&server);
    assert_eq!(raw.failure(), "57014");
    raw.query("ROLLBACK");
    // A portal that goes on.
    raw.send(b'P', &[b"\0", endless.as_bytes(), b"\0\0\0"].concat());
    raw.send(b'B', &[0; 8]);
    raw.send(b'E', &[0, 0, 0, 0, 2]);
    raw.send(b'E', &[0; 5]);
    while raw.message().unwrap().0 != b's' {}
    raw.cancel(&server);
    raw.send(b'S', b"");
    assert_eq!(raw.failure(), "57014");
    assert_eq!(raw.value("SELECT count(*) FROM bronze.meters"), "0");
}

fn a_client_that_stops_reading_is_cut_off() {
    let warehouse = Warehouse::new();
    let settings = "[users.sluice]\ntrust_loopback = true\n[limits]\nstall_ms_max = 300\n";
    warehouse.write("catalog/warehouse.toml", settings);
    let server = warehouse.serve();
    let mut raw = Raw::open(&server);
    let endless = "SELECT repeat('x', 1000) FROM generate_series(1, 10000000000)";
    raw.send(b'Q', &[endless.as_bytes(), b"\0"].concat());
    assert_eq!(raw.message().unwrap().0, b'T', "it runs");
    let running = format!("SELECT count(*) FROM pg_stat_activity WHERE query = $${endless}$$");
    server.wait_until(&running, "0");
}

/// The system asks a silent client whether it is still there: its timer runs (proc(5), `/proc/net/tcp`: 02).
fn a_client_that_says_nothing_is_asked() {
    let server = shared::server();
    let raw = Raw::open(&server);
    let end = |port: u16| format!(":{port:04X}");
    let (ours, theirs) = (end(server.pg.port()), end(raw.socket.local_addr().unwrap().port()));
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let timer = |field: &Vec<&str>| {
        (field[1].ends_with(&ours) && field[2].ends_with(&theirs)).then(|| field[5].to_string())
    };
    let timer = fields.skip(1).find_map(|field| timer(&field)).unwrap();
    let (kind, jiffies) = timer.split_once(':').unwrap();
    // A minute, in ticks of a hundredth of a second.
    assert_eq!((kind, i64::from_str_radix(jiffies, 16).unwrap() <= 6_000), ("02", true), "{timer}");
}

fn a_gigabyte_is_refused() {
    let warehouse = Warehouse::new();
    let server = warehouse.serve();
    let other = server.connect();
    other.text("SELECT 1");
    let before = server.peak_mib();
    let huge = (1_u32 << 30).to_be_bytes();
    for kind in [b'Q', b'P', b'B', b'd'] {
        let mut raw = Raw::open(&server);
        raw.socket.write_all(&[&[kind][..], &huge, &[b'x'; 100]].concat()).unwrap();
        let (answer, body) = raw.message().unwrap();
        let told = (answer, field(&body, b'S'), field(&body, b'C'));
        assert_eq!(told, (b'E', "FATAL".to_string(), "54000".to_string()));
        assert!(raw.message().is_err(), "it is closed");
    }
    // Before a login less is taken.
    let mut stranger = TcpStream::connect(server.pg).unwrap();
    stranger.write_all(&[&huge[..], &[0; 100]].concat()).unwrap();
    let mut said = vec![];
    let _ = stranger.read_to_end(&mut said);
    assert!(field(said.get(5..).unwrap_or_default(), b'C') == "08P01", "{}", text(&said));
    let grown = server.peak_mib().saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more");
    assert_eq!(other.text("SELECT 1"), "1");
}

fn bad_messages_cost_their_own_statement() {
    let server = shared::server();
    let (mut raw, other) = (Raw::open(&server), server.connect());
    let kinds = |messages: &Messages| messages.iter().map(|(kind, _)| *kind as char).collect::<String>();
    raw.send(b'P', b"s\0SELECT order_id, status FROM silver.orders WHERE order_id = $1\0\0\0");
    raw.send(b'S', b"");
    assert_eq!(kinds(&raw.until_ready()), "1Z");
    for (bind, code) in [
        // Too many parameters, too few, too many formats of results, a wrong length, an unknown format.
        (b"\0s\0\0\0\0\x02\0\0\0\x011\0\0\0\x011\0\0".as_slice(), "08P01"),
        (b"\0s\0\0\0\0\0\0\0", "08P01"),
        (b"\0s\0\0\0\0\x01\0\0\0\x011\0\x03\0\x01\0\x01\0\x01", "08P01"),
        (b"\0s\0\0\0\0\x01\0\0\x7f\xff1\0\0", "08P01"),
        (b"\0s\0\0\0\0\x01\0\0\0\x011\0\x01\0\x07", "22023"),
        (b"\0nothing\0\0\0\0\0\0\0", "26000"),
    ] {
        raw.send(b'B', bind);
        raw.send(b'E', b"\0\0\0\0\0");
        raw.send(b'S', b"");
        let messages = raw.until_ready();
        assert_eq!(kinds(&messages), "EZ", "{bind:?}");
        assert_eq!(field(&messages[0].1, b'C'), code, "{bind:?}");
    }
    // One format for all columns is enough; the session goes on.
    raw.send(b'B', b"\0s\0\0\0\0\x01\0\0\0\x011\0\x01\0\x01");
    raw.send(b'E', b"\0\0\0\0\0");
    raw.send(b'S', b"");
    assert_eq!(kinds(&raw.until_ready()), "2DCZ");
    let refused = raw.query("SET nothing_of_the_kind = 1");
    assert_eq!(field(&refused[0].1, b'C'), "42704");
    assert_eq!(raw.tags("SELECT 1"), "SELECT 1");
    assert_eq!(other.text("SELECT 1"), "1");
}
