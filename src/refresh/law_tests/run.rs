//! One story: tables, some queries over them and one history. Each of its queries is a case.

use super::history::{Round, first_rows, rounds};
use super::house::{self, House, bag, stored};
use super::oracle::{Answer, Oracle};
use super::query::{Query, Readable, query};
use super::tally::{Refreshes, Tally, count};
use super::values::{self, Columns, Row};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::{TableName, chain};
use crate::refresh::incremental::Attempt;
use crate::refresh::model::Model;
use crate::sql::{Expectation, Origin, ViolationAction};
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Queries that share their tables and history: each is a case.
pub(super) const QUERIES: usize = 8;
/// The view that a view stands on, if it stands on one.
const BELOW: [Option<usize>; QUERIES] = [None, None, None, None, None, None, Some(0), Some(6)];
/// What a query is drawn from.
const TAPE_BYTES: usize = 96;

/// Tables, their first rows, what happens to them, and the tapes of queries over them.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// None where shrinking has left a query out.
    tapes: Vec<Option<Vec<u8>>>,
    rounds: Vec<Round>,
    rows: Vec<Vec<Row>>,
    tables: Vec<Columns>,
}

/// In the order in which shrinking tries: fewer queries first, then less history, fewer rows, simpler queries.
pub(super) fn stories() -> impl Strategy<Value = Story> {
    let tape = prop::option::weighted(0.98, prop::collection::vec(any::<u8>(), TAPE_BYTES));
    let tapes = prop::collection::vec(tape, QUERIES);
    (tapes, rounds(), first_rows(), values::tables()).prop_map(|(tapes, rounds, rows, tables)| Story {
        tapes,
        rounds,
        rows,
        tables,
    })
}

impl Story {
    /// The story over values that DuckDB is asked about.
    pub(super) fn shared(mut self) -> Self {
        for column in self.tables.iter_mut().flatten() {
            column.kind = column.kind.shared();
        }
        self.rounds.iter_mut().for_each(Round::share);
        self
    }

    /// The queries, each with its number.
    fn queries(&self, shared: bool) -> BTreeMap<usize, Query> {
        let mut queries = BTreeMap::new();
        for (number, tape) in self.tapes.iter().enumerate() {
            let Some(tape) = tape else { continue };
            let below = BELOW[number].and_then(|below| Some((below, queries.get(&below)?)));
            let drawn = match below {
                Some((below, view)) => self.upper(tape, below, view, shared),
                None => {
                    let tables = (0..self.tables.len()).map(|number| self.table(number));
                    query(tape, &tables.collect::<Vec<_>>(), shared)
                }
            };
            queries.insert(number, drawn);
        }
        queries
    }

    /// A query that reads a view, alone or beside a table.
    fn upper(&self, tape: &[u8], below: usize, view: &Query, shared: bool) -> Query {
        let view = || Readable { name: view_name(below), columns: &view.columns };
        let mut drawn = query(tape, &[view(), self.table(0)], shared);
        if !drawn.tables.contains(&view_name(below)) {
            drawn = query(tape, &[view()], shared);
        }
        drawn.operators.insert("view on a view");
        drawn
    }

    fn table(&self, number: usize) -> Readable<'_> {
        Readable { name: table_name(number), columns: &self.tables[number] }
    }

    /// What decides how the story ends: much of what shrinking tries is the same.
    pub(super) fn essence(&self, shared: bool) -> String {
        let queries = self.queries(shared).into_values();
        let queries = queries.map(|query| (query.sql, query.partitioned_by, query.rule));
        let rows =
            self.tables.iter().zip(&self.rows).map(|(columns, rows)| {
                rows.iter().map(|row| row[..columns.len()].to_vec()).collect::<Vec<_>>()
            });
        let (queries, rows) = (queries.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
        format!("{queries:?}{rows:?}{:?}{:?}", self.rounds, self.tables)
    }
}

/// What a story is run with.
pub(super) struct Stage<'a> {
    pub(super) engine: &'a Engine,
    /// A folder of its own.
    pub(super) root: &'a Path,
    /// Set where the queries are such that DuckDB computes the same: it is asked.
    pub(super) oracle: Option<&'a Oracle>,
}

/// A view and what it has been computed from.
struct View {
    number: usize,
    query: Query,
    model: Model,
    consumed: BTreeMap<TableName, i64>,
    base: Option<Arc<Cut>>,
    /// Its query fails on the rows that there are: what it was before stands.
    fails: bool,
}

/// Rows of a view that another stands on: three of them are joined, and what stands on that joins three of those.
const ROWS_BELOW_MAX: usize = 100;

/// Tables, the views of them that can be computed, and what has been told of them.
struct Run<'a> {
    stage: &'a Stage<'a>,
    house: House,
    tables: Vec<Columns>,
    views: Vec<View>,
    told: Vec<String>,
    tally: Tally,
}

/// Runs a story; gives what was tried, or tells which view was not what its query is.
pub(super) async fn run(story: &Story, shared: bool, stage: &Stage<'_>) -> Result<Tally, String> {
    let mut run = Run::open(story, stage).await;
    for (number, query) in story.queries(shared) {
        run.create(number, query).await;
    }
    for round in &story.rounds {
        run.change(round).await;
        run.refresh(round).await?;
    }
    run.compare_with_oracle()?;
    Ok(run.tally)
}

impl<'a> Run<'a> {
    async fn open(story: &Story, stage: &'a Stage<'a>) -> Self {
        let tables = story.tables.clone();
        let names: Vec<String> = (0..tables.len()).map(table_name).collect();
        let schemas =
            names.iter().zip(&tables).map(|(name, columns)| (name.as_str(), values::schema(columns)));
        let house = House::open(stage.root, stage.engine, &schemas.collect::<Vec<_>>());
        let mut told = Vec::new();
        for ((name, columns), rows) in names.iter().zip(&tables).zip(&story.rows) {
            let rows = values::batch(columns, rows, false);
            told.push(format!("{name} is\n{}", shown(std::slice::from_ref(&rows))));
            house::append(&house.table(name), rows).await;
        }
        Self { stage, house, tables, views: Vec::new(), told, tally: Tally::default() }
    }

    /// Creates a view, unless what it stands on cannot be computed.
    async fn create(&mut self, number: usize, query: Query) {
        if BELOW[number].is_some_and(|below| query.tables.contains(&view_name(below)) && !self.stands(below))
        {
            return;
        }
        self.tally.cases += 1;
        let cut = self.house.cut();
        match view(&self.house, number, query, &cut).await {
            Ok(view) => {
                if BELOW.contains(&Some(number)) {
                    self.told.push(format!("{} is {}", view_name(number), view.query.stored()));
                    self.house.show(&view.model.table);
                }
                self.views.push(view);
            }
            Err(why) => count(&mut self.tally.impossible, &why),
        }
    }

    /// True for a view that another may stand on.
    fn stands(&self, number: usize) -> bool {
        let is_small = |view: &View| {
            let rows = stored(&view.model.table).iter().map(RecordBatch::num_rows).sum::<usize>();
            rows <= ROWS_BELOW_MAX
        };
        self.views.iter().any(|view| view.number == number && is_small(view))
    }

    /// What happens before a refresh.
    async fn change(&mut self, round: &Round) {
        let mut commits = 0;
        for step in &round.steps {
            self.told.push(step.told(&self.tables));
            if step.take(&self.house, &mut self.tables).await {
                commits += 1;
                self.happens(step.kind());
            }
        }
        if round.folds_views {
            let mut folded = 0;
            for table in self.views.iter().flat_map(|view| self.house.tables_of(&view.model)) {
                folded += house::fold(&table).await;
            }
            if folded > 0 {
                self.told.push("the views' files are folded".to_string());
                self.happens("fold of views");
            }
        }
        if commits > 1 {
            self.happens("several commits in one refresh");
        }
        if round.restarts {
            self.happens("restart");
        }
    }

    fn happens(&mut self, change: &str) {
        *self.tally.changes.entry(change.to_string()).or_default() += 1;
    }

    /// Refreshes the views, those first that others stand on, and compares each with its query.
    async fn refresh(&mut self, round: &Round) -> Result<(), String> {
        self.told.push("refresh".to_string());
        let mut cut = self.house.cut();
        for mut view in std::mem::take(&mut self.views) {
            if let Some(below) = BELOW[view.number] {
                cut = self.house.cut();
                if view.query.tables.contains(&view_name(below)) && !self.stands(below) {
                    continue;
                }
            }
            if round.restarts {
                (view.consumed, view.base) = (view.model.consumed(), None);
            }
            // A lane rests while no input moves.
            if !view.model.is_up_to(&cut, &view.consumed) {
                self.refresh_one(&mut view, &cut).await?;
            }
            self.views.push(view);
        }
        Ok(())
    }

    async fn refresh_one(&mut self, view: &mut View, cut: &Arc<Cut>) -> Result<(), String> {
        let wrong = |how: &str, view: &View, told: &[String], rows: String| {
            Err(format!("{}\n{how}\n{}\n{rows}", view.query.stored(), told.join("\n")))
        };
        let whole = self.house.whole(&view.model, cut).await;
        let refreshed = refresh(&self.house, view, cut, &mut self.tally).await;
        let is = stored(&view.model.table);
        view.fails = whole.is_err();
        let (should, how) = match (whole, refreshed) {
            (Ok(should), Ok(how)) => (should, how),
            // What stood stands, and the lane tries again.
            (Err(error), Err(_)) => {
                count(&mut self.tally.failing, &chain(&error));
                return Ok(());
            }
            (Err(error), Ok(how)) => {
                let rows = format!("stored:\n{}\nbut the query fails: {}", shown(&is), chain(&error));
                return wrong(&how, view, &self.told, rows);
            }
            (Ok(_), Err(why)) => return wrong("the refresh fails", view, &self.told, why),
        };
        let schema = &view.model.schema;
        if bag(schema, &is) == bag(schema, &should) {
            return Ok(());
        }
        let again = self.house.whole(&view.model, cut).await.map_err(|error| chain(&error))?;
        let is_function = bag(schema, &again) == bag(schema, &should);
        let answers = if is_function { "the query has one answer" } else { "THE QUERY HAS SEVERAL ANSWERS" };
        let rows = format!("stored:\n{}\nshould be:\n{}", shown(&is), shown(&should));
        wrong(&format!("{how}; {answers}"), view, &self.told, rows)
    }

    /// DuckDB computes the same queries over the same rows.
    fn compare_with_oracle(&mut self) -> Result<(), String> {
        let Some(oracle) = self.stage.oracle.filter(|_| self.views.iter().all(|view| !view.fails)) else {
            return Ok(());
        };
        let tables = self.tables.iter().enumerate().map(|(number, columns)| {
            let name = table_name(number);
            let rows = stored(&self.house.table(&name));
            (name, columns.clone(), rows)
        });
        let below = self.views.iter().filter(|view| BELOW.contains(&Some(view.number)));
        let below = below.map(|view| (view_name(view.number), view.query.stored()));
        let results = self.views.iter().map(|view| (view.query.stored(), stored(&view.model.table)));
        let (tables, below, results): (Vec<_>, Vec<_>, Vec<_>) =
            (tables.collect(), below.collect(), results.collect());
        for ((sql, _), answer) in results.iter().zip(oracle.ask(&tables, &below, &results)?) {
            match answer {
                Answer::Same => self.tally.agreed += 1,
                Answer::NotComputed(why) => count(&mut self.tally.not_compared, &why),
                Answer::Different(difference) => {
                    return Err(format!("{sql}\nDuckDB: {difference}\n{}", self.told.join("\n")));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn table_name(number: usize) -> String {
    format!("t{number}")
}

fn view_name(number: usize) -> String {
    format!("q{number}")
}

async fn view(house: &House, number: usize, query: Query, cut: &Arc<Cut>) -> Result<View, String> {
    let inputs: Vec<&str> = query.tables.iter().map(String::as_str).collect();
    let partitioned_by = query.partitioned_by.as_deref();
    let mut model =
        house.model(&view_name(number), &query.sql, &inputs, cut, Clone::clone, partitioned_by).await?;
    model.expectations.extend(query.rule.as_ref().map(|rule| Expectation {
        name: "rule".to_string(),
        predicate: rule.clone(),
        action: ViolationAction::DropRow,
        at_least: None,
        origin: Origin::default(),
    }));
    house.first(&model, cut).await.map_err(|error| chain(&error))?;
    let consumed = model.consumed();
    Ok(View { number, query, model, consumed, base: Some(Arc::clone(cut)), fails: false })
}

/// Refreshes a view as its lane does; tells how it was done.
async fn refresh(
    house: &House,
    view: &mut View,
    cut: &Arc<Cut>,
    tally: &mut Tally,
) -> Result<String, String> {
    let attempt = house.refresh(&view.model, cut, &view.consumed, view.base.as_ref()).await;
    let why = match attempt {
        Ok(Attempt::Done(done)) => Ok(done),
        Ok(Attempt::Refused(why)) => {
            count(&mut tally.refusals, &why);
            Err(why)
        }
        Err(error) => {
            let why = chain(&error);
            count(&mut tally.failed, &why);
            Err(why)
        }
    };
    let is_incremental = why.as_ref().is_ok_and(|done| done.record.mode != "recompute");
    let done = match why {
        Ok(done) => *done,
        Err(why) => house.recompute(&view.model, cut, &why).await.map_err(|error| chain(&error))?,
    };
    let reason = done.record.reason;
    let ways = ["added", "computed anew", "overwritten", "rows more", "no row affected"];
    let way = match is_incremental {
        true => ways.into_iter().find(|way| reason.contains(way)).unwrap_or("otherwise"),
        false => "recomputed",
    };
    let changed = done.record.rows_inserted + done.record.rows_deleted > 0;
    let one = Refreshes { all: 1, incremental: u64::from(is_incremental), changed: u64::from(changed) };
    tally.refreshed(&view.query.operators, way, one);
    (view.consumed, view.base) = (done.consumed, Some(Arc::clone(cut)));
    Ok(format!("{}: {reason}", done.record.mode))
}

fn shown(rows: &[RecordBatch]) -> String {
    pretty_format_batches(rows).map_or_else(|error| error.to_string(), |table| table.to_string())
}
