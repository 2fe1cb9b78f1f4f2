//! Schema `sluice`: the first columns of its tables, and that they tell the truth.

use crate::support::{Warehouse, shared, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("system::tables_begin_with_their_columns", tables_begin_with_their_columns),
        trial("system::sources_and_loads", sources_and_loads),
        trial("system::progress_is_what_bronze_holds", progress_is_what_bronze_holds),
        trial("system::files_are_followed_one_by_one", files_are_followed_one_by_one),
        trial("system::journals_forget", journals_forget),
        trial("system::views_take_changes_where_they_can", views_take_changes_where_they_can),
        trial("system::models_and_refreshes", models_and_refreshes),
        trial("system::epochs_and_freshness", epochs_and_freshness),
        trial("system::one_statement_sees_one_epoch", one_statement_sees_one_epoch),
    ]
}

/// As the documentation of the SQL lists them.
const TABLES: [(&str, &str); 18] = [
    (
        "sources",
        "source, connector, state, error, rows_in, rows_quarantined, rate, lag_records, lag_seconds, last_event_at, \
         last_commit_at",
    ),
    ("ingest_progress", "source, partition, position, committed_at"),
    ("ingest_log", "source, batch, started_at, rows, bytes, outcome, error"),
    (
        "models",
        "model, kind, layer, refresh_policy, trigger, key_columns, incremental, why_not, definition_hash",
    ),
    (
        "refreshes",
        "epoch, model, mode, reason, rows_read, rows_inserted, rows_deleted, seconds, outcome, error",
    ),
    ("epochs", "epoch, published_at, wave_time, table_name, version, inputs, state"),
    ("freshness", "table_name, fresh_as_of, lag_seconds, state"),
    ("expectations", "model, name, rule, action, epoch, passed, failed"),
    ("audits", "model, name, blocking, epoch, outcome, rows, examples, error"),
    ("backfills", "id, table_name, from_time, to_time, done_to, rows_taken, rows_made, state, error"),
    (
        "alerts",
        "alert, state, since, last_evaluated_at, rows, pending, firing, labels, schedule, targets, error",
    ),
    ("alert_instances", "alert, state, labels, values, active_since, fired_at"),
    ("alert_targets", "target, waiting, delivered, given_up, failures, error, delivered_at"),
    ("notifications", "key, alert, target, created_at, state, attempts, error, delivered_at"),
    ("storage", "place, total_bytes, free_bytes, free_percent"),
    ("incidents", "id, object, kind, opened_at, closed_at, attempts, error, state"),
    ("sessions", "session, login, role, protocol, client, application, began_at, state, state_since"),
    ("quarantine", "table_name, source, position, rule, reason, raw, epoch, state, definition_hash"),
];

fn tables_begin_with_their_columns() {
    let server = shared::server();
    let session = server.connect();
    let mut wrong = Vec::new();
    for (table, expected) in TABLES {
        let statement = session.run(session.client().prepare(&format!("SELECT * FROM sluice.{table}")));
        let columns: Vec<String> = match &statement {
            Ok(statement) => statement.columns().iter().map(|column| column.name().to_string()).collect(),
            Err(error) => vec![error.to_string()],
        };
        let expected: Vec<&str> = expected.split(", ").collect();
        if columns.len() < expected.len() || columns[..expected.len()] != expected {
            wrong.push(format!("sluice.{table}\n  expected {expected:?}\n  found    {columns:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sources_and_loads() {
    let server = shared::server();
    server.wait_until(
        "SELECT source, connector, error, rows_in, rows_quarantined FROM sluice.sources ORDER BY 1",
        "bronze.customers|files||4|2\nbronze.orders|files||8|2",
    );
    server.wait_until(
        "SELECT source, sum(rows), bool_and(outcome = 'ok') FROM sluice.ingest_log GROUP BY 1 ORDER BY 1",
        "bronze.customers|4|t\nbronze.orders|8|t",
    );
}

fn models_and_refreshes() {
    let server = shared::server();
    assert_eq!(
        server.query("SELECT model, kind, layer FROM sluice.models ORDER BY 1"),
        "gold.customer_sales|materialized view|gold\n\
         gold.daily_sales|materialized view|gold\n\
         gold.open_orders|view|gold\n\
         silver.customers|streaming table|silver\n\
         silver.orders|streaming table|silver"
    );
    server.wait_until(
        "SELECT model, sum(rows_inserted) - sum(rows_deleted), bool_and(outcome = 'ok') FROM sluice.refreshes \
         GROUP BY 1 ORDER BY 1",
        "gold.customer_sales|4|t\ngold.daily_sales|2|t\nsilver.customers|4|t\nsilver.orders|6|t",
    );
}

fn epochs_and_freshness() {
    let server = shared::server();
    server.wait_until(
        "SELECT table_name, state FROM sluice.freshness WHERE table_name LIKE 'gold.%' OR table_name LIKE 'silver.%' \
         AND table_name NOT LIKE '%quarantine' ORDER BY 1",
        "gold.customer_sales|fresh\ngold.daily_sales|fresh\nsilver.customers|fresh\nsilver.orders|fresh",
    );
    let session = server.connect();
    assert_eq!(
        session.text(
            "SELECT count(*) FROM sluice.epochs WHERE table_name = 'gold.daily_sales' \
             AND epoch = (SELECT max(epoch) FROM sluice.epochs) AND inputs LIKE '%silver.orders%'"
        ),
        "1",
        "an epoch names the inputs that a table was computed from"
    );
    assert_eq!(session.text("SELECT count(*) > 0 FROM sluice.epochs WHERE wave_time > published_at"), "f");
}

/// While data flows, every statement sees bronze and silver as of the same epoch, and gold whole.
fn one_statement_sees_one_epoch() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 0 FROM gold.sales_by_store", "t");
    let session = server.connect();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let answer = session.text(
            "SELECT b.n AS bronze, s.n AS silver, g.n AS gold, g.p AS positions \
             FROM (SELECT count(*) AS n FROM bronze.sales) AS b, (SELECT count(*) AS n FROM silver.sales) AS s, \
             (SELECT sum(sales) AS n, sum(positions) AS p FROM gold.sales_by_store) AS g",
        );
        let counts: Vec<u64> = answer.split('|').map(|count| count.parse().unwrap()).collect();
        assert_eq!(counts[0], counts[1], "bronze and silver are torn: {answer}");
        assert!(counts[2] <= counts[1], "gold is ahead of what it is computed from: {answer}");
        assert_eq!(counts[3], counts[2] * (counts[2] - 1) / 2, "gold is not one version of silver: {answer}");
        seen.insert(counts[0]);
    }
    assert!(seen.len() > 1, "nothing moved in 30 statements");
}

/// Positions are what a restart goes on from: they stand right behind the rows that are there.
fn progress_is_what_bronze_holds() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    let reply = crate::push::push(&server, "readings", Some(("one", 3)), "{\"sensor\": \"a\", \"value\": 1}")
        .unwrap();
    assert_eq!(reply.status, 200, "{reply:?}");
    server.wait_until(
        "SELECT partition, position FROM sluice.ingest_progress WHERE source = 'bronze.readings'",
        "one|3",
    );
    server.wait_until("SELECT position > 0 FROM sluice.ingest_progress WHERE source = 'bronze.sales'", "t");
}

/// A file is a partition, and how many of its records are taken is how far it is.
fn files_are_followed_one_by_one() {
    let warehouse = Warehouse::of("shop");
    let positions =
        "SELECT partition, position FROM sluice.ingest_progress WHERE source = 'bronze.orders' ORDER BY 1";
    let server = warehouse.serve();
    server.wait_until(positions, "2026-01-01.csv|6\n2026-01-02.csv|4");
    server.kill9();
    warehouse.serve().wait_until(positions, "2026-01-01.csv|6\n2026-01-02.csv|4");
}

/// What is older than the journals are kept goes, file by file; what is younger stays.
fn journals_forget() {
    let warehouse = Warehouse::of("events");
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\njournals_keep_seconds = 1\n",
    );
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 1 FROM sluice.ingest_log", "t");
    let first = server.query("SELECT min(batch) FROM sluice.ingest_log");
    server.wait_until(&format!("SELECT min(batch) > {first} FROM sluice.ingest_log"), "t");
    server.wait_until("SELECT count(*) > 0 FROM sluice.ingest_log", "t");
}

/// A view whose operators have rules is refreshed from changes alone, one without is recomputed, and both say so.
fn views_take_changes_where_they_can() {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "sql/gold/largest.sql",
        "CREATE MATERIALIZED VIEW gold.largest AS\n\
         SELECT order_id, amount FROM silver.orders ORDER BY amount DESC, order_id LIMIT 2;\n",
    );
    warehouse.write(
        "sql/gold/amounts.sql",
        "CREATE MATERIALIZED VIEW gold.amounts AS SELECT median(amount) AS n FROM silver.orders;\n",
    );
    let server = warehouse.serve();
    crate::smoke::wait_for_shop(&server);
    let models = "SELECT model, incremental, why_not FROM sluice.models \
                  WHERE model IN ('gold.amounts', 'gold.daily_sales', 'gold.largest') ORDER BY 1";
    let no_key = "an aggregate over everything has no key";
    server.wait_until(models, &format!("gold.amounts|f|{no_key}\ngold.daily_sales|t|\ngold.largest|t|"));
    warehouse.write(
        "input/orders/late.csv",
        "order_id,customer_id,amount,status,ordered_at\n60,11,5000.00,paid,2026-01-02T10:00:00Z\n",
    );
    server.wait_until("SELECT order_id FROM gold.largest ORDER BY amount DESC LIMIT 1", "60");
    server.wait_until("SELECT sum(orders), sum(revenue) FROM gold.daily_sales", "7|6351.00");
    let last = |model: &str| {
        format!(
            "SELECT mode, rows_inserted, rows_deleted, reason FROM sluice.refreshes WHERE model = '{model}' \
             ORDER BY at DESC LIMIT 1"
        )
    };
    server.wait_until(&last("gold.daily_sales"), "incremental|1|1|1 changed input rows, added to 1 keys");
    server.wait_until(
        &last("gold.largest"),
        "incremental|1|1|made anew of 7 hidden rows; hidden table 1: 1 changed input rows, first rows of 1 that came and 0 that went",
    );
    server.wait_until(&last("gold.amounts"), &format!("recompute|1|1|{no_key}"));
}
