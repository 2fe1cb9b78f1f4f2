//! Rights, policies and masks of files: columns that they name are there, and what policies and masks compute can be.

use super::super::access::{Held, Key, Rule, RuleSource, mask_fits};
use super::{Planner, Project};
use crate::catalog::plan_error::{Place, errors_of};
use crate::engine;
use crate::lake::TableName;
use crate::sql::{Error, GrantedOn, Origin, hint_did_you_mean, quoted, quoted_table, spell_for_engine};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::CatalogProvider as _;
use datafusion::common::ScalarValue;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::sync::Arc;

/// What only a session can answer, and how many texts it is asked with at most.
const OF_SESSIONS: [(&str, usize, DataType); 6] = [
    ("current_user", 0, DataType::Utf8),
    ("session_user", 0, DataType::Utf8),
    ("current_role", 0, DataType::Utf8),
    ("user", 0, DataType::Utf8),
    ("current_setting", 1, DataType::Utf8),
    ("pg_has_role", 3, DataType::Boolean),
];

impl Planner {
    /// What is wrong with the rules of files, by their tables.
    pub(super) async fn access(&self, project: &Project) -> Vec<(TableName, Vec<Error>)> {
        let mut found = vec![];
        for (key, Held { rule, source }) in &project.access.0 {
            let RuleSource::File(origin) = source else { continue };
            let (table, column) = match key {
                Key::Grant { on: GrantedOn::Table(on), column, .. } => (on, column.as_ref()),
                Key::Policy { on, .. } => (on, None),
                Key::Mask { on, column } => (on, Some(column)),
                _ => continue,
            };
            // One that failed has errors of its own.
            let Some(schema) = self.schema_of(table).await else { continue };
            let mut errors: Vec<Error> =
                column.and_then(|c| missing(c, table, &schema, origin)).into_iter().collect();
            let columns: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
            let from = quoted_table(table);
            match rule {
                _ if !errors.is_empty() => {}
                Rule::Policy(policy) => {
                    let text = format!("SELECT {} FROM {from} WHERE ({})", columns.join(", "), policy.using);
                    errors.extend(self.computed(&text, origin).await.err().into_iter().flatten());
                }
                Rule::Mask(mask) => {
                    let text = format!("SELECT ({}) AS mask FROM {from}", mask.mask);
                    match self.computed(&text, origin).await {
                        Ok(is) => errors.extend(ill_typed(&is, &mask.column, &schema, origin)),
                        Err(wrong) => errors.extend(wrong),
                    }
                }
                Rule::Role(_) | Rule::Given(_) => {}
            }
            if !errors.is_empty() {
                found.push((table.clone(), errors));
            }
        }
        found
    }

    async fn schema_of(&self, table: &TableName) -> Option<SchemaRef> {
        let found = self.catalog.schema(&table.schema)?.table(&table.name).await.ok()??;
        Some(found.schema())
    }

    /// The type of the first column of a query.
    async fn computed(&self, text: &str, origin: &Origin) -> Result<DataType, Vec<Error>> {
        let mut query = parsed(text).map_err(|message| vec![Error::syntax(origin.clone(), message)])?;
        spell_for_engine(&mut query);
        let of_place = Query::clone(&query);
        let place = Place::at(origin, &of_place);
        let planned = async {
            let state = self.with_sessions()?;
            let statement = Statement::Statement(Box::new(SqlStatement::Query(query)));
            let plan = Box::pin(engine::plan(&state, statement)).await?;
            state.optimize(&plan)?;
            Ok(plan.schema().field(0).data_type().clone())
        };
        planned.await.map_err(|error| errors_of(&error, &place))
    }

    /// The planner with functions that answer nothing: only their types count.
    fn with_sessions(&self) -> datafusion::error::Result<SessionState> {
        let mut state = self.state.clone();
        for (name, arguments, returns) in OF_SESSIONS {
            let texts = |count: usize| match count {
                0 => TypeSignature::Nullary,
                count => TypeSignature::Exact(vec![DataType::Utf8; count]),
            };
            let signature = match name {
                "pg_has_role" => vec![texts(2), texts(3)],
                _ => vec![texts(arguments)],
            };
            let null = ScalarValue::try_from(&returns)?;
            let function = SimpleScalarUDF::new_with_signature(
                name,
                Signature::one_of(signature, Volatility::Stable),
                returns,
                Arc::new(move |_| Ok(ColumnarValue::Scalar(null.clone()))),
            );
            state.register_udf(Arc::new(ScalarUDF::from(function)))?;
        }
        Ok(state)
    }
}

fn parsed(text: &str) -> Result<Box<Query>, String> {
    let read =
        Parser::new(&PostgreSqlDialect {}).try_with_sql(text).and_then(|mut parser| parser.parse_query());
    read.map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at Line").next().unwrap_or_default();
        format!("the expression cannot be read: {}", message.trim_start_matches("sql parser error: "))
    })
}

fn missing(column: &str, table: &TableName, schema: &SchemaRef, origin: &Origin) -> Option<Error> {
    if schema.index_of(column).is_ok() {
        return None;
    }
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
    Some(Error::new("42703", origin.clone(), message).with_hint_if(hint_did_you_mean(column, names)))
}

fn ill_typed(is: &DataType, column: &str, schema: &SchemaRef, origin: &Origin) -> Option<Error> {
    let wanted = schema.field_with_name(column).ok()?.data_type();
    let message = format!("the mask of column \"{column}\" is not of the column's type");
    let hint = "Write an expression of the column's type, or cast it: CAST(... AS ...).";
    (!mask_fits(is, wanted)).then(|| Error::new("42804", origin.clone(), message).with_hint(hint))
}
