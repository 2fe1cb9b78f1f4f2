//! Schemas, relations, columns, keys and comments: what `\d` reads.

use super::{PG_CLASS_OID, Writer, rights};
use crate::serve::postgres::catalog::model::{
    Class, ClassKind, Column, ForeignKey, KEY_ACCESS_METHOD_OID, Key, Model, OWNER_OID,
    TABLE_ACCESS_METHOD_OID,
};
use crate::serve::postgres::catalog::rows::Value;
use crate::serve::postgres::catalog::types::types;

/// `reltuples` of a relation whose rows nobody has counted.
const ROWS_NOT_COUNTED: f32 = -1.0;

pub(super) fn write(model: &Model, writer: &mut Writer) {
    for namespace in model.namespaces.values() {
        writer.catalog(
            "pg_namespace",
            [
                ("oid", namespace.oid.into()),
                ("nspname", (&namespace.name).into()),
                ("nspowner", OWNER_OID.into()),
                ("nspacl", rights::schema_list(model, &namespace.name)),
            ],
        );
    }
    for class in &model.classes {
        write_class(class, model, writer);
        for (position, column) in (1_i32..).zip(&class.columns) {
            write_attribute(
                class.oid,
                position,
                column,
                rights::column_list(model, class, &column.name),
                writer,
            );
            write_comment(class.oid, position, column.comment.as_deref(), writer);
        }
        write_comment(class.oid, 0, class.comment.as_deref(), writer);
        if let Some(key) = &class.key {
            write_key(class, key, writer);
        }
        for key in &class.foreign_keys {
            write_foreign_key(class, key, model, writer);
        }
        if class.kind != ClassKind::Table && !class.builtin {
            write_rule(class, writer);
        }
    }
}

fn write_class(class: &Class, model: &Model, writer: &mut Writer) {
    let stored = class.kind != ClassKind::View;
    writer.catalog(
        "pg_class",
        [
            ("oid", class.oid.into()),
            ("relname", (&class.name.name).into()),
            ("relnamespace", class.namespace.into()),
            ("relowner", OWNER_OID.into()),
            ("relam", (if stored { TABLE_ACCESS_METHOD_OID } else { 0 }).into()),
            ("relfilenode", (if stored { class.oid } else { 0 }).into()),
            ("reltuples", Value::Float(ROWS_NOT_COUNTED)),
            ("relhasindex", class.key.is_some().into()),
            ("relpersistence", "p".into()),
            ("relkind", class.kind.letter().into()),
            ("relnatts", count(class.columns.len())),
            ("relhasrules", (!stored).into()),
            // PostgreSQL checks foreign keys by triggers, and psql shows none of a table that has no triggers.
            ("relhastriggers", (class.is_referenced || !class.foreign_keys.is_empty()).into()),
            ("relrowsecurity", rights::has_policies(model, class).into()),
            ("relacl", rights::relation_list(model, class)),
            ("relispopulated", true.into()),
            ("relreplident", (if stored && !class.builtin { "d" } else { "n" }).into()),
        ],
    );
}

fn write_attribute(class_oid: i32, position: i32, column: &Column, list: Value, writer: &mut Writer) {
    let ty = types().by_oid(column.ty.oid);
    let is_array = ty.is_some_and(|t| t.element.is_some());
    writer.catalog(
        "pg_attribute",
        [
            ("attrelid", class_oid.into()),
            ("attacl", list),
            ("attname", (&column.name).into()),
            ("atttypid", column.ty.oid.into()),
            ("attstattarget", (-1).into()),
            ("attlen", ty.map_or(-1, |t| i32::from(t.length)).into()),
            ("attnum", position.into()),
            ("attndims", i32::from(is_array).into()),
            ("attcacheoff", (-1).into()),
            ("atttypmod", column.ty.typmod.into()),
            ("attbyval", ty.is_some_and(|t| t.by_value).into()),
            ("attalign", ty.map_or("i", |t| t.align.as_str()).into()),
            ("attstorage", ty.map_or("p", |t| t.storage.as_str()).into()),
            ("attnotnull", column.not_null.into()),
            ("attislocal", true.into()),
            ("attcollation", ty.map_or(0, |t| t.collation).into()),
        ],
    );
}

fn write_comment(class_oid: i32, position: i32, comment: Option<&str>, writer: &mut Writer) {
    if let Some(comment) = comment {
        writer.catalog(
            "pg_description",
            [
                ("objoid", class_oid.into()),
                ("classoid", PG_CLASS_OID.into()),
                ("objsubid", position.into()),
                ("description", comment.into()),
            ],
        );
    }
}

fn write_key(class: &Class, key: &Key, writer: &mut Writer) {
    let positions: Vec<i64> = key.columns.iter().map(|p| i64::from(*p)).collect();
    let zeros = vec![0; positions.len()];
    let key_columns: Vec<&Column> = key.columns.iter().filter_map(|p| class.column(*p)).collect();
    let collations =
        key_columns.iter().map(|c| types().by_oid(c.ty.oid).map_or(0, |t| i64::from(t.collation))).collect();
    writer.catalog(
        "pg_class",
        [
            ("oid", key.index_oid.into()),
            ("relname", (&key.name).into()),
            ("relnamespace", class.namespace.into()),
            ("relowner", OWNER_OID.into()),
            ("relam", KEY_ACCESS_METHOD_OID.into()),
            ("relpersistence", "p".into()),
            ("relkind", "i".into()),
            ("relnatts", count(positions.len())),
            ("relispopulated", true.into()),
            ("relreplident", "n".into()),
        ],
    );
    for (position, column) in (1_i32..).zip(key_columns) {
        write_attribute(key.index_oid, position, column, Value::Null, writer);
    }
    writer.catalog(
        "pg_index",
        [
            ("indexrelid", key.index_oid.into()),
            ("indrelid", class.oid.into()),
            ("indnatts", count(positions.len())),
            ("indnkeyatts", count(positions.len())),
            ("indisunique", true.into()),
            ("indisprimary", true.into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indkey", Value::Ints(positions.clone())),
            ("indcollation", Value::Ints(collations)),
            ("indclass", Value::Ints(zeros.clone())),
            ("indoption", Value::Ints(zeros)),
        ],
    );
    writer.catalog(
        "pg_constraint",
        [
            ("oid", key.oid.into()),
            ("conname", (&key.name).into()),
            ("connamespace", class.namespace.into()),
            ("contype", "p".into()),
            ("convalidated", true.into()),
            ("conrelid", class.oid.into()),
            ("conindid", key.index_oid.into()),
            ("confupdtype", " ".into()),
            ("confdeltype", " ".into()),
            ("confmatchtype", " ".into()),
            ("conislocal", true.into()),
            ("connoinherit", true.into()),
            ("conkey", Value::Ints(positions)),
        ],
    );
}

fn write_foreign_key(class: &Class, key: &ForeignKey, model: &Model, writer: &mut Writer) {
    let positions = |columns: &[i16]| Value::Ints(columns.iter().map(|p| i64::from(*p)).collect());
    let index = model.class(key.relation).and_then(|target| target.key.as_ref());
    writer.catalog(
        "pg_constraint",
        [
            ("oid", key.oid.into()),
            ("conname", (&key.name).into()),
            ("connamespace", class.namespace.into()),
            ("contype", "f".into()),
            ("convalidated", true.into()),
            ("conrelid", class.oid.into()),
            ("conindid", index.map_or(0, |key| key.index_oid).into()),
            ("confrelid", key.relation.into()),
            // NO ACTION, SIMPLE: what a reference means that says nothing about it.
            ("confupdtype", "a".into()),
            ("confdeltype", "a".into()),
            ("confmatchtype", "s".into()),
            ("conislocal", true.into()),
            ("connoinherit", true.into()),
            ("conkey", positions(&key.columns)),
            ("confkey", positions(&key.referenced)),
        ],
    );
}

/// The rule that makes a view a view; its number is the view's own, in a catalog of its own.
fn write_rule(class: &Class, writer: &mut Writer) {
    writer.catalog(
        "pg_rewrite",
        [
            ("oid", class.oid.into()),
            ("rulename", "_RETURN".into()),
            ("ev_class", class.oid.into()),
            ("ev_type", "1".into()),
            ("ev_enabled", "O".into()),
            ("is_instead", true.into()),
        ],
    );
}

fn count(items: usize) -> Value {
    Value::Int(i64::try_from(items).unwrap_or(i64::MAX))
}
