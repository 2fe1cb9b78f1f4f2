//! A stored table is brought to a changed definition without losing a row.
//!
//! ```text
//! columns more     metaData alone: they are NULL in the rows that there are
//! a wider type     each file rewritten beside the old ─ new files, old ones removed and metaData: one commit
//! any other        refused
//! ```
//!
//! The rewritten rows are equal to the old ones, so their commit says that no data has changed: what follows from them
//! stands, and so do application versions.

use super::read::conform;
use super::schema::TableDefinition;
use super::snapshot::{DataFile, Snapshot};
use super::table::{Commit, Table};
use super::write::Effort;
use super::{Error, TableKind};
use crate::ops::failpoint::{self, Point};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;

impl Table {
    /// Brings the stored table to a changed definition, if that only adds columns or properties, or widens types.
    pub(super) fn evolve(&self, definition: &TableDefinition) -> Result<(), Error> {
        let snapshot = self.snapshot();
        let Some(definition) = evolved(&snapshot, definition)? else { return Ok(()) };
        let is_wider = |field: &Arc<Field>| {
            definition.schema.field_with_name(field.name()).is_ok_and(|f| f.data_type() != field.data_type())
        };
        if snapshot.schema.fields().iter().any(is_wider) {
            return self.rewrite(&snapshot, definition);
        }
        let commit = Commit {
            operation: "SET TBLPROPERTIES",
            definition: Some(definition),
            data_change: false,
            ..Commit::append(Vec::new(), Vec::new())
        };
        self.commit_blocking(&commit).map(|_| ())
    }

    /// Writes every row anew in wider types, a file at a time.
    fn rewrite(&self, snapshot: &Snapshot, definition: TableDefinition) -> Result<(), Error> {
        tracing::info!(table = %self.name(), files = snapshot.files.len(), "rewriting rows in wider types");
        let mut adds = Vec::new();
        for file in &snapshot.files {
            match self.rewritten(snapshot, file, &definition) {
                Ok(written) => adds.extend(written),
                Err(error) => {
                    adds.iter().try_for_each(|add| self.store().delete(&add.path))?;
                    return Err(error);
                }
            }
            failpoint::pass(Point::RewrittenFile, || self.name().to_string());
        }
        let commit = Commit {
            operation: "CHANGE COLUMN",
            removes: snapshot.files.clone(),
            data_change: false,
            definition: Some(definition),
            ..Commit::append(adds, Vec::new())
        };
        self.commit_blocking(&commit).map(|_| ())
    }

    /// One file's rows in the columns of a definition.
    fn rewritten(
        &self,
        snapshot: &Snapshot,
        file: &DataFile,
        definition: &TableDefinition,
    ) -> Result<Vec<DataFile>, Error> {
        let mut writer = self.writer_as(definition, Effort::Compact)?;
        self.read_file::<Error>(snapshot, file, |batch, _| {
            writer.write(&conform(self.name(), &batch, &definition.schema)?)
        })?;
        let mut files = writer.finish()?;
        files.iter_mut().for_each(|new| new.tags.clone_from(&file.tags));
        Ok(files)
    }
}

/// What must be committed for `wanted`; `None` when nothing. Stored columns that the definition no longer has stay,
/// so that nothing stored is lost.
fn evolved(snapshot: &Snapshot, wanted: &TableDefinition) -> Result<Option<TableDefinition>, Error> {
    let refuse = |reason: String| Error::Schema { table: snapshot.table.clone(), reason };
    if snapshot.kind() == TableKind::Maintained && wanted.kind == TableKind::AppendOnly {
        return Err(refuse("its rows come and go, and the definition only ever adds rows".to_string()));
    }
    if snapshot.partition_columns != wanted.partition_columns {
        return Err(refuse(format!(
            "partition columns changed from ({}) to ({})",
            snapshot.partition_columns.join(", "),
            wanted.partition_columns.join(", ")
        )));
    }
    let mut fields: Vec<_> = Vec::new();
    for field in wanted.schema.fields() {
        let nullable = match snapshot.schema.field_with_name(field.name()) {
            Ok(stored) if stored.data_type() == field.data_type() => stored.is_nullable(),
            Ok(stored) if holds_all(field.data_type(), stored.data_type()) => stored.is_nullable(),
            Ok(stored) => {
                return Err(Error::Retyped {
                    table: snapshot.table.clone(),
                    column: field.name().clone(),
                    stored: Box::new(stored.data_type().clone()),
                    defined: Box::new(field.data_type().clone()),
                });
            }
            Err(_) => true,
        };
        fields.push(Arc::new(field.as_ref().clone().with_nullable(nullable || field.is_nullable())));
    }
    let gone = snapshot.schema.fields().iter().filter(|f| wanted.schema.field_with_name(f.name()).is_err());
    fields.extend(gone.map(|f| Arc::new(f.as_ref().clone().with_nullable(true))));
    let schema = Arc::new(Schema::new(fields));
    let properties_stand = wanted.properties.iter().all(|(k, v)| snapshot.property(k) == Some(v));
    if schema.fields() == snapshot.schema.fields() && properties_stand {
        return Ok(None);
    }
    let mut properties = snapshot.metadata.configuration.clone();
    properties.extend(wanted.properties.clone());
    let kind = if snapshot.kind() == TableKind::Maintained { TableKind::Maintained } else { wanted.kind };
    Ok(Some(TableDefinition { schema, properties, kind, ..wanted.clone() }))
}

/// True when each value of a type is one of a wider type.
fn holds_all(wider: &DataType, narrow: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Float32, Float64, Timestamp};
    if let (Some(digits), Decimal128(precision, scale)) = (digits(narrow), wider) {
        return i16::from(*precision) - i16::from(*scale) >= digits && *scale >= 0;
    }
    match (narrow, wider) {
        (Float32, Float64) | (Date32, Timestamp(TimeUnit::Microsecond, None)) => true,
        // 53 bits of a float hold 32 of a number.
        (narrow, Float64) => digits(narrow).is_some_and(|digits| digits <= 10),
        (Decimal128(precision, scale), Decimal128(wider_precision, wider_scale)) => {
            let before_point = |precision: &u8, scale: &i8| i16::from(*precision) - i16::from(*scale);
            wider_scale >= scale
                && before_point(wider_precision, wider_scale) >= before_point(precision, scale)
        }
        (narrow, wider) => digits(narrow).zip(digits(wider)).is_some_and(|(narrow, wider)| wider > narrow),
    }
}

/// The digits that a whole number of a type has at most.
fn digits(data_type: &DataType) -> Option<i16> {
    match data_type {
        DataType::Int8 => Some(3),
        DataType::Int16 => Some(5),
        DataType::Int32 => Some(10),
        DataType::Int64 => Some(19),
        _ => None,
    }
}

/// True when rows of the older columns, read in the newer ones, are what every expression over these takes them for: columns
/// are the same or are numbers of more digits with the same fraction. New ones may stand anywhere, since columns are known by
/// their names, and of those that are gone nothing is asked. (A float or a time of wider type computes and prints otherwise than before.)
pub fn reads_alike(older: &Schema, newer: &Schema) -> bool {
    let digits_only = |old: &DataType, new: &DataType| match (old, new) {
        (DataType::Decimal128(_, old), DataType::Decimal128(_, new)) if old != new => false,
        (DataType::Decimal128(..), DataType::Decimal128(..)) => true,
        (old, new) => digits(old).is_some() && digits(new).is_some(),
    };
    newer.fields().iter().all(|new| {
        let Ok(old) = older.field_with_name(new.name()) else { return true };
        let (from, to) = (old.data_type(), new.data_type());
        (new.is_nullable() || !old.is_nullable())
            && (from == to || (digits_only(from, to) && holds_all(to, from)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_type_holds_all_values() {
        use DataType::{Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp, Utf8};
        let local = || Timestamp(TimeUnit::Microsecond, None);
        let utc = || Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (narrow, wider) in [
            (Int8, Int16),
            (Int16, Int32),
            (Int32, Int64),
            (Int32, Float64),
            (Int32, Decimal128(12, 2)),
            (Int64, Decimal128(19, 0)),
            (Float32, Float64),
            (Decimal128(10, 2), Decimal128(18, 2)),
            (Decimal128(10, 2), Decimal128(12, 4)),
            (Date32, local()),
        ] {
            assert!(holds_all(&wider, &narrow), "{narrow} to {wider}");
            assert!(!holds_all(&narrow, &wider), "{wider} to {narrow}");
        }
        for (from, to) in [
            (Int64, Float64),
            (Int32, Float32),
            (Int64, Decimal128(20, 2)),
            (Decimal128(10, 2), Decimal128(10, 3)),
            (Decimal128(10, 2), Float64),
            (Date32, utc()),
            (local(), utc()),
            (Int32, Utf8),
            (Utf8, Int32),
        ] {
            assert!(!holds_all(&to, &from), "{from} to {to}");
        }
    }

    #[test]
    fn rows_read_alike_in_more_digits_alone() {
        let schema = |types: &[DataType]| {
            let fields = types.iter().zip(["a", "b", "c"]);
            Schema::new(fields.map(|(t, n)| Field::new(n, t.clone(), true)).collect::<Vec<_>>())
        };
        use DataType::{Date32, Decimal128, Float32, Float64, Int32, Int64, Timestamp};
        let old = schema(&[Int32, Decimal128(10, 2)]);
        assert!(reads_alike(&old, &old));
        assert!(reads_alike(&old, &schema(&[Int64, Decimal128(18, 2), Date32])));
        let between = [("a", Int32), ("new", Date32), ("b", Decimal128(10, 2))];
        let between = between.map(|(name, data_type)| Field::new(name, data_type, true));
        assert!(reads_alike(&old, &Schema::new(between.to_vec())));
        assert!(reads_alike(&old, &schema(&[Int64])), "a column less, which nothing reads");
        assert!(!reads_alike(&old, &schema(&[Int64, Decimal128(18, 4)])), "1.50 and 1.5000");
        assert!(!reads_alike(&schema(&[Float32]), &schema(&[Float64])));
        assert!(!reads_alike(&schema(&[Date32]), &schema(&[Timestamp(TimeUnit::Microsecond, None)])));
        assert!(!reads_alike(&schema(&[Int64]), &schema(&[Int32])));
    }
}
