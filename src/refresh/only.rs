//! Some rows of a table in its place: what a plan over it gives.

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// A plan's rows as a table: unlike a view, a scan of it stays one, by which the table's name is known.
#[derive(Debug)]
pub(super) struct Only {
    schema: SchemaRef,
    plan: LogicalPlan,
}

impl Only {
    /// The rows of a plan that has the columns of `schema`.
    pub(super) fn new(schema: SchemaRef, plan: LogicalPlan) -> Self {
        Self { schema, plan }
    }
}

#[async_trait]
impl TableProvider for Only {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut plan = LogicalPlanBuilder::from(self.plan.clone());
        if let Some(projection) = projection {
            let columns: Vec<Expr> = projection
                .iter()
                .map(|place| Expr::from(self.plan.schema().qualified_field(*place)))
                .collect();
            plan = plan.project(columns)?;
        }
        state.create_physical_plan(&plan.limit(0, limit)?.build()?).await
    }
}
