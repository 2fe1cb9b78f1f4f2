//! What every PostgreSQL 15 server holds in its system catalogs, as files that this module reads.
//!
//! `relations.txt`: a line a relation: schema, name, relkind, oid, then its columns as `name:type`, `!` marking NOT
//! NULL. `*.tsv`: rows of one catalog, the first line naming the columns. The files are facts taken from a running
//! PostgreSQL 15 and change only with the version that this server speaks for.

use super::types::arrow_field;
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Rows of `pg_type`.
pub const PG_TYPE: &str = include_str!("data/pg_type.tsv");
/// Rows of `pg_proc`: the functions that a statement can call, and those that `pg_type` names. Types of arguments are
/// separated by blanks; `arguments` and `result` are PostgreSQL's words where the types alone do not say it.
pub const PG_PROC: &str = include_str!("data/pg_proc.tsv");
/// Rows of `pg_cast`.
pub const PG_CAST: &str = include_str!("data/pg_cast.tsv");
/// Rows of `pg_operator`.
pub const PG_OPERATOR: &str = include_str!("data/pg_operator.tsv");
/// Rows of `pg_range`.
pub const PG_RANGE: &str = include_str!("data/pg_range.tsv");

/// A row of a data file.
#[derive(Clone, Debug)]
pub struct Record {
    columns: Arc<Vec<&'static str>>,
    values: Vec<&'static str>,
}

impl Record {
    /// A column's text; empty when there is none.
    pub fn text(&self, column: &str) -> &'static str {
        self.fields().find(|(name, _)| *name == column).map_or("", |(_, value)| value)
    }

    /// A column's number; 0 when it is none.
    pub fn int(&self, column: &str) -> i32 {
        self.text(column).parse().unwrap_or(0)
    }

    /// Columns and their text.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.columns.iter().copied().zip(self.values.iter().copied())
    }
}

/// The rows of a data file.
pub fn records(text: &'static str) -> Vec<Record> {
    let mut lines = text.lines();
    let columns = Arc::new(lines.next().unwrap_or("").split('\t').collect::<Vec<_>>());
    lines.map(|line| Record { columns: Arc::clone(&columns), values: line.split('\t').collect() }).collect()
}

/// A column of a catalog relation.
#[derive(Clone, Debug)]
pub struct CatalogColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type's `typname`.
    pub typname: &'static str,
    /// NOT NULL.
    pub not_null: bool,
}

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Clone, Debug)]
pub struct CatalogRelation {
    /// Its schema.
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// `r` or `v`.
    pub kind: &'static str,
    /// Its number.
    pub oid: i32,
    /// Its columns.
    pub columns: Vec<CatalogColumn>,
    /// Its columns in Arrow.
    pub arrow: SchemaRef,
}

/// Every relation of the two schemas.
pub fn relations() -> &'static [CatalogRelation] {
    static RELATIONS: LazyLock<Vec<CatalogRelation>> =
        LazyLock::new(|| include_str!("data/relations.txt").lines().filter_map(relation).collect());
    &RELATIONS
}

/// One relation of the two schemas.
pub fn relation_named(schema: &str, name: &str) -> Option<&'static CatalogRelation> {
    static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), usize>> = LazyLock::new(|| {
        relations().iter().enumerate().map(|(index, r)| ((r.schema, r.name), index)).collect()
    });
    BY_NAME.get(&(schema, name)).and_then(|index| relations().get(*index))
}

fn relation(line: &'static str) -> Option<CatalogRelation> {
    let mut words = line.split(' ');
    let (schema, name, kind, oid) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let columns: Vec<CatalogColumn> = words
        .filter_map(|word| {
            let (name, typname) = word.split_once(':')?;
            let not_null = typname.ends_with('!');
            Some(CatalogColumn { name, typname: typname.trim_end_matches('!'), not_null })
        })
        .collect();
    let arrow =
        Arc::new(Schema::new(columns.iter().map(|c| arrow_field(c.name, c.typname)).collect::<Vec<_>>()));
    Some(CatalogRelation { schema, name, kind, oid: oid.parse().ok()?, columns, arrow })
}
