use super::*;
use arrow::datatypes::{DataType, TimeUnit};
use std::time::Duration;

#[track_caller]
fn source(text: &str) -> SourceDefinition {
    match one(text) {
        Definition::Source(source) => source,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn streaming_table(text: &str) -> StreamingTableDefinition {
    match one(text) {
        Definition::StreamingTable(table) => table,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn materialized_view(text: &str) -> MaterializedViewDefinition {
    match one(text) {
        Definition::MaterializedView(view) => view,
        other => panic!("{other:?}"),
    }
}

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_string())
}

#[test]
fn secrets() {
    let Definition::Secret(env) =
        one("CREATE SECRET hub_login WITH (backend = 'env') AS 'HUB_CONNECTION_STRING';")
    else {
        panic!()
    };
    assert_eq!(
        (env.name.as_str(), env.backend, env.key.as_str()),
        ("hub_login", SecretBackend::Env, "HUB_CONNECTION_STRING")
    );
    let Definition::Secret(file) = one("create secret Password with (backend = file) as './secrets/p.txt'")
    else {
        panic!()
    };
    assert_eq!(
        (file.name.as_str(), file.backend, file.key.as_str()),
        ("password", SecretBackend::File, "./secrets/p.txt")
    );
}

#[test]
fn connections() {
    let Definition::Connection(hub) = one(
        "CREATE CONNECTION hub TO KAFKA (bootstrap.servers = 'ns.example.net:9093', security.protocol = 'SASL_SSL', \
         sasl.mechanism = 'PLAIN', sasl.username = '$ConnectionString', sasl.password = SECRET hub_login, \
         'fetch.wait.max.ms' = 10, enable.ssl.certificate.verification = false);",
    ) else {
        panic!()
    };
    assert_eq!((hub.name.as_str(), hub.kind.as_str()), ("hub", "kafka"));
    assert_eq!(hub.options["bootstrap.servers"], text("ns.example.net:9093"));
    assert_eq!(hub.options["sasl.password"], OptionValue::Secret("hub_login".to_string()));
    assert_eq!(hub.options["sasl.username"], text("$ConnectionString"));
    assert_eq!(hub.options["fetch.wait.max.ms"], text("10"));
    assert_eq!(hub.options["enable.ssl.certificate.verification"], text("false"));
}

#[test]
fn a_source_with_everything() {
    let source = source(
        "-- orders\nCREATE SOURCE bronze.orders (\n  order_id BIGINT NOT NULL, customer_id BIGINT, amount DECIMAL(18,2), order_ts \
         TIMESTAMPTZ,\n  WATERMARK FOR order_ts AS order_ts - INTERVAL '10' MINUTE\n)\nINCLUDE key AS _key, partition AS _partition, \
         offset AS _offset, timestamp AS _broker_ts, header 'trace' AS _trace\nWITH (connector = 'kafka', connection = hub, \
         topic = 'orders', scan.startup.mode = 'earliest')\nFORMAT PLAIN ENCODE JSON;",
    );
    assert_eq!(source.name.to_string(), "bronze.orders");
    assert_eq!(source.origin.to_string(), "x.sql:2:1");
    assert!(source.sql.starts_with("CREATE SOURCE bronze.orders (\n") && source.sql.ends_with("ENCODE JSON"));
    let columns: Vec<(&str, &DataType, bool)> =
        source.columns.iter().map(|c| (c.name.as_str(), &c.data_type, c.nullable)).collect();
    assert_eq!(
        columns,
        [
            ("order_id", &DataType::Int64, false),
            ("customer_id", &DataType::Int64, true),
            ("amount", &DataType::Decimal128(18, 2), true),
            ("order_ts", &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        ]
    );
    let watermark = Watermark::new("order_ts", Duration::from_secs(600));
    assert_eq!(source.watermark, Some(watermark));
    // Partition and offset are columns that bronze has anyway.
    let includes: Vec<(&IncludeKind, &str)> =
        source.includes.iter().map(|i| (&i.kind, i.column.as_str())).collect();
    let trace = IncludeKind::Header("trace".to_string());
    assert_eq!(
        includes,
        [(&IncludeKind::Key, "_key"), (&IncludeKind::Timestamp, "_broker_ts"), (&trace, "_trace")]
    );
    assert_eq!((source.connector, source.connection.as_deref()), (Connector::Kafka, Some("hub")));
    assert_eq!(source.options.keys().collect::<Vec<_>>(), ["scan.startup.mode", "topic"]);
    assert_eq!(source.encode, Encode::Json);
}

#[test]
fn encodings() {
    let encode = |tail: &str| {
        source(&format!("CREATE SOURCE bronze.x (a TEXT) WITH (connector = 'files', path = 'in') {tail}"))
            .encode
    };
    assert_eq!(encode("FORMAT PLAIN ENCODE CSV"), Encode::Csv { delimiter: b',', header: true });
    assert_eq!(
        encode("FORMAT PLAIN ENCODE CSV (delimiter = ';', header = false)"),
        Encode::Csv { delimiter: b';', header: false }
    );
    assert_eq!(
        encode("FORMAT PLAIN ENCODE CSV (delimiter = '\\t')"),
        Encode::Csv { delimiter: b'\t', header: true }
    );
    assert_eq!(encode("FORMAT PLAIN ENCODE PARQUET"), Encode::Parquet);
    let generated =
        source("CREATE SOURCE bronze.x (a TEXT) WITH (connector = 'datagen', generator = 'g', seed = 42)");
    assert_eq!((generated.encode, &generated.options["seed"]), (Encode::Json, &text("42")));
}

#[test]
fn types() {
    let of = |name: &str| {
        source(&format!(
            "CREATE SOURCE bronze.x (a {name}) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON"
        ))
        .columns[0]
            .clone()
    };
    for (written, shown) in [
        ("smallint", "SMALLINT"),
        ("INT4", "INT"),
        ("long", "BIGINT"),
        ("double precision", "DOUBLE"),
        ("FLOAT", "DOUBLE"),
        ("real", "REAL"),
        ("numeric", "DECIMAL(38,10)"),
        ("DECIMAL(9)", "DECIMAL(9,0)"),
        ("bool", "BOOLEAN"),
        ("STRING", "TEXT"),
        ("character varying", "TEXT"),
        ("BYTEA", "BYTEA"),
        ("date", "DATE"),
        ("timestamp", "TIMESTAMP"),
        ("timestamp without time zone", "TIMESTAMP"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"),
        ("TEXT[]", "TEXT[]"),
        ("INT[][]", "INT[][]"),
        ("ARRAY<ARRAY<INT>>", "INT[][]"),
        ("STRUCT<city TEXT, zip TEXT>", "STRUCT<city TEXT, zip TEXT>"),
        ("STRUCT<a: STRUCT<b: STRUCT<c: INT>>>", "STRUCT<a STRUCT<b STRUCT<c INT>>>"),
        ("ARRAY<STRUCT<sku TEXT, n INT>>", "STRUCT<sku TEXT, n INT>[]"),
        ("MAP<TEXT, ARRAY<INT>>", "MAP<TEXT, INT[]>"),
        ("STRUCT<at TIMESTAMP WITH TIME ZONE, \"Odd Name\" INT>", ""),
    ] {
        if !shown.is_empty() {
            assert_eq!(type_name(&of(written).data_type), shown, "{written}");
            // What is shown is itself the language.
            assert_eq!(of(shown).data_type, of(written).data_type);
        }
    }
}

#[test]
fn a_streaming_table_with_everything() {
    let table = streaming_table(
        "CREATE OR REFRESH STREAMING TABLE silver.orders (\n  order_id BIGINT NOT NULL, email_hash STRING, amount DECIMAL(18,2),\n  \
         CONSTRAINT status_known   EXPECT (order_status IS NOT NULL) ON VIOLATION QUARANTINE ROW,\n  CONSTRAINT positive EXPECT \
         (amount > (0)) ON VIOLATION DROP ROW,\n  CONSTRAINT seen EXPECT (amount < 1e6),\n  PRIMARY KEY (order_id)\n)\nPARTITIONED BY \
         (order_date)\nTRIGGER ON UPDATE AT MOST EVERY INTERVAL '1' SECOND\nAS SELECT a, b FROM STREAM bronze.orders o JOIN \
         silver.customers c USING (customer_id);",
    );
    assert_eq!(table.columns.as_ref().map(Vec::len), Some(3));
    let rules: Vec<(&str, &str, ViolationAction)> =
        table.expectations.iter().map(|e| (e.name.as_str(), e.predicate.as_str(), e.action)).collect();
    assert_eq!(
        rules,
        [
            ("status_known", "order_status IS NOT NULL", ViolationAction::QuarantineRow),
            ("positive", "amount > (0)", ViolationAction::DropRow),
            ("seen", "amount < 1e6", ViolationAction::Warn),
        ]
    );
    assert_eq!(table.expectations[1].origin.to_string(), "x.sql:4:14");
    assert_eq!(table.partitioned_by, ["order_date"]);
    assert_eq!(table.primary_key, ["order_id"]);
    assert_eq!(table.trigger, Trigger::OnUpdate { at_most_every: Duration::from_secs(1) });
    assert_eq!(
        table.query.sql,
        "SELECT a, b FROM STREAM bronze.orders o JOIN silver.customers c USING (customer_id)"
    );
    assert_eq!(
        table.query.ast.to_string(),
        "SELECT a, b FROM bronze.orders o JOIN silver.customers c USING(customer_id)"
    );
    assert_eq!(table.query.streams, [TableName::new("bronze", "orders")]);
    assert_eq!(
        table.query.inputs,
        [TableName::new("bronze", "orders"), TableName::new("silver", "customers")]
    );
}

#[test]
fn triggers() {
    let of = |clause: &str| {
        materialized_view(&format!("CREATE MATERIALIZED VIEW gold.x {clause} AS SELECT 1 AS one")).trigger
    };
    assert_eq!(of(""), Trigger::default());
    assert_eq!(of("TRIGGER ON UPDATE"), Trigger::default());
    assert_eq!(of("SCHEDULE EVERY 2 HOURS"), Trigger::Every(Duration::from_secs(7200)));
    assert_eq!(of("SCHEDULE EVERY INTERVAL '90 seconds'"), Trigger::Every(Duration::from_secs(90)));
    let cron = |zone: &str| Trigger::Cron { expression: "0 2 * * *".to_string(), zone: zone.to_string() };
    assert_eq!(of("SCHEDULE CRON '0 2 * * *'"), cron("UTC"));
    assert_eq!(of("SCHEDULE CRON '0 2 * * *' AT TIME ZONE 'Europe/Berlin'"), cron("Europe/Berlin"));
}

#[test]
fn materialized_views() {
    let plain = materialized_view("CREATE OR REPLACE MATERIALIZED VIEW gold.x AS SELECT 1 AS one;");
    assert_eq!((plain.columns, plain.column_names, plain.refresh_policy), (None, None, RefreshPolicy::Auto));
    let full = materialized_view(
        "CREATE OR REFRESH MATERIALIZED VIEW gold.x (a, b, PRIMARY KEY (a), CONSTRAINT c EXPECT (b > 0)) REFRESH POLICY FULL \
         PARTITIONED BY (a) AS (SELECT 1 AS a, 2 AS b);",
    );
    assert_eq!(full.column_names, Some(vec!["a".to_string(), "b".to_string()]));
    assert_eq!((full.refresh_policy, full.expectations.len()), (RefreshPolicy::Full, 1));
    for policy in [RefreshPolicy::Auto, RefreshPolicy::Incremental, RefreshPolicy::IncrementalStrict] {
        let words = policy.as_str().to_uppercase();
        let view = materialized_view(&format!(
            "CREATE MATERIALIZED VIEW gold.x REFRESH POLICY {words} PARTITIONED BY (a) AS SELECT 1 AS a, 2 AS b"
        ));
        assert_eq!((view.refresh_policy, view.partitioned_by.len()), (policy, 1));
    }
    let inline =
        materialized_view("CREATE MATERIALIZED VIEW gold.x (a INT PRIMARY KEY NOT NULL) AS SELECT 1 AS a");
    assert_eq!((inline.primary_key, inline.columns.unwrap()[0].nullable), (vec!["a".to_string()], false));
}

#[test]
fn foreign_keys() {
    let view = materialized_view(
        "CREATE MATERIALIZED VIEW gold.x (a INT REFERENCES gold.y, b INT NOT NULL, c INT,\n FOREIGN KEY (b, c) REFERENCES \
         gold.z (d, e), CONSTRAINT own FOREIGN KEY (c) REFERENCES gold.x) AS SELECT 1 AS a, 2 AS b, 3 AS c",
    );
    let shown: Vec<String> = view
        .foreign_keys
        .iter()
        .map(|key| {
            let (columns, referenced) = (key.columns.join(","), key.referenced.join(","));
            format!("{} {columns} {} {referenced} {}", key.name_in(&view.name), key.table, key.origin)
        })
        .collect();
    assert_eq!(
        shown,
        ["x_a_fkey a gold.y  x.sql:1:51", "x_b_c_fkey b,c gold.z d,e x.sql:2:32", "own c gold.x  x.sql:2:89"]
    );
    let named = materialized_view(
        "CREATE MATERIALIZED VIEW gold.x (a, FOREIGN KEY (a) REFERENCES gold.y) AS SELECT 1 AS a",
    );
    assert_eq!((named.foreign_keys.len(), named.column_names), (1, Some(vec!["a".to_string()])));
}

#[test]
fn inputs_are_tables_not_ctes() {
    let view = one(
        "CREATE VIEW gold.v AS WITH recent AS (SELECT * FROM silver.a), \"Other\" AS (SELECT * FROM recent) SELECT * FROM recent, \
         \"Other\", Gold.B b WHERE EXISTS (SELECT 1 FROM silver.c WHERE x IN (SELECT y FROM silver.a)) UNION ALL SELECT * FROM \
         (SELECT * FROM silver.d) t, generate_series(1, 3) g",
    );
    let Definition::View(view) = view else { panic!() };
    let inputs: Vec<String> = view.query.inputs.iter().map(TableName::to_string).collect();
    assert_eq!(inputs, ["silver.a", "gold.b", "silver.c", "silver.d"]);
    let places: Vec<(String, u64, u64)> =
        relations(&view.query.ast).into_iter().map(|r| (r.name.to_string(), r.line, r.column)).collect();
    assert_eq!(places[0], ("silver.a".to_string(), 1, 53));
}

#[test]
fn stream_is_a_name_too() {
    let Definition::View(view) =
        one("CREATE VIEW gold.v AS SELECT stream, s.stream FROM stream.x s, silver.stream")
    else {
        panic!()
    };
    assert_eq!(view.query.streams, []);
    assert_eq!(view.query.inputs, [TableName::new("stream", "x"), TableName::new("silver", "stream")]);
    let twice = streaming_table(
        "CREATE STREAMING TABLE silver.v AS SELECT * FROM STREAM bronze.a UNION ALL SELECT * FROM bronze.c JOIN stream bronze.b \
         ON true, STREAM bronze.a",
    );
    assert_eq!(twice.query.streams, [TableName::new("bronze", "a"), TableName::new("bronze", "b")]);
}

#[test]
fn comments() {
    let parsed = parse(
        "COMMENT ON TABLE silver.a IS 'it''s'; COMMENT ON COLUMN silver.a.b IS E'x\\ny'; COMMENT ON MATERIALIZED VIEW gold.m IS \
         $$any 'thing'$$; COMMENT ON STREAMING TABLE silver.s IS ''; COMMENT ON SOURCE bronze.s IS ';'; COMMENT ON VIEW gold.v IS 'v'",
    );
    let comments: Vec<(CommentTarget, String)> = parsed
        .unwrap()
        .into_iter()
        .map(|d| match d {
            Definition::Comment(c) => (c.target, c.text),
            other => panic!("{other:?}"),
        })
        .collect();
    let texts: Vec<&str> = comments.iter().map(|c| c.1.as_str()).collect();
    assert_eq!(texts, ["it's", "x\ny", "any 'thing'", "", ";", "v"]);
    assert_eq!(comments[1].0, CommentTarget::Column(TableName::new("silver", "a"), "b".to_string()));
}

#[test]
fn nothing_is_nothing() {
    for text in ["", " \n", "-- only a comment", ";;", "/* ; */ ;"] {
        assert_eq!(parse(text).map(|d| d.len()), Ok(0), "{text:?}");
    }
}

#[test]
fn change_feeds() {
    let table = streaming_table(
        "CREATE OR REFRESH STREAMING TABLE silver.customers (customer_id BIGINT) PARTITIONED BY (city) TRIGGER ON UPDATE AT MOST \
         EVERY INTERVAL '1' SECOND\nFLOW AUTO CDC FROM STREAM bronze.customers KEYS (customer_id, \"Shop\") APPLY AS DELETE WHEN (op = \
         'D' AND columns > 1) SEQUENCE BY updated_at COLUMNS * EXCEPT (op) STORED AS SCD TYPE 2 TRACK HISTORY ON city, name;",
    );
    let flow = table.auto_cdc.unwrap();
    let names = |columns: &[ColumnName]| columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(flow.input, TableName::new("bronze", "customers"));
    assert_eq!(names(&flow.keys), ["customer_id", "Shop"]);
    assert_eq!((flow.keys[1].origin.line, flow.keys[1].origin.column), (2, 63));
    assert_eq!(flow.delete_when.unwrap().text, "(op = 'D' AND columns > 1)");
    assert_eq!(flow.sequence_by.name, "updated_at");
    assert!(matches!(&flow.columns, Selection::AllBut(columns) if names(columns) == ["op"]));
    let History::Versions { tracked: Selection::Only(tracked) } = &flow.history else {
        panic!("{:?}", flow.history)
    };
    assert_eq!(names(tracked), ["city", "name"]);
    assert_eq!(table.query.streams, [TableName::new("bronze", "customers")]);
    assert_eq!(table.partitioned_by, ["city"]);

    let plain = streaming_table(
        "CREATE STREAMING TABLE silver.c FLOW AUTO CDC FROM STREAM bronze.c KEYS (a) SEQUENCE BY b;",
    );
    let flow = plain.auto_cdc.unwrap();
    assert_eq!(
        (flow.history, flow.columns, flow.delete_when),
        (History::Newest, Selection::AllBut(vec![]), None)
    );
}
