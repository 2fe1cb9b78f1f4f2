//! `INSERT` into a source: its rows are one push, as those of `COPY ... FROM STDIN` are.
//!
//! Values take the type of the column that they are for, parameters too; what a query gives is cast to it.

use super::{Answer, Prepared, Session, Target, null_violation, too_large};
use crate::ingest::row_bytes;
use crate::ops::opaque::Opaque;
use crate::serve::statement::{Insert, Statement};
use crate::serve::{Error, query};
use crate::sql::{ColumnDefinition, schema_of};
use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{self, Expr, SetExpr};
use futures::StreamExt as _;
use std::time::Instant;

impl Session {
    /// The statement with its values cast to the columns that they are for.
    pub(super) async fn with_types(&self, statement: Statement) -> Result<Statement, Error> {
        let Statement::Insert(insert) = statement else { return Ok(statement) };
        let target = self.target(&insert.table, insert.columns.as_deref(), self.deadline()).await?;
        let mut query = ast::Query::clone(&insert.query);
        if let SetExpr::Values(values) = query.body.as_mut() {
            for row in &mut values.rows {
                check_width(row.len(), &target, &insert)?;
                for (value, column) in row.iter_mut().zip(&target.columns) {
                    *value = cast(std::mem::replace(value, null()), column);
                }
            }
        }
        Ok(Statement::Insert(Insert { query: Opaque::new(query), ..insert }))
    }

    /// Puts the rows into the source, or among those that the transaction has for it.
    pub(super) async fn insert(
        &self,
        insert: &Insert,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let mut target = self.target(&insert.table, insert.columns.as_deref(), deadline).await?;
        let (scope, planned, values) = self.ready(prepared, values, deadline).await?;
        let (schema, mut rows) = query::run(&scope, planned, values).await?;
        let width = schema.fields().len();
        check_width(width, &target, insert)?;
        if width < target.columns.len() {
            // Those that are left out are NULL, if they may be.
            let given: Vec<String> = target.columns[..width].iter().map(|c| c.name.clone()).collect();
            target = self.target(&insert.table, Some(&given), deadline).await?;
        }
        let mut batches: Vec<RecordBatch> = vec![];
        let mut bytes = 0;
        while let Some(batch) = rows.next().await.transpose()? {
            let batch = fitted(&batch, &target)?;
            bytes += row_bytes(&batch);
            if bytes > target.bytes_max {
                return Err(too_large(target.bytes_max));
            }
            batches.push(batch);
        }
        let count = match batches.first().map(RecordBatch::schema) {
            Some(schema) => self.take_rows(&target, concat_batches(&schema, &batches)?).await?,
            None => 0,
        };
        Ok(Answer::Tag(format!("INSERT 0 {count}").into()))
    }
}

fn check_width(width: usize, target: &Target, insert: &Insert) -> Result<(), Error> {
    let columns = target.columns.len();
    if width > columns {
        return Err(Error::new("42601", "INSERT has more expressions than target columns"));
    }
    if width < columns && insert.columns.is_some() {
        return Err(Error::new("42601", "INSERT has more target columns than expressions"));
    }
    Ok(())
}

/// A value as its column has it; the word DEFAULT stands for NULL, as no column has another default.
fn cast(value: Expr, column: &ColumnDefinition) -> Expr {
    let is_default = matches!(&value, Expr::Identifier(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default"));
    let value = if is_default { null() } else { value };
    match query::written(&column.data_type) {
        Some(data_type) => Expr::Cast {
            kind: ast::CastKind::Cast,
            expr: Box::new(value),
            data_type,
            array: false,
            format: None,
        },
        None => value,
    }
}

fn null() -> Expr {
    Expr::value(ast::Value::Null)
}

/// Rows with the source's columns.
fn fitted(batch: &RecordBatch, target: &Target) -> Result<RecordBatch, Error> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch.columns().iter().zip(&target.columns).map(|(array, column)| {
        let array = cast_with_options(array, &column.data_type, &strict)?;
        match array.null_count() > 0 && !column.nullable {
            true => Err(null_violation(&column.name, &target.table)),
            false => Ok(array),
        }
    });
    let columns = columns.collect::<Result<Vec<_>, Error>>()?;
    Ok(RecordBatch::try_new(schema_of(&target.columns), columns)?)
}
