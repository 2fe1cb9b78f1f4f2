//! Models take the subqueries that readers' statements take, and items of FROM that are computed of the item before them.

use crate::push::push;
use crate::support::{FLOW, Server, Warehouse, trial, until};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("subqueries::models_have_what_queries_have", models_have_what_queries_have),
        trial("subqueries::streaming_tables_look_up_by_them", streaming_tables_look_up_by_them),
    ]
}

const SOURCES: &str = "CREATE SOURCE bronze.e (id BIGINT, k INT, v INT, arr ARRAY<INT>) \
    WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n\
    CREATE SOURCE bronze.d (id BIGINT, k INT, n STRING, lo INT) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n";

/// Queries by the names of the models that hold them.
const QUERIES: [(&str, &str); 21] = [
    (
        "exists_in_case",
        "SELECT id, CASE WHEN EXISTS (SELECT 1 FROM bronze.d d WHERE d.k = e.k) THEN 'y' ELSE 'n' END AS f FROM bronze.e e",
    ),
    (
        "exists_beside",
        "SELECT id, v FROM bronze.e e WHERE v > 30 OR EXISTS (SELECT 1 FROM bronze.d d WHERE d.k = e.k AND d.lo < e.v)",
    ),
    ("exists_alone", "SELECT id FROM bronze.e e WHERE EXISTS (SELECT 1 FROM bronze.d d WHERE d.k = e.k)"),
    ("in_list", "SELECT id, k IN (SELECT k FROM bronze.d) AS f FROM bronze.e"),
    ("not_in_list", "SELECT id, k NOT IN (SELECT k FROM bronze.d WHERE k IS NOT NULL) AS f FROM bronze.e"),
    (
        "not_in_correlated",
        "SELECT id FROM bronze.e e WHERE k NOT IN (SELECT k FROM bronze.d d WHERE d.lo = e.v)",
    ),
    ("rows_in", "SELECT id FROM bronze.e e WHERE (k, v) IN (SELECT k, lo FROM bronze.d)"),
    ("any_of", "SELECT id FROM bronze.e e WHERE v = ANY (SELECT lo FROM bronze.d)"),
    ("all_of", "SELECT id FROM bronze.e e WHERE v > ALL (SELECT lo FROM bronze.d WHERE lo < 20)"),
    ("counted", "SELECT id, (SELECT count(*) FROM bronze.d d WHERE d.lo < e.v) AS c FROM bronze.e e"),
    ("counted_by_key", "SELECT id, (SELECT count(*) FROM bronze.d d WHERE d.k = e.k) AS c FROM bronze.e e"),
    (
        "newest",
        "SELECT id, (SELECT n FROM bronze.d d WHERE d.k = e.k ORDER BY d.id DESC LIMIT 1) AS n FROM bronze.e e",
    ),
    ("above_mean", "SELECT id FROM bronze.e e WHERE v > (SELECT avg(lo) FROM bronze.d d WHERE d.k = e.k)"),
    (
        "lateral",
        "SELECT e.id, x.n FROM bronze.e e LEFT JOIN LATERAL (SELECT n FROM bronze.d d WHERE d.k = e.k ORDER BY d.id DESC LIMIT 1) x ON true",
    ),
    (
        "lateral_count",
        "SELECT e.id, x.n FROM bronze.e e CROSS JOIN LATERAL (SELECT count(*) AS n FROM bronze.d d WHERE d.lo < e.v) x",
    ),
    ("unnested", "SELECT e.id, w FROM bronze.e e CROSS JOIN LATERAL unnest(e.arr) AS u(w)"),
    ("unnested_behind_comma", "SELECT e.id, u.w FROM bronze.e e, unnest(e.arr) AS u(w)"),
    ("unnested_left", "SELECT e.id, u.w FROM bronze.e e LEFT JOIN LATERAL unnest(e.arr) AS u(w) ON true"),
    ("computed", "SELECT e.id, y.b FROM bronze.e e CROSS JOIN LATERAL (SELECT e.v * 2 AS b) AS y"),
    (
        "with_ties",
        "SELECT k, max(v) AS m FROM bronze.e GROUP BY k ORDER BY m DESC FETCH FIRST 2 ROWS WITH TIES",
    ),
    (
        "grouped_by_value",
        "SELECT EXISTS (SELECT 1 FROM bronze.d d WHERE d.k = e.k) AS f, count(*) AS n FROM bronze.e e GROUP BY 1",
    ),
];

fn project() -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/sources.sql", SOURCES);
    warehouse
}

fn push_rows(server: &Server, source: &str, token: i64, rows: &[&str]) {
    let reply = push(server, source, Some((source, token)), &rows.join("\n")).unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// True of the model's rows: they are what a reader's query gives, and what VERIFY computes.
fn equals_its_query(server: &Server, name: &str, query: &str) {
    let rows = |of: &str| {
        let mut rows: Vec<String> = server.query(of).lines().map(str::to_string).collect();
        rows.sort_unstable();
        rows
    };
    until(name, FLOW, || {
        let (stored, asked) = (rows(&format!("SELECT * FROM gold.{name}")), rows(query));
        let verified = server.query(&format!("VERIFY MATERIALIZED VIEW gold.{name}"));
        match stored == asked && verified.contains("|0|0|equal|") {
            true => Ok(()),
            false => Err(format!("{query}\nstored {stored:?}\nasked {asked:?}\n{verified}")),
        }
    });
}

fn models_have_what_queries_have() {
    let warehouse = project();
    for (name, query) in QUERIES {
        warehouse.write(
            &format!("sql/gold/{name}.sql"),
            format!("CREATE MATERIALIZED VIEW gold.{name} AS {query};\n"),
        );
    }
    // A view that is not stored, and what reads it.
    warehouse.write("sql/gold/flagged.sql", format!("CREATE VIEW gold.flagged AS {};\n", QUERIES[0].1));
    let flags = "SELECT f, count(*) AS n FROM gold.flagged GROUP BY f";
    warehouse.write("sql/gold/flags.sql", format!("CREATE MATERIALIZED VIEW gold.flags AS {flags};\n"));
    let server = warehouse.serve();
    push_rows(
        &server,
        "d",
        1,
        &[
            r#"{"id": 1, "k": 1, "n": "one", "lo": 10}"#,
            r#"{"id": 2, "k": 1, "n": "uno", "lo": 5}"#,
            r#"{"id": 3, "k": 3, "n": "three", "lo": 30}"#,
            r#"{"id": 4, "n": "none", "lo": 7}"#,
        ],
    );
    push_rows(
        &server,
        "e",
        1,
        &[
            r#"{"id": 1, "k": 1, "v": 10, "arr": [1, 2]}"#,
            r#"{"id": 2, "k": 2, "v": 20, "arr": []}"#,
            r#"{"id": 3, "v": 30}"#,
            r#"{"id": 4, "k": 3, "v": 30, "arr": [7]}"#,
        ],
    );
    let all_equal = |server: &Server| {
        server.wait_until("SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "0");
        QUERIES.iter().for_each(|(name, query)| equals_its_query(server, name, query));
        equals_its_query(server, "flags", flags);
    };
    all_equal(&server);
    // Changes on either side.
    push_rows(
        &server,
        "d",
        2,
        &[r#"{"id": 5, "k": 2, "n": "two", "lo": 20}"#, r#"{"id": 6, "k": 1, "n": "eins", "lo": 40}"#],
    );
    all_equal(&server);
    push_rows(
        &server,
        "e",
        2,
        &[r#"{"id": 5, "k": 1, "v": 40, "arr": [3, null]}"#, r#"{"id": 6, "k": 9, "v": 1}"#],
    );
    all_equal(&server);
    let failed = "SELECT model, error FROM sluice.refreshes WHERE outcome = 'failed'";
    assert_eq!(server.query(failed), "");
    // Where one has no rule, it says so.
    let silent = "SELECT model FROM sluice.models WHERE NOT incremental AND why_not IS NULL";
    assert_eq!(server.query(silent), "");
    let (code, message) = server
        .connect()
        .refusal("SELECT id, (SELECT n FROM bronze.d d WHERE d.k = e.k) AS n FROM bronze.e e");
    assert_eq!((code.as_str(), message.contains("more than one row")), ("21000", true), "{message}");
}

fn streaming_tables_look_up_by_them() {
    let warehouse = project();
    warehouse.write(
        "sql/silver/e.sql",
        "CREATE STREAMING TABLE silver.e AS SELECT e.id, u.w, \
         (SELECT n FROM bronze.d d WHERE d.k = e.k ORDER BY d.id DESC LIMIT 1) AS n \
         FROM STREAM bronze.e e CROSS JOIN LATERAL unnest(e.arr) AS u(w);\n",
    );
    let server = warehouse.serve();
    push_rows(&server, "d", 1, &[r#"{"id": 1, "k": 1, "n": "one", "lo": 10}"#]);
    server.wait_until("SELECT count(*) FROM bronze.d", "1");
    push_rows(&server, "e", 1, &[r#"{"id": 1, "k": 1, "arr": [1, 2]}"#, r#"{"id": 2, "k": 2, "arr": [3]}"#]);
    server.wait_until(
        "SELECT string_agg(id || ':' || w || ':' || coalesce(n, '-'), ' ' ORDER BY w) FROM silver.e",
        "1:1:one 1:2:one 2:3:-",
    );
    push_rows(&server, "d", 2, &[r#"{"id": 2, "k": 1, "n": "uno", "lo": 10}"#]);
    server.wait_until("SELECT count(*) FROM bronze.d", "2");
    push_rows(&server, "e", 2, &[r#"{"id": 3, "k": 1, "arr": [4]}"#]);
    server.wait_until(
        "SELECT string_agg(id || ':' || w || ':' || coalesce(n, '-'), ' ' ORDER BY w) FROM silver.e",
        "1:1:one 1:2:one 2:3:- 3:4:uno",
    );
}
