//! What a project declares of a table that others write, against the columns that it has. Pure.

use super::project::Project;
use crate::lake::TableName;
use crate::sql::{Error, ForeignDefinition, hint_did_you_mean, type_name, word_origin};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where the table lies.
pub fn folder_of(project: &Project, definition: &ForeignDefinition) -> PathBuf {
    project.folder.join(&definition.path)
}

/// Declared columns that the table lacks or has in another type, and comments on columns that it lacks.
pub fn column_errors(project: &Project, definition: &ForeignDefinition, schema: &SchemaRef) -> Vec<Error> {
    let place = |column: &str| {
        word_origin(&definition.sql, &definition.origin, column).unwrap_or_else(|| definition.origin.clone())
    };
    let lacks = |column: &str| {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        Error::new(
            "42703",
            place(column),
            format!("the table of \"{}\" has no column \"{column}\"", definition.name),
        )
        .with_hint_if(hint_did_you_mean(column, names))
    };
    let declared = definition.columns.iter().filter_map(|column| {
        let Ok(field) = schema.field_with_name(&column.name) else { return Some(lacks(&column.name)) };
        (*field.data_type() != column.data_type).then(|| {
            let message = format!(
                "column \"{}\" of \"{}\" is declared {} and is {} in the table",
                column.name,
                definition.name,
                type_name(&column.data_type),
                type_name(field.data_type())
            );
            Error::new("42804", place(&column.name), message)
                .with_hint("Declare it as it is, or leave it out.")
        })
    });
    let commented = project.column_comments.keys().filter(|(table, _)| *table == definition.name);
    let commented = commented.filter(|(_, column)| schema.field_with_name(column).is_err());
    declared.chain(commented.map(|(_, column)| lacks(column))).collect()
}

/// Tables that others write, and the models that read one of them, directly or not: what may come to be wrong although
/// the project is right.
pub fn depending_on_others(project: &Project) -> BTreeSet<TableName> {
    let mut found: BTreeSet<TableName> = project.foreign.keys().cloned().collect();
    // Models stand behind what they read.
    for model in &project.models {
        let guarded = |input: &TableName| found.iter().any(|name| name.quarantine() == *input);
        if model.query().inputs.iter().any(|input| found.contains(input) || guarded(input)) {
            found.insert(model.name().clone());
        }
    }
    found
}
