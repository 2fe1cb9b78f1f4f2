//! Bags of rows compared: which of the old are gone, which of the new were not there; sets of keys; sums of weights.
//!
//! Rows are compared as they are stored, -0.0 being another than 0.0. Keys are equal where the engine's groups, joins and
//! windows take them for equal: there both zeros are one key.

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::utils::normalize_float_zero;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The new rows, by hash of the whole row: 128 bits make a collision less likely than a broken disk.
#[derive(Debug)]
pub(super) struct Bag {
    converter: RowConverter,
    /// For each distinct row: where its copies stand, as (batch, row). Copies that the old rows hold too are taken out.
    rows: HashMap<u128, Vec<(usize, usize)>>,
}

impl Bag {
    /// A bag of these batches, which all have `schema`.
    pub(super) fn new(schema: &Schema, batches: &[RecordBatch]) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
        let mut bag = Self { converter: RowConverter::new(fields)?, rows: HashMap::new() };
        for (number, batch) in batches.iter().enumerate() {
            for (row, hash) in bag.hashes(batch)?.into_iter().enumerate() {
                bag.rows.entry(hash).or_default().push((number, row));
            }
        }
        Ok(bag)
    }

    /// Takes the old rows out of the bag; tells for each whether the bag held it.
    pub(super) fn held(&mut self, old: &RecordBatch) -> Result<Vec<bool>, ArrowError> {
        let hashes = self.hashes(old)?;
        Ok(hashes.iter().map(|hash| self.rows.get_mut(hash).and_then(Vec::pop).is_some()).collect())
    }

    /// What is left: rows that are new, as (batch, row) in order.
    pub(super) fn left(self) -> Vec<(usize, usize)> {
        let mut left: Vec<_> = self.rows.into_values().flatten().collect();
        left.sort_unstable();
        left
    }

    fn hashes(&self, batch: &RecordBatch) -> Result<Vec<u128>, ArrowError> {
        hashes(&self.converter, batch.columns())
    }
}

/// A set of keys, by hash.
#[derive(Debug)]
pub(super) struct KeySet {
    converter: RowConverter,
    columns: Vec<usize>,
    types: Vec<DataType>,
    values: Vec<RecordBatch>,
    hashes: HashSet<u128>,
}

impl KeySet {
    /// The keys in these batches' columns, of the types that `columns` of `schema` have.
    pub(super) fn new(
        schema: &Schema,
        columns: Vec<usize>,
        keys: &[RecordBatch],
    ) -> Result<Self, ArrowError> {
        let types: Vec<DataType> = columns.iter().map(|i| schema.field(*i).data_type().clone()).collect();
        let converter = RowConverter::new(types.iter().cloned().map(SortField::new).collect())?;
        let mut set = Self { converter, columns, types, values: keys.to_vec(), hashes: HashSet::new() };
        for batch in keys {
            let cast = batch.columns().iter().zip(&set.types).map(|(column, to)| cast(column, to));
            set.hashes.extend(key_hashes(&set.converter, &cast.collect::<Result<Vec<_>, _>>()?)?);
        }
        Ok(set)
    }

    /// How many keys.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The table's columns that hold the key.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The keys, in the types that they came in.
    pub(super) fn values(&self) -> &[RecordBatch] {
        &self.values
    }

    /// The values of some of the key's columns, each combination once, in the table's types.
    pub(super) fn within(&self, places: &[usize]) -> Result<Vec<RecordBatch>, ArrowError> {
        let fields: Vec<Field> =
            places.iter().map(|at| Field::new(format!("k{at}"), self.types[*at].clone(), true)).collect();
        let converter =
            RowConverter::new(fields.iter().map(|f| SortField::new(f.data_type().clone())).collect())?;
        let schema = Arc::new(Schema::new(fields));
        let mut seen = HashSet::new();
        let once = self.values.iter().map(|batch| {
            let columns = places.iter().map(|at| cast(batch.column(*at), &self.types[*at]));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let is_new = key_hashes(&converter, &columns)?.into_iter().map(|hash| seen.insert(hash));
            let is_new = BooleanArray::from(is_new.collect::<Vec<_>>());
            filter_record_batch(&RecordBatch::try_new(Arc::clone(&schema), columns)?, &is_new)
        });
        once.collect()
    }

    /// Tells for each row of a table whether its key is in the set.
    pub(super) fn held(&self, rows: &RecordBatch) -> Result<Vec<bool>, ArrowError> {
        let columns: Vec<ArrayRef> = self.columns.iter().map(|i| Arc::clone(rows.column(*i))).collect();
        Ok(key_hashes(&self.converter, &columns)?.iter().map(|hash| self.hashes.contains(hash)).collect())
    }
}

/// Rows as (batch, row), each as often as its weights come to: those that are more, and those that are fewer.
pub(super) type Consolidated = (Vec<(usize, usize)>, Vec<(usize, usize)>);

/// How many rows these batches have.
pub(super) fn row_count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// Sums the weights of equal rows.
pub(super) fn consolidate(
    schema: &Schema,
    batches: &[(RecordBatch, Int64Array)],
) -> Result<Consolidated, ArrowError> {
    let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let mut sums: HashMap<u128, (i64, (usize, usize))> = HashMap::new();
    for (number, (batch, weights)) in batches.iter().enumerate() {
        for (row, hash) in hashes(&converter, batch.columns())?.into_iter().enumerate() {
            sums.entry(hash).or_insert((0, (number, row))).0 += weights.value(row);
        }
    }
    let (mut more, mut fewer) = (Vec::new(), Vec::new());
    for (weight, place) in sums.into_values() {
        let side = if weight > 0 { &mut more } else { &mut fewer };
        side.extend(std::iter::repeat_n(place, usize::try_from(weight.unsigned_abs()).unwrap_or(usize::MAX)));
    }
    more.sort_unstable();
    fewer.sort_unstable();
    Ok((more, fewer))
}

/// Keys as rows that are equal where the keys are.
pub(super) fn key_rows(converter: &RowConverter, columns: &[ArrayRef]) -> Result<Rows, ArrowError> {
    converter.convert_columns(&columns.iter().map(normalize_float_zero).collect::<Vec<_>>())
}

fn key_hashes(converter: &RowConverter, columns: &[ArrayRef]) -> Result<Vec<u128>, ArrowError> {
    Ok(hashes_of(&key_rows(converter, columns)?))
}

fn hashes(converter: &RowConverter, columns: &[ArrayRef]) -> Result<Vec<u128>, ArrowError> {
    Ok(hashes_of(&converter.convert_columns(columns)?))
}

fn hashes_of(rows: &Rows) -> Vec<u128> {
    rows.iter().map(|row| hash(row.data())).collect()
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
    use arrow::array::{Float64Array, StringArray};
    use proptest::prelude::*;

    fn batch(rows: &[(Option<u8>, u8)]) -> RecordBatch {
        let floats = rows.iter().map(|(n, _)| n.map(|n| if n == 0 { f64::NAN } else { f64::from(n) }));
        let texts = rows.iter().map(|(_, t)| (*t != 0).then(|| t.to_string()));
        let columns: [(&str, ArrayRef); 2] = [
            ("n", Arc::new(Float64Array::from_iter(floats))),
            ("t", Arc::new(StringArray::from_iter(texts))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap()
    }

    #[test]
    fn both_zeros_are_one_key_and_two_rows() {
        let zeros = |values: &[f64]| {
            let column = Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
            RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
        };
        let (both, one) = (zeros(&[0.0, -0.0, 1.0]), zeros(&[-0.0]));
        let keys = KeySet::new(&one.schema(), vec![0], std::slice::from_ref(&one)).unwrap();
        assert_eq!(keys.held(&both).unwrap(), [true, true, false]);
        let keys = KeySet::new(&one.schema(), vec![0], std::slice::from_ref(&both)).unwrap();
        assert_eq!((keys.len(), row_count(&keys.within(&[0]).unwrap())), (2, 2));
        let mut bag = Bag::new(&one.schema(), &[one]).unwrap();
        assert_eq!(bag.held(&both).unwrap(), [false, true, false]);
    }

    proptest! {
        #[test]
        fn old_minus_gone_plus_left_is_new(
            old in prop::collection::vec((prop::option::of(0u8..3), 0u8..3), 0..40),
            new in prop::collection::vec((prop::option::of(0u8..3), 0u8..3), 0..40),
        ) {
            let (old_batch, new_batch) = (batch(&old), batch(&new));
            let mut bag = Bag::new(&new_batch.schema(), std::slice::from_ref(&new_batch)).unwrap();
            let held = bag.held(&old_batch).unwrap();
            let left = bag.left();
            let mut result: Vec<_> =
                old.iter().zip(held).filter(|(_, held)| *held).map(|(row, _)| *row).collect();
            result.extend(left.iter().map(|(_, row)| new[*row]));
            let mut wanted = new.clone();
            result.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(result, wanted);
        }
    }
}
