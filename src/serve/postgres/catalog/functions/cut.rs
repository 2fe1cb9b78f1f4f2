//! What differs from cut to cut: sizes of relations, from what the tables know about their files (none is opened), and
//! the epoch as the number of the transaction.

use super::row::{Cell, RowFunction, int8};
use crate::catalog::cut::Cut;
use crate::lake::{FilesProvider, TableName};
use crate::serve::postgres::catalog::model::Model;
use arrow::datatypes::DataType::Int64;
use std::any::Any;
use std::sync::Arc;

/// The functions.
pub fn functions(model: &Arc<Model>, cut: &Arc<Cut>) -> Vec<RowFunction> {
    let of_relation = |name: &'static str, arguments| {
        let (model, cut) = (Arc::clone(model), Arc::clone(cut));
        RowFunction::new(name, arguments, Int64, move |row| Ok(int8(relation_bytes(&model, &cut, &row[0]))))
    };
    let (whole, epoch) = (Arc::clone(cut), cut.epoch);
    vec![
        of_relation("pg_table_size", 1..=1),
        of_relation("pg_relation_size", 1..=2),
        of_relation("pg_total_relation_size", 1..=1),
        RowFunction::new("pg_indexes_size", 1..=1, Int64, |_| Ok(int8(0))),
        RowFunction::new("pg_database_size", 1..=1, Int64, move |_| {
            Ok(int8(whole.tables.keys().map(|name| table_bytes(&whole, name)).sum::<i64>()))
        }),
        RowFunction::new("txid_current", 0..=0, Int64, move |_| Ok(int8(epoch))),
        RowFunction::new("pg_tablespace_size", 1..=1, Int64, |_| Ok(int8(0))),
    ]
}

/// Bytes of a relation; NULL when there is none of this number, as in PostgreSQL.
fn relation_bytes(model: &Model, cut: &Cut, relation: &Cell<'_>) -> Option<i64> {
    let oid = relation.oid()?;
    if model.class_of_key(oid).is_some_and(|(_, key)| key.index_oid == oid) {
        return Some(0);
    }
    model.class(oid).map(|class| table_bytes(cut, &class.name))
}

fn table_bytes(cut: &Cut, name: &TableName) -> i64 {
    let provider = cut.tables.get(name).and_then(|table| table.provider.as_ref());
    let files = provider.and_then(|provider| (provider.as_ref() as &dyn Any).downcast_ref::<FilesProvider>());
    i64::try_from(files.map_or(0, FilesProvider::bytes)).unwrap_or(i64::MAX)
}
