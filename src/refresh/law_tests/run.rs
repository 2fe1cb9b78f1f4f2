//! One story: tables, some queries over them and one history. Each of its queries is a case.

use super::history::{Round, first_rows, rounds};
use super::house::{self, House, bag, stored};
use super::oracle::{Answer, Oracle};
use super::query::{Query, query};
use super::tally::{Refreshes, Tally, count};
use super::values::{self, Columns, Row};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::{TableName, chain};
use crate::refresh::incremental::Attempt;
use crate::refresh::model::Model;
use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Queries that share their tables and history: each is a case.
pub(super) const QUERIES: usize = 8;
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

    /// What decides how the story ends: much of what shrinking tries is the same.
    pub(super) fn essence(&self, shared: bool) -> String {
        let queries = self.tapes.iter().flatten().map(|tape| query(tape, &self.tables, shared).sql);
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
    query: Query,
    model: Model,
    consumed: BTreeMap<TableName, i64>,
    base: Option<Arc<Cut>>,
}

/// Runs a story; gives what was tried, or tells which view was not what its query is.
pub(super) async fn run(story: &Story, shared: bool, stage: &Stage<'_>) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut tables = story.tables.clone();
    let names: Vec<String> = (0..tables.len()).map(table_name).collect();
    let schemas = names.iter().zip(&tables).map(|(name, columns)| (name.as_str(), values::schema(columns)));
    let house = House::open(stage.root, stage.engine, &schemas.collect::<Vec<_>>());
    let mut told = Vec::new();
    for ((name, columns), rows) in names.iter().zip(&tables).zip(&story.rows) {
        let rows = values::batch(columns, rows, false);
        told.push(format!("{name} is\n{}", shown(std::slice::from_ref(&rows))));
        house::append(&house.table(name), rows).await;
    }
    let mut cut = house.cut();
    let mut views = Vec::new();
    for (number, tape) in story.tapes.iter().flatten().enumerate() {
        tally.cases += 1;
        let query = query(tape, &tables, shared);
        match view(&house, number, query, &cut).await {
            Ok(view) => views.push(view),
            Err(why) => count(&mut tally.impossible, &why),
        }
    }
    for round in &story.rounds {
        let mut commits = 0;
        for step in &round.steps {
            told.push(step.told(&tables));
            if step.take(&house, &mut tables).await {
                commits += 1;
                *tally.changes.entry(step.kind().to_string()).or_default() += 1;
            }
        }
        let notable = [("several commits in one refresh", commits > 1), ("restart", round.restarts)];
        for (what, _) in notable.into_iter().filter(|(_, is)| *is) {
            *tally.changes.entry(what.to_string()).or_default() += 1;
        }
        cut = house.cut();
        told.push("refresh".to_string());
        let mut computable = Vec::new();
        for mut view in views {
            if round.restarts {
                (view.consumed, view.base) = (view.model.consumed(), None);
            }
            // A lane rests while no input moves.
            if view.model.is_up_to(&cut, &view.consumed) {
                computable.push(view);
                continue;
            }
            let should = match house.whole(&view.model, &cut).await {
                Ok(should) => should,
                Err(error) => {
                    count(&mut tally.impossible, &chain(&error));
                    continue;
                }
            };
            let how = refresh(&house, &mut view, &cut, &mut tally).await?;
            let is = stored(&view.model.table);
            let schema = &view.model.schema;
            if bag(schema, &is) != bag(schema, &should) {
                let again = house.whole(&view.model, &cut).await.map_err(|error| chain(&error))?;
                let is_function = bag(schema, &again) == bag(schema, &should);
                return Err(format!(
                    "{}\n{how}; {}\n{}\nstored:\n{}\nshould be:\n{}",
                    view.query.sql,
                    if is_function { "the query has one answer" } else { "THE QUERY HAS SEVERAL ANSWERS" },
                    told.join("\n"),
                    shown(&is),
                    shown(&should),
                ));
            }
            computable.push(view);
        }
        views = computable;
    }
    if let Some(oracle) = stage.oracle {
        let tables: Vec<(String, Columns, Vec<RecordBatch>)> = names
            .into_iter()
            .zip(tables)
            .map(|(name, columns)| {
                let rows = stored(&house.table(&name));
                (name, columns, rows)
            })
            .collect();
        let results: Vec<(&str, Vec<RecordBatch>)> =
            views.iter().map(|view| (view.query.sql.as_str(), stored(&view.model.table))).collect();
        for (view, answer) in views.iter().zip(oracle.ask(&tables, &results)?) {
            match answer {
                Answer::Same => tally.agreed += 1,
                Answer::NotComputed(why) => count(&mut tally.not_compared, &why),
                Answer::Different(difference) => {
                    let told = told.join("\n");
                    return Err(format!("{}\nDuckDB: {difference}\n{told}", view.query.sql));
                }
            }
        }
    }
    Ok(tally)
}

pub(super) fn table_name(number: usize) -> String {
    format!("t{number}")
}

async fn view(house: &House, number: usize, query: Query, cut: &Arc<Cut>) -> Result<View, String> {
    let inputs: Vec<String> = query.tables.iter().copied().map(table_name).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let model = house
        .model(&format!("q{number}"), &query.sql, &inputs, cut, Clone::clone, query.partitioned_by.as_deref())
        .await?;
    house.first(&model, cut).await.map_err(|error| chain(&error))?;
    let consumed = model.consumed();
    Ok(View { query, model, consumed, base: Some(Arc::clone(cut)) })
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
