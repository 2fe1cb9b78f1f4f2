//! REPLAY QUARANTINE: what was set apart goes through the present definition, once, whatever is killed when.

use crate::support::http::Http;
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("replay::rows_pass_once_their_model_is_mended", rows_pass),
        trial("replay::records_are_decoded_again_once_their_source_is_mended", records_are_decoded),
        trial("replay::a_kill_neither_loses_rows_nor_doubles_them", killed_in_a_model),
        trial("replay::a_kill_neither_loses_records_nor_doubles_them", killed_in_a_source),
        trial("replay::what_cannot_be_traced_is_left", untraced),
        trial("replay::what_is_no_quarantine_is_refused", refused),
    ]
}

const FILES: i64 = 4;
const LINES: i64 = 60;

/// Sales in files with a header: some cannot be read, some break a rule of silver, some are filtered.
fn sales(store: &str) -> Warehouse {
    let warehouse = Warehouse::new();
    source(&warehouse, "DECIMAL(6,2)");
    model(&warehouse, store);
    warehouse.write(
        "sql/gold/by_store.sql",
        "CREATE MATERIALIZED VIEW gold.by_store AS\n\
         SELECT store, count(*) AS sales, sum(amount) AS total FROM silver.sales GROUP BY store;\n",
    );
    for file in 0..FILES {
        let rows: String = (file * LINES..(file + 1) * LINES).map(line).collect();
        warehouse.write(&format!("input/sales/{file}.csv"), format!("amount,sale_id,store\n{rows}"));
    }
    warehouse
}

fn source(warehouse: &Warehouse, amount: &str) {
    warehouse.write(
        "catalog/sales.sql",
        format!(
            "CREATE SOURCE bronze.sales (sale_id BIGINT, store INT, amount {amount})\n\
             WITH (connector = 'files', path = 'input/sales') FORMAT PLAIN ENCODE CSV;\n"
        ),
    );
}

fn model(warehouse: &Warehouse, store: &str) {
    warehouse.write(
        "sql/silver/sales.sql",
        format!(
            "CREATE OR REFRESH STREAMING TABLE silver.sales (\n  sale_id BIGINT NOT NULL, store INT, amount DECIMAL(18,2),\n  \
             CONSTRAINT store_known EXPECT (store IS NOT NULL) ON VIOLATION QUARANTINE ROW,\n  \
             CONSTRAINT sold EXPECT (amount > 0) ON VIOLATION QUARANTINE ROW\n)\n\
             AS SELECT s.sale_id, {store} AS store, s.amount FROM STREAM bronze.sales AS s WHERE sale_id % 5 <> 0;\n"
        ),
    );
}

fn line(n: i64) -> String {
    match n % 7 {
        0 => format!("123456.00,{n},1\n"),
        1 => format!("5.00,{n},\n"),
        2 => format!("-5.00,{n},1\n"),
        3 => format!("-5.00,{n},\n"),
        _ => format!("5.00,{n},1\n"),
    }
}

/// How many of the records are of a kind, those that silver filters left out.
fn count(is: impl Fn(i64) -> bool) -> i64 {
    i64::try_from((0..FILES * LINES).filter(|n| n % 5 != 0 && is(*n)).count()).unwrap()
}

/// What is in neither of the places where a record may be, or in two of them.
const MISSING: &str = "SELECT (SELECT count(*) FROM bronze.sales) - (SELECT count(*) FROM silver.sales) \
     - (SELECT count(*) FROM silver.sales__quarantine) \
     - (SELECT count(*) FROM bronze.sales WHERE (sale_id % 5 <> 0) IS NOT TRUE)";
const RECORDS: &str =
    "SELECT (SELECT count(*) FROM bronze.sales) + (SELECT count(*) FROM bronze.sales__quarantine)";
const TWICE: &str = "SELECT (SELECT count(*) - count(DISTINCT sale_id) FROM silver.sales) + \
     (SELECT count(*) - count(DISTINCT sale_id) FROM bronze.sales)";
const APART: &str = "SELECT rule, state, count(*) FROM sluice.quarantine WHERE table_name = 'silver.sales' GROUP BY 1, 2 ORDER BY 1";

fn all_is_there(server: &Server) {
    server.wait_until(RECORDS, &(FILES * LINES).to_string());
    server.wait_until(MISSING, "0");
    assert_eq!(server.query(TWICE), "0");
}

fn rows_pass() {
    let warehouse = sales("s.store");
    let server = warehouse.serve_with(&["--watch"]);
    all_is_there(&server);
    let (unknown, unsold) = (count(|n| [1, 3].contains(&(n % 7))), count(|n| n % 7 == 2));
    server.wait_until(APART, &format!("sold|open|{unsold}\nstore_known|open|{unknown}"));
    // What is kept says which record it was, and what it looked like.
    assert_eq!(
        server.query(
            "SELECT source, position LIKE '0.csv@%:1', CAST(raw AS TEXT), length(definition_hash) FROM sluice.quarantine \
             WHERE table_name = 'silver.sales' AND CAST(raw AS TEXT) LIKE '%,1,%'"
        ),
        "bronze.sales|t|5.00,1,|16"
    );
    let replay = "REPLAY QUARANTINE silver.sales WHERE rule = 'store_known'";
    assert_eq!(
        server.query(replay),
        format!("silver.sales|{unknown}|0|{unknown}|0"),
        "nothing is mended yet"
    );
    assert_eq!(server.query(APART), format!("sold|open|{unsold}\nstore_known|failed again|{unknown}"));
    all_is_there(&server);

    let before = server.query("SELECT definition_hash FROM sluice.models WHERE model = 'silver.sales'");
    model(&warehouse, "coalesce(s.store, 0)");
    server.wait_until(
        &format!("SELECT definition_hash <> '{before}' FROM sluice.models WHERE model = 'silver.sales'"),
        "t",
    );
    let passed = count(|n| n % 7 == 1);
    let failed = unknown - passed;
    assert_eq!(server.query(replay), format!("silver.sales|{unknown}|{passed}|{failed}|0"));
    assert_eq!(
        server.query("SELECT count(*), count(DISTINCT sale_id) FROM silver.sales WHERE store = 0"),
        format!("{passed}|{passed}"),
        "who replays sees at once what passed"
    );
    // Those that still fail do so by the rule that they break now.
    let kept = "SELECT rule, state, count(*) FROM sluice.quarantine WHERE table_name = 'silver.sales' GROUP BY 1, 2 ORDER BY 2";
    assert_eq!(server.query(kept), format!("sold|failed again|{failed}\nsold|open|{unsold}"));
    server.wait_until("SELECT sales FROM gold.by_store WHERE store = 0", &passed.to_string());
    assert_eq!(server.query(replay), "silver.sales|0|0|0|0");
    all_is_there(&server);
    assert_eq!(
        server.query(
            "SELECT rows_read, rows_inserted, outcome FROM sluice.refreshes WHERE model = 'silver.sales' \
             AND mode = 'replay' ORDER BY at DESC LIMIT 1"
        ),
        format!("{unknown}|{passed}|ok")
    );
    // A table that is redone sets apart anew.
    assert_eq!(server.query("REFRESH TABLE silver.sales FULL"), "");
    assert_eq!(server.query(APART), format!("sold|open|{}", unsold + failed));
    all_is_there(&server);
}

fn records_are_decoded() {
    let warehouse = sales("coalesce(s.store, 0)");
    warehouse.write(
        "catalog/readings.sql",
        "CREATE SOURCE bronze.readings (sensor STRING NOT NULL, value DECIMAL(4,1))\n\
         WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    );
    let server = warehouse.serve();
    let push = "{\"sensor\": \"a\", \"value\": 1234.5}\n{\"sensor\": \"b\", \"value\": 1.5}\n{\"value\": 12345.5}\n{\"sensor";
    let http = Http::new(Duration::from_secs(30));
    let reply =
        http.post(server.http, "/ingest/readings", &[("channel", "x"), ("token", "3")], push.as_bytes());
    assert_eq!(reply.unwrap().json()["rejected"], 3);
    all_is_there(&server);
    let unread = i64::try_from((0..FILES * LINES).filter(|n| n % 7 == 0).count()).unwrap();
    let apart = "SELECT table_name, rule, state, count(*) FROM sluice.quarantine WHERE table_name LIKE 'bronze.%' \
                 GROUP BY 1, 2, 3 ORDER BY 1, 2";
    server.wait_until(
        apart,
        &format!(
            "bronze.readings|syntax|open|1\nbronze.readings|type|open|2\nbronze.sales|type|open|{unread}"
        ),
    );
    server.kill9();
    source(&warehouse, "DECIMAL(18,2)");
    warehouse.write(
        "catalog/readings.sql",
        "CREATE SOURCE bronze.readings (sensor STRING NOT NULL, value DECIMAL(8,1))\n\
         WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    );
    let server = warehouse.serve();
    assert_eq!(server.query("REPLAY QUARANTINE bronze.sales"), format!("bronze.sales|{unread}|{unread}|0|0"));
    assert_eq!(
        server.query(
            "SELECT count(*), count(DISTINCT sale_id), min(amount), bool_and(_partition LIKE '%.csv@%') \
                      FROM bronze.sales WHERE amount > 100000"
        ),
        format!("{unread}|{unread}|123456.00|t")
    );
    assert_eq!(server.query("SELECT count(*) FROM bronze.sales__quarantine"), "0");
    let load = "SELECT rows, bytes > 0, outcome FROM sluice.ingest_log WHERE source = 'bronze.sales' ORDER BY batch DESC LIMIT 1";
    assert_eq!(server.query(load), format!("{unread}|t|ok"));
    let expected = count(|n| n % 7 == 0).to_string();
    server.wait_until("SELECT count(*) FROM silver.sales WHERE amount > 100000", &expected);
    all_is_there(&server);

    let readings = "REPLAY QUARANTINE bronze.readings WHERE rule = 'type' AND partition = 'x'";
    assert_eq!(server.query(readings), "bronze.readings|2|1|1|0");
    assert_eq!(
        server.query("SELECT sensor, value, _source, _partition, _offset % 1000000 FROM bronze.readings ORDER BY _offset"),
        "a|1234.5|http|x|0\nb|1.5|http|x|1"
    );
    assert_eq!(
        server.query("SELECT rule, state, CAST(raw AS TEXT) FROM bronze.readings__quarantine ORDER BY 1"),
        "not_null|failed again|{\"value\": 12345.5}\nsyntax|open|{\"sensor"
    );
    // What comes goes on as before.
    warehouse.write("input/sales/late.csv", "sale_id,store,amount\n1001,1,7.00\n");
    server.wait_until("SELECT amount FROM silver.sales WHERE sale_id = 1001", "7.00");
}

/// A server that ends at a step of a replay.
fn struck(warehouse: &Warehouse, failpoint: &str, replay: &str) {
    let armed = format!("SLUICE_FAILPOINTS={failpoint}");
    let server = Server::launch_within(&["env", &armed], warehouse, &[]).ready().unwrap();
    assert!(server.connect().try_text(replay).is_err(), "{failpoint}: the server was to end");
    let ended = server.ended();
    assert!(ended.stderr.contains("failpoint"), "{failpoint}: it said:\n{}", ended.stderr);
}

fn killed_in_a_model() {
    let warehouse = sales("s.store");
    let server = warehouse.serve();
    all_is_there(&server);
    server.terminate();
    model(&warehouse, "coalesce(s.store, 0)");
    let passed = count(|n| n % 7 == 1);
    let (unsold, apart) = (count(|n| n % 7 == 2), count(|n| [1, 2, 3].contains(&(n % 7))));
    let replay = "REPLAY QUARANTINE silver.sales WHERE rule = 'store_known'";
    for failpoint in [
        "lake.commit.linked[silver.sales__quarantine]=kill",
        "refresh.stream.side.committed[silver.sales]=kill",
        "lake.data.written[silver.sales]=kill",
    ] {
        struck(&warehouse, failpoint, replay);
        let server = warehouse.serve();
        all_is_there(&server);
        assert_eq!(server.query("SELECT count(*) FROM silver.sales WHERE store = 0"), "0", "{failpoint}");
        assert_eq!(
            server.query("SELECT count(*) FROM silver.sales__quarantine"),
            apart.to_string(),
            "{failpoint}"
        );
        server.terminate();
    }
    struck(&warehouse, "refresh.stream.committed[silver.sales]=kill", replay);
    let server = warehouse.serve();
    all_is_there(&server);
    assert_eq!(server.query("SELECT count(*) FROM silver.sales WHERE store = 0"), passed.to_string());
    assert_eq!(server.query(replay), "silver.sales|0|0|0|0", "it was done");
    assert_eq!(
        server.query("SELECT count(*) FROM silver.sales__quarantine"),
        (unsold + count(|n| n % 7 == 3)).to_string()
    );
}

fn killed_in_a_source() {
    let warehouse = sales("coalesce(s.store, 0)");
    let server = warehouse.serve();
    all_is_there(&server);
    server.terminate();
    source(&warehouse, "DECIMAL(18,2)");
    let unread = i64::try_from((0..FILES * LINES).filter(|n| n % 7 == 0).count()).unwrap();
    for (failpoint, left) in [
        ("bronze.side.committed[bronze.sales__quarantine]=kill", unread),
        ("lake.commit.synced[bronze.sales]=kill", unread),
        ("bronze.committed[bronze.sales]=kill", 0),
    ] {
        // Wider types are stored first, so that the step is one of the replay.
        warehouse.serve().terminate();
        struck(&warehouse, failpoint, "REPLAY QUARANTINE bronze.sales");
        let server = warehouse.serve();
        all_is_there(&server);
        assert_eq!(
            server.query("SELECT count(*) FROM bronze.sales__quarantine"),
            left.to_string(),
            "{failpoint}"
        );
        server.terminate();
    }
    let server = warehouse.serve();
    assert_eq!(server.query("REPLAY QUARANTINE bronze.sales"), "bronze.sales|0|0|0|0");
    all_is_there(&server);
}

fn untraced() {
    let warehouse = sales("s.store");
    warehouse.write(
        "sql/silver/totals.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.totals (\n  store INT NOT NULL, total DECIMAL(28,2)\n)\n\
         AS SELECT store, sum(amount) AS total FROM STREAM bronze.sales GROUP BY store;\n",
    );
    warehouse.write(
        "sql/silver/parts.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.parts (\n  store INT NOT NULL, part BIGINT\n)\n\
         AS SELECT store, unnest(make_array(1, 2)) AS part FROM STREAM bronze.sales;\n",
    );
    let server = warehouse.serve();
    all_is_there(&server);
    server.wait_until("SELECT count(*) > 0 FROM silver.totals__quarantine", "t");
    server.wait_until("SELECT count(*) > 0 FROM silver.parts__quarantine", "t");
    let because = "SELECT DISTINCT table_name, untraced_because FROM sluice.quarantine WHERE state = 'untraced' ORDER BY 1";
    assert_eq!(
        server.query(because),
        "silver.parts|the record that it comes from gives several rows, and which of them were kept is not known\n\
         silver.totals|it comes of no single record of a source"
    );
    let apart =
        "SELECT DISTINCT source, state, CAST(raw AS TEXT) LIKE '{\"total\":%' FROM silver.totals__quarantine";
    assert_eq!(server.query(apart), "silver.totals|untraced|t");
    let rows = server.query("SELECT count(*) FROM silver.totals__quarantine");
    assert_eq!(server.query("REPLAY QUARANTINE silver.totals"), format!("silver.totals|0|0|0|{rows}"));
    assert_eq!(server.query("SELECT count(*) FROM silver.totals__quarantine"), rows);
}

fn refused() {
    let warehouse = sales("s.store");
    warehouse.write(
        "sql/silver/all_sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.all_sales AS SELECT sale_id FROM STREAM bronze.sales;\n",
    );
    let server = warehouse.serve();
    all_is_there(&server);
    for (statement, code, says) in [
        (
            "REPLAY QUARANTINE gold.by_store",
            "42809",
            "\"gold.by_store\" is not a source or a streaming table",
        ),
        ("REPLAY QUARANTINE silver.all_sales", "42809", "silver.all_sales has no quarantine"),
        ("REPLAY QUARANTINE silver.nothing", "42P01", "does not exist"),
        ("REPLAY QUARANTINE silver.sales WHERE ruel = 'x'", "42703", "ruel"),
        ("REPLAY QUARANTINE bronze.sales WHERE ruel = 'x'", "42703", "ruel"),
        ("REPLAY QUARANTINE silver.sales WHERE", "42601", "syntax error"),
        ("REPLAY silver.sales", "42601", "syntax error"),
    ] {
        let (found, message) = server.connect().refusal(statement);
        assert_eq!(found, code, "{statement}: {message}");
        assert!(message.contains(says), "{statement}: {message}");
    }
    all_is_there(&server);
}
