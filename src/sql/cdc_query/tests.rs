use super::*;
use crate::sql::{Definition, parse_file};
use arrow::datatypes::Field;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::path::Path;

fn input() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let address = DataType::Struct(vec![text("city")].into());
    Schema::new(vec![
        text("op"),
        Field::new("customer_id", DataType::Int64, true),
        text("name"),
        Field::new("address", address, true),
        Field::new("last_seen", DataType::Date32, true),
        Field::new("updated_at", DataType::Int64, true),
        Field::new("_raw", DataType::Binary, true),
        text("_partition"),
        Field::new("_offset", DataType::Int64, true),
        Field::new("_batch", DataType::Int64, true),
    ])
}

fn query(clauses: &str) -> Result<String, Vec<String>> {
    let text = format!("CREATE STREAMING TABLE silver.c FLOW AUTO CDC FROM STREAM bronze.c\n{clauses};");
    let definitions = parse_file(Path::new("c.sql"), &text).unwrap();
    let [Definition::StreamingTable(definition)] = definitions.as_slice() else { panic!("{definitions:?}") };
    let query = defining_query(definition.auto_cdc.as_ref().unwrap(), &input());
    query.map_err(|errors| errors.iter().map(|e| format!("{} {e}", e.code)).collect())
}

#[test]
fn every_query_is_one_query() {
    for clauses in [
        "KEYS (customer_id) SEQUENCE BY updated_at",
        "KEYS (customer_id, name) APPLY AS DELETE WHEN op = 'D' OR op IS NULL SEQUENCE BY updated_at COLUMNS *",
        "KEYS (customer_id) SEQUENCE BY updated_at COLUMNS (name) STORED AS SCD TYPE 2 TRACK HISTORY ON name",
        "KEYS (customer_id) SEQUENCE BY updated_at STORED AS SCD TYPE 2 TRACK HISTORY ON * EXCEPT (last_seen)",
    ] {
        let text = query(clauses).unwrap();
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, &text).unwrap();
        assert_eq!(parsed.len(), 1, "{text}");
    }
}

#[test]
fn the_star_is_what_the_input_says_of_itself() {
    let text = query("KEYS (customer_id) SEQUENCE BY updated_at COLUMNS * EXCEPT (op)").unwrap();
    let output = "SELECT \"customer_id\", \"name\", \"address\", \"last_seen\", \"updated_at\" FROM (";
    assert!(text.starts_with(output), "{text}");
    assert!(text.contains("\"_partition\" DESC NULLS LAST, \"_offset\" DESC NULLS LAST"), "{text}");
}

#[test]
fn a_later_sequence_alone_opens_no_version() {
    let turns = |clauses: &str| {
        let text = query(clauses).unwrap();
        let turns = text.matches(" IS DISTINCT FROM \"").count();
        // One of them settles ties, one is whether the change deletes.
        turns - 2
    };
    let base = "KEYS (customer_id) SEQUENCE BY updated_at COLUMNS * EXCEPT (op) STORED AS SCD TYPE 2";
    assert_eq!(turns(base), 3);
    assert_eq!(turns(&format!("{base} TRACK HISTORY ON * EXCEPT (last_seen)")), 2);
    assert_eq!(turns(&format!("{base} TRACK HISTORY ON updated_at")), 1);
    assert_eq!(turns(&format!("{base} TRACK HISTORY ON name, customer_id, address")), 2);
}

#[test]
fn columns_exist_and_have_an_order() {
    let found = query(
        "KEYS (customer_idd, address) SEQUENCE BY _raw\nCOLUMNS (nam) STORED AS SCD TYPE 2 TRACK HISTORY ON op, x_y",
    );
    assert_eq!(
        found.unwrap_err(),
        [
            "42703 c.sql:2:7: KEYS column \"customer_idd\" does not exist\n  hint: Did you mean \"customer_id\"?",
            "42804 c.sql:2:21: KEYS column \"address\" is STRUCT<city TEXT>, which has no order\n  hint: Choose a number, a text, a \
             date or a timestamp.",
            "42804 c.sql:2:42: SEQUENCE BY column \"_raw\" is BYTEA, which has no order\n  hint: Choose a number, a text, a date \
             or a timestamp.",
            "42703 c.sql:3:10: COLUMNS column \"nam\" does not exist\n  hint: Did you mean \"name\"?",
            "42P16 c.sql:3:53: TRACK HISTORY ON column \"op\" is not kept\n  hint: Name it in COLUMNS, or leave it out here.",
            "42703 c.sql:3:57: TRACK HISTORY ON column \"x_y\" does not exist",
        ]
    );
    assert_eq!(
        query("KEYS (customer_id) SEQUENCE BY updated_at COLUMNS * EXCEPT (customer_id)").unwrap_err(),
        [
            "42P16 c.sql:2:61: key \"customer_id\" cannot be left out of COLUMNS\n  hint: Without it nobody could tell whose row \
          it is."
        ]
    );
}
