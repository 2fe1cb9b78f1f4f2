//! A streaming table's query over input rows: what it gives is judged, and written where it belongs.

use super::Error;
use super::apart::Apart;
use super::model::Model;
use super::output::{nullable, settle, shape};
use super::streaming::Ground;
use super::traced::{Traced, parted, traced};
use crate::catalog::cut::{Cut, RelationKind};
use crate::engine::{logical_plan, physical_plan};
use crate::lake::{DataFile, DataWriter, Effort, TableName, conform};
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use crate::quality::{ApartState, Entry, Rules};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use std::sync::Arc;

/// Files of no table yet.
pub(super) struct Written {
    pub(super) rows: Vec<DataFile>,
    pub(super) quarantined: Vec<DataFile>,
    /// How many these are.
    pub(super) quarantined_rows: u64,
    pub(super) rules: Rules,
}

/// Runs a streaming table's query over a cut in which its streams hold the rows to be taken. What breaks a rule becomes
/// `state` of refresh `number`, if it can be replayed.
pub(super) async fn take(
    model: &Model,
    ground: &Ground<'_>,
    cut: &Arc<Cut>,
    number: i64,
    state: ApartState,
) -> Result<Written, Error> {
    let session = ground.engine.state_at(cut, ground.time);
    let plan = logical_plan(&session, &model.query).await?;
    let trace = match &model.quarantine {
        Some(_) => positions(model, cut, &plan)?,
        None => None,
    };
    let is_traced = trace.is_some();
    let is_one_to_one = trace.as_ref().is_some_and(|trace| !trace.fans_out);
    let plan = trace.map_or(plan, |trace| Opaque::new(trace.plan));
    let physical = physical_plan(&session, &plan).await?;
    let mut batches = execute_stream(physical, session.task_ctx())?;
    let mut rules = Rules::compile(&session, &model.expectations, &model.schema)?;
    let mut rows = model.table.writer(Effort::Fast)?;
    let mut apart = model.quarantine.as_ref().map(|table| Apart::new(table, cut, &session)).transpose()?;
    let (name, definition) = (model.name.to_string(), model.definition_id());
    let output = nullable(&model.schema);
    while let Some(batch) = batches.next().await {
        let (batch, trace) = match is_traced {
            true => parted(&batch?)?,
            false => (batch?, None),
        };
        let batch = shape(&model.name, &batch, &output)?;
        let entry = Entry {
            model: &name,
            number,
            definition: &definition,
            at_us: clock::now_us(),
            state: if is_one_to_one { state } else { ApartState::Untraced },
        };
        let judged = rules.judge(batch, trace.as_ref(), &entry)?;
        // Encoding is brief work on the processor; the files' syncs come at the end.
        tokio::task::block_in_place(|| {
            let kept = settle(judged.kept, &model.schema)?;
            write(&mut rows, &model.name, &kept)
        })?;
        if let (Some(apart), Some(quarantined)) = (&mut apart, judged.quarantined) {
            apart.take(quarantined).await?;
        }
    }
    let (quarantined, quarantined_rows) = match apart {
        Some(apart) => apart.finish().await?,
        None => (Vec::new(), 0),
    };
    let rows = tokio::task::block_in_place(|| rows.finish())?;
    Ok(Written { rows, quarantined, quarantined_rows, rules })
}

fn positions(model: &Model, cut: &Cut, plan: &LogicalPlan) -> Result<Option<Traced>, Error> {
    let is_source = |name: &TableName| {
        let kind = cut.tables.get(name).map(|table| table.relation.kind);
        model.streams.contains(name) && kind == Some(RelationKind::Source)
    };
    Ok(traced(plan, &is_source)?)
}

pub(super) fn write(
    writer: &mut DataWriter,
    name: &TableName,
    batch: &arrow::array::RecordBatch,
) -> Result<(), Error> {
    let schema = Arc::clone(writer.schema());
    Ok(writer.write(&conform(name, batch, &schema)?)?)
}
