//! Taking again what a streaming table's rules have set apart: the input rows go through the present definition, once.
//!
//! ```text
//! quarantine ─ picked by a predicate ─► positions ─► input rows that are still there ─► the query as it is now
//!     ▲                                                                                     │
//!     └── rows picked leave, what fails again stays (1st, marked with the refresh) ◄────────┤
//!         the table gets what passes (2nd: its refresh number makes the first count) ◄──────┘
//! ```
//!
//! Both commits belong to one refresh number, as in every refresh: a crash between them brings the quarantine back. Rows
//! of one input row are taken together, or not at all.

use super::intake;
use super::judge::Bench;
use super::model::{DEFINITION, Model, REFRESH, RefreshRecord};
use super::only::Only;
use super::streaming::{Ground, Refreshed, live_rows, recover};
use super::traced::POSITION;
use super::{Error, apart::of};
use crate::catalog::cut::CutTable;
use crate::engine::physical_plan;
use crate::lake::{Commit, TableName};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::ops::opaque::Opaque;
use crate::quality::{ApartState, Picked, Place, Predicate, Replayed, take_out};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{JoinType, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use std::collections::HashSet;
use std::sync::Arc;

/// Replays what a predicate picks; `None` for the refresh when there was nothing to do.
pub(super) async fn replay(
    model: &Model,
    ground: &Ground<'_>,
    predicate: Option<&str>,
) -> Result<(Option<Refreshed>, Replayed), Error> {
    let started = clock::instant();
    recover(model).await?;
    let Some(quarantine) = &model.quarantine else { return Ok((None, Replayed::default())) };
    let session = ground.engine.state_at(ground.cut, ground.time);
    let predicate = predicate.map(|text| Predicate::compile(&session, text)).transpose()?;
    let Picked { places, unpicked } = Picked::of(quarantine, predicate).await?;
    let mut done = Replayed { left: unpicked, ..Replayed::default() };
    let mut overlay = ground.cut.as_ref().clone();
    let mut found = HashSet::new();
    for stream in &model.streams {
        let Some(table) = overlay.tables.get_mut(stream) else { continue };
        let Some(snapshot) = ground.snapshots.get(stream) else { continue };
        let all = ground.lake.provider(snapshot);
        let provider = match Positions::of(stream, &places)? {
            None => ground.lake.provider_of_files(snapshot, Vec::new()),
            Some(positions) => {
                found.extend(positions.found(stream, &all, &session).await?);
                let plan = positions.only(&all)?.build()?;
                Arc::new(Only::new(all.schema(), plan)) as Arc<dyn TableProvider>
            }
        };
        *table = CutTable { provider: Some(provider), ..table.clone() };
    }
    if found.is_empty() {
        done.left += i64::try_from(places.len()).unwrap_or(i64::MAX);
        return Ok((None, done));
    }
    let number = model.table.snapshot().transaction(REFRESH).unwrap_or(0) + 1;
    let written = intake::take(model, ground, &Arc::new(overlay), number, ApartState::FailedAgain).await?;
    let commit = Commit::append(written.rows.clone(), Vec::new());
    let bench = Bench { engine: ground.engine, cut: ground.cut, rules: &written.rules };
    let verdict = bench.judge(model, &commit).await?;

    let left = places.difference(&found).count();
    let taken = take_out(quarantine, found, drop).await?;
    let inserted = live_rows(&written.rows, &model.schema);
    done.taken = taken.rows;
    done.passed = inserted;
    done.failed = i64::try_from(written.quarantined_rows).unwrap_or(i64::MAX);
    done.left += i64::try_from(left).unwrap_or(i64::MAX);
    let adds = taken.remaining.into_iter().chain(written.quarantined).collect();
    let quarantine = quarantine.commit_beside_instead(REFRESH, number, taken.files, adds).await?;
    failpoint::pass(Point::StreamSideCommitted, || model.name.to_string());
    let transactions = vec![(REFRESH.to_string(), number), (DEFINITION.to_string(), model.definition_hash)];
    let snapshot = model.table.commit(Commit::append(written.rows, transactions)).await?;
    failpoint::pass(Point::StreamCommitted, || model.name.to_string());
    let consumed = model.consumed();
    let refreshed = Refreshed {
        snapshot,
        quarantine: Some(quarantine),
        inputs: consumed.clone(),
        consumed,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode: "replay",
            reason: format!("REPLAY QUARANTINE: {done}"),
            rows_read: done.taken,
            rows_inserted: inserted,
            rows_deleted: 0,
            seconds: started.elapsed().as_secs_f64(),
            error: None,
            verdict,
            at: clock::now(),
        },
    };
    Ok((Some(refreshed), done))
}

/// Where rows of one input stand.
struct Positions {
    table: Arc<MemTable>,
    /// The first and the last `_batch`.
    batches: (i64, i64),
}

impl Positions {
    /// Those of an input; `None` when there are none.
    fn of(input: &TableName, places: &HashSet<Place>) -> Result<Option<Self>, Error> {
        let name = input.to_string();
        let of_input: Vec<&Place> = places.iter().filter(|place| place.source == name).collect();
        let batches = of_input.iter().filter_map(|place| place.batch);
        let Some(first) = batches.clone().min() else { return Ok(None) };
        let last = batches.max().unwrap_or(first);
        let rows = Place::rows(&of_input)?;
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
        Ok(Some(Self { table: Arc::new(table), batches: (first, last) }))
    }

    /// The rows of an input that stand there.
    fn only(&self, input: &Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder, DataFusionError> {
        let (first, last) = self.batches;
        let column = |table: &str, name: &str| Column::new(Some(table.to_string()), name);
        let left = POSITION.map(|name| column("input", name)).to_vec();
        let right = ["partition", "offset", "batch"].map(|name| column("places", name)).to_vec();
        let places =
            LogicalPlanBuilder::scan("places", provider_as_source(Arc::clone(&self.table) as _), None)?;
        LogicalPlanBuilder::scan("input", provider_as_source(Arc::clone(input)), None)?
            .filter(of("input", "_batch").between(lit(first), lit(last)))?
            .join(places.build()?, JoinType::LeftSemi, (left, right), None)
    }

    /// Which of them an input still holds.
    async fn found(
        &self,
        input: &TableName,
        rows: &Arc<dyn TableProvider>,
        session: &Opaque<datafusion::execution::context::SessionState>,
    ) -> Result<Vec<Place>, Error> {
        let plan: LogicalPlan = self.only(rows)?.project(POSITION.map(|name| of("input", name)))?.build()?;
        let physical = physical_plan(session, &Opaque::new(plan)).await?;
        let mut batches = execute_stream(physical, session.task_ctx())?;
        let mut found = Vec::new();
        while let Some(batch) = batches.next().await {
            found.extend(places_of(&input.to_string(), &batch?)?);
        }
        Ok(found)
    }
}

pub(super) fn places_of(source: &str, rows: &RecordBatch) -> Result<Vec<Place>, Error> {
    let partitions = cast(rows.column(0), &DataType::Utf8)?;
    let offsets = rows.column(1).as_primitive::<Int64Type>();
    let batches = rows.column(2).as_primitive::<Int64Type>();
    let place = |((partition, offset), batch): ((Option<&str>, Option<i64>), Option<i64>)| {
        let source = source.to_string();
        Some(Place { source, partition: partition?.to_string(), offset: offset?, batch })
    };
    Ok(partitions.as_string::<i32>().iter().zip(offsets).zip(batches).filter_map(place).collect())
}
