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

/// Keys, which Power BI makes relationships of.
const WITH_KEYS: [(&str, &str); 2] = [
    (
        "sql/sales/customers.sql",
        "CREATE STREAMING TABLE sales.customers (id BIGINT, name STRING, PRIMARY KEY (id))
         AS SELECT id, name FROM STREAM bronze.customers;\n",
    ),
    (
        "sql/sales/orders.sql",
        "CREATE STREAMING TABLE sales.orders (id BIGINT, customer_id BIGINT, amount DECIMAL(18,2), qty INT, d DATE, ts TIMESTAMP,
           tags ARRAY<STRING>, ok BOOLEAN, f DOUBLE, u STRING, PRIMARY KEY (id), FOREIGN KEY (customer_id) REFERENCES sales.customers)
         AS SELECT id, customer_id, amount, qty, d, ts, tags, ok, f, u FROM STREAM bronze.orders;\n",
    ),
];

/// What it reads of each step: types and values as .NET has them, and `rows=` how many there were.
const READ: [(&str, &[&str]); 16] = [
    ("scalar text", &["x121.5True"]),
    (
        "binary numeric/date/timestamp/timestamptz/interval/uuid/bytea/array",
        &[
            "Decimal:12345.678 | DateTime:02/29/2024 00:00:00 | DateTime:02/29/2024 12:34:56 | DateTime:02/29/2024 12:34:56 | TimeSpan:01:00:00 | [1,2,3] | [a,b]",
            "rows=1",
        ],
    ),
    ("param int", &["Int32:42", "rows=1"]),
    (
        "param text/date/numeric in where",
        &[
            "Int64:2 | Int64:2 | Decimal:20.00 | Int32:3 | DateTime:02/02/2024 00:00:00 | NULL | NULL | Boolean:False | Double:1.5 | NULL",
            "rows=1",
        ],
    ),
    ("prepared reuse", &["2", "0", "0"]),
    ("PBI character_sets", &["String:UTF8", "rows=1"]),
    (
        "PBI columns",
        &[
            "String:id | Int32:1 | String:NO | String:bigint",
            "String:customer_id | Int32:2 | String:YES | String:bigint",
            "String:amount | Int32:3 | String:YES | String:numeric",
            "String:qty | Int32:4 | String:YES | String:integer",
            "String:d | Int32:5 | String:YES | String:date",
            "String:ts | Int32:6 | String:YES | String:timestamp without time zone",
            "String:tags | Int32:7 | String:YES | String:ARRAY",
            "String:ok | Int32:8 | String:YES | String:boolean",
            "String:f | Int32:9 | String:YES | String:double precision",
            "String:u | Int32:10 | String:YES | String:text",
            "rows=10",
        ],
    ),
    ("PBI fk out", &["rows=0"]),
    (
        "PBI fk in",
        &[
            "String:sales | String:customers | String:id | String:customer_id | Int32:1 | String:sales_orders_customers_orders_customer_id_fkey",
            "rows=1",
        ],
    ),
    ("PBI indexes", &["String:sales_orders_pkey | String:id | Int32:1 | String:Y", "rows=1"]),
    (
        "PBI preview ($Table, limit 1000)",
        &[
            "Int64:1 | Int64:1 | Decimal:10.50 | Int32:2 | DateTime:01/02/2024 00:00:00 | DateTime:01/02/2024 03:04:05 | [a,b] | Boolean:True | Double:0.5 | String:x",
            "Int64:2 | Int64:2 | Decimal:20.00 | Int32:3 | DateTime:02/02/2024 00:00:00 | NULL | NULL | Boolean:False | Double:1.5 | NULL",
            "rows=2",
        ],
    ),
    (
        "PBI SchemaOnly/KeyInfo GetSchemaTable",
        &[
            "id System.Int64 size=-1 prec=0/0 key=True null=False base=orders",
            "customer_id System.Int64 size=-1 prec=0/0 key=False null=True base=orders",
            "amount System.Decimal size=-1 prec=18/2 key=False null=True base=orders",
            "qty System.Int32 size=-1 prec=0/0 key=False null=True base=orders",
            "d System.DateTime size=-1 prec=0/0 key=False null=True base=orders",
            "ts System.DateTime size=-1 prec=0/0 key=False null=True base=orders",
            "tags System.Array size=-1 prec=0/0 key=False null=True base=orders",
            "ok System.Boolean size=-1 prec=0/0 key=False null=True base=orders",
            "f System.Double size=-1 prec=0/0 key=False null=True base=orders",
            "u System.String size=-1 prec=0/0 key=False null=True base=orders",
        ],
    ),
    ("PBI DirectQuery group-by with 1000001", &["Boolean:True | Decimal:10.50", "rows=1"]),
    (
        "GetSchema(Columns)",
        &[
            "String:sluice | String:sales | String:orders | String:id | Int32:1 | NULL | String:NO | String:int8 | NULL | NULL | Int32:64 | Int32:2 | Int32:0 | NULL | NULL | NULL | NULL | NULL",
            "String:sluice | String:sales | String:orders | String:customer_id | Int32:2 | NULL | String:YES | String:int8 | NULL | NULL | Int32:64 | Int32:2 | Int32:0 | NULL | NULL | NULL | NULL | NULL",
            "String:sluice | String:sales | String:orders | String:amount | Int32:3 | NULL | String:YES | String:numeric | NULL | NULL | Int32:18 | Int32:10 | Int32:2 | NULL | NULL | NULL | NULL | NULL",
            "String:sluice | String:sales | String:orders | String:qty | Int32:4 | NULL | String:YES | String:int4 | NULL | NULL | Int32:32 | Int32:2 | Int32:0 | NULL | NULL | NULL | NULL | NULL",
            "String:sluice | String:sales | String:orders | String:d | Int32:5 | NULL | String:YES | String:date | NULL | NULL | NULL | NULL | NULL | Int32:0 | NULL | NULL | NULL | NULL",
            "rows=10",
        ],
    ),
    ("error then reuse, SQLSTATE", &["42P01 relation \"no_such_table_xyz\" does not exist"]),
    ("cancel (57014)", &["57014"]),
];

/// What is said before a step has passed, since the one before it.
fn step<'a>(said: &'a str, name: &str) -> Vec<&'a str> {
    let lines: Vec<&str> = said.lines().collect();
    let end = lines.iter().position(|line| line.strip_prefix("PASS ") == Some(name));
    let end = end.unwrap_or_else(|| panic!("no step {name:?} in\n{said}"));
    let begin =
        lines[..end].iter().rposition(|line| line.starts_with("PASS ")).map_or(0, |before| before + 1);
    lines[begin..end].iter().map(|line| line.trim()).collect()
}

/// It reads what PostgreSQL would have given it, value by value; sources and the server's own tables come beside.
fn reads(server: &Server, encryption: &str) {
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
    for (name, read) in READ {
        assert_eq!(step(&said, name), read, "{encryption}: {name}");
    }
    let tables = step(&said, "PBI tables");
    let ours: Vec<&&str> = tables.iter().filter(|row| row.starts_with("String:sales |")).collect();
    assert_eq!(
        ours,
        [
            &"String:sales | String:customers | String:BASE TABLE",
            &"String:sales | String:orders | String:BASE TABLE",
            &"String:sales | String:v | String:VIEW",
        ],
        "{encryption}"
    );
}

fn does_as_power_bi_does() {
    let warehouse = Warehouse::of("orders");
    WITH_KEYS.iter().for_each(|(file, text)| warehouse.write(file, text));
    reads(&warehouse.serve(), "SSL Mode=Disable");
}

/// Without a certificate that it knows, Npgsql is told to trust the server's.
fn is_encrypted() {
    let warehouse = encryption::warehouse("required = false\n");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects/orders");
    for file in ["catalog/sources.sql", "sql/sales/v.sql", "input/orders/1.json", "input/customers/1.json"] {
        warehouse.write(file, fs::read(from.join(file)).unwrap());
    }
    WITH_KEYS.iter().for_each(|(file, text)| warehouse.write(file, text));
    reads(&warehouse.serve(), "SSL Mode=Require;Trust Server Certificate=true");
}
