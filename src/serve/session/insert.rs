//! `INSERT` into a source: its rows are one push, as those of `COPY ... FROM STDIN` are.
//!
//! Values are assigned to the columns that they are for as [`assignment`] has it.

use super::{Answer, Prepared, Session, Target, null_violation, too_large};
use crate::ingest::row_bytes;
use crate::ops::opaque::Opaque;
use crate::serve::ParameterType;
use crate::serve::postgres::catalog::types::{column_type, data_column_type};
use crate::serve::query::Planned;
use crate::serve::statement::{Insert, Statement};
use crate::serve::{Error, assignment, query};
use crate::sql::schema_of;
use arrow::array::RecordBatch;
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{self, SetExpr, Spanned};
use datafusion::sql::sqlparser::tokenizer::Span;
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Instant;

impl Session {
    /// The statement with its values cast to the columns that they are for; refused if they may not be.
    pub(super) async fn as_assigned(
        &self,
        statement: Statement,
        declared: &[Option<ParameterType>],
    ) -> Result<Statement, Error> {
        let Statement::Insert(insert) = statement else { return Ok(statement) };
        let target = self.target(&insert.table, insert.columns.as_deref(), self.deadline()).await?;
        let query = ast::Query::clone(&insert.query);
        let query = match matches!(*query.body, SetExpr::Values(_)) {
            true => self.values_assigned(query, &insert, &target, declared).await?,
            false => self.query_assigned(query, &insert, &target, declared).await?,
        };
        Ok(Statement::Insert(Insert { query: Opaque::new(query), ..insert }))
    }

    async fn values_assigned(
        &self,
        mut query: ast::Query,
        insert: &Insert,
        target: &Target,
        declared: &[Option<ParameterType>],
    ) -> Result<ast::Query, Error> {
        let SetExpr::Values(values) = query.body.as_mut() else { return Ok(query) };
        let mut typed = BTreeMap::new();
        for row in &mut values.rows {
            let more = row.get(target.columns.len()).map(|value| value.span());
            check_width(row.len(), target, insert).map_err(|error| at(error, more))?;
            for (place, (value, column)) in row.iter_mut().zip(&target.columns).enumerate() {
                if !assignment::is_untyped(value, declared) {
                    typed.entry((place, assignment::of_its_type(value))).or_insert_with(|| value.span());
                }
                *value = assignment::cast(std::mem::replace(value, assignment::null()), column);
            }
        }
        if typed.is_empty() {
            return Ok(query);
        }
        let (places, values): (Vec<_>, Vec<_>) =
            typed.into_iter().map(|((place, value), span)| ((place, span), value)).unzip();
        let mut asked = ast::Query::clone(&*query::select(values)?);
        asked.with.clone_from(&query.with);
        let planned = self.planned_now(asked, declared).await?;
        for ((place, span), field) in places.into_iter().zip(planned.columns.fields()) {
            assignment::check(&target.columns[place], column_type(field).oid)
                .map_err(|error| at(error, Some(span)))?;
        }
        Ok(query)
    }

    async fn query_assigned(
        &self,
        mut query: ast::Query,
        insert: &Insert,
        target: &Target,
        declared: &[Option<ParameterType>],
    ) -> Result<ast::Query, Error> {
        assignment::cast_untyped(&mut query, &target.columns, declared);
        let planned = self.planned_now(query.clone(), declared).await?;
        let fields = planned.columns.fields();
        let spans = spans_of(&query);
        let more = spans.get(target.columns.len()).copied();
        check_width(fields.len(), target, insert).map_err(|error| at(error, more))?;
        let columns = &target.columns[..fields.len()];
        let mut fits = true;
        for (place, (column, field)) in columns.iter().zip(fields).enumerate() {
            let found = column_type(field);
            assignment::check(column, found.oid).map_err(|error| at(error, spans.get(place).copied()))?;
            fits &= found == data_column_type(&column.data_type);
        }
        if fits { Ok(query) } else { assignment::cast_columns(query, columns) }
    }

    async fn planned_now(
        &self,
        query: ast::Query,
        declared: &[Option<ParameterType>],
    ) -> Result<Planned, Error> {
        let cut = self.cut(self.deadline()).await?;
        query::plan(&self.scope(&cut)?, &Opaque::new(query), declared).await
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

/// Where what a query selects stands, as far as no `*` stands before it.
fn spans_of(query: &ast::Query) -> Vec<Span> {
    let SetExpr::Select(select) = query.body.as_ref() else { return vec![] };
    let items = select.projection.iter().map_while(|item| match item {
        ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => Some(expr.span()),
        _ => None,
    });
    items.collect()
}

/// The error at the place of what it is about, if that is known.
fn at(error: Error, span: Option<Span>) -> Error {
    let start = span.map(|span| span.start).filter(|start| start.line > 0);
    Error { place: start.map(|start| (start.line, start.column)).or(error.place), ..error }
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
