use super::*;
use crate::catalog::fixture;

const ORDERS: &str = "CREATE SOURCE bronze.orders (order_id BIGINT, amount DECIMAL(18,2), status TEXT, ts TIMESTAMPTZ) WITH \
     (connector = 'http') FORMAT PLAIN ENCODE JSON;";

fn outcome(models: &[(&str, &str)]) -> Result<BTreeMap<TableName, PlannedModel>, Vec<String>> {
    let files = models.iter().map(|(name, text)| (format!("sql/{name}.sql"), (*text).to_string()));
    let project = fixture::project(files.chain([("catalog/orders.sql".to_string(), ORDERS.to_string())]));
    let planned = fixture::planned(project);
    planned.map_err(|errors| errors.iter().map(|e| format!("{} {e}", e.code)).collect())
}

/// Planning one file gives these errors.
#[track_caller]
fn check(name: &str, text: &str, expected: &[&str]) {
    assert_eq!(outcome(&[(name, text)]).err().unwrap_or_default(), expected);
}

#[test]
fn foreign_keys_are_of_columns_that_compare() {
    let dim = (
        "gold/dim",
        "CREATE MATERIALIZED VIEW gold.dim (k INT, PRIMARY KEY (k)) AS SELECT order_id AS k FROM bronze.orders;",
    );
    let fact = |columns: &str, query: &str| {
        let text =
            format!("CREATE MATERIALIZED VIEW gold.fact ({columns}) AS SELECT {query} FROM bronze.orders;");
        outcome(&[dim, ("gold/fact", &text)]).err().unwrap_or_default()
    };
    assert_eq!(fact("k BIGINT REFERENCES gold.dim", "order_id AS k"), Vec::<String>::new());
    assert_eq!(
        fact("k TEXT REFERENCES gold.dim", "status AS k"),
        [
            "42804 sql/gold/fact.sql:1:55: foreign key column \"k\" is TEXT and \"k\" of \"gold.dim\" is INT\n  hint: Give \
             both columns one type, or leave the reference out."
        ]
    );
    assert_eq!(
        fact("k BIGINT, FOREIGN KEY (kk) REFERENCES gold.dim", "order_id AS k"),
        ["42703 sql/gold/fact.sql:1:75: the FOREIGN KEY's column \"kk\" does not exist"]
    );
}

#[test]
fn output_is_stored_as_declared() {
    let planned = outcome(&[
        (
            "silver/orders",
            "CREATE STREAMING TABLE silver.orders (order_id INT NOT NULL, amount DOUBLE, day DATE, CONSTRAINT positive \
             EXPECT (amount > 0) ON VIOLATION QUARANTINE ROW) PARTITIONED BY (day) AS SELECT order_id, amount, \
             CAST(ts AS DATE) AS day FROM STREAM bronze.orders;",
        ),
        (
            "gold/days",
            "CREATE MATERIALIZED VIEW gold.days AS SELECT day, count(*) AS orders, max(status) AS s FROM silver.orders \
             JOIN bronze.orders USING (order_id) GROUP BY day ORDER BY day;",
        ),
        ("gold/bad", "CREATE VIEW gold.bad AS SELECT rule, count(*) AS n FROM silver.orders__quarantine GROUP BY rule;"),
    ])
    .unwrap();
    let shown = |name: &str| {
        let schema = &planned
            [&TableName::new(name.split_once('.').unwrap().0, name.split_once('.').unwrap().1)]
            .schema;
        let fields = schema.fields().iter();
        let fields = fields.map(|f| {
            format!(
                "{} {}{}",
                f.name(),
                type_name(f.data_type()),
                if f.is_nullable() { "" } else { " NOT NULL" }
            )
        });
        fields.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(shown("silver.orders"), "order_id INT NOT NULL, amount DOUBLE, day DATE");
    assert_eq!(shown("gold.days"), "day DATE, orders BIGINT, s TEXT");
    assert_eq!(shown("gold.bad"), "rule TEXT, n BIGINT");
}

#[test]
fn unknown_columns_are_placed() {
    check(
        "gold/a",
        "CREATE VIEW gold.a AS\nSELECT order_id,\n       amuont\nFROM bronze.orders;",
        &["42703 sql/gold/a.sql:3:8: column \"amuont\" does not exist\n  hint: Did you mean \"amount\"?"],
    );
    check(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT x.amount FROM bronze.orders o;",
        &[
            "42703 sql/gold/a.sql:1:30: column \"x.amount\" does not exist\n  hint: Did you mean \"o.amount\"?",
        ],
    );
    check(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT colour FROM bronze.orders;",
        &[
            "42703 sql/gold/a.sql:1:30: column \"colour\" does not exist\n  hint: Columns are order_id, amount, status, ts.",
        ],
    );
}

#[test]
fn several_columns_are_several_errors() {
    check(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT statu, amoun FROM bronze.orders;",
        &[
            "42703 sql/gold/a.sql:1:30: column \"statu\" does not exist\n  hint: Did you mean \"status\"?",
            "42703 sql/gold/a.sql:1:37: column \"amoun\" does not exist\n  hint: Did you mean \"amount\"?",
        ],
    );
}

#[test]
fn functions_are_known_and_steady() {
    check(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT flor(amount) AS x FROM bronze.orders;",
        &["42883 sql/gold/a.sql:1:30: function flor() does not exist\n  hint: Did you mean floor()?"],
    );
    check(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT order_id, random() AS x FROM bronze.orders;",
        &[
            "0A000 sql/gold/a.sql:1:40: volatile function random() gives another value each time a model is computed\n  \
           hint: Take it out: a model must give the same rows however often it is computed.",
        ],
    );
    assert!(
        outcome(&[(
            "gold/a",
            "CREATE VIEW gold.a AS SELECT now() AS x, current_date AS d FROM bronze.orders;"
        )])
        .is_ok()
    );
}

#[test]
fn types_must_meet() {
    let errors = outcome(&[("gold/a", "CREATE VIEW gold.a AS SELECT status - ts AS x FROM bronze.orders;")])
        .unwrap_err();
    assert!(errors[0].starts_with("42804 sql/gold/a.sql:1:"), "{errors:?}");
    let errors =
        outcome(&[("gold/a", "CREATE VIEW gold.a AS SELECT 1 AS x FROM bronze.orders WHERE status;")])
            .unwrap_err();
    assert!(errors[0].starts_with("42"), "{errors:?}");
}

#[test]
fn the_column_list_must_fit() {
    check(
        "gold/a",
        "CREATE MATERIALIZED VIEW gold.a (order_id BIGINT, total DOUBLE) AS SELECT order_id FROM bronze.orders;",
        &[
            "42611 sql/gold/a.sql:1:1: the column list has 2 columns and the query gives 1\n  hint: The query does not give \
           total.",
        ],
    );
    check(
        "gold/a",
        "CREATE MATERIALIZED VIEW gold.a (id) AS SELECT order_id FROM bronze.orders;",
        &[
            "42611 sql/gold/a.sql:1:48: column 1 is declared \"id\" and the query gives \"order_id\"\n  hint: Name it in the \
           query, as in order_id AS id, or put the list into the query's order.",
        ],
    );
    check(
        "gold/a",
        "CREATE MATERIALIZED VIEW gold.a (ts BOOLEAN) AS SELECT ts FROM bronze.orders;",
        &[
            "42804 sql/gold/a.sql:1:56: column \"ts\" is declared BOOLEAN and the query gives TIMESTAMPTZ\n  hint: Convert it \
           in the query, or declare the type that the query gives.",
        ],
    );
}

#[test]
fn columns_have_names() {
    check(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT count(*) FROM bronze.orders;",
        &[
            "42602 sql/gold/a.sql:1:23: output column 1 has no name but \"count(*)\"\n  hint: Give it one: expression AS \
           name.",
        ],
    );
    let errors = outcome(&[(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT a.ts, b.ts FROM bronze.orders a, bronze.orders b;",
    )]);
    assert!(errors.unwrap_err()[0].contains("two columns \"ts\""));
}

#[test]
fn expectations_look_at_one_row() {
    let model = |predicate: &str| {
        let text = format!(
            "CREATE MATERIALIZED VIEW gold.a (order_id BIGINT, CONSTRAINT c EXPECT ({predicate})) AS SELECT order_id FROM \
             bronze.orders;"
        );
        outcome(&[("gold/a", &text)]).err().unwrap_or_default()
    };
    assert_eq!(model("order_id > 0 AND order_id IS NOT NULL"), Vec::<String>::new());
    assert_eq!(
        model("orderid > 0"),
        [
            "42703 sql/gold/a.sql:1:62: expectation \"c\": column \"orderid\" does not exist\n  hint: Did you mean \
          \"order_id\"?"
        ]
    );
    assert!(model("order_id + 1")[0].contains("expectation \"c\""), "{:?}", model("order_id + 1"));
    assert!(model("count(*) > 1")[0].contains("expectation \"c\""), "{:?}", model("count(*) > 1"));
    assert!(model("random() < 1")[0].contains("volatile"), "{:?}", model("random() < 1"));
    assert!(
        model("order_id IN (SELECT 1)")[0].contains("expectation \"c\""),
        "{:?}",
        model("order_id IN (SELECT 1)")
    );
}

#[test]
fn partitions_and_keys_exist() {
    check(
        "gold/a",
        "CREATE MATERIALIZED VIEW gold.a (order_id BIGINT, PRIMARY KEY (orderid)) PARTITIONED BY (day) AS SELECT order_id \
         FROM bronze.orders;",
        &[
            "42703 sql/gold/a.sql:1:1: the PARTITIONED BY's column \"day\" does not exist",
            "42703 sql/gold/a.sql:1:1: the PRIMARY KEY's column \"orderid\" does not exist\n  hint: Did you mean \
             \"order_id\"?",
        ],
    );
}

#[test]
fn unstorable_columns_are_named() {
    check(
        "gold/a",
        "CREATE VIEW gold.a AS SELECT NULL AS nothing FROM bronze.orders;",
        &[
            "42804 sql/gold/a.sql:1:38: column \"nothing\" is NULL of no type, which no Delta table holds\n  hint: Give it a \
           type, as in CAST(NULL AS TEXT).",
        ],
    );
}

#[test]
fn a_failed_input_causes_one_error() {
    let errors = outcome(&[
        ("gold/a", "CREATE VIEW gold.a AS SELECT nothing FROM bronze.orders;"),
        ("gold/b", "CREATE VIEW gold.b AS SELECT x FROM gold.a;"),
    ]);
    assert_eq!(errors.unwrap_err().len(), 1);
}
