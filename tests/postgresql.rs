//! The same statements on Sluice and on a PostgreSQL 15: a client is told the same by both, to the letter.

use crate::support::postgres::{self, Postgres};
use crate::support::{needs, shared, trial};
use libtest_mimic::Trial;
use std::net::SocketAddr;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    let same = trial("postgresql::answers_the_same", answers_the_same);
    let same = needs::file(&postgres::program("initdb"), "Debian: postgresql", vec![same]);
    needs::python("psycopg", same)
}

fn answers_the_same() {
    let (server, other) = (shared::server(), Postgres::start(&[]));
    let at = |address: SocketAddr, database: &str| {
        format!(
            "host={} port={} user=sluice dbname={database} options='-c timezone=UTC'",
            address.ip(),
            address.port()
        )
    };
    let clients = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
    let mut python = Command::new(needs::python_path());
    python.arg(format!("{clients}/as_postgresql.py")).arg(format!("{clients}/as_postgresql.sql"));
    let output = python.args([at(server.pg, "sluice"), at(other.address, "postgres")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim_end().ends_with("PASS"), "{said}");
}
