//! Partitions: the rows of a table that agree in its partition columns, in files of their own.

use super::snapshot::DataFile;
use arrow::array::{Array, RecordBatch};
use datafusion::common::ScalarValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The values of the partition columns, by name, as the protocol writes them.
pub type PartitionValues = BTreeMap<String, Option<String>>;

/// The partitions that these rows are of, each once; column `i` of a batch holds the values of column `names[i]`, in the
/// type that the table has.
pub fn partitions_of(names: &[String], rows: &[RecordBatch]) -> BTreeSet<PartitionValues> {
    let of_row = |batch: &RecordBatch, row: usize| {
        let columns = names.iter().zip(batch.columns());
        columns.map(|(name, column)| (name.clone(), partition_text(column, row))).collect()
    };
    rows.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| of_row(batch, row))).collect()
}

/// The files of these partitions.
pub fn files_of_partitions(
    files: &[Arc<DataFile>],
    partitions: &BTreeSet<PartitionValues>,
) -> Vec<Arc<DataFile>> {
    files.iter().filter(|file| partitions.contains(&file.partition_values)).cloned().collect()
}

/// A partition value as the protocol writes it ("Partition Value Serialization").
pub(super) fn partition_text(column: &dyn Array, row: usize) -> Option<String> {
    let value = ScalarValue::try_from_array(column, row).ok()?;
    match value {
        value if value.is_null() => None,
        ScalarValue::TimestampMicrosecond(Some(us), _) => {
            chrono::DateTime::from_timestamp_micros(us).map(|t| t.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
        }
        value => Some(value.to_string()),
    }
}
