//! What an engineer says about refreshes: policies, EXPLAIN of a definition, VERIFY, REFRESH.

use crate::push::{READINGS, push};
use crate::support::{Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::fs;
use std::thread;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("models::refresh_comes_before_the_trigger", refresh_comes_before_the_trigger),
        trial("models::who_refreshes_reads_what_they_pushed", who_refreshes_reads_what_they_pushed),
        trial("models::a_refresh_that_fails_says_why", a_refresh_that_fails_says_why),
        trial("models::what_is_due_and_fails_is_tried_again", what_is_due_and_fails_is_tried_again),
        trial(
            "models::mostly_affected_partitions_are_overwritten",
            mostly_affected_partitions_are_overwritten,
        ),
        trial("models::incremental_is_not_weighed", incremental_is_not_weighed),
        trial("models::the_whole_is_tried_once", the_whole_is_tried_once),
        trial("models::what_the_engine_gets_wrong_is_kept_right", what_the_engine_gets_wrong_is_kept_right),
        trial("models::strict_without_a_rule_is_left_out", strict_without_a_rule_is_left_out),
        trial("models::verify_finds_what_is_not_the_query", verify_finds_what_is_not_the_query),
        trial("models::texts_stay_as_they_are_written", texts_stay_as_they_are_written),
    ]
}

fn project(models: &[(&str, &str)]) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/readings.sql", READINGS);
    for (path, text) in models {
        warehouse.write(path, text);
    }
    warehouse
}

/// Pushes readings; gives the token that makes a session see them.
fn push_readings(server: &Server, token: i64, sensors: &[&str]) -> String {
    let lines: Vec<String> =
        sensors.iter().map(|sensor| format!("{{\"sensor\": \"{sensor}\", \"value\": 1.5}}")).collect();
    let reply = push(server, "readings", Some(("one", token)), &lines.join("\n")).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["read_token"].as_str().unwrap().to_string()
}

/// Waits until these models were computed once, over nothing.
fn wait_for_first(server: &Server, models: &str, count: usize) {
    server.wait_until(
        &format!("SELECT count(*) FROM sluice.freshness WHERE table_name IN ({models}) AND state = 'fresh'"),
        &count.to_string(),
    );
}

/// `model|rows|missing|unexpected|verdict|examples`: the epoch left out.
fn verified(server: &Server, view: &str) -> String {
    let answer = server.query(&format!("VERIFY MATERIALIZED VIEW {view}"));
    let mut cells: Vec<&str> = answer.split('|').collect();
    assert!(cells.remove(1).parse::<i64>().unwrap() > 0, "{answer}");
    cells.join("|")
}

fn refresh_comes_before_the_trigger() {
    let warehouse = project(&[
        (
            "sql/gold/counts.sql",
            "CREATE MATERIALIZED VIEW gold.counts SCHEDULE EVERY 1 HOUR\n\
             AS SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor;\n",
        ),
        (
            "sql/silver/readings.sql",
            "CREATE STREAMING TABLE silver.readings SCHEDULE EVERY 1 HOUR\n\
             AS SELECT sensor FROM STREAM bronze.readings;\n",
        ),
        ("sql/gold/seen.sql", "CREATE VIEW gold.seen AS SELECT * FROM gold.counts;\n"),
    ]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.counts'", 1);
    let session = server.connect();
    let all = "SELECT sensor, n FROM gold.counts ORDER BY 1";

    push_readings(&server, 1, &["a"]);
    let token = push_readings(&server, 2, &["a", "b"]);
    session.text(&format!("SET sluice.read_after = '{token}'"));
    assert_eq!(session.text(all), "", "not due for an hour");
    assert_eq!(
        verified(&server, "gold.counts"),
        "gold.counts|0|0|0|equal|",
        "over what it was computed from"
    );

    session.text("REFRESH TABLE gold.counts");
    assert_eq!(session.text(all), "a|2\nb|1");
    assert_eq!(verified(&server, "gold.counts"), "gold.counts|2|0|0|equal|");
    assert_eq!(session.text("SELECT count(*) FROM silver.readings"), "0", "not due for an hour");
    session.text("REFRESH TABLE silver.readings");
    assert_eq!(session.text("SELECT count(*) FROM silver.readings"), "3");

    let token = push_readings(&server, 3, &["c"]);
    session.text(&format!("SET sluice.read_after = '{token}'"));
    assert_eq!(
        verified(&server, "gold.counts"),
        "gold.counts|2|0|0|equal|",
        "stale, and right for its inputs"
    );
    session.text("REFRESH MATERIALIZED VIEW CONCURRENTLY gold.counts");
    assert_eq!(session.text(all), "a|2\nb|1\nc|1");
    session.text("REFRESH TABLE counts FULL");
    assert_eq!(
        session.text(
            "SELECT mode, reason, rows_inserted, rows_deleted FROM sluice.refreshes WHERE model = 'gold.counts' \
             ORDER BY at DESC LIMIT 1"
        ),
        "recompute|REFRESH ... FULL|0|0",
        "who asked sees what was done, also when nothing was to do"
    );

    for (sql, code, word) in [
        ("REFRESH TABLE gold.cuonts", "42P01", "gold.cuonts"),
        ("REFRESH TABLE gold.seen", "42809", "view"),
        ("REFRESH TABLE bronze.readings", "42809", "source"),
        ("REFRESH TABLE sluice.models", "42809", "system"),
        ("REFRESH MATERIALIZED VIEW silver.readings", "42809", "streaming table"),
        ("REFRESH MATERIALIZED VIEW gold.counts WITH NO DATA", "0A000", "WITH NO DATA"),
        ("VERIFY MATERIALIZED VIEW gold.cuonts", "42P01", "gold.cuonts"),
        ("VERIFY MATERIALIZED VIEW silver.readings", "42809", "streaming table"),
        ("VERIFY MATERIALIZED VIEW gold.seen", "42809", "view"),
        ("BEGIN; REFRESH TABLE gold.counts", "25001", "transaction"),
    ] {
        let (found, message) = server.connect().refusal(sql);
        assert_eq!(found, code, "{sql}: {message}");
        assert!(message.contains(word), "{sql}: {message}");
    }
}

/// Many at once, of one view and of the streaming table below it: each is answered with an epoch that holds theirs.
fn who_refreshes_reads_what_they_pushed() {
    let warehouse = project(&[
        (
            "sql/silver/readings.sql",
            "CREATE STREAMING TABLE silver.readings SCHEDULE EVERY 1 HOUR\n\
             AS SELECT sensor FROM STREAM bronze.readings;\n",
        ),
        (
            "sql/gold/counts.sql",
            "CREATE MATERIALIZED VIEW gold.counts SCHEDULE EVERY 1 HOUR\n\
             AS SELECT sensor, count(*) AS n FROM silver.readings GROUP BY sensor;\n",
        ),
    ]);
    let server = warehouse.serve();
    thread::scope(|scope| {
        for sender in 0..6 {
            let server = &server;
            scope.spawn(move || {
                let session = server.connect();
                let name = format!("s{sender}");
                for token in 1..=5 {
                    let body = format!("{{\"sensor\": \"{name}\", \"value\": 1}}");
                    let reply = push(server, "readings", Some((&name, token)), &body).unwrap().json();
                    let read_token = reply["read_token"].as_str().unwrap();
                    session.text(&format!("SET sluice.read_after = '{read_token}'"));
                    session.text("REFRESH TABLE silver.readings; REFRESH TABLE gold.counts");
                    let seen = session.text(&format!("SELECT n FROM gold.counts WHERE sensor = '{name}'"));
                    assert_eq!(seen, token.to_string(), "{name}");
                }
            });
        }
    });
    assert_eq!(verified(&server, "gold.counts"), "gold.counts|6|0|0|equal|");
}

fn a_refresh_that_fails_says_why() {
    let warehouse = project(&[
        (
            "sql/gold/numbers.sql",
            "CREATE MATERIALIZED VIEW gold.numbers SCHEDULE EVERY 1 HOUR\n\
             AS SELECT CAST(sensor AS INT) AS number FROM bronze.readings;\n",
        ),
        (
            "sql/silver/numbers.sql",
            "CREATE STREAMING TABLE silver.numbers SCHEDULE EVERY 1 HOUR\n\
             AS SELECT CAST(sensor AS INT) AS number FROM STREAM bronze.readings;\n",
        ),
    ]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.numbers'", 1);
    let session = server.connect();
    let token = push_readings(&server, 1, &["7"]);
    session.text(&format!("SET sluice.read_after = '{token}'; REFRESH TABLE silver.numbers"));
    assert_eq!(session.text("SELECT number FROM silver.numbers"), "7");
    let token = push_readings(&server, 2, &["seven"]);
    session.text(&format!("SET sluice.read_after = '{token}'"));
    for table in ["gold.numbers", "silver.numbers"] {
        let (code, message) = session.refusal(&format!("REFRESH TABLE {table}"));
        assert_eq!(code, "22P02", "{message}");
        assert!(message.contains("seven"), "{message}");
    }
    assert_eq!(session.text("SELECT count(*) FROM gold.numbers"), "0", "the last good version stands");
    assert_eq!(session.text("SELECT number FROM silver.numbers"), "7", "the last good version stands");
}

fn what_is_due_and_fails_is_tried_again() {
    let warehouse = project(&[]);
    let server = warehouse.serve();
    push_readings(&server, 1, &["seven"]);
    server.terminate();
    warehouse.write(
        "sql/gold/numbers.sql",
        "CREATE MATERIALIZED VIEW gold.numbers SCHEDULE EVERY 1 HOUR\n\
         AS SELECT CAST(sensor AS INT) AS number FROM bronze.readings;\n",
    );
    let server = warehouse.serve();
    // Long before its hour comes round.
    let failures =
        "SELECT count(*) > 1 FROM sluice.refreshes WHERE model = 'gold.numbers' AND outcome <> 'ok'";
    server.wait_until(failures, "t");
}

fn incremental_is_not_weighed() {
    let view = |name: &str, policy: &str| {
        format!(
            "CREATE MATERIALIZED VIEW gold.{name} REFRESH POLICY {policy} SCHEDULE EVERY 1 HOUR\n\
             AS SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor;\n"
        )
    };
    let names = [("a", "AUTO"), ("b", "INCREMENTAL"), ("c", "INCREMENTAL STRICT"), ("d", "FULL")];
    let warehouse = project(&[]);
    for (name, policy) in names {
        warehouse.write(&format!("sql/gold/{name}.sql"), view(name, policy));
    }
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.a', 'gold.b', 'gold.c', 'gold.d'", 4);
    // More than the size below which recomputing is never weighed.
    let many: Vec<&str> = ["x", "y"].into_iter().cycle().take(12_000).collect();
    let token = push_readings(&server, 1, &many);
    let session = server.connect();
    session.text(&format!("SET sluice.read_after = '{token}'"));
    for (name, _) in names {
        session.text(&format!("REFRESH TABLE gold.{name}"));
        assert_eq!(session.text(&format!("SELECT * FROM gold.{name} ORDER BY 1")), "x|6000\ny|6000");
    }
    assert_eq!(
        session.text("SELECT model, mode FROM sluice.refreshes WHERE rows_inserted > 0 ORDER BY 1"),
        "gold.a|recompute\ngold.b|incremental\ngold.c|incremental\ngold.d|recompute"
    );
    assert_eq!(
        session.text("SELECT model, refresh_policy, incremental FROM sluice.models ORDER BY 1"),
        "gold.a|auto|t\ngold.b|incremental|t\ngold.c|incremental strict|t\ngold.d|full|f"
    );
}

/// A change of one row takes the rows of its sensor, which are all: more than the inputs have. Whether the whole is cheaper is
/// seen once, and then gone by.
fn the_whole_is_tried_once() {
    let warehouse = project(&[(
        "sql/gold/running.sql",
        "CREATE MATERIALIZED VIEW gold.running SCHEDULE EVERY 1 HOUR\n\
         AS SELECT sensor, _offset AS number, sum(value) OVER (PARTITION BY sensor ORDER BY _offset) AS so_far\n\
         FROM bronze.readings;\n",
    )]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.running'", 1);
    let push_and_refresh = |server: &Server, token: i64, sensors: &[&str]| {
        let session = server.connect();
        let read_token = push_readings(server, token, sensors);
        session.text(&format!("SET sluice.read_after = '{read_token}'; REFRESH TABLE gold.running"));
        let rows = session.text("SELECT count(*), max(so_far) FROM gold.running");
        let how = "SELECT mode, reason, rows_read FROM sluice.refreshes WHERE model = 'gold.running' \
                   AND rows_inserted > 0 ORDER BY at DESC LIMIT 1";
        (rows, session.text(how))
    };
    push_and_refresh(&server, 1, &vec!["a"; 12_000]);
    // What the first computation took is forgotten: nothing is known but what changes read.
    assert_eq!(server.terminate().0.code(), Some(0));
    let server = warehouse.serve();
    let mut refreshes = Vec::new();
    for token in 2..=6 {
        let (rows, how) = push_and_refresh(&server, token, &["a"]);
        let count = 11_999 + token;
        assert_eq!(rows, format!("{count}|{}", count as f64 * 1.5));
        refreshes.push(how);
    }
    let why = "incremental|1 changed input rows, 1 keys computed anew|";
    assert!(refreshes[0].starts_with(why), "{refreshes:#?}");
    let read: i64 = refreshes[0].rsplit('|').next().unwrap().parse().unwrap();
    assert!(read > 12_001, "{refreshes:#?}");
    let tried = format!(
        "recompute|to see what all of it takes: the last change read {read} rows, all inputs have 12002|"
    );
    assert!(refreshes[1].starts_with(&tried), "{refreshes:#?}");
    // What comes then goes by what both took, and says so.
    for how in &refreshes[2..] {
        let is_known = how.starts_with("recompute|by past runs 1 changed input rows would take ");
        assert!(how.starts_with(why) || is_known, "{refreshes:#?}");
    }
}

/// The engine panics at an order that names a column twice, and forgets DISTINCT: views have the right rows all the same.
fn what_the_engine_gets_wrong_is_kept_right() {
    let warehouse = project(&[
        (
            "sql/gold/first.sql",
            "CREATE MATERIALIZED VIEW gold.first AS SELECT sensor, first_value(_offset ORDER BY _offset, _offset DESC) AS first,\n\
             last_value(_offset ORDER BY _offset, _offset) AS last FROM bronze.readings GROUP BY sensor;\n",
        ),
        (
            "sql/gold/newest.sql",
            "CREATE MATERIALIZED VIEW gold.newest AS SELECT DISTINCT ON (sensor) sensor, _offset AS number FROM bronze.readings\n\
             ORDER BY sensor, _offset DESC, _offset;\n",
        ),
        (
            "sql/gold/bits.sql",
            "CREATE MATERIALIZED VIEW gold.bits AS SELECT sensor, bit_xor(DISTINCT _offset % 2 + 1) AS bits, bit_xor(_offset) AS every,\n\
             count(*) AS n FROM bronze.readings GROUP BY sensor;\n",
        ),
        (
            "sql/gold/called.sql",
            "CREATE MATERIALIZED VIEW gold.called AS SELECT _offset AS number, CAST(_offset AS STRING) AS text,\n\
             sum(_offset) AS one, sum(CAST(_offset AS DOUBLE)) AS two, count(*) AS n, count(1) AS ns\n\
             FROM bronze.readings GROUP BY _offset, CAST(_offset AS STRING);\n",
        ),
        (
            "sql/gold/folders.sql",
            "CREATE MATERIALIZED VIEW gold.folders PARTITIONED BY (of) AS\n\
             SELECT _offset AS number, CASE sensor WHEN 'a' THEN 'a' END AS of FROM bronze.readings;\n",
        ),
        (
            "sql/gold/nowhere.sql",
            "CREATE MATERIALIZED VIEW gold.nowhere AS SELECT number FROM gold.folders WHERE NOT (of IS NOT NULL);\n",
        ),
    ]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.first', 'gold.newest', 'gold.bits', 'gold.called', 'gold.nowhere'", 5);
    for (token, first, newest, bits) in [
        (1, "a|1000000|1000002\nb|1000001|1000001", "a|1000002\nb|1000001", "a|1|2\nb|2|1"),
        (2, "a|1000000|2000002\nb|1000001|2000001", "a|2000002\nb|2000001", "a|1|4\nb|2|2"),
    ] {
        push_readings(&server, token, &["a", "b", "a"]);
        server.wait_until("SELECT * FROM gold.first ORDER BY 1", first);
        server.wait_until("SELECT * FROM gold.newest ORDER BY 1", newest);
        server.wait_until("SELECT sensor, bits, n FROM gold.bits ORDER BY 1", bits);
    }
    server.wait_until(
        "SELECT number, text, one, two, n, ns FROM gold.called ORDER BY 1 LIMIT 1",
        "1000000|1000000|1000000|1000000|1|1",
    );
    server.wait_until("SELECT count(*) FROM gold.called", "6");
    server.wait_until("SELECT number FROM gold.nowhere ORDER BY 1", "1000001\n2000001");
    for (view, rows) in [("first", 2), ("newest", 2), ("bits", 2), ("called", 6), ("nowhere", 2)] {
        assert_eq!(verified(&server, &format!("gold.{view}")), format!("gold.{view}|{rows}|0|0|equal|"));
    }
    assert_eq!(server.query("SELECT count(*) FROM sluice.refreshes WHERE outcome = 'failed'"), "0");
}

fn mostly_affected_partitions_are_overwritten() {
    let warehouse = project(&[
        (
            "sql/gold/sensors.sql",
            "CREATE MATERIALIZED VIEW gold.sensors SCHEDULE EVERY 1 HOUR PARTITIONED BY (hall)\n\
             AS SELECT left(sensor, 1) AS hall, sensor, count(*) AS n, median(value) AS middle\n\
             FROM bronze.readings GROUP BY 1, 2;\n",
        ),
        (
            "sql/gold/halls.sql",
            "CREATE MATERIALIZED VIEW gold.halls SCHEDULE EVERY 1 HOUR\n\
             AS SELECT hall, sum(n) AS n FROM gold.sensors GROUP BY hall;\n",
        ),
    ]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.sensors', 'gold.halls'", 2);
    let session = server.connect();
    let push_and_see = |token, sensors: &[&str]| {
        let token = push_readings(&server, token, sensors);
        session.text(&format!("SET sluice.read_after = '{token}'"));
        session.text("REFRESH TABLE gold.sensors; REFRESH TABLE gold.halls");
        let halls = session.text("SELECT hall, n FROM gold.halls ORDER BY 1");
        let how = "SELECT mode, rows_inserted, rows_deleted FROM sluice.refreshes \
                   WHERE model = 'gold.sensors' ORDER BY at DESC LIMIT 1";
        (halls, session.text(how))
    };
    assert_eq!(
        push_and_see(1, &["a1", "a2", "a3", "b1", "b2", "b3", "b4"]),
        ("a|3\nb|4".to_string(), "incremental|7|0".to_string())
    );
    assert_eq!(push_and_see(2, &["b1"]), ("a|3\nb|5".to_string(), "incremental|1|1".to_string()));
    let two_of_three = ("a|5\nb|5".to_string(), "partition overwrite|3|3".to_string());
    assert_eq!(push_and_see(3, &["a1", "a2"]), two_of_three);
    assert_eq!(verified(&server, "gold.sensors"), "gold.sensors|7|0|0|equal|");
    assert_eq!(verified(&server, "gold.halls"), "gold.halls|2|0|0|equal|");
    let explained = server.query(
        "EXPLAIN CREATE MATERIALIZED VIEW gold.x PARTITIONED BY (sensor) \
         AS SELECT sensor, median(value) AS middle FROM bronze.readings GROUP BY sensor",
    );
    let said = "Partitions: those of which half of the rows or more are affected are overwritten";
    assert!(explained.contains(said), "{explained}");
}

fn strict_without_a_rule_is_left_out() {
    let warehouse = project(&[
        (
            "sql/gold/newest.sql",
            "CREATE MATERIALIZED VIEW gold.newest REFRESH POLICY INCREMENTAL STRICT\n\
             AS SELECT median(value) AS middle FROM bronze.readings;\n",
        ),
        (
            "sql/gold/counts.sql",
            "CREATE MATERIALIZED VIEW gold.counts REFRESH POLICY INCREMENTAL STRICT\n\
             AS SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor;\n",
        ),
    ]);
    let server = warehouse.serve();
    push_readings(&server, 1, &["a"]);
    server.wait_until("SELECT * FROM gold.counts", "a|1");
    assert_eq!(server.connect().refusal("SELECT * FROM gold.newest").0, "42P01");
    let error = server.query("SELECT outcome, error FROM sluice.refreshes WHERE model = 'gold.newest'");
    assert!(error.starts_with("failed|sql/gold/newest.sql:1:65: "), "{error}");
    assert!(error.contains("an aggregate over everything has no key"), "{error}");
    assert!(warehouse.data().join("gold/counts").exists() && !warehouse.data().join("gold/newest").exists());
}

fn verify_finds_what_is_not_the_query() {
    let warehouse = project(&[(
        "sql/gold/counts.sql",
        "CREATE MATERIALIZED VIEW gold.counts AS SELECT sensor, count(*) AS n FROM bronze.readings GROUP BY sensor;\n",
    )]);
    let server = warehouse.serve();
    wait_for_first(&server, "'gold.counts'", 1);
    let token = push_readings(&server, 1, &["a", "b", "b"]);
    let session = server.connect();
    session.text(&format!("SET sluice.read_after = '{token}'"));
    session.text("REFRESH TABLE gold.counts");
    assert_eq!(verified(&server, "gold.counts"), "gold.counts|2|0|0|equal|");
    drop(session);
    server.terminate();

    // Behind the server's back the commit that wrote the rows loses its file.
    let log = warehouse.data().join("gold/counts/_delta_log");
    let mut commits: Vec<_> = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path()).collect();
    commits.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    commits.sort();
    let adds = |line: &&str| line.starts_with("{\"add\"");
    let with_rows =
        commits.iter().rev().find(|path| fs::read_to_string(path).unwrap().lines().any(|line| adds(&line)));
    let with_rows = with_rows.expect("a commit with rows");
    let kept: Vec<String> = fs::read_to_string(with_rows)
        .unwrap()
        .lines()
        .filter(|line| !adds(line))
        .map(ToString::to_string)
        .collect();
    fs::write(with_rows, kept.join("\n") + "\n").unwrap();

    let server = warehouse.serve();
    let answer = verified(&server, "gold.counts");
    let (counts, examples) = answer.rsplit_once('|').unwrap();
    assert_eq!(counts, "gold.counts|0|2|0|differs");
    let mut examples: Vec<&str> = examples.lines().collect();
    examples.sort_unstable();
    assert_eq!(examples, ["missing: sensor = a, n = 1", "missing: sensor = b, n = 2"]);
    server.query("REFRESH TABLE gold.counts FULL");
    assert_eq!(verified(&server, "gold.counts"), "gold.counts|2|0|0|equal|");
    assert_eq!(server.query("SELECT * FROM gold.counts ORDER BY 1"), "a|1\nb|2");
}

/// A definition is kept as text: quotes side by side in a literal, or behind a backslash, are there when it is read again.
fn texts_stay_as_they_are_written() {
    const TEXTS: &str = r"'it''s' AS one, 'a''''b' AS two, 'C:\''x' AS behind, E'tab\t\'' AS escaped";
    let warehouse = project(&[
        ("sql/gold/view.sql", &format!("CREATE VIEW gold.view AS SELECT {TEXTS};\n")),
        (
            "sql/gold/kept.sql",
            &format!(
                "CREATE MATERIALIZED VIEW gold.kept (CONSTRAINT shy EXPECT (sensor <> 'C:\\''x''''')\n  \
                 ON VIOLATION QUARANTINE ROW) AS SELECT sensor, {TEXTS} FROM bronze.readings;\n"
            ),
        ),
    ]);
    let server = warehouse.serve();
    push_readings(&server, 1, &["a"]);
    server.wait_until("SELECT count(*) FROM gold.kept", "1");
    let meant = "it's|a''b|C:\\'x|tab\t'";
    for from in ["gold.view", "gold.kept"] {
        assert_eq!(server.query(&format!("SELECT one, two, behind, escaped FROM {from}")), meant, "{from}");
    }
    push_readings(&server, 2, &["C:\\\\'x''"]);
    let reason = "SELECT _reason FROM gold.kept__quarantine";
    server.wait_until(reason, "expectation \"shy\" is not met: sensor <> 'C:\\''x'''''");
}
