//! Partitions: the rows of a table that agree in its partition columns, in files of their own.

use super::snapshot::DataFile;
use arrow::array::{Array, RecordBatch};
use datafusion::common::ScalarValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is written otherwise in a folder's name.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// What stands in a folder's name for no value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// No file system takes a longer name.
const NAME_BYTES_MAX: usize = 255;

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

/// The folder of a partition's files, named as Hive does: the values are the log's to tell, but there are readers that take
/// them from here. Where a value is too long for a name, its files lie in the table's own folder.
pub(super) fn folder_of<'a>(columns: impl Iterator<Item = &'a str>, values: &PartitionValues) -> String {
    let escaped = |text| utf8_percent_encode(text, ESCAPED);
    let names = columns.map(|column| {
        let value = values.get(column).and_then(Option::as_deref).filter(|value| !value.is_empty());
        let value = value.map_or_else(|| NO_VALUE.to_string(), |value| escaped(value).to_string());
        format!("{}={value}", escaped(column))
    });
    let names: Vec<String> = names.collect();
    match names.iter().all(|name| name.len() <= NAME_BYTES_MAX) {
        true => names.iter().map(|name| format!("{name}/")).collect(),
        false => String::new(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_by_their_values() {
        let folder = |value: Option<&str>| {
            let values = [("day", Some("2026-01-02")), ("a b", value)];
            let values = values.map(|(column, value)| (column.to_string(), value.map(str::to_string)));
            folder_of(["day", "a b"].into_iter(), &BTreeMap::from(values))
        };
        assert_eq!(folder(Some("x-y_z.1")), "day=2026-01-02/a%20b=x-y_z.1/");
        assert_eq!(folder(Some("x/y=50% ü")), "day=2026-01-02/a%20b=x%2Fy%3D50%25%20%C3%BC/");
        assert_eq!(folder(None), "day=2026-01-02/a%20b=__HIVE_DEFAULT_PARTITION__/");
        assert_eq!(folder(Some("")), folder(None));
        assert_eq!(folder(Some(&"x".repeat(300))), "");
        assert_eq!(folder_of(std::iter::empty(), &BTreeMap::new()), "");
    }
}
