//! Optimized plans, kept for plans of the same shape. What one refresh runs differs from what the last one ran in its rows
//! alone, and the optimizer does not look at rows.
//!
//! ```text
//! plan ─► its tables taken out, numbered ─► known? ─► the optimized plan ─► the tables put back by their numbers
//!                                             └ no: optimized, kept
//! ```
//!
//! Two plans are of one shape when they are equal but for what stands behind their scans: the plan itself, its tables taken
//! out, is what it is found by.

use super::Result;
use crate::lake::FilesProvider;
use crate::ops::opaque::Opaque;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::MemTable;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableSource, Volatility};
use parking_lot::Mutex;
use quick_cache::unsync::Cache;
use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Plans that are kept: a refresh runs a few, of several shapes as few or many rows have changed.
const KEPT_MAX: usize = 32;

/// The optimized plans of one model's refreshes.
pub struct KeptPlans(Mutex<Cache<Shape, Opaque<LogicalPlan>>>);

impl Default for KeptPlans {
    fn default() -> Self {
        Self(Mutex::new(Cache::new(KEPT_MAX)))
    }
}

impl fmt::Debug for KeptPlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeptPlans").field(&self.0.lock().len()).finish()
    }
}

impl KeptPlans {
    /// The plan as the optimizer of this state makes it.
    pub fn optimized(&self, state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let Some((shape, tables)) = Shape::of(plan, state.config().target_partitions())? else {
            return state.optimize(plan);
        };
        let known = self.0.lock().get(&shape).cloned();
        let optimized = match known {
            Some(known) => known,
            None => {
                let optimized = Opaque::new(state.optimize(&shape.plan)?);
                self.0.lock().insert(shape, optimized.clone());
                optimized
            }
        };
        over(&optimized, &tables)
    }
}

/// True when each expression gives the same for the same rows, whenever it is asked. What counts or limits rows has to be
/// known to the optimizer.
pub fn is_lasting(plan: &LogicalPlan) -> Result<bool> {
    let mut is_lasting = true;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                is_lasting &= match expr {
                    Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                    Expr::Placeholder(_) => !matches!(node, LogicalPlan::Limit(_)),
                    _ => true,
                };
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if is_lasting { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is_lasting)
}

/// A plan without its tables, and all that the optimizer asks of these.
#[derive(PartialEq, Eq)]
struct Shape {
    plan: LogicalPlan,
    tables: Vec<(SchemaRef, TableProviderFilterPushDown)>,
    target_partitions: usize,
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.plan.hash(state);
        self.target_partitions.hash(state);
    }
}

impl Shape {
    /// A plan's shape, and the tables behind its scans; `None` when the optimizer may make something else of it next time.
    fn of(plan: &LogicalPlan, target_partitions: usize) -> Result<Option<(Self, Vec<Arc<dyn TableSource>>)>> {
        if !is_lasting(plan)? {
            return Ok(None);
        }
        let (mut behind, mut tables) = (Vec::new(), Vec::new());
        let mut are_known = true;
        let plan = plan.clone().transform_down_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
            let Some(filters) = takes_filters(&scan.source) else {
                are_known = false;
                return Ok(Transformed::new(LogicalPlan::TableScan(scan), false, TreeNodeRecursion::Stop));
            };
            let place =
                Place { number: behind.len(), schema: scan.source.schema(), filters: filters.clone() };
            tables.push((place.schema.clone(), filters));
            behind.push(std::mem::replace(&mut scan.source, Arc::new(place)));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        })?;
        let shape = Self { plan: plan.data, tables, target_partitions };
        Ok(are_known.then_some((shape, behind)))
    }
}

/// What a table makes of filters that it is handed; `None` where there is more that a plan could depend on.
fn takes_filters(source: &Arc<dyn TableSource>) -> Option<TableProviderFilterPushDown> {
    let provider = source_as_provider(source).ok()?;
    let provider = provider.as_ref() as &dyn Any;
    if provider.is::<FilesProvider>() {
        return Some(TableProviderFilterPushDown::Inexact);
    }
    provider.is::<MemTable>().then_some(TableProviderFilterPushDown::Unsupported)
}

/// Where a table stands in a plan without tables.
struct Place {
    number: usize,
    schema: SchemaRef,
    filters: TableProviderFilterPushDown,
}

impl TableSource for Place {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![self.filters.clone(); filters.len()])
    }
}

/// A plan with its tables in their places.
fn over(plan: &LogicalPlan, tables: &[Arc<dyn TableSource>]) -> Result<LogicalPlan> {
    let filled = plan.clone().transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let place = (scan.source.as_ref() as &dyn Any).downcast_ref::<Place>();
        let Some(table) = place.and_then(|place| tables.get(place.number)).cloned() else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        scan.source = table;
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(filled.data)
}

#[cfg(test)]
mod tests {
    use super::super::{Engine, laid_out};
    use super::*;
    use arrow::array::{AsArray as _, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use datafusion::catalog::{
        CatalogProvider as _, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider as _,
    };
    use datafusion::physical_plan::collect;
    use datafusion::prelude::SessionContext;

    /// A session over `t`, which has these columns of numbers.
    fn session(columns: &[(&str, &[i64])]) -> SessionContext {
        let arrays =
            columns.iter().map(|(name, cells)| (*name, Arc::new(Int64Array::from(cells.to_vec())) as _));
        let rows = RecordBatch::try_from_iter(arrays).unwrap();
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
        let schema = Arc::new(MemorySchemaProvider::new());
        schema.register_table("t".to_string(), Arc::new(table)).unwrap();
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema("public", schema).unwrap();
        Engine::new(1 << 30, 1).unwrap().session(catalog)
    }

    /// A query's only number, by a plan that may be kept.
    async fn answer(kept: &KeptPlans, session: &SessionContext, query: &str) -> i64 {
        let state = Opaque::new(session.state());
        let plan = state.create_logical_plan(query).await.unwrap();
        let optimized = Opaque::new(kept.optimized(&state, &plan).unwrap());
        let physical = laid_out(&state, &optimized).await.unwrap();
        let rows = collect(physical, state.task_ctx()).await.unwrap();
        rows[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    #[tokio::test]
    async fn a_kept_plan_reads_the_tables_of_who_asks() {
        let kept = KeptPlans::default();
        let query = "SELECT sum(a.x * b.x) FROM t a JOIN t b ON a.k = b.k WHERE b.x > 1";
        let first = session(&[("k", &[1, 2]), ("x", &[1, 2])]);
        let second = session(&[("k", &[1, 2, 2]), ("x", &[5, 3, 4])]);
        assert_eq!(answer(&kept, &first, query).await, 4);
        assert_eq!(answer(&kept, &second, query).await, 25 + 49);
        assert_eq!(answer(&kept, &first, query).await, 4);
        assert_eq!(kept.0.lock().len(), 1);
    }

    #[tokio::test]
    async fn other_values_and_other_columns_are_other_shapes() {
        let kept = KeptPlans::default();
        let narrow = session(&[("x", &[1, 2, 3])]);
        let wide = session(&[("y", &[7, 8, 9]), ("x", &[1, 2, 3])]);
        assert_eq!(answer(&kept, &narrow, "SELECT sum(x) FROM t WHERE x > 1").await, 5);
        assert_eq!(answer(&kept, &narrow, "SELECT sum(x) FROM t WHERE x > 2").await, 3);
        assert_eq!(answer(&kept, &wide, "SELECT sum(x) FROM t WHERE x > 2").await, 3);
        assert_eq!(kept.0.lock().len(), 3);
    }

    #[tokio::test]
    async fn what_changes_by_itself_is_not_kept() {
        let kept = KeptPlans::default();
        let table = session(&[("x", &[1])]);
        let query = "SELECT sum(x) FROM t WHERE to_timestamp(x) < now()";
        assert_eq!(answer(&kept, &table, query).await, 1);
        assert_eq!(kept.0.lock().len(), 0);
    }
}
