//! `REFRESH TABLE ... FULL` of streaming tables.

use super::{answers_during, define, project, push_readings, table, view, wait_for};
use crate::support::{FLOW, Server, trial, until};
use libtest_mimic::Trial;
use std::fs;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("evolution::full_redoes_a_streaming_table", full_redoes_a_streaming_table),
        trial("evolution::kills_while_a_streaming_table_is_redone", kills_while_a_streaming_table_is_redone),
        trial("evolution::lost_history_is_not_redone_unasked", lost_history_is_not_redone_unasked),
    ]
}

/// A streaming table that keeps positive values, `sign` times those that came, and sets the others apart.
fn kept(sign: &str) -> String {
    format!(
        "STREAMING TABLE silver.kept (sensor STRING, value DOUBLE, \
         CONSTRAINT positive EXPECT (value > 0) ON VIOLATION QUARANTINE ROW) \
         AS SELECT sensor, {sign}value AS value FROM STREAM bronze.readings"
    )
}

/// What stands in `silver.kept` and beside it, of one epoch.
const KEPT_AND_APART: &str = "SELECT string_agg(t, ' ' ORDER BY t) AS t FROM (\
     SELECT sensor || CAST(value AS STRING) AS t FROM silver.kept \
     UNION ALL SELECT 'apart:' || CAST(raw AS STRING) AS t FROM silver.kept__quarantine) AS both";

fn full_redoes_a_streaming_table() {
    let warehouse = project(&[
        ("silver.kept", &kept("")),
        (
            "silver.twice",
            "STREAMING TABLE silver.twice AS SELECT sensor, value * 2 AS value FROM STREAM silver.kept",
        ),
        (
            "gold.most",
            &view("gold.most", "SELECT sensor, max(value) AS most FROM silver.kept GROUP BY sensor"),
        ),
        ("gold.total", &view("gold.total", "SELECT sum(value) AS total FROM silver.twice")),
    ]);
    let server = warehouse.serve_with(&["--watch"]);
    push_readings(&server, 1, &[("a", 1.0), ("b", -2.0)]);
    let apart = |sensor: &str, value: &str| format!("apart:{{\"sensor\": \"{sensor}\", \"value\": {value}}}");
    let first = format!("t\na1 {}", apart("b", "-2"));
    wait_for(&server, KEPT_AND_APART, &first);
    wait_for(&server, "SELECT total FROM gold.total", "total\n2");
    wait_for(&server, "SELECT * FROM gold.most", "sensor|most\na|1");

    // An edited definition holds for new rows; FULL redoes the old.
    define(&warehouse, "silver.kept", &kept("-"));
    let edited = "SELECT definition_hash FROM sluice.models WHERE model = 'silver.kept'";
    let before = server.query(edited);
    until("the edited definition", FLOW, || match server.query(edited) {
        hash if hash == before => Err(hash),
        _ => Ok(()),
    });
    push_readings(&server, 2, &[("c", -3.0)]);
    let second = format!("t\na1 {} c3", apart("b", "-2"));
    wait_for(&server, KEPT_AND_APART, &second);
    wait_for(&server, "SELECT total FROM gold.total", "total\n8");
    let third = format!("t\n{} b2 c3", apart("a", "1"));
    let answers = answers_during(&server, KEPT_AND_APART, || {
        let session = server.connect();
        session.text("REFRESH TABLE silver.kept FULL");
        assert_eq!(table(&session, KEPT_AND_APART).as_ref(), Ok(&third), "who asked sees it");
    });
    assert!([vec![second.clone(), third.clone()], vec![third.clone()]].contains(&answers), "{answers:#?}");

    // What reads it follows: rows taken anew from the stream, views computed anew.
    wait_for(&server, "SELECT * FROM silver.twice ORDER BY 1", "sensor|value\nb|4\nc|6");
    wait_for(&server, "SELECT total FROM gold.total", "total\n10");
    wait_for(&server, "SELECT * FROM gold.most ORDER BY 1", "sensor|most\nb|2\nc|3");
    server.wait_until(
        "SELECT string_agg(model || ' ' || rows_inserted || ' ' || rows_deleted, ', ' ORDER BY model) \
         FROM sluice.refreshes WHERE model LIKE 'silver.%' AND mode = 'recompute'",
        "silver.kept 2 2, silver.twice 2 2",
    );
    // And goes on from there, each row once.
    push_readings(&server, 3, &[("d", -4.0)]);
    wait_for(&server, KEPT_AND_APART, &format!("{third} d4"));
    wait_for(&server, "SELECT total FROM gold.total", "total\n18");
    for view in ["gold.most", "gold.total"] {
        assert!(server.query(&format!("VERIFY MATERIALIZED VIEW {view}")).contains("|0|0|equal|"), "{view}");
    }
    server.kill9();
    let server = warehouse.serve();
    push_readings(&server, 4, &[("e", -5.0)]);
    wait_for(&server, KEPT_AND_APART, &format!("{third} d4 e5"));
    wait_for(&server, "SELECT total FROM gold.total", "total\n28");
}

fn kills_while_a_streaming_table_is_redone() {
    let warehouse = project(&[
        ("silver.kept", &kept("")),
        ("gold.total", &view("gold.total", "SELECT sum(value) AS total FROM silver.kept")),
    ]);
    let server = warehouse.serve();
    push_readings(&server, 1, &[("a", 1.0), ("b", -2.0)]);
    push_readings(&server, 2, &[("c", -3.0)]);
    let apart = |sensor: &str, value: &str| format!("apart:{{\"sensor\": \"{sensor}\", \"value\": {value}}}");
    let states =
        [format!("t\na1 {} {}", apart("b", "-2"), apart("c", "-3")), format!("t\n{} b2 c3", apart("a", "1"))];
    wait_for(&server, KEPT_AND_APART, &states[0]);
    server.kill9();
    let steps = [
        "lake.data.written[silver.kept__quarantine]",
        "lake.commit.linked[silver.kept__quarantine]",
        "refresh.stream.side.committed[silver.kept]",
        "lake.commit.synced[silver.kept]",
        "lake.commit.linked[silver.kept]",
        "refresh.stream.committed[silver.kept]",
        "refresh.epoch.due[sluice.epochs]",
    ];
    for (number, step) in steps.iter().enumerate() {
        let (old, new) = (&states[number % 2], &states[(number + 1) % 2]);
        define(&warehouse, "silver.kept", &kept(if number % 2 == 0 { "-" } else { "" }));
        let armed = format!("SLUICE_FAILPOINTS={step}=kill");
        let ended = match Server::launch_within(&["env", &armed], &warehouse, &[]).ready() {
            Ok(server) => {
                // It ends before it can answer.
                let _ = server.connect().try_text("REFRESH TABLE silver.kept FULL");
                server.ended()
            }
            Err(ended) => ended,
        };
        assert!(ended.stderr.contains("the process ends"), "{step}: it said:\n{}", ended.stderr);
        let server = warehouse.serve();
        let session = server.connect();
        let found = table(&session, KEPT_AND_APART).unwrap();
        assert!(found == *old || found == *new, "{step}: {found}");
        session.text("REFRESH TABLE silver.kept FULL");
        assert_eq!(table(&session, KEPT_AND_APART).as_ref(), Ok(new), "{step}");
        let total = if new == &states[0] { "total\n1" } else { "total\n5" };
        wait_for(&server, "SELECT total FROM gold.total", total);
        server.kill9();
    }
    let server = warehouse.serve();
    push_readings(&server, 3, &[("d", -4.0)]);
    wait_for(&server, KEPT_AND_APART, &format!("{} d4", states[1]));
}

fn lost_history_is_not_redone_unasked() {
    let warehouse = project(&[(
        "silver.kept",
        "STREAMING TABLE silver.kept AS SELECT sensor FROM STREAM bronze.readings",
    )]);
    let rows = "SELECT string_agg(sensor, ' ' ORDER BY sensor) FROM silver.kept";
    let server = warehouse.serve();
    for (token, sensor) in [(1, "a"), (2, "b"), (3, "c")] {
        push_readings(&server, token, &[(sensor, 1.0)]);
        server.wait_until("SELECT count(*) FROM silver.kept", &token.to_string());
    }
    server.kill9();
    // Bronze begins anew.
    fs::remove_dir_all(warehouse.data().join("bronze")).unwrap();
    let server = warehouse.serve();
    push_readings(&server, 4, &[("d", 1.0)]);
    server.wait_until("SELECT string_agg(sensor, ' ') FROM bronze.readings", "d");
    let (code, message) = server.connect().refusal("REFRESH TABLE silver.kept FULL");
    assert_eq!(code, "55000", "{message}");
    assert!(message.contains("bronze.readings does not hold all rows"), "{message}");
    assert!(message.contains("FULL ALLOW HISTORY LOSS"), "{message}");
    assert_eq!(server.query(rows), "a b c");
    let session = server.connect();
    session.text("REFRESH TABLE silver.kept FULL ALLOW HISTORY LOSS");
    assert_eq!(session.text(rows), "d");
    push_readings(&server, 5, &[("e", 1.0)]);
    server.wait_until(rows, "d e");
}
