//! `COPY ... FROM STDIN` into sources that take pushes: what clients copy is there once, whole, or not at all.

use crate::push::READINGS;
use crate::support::pg::{code, describe};
use crate::support::{Pg, Server, Warehouse, needs, trial, trial_of};
use bytes::Bytes;
use futures::SinkExt as _;
use libtest_mimic::Trial;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Python's drivers, as `copy_in.py` calls them, and what they need.
const PYTHON: [(&str, &str); 3] = [("psycopg2", "psycopg2"), ("psycopg3", "psycopg"), ("asyncpg", "asyncpg")];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("copy_in::what_is_wrong_is_told_as_postgresql_tells_it", what_is_wrong),
        trial("copy_in::an_aborted_copy_keeps_nothing", an_aborted_copy_keeps_nothing),
        trial("copy_in::a_transaction_keeps_all_or_nothing", a_transaction_keeps_all_or_nothing),
        trial("copy_in::it_is_one_commit_and_survives_a_kill", one_commit),
        trial("copy_in::what_is_no_data_ends_it", what_is_no_data_ends_it),
        trial("copy_in::many_rows_take_bounded_memory", many_rows_take_bounded_memory),
        trial("copy_in::what_is_too_much_is_not_held", what_is_too_much_is_not_held),
    ];
    trials.extend(needs::psql(vec![trial("copy_in::psql", psql)]));
    for (driver, modules) in PYTHON {
        let copies = move || python(driver);
        trials.extend(needs::python(modules, vec![trial_of(format!("copy_in::{driver}"), copies)]));
    }
    trials
}

const METERS: &str = "CREATE SOURCE bronze.meters (id BIGINT NOT NULL, amount DECIMAL(18,2), ok BOOLEAN, note STRING, \
                      d DATE, at TIMESTAMPTZ)\nWITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n";

pub fn warehouse() -> (Warehouse, Server) {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/readings.sql", READINGS);
    warehouse.write("catalog/meters.sql", METERS);
    let server = warehouse.serve();
    (warehouse, server)
}

/// Copies over one session; the rows that the server counted.
fn copy(server: &Server, sql: &str, data: &[u8]) -> Result<u64, tokio_postgres::Error> {
    let pg = server.connect();
    pg.run(async {
        let sink = pg.client().copy_in::<_, Bytes>(sql).await?;
        futures::pin_mut!(sink);
        // Pieces end anywhere.
        let piece = if data.len() < 1000 { 7 } else { 65_521 };
        for piece in data.chunks(piece) {
            if sink.send(Bytes::copy_from_slice(piece)).await.is_err() {
                break;
            }
        }
        sink.finish().await
    })
}

/// SQLSTATE, message and context of a copy that must fail.
fn refusal(server: &Server, sql: &str, data: &[u8]) -> String {
    let error = copy(server, sql, data).unwrap_err();
    let db = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {}", describe(&error)));
    format!("{} {} | {}", code(&error), db.message(), db.where_().unwrap_or_default())
}

fn what_is_wrong() {
    let (_warehouse, server) = warehouse();
    let text = "COPY bronze.readings FROM STDIN";
    let csv = "COPY bronze.readings (sensor, value) FROM STDIN (FORMAT csv, HEADER)";
    let meters = "COPY bronze.meters (id, amount) FROM STDIN";
    for (sql, data, expected) in [
        (
            text,
            "a\t1\nb\tx\n",
            "22P02 invalid input syntax for type double precision: \"x\" | COPY readings, line 2, column value: \"x\"",
        ),
        (text, "a\n", "22P04 missing data for column \"value\" | COPY readings, line 1: \"a\""),
        (
            text,
            "a\t1\t2\n",
            "22P04 extra data after last expected column | COPY readings, line 1: \"a\t1\t2\"",
        ),
        (csv, "sensor,value\na,1\n\"b\n,1\n", "22P04 unterminated CSV quoted field | COPY readings, line 5"),
        (
            meters,
            "\\N\t1\n",
            "23502 null value in column \"id\" of relation \"meters\" violates not-null constraint | COPY meters, line 1: \"\\N\t1\"",
        ),
        (
            meters,
            "99999999999999999999\t1\n",
            "22003 value \"99999999999999999999\" is out of range for type bigint | COPY meters, line 1, column id: \"99999999999999999999\"",
        ),
        (
            meters,
            "1\t12345678901234567.00\n",
            "22003 numeric field overflow | COPY meters, line 1, column amount: \"12345678901234567.00\"",
        ),
        (
            "COPY bronze.readings FROM STDIN (FORMAT binary)",
            "no",
            "22P04 COPY file signature not recognized | ",
        ),
        ("COPY bronze.nothing FROM STDIN", "", "42P01 relation \"bronze.nothing\" does not exist | "),
        (
            "COPY bronze.readings (sensor, x) FROM STDIN",
            "",
            "42703 column \"x\" of relation \"readings\" does not exist | ",
        ),
        (
            "COPY bronze.readings__quarantine FROM STDIN",
            "",
            "42809 \"bronze.readings__quarantine\" takes no rows over a connection | ",
        ),
    ] {
        assert_eq!(refusal(&server, sql, data.as_bytes()), expected, "{sql}");
    }
    assert_eq!(
        refusal(&server, text, b"a\t1\n\xff\t1\n"),
        "22021 invalid byte sequence for encoding \"UTF8\": 0xff | COPY readings, line 2"
    );
    let large = vec![b'a'; 17 << 20];
    assert!(refusal(&server, text, &large).starts_with("54000 the rows are more than limits.push_bytes_max"));
    assert_eq!(server.query("SELECT count(*) FROM bronze.readings"), "0");
    assert_eq!(server.query("SELECT count(*) FROM bronze.meters"), "0");
}

fn an_aborted_copy_keeps_nothing() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    pg.run(async {
        let sink = pg.client().copy_in::<_, Bytes>("COPY bronze.readings FROM STDIN").await.unwrap();
        futures::pin_mut!(sink);
        sink.send(Bytes::from_static(b"a\t1\nb\t2\n")).await.unwrap();
        // Dropped unfinished, it says CopyFail.
    });
    assert_eq!(pg.text("SELECT count(*) FROM bronze.readings"), "0", "the session goes on");
    assert_eq!(copy(&server, "COPY bronze.readings FROM STDIN", b"c\t3\n").unwrap(), 1);
    server.wait_until("SELECT string_agg(sensor, ',') FROM bronze.readings", "c");
}

fn a_transaction_keeps_all_or_nothing() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    let put = |data: &'static str| {
        pg.run(async {
            let sink = pg.client().copy_in::<_, Bytes>("COPY bronze.readings FROM STDIN").await.unwrap();
            futures::pin_mut!(sink);
            sink.send(Bytes::from_static(data.as_bytes())).await.unwrap();
            sink.finish().await.unwrap()
        })
    };
    pg.text("BEGIN");
    assert_eq!(put("a\t1\n"), 1);
    pg.text("ROLLBACK");
    pg.text("BEGIN");
    put("b\t1\n");
    pg.text("SAVEPOINT s");
    put("c\t1\n");
    pg.text("ROLLBACK TO s");
    put("d\t1\n");
    assert_eq!(server.query("SELECT count(*) FROM bronze.readings"), "0", "nothing before COMMIT");
    pg.text("COMMIT");
    // The session that committed sees its rows at once.
    assert_eq!(
        pg.text(
            "SELECT string_agg(sensor, ',' ORDER BY sensor), count(DISTINCT _batch) FROM bronze.readings"
        ),
        "b,d|1"
    );
    pg.text("BEGIN");
    put("e\t1\n");
    pg.refusal("SELECT 1/0");
    pg.text("COMMIT");
    assert_eq!(pg.text("SELECT count(*) FROM bronze.readings"), "2", "a failed transaction keeps nothing");
}

fn one_commit() {
    let (warehouse, server) = warehouse();
    let rows: String = (0..10_000)
        .map(|n| format!("{n},{}.125,t,\"say \"\"hi\"\"\",2026-01-01,2026-01-01 10:00+02\n", n % 7))
        .collect();
    assert_eq!(copy(&server, "COPY bronze.meters FROM STDIN CSV", rows.as_bytes()).unwrap(), 10_000);
    server.kill9();
    let server = warehouse.serve();
    let read = "SELECT count(*), count(DISTINCT id), count(DISTINCT _batch), max(amount), min(note), min(d), min(at), bool_and(ok) FROM bronze.meters";
    server.wait_until(read, "10000|10000|1|6.13|say \"hi\"|2026-01-01|2026-01-01 08:00:00+00|t");
    assert_eq!(server.query("SELECT count(*) FROM bronze.meters__quarantine"), "0");
}

/// A connection that speaks in bytes.
struct Raw(TcpStream);

impl Raw {
    fn open(server: &Server) -> Self {
        let mut raw = Self(TcpStream::connect(server.pg).unwrap());
        raw.0.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let body = b"\0\x03\0\0user\0sluice\0database\0sluice\0\0";
        raw.0.write_all(&[&(body.len() as u32 + 4).to_be_bytes()[..], body].concat()).unwrap();
        raw.kinds_up_to(b'Z');
        raw
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        self.0.write_all(&[&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()).unwrap();
    }

    /// The kinds of messages up to one of a kind, errors with their code.
    fn kinds_up_to(&mut self, last: u8) -> String {
        let mut kinds = String::new();
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body).unwrap();
            kinds.push(head[0] as char);
            if head[0] == b'E' {
                let code = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'C')).unwrap();
                kinds.push_str(std::str::from_utf8(&code[1..]).unwrap());
            }
            if head[0] == last {
                return kinds;
            }
        }
    }
}

fn what_is_no_data_ends_it() {
    let (_warehouse, server) = warehouse();
    let mut raw = Raw::open(&server);
    // Data that nobody asked for is passed over.
    raw.send(b'd', b"a\t1\n");
    raw.send(b'c', b"");
    raw.send(b'Q', b"SELECT 1\0");
    assert_eq!(raw.kinds_up_to(b'Z'), "TDCZ");
    raw.send(b'Q', b"COPY bronze.readings FROM STDIN; SELECT 2\0");
    assert_eq!(raw.kinds_up_to(b'G'), "G");
    raw.send(b'd', b"a\t1\n");
    // Ignored, as what a client sends ahead.
    raw.send(b'S', b"");
    raw.send(b'H', b"");
    raw.send(b'Q', b"SELECT 1\0");
    assert_eq!(raw.kinds_up_to(b'Z'), "E08P01Z");
    raw.send(b'Q', b"COPY bronze.readings FROM STDIN; SELECT 2\0");
    raw.send(b'd', b"b\t2\n");
    raw.send(b'c', b"");
    assert_eq!(raw.kinds_up_to(b'Z'), "GCTDCZ", "the statement behind it is run");
    raw.send(b'Q', b"COPY bronze.readings FROM STDIN\0");
    assert_eq!(raw.kinds_up_to(b'G'), "G");
    raw.send(b'd', b"c\t3\n");
    // It vanishes.
    drop(raw);
    // So does one in the middle of a message, and one of a size that nothing has.
    for head in [b"d\0\0\x01\0a\t".as_slice(), b"d\x40\0\0\0a"] {
        let mut raw = Raw::open(&server);
        raw.send(b'Q', b"COPY bronze.readings FROM STDIN\0");
        assert_eq!(raw.kinds_up_to(b'G'), "G");
        raw.0.write_all(head).unwrap();
    }
    server.wait_until("SELECT string_agg(sensor, ',') FROM bronze.readings", "b");
    assert_eq!(server.query("SELECT count(*) FROM bronze.readings"), "1");
}

/// Copies so many rows of `bronze.readings`, 19 bytes each, made as they are sent.
fn copy_many(pg: &Pg, rows: u64) -> Result<u64, tokio_postgres::Error> {
    const ROWS_PER_PIECE: u64 = 4_000;
    pg.run(async {
        let sink = pg.client().copy_in::<_, Bytes>("COPY bronze.readings FROM STDIN").await?;
        futures::pin_mut!(sink);
        for piece in 0..rows / ROWS_PER_PIECE {
            let rows = piece * ROWS_PER_PIECE..(piece + 1) * ROWS_PER_PIECE;
            let text: String = rows.map(|n| format!("sensor {n:07}\t0.5\n")).collect();
            if sink.send(Bytes::from(text)).await.is_err() {
                break;
            }
        }
        sink.finish().await
    })
}

/// What copies may add to the peak of the server's memory.
const GROWTH_MIB_MAX: u64 = 512;

/// The rows of a copy are one commit, for which they wait in memory: no longer than that, and within its limit.
fn many_rows_take_bounded_memory() {
    const ROWS: u64 = 500_000;
    const COPIES: u64 = 3;
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    assert_eq!(copy_many(&pg, 4_000).unwrap(), 4_000);
    let before = server.peak_mib();
    for _ in 0..COPIES {
        assert_eq!(copy_many(&pg, ROWS).unwrap(), ROWS);
    }
    let grown = server.peak_mib().saturating_sub(before);
    assert!(grown < GROWTH_MIB_MAX, "{grown} MiB more");
    assert_eq!(pg.text("SELECT count(*) FROM bronze.readings"), (COPIES * ROWS + 4_000).to_string());
}

/// Past `limits.push_bytes_max` the error is certain: what a client sends all the same is passed over.
fn what_is_too_much_is_not_held() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    assert_eq!(copy_many(&pg, 4_000).unwrap(), 4_000);
    let before = server.peak_mib();
    let error = copy_many(&pg, 20_000_000).unwrap_err();
    assert_eq!(code(&error), "54000", "{}", describe(&error));
    // Lines without a letter are rows, too, which take more than their bytes.
    let error = pg.run(async {
        let sink = pg.client().copy_in::<_, Bytes>("COPY bronze.readings (sensor) FROM STDIN").await.unwrap();
        futures::pin_mut!(sink);
        let _ = sink.send(Bytes::from("\n".repeat(12 << 20))).await;
        sink.finish().await.unwrap_err()
    });
    assert_eq!(code(&error), "54000", "{}", describe(&error));
    let grown = server.peak_mib().saturating_sub(before);
    assert!(grown < GROWTH_MIB_MAX, "{grown} MiB more");
    assert_eq!(pg.text("SELECT count(*) FROM bronze.readings"), "4000");
}

fn psql() {
    let (warehouse, server) = warehouse();
    let file = warehouse.folder().join("rows.csv");
    fs::write(&file, "value,sensor\n1.5,a\n,\"b, \"\"c\"\"\"\n").unwrap();
    let copied = format!("\\copy bronze.readings (value, sensor) FROM '{}' CSV HEADER", file.display());
    assert_eq!(crate::psql::psql(&server, &[], &[&copied]), "COPY 2\n");
    let inline = "SET search_path = bronze; COPY readings FROM STDIN;\nd\t2\n\\.\nSELECT count(*) FROM bronze.readings;\n";
    let script = warehouse.folder().join("script.sql");
    fs::write(&script, inline).unwrap();
    let shown = crate::psql::psql(&server, &["-A", "-t", "-f", &script.display().to_string()], &[]);
    assert_eq!(shown, "SET\nCOPY 1\n3\n");
    let shown =
        crate::psql::psql(&server, &["-A", "-t"], &["SELECT sensor, value FROM bronze.readings ORDER BY 1"]);
    assert_eq!(shown, "a|1.5\nb, \"c\"|\nd|2\n");
}

fn python(driver: &str) {
    let (_warehouse, server) = warehouse();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/copy_in.py");
    let mut command = Command::new(needs::python_path());
    command.arg(script).arg(driver).arg(server.pg.ip().to_string()).arg(server.pg.port().to_string());
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{driver}:\n{said}");
    server.wait_until(
        "SELECT string_agg(concat_ws(' ', id, amount, ok, note, d, at), ';' ORDER BY id) FROM bronze.meters",
        "1 1.50 t a\tb 2026-01-01 2026-01-01 08:00:00+00;2",
    );
}
