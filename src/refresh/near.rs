//! Rows that are missing and rows that are unexpected, paired off where they differ in nothing but how floats were rounded.
//!
//! The sum of floats depends on the order in which they are added, which differs between a refresh and its query computed
//! whole, and between two computations of the query. Such rows agree in all other columns, and in those within a bound.

use arrow::array::{Array as _, AsArray as _, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use std::sync::Arc;

/// Doubles this near to each other, by the larger one's size, are taken for one. Each addition rounds by 1.1e-16 of its
/// sum: a million of them, all one way, by 1.1e-10. What is further off comes of no rounding, unless large values have
/// cancelled each other out.
const NEAR_DOUBLES: f64 = 1e-9;

/// The same of REAL: made of doubles that are near to each other, its values, which have 24 bits, are one step apart at most.
const NEAR_REALS: f64 = 1.2e-7;

/// What columns are to two rows that may be one.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// Have to be the same; rows are sorted by them.
    sorted: Vec<usize>,
    /// Have to be the same, and are not sorted by: lists, structs.
    nested: Vec<usize>,
    /// Have to be near, each within its bound; rows are sorted by them after the others.
    floats: Vec<(usize, f64)>,
}

impl Columns {
    pub(super) fn of(schema: &Schema) -> Self {
        let mut columns = Self::default();
        for (place, field) in schema.fields().iter().enumerate() {
            match field.data_type() {
                DataType::Float64 => columns.floats.push((place, NEAR_DOUBLES)),
                DataType::Float32 => columns.floats.push((place, NEAR_REALS)),
                nested if nested.is_nested() => columns.nested.push(place),
                _ => columns.sorted.push(place),
            }
        }
        columns
    }

    /// What rows have to be sorted by, ascending, NULL and then the least first; nothing where no two can be a pair.
    pub(super) fn order(&self) -> Vec<usize> {
        if self.floats.is_empty() {
            return Vec::new();
        }
        self.sorted.iter().copied().chain(self.floats.iter().map(|(place, _)| *place)).collect()
    }

    /// False when every row that comes after the second one is too far from the first, too.
    fn within_reach(&self, waits: &Open, came: &Open) -> bool {
        waits.sorted == came.sorted
            && self.floats.first().is_none_or(|(_, bound)| is_near(waits.floats[0], came.floats[0], *bound))
    }

    fn are_near(&self, one: &Open, other: &Open) -> bool {
        let mut floats = one.floats.iter().zip(&other.floats).zip(&self.floats);
        one.sorted == other.sorted
            && one.nested == other.nested
            && floats.all(|((one, other), (_, bound))| is_near(*one, *other, *bound))
    }
}

/// A row that differs.
#[derive(Clone, Debug)]
pub(super) struct Odd {
    pub(super) batch: Arc<RecordBatch>,
    pub(super) row: usize,
    /// How many more of it the query gives than are stored; below zero, how many fewer.
    pub(super) more: i64,
}

/// Pairs rows that come in the order of [`Columns::order`].
#[derive(Debug)]
pub(super) struct Pairing {
    columns: Columns,
    /// Rows without a partner that may still come.
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    odd: Odd,
    sorted: Vec<ScalarValue>,
    nested: Vec<ScalarValue>,
    floats: Vec<Option<f64>>,
}

impl Pairing {
    pub(super) fn new(columns: Columns) -> Self {
        Self { columns, open: Vec::new() }
    }

    /// Takes rows, each with how many more of it there are; gives those for which no partner can come any more.
    pub(super) fn take(&mut self, batch: &RecordBatch, more: &[i64]) -> Result<Vec<Odd>> {
        let batch = Arc::new(batch.clone());
        let odds =
            more.iter().enumerate().map(|(row, more)| Odd { batch: Arc::clone(&batch), row, more: *more });
        if self.columns.floats.is_empty() {
            return Ok(odds.collect());
        }
        let floats =
            self.columns.floats.iter().map(|(place, _)| cast(batch.column(*place), &DataType::Float64));
        let floats = floats.map(|column| Ok(column?.as_primitive::<Float64Type>().clone()));
        let floats = floats.collect::<Result<Vec<_>>>()?;
        let mut unpaired = Vec::new();
        for odd in odds {
            let cells = |places: &[usize]| -> Result<Vec<ScalarValue>> {
                places
                    .iter()
                    .map(|place| ScalarValue::try_from_array(batch.column(*place), odd.row))
                    .collect()
            };
            let float = |column: &Float64Array| column.is_valid(odd.row).then(|| column.value(odd.row));
            let (sorted, nested) = (cells(&self.columns.sorted)?, cells(&self.columns.nested)?);
            let floats = floats.iter().map(float).collect();
            self.meet(Open { odd, sorted, nested, floats }, &mut unpaired);
        }
        Ok(unpaired)
    }

    /// The rows that are left.
    pub(super) fn finish(self) -> impl Iterator<Item = Odd> {
        self.open.into_iter().map(|open| open.odd)
    }

    /// The first of the partners that wait takes a row: sorted as they are, none is taken from another that way.
    fn meet(&mut self, mut came: Open, unpaired: &mut Vec<Odd>) {
        let Self { columns, open } = self;
        open.retain_mut(|waits| {
            if !columns.within_reach(waits, &came) {
                unpaired.push(waits.odd.clone());
                return false;
            }
            if waits.odd.more.signum() == -came.odd.more.signum() && columns.are_near(waits, &came) {
                let pairs = waits.odd.more.abs().min(came.odd.more.abs());
                waits.odd.more -= pairs * waits.odd.more.signum();
                came.odd.more -= pairs * came.odd.more.signum();
            }
            waits.odd.more != 0
        });
        if came.odd.more != 0 {
            open.push(came);
        }
    }
}

/// NULL is near to NULL, NaN to NaN, and an infinity to itself.
fn is_near(one: Option<f64>, other: Option<f64>, bound: f64) -> bool {
    match (one, other) {
        (Some(one), Some(other)) if one.is_finite() && other.is_finite() => {
            (one - other).abs() <= bound * one.abs().max(other.abs())
        }
        (Some(one), Some(other)) => one == other || (one.is_nan() && other.is_nan()),
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Float32Array, Int64Array, StringArray};
    use proptest::prelude::*;

    #[test]
    fn near_is_by_size() {
        let near = |one: f64, other: f64| is_near(Some(one), Some(other), NEAR_DOUBLES);
        assert!(near(0.1 + 0.2, 0.3) && near(1e300, 1e300 * (1.0 + 1e-10)) && near(0.0, -0.0));
        assert!(!near(1.0, 1.0 + 1e-8) && !near(1e-300, 2e-300) && !near(0.0, 1e-300) && !near(1.0, -1.0));
        assert!(near(f64::NAN, -f64::NAN) && near(f64::INFINITY, f64::INFINITY));
        assert!(!near(f64::INFINITY, f64::NEG_INFINITY) && !near(f64::INFINITY, f64::MAX));
        assert!(!near(f64::NAN, 1.0) && !near(1.0, f64::INFINITY));
        assert!(is_near(None, None, 0.0) && !is_near(None, Some(0.0), NEAR_DOUBLES));
    }

    /// Rows as (text, first float, second float, how many more), sorted here as the engine sorts them.
    fn left(rows: &[(&str, Option<f64>, f64, i64)]) -> Vec<(String, i64)> {
        let mut rows = rows.to_vec();
        let float = |x: Option<f64>| x.unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|a, b| {
            let first = a.0.cmp(b.0).then(a.1.is_some().cmp(&b.1.is_some()));
            first.then(float(a.1).total_cmp(&float(b.1))).then(a.2.total_cmp(&b.2))
        });
        let texts: StringArray = rows.iter().map(|row| Some(row.0)).collect();
        let first: Float64Array = rows.iter().map(|row| row.1).collect();
        let second: Float64Array = rows.iter().map(|row| Some(row.2)).collect();
        let columns: [(&str, ArrayRef); 3] =
            [("x", Arc::new(first)), ("t", Arc::new(texts)), ("y", Arc::new(second))];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(n, a)| (n, a, true))).unwrap();
        let columns = Columns::of(&batch.schema());
        assert_eq!(columns.order(), [1, 0, 2]);
        let mut pairing = Pairing::new(columns);
        let more: Vec<i64> = rows.iter().map(|row| row.3).collect();
        // In two batches: partners may come in another.
        let half = rows.len() / 2;
        let mut odd = pairing.take(&batch.slice(0, half), &more[..half]).unwrap();
        odd.extend(pairing.take(&batch.slice(half, rows.len() - half), &more[half..]).unwrap());
        odd.extend(pairing.finish());
        let text = |odd: &Odd| odd.batch.column(1).as_string::<i32>().value(odd.row).to_string();
        odd.iter().map(|odd| (text(odd), odd.more)).collect()
    }

    #[test]
    fn rounded_otherwise_is_the_same() {
        let sums = [("a", Some(0.1 + 0.2), 1.0, 1), ("a", Some(0.3), 1.0, -1)];
        assert_eq!(left(&sums), []);
        // More than one of each, and not as many of both.
        assert_eq!(
            left(&[("a", Some(0.1 + 0.2), 1.0, 3), ("a", Some(0.3), 1.0, -2)]),
            [("a".to_string(), 1)]
        );
        let odd = f64::NAN;
        assert_eq!(left(&[("a", Some(odd), 1.0, 1), ("a", Some(odd), 1.0 + 1e-12, -1)]), []);
        assert_eq!(left(&[("a", None, 1.0, 1), ("a", None, 1.0 + 1e-12, -1)]), []);
    }

    #[test]
    fn all_else_differs() {
        let one = |rows: [(&str, Option<f64>, f64, i64); 2]| left(&rows).len();
        assert_eq!(one([("a", Some(1.0), 1.0, 1), ("b", Some(1.0), 1.0, -1)]), 2);
        assert_eq!(one([("a", Some(1.0), 1.0, 1), ("a", Some(1.1), 1.0, -1)]), 2);
        assert_eq!(one([("a", Some(1.0), 1.0, 1), ("a", Some(1.0), 2.0, -1)]), 2);
        assert_eq!(one([("a", Some(1.0), 1.0, 1), ("a", None, 1.0, -1)]), 2);
        assert_eq!(one([("a", Some(1.0), 1.0, 1), ("a", Some(1.0 + 1e-12), 1.0, 1)]), 2, "both are missing");
    }

    #[test]
    fn lists_are_the_same_or_not() {
        let lists = arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>(
            [[1], [2], [1]].map(|list| Some(list.map(Some))),
        );
        let columns: [(&str, ArrayRef); 3] = [
            ("k", Arc::new(Int64Array::from(vec![1, 1, 1]))),
            ("l", Arc::new(lists)),
            ("x", Arc::new(Float32Array::from(vec![1.0, 1.0 + f32::EPSILON, 1.0 + f32::EPSILON]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut pairing = Pairing::new(Columns::of(&batch.schema()));
        assert_eq!(pairing.take(&batch, &[1, 1, -1]).unwrap().len(), 0);
        assert_eq!(pairing.finish().map(|odd| (odd.row, odd.more)).collect::<Vec<_>>(), [(1, 1)]);
    }

    #[test]
    fn without_floats_all_differ() {
        let batch =
            RecordBatch::try_from_iter([("k", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
        let mut pairing = Pairing::new(Columns::of(&batch.schema()));
        assert_eq!(
            pairing.take(&batch, &[1, -2]).unwrap().iter().map(|odd| odd.more).collect::<Vec<_>>(),
            [1, -2]
        );
        assert_eq!(pairing.finish().count(), 0);
    }

    proptest! {
        /// Rows of one bag, each rounded a little otherwise in the other.
        #[test]
        fn a_bag_rounded_otherwise_is_the_same_bag(
            rows in prop::collection::vec((0..3usize, -3i32..4, 1i64..3, -4i32..5), 0..30),
        ) {
            let name = |at: usize| ["a", "b", "c"][at];
            let both = rows.iter().flat_map(|(text, x, times, off)| {
                let x = f64::from(*x) / 7.0;
                let other = x * (1.0 + f64::from(*off) * 1e-14);
                [(name(*text), Some(x), 1.0, *times), (name(*text), Some(other), 1.0, -times)]
            });
            prop_assert_eq!(left(&both.collect::<Vec<_>>()), []);
        }
    }
}
