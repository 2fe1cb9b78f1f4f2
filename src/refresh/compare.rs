//! Two bags of rows compared: which of the old are gone, which of the new were not there.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// The new rows, by hash of the whole row: 128 bits make a collision less likely than a broken disk.
#[derive(Debug)]
pub(super) struct Bag {
    converter: RowConverter,
    /// For each distinct row: where its copies stand, as (batch, row). Copies that the old rows hold too are taken out.
    rows: HashMap<u128, Vec<(u32, u32)>>,
}

impl Bag {
    /// A bag of these batches, which all have `schema`.
    pub(super) fn new(schema: &Schema, batches: &[RecordBatch]) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let mut bag = Self { converter: RowConverter::new(fields)?, rows: HashMap::new() };
        for (batch, number) in batches.iter().zip(0u32..) {
            for (hash, row) in bag.hashes(batch)?.into_iter().zip(0u32..) {
                bag.rows.entry(hash).or_default().push((number, row));
            }
        }
        Ok(bag)
    }

    /// Takes the old rows out of the bag and returns those that it did not hold, as indices into the batch.
    pub(super) fn take_out(&mut self, old: &RecordBatch) -> Result<Vec<usize>, ArrowError> {
        let mut gone = Vec::new();
        for (row, hash) in self.hashes(old)?.into_iter().enumerate() {
            match self.rows.get_mut(&hash).and_then(Vec::pop) {
                Some(_) => {}
                None => gone.push(row),
            }
        }
        Ok(gone)
    }

    /// What is left: rows that are new, as (batch, row) in order.
    pub(super) fn left(self) -> Vec<(u32, u32)> {
        let mut left: Vec<_> = self.rows.into_values().flatten().collect();
        left.sort_unstable();
        left
    }

    fn hashes(&self, batch: &RecordBatch) -> Result<Vec<u128>, ArrowError> {
        let rows = self.converter.convert_columns(batch.columns())?;
        Ok(rows.iter().map(|row| hash(row.data())).collect())
    }
}

fn hash(row: &[u8]) -> u128 {
    let digest = Sha256::digest(row);
    let mut half = [0u8; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Float64Array, StringArray};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn batch(rows: &[(Option<u8>, u8)]) -> RecordBatch {
        let floats = rows.iter().map(|(n, _)| n.map(|n| if n == 0 { f64::NAN } else { f64::from(n) }));
        let texts = rows.iter().map(|(_, t)| (*t != 0).then(|| t.to_string()));
        let columns: [(&str, ArrayRef); 2] = [
            ("n", Arc::new(Float64Array::from_iter(floats))),
            ("t", Arc::new(StringArray::from_iter(texts))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap()
    }

    proptest! {
        #[test]
        fn old_minus_gone_plus_left_is_new(
            old in prop::collection::vec((prop::option::of(0u8..3), 0u8..3), 0..40),
            new in prop::collection::vec((prop::option::of(0u8..3), 0u8..3), 0..40),
        ) {
            let (old_batch, new_batch) = (batch(&old), batch(&new));
            let mut bag = Bag::new(&new_batch.schema(), std::slice::from_ref(&new_batch)).unwrap();
            let gone = bag.take_out(&old_batch).unwrap();
            let left = bag.left();
            let mut result: Vec<_> =
                old.iter().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, row)| *row).collect();
            result.extend(left.iter().map(|(_, row)| new[usize::try_from(*row).unwrap()]));
            let mut wanted = new.clone();
            result.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(result, wanted);
        }
    }
}
