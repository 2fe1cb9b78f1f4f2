//! Other engines open the folders and read the same values as psql: DuckDB's delta extension, Polars, delta-rs,
//! Spark.

mod kinds;

use crate::push::READINGS;
use crate::support::cache::cache;
use crate::support::{Server, Warehouse, needs, trial_of};
use libtest_mimic::Trial;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Table, columns, the column that orders the rows.
const TABLES: [(&str, &str, &str); 9] = [
    (
        "bronze.orders",
        "order_id, customer_id, amount, status, ordered_at, _raw, _partition, _offset, _batch",
        "order_id",
    ),
    ("bronze.customers", "customer_id, name, tags, joined, _raw", "customer_id"),
    ("bronze.orders__quarantine", "source, partition, offset, rule, reason, raw", "raw"),
    ("silver.orders", "order_id, customer_id, amount, status, order_date, ordered_at", "order_id"),
    ("silver.orders__quarantine", "source, rule, reason, raw", "raw"),
    ("silver.customers", "customer_id, name, city, zip, tags, joined", "customer_id"),
    ("gold.customer_sales", "customer_id, name, city, orders, revenue, last_order_at", "customer_id"),
    ("gold.daily_sales", "order_date, orders, revenue", "order_date"),
    ("bronze.readings", "sensor, value, _partition, _offset", "sensor"),
];

pub fn trials() -> Vec<Trial> {
    let modules = |engine: &str| match engine {
        "duckdb" => "duckdb, duckdb_extension_delta, pytz",
        "polars" => "polars, deltalake",
        _ => "deltalake, pyarrow",
    };
    let trials = |engine: &'static str| {
        let name = |what: &str| format!("lake_readers::{engine}_{what}");
        vec![
            trial_of(name("reads_what_psql_reads"), move || reads_what_psql_reads(engine)),
            trial_of(name("reads_versions_before_a_change"), move || reads_versions_before_a_change(engine)),
        ]
    };
    let of_python = ["duckdb", "polars", "deltalake"];
    let in_python = of_python.into_iter().flat_map(|engine| needs::python(modules(engine), trials(engine)));
    let all_modules = of_python.map(modules).join(", ");
    let kinds_in_python =
        needs::python(&all_modules, vec![kinds::trial("python", &["duckdb", "polars", "deltalake"])]);
    let in_spark = trials("spark").into_iter().chain([kinds::trial("spark", &["spark"])]).collect();
    in_python.chain(kinds_in_python).chain(needs::file(&spark(), "by .ci/fetch-spark", in_spark)).collect()
}

/// What says that Spark is there with all that it needs: `SLUICE_TEST_SPARK`, or where `.ci/fetch-spark` puts it.
fn spark() -> PathBuf {
    let home = std::env::var_os("SLUICE_TEST_SPARK").map(PathBuf::from);
    home.unwrap_or_else(|| cache().join("spark")).join(".pom")
}

fn reads_what_psql_reads(engine: &str) {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/readings.sql", READINGS);
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    // Several commits, a row that changes in gold (so that something is removed there) and rows without values.
    for (token, body) in
        [(1, "{\"sensor\": \"a\", \"value\": 0.5}"), (2, "{\"sensor\": \"b\"}"), (3, "{\"value\": -2}")]
    {
        let reply = crate::push::push(&server, "readings", Some(("one", token)), body).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    warehouse.write(
        "input/orders/2026-01-03.csv",
        "order_id,customer_id,amount,status,ordered_at\n10,13,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    server.wait_until("SELECT orders FROM gold.customer_sales WHERE customer_id = 13", "2");
    server.wait_until("SELECT count(*) FROM bronze.readings", "3");
    compare(engine, &warehouse, &server);
    // Folding small files and writing checkpoints must not change what others see.
    assert_eq!(server.terminate().0.code(), Some(0));
    let server = warehouse.serve();
    compare(engine, &warehouse, &server);
}

/// A view whose definition has changed: its newest version has the new columns, older ones have theirs.
fn reads_versions_before_a_change(engine: &str) {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/readings.sql",
        "CREATE SOURCE bronze.readings (sensor STRING, value REAL)\n\
         WITH (connector = 'http')\nFORMAT PLAIN ENCODE JSON;\n",
    );
    let define = |query: &str| {
        let text = format!("CREATE MATERIALIZED VIEW gold.readings AS {query} FROM bronze.readings;\n");
        warehouse.write("sql/gold/readings.sql", text);
    };
    define("SELECT sensor, value");
    let server = warehouse.serve_with(&["--watch"]);
    let body = "{\"sensor\": \"a\", \"value\": 0.5}\n{\"sensor\": \"b\", \"value\": 2}";
    assert_eq!(crate::push::push(&server, "readings", Some(("one", 1)), body).unwrap().status, 200);
    server.wait_until("SELECT * FROM gold.readings ORDER BY 1", "a|0.5\nb|2");
    let newest = "SELECT max(version) FROM sluice.epochs WHERE table_name = 'gold.readings'";
    let old = server.query(newest);
    warehouse.write(
        "catalog/readings.sql",
        "CREATE SOURCE bronze.readings (sensor STRING, value DOUBLE, count BIGINT)\n\
         WITH (connector = 'http')\nFORMAT PLAIN ENCODE JSON;\n",
    );
    define("SELECT CAST(value AS STRING) || '!' AS value, length(sensor) AS length, now() IS NULL AS no");
    server.wait_until("SELECT * FROM gold.readings ORDER BY 1", "0.5!|1|f\n2.0!|1|f");
    let gold = warehouse.data().join("gold/readings");
    let bronze = warehouse.data().join("bronze/readings");
    let questions = [
        (&gold, "value, length", "value", ""),
        (&gold, "sensor, value", "sensor", &old),
        (&bronze, "sensor, value, count", "sensor", ""),
        (&bronze, "sensor, value", "sensor", "1"),
    ];
    let answers = ["0.5!|1\n2.0!|1", "a|0.5\nb|2", "a|0.5|\nb|2|", "a|0.5\nb|2"];
    assert_eq!(read(engine, &questions), answers);
}

fn compare(engine: &str, warehouse: &Warehouse, server: &Server) {
    let session = server.connect();
    let folders = TABLES.map(|(table, ..)| warehouse.data().join(table.replace('.', "/")));
    let questions: Vec<Question<'_>> = folders
        .iter()
        .zip(TABLES)
        .map(|(folder, (_, columns, order))| (folder, columns, order, ""))
        .collect();
    let mut wrong = Vec::new();
    for ((table, columns, order), theirs) in TABLES.into_iter().zip(read(engine, &questions)) {
        let quoted: Vec<String> = columns.split(", ").map(|column| format!("\"{column}\"")).collect();
        let quoted = quoted.join(", ");
        let ours = session.text(&format!("SELECT {quoted} FROM {table} ORDER BY {order} NULLS LAST"));
        if sorted(&theirs) != sorted(&ours) {
            wrong.push(format!("{table}\n  psql:\n{ours}\n  {engine}:\n{theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{engine} reads other values:\n{}", wrong.join("\n\n"));
}

/// Engines differ in where NULL stands.
pub fn sorted(rows: &str) -> Vec<&str> {
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    rows
}

/// A table's folder, its columns (or `*`: then their names come first), the one that orders its rows, and a version or
/// nothing.
pub type Question<'a> = (&'a PathBuf, &'a str, &'a str, &'a str);

/// What an engine reads, in psql's words.
pub fn read(engine: &str, questions: &[Question<'_>]) -> Vec<String> {
    let python = match engine {
        "spark" => spark().with_file_name("bin/python"),
        _ => needs::python_path(),
    };
    // Spark leaves folders where it runs.
    let scratch = tempfile::tempdir().unwrap();
    let mut reader = Command::new(python)
        .current_dir(scratch.path())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/lake.py"))
        .arg(engine)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = reader.stdin.take().unwrap();
    for (folder, columns, order, version) in questions {
        writeln!(input, "{}\t{columns}\t{order}\t{version}", folder.display()).unwrap();
    }
    drop(input);
    let output = reader.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{engine} cannot read {questions:?}:\n{said}");
    let rows = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<String> =
        rows.split_terminator("\u{c}\n").map(|answer| answer.trim_end().to_string()).collect();
    assert_eq!(answers.len(), questions.len(), "{rows}\n{said}");
    answers
}
