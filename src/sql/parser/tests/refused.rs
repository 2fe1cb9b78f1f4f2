use super::*;

/// The text has one error, 0A000, that names this.
#[track_caller]
fn refused(text: &str, name: &str) {
    let errors = parse(text).err().unwrap_or_default();
    let [error] = errors.as_slice() else { panic!("{text}\n{errors:?}") };
    assert_eq!(error.code, "0A000", "{text}\n{error}");
    assert!(error.message.contains(name), "{text}\n{error}");
    assert!(error.hint.as_ref().is_some_and(|hint| hint.ends_with(['.', ';'])), "{text}\n{error:?}");
}

#[test]
fn statements() {
    for (text, name) in [
        (
            "CREATE SINK sales_to_pg FROM gold.daily_sales WITH (connector = 'postgres', connection = reporting, table = \
             'gold_daily_sales', key = 'sale_date, store_id') FORMAT UPSERT;",
            "CREATE SINK",
        ),
        ("EXPLAIN CREATE MATERIALIZED VIEW gold.x AS SELECT 1;", "EXPLAIN"),
        ("REFRESH TABLE gold.x FULL;", "REFRESH"),
        ("BACKFILL silver.orders FROM '2026-01-01' TO '2026-02-01';", "BACKFILL"),
        ("REPLAY QUARANTINE silver.orders WHERE rule = 'x';", "REPLAY"),
        ("VERIFY MATERIALIZED VIEW gold.x;", "VERIFY"),
        ("PLAN;", "PLAN"),
        ("APPLY;", "APPLY"),
        ("SUBSCRIBE TO gold.x;", "SUBSCRIBE"),
        ("CREATE TABLE gold.x (a INT);", "CREATE TABLE"),
        ("CREATE OR REPLACE TABLE gold.x AS SELECT 1;", "CREATE OR REPLACE TABLE"),
        ("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 'x';", "CREATE EXTERNAL TABLE"),
        ("CREATE TEMPORARY VIEW x AS SELECT 1;", "CREATE TEMPORARY VIEW"),
        ("CREATE OR REFRESH LIVE TABLE x AS SELECT 1;", "CREATE OR REFRESH LIVE"),
        ("CREATE FUNCTION f() RETURNS INT AS 'x' LANGUAGE sql;", "CREATE FUNCTION"),
        ("CREATE INDEX i ON gold.x (a);", "CREATE INDEX"),
        ("CREATE SCHEMA gold;", "PUBLIC"),
        ("CREATE FLOW f AS INSERT INTO x BY NAME SELECT 1;", "CREATE FLOW"),
        ("ALTER TABLE gold.x ADD COLUMN a INT;", "ALTER"),
        ("DROP TABLE gold.x;", "DROP"),
        ("SELECT 1;", "SELECT"),
        ("WITH a AS (SELECT 1) SELECT * FROM a;", "WITH"),
        ("INSERT INTO gold.x VALUES (1);", "INSERT"),
        ("UPDATE gold.x SET a = 1;", "UPDATE"),
        ("DELETE FROM gold.x;", "DELETE"),
        ("MERGE INTO gold.x USING gold.y ON true WHEN MATCHED THEN DELETE;", "MERGE"),
        ("TRUNCATE gold.x;", "TRUNCATE"),
        ("COPY gold.x FROM 'x.csv';", "COPY"),
        ("SET x = 1;", "SET"),
        ("BEGIN; ", "BEGIN"),
        ("VACUUM gold.x;", "VACUUM"),
        ("OPTIMIZE gold.x;", "OPTIMIZE"),
        ("APPLY CHANGES INTO gold.x FROM y;", "APPLY CHANGES"),
        (
            "CREATE SOURCE IF NOT EXISTS bronze.x (a INT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;",
            "IF NOT EXISTS",
        ),
        ("CREATE VIEW IF NOT EXISTS gold.x AS SELECT 1;", "IF NOT EXISTS"),
        ("CREATE OR REPLACE STREAMING TABLE silver.x AS SELECT * FROM STREAM bronze.x;", "OR REPLACE"),
        ("COMMENT ON TABLE gold.x IS NULL;", "IS NULL"),
    ] {
        refused(text, name);
    }
}

#[test]
fn the_outside_world() {
    let source = |columns: &str, with: &str, tail: &str| {
        format!("CREATE SOURCE bronze.x ({columns}) WITH ({with}) {tail};")
    };
    let http = "connector = 'http'";
    let json = "FORMAT PLAIN ENCODE JSON";
    for (text, name) in [
        (source("a INT", "connector = 'rest', url = 'x'", json), "connector 'rest'"),
        (source("a INT", "connector = 'postgres'", json), "connector 'postgres'"),
        (source("a INT", http, "FORMAT DEBEZIUM ENCODE JSON"), "FORMAT DEBEZIUM"),
        (source("a INT", http, "FORMAT UPSERT ENCODE JSON"), "FORMAT UPSERT"),
        (source("a INT", http, "FORMAT PLAIN ENCODE XML (row.tag = 'rate')"), "ENCODE XML"),
        (source("a INT", http, "FORMAT PLAIN ENCODE AVRO"), "ENCODE AVRO"),
        (source("a INT", http, "FORMAT PLAIN ENCODE PARQUET"), "ENCODE PARQUET"),
        (
            source(
                "a INT",
                http,
                "VALIDATE SECRET s AS hmac_sha256(headers->>'x-signature', body) FORMAT PLAIN ENCODE JSON",
            ),
            "VALIDATE",
        ),
        (source("a INT", http, "FORMAT PLAIN ENCODE JSON SCHEDULE CRON '0 * * * *'"), "SCHEDULE"),
        (source("a INT TAGS (x)", http, json), "TAGS"),
        (source("a INT DEFAULT 1", http, json), "DEFAULT"),
        (source("a INT, PRIMARY KEY (a)", http, json), "PRIMARY KEY of a source"),
        (source("a INT, CONSTRAINT c EXPECT (a > 0)", http, json), "EXPECT of a source"),
        (source("a VARCHAR(20)", http, json), "length of a text"),
        (source("a TIMESTAMP(3)", http, json), "precision of a timestamp"),
        (source("a TIME", http, json), "TIME"),
        (source("a JSONB", http, json), "JSONB"),
        (source("a UUID", http, json), "UUID"),
        (source("a STRUCT<b INT NOT NULL>", http, json), "NOT NULL inside STRUCT"),
        (source("a INT[]", http, "FORMAT PLAIN ENCODE CSV"), "nested"),
        (source("a TIMESTAMPTZ, WATERMARK FOR a AS b - INTERVAL '1' DAY", http, json), "watermark for \"a\""),
        ("CREATE SECRET s WITH (backend = 'aws') AS 'path';".to_string(), "secret backend 'aws'"),
        ("CREATE SECRET s WITH (backend = 'plain') AS 'hunter2';".to_string(), "unknown backend"),
        ("CREATE CONNECTION c TO POSTGRES (host = 'h');".to_string(), "CONNECTION TO POSTGRES"),
        ("CREATE CONNECTION c TO MYSQL (host = 'h');".to_string(), "CONNECTION TO MYSQL"),
        (
            "CREATE CONNECTION c TO KAFKA (bootstrap.servers = 'h', sasl.password = 'hunter2');".to_string(),
            "holds a secret in a file",
        ),
    ] {
        refused(&text, name);
    }
}

#[test]
fn models() {
    let stream = |head: &str, query: &str| format!("CREATE STREAMING TABLE silver.x {head} AS {query};");
    let view = |head: &str, query: &str| format!("CREATE MATERIALIZED VIEW gold.x {head} AS {query};");
    let cdc = |flow: &str| format!("CREATE STREAMING TABLE silver.x FLOW AUTO CDC {flow};");
    let one = "SELECT 1 AS one";
    for (text, name) in [
        (cdc("FROM SNAPSHOT bronze.x KEYS (a)"), "FROM SNAPSHOT"),
        (cdc("FROM STREAM bronze.x KEYS (a) IGNORE NULL UPDATES SEQUENCE BY b"), "IGNORE NULL UPDATES"),
        (
            cdc("FROM STREAM bronze.x KEYS (a) APPLY AS TRUNCATE WHEN op = 'T' SEQUENCE BY b"),
            "APPLY AS TRUNCATE WHEN",
        ),
        (cdc("FROM STREAM bronze.x KEYS (a) WHERE a > 1 SEQUENCE BY b"), "WHERE"),
        (cdc("FROM STREAM bronze.x KEYS (a) SEQUENCE BY STRUCT(b, c)"), "SEQUENCE BY several columns"),
        (
            cdc("FROM STREAM bronze.x KEYS (a) APPLY AS DELETE WHEN b < now() SEQUENCE BY b"),
            "a delete that depends on the time",
        ),
        (
            "CREATE STREAMING TABLE silver.x (a INT, CONSTRAINT c EXPECT (a > 0) ON VIOLATION QUARANTINE ROW) FLOW AUTO CDC FROM \
             STREAM bronze.x KEYS (a) SEQUENCE BY b;"
                .to_string(),
            "QUARANTINE ROW in a table kept by AUTO CDC",
        ),
        (view("", "SELECT * FROM forecast('x')"), "FORECAST"),
        (view("", "SELECT * FROM silver.a, detect_outliers('x')"), "DETECT_OUTLIERS"),
        (view("", "SELECT * FROM plan_routes('x')"), "PLAN_ROUTES"),
        (view("", "SELECT * FROM silver.a FOR SYSTEM_TIME AS OF '2026-01-01'"), "FOR SYSTEM_TIME AS OF"),
        (view("", "SELECT k, json_agg(v) AS j FROM silver.a GROUP BY k"), "JSON_AGG is not"),
        (view("", "SELECT t::jsonb -> 'a' AS a FROM silver.a"), "JSONB is not"),
        (view("", "SELECT CAST(t AS json) AS a FROM silver.a"), "AS JSON is not"),
        (view("TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')", one), "TBLPROPERTIES"),
        (view("CLUSTER BY (a)", one), "CLUSTER BY"),
        (view("COMMENT 'x'", one), "COMMENT"),
        (view("WITH (a = 1)", one), "WITH"),
        (view("(a INT, FOREIGN KEY (a) REFERENCES gold.y (a) ON DELETE CASCADE)", one), "ON DELETE"),
        (view("(a INT REFERENCES gold.y MATCH FULL)", one), "MATCH"),
        (view("(a INT, CONSTRAINT c CHECK (a > 0))", one), "CHECK"),
        (view("(a INT, WATERMARK FOR a AS a)", one), "WATERMARK of a model"),
        (
            stream(
                "(a INT, CONSTRAINT c EXPECT (a > 0) AT LEAST 85 PERCENT ON VIOLATION DROP ROW)",
                "SELECT * FROM STREAM bronze.x",
            ),
            "AT LEAST is about all rows",
        ),
        (view("", "SELECT * FROM silver.a FOR UPDATE"), "FOR UPDATE"),
        (view("", "SELECT * FROM silver.a TABLESAMPLE BERNOULLI (50)"), "TABLESAMPLE"),
        (view("", "SELECT * FROM (SELECT * FROM silver.a) AS b TABLESAMPLE SYSTEM (1)"), "TABLESAMPLE"),
        (view("", "WITH a AS (INSERT INTO silver.a VALUES (1) RETURNING x) SELECT * FROM a"), "only reads"),
        (view("", "SELECT 1 AS a INTO b"), "only reads"),
        (view("", "SELECT * FROM sluice.gold.a"), "too many parts"),
    ] {
        refused(&text, name);
    }
}
