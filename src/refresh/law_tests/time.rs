//! The law while time passes: time windows, and filters by `now()`, under random histories of rows and of the clock.

use super::house::{self, House, bag, stored};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::refresh::incremental::{self, Attempt};
use crate::refresh::model::Model;
use crate::sql::expand_windows;
use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// All of them are refreshed incrementally, whatever happens.
const QUERIES: &[&str] = &[
    "SELECT id, window_start, window_end FROM TUMBLE(s.e, ts, INTERVAL '10' SECOND)",
    "SELECT window_start, k, count(*) AS n, sum(v) AS s FROM TUMBLE(s.e, ts, INTERVAL '10' SECOND) GROUP BY window_start, k",
    "SELECT window_end, count(*) AS n, min(v) AS low FROM HOP(s.e, ts, INTERVAL '5' SECOND, INTERVAL '15' SECOND) GROUP BY window_end",
    "SELECT id, window_start, window_end, k FROM SESSION(s.e, ts, INTERVAL '4' SECOND, k)",
    "SELECT k, window_start, window_end, count(*) AS n FROM SESSION(s.e, ts, INTERVAL '4' SECOND, k) GROUP BY 1, 2, 3",
    "SELECT id, v FROM s.e WHERE ts >= now() - INTERVAL '20' SECOND",
    "SELECT id, v FROM s.e WHERE ts < now() AND v > 3",
    "SELECT id FROM s.e WHERE ts BETWEEN now() - INTERVAL '20' SECOND AND now() - INTERVAL '5' SECOND",
    "SELECT id FROM s.e WHERE ts > now() - INTERVAL '9' SECOND OR v = 1",
    "SELECT id FROM s.e WHERE NOT (now() - ts > INTERVAL '9' SECOND)",
    "SELECT k, count(*) AS n, sum(v) AS s, max(v) AS high FROM s.e WHERE ts > now() - INTERVAL '20' SECOND GROUP BY k",
    "SELECT count(*) AS n FROM s.e WHERE ts > now() - INTERVAL '20' SECOND",
    "SELECT k, max(ts) AS last FROM s.e GROUP BY k HAVING max(ts) < now() - INTERVAL '15' SECOND",
    "SELECT a.id AS a, b.id AS b FROM s.e a JOIN s.e b ON a.k = b.k WHERE a.ts > now() - INTERVAL '15' SECOND AND b.ts < now()",
    "SELECT a.id FROM s.e a LEFT JOIN (SELECT k FROM s.e WHERE ts > now() - INTERVAL '12' SECOND) b ON a.k = b.k WHERE b.k IS NULL",
    "SELECT k, n FROM (SELECT k, id, ts, row_number() OVER (PARTITION BY k ORDER BY ts, id, v) AS n FROM s.e) WHERE ts > now() - INTERVAL '20' SECOND",
    "SELECT k, id, n FROM (SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY ts, id, v) AS n FROM s.e WHERE ts > now() - INTERVAL '20' SECOND) WHERE n = 1",
    "SELECT id, ts FROM s.e WHERE ts > now() - INTERVAL '20' SECOND ORDER BY ts, id, v, k LIMIT 3",
    "SELECT id FROM s.e WHERE CAST(ts AS DATE) >= current_date - 1",
];

/// What happens before a refresh.
#[derive(Clone, Debug)]
struct Round {
    seconds: i64,
    /// Id, key, seconds from the clock, value.
    rows: Vec<(i64, Option<i64>, Option<i64>, i64)>,
    /// Rows with this remainder of their id by 5 go.
    goes: Option<i64>,
    restarts: bool,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let row = (0..40i64, prop::option::of(0..3i64), prop::option::weighted(0.9, -30..12i64), 0..6i64);
    let seconds = prop_oneof![0..9i64, Just(0), Just(86_400), Just(-3)];
    let round =
        (seconds, prop::collection::vec(row, 0..5), prop::option::weighted(0.3, 0..5i64), any::<bool>());
    let round = round.prop_map(|(seconds, rows, goes, restarts)| Round { seconds, rows, goes, restarts });
    prop::collection::vec(round, 2..7)
}

fn schema() -> SchemaRef {
    let utc = Some("UTC".into());
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("k", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, utc), true),
        Field::new("v", DataType::Int64, true),
    ]))
}

fn batch(rows: &[(i64, Option<i64>, Option<i64>, i64)], now: DateTime<Utc>) -> RecordBatch {
    let at = |ago: i64| (now + TimeDelta::seconds(ago)).timestamp_micros();
    let times: TimestampMicrosecondArray = rows.iter().map(|row| row.2.map(at)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(times.with_timezone("UTC")),
        Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn expanded(query: &str) -> String {
    let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(query).unwrap().parse_query().unwrap();
    expand_windows(&mut query).unwrap();
    query.to_string()
}

fn at(cut: Arc<Cut>, now: DateTime<Utc>) -> Arc<Cut> {
    Arc::new(Cut { wave_time: now, ..Cut::clone(&cut) })
}

/// Follows a history; counts refreshes that changed rows, and those during which only the clock moved.
async fn follow(rounds: Vec<Round>, counted: &Mutex<(usize, usize)>) {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(1 << 28, 2).unwrap();
    let house = House::open(folder.path(), &engine, &[("e", schema())]);
    let table = house.table("e");
    // Finer than what is recorded of a time.
    let mut now = DateTime::from_timestamp_nanos(1_800_000_000_123_456_789);
    house::append(&table, batch(&[(1, Some(1), Some(-12), 5), (2, Some(1), Some(3), 1)], now)).await;
    let mut views: Vec<(Model, BTreeMap<_, _>, Option<Arc<Cut>>)> = Vec::new();
    let cut = at(house.cut(), now);
    for (number, query) in QUERIES.iter().enumerate() {
        let model = house.model(&format!("m{number}"), &expanded(query), &["e"], &cut, DataType::clone).await;
        let model = model.unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(incremental::why_not(&model.outline(), &engine, &cut).await.unwrap(), None, "{query}");
        house.first(&model, &cut).await.unwrap();
        let consumed = model.consumed();
        views.push((model, consumed, None));
    }
    for round in rounds {
        now += TimeDelta::seconds(round.seconds);
        if !round.rows.is_empty() {
            house::append(&table, batch(&round.rows, now)).await;
        }
        if let Some(remainder) = round.goes {
            let goes = |rows: &RecordBatch| {
                let ids = rows.column(0).as_primitive::<Int64Type>();
                ids.iter().map(|id| id.is_some_and(|id| id % 5 == remainder)).collect()
            };
            house::replace(&table, goes, |_| None).await;
        }
        let cut = at(house.cut(), now);
        for ((model, consumed, base), query) in views.iter_mut().zip(QUERIES) {
            if round.restarts {
                (*consumed, *base) = (model.consumed(), None);
            }
            match house.refresh(model, &cut, consumed, base.as_ref()).await.unwrap() {
                Attempt::Done(done) => {
                    assert_eq!(done.record.mode, "incremental", "{query}: {}", done.record.reason);
                    let changed = done.record.rows_inserted + done.record.rows_deleted > 0;
                    let mut counted = counted.lock().unwrap();
                    counted.0 += usize::from(changed);
                    counted.1 += usize::from(changed && round.rows.is_empty() && round.goes.is_none());
                    *consumed = done.consumed;
                }
                Attempt::Refused(why) => panic!("{query}: {why}"),
            }
            *base = Some(Arc::clone(&cut));
            let whole = bag(&model.schema, &house.whole(model, &cut).await.unwrap());
            assert!(whole == bag(&model.schema, &stored(&model.table)), "{query} after {round:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_made_of_the_time_are_recomputed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(1 << 28, 2).unwrap();
    let house = House::open(folder.path(), &engine, &[("e", schema())]);
    let cut = house.cut();
    let queries = [
        "SELECT id, now() AS seen FROM s.e",
        "SELECT k, count(*) AS n, current_date AS day FROM s.e GROUP BY k",
        "SELECT k, count(*) FILTER (WHERE ts > now()) AS n FROM s.e GROUP BY k",
        "SELECT k, id, CAST(now() AS DATE) AS day FROM (SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY id) AS n \
         FROM s.e) WHERE n = 1",
        "SELECT a.id FROM s.e a LEFT JOIN s.e b ON a.id = b.id AND a.ts > now()",
    ];
    for (number, query) in queries.iter().enumerate() {
        let model = house.model(&format!("m{number}"), query, &["e"], &cut, DataType::clone).await.unwrap();
        let why = incremental::why_not(&model.outline(), &engine, &cut).await.unwrap();
        assert!(why.as_ref().is_some_and(|why| why.contains("the time has a rule")), "{query}: {why:?}");
    }
}

#[test]
fn views_are_their_queries_while_time_passes() {
    let seed = std::env::var("SLUICE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    // Few histories, of which a seed by chance may draw none where the clock alone changes rows.
    let seed: u64 = seed.unwrap_or(2);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let counted = Arc::new(Mutex::new((0, 0)));
    let outcome = runner.run(&rounds(), |rounds| {
        // Planning recurses deeply, and unoptimised frames are large.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().thread_stack_size(16 << 20).enable_all().build();
        let counted = Arc::clone(&counted);
        let followed = runtime
            .unwrap()
            .block_on(async { tokio::spawn(async move { follow(rounds, &counted).await }).await });
        followed.map_err(|error| TestCaseError::fail(error.to_string()))
    });
    outcome.unwrap_or_else(|error| panic!("SLUICE_TEST_SEED={seed}: {error}"));
    let (changed, by_clock) = *counted.lock().unwrap();
    assert!(changed > 20 && by_clock > 2, "SLUICE_TEST_SEED={seed}: {changed} and {by_clock}: hardly tried");
}
