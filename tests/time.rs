//! Time passes although no stream moves: what a view asks of `now()` comes true by itself.

use crate::push::push;
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("time::silence_is_noticed", silence_is_noticed),
        trial("time::windows_are_kept_from_changes", windows_are_kept_from_changes),
        trial("time::a_window_appears_when_it_is_closed", a_window_appears_when_it_is_closed),
    ]
}

fn project(models: &[(&str, &str)]) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/sales.sql",
        "CREATE SOURCE bronze.sales (item STRING, sold_at TIMESTAMPTZ, qty INT,\n\
         WATERMARK FOR sold_at AS sold_at - INTERVAL '1' MINUTE)\n\
         WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    );
    for (path, text) in models {
        warehouse.write(path, text);
    }
    warehouse
}

fn sell(server: &Server, token: i64, lines: &str) {
    let reply = push(server, "sales", Some(("one", token)), lines).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn verified(server: &Server, view: &str) {
    let answer = server.query(&format!("VERIFY MATERIALIZED VIEW {view}"));
    assert!(answer.contains("|equal"), "{answer}");
}

fn wait_for_first(server: &Server, models: &str, count: usize) {
    server.wait_until(
        &format!("SELECT count(*) FROM sluice.freshness WHERE table_name IN ({models}) AND state = 'fresh'"),
        &count.to_string(),
    );
}

/// One sale, and then nothing more: it leaves one view and makes its item appear in the other.
fn silence_is_noticed() {
    let warehouse = project(&[
        (
            "sql/gold/recent.sql",
            "CREATE MATERIALIZED VIEW gold.recent REFRESH POLICY INCREMENTAL STRICT\n\
             AS SELECT item, qty FROM bronze.sales WHERE _ingested_at >= now() - INTERVAL '5' SECOND;\n",
        ),
        (
            "sql/gold/silent.sql",
            "CREATE MATERIALIZED VIEW gold.silent REFRESH POLICY INCREMENTAL STRICT\n\
             AS SELECT item, max(_ingested_at) AS last FROM bronze.sales GROUP BY item\n\
             HAVING max(_ingested_at) < now() - INTERVAL '5' SECOND;\n",
        ),
    ]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.recent', 'gold.silent'", 2);
    sell(&server, 1, "{\"item\": \"tea\", \"sold_at\": \"2026-01-01T10:00:00Z\", \"qty\": 2}");
    server.wait_until(
        "SELECT count(*) FROM sluice.refreshes WHERE model = 'gold.recent' AND rows_inserted = 1",
        "1",
    );
    server.wait_until("SELECT count(*) FROM gold.recent", "0");
    server.wait_until("SELECT item FROM gold.silent", "tea");
    let how = "SELECT DISTINCT mode FROM sluice.refreshes WHERE rows_deleted = 1 AND model = 'gold.recent' \
               OR rows_inserted = 1 AND model = 'gold.silent'";
    assert_eq!(server.query(how), "incremental");
    verified(&server, "gold.recent");
    verified(&server, "gold.silent");
}

/// A late row corrects its windows alone.
fn windows_are_kept_from_changes() {
    let warehouse = project(&[
        (
            "sql/gold/sales_5m.sql",
            "CREATE MATERIALIZED VIEW gold.sales_5m REFRESH POLICY INCREMENTAL STRICT\n\
             AS SELECT window_start, window_end, item, sum(qty) AS qty\n\
             FROM TUMBLE(bronze.sales, sold_at, INTERVAL '5' MINUTE) GROUP BY window_start, window_end, item;\n",
        ),
        (
            "sql/gold/visits.sql",
            "CREATE MATERIALIZED VIEW gold.visits REFRESH POLICY INCREMENTAL STRICT\n\
             AS SELECT item, window_start, count(*) AS sales\n\
             FROM SESSION(bronze.sales, sold_at, INTERVAL '3' MINUTE, item) GROUP BY item, window_start;\n",
        ),
        (
            "sql/silver/hops.sql",
            "CREATE STREAMING TABLE silver.hops\n\
             AS SELECT item, window_end FROM HOP(STREAM bronze.sales, sold_at, INTERVAL '1' HOUR, INTERVAL '2' HOUR);\n",
        ),
    ]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.sales_5m', 'gold.visits'", 2);
    let sale = |minute: u32| {
        format!("{{\"item\": \"tea\", \"sold_at\": \"2026-01-01T10:{minute:02}:00Z\", \"qty\": 1}}\n")
    };
    sell(&server, 1, &[sale(1), sale(5), sale(9)].concat());
    server.wait_until("SELECT string_agg(qty::TEXT, ',' ORDER BY window_start) FROM gold.sales_5m", "1,2");
    server.wait_until("SELECT string_agg(sales::TEXT, ',' ORDER BY window_start) FROM gold.visits", "1,1,1");
    sell(&server, 2, &[sale(3), sale(7)].concat());
    server.wait_until("SELECT string_agg(qty::TEXT, ',' ORDER BY window_start) FROM gold.sales_5m", "2,3");
    server.wait_until("SELECT string_agg(sales::TEXT, ',' ORDER BY window_start) FROM gold.visits", "5");
    server.wait_until("SELECT count(*) FROM silver.hops", "10");
    verified(&server, "gold.sales_5m");
    verified(&server, "gold.visits");
}

/// The watermark that closes a window is the one that stood before the newest commit.
fn a_window_appears_when_it_is_closed() {
    let query = "SELECT window_start, window_end, sum(qty) AS qty\n\
                 FROM TUMBLE(bronze.sales, sold_at, INTERVAL '5' MINUTE) GROUP BY window_start, window_end";
    let text = |name: &str, emit: &str| {
        format!("CREATE MATERIALIZED VIEW gold.{name} REFRESH POLICY INCREMENTAL STRICT AS {query}{emit};\n")
    };
    let warehouse = project(&[
        ("sql/gold/closed.sql", &text("closed", " EMIT ON WINDOW CLOSE")),
        ("sql/gold/open.sql", &text("open", "")),
    ]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.closed', 'gold.open'", 2);
    let shows = |token: i64, minute: u32, open: &str, closed: &str| {
        let line =
            format!("{{\"item\": \"tea\", \"sold_at\": \"2026-01-01T10:{minute:02}:00Z\", \"qty\": 1}}");
        let reply = push(&server, "sales", Some(("one", token)), &line).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
        let all = |view: &str| {
            format!("SELECT coalesce(string_agg(qty::TEXT, ',' ORDER BY window_start), '') FROM gold.{view}")
        };
        server.wait_until(&all("open"), open);
        server.wait_until(
            "SELECT count(*) FROM sluice.freshness WHERE table_name = 'gold.closed' AND state = 'fresh'",
            "1",
        );
        server.wait_until(&all("closed"), closed);
    };
    shows(1, 1, "1", "");
    shows(2, 4, "2", "");
    // The watermark becomes 10:06, and the next commit knows.
    shows(3, 7, "2,1", "");
    shows(4, 8, "2,2", "2");
    // What is late corrects its window.
    shows(5, 2, "3,2", "3");
    verified(&server, "gold.closed");
}
