//! Definitions of objects as SQL text: what `pg_get_viewdef`, `pg_get_indexdef` and `pg_get_constraintdef` print.

use super::model::{Class, ClassKind, ForeignKey, Key};
use crate::sql::quoted;

/// An identifier as SQL needs it: quoted unless it is plain lower case (`quote_ident`).
pub fn quote_identifier(name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&name);
    if plain { name.to_string() } else { quoted(name) }
}

/// A text literal (`quote_literal`).
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// The query of a view or of a model, ended by a semicolon.
pub fn view_definition(class: &Class) -> Option<String> {
    if class.kind == ClassKind::Table {
        return None;
    }
    let query = class.query.as_deref()?.trim().trim_end_matches(';').trim_end();
    Some(format!("{query};"))
}

/// The index that a declared key would have.
pub fn index_definition(class: &Class, key: &Key) -> String {
    format!(
        "CREATE UNIQUE INDEX {} ON {}.{} USING btree ({})",
        quote_identifier(&key.name),
        quote_identifier(&class.name.schema),
        quote_identifier(&class.name.name),
        key_columns(class, key)
    )
}

/// A declared key.
pub fn constraint_definition(class: &Class, key: &Key) -> String {
    format!("PRIMARY KEY ({})", key_columns(class, key))
}

/// A declared reference to a relation, which is called as the session calls it.
pub fn foreign_key_definition(class: &Class, key: &ForeignKey, target: &Class, called: &str) -> String {
    format!(
        "FOREIGN KEY ({}) REFERENCES {called}({})",
        columns_at(class, &key.columns),
        columns_at(target, &key.referenced)
    )
}

/// The column at a 1-based position of a key.
pub fn key_column(class: &Class, key: &Key, position: usize) -> Option<String> {
    let attribute = key.columns.get(position.checked_sub(1)?)?;
    class.column(*attribute).map(|column| quote_identifier(&column.name))
}

fn key_columns(class: &Class, key: &Key) -> String {
    columns_at(class, &key.columns)
}

fn columns_at(class: &Class, positions: &[i16]) -> String {
    let columns = positions.iter().filter_map(|position| class.column(*position));
    columns.map(|column| quote_identifier(&column.name)).collect::<Vec<_>>().join(", ")
}

/// Words that PostgreSQL reserves: as names they must be quoted.
const RESERVED: [&str; 77] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];
