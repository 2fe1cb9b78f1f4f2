//! A single DISTINCT as two groupings, with the types that it had.
//!
//! DataFusion 55 makes `count(DISTINCT a), sum(b)` a sum of sums, which has ten digits more where `b` is a decimal. What stands
//! above has its types already: HAVING compared decimals of two precisions, and the query failed as it ran.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection, cast};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::single_distinct_to_groupby::SingleDistinctToGroupBy;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// DataFusion's rule of the same name, which every plan goes through instead of it.
#[derive(Debug, Default)]
pub(super) struct SingleDistinct(SingleDistinctToGroupBy);

impl OptimizerRule for SingleDistinct {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let schema = Arc::clone(plan.schema());
        self.0.rewrite(plan, config)?.map_data(|plan| typed(plan, &schema))
    }
}

/// The plan with the types of `schema`, whose columns it has.
fn typed(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    let columns = plan.schema().iter().zip(schema.fields());
    let columns: Vec<Expr> = columns
        .map(|((qualifier, field), wanted)| {
            let column = Expr::Column(Column::from((qualifier, field)));
            match field.data_type() == wanted.data_type() {
                true => column,
                false => {
                    let column = cast(column, wanted.data_type().clone());
                    column.alias_qualified(qualifier.cloned(), field.name())
                }
            }
        })
        .collect();
    if columns.iter().all(|column| matches!(column, Expr::Column(_))) {
        return Ok(plan);
    }
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::stored;
    use super::super::{Engine, plan_sql};
    use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch};
    use std::sync::Arc;

    #[tokio::test]
    async fn sums_beside_distinct_values_are_compared_as_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(Int64Array::from(vec![1, 1, 2])) as ArrayRef;
        let amounts = Decimal128Array::from(vec![-150, 50, 100]).with_precision_and_scale(10, 2).unwrap();
        let columns = [("k", keys, true), ("v", Arc::new(amounts) as ArrayRef, true)];
        let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let catalog = stored(folder.path(), &[("a", vec![rows])]).await;
        let session = Engine::new(1 << 30, 1).unwrap().session(catalog);
        let query = "SELECT k, count(DISTINCT k) AS n FROM a GROUP BY k HAVING sum(v) < CAST('0.00' AS DECIMAL(38, 2))";
        let plan = plan_sql(&session.state(), query).await.unwrap();
        let rows = session.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    }
}
