//! Raw records become columns.
//!
//! Comes in: one [`Record`] after another. Goes out: rows in the shape of [`super::row_schema`] and the records that
//! could not become rows, each with rule and reason. One bad record never costs its neighbours.
//!
//! | rule       | the record                                                                       |
//! |------------|----------------------------------------------------------------------------------|
//! | `empty`    | has no bytes but blanks (a tombstone, a blank line)                              |
//! | `encoding` | is not UTF-8, or has text that no column can hold (NUL, half a surrogate pair)   |
//! | `syntax`   | is not one JSON object or one CSV line, and nothing behind it                    |
//! | `type`     | has a value that is not exactly one of its column's type                         |
//! | `not_null` | has no value for a column that is NOT NULL                                       |
//! | `size`     | is larger than what a batch can hold                                             |
//!
//! Missing fields and JSON nulls are NULL, fields that no column has are left to `_raw`, of two fields of one name the
//! last counts. Numbers may be quoted; they are read exactly: `12.50` fits DECIMAL(4,1) and BIGINT takes `12.0`, but no
//! digit is ever dropped. BOOLEAN is `true` or `false` (as text also `t`, `f`, `1`, `0`), DATE `YYYY-MM-DD`.
//! TIMESTAMP and TIMESTAMPTZ are ISO 8601, UTC where no zone stands, or an epoch number: above 10^14 it counts
//! microseconds, above 10^11 milliseconds, else seconds. TEXT given anything but a string keeps its JSON text. BINARY is
//! `\x` and hex digits, or else the text's bytes. Names match exactly; a CSV header's also without regard to case.
//!
//! What a source's `MASK` names is masked before any of this, in the record itself.

mod beside;
mod buffer;
mod cast;
mod column;
mod csv;
mod cursor;
mod fault;
mod json;
mod layout;
mod lookup;
mod mask;
mod masked_columns;
mod scalar;
pub(crate) mod split;
mod time;

#[cfg(test)]
mod tests;

pub use beside::Beside;
pub use buffer::RecordBuffer;
pub(crate) use cast::Caster;
pub use layout::CsvLayout;
pub(crate) use mask::Masker;

use super::Rejected;
use arrow::record_batch::RecordBatch;

/// True when the bytes are one JSON value and nothing else.
pub(crate) fn is_one_json_value(payload: &[u8]) -> bool {
    let mut nesting = Vec::new();
    let mut cursor = cursor::Cursor::new(payload, &mut nesting);
    cursor.skip_value().is_ok() && cursor.expect_end().is_ok()
}

/// A record as it came from the outside world.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its bytes: one JSON object, one CSV line.
    pub payload: &'a [u8],
    /// `_source`: topic, file or generator.
    pub source: &'a str,
    /// `_partition`.
    pub partition: &'a str,
    /// `_offset`.
    pub offset: i64,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The broker's timestamp, microseconds since 1970.
    pub timestamp_us: Option<i64>,
    /// Its headers, name and value.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What a buffer of records became.
#[derive(Debug)]
pub struct Decoded {
    /// Good rows, in the shape of [`super::row_schema`], in order of arrival.
    pub rows: RecordBatch,
    /// The others.
    pub rejected: Vec<Rejected>,
}
