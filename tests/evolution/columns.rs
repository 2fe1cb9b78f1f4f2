//! A source's columns come and go under models that take all of them.

use super::{project, table, view, wait_for};
use crate::push::push;
use crate::support::{FLOW, Server, Warehouse, trial, until};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("evolution::a_source_loses_a_column", a_source_loses_a_column),
    ]
}

/// Declares the source with these columns.
fn declare(warehouse: &Warehouse, columns: &str) {
    warehouse.write(
        "catalog/readings.sql",
        format!(
            "CREATE SOURCE bronze.readings ({columns})\nWITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n"
        ),
    );
}

fn push_rows(server: &Server, token: i64, rows: &str) {
    let reply = push(server, "readings", Some(("one", token)), rows).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn wait_for_fresh(server: &Server) {
    wait_for(server, "SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "count\n0");
}

fn verify(server: &Server, views: &[&str]) {
    for view in views {
        until(view, FLOW, || match server.query(&format!("VERIFY MATERIALIZED VIEW {view}")) {
            verified if verified.contains("|0|0|equal|") => Ok(()),
            verified => Err(verified),
        });
    }
}

/// A change feed that keeps all columns but one.
fn feed(name: &str, kind: &str) -> String {
    format!(
        "OR REFRESH STREAMING TABLE {name} FLOW AUTO CDC FROM STREAM bronze.readings KEYS (id) \
         APPLY AS DELETE WHEN op = 'D' SEQUENCE BY seq COLUMNS * EXCEPT (op){kind}"
    )
}

fn a_source_loses_a_column() {
    let warehouse = project(&[
        ("silver.kept", "STREAMING TABLE silver.kept AS SELECT * FROM STREAM bronze.readings"),
        ("silver.newest", &feed("silver.newest", "")),
        ("gold.all", &view("gold.all", "SELECT * FROM bronze.readings")),
        ("gold.kept", &view("gold.kept", "SELECT * FROM silver.kept")),
        ("gold.counts", &view("gold.counts", "SELECT op, count(*) AS n FROM silver.kept GROUP BY op")),
    ]);
    let (more, fewer) = ("id BIGINT, note STRING, op STRING, seq BIGINT", "id BIGINT, op STRING, seq BIGINT");
    declare(&warehouse, more);
    let server = warehouse.serve_with(&["--watch"]);
    push_rows(&server, 1, "{\"id\": 1, \"op\": \"U\", \"seq\": 1, \"note\": \"a\"}");
    wait_for(&server, "SELECT id, note FROM gold.all", "id|note\n1|a");
    wait_for(&server, "SELECT id, note FROM gold.kept", "id|note\n1|a");
    wait_for(&server, "SELECT id, note FROM silver.newest", "id|note\n1|a");
    wait_for_fresh(&server);

    let shown = |server: &Server, count: &str| {
        server
            .wait_until("SELECT count(*) FROM information_schema.columns WHERE column_name = 'note'", count);
    };
    declare(&warehouse, fewer);
    shown(&server, "0");
    push_rows(&server, 2, "{\"id\": 2, \"op\": \"U\", \"seq\": 2, \"note\": \"b\"}");
    for table in ["gold.all", "gold.kept", "silver.kept", "silver.newest"] {
        wait_for(&server, &format!("SELECT id, seq FROM {table} ORDER BY id"), "id|seq\n1|1\n2|2");
    }
    wait_for(&server, "SELECT * FROM gold.counts", "op|n\nU|2");
    wait_for_fresh(&server);
    let views = ["gold.all", "gold.kept", "gold.counts"];
    verify(&server, &views);
    assert!(table(&server.connect(), "SELECT note FROM bronze.readings").is_err());
    server.connect().text("REFRESH TABLE silver.kept FULL");
    assert_eq!(server.query("SELECT count(*) FROM silver.kept"), "2");
    server.kill9();

    let server = warehouse.serve_with(&["--watch"]);
    push_rows(&server, 3, "{\"id\": 3, \"op\": \"U\", \"seq\": 3}");
    wait_for(&server, "SELECT count(*) AS n FROM gold.kept", "n\n3");
    verify(&server, &views);
    // Nothing stored is lost: what is declared again is there again, in views too.
    declare(&warehouse, more);
    shown(&server, "5");
    wait_for(&server, "SELECT id, note FROM bronze.readings ORDER BY id", "id|note\n1|a\n2|\n3|");
    wait_for(&server, "SELECT id, note FROM gold.all ORDER BY id", "id|note\n1|a\n2|\n3|");
    wait_for(&server, "SELECT id, note FROM silver.newest ORDER BY id", "id|note\n1|a\n2|\n3|");
    wait_for_fresh(&server);
    verify(&server, &views);
}
