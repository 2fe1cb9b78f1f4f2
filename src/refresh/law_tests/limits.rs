//! The law where values end: the least and greatest numbers of their types, sums beyond them, and what cannot be computed.
//!
//! As long as a query fails on the rows that there are, its refreshes fail, too, and what stood stands; they go on once
//! the rows are gone.

use super::asked::{Asked, Tried, folder};
use super::house::{self, House, bag, stored};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::{Table, TableName, chain};
use crate::refresh::model::Model;
use arrow::array::{ArrayRef, AsArray as _, Decimal128Array, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Those that can be computed whatever stands in the table: sums of whole numbers begin anew behind the greatest.
const COMPUTABLE: &[&str] = &[
    "SELECT id, b, i, d FROM s.n WHERE b > 0 OR d < 0",
    "SELECT id, b + 1 AS more, b * 2 AS twice FROM s.n",
    "SELECT id, CAST(i AS BIGINT) * 2 AS twice FROM s.n",
    "SELECT k, count(*) AS n, sum(b) AS b, count(b) AS bs, sum(i) AS i, count(i) AS i_s FROM s.n GROUP BY k",
    "SELECT k, count(*) AS n, min(b) AS b_low, max(b) AS b_high, min(i) AS i_low, max(i) AS i_high, min(d) AS d_low, \
     max(d) AS d_high FROM s.n GROUP BY k",
    "SELECT sum(b) AS b, sum(i) AS i, avg(i) AS mean, max(d) AS high FROM s.n",
    "SELECT k, avg(i) AS mean, sum(b) FILTER (WHERE i > 0) AS b FROM s.n GROUP BY k HAVING sum(b) <> 0",
    "SELECT b, count(*) AS n FROM s.n GROUP BY b",
    "SELECT d, i, count(*) AS n FROM s.n GROUP BY d, i",
    "SELECT DISTINCT b, d FROM s.n",
    "SELECT a.id AS a, c.id AS c FROM s.n a JOIN s.n c ON a.b = c.b AND a.d = c.d",
    "SELECT a.id AS a, c.id AS c FROM s.n a LEFT JOIN s.n c ON a.b = c.i",
    "SELECT id FROM s.n WHERE b NOT IN (SELECT i FROM s.n WHERE i IS NOT NULL)",
    "SELECT id, b, sum(b) OVER (PARTITION BY k) AS s, max(d) OVER (PARTITION BY k) AS high FROM s.n",
    "SELECT id, b, d FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY b DESC, d, i, id) AS n FROM s.n) WHERE n = 1",
    "SELECT id, b, d, i, k FROM s.n ORDER BY d DESC, b, i, id, k LIMIT 3",
    "SELECT k, bit_xor(b) AS x, median(b) AS middle, median(d) AS d, count(DISTINCT d) AS ds FROM s.n GROUP BY k",
    "SELECT k, sum(b) AS b, grouping(k) AS g FROM s.n GROUP BY ROLLUP (k)",
    "SELECT n, count(*) AS groups FROM (SELECT k, sum(b) AS n FROM s.n GROUP BY k) GROUP BY n",
    "SELECT b FROM s.n UNION SELECT CAST(i AS BIGINT) FROM s.n",
];

/// Those that some values stand in the way of. (Without `-b`: of a column that is all the least BIGINT, DataFusion 55 fails,
/// and of one among others it makes itself.)
const FAILING: &[&str] = &[
    "SELECT id, CAST(b AS INT) AS x FROM s.n",
    "SELECT id, 100 / i AS x FROM s.n",
    "SELECT id, d * CAST(10 AS DECIMAL(3, 1)) AS x FROM s.n",
    "SELECT id FROM s.n WHERE CAST(b AS INT) > 0",
    "SELECT k, sum(CAST(b AS INT)) AS s, count(*) AS n FROM s.n GROUP BY k",
    "SELECT k, CAST(sum(b) AS INT) AS s FROM s.n GROUP BY k",
    "SELECT k, sum(100 / i) AS s, count(i) AS n FROM s.n GROUP BY k",
    "SELECT k, 100 / sum(i) AS s FROM s.n GROUP BY k",
    "SELECT k, max(100 / i) AS s, count(*) AS n FROM s.n GROUP BY k",
    "SELECT k, sum(d) AS s, count(d) AS n, count(*) AS m FROM s.n GROUP BY k",
    "SELECT k, sum(d) AS s, sum(d) FILTER (WHERE i > 0) AS t FROM s.n GROUP BY k HAVING count(*) > 1",
    "SELECT sum(d) AS s FROM s.n",
    "SELECT k, avg(d) AS mean FROM s.n GROUP BY k",
    "SELECT avg(d) AS mean, sum(d) AS s FROM s.n",
    "SELECT k, sum(d) AS s FROM s.n GROUP BY ROLLUP (k)",
    "SELECT id, sum(d) OVER (PARTITION BY k) AS s FROM s.n",
    "SELECT a.id, a.d + c.d AS x FROM s.n a JOIN s.n c ON a.k = c.k",
    "SELECT id FROM s.n WHERE 100 / i > (SELECT avg(i) FROM s.n)",
];

/// 10^38 - 1, the greatest of 38 digits.
const D_MAX: i128 = 10i128.pow(38) - 1;
const BIGS: [i64; 8] = [i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, -1, 0, 1, 7];
const INTS: [i32; 6] = [i32::MIN, i32::MAX, -1, 0, 1, 5];
/// Cents. Of the last ones, four digits more than these have are still some of 38.
const DECIMALS: [i128; 9] =
    [D_MAX, -D_MAX, 5 * 10i128.pow(37), D_MAX / 2, -1, 0, 1, 9 * 10i128.pow(33), -9 * 10i128.pow(33)];

/// Id, key, and which values.
type Row = (i64, Option<i64>, Option<i64>, Option<i32>, Option<i128>);

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<Row>),
    /// Rows whose id leaves `1` when divided by `0` go, and others come.
    Replace(i64, i64, Vec<Row>),
}

fn row() -> impl Strategy<Value = Row> {
    let some = prop::option::weighted::<BoxedStrategy<i64>>;
    (
        0..20i64,
        some(0.9, (0..3i64).boxed()),
        some(0.9, prop::sample::select(&BIGS[..]).boxed()),
        prop::option::weighted(0.9, prop::sample::select(&INTS[..])),
        prop::option::weighted(0.9, prop::sample::select(&DECIMALS[..])),
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = |least| prop::collection::vec(row(), least..4);
    let step = prop_oneof![
        3 => rows(1).prop_map(Step::Insert),
        2 => (1..4i64, 0..4i64, rows(0)).prop_map(|(by, left, rows)| Step::Replace(by, left % by, rows)),
    ];
    prop::collection::vec(step, 2..6)
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("k", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
        Field::new("i", DataType::Int32, true),
        Field::new("d", DataType::Decimal128(38, 2), true),
    ]))
}

fn batch(rows: &[Row]) -> RecordBatch {
    let decimals = Decimal128Array::from_iter(rows.iter().map(|row| row.4));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.2))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.3))),
        Arc::new(decimals.with_precision_and_scale(38, 2).unwrap()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

async fn replace(table: &Arc<Table>, by: i64, left: i64, come: &[Row]) {
    let goes = |rows: &RecordBatch| {
        let ids = rows.column(0).as_primitive::<Int64Type>();
        ids.iter().map(|id| id.is_some_and(|id| id % by == left)).collect()
    };
    house::replace(table, goes, |_| Some(batch(come))).await;
}

/// A view, how far it has come, and whether its last refresh failed.
struct Followed {
    query: &'static str,
    model: Model,
    consumed: BTreeMap<TableName, i64>,
    base: Arc<Cut>,
    fails: bool,
}

impl Followed {
    async fn refresh(&mut self, house: &House, cut: &Arc<Cut>, tried: &Tried) {
        let Self { query, model, consumed, base, fails } = self;
        let before = stored(&model.table);
        let whole = house.whole(model, cut).await;
        let refreshed = house.refresh_as_lane(model, cut, consumed, Some(base)).await;
        let is = stored(&model.table);
        let shown = pretty_format_batches(&is).unwrap();
        let (should, done) = match (whole, refreshed) {
            (Ok(should), Ok(done)) => (should, done),
            (Err(_), Err(_)) => {
                assert!(bag(&model.schema, &is) == bag(&model.schema, &before), "{query} failed:\n{shown}");
                tried.add("failed, as the query does", false);
                *fails = true;
                return;
            }
            (Err(error), Ok(done)) => {
                panic!("{query}\n{}\n{shown}\nfails: {}", done.record.reason, chain(&error))
            }
            (Ok(_), Err(error)) => panic!("{query}\nits refresh fails: {}", chain(&error)),
        };
        assert!(
            bag(&model.schema, &is) == bag(&model.schema, &should),
            "{query}\n{}\nstored:\n{shown}\nshould be:\n{}",
            done.record.reason,
            pretty_format_batches(&should).unwrap()
        );
        let changed = done.record.rows_inserted + done.record.rows_deleted > 0;
        tried.add(if *fails { "went on" } else { done.record.mode }, changed);
        (*consumed, *base, *fails) = (done.consumed, Arc::clone(cut), false);
    }
}

async fn follow(steps: Vec<Step>, tried: Tried) {
    let folder = folder();
    let house = House::open(folder.path(), &Engine::new(1 << 28, 2).unwrap(), &[("n", schema())]);
    let table = house.table("n");
    house::append(
        &table,
        batch(&[(1, Some(1), Some(1), Some(1), Some(1)), (2, Some(2), Some(7), Some(5), None)]),
    )
    .await;
    let mut views = Vec::new();
    for (number, query) in COMPUTABLE.iter().chain(FAILING).enumerate() {
        let base = house.cut();
        let model = house.model(&format!("q{number}"), query, &["n"], &base, DataType::clone, None).await;
        let model = model.unwrap_or_else(|error| panic!("{query}: {error}"));
        house.first(&model, &base).await.unwrap();
        let consumed = model.consumed();
        views.push(Followed { query, model, consumed, base, fails: false });
    }
    // At last all rows go, and there are such again as every query takes.
    let last = [Step::Replace(1, 0, vec![]), Step::Insert(vec![(3, Some(1), Some(7), Some(1), Some(1))])];
    let (random, all) = (steps.len(), steps.into_iter().chain(last));
    for (number, step) in all.enumerate() {
        match step {
            Step::Insert(rows) => {
                house::append(&table, batch(&rows)).await;
            }
            Step::Replace(by, left, rows) => replace(&table, by, left, &rows).await,
        }
        let cut = house.cut();
        for (place, view) in views.iter_mut().enumerate() {
            view.refresh(&house, &cut, &tried).await;
            let must_go_on = place < COMPUTABLE.len() || number >= random;
            assert!(!must_go_on || !view.fails, "{} cannot be computed", view.query);
        }
    }
}

/// How many random histories are run.
const HISTORIES: u64 = 3;

#[test]
fn values_at_their_limits_are_as_in_the_query() {
    let asked = Asked::anew(HISTORIES);
    let tried = Tried::default();
    asked.hold(&steps(), |steps| follow(steps, tried.clone()));
    tried.tell("law of limits", &asked);
    if asked.is_all {
        for what in ["failed, as the query does", "went on", "incremental"] {
            assert!(tried.of(what).0 > 0, "nothing {what}: hardly tried");
        }
    }
}
