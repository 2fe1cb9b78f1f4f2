//! Fixed queries: one for each operator that has a rule, and what has none.
//!
//! Random changes (inserts with NULL keys and duplicates, deletes, updates, several commits at once, folds) of two real
//! tables; after each refresh every query's stored rows are compared with the query computed whole.

use super::asked::{Asked, Tried, folder};
use super::house::{self, House, bag, stored};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::Table;
use crate::refresh::explain;
use crate::refresh::incremental::{self, Attempt};
use crate::refresh::model::Model;
use arrow::array::{ArrayRef, AsArray as _, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// A query for each operator that has a rule, and some for several at once.
const QUERIES: &[(&str, &str)] = &[
    ("filter and project", "SELECT id, v * 2 AS w, upper(t) AS t FROM s.f WHERE v > 3"),
    ("inner join", "SELECT f.id, f.v, d.name FROM s.f JOIN s.d ON f.k = d.k"),
    ("join by product", "SELECT f.id, d.k, d.name FROM s.f, s.d WHERE f.k < d.k"),
    ("self join", "SELECT a.id AS a, b.id AS b FROM s.f a JOIN s.f b ON a.k = b.k AND a.id < b.id"),
    ("left join", "SELECT f.id, d.name FROM s.f LEFT JOIN s.d ON f.k = d.k AND f.v > 2"),
    ("right join", "SELECT f.id, d.name FROM s.f RIGHT JOIN s.d ON f.k = d.k"),
    ("full join", "SELECT f.id, d.name FROM s.f FULL JOIN s.d ON f.k = d.k"),
    ("exists", "SELECT id, t FROM s.f WHERE EXISTS (SELECT 1 FROM s.d WHERE d.k = f.k)"),
    ("not exists", "SELECT id, t FROM s.f WHERE NOT EXISTS (SELECT 1 FROM s.d WHERE d.k = f.k)"),
    ("in", "SELECT id FROM s.f WHERE k IN (SELECT k FROM s.d)"),
    ("exists or", "SELECT id FROM s.f WHERE v > 5 OR EXISTS (SELECT 1 FROM s.d WHERE d.k = f.k)"),
    (
        "aggregates",
        "SELECT k, count(*) AS n, count(v) AS m, sum(v) AS s, min(v) AS low, max(t) AS high, avg(v) AS mean, \
         count(DISTINCT t) AS texts FROM s.f GROUP BY k",
    ),
    (
        "exact aggregates",
        "SELECT sum(v) AS s, k, count(t) AS m, max(t) AS high, min(id) AS low, count(*) FILTER (WHERE v > 1) AS large \
         FROM s.f GROUP BY k",
    ),
    (
        "counted aggregates",
        "SELECT k, count(*) AS n, count(v) AS m, sum(v) AS s, min(id) AS low, max(t) AS high FROM s.f GROUP BY k",
    ),
    (
        "averages",
        "SELECT t, avg(v) AS mean, sum(v) FILTER (WHERE k > 1) AS s, count(k) AS n, max(v) AS high FROM s.f \
         GROUP BY t HAVING count(*) > 1",
    ),
    (
        "exact aggregates of a join",
        "SELECT d.name, count(*) AS n, sum(f.v) AS s FROM s.f JOIN s.d ON f.k = d.k GROUP BY d.name",
    ),
    ("hidden key", "SELECT count(*) AS n, sum(v) AS s FROM s.f GROUP BY k"),
    (
        "key given twice",
        "SELECT k, k AS j, count(*) AS n, max(v) AS most FROM (SELECT k, v FROM s.f) g GROUP BY g.k, g.k",
    ),
    ("key by expression", "SELECT k % 2 AS odd, sum(v) AS s FROM s.f GROUP BY k % 2"),
    (
        "join, group, having",
        "SELECT d.name, sum(f.v) AS s FROM s.f JOIN s.d ON f.k = d.k GROUP BY d.name HAVING count(*) > 1",
    ),
    (
        "group of groups",
        "SELECT n, count(*) AS groups FROM (SELECT k, count(*) AS n FROM s.f GROUP BY k) GROUP BY n",
    ),
    (
        "join with groups",
        "SELECT d.name, g.s FROM s.d JOIN (SELECT k, sum(v) AS s FROM s.f GROUP BY k) g ON g.k = d.k",
    ),
    (
        "aggregates over everything",
        "SELECT count(*) AS n, sum(v) AS s, min(id) AS low, max(t) AS high, avg(v) AS mean FROM s.f WHERE k > 1",
    ),
    ("share of everything", "SELECT id, v FROM s.f WHERE v > (SELECT avg(v) FROM s.f)"),
    ("first rows", "SELECT id, v, t, k FROM s.f ORDER BY v DESC, id, t, k LIMIT 5"),
    (
        "first groups",
        "SELECT d.name, sum(f.v) AS s FROM s.f JOIN s.d ON f.k = d.k GROUP BY d.name ORDER BY s DESC, 1 LIMIT 2",
    ),
    (
        "first rows by what is not shown",
        "SELECT t, k FROM s.f ORDER BY v * k NULLS FIRST, id DESC, v, k, t LIMIT 3 OFFSET 2",
    ),
    ("rows in order", "SELECT id, k FROM s.f ORDER BY v, id"),
    (
        "joined with the first rows",
        "SELECT d.name, b.id FROM (SELECT id, k FROM s.f ORDER BY v DESC, id, k, t LIMIT 4) b JOIN s.d ON b.k = d.k",
    ),
    (
        "first rows of joined ones",
        "SELECT f.id, d.name FROM s.f JOIN s.d ON f.k = d.k ORDER BY d.name, f.v DESC, f.id, f.t, f.k LIMIT 6",
    ),
    ("window over everything", "SELECT id, row_number() OVER (ORDER BY id, k, v, t) AS n FROM s.f"),
    ("distinct", "SELECT DISTINCT k, t FROM s.f"),
    (
        "distinct values counted",
        "SELECT k % 3 AS g, count(DISTINCT t) AS texts, sum(DISTINCT v) AS s, avg(DISTINCT v) FILTER (WHERE id > 1) AS mean, \
         max(DISTINCT v) AS most, count(DISTINCT t) FILTER (WHERE v > 1) AS few, count(*) AS n FROM s.f GROUP BY k % 3",
    ),
    (
        "distinct values of everything",
        "SELECT count(DISTINCT k) AS keys, count(DISTINCT t) AS texts, sum(v) AS s FROM s.f",
    ),
    (
        "distinct values alone",
        "SELECT d.name, count(DISTINCT f.v) AS n FROM s.f JOIN s.d ON f.k = d.k GROUP BY d.name HAVING count(DISTINCT f.v) > 1",
    ),
    (
        "distinct values by a key given twice",
        "SELECT t, k, t AS again, count(DISTINCT v) AS n, sum(id) AS s FROM s.f GROUP BY t, k, t",
    ),
    ("distinct on", "SELECT DISTINCT ON (k) k, id, v FROM s.f ORDER BY k, v DESC, id, t"),
    ("union all", "SELECT k FROM s.f UNION ALL SELECT k FROM s.d"),
    ("union", "SELECT k FROM s.f UNION SELECT k FROM s.d"),
    ("intersect", "SELECT k FROM s.f INTERSECT SELECT k FROM s.d"),
    ("except", "SELECT k FROM s.f EXCEPT SELECT k FROM s.d"),
    (
        "newest of each key",
        "SELECT k, id, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY id DESC, v, t) AS n FROM s.f) \
         WHERE n = 1",
    ),
    (
        "first ranks of each key",
        "SELECT k, id, v FROM (SELECT *, rank() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM s.f) WHERE n <= 2",
    ),
    (
        "first dense ranks of each key",
        "SELECT n, k, id, v FROM (SELECT *, dense_rank() OVER (PARTITION BY k ORDER BY v) AS n FROM s.f) WHERE n < 3",
    ),
    (
        "rollup",
        "SELECT k, t, count(*) AS n, sum(v) AS s, avg(v) AS mean, grouping(k, t) AS g FROM s.f GROUP BY ROLLUP (k, t)",
    ),
    ("cube", "SELECT k % 2 AS odd, t, max(v) AS high FROM s.f GROUP BY CUBE (k % 2, t) HAVING count(*) > 1"),
    (
        "grouping sets",
        "SELECT d.name, f.t, count(DISTINCT f.k) AS keys FROM s.f JOIN s.d ON f.k = d.k \
         GROUP BY GROUPING SETS ((d.name), (d.name, f.t), (d.name))",
    ),
    (
        "rollup without its total",
        "SELECT k, n FROM (SELECT k, count(t) AS n FROM s.f GROUP BY ROLLUP (k)) AS r WHERE k IS NOT NULL",
    ),
    ("not in", "SELECT id, k FROM s.f WHERE k NOT IN (SELECT k FROM s.d)"),
    ("not in of the outer row", "SELECT id FROM s.f WHERE v NOT IN (SELECT g.v FROM s.f g WHERE g.k = f.k)"),
    ("exists as a value", "SELECT id, EXISTS (SELECT 1 FROM s.d WHERE d.k = f.k) AS e FROM s.f"),
    (
        "not in what is not NULL",
        "SELECT id FROM s.f WHERE k NOT IN (SELECT k FROM s.d WHERE k > 2) AND v > 1",
    ),
    (
        "not in the keys of groups",
        "SELECT id FROM s.f WHERE k + 1 NOT IN (SELECT k FROM s.f WHERE k > 0 GROUP BY k)",
    ),
    (
        "window over a full join",
        "SELECT f.id, f.t, d.name, first_value(f.t) OVER (PARTITION BY d.k, f.t ORDER BY f.id, f.v, d.name) AS x \
         FROM s.f FULL JOIN s.d ON f.k = d.k",
    ),
    ("window", "SELECT id, v, t, sum(v) OVER (PARTITION BY k) AS total, k FROM s.f"),
    (
        "words of texts counted",
        "SELECT k, word, count(*) AS n FROM (SELECT k, unnest(string_to_array(t, 'a')) AS word FROM s.f) w \
         GROUP BY k, word",
    ),
    (
        "unnested list joined",
        "SELECT f.id, d.name, unnest(make_array(f.v, f.v + 1, NULL)) AS w FROM s.f JOIN s.d ON f.k = d.k",
    ),
    ("scalar subquery", "SELECT id, (SELECT max(g.v) FROM s.f g WHERE g.k = f.k) AS most FROM s.f"),
    (
        "cte",
        "WITH big AS (SELECT * FROM s.f WHERE v > 3) SELECT b.id, d.name FROM big b JOIN s.d ON d.k = b.k ORDER BY 1",
    ),
];

/// What has no rule yet, and says so.
const REFUSED: &[(&str, &str)] = &[
    ("SELECT id, t FROM s.f GROUP BY CUBE (id, k, v, t, id + 1, k + 1)", "too many grouping sets"),
    ("SELECT median(k) AS m FROM s.f", "an aggregate over everything has no key"),
    ("SELECT f.id, d.name FROM s.f LEFT JOIN s.d ON f.k < d.k", "Left join has no equality to key on"),
    ("SELECT f.id, d.name FROM s.f FULL JOIN s.d ON f.k < d.k", "Full join has no equality to key on"),
    (
        "SELECT id FROM s.f WHERE NOT EXISTS (SELECT 1 FROM s.d WHERE d.k < f.k)",
        "LeftAnti join has no equality to key on",
    ),
];

fn facts() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Decimal128(10, 2), true),
        Field::new("t", DataType::Utf8, true),
    ]))
}

fn dimension() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
    ]))
}

type Fact = (i64, Option<i64>, Option<i64>, Option<u8>);
type Member = (Option<i64>, u8);

#[derive(Clone, Debug)]
enum Step {
    Facts(Vec<Fact>),
    Members(Vec<Member>),
    /// Deletes the facts whose id leaves `1` when divided by `0`.
    NoFacts(i64, i64),
    /// Deletes the members of one key; -1 stands for those without.
    NoMembers(i64),
    /// Facts of one id go and others come, in one commit.
    Replace(i64, Vec<Fact>),
    Fold,
}

fn fact() -> impl Strategy<Value = Fact> {
    let key = prop_oneof![1 => Just(None), 5 => (0i64..5).prop_map(Some)];
    let value = prop_oneof![1 => Just(None), 5 => (-900i64..900).prop_map(Some)];
    (0i64..12, key, value, prop::option::of(0u8..3))
}

fn step() -> impl Strategy<Value = Step> {
    let member = (prop_oneof![1 => Just(None), 5 => (0i64..6).prop_map(Some)], 0u8..3);
    prop_oneof![
        4 => prop::collection::vec(fact(), 1..8).prop_map(Step::Facts),
        2 => prop::collection::vec(member, 1..4).prop_map(Step::Members),
        2 => (2i64..5, 0i64..5).prop_map(|(by, left)| Step::NoFacts(by, left % by)),
        1 => (-1i64..6).prop_map(Step::NoMembers),
        2 => (0i64..12, prop::collection::vec(fact(), 0..3)).prop_map(|(id, facts)| Step::Replace(id, facts)),
        1 => Just(Step::Fold),
    ]
}

struct Shop {
    house: House,
    facts: Arc<Table>,
    members: Arc<Table>,
}

impl Shop {
    fn open(root: &std::path::Path) -> Self {
        let tables = [("f", facts()), ("d", dimension())];
        let house = House::open(root, &Engine::new(1 << 30, 2).unwrap(), &tables);
        let (facts, members) = (house.table("f"), house.table("d"));
        Self { house, facts, members }
    }

    async fn model(&self, number: usize, query: &str) -> Model {
        let model = self.declared(number, query).await;
        self.house.first(&model, &self.house.cut()).await.unwrap();
        model
    }

    /// A view that has not been computed yet.
    async fn declared(&self, number: usize, query: &str) -> Model {
        // As one declares it: a sum's own type is wider.
        let declared = |stored: &DataType| match stored {
            DataType::Decimal128(_, 2) => DataType::Decimal128(18, 2),
            other => other.clone(),
        };
        let cut = self.house.cut();
        self.house.model(&format!("q{number}"), query, &["d", "f"], &cut, declared, None).await.unwrap()
    }

    /// Now and then the old versions come from the log, as after a restart.
    async fn refresh(&self, model: &Model, base: &Arc<Cut>) -> Attempt {
        let consumed = model.consumed();
        let base = model.is_up_to(base, &consumed).then_some(base);
        self.house.refresh(model, &self.house.cut(), &consumed, base).await.unwrap()
    }

    async fn take(&self, step: &Step) {
        match step {
            Step::Facts(facts) => replace(&self.facts, Some(fact_rows(facts)), |_, _| false).await,
            Step::Members(members) => replace(&self.members, Some(member_rows(members)), |_, _| false).await,
            Step::NoFacts(by, left) => {
                replace(&self.facts, None, |rows, row| {
                    number(rows, "id", row).is_some_and(|id| id % by == *left)
                })
                .await;
            }
            Step::NoMembers(key) => {
                let wanted = (*key >= 0).then_some(*key);
                replace(&self.members, None, |rows, row| number(rows, "k", row) == wanted).await;
            }
            Step::Replace(id, facts) => {
                let gone = |rows: &RecordBatch, row| number(rows, "id", row) == Some(*id);
                replace(&self.facts, Some(fact_rows(facts)), gone).await;
            }
            Step::Fold => {
                for table in [&self.facts, &self.members] {
                    house::fold(table).await;
                }
            }
        }
    }
}

fn number(rows: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = rows.column_by_name(column).unwrap().as_primitive::<Int64Type>();
    arrow::array::Array::is_valid(column, row).then(|| column.value(row))
}

fn text(letter: Option<u8>) -> Option<String> {
    letter.map(|letter| char::from(b'a' + letter).to_string())
}

fn fact_rows(facts: &[Fact]) -> RecordBatch {
    let values = Decimal128Array::from_iter(facts.iter().map(|fact| fact.2.map(i128::from)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(facts.iter().map(|fact| fact.0))),
        Arc::new(Int64Array::from_iter(facts.iter().map(|fact| fact.1))),
        Arc::new(values.with_precision_and_scale(10, 2).unwrap()),
        Arc::new(StringArray::from_iter(facts.iter().map(|fact| text(fact.3)))),
    ];
    RecordBatch::try_new(self::facts(), columns).unwrap()
}

fn member_rows(members: &[Member]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter(members.iter().map(|member| member.0))),
        Arc::new(StringArray::from_iter(members.iter().map(|member| text(Some(member.1))))),
    ];
    RecordBatch::try_new(dimension(), columns).unwrap()
}

async fn replace(table: &Arc<Table>, rows: Option<RecordBatch>, goes: impl Fn(&RecordBatch, usize) -> bool) {
    let goes = |batch: &RecordBatch| (0..batch.num_rows()).map(|row| goes(batch, row)).collect();
    house::replace(table, goes, |_| rows).await;
}

/// How refreshes find what has changed.
const WAYS: [&str; 3] = ["added", "computed anew", "rows more"];

/// Follows a history; once a query has failed, with that query alone: shrinking is soon done.
async fn run(rounds: Vec<Vec<Step>>, tried: Tried, failing: Arc<OnceLock<&'static str>>) {
    let folder = folder();
    let shop = Shop::open(folder.path());
    let some = (0..12).map(|n| (n, (n % 6 > 0).then_some(n % 5), Some(n * 75), Some(u8::from(n % 2 == 0))));
    shop.take(&Step::Facts(some.collect())).await;
    shop.take(&Step::Members((0..4).map(|k| (Some(k), u8::from(k > 1))).collect())).await;
    let mut models = Vec::new();
    for (number, (what, query)) in QUERIES.iter().enumerate() {
        if failing.get().is_none_or(|failing| failing == what) {
            models.push((*what, shop.model(number, query).await));
        }
    }
    let mut base = shop.house.cut();
    for steps in rounds {
        for step in &steps {
            shop.take(step).await;
        }
        for (what, model) in &models {
            let record = match shop.refresh(model, &base).await {
                Attempt::Done(done) => done.record,
                Attempt::Refused(why) => panic!("{what}: {why}"),
            };
            let (is, should) =
                (stored(&model.table), shop.house.whole(model, &shop.house.cut()).await.unwrap());
            if bag(&model.schema, &is) != bag(&model.schema, &should) {
                let _ = failing.set(what);
                panic!(
                    "{what} after {steps:?}\nstored:\n{}\nshould be:\n{}",
                    pretty_format_batches(&is).unwrap(),
                    pretty_format_batches(&should).unwrap()
                );
            }
            let way = WAYS.into_iter().find(|way| record.reason.contains(way)).unwrap_or("nothing affected");
            tried.add(way, record.rows_inserted + record.rows_deleted > 0);
            tried.add(&format!("{what}, {way}"), record.rows_inserted + record.rows_deleted > 0);
        }
        base = shop.house.cut();
    }
}

/// How many random histories are run.
const HISTORIES: u64 = 8;

#[test]
fn incremental_equals_full() {
    let asked = Asked::anew(HISTORIES);
    let (tried, failing) = (Tried::default(), Arc::default());
    let histories = prop::collection::vec(prop::collection::vec(step(), 1..5), 1..4);
    asked.hold(&histories, |rounds| run(rounds, tried.clone(), Arc::clone(&failing)));
    tried.tell("law of operators", &asked);
    if asked.is_all {
        for way in WAYS {
            let (all, changed) = tried.of(way);
            assert!(changed * 4 > all, "{way}: {changed} of {all} refreshes changed rows: hardly tried");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_rule_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(folder.path());
    shop.take(&Step::Facts(vec![(1, Some(1), Some(5), None), (2, Some(2), None, None)])).await;
    shop.take(&Step::Members(vec![(Some(1), 0)])).await;
    let base = shop.house.cut();
    let mut seen = BTreeSet::new();
    for (number, (query, why)) in REFUSED.iter().enumerate() {
        let model = shop.model(100 + number, query).await;
        shop.take(&Step::Facts(vec![(3, Some(1), Some(5), None)])).await;
        shop.take(&Step::Members(vec![(Some(3), 0)])).await;
        match shop.refresh(&model, &base).await {
            Attempt::Refused(reason) => assert!(reason.contains(why), "{query}: {reason}"),
            Attempt::Done(_) => panic!("{query} was refreshed incrementally"),
        }
        seen.insert(*why);
    }
    assert_eq!(seen.len(), REFUSED.len());
}

/// A least or greatest value is looked for among all rows of its group when a row goes that had it, and of that group alone.
#[tokio::test(flavor = "multi_thread")]
async fn only_groups_whose_extreme_went_are_computed_anew() {
    const QUERY: &str = "SELECT k, count(*) AS n, min(v) AS low, max(v) AS high FROM s.f GROUP BY k";
    let folder = folder();
    let shop = Shop::open(folder.path());
    // Ids 0 to 11 of keys 0 to 3: the values of a key grow with the ids.
    shop.take(&Step::Facts((0..12).map(|id| (id, Some(id % 4), Some(id), None)).collect())).await;
    let model = shop.model(0, QUERY).await;
    let changes = [
        // Neither the least nor the greatest of key 1; the greatest of key 2; all of key 3, one after the other.
        (Step::NoFacts(100, 5), "added to 1 keys", false),
        (Step::NoFacts(100, 10), "added to 1 keys, 1 of them computed anew", true),
        (
            Step::Replace(3, vec![(12, Some(0), Some(4), None), (13, Some(1), Some(99), None)]),
            "added to 3 keys, 1 of",
            true,
        ),
        (Step::NoFacts(4, 3), "added to 1 keys", false),
    ];
    for (step, how, is_anew) in changes {
        let base = shop.house.cut();
        shop.take(&step).await;
        let Attempt::Done(done) = shop.refresh(&model, &base).await else { panic!("{step:?} is refused") };
        let reason = &done.record.reason;
        assert!(reason.contains(how) && reason.contains("computed anew") == is_anew, "{step:?}: {reason}");
        let should = shop.house.whole(&model, &shop.house.cut()).await.unwrap();
        assert!(bag(&model.schema, &stored(&model.table)) == bag(&model.schema, &should), "{step:?}");
    }
}

/// The first rows of an order are looked for among those that are kept, some more than are asked for, as long as these last.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_rows_are_gone_over() {
    const QUERY: &str = "SELECT id, v FROM s.f ORDER BY v DESC, id LIMIT 5";
    let folder = folder();
    let shop = Shop::open(folder.path());
    shop.take(&Step::Facts((0..300).map(|id| (id, None, Some(id), None)).collect())).await;
    let model = shop.model(0, QUERY).await;
    // Eleven rows are kept, the ids from 289.
    let changes = [
        (Step::Facts(vec![(300, None, Some(300), None), (301, None, Some(1), None)]), 2, "2 that came"),
        (Step::NoFacts(1000, 299), 1, "0 that came and 1 that went"),
        (Step::NoFacts(1000, 3), 0, "0 that came and 1 that went"),
        (Step::NoFacts(2, 0), 5, "fewer than 5 of the first rows are left"),
    ];
    for (step, changed, how) in changes {
        let base = shop.house.cut();
        shop.take(&step).await;
        let Attempt::Done(done) = shop.refresh(&model, &base).await else { panic!("{step:?} is refused") };
        let record = &done.record;
        let is_anew = how.starts_with("fewer");
        assert!(record.reason.contains(how) && (record.mode == "recompute") == is_anew, "{record:?}");
        assert!(is_anew || record.rows_read < 60, "of 300 rows: {record:?}");
        assert!(record.rows_inserted + record.rows_deleted <= 2 * changed, "{record:?}");
        let should = shop.house.whole(&model, &shop.house.cut()).await.unwrap();
        assert!(bag(&model.schema, &stored(&model.table)) == bag(&model.schema, &should), "{step:?}");
    }
}

/// What EXPLAIN says of a query is what its refreshes do, operator by operator.
#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_refreshes_do() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(folder.path());
    let cut = shop.house.cut();
    let queries = QUERIES.iter().map(|(_, query)| (*query, None));
    let queries = queries.chain(REFUSED.iter().map(|(query, why)| (*query, Some(*why))));
    for (number, (query, why)) in queries.enumerate() {
        let model = shop.declared(number, query).await;
        let outline = model.outline();
        let lines = explain::of_outline(&outline, &shop.house.engine, &cut).await.unwrap();
        let text = lines.join("\n");
        let verdict = lines.last().unwrap();
        let why_not = incremental::why_not(&outline, &shop.house.engine, &cut).await.unwrap();
        match why {
            None => {
                assert_eq!(why_not, None, "{text}");
                assert!(
                    !text.contains("(recomputed") && verdict.starts_with("Verdict: incremental"),
                    "{text}"
                );
            }
            Some(why) => {
                assert!(why_not.is_some_and(|said| said.contains(why)), "{why}: {text}");
                let blamed = lines.iter().filter(|line| line.contains("(recomputed: ")).count();
                assert!(blamed >= 1 && verdict.contains(why), "{why}: {text}");
            }
        }
    }
}
