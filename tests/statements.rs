//! What real clients send: `tests/clients/statements/*.sql`, captured from a PostgreSQL 15. Every statement runs, and
//! its columns have the names and types that PostgreSQL gave them, which stand above it.

use crate::support::pg::describe;
use crate::support::{Pg, Warehouse, trial};
use libtest_mimic::Trial;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![trial("statements::of_clients_give_postgresqls_columns", of_clients_give_postgresqls_columns)]
}

/// Starts the line with a statement's columns.
const COLUMNS: &str = "\n-- = ";

struct Captured {
    columns: String,
    sql: String,
}

fn captured(file: &Path) -> Vec<Captured> {
    let text = std::fs::read_to_string(file).unwrap();
    let parts = text.split(COLUMNS);
    let statements = parts.skip(1).map(|part| {
        let (columns, sql) = part.split_once('\n').unwrap();
        Captured { columns: columns.to_string(), sql: sql.trim().trim_end_matches(';').to_string() }
    });
    statements.collect()
}

fn of_clients_give_postgresqls_columns() {
    let warehouse = Warehouse::of("orders");
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM sales.orders JOIN sales.customers USING (id)", "2");
    let mut files: Vec<_> = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients/statements")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let (mut count, mut wrong) = (0, vec![]);
    for file in files {
        let session = server.connect();
        for statement in captured(&file) {
            count += 1;
            if let Err(what) = tried(&session, &statement) {
                wrong.push(format!("{}: {what}\n{}\n", file.display(), statement.sql));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} statements:\n{}", wrong.len(), wrong.join("\n"));
}

/// Prepares a statement, compares its columns, and runs it if it has no parameters.
fn tried(session: &Pg, statement: &Captured) -> Result<(), String> {
    let prepared = session.run(session.client().prepare(&statement.sql)).map_err(|error| describe(&error))?;
    let columns =
        prepared.columns().iter().map(|column| format!("{} {}", column.name(), column.type_().name()));
    let columns = columns.collect::<Vec<_>>().join(" | ");
    if columns != statement.columns {
        return Err(format!("columns are {columns}\n  and not {}", statement.columns));
    }
    if prepared.params().is_empty() {
        session.try_text(&statement.sql).map_err(|error| describe(&error))?;
    }
    Ok(())
}
