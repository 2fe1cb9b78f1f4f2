//! Rows for readers without their files being scanned: columns from memory, or the few rows that a key index tells.

use super::Error;
use super::in_parts::read_in_parts;
use super::read::read_rows;
use super::scan::{FilesProvider, external};
use super::snapshot::DataFile;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, ScalarValue, project_schema};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

impl FilesProvider {
    /// The rows themselves, page by page: for few of them that costs less than a scan does.
    pub(super) async fn look_up(&self, projection: Option<&Vec<usize>>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = project_schema(&self.schema, projection)?;
        let (indexes, snapshot) = (Arc::clone(&self.indexes), Arc::clone(&self.snapshot));
        let (files, wanted) = (self.files.clone(), Arc::clone(&schema));
        let read = tokio::task::spawn_blocking(move || -> std::result::Result<_, Error> {
            let read = |file: &Arc<DataFile>| {
                let mut batches = Vec::new();
                read_rows::<Error>(&indexes, &snapshot, file, &wanted, |batch, _| {
                    batches.push(batch);
                    Ok(())
                })?;
                Ok(batches)
            };
            Ok(read_in_parts::<_, Error>(&files, read)?.concat())
        });
        let batches = read.await.map_err(external)?.map_err(external)?;
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }

    /// The rows without their files being opened for them: from memory, or where a key index says that they stand.
    pub(super) async fn recall(
        &self,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if self.indexes.decoded.suits(&self.snapshot, &self.files) {
            return self.decoded(projection, limit).await.map(Some);
        }
        match self.found(filters).await? {
            Some(found) => found.look_up(projection).await.map(Some),
            None => Ok(None),
        }
    }

    async fn decoded(
        &self,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = project_schema(&self.schema, projection)?;
        let (indexes, snapshot) = (Arc::clone(&self.indexes), Arc::clone(&self.snapshot));
        let (files, wanted) = (self.files.clone(), Arc::clone(&schema));
        let rows_of = move |may_read| -> Result<Option<Vec<RecordBatch>>> {
            let mut batches = Vec::new();
            for file in &files {
                let rows = indexes.decoded.rows(&indexes, &snapshot, file, &wanted, may_read);
                let Some(rows) = rows.map_err(external)? else { return Ok(None) };
                batches.extend(rows);
            }
            Ok(Some(batches))
        };
        let batches = match rows_of(false)? {
            Some(batches) => batches,
            None => tokio::task::spawn_blocking(move || rows_of(true))
                .await
                .map_err(external)??
                .unwrap_or_default(),
        };
        let source = MemorySourceConfig::try_new(&[batches], schema, None)?.with_limit(limit);
        Ok(DataSourceExec::from_data_source(source))
    }

    /// The rows that have the values which the filters ask of some columns, if an index may be made and they are few.
    async fn found(&self, filters: &[Expr]) -> Result<Option<Self>> {
        let Some((columns, keys)) = asked(&self.schema, filters) else { return Ok(None) };
        if !self.indexes.decoded.suits_index(&self.snapshot, &self.files) {
            return Ok(None);
        }
        let table = self.of(self.files.clone());
        let narrowed = tokio::task::spawn_blocking(move || table.narrowed(&columns, &[keys]));
        let narrowed = narrowed.await.map_err(external)?.map_err(external)?;
        Ok(narrowed.filter(|narrowed| narrowed.looked_up_rows().is_some()))
    }
}

/// The columns of which the filters ask for certain values, and these values: one row for each that a list has. One list
/// at most: several would ask for all their pairs.
fn asked(schema: &SchemaRef, filters: &[Expr]) -> Option<(Vec<usize>, RecordBatch)> {
    let mut places: Vec<usize> = Vec::new();
    let mut columns: Vec<Vec<ScalarValue>> = Vec::new();
    for (column, values) in filters.iter().filter_map(asked_by) {
        let (place, field) = schema.column_with_name(&column.name)?;
        // Of floats, values that differ may be equal.
        let is_exact = |value: &ScalarValue| {
            !value.is_null() && value.data_type() == *field.data_type() && !field.data_type().is_floating()
        };
        let is_second_list = values.len() > 1 && columns.iter().any(|values| values.len() > 1);
        if values.iter().all(is_exact) && !places.contains(&place) && !is_second_list {
            places.push(place);
            columns.push(values);
        }
    }
    let rows = columns.iter().map(Vec::len).max()?;
    let named = places.iter().zip(columns).map(|(place, values)| {
        let column = match values.as_slice() {
            [value] => value.to_array_of_size(rows),
            _ => ScalarValue::iter_to_array(values),
        };
        Ok((schema.field(*place).name(), column?))
    });
    let keys = RecordBatch::try_from_iter(named.collect::<Result<Vec<_>>>().ok()?).ok()?;
    Some((places, keys))
}

/// The column, and its values, that a filter asks for: `x = 1`, `x IN (1, 2)`.
fn asked_by(filter: &Expr) -> Option<(&Column, Vec<ScalarValue>)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _))
                | (Expr::Literal(value, _), Expr::Column(column)) => Some((column, vec![value.clone()])),
                _ => None,
            }
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let Expr::Column(column) = expr.as_ref() else { return None };
            let values = list.iter().map(|item| item.as_literal().cloned());
            Some((column, values.collect::<Option<Vec<_>>>()?))
        }
        _ => None,
    }
}
