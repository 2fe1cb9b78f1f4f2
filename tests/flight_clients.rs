//! Flight SQL with the clients that others wrote: ADBC and pyarrow, driven by `tests/clients/flight.py`.

use crate::encryption;
use crate::support::{Server, Warehouse, needs, shared, trial};
use libtest_mimic::Trial;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let trials = vec![
        trial("flight_clients::values", values),
        trial("flight_clients::parameters", parameters),
        trial("flight_clients::parts_are_pulled_side_by_side", parts_are_pulled_side_by_side),
        trial("flight_clients::options_of_a_session", options_of_a_session),
        trial("flight_clients::lifetimes", lifetimes),
    ];
    let encrypted = needs::openssl(vec![trial("flight_clients::encrypted", encrypted)]);
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

fn lifetimes() {
    check(&shared::server(), "lifetimes", &[]);
}

fn encrypted() {
    let warehouse = encryption::warehouse_for_clients();
    let server = warehouse.serve();
    check(&server, "encrypted", &[warehouse.project().join("tls").to_str().unwrap()]);
}
