//! A source's columns come and go under models that take all of them.

use super::{declare, project, push_rows, table, verify, view, wait_for};
use crate::support::{Server, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("evolution::what_takes_all_columns_gains_one", what_takes_all_columns_gains_one),
        trial("evolution::what_a_new_column_decides_is_rebuilt", what_a_new_column_decides_is_rebuilt),
        trial("evolution::a_source_loses_a_column", a_source_loses_a_column),
        trial("evolution::plan_says_what_becomes_of_stars", plan_says_what_becomes_of_stars),
    ]
}

fn wait_for_fresh(server: &Server) {
    wait_for(server, "SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "count\n0");
}

/// The models that were computed as a whole since an epoch, and why.
fn recomputed(server: &Server, epoch: &str) -> String {
    server.query(&format!(
        "SELECT model, mode, reason, error FROM sluice.refreshes WHERE epoch > {epoch} \
         AND (mode = 'recompute' OR outcome = 'failed')"
    ))
}

/// A change feed that keeps all columns but one.
fn feed(name: &str, kind: &str) -> String {
    format!(
        "OR REFRESH STREAMING TABLE {name} FLOW AUTO CDC FROM STREAM bronze.readings KEYS (id) \
         APPLY AS DELETE WHEN op = 'D' SEQUENCE BY seq COLUMNS * EXCEPT (op){kind}"
    )
}

fn what_takes_all_columns_gains_one() {
    let warehouse = project(&[
        ("silver.kept", "STREAMING TABLE silver.kept AS SELECT * FROM STREAM bronze.readings"),
        ("silver.newest", &feed("silver.newest", "")),
        ("silver.versions", &feed("silver.versions", " STORED AS SCD TYPE 2")),
        ("gold.all", &view("gold.all", "SELECT * FROM bronze.readings WHERE op <> 'D'")),
        ("gold.seen", "VIEW gold.seen AS SELECT * FROM gold.all"),
        (
            "gold.both",
            &view(
                "gold.both",
                "SELECT a.*, n.seq AS newest FROM gold.seen a LEFT JOIN silver.newest n ON a.id = n.id",
            ),
        ),
        ("gold.kept", &view("gold.kept", "SELECT op, count(*) AS n FROM silver.kept GROUP BY op")),
        (
            "gold.newest",
            &view("gold.newest", "SELECT id % 2 AS k, sum(seq) AS n FROM silver.newest GROUP BY 1"),
        ),
        (
            "gold.versions",
            &view("gold.versions", "SELECT id, count(*) AS n FROM silver.versions GROUP BY id"),
        ),
        ("gold.most", &view("gold.most", "SELECT op, max(seq) AS n FROM gold.all GROUP BY op")),
    ]);
    declare(&warehouse, "id BIGINT, op STRING, seq BIGINT");
    let server = warehouse.serve_with(&["--watch"]);
    push_rows(
        &server,
        1,
        "{\"id\": 1, \"op\": \"U\", \"seq\": 1}\n{\"id\": 2, \"op\": \"U\", \"seq\": 2}\n{\"id\": 1, \"op\": \"U\", \"seq\": 3}",
    );
    wait_for(&server, "SELECT * FROM gold.newest ORDER BY 1", "k|n\n0|2\n1|3");
    wait_for(&server, "SELECT * FROM gold.most", "op|n\nU|3");
    wait_for(&server, "SELECT count(*) AS n FROM gold.both", "n\n3");
    wait_for_fresh(&server);
    let epoch = server.query("SELECT max(epoch) FROM sluice.epochs");

    // Between the others: columns are known by their names.
    declare(&warehouse, "id BIGINT, note STRING, op STRING, seq BIGINT");
    let have_it = "SELECT string_agg(table_schema || '.' || table_name, ' ' ORDER BY table_schema, table_name) \
                   FROM information_schema.columns WHERE column_name = 'note'";
    let all = "bronze.readings gold.all gold.both gold.seen silver.kept silver.newest silver.versions";
    server.wait_until(have_it, all);
    wait_for_fresh(&server);
    let old = "id|note|seq\n1||3\n2||2";
    wait_for(&server, "SELECT id, note, seq FROM silver.newest ORDER BY id", old);
    push_rows(
        &server,
        2,
        "{\"id\": 2, \"op\": \"U\", \"seq\": 4, \"note\": \"new\"}\n{\"id\": 3, \"op\": \"U\", \"seq\": 5}",
    );
    wait_for(
        &server,
        "SELECT id, note, seq FROM silver.newest ORDER BY id",
        "id|note|seq\n1||3\n2|new|4\n3||5",
    );
    wait_for(
        &server,
        "SELECT note, count(*) AS n FROM silver.kept GROUP BY 1 ORDER BY 1",
        "note|n\nnew|1\n|4",
    );
    wait_for(
        &server,
        "SELECT id, note, seq, newest FROM gold.both WHERE id = 2 ORDER BY seq",
        "id|note|seq|newest\n2||2|4\n2|new|4|4",
    );
    wait_for(
        &server,
        "SELECT id, note, __start_at, __end_at FROM silver.versions WHERE id < 3 ORDER BY id, __start_at",
        "id|note|__start_at|__end_at\n1||1|\n2||2|4\n2|new|4|",
    );
    wait_for(&server, "SELECT * FROM gold.newest ORDER BY 1", "k|n\n0|4\n1|8");
    wait_for(&server, "SELECT * FROM gold.most", "op|n\nU|5");
    wait_for_fresh(&server);
    assert_eq!(recomputed(&server, &epoch), "");
    let views = ["gold.all", "gold.both", "gold.kept", "gold.newest", "gold.versions", "gold.most"];
    verify(&server, &views);
    server.kill9();

    // So it is when the files change while no server runs.
    declare(&warehouse, "id BIGINT, note STRING, op STRING, seq BIGINT, place STRING");
    let server = warehouse.serve();
    push_rows(&server, 3, "{\"id\": 1, \"op\": \"D\", \"seq\": 6, \"place\": \"x\"}");
    push_rows(&server, 4, "{\"id\": 3, \"op\": \"U\", \"seq\": 7, \"place\": \"y\"}");
    wait_for(
        &server,
        "SELECT id, note, seq, place FROM silver.newest ORDER BY id",
        "id|note|seq|place\n2|new|4|\n3||7|y",
    );
    wait_for(&server, "SELECT id, place FROM gold.all ORDER BY seq", "id|place\n1|\n2|\n1|\n2|\n3|\n3|y");
    wait_for_fresh(&server);
    assert_eq!(recomputed(&server, &epoch), "");
    verify(&server, &views);
}

/// What only takes the column gets it; what compares whole rows is computed anew.
fn what_a_new_column_decides_is_rebuilt() {
    let warehouse = project(&[
        ("gold.once", &view("gold.once", "SELECT DISTINCT * FROM bronze.readings")),
        (
            "gold.wide",
            &view("gold.wide", "SELECT *, count(*) OVER (PARTITION BY id) AS n FROM bronze.readings"),
        ),
    ]);
    declare(&warehouse, "id BIGINT");
    let server = warehouse.serve_with(&["--watch"]);
    push_rows(&server, 1, "{\"id\": 1}\n{\"id\": 1}");
    wait_for(&server, "SELECT id, n FROM gold.wide", "id|n\n1|2\n1|2");
    wait_for(&server, "SELECT id FROM gold.once", "id\n1\n1");
    wait_for_fresh(&server);
    let epoch = server.query("SELECT max(epoch) FROM sluice.epochs");
    declare(&warehouse, "id BIGINT, op STRING");
    wait_for(&server, "SELECT id, op FROM gold.once", "id|op\n1|\n1|");
    wait_for(&server, "SELECT id, op, n FROM gold.wide", "id|op|n\n1||2\n1||2");
    push_rows(&server, 2, "{\"id\": 2, \"op\": \"U\"}");
    wait_for(&server, "SELECT id, op FROM gold.once WHERE id = 2", "id|op\n2|U");
    wait_for(&server, "SELECT id, op, n FROM gold.wide WHERE id = 2", "id|op|n\n2|U|1");
    wait_for_fresh(&server);
    verify(&server, &["gold.once", "gold.wide"]);
    let anew = recomputed(&server, &epoch);
    assert_eq!(anew, "gold.once|recompute|first computation by this definition|");
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

fn plan_says_what_becomes_of_stars() {
    let warehouse = project(&[
        ("silver.newest", &feed("silver.newest", "")),
        ("gold.all", &view("gold.all", "SELECT * FROM bronze.readings")),
        ("gold.counts", &view("gold.counts", "SELECT op, count(*) AS n FROM bronze.readings GROUP BY op")),
    ]);
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\nmay_define = true\n");
    let (more, fewer) = ("id BIGINT, op STRING, seq BIGINT, note STRING", "id BIGINT, op STRING, seq BIGINT");
    declare(&warehouse, fewer);
    let server = warehouse.serve();
    push_rows(&server, 1, "{\"id\": 1, \"op\": \"U\", \"seq\": 1}");
    wait_for(&server, "SELECT id FROM gold.all", "id\n1");
    let planned = || {
        let session = server.connect();
        let told = |line: &str| {
            let cells: Vec<&str> = line.split('|').collect();
            [0, 3, 4, 6].map(|at| cells[at]).join("|")
        };
        session.text("PLAN").lines().map(told).collect::<Vec<_>>().join("\n")
    };
    declare(&warehouse, more);
    let gains = "bronze.readings|additive|from now on|column note is new\n\
                 gold.all|additive|kept|column note is new\n\
                 silver.newest|additive|kept|column note is new";
    assert_eq!(planned(), gains);
    server.query("APPLY");
    wait_for(&server, "SELECT id, note FROM gold.all", "id|note\n1|");
    declare(&warehouse, fewer);
    let loses = gains.replace("additive", "breaking").replace("kept", "rebuilt").replace("is new", "is gone");
    assert_eq!(planned(), loses);
}
