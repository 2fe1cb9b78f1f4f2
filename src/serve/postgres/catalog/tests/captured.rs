//! Every captured statement runs.

use super::fixture::{Warehouse, warehouse};

fn statements(text: &str) -> Vec<&str> {
    text.split("-- [")
        .skip(1)
        .filter_map(|part| part.split_once('\n'))
        .filter(|(head, _)| head.starts_with("simple]") || head.starts_with("extended]"))
        .filter(|(head, _)| !head.contains("params:"))
        .map(|(_, sql)| sql.trim().trim_end_matches(';'))
        // COPY has a way of its own through the protocol.
        .filter(|sql| !sql.starts_with("COPY"))
        // Rows without end, to be cancelled.
        .filter(|sql| !sql.contains("2000000000"))
        .collect()
}

async fn run(file: &str, text: &str) {
    let warehouse = warehouse("sales, public").await;
    let mut failures = vec![];
    let statements = statements(text);
    assert!(!statements.is_empty(), "{file} holds no statements");
    for sql in &statements {
        let sql = with_oids(&warehouse, sql);
        if let Err(error) = warehouse.run(&sql).await {
            failures.push(format!("{error}\nin {sql}\n"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} statements of {file} failed:\n{}",
        failures.len(),
        statements.len(),
        failures.join("\n")
    );
}

/// The captured statements name sales.orders and sales.v by the numbers that they had.
fn with_oids(warehouse: &Warehouse, sql: &str) -> String {
    sql.replace("16393", &warehouse.oid("sales", "orders").to_string())
        .replace("16405", &warehouse.oid("sales", "v").to_string())
}

macro_rules! captured {
    ($($test:ident: $file:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            run($file, include_str!(concat!("statements/", $file))).await;
        })*
    };
}

captured! {
    psql_15: "psql_15.sql";
    powerbi_metadata: "powerbi_metadata.sql";
    npgsql_4_0_9: "npgsql_4.0.9.sql";
    npgsql_typeload_4_0_17: "npgsql_typeload_4.0.17.sql";
    npgsql_typeload_4_1_14: "npgsql_typeload_4.1.14.sql";
    npgsql_typeload_5_0_18: "npgsql_typeload_5.0.18.sql";
    npgsql_typeload_6_0_13: "npgsql_typeload_6.0.13.sql";
    npgsql_typeload_main: "npgsql_typeload_main.sql";
    metadata: "metadata.sql";
}
