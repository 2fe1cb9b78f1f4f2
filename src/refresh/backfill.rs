//! Taking a range of time again: a streaming table's rows of it are made anew by the present definition, slice by slice,
//! beside the waves.
//!
//! A row is of a time by the column that its source declares a watermark for, which the table must show as it is. Input
//! rows of a slice that were taken go through the query again, and what comes of them stands in the place of the rows of
//! the slice, quarantine included, in one refresh. How far a backfill has come is durable with its slices.

use super::model::{DEFINITION, Model, REFRESH, RefreshRecord};
use super::only::Only;
use super::streaming::{Ground, Refreshed, live_rows, recover};
use super::traced::{POSITION, traced};
use super::{Error, apart::of, intake, judge::Bench, redo, replay};
use crate::bronze::Stream;
use crate::catalog::cut::CutTable;
use crate::engine::{logical_plan, physical_plan};
use crate::lake::{Commit, DataFile, Effort, Snapshot, Table, TableName};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::ops::opaque::Opaque;
use crate::quality::{ApartState, Place, take_out};
use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch, not};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DataFusionError, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast as cast_to, lit};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use std::collections::HashSet;
use std::sync::Arc;

/// Application versions, one a backfill: up to when it has come, microseconds since 1970.
const DONE: &str = "sluice.backfill.";

/// From when (included) to when (not), microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first microsecond.
    pub from_us: i64,
    /// The first that is not meant any more.
    pub to_us: i64,
}

impl Range {
    fn holds(self, us: i64) -> bool {
        self.from_us <= us && us < self.to_us
    }
}

/// A backfill as `sluice.backfills` shows it.
#[derive(Clone, Debug)]
pub struct BackfillRecord {
    /// Its name.
    pub id: String,
    /// The streaming table.
    pub model: TableName,
    /// All of it.
    pub range: Range,
    /// Up to when it has come.
    pub done_us: i64,
    /// Input rows taken again.
    pub rows_taken: i64,
    /// Rows of the table that they made.
    pub rows_made: i64,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Why it failed, or was tried again last.
    pub error: Option<String>,
    /// Rows that its input does not hold any more may be lost.
    pub history_may_be_lost: bool,
}

/// What a slice came to.
pub(super) struct Slice {
    /// Nothing when there was no row.
    pub(super) refreshed: Option<Refreshed>,
    pub(super) taken: i64,
    pub(super) made: i64,
}

/// The column that says of which time a streaming table's rows are; an error says why it cannot be backfilled.
pub(super) async fn time_column(
    model: &Model,
    ground: &Ground<'_>,
    streams: &[Arc<Stream>],
) -> Result<String, Error> {
    let refused = |why: &str| Error::Backfill { model: model.name.clone(), why: why.to_string() };
    let [input] = model.streams.as_slice() else { return Err(refused("it reads not one stream alone")) };
    let stream = streams.iter().find(|stream| stream.definition.name == *input);
    let stream = stream.ok_or_else(|| refused(&format!("{input} is no source")))?;
    let Some(watermark) = &stream.definition.watermark else {
        return Err(refused(&format!(
            "{input} declares no WATERMARK, whose column would say of which time a row is"
        )));
    };
    let column = &watermark.column;
    let session = ground.engine.state_at(ground.cut, ground.time);
    let plan = logical_plan(&session, &model.query).await?;
    let shown = model.schema.index_of(column).is_ok_and(|place| passes(&plan, place, column));
    if !shown {
        return Err(refused(&format!("it does not show column \"{column}\" of {input} as it is")));
    }
    let is_input = |name: &TableName| name == input;
    match traced(&plan, &is_input)? {
        Some(trace) if !trace.fans_out => Ok(column.clone()),
        _ => Err(refused("its rows do not come from one row of its input each")),
    }
}

/// True when a column of a plan is one of its input's, unchanged.
fn passes(plan: &LogicalPlan, place: usize, column: &str) -> bool {
    let below = |input: &LogicalPlan, column_below: &Column| {
        input.schema().maybe_index_of_column(column_below).is_some_and(|place| passes(input, place, column))
    };
    match plan {
        LogicalPlan::Projection(projection) => {
            let mut expression = projection.expr.get(place);
            while let Some(Expr::Alias(alias)) = expression {
                expression = Some(&alias.expr);
            }
            matches!(expression, Some(Expr::Column(named)) if below(&projection.input, named))
        }
        LogicalPlan::Filter(filter) => passes(&filter.input, place, column),
        LogicalPlan::SubqueryAlias(alias) => passes(&alias.input, place, column),
        LogicalPlan::TableScan(_) => plan.schema().field(place).name() == column,
        _ => false,
    }
}

/// Up to when a backfill's slices are in the table.
pub(super) fn done_us(model: &Model, id: &str) -> Option<i64> {
    model.table.snapshot().transaction(&format!("{DONE}{id}"))
}

/// Makes the rows of a slice anew.
pub(super) async fn refresh_slice(
    model: &Model,
    ground: &Ground<'_>,
    (id, column): (&str, &str),
    slice: Range,
    history_may_be_lost: bool,
) -> Result<Slice, Error> {
    let started = clock::instant();
    recover(model).await?;
    if !history_may_be_lost {
        redo::refuse_loss(model, ground.snapshots)?;
    }
    let mut overlay = ground.cut.as_ref().clone();
    let session = ground.engine.state_at(ground.cut, ground.time);
    let (mut taken, mut places) = (0, HashSet::new());
    for stream in &model.streams {
        let (Some(table), Some(shown), Some(version)) =
            (ground.tables.get(stream), ground.snapshots.get(stream), model.consumed_version(stream))
        else {
            return Ok(Slice { refreshed: None, taken: 0, made: 0 });
        };
        // What is newer is taken when it comes to it.
        let taken_of = table.snapshot_at(version.min(table.snapshot().version)).await?;
        let all = ground.lake.provider(&taken_of.showing(&shown.schema));
        let plan = of_time(&all, column, slice)?.build()?;
        let found = positions(stream, &plan, &session).await?;
        taken += i64::try_from(found.len()).unwrap_or(i64::MAX);
        places.extend(found);
        if let Some(table) = overlay.tables.get_mut(stream) {
            let provider = Arc::new(Only::new(all.schema(), plan)) as Arc<dyn TableProvider>;
            *table = CutTable { provider: Some(provider), ..table.clone() };
        }
    }
    let standing = model.table.snapshot();
    let (removes, remaining, gone) = without(&model.table, &standing, column, slice).await?;
    if taken == 0 && removes.is_empty() {
        return Ok(Slice { refreshed: None, taken, made: 0 });
    }
    let number = standing.transaction(REFRESH).unwrap_or(0) + 1;
    let written = intake::take(model, ground, &Arc::new(overlay), number, ApartState::Open).await?;
    let made = live_rows(&written.rows, &model.schema);
    let adds: Vec<DataFile> = remaining.into_iter().chain(written.rows).collect();
    let transactions = vec![
        (REFRESH.to_string(), number),
        (DEFINITION.to_string(), model.definition_hash),
        (format!("{DONE}{id}"), slice.to_us),
        redo::mark(number),
    ];
    let commit = Commit { operation: "WRITE", removes, ..Commit::append(adds, transactions) };
    let bench = Bench { engine: ground.engine, cut: ground.cut, rules: &written.rules };
    let verdict = bench.judge(model, &commit).await?;
    let quarantine = match &model.quarantine {
        None => None,
        Some(quarantine) => {
            let left = take_out(quarantine, places, drop).await?;
            let adds = left.remaining.into_iter().chain(written.quarantined).collect();
            let side = quarantine.commit_beside_instead(REFRESH, number, left.files, adds).await?;
            failpoint::pass(Point::StreamSideCommitted, || model.name.to_string());
            Some(side)
        }
    };
    let snapshot = model.table.commit(commit).await?;
    failpoint::pass(Point::StreamCommitted, || model.name.to_string());
    let consumed = model.consumed();
    let refreshed = Refreshed {
        snapshot,
        quarantine,
        inputs: consumed.clone(),
        consumed,
        record: RefreshRecord {
            epoch: 0,
            model: model.name.clone(),
            mode: "backfill",
            reason: format!("BACKFILL {} to {}", shown(slice.from_us), shown(slice.to_us)),
            rows_read: taken,
            rows_inserted: made,
            rows_deleted: gone,
            seconds: started.elapsed().as_secs_f64(),
            error: None,
            verdict,
            at: clock::now(),
        },
    };
    Ok(Slice { refreshed: Some(refreshed), taken, made })
}

/// A time as it is shown.
pub(super) fn shown(us: i64) -> String {
    DateTime::from_timestamp_micros(us).map_or_else(|| us.to_string(), |time| time.to_rfc3339())
}

fn microseconds() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The rows of an input that are of a time.
fn of_time(
    input: &Arc<dyn TableProvider>,
    column: &str,
    slice: Range,
) -> Result<LogicalPlanBuilder, DataFusionError> {
    let time = |us| lit(ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into())));
    let at = cast_to(of("input", column), microseconds());
    let is_in = at.clone().gt_eq(time(slice.from_us)).and(at.lt(time(slice.to_us)));
    LogicalPlanBuilder::scan("input", provider_as_source(Arc::clone(input)), None)?.filter(is_in)
}

/// Where the rows of a plan over an input stand.
async fn positions(
    input: &TableName,
    plan: &LogicalPlan,
    session: &Opaque<SessionState>,
) -> Result<Vec<Place>, Error> {
    let plan = LogicalPlanBuilder::from(plan.clone());
    let plan = plan.project(POSITION.map(|name| of("input", name)))?.build()?;
    let physical = physical_plan(session, &Opaque::new(plan)).await?;
    let mut batches = execute_stream(physical, session.task_ctx())?;
    let mut found = Vec::new();
    while let Some(batch) = batches.next().await {
        found.extend(replay::places_of(&input.to_string(), &batch?)?);
    }
    Ok(found)
}

/// The files that hold rows of a time, what else they hold in files of no table yet, and how many rows those are.
async fn without(
    table: &Arc<Table>,
    snapshot: &Arc<Snapshot>,
    column: &str,
    slice: Range,
) -> Result<(Vec<Arc<DataFile>>, Vec<DataFile>, i64), Error> {
    let (table, snapshot, column) = (Arc::clone(table), Arc::clone(snapshot), column.to_string());
    let stopped = crate::lake::Error::Stopped { table: table.name().clone() };
    let work = move || {
        let (mut files, mut gone) = (Vec::new(), 0);
        let mut writer = table.writer(Effort::Fast)?;
        for file in snapshot.files.iter().filter(|file| may_hold(file, &snapshot, &column, slice)) {
            let mut staying = Vec::new();
            let mut going = 0;
            table.read_file::<Error>(&snapshot, file, |rows, _| {
                let goes = goes(&rows, &column, slice)?;
                going += goes.true_count();
                staying.push(filter_record_batch(&rows, &not(&goes)?)?);
                Ok(())
            })?;
            if going > 0 {
                files.push(Arc::clone(file));
                gone += i64::try_from(going).unwrap_or(i64::MAX);
                staying.iter().try_for_each(|rows| writer.write(rows))?;
            }
        }
        Ok((files, writer.finish()?, gone))
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| stopped)?
}

fn goes(rows: &RecordBatch, column: &str, slice: Range) -> Result<BooleanArray, Error> {
    let Some(times) = rows.column_by_name(column) else { return Ok(vec![false; rows.num_rows()].into()) };
    let times = cast(times, &microseconds())?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    Ok((0..times.len()).map(|row| Some(times.is_valid(row) && slice.holds(times.value(row)))).collect())
}

/// False when a file's bounds say that none of its rows is of a time.
fn may_hold(file: &DataFile, snapshot: &Snapshot, column: &str, slice: Range) -> bool {
    let statistics = file.statistics(&snapshot.schema);
    let Some(bounds) = statistics.columns.get(column) else { return true };
    let us = |value: &Option<ScalarValue>| {
        let value = value.as_ref()?.cast_to(&microseconds()).ok()?;
        match value {
            ScalarValue::TimestampMicrosecond(us, _) => us,
            _ => None,
        }
    };
    us(&bounds.min).is_none_or(|min| min < slice.to_us)
        && us(&bounds.max).is_none_or(|max| max >= slice.from_us)
}
