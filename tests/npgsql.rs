//! What Power BI does, with the driver that it does it with: Npgsql 4.0's connect and type loading, metadata, previews,
//! DirectQuery's shapes, cancel, the pool's reset; plain, and encrypted. And how all later versions load types.

use crate::encryption;
use crate::support::cache::cache;
use crate::support::postgres::{self, Postgres};
use crate::support::{Server, Warehouse, needs, shared, trial};
use libtest_mimic::Trial;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let fetched = "fetched by .ci/fetch-npgsql";
    let plain = trial("npgsql::does_as_power_bi_does", does_as_power_bi_does);
    let encrypted = trial("npgsql::encrypted", is_encrypted);
    let encrypted = needs::openssl(needs::file(&client(), fetched, vec![encrypted]));
    let loading = trial("npgsql::every_version_loads_types_as_from_postgresql", loads_types);
    let loading = needs::file(&postgres::program("initdb"), "Debian: postgresql", vec![loading]);
    let loading = needs::python("psycopg", loading);
    needs::file(&client(), fetched, vec![plain]).into_iter().chain(encrypted).chain(loading).collect()
}

/// What each version sends when it opens a connection, as its source has it (`PostgresDatabaseInfo.cs`).
const LOADING: [&str; 7] = ["4.0", "4.1", "5", "6-7", "8", "9", "9-schemas"];

fn loads_types() {
    let (server, other) = (shared::server(), Postgres::start(&[]));
    let at = |address: SocketAddr, database: &str| {
        format!("host={} port={} user=sluice dbname={database}", address.ip(), address.port())
    };
    let (sluice, postgresql) = (at(server.pg, "sluice"), at(other.address, "postgres"));
    for version in LOADING {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/npgsql_loading.py");
        let mut python = Command::new(needs::python_path());
        let output = python.args([script, version, &sluice, &postgresql]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.trim_end() == "PASS", "Npgsql {version}: {said}");
    }
}

/// `SLUICE_TEST_NPGSQL`, or where `.ci/fetch-npgsql` puts it.
fn client() -> PathBuf {
    let cached = || cache().join("npgsql");
    std::env::var_os("SLUICE_TEST_NPGSQL").map_or_else(cached, PathBuf::from).join("run.sh")
}

fn succeeds(server: &Server, encryption: &str) {
    server.wait_until("SELECT count(*) FROM sales.orders JOIN sales.customers USING (id)", "2");
    let (host, port) = (server.pg.ip(), server.pg.port());
    let target = format!("Host={host};Port={port};Username=sluice;Database=sluice;Timeout=30;{encryption}");
    let output = Command::new(client()).args([&target, "sales.orders"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.trim_end().lines().last();
    assert!(
        output.status.success() && last == Some("ALL OK"),
        "{encryption}:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn does_as_power_bi_does() {
    let warehouse = Warehouse::of("orders");
    succeeds(&warehouse.serve(), "SSL Mode=Disable");
}

/// Without a certificate that it knows, Npgsql is told to trust the server's.
fn is_encrypted() {
    let warehouse = encryption::warehouse("required = false\n");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/orders");
    for file in ["catalog/sources.sql", "sql/sales/orders.sql", "sql/sales/customers.sql", "sql/sales/v.sql"]
        .into_iter()
        .chain(["input/orders/1.json", "input/customers/1.json"])
    {
        warehouse.write(file, fs::read(from.join(file)).unwrap());
    }
    succeeds(&warehouse.serve(), "SSL Mode=Require;Trust Server Certificate=true");
}
