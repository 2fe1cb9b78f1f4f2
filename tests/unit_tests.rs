//! `EXECUTE UNIT TEST`: a model over rows that the test gives, run by `sluice test` and over psql; every model that ships
//! has one.

use crate::support::{Warehouse, trial};
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("unit_tests::every_model_that_ships_has_one_that_passes", every_model_that_ships),
        trial("unit_tests::steps_are_refreshed_one_after_the_other", steps),
        trial("unit_tests::differences_are_shown", differences),
        trial("unit_tests::mistakes_are_placed", mistakes),
        trial("unit_tests::psql_runs_them_too", over_psql),
    ]
}

fn every_model_that_ships() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let warehouse = Warehouse::new();
    let mut models = Vec::new();
    for folder in ["catalog", "sql/silver", "sql/gold"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            warehouse.write(&format!("{folder}/{name}"), fs::read(&path).unwrap());
            if let Some(schema) = folder.strip_prefix("sql/") {
                models.push(format!("{schema}.{}", name.trim_end_matches(".sql")));
            }
        }
    }
    let finished = warehouse.sluice(&["test"]);
    finished.expect(0, &[" 0 failed"]);
    assert!(models.len() >= 24, "{models:?}");
    for model in models {
        assert!(
            finished.stdout.contains(&format!("ok      {model} ")),
            "{model} has no test:\n{}",
            finished.stdout
        );
    }
}

const SALES: (&str, &str) = (
    "catalog/sales.sql",
    "CREATE SOURCE bronze.sales (sale_id BIGINT, store INT, sold_at TIMESTAMPTZ, amount DECIMAL(18,2))\n\
     WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n\
     CREATE SOURCE bronze.idle (id BIGINT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
);

const RECENT: &str = "CREATE MATERIALIZED VIEW gold.recent AS\n\
     SELECT store, count(*) AS sales, sum(amount) AS total FROM bronze.sales\n\
     WHERE sold_at >= now() - INTERVAL '1' HOUR GROUP BY store;\n";

fn project(tests: &str) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write(SALES.0, SALES.1);
    warehouse.write("sql/gold/recent.sql", format!("{RECENT}{tests}"));
    warehouse
}

fn steps() {
    let warehouse = project(
        "EXECUTE UNIT TEST late FOR gold.recent AT TIME '2026-01-01 12:00:00+00'\n\
         MOCK bronze.sales(store INT, sold_at TIMESTAMPTZ, amount DECIMAL(18,2))\n\
           AS (VALUES (1, '2026-01-01 11:30:00+00', 5.00), (1, '2026-01-01 10:00:00+00', 9.00))\n\
         STEP MOCK bronze.sales AS (VALUES (1, '2026-01-01 11:00:00+00', 1.50))\n\
         STEP MOCK bronze.sales AS (SELECT 2, CAST('2026-01-01 11:59:00+00' AS TIMESTAMPTZ), 1.00 WHERE false)\n\
         EXPECTED(store INT, sales BIGINT, total DECIMAL(18,2)) AS (VALUES (1, 2, 6.50));\n\
         EXECUTE UNIT TEST nothing FOR gold.recent EXPECTED(store INT) AS (SELECT 1 WHERE false);\n",
    );
    let finished = warehouse.sluice(&["test"]);
    finished
        .expect(0, &["ok      gold.recent late (", "ok      gold.recent nothing (", "2 passed, 0 failed"]);
    warehouse.sluice(&["test", "gold.recent no"]).expect(0, &["1 passed, 0 failed"]);
    warehouse.sluice(&["test", "absent"]).expect(1, &["no unit test has \"absent\""]);
}

const WRONG: &str = "EXECUTE UNIT TEST wrong FOR gold.recent AT TIME '2026-01-01 12:00:00+00'\n\
     MOCK bronze.sales(store INT, sold_at TIMESTAMPTZ, amount DECIMAL(18,2))\n\
       AS (VALUES (1, '2026-01-01 11:30:00+00', 5.00), (2, '2026-01-01 11:30:00+00', 1.00))\n\
     EXPECTED(store INT, total DECIMAL(18,2)) AS (VALUES (1, 5.00), (2, NULL))";

fn differences() {
    let warehouse = project(&format!("{WRONG};\n"));
    let report = warehouse.folder().join("report.xml");
    let finished = warehouse.sluice(&["test", "--junit", report.to_str().unwrap()]);
    let shown = "  --> sql/gold/recent.sql:4:1\n      store | total\n    - 2     | NULL\n    + 2     | 1.00\n      1     | 5.00\n";
    finished.expect(1, &["FAILED  gold.recent wrong (", shown, "0 passed, 1 failed"]);
    let report = fs::read_to_string(report).unwrap();
    for part in [
        "<testsuites name=\"sluice\" tests=\"1\" failures=\"1\"",
        "<testcase name=\"wrong\" classname=\"gold.recent\" file=\"sql/gold/recent.sql\" line=\"4\"",
        "- 2     | NULL",
    ] {
        assert!(report.contains(part), "{part:?} is missing in\n{report}");
    }
}

fn mistakes() {
    for (test, place, says) in [
        ("MOCK bronze.sale(store INT) AS (VALUES (1))", "5:6", "Did you mean \"bronze.sales\"?"),
        (
            "MOCK bronze.idle(id BIGINT) AS (VALUES (1))",
            "5:6",
            "unit test \"t\": \"bronze.idle\" is mocked, which gold.recent does not read",
        ),
        (
            "MOCK bronze.sales(stoer INT) AS (VALUES (1))",
            "5:6",
            "column \"stoer\" does not exist in \"bronze.sales\"",
        ),
        ("MOCK bronze.sales(store INT[]) AS (VALUES (ARRAY[1]))", "5:6", "and in \"bronze.sales\" INT"),
        (
            "MOCK bronze.sales(store INT) AS (VALUES (1, 2))",
            "5:6",
            "1 columns are declared and the rows have 2",
        ),
        ("MOCK bronze.sales(store INT) AS (SELECT nothing())", "5:41", "function nothing() does not exist"),
        (
            "MOCK bronze.sales(store INT) AS (SELECT store FROM bronze.sales)",
            "5:34",
            "given, and not read from",
        ),
    ] {
        let test =
            format!("EXECUTE UNIT TEST t FOR gold.recent\n{test}\nEXPECTED(store INT) AS (VALUES (1));\n");
        let warehouse = project(&test);
        let place = format!("sql/gold/recent.sql:{place}");
        for command in ["check", "test"] {
            warehouse.sluice(&[command]).expect(1, &[&place, says]);
        }
    }
    // A value that does not fit its type shows when the test is run.
    let warehouse = project(
        "EXECUTE UNIT TEST t FOR gold.recent MOCK bronze.sales(store INT) AS (VALUES ('one'))\n\
         EXPECTED(store INT) AS (VALUES (1));\n",
    );
    warehouse.sluice(&["test"]).expect(1, &["FAILED  gold.recent t", "sql/gold/recent.sql:4:42", "'one'"]);
}

fn over_psql() {
    let warehouse = project("");
    let server = warehouse.serve();
    let answer = server.query(WRONG);
    assert!(answer.starts_with("gold.recent|wrong|failed|"), "{answer}");
    assert!(answer.contains("+ 2     | 1.00"), "{answer}");
    let right = WRONG.replace("(2, NULL)", "(2, 1.00)");
    assert_eq!(server.query(&right), "gold.recent|wrong|passed|");
    let (code, message) = server.connect().refusal(&WRONG.replace("MOCK bronze.sales", "MOCK bronze.sale"));
    assert_eq!(code, "42P01", "{message}");
    let (code, message) = server.connect().refusal(&WRONG.replace("FOR gold.recent", "FOR gold.other"));
    assert_eq!(code, "42P01", "{message}");
    assert!(message.contains("gold.other is no model that runs"), "{message}");
    assert_eq!(server.query("SELECT count(*) FROM bronze.sales"), "0", "the warehouse's rows are its own");
}
