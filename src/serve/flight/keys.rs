//! Declared foreign keys, from the side of the table that refers and of the one that is referred to.

use crate::catalog::cut::Cut;
use crate::engine::DATABASE;
use crate::lake::TableName;
use arrow::array::{ArrayRef, Int32Array, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// `NO ACTION` among the specification's rules of update and delete.
const NO_ACTION: u8 = 3;

/// A table as a command names it; what it leaves out fits all.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) catalog: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) table: Option<String>,
}

impl Asked {
    fn fits(&self, name: &TableName) -> bool {
        let fits = |asked: &Option<String>, is: &str| asked.as_ref().is_none_or(|asked| asked == is);
        fits(&self.catalog, DATABASE) && fits(&self.schema, &name.schema) && fits(&self.table, &name.name)
    }
}

/// A column of a key, and the one that refers to it.
struct Pair<'a> {
    key: (&'a TableName, &'a str),
    reference: (&'a TableName, &'a str),
    sequence: i32,
    name: String,
}

/// The columns of foreign keys between tables that are asked for: those of a key, and those that refer to it.
pub(super) fn foreign_keys(of_key: &Asked, referring: &Asked, cut: &Cut) -> Result<RecordBatch, ArrowError> {
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for (name, table) in cut.tables.iter().filter(|(name, _)| referring.fits(name)) {
        for key in table.relation.foreign_keys.iter().filter(|key| of_key.fits(&key.table)) {
            let Some(target) = cut.tables.get(&key.table) else { continue };
            let referenced = key.referenced(&target.relation.primary_key);
            pairs.extend(key.columns.iter().zip(referenced).zip(1..).map(|((ours, theirs), sequence)| {
                Pair { key: (&key.table, theirs), reference: (name, ours), sequence, name: key.name_in(name) }
            }));
        }
    }
    pairs.sort_by(|a, b| {
        (a.key.0, a.reference.0, &a.name, a.sequence).cmp(&(b.key.0, b.reference.0, &b.name, b.sequence))
    });
    let database = || Arc::new(StringArray::from(vec![DATABASE; pairs.len()])) as ArrayRef;
    let rule = || Arc::new(UInt8Array::from(vec![NO_ACTION; pairs.len()])) as ArrayRef;
    let text = |of: &dyn Fn(&Pair<'_>) -> String| {
        Arc::new(StringArray::from_iter_values(pairs.iter().map(of))) as ArrayRef
    };
    let columns = vec![
        database(),
        text(&|pair| pair.key.0.schema.clone()),
        text(&|pair| pair.key.0.name.clone()),
        text(&|pair| pair.key.1.to_string()),
        database(),
        text(&|pair| pair.reference.0.schema.clone()),
        text(&|pair| pair.reference.0.name.clone()),
        text(&|pair| pair.reference.1.to_string()),
        Arc::new(Int32Array::from_iter_values(pairs.iter().map(|pair| pair.sequence))),
        text(&|pair| pair.name.clone()),
        text(&|pair| format!("{}_pkey", pair.key.0.name)),
        rule(),
        rule(),
    ];
    RecordBatch::try_new(foreign_keys_schema(), columns)
}

/// The shape of imported, exported and cross reference keys.
pub(super) fn foreign_keys_schema() -> SchemaRef {
    let name = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        name("pk_catalog_name", true),
        name("pk_db_schema_name", true),
        name("pk_table_name", false),
        name("pk_column_name", false),
        name("fk_catalog_name", true),
        name("fk_db_schema_name", true),
        name("fk_table_name", false),
        name("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        name("fk_key_name", true),
        name("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}
