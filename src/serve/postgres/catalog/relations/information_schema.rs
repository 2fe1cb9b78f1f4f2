//! The SQL standard's catalogs, with PostgreSQL's type names.
//!
//! One difference to PostgreSQL is on purpose: materialized views are listed as base tables. PostgreSQL leaves them
//! out, and tools that read only these views (Power BI) would then show nothing of the gold tables.

use super::Writer;
use crate::engine::DATABASE;
use crate::serve::postgres::catalog::definitions::view_definition;
use crate::serve::postgres::catalog::model::{Class, ClassKind, Column, ForeignKey, Key, Model, OWNER};
use crate::serve::postgres::catalog::rows::Value;
use crate::serve::postgres::catalog::types::{numeric_of, oid, types};

/// `character_octet_length` of text without a limit: 1 GiB.
const TEXT_BYTES_MAX: i32 = 1 << 30;
/// Digits after the second in times and timestamps.
const TIME_PRECISION: i32 = 6;

pub(super) fn write(model: &Model, writer: &mut Writer) {
    writer.schema_view("information_schema_catalog_name", [("catalog_name", DATABASE.into())]);
    writer.schema_view(
        "character_sets",
        [
            ("character_set_name", "UTF8".into()),
            ("character_repertoire", "UCS".into()),
            ("form_of_use", "UTF8".into()),
            ("default_collate_catalog", DATABASE.into()),
        ],
    );
    for namespace in model.namespaces.values() {
        writer.schema_view(
            "schemata",
            [
                ("catalog_name", DATABASE.into()),
                ("schema_name", (&namespace.name).into()),
                ("schema_owner", OWNER.into()),
            ],
        );
    }
    for class in &model.classes {
        write_table(class, writer);
        for (position, column) in (1_i32..).zip(&class.columns) {
            write_column(class, position, column, writer);
        }
        if let Some(key) = &class.key {
            write_key(class, key, writer);
        }
        for key in &class.foreign_keys {
            write_foreign_key(class, key, model, writer);
        }
    }
}

/// `table_catalog`, `table_schema`, `table_name`.
fn table_name(class: &Class) -> [(&'static str, Value); 3] {
    [
        ("table_catalog", DATABASE.into()),
        ("table_schema", (&class.name.schema).into()),
        ("table_name", (&class.name.name).into()),
    ]
}

fn write_table(class: &Class, writer: &mut Writer) {
    let kind = if class.kind == ClassKind::View { "VIEW" } else { "BASE TABLE" };
    let rest = [("table_type", kind.into()), ("is_insertable_into", "NO".into()), ("is_typed", "NO".into())];
    writer.schema_view("tables", table_name(class).into_iter().chain(rest));
    if class.kind == ClassKind::View {
        let rest = [
            ("view_definition", view_definition(class).into()),
            ("check_option", "NONE".into()),
            ("is_updatable", "NO".into()),
            ("is_insertable_into", "NO".into()),
            ("is_trigger_updatable", "NO".into()),
            ("is_trigger_deletable", "NO".into()),
            ("is_trigger_insertable_into", "NO".into()),
        ];
        writer.schema_view("views", table_name(class).into_iter().chain(rest));
    }
}

fn write_column(class: &Class, position: i32, column: &Column, writer: &mut Writer) {
    let ty = types().by_oid(column.ty.oid);
    let is_array = ty.is_some_and(|t| t.element.is_some());
    let data_type = if is_array { "ARRAY".to_string() } else { types().format(column.ty.oid, None) };
    let (precision, radix, scale) = numeric_facts(column);
    let time_precision = match column.ty.oid {
        oid::DATE => Some(0),
        oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => Some(TIME_PRECISION),
        _ => None,
    };
    let rest = [
        ("column_name", (&column.name).into()),
        ("ordinal_position", position.into()),
        ("is_nullable", (if column.not_null { "NO" } else { "YES" }).into()),
        ("data_type", data_type.into()),
        ("character_octet_length", (column.ty.oid == oid::TEXT).then_some(TEXT_BYTES_MAX).into()),
        ("numeric_precision", precision.into()),
        ("numeric_precision_radix", radix.into()),
        ("numeric_scale", scale.into()),
        ("datetime_precision", time_precision.into()),
        ("udt_catalog", DATABASE.into()),
        ("udt_schema", "pg_catalog".into()),
        ("udt_name", ty.map(|t| t.name.clone()).into()),
        ("dtd_identifier", position.to_string().into()),
        ("is_self_referencing", "NO".into()),
        ("is_identity", "NO".into()),
        ("identity_cycle", "NO".into()),
        ("is_generated", "NEVER".into()),
        ("is_updatable", "NO".into()),
    ];
    writer.schema_view("columns", table_name(class).into_iter().chain(rest));
}

/// Precision, its radix, and scale.
fn numeric_facts(column: &Column) -> (Option<i32>, Option<i32>, Option<i32>) {
    match column.ty.oid {
        oid::INT2 => (Some(16), Some(2), Some(0)),
        oid::INT4 => (Some(32), Some(2), Some(0)),
        oid::INT8 => (Some(64), Some(2), Some(0)),
        oid::FLOAT4 => (Some(24), Some(2), None),
        oid::FLOAT8 => (Some(53), Some(2), None),
        oid::NUMERIC if column.ty.typmod >= 0 => {
            let (precision, scale) = numeric_of(column.ty.typmod);
            (Some(precision), Some(10), Some(scale))
        }
        oid::NUMERIC => (None, Some(10), None),
        _ => (None, None, None),
    }
}

/// `constraint_catalog`, `constraint_schema`, `constraint_name`: a constraint is in its table's schema.
fn constraint_name(class: &Class, name: &str) -> [(&'static str, Value); 3] {
    [
        ("constraint_catalog", DATABASE.into()),
        ("constraint_schema", (&class.name.schema).into()),
        ("constraint_name", name.into()),
    ]
}

fn write_key(class: &Class, key: &Key, writer: &mut Writer) {
    write_constraint(class, &key.name, "PRIMARY KEY", writer);
    for (position, column) in (1_i32..).zip(key.columns.iter().filter_map(|p| class.column(*p))) {
        let named = || constraint_name(class, &key.name).into_iter().chain(table_name(class));
        let column_name = ("column_name", Value::from(&column.name));
        let usage = [column_name.clone(), ("ordinal_position", position.into())];
        writer.schema_view("key_column_usage", named().chain(usage));
        writer.schema_view("constraint_column_usage", named().chain([column_name]));
    }
    writer.schema_view(
        "constraint_table_usage",
        constraint_name(class, &key.name).into_iter().chain(table_name(class)),
    );
}

fn write_foreign_key(class: &Class, key: &ForeignKey, model: &Model, writer: &mut Writer) {
    let Some(target) = model.class(key.relation) else { return };
    let Some(target_key) = &target.key else { return };
    write_constraint(class, &key.name, "FOREIGN KEY", writer);
    for ((position, column), referenced) in (1_i32..).zip(&key.columns).zip(&key.referenced) {
        let Some(column) = class.column(*column) else { continue };
        // Which column of the key that is referred to, as it is declared there.
        let place = target_key.columns.iter().position(|p| p == referenced);
        let place = place.and_then(|place| i32::try_from(place + 1).ok());
        let usage = [
            ("column_name", Value::from(&column.name)),
            ("ordinal_position", position.into()),
            ("position_in_unique_constraint", place.into()),
        ];
        let named = constraint_name(class, &key.name).into_iter().chain(table_name(class));
        writer.schema_view("key_column_usage", named.chain(usage));
    }
    // The standard's "usage" is of what is referred to.
    let used = || constraint_name(class, &key.name).into_iter().chain(table_name(target));
    for column in key.referenced.iter().filter_map(|p| target.column(*p)) {
        writer.schema_view("constraint_column_usage", used().chain([("column_name", (&column.name).into())]));
    }
    writer.schema_view("constraint_table_usage", used());
    let rest = [
        ("unique_constraint_catalog", DATABASE.into()),
        ("unique_constraint_schema", (&target.name.schema).into()),
        ("unique_constraint_name", (&target_key.name).into()),
        ("match_option", "NONE".into()),
        ("update_rule", "NO ACTION".into()),
        ("delete_rule", "NO ACTION".into()),
    ];
    writer.schema_view("referential_constraints", constraint_name(class, &key.name).into_iter().chain(rest));
}

fn write_constraint(class: &Class, name: &str, kind: &str, writer: &mut Writer) {
    let rest = [
        ("constraint_type", kind.into()),
        ("is_deferrable", "NO".into()),
        ("initially_deferred", "NO".into()),
        ("enforced", "YES".into()),
    ];
    let named = constraint_name(class, name).into_iter().chain(table_name(class));
    writer.schema_view("table_constraints", named.chain(rest));
}
