//! The law while time passes: time windows, late rows and filters by `now()`, under random histories of rows, of the
//! watermark and of the clock.

use super::asked::{Asked, Tried, folder};
use super::house::{self, House, bag, stored};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::{Commit, Effort, Table, TableName};
use crate::refresh::incremental::{self, Attempt};
use crate::refresh::model::Model;
use crate::sql::{Definition, ModelQuery, late_view, parse_file};
use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All of them are refreshed incrementally, whatever happens.
const QUERIES: &[&str] = &[
    "SELECT id, window_start, window_end FROM TUMBLE(bronze.e, ts, INTERVAL '10' SECOND)",
    "SELECT window_start, k, count(*) AS n, sum(v) AS s FROM TUMBLE(bronze.e, ts, INTERVAL '10' SECOND) GROUP BY window_start, k",
    "SELECT window_end, count(*) AS n, min(v) AS low FROM HOP(bronze.e, ts, INTERVAL '5' SECOND, INTERVAL '15' SECOND) GROUP BY window_end",
    "SELECT id, window_start, window_end, k FROM SESSION(bronze.e, ts, INTERVAL '4' SECOND, k)",
    "SELECT k, window_start, window_end, count(*) AS n FROM SESSION(bronze.e, ts, INTERVAL '4' SECOND, k) GROUP BY 1, 2, 3",
    "SELECT id, v FROM bronze.e WHERE ts >= now() - INTERVAL '20' SECOND",
    "SELECT id, v FROM bronze.e WHERE ts < now() AND v > 3",
    "SELECT id FROM bronze.e WHERE ts BETWEEN now() - INTERVAL '20' SECOND AND now() - INTERVAL '5' SECOND",
    "SELECT id FROM bronze.e WHERE ts > now() - INTERVAL '9' SECOND OR v = 1",
    "SELECT id FROM bronze.e WHERE NOT (now() - ts > INTERVAL '9' SECOND)",
    "SELECT k, count(*) AS n, sum(v) AS s, max(v) AS high FROM bronze.e WHERE ts > now() - INTERVAL '20' SECOND GROUP BY k",
    "SELECT count(*) AS n FROM bronze.e WHERE ts > now() - INTERVAL '20' SECOND",
    "SELECT k, max(ts) AS last FROM bronze.e GROUP BY k HAVING max(ts) < now() - INTERVAL '15' SECOND",
    "SELECT a.id AS a, b.id AS b FROM bronze.e a JOIN bronze.e b ON a.k = b.k WHERE a.ts > now() - INTERVAL '15' SECOND AND b.ts < now()",
    "SELECT a.id FROM bronze.e a LEFT JOIN (SELECT k FROM bronze.e WHERE ts > now() - INTERVAL '12' SECOND) b ON a.k = b.k WHERE b.k IS NULL",
    "SELECT k, n FROM (SELECT k, id, ts, row_number() OVER (PARTITION BY k ORDER BY ts, id, v) AS n FROM bronze.e) WHERE ts > now() - INTERVAL '20' SECOND",
    "SELECT k, id, n FROM (SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY ts, id, v) AS n FROM bronze.e WHERE ts > now() - INTERVAL '20' SECOND) WHERE n = 1",
    "SELECT id, ts FROM bronze.e WHERE ts > now() - INTERVAL '20' SECOND ORDER BY ts, id, v, k LIMIT 3",
    "SELECT id FROM bronze.e WHERE CAST(ts AS DATE) >= current_date - 1",
];

/// Views whose windows close, each with the table of its late rows.
const CLOSING: &[&str] = &[
    "SELECT * FROM TUMBLE(bronze.e, ts, INTERVAL '10' SECOND) LATE ROWS TO s.late",
    "SELECT * FROM HOP(bronze.e, ts, INTERVAL '5' SECOND, INTERVAL '15' SECOND) LATE ROWS TO s.late",
    "SELECT k, window_start, window_end, count(*) AS n FROM SESSION(bronze.e, ts, INTERVAL '4' SECOND, k) GROUP BY 1, 2, 3 \
     LATE ROWS TO s.late",
    "SELECT window_end, k, count(*) AS n, max(v) AS high FROM TUMBLE(bronze.e, ts, INTERVAL '10' SECOND) GROUP BY 1, 2 \
     EMIT ON WINDOW CLOSE LATE ROWS TO s.late",
    "SELECT k, window_start, window_end, count(*) AS n, max(v) AS high FROM SESSION(bronze.e, ts, INTERVAL '4' SECOND, k) \
     GROUP BY 1, 2, 3 EMIT ON WINDOW CLOSE LATE ROWS TO s.late",
    "SELECT id, window_end FROM HOP(bronze.e, ts, INTERVAL '5' SECOND, INTERVAL '15' SECOND) WHERE v > 1 EMIT ON WINDOW CLOSE",
];
/// Of these, those whose rows and late rows are all rows of their windows.
const WHOLE: usize = 2;
/// From here on rows are shown when their windows close. Of this one they stay: a session's end may come later still.
const FINAL: usize = 3;

/// What happens before a refresh.
#[derive(Clone, Debug)]
struct Round {
    seconds: i64,
    /// Id, key, seconds from the clock, value.
    rows: Vec<(i64, Option<i64>, Option<i64>, i64)>,
    /// Rows with this remainder of their id by 5 go.
    goes: Option<i64>,
    /// Where the watermark moves to, in seconds from the clock, unless it stands there already.
    mark: Option<i64>,
    restarts: bool,
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let row = (0..40i64, prop::option::of(0..3i64), prop::option::weighted(0.9, -30..12i64), 0..6i64);
    let seconds = prop_oneof![0..9i64, Just(0), Just(86_400), Just(-3)];
    let rows = prop_oneof![2 => Just(Vec::new()), 3 => prop::collection::vec(row, 1..6)];
    let goes = prop::option::weighted(0.3, 0..5i64);
    let mark = prop::option::weighted(0.6, -12..3i64);
    let round = (seconds, rows, goes, mark, any::<bool>());
    let round =
        round.prop_map(|(seconds, rows, goes, mark, restarts)| Round { seconds, rows, goes, mark, restarts });
    prop::collection::vec(round, 3..7)
}

fn schema() -> SchemaRef {
    let utc = Some("UTC".into());
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("k", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, utc.clone()), true),
        Field::new("v", DataType::Int64, true),
        Field::new("_watermark", DataType::Timestamp(TimeUnit::Microsecond, utc), true),
    ]))
}

type Row = (i64, Option<i64>, Option<i64>, i64);

/// The source: its table, the time, and the watermark that its last commit came to.
struct Bronze {
    table: Arc<Table>,
    // Finer than what is recorded of a time.
    now: DateTime<Utc>,
    watermark: Option<i64>,
}

impl Bronze {
    fn batch(&self, rows: &[Row]) -> RecordBatch {
        let at = |ago: i64| (self.now + TimeDelta::seconds(ago)).timestamp_micros();
        let times: TimestampMicrosecondArray = rows.iter().map(|row| row.2.map(at)).collect();
        let marks: TimestampMicrosecondArray = rows.iter().map(|_| self.watermark).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Int64Array>()),
            Arc::new(marks.with_timezone("UTC")),
        ];
        RecordBatch::try_new(schema(), columns).unwrap()
    }

    /// One commit: rows, with the watermark that stands, and where it moves to.
    async fn commit(&mut self, rows: &[Row], mark: Option<i64>) {
        let adds = match rows {
            [] => Vec::new(),
            rows => self.table.write(vec![self.batch(rows)], Effort::Fast).await.unwrap(),
        };
        let mark = mark.map(|seconds| (self.now + TimeDelta::seconds(seconds)).timestamp_micros());
        self.watermark = self.watermark.max(mark);
        let transactions = self.watermark.map(|mark| (WATERMARK.to_string(), mark));
        self.table.commit(Commit::append(adds, transactions.into_iter().collect())).await.unwrap();
    }
}

/// As bronze calls it.
const WATERMARK: &str = "sluice.watermark";

/// What a view reads, and what the view of its late rows does.
fn queries(query: &str) -> (ModelQuery, Option<ModelQuery>) {
    let text = format!("CREATE MATERIALIZED VIEW s.x AS {query};");
    let parsed = parse_file("x.sql".as_ref(), &text).unwrap();
    let [Definition::MaterializedView(view)] = parsed.as_slice() else { panic!("{query} is no view") };
    (view.query.clone(), late_view(view).map(|late| late.query))
}

fn at(cut: Arc<Cut>, now: DateTime<Utc>) -> Arc<Cut> {
    Arc::new(Cut { wave_time: now, ..Cut::clone(&cut) })
}

/// A view, and how far it has come.
struct Followed {
    model: Model,
    query: String,
    consumed: BTreeMap<TableName, i64>,
    base: Option<Arc<Cut>>,
}

impl Followed {
    async fn new(house: &House, number: usize, query: &ModelQuery, cut: &Arc<Cut>) -> Self {
        let text = query.ast.to_string();
        let inputs: Vec<String> = query.inputs.iter().map(TableName::to_string).collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let model = house.model(&format!("m{number}"), &text, &inputs, cut, DataType::clone, None).await;
        let model = model.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(incremental::why_not(&model.outline(), &house.engine, cut).await.unwrap(), None, "{text}");
        house.first(&model, cut).await.unwrap();
        let consumed = model.consumed();
        Self { model, query: text, consumed, base: None }
    }

    /// Refreshed to a cut, it equals its query; tells whether rows changed.
    async fn refresh(&mut self, house: &House, cut: &Arc<Cut>, restarts: bool) -> bool {
        let Self { model, query, consumed, base } = self;
        if restarts {
            (*consumed, *base) = (model.consumed(), None);
        }
        let done = match house.refresh(model, cut, consumed, base.as_ref()).await.unwrap() {
            Attempt::Done(done) => done,
            Attempt::Refused(why) => panic!("{query}: {why}"),
        };
        // The first rows of an order by time are the first to leave: now and then all are looked at again.
        let is_filled_up = done.record.reason.contains("of the first rows are left");
        assert!(done.record.mode == "incremental" || is_filled_up, "{query}: {}", done.record.reason);
        *consumed = done.consumed;
        *base = Some(Arc::clone(cut));
        let whole = bag(&model.schema, &house.whole(model, cut).await.unwrap());
        assert!(whole == self.rows(), "{}", self.query);
        done.record.rows_inserted + done.record.rows_deleted > 0
    }

    fn rows(&self) -> Vec<Vec<u8>> {
        bag(&self.model.schema, &stored(&self.model.table))
    }
}

/// Refreshes between which only the clock moved, those that made rows late, and those that closed windows although no
/// row came.
const BY_CLOCK: &str = "by the clock alone";
const LATE: &str = "late rows";
const CLOSED: &str = "windows closed in silence";

/// Follows a history.
async fn follow(rounds: Vec<Round>, tried: Tried) {
    let folder = folder();
    let engine = Engine::new(1 << 28, 2).unwrap();
    let house = House::open(folder.path(), &engine, &[("bronze.e", schema())]);
    let now = DateTime::from_timestamp_nanos(1_800_000_000_123_456_789);
    let mut bronze = Bronze { table: house.table("bronze.e"), now, watermark: None };
    bronze.commit(&[(1, Some(1), Some(-12), 5), (2, Some(1), Some(3), 1)], None).await;
    let cut = at(house.cut(), now);
    let mut views = Vec::new();
    for query in QUERIES {
        views.push(Followed::new(&house, views.len(), &queries(query).0, &cut).await);
    }
    let (mut closing, mut number) = (Vec::new(), views.len());
    for query in CLOSING {
        let (in_time, late) = queries(query);
        let view = Followed::new(&house, number, &in_time, &cut).await;
        let late = match late {
            Some(late) => Some(Followed::new(&house, number + 1, &late, &cut).await),
            None => None,
        };
        number += 2;
        closing.push((view, late));
    }
    for round in rounds {
        bronze.now += TimeDelta::seconds(round.seconds);
        let is_committed = !round.rows.is_empty() || round.mark.is_some();
        if is_committed {
            bronze.commit(&round.rows, round.mark).await;
        }
        if let Some(remainder) = round.goes {
            let goes = |rows: &RecordBatch| {
                let ids = rows.column(0).as_primitive::<Int64Type>();
                ids.iter().map(|id| id.is_some_and(|id| id % 5 == remainder)).collect()
            };
            house::replace(&bronze.table, goes, |_| None).await;
        }
        let cut = at(house.cut(), bronze.now);
        let is_silent = round.rows.is_empty() && round.goes.is_none();
        for view in &mut views {
            let changed = view.refresh(&house, &cut, round.restarts).await;
            tried.add(&view.query, changed);
            if !is_committed && round.goes.is_none() {
                tried.add(BY_CLOCK, changed);
            }
        }
        let before = closing[FINAL].0.rows();
        for (number, (view, late)) in closing.iter_mut().enumerate() {
            let changed = view.refresh(&house, &cut, round.restarts).await;
            tried.add(&view.query, changed);
            if number >= FINAL && is_silent {
                tried.add(CLOSED, changed);
            }
            if let Some(late) = late {
                let changed = late.refresh(&house, &cut, round.restarts).await;
                tried.add(LATE, changed && round.goes.is_none());
            }
        }
        for (number, (view, late)) in closing[..WHOLE].iter().enumerate() {
            let (windows, _) = CLOSING[number].split_once(" LATE").unwrap();
            let all = Followed::new(&house, 1_000 + number, &queries(windows).0, &cut).await;
            let mut parts = view.rows();
            parts.extend(late.as_ref().unwrap().rows());
            parts.sort_unstable();
            assert!(
                parts == bag(&view.model.schema, &house.whole(&all.model, &cut).await.unwrap()),
                "{round:?}"
            );
        }
        if round.goes.is_none() {
            let after = closing[FINAL].0.rows();
            assert!(before.iter().all(|row| after.contains(row)), "a closed window changed after {round:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_made_of_the_time_are_recomputed() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(1 << 28, 2).unwrap();
    let house = House::open(folder.path(), &engine, &[("bronze.e", schema())]);
    let cut = house.cut();
    let queries = [
        "SELECT id, now() AS seen FROM bronze.e",
        "SELECT k, count(*) AS n, current_date AS day FROM bronze.e GROUP BY k",
        "SELECT k, count(*) FILTER (WHERE ts > now()) AS n FROM bronze.e GROUP BY k",
        "SELECT k, id, CAST(now() AS DATE) AS day FROM (SELECT k, id, row_number() OVER (PARTITION BY k ORDER BY id) AS n \
         FROM bronze.e) WHERE n = 1",
        "SELECT a.id FROM bronze.e a LEFT JOIN bronze.e b ON a.id = b.id AND a.ts > now()",
    ];
    for (number, query) in queries.iter().enumerate() {
        let model = house
            .model(&format!("m{number}"), query, &["bronze.e"], &cut, DataType::clone, None)
            .await
            .unwrap();
        let why = incremental::why_not(&model.outline(), &engine, &cut).await.unwrap();
        assert!(why.as_ref().is_some_and(|why| why.contains("the time has a rule")), "{query}: {why:?}");
    }
}

/// How many random histories are run.
const HISTORIES: u64 = 4;

#[test]
fn views_are_their_queries_while_time_passes() {
    // Few histories, of which a seed by chance may draw none where the clock alone changes rows.
    let asked = Asked::of_environment(2, HISTORIES, 1);
    let tried = Tried::default();
    asked.hold(&rounds(), |rounds| follow(rounds, tried.clone()));
    tried.tell("law of time", &asked);
    if asked.is_all {
        for (what, least) in [(BY_CLOCK, 3), (LATE, 3), (CLOSED, 2)] {
            let (all, changed) = tried.of(what);
            assert!(changed >= least, "{what}: {changed} of {all} refreshes changed rows: hardly tried");
        }
    }
}
