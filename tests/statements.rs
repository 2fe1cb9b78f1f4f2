//! What real clients send: `tests/clients/statements/*.sql`, captured from a PostgreSQL 15. Every statement runs, and
//! its columns have the names and types that PostgreSQL gave them, which stand above it.

use crate::support::pg::describe;
use crate::support::{Pg, Warehouse, needs, shared, trial};
use libtest_mimic::Trial;
use std::path::Path;
use std::process::Command;
use tokio_postgres::types::Type;

pub fn trials() -> Vec<Trial> {
    let keys = trial("statements::sqlalchemy_finds_keys", sqlalchemy_finds_keys);
    let mut trials = needs::python("sqlalchemy, psycopg2", vec![keys]);
    trials.extend([
        trial("statements::of_clients_give_postgresqls_columns", of_clients_give_postgresqls_columns),
        trial("statements::parameters_have_postgresqls_types", parameters_have_postgresqls_types),
        trial("statements::power_bi_finds_relationships", power_bi_finds_relationships),
    ]);
    trials
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

/// Parameters have the type that they are cast to, or that the client declares.
fn parameters_have_postgresqls_types() {
    let server = shared::server();
    let session = server.connect();
    let types = |sql: &str, declared: &[Type]| {
        let statement = session.run(session.client().prepare_typed(sql, declared));
        let statement = statement.unwrap_or_else(|error| panic!("{sql}: {}", describe(&error)));
        let names = statement.params().iter().map(Type::name).map(str::to_string);
        (names.collect::<Vec<_>>().join(" "), statement.columns()[0].type_().name().to_string())
    };
    for (sql, declared, parameters, column) in [
        ("SELECT $1::timestamp(6) with time zone", None, "timestamptz", "timestamptz"),
        ("SELECT $1::timestamp(3)", None, "timestamp", "timestamp"),
        ("SELECT $1::numeric(10,2) + $2::varchar(5)::int", None, "numeric varchar", "numeric"),
        ("SELECT date '2026-01-01' + $1", Some(Type::INT4), "int4", "date"),
        ("SELECT date '2026-01-01' - $1::int", None, "int4", "date"),
        ("SELECT date '2026-01-01' - $1", Some(Type::DATE), "date", "int4"),
    ] {
        let declared = declared.into_iter().collect::<Vec<_>>();
        assert_eq!(types(sql, &declared), (parameters.to_string(), column.to_string()), "{sql}");
    }
    let sql = "SELECT (date '2026-01-01' + $1)::text";
    let rows = session.run(session.client().query_typed(sql, &[(&7_i32, Type::INT4)])).unwrap();
    assert_eq!(rows[0].get::<_, &str>(0), "2026-01-08");
}

/// Models that declare keys.
fn with_keys() -> Warehouse {
    let warehouse = Warehouse::of("orders");
    warehouse.write(
        "sql/sales/customers.sql",
        "CREATE STREAMING TABLE sales.customers (id BIGINT, name STRING, PRIMARY KEY (id)) AS SELECT id, name FROM STREAM bronze.customers;\n",
    );
    warehouse.write(
        "sql/sales/bills.sql",
        "CREATE MATERIALIZED VIEW sales.bills (id BIGINT, customer_id BIGINT, PRIMARY KEY (id),
         FOREIGN KEY (customer_id) REFERENCES sales.customers)
         AS SELECT id, customer_id FROM sales.orders;\n",
    );
    warehouse
}

fn sqlalchemy_finds_keys() {
    let warehouse = with_keys();
    let server = warehouse.serve();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/keys.py");
    let (host, port) = (server.pg.ip().to_string(), server.pg.port().to_string());
    let output = Command::new(needs::python_path()).args([script, &host, &port]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Keys that models declare, as Power Query asks for them; and numbers of relations outlast the server and its files.
fn power_bi_finds_relationships() {
    let warehouse = with_keys();
    let server = warehouse.serve();
    let relationships = "
        select pkcol.TABLE_NAME as PK_TABLE_NAME, pkcol.COLUMN_NAME as PK_COLUMN_NAME, fkcol.COLUMN_NAME as FK_COLUMN_NAME,
          fkcol.ORDINAL_POSITION as ORDINAL
        from (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name,
                unique_constraint_name from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
          inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol
            on fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA and fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME
          inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol
            on fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA and fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME
        where fkcol.TABLE_SCHEMA = 'sales' and fkcol.TABLE_NAME = 'bills' and pkcol.ORDINAL_POSITION = fkcol.ORDINAL_POSITION";
    assert_eq!(server.query(relationships), "customers|id|customer_id|1");
    let keys = "SELECT conname, contype, conrelid::regclass, confrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint
                WHERE conrelid = 'sales.bills'::regclass ORDER BY conname";
    assert_eq!(
        server.query(keys),
        "bills_customer_id_fkey|f|sales.bills|sales.customers|FOREIGN KEY (customer_id) REFERENCES sales.customers(id)\n\
         bills_pkey|p|sales.bills|-|PRIMARY KEY (id)"
    );
    let numbers = "SELECT relname, oid, relnamespace, reltype FROM pg_class WHERE relnamespace = 'sales'::regnamespace \
                   AND relname <> 'added' ORDER BY 1";
    let before = server.query(numbers);
    assert!(before.lines().count() >= 4, "{before}");
    assert!(server.terminate().0.success());
    warehouse.write("sql/sales/added.sql", "CREATE VIEW sales.added AS SELECT id FROM sales.orders;\n");
    let server = warehouse.serve();
    assert_eq!(server.query("SELECT count(*) FROM pg_class WHERE relname = 'added'"), "1");
    assert_eq!(server.query(numbers), before);
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
