//! Running derived plans: small inputs first, and of large tables only the rows that the small ones ask for.
//!
//! ```text
//! small ⋈ large     the small side is run ─► its keys ─► the large side's tables narrowed by their indexes ─► the join
//! ```
//!
//! A change is small, and what it is joined with is large. DataFusion would read all of the large side; here each join
//! is met from the side of the change, so that a refresh reads what the change touches, however deep the joins stand.

use super::Error;
use super::compare::key_rows;
use super::derive::{KEYS, is_narrowed_by_other, looked_up_rows_of, narrow, placed, rejoin, rows_of};
use crate::engine::{ALONE_ROWS, KeptPlans, alone, laid_out, with_whole_partitions};
use crate::ops::opaque::Opaque;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::provider_as_source;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tables up to so many rows are read whole: that costs less than looking rows up. Unit tests, whose tables are small,
/// look up in them all the same.
const SMALL_ROWS: u64 = if cfg!(test) { 4 } else { 16_384 };
/// When there is more than one key for so many rows, all are read.
const ROWS_A_KEY_MIN: u64 = if cfg!(test) { 1 } else { 20 };

/// True when looking `keys` up in a table of `rows` reads less than all of it.
pub(super) fn is_worth_looking_up(keys: u64, rows: u64) -> bool {
    rows > SMALL_ROWS && keys.saturating_mul(ROWS_A_KEY_MIN) <= rows
}

/// Runs the plans of one refresh.
pub(super) struct Evaluator<'a> {
    state: &'a Opaque<SessionState>,
    /// The same for one thread.
    alone: Opaque<SessionState>,
    /// What the model's refreshes ran before.
    plans: &'a KeptPlans,
    /// Affected keys that were run already: the same plan stands on the new side and on the old one.
    keys: Mutex<HashMap<usize, (Opaque<Arc<LogicalPlan>>, Vec<RecordBatch>)>>,
    rows_read: AtomicU64,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(state: &'a Opaque<SessionState>, plans: &'a KeptPlans) -> Self {
        let mut alone = alone(state);
        let options = alone.config_mut().options_mut();
        // The rows that are wanted of large files are known: asking each file's bounds costs more than it could save.
        options.execution.parquet.pruning = false;
        options.execution.parquet.enable_page_index = false;
        Self { state, alone: Opaque::new(alone), plans, keys: Mutex::default(), rows_read: AtomicU64::new(0) }
    }

    /// The planner's state.
    pub(super) fn state(&self) -> &Opaque<SessionState> {
        self.state
    }

    /// Rows that were read from tables.
    pub(super) fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    /// A plan's rows.
    pub(super) fn run<'b>(
        &'b self,
        plan: &'b Opaque<LogicalPlan>,
    ) -> BoxFuture<'b, Result<Vec<RecordBatch>, Error>> {
        async move {
            if !is_large(plan)? {
                return self.collect(plan).await;
            }
            let grounded = self.with_keys(plan).await?;
            let reduced = self.reduce(self.pruned(&grounded)?).await?;
            self.collect(&reduced).await
        }
        .boxed()
    }

    /// The plan without columns that nothing above them reads: sides that are run on the way hold what they must.
    pub(super) fn pruned(&self, plan: &LogicalPlan) -> Result<Opaque<LogicalPlan>, Error> {
        let optimizer = Optimizer::with_rules(vec![Arc::new(OptimizeProjections::new())]);
        Ok(Opaque::new(optimizer.optimize(plan.clone(), &**self.state, |_, _| {})?))
    }

    async fn collect(&self, plan: &Opaque<LogicalPlan>) -> Result<Vec<RecordBatch>, Error> {
        let is_small = largest(plan)? <= ALONE_ROWS;
        let state = if is_small { &self.alone } else { self.state };
        let optimized = Opaque::new(self.plans.optimized(state, plan)?);
        let mut physical = laid_out(state, &optimized).await?;
        if is_small {
            physical = with_whole_partitions(physical)?;
        }
        let rows = collect(Arc::clone(&physical), state.task_ctx()).await?;
        let read = rows_scanned(physical.as_ref()) + rows_looked_up(plan)?;
        tracing::debug!(read, plan = %displayable(physical.as_ref()).indent(false), "ran a part of a refresh");
        self.rows_read.fetch_add(read, Ordering::Relaxed);
        Ok(rows)
    }

    /// The plan with its affected keys in memory. They are run once, whichever plans they stand in: a plan is known by where
    /// it stands in memory.
    async fn with_keys(&self, plan: &LogicalPlan) -> Result<Opaque<LogicalPlan>, Error> {
        let mut grounded = HashMap::new();
        for side in sides_of_keys(plan)? {
            let Some(keys) = affected_keys(&side) else { continue };
            let number = Arc::as_ptr(&keys) as usize;
            let known = self.keys.lock().get(&number).map(|(_, rows)| rows.clone());
            let rows = match known {
                Some(rows) => rows,
                None => {
                    let rows = self.run(&Opaque::new(LogicalPlan::clone(&keys))).await?;
                    self.keys.lock().insert(number, (keys, rows.clone()));
                    rows
                }
            };
            grounded.insert(number, in_memory(&side, rows)?);
        }
        let grounded = plan.clone().transform_down(|node| {
            let keys = affected_keys(&node).map(|keys| Arc::as_ptr(&keys) as usize);
            Ok(match keys.and_then(|number| grounded.get(&number)) {
                Some(rows) => Transformed::new(LogicalPlan::clone(rows), true, TreeNodeRecursion::Jump),
                None => Transformed::no(node),
            })
        })?;
        Ok(Opaque::new(grounded.data))
    }

    /// The plan with its small sides run and its large ones narrowed.
    fn reduce(&self, plan: Opaque<LogicalPlan>) -> BoxFuture<'_, Result<Opaque<LogicalPlan>, Error>> {
        async move {
            if !is_large(&plan)? {
                return Ok(plan);
            }
            let inputs = inputs_of(&plan);
            if let Some(join) = join_of(&plan)
                && let [left, right] = &inputs[..]
            {
                return self.reduce_join(&join, left, right).await;
            }
            let mut reduced = Vec::new();
            for input in inputs {
                reduced.push(self.reduce(input).await?);
            }
            let reduced = reduced.iter().map(|input| LogicalPlan::clone(input)).collect();
            Ok(Opaque::new(plan.with_new_exprs(plan.expressions(), reduced)?))
        }
        .boxed()
    }

    /// The side of the change first, wherever it stands: what it narrows the other to decides how that is gone about in
    /// turn. A filtered dimension, though small, narrows less. A side may be small only once it has been reduced itself.
    async fn reduce_join(
        &self,
        join: &Opaque<Join>,
        left: &Opaque<LogicalPlan>,
        right: &Opaque<LogicalPlan>,
    ) -> Result<Opaque<LogicalPlan>, Error> {
        let (small, large) = if largest(left)? > largest(right)? { (right, left) } else { (left, right) };
        if smallest(small)? <= smallest(large)?
            && let Some(met) = self.meet(join, left, right).await?
        {
            return Ok(met);
        }
        let (left, right) = (self.reduce(left.clone()).await?, self.reduce(right.clone()).await?);
        if let Some(met) = self.meet(join, &left, &right).await? {
            return Ok(met);
        }
        Ok(Opaque::new(rejoin(join, LogicalPlan::clone(&left), LogicalPlan::clone(&right))?))
    }

    /// A join whose larger side is narrowed by the smaller one's keys; `None` where there is no such side.
    async fn meet(
        &self,
        join: &Opaque<Join>,
        left: &Opaque<LogicalPlan>,
        right: &Opaque<LogicalPlan>,
    ) -> Result<Option<Opaque<LogicalPlan>>, Error> {
        let (left_rows, right_rows) = (largest(left)?, largest(right)?);
        let narrows_left = left_rows > right_rows;
        let (fewer, more) = (left_rows.min(right_rows), left_rows.max(right_rows));
        // A side of small tables is run in any case: its own rows may be far fewer than its tables'.
        let is_worth_it = more > SMALL_ROWS && (fewer <= SMALL_ROWS || is_worth_looking_up(fewer, more));
        let can_be = !join.on.is_empty() && !join.null_aware;
        if !is_worth_it || !can_be || !is_narrowed_by_other(join.join_type, narrows_left) {
            return Ok(None);
        }
        let (small, large) = if narrows_left { (right, left) } else { (left, right) };
        let small = self.reduce(small.clone()).await?;
        let rows = self.collect(&small).await?;
        let small = in_memory(&small, rows.clone())?;
        let (on_left, on_right): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
        let (on_small, on_large) = if narrows_left { (on_right, on_left) } else { (on_left, on_right) };
        let keys = match columns_of(&rows, small.schema(), &on_small)? {
            Some(keys) => distinct(keys)?,
            None => self.keys_of(&small, &on_small).await?,
        };
        let large = self.narrowed(keys, large.clone(), Opaque::new(on_large)).await?;
        let (small, large) = (LogicalPlan::clone(&small), LogicalPlan::clone(&large));
        let (left, right) = if narrows_left { (large, small) } else { (small, large) };
        Ok(Some(Opaque::new(rejoin(join, left, right)?)))
    }

    /// What these expressions are in a plan's rows, each row once.
    fn keys_of<'b>(
        &'b self,
        plan: &LogicalPlan,
        on: &[Expr],
    ) -> BoxFuture<'b, Result<Vec<RecordBatch>, Error>> {
        let named = on.iter().enumerate().map(|(i, key)| key.clone().alias(format!("k{i}")));
        let keys = LogicalPlanBuilder::from(plan.clone()).project(named.collect::<Vec<_>>());
        let keys = keys.and_then(|keys| keys.distinct()?.build()).map(Opaque::new);
        async move { self.collect(&keys?).await }.boxed()
    }

    async fn narrowed(
        &self,
        keys: Vec<RecordBatch>,
        large: Opaque<LogicalPlan>,
        on_large: Opaque<Vec<Expr>>,
    ) -> Result<Opaque<LogicalPlan>, Error> {
        let count: u64 = keys.iter().map(|batch| batch.num_rows() as u64).sum();
        if !is_worth_looking_up(count, largest(&large)?) {
            return self.reduce(large).await;
        }
        let narrowed = tokio::task::spawn_blocking(move || narrow(&large, &on_large, &keys).map(Opaque::new));
        let narrowed = narrowed.await.map_err(|e| DataFusionError::External(Box::new(e)))??;
        self.reduce(narrowed).await
    }
}

fn inputs_of(plan: &LogicalPlan) -> Vec<Opaque<LogicalPlan>> {
    plan.inputs().into_iter().map(|input| Opaque::new(input.clone())).collect()
}

fn join_of(plan: &LogicalPlan) -> Option<Opaque<Join>> {
    match plan {
        LogicalPlan::Join(join) => Some(Opaque::new(join.clone())),
        _ => None,
    }
}

/// Where affected keys stand in a plan, and not within others.
fn sides_of_keys(plan: &LogicalPlan) -> Result<Vec<Opaque<LogicalPlan>>, DataFusionError> {
    let mut sides = Vec::new();
    plan.apply(|node| {
        let is_keys = affected_keys(node).is_some();
        if is_keys {
            sides.push(Opaque::new(node.clone()));
        }
        Ok(if is_keys { TreeNodeRecursion::Jump } else { TreeNodeRecursion::Continue })
    })?;
    Ok(sides)
}

/// The plan of affected keys, if this is what it is called.
fn affected_keys(plan: &LogicalPlan) -> Option<Opaque<Arc<LogicalPlan>>> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) if alias.alias.table() == KEYS => {
            Some(Opaque::new(Arc::clone(&alias.input)))
        }
        _ => None,
    }
}

/// A plan's rows in memory under the names that its columns have.
pub(super) fn in_memory(plan: &LogicalPlan, rows: Vec<RecordBatch>) -> Result<Opaque<LogicalPlan>, Error> {
    // Columns of one name may come from two tables: here they are numbered.
    let fields = plan.schema().fields().iter().enumerate();
    let fields = fields.map(|(i, field)| Field::new(format!("c{i}"), field.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let rows = rows
        .into_iter()
        .map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()))
        .collect::<Result<Vec<_>, _>>()?;
    let table = MemTable::try_new(schema, vec![rows])?;
    let scan = LogicalPlanBuilder::scan("__rows", provider_as_source(Arc::new(table)), None)?.build()?;
    Ok(Opaque::new(placed(scan, plan.schema())?))
}

/// The columns that these expressions are; `None` when one of them is computed.
fn columns_of(
    rows: &[RecordBatch],
    schema: &DFSchema,
    on: &[Expr],
) -> Result<Option<Vec<RecordBatch>>, Error> {
    let place = |key: &Expr| match key {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    };
    let Some(places) = on.iter().map(place).collect::<Option<Vec<_>>>() else { return Ok(None) };
    Ok(Some(rows.iter().map(|batch| batch.project(&places)).collect::<Result<_, _>>()?))
}

/// Each key once.
pub(super) fn distinct(rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>, Error> {
    let Some(first) = rows.first() else { return Ok(rows) };
    let fields = first.schema_ref().fields().iter();
    let converter = RowConverter::new(fields.map(|f| SortField::new(f.data_type().clone())).collect())?;
    let mut seen = HashSet::new();
    let once = |batch: &RecordBatch| {
        let keys = key_rows(&converter, batch.columns())?;
        let is_new: BooleanArray = keys.iter().map(|key| Some(seen.insert(key.owned()))).collect();
        filter_record_batch(batch, &is_new)
    };
    Ok(rows.iter().map(once).collect::<Result<_, _>>()?)
}

/// True when one of a plan's tables is worth narrowing.
fn is_large(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    Ok(largest(plan)? > SMALL_ROWS)
}

/// The rows of the largest of a plan's tables.
fn largest(plan: &LogicalPlan) -> Result<u64, DataFusionError> {
    Ok(rows_of_tables(plan)?.into_iter().max().unwrap_or_default())
}

/// The rows of the smallest of a plan's tables: none where a change is among them.
fn smallest(plan: &LogicalPlan) -> Result<u64, DataFusionError> {
    Ok(rows_of_tables(plan)?.into_iter().min().unwrap_or_default())
}

/// The rows of each table that a plan scans; what is in memory counts as none.
fn rows_of_tables(plan: &LogicalPlan) -> Result<Vec<u64>, DataFusionError> {
    let mut rows = Vec::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            rows.push(rows_of(scan).unwrap_or(0));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(rows)
}

/// The rows that a plan's scans look up one by one.
fn rows_looked_up(plan: &LogicalPlan) -> Result<u64, DataFusionError> {
    let mut rows = 0;
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            rows += looked_up_rows_of(scan).unwrap_or(0);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(rows)
}

/// The rows that a plan, already run, has read of whole files.
fn rows_scanned(plan: &dyn ExecutionPlan) -> u64 {
    let is_of_files = (plan as &dyn Any)
        .downcast_ref::<DataSourceExec>()
        .is_some_and(|scan| (scan.data_source().as_ref() as &dyn Any).is::<FileScanConfig>());
    let own = match plan.metrics() {
        Some(metrics) if is_of_files => metrics.output_rows().unwrap_or(0) as u64,
        _ => 0,
    };
    own + plan.children().into_iter().map(|child| rows_scanned(child.as_ref())).sum::<u64>()
}
