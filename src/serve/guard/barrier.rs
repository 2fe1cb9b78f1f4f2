//! A table behind its policies and masks.
//!
//! What a query does to rows is done after the policies have chosen them and the masks have covered them: an expression
//! that fails on a row, or tells of it, must not come to see one that is hidden. Only comparisons with values, which can do
//! neither, go below. Columns that were not granted are refused when they are to be read, as in PostgreSQL.

use crate::serve::Error;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, TableProviderFilterPushDown, ident,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A table of which a role sees a part.
pub(super) struct Barrier {
    /// The rows that it sees, all columns.
    pub(super) plan: crate::ops::opaque::Opaque<LogicalPlan>,
    pub(super) schema: SchemaRef,
    /// The columns that it may read; `None` for all.
    pub(super) columns: Option<BTreeSet<String>>,
    /// What it is told about others.
    pub(super) denied: Error,
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").finish_non_exhaustive()
    }
}

impl Barrier {
    fn check<'a>(&self, mut read: impl Iterator<Item = &'a str>) -> Result<()> {
        match &self.columns {
            Some(columns) if !read.all(|column| columns.contains(column)) => {
                Err(DataFusionError::External(Box::new(self.denied.clone())))
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl TableProvider for Barrier {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let how = |filter: &&Expr| match tells_nothing(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(how).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let read: Vec<&str> =
            projection.unwrap_or(&all).iter().map(|at| self.schema.field(*at).name().as_str()).collect();
        self.check(read.iter().copied())?;
        for filter in filters {
            self.check(filter.column_refs().into_iter().map(|column| column.name.as_str()))?;
        }
        let mut plan = LogicalPlanBuilder::from(LogicalPlan::clone(&self.plan));
        if let Some(filter) =
            conjunction(filters.iter().cloned().map(unqualified).collect::<Result<Vec<_>>>()?)
        {
            plan = plan.filter(filter)?;
        }
        plan = plan.project(read.into_iter().map(ident))?.limit(0, limit)?;
        let plan = state.create_physical_plan(&plan.build()?).await?;
        Ok(Arc::new(BarrierExec(plan)))
    }
}

/// The same expression over columns without their table.
fn unqualified(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode as _};
    let plain = expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(ident(column.name)),
            expr => Transformed::no(expr),
        })
    })?;
    Ok(plain.data)
}

/// True for a comparison with values: it neither fails nor shows what it saw.
fn tells_nothing(expr: &Expr) -> bool {
    let is_value = |expr: &Expr| matches!(expr, Expr::Literal(..));
    let is_leaf = |expr: &Expr| matches!(expr, Expr::Literal(..) | Expr::Column(_));
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            tells_nothing(left) && tells_nothing(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let compares = matches!(
                op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
            );
            compares && is_leaf(left) && is_leaf(right)
        }
        Expr::Not(inner) => tells_nothing(inner),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => is_leaf(inner),
        Expr::InList(InList { expr, list, .. }) => is_leaf(expr) && list.iter().all(is_value),
        Expr::Between(between) => is_leaf(&between.expr) && is_value(&between.low) && is_value(&between.high),
        Expr::Column(_) | Expr::Literal(..) => true,
        _ => false,
    }
}

/// A plan that shows itself to no rule: nothing is moved into it, and EXPLAIN tells nothing of it.
#[derive(Debug)]
struct BarrierExec(Arc<dyn ExecutionPlan>);

impl DisplayAs for BarrierExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for BarrierExec {
    fn name(&self) -> &str {
        "BarrierExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.0.execute(partition, context)
    }
}
