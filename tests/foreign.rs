//! Tables that others write: views over them follow appends, rewrites, deletion vectors and change data; whatever the
//! writer does to its log, its files or its columns, the server goes on; and nothing is ever written there.

use crate::support::delta::{COLUMNS, DeltaTable, metadata, moving, protocol, removed, with_inline_vector};
use crate::support::{FLOW, Server, Warehouse, needs, trial, until};
use arrow::array::{ArrayRef, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field};
use libtest_mimic::Trial;
use parquet::data_type::{Int96, Int96Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("foreign::views_follow_what_others_commit", views_follow_what_others_commit),
        trial("foreign::change_data_is_taken_where_it_adds_up", change_data_is_taken_where_it_adds_up),
        trial("foreign::a_log_may_be_cleaned_up", a_log_may_be_cleaned_up),
        trial("foreign::a_vacuumed_history_is_computed_anew", a_vacuumed_history_is_computed_anew),
        trial("foreign::a_table_may_come_later_and_be_replaced", a_table_may_come_later_and_be_replaced),
        trial("foreign::a_torn_log_waits_for_its_writer", a_torn_log_waits_for_its_writer),
        trial("foreign::columns_come_and_go", columns_come_and_go),
        trial("foreign::all_kinds_of_columns_are_read", all_kinds_of_columns_are_read),
        trial("foreign::a_great_change_is_computed_anew", a_great_change_is_computed_anew),
        trial("foreign::streams_take_each_row_once", streams_take_each_row_once),
        trial("foreign::mistakes_are_placed", mistakes_are_placed),
    ]
    .into_iter()
    .chain(needs::python(
        "deltalake, pyarrow",
        vec![trial("foreign::what_deltalake_writes_is_followed", what_deltalake_writes_is_followed)],
    ))
    .collect()
}

const SOURCE: &str =
    "CREATE SOURCE lakehouse.sales WITH (connector = 'delta', path = '../lake/sales', poll_ms = 50);\n";

const BY_REGION: &str = "CREATE MATERIALIZED VIEW gold.by_region REFRESH POLICY INCREMENTAL\n\
    AS SELECT region, count(*) AS sales, sum(amount) AS total FROM lakehouse.sales GROUP BY region;\n";

const ROWS: &str = "SELECT region, sales, total FROM gold.by_region ORDER BY region";

/// A warehouse with a view over the table of others, which the test makes.
fn warehouse() -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/lake.sql", SOURCE);
    warehouse.write("sql/gold/by_region.sql", BY_REGION);
    warehouse
}

fn sales(warehouse: &Warehouse) -> DeltaTable {
    DeltaTable::of_rows(&warehouse.folder().join("lake/sales"))
}

/// Waits until the view shows `rows` and is what its query gives.
fn expect(server: &Server, rows: &str) {
    server.wait_until(ROWS, rows);
    let verified = server.query("VERIFY MATERIALIZED VIEW gold.by_region");
    assert!(verified.contains("|0|0|equal|"), "{verified}");
}

/// Waits until the view's newest refresh is of this mode and its reason says this.
fn expect_refresh(server: &Server, mode: &str, said: &str) {
    let newest =
        "SELECT mode, reason FROM sluice.refreshes WHERE model = 'gold.by_region' ORDER BY at DESC LIMIT 1";
    until("the refresh", FLOW, || {
        let newest = server.query(newest);
        if newest.starts_with(mode) && newest.contains(said) { Ok(()) } else { Err(newest) }
    });
}

fn views_follow_what_others_commit() {
    let warehouse = warehouse();
    let mut sales = sales(&warehouse);
    let first = sales.append(&[(1, "north", 10), (2, "south", 20), (3, "north", 30)]);
    let server = warehouse.serve();
    expect(&server, "north|2|40\nsouth|1|20");

    let second = sales.append(&[(4, "east", 5), (5, "south", 1)]);
    expect(&server, "east|1|5\nnorth|2|40\nsouth|2|21");
    expect_refresh(&server, "incremental", "table 1: 2 changed input rows");

    // An UPDATE by rewriting the file: one row is other than before, two are the same.
    let rewritten = sales.file(&[(1, "north", 10), (2, "west", 20), (3, "north", 30)]);
    sales.commit(&[removed(&first), rewritten.clone()]);
    expect(&server, "east|1|5\nnorth|2|40\nsouth|1|1\nwest|1|20");
    expect_refresh(&server, "incremental", "table 1: 6 changed input rows");

    // A DELETE by a vector in a file, then by one in the log.
    let less = sales.with_vector(&rewritten, 3, &[2]);
    sales.commit(&[removed(&rewritten), less.clone()]);
    expect(&server, "east|1|5\nnorth|1|10\nsouth|1|1\nwest|1|20");
    let still_less = with_inline_vector(&less, 3, &[0, 2]);
    sales.commit(&[removed(&less), still_less.clone()]);
    expect(&server, "east|1|5\nsouth|1|1\nwest|1|20");
    expect_refresh(&server, "incremental", "table 1: 1 changed input rows");

    // OPTIMIZE moves rows and changes none.
    let folded = sales.file(&[(2, "west", 20), (4, "east", 5), (5, "south", 1)]);
    sales.commit(&[moving(&removed(&still_less)), moving(&removed(&second)), moving(&folded)]);
    let version = sales.version().to_string();
    server
        .wait_until("SELECT max(version) FROM sluice.epochs WHERE table_name = 'lakehouse.sales'", &version);
    sales.append(&[(6, "east", 1)]);
    expect(&server, "east|2|6\nsouth|1|1\nwest|1|20");
    expect_refresh(&server, "incremental", "table 1: 1 changed input rows");
    assert_eq!(
        server.query(
            "SELECT connector, state, error, rows_in FROM sluice.sources WHERE source = 'lakehouse.sales'"
        ),
        "delta|running||4"
    );
    assert_eq!(
        server.query("SELECT state FROM sluice.freshness WHERE table_name = 'lakehouse.sales'"),
        "fresh"
    );
    assert_eq!(server.query("SELECT count(*), sum(amount) FROM lakehouse.sales"), "4|27");
    assert_eq!(server.terminate().0.code(), Some(0));
    sales.assert_only_read();
}

fn streams_take_each_row_once() {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/lake.sql", SOURCE);
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.sales AS SELECT id, upper(region) AS region FROM STREAM lakehouse.sales;\n",
    );
    let mut sales = sales(&warehouse);
    let first = sales.append(&[(1, "north", 10), (2, "south", 20)]);
    let rows = "SELECT id, region FROM silver.sales ORDER BY id";
    let server = warehouse.serve();
    server.wait_until(rows, "1|NORTH\n2|SOUTH");
    let second = sales.append(&[(3, "east", 5)]);
    server.wait_until(rows, "1|NORTH\n2|SOUTH\n3|EAST");
    server.kill9();
    // What came while nobody looked is taken; OPTIMIZE, before and after, brings nothing.
    let folded = sales.file(&[(1, "north", 10), (2, "south", 20), (3, "east", 5)]);
    sales.commit(&[moving(&removed(&first)), moving(&removed(&second)), moving(&folded)]);
    sales.append(&[(4, "west", 1)]);
    let server = warehouse.serve();
    server.wait_until(rows, "1|NORTH\n2|SOUTH\n3|EAST\n4|WEST");
    assert_eq!(
        server.query("SELECT bool_and(mode = 'append') FROM sluice.refreshes WHERE model = 'silver.sales'"),
        "t"
    );
    // Rows that are changed cannot be taken once more: the table stands until it is asked to begin anew.
    let rewritten = sales.file(&[(1, "north", 11), (3, "east", 5)]);
    sales.commit(&[removed(&folded), rewritten]);
    server.wait_until("SELECT state FROM sluice.freshness WHERE table_name = 'silver.sales'", "failed");
    let error = server.query(
        "SELECT error FROM sluice.refreshes WHERE model = 'silver.sales' AND outcome = 'failed' LIMIT 1",
    );
    assert!(error.contains("rows were changed or removed"), "{error}");
    assert_eq!(server.query(rows), "1|NORTH\n2|SOUTH\n3|EAST\n4|WEST");
    assert_eq!(server.connect().refusal("REFRESH TABLE silver.sales FULL").0, "55000");
    server.query("REFRESH TABLE silver.sales FULL ALLOW HISTORY LOSS");
    server.wait_until(rows, "1|NORTH\n3|EAST\n4|WEST");
    sales.append(&[(5, "south", 2)]);
    server.wait_until(rows, "1|NORTH\n3|EAST\n4|WEST\n5|SOUTH");
    sales.assert_only_read();
}

fn change_data_is_taken_where_it_adds_up() {
    let warehouse = warehouse();
    let folder = warehouse.folder().join("lake/sales");
    let mut sales = DeltaTable::create(&folder, &COLUMNS, &json!({"delta.enableChangeDataFeed": "true"}));
    let rows: Vec<(i64, &str, i64)> = (0..20).map(|id| (id, "north", 1)).collect();
    let first = sales.append(&rows);
    let server = warehouse.serve();
    expect(&server, "north|20|20");

    // UPDATE one row of a file that is rewritten whole: only its two images are read.
    let mut changed = rows.clone();
    changed[3] = (3, "south", 7);
    let second = sales.file(&changed);
    let images = sales.change_file(&[(rows[3], "update_preimage"), (changed[3], "update_postimage")]);
    sales.commit(&[removed(&first), second.clone(), images]);
    expect(&server, "north|19|19\nsouth|1|7");
    expect_refresh(&server, "incremental", "table 1: 2 changed input rows");

    // MERGE: an insert, a delete.
    let mut merged = changed[1..].to_vec();
    merged.push((20, "east", 5));
    let third = sales.file(&merged);
    let images = sales.change_file(&[(changed[0], "delete"), ((20, "east", 5), "insert")]);
    sales.commit(&[removed(&second), third.clone(), images]);
    expect(&server, "east|1|5\nnorth|18|18\nsouth|1|7");
    expect_refresh(&server, "incremental", "table 1: 2 changed input rows");

    // A writer forgets an image: its files tell.
    let mut last = merged.clone();
    last[0] = (1, "west", 1);
    let fourth = sales.file(&last);
    let images = sales.change_file(&[(merged[0], "update_preimage")]);
    sales.commit(&[removed(&third), fourth.clone(), images]);
    expect(&server, "east|1|5\nnorth|17|17\nsouth|1|7\nwest|1|1");
    expect_refresh(&server, "incremental", "table 1: 40 changed input rows");

    // Change data that is gone is no harm while the files are there.
    assert_eq!(server.terminate().0.code(), Some(0));
    let mut less = last.clone();
    less.pop();
    let fifth = sales.file(&less);
    let images = sales.change_file(&[((20, "east", 5), "delete")]);
    sales.commit(&[removed(&fourth), fifth, images.clone()]);
    sales.vacuum(&images);
    let server = warehouse.serve();
    expect(&server, "north|17|17\nsouth|1|7\nwest|1|1");
    expect_refresh(&server, "incremental", "table 1: 39 changed input rows");
    sales.assert_only_read();
}

/// Lines of a checkpoint of a table of [`crate::support::delta::Row`]s.
fn checkpoint_of(adds: &[&Value]) -> Vec<Value> {
    let mut lines = vec![protocol(&["deletionVectors"])];
    lines.extend(adds.iter().map(|add| moving(add)));
    lines
}

fn a_log_may_be_cleaned_up() {
    let warehouse = warehouse();
    let folder = warehouse.folder().join("lake/sales");
    let mut sales = DeltaTable::create(&folder, &COLUMNS, &json!({}));
    let metadata = sales.metadata();
    let first = sales.append(&[(1, "north", 10), (2, "south", 20)]);
    let second = sales.file(&[(3, "north", 30)]);
    let second = with_inline_vector(&second, 1, &[]);
    sales.commit(std::slice::from_ref(&second));
    let mut lines = checkpoint_of(&[&first, &second]);
    lines.push(metadata.clone());
    sales.checkpoint(&lines, 2);
    sales.clean_log();

    // Opened from a checkpoint in two parts, followed by commits.
    let server = warehouse.serve();
    expect(&server, "north|2|40\nsouth|1|20");
    let third = sales.append(&[(4, "east", 1)]);
    expect(&server, "east|1|1\nnorth|2|40\nsouth|1|20");
    expect_refresh(&server, "incremental", "table 1: 1 changed input rows");

    // Cleaned up under the eyes of the server: nothing has changed.
    let mut lines = checkpoint_of(&[&first, &second, &third]);
    lines.push(metadata.clone());
    sales.checkpoint(&lines, 1);
    sales.clean_log();
    let fourth = sales.append(&[(5, "east", 2)]);
    expect(&server, "east|2|3\nnorth|2|40\nsouth|1|20");
    expect_refresh(&server, "incremental", "table 1: 1 changed input rows");
    assert_eq!(server.terminate().0.code(), Some(0));

    // Cleaned up while it was away: what happened in between is not told any more.
    sales.commit(&[removed(&first)]);
    let lines = [protocol(&["deletionVectors", "v2Checkpoint"]), metadata];
    sales.checkpoint_with_sidecar(&lines, &[moving(&second), moving(&third), moving(&fourth)]);
    sales.clean_log();
    let server = warehouse.serve();
    expect(&server, "east|2|3\nnorth|1|30");
    expect_refresh(&server, "recompute", "the changes of lakehouse.sales are gone");
    sales.assert_only_read();
}

fn a_vacuumed_history_is_computed_anew() {
    let warehouse = warehouse();
    let mut sales = sales(&warehouse);
    let first = sales.append(&[(1, "north", 10), (2, "south", 20)]);
    let server = warehouse.serve();
    expect(&server, "north|1|10\nsouth|1|20");
    assert_eq!(server.terminate().0.code(), Some(0));

    let second = sales.file(&[(1, "north", 11), (2, "south", 20)]);
    sales.commit(&[removed(&first), second.clone()]);
    let third = sales.file(&[(1, "north", 12), (2, "south", 20)]);
    sales.commit(&[removed(&second), third]);
    sales.vacuum(&first);
    sales.vacuum(&second);
    let server = warehouse.serve();
    expect(&server, "north|1|12\nsouth|1|20");
    expect_refresh(&server, "recompute", "the changes of lakehouse.sales are gone");
    sales.append(&[(3, "south", 1)]);
    expect(&server, "north|1|12\nsouth|2|21");
    expect_refresh(&server, "incremental", "");
    sales.assert_only_read();
}

fn a_table_may_come_later_and_be_replaced() {
    let warehouse = warehouse();
    warehouse.write(
        "sql/gold/numbers.sql",
        "CREATE MATERIALIZED VIEW gold.numbers AS SELECT value FROM generate_series(1, 3) AS t(value);\n",
    );
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM gold.numbers", "3");
    let state = "SELECT state, error LIKE '%does not exist' FROM sluice.sources";
    assert_eq!(server.query(state), "troubled|t");
    let failed = "SELECT error FROM sluice.refreshes WHERE model = 'gold.by_region'";
    server.wait_until(failed, "lakehouse.sales, which it reads, cannot be read");

    let mut one = sales(&warehouse);
    one.append(&[(1, "north", 10)]);
    one.append(&[(2, "north", 10)]);
    expect(&server, "north|2|20");
    server.wait_until("SELECT state, error FROM sluice.sources", "running|");
    one.drop_table();

    // Another table at the same place and of the same version: nothing of the first one stays.
    let mut other = sales(&warehouse);
    other.append(&[(1, "south", 1)]);
    other.append(&[(2, "west", 2)]);
    expect(&server, "south|1|1\nwest|1|2");
    assert_eq!(server.terminate().0.code(), Some(0));
    other.drop_table();
    let mut third = sales(&warehouse);
    third.append(&[(1, "east", 4)]);
    third.append(&[(2, "east", 4)]);
    let server = warehouse.serve();
    expect(&server, "east|2|8");
    server.wait_until("SELECT count(*) FROM gold.numbers", "3");
    third.assert_only_read();
}

fn a_torn_log_waits_for_its_writer() {
    let warehouse = warehouse();
    let mut sales = sales(&warehouse);
    sales.append(&[(1, "north", 10)]);
    let server = warehouse.serve();
    expect(&server, "north|1|10");
    let second = sales.file(&[(2, "south", 20)]);
    let torn = second.to_string();
    sales.commit_text(&torn[..torn.len() / 2]);
    server.wait_until("SELECT state, error LIKE '%is damaged: line 1%' FROM sluice.sources", "troubled|t");
    assert_eq!(server.query("SELECT count(*) FROM lakehouse.sales"), "1");
    expect(&server, "north|1|10");
    sales.mend(&[second]);
    expect(&server, "north|1|10\nsouth|1|20");
    server.wait_until("SELECT state, error FROM sluice.sources", "running|");

    // What this server cannot read is said; what was read stands.
    sales.commit(&[protocol(&["typeWidening"])]);
    server.wait_until("SELECT state, error LIKE '%feature typeWidening%' FROM sluice.sources", "troubled|t");
    expect(&server, "north|1|10\nsouth|1|20");
    sales.assert_only_read();
}

fn columns_come_and_go() {
    let warehouse = warehouse();
    warehouse.write(
        "sql/gold/sales.sql",
        "CREATE MATERIALIZED VIEW gold.sales AS SELECT * FROM lakehouse.sales;\n",
    );
    warehouse.write(
        "sql/gold/big_sales.sql",
        "CREATE MATERIALIZED VIEW gold.big_sales AS SELECT id FROM gold.sales WHERE amount > 15;\n",
    );
    let mut sales = sales(&warehouse);
    sales.append(&[(1, "north", 10), (2, "south", 20)]);
    let server = warehouse.serve();
    expect(&server, "north|1|10\nsouth|1|20");
    server.wait_until("SELECT * FROM gold.sales ORDER BY id", "1|north|10\n2|south|20");
    server.wait_until("SELECT * FROM gold.big_sales", "2");

    // A column more: SELECT * has it, the others do not mind.
    let columns: Vec<_> = COLUMNS.into_iter().chain([("note", "string")]).collect();
    sales.commit(&[sales.metadata_of(&columns)]);
    sales.append(&[(3, "south", 30)]);
    server.wait_until("SELECT * FROM gold.sales ORDER BY id", "1|north|10|\n2|south|20|\n3|south|30|");
    expect(&server, "north|1|10\nsouth|2|50");
    expect_refresh(&server, "incremental", "table 1: 1 changed input rows");
    server.wait_until("SELECT * FROM gold.big_sales ORDER BY id", "2\n3");

    // A column less: those that name it fail alone, and say so.
    sales.commit(&[sales.metadata_of(&[COLUMNS[0], COLUMNS[2]])]);
    server.wait_until("SELECT * FROM gold.sales ORDER BY id", "1|10\n2|20\n3|30");
    server.wait_until(
        "SELECT error LIKE '%region%does not exist%' FROM sluice.refreshes WHERE model = 'gold.by_region' \
         AND outcome = 'failed'",
        "t",
    );
    server.wait_until("SELECT * FROM gold.big_sales ORDER BY id", "2\n3");
    sales.commit(&[sales.metadata_of(&COLUMNS)]);
    sales.append(&[(4, "north", 1)]);
    expect(&server, "north|2|11\nsouth|2|50");
    sales.assert_only_read();
}

fn all_kinds_of_columns_are_read() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/lake.sql",
        "CREATE SOURCE lakehouse.visits (day DATE, hours ARRAY<BIGINT>) \
         WITH (connector = 'delta', path = '../lake/visits', poll_ms = 50);\nCOMMENT ON COLUMN lakehouse.visits.day IS 'when';\n",
    );
    warehouse.write(
        "sql/gold/visits.sql",
        "CREATE MATERIALIZED VIEW gold.visits AS SELECT day, place, id, hours, who, seen_at FROM lakehouse.visits;\n",
    );
    let columns = [
        ("day", "\"date\""),
        ("place", "string"),
        ("id", "long"),
        ("hours", r#"{"type": "array", "elementType": "long", "containsNull": false}"#),
        (
            "who",
            r#"{"type": "struct", "fields": [{"name": "name", "type": "string", "nullable": false, "metadata": {}}]}"#,
        ),
    ];
    let columns: Vec<_> = columns.into_iter().chain([("seen_at", "timestamp")]).collect();
    let folder = warehouse.folder().join("lake/visits");
    let mut visits = DeltaTable::create(&folder, &columns, &json!({}));
    visits.commit(&[metadata(&columns, &["day", "place"], &json!({}))]);
    let rows = nested_rows(&[(1, &[9, 10], "ada")]);
    let prefix = "day=2026-01-02/place=a%20b/";
    let first = visits.file_of(&rows, prefix, json!({"day": "2026-01-02", "place": "a b"}));
    // An empty value stands for NULL; a file written before a column came does not have it.
    let rows = nested_rows(&[(2, &[], "bob"), (3, &[1], "cy")]).project(&[0, 1]).unwrap();
    let second = visits.file_of(&rows, "", json!({"day": "", "place": null}));
    let third = visits.raw_file(&spark_timestamp(), "", json!({"day": "9999-12-31", "place": ""}));
    visits.commit(&[first.clone(), second, third]);
    let server = warehouse.serve();
    let shown = "SELECT day, place, id, hours, who['name'] FROM gold.visits WHERE id IS NOT NULL ORDER BY id";
    server.wait_until(shown, "2026-01-02|a b|1|{9,10}|ada\n||2|{}|\n||3|{1}|");
    server.wait_until(
        "SELECT day, place, seen_at FROM gold.visits WHERE id IS NULL",
        "9999-12-31||9999-12-31 00:00:00+00",
    );
    assert_eq!(server.query("SELECT id FROM lakehouse.visits WHERE day = DATE '2026-01-02'"), "1");
    let verify = "VERIFY MATERIALIZED VIEW gold.visits";
    assert!(server.query(verify).contains("|4|0|0|equal|"), "{}", server.query(verify));
    visits.commit(&[removed(&first)]);
    server.wait_until(shown, "||2|{}|\n||3|{1}|");
    assert!(server.query(verify).contains("|3|0|0|equal|"), "{}", server.query(verify));
    visits.assert_only_read();
}

fn a_great_change_is_computed_anew() {
    let warehouse = warehouse();
    warehouse.write("sql/gold/by_region.sql", BY_REGION.replace("REFRESH POLICY INCREMENTAL", ""));
    let mut sales = sales(&warehouse);
    let rows: Vec<_> = (0..12_000).map(|id| (id, "north", 1)).collect();
    let first = sales.append(&rows);
    let server = warehouse.serve();
    expect(&server, "north|12000|12000");
    let rows: Vec<_> = rows.into_iter().map(|(id, _, amount)| (id, "south", amount)).collect();
    let second = sales.file(&rows);
    sales.commit(&[removed(&first), second]);
    expect(&server, "south|12000|12000");
    expect_refresh(&server, "recompute", "24000 of 12000 input rows have changed");
    sales.append(&[(12_000, "south", 1)]);
    expect(&server, "south|12001|12001");
    expect_refresh(&server, "incremental", "table 1: 1 changed input rows");
    sales.assert_only_read();
}

fn what_deltalake_writes_is_followed() {
    let warehouse = warehouse();
    let folder = warehouse.folder().join("lake/sales");
    let write = |step: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/lake_writer.py");
        let output = Command::new(needs::python_path()).arg(script).arg(&folder).arg(step).output().unwrap();
        assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_string()
    };
    write("create");
    let mut server = warehouse.serve();
    // The writer says itself what it wrote.
    for step in [
        "append",
        "delete",
        "update",
        "merge",
        "optimize",
        "checkpoint",
        "overwrite",
        "append",
        "widen",
        "append",
    ] {
        let rows = write(step);
        expect(&server, &rows);
    }
    for step in ["update", "vacuum", "append"] {
        assert_eq!(server.terminate().0.code(), Some(0));
        let rows = write(step);
        server = warehouse.serve();
        expect(&server, &rows);
    }
    let failed = "SELECT count(*) FROM sluice.refreshes WHERE outcome = 'failed'";
    assert_eq!(server.query(failed), "0");
    let modes =
        "SELECT count(*) >= 6 FROM sluice.refreshes WHERE model = 'gold.by_region' AND mode = 'incremental'";
    assert_eq!(server.query(modes), "t");
}

fn mistakes_are_placed() {
    let warehouse = Warehouse::new();
    let check = |text: &str, words: &[&str]| {
        warehouse.write("catalog/lake.sql", text);
        warehouse.sluice(&["check"]).expect(1, words);
    };
    let at =
        |options: &str| format!("CREATE SOURCE lakehouse.sales\nWITH (connector = 'delta', {options});\n");
    check(
        &at("path = '../nowhere'"),
        &["nowhere of \"lakehouse.sales\" does not exist", "catalog/lake.sql:2:28"],
    );
    check(&at("path = '.'"), &["is no Delta table: it has no _delta_log", "catalog/lake.sql:2:28"]);
    check(&at("path = 's3://bucket/x'"), &["a table at s3:// cannot be read"]);
    check(&at("poll_ms = 5"), &["connector 'delta' needs a path"]);
    check(&at("path = '.', pathe = '.'"), &["has no option \"pathe\"", "Did you mean \"path\"?"]);
    check(&at("path = '.', poll_ms = 0"), &["\"poll_ms\" is a number from 1"]);
    check(&at("path = '.'").replace(");", ") FORMAT PLAIN ENCODE JSON;"), &["leave INCLUDE and FORMAT out"]);
    check(&at("path = '.'").replace("lakehouse", "bronze"), &["write lakehouse.sales"]);
    check(&at("path = '.'").replace("lakehouse", "sluice"), &["schema sluice is the server's own"]);

    let mut sales = sales(&warehouse);
    let declared =
        at("path = '../lake/sales'").replace("sales\n", "sales (id BIGINT, amout BIGINT, region INT)\n");
    check(
        &declared,
        &[
            "the table of \"lakehouse.sales\" has no column \"amout\"",
            "Did you mean \"amount\"?",
            "catalog/lake.sql:1:43",
            "column \"region\" of \"lakehouse.sales\" is declared INT and is",
        ],
    );
    warehouse.write("catalog/lake.sql", at("path = '../lake/sales'"));
    warehouse
        .write("sql/silver/sales.sql", "CREATE VIEW silver.sales AS SELECT regoin FROM lakehouse.sales;\n");
    warehouse
        .sluice(&["check"])
        .expect(1, &["column \"regoin\" does not exist", "sql/silver/sales.sql:1:36"]);
    warehouse
        .write("sql/silver/sales.sql", "CREATE VIEW silver.sales AS SELECT region FROM lakehouse.sales;\n");
    warehouse.sluice(&["check"]).expect(0, &["ok: 1 source, 1 model"]);

    let mapped = json!({"delta.columnMapping.mode": "name"});
    sales.commit(&[metadata(&COLUMNS, &[], &mapped)]);
    warehouse
        .sluice(&["check"])
        .expect(1, &["needs Delta feature columnMapping (delta.columnMapping.mode = 'name')"]);
    sales.commit(&[metadata(&COLUMNS, &[], &json!({})), protocol(&["typeWidening"])]);
    warehouse.sluice(&["check"]).expect(1, &["needs Delta feature typeWidening"]);
    sales.assert_only_read();
}

/// A file of one row, the last day of the year 9999, written as Spark does by default.
fn spark_timestamp() -> Vec<u8> {
    let columns = parse_message_type("message spark { optional int96 seen_at; }").unwrap();
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, Arc::new(columns), Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let mut day = Int96::new();
    // No nanoseconds, and the Julian day.
    day.set_data(0, 0, 5_373_484);
    column.typed::<Int96Type>().write_batch(&[day], Some(&[1]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

/// Rows of `id`, a list and a struct, as a writer with names of its own for a list's parts.
fn nested_rows(rows: &[(i64, &[i64], &str)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
    let mut hours = ListBuilder::new(Int64Builder::new());
    rows.iter().for_each(|row| hours.append_value(row.1.iter().map(|hour| Some(*hour))));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)));
    let name = Arc::new(Field::new("name", DataType::Utf8, false));
    let who: ArrayRef = Arc::new(StructArray::from(vec![(name, names)]));
    let hours: ArrayRef = Arc::new(hours.finish());
    RecordBatch::try_from_iter([("id", ids), ("hours", hours), ("who", who)]).unwrap()
}
