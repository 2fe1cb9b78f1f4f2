//! What comes of what: `sluice lineage`, the tables that say so, and personal data that may not reach a public schema.

use crate::support::{Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("lineage::of_a_column_and_of_a_table", of_a_column_and_of_a_table),
        trial("lineage::what_is_not_there_is_named", what_is_not_there_is_named),
        trial("lineage::tables_tell_the_same", tables_tell_the_same),
        trial(
            "lineage::personal_data_stays_out_of_public_schemas",
            personal_data_stays_out_of_public_schemas,
        ),
    ]
}

fn of_a_column_and_of_a_table() {
    let warehouse = Warehouse::of("shop");
    let out = |arguments: &[&str]| warehouse.sluice(arguments).expect(0, &[]).stdout.clone();
    assert_eq!(
        out(&["lineage", "gold.customer_sales.revenue"]),
        "gold.customer_sales.revenue\n\
         └─ silver.orders.amount  (aggregated)\n   \
            └─ bronze.orders.amount\n\
         rows by: silver.customers.city (group by), silver.customers.customer_id (join), silver.customers.customer_id \
         (group by), silver.customers.name (group by), silver.orders.customer_id (join)\n"
    );
    assert_eq!(
        out(&["lineage", "bronze.orders.ordered_at", "--downstream"]),
        "bronze.orders.ordered_at\n\
         ├─ silver.orders.order_date  (computed)\n\
         │  └─ gold.daily_sales.order_date\n\
         └─ silver.orders.ordered_at\n   \
            └─ gold.customer_sales.last_order_at  (aggregated)\n"
    );
    assert_eq!(
        out(&["lineage", "gold.customer_sales"]),
        "gold.customer_sales\n├─ silver.customers\n│  └─ bronze.customers\n└─ silver.orders\n   └─ bronze.orders\n"
    );
    let lines = out(&["lineage", "gold.customer_sales.revenue", "--json"]);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["table"], "silver.orders");
    assert_eq!(first["transformation"], "aggregation");
}

fn what_is_not_there_is_named() {
    let warehouse = Warehouse::of("shop");
    let fails = |of: &str, words: &[&str]| {
        warehouse.sluice(&["lineage", of]).expect(1, words);
    };
    fails("gold.customer_sale", &["\"gold.customer_sale\" does not exist", "gold.customer_sales"]);
    fails("gold.customer_sales.revenu", &["\"revenu\"", "revenue"]);
    fails("nonsense", &["\"nonsense\" does not exist"]);
}

fn tables_tell_the_same() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    let query = |sql: &str| server.query(sql);
    assert_eq!(
        query("SELECT * FROM sluice.lineage WHERE table_name = 'silver.orders'"),
        "silver.orders|bronze.orders|stream"
    );
    assert_eq!(
        query(
            "SELECT column_name, input_table, input_column, kind, how, masked FROM sluice.column_lineage \
             WHERE table_name = 'gold.daily_sales' ORDER BY 1, 2, 3, 4"
        ),
        "order_date|silver.orders|order_date|direct|identity|f\n\
         revenue|silver.orders|amount|direct|aggregation|f\n\
         |silver.orders|order_date|indirect|group by|"
    );
}

fn personal_data_stays_out_of_public_schemas() {
    let source = |name: &str| {
        format!(
            "CREATE SOURCE bronze.people (id BIGINT, {name}, city TEXT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n\
             CREATE SCHEMA gold PUBLIC;\n"
        )
    };
    let silver = "CREATE OR REFRESH STREAMING TABLE silver.people AS SELECT id, lower(email) AS email, city FROM STREAM bronze.people;\n";
    let warehouse = Warehouse::new();
    warehouse.write("catalog/people.sql", source("email TEXT TAG pii"));
    warehouse.write("sql/silver/people.sql", silver);
    let gold = |columns: &str, query: &str| {
        let text =
            format!("CREATE MATERIALIZED VIEW gold.people{columns} AS\nSELECT {query} FROM silver.people;\n");
        warehouse.write("sql/gold/people.sql", text);
        warehouse.sluice(&["check"])
    };
    gold("", "id,\n  email || '!' AS shout").expect(
        1,
        &[
            "sql/gold/people.sql:3:",
            "column \"shout\" shows personal data in public schema \"gold\"",
            "bronze.people.email -> silver.people.email -> gold.people.shout",
            "UNTAG pii",
        ],
    );
    // Masked, counted or only asked whether it is there; or declared to tell of nobody.
    gold("", "id, sha256(email) AS email_hash, email IS NULL AS without").expect(0, &[]);
    gold("(domain TEXT UNTAG pii)", "split_part(email, '@', 2) AS domain").expect(0, &[]);
    gold("(domain TEXT)", "split_part(email, '@', 2) AS domain")
        .expect(1, &["\"domain\" shows personal data"]);
    // What came is in the record's bytes too.
    let raw = "CREATE VIEW gold.raw AS SELECT _raw FROM bronze.people;\n";
    gold("", "id").expect(0, &[]);
    warehouse.write("sql/gold/raw.sql", raw);
    warehouse.sluice(&["check"]).expect(1, &["bronze.people._raw -> gold.raw._raw"]);
    warehouse.write("sql/gold/raw.sql", "CREATE VIEW gold.raw (kind TAG pii) AS SELECT 'x' AS kind;\n");
    warehouse.sluice(&["check"]).expect(1, &["\"kind\" shows personal data", "it is tagged pii itself"]);

    warehouse.write("sql/gold/raw.sql", "CREATE VIEW gold.raw AS SELECT 'x' AS kind;\n");
    let server = warehouse.serve();
    assert_eq!(
        server
            .query("SELECT column_name, tag, way FROM sluice.column_tags WHERE table_name = 'silver.people'"),
        "email|pii|bronze.people.email -> silver.people.email"
    );
}
