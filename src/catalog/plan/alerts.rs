//! Whether the queries of alerts can be planned. They may ask the system tables, too.

use super::{ForeignColumns, PlannedModel, Planner, prefixed};
use crate::catalog::plan_error::{Place, errors_of};
use crate::catalog::project::{Model, Project};
use crate::catalog::watermarks::followers;
use crate::engine::Engine;
use crate::lake::TableName;
use crate::sql::{
    AlertDefinition, Error, hint_did_you_mean, quarantine_schema, relations, table_schema, watermark_schema,
};
use arrow::datatypes::SchemaRef;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Statement as SqlStatement};
use std::collections::BTreeMap;

/// The columns of the server's own tables.
pub type SystemColumns = BTreeMap<TableName, SchemaRef>;

/// The errors of a project's alerts. Of one that reads a table which is not known, since it has errors of its own, nothing
/// is said.
pub async fn alert_errors(
    project: &Project,
    foreign: &ForeignColumns,
    planned: &BTreeMap<TableName, PlannedModel>,
    system: &SystemColumns,
    engine: &Engine,
) -> Vec<Error> {
    let mut errors = vec![];
    if project.alerts.is_empty() {
        return errors;
    }
    let planner = Planner::new(engine);
    let mut known: BTreeMap<TableName, SchemaRef> = foreign.clone();
    known.extend(system.iter().map(|(name, schema)| (name.clone(), schema.clone())));
    for source in project.sources.values() {
        known.insert(source.name.clone(), table_schema(source));
        known.insert(source.name.quarantine(), quarantine_schema());
        known.insert(source.name.watermark(), watermark_schema());
    }
    known.extend(followers(project).into_iter().map(|(table, _)| (table.watermark(), watermark_schema())));
    for (name, plan) in planned {
        known.insert(name.clone(), plan.schema.clone());
        let is_view = |model: &Model| model.name() == name && matches!(model, Model::View(_));
        if !project.models.iter().any(is_view) {
            known.insert(name.quarantine(), quarantine_schema());
        }
    }
    for (name, schema) in &known {
        planner.register(name, schema.clone());
    }
    for alert in project.alerts.values() {
        let unknown = unknown_system_tables(alert, system);
        let is_known = alert.inputs.iter().all(|input| known.contains_key(input));
        if unknown.is_empty() && is_known {
            // Boxed: a planning future is large.
            errors.extend(Box::pin(planner.alert(alert)).await.err().into_iter().flatten());
        }
        errors.extend(unknown);
    }
    errors
}

fn unknown_system_tables(alert: &AlertDefinition, system: &SystemColumns) -> Vec<Error> {
    let named = relations(&alert.query).into_iter();
    let unknown = named.filter(|named| named.name.schema == "sluice" && !system.contains_key(&named.name));
    let error = |named: crate::sql::NamedRelation| {
        let mut origin = alert.origin.clone();
        (origin.line, origin.column) = (named.line, named.column);
        let known: Vec<String> = system.keys().map(TableName::to_string).collect();
        let hint = hint_did_you_mean(&named.name.to_string(), known.iter().map(String::as_str));
        let hint = hint.unwrap_or_else(|| {
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sluice' lists them."
                .to_string()
        });
        Error::new("42P01", origin, format!("table \"{}\" does not exist", named.name)).with_hint(hint)
    };
    unknown.map(error).collect()
}

impl Planner {
    /// An alert's query is one that could be asked, and has the columns that tell instances apart.
    async fn alert(&self, alert: &AlertDefinition) -> Result<(), Vec<Error>> {
        let query = Box::new(Query::clone(&alert.query));
        let statement = Statement::Statement(Box::new(SqlStatement::Query(query)));
        let what = format!("alert \"{}\"", alert.name);
        let place = Place::of_alert(alert);
        let output = self.query(statement).await;
        let output = output.map_err(|error| prefixed(errors_of(&error, &place), &what))?;
        let missing = |column: &&String| output.schema.index_of(column).is_err();
        let errors: Vec<Error> = alert
            .by
            .iter()
            .flatten()
            .filter(missing)
            .map(|column| {
                let names = output.schema.fields().iter().map(|field| field.name().as_str());
                let origin = place.of_word(column).unwrap_or_else(|| place.statement());
                let message = format!("{what}: column \"{column}\" of BY is none of its query");
                let hint = hint_did_you_mean(column, names);
                Error::new("42703", origin, message)
                    .with_hint(hint.unwrap_or_else(|| "Select it, or leave it out of BY.".to_string()))
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
