//! Whether a unit test can be run: its mocks are inputs of the model, its columns are theirs, its rows fit.

use super::{Model, PlannedModel, Planner, prefixed};
use crate::catalog::plan_error::{Place, errors_of};
use crate::engine::Engine;
use crate::lake::TableName;
use crate::sql::{Error, Mock, TestRows, UnitTestDefinition, did_you_mean, hint_did_you_mean, type_name};
use arrow::compute::can_cast_types;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};
use std::sync::Arc;

/// Every error of a unit test for a planned model that reads these tables.
pub async fn plan_unit_test(
    test: &UnitTestDefinition,
    model: &Model,
    planned: &PlannedModel,
    inputs: Vec<(&TableName, &SchemaRef)>,
    engine: &Engine,
) -> Vec<Error> {
    let planner = Planner::new(engine);
    for (name, schema) in inputs {
        planner.register(name, Arc::clone(schema));
    }
    Box::pin(planner.unit_test(test, model, &planned.schema)).await
}

impl Planner {
    /// Every error of a unit test for a model of these columns.
    pub(super) async fn unit_test(
        &self,
        test: &UnitTestDefinition,
        model: &Model,
        output: &Schema,
    ) -> Vec<Error> {
        let inputs = &model.query().inputs;
        let mut errors = vec![];
        for mock in test.steps.iter().flatten() {
            if !inputs.contains(&mock.table) {
                errors.push(not_read(test, mock, inputs));
                continue;
            }
            let Ok(Some(columns)) = self.columns_of(&mock.table).await else { continue };
            errors.extend(self.given(test, &mock.rows, &mock.table, &columns).await);
        }
        errors.extend(self.given(test, &test.expected, model.name(), output).await);
        errors.into_iter().map(|error| named(test, error)).collect()
    }

    /// Every error of rows that a test gives, for a table of these columns.
    async fn given(
        &self,
        test: &UnitTestDefinition,
        rows: &TestRows,
        table: &TableName,
        columns: &Schema,
    ) -> Vec<Error> {
        let mut errors = misfits(rows, table, columns);
        if !errors.is_empty() {
            return errors;
        }
        let query = Box::new(Query::clone(&rows.query));
        let statement = Statement::Statement(Box::new(SqlStatement::Query(query)));
        match self.query(statement).await {
            Ok(given) => errors.extend(ungiven(rows, &given.schema)),
            Err(error) => errors.extend(errors_of(&error, &Place::of_rows(test, rows))),
        }
        errors
    }
}

fn named(test: &UnitTestDefinition, error: Error) -> Error {
    prefixed(vec![error.clone()], &format!("unit test \"{}\"", test.name)).pop().unwrap_or(error)
}

fn not_read(test: &UnitTestDefinition, mock: &Mock, inputs: &[TableName]) -> Error {
    let message = format!("\"{}\" is mocked, which {} does not read", mock.table, test.of);
    let names: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    let near = did_you_mean(&mock.table.to_string(), names.iter().map(String::as_str));
    let hint = match near {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None if names.is_empty() => "It reads no table: leave the mock out.".to_string(),
        None => format!("It reads {}.", names.join(", ")),
    };
    Error::new("42P01", mock.rows.origin.clone(), message).with_hint(hint)
}

/// Columns that the table does not have, or has in another type.
fn misfits(rows: &TestRows, table: &TableName, columns: &Schema) -> Vec<Error> {
    let misfit = |column: &crate::sql::ColumnDefinition| {
        let Ok(field) = columns.field_with_name(&column.name) else {
            let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            let message = format!("column \"{}\" does not exist in \"{table}\"", column.name);
            let hint = hint_did_you_mean(&column.name, names.iter().copied());
            let hint = hint.unwrap_or_else(|| format!("Columns are {}.", names.join(", ")));
            return Some(Error::new("42703", rows.origin.clone(), message).with_hint(hint));
        };
        let (given, stored) = (&column.data_type, field.data_type());
        let fits = can_cast_types(given, stored) && can_cast_types(stored, given);
        (!fits).then(|| {
            let (given, stored) = (type_name(given), type_name(stored));
            let message = format!("column \"{}\" is {given}, and in \"{table}\" {stored}", column.name);
            Error::new("42804", rows.origin.clone(), message)
                .with_hint(format!("Declare it as {} {stored}.", column.name))
        })
    };
    rows.columns.iter().filter_map(misfit).collect()
}

/// What keeps a query's columns from being those that are declared.
fn ungiven(rows: &TestRows, given: &Schema) -> Vec<Error> {
    let (declared, count) = (&rows.columns, given.fields().len());
    if declared.len() != count {
        let message = format!("{} columns are declared and the rows have {count}", declared.len());
        return vec![
            Error::new("42611", rows.origin.clone(), message)
                .with_hint("Give each row a value for each column."),
        ];
    }
    let pairs = declared.iter().zip(given.fields());
    let wrong = pairs.filter(|(column, field)| !can_cast_types(field.data_type(), &column.data_type));
    wrong
        .map(|(column, field)| {
            let (given, declared) = (type_name(field.data_type()), type_name(&column.data_type));
            let message =
                format!("column \"{}\" is declared {declared} and the rows give {given}", column.name);
            Error::new("42804", rows.origin.clone(), message).with_hint("Write values of the declared type.")
        })
        .collect()
}
