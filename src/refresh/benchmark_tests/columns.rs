//! Tables made of rows, column by column.

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::concat_batches;
use std::sync::Arc;

/// Rows of a generator that are made into one batch.
const CHUNK: usize = 65_536;

/// The columns of a table, and the rows that their values come from.
pub struct Columns<'a, I: Iterator> {
    rows: I,
    columns: Vec<(&'static str, Box<dyn Fn(&[I::Item]) -> ArrayRef + 'a>)>,
}

/// A table without columns yet.
pub fn of<'a, I: Iterator>(rows: I) -> Columns<'a, I> {
    Columns { rows, columns: Vec::new() }
}

impl<'a, I: Iterator> Columns<'a, I> {
    /// 64 bits.
    pub fn long(self, name: &'static str, value: impl Fn(&I::Item) -> i64 + 'a) -> Self {
        self.with(name, move |rows| Arc::new(Int64Array::from_iter_values(rows.iter().map(&value))))
    }

    /// 32 bits.
    pub fn int(self, name: &'static str, value: impl Fn(&I::Item) -> i32 + 'a) -> Self {
        self.with(name, move |rows| Arc::new(Int32Array::from_iter_values(rows.iter().map(&value))))
    }

    /// Days since 1970.
    pub fn date(self, name: &'static str, value: impl Fn(&I::Item) -> i32 + 'a) -> Self {
        self.with(name, move |rows| Arc::new(Date32Array::from_iter_values(rows.iter().map(&value))))
    }

    /// A decimal of 15 digits, two behind the point, given in hundredths.
    pub fn money(self, name: &'static str, value: impl Fn(&I::Item) -> i64 + 'a) -> Self {
        self.with(name, move |rows| {
            let values = Decimal128Array::from_iter_values(rows.iter().map(|row| i128::from(value(row))));
            Arc::new(values.with_precision_and_scale(15, 2).unwrap())
        })
    }

    /// Text.
    pub fn text(self, name: &'static str, value: impl Fn(&I::Item) -> String + 'a) -> Self {
        self.with(name, move |rows| Arc::new(StringArray::from_iter_values(rows.iter().map(&value))))
    }

    fn with(mut self, name: &'static str, values: impl Fn(&[I::Item]) -> ArrayRef + 'a) -> Self {
        self.columns.push((name, Box::new(values)));
        self
    }

    /// All rows as one batch.
    pub fn batch(mut self) -> RecordBatch {
        let mut batches = Vec::new();
        loop {
            let chunk: Vec<I::Item> = self.rows.by_ref().take(CHUNK).collect();
            if chunk.is_empty() && !batches.is_empty() {
                break;
            }
            let columns = self.columns.iter().map(|(name, values)| (*name, values(&chunk), true));
            batches.push(RecordBatch::try_from_iter_with_nullable(columns).unwrap());
        }
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }
}
