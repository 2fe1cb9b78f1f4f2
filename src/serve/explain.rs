//! `EXPLAIN`: the engine's plans as PostgreSQL shows them, one line a row.

use super::Error;
use super::query::{Planned, RowStream};
use crate::ops::opaque::Opaque;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use futures::StreamExt;
use std::sync::Arc;

/// The one column.
pub(super) fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8, true)]))
}

/// The plan that explains a plan.
pub(super) fn explain(planned: Planned, analyze: bool, verbose: bool) -> Result<Planned, Error> {
    let plan =
        LogicalPlanBuilder::from(LogicalPlan::clone(&planned.plan)).explain(verbose, analyze)?.build()?;
    let columns = Arc::new(plan.schema().as_arrow().clone());
    Ok(Planned {
        plan: Opaque::new(plan),
        is_optimized: false,
        has_many_parts: false,
        columns,
        parameters: vec![],
        spelt: vec![],
    })
}

/// Lines instead of (kind, text) rows.
pub(super) fn lines(rows: RowStream) -> (SchemaRef, RowStream) {
    let schema = columns();
    let columns = schema.clone();
    let rows = rows.map(move |batch| {
        let batch = batch?;
        let texts: Vec<ArrayRef> =
            batch.columns().iter().map(|column| cast(column, &DataType::Utf8)).collect::<Result<_, _>>()?;
        let mut lines = Vec::new();
        if let [kinds, plans] = texts.as_slice() {
            for row in 0..kinds.len() {
                lines.push(kinds.as_string::<i32>().value(row).replace('_', " "));
                lines.extend(plans.as_string::<i32>().value(row).lines().map(|line| format!("  {line}")));
            }
        }
        Ok(RecordBatch::try_new(columns.clone(), vec![Arc::new(StringArray::from(lines))])?)
    });
    (schema, rows.boxed())
}
