//! Functions that describe an object by its number.

use super::row::{RowFunction, boolean, int4, list_of, oids, text};
use crate::serve::postgres::catalog::definitions::{index_definition, key_column, view_definition};
use crate::serve::postgres::catalog::model::Model;
use crate::serve::postgres::catalog::procedures;
use crate::serve::postgres::catalog::types::types;
use arrow::datatypes::DataType::{Boolean, Int32, Utf8};
use std::sync::Arc;

/// The functions.
pub fn functions(model: &Arc<Model>) -> Vec<RowFunction> {
    let mut functions = definitions(model);
    functions.extend(of_functions());
    functions.extend(comments(model));
    functions.extend(absent());
    functions
}

fn definitions(model: &Arc<Model>) -> Vec<RowFunction> {
    let (views, indexes, roles) = (model.clone(), model.clone(), model.clone());
    vec![
        RowFunction::new("format_type", 2..=2, Utf8, |row| {
            let typmod = row.get(1).and_then(|typmod| typmod.oid());
            Ok(text(row[0].oid().map(|oid| types().format(oid, typmod))))
        })
        .called_on_null(),
        // A stored expression is kept as its own text.
        RowFunction::new("pg_get_expr", 2..=3, Utf8, |row| Ok(text(row[0].text().map(String::from)))),
        RowFunction::new("pg_get_userbyid", 1..=1, Utf8, move |row| {
            let oid = row[0].oid().unwrap_or(0);
            let name = roles.roles.iter().find(|role| role.oid == oid).map(|role| role.name.clone());
            Ok(text(name.unwrap_or_else(|| format!("unknown (OID={oid})"))))
        })
        .of_type("name"),
        RowFunction::new("pg_get_viewdef", 1..=2, Utf8, move |row| {
            let class = row[0].oid().and_then(|oid| views.class(oid));
            Ok(text(class.and_then(view_definition)))
        }),
        RowFunction::new("pg_get_indexdef", 1..=3, Utf8, move |row| {
            let found = row[0].oid().and_then(|oid| indexes.class_of_key(oid));
            let position =
                row.get(1).and_then(|p| p.int()).and_then(|p| usize::try_from(p).ok()).unwrap_or(0);
            Ok(text(found.and_then(|(class, key)| match position {
                0 => Some(index_definition(class, key)),
                position => key_column(class, key, position),
            })))
        }),
    ]
}

/// What functions take and give.
fn of_functions() -> Vec<RowFunction> {
    let told: [(_, fn(i32) -> Option<String>); 3] = [
        ("pg_get_function_result", procedures::result_of),
        ("pg_get_function_arguments", procedures::arguments_of),
        ("pg_get_function_identity_arguments", procedures::identity_of),
    ];
    let function = |(name, told): (_, fn(i32) -> Option<String>)| {
        RowFunction::new(name, 1..=1, Utf8, move |row| Ok(text(row[0].oid().and_then(told))))
    };
    told.into_iter().map(function).collect()
}

fn comments(model: &Arc<Model>) -> Vec<RowFunction> {
    let (relations, columns) = (model.clone(), model.clone());
    vec![
        RowFunction::new("obj_description", 1..=2, Utf8, move |row| {
            let of_relations = row.get(1).is_none_or(|catalog| catalog.text() == Some("pg_class"));
            let class = row[0].oid().and_then(|oid| relations.class(oid)).filter(|_| of_relations);
            Ok(text(class.and_then(|class| class.comment.clone())))
        }),
        RowFunction::new("col_description", 2..=2, Utf8, move |row| {
            let class = row[0].oid().and_then(|oid| columns.class(oid));
            let index = row[1].int().and_then(|p| usize::try_from(p).ok()).and_then(|p| p.checked_sub(1));
            let column = class.zip(index).and_then(|(class, index)| class.columns.get(index));
            Ok(text(column.and_then(|column| column.comment.clone())))
        }),
        RowFunction::new("shobj_description", 2..=2, Utf8, |_| Ok(text(None))),
    ]
}

/// Functions about objects that a warehouse does not have: there is nothing to describe.
fn absent() -> Vec<RowFunction> {
    let without_text = [
        ("pg_get_ruledef", 1..=2),
        ("pg_get_triggerdef", 1..=2),
        ("pg_get_functiondef", 1..=1),
        ("pg_get_function_arg_default", 2..=2),
        ("pg_get_function_sqlbody", 1..=1),
        ("pg_get_statisticsobjdef", 1..=1),
        ("pg_get_statisticsobjdef_columns", 1..=1),
        ("pg_get_partkeydef", 1..=1),
        ("pg_get_partition_constraintdef", 1..=1),
        ("pg_get_serial_sequence", 2..=2),
        ("pg_describe_object", 3..=3),
    ];
    without_text
        .into_iter()
        .map(|(name, arguments)| RowFunction::new(name, arguments, Utf8, |_| Ok(text(None))))
        .chain([
            RowFunction::new("pg_partition_root", 1..=1, Int32, |_| Ok(int4(None))).of_type("regclass"),
            RowFunction::new("pg_partition_ancestors", 1..=1, list_of(Int32), |_| Ok(oids(&[]))),
            RowFunction::new("pg_relation_is_publishable", 1..=1, Boolean, |_| Ok(boolean(false))),
            RowFunction::new("pg_relation_is_updatable", 2..=2, Int32, |_| Ok(int4(0))),
            RowFunction::new("pg_column_is_updatable", 3..=3, Boolean, |_| Ok(boolean(false))),
            RowFunction::new("row_security_active", 1..=1, Boolean, |_| Ok(boolean(false))),
            RowFunction::new("pg_tablespace_location", 1..=1, Utf8, |_| Ok(text(String::new()))),
        ])
        .collect()
}
