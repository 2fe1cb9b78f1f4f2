//! No text ends the process.

use super::*;
use proptest::prelude::*;

/// Pieces of the language, put together at random: nearer to statements than random letters are.
const PIECES: &[&str] = &[
    "CREATE",
    "OR REFRESH",
    "OR REPLACE",
    "STREAMING TABLE",
    "MATERIALIZED VIEW",
    "VIEW",
    "SOURCE",
    "SECRET",
    "CONNECTION",
    "COMMENT ON",
    "COLUMN",
    "TABLE",
    "gold.x",
    "bronze.orders",
    "a",
    "\"Q\"",
    "(",
    ")",
    ",",
    ";",
    "AS",
    "SELECT",
    "*",
    "FROM",
    "STREAM",
    "JOIN",
    "ON",
    "WHERE",
    "WITH",
    "connector",
    "=",
    "'kafka'",
    "'x",
    "'",
    "1",
    "1.5e3",
    "INTERVAL",
    "'10' MINUTE",
    "WATERMARK FOR",
    "INCLUDE key",
    "FORMAT PLAIN",
    "ENCODE CSV",
    "CONSTRAINT c",
    "EXPECT",
    "ON VIOLATION",
    "DROP ROW",
    "PRIMARY KEY",
    "PARTITIONED BY",
    "TRIGGER ON UPDATE",
    "AT MOST EVERY",
    "SCHEDULE",
    "CRON",
    "'0 2 * * *'",
    "IS",
    "NULL",
    "STRUCT<",
    "ARRAY<",
    "MAP<",
    ">",
    ">>",
    ">>>",
    "[]",
    "[",
    "BIGINT",
    "DECIMAL(18,2)",
    "NOT NULL",
    "--",
    "/*",
    "*/",
    "\n",
    "$$",
    ".",
    "é",
    "🦀",
    "UNION ALL",
    "TUMBLE(",
    "SECRET s",
    "backend",
];

fn well_placed(text: &str) {
    if let Err(errors) = parse(text) {
        assert!(!errors.is_empty());
        for error in errors {
            let lines = text.matches('\n').count() as u64 + 1;
            assert!((1..=lines).contains(&error.origin.line), "{text:?} {error}");
            assert!(error.origin.column >= 1 && !error.message.is_empty(), "{text:?} {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        well_placed(&text);
    }

    #[test]
    fn any_bytes_that_are_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        well_placed(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_row_of_pieces(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..60)) {
        well_placed(&pieces.join(" "));
    }

    #[test]
    fn any_part_of_a_statement(cut in 0_usize..900, skip in 0_usize..900) {
        const STATEMENT: &str = "CREATE OR REFRESH STREAMING TABLE silver.orders (order_id BIGINT NOT NULL, a STRUCT<b ARRAY<INT>, c TEXT>, \
            CONSTRAINT known EXPECT (a.b IS NOT NULL AND order_id > 0) ON VIOLATION QUARANTINE ROW, PRIMARY KEY (order_id)) PARTITIONED \
            BY (order_id) TRIGGER ON UPDATE AT MOST EVERY INTERVAL '1' SECOND AS WITH x AS (SELECT * FROM bronze.y) SELECT o.*, CASE \
            WHEN a THEN 'é' END AS z FROM STREAM bronze.orders o JOIN x USING (order_id); COMMENT ON COLUMN silver.orders.a IS 'x';";
        let letters: Vec<char> = STATEMENT.chars().collect();
        let (from, to) = (skip.min(letters.len()), cut.min(letters.len()));
        well_placed(&letters[..to].iter().collect::<String>());
        well_placed(&letters[from..].iter().collect::<String>());
        if from < to {
            let without: String = letters[..from].iter().chain(&letters[to..]).collect();
            well_placed(&without);
        }
    }
}

#[test]
fn long_and_deep_texts_are_refused() {
    let nested = format!("CREATE VIEW gold.x AS SELECT {}1{} AS a", "(".repeat(5_000), ")".repeat(5_000));
    assert_eq!(&errors(&nested)[0][..5], "54001");
    let long = format!("CREATE VIEW gold.x AS SELECT 1{} AS a", " + 1".repeat(20_000));
    assert_eq!(&errors(&long)[0][..5], "54001");
    let selects = format!("CREATE VIEW gold.x AS SELECT 1 AS a{}", " UNION ALL SELECT 1".repeat(20_000));
    assert_eq!(&errors(&selects)[0][..5], "54001");
    let types = format!("CREATE SOURCE bronze.x (a {}", "STRUCT<a ".repeat(10_000));
    assert_eq!(&errors(&types)[0][..5], "54001");
    let open = format!("CREATE MATERIALIZED VIEW gold.x (CONSTRAINT c EXPECT {}", "(".repeat(100_000));
    assert_eq!(errors(&open).len(), 1);
}

#[test]
fn the_longest_query_fits_a_thread() {
    let longest = format!("CREATE VIEW gold.x AS SELECT 1{} AS a", " + 1".repeat(1_000));
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    let parsed =
        thread.spawn(move || parse(&longest).map(|d| d.len()).map_err(|e| e.len())).unwrap().join().unwrap();
    assert_eq!(parsed, Ok(1));
}
