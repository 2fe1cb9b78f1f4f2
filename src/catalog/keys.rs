//! Whether declared foreign keys lead to keys: what PostgreSQL checks when a constraint is made.

use super::plan::PlannedModel;
use super::project::{Model, Project};
use crate::lake::TableName;
use crate::sql::{Error, ForeignKey, type_name};
use arrow::datatypes::DataType;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a reference to a model.
pub(super) fn reference_error(key: &ForeignKey, model: &Model) -> Option<Error> {
    if let Model::View(_) = model {
        return Some(no_key(key, "a view is not stored and has none"));
    }
    let primary = model.primary_key();
    if primary.is_empty() {
        return Some(no_key(key, "declare PRIMARY KEY (...) in its column list"));
    }
    let referenced = key.referenced(primary);
    if referenced.len() != key.columns.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Some(Error::new("42830", key.origin.clone(), message).with_hint(format!(
            "The primary key of \"{}\" is ({}): name a column for each before REFERENCES.",
            key.table,
            primary.join(", ")
        )));
    }
    let named: BTreeSet<&String> = referenced.iter().collect();
    (named != primary.iter().collect()).then(|| {
        let message = format!(
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            key.table
        );
        Error::new("42830", key.origin.clone(), message)
            .with_hint(format!("Refer to its primary key, ({}).", primary.join(", ")))
    })
}

/// The table that is referred to has no key to refer to.
pub(super) fn no_key(key: &ForeignKey, why: &str) -> Error {
    let message = format!("there is no primary key for referenced table \"{}\"", key.table);
    Error::new("42704", key.origin.clone(), message)
        .with_hint(format!("Refer to a table that declares one, or leave the reference out: {why}."))
}

/// The foreign keys of a planned model whose columns cannot be compared with those that they refer to.
pub(super) fn incomparable_keys(
    model: &Model,
    project: &Project,
    planned: &BTreeMap<TableName, PlannedModel>,
) -> Vec<Error> {
    let Some(own) = planned.get(model.name()) else { return vec![] };
    let mut errors = vec![];
    for key in model.foreign_keys() {
        let others = project.models.iter().find(|other| *other.name() == key.table);
        let Some((other, plan)) = others.zip(planned.get(&key.table)) else { continue };
        for (column, referenced) in key.columns.iter().zip(key.referenced(other.primary_key())) {
            let types =
                own.schema.field_with_name(column).ok().zip(plan.schema.field_with_name(referenced).ok());
            let Some((ours, theirs)) = types.map(|(a, b)| (a.data_type(), b.data_type())) else { continue };
            if family(ours) != family(theirs) {
                let message = format!(
                    "foreign key column \"{column}\" is {} and \"{referenced}\" of \"{}\" is {}",
                    type_name(ours),
                    key.table,
                    type_name(theirs)
                );
                errors.push(
                    Error::new("42804", key.origin.clone(), message)
                        .with_hint("Give both columns one type, or leave the reference out."),
                );
            }
        }
    }
    errors
}

/// Types of one family compare with each other.
#[derive(PartialEq)]
enum Family<'a> {
    Number,
    Time,
    Own(&'a DataType),
}

fn family(data_type: &DataType) -> Family<'_> {
    match data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => Family::Time,
        number if number.is_numeric() => Family::Number,
        other => Family::Own(other),
    }
}
