//! Running derived plans: small inputs first, and of large tables only the rows that the small ones ask for.
//!
//! ```text
//! small ⋈ large     the small side is run ─► its keys ─► the large side's tables narrowed by their indexes ─► the join
//! ```
//!
//! A change is small, and what it is joined with is large. DataFusion would read all of the large side; here each join
//! is met from the side of the change, so that a refresh reads what the change touches, however deep the joins stand.

use super::Error;
use super::derive::{KEYS, is_narrowed_by_other, narrow, placed, rejoin, rows_of};
use crate::engine::physical_plan;
use crate::ops::opaque::Opaque;
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::MemTable;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::provider_as_source;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
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
    /// Affected keys that were run already: the same plan stands on the new side and on the old one.
    keys: Mutex<HashMap<usize, (Opaque<Arc<LogicalPlan>>, Vec<RecordBatch>)>>,
    rows_read: AtomicU64,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(state: &'a Opaque<SessionState>) -> Self {
        Self { state, keys: Mutex::default(), rows_read: AtomicU64::new(0) }
    }

    /// Rows that were read from tables.
    pub(super) fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    /// A plan's rows.
    pub(super) async fn run(&self, plan: &Opaque<LogicalPlan>) -> Result<Vec<RecordBatch>, Error> {
        let reduced = self.reduce(plan.clone()).await?;
        self.collect(&reduced).await
    }

    async fn collect(&self, plan: &Opaque<LogicalPlan>) -> Result<Vec<RecordBatch>, Error> {
        let physical = physical_plan(self.state, plan).await?;
        let rows = collect(Arc::clone(&physical), self.state.task_ctx()).await?;
        self.rows_read.fetch_add(rows_scanned(physical.as_ref()), Ordering::Relaxed);
        Ok(rows)
    }

    /// The plan with its small sides run and its large ones narrowed.
    fn reduce(&self, plan: Opaque<LogicalPlan>) -> BoxFuture<'_, Result<Opaque<LogicalPlan>, Error>> {
        async move {
            if !is_large(&plan)? {
                return Ok(plan);
            }
            let mut inputs = Vec::new();
            for input in inputs_of(&plan) {
                inputs.push(match affected_keys(&input) {
                    Some(keys) => self.run_keys(&input, keys).await?,
                    None => self.reduce(input).await?,
                });
            }
            match join_of(&plan) {
                Some(join) => match <[_; 2]>::try_from(inputs) {
                    Ok([left, right]) => self.meet(join, left, right).await,
                    Err(_) => Ok(plan),
                },
                None => {
                    let inputs = inputs.iter().map(|input| LogicalPlan::clone(input)).collect();
                    Ok(Opaque::new(plan.with_new_exprs(plan.expressions(), inputs)?))
                }
            }
        }
        .boxed()
    }

    /// Affected keys are run once, whichever plans they stand in: a plan is known by where it stands in memory.
    async fn run_keys(
        &self,
        side: &Opaque<LogicalPlan>,
        keys: Opaque<Arc<LogicalPlan>>,
    ) -> Result<Opaque<LogicalPlan>, Error> {
        let number = Arc::as_ptr(&keys) as usize;
        let known = self.keys.lock().get(&number).map(|(_, rows)| rows.clone());
        let rows = match known {
            Some(rows) => rows,
            None => {
                let rows = self.run(side).await?;
                self.keys.lock().insert(number, (keys, rows.clone()));
                rows
            }
        };
        in_memory(side, rows)
    }

    /// A join whose larger side is narrowed by the smaller one's keys, where there is such a side.
    async fn meet(
        &self,
        join: Opaque<Join>,
        left: Opaque<LogicalPlan>,
        right: Opaque<LogicalPlan>,
    ) -> Result<Opaque<LogicalPlan>, Error> {
        let narrows_left = match (is_large(&left)?, is_large(&right)?) {
            (true, false) => true,
            (false, true) => false,
            _ => {
                return Ok(Opaque::new(rejoin(
                    &join,
                    LogicalPlan::clone(&left),
                    LogicalPlan::clone(&right),
                )?));
            }
        };
        if join.on.is_empty() || join.null_aware || !is_narrowed_by_other(join.join_type, narrows_left) {
            return Ok(Opaque::new(rejoin(&join, LogicalPlan::clone(&left), LogicalPlan::clone(&right))?));
        }
        let (small, large) = if narrows_left { (right, left) } else { (left, right) };
        let rows = self.collect(&small).await?;
        let small = in_memory(&small, rows)?;
        let (on_left, on_right): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
        let (on_small, on_large) = if narrows_left { (on_right, on_left) } else { (on_left, on_right) };
        let large = self.narrowed(&small, Opaque::new(on_small), large, Opaque::new(on_large)).await?;
        let (small, large) = (LogicalPlan::clone(&small), LogicalPlan::clone(&large));
        let (left, right) = if narrows_left { (large, small) } else { (small, large) };
        Ok(Opaque::new(rejoin(&join, left, right)?))
    }

    async fn narrowed(
        &self,
        small: &Opaque<LogicalPlan>,
        on_small: Opaque<Vec<Expr>>,
        large: Opaque<LogicalPlan>,
        on_large: Opaque<Vec<Expr>>,
    ) -> Result<Opaque<LogicalPlan>, Error> {
        let named = on_small.iter().enumerate().map(|(i, key)| key.clone().alias(format!("k{i}")));
        let keys = LogicalPlanBuilder::from(LogicalPlan::clone(small)).project(named)?.distinct()?.build()?;
        let keys = self.collect(&Opaque::new(keys)).await?;
        let count: u64 = keys.iter().map(|batch| batch.num_rows() as u64).sum();
        if !is_worth_looking_up(count, largest(&large)?) {
            return Ok(large);
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

/// True when one of a plan's tables is worth narrowing.
fn is_large(plan: &LogicalPlan) -> Result<bool, DataFusionError> {
    Ok(largest(plan)? > SMALL_ROWS)
}

/// The rows of the largest of a plan's tables.
fn largest(plan: &LogicalPlan) -> Result<u64, DataFusionError> {
    let mut largest = 0;
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            largest = largest.max(rows_of(scan).unwrap_or(0));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(largest)
}

/// The rows that a plan, already run, has read from files.
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
