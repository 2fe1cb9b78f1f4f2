use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(errors(text), [expected]);
}

#[test]
fn statements_are_suggested() {
    check(
        "CREATE MATERIALISED VIEW gold.x AS SELECT 1",
        "42601 1:1 \"CREATE MATERIALISED\" begins no statement of this language / Did you mean \"CREATE MATERIALIZED VIEW\"?",
    );
    check(
        "CRAETE SOURCE bronze.x",
        "42601 1:1 \"CRAETE\" begins no statement of this language / Did you mean \"CREATE SOURCE\"?",
    );
    assert!(errors("hello")[0].contains("begins no statement"));
    check("'x'", "42601 1:1 expected a statement, found \"'x'\"");
}

#[test]
fn tokens_are_placed() {
    check(
        "CREATE VIEW gold.x AS\nSELECT a,\n  FROM silver.a",
        "42601 3:3 expected an expression, found \"FROM\"",
    );
    check(
        "CREATE VIEW gold.x AS SELECT a FROM silver.a WHERE",
        "42601 1:51 expected an expression, found the end of the statement",
    );
    check("CREATE VIEW gold.x AS SELECT 1 AS a 2", "42601 1:37 expected the end of the query, found \"2\"");
    check(
        "CREATE VIEW gold.x\nAS\n;",
        "42601 3:1 expected a query, found the end of the statement / Write AS SELECT ... FROM ....",
    );
    check(
        "CREATE VIEW gold.x AS SELECT 'abc",
        "42601 1:30 unterminated string literal / Close the string with a single quote; a quote inside it is written twice.",
    );
    check(
        "CREATE SOURCE bronze.x (a INT WITH (connector = 'http')",
        "42601 1:31 expected \",\" or \")\", found \"WITH\"",
    );
}

#[test]
fn every_error_of_a_file_is_reported() {
    let found = errors(
        "CREATE VIEW x AS SELECT 1;\nCREATE VIEW gold.fine AS SELECT 1 AS a;\nDROP TABLE y;\nCREATE VIEW gold.y AS SELEC 1;\n\
         COMMENT ON gold.x IS 'x';\n'torn",
    );
    assert_eq!(found.len(), 5, "{found:?}");
    let lines: Vec<&str> = found.iter().filter_map(|e| e.split([' ', ':']).nth(1)).collect();
    assert_eq!(lines, ["1", "3", "4", "5", "6"]);
}

#[test]
fn names() {
    check(
        "CREATE VIEW x AS SELECT 1",
        "42601 1:13 \"x\" names no schema / Write schema.name, as in silver.orders.",
    );
    check(
        "CREATE VIEW sluice.gold.x AS SELECT 1",
        "42601 1:13 \"sluice.gold.\" has too many parts / Write schema.name: there is one database, sluice.",
    );
    check(
        "CREATE VIEW gold.\"../x\" AS SELECT 1",
        "42602 1:18 \"../x\" cannot name a table / Use lower-case letters, digits and underscores, at most 63 of them.",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x (\"a b\" INT) AS SELECT 1",
        "42602 1:34 \"a b\" cannot name a column / Delta tables allow no spaces and none of , ; { } ( ) = in column names, and we at \
         most 63 bytes.",
    );
    check(
        "CREATE VIEW gold.x AS SELECT * FROM orders",
        "42P01 1:37 \"orders\" names no schema / Write schema.name, as in silver.orders.",
    );
    check(
        "CREATE SOURCE silver.x (a INT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON",
        "42P16 1:15 source \"silver.x\" is not in schema bronze / Sources are the bronze layer: write bronze.x.",
    );
}

#[test]
fn columns_and_types() {
    let source = |columns: &str| {
        format!("CREATE SOURCE bronze.x ({columns}) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON")
    };
    check(&source("a BIGNIT"), "42704 1:27 type \"bignit\" does not exist / Did you mean \"bigint\"?");
    check(
        &source("a DECIMAL(40,2)"),
        "22023 1:35 DECIMAL(40,2) does not exist / The precision goes from 1 to 38, the scale from 0 to the precision.",
    );
    check(&source("a INT, A TEXT"), "42701 1:32 column \"a\" is declared twice");
    check(
        &source("a STRUCT(b INT)"),
        "42601 1:33 expected \"<\", found \"(\" / Write nested types as STRUCT<city TEXT, zip TEXT>.",
    );
    check(
        &source("_offset INT"),
        "42701 1:1 column \"_offset\" is one that every bronze table has / Leave it out: it is filled in for each record.",
    );
    check(
        &source("ts TEXT, WATERMARK FOR ts AS ts - INTERVAL '1' MINUTE"),
        "42804 1:1 the watermark's column \"ts\" is no timestamp / Declare it TIMESTAMPTZ.",
    );
    check(
        &source("at TIMESTAMP, WATERMARK FOR ta AS ta"),
        "42703 1:1 the watermark's column \"ta\" is not declared / Did you mean \"at\"?",
    );
    check(
        &source("at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL '1' MONTH"),
        "42601 1:77 \"MONTH\" is not a unit of time that has one length / Use MILLISECOND, SECOND, MINUTE, HOUR, DAY or WEEK.",
    );
    let deep = format!("a {}INT{}", "ARRAY<".repeat(40), ">".repeat(40));
    assert!(errors(&source(&deep))[0].starts_with("54001"), "{:?}", errors(&source(&deep)));
}

#[test]
fn sources() {
    check(
        "CREATE SOURCE bronze.x (a INT) WITH (connector = 'kafak') FORMAT PLAIN ENCODE JSON",
        "42704 1:37 connector 'kafak' does not exist / Did you mean \"kafka\"?",
    );
    check(
        "CREATE SOURCE bronze.x (a INT) WITH (connector = 'kafka', topic = 't') FORMAT PLAIN ENCODE JSON",
        "42601 1:37 connector 'kafka' needs a connection / Write CREATE CONNECTION hub TO KAFKA (...); and connection = hub.",
    );
    check(
        "CREATE SOURCE bronze.x (a INT) WITH (connector = 'http')",
        "42601 1:57 source \"bronze.x\" has no FORMAT / Write FORMAT PLAIN ENCODE JSON, CSV or PARQUET behind WITH (...).",
    );
    check(
        "CREATE SOURCE bronze.x (a INT) FORMAT PLAIN ENCODE JSON",
        "42601 1:56 source \"bronze.x\" has no WITH (connector = ...) / Connectors are kafka, http, files, datagen and delta.",
    );
    check(
        "CREATE SOURCE bronze.x (a INT) WITH (connector = 'http', b = 1, b = 2) FORMAT PLAIN ENCODE JSON",
        "42601 1:65 option \"b\" stands twice",
    );
    check(
        "CREATE SOURCE bronze.x (a INT) INCLUDE kye AS k WITH (connector = 'http') FORMAT PLAIN ENCODE JSON",
        "42601 1:40 INCLUDE knows no \"kye\" / Did you mean \"key\"?",
    );
    check(
        "CREATE CONNECTION c TO KAFKA (acks = 'all')",
        "42601 1:30 connection \"c\" has no bootstrap.servers / Write bootstrap.servers = 'host:9092'.",
    );
}

#[test]
fn secrets_are_not_repeated() {
    for text in [
        "CREATE SECRET s AS 'hunter2'",
        "CREATE SECRET s 'hunter2'",
        "CREATE SECRET s WITH ('hunter2')",
        "CREATE SECRET s WITH (backend = 'hunter2') AS 'x'",
        "CREATE SECRET s WITH (backend = 'env') AS 'hunter2!'",
        "CREATE SECRET s WITH (backend = 'env') AS 'x' 'hunter2'",
        "CREATE CONNECTION c TO KAFKA (bootstrap.servers = 'h', sasl.password = 'hunter2')",
    ] {
        let found = errors(text);
        assert!(found.len() == 1 && !found[0].contains("hunter2"), "{found:?}");
    }
}

#[test]
fn models() {
    check(
        "CREATE STREAMING TABLE silver.x AS SELECT * FROM bronze.x",
        "42P16 1:1 streaming table \"silver.x\" reads no STREAM / Write FROM STREAM schema.table for the input whose rows are taken \
         once each, or make it a materialized view.",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x AS SELECT * FROM STREAM bronze.x",
        "42P16 1:1 a materialized view reads whole tables, not STREAM bronze.x / Leave STREAM out, or write CREATE OR REFRESH \
         STREAMING TABLE.",
    );
    check(
        "CREATE STREAMING TABLE silver.x AS SELECT * FROM STREAM(bronze.x)",
        "42601 1:50 STREAM takes no parentheses / Write FROM STREAM schema.table.",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x (a INT, b) AS SELECT 1 AS a, 2 AS b",
        "42601 1:41 column \"b\" has no type / Give every column a type, or none of them.",
    );
    check(
        "CREATE VIEW gold.x (a INT) AS SELECT 1 AS a",
        "42601 1:1 view \"gold.x\" is not stored: it has no triggers, partitions, types, keys or expectations / Make it a CREATE \
         MATERIALIZED VIEW.",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x (a INT, CONSTRAINT c EXPECT (a >)) AS SELECT 1 AS a",
        "42601 1:65 expected an expression, found the end of the statement",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x (a INT, CONSTRAINT c EXPECT ()) AS SELECT 1 AS a",
        "42601 1:62 this expectation has no condition",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x (a INT, EXPECT (a > 0)) AS SELECT 1 AS a",
        "42601 1:41 expected CONSTRAINT name EXPECT, found \"EXPECT\" / Give the expectation a name.",
    );
    assert!(
        errors("CREATE MATERIALIZED VIEW gold.x SCHEDULE CRON '99 * * * *' AS SELECT 1 AS a")[0]
            .starts_with("22023 1:47")
    );
    assert!(
        errors("CREATE MATERIALIZED VIEW gold.x SCHEDULE CRON '* * * *' AS SELECT 1 AS a")[0]
            .contains("has 4 fields")
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x SCHEDULE CRON '0 2 * * *' AT TIME ZONE 'Mars' AS SELECT 1 AS a",
        "22023 1:72 time zone 'Mars' does not exist / Use a name of the IANA list, as in 'Europe/Berlin'.",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x SCHEDULE EVERY 0 HOURS AS SELECT 1 AS a",
        "22023 1:48 a schedule needs a length of time above zero / Write TRIGGER ON UPDATE to refresh with every wave.",
    );
    check(
        "CREATE MATERIALIZED VIEW gold.x TRIGGER ON UPDATE TRIGGER ON UPDATE AS SELECT 1 AS a",
        "42601 1:51 expected AS and the query, found \"TRIGGER\" / Before AS may stand, each once, PARTITIONED BY, TRIGGER or \
         SCHEDULE, REFRESH POLICY.",
    );
}

#[test]
fn change_feeds() {
    const ORDER: &str = "The order is FLOW AUTO CDC FROM STREAM table KEYS (...) [APPLY AS DELETE WHEN ...] SEQUENCE BY column \
                         [COLUMNS ...] [STORED AS SCD TYPE 1 | 2] [TRACK HISTORY ON ...].";
    let feed = |clauses: &str| {
        let found = errors(&format!("CREATE STREAMING TABLE silver.x FLOW AUTO CDC\n{clauses};"));
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    };
    let with_order = |message: &str| format!("{message} / {ORDER}");
    for (clauses, expected) in [
        (
            "FROM bronze.x KEYS (a) SEQUENCE BY b",
            "42601 2:6 expected STREAM, found \"bronze\" / Each change is taken once: write FROM STREAM schema.table."
                .to_string(),
        ),
        (
            "FROM STREAM(bronze.x) KEYS (a) SEQUENCE BY b",
            "42601 2:12 STREAM takes no parentheses / Write FROM STREAM schema.table.".to_string(),
        ),
        (
            "FROM STREAM bronze.x SEQUENCE BY b KEYS (a)",
            with_order("42601 2:36 KEYS stands behind SEQUENCE BY"),
        ),
        ("FROM STREAM bronze.x KEYS (a) KEYS (b) SEQUENCE BY b", "42601 2:31 KEYS stands twice".to_string()),
        ("FROM STREAM bronze.x KEYS (a, b, a) SEQUENCE BY b", "42701 2:34 \"a\" stands twice in KEYS".to_string()),
        ("FROM STREAM bronze.x KEYS (a)", with_order("42601 2:30 expected SEQUENCE BY, found the end of the statement")),
        ("FROM STREAM bronze.x SEQUENCE BY a", with_order("42601 2:35 expected KEYS, found the end of the statement")),
        (
            "FROM STREAM bronze.x KEYS (a) SEQUENCE BY b COLUMS (c)",
            "42601 2:45 expected COLUMNS, STORED AS, TRACK HISTORY ON, found \"COLUMS\" / Did you mean \"COLUMNS\"?".to_string(),
        ),
        (
            "FROM STREAM bronze.x KEYS (a) APPLY AS DELETE WHEN SEQUENCE BY b",
            "42601 2:52 APPLY AS DELETE WHEN has no condition".to_string(),
        ),
        (
            "FROM STREAM bronze.x KEYS (a) APPLY AS DELETE WHEN op = SEQUENCE BY b",
            "42601 2:57 expected an expression, found the end of the statement".to_string(),
        ),
        (
            "FROM STREAM bronze.x KEYS (a) SEQUENCE BY b STORED AS SCD TYPE 3",
            "42601 2:64 expected 1 or 2, found \"3\" / Write STORED AS SCD TYPE 1 for the newest row of each key, SCD TYPE 2 for every \
             version."
                .to_string(),
        ),
        (
            "FROM STREAM bronze.x KEYS (a) SEQUENCE BY b TRACK HISTORY ON c",
            "42P16 2:45 SCD TYPE 1 keeps no history to track / Write STORED AS SCD TYPE 2, or leave TRACK HISTORY out.".to_string(),
        ),
        (
            "FROM STREAM bronze.x KEYS (a) SEQUENCE BY b TRIGGER ON UPDATE",
            "42601 2:45 TRIGGER stands behind FLOW AUTO CDC / Put it before FLOW.".to_string(),
        ),
    ] {
        assert_eq!(feed(clauses), expected);
    }
    check(
        "CREATE MATERIALIZED VIEW gold.x FLOW AUTO CDC FROM STREAM bronze.x KEYS (a) SEQUENCE BY b",
        "42P16 1:33 only a streaming table takes FLOW AUTO CDC / Write CREATE OR REFRESH STREAMING TABLE.",
    );
}

#[test]
fn masks_fit_what_they_mask() {
    let source = |columns: &str, list: &str, with: &str, encode: &str| {
        let found = errors(&format!(
            "CREATE SOURCE bronze.x ({columns})\nMASK ({list})\nWITH (connector = 'http'{with}) FORMAT PLAIN ENCODE {encode};"
        ));
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    };
    const WAYS: &str = "Write WITH sha256, hmac_sha256, mask_email, mask_phone, mask_name or a text such as 'redacted'; or DROP.";
    for (columns, list, with, encode, expected) in [
        ("a INT", "a WITH sha256", "", "JSON",
         "42804 2:7 field \"a\" is INT, and what masking leaves is text / Declare it TEXT, or leave it out of the columns and DROP it."
            .to_string()),
        ("a TEXT", "a", "", "JSON", format!("42601 2:8 expected WITH or DROP, found \")\" / {WAYS}")),
        ("a TEXT", "a WITH rot13", "", "JSON", format!("42883 2:14 there is no way to mask called \"rot13\" / {WAYS}")),
        ("a TEXT", "a WITH sha265", "", "JSON",
         "42883 2:14 there is no way to mask called \"sha265\" / Did you mean \"sha256\"?".to_string()),
        ("a TEXT", "a DROP", "", "JSON",
         "42804 2:7 field \"a\" is dropped, and column \"a\" is declared to hold it / Leave it out of the declared columns, or mask it."
            .to_string()),
        ("a STRUCT<b INT>", "a.b WITH sha256", "", "JSON",
         "42804 2:7 field \"a.b\" is INT, and what masking leaves is text / Declare it TEXT, or leave it out of the columns and DROP it."
            .to_string()),
        ("a TEXT", "b.c DROP, b WITH 'x'", "", "JSON", "42701 2:17 field \"b\" is masked already as \"b.c\"".to_string()),
        ("a TEXT", "a.b WITH 'x'", "", "CSV",
         "42804 2:7 field \"a.b\" is inside another, and CSV has no nesting / Mask \"a\" as a whole, or DROP it.".to_string()),
        ("a TEXT", "b DROP", "", "CSV (header = false)",
         "42804 2:7 field \"b\" is no column, and without a header only columns have names / Declare it as a column of type \
          TEXT, or write ENCODE CSV (header = true).".to_string()),
        ("a TEXT", "a WITH hmac_sha256", "", "JSON",
         "42601 2:7 hmac_sha256 needs a key / Write mask.key = SECRET name into the source's WITH (...).".to_string()),
        ("a TEXT", "a WITH hmac_sha256", ", mask.key = 'pepper'", "JSON",
         "0A000 3:6 \"mask.key\" holds a secret in a file of the project / Write CREATE SECRET s WITH (backend = 'env') AS \
          'VARIABLE'; and mask.key = SECRET s.".to_string()),
        ("a TEXT", "a WITH sha256", ", mask.key = SECRET s", "JSON",
         "42P16 3:6 \"mask.key\" is set, and no field is masked with hmac_sha256 / Write MASK (field WITH hmac_sha256), or \
          leave the key out.".to_string()),
    ] {
        assert_eq!(source(columns, list, with, encode), expected);
    }
}
