//! Views that get the new columns of their inputs, as `SELECT *` does, without being computed anew.
//!
//! Comes in: a view whose definition stands, and whose table lacks columns that its query gives by now. Where these are
//! columns that an input got after the view had last consumed it, taken as they are, and all else is computed as it was,
//! they are NULL in every row that stands: the table gets them, and goes on from the versions that it has consumed.

use super::Error;
use super::model::{DEFINITION, Model};
use crate::catalog::cut::{Cut, CutTable, Freshness, Relation, RelationKind};
use crate::catalog::derivation::Derivation;
use crate::catalog::lineage::{Flow, Lineage, TableColumn, Transformation};
use crate::engine::{Engine, logical_plan};
use crate::lake::{self, Lake, Snapshot, TableName};
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use crate::sql::AutoCdc;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::LogicalPlan;
use std::collections::BTreeMap;
use std::sync::Arc;

type Relations = BTreeMap<TableName, Arc<Relation>>;

/// Gives a view's table the columns that it lacks, if it need not be computed anew for them. `flow` is what it follows, if
/// it is a change feed.
pub async fn take_columns(
    model: &Model,
    flow: Option<&AutoCdc>,
    relations: &Relations,
    lake: &Arc<Lake>,
    engine: &Engine,
) -> Result<(), Error> {
    let stored = model.table.snapshot();
    if !lacks_columns(model, &stored) {
        return Ok(());
    }
    let Some(consumed) = consumed(model, relations, lake).await? else { return Ok(()) };
    let is_new = |column: &TableColumn| {
        consumed.get(&column.table).is_some_and(|then| then.schema.index_of(&column.column).is_err())
    };
    let are_null = match flow {
        Some(flow) => follows_on(flow, model, &stored.schema, relations, is_new),
        None => {
            let of = |name: &TableName| Some(Arc::clone(&consumed.get(name)?.schema));
            let then = plan(model, cut_of(relations, of), engine).await;
            let now = plan(model, cut_of(relations, |_| None), engine).await;
            match (then, now) {
                (Ok(then), Ok(now)) => only_gains(&then, &now, &stored.schema, is_new),
                // Columns that are gone, say: it is computed anew, or says itself what is wrong.
                _ => false,
            }
        }
    };
    if are_null {
        tracing::info!(model = %model.name, "gets new columns of its inputs");
        let (lake, name, definition) = (Arc::clone(lake), model.name.clone(), model.table_definition());
        let given = tokio::task::spawn_blocking(move || lake.ensure(&name, &definition)).await;
        given.map_err(|_| lake::Error::Stopped { table: model.name.clone() })??;
    }
    Ok(())
}

/// True when nothing is different about a view's table but that its definition gives more columns.
fn lacks_columns(model: &Model, stored: &Snapshot) -> bool {
    let defined = &model.schema;
    let stands = |field: &FieldRef| {
        defined.field_with_name(field.name()).is_ok_and(|defined| defined == field.as_ref())
    };
    !model.is_streaming
        && stored.transaction(DEFINITION) == Some(model.definition_hash)
        && stored.partition_columns == model.partitioned_by
        && stored.schema.fields().len() < defined.fields().len()
        && stored.schema.fields().iter().all(stands)
}

/// The versions of a view's inputs that it has consumed; `None` when one is gone, or an input's rows may be others by now.
async fn consumed(
    model: &Model,
    relations: &Relations,
    lake: &Arc<Lake>,
) -> Result<Option<BTreeMap<TableName, Arc<Snapshot>>>, Error> {
    let mut consumed = BTreeMap::new();
    for (name, version) in model.consumed() {
        let Some(relation) = relations.get(&name) else { continue };
        let (house, of) = (Arc::clone(lake), name.clone());
        let opened = tokio::task::spawn_blocking(move || house.table(&of)).await;
        let Some(table) = opened.map_err(|_| lake::Error::Stopped { table: name.clone() })?? else {
            continue;
        };
        let then = match table.snapshot_at(version).await {
            Ok(then) => then,
            Err(lake::Error::Gone { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let newest = table.snapshot();
        let is_model = matches!(relation.kind, RelationKind::MaterializedView | RelationKind::StreamingTable);
        let is_maintained = is_model && newest.kind() == lake::TableKind::Maintained;
        let stands = newest.schema.fields() == relation.schema.fields()
            && newest.transaction(DEFINITION) == then.transaction(DEFINITION);
        if is_maintained && !stands {
            return Ok(None);
        }
        consumed.insert(name, then);
    }
    Ok(Some(consumed))
}

/// A cut of no rows, in the columns that relations have, or those that `of` says they had.
fn cut_of(relations: &Relations, of: impl Fn(&TableName) -> Option<SchemaRef>) -> Cut {
    let table = |relation: &Arc<Relation>| {
        let rows = || {
            let schema = of(&relation.name).unwrap_or_else(|| Arc::clone(&relation.schema));
            Arc::new(EmptyTable::new(lake::query_schema(&schema))) as Arc<dyn TableProvider>
        };
        CutTable {
            relation: Arc::clone(relation),
            version: 0,
            freshness: Freshness::Fresh,
            provider: (relation.kind != RelationKind::View).then(rows),
            computed: None,
        }
    };
    let tables = relations.iter().map(|(name, relation)| (name.clone(), table(relation))).collect();
    Cut { epoch: 0, wave_time: clock::now(), tables, shape: 0 }
}

async fn plan(model: &Model, cut: Cut, engine: &Engine) -> Result<Opaque<LogicalPlan>, Error> {
    let state = engine.state_at(&Arc::new(cut), clock::now());
    Ok(logical_plan(&state, &model.query).await?)
}

/// True when a query's rows, and the columns that are stored of it, are computed now as they were, and all others are new
/// columns as they are.
fn only_gains(
    then: &LogicalPlan,
    now: &LogicalPlan,
    stored: &Schema,
    is_new: impl Fn(&TableColumn) -> bool,
) -> bool {
    let (was, is, lineage) = (Derivation::of(then), Derivation::of(now), Lineage::of(now));
    let stands = |at: usize, name: &str| {
        let before = then.schema().index_of_column_by_name(None, name);
        before.is_some_and(|before| was.columns.get(before) == is.columns.get(at))
    };
    let is_new_as_it_is = |(column, flow): (&TableColumn, &Flow)| {
        flow.transformation == Transformation::Identity && !flow.masked && is_new(column)
    };
    let is_taken = |at: usize| {
        let of = lineage.columns.get(at).map(|column| &column.direct);
        of.is_some_and(|of| !of.is_empty() && of.iter().all(is_new_as_it_is))
    };
    let mut columns = now.schema().fields().iter().enumerate();
    was.rows == is.rows
        && columns.all(|(at, field)| match stored.index_of(field.name()) {
            Ok(_) => stands(at, field.name()),
            Err(_) => is_taken(at),
        })
}

/// True for a change feed of a source, whose position says of any two changes which is the later: what the columns are that it
/// takes beside, decides nothing. What was NULL in all changes is so in each of its rows, and opened no version.
fn follows_on(
    flow: &AutoCdc,
    model: &Model,
    stored: &Schema,
    relations: &Relations,
    is_new: impl Fn(&TableColumn) -> bool,
) -> bool {
    let Some(input) = relations.get(&flow.input).filter(|input| input.kind == RelationKind::Source) else {
        return false;
    };
    let has = |name: &str| input.schema.index_of(name).is_ok();
    let is_taken = |name: &String| {
        let column = TableColumn { table: flow.input.clone(), column: name.clone() };
        has(name) && is_new(&column)
    };
    let mut lacking = model.schema.fields().iter().filter(|field| stored.index_of(field.name()).is_err());
    has("_partition") && has("_offset") && lacking.all(|field| is_taken(field.name()))
}
