//! `INSERT` into sources that take pushes: rows come once, whole, or not at all, by either protocol.

use crate::copy_in::warehouse;
use crate::support::pg::code;
use crate::support::{Pg, needs, trial, trial_of};
use bytes::Bytes;
use futures::SinkExt as _;
use libtest_mimic::Trial;
use std::process::Command;

/// Python's clients, as `insert.py` calls them, and what they need.
const PYTHON: [(&str, &str); 4] = [
    ("psycopg2", "psycopg2"),
    ("psycopg3", "psycopg"),
    ("asyncpg", "asyncpg"),
    ("pandas", "pandas, sqlalchemy, psycopg2"),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("insert::values_and_queries_become_rows", values_and_queries_become_rows),
        trial("insert::parameters_have_the_columns_types", parameters_have_the_columns_types),
        trial("insert::a_transaction_keeps_all_or_nothing", a_transaction_keeps_all_or_nothing),
        trial("insert::a_message_keeps_all_or_nothing", a_message_keeps_all_or_nothing),
        trial("insert::what_is_wrong_keeps_nothing", what_is_wrong_keeps_nothing),
        trial("insert::values_are_assigned_as_in_postgresql", values_are_assigned_as_in_postgresql),
        trial("insert::is_prepared_and_follows_with", is_prepared_and_follows_with),
        trial("insert::a_token_is_taken_once", a_token_is_taken_once),
    ];
    for (driver, modules) in PYTHON {
        let inserts = move || python(driver);
        trials.extend(needs::python(modules, vec![trial_of(format!("insert::{driver}"), inserts)]));
    }
    trials
}

const ALL: &str = "SELECT id, amount, ok, note, d, at FROM bronze.meters ORDER BY id";

fn values_and_queries_become_rows() {
    let (warehouse, server) = warehouse();
    let pg = server.connect();
    let count = |sql: &str| pg.run(pg.client().execute(sql, &[])).unwrap();
    let inserted = "INSERT INTO bronze.meters (id, at, note, amount) VALUES \
                    (1, '2026-01-01 10:00+02', 'it''s', '1.005'), (2, DEFAULT, NULL, 3)";
    assert_eq!(count(inserted), 2);
    // The next statement of the session sees it.
    assert_eq!(pg.text(ALL), "1|1.01||it's||2026-01-01 08:00:00+00\n2|3.00||||");
    // Columns that are left out at the end are NULL; a query may give the rows.
    assert_eq!(count("INSERT INTO bronze.meters SELECT id + 10, amount * 2 FROM bronze.meters"), 2);
    assert_eq!(count("INSERT INTO bronze.meters VALUES (21)"), 1);
    assert_eq!(count("INSERT INTO bronze.meters SELECT * FROM (SELECT 1) AS t(id) WHERE false"), 0);
    pg.text("SET search_path = bronze");
    assert_eq!(pg.text("INSERT INTO meters VALUES (22); SELECT 1"), "1");
    assert_eq!(
        pg.text("SELECT id, amount FROM meters WHERE id > 2 ORDER BY 1"),
        "11|2.02\n12|6.00\n21|\n22|"
    );
    // It outlasts the server, once.
    server.kill9();
    let server = warehouse.serve();
    server.wait_until("SELECT count(*), count(DISTINCT id) FROM bronze.meters", "6|6");
}

fn parameters_have_the_columns_types() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    let insert = "INSERT INTO bronze.meters (id, ok, note) VALUES ($1, $2, $3), ($4, NULL, $3)";
    let statement = pg.run(pg.client().prepare(insert)).unwrap();
    let types: Vec<&str> = statement.params().iter().map(|ty| ty.name()).collect();
    assert_eq!(types, ["int8", "bool", "text", "int8"]);
    for (first, second) in [(1_i64, 2_i64), (3, 4)] {
        let count = pg.run(pg.client().execute(&statement, &[&first, &Some(true), &"x", &second])).unwrap();
        assert_eq!(count, 2);
    }
    let none: Option<bool> = None;
    pg.run(pg.client().execute(&statement, &[&5_i64, &none, &None::<&str>, &6_i64])).unwrap();
    assert_eq!(
        pg.text("SELECT id, ok, note FROM bronze.meters ORDER BY 1"),
        "1|t|x\n2||x\n3|t|x\n4||x\n5||\n6||"
    );
}

fn a_transaction_keeps_all_or_nothing() {
    let (_warehouse, server) = warehouse();
    let (pg, other) = (server.connect(), server.connect());
    pg.text("BEGIN; INSERT INTO bronze.meters VALUES (1); INSERT INTO bronze.meters VALUES (2)");
    assert_eq!(other.text("SELECT count(*) FROM bronze.meters"), "0");
    pg.text("SAVEPOINT s; INSERT INTO bronze.meters VALUES (3); ROLLBACK TO s; COMMIT");
    assert_eq!(pg.text("SELECT id FROM bronze.meters ORDER BY 1"), "1\n2");
    // What was inserted in one transaction is one commit.
    assert_eq!(pg.text("SELECT count(DISTINCT _batch) FROM bronze.meters"), "1");
    pg.text("BEGIN; INSERT INTO bronze.meters VALUES (4); ROLLBACK");
    pg.text("BEGIN; INSERT INTO bronze.meters VALUES (5)");
    pg.refusal("INSERT INTO bronze.meters VALUES ('x')");
    pg.text("COMMIT");
    assert_eq!(pg.text("SELECT count(*) FROM bronze.meters"), "2");
}

fn a_message_keeps_all_or_nothing() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    let insert = |id: i64| format!("INSERT INTO bronze.meters (id) VALUES ({id})");
    let (code, _) = pg.refusal(&format!("{}; SELECT 1 / 0", insert(1)));
    assert_eq!(code, "22012");
    assert_eq!(pg.text("SELECT count(*) FROM bronze.meters"), "0");
    pg.text(&format!("{}; {}", insert(1), insert(2)));
    assert_eq!(pg.text("SELECT count(*), count(DISTINCT _batch) FROM bronze.meters"), "2|1");
    // What reads sees what stands before it.
    assert_eq!(pg.text(&format!("{}; SELECT count(*) FROM bronze.meters", insert(3))), "3");
    // Words of transactions hold for all that stands before them.
    for (rest, ids) in [
        ("ROLLBACK", "1\n2\n3"),
        ("BEGIN; INSERT INTO bronze.meters (id) VALUES (5); ROLLBACK", "1\n2\n3"),
        ("COMMIT; SELECT 1 / 0", "1\n2\n3\n4"),
    ] {
        let said = format!("{}; {rest}", insert(4));
        if rest.ends_with('0') {
            pg.refusal(&said);
        } else {
            pg.text(&said);
        }
        assert_eq!(pg.text("SELECT id FROM bronze.meters ORDER BY 1"), ids, "{rest}");
    }
}

fn what_is_wrong_keeps_nothing() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    for (sql, code, said) in [
        ("INSERT INTO bronze.meters (id) VALUES (1), ('x')", "22P02", ""),
        ("INSERT INTO bronze.meters (note) VALUES ('a')", "23502", "null value in column \"id\""),
        ("INSERT INTO bronze.meters (id) VALUES (1), (NULL)", "23502", "null value in column \"id\""),
        ("INSERT INTO bronze.meters SELECT NULL", "23502", "null value in column \"id\""),
        ("INSERT INTO bronze.meters (id, nope) VALUES (1, 2)", "42703", "column \"nope\""),
        ("INSERT INTO bronze.meters (id, id) VALUES (1, 2)", "42701", "specified more than once"),
        ("INSERT INTO bronze.meters (id, note) VALUES (1)", "42601", "more target columns than expressions"),
        ("INSERT INTO bronze.meters (id) VALUES (1, 2)", "42601", "more expressions than target columns"),
        ("INSERT INTO bronze.meters (id) SELECT 1, 2", "42601", "more expressions than target columns"),
        ("INSERT INTO bronze.meters (id) VALUES (1) RETURNING id", "0A000", "RETURNING"),
        ("INSERT INTO bronze.meters (id) VALUES (1) ON CONFLICT DO NOTHING", "0A000", "ON CONFLICT"),
        ("INSERT INTO bronze.nothing VALUES (1)", "42P01", "nothing"),
        ("INSERT INTO sluice.sources VALUES (1)", "42809", "takes no rows over a connection"),
    ] {
        let (found, message) = pg.refusal(sql);
        assert_eq!(found, code, "{sql}: {message}");
        assert!(message.contains(said), "{sql}: {message}");
    }
    let error =
        pg.run(pg.client().execute("INSERT INTO bronze.meters (id) VALUES ($1) RETURNING id", &[&1_i64]));
    assert_eq!(code(&error.unwrap_err()), "0A000");
    assert_eq!(pg.text("SELECT count(*) FROM bronze.meters"), "0");
}

/// What PostgreSQL 15 says to the same statements over a table of the same columns.
fn values_are_assigned_as_in_postgresql() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    let hint = "; hint: You will need to rewrite or cast the expression.";
    for (sql, column, wanted, found) in [
        ("INSERT INTO bronze.meters (id) SELECT 'a' || 'b'", "id", "bigint", "text"),
        ("INSERT INTO bronze.meters (id) VALUES (1), (lower('7'))", "id", "bigint", "text"),
        ("INSERT INTO bronze.meters (id, d) VALUES (1, 5)", "d", "date", "integer"),
        ("INSERT INTO bronze.meters (id, ok) VALUES (1, 1)", "ok", "boolean", "integer"),
        ("INSERT INTO bronze.meters (id) VALUES (true)", "id", "bigint", "boolean"),
        ("INSERT INTO bronze.meters (id) SELECT note FROM bronze.meters", "id", "bigint", "text"),
        ("INSERT INTO bronze.meters (id, d) SELECT 1, '2026-01-01'::text", "d", "date", "text"),
        ("PREPARE p (text) AS INSERT INTO bronze.meters (id) VALUES ($1)", "id", "bigint", "text"),
    ] {
        let (code, said) = pg.refusal(sql);
        let expected =
            format!("column \"{column}\" is of type {wanted} but expression is of type {found}{hint}");
        assert_eq!(code, "42804", "{sql}: {said}");
        assert!(said.ends_with(&expected), "{sql}: {said}");
    }
    for taken in [
        "INSERT INTO bronze.meters (id, note) SELECT 1, ARRAY['a']",
        "INSERT INTO bronze.meters (id, note) VALUES (2.5, 7)",
        "INSERT INTO bronze.meters (id, d) SELECT 4, timestamp '2026-01-02 03:04'",
        "INSERT INTO bronze.meters (id, note) SELECT '5', NULL",
        "INSERT INTO bronze.meters (id, note) SELECT 6.5, true",
        "INSERT INTO bronze.meters (id, amount) VALUES (8, 1.25::float8), (9, '2.345')",
        "INSERT INTO bronze.meters (id, note) SELECT 10, date '2026-01-03'",
    ] {
        pg.text(taken);
    }
    assert_eq!(
        pg.text("SELECT id, amount, note, d FROM bronze.meters ORDER BY id"),
        "1||{a}|\n3||7|\n4|||2026-01-02\n5|||\n7||true|\n8|1.25||\n9|2.35||\n10||2026-01-03|"
    );
}

fn is_prepared_and_follows_with() {
    let (_warehouse, server) = warehouse();
    let pg = server.connect();
    let prepare = "PREPARE add (bigint, text) AS INSERT INTO bronze.meters (id, note) VALUES ($1, upper($2))";
    pg.text(prepare);
    let count = |sql: &str| pg.run(pg.client().execute(sql, &[])).unwrap();
    assert_eq!(count("EXECUTE add (1, 'one')"), 1);
    assert_eq!(pg.text("EXECUTE add (2, NULL); SELECT 1"), "1");
    assert_eq!(pg.text("SELECT statement FROM pg_prepared_statements WHERE name = 'add'"), prepare);
    assert_eq!(pg.refusal("EXECUTE add (1)").0, "42601");
    assert_eq!(pg.refusal("EXECUTE add (NULL, 'x')").0, "23502");
    assert_eq!(pg.refusal("PREPARE s AS SET search_path = gold").0, "0A000");

    assert_eq!(count("WITH new AS (SELECT 3 AS id) INSERT INTO bronze.meters (id) SELECT id FROM new"), 1);
    let nested = "WITH a AS (SELECT 4 AS n) INSERT INTO bronze.meters (id) \
                  WITH b AS (SELECT n + 1 AS n FROM a) SELECT n FROM a UNION ALL SELECT n FROM b";
    assert_eq!(count(nested), 2);
    let values =
        "WITH a AS (SELECT 'x' AS t) INSERT INTO bronze.meters (id, note) VALUES (6, (SELECT t FROM a))";
    assert_eq!(count(values), 1);
    pg.text(
        "PREPARE more AS WITH a AS (SELECT $1::bigint AS n) INSERT INTO bronze.meters (id) SELECT n FROM a",
    );
    assert_eq!(count("EXECUTE more (7)"), 1);
    assert_eq!(pg.text("SELECT id, note FROM bronze.meters ORDER BY 1"), "1|ONE\n2|\n3|\n4|\n5|\n6|x\n7|");
    let changing = "WITH a AS (SELECT 1) DELETE FROM bronze.meters";
    assert_eq!(pg.refusal(changing).0, "42501");
}

fn a_token_is_taken_once() {
    let (warehouse, server) = warehouse();
    let pg = server.connect();
    let count = |pg: &Pg, sql: &str| pg.run(pg.client().execute(sql, &[])).unwrap();
    pg.text("SET sluice.channel = 'etl'");
    // Each push has a token of its own.
    let (code, said) = pg.refusal("INSERT INTO bronze.meters VALUES (1)");
    assert!(code == "22023" && said.contains("sluice.token is not"), "{said}");
    for (token, id, taken) in [(1, 1, 1), (1, 91, 0), (2, 2, 1), (1, 92, 0)] {
        pg.text(&format!("SET sluice.token = {token}"));
        assert_eq!(count(&pg, &format!("INSERT INTO bronze.meters VALUES ({id})")), taken, "{token}");
        assert_eq!(pg.text("SHOW sluice.token"), "");
    }
    for (token, taken) in [(1, 2), (1, 0)] {
        pg.text(&format!("SELECT set_config('sluice.token', '{token}', false)"));
        assert_eq!(copied(&pg, b"a\t1\nb\t2\n"), taken);
    }
    pg.text("RESET sluice.channel");

    // A transaction is one push for each source, whichever columns its rows have; one that is rolled back is none.
    let load = "BEGIN; SET LOCAL sluice.channel = 'etl'; SET LOCAL sluice.token = 7; \
                INSERT INTO bronze.meters (id, note) VALUES (3, 'a'); INSERT INTO bronze.meters (id, amount) VALUES (4, 1); \
                INSERT INTO bronze.readings VALUES ('c', 3)";
    pg.text(&format!("{load}; ROLLBACK"));
    pg.text(&format!("{load}; COMMIT"));
    server.kill9();
    let server = warehouse.serve();
    let pg = server.connect();
    pg.text(&format!("{load}; COMMIT"));
    pg.text("INSERT INTO bronze.meters VALUES (5)");
    assert_eq!(
        pg.text("SELECT id, amount, note FROM bronze.meters ORDER BY 1"),
        "1||\n2||\n3||a\n4|1.00|\n5||"
    );
    server.wait_until("SELECT count(*), count(DISTINCT sensor) FROM bronze.readings", "3|3");
    let places = "SELECT DISTINCT _partition FROM bronze.meters WHERE id < 5";
    assert_eq!(pg.text(places), "etl");
}

fn copied(pg: &Pg, data: &'static [u8]) -> u64 {
    pg.run(async {
        let sink = pg.client().copy_in::<_, Bytes>("COPY bronze.readings FROM STDIN").await.unwrap();
        futures::pin_mut!(sink);
        sink.send(Bytes::from_static(data)).await.unwrap();
        sink.finish().await.unwrap()
    })
}

fn python(driver: &str) {
    let (_warehouse, server) = warehouse();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/insert.py");
    let mut python = Command::new(needs::python_path());
    python.args([script, driver, &server.pg.ip().to_string(), &server.pg.port().to_string()]);
    let output = python.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("PASS"), "{driver}: {said}");
    // The driver's own session would see them at once; this is another.
    server.wait_until(ALL, "1|1.50|t|a\tb|2026-01-01|2026-01-01 08:00:00+00\n2|||||");
}
