//! Columns whose types change: stored rows are rewritten in wider ones, once, and refused otherwise.

use super::{COUNTS, answers_during, declare, define, project, push_rows, verify, view, wait_for};
use crate::failpoints;
use crate::support::{FLOW, Server, trial, until};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("evolution::types_become_wider", types_become_wider),
        trial("evolution::kills_while_types_become_wider", kills_while_types_become_wider),
        trial("evolution::types_that_do_not_fit_are_refused", types_that_do_not_fit_are_refused),
    ]
}

const WIDE: &str = "SELECT sensor, small, number, price, ratio, day FROM bronze.readings ORDER BY _offset";

fn types_become_wider() {
    let warehouse = project(&[
        ("silver.kept", "STREAMING TABLE silver.kept AS SELECT sensor, number FROM STREAM bronze.readings"),
        (
            "gold.counts",
            &view("gold.counts", "SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor"),
        ),
        ("gold.kept", &view("gold.kept", "SELECT sum(number) AS n FROM silver.kept")),
        (
            "gold.prices",
            &view("gold.prices", "SELECT sensor, max(price) AS price FROM bronze.readings GROUP BY sensor"),
        ),
    ]);
    declare(
        &warehouse,
        "sensor STRING, small SMALLINT, number INT, price DECIMAL(10,2), ratio REAL, day DATE",
    );
    let server = warehouse.serve_with(&["--watch"]);
    let first = "{\"sensor\": \"a\", \"small\": -7, \"number\": 2000000000, \"price\": 12345678.9, \"ratio\": 0.25, \"day\": \"2026-01-02\"}";
    push_rows(&server, 1, first);
    push_rows(
        &server,
        2,
        "{\"sensor\": \"b\", \"number\": 2000000001}\n{\"sensor\": \"c\", \"number\": 5000000000}",
    );
    let before = "sensor|small|number|price|ratio|day\n\
                  a|-7|2000000000|12345678.90|0.25|2026-01-02\nb||2000000001|||";
    wait_for(&server, WIDE, before);
    wait_for(&server, "SELECT n FROM gold.kept", "n\n4000000001");
    wait_for(&server, "SELECT * FROM gold.prices ORDER BY 1", "sensor|price\na|12345678.90\nb|");
    wait_for(&server, COUNTS, "sensor|n\na|1\nb|1");
    wait_for(&server, "SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "count\n0");
    let epoch = server.query("SELECT max(epoch) FROM sluice.epochs");

    // More digits: what does not show them is not computed anew.
    let answers = answers_during(&server, WIDE, || {
        declare(
            &warehouse,
            "sensor STRING, small INT, number BIGINT, price DECIMAL(18,2), ratio REAL, day DATE",
        );
        let types = "SELECT string_agg(data_type, ',' ORDER BY ordinal_position) FROM information_schema.columns \
                     WHERE table_schema = 'bronze' AND column_name IN ('small', 'number')";
        wait_for(&server, types, "string_agg\ninteger,bigint");
    });
    assert_eq!(answers, [before], "the same values all the time");
    // Taken before, and not taken again; what was too large fits.
    push_rows(&server, 1, first);
    push_rows(
        &server,
        3,
        "{\"sensor\": \"a\", \"small\": 70000, \"number\": 5000000000, \"price\": 1234567890123.45}",
    );
    let after = format!("{before}\na|70000|5000000000|1234567890123.45||");
    wait_for(&server, WIDE, &after);
    wait_for(
        &server,
        "SELECT * FROM silver.kept ORDER BY 2",
        "sensor|number\na|2000000000\nb|2000000001\na|5000000000",
    );
    wait_for(&server, COUNTS, "sensor|n\na|2\nb|1");
    wait_for(&server, "SELECT n FROM gold.kept", "n\n9000000001");
    wait_for(&server, "SELECT * FROM gold.prices ORDER BY 1", "sensor|price\na|1234567890123.45\nb|");
    let modes = format!(
        "SELECT string_agg(DISTINCT model || ' ' || mode, ', ' ORDER BY model || ' ' || mode) FROM sluice.refreshes \
         WHERE epoch > {epoch} AND model <> 'gold.prices'"
    );
    server.wait_until(&modes, "gold.counts incremental, gold.kept incremental, silver.kept append");

    // Others compute otherwise: a view is compared with its query once.
    declare(
        &warehouse,
        "sensor STRING, small BIGINT, number BIGINT, price DECIMAL(20,4), ratio DOUBLE, day TIMESTAMP",
    );
    let last = "sensor|small|number|price|ratio|day\n\
                a|-7|2000000000|12345678.9000|0.25|2026-01-02 00:00:00\nb||2000000001|||\n\
                a|70000|5000000000|1234567890123.4500||";
    wait_for(&server, WIDE, last);
    server.kill9();
    let server = warehouse.serve();
    wait_for(&server, WIDE, last);
    push_rows(&server, 3, "{\"sensor\": \"a\"}");
    push_rows(&server, 4, "{\"sensor\": \"b\", \"day\": \"2026-01-02T03:04:05\"}");
    wait_for(&server, COUNTS, "sensor|n\na|2\nb|2");
    verify(&server, &["gold.counts", "gold.kept", "gold.prices"]);
}

fn kills_while_types_become_wider() {
    let price = |digits: usize| format!("sensor STRING, price DECIMAL({digits},2)");
    let warehouse = project(&[(
        "silver.kept",
        "STREAMING TABLE silver.kept AS SELECT sensor, price FROM STREAM bronze.readings",
    )]);
    declare(&warehouse, &price(10));
    let server = warehouse.serve();
    push_rows(&server, 1, "{\"sensor\": \"a\", \"price\": 1.5}");
    push_rows(&server, 2, "{\"sensor\": \"b\", \"price\": 2.5}");
    server.wait_until("SELECT sum(price) FROM silver.kept", "4.00");
    server.kill9();
    let (of_bronze, of_silver) = ("bronze.readings", "silver.kept");
    let steps = [
        failpoints::REWRITE[0].to_string(),
        format!("lake.data.written[{of_bronze}]=kill"),
        format!("lake.commit.synced[{of_bronze}]=kill"),
        format!("lake.commit.linked[{of_bronze}]=kill"),
        format!("lake.commit.durable[{of_bronze}]=kill"),
        format!("lake.rewrite.file[{of_silver}]=kill"),
        format!("lake.commit.linked[{of_silver}]=kill"),
        format!("lake.commit.durable[{of_silver}]=kill"),
    ];
    for (number, step) in (3..).zip(&steps) {
        declare(&warehouse, &price(10 + 2 * number));
        let armed = format!("SLUICE_FAILPOINTS={step}");
        let ended = Server::launch_within(&["env", &armed], &warehouse, &[]).ready();
        let Err(ended) = ended else { panic!("{step}: it did not end at its start") };
        assert!(ended.stderr.contains("the process ends"), "{step}: it said:\n{}", ended.stderr);
        let server = warehouse.serve();
        let token = i64::try_from(number).unwrap();
        for token in [1, token, token] {
            push_rows(&server, token, "{\"sensor\": \"c\", \"price\": 1}");
        }
        let wanted = format!("{number}|{number}|{}.00", number + 2);
        server
            .wait_until("SELECT count(*), count(DISTINCT _offset), sum(price) FROM bronze.readings", &wanted);
        server.wait_until("SELECT sum(price) FROM silver.kept", &format!("{}.00", number + 2));
        server.kill9();
    }
}

fn types_that_do_not_fit_are_refused() {
    let kept = |number: &str| {
        format!(
            "STREAMING TABLE silver.kept (sensor STRING, number {number}) AS SELECT sensor, number FROM STREAM bronze.readings"
        )
    };
    let warehouse = project(&[
        ("silver.kept", &kept("BIGINT")),
        (
            "gold.counts",
            &view("gold.counts", "SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor"),
        ),
    ]);
    declare(&warehouse, "sensor STRING, number BIGINT");
    let server = warehouse.serve_with(&["--watch"]);
    push_rows(&server, 1, "{\"sensor\": \"a\", \"number\": 5}");
    wait_for(&server, "SELECT number FROM silver.kept", "number\n5");
    wait_for(&server, COUNTS, "sensor|n\na|1");

    // A model alone.
    define(&warehouse, "silver.kept", &kept("INT"));
    let error =
        "SELECT error FROM sluice.refreshes WHERE model = 'silver.kept' AND outcome = 'failed' LIMIT 1";
    server.wait_until(
        error,
        "table silver.kept: column \"number\" is stored as BIGINT and now defined as INT, which does not hold every \
         BIGINT; define it as BIGINT again, or give the model another name, or move its folder away",
    );
    push_rows(&server, 2, "{\"sensor\": \"a\", \"number\": 6}");
    wait_for(&server, COUNTS, "sensor|n\na|2");
    define(&warehouse, "silver.kept", &kept("BIGINT"));
    wait_for(&server, "SELECT number FROM silver.kept ORDER BY 1", "number\n5\n6");

    // A source.
    declare(&warehouse, "sensor STRING, number STRING");
    let state = "SELECT state, error FROM sluice.sources";
    until("the source is refused", FLOW, || match server.query(state) {
        refused
            if refused.starts_with("failed|")
                && refused.contains("stored as BIGINT and now defined as TEXT") =>
        {
            Ok(())
        }
        other => Err(other),
    });
    wait_for(&server, "SELECT number FROM silver.kept ORDER BY 1", "number\n5\n6");
    wait_for(&server, COUNTS, "sensor|n\na|2");
    declare(&warehouse, "sensor STRING, number BIGINT");
    until("the source is back", FLOW, || match server.query(state) {
        running if running.starts_with("running") => Ok(()),
        other => Err(other),
    });
    push_rows(&server, 3, "{\"sensor\": \"b\", \"number\": 7}");
    wait_for(&server, COUNTS, "sensor|n\na|2\nb|1");

    // A view cannot become a streaming table of the rows that it happened to have.
    define(
        &warehouse,
        "gold.counts",
        "STREAMING TABLE gold.counts AS SELECT sensor, number AS n FROM STREAM bronze.readings",
    );
    server.wait_until(
        "SELECT error FROM sluice.refreshes WHERE model = 'gold.counts' AND outcome = 'failed' LIMIT 1",
        "table gold.counts: its rows come and go, and the definition only ever adds rows; define it as before, or give \
         the model another name, or move its folder away",
    );
}
