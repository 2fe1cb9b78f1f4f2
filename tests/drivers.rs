//! PostgreSQL clients that others wrote, driven by scripts under `tests/clients`: each reads project `shop` as its programs
//! do and checks the values it gets.

use crate::support::cache::cache;
use crate::support::postgres::{self, Postgres};
use crate::support::{Server, Warehouse, needs, shared, trial, trial_of};
use libtest_mimic::Trial;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Python's drivers, as `drivers.py` calls them, and what they need.
const PYTHON: [(&str, &str); 8] = [
    ("psycopg2", "psycopg2"),
    ("psycopg3", "psycopg"),
    ("asyncpg", "asyncpg"),
    ("sqlalchemy", "sqlalchemy, psycopg2, psycopg"),
    ("pandas", "pandas, sqlalchemy, psycopg2"),
    ("duckdb", "duckdb, duckdb_extension_postgres_scanner"),
    ("adbc", "adbc_driver_postgresql, pyarrow"),
    ("pgcli", "pgcli.pgexecute, pgspecial"),
];

/// The Flight SQL JDBC driver that `.ci/run` fetches.
const FLIGHT_JDBC: &str = "flight-sql-jdbc-driver-18.3.0.jar";

pub fn trials() -> Vec<Trial> {
    let python = PYTHON.into_iter().flat_map(|(driver, modules)| {
        let read = move || succeeds(&python_driver(driver));
        needs::python(modules, vec![trial_of(format!("drivers::{driver}"), read)])
    });
    let jdbc =
        needs::file(&jdbc_jar(), "Debian: libpostgresql-jdbc-java", vec![trial("drivers::jdbc", jdbc)]);
    let flight_jdbc = needs::file(
        &flight_jdbc_jar(),
        "fetched by .ci/run",
        vec![trial("drivers::flight_jdbc", flight_jdbc)],
    );
    let pgbench = needs::file(
        &postgres::program("pgbench"),
        "Debian: postgresql",
        vec![trial("drivers::pgbench", pgbench)],
    );
    let foreign = needs::file(
        &postgres::program("initdb"),
        "Debian: postgresql",
        vec![trial("drivers::postgres_fdw", postgres_fdw)],
    );
    let node =
        needs::file(&node_modules().join("postgres"), "npm install", vec![trial("drivers::node", node)]);
    let odbc =
        needs::file(&psqlodbc(), "Debian: odbc-postgresql unixodbc", vec![trial("drivers::odbc", odbc)]);
    let catalogue = vec![trial("drivers::odbc_is_told_the_catalogue_as_by_postgresql", odbc_catalogue)];
    let catalogue = needs::python("ctypes", needs::file(&psqlodbc(), "Debian: odbc-postgresql", catalogue));
    let catalogue = needs::file(&postgres::program("initdb"), "Debian: postgresql", catalogue);
    let odbc = odbc.into_iter().chain(catalogue);
    python.chain(jdbc).chain(flight_jdbc).chain(pgbench).chain(foreign).chain(node).chain(odbc).collect()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// A driver's program, and where drivers find who they are: each proves a password.
fn program(name: impl AsRef<OsStr>) -> Command {
    let mut program = Command::new(name);
    program.env("PGUSER", "ada").env("PGPASSWORD", "wasserfall");
    program
}

fn python_driver(driver: &str) -> Output {
    let server = shared::server();
    let (host, port) = (server.pg.ip().to_string(), server.pg.port().to_string());
    let mut python = program(needs::python_path());
    python.arg(script("drivers.py")).args([driver, &host, &port]).output().unwrap()
}

fn succeeds(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
}

/// `SLUICE_TEST_PGJDBC`, or where Debian puts it.
fn jdbc_jar() -> PathBuf {
    std::env::var_os("SLUICE_TEST_PGJDBC")
        .map_or_else(|| "/usr/share/java/postgresql.jar".into(), PathBuf::from)
}

fn jdbc() {
    let server = shared::server();
    let (host, port) = (server.pg.ip().to_string(), server.pg.port().to_string());
    let mut java = program("java");
    java.arg("-cp").arg(jdbc_jar()).arg(script("Jdbc.java"));
    succeeds(&java.args([&host, &port]).output().unwrap());
}

/// `SLUICE_TEST_FLIGHT_JDBC`, or where `.ci/run` puts it.
fn flight_jdbc_jar() -> PathBuf {
    let cached = || cache().join("flight-jdbc").join(FLIGHT_JDBC);
    std::env::var_os("SLUICE_TEST_FLIGHT_JDBC").map_or_else(cached, PathBuf::from)
}

/// The driver reaches into the JVM's buffers, and hangs at the first parameter where it may not.
fn flight_jdbc() {
    let server = shared::server();
    let (host, port) = (server.flight.ip().to_string(), server.flight.port().to_string());
    let mut java = Command::new("java");
    java.args(["--add-opens=java.base/java.nio=ALL-UNNAMED", "-Duser.timezone=UTC", "-cp"]);
    java.arg(flight_jdbc_jar()).arg(script("FlightJdbc.java"));
    succeeds(&java.args([&host, &port]).output().unwrap());
}

/// `SLUICE_TEST_NODE_MODULES`, or where `.ci/run` puts them.
fn node_modules() -> PathBuf {
    let cached = || cache().join("node/node_modules");
    std::env::var_os("SLUICE_TEST_NODE_MODULES").map_or_else(cached, PathBuf::from)
}

fn node() {
    let server = shared::server();
    let (host, port) = (server.pg.ip().to_string(), server.pg.port().to_string());
    let mut node = program("node");
    node.env("NODE_PATH", node_modules()).arg(script("drivers.js"));
    succeeds(&node.args([&host, &port]).output().unwrap());
}

/// Where Debian puts psqlODBC.
fn psqlodbc() -> PathBuf {
    let driver = |folder: PathBuf| folder.join("odbc/psqlodbcw.so");
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|folder| folder.path());
    folders.map(driver).find(|found| found.exists()).unwrap_or_else(|| "psqlodbcw.so".into())
}

/// Whole results, and cursors WITH HOLD that are read two rows at a time.
fn odbc() {
    let server = shared::server();
    for options in ["UseDeclareFetch=0", "UseDeclareFetch=1;Fetch=2", "UseServerSidePrepare=0"] {
        let (driver, host, port) = (psqlodbc(), server.pg.ip(), server.pg.port());
        let driver = driver.display();
        let target = format!(
            "Driver={driver};Server={host};Port={port};Uid=ada;Pwd=wasserfall;Database=sluice;{options}"
        );
        let mut isql = Command::new("isql")
            .args(["-b", "-d|", "-x0x7c", "-k", &target])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let sql =
            b"SELECT order_id, amount, status, ordered_at FROM silver.orders WHERE order_id < 8 ORDER BY 1\n";
        isql.stdin.take().unwrap().write_all(sql).unwrap();
        let output = isql.wait_with_output().unwrap();
        succeeds(&output);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "1|20.00|paid|2026-01-01 09:00:00\n2|5.50|paid|2026-01-01 09:05:00\n\
             6|1250.00|open|2026-01-01 10:00:00.125\n7|30.05|paid|2026-01-02 07:00:00",
            "{options}"
        );
    }
}

/// Project `orders` with keys, and the same tables in PostgreSQL.
const SAME_TABLES: &str = "
CREATE SCHEMA sales;
CREATE TABLE sales.customers (id bigint PRIMARY KEY, name text);
CREATE TABLE sales.orders (id bigint, customer_id bigint, amount numeric(18,2), qty int, d date, ts timestamp, tags text[],
  ok boolean, f float8, u text);
CREATE VIEW sales.v AS SELECT id, amount FROM sales.orders WHERE ok;
CREATE TABLE sales.bills (id bigint PRIMARY KEY, customer_id bigint REFERENCES sales.customers);
CREATE MATERIALIZED VIEW sales.totals AS SELECT customer_id, sum(amount)::numeric(38,2) AS total FROM sales.orders GROUP BY 1;";

/// Tables, columns, keys, indexes and types as the functions of ODBC's catalogue tell them.
fn odbc_catalogue() {
    let warehouse = Warehouse::of("orders");
    for (table, definition) in [
        ("customers", "STREAMING TABLE sales.customers (id BIGINT, name STRING, PRIMARY KEY (id)) AS SELECT id, name FROM STREAM bronze.customers"),
        (
            "bills",
            "STREAMING TABLE sales.bills (id BIGINT, customer_id BIGINT, PRIMARY KEY (id),
             FOREIGN KEY (customer_id) REFERENCES sales.customers) AS SELECT id, customer_id FROM STREAM bronze.orders",
        ),
        ("totals", "MATERIALIZED VIEW sales.totals AS SELECT customer_id, CAST(sum(amount) AS DECIMAL(38,2)) AS total FROM sales.orders GROUP BY 1"),
    ] {
        warehouse.write(&format!("sql/sales/{table}.sql"), format!("CREATE {definition};\n"));
    }
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM sales.bills JOIN sales.totals USING (customer_id)", "2");
    let other = Postgres::start(&[]);
    succeeds(&other.psql(&["-c", "CREATE DATABASE sluice"]));
    succeeds(&other.psql(&["-d", "sluice", "-c", SAME_TABLES]));
    for driver in [psqlodbc(), psqlodbc().with_file_name("psqlodbca.so")] {
        let mut python = Command::new(needs::python_path());
        python.arg(script("odbc.py")).arg(driver);
        for address in [server.pg, other.address] {
            python.args([address.ip().to_string(), address.port().to_string()]);
        }
        succeeds(&python.output().unwrap());
    }
}

/// Every transaction of every mode comes through; what they take is for the benches.
fn pgbench() {
    let server = shared::server();
    for mode in ["simple", "extended", "prepared"] {
        let mut pgbench = Command::new(postgres::program("pgbench"));
        pgbench.args(["-n", "-M", mode, "-c", "4", "-t", "5", "-U", "sluice"]);
        pgbench.args(["-h", &server.pg.ip().to_string(), "-p", &server.pg.port().to_string(), "-f"]);
        let output = pgbench.arg(script("dashboard.sql")).arg("sluice").output().unwrap();
        succeeds(&output);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("number of transactions actually processed: 20/20"), "{mode}: {said}");
    }
}

fn postgres_fdw() {
    let server: std::sync::Arc<Server> = shared::server();
    let other = Postgres::start(&[]);
    let (host, port) = (format!("host={}", server.pg.ip()), format!("port={}", server.pg.port()));
    let read = other.psql(&["-v", &host, "-v", &port, "-f", script("fdw.sql").to_str().unwrap()]);
    succeeds(&read);
    assert_eq!(
        String::from_utf8_lossy(&read.stdout),
        "3|1275.50\n\
         1|20.00|paid|2026-01-01 09:00:00\n2|5.50|paid|2026-01-01 09:05:00\n6|1250.00|open|2026-01-01 10:00:00.125\n\
         |1\nAda|2\nBjörn \"B\" O'Neil|2\nÇelik|1\n\
         1\n2\n6\n4\n7\n"
    );
}
