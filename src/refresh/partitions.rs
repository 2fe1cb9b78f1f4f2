//! Partition overwrite: where a change affects most keys of some partitions, these are computed whole and their files
//! replaced. Nothing that stands in them is read or compared, nothing is left to fold.

use super::Error;
use super::compare::KeySet;
use super::model::Model;
use crate::lake::{PartitionValues, files_of_partitions, partitions_of};
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use std::collections::BTreeSet;

/// A partition is overwritten when at least one in so many of its rows has an affected key.
const AFFECTED_SHARE: u64 = 2;

/// The partitions that a change mostly affects.
pub(super) struct Overwritten {
    /// Which of the key's columns tell the partition.
    pub(super) within_key: Vec<usize>,
    /// Each partition once: the values of these columns.
    pub(super) keys: Vec<RecordBatch>,
    pub(super) partitions: BTreeSet<PartitionValues>,
}

/// Which of a key's columns tell the partition; `None` when there are no partitions, or the key does not tell them: rows
/// with -0.0 and with 0.0 have one key and stand in two partitions.
pub(super) fn within_key(partitioned_by: &[String], schema: &Schema, key: &[usize]) -> Option<Vec<usize>> {
    let place = |name: &String| {
        let column = schema.index_of(name).ok().filter(|at| !schema.field(*at).data_type().is_floating())?;
        key.iter().position(|of_key| *of_key == column)
    };
    let places: Option<Vec<usize>> = partitioned_by.iter().map(place).collect();
    places.filter(|places| !places.is_empty())
}

/// The partitions to overwrite for these keys; `None` when the table has none, when the key does not tell them, or when
/// the keys are few among their rows.
pub(super) fn overwritten(model: &Model, keys: &KeySet) -> Result<Option<Overwritten>, Error> {
    let within_key = within_key(&model.partitioned_by, &model.schema, keys.columns());
    let Some(within_key) = within_key else { return Ok(None) };
    let values = keys.within(&within_key)?;
    let partitions = partitions_of(&model.partitioned_by, &values);
    let snapshot = model.table.snapshot();
    let files = files_of_partitions(&snapshot.files, &partitions);
    let rows: Option<u64> = files.iter().map(|file| file.live_rows(&snapshot.schema)).sum();
    let affected = (keys.len() as u64).saturating_mul(AFFECTED_SHARE);
    let is_mostly_affected = rows.is_some_and(|rows| rows > 0 && affected >= rows);
    Ok(is_mostly_affected.then_some(Overwritten { within_key, keys: values, partitions }))
}
