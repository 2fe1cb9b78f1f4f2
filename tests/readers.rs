//! Readers over the Postgres wire: logging in, parameters, large results, cancelling, limits, refusals.

use crate::support::pg::{self, Pg};
use crate::support::{READY, Warehouse, shared, trial, until};
use libtest_mimic::Trial;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("readers::scram_lets_in_who_knows_the_password", scram_lets_in_who_knows_the_password),
        trial("readers::refusals_do_not_tell_users_apart", refusals_do_not_tell_users_apart),
        trial("readers::parameters_of_every_kind", parameters_of_every_kind),
        trial("readers::a_prepared_statement_sees_new_rows", a_prepared_statement_sees_new_rows),
        trial(
            "readers::a_kept_plan_follows_values_settings_and_definitions",
            a_kept_plan_follows_values_settings_and_definitions,
        ),
        trial("readers::a_large_result_streams", a_large_result_streams),
        trial("readers::a_large_copy_streams", a_large_copy_streams),
        trial("readers::portals_are_read_in_pieces", portals_are_read_in_pieces),
        trial("readers::cancel_ends_a_simple_query", cancel_ends_a_simple_query),
        trial("readers::cancel_ends_an_extended_query", cancel_ends_an_extended_query),
        trial("readers::cancel_ends_a_result_under_way", cancel_ends_a_result_under_way),
        trial("readers::statement_timeout_is_kept", statement_timeout_is_kept),
        trial("readers::errors_carry_their_code", errors_carry_their_code),
        trial("readers::what_is_not_listed_is_refused", what_is_not_listed_is_refused),
        trial("readers::one_connection_too_many", one_connection_too_many),
        trial(
            "readers::a_client_that_stops_reading_holds_up_nobody",
            a_client_that_stops_reading_holds_up_nobody,
        ),
        trial("readers::statements_of_many_parts_are_planned", statements_of_many_parts_are_planned),
        trial("readers::memory_hungry_queries_end_alone", memory_hungry_queries_end_alone),
    ]
}

/// Runs until someone stops it.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 2000000) AS a(x), generate_series(1, 2000000) AS b(y) WHERE x % 7 = y % 11";

/// PostgreSQL's form of the password `wasserfall` (RFC 5803), made by PostgreSQL's rules, not by this server.
pub const VERIFIER: &str = "SCRAM-SHA-256$4096:c2x1aWNlLXRlc3Qtc2FsdA==$sxPt5hjUBAPdczkExSvDUQlRjO2Rgtyd57mNNHVZwmg=:afaGcJYN7vmMThWG9h9PsRWD8hIaUTJ8DJyqpK777rk=";

fn warehouse_with_password() -> Warehouse {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", format!("[users.ada]\nverifier = \"{VERIFIER}\"\n"));
    warehouse
}

fn scram_lets_in_who_knows_the_password() {
    let server = warehouse_with_password();
    let server = server.serve();
    let session = until("log in", READY, || {
        Pg::connect(server.pg, "ada", Some("wasserfall")).map_err(|error| pg::describe(&error))
    });
    assert_eq!(session.text("SELECT current_user"), "ada");
    assert!(!server.log().contains("wasserfall"), "passwords are never logged");
}

fn refusals_do_not_tell_users_apart() {
    let warehouse = warehouse_with_password();
    let server = warehouse.serve();
    let refusal = |user: &str, password: &str| {
        let error = Pg::connect(server.pg, user, Some(password)).err().expect("must be refused");
        (
            pg::code(&error),
            error.as_db_error().map(|db| db.message().replace(user, "USER")).unwrap_or_default(),
        )
    };
    let wrong = refusal("ada", "niagara");
    assert_eq!(wrong.0, "28P01", "{wrong:?}");
    assert_eq!(refusal("nobody", "niagara"), wrong, "an unknown user looks like a wrong password");
    // `sluice` is trusted only where the settings or --demo say so.
    assert_eq!(refusal("sluice", "sluice").0, "28P01");
    let error = Pg::connect(server.pg, "ada", None).err().expect("no password, no session");
    assert!(error.as_db_error().is_some() || format!("{error:?}").contains("password"), "{error:?}");
}

fn parameters_of_every_kind() {
    let server = shared::server();
    let session = server.connect();
    let client = session.client();
    session.run(async {
        let row = client
            .query_one(
                "SELECT count(*), sum(revenue)::TEXT FROM gold.customer_sales WHERE customer_id >= $1",
                &[&11_i64],
            )
            .await
            .unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (3, "1300.95"));

        let statement = client
            .prepare("SELECT customer_id FROM silver.customers WHERE name = $1 OR city = $2 ORDER BY 1")
            .await
            .unwrap();
        assert_eq!(statement.params().len(), 2);
        for (name, city, expected) in [
            ("Ada", "nowhere", vec![10_i64]),
            ("Björn \"B\" O'Neil", "Bergen", vec![11, 13]),
            ("'; DROP TABLE silver.customers; --", "", vec![]),
        ] {
            let rows = client.query(&statement, &[&name, &city]).await.unwrap();
            assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), expected, "{name}");
        }

        let row = client
            .query_one(
                "SELECT $1::INT, $2::BIGINT, $3::DOUBLE PRECISION, $4::BOOLEAN, $5::TEXT, $6::TEXT IS NULL",
                &[&42_i32, &(1_i64 << 40), &0.5_f64, &true, &"ü", &Option::<&str>::None],
            )
            .await
            .unwrap();
        assert_eq!(
            (row.get::<_, i32>(0), row.get::<_, i64>(1), row.get::<_, f64>(2), row.get::<_, bool>(3)),
            (42, 1 << 40, 0.5, true)
        );
        assert_eq!((row.get::<_, &str>(4), row.get::<_, bool>(5)), ("ü", true));

        let limited = client
            .prepare_typed("SELECT order_id FROM silver.orders ORDER BY 1 LIMIT $1", &[Type::INT8])
            .await
            .unwrap();
        assert_eq!(client.query(&limited, &[&2_i64]).await.unwrap().len(), 2);
        assert_eq!(client.query(&limited, &[&3_i64]).await.unwrap().len(), 3);

        // The first of its places says what a parameter is.
        let between =
            "SELECT i FROM (VALUES (1), (2), (3), (4)) AS t(i) WHERE i BETWEEN $1 AND $1 + 1 ORDER BY i";
        let between = client.prepare(between).await.unwrap();
        assert_eq!(between.params(), [Type::INT4]);
        let rows = client.query(&between, &[&2_i32]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [2, 3]);
    });
}

fn a_prepared_statement_sees_new_rows() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    let session = server.connect();
    let count = session.run(session.client().prepare("SELECT count(*) FROM silver.orders")).unwrap();
    let ask = || session.run(session.client().query_one(&count, &[])).unwrap().get::<_, i64>(0);
    assert_eq!(ask(), 6);
    warehouse.write(
        "input/orders/2026-01-03.csv",
        "order_id,customer_id,amount,status,ordered_at\n10,13,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    until("the new row", crate::support::FLOW, || match ask() {
        7 => Ok(()),
        other => Err(other.to_string()),
    });
}

/// Plans are kept, what they depend on is not.
fn a_kept_plan_follows_values_settings_and_definitions() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\nmay_define = true\n");
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    let session = server.connect();
    let client = session.client();
    let ids = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>();
    session.run(async {
        let sql = "SELECT order_id FROM silver.orders WHERE order_id NOT IN ($1, 3) AND (order_id NOT IN ($2, 4) OR $3::bool) \
                   ORDER BY 1 LIMIT 4";
        let kept = client.prepare(sql).await.unwrap();
        for _ in 0..3 {
            let rows = client.query(&kept, &[&1_i64, &2_i64, &false]).await.unwrap();
            assert_eq!(ids(rows), [6, 7, 8, 9]);
            assert_eq!(ids(client.query(&kept, &[&6_i64, &7_i64, &true]).await.unwrap()), [1, 2, 7, 8]);
            let none = client.query(&kept, &[&None::<i64>, &2_i64, &false]).await.unwrap();
            assert!(none.is_empty());
        }
        let clock = client.prepare("SELECT now()").await.unwrap();
        let mut last = None;
        for _ in 0..4 {
            let now = client.query_one(&clock, &[]).await.unwrap().get::<_, SystemTime>(0);
            assert!(last.is_none_or(|last| last < now));
            last = Some(now);
        }
        let first = client.prepare("SELECT order_id FROM silver.orders ORDER BY 1 LIMIT $1").await.unwrap();
        for count in [2_i64, 1, 4, 3] {
            let rows = client.query(&first, &[&count]).await.unwrap().len();
            assert_eq!(i64::try_from(rows).unwrap(), count);
        }
    });
    for (id, found) in [(1, "1"), (2, "2"), (6, "6"), (5, ""), (9, "9")] {
        assert_eq!(session.text(&format!("SELECT order_id FROM silver.orders WHERE order_id = {id}")), found);
    }
    // The same text means nothing on another path, and another view once it is defined anew.
    session.text("CREATE VIEW gold.cheap AS SELECT order_id FROM silver.orders WHERE amount < 10");
    let ask = || session.text("SELECT count(*) FROM cheap");
    session.text("SET search_path = gold");
    assert_eq!([ask(), ask(), ask()], ["2", "2", "2"]);
    session.text("SET search_path = silver");
    assert_eq!(session.refusal("SELECT count(*) FROM cheap").0, "42P01");
    session.text("SET search_path = gold");
    session.text("CREATE OR REPLACE VIEW gold.cheap AS SELECT order_id FROM silver.orders");
    assert_eq!(ask(), "6");
}

/// Ten million rows of 100 bytes pass through; the server's memory does not grow by anything near a gigabyte.
fn a_large_result_streams() {
    use futures::StreamExt as _;
    const ROWS: u64 = 10_000_000;
    const GROWTH_MIB_MAX: u64 = 256;
    let warehouse = Warehouse::new();
    let server = warehouse.serve();
    let session = server.connect();
    session.text("SELECT 1");
    let before = server.peak_mib();
    let sql = format!("SELECT value, repeat('x', 92) AS pad FROM generate_series(1, {ROWS}) AS t(value)");
    for simple in [true, false] {
        let start = Instant::now();
        let (rows, first) = session.run(async {
            let (mut rows, mut first) = (0_u64, None);
            if simple {
                let mut stream = std::pin::pin!(session.client().simple_query_raw(&sql).await.unwrap());
                while let Some(message) = stream.next().await {
                    if matches!(message.unwrap(), tokio_postgres::SimpleQueryMessage::Row(_)) {
                        first.get_or_insert_with(|| start.elapsed());
                        rows += 1;
                    }
                }
            } else {
                let no_parameters: [i64; 0] = [];
                let stream = session.client().query_raw(&sql, no_parameters).await.unwrap();
                let mut stream = std::pin::pin!(stream);
                while let Some(row) = stream.next().await {
                    row.unwrap();
                    first.get_or_insert_with(|| start.elapsed());
                    rows += 1;
                }
            }
            (rows, first.unwrap())
        });
        assert_eq!(rows, ROWS);
        let all = start.elapsed();
        assert!(first < all / 4, "the first row came after {first:?} of {all:?}");
        let grown = server.peak_mib().saturating_sub(before);
        assert!(grown < GROWTH_MIB_MAX, "{grown} MiB more than before (simple: {simple})");
    }
}

/// In each format a `COPY` is sent as its rows are made.
fn a_large_copy_streams() {
    use futures::StreamExt as _;
    const ROWS: u64 = 2_000_000;
    const GROWTH_MIB_MAX: u64 = 128;
    let warehouse = Warehouse::new();
    let server = warehouse.serve();
    let session = server.connect();
    session.text("SELECT 1");
    let before = server.peak_mib();
    for format in ["text", "csv", "binary"] {
        let rows =
            format!("SELECT value, repeat('x', 92) AS pad FROM generate_series(1, {ROWS}) AS t(value)");
        let copy = format!("COPY ({rows}) TO STDOUT (FORMAT {format})");
        let bytes = session.run(async {
            let mut stream = std::pin::pin!(session.client().copy_out(&copy).await.unwrap());
            let mut bytes = 0;
            while let Some(piece) = stream.next().await {
                bytes += piece.unwrap().len() as u64;
            }
            bytes
        });
        assert!(bytes > ROWS * 99, "{bytes} bytes of {format}");
        let grown = server.peak_mib().saturating_sub(before);
        assert!(grown < GROWTH_MIB_MAX, "{grown} MiB more than before ({format})");
    }
}

fn portals_are_read_in_pieces() {
    let server = shared::server();
    let mut config = tokio_postgres::Config::new();
    config.host(server.pg.ip().to_string()).port(server.pg.port()).user("sluice").dbname("sluice");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (mut client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(async move { connection.await.ok() });
        let transaction = client.transaction().await.unwrap();
        let portal = transaction
            .bind("SELECT value FROM generate_series(1, 10) AS t(value) ORDER BY 1", &[])
            .await
            .unwrap();
        let mut seen: Vec<i32> = Vec::new();
        for (ask, expected) in [(4, 4), (1, 1), (100, 5), (100, 0)] {
            let rows = transaction.query_portal(&portal, ask).await.unwrap();
            assert_eq!(rows.len(), expected);
            seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        }
        assert_eq!(seen, (1..=10).collect::<Vec<_>>());
        transaction.commit().await.unwrap();
    });
}

fn cancel_ends_a_simple_query() {
    cancel(|session| session.run(session.client().simple_query(ENDLESS)).err());
}

fn cancel_ends_an_extended_query() {
    cancel(|session| session.run(session.client().query(ENDLESS, &[])).err());
}

fn cancel_ends_a_result_under_way() {
    let sql = "SELECT value FROM generate_series(1, 2000000000) AS t(value)";
    cancel(|session| {
        use futures::StreamExt as _;
        session.run(async {
            let stream = session.client().simple_query_raw(sql).await.unwrap();
            let mut stream = std::pin::pin!(stream);
            while let Some(message) = stream.next().await {
                if let Err(error) = message {
                    return Some(error);
                }
            }
            None
        })
    });
}

/// Runs a statement that would go on for hours, cancels it, and expects 57014 and a session that goes on. A cancel that
/// comes before the statement has begun ends nothing, so it is sent until the statement has ended.
fn cancel(run: impl Fn(&Pg) -> Option<tokio_postgres::Error>) {
    let server = shared::server();
    let session = server.connect();
    let token = session.client().cancel_token();
    let over = AtomicBool::new(false);
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            while !over.load(Ordering::Relaxed) {
                runtime.block_on(token.cancel_query(NoTls)).unwrap();
                thread::sleep(Duration::from_millis(100));
            }
        });
        let error = run(&session);
        over.store(true, Ordering::Relaxed);
        error
    });
    let error = error.expect("the statement had to be cancelled");
    assert_eq!(pg::code(&error), "57014", "{}", pg::describe(&error));
    // A cancel that came too late must not hit the next statement; one that is still under way may.
    let answer = until("the session goes on", READY, || {
        session.try_text("SELECT 1").map_err(|error| pg::describe(&error))
    });
    assert_eq!(answer, "1");
}

fn statement_timeout_is_kept() {
    let server = shared::server();
    let session = server.connect();
    session.text("SET statement_timeout = '300ms'");
    assert_eq!(session.refusal(ENDLESS).0, "57014");
    session.text("SET statement_timeout = 0");
    assert_eq!(session.text("SELECT 1"), "1");
}

/// Such statements are planned beside what else the server does: their time can be over meanwhile.
fn statements_of_many_parts_are_planned() {
    const PARTS: usize = 300;
    let server = shared::server();
    let session = server.connect();
    let sum = format!("SELECT {}", vec!["1"; PARTS].join(" + "));
    assert_eq!(session.text(&sum), PARTS.to_string());
    let any: Vec<String> = (1..=PARTS).map(|id| format!("order_id = {id}")).collect();
    let any = format!("SELECT count(*) FROM silver.orders WHERE {}", any.join(" OR "));
    assert_eq!(
        session.text(&any),
        session.text("SELECT count(*) FROM silver.orders WHERE order_id BETWEEN 1 AND 300")
    );
    session.text("SET statement_timeout = '1ms'");
    assert_eq!(session.refusal(&sum).0, "57014");
    session.text("SET statement_timeout = 0");
    assert_eq!(session.text("SELECT 1"), "1");
}

fn errors_carry_their_code() {
    let server = shared::server();
    let session = server.connect();
    for (sql, code) in [
        ("SELEC 1", "42601"),
        ("SELECT * FROM gold.nothing", "42P01"),
        ("SELECT * FROM nowhere.nothing", "42P01"),
        ("SELECT amont FROM silver.orders", "42703"),
        ("SELECT no_such_function(1)", "42883"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT 'x'::INT", "22P02"),
        ("SELECT customer_id, count(*) FROM silver.orders", "42803"),
    ] {
        let (found, message) = session.refusal(sql);
        assert_eq!(found, code, "{sql}: {message}");
        assert!(!message.contains("DataFusion") && !message.contains("Arrow"), "{sql}: {message}");
    }
    let (_, message) = session.refusal("SELECT amont FROM silver.orders");
    assert!(message.contains("amount"), "the nearest name is offered: {message}");
    assert_eq!(session.text("SELECT 1"), "1", "the session goes on");
    assert_eq!(session.text("SELECT 1; SELECT 2"), "1\n2", "several statements in one message");
}

fn what_is_not_listed_is_refused() {
    let server = shared::server();
    let session = server.connect();
    for sql in [
        "COPY (SELECT 1) TO '/tmp/sluice-test-escape'",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "INSERT INTO gold.daily_sales VALUES (NULL, 1, 1)",
        "DELETE FROM silver.orders",
        "UPDATE silver.orders SET amount = 0",
        "DROP TABLE silver.orders",
        "TRUNCATE silver.orders",
        "ALTER TABLE silver.orders ADD COLUMN x INT",
        "CREATE TABLE t AS SELECT 1",
        "EXPLAIN ANALYZE INSERT INTO gold.daily_sales VALUES (NULL, 1, 1)",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
    ] {
        let (code, message) = session.refusal(sql);
        assert!(
            ["0A000", "42501", "42809", "42P01", "42601", "42704", "25006"].contains(&code.as_str()),
            "{sql}: {code} {message}"
        );
    }
    assert_eq!(session.text("SELECT count(*) FROM silver.orders"), "6");
    assert!(!std::path::Path::new("/tmp/sluice-test-escape").exists());
}

fn one_connection_too_many() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\nconnections_max = 3\n",
    );
    let server = warehouse.serve();
    let mut sessions: Vec<Pg> = (0..3).map(|_| server.connect()).collect();
    let error = Pg::connect(server.pg, "sluice", None).err().expect("one too many");
    assert_eq!(pg::code(&error), "53300", "{}", pg::describe(&error));
    assert_eq!(sessions[0].text("SELECT 1"), "1");
    sessions.pop();
    until("a place that is free again", READY, || {
        Pg::connect(server.pg, "sluice", None).map(|_| ()).map_err(|error| pg::describe(&error))
    });
}

/// What is sent waits in the system's buffers; the query waits with it, and nobody else does.
fn a_client_that_stops_reading_holds_up_nobody() {
    let warehouse = Warehouse::new();
    let settings = "[users.sluice]\ntrust_loopback = true\n[limits]\nconnections_max = 2\n";
    warehouse.write("catalog/warehouse.toml", settings);
    let server = warehouse.serve();
    let before = server.peak_mib();
    let mut stopped = TcpStream::connect(server.pg).unwrap();
    let mut send = |kind: &[u8], body: &[u8]| {
        let length = (body.len() as u32 + 4).to_be_bytes();
        stopped.write_all(&[kind, &length, body].concat()).unwrap();
    };
    send(b"", b"\0\x03\0\0user\0sluice\0database\0sluice\0\0");
    send(b"Q", b"SELECT n, repeat('x', 1000) FROM generate_series(1, 100000000) AS t(n)\0");
    stopped.read_exact(&mut [0; 100_000]).unwrap();
    let other = server.connect();
    for n in 0..50 {
        assert_eq!(other.text(&format!("SELECT {n}")), n.to_string());
    }
    let now = server.peak_mib();
    assert!(now < before + 200, "{before} MiB before, {now} MiB now");
    assert!(Pg::connect(server.pg, "sluice", None).is_err(), "there is room for two");
    drop(stopped);
    until("room for another", READY, || {
        Pg::connect(server.pg, "sluice", None).map(drop).map_err(|error| pg::describe(&error))
    });
}

fn memory_hungry_queries_end_alone() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\nquery_memory_bytes_max = 33554432\n",
    );
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    let session = server.connect();
    let (code, message) = session.refusal(
        "SELECT cardinality(array_agg(repeat('x', 100) || value)) FROM generate_series(1, 5000000) AS t(value)",
    );
    assert_eq!(code, "53200", "{message}");
    assert!(message.contains("query_memory_bytes_max"), "the limit is named: {message}");
    assert_eq!(session.text("SELECT count(*) FROM silver.orders"), "6");
}
