//! The real `psql`: queries, and the commands that read the catalogue.

use crate::support::{READY, Server, needs, shared, trial};
use libtest_mimic::Trial;
use std::process::Command;

pub fn trials() -> Vec<Trial> {
    needs::psql(vec![
        trial("psql::answers", answers),
        trial("psql::copies_out", copies_out),
        trial("psql::lists_databases", lists_databases),
        trial("psql::lists_schemas", lists_schemas),
        trial("psql::lists_tables", lists_tables),
        trial("psql::lists_functions", lists_functions),
        trial("psql::describes_a_table", describes_a_table),
        trial("psql::describes_a_view", describes_a_view),
        trial("psql::describes_everything", describes_everything),
        trial("psql::every_command_answers", every_command_answers),
        trial("psql::says_what_is_wrong", says_what_is_wrong),
        trial("psql::refreshes_and_verifies", refreshes_and_verifies),
        trial("psql::variables_and_settings", variables_and_settings),
    ])
}

/// Runs `psql` on commands given one by one; gives standard output, and standard error behind it.
pub fn psql(server: &Server, flags: &[&str], commands: &[&str]) -> String {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-h", &server.pg.ip().to_string(), "-p", &server.pg.port().to_string()]);
    psql.args(["-U", "sluice", "-d", "sluice"])
        .args(flags)
        .env("PGCONNECT_TIMEOUT", READY.as_secs().to_string());
    for command in commands {
        psql.args(["-c", command]);
    }
    let output = psql.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Bare rows; stops at the first error.
fn rows(server: &Server, command: &str) -> String {
    psql(server, &["-A", "-t", "-v", "ON_ERROR_STOP=1"], &[command]).trim_end().to_string()
}

fn answers() {
    let server = shared::server();
    assert_eq!(rows(&server, crate::smoke::CUSTOMER_SALES_SQL), crate::smoke::CUSTOMER_SALES);
    assert_eq!(
        psql(&server, &[], &["SELECT order_date, orders, revenue FROM gold.daily_sales ORDER BY 1"]),
        " order_date | orders | revenue \n\
         ------------+--------+---------\n \
         2026-01-01 |      3 | 1275.50\n \
         2026-01-02 |      3 |   75.50\n\
         (2 rows)\n\n",
        "numbers stand to the right, so psql knows their types"
    );
}

fn copies_out() {
    let server = shared::server();
    let csv = "\\copy (SELECT customer_id, name, city FROM silver.customers ORDER BY 1) TO STDOUT CSV HEADER";
    assert_eq!(
        rows(&server, csv),
        "customer_id,name,city\n10,Ada,Oslo\n11,\"Björn \"\"B\"\" O'Neil\",Malmö\n12,Çelik,\n13,\"\",Bergen"
    );
    assert_eq!(
        rows(&server, "COPY gold.daily_sales (order_date, orders) TO STDOUT (DELIMITER ';')").lines().count(),
        2
    );
}

fn lists_databases() {
    let text = rows(&shared::server(), "\\l");
    assert!(text.lines().any(|line| line.starts_with("sluice|")), "{text}");
}

fn lists_schemas() {
    let server = shared::server();
    let text = rows(&server, "\\dn");
    let schemas: Vec<&str> = text.lines().filter_map(|line| line.split('|').next()).collect();
    for schema in ["bronze", "silver", "gold", "sluice"] {
        assert!(schemas.contains(&schema), "{text}");
    }
    assert!(!schemas.contains(&"pg_catalog"), "{text}");
}

fn lists_tables() {
    let server = shared::server();
    assert!(
        rows(&server, "\\dt silver.orders").starts_with("silver|orders|table|"),
        "{}",
        rows(&server, "\\dt silver.*")
    );
    let gold = rows(&server, "\\dm gold.*");
    for table in ["gold|customer_sales|materialized view|", "gold|daily_sales|materialized view|"] {
        assert!(gold.lines().any(|line| line.starts_with(table)), "{gold}");
    }
    let views = rows(&server, "\\dv gold.*");
    assert!(views.starts_with("gold|open_orders|view|"), "{views}");
    let commented = rows(&server, "\\d+ gold.*");
    assert!(commented.contains("Sum of what was paid"), "{commented}");
    // Without a pattern: what lies on the search path, which is every layer.
    let tables = rows(&server, "\\dt");
    assert!(tables.contains("silver|orders|table|") && !tables.contains("sluice|"), "{tables}");
    assert!(rows(&server, "\\dm").contains("gold|daily_sales|materialized view|"));
    let all = rows(&server, "\\dt *.*");
    assert!(
        all.contains("bronze|orders|table|") && all.contains("bronze|orders__quarantine|table|"),
        "{all}"
    );
}

fn lists_functions() {
    let server = shared::server();
    assert_eq!(rows(&server, "\\df now"), "pg_catalog|now|timestamp with time zone||func");
    assert_eq!(
        rows(&server, "\\df make_time"),
        "pg_catalog|make_time|time without time zone|hour integer, min integer, sec double precision|func"
    );
    let counts = rows(&server, "\\da count");
    assert!(counts.starts_with("pg_catalog|count|bigint|") && counts.lines().count() == 2, "{counts}");
    assert!(rows(&server, "\\dfwS").contains("pg_catalog|row_number|bigint||window"));
    assert!(rows(&server, "\\do ||").contains("pg_catalog||||text|text|text|"));
}

fn describes_a_table() {
    let server = shared::server();
    let text = rows(&server, "\\d+ silver.orders");
    for column in [
        "order_id|bigint||not null|",
        "customer_id|bigint|||",
        "amount|numeric(18,2)|||",
        "status|text|||",
        "order_date|date|||",
        "ordered_at|timestamp with time zone|||",
    ] {
        assert!(text.lines().any(|line| line.starts_with(column)), "{column} is missing in:\n{text}");
    }
    assert!(
        text.lines().any(|line| line.starts_with("amount|") && line.contains("In euros, tax included")),
        "{text}"
    );
    let described = rows(&server, "\\dt+ silver.orders");
    assert!(described.contains("Orders that can be counted"), "{described}");
}

fn describes_a_view() {
    let server = shared::server();
    let text = rows(&server, "\\d+ gold.open_orders");
    assert!(text.contains("order_id|bigint|"), "{text}");
    let text = psql(&server, &[], &["\\d+ gold.open_orders"]);
    assert!(text.contains("status = 'open'"), "{text}");
    let text = psql(&server, &[], &["\\d gold.customer_sales"]);
    assert!(text.contains("Materialized view \"gold.customer_sales\""), "{text}");
    assert!(text.contains("revenue"), "{text}");
}

fn describes_everything() {
    let server = shared::server();
    for command in [
        "\\d",
        "\\dt",
        "\\du",
        "\\df",
        "\\di",
        "\\ds",
        "\\dT",
        "\\dp",
        "\\db",
        "\\dx",
        "\\conninfo",
        "\\d sluice.*",
        "\\d bronze.customers",
    ] {
        let text = psql(&server, &["-v", "ON_ERROR_STOP=1"], &[command]);
        assert!(!text.contains("ERROR"), "{command}:\n{text}");
    }
}

/// psql reads the catalogs in its own way for each of these.
const COMMANDS: &[&str] = &[
    "\\d",
    "\\d silver.orders",
    "\\d+ silver.orders",
    "\\d+ gold.daily_sales",
    "\\dS+",
    "\\da",
    "\\dA+",
    "\\dAc",
    "\\dAf",
    "\\db+",
    "\\dc+",
    "\\dC+",
    "\\dconfig",
    "\\dd",
    "\\dD+",
    "\\ddp",
    "\\des+",
    "\\det+",
    "\\deu+",
    "\\dew+",
    "\\dE+",
    "\\df",
    "\\df+ now",
    "\\dF+",
    "\\dFd",
    "\\dg+",
    "\\di+",
    "\\dl",
    "\\dL+",
    "\\dm+",
    "\\dn+",
    "\\do",
    "\\dO+",
    "\\dp",
    "\\dp silver.*",
    "\\dP+",
    "\\dPi+",
    "\\drds",
    "\\dRp+",
    "\\dRs+",
    "\\ds+",
    "\\dt+",
    "\\dt+ *.*",
    "\\dT+",
    "\\du+",
    "\\dv+",
    "\\dx+",
    "\\dX",
    "\\dy",
    "\\l+",
    "\\z",
    "\\sv gold.open_orders",
    "\\conninfo",
    "\\encoding",
    "\\dFp",
    "\\dFt",
    "\\dAo",
];

fn every_command_answers() {
    let server = shared::server();
    let wrong: Vec<String> = COMMANDS
        .iter()
        .map(|command| (command, psql(&server, &["-v", "VERBOSITY=verbose"], &[command])))
        .filter(|(_, text)| text.contains("ERROR") || text.contains("FATAL"))
        .map(|(command, text)| format!("{command}\n{text}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        rows(&server, "\\du").lines().any(|line| line.starts_with("sluice|")),
        "{}",
        rows(&server, "\\du")
    );
    assert!(rows(&server, "\\dp silver.orders").starts_with("silver|orders|table|"));
    assert!(rows(&server, "\\sv gold.open_orders").contains("status = 'open'"));
    let large = rows(&server, "\\dt+ silver.orders");
    assert!(large.contains(" kB|") || large.contains(" bytes|"), "{large}");
}

fn says_what_is_wrong() {
    let server = shared::server();
    let text = psql(&server, &["-v", "VERBOSITY=verbose"], &["SELECT amont FROM silver.orders"]);
    assert!(text.contains("ERROR:  42703: ") && text.contains("\"amont\""), "{text}");
    assert!(text.contains("HINT:  "), "{text}");
    let text = psql(&server, &["-v", "VERBOSITY=verbose"], &["SELECT 1 +"]);
    assert!(text.contains("ERROR:  42601: ") && text.contains("LINE 1: SELECT 1 +"), "{text}");
}

fn variables_and_settings() {
    let server = shared::server();
    assert_eq!(rows(&server, "SHOW server_encoding"), "UTF8");
    let as_on_windows =
        psql(&server, &["-A", "-t", "-d", "dbname=sluice client_encoding=WIN1252"], &["SELECT 'grün'"]);
    assert!(as_on_windows.starts_with("grün\n"), "{as_on_windows}");
    assert!(
        as_on_windows.contains("WARNING:  client_encoding is UTF8 instead of \"WIN1252\""),
        "{as_on_windows}"
    );
    let unknown = psql(&server, &["-d", "dbname=sluice client_encoding=klingon"], &["SELECT 1"]);
    assert!(unknown.contains("invalid value for parameter \"client_encoding\": \"klingon\""), "{unknown}");
    assert_eq!(rows(&server, "SHOW transaction_read_only"), "on");
    assert_eq!(
        psql(&server, &["-A", "-t", "-q"], &["SET application_name = 'x'", "SHOW application_name"]),
        "x\n"
    );
    assert_eq!(psql(&server, &["-A", "-t", "-q"], &["BEGIN; SELECT 1; COMMIT"]).trim(), "1");
    let version = rows(&server, "SELECT version()");
    assert!(version.contains("Sluice") || version.contains("sluice"), "{version}");
}

fn refreshes_and_verifies() {
    let server = shared::server();
    let commands = ["REFRESH MATERIALIZED VIEW gold.daily_sales", "REFRESH TABLE gold.daily_sales FULL"];
    assert_eq!(psql(&server, &[], &commands), "REFRESH MATERIALIZED VIEW\nREFRESH TABLE\n");
    let text = psql(&server, &[], &["VERIFY MATERIALIZED VIEW gold.daily_sales"]);
    assert!(text.contains("| verdict | examples") && text.contains("| equal   |"), "{text}");
    let text =
        psql(&server, &[], &["EXPLAIN CREATE MATERIALIZED VIEW gold.x AS SELECT amount FROM\nsilver.ordres"]);
    assert!(text.contains("LINE 2: silver.ordres\n               ^"), "{text}");
}
