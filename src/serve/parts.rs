//! A result in parts that a client pulls side by side.
//!
//! Comes in: a query planned on one cut. Goes out: the same rows in parts that have nothing to do with each other, each
//! run when it is read and as often as it is read; what nobody reads is never run. A query whose rows need each other has
//! no parts ([`crate::engine::parts`] decides).

use super::Error;
use super::query::{self, Planned, RowStream};
use super::session::Scope;
use crate::engine;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt as _, TryStreamExt as _};
use std::ops::Range;
use std::sync::Arc;

/// A query that may be read in parts.
#[derive(Clone, Debug)]
pub struct Parts {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    columns: SchemaRef,
    partitions: Vec<Range<usize>>,
}

impl Parts {
    /// Plans a query for it; `None` where it has a single part.
    pub(super) async fn plan(
        scope: &Scope,
        planned: &Planned,
        values: Vec<ScalarValue>,
        parts_max: usize,
    ) -> Result<Option<Self>, Error> {
        if parts_max < 2 || !engine::is_row_by_row(&planned.plan) {
            return Ok(None);
        }
        let plan = query::with_values(planned.plan.clone(), values)?;
        let (plan, context) =
            engine::physical_plan_in_parts(&scope.state, &plan, planned.is_optimized).await?;
        let partitions = engine::parts(plan.as_ref(), parts_max)?;
        let columns = query::as_told(&planned.columns, &plan.schema());
        Ok((partitions.len() > 1).then_some(Self { plan, context, columns, partitions }))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.partitions.len()
    }

    /// The rows of one of them.
    pub fn rows(&self, part: usize) -> RowStream {
        let (plan, context) = (Arc::clone(&self.plan), Arc::clone(&self.context));
        let columns = Arc::clone(&self.columns);
        let partitions = self.partitions.get(part).cloned().unwrap_or_default();
        futures::stream::iter(partitions)
            .map(move |partition| {
                let batches = plan.execute(partition, Arc::clone(&context))?;
                Ok::<_, Error>(query::told(Arc::clone(&columns), batches))
            })
            .try_flatten()
            .boxed()
    }
}
