//! Flight SQL with the clients that others wrote: ADBC and pyarrow, driven by `tests/clients/flight.py`.

use crate::encryption;
use crate::push::READINGS;
use crate::support::{Server, Warehouse, needs, shared, trial};
use libtest_mimic::Trial;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let trials = vec![
        trial("flight_clients::values", values),
        trial("flight_clients::parameters", parameters),
        trial("flight_clients::parts_are_pulled_side_by_side", parts_are_pulled_side_by_side),
        trial("flight_clients::options_of_a_session", options_of_a_session),
        trial("flight_clients::forms_of_columns", forms_of_columns),
        trial("flight_clients::lifetimes", lifetimes),
        trial("flight_clients::unused_tokens_expire", unused_tokens_expire),
        trial("flight_clients::rows_are_put_into_sources", rows_are_put_into_sources),
        trial("flight_clients::rows_are_taken_once_over_a_crash", rows_are_taken_once_over_a_crash),
        trial("flight_clients::examples_of_the_readme", examples_of_the_readme),
    ];
    let encrypted = needs::openssl(vec![
        trial("flight_clients::encrypted", encrypted),
        trial("flight_clients::encrypted_or_not", encrypted_or_not),
        trial("flight_clients::a_new_certificate_is_taken", a_new_certificate_is_taken),
    ]);
    needs::python(MODULES, trials.into_iter().chain(encrypted).collect())
}

const MODULES: &str = "adbc_driver_flightsql, pyarrow.flight";

/// Runs one of the script's checks against a server.
fn check(server: &Server, check: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/flight.py");
    let (host, port) = (server.flight.ip().to_string(), server.flight.port().to_string());
    let mut python = Command::new(needs::python_path());
    let output = python.arg(script).args([check, &host, &port]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{check}: {}", String::from_utf8_lossy(&output.stderr));
}

fn values() {
    check(&shared::server(), "values", &[]);
}

fn parameters() {
    check(&shared::server(), "parameters", &[]);
}

fn parts_are_pulled_side_by_side() {
    const FILES: u32 = 4;
    const ROWS_PER_FILE: u32 = 40_000;
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/numbers.sql",
        "CREATE SOURCE bronze.numbers (n BIGINT NOT NULL, text STRING)\n\
         WITH (connector = 'files', path = 'input/numbers')\nFORMAT PLAIN ENCODE CSV;\n",
    );
    for file in 0..FILES {
        let mut lines = "n,text\n".to_string();
        for n in file * ROWS_PER_FILE..(file + 1) * ROWS_PER_FILE {
            writeln!(lines, "{n},row {n}").unwrap();
        }
        warehouse.write(&format!("input/numbers/{file}.csv"), lines);
    }
    let server = warehouse.serve();
    let rows = (FILES * ROWS_PER_FILE).to_string();
    server.wait_until("SELECT count(*) FROM bronze.numbers", &rows);
    check(&server, "parallel", &[&rows]);
}

fn options_of_a_session() {
    check(&shared::server(), "options", &[]);
}

fn forms_of_columns() {
    check(&shared::server(), "forms", &[]);
}

fn lifetimes() {
    check(&shared::server(), "lifetimes", &[]);
}

fn unused_tokens_expire() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\ntoken_idle_seconds_max = 1\n",
    );
    check(&warehouse.serve(), "expired", &[]);
}

/// What the reply to a call says is durable, whatever becomes of the server; sent again it is a duplicate.
fn rows_are_taken_once_over_a_crash() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    check(&server, "push", &["3"]);
    server.kill9();
    let server = warehouse.serve();
    check(&server, "push", &["0"]);
    let rows = "SELECT sensor, value, _partition, _offset FROM bronze.readings ORDER BY 1";
    server.wait_until(rows, "a|1.5|loader|1000000\nb|2.5|loader|1000001\nc||loader|1000002");
}

fn rows_are_put_into_sources() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/readings.sql",
        "CREATE SOURCE bronze.readings (sensor STRING, value DOUBLE, price DECIMAL(10,2), taken INT,\n\
         seen_at TIMESTAMPTZ, day DATE, payload BINARY, tags ARRAY<STRING>)\n\
         WITH (connector = 'http')\nFORMAT PLAIN ENCODE JSON;\n",
    );
    check(&warehouse.serve(), "ingest", &[]);
}

/// The examples of README's part on Flight SQL, run one after another as they stand.
fn examples_of_the_readme() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, part) = readme.split_once("### Arrow Flight SQL").unwrap();
    let (part, _) = part.split_once("\n### ").unwrap();
    let examples = part.split("```python\n").skip(1).filter_map(|rest| rest.split("```").next());
    let examples: Vec<&str> = examples.collect();
    assert_eq!(examples.len(), 3);

    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/readings.sql", READINGS);
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    let script = examples.concat().replace("127.0.0.1:5434", &server.flight.to_string());
    let output = Command::new(needs::python_path()).args(["-c", &script]).output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{failed}");
    assert!(said.starts_with("8\n") && said.ends_with("\n2\n"), "{said}");
}

fn encrypted() {
    let warehouse = encryption::warehouse_for_clients();
    let server = warehouse.serve();
    check(&server, "encrypted", &[warehouse.project().join("tls").to_str().unwrap()]);
}

fn encrypted_or_not() {
    let warehouse = encryption::warehouse("required = false\n");
    let server = warehouse.serve();
    check(&server, "either", &[warehouse.project().join("tls").to_str().unwrap()]);
}

/// Files that change while clients are connected: new connections see the new certificate, open ones go on, and files that
/// cannot be read change nothing.
fn a_new_certificate_is_taken() {
    let warehouse = encryption::warehouse("");
    let server = warehouse.serve();
    let (tls, new) = (warehouse.project().join("tls"), warehouse.folder().join("new"));
    fs::create_dir(&new).unwrap();
    encryption::authority(&new, "ca");
    encryption::certificate(&new, "ca", "server", "subjectAltName=IP:127.0.0.1");
    check(&server, "recertified", &[tls.to_str().unwrap(), new.to_str().unwrap()]);
    let log = server.log();
    assert_eq!(log.matches("TLS certificate read anew").count(), 1, "{log}");
    assert_eq!(log.matches("the TLS certificate stays as it was").count(), 1, "{log}");
}
