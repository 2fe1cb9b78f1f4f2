//! Definitions that change while there are rows: what readers see meanwhile, and what is computed anew.

mod columns;
mod hidden;
mod redo;
mod types;

use crate::push::{READINGS, push};
use crate::support::{FLOW, Pg, Server, Warehouse, pg, trial, until};
use libtest_mimic::Trial;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio_postgres::SimpleQueryMessage;

pub fn trials() -> Vec<Trial> {
    let views = vec![
        trial("evolution::columns_change_at_one_epoch", columns_change_at_one_epoch),
        trial("evolution::only_what_reads_it_is_rebuilt", only_what_reads_it_is_rebuilt),
        trial("evolution::what_reads_it_is_shown_with_it", what_reads_it_is_shown_with_it),
        trial("evolution::a_source_gains_a_column", a_source_gains_a_column),
        trial("evolution::models_name_a_column_at_once_with_its_source", models_name_a_column_at_once),
        trial("evolution::what_fails_leaves_the_old", what_fails_leaves_the_old),
        trial("evolution::kills_leave_the_old_or_the_new", kills_leave_the_old_or_the_new),
    ];
    [views, columns::trials(), types::trials(), hidden::trials(), redo::trials()]
        .into_iter()
        .flatten()
        .collect()
}

fn project(models: &[(&str, &str)]) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/readings.sql", READINGS);
    for (name, definition) in models {
        define(&warehouse, name, definition);
    }
    warehouse
}

/// Writes a model's file: `CREATE <definition>` under its name.
fn define(warehouse: &Warehouse, name: &str, definition: &str) {
    warehouse.write(&format!("sql/{}.sql", name.replace('.', "/")), format!("CREATE {definition};\n"));
}

fn view(name: &str, query: &str) -> String {
    format!("MATERIALIZED VIEW {name} AS {query}")
}

/// Declares the source with other columns.
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

/// Waits until views are what their queries give.
fn verify(server: &Server, views: &[&str]) {
    for view in views {
        until(view, FLOW, || match server.query(&format!("VERIFY MATERIALIZED VIEW {view}")) {
            verified if verified.contains("|0|0|equal|") => Ok(()),
            verified => Err(verified),
        });
    }
}

fn push_readings(server: &Server, token: i64, readings: &[(&str, f64)]) {
    let line = |(sensor, value): &(&str, f64)| format!("{{\"sensor\": \"{sensor}\", \"value\": {value}}}");
    let body: Vec<String> = readings.iter().map(line).collect();
    push_rows(server, token, &body.join("\n"));
}

/// The answer with its columns' names as first line.
pub fn table(session: &Pg, sql: &str) -> Result<String, String> {
    let messages = session.run(session.client().simple_query(sql)).map_err(|error| pg::describe(&error))?;
    let lines = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::RowDescription(columns) => {
            Some(columns.iter().map(|column| column.name().to_string()).collect::<Vec<_>>())
        }
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or_default().to_string()).collect())
        }
        _ => None,
    });
    Ok(lines.map(|line| line.join("|")).collect::<Vec<_>>().join("\n"))
}

fn wait_for(server: &Server, sql: &str, expected: &str) {
    let session = server.connect();
    until(&format!("{sql} = {expected:?}"), FLOW, || match table(&session, sql) {
        Ok(answer) if answer == expected => Ok(()),
        Ok(answer) | Err(answer) => Err(answer),
    });
}

/// Asks over and over while `deed` goes on: the different answers in the order in which they came.
fn answers_during(server: &Server, sql: &str, deed: impl FnOnce()) -> Vec<String> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let session = server.connect();
            let mut answers: Vec<String> = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let answer = table(&session, sql).unwrap_or_else(|error| error);
                if answers.last() != Some(&answer) {
                    answers.push(answer);
                }
            }
            answers
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(deed));
        done.store(true, Ordering::Relaxed);
        let answers = reader.join().unwrap();
        outcome.unwrap_or_else(|_| panic!("meanwhile were seen {answers:#?}"));
        answers
    })
}

const COUNTS: &str = "SELECT * FROM gold.counts ORDER BY 1";

/// A view's definitions, one after the other, and what each gives: a column more, one under another name, one of another
/// type, one less, others in other folders.
const VERSIONS: [(&str, &str); 6] = [
    ("SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor", "sensor|n\na|2\nb|1"),
    (
        "SELECT sensor, count(*) AS n, sum(value) AS total FROM bronze.readings GROUP BY sensor",
        "sensor|n|total\na|2|3\nb|1|4",
    ),
    (
        "SELECT sensor AS name, count(*) AS n, sum(value) AS total FROM bronze.readings GROUP BY sensor",
        "name|n|total\na|2|3\nb|1|4",
    ),
    (
        "SELECT sensor AS name, CAST(count(*) AS STRING) || ' of them' AS n, max(value) AS total \
         FROM bronze.readings GROUP BY sensor",
        "name|n|total\na|2 of them|2\nb|1 of them|4",
    ),
    (
        "SELECT sensor AS name, count(*) * 10 AS n FROM bronze.readings GROUP BY sensor HAVING count(*) > 1",
        "name|n\na|20",
    ),
    ("SELECT value, sensor AS n FROM bronze.readings WHERE value < 3", "value|n\n1|a\n2|a"),
];

fn columns_change_at_one_epoch() {
    let warehouse = project(&[("gold.counts", &view("gold.counts", VERSIONS[0].0))]);
    let server = warehouse.serve_with(&["--watch"]);
    push_readings(&server, 1, &[("a", 1.0), ("a", 2.0), ("b", 4.0)]);
    wait_for(&server, COUNTS, VERSIONS[0].1);
    for (before, (query, rows)) in VERSIONS.iter().zip(&VERSIONS[1..]) {
        let definition = view("gold.counts", query);
        let answers = answers_during(&server, COUNTS, || {
            define(&warehouse, "gold.counts", &definition);
            wait_for(&server, COUNTS, rows);
        });
        assert_eq!(answers, [before.1, rows], "the old, then the new, and nothing between");
        let columns = server.query(
            "SELECT string_agg(column_name, '|' ORDER BY ordinal_position) FROM information_schema.columns \
             WHERE table_schema = 'gold' AND table_name = 'counts'",
        );
        assert_eq!(Some(columns.as_str()), rows.lines().next(), "catalogs show what readers get");
        let verified = server.query("VERIFY MATERIALIZED VIEW gold.counts");
        assert!(verified.contains("|0|0|equal|"), "{verified}");
    }
    // Other folders for the same columns, then changes on top.
    let parted = format!("MATERIALIZED VIEW gold.counts PARTITIONED BY (n) AS {}", VERSIONS[5].0);
    let answers = answers_during(&server, COUNTS, || {
        define(&warehouse, "gold.counts", &parted);
        until("a folder of each sensor's rows", FLOW, || {
            let log = warehouse.data().join("gold/counts/_delta_log");
            let parted = fs::read_dir(log).unwrap().any(|file| {
                fs::read_to_string(file.unwrap().path())
                    .is_ok_and(|text| text.contains("\"partitionValues\":{\"n\":\"a\"}"))
            });
            if parted { Ok(()) } else { Err("no such file yet".to_string()) }
        });
    });
    assert_eq!(answers, [VERSIONS[5].1]);
    push_readings(&server, 2, &[("c", 2.5)]);
    wait_for(&server, COUNTS, "value|n\n1|a\n2|a\n2.5|c");
    assert!(server.query("VERIFY MATERIALIZED VIEW gold.counts").contains("|0|0|equal|"));
}

fn only_what_reads_it_is_rebuilt() {
    let counts = "SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor";
    let warehouse = project(&[
        ("gold.counts", &view("gold.counts", counts)),
        ("gold.seen", "VIEW gold.seen AS SELECT n FROM gold.counts"),
        ("gold.total", &view("gold.total", "SELECT sum(n) AS n FROM gold.seen")),
        ("gold.above", &view("gold.above", "SELECT n + 1 AS n FROM gold.total")),
        ("gold.apart", &view("gold.apart", "SELECT sum(value) AS total FROM bronze.readings")),
        ("silver.kept", "STREAMING TABLE silver.kept AS SELECT sensor FROM STREAM bronze.readings"),
        ("gold.kept", &view("gold.kept", "SELECT count(*) AS n FROM silver.kept")),
    ]);
    let server = warehouse.serve_with(&["--watch"]);
    push_readings(&server, 1, &[("a", 1.0), ("a", 2.0), ("b", 4.0)]);
    wait_for(&server, "SELECT n FROM gold.above", "n\n4");
    wait_for(&server, "SELECT total FROM gold.apart", "total\n7");
    wait_for(&server, "SELECT n FROM gold.kept", "n\n3");
    wait_for(&server, "SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "count\n0");
    let epoch = server.query("SELECT max(epoch) FROM sluice.epochs");
    let refreshed = format!(
        "SELECT string_agg(DISTINCT model, ' ' ORDER BY model) FROM sluice.refreshes WHERE epoch > {epoch}"
    );
    let versions = |names: &str| {
        server.query(&format!(
            "SELECT string_agg(DISTINCT table_name || ' ' || version, ', ' ORDER BY table_name || ' ' || version) \
             FROM sluice.epochs WHERE epoch >= {epoch} AND table_name IN ({names})"
        ))
    };
    let others = "'gold.apart', 'silver.kept', 'gold.kept'";
    let before = versions(others);

    // A column more, which those above do not read: they are computed anew, and nothing comes of it.
    define(
        &warehouse,
        "gold.counts",
        &view("gold.counts", &counts.replace("count(*)", "max(value) AS m, count(*)")),
    );
    wait_for(&server, COUNTS, "sensor|m|n\na|2|2\nb|4|1");
    server.wait_until(&refreshed, "gold.counts gold.total");
    // A view between that is not stored: what reads it has changed with it.
    define(&warehouse, "gold.seen", "VIEW gold.seen AS SELECT n * 10 AS n FROM gold.counts");
    wait_for(&server, "SELECT n FROM gold.above", "n\n31");
    server.wait_until(&refreshed, "gold.above gold.counts gold.total");
    assert_eq!(versions(others), before);
    server.kill9();

    // So it is when the files change while no server runs.
    define(&warehouse, "gold.counts", &view("gold.counts", counts));
    define(&warehouse, "gold.seen", "VIEW gold.seen AS SELECT n FROM gold.counts");
    let server = warehouse.serve();
    wait_for(&server, "SELECT n FROM gold.above", "n\n4");
    wait_for(&server, COUNTS, "sensor|n\na|2\nb|1");
    let versions = server.query(&format!(
        "SELECT count(DISTINCT table_name || version) FROM sluice.epochs WHERE epoch >= {epoch} \
         AND table_name IN ({others})"
    ));
    assert_eq!(versions, "3");
}

fn what_reads_it_is_shown_with_it() {
    let counts =
        |times: i32| format!("SELECT sensor, count(*) * {times} AS n FROM bronze.readings GROUP BY sensor");
    let warehouse = project(&[
        ("gold.counts", &view("gold.counts", &counts(1))),
        ("gold.total", &view("gold.total", "SELECT sum(n) AS n FROM gold.counts")),
        ("gold.above", &view("gold.above", "SELECT n + 1 AS n FROM gold.total")),
    ]);
    let server = warehouse.serve_with(&["--watch"]);
    push_readings(&server, 1, &[("a", 1.0), ("a", 2.0), ("b", 4.0)]);
    let all = "SELECT (SELECT sum(n) FROM gold.counts) AS counts, (SELECT n FROM gold.total) AS total, \
               (SELECT n FROM gold.above) AS above";
    let columns = "counts|total|above";
    wait_for(&server, all, &format!("{columns}\n3|3|4"));
    let before = server.query("SELECT max(epoch) FROM sluice.epochs");
    for times in [2, 3, 4] {
        let answers = answers_during(&server, all, || {
            define(&warehouse, "gold.counts", &view("gold.counts", &counts(times)));
            wait_for(&server, all, &format!("{columns}\n{0}|{0}|{1}", 3 * times, 3 * times + 1));
        });
        assert_eq!(answers.len(), 2, "{answers:#?}");
    }
    // No epoch shows what was computed from other rows than it shows.
    let mixed = format!(
        "SELECT count(*) FROM sluice.epochs a JOIN sluice.epochs i ON i.epoch = a.epoch \
         WHERE a.epoch > {before} AND a.table_name IN ('gold.total', 'gold.above') \
         AND a.inputs::json ->> i.table_name <> i.version::text"
    );
    assert_eq!(server.query(&mixed), "0");

    // A new one comes with what it reads; one that fails is not waited for.
    define(&warehouse, "gold.peak", &view("gold.peak", "SELECT max(n) AS n FROM gold.counts"));
    define(&warehouse, "gold.counts", &view("gold.counts", &counts(5)));
    wait_for(&server, "SELECT n FROM gold.peak", "n\n10");
    define(
        &warehouse,
        "gold.peak",
        &view("gold.peak", "SELECT CAST('n' || max(n) AS INT) AS n FROM gold.counts"),
    );
    define(&warehouse, "gold.counts", &view("gold.counts", &counts(6)));
    wait_for(&server, all, &format!("{columns}\n18|18|19"));
    wait_for(&server, "SELECT state FROM sluice.freshness WHERE table_name = 'gold.peak'", "state\nfailed");
    assert_eq!(server.query("SELECT n FROM gold.peak"), "10");
}

/// Nothing that does not name the column is computed anew: not the rows that are there, and none above them.
fn a_source_gains_a_column() {
    let warehouse = project(&[
        (
            "gold.counts",
            &view("gold.counts", "SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor"),
        ),
        ("silver.kept", "STREAMING TABLE silver.kept AS SELECT sensor FROM STREAM bronze.readings"),
        ("gold.kept", &view("gold.kept", "SELECT count(*) AS n FROM silver.kept")),
    ]);
    let server = warehouse.serve_with(&["--watch"]);
    push_readings(&server, 1, &[("a", 1.0), ("a", 2.0), ("b", 4.0)]);
    wait_for(&server, COUNTS, "sensor|n\na|2\nb|1");
    wait_for(&server, "SELECT n FROM gold.kept", "n\n3");
    wait_for(&server, "SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "count\n0");
    let epoch = server.query("SELECT max(epoch) FROM sluice.epochs");

    warehouse.write("catalog/readings.sql", READINGS.replace("value DOUBLE", "value DOUBLE, unit STRING"));
    define(
        &warehouse,
        "gold.units",
        &view("gold.units", "SELECT unit, count(*) AS n FROM bronze.readings GROUP BY unit"),
    );
    wait_for(&server, "SELECT * FROM gold.units", "unit|n\n|3");
    let line = "{\"sensor\": \"b\", \"value\": 8, \"unit\": \"bar\"}";
    assert_eq!(push(&server, "readings", Some(("one", 2)), line).unwrap().status, 200);
    wait_for(&server, COUNTS, "sensor|n\na|2\nb|2");
    wait_for(&server, "SELECT n FROM gold.kept", "n\n4");
    wait_for(&server, "SELECT * FROM gold.units ORDER BY unit", "unit|n\nbar|1\n|3");
    let modes = "SELECT string_agg(model || ' ' || modes || ' ' || rows, ', ' ORDER BY model) FROM (\
                 SELECT model, string_agg(DISTINCT mode, '+') AS modes, sum(rows_inserted) AS rows \
                 FROM sluice.refreshes WHERE model <> 'gold.units' AND epoch > ";
    server.wait_until(
        &format!("{modes}{epoch} GROUP BY model) AS refreshed"),
        "gold.counts incremental 1, gold.kept incremental 1, silver.kept append 1",
    );
}

/// The source and its models change together, while no server runs and by APPLY: the first refresh of each model is over rows
/// that have the column.
fn models_name_a_column_at_once() {
    let by = |columns: &str| {
        let query = format!("SELECT {columns}, count(*) AS n FROM bronze.readings GROUP BY {columns}");
        [
            ("gold.counts", view("gold.counts", &query)),
            ("gold.above", view("gold.above", &format!("SELECT {columns} FROM gold.counts"))),
            (
                "silver.kept",
                format!("STREAMING TABLE silver.kept AS SELECT {columns} FROM STREAM bronze.readings"),
            ),
        ]
    };
    let warehouse = project(&[]);
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\nmay_define = true\n");
    let change = |column: &str, columns: &str| {
        let declared = format!("value DOUBLE{column}");
        warehouse.write("catalog/readings.sql", READINGS.replace("value DOUBLE", &declared));
        by(columns).iter().for_each(|(name, definition)| define(&warehouse, name, definition));
    };
    let shows = |server: &Server, counts: &str, above: &str| {
        wait_for(server, COUNTS, counts);
        wait_for(server, "SELECT * FROM gold.above ORDER BY 1", above);
        wait_for(server, "SELECT * FROM silver.kept ORDER BY 1", above);
        let failed = "SELECT model, error FROM sluice.refreshes WHERE outcome = 'failed'";
        assert_eq!(server.query(failed), "");
        assert!(server.query("VERIFY MATERIALIZED VIEW gold.counts").contains("|0|0|equal|"));
    };
    change("", "sensor");
    let server = warehouse.serve();
    push_readings(&server, 1, &[("a", 1.0), ("b", 4.0)]);
    shows(&server, "sensor|n\na|1\nb|1", "sensor\na\nb");
    assert_eq!(server.terminate().0.code(), Some(0));

    change(", unit STRING", "sensor, unit");
    let server = warehouse.serve();
    shows(&server, "sensor|unit|n\na||1\nb||1", "sensor|unit\na|\nb|");
    change(", unit STRING, place STRING", "sensor, unit, place");
    let planned = server.query("PLAN");
    assert!(planned.contains("bronze.readings") && planned.contains("gold.counts"), "{planned}");
    server.query("APPLY");
    shows(&server, "sensor|unit|place|n\na|||1\nb|||1", "sensor|unit|place\na||\nb||");
    // So it is where rows came, too, that no epoch names: the server is killed when they are committed.
    server.kill9();
    let armed = ["env", "SLUICE_FAILPOINTS=bronze.committed[bronze.readings]=kill"];
    let server = Server::launch_within(&armed, &warehouse, &[]).ready().unwrap();
    let row = "{\"sensor\": \"c\", \"value\": 1}";
    assert!(push(&server, "readings", Some(("one", 2)), row).is_err(), "it ends before it answers");
    server.ended();
    change(", unit STRING, place STRING, floor INT", "sensor, unit, place, floor");
    let server = warehouse.serve();
    assert_eq!(push(&server, "readings", Some(("one", 2)), row).unwrap().status, 200);
    shows(
        &server,
        "sensor|unit|place|floor|n\na||||1\nb||||1\nc||||1",
        "sensor|unit|place|floor\na|||\nb|||\nc|||",
    );
}

fn what_fails_leaves_the_old() {
    let old = "SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor";
    let wrong = "SELECT CAST(sensor AS INT) AS number, count(*) AS n FROM bronze.readings GROUP BY sensor";
    let warehouse = project(&[
        ("gold.counts", &view("gold.counts", old)),
        ("gold.total", &view("gold.total", "SELECT sum(n) AS n FROM gold.counts")),
        ("gold.names", &view("gold.names", "SELECT sensor FROM gold.counts")),
    ]);
    let server = warehouse.serve_with(&["--watch"]);
    push_readings(&server, 1, &[("a", 1.0), ("b", 2.0)]);
    wait_for(&server, "SELECT n FROM gold.total", "n\n2");
    wait_for(&server, "SELECT * FROM gold.names ORDER BY 1", "sensor\na\nb");

    let failed = "SELECT state FROM sluice.freshness WHERE table_name = 'gold.counts'";
    let stands = |server: &Server| {
        wait_for(server, failed, "state\nfailed");
        wait_for(server, COUNTS, "sensor|n\na|1\nb|1");
        wait_for(server, "SELECT * FROM gold.names ORDER BY 1", "sensor\na\nb");
        wait_for(server, "SELECT n FROM gold.total", "n\n2");
        let (code, _) = server.connect().refusal("VERIFY MATERIALIZED VIEW gold.counts");
        assert_eq!(code, "55000", "what stands is of another definition");
        let (code, message) = server.connect().refusal("REFRESH TABLE gold.names");
        assert_eq!(code, "55000", "{message}");
        assert!(message.contains("gold.counts"), "{message}");
    };
    let answers = answers_during(&server, COUNTS, || {
        define(&warehouse, "gold.counts", &view("gold.counts", wrong));
        define(&warehouse, "gold.names", &view("gold.names", "SELECT number FROM gold.counts"));
        stands(&server);
    });
    assert_eq!(answers, ["sensor|n\na|1\nb|1"]);
    let error =
        "SELECT error FROM sluice.refreshes WHERE model = 'gold.counts' AND outcome = 'failed' LIMIT 1";
    until("the reason", FLOW, || match server.query(error) {
        reason if reason.contains("'a'") => Ok(()),
        reason => Err(reason),
    });
    server.kill9();
    let server = warehouse.serve_with(&["--watch"]);
    stands(&server);

    define(
        &warehouse,
        "gold.counts",
        &view("gold.counts", &wrong.replace("CAST(sensor AS INT)", "ascii(sensor)")),
    );
    wait_for(&server, COUNTS, "number|n\n97|1\n98|1");
    wait_for(&server, "SELECT * FROM gold.names ORDER BY 1", "number\n97\n98");
    wait_for(&server, "SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "count\n0");
}

fn kills_leave_the_old_or_the_new() {
    let versions = [VERSIONS[1], VERSIONS[4]];
    // What reads it is shown with it, whichever of the two was killed.
    let versions = versions.map(|(query, rows)| {
        let mut lines = rows.lines();
        let header = format!("{}|rows", lines.next().unwrap());
        let rows: Vec<_> = lines.map(|row| format!("{row}|{}", rows.lines().count() - 1)).collect();
        (query, format!("{header}\n{}", rows.join("\n")))
    });
    let all = "SELECT c.*, r.rows FROM gold.counts c CROSS JOIN gold.rows r ORDER BY 1";
    let warehouse = project(&[
        ("gold.counts", &view("gold.counts", versions[0].0)),
        ("gold.rows", &view("gold.rows", "SELECT count(*) AS rows FROM gold.counts")),
    ]);
    let server = warehouse.serve();
    push_readings(&server, 1, &[("a", 1.0), ("a", 2.0), ("b", 4.0)]);
    wait_for(&server, all, &versions[0].1);
    server.kill9();
    let steps = [
        // Only the second has a hidden table.
        "refresh.hidden.committed[gold.counts]",
        "refresh.view.computed[gold.counts]",
        "lake.data.written[gold.counts]",
        "lake.commit.synced[gold.counts]",
        "lake.commit.linked[gold.counts]",
        "lake.commit.durable[gold.counts]",
        "refresh.view.committed[gold.counts]",
        "refresh.view.computed[gold.rows]",
        "refresh.view.committed[gold.rows]",
        "refresh.epoch.due[sluice.epochs]",
        "refresh.epoch.committed[sluice.epochs]",
    ];
    for (number, step) in steps.iter().enumerate() {
        let (old, new) = (&versions[number % 2].1, &versions[(number + 1) % 2]);
        define(&warehouse, "gold.counts", &view("gold.counts", new.0));
        let armed = format!("SLUICE_FAILPOINTS={step}=kill");
        let ended = match Server::launch_within(&["env", &armed], &warehouse, &[]).ready() {
            Ok(server) => server.ended(),
            Err(ended) => ended,
        };
        assert!(ended.stderr.contains("the process ends"), "{step}: it said:\n{}", ended.stderr);
        let server = warehouse.serve();
        let answers = answers_during(&server, all, || wait_for(&server, all, &new.1));
        assert!(answers.iter().all(|answer| answer == old || *answer == new.1), "{step}: {answers:#?}");
        assert!(server.query("VERIFY MATERIALIZED VIEW gold.counts").contains("|0|0|equal|"), "{step}");
        server.kill9();
    }
}
