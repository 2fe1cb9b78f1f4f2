//! Time passes although no stream moves: what a view asks of `now()` comes true by itself.

use crate::push::push;
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("time::silence_is_noticed", silence_is_noticed),
        trial("time::windows_are_kept_from_changes", windows_are_kept_from_changes),
        trial("time::a_window_appears_when_it_is_closed", a_window_appears_when_it_is_closed),
        trial("time::late_rows_are_kept_apart", late_rows_are_kept_apart),
        trial("time::what_knows_no_lateness_is_refused", what_knows_no_lateness_is_refused),
        trial("time::a_silent_partition_holds_nobody_up", a_silent_partition_holds_nobody_up),
        trial("time::settings_of_a_watermark_are_checked", settings_of_a_watermark_are_checked),
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

/// The watermark that closes a window is the one that the newest commit came to.
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
    // The watermark becomes 10:06.
    shows(3, 7, "2,1", "2");
    shows(4, 8, "2,2", "2");
    // What is late corrects its window.
    shows(5, 2, "3,2", "3");
    verified(&server, "gold.closed");
}

/// What came after its window had closed is not in the view, but beside it: each row once, also after a restart.
fn late_rows_are_kept_apart() {
    let view = |name: &str, windows: &str, emit: &str| {
        format!(
            "CREATE MATERIALIZED VIEW gold.{name} REFRESH POLICY INCREMENTAL STRICT\n\
             AS SELECT window_start, sum(qty) AS qty FROM {windows} GROUP BY window_start, window_end\n\
             {emit} LATE ROWS TO gold.{name}__late;\n"
        )
    };
    let tumble = "TUMBLE(bronze.sales, sold_at, INTERVAL '5' MINUTE)";
    let closed = "CREATE MATERIALIZED VIEW gold.closed\n\
                  AS SELECT window_start, window_end, sum(qty) AS qty\n\
                  FROM TUMBLE(silver.sales, sold_at, INTERVAL '5' MINUTE) GROUP BY window_start, window_end\n\
                  EMIT ON WINDOW CLOSE LATE ROWS TO gold.closed__late;\n\
                  COMMENT ON TABLE gold.closed__late IS 'Too late';\n";
    let hop = "HOP(bronze.sales, sold_at, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE)";
    let warehouse = project(&[
        ("sql/gold/tumbled.sql", &view("tumbled", tumble, "")),
        ("sql/gold/hopped.sql", &view("hopped", hop, "")),
        ("sql/gold/visits.sql", &view("visits", "SESSION(bronze.sales, sold_at, INTERVAL '3' MINUTE)", "")),
        ("sql/gold/closed.sql", closed),
        (
            "sql/silver/sales.sql",
            "CREATE STREAMING TABLE silver.sales AS SELECT item, sold_at, qty, _watermark FROM STREAM bronze.sales;\n",
        ),
    ]);
    let views = ["tumbled", "hopped", "visits", "closed"].map(|name| format!("gold.{name}"));
    let all = views.iter().flat_map(|view| [view.clone(), format!("{view}__late")]).collect::<Vec<_>>();
    let fresh = format!(
        "SELECT count(*) FROM sluice.freshness WHERE table_name IN ('{}') AND state = 'fresh'",
        all.join("', '")
    );
    let mut server = warehouse.serve();
    let sums = |view: &str| format!("SELECT string_agg(qty::TEXT, ',' ORDER BY window_start) FROM {view}");
    // Minute and amount of each sale. Each commit advances the watermark to its newest sale less a minute.
    for (token, minute, qty) in
        [(1, 1, 1), (2, 20, 10), (3, 2, 100), (4, 17, 1_000), (5, 18, 10_000), (6, 12, 100_000)]
    {
        if token == 4 {
            drop(server);
            server = warehouse.serve();
        }
        let line =
            format!("{{\"item\": \"tea\", \"sold_at\": \"2026-01-01T10:{minute:02}:00Z\", \"qty\": {qty}}}");
        sell(&server, token, &line);
        let sum = "SELECT sum(qty) FROM silver.sales";
        let sold = ["1", "11", "111", "1111", "11111", "111111"];
        server.wait_until(sum, sold[usize::try_from(token).unwrap() - 1]);
        server.wait_until(&fresh, "8");
    }
    // From 10:19 on, 10:02 and 10:12 are late; 10:17 and 10:18 are not, since their window ends at 10:20.
    assert_eq!(server.query(&sums("gold.tumbled")), "1,11000,10");
    assert_eq!(server.query(&sums("gold.tumbled__late")), "100,100000");
    let late = "SELECT item, sold_at = TIMESTAMPTZ '2026-01-01 10:02:00Z', window_start = TIMESTAMPTZ '2026-01-01 10:00:00Z', \
                _watermark = TIMESTAMPTZ '2026-01-01 10:19:00Z', _partition, _offset FROM gold.tumbled__late WHERE qty = 100";
    assert_eq!(server.query(late), "tea|t|t|t|one|3000000");
    let apart = "SELECT source, rule, reason LIKE '%end of its window, 2026-01-01%', CAST(raw AS TEXT) LIKE '{\"item\": \"tea\"%\"qty\": \
                 100}', epoch > 0, length(definition_hash), state FROM sluice.quarantine \
                 WHERE table_name = 'gold.tumbled' AND position = 'one:3000000'";
    assert_eq!(server.query(apart), "bronze.sales|late|t|t|t|16|late");
    // Where the record that a row comes from is not in it, it is kept as it is.
    let apart = "SELECT source, rule, CAST(raw AS TEXT) LIKE '{\"item\":\"tea\",\"sold_at\":\"2026-01-01T10:02%\"qty\":100,%', length(definition_hash) \
                 FROM sluice.quarantine WHERE table_name = 'gold.closed' AND CAST(raw AS TEXT) LIKE '%\"qty\":100,%'";
    assert_eq!(server.query(apart), "silver.sales|late|t|16");
    // Of the two windows of 10:12 one ended at 10:15, the other ends at 10:20.
    assert_eq!(server.query(&sums("gold.hopped")), "1,1,111000,11010,10");
    // A sale at 10:17 alone would be a session until 10:20.
    assert_eq!(server.query(&sums("gold.visits")), "1,11010");
    assert_eq!(server.query(&sums("gold.visits__late")), "100,100000");
    assert_eq!(server.query(&sums("gold.closed")), "1");
    assert_eq!(server.query(&sums("gold.closed__late")), "100,100000");
    for table in all {
        verified(&server, &table);
    }
    let shown = "SELECT kind, incremental FROM sluice.models WHERE model = 'gold.tumbled__late'";
    assert_eq!(server.query(shown), "late rows|t");
    let comments = "SELECT obj_description('gold.tumbled__late'::regclass), obj_description('gold.closed__late'::regclass)";
    assert_eq!(server.query(comments), "Rows that came too late for their windows in gold.tumbled|Too late");
    let explained =
        server.query(&format!("EXPLAIN {}", view("other", tumble, "").trim_end().trim_end_matches(';')));
    assert!(
        explained.contains("Late rows to gold.other__late") && !explained.contains("refused"),
        "{explained}"
    );
}

fn what_knows_no_lateness_is_refused() {
    let warehouse = project(&[(
        "catalog/plain.sql",
        "CREATE SOURCE bronze.plain (at TIMESTAMPTZ) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n",
    )]);
    warehouse.write(
        "sql/silver/bare.sql",
        "CREATE STREAMING TABLE silver.bare AS SELECT sold_at FROM STREAM bronze.sales;\n",
    );
    warehouse.write("sql/gold/taken.sql", "CREATE VIEW gold.taken AS SELECT 1 AS one;\n");
    warehouse.write(
        "sql/gold/days.sql",
        "CREATE MATERIALIZED VIEW gold.days AS SELECT sold_at, _watermark FROM bronze.sales;\n",
    );
    let tumble = |table: &str| format!("SELECT * FROM TUMBLE({table}, sold_at, INTERVAL '5' MINUTE)");
    for (query, says) in [
        (
            "SELECT sold_at FROM bronze.sales LATE ROWS TO gold.x__late".to_string(),
            ["LATE ROWS TO without a window", "TUMBLE("],
        ),
        (
            "SELECT * FROM TUMBLE(bronze.plain, at, INTERVAL '5' MINUTE) LATE ROWS TO gold.x__late"
                .to_string(),
            ["source \"bronze.plain\" has no watermark", "WATERMARK FOR"],
        ),
        (
            format!("{} LATE ROWS TO gold.x__late", tumble("silver.bare")),
            ["\"silver.bare\" keeps no _watermark", "_watermark among the columns"],
        ),
        (
            format!("{} LATE ROWS TO gold.x__late", tumble("gold.days")),
            ["\"gold.days\" is a materialized view", "none is late"],
        ),
        (
            format!("{} LATE ROWS TO gold.taken", tumble("bronze.sales")),
            ["table \"gold.taken\" is defined twice", "sql/gold/taken.sql:1:1"],
        ),
        (
            format!("{} LATE ROWS TO gold.x", tumble("bronze.sales")),
            ["cannot go to the view itself", "LATE ROWS TO gold.x__late"],
        ),
        (
            "SELECT count(*) AS n FROM TUMBLE(bronze.sales, sold_at, INTERVAL '5' MINUTE) GROUP BY window_end \
             EMIT ON WINDOW CLOSE"
                .to_string(),
            [
                "column \"window_end\" does not exist",
                "EMIT ON WINDOW CLOSE needs window_end among the result's columns.",
            ],
        ),
        (
            format!("{} LATE ROWS TO bronze.late", tumble("bronze.sales")),
            ["\"bronze.late\" cannot be defined", "schema of your own"],
        ),
        (
            format!("{} LATE ROWS TO late", tumble("bronze.sales")),
            ["\"late\" names no schema", "schema.name"],
        ),
    ] {
        warehouse.write("sql/gold/x.sql", format!("CREATE MATERIALIZED VIEW gold.x AS\n{query};\n"));
        let finished = warehouse.sluice(&["check"]);
        finished.expect(1, &says);
        finished.expect(1, &["sql/gold/x.sql:", "1 error\n"]);
    }
    warehouse.write(
        "sql/gold/x.sql",
        format!("CREATE VIEW gold.x AS {} LATE ROWS TO gold.y;\n", tumble("bronze.sales")),
    );
    warehouse.sluice(&["check"]).expect(1, &["it has no LATE ROWS TO", "materialized view"]);
}

/// The slowest of two senders holds the watermark back until it has been silent for the set time, also after a restart and
/// for what follows the source, and one from the future does not run it away.
fn a_silent_partition_holds_nobody_up() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/sales.sql",
        "CREATE SOURCE bronze.sales (sold_at TIMESTAMPTZ, WATERMARK FOR sold_at AS sold_at - INTERVAL '1' MINUTE)\n\
         WITH (connector = 'http', watermark.idle_after = '8 seconds', watermark.tolerance = '10 minutes')\n\
         FORMAT PLAIN ENCODE JSON;\n",
    );
    warehouse.write(
        "sql/gold/closed.sql",
        "CREATE MATERIALIZED VIEW gold.closed REFRESH POLICY INCREMENTAL STRICT\n\
         AS SELECT window_end, count(*) AS sales FROM TUMBLE(bronze.sales, sold_at, INTERVAL '5' MINUTE)\n\
         GROUP BY window_end EMIT ON WINDOW CLOSE;\n",
    );
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE STREAMING TABLE silver.sales AS SELECT sold_at FROM STREAM bronze.sales;\n",
    );
    warehouse.write(
        "sql/silver/copies.sql",
        "CREATE STREAMING TABLE silver.copies AS SELECT sold_at FROM STREAM silver.sales;\n",
    );
    warehouse.write(
        "sql/gold/followed.sql",
        "CREATE MATERIALIZED VIEW gold.followed REFRESH POLICY INCREMENTAL STRICT\n\
         AS SELECT window_end, count(*) AS sales FROM TUMBLE(silver.copies, sold_at, INTERVAL '5' MINUTE)\n\
         GROUP BY window_end EMIT ON WINDOW CLOSE;\n",
    );
    let sell = |server: &Server, sender: &str, token: i64, at: &str| {
        let reply =
            push(server, "sales", Some((sender, token)), &format!("{{\"sold_at\": \"{at}\"}}")).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let stands = |at: &str| {
        (
            format!("SELECT watermark = TIMESTAMPTZ '2026-01-01 {at}Z' FROM sluice.sources"),
            format!(
                "SELECT _watermark = TIMESTAMPTZ '2026-01-01 {at}Z' FROM bronze.sales ORDER BY _batch DESC LIMIT 1"
            ),
        )
    };
    let server = warehouse.serve();
    sell(&server, "slow", 1, "2026-01-01T10:01:00Z");
    sell(&server, "fast", 1, "2026-01-01T10:30:00Z");
    sell(&server, "fast", 2, "2026-01-01T10:31:00Z");
    server.wait_until("SELECT count(*) FROM bronze.sales", "3");
    assert_eq!(server.query(&stands("10:00:00").1), "t");
    // Nothing more comes.
    server.wait_until(&stands("10:30:00").0, "t");
    server.wait_until("SELECT sum(sales) FROM gold.closed", "1");
    server.wait_until("SELECT sum(sales) FROM gold.followed", "1");
    drop(server);
    let server = warehouse.serve();
    assert_eq!(server.query(&stands("10:30:00").0), "t");
    verified(&server, "gold.closed");
    sell(&server, "fast", 3, "2026-01-01T10:40:00Z");
    sell(&server, "fast", 4, "2026-01-01T10:50:00Z");
    server.wait_until("SELECT count(*) FROM bronze.sales", "5");
    // The slow one is given the whole time again, and the watermark does not go back.
    assert_eq!(server.query(&stands("10:30:00").1), "t");
    server.wait_until(&stands("10:49:00").0, "t");
    for (view, table) in [("gold.closed", "bronze.sales"), ("gold.followed", "silver.copies")] {
        server.wait_until(&format!("SELECT sum(sales) FROM {view}"), "4");
        verified(&server, view);
        let shown = format!("SELECT watermark = TIMESTAMPTZ '2026-01-01 10:49:00Z' FROM {table}__watermark");
        assert_eq!(server.query(&shown), "t");
    }
    let explained = server.query(
        "EXPLAIN CREATE MATERIALIZED VIEW gold.other AS SELECT window_end, count(*) AS sales\n\
         FROM TUMBLE(silver.copies, sold_at, INTERVAL '5' MINUTE) GROUP BY window_end EMIT ON WINDOW CLOSE",
    );
    assert!(!explained.contains("refused"), "{explained}");
    sell(&server, "fast", 5, "2100-01-01T00:00:00Z");
    let ahead = "SELECT watermark BETWEEN now() + INTERVAL '8' MINUTE AND now() + INTERVAL '9' MINUTE FROM sluice.sources";
    assert_eq!(server.query(ahead), "t");
}

fn settings_of_a_watermark_are_checked() {
    let source = |watermark: &str, with: &str| {
        format!(
            "CREATE SOURCE bronze.sales (sold_at TIMESTAMPTZ{watermark})\n\
             WITH (connector = 'http', {with}) FORMAT PLAIN ENCODE JSON;\n"
        )
    };
    let declared = ", WATERMARK FOR sold_at AS sold_at - INTERVAL '1' MINUTE";
    let warehouse = Warehouse::new();
    for (watermark, with, says) in [
        (
            "",
            "watermark.idle_after = '1 minute'",
            ["the source declares no WATERMARK", "WATERMARK FOR column"],
        ),
        (declared, "watermark.idle = '1 minute'", ["no option \"watermark.idle\"", "watermark.idle_after"]),
        (declared, "watermark.idle_after = 'soon'", ["a length of time from 1 ms to 365 days", "'1 minute'"]),
        (declared, "watermark.idle_after = '0 seconds'", ["from 1 ms to 365 days", "idle_after"]),
        (
            declared,
            "watermark.tolerance = 60",
            ["\"watermark.tolerance\" is a length of time from 0 ms", "'1 minute'"],
        ),
    ] {
        warehouse.write("catalog/sales.sql", source(watermark, with));
        warehouse.sluice(&["check"]).expect(1, &says);
    }
    warehouse.write(
        "catalog/sales.sql",
        source(declared, "watermark.idle_after = '90 s', watermark.tolerance = '0 s'"),
    );
    warehouse.sluice(&["check"]).expect(0, &[]);
}
