//! Functions that answer for the server, or compute on text the way PostgreSQL does.

use super::format::format_text;
use super::row::{Cell, RowFunction, boolean, int4, int8, text};
use crate::serve::Error;
use crate::serve::postgres::catalog::definitions::{quote_identifier, quote_literal};
use crate::serve::postgres::catalog::rewrite::with_backslash;
use crate::serve::postgres::catalog::types::{arrow_field, column_type, oid};
use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType::{self, Boolean, Int32, Int64, Utf8};
use arrow::datatypes::{FieldRef, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// PostgreSQL's limit for the arguments of a call.
const ARGUMENTS_MAX: usize = 100;

/// The functions.
pub fn functions(started_at: DateTime<Utc>) -> Vec<RowFunction> {
    let mut functions = text_functions();
    functions.extend(start_times(started_at));
    functions.extend(locks());
    functions.extend([
        RowFunction::new("pg_my_temp_schema", 0..=0, Int32, |_| Ok(int4(0))).of_type("oid"),
        RowFunction::new("pg_is_other_temp_schema", 1..=1, Boolean, |_| Ok(boolean(false))),
        RowFunction::new("pg_encoding_to_char", 1..=1, Utf8, |row| {
            // Numbers of PostgreSQL's pg_wchar.h; the server itself speaks UTF8 only.
            Ok(text(match row[0].int() {
                Some(0) => "SQL_ASCII".to_string(),
                Some(6) => "UTF8".to_string(),
                Some(8) => "LATIN1".to_string(),
                _ => String::new(),
            }))
        })
        .of_type("name"),
        RowFunction::new("pg_char_to_encoding", 1..=1, Int32, |row| {
            let name = row[0].text().unwrap_or("").to_ascii_uppercase().replace(['-', '_'], "");
            Ok(int4(match name.as_str() {
                "SQLASCII" => 0,
                "UTF8" | "UNICODE" => 6,
                "LATIN1" | "ISO88591" => 8,
                _ => -1,
            }))
        }),
        RowFunction::new("getdatabaseencoding", 0..=0, Utf8, |_| Ok(text("UTF8".to_string())))
            .of_type("name"),
        RowFunction::new("pg_client_encoding", 0..=0, Utf8, |_| Ok(text("UTF8".to_string()))).of_type("name"),
        RowFunction::new("pg_stat_get_numscans", 1..=1, Int64, |_| Ok(int8(0))),
    ]);
    functions
}

fn start_times(started_at: DateTime<Utc>) -> Vec<RowFunction> {
    let zone: Arc<str> = Arc::from("UTC");
    ["pg_postmaster_start_time", "pg_conf_load_time"]
        .into_iter()
        .map(|name| {
            let zone = Arc::clone(&zone);
            let returns = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::clone(&zone)));
            RowFunction::new(name, 0..=0, returns, move |_| {
                let micros = Some(started_at.timestamp_micros());
                Ok(ScalarValue::TimestampMicrosecond(micros, Some(Arc::clone(&zone))))
            })
        })
        .collect()
}

fn text_functions() -> Vec<RowFunction> {
    vec![
        RowFunction::new("quote_ident", 1..=1, Utf8, |row| Ok(text(row[0].text().map(quote_identifier)))),
        RowFunction::new("quote_literal", 1..=1, Utf8, |row| {
            Ok(text(printed(&row[0]).map(|t| quote_literal(&t))))
        }),
        RowFunction::new("quote_nullable", 1..=1, Utf8, |row| {
            Ok(text(printed(&row[0]).map_or_else(|| "NULL".to_string(), |t| quote_literal(&t))))
        })
        .called_on_null(),
        RowFunction::new("like_escape", 2..=2, Utf8, |row| {
            let escaped = row[0].text().zip(row[1].text());
            Ok(text(escaped.map(|(pattern, escape)| with_backslash(pattern, escape))))
        }),
        RowFunction::new("uuid_in", 1..=1, Utf8, |row| {
            let read = |written: &str| {
                let bare = written.trim().trim_start_matches('{').trim_end_matches('}');
                uuid::Uuid::try_parse(bare).map(|id| id.to_string()).map_err(|_| {
                    let message = format!("invalid input syntax for type uuid: \"{written}\"");
                    DataFusionError::External(Box::new(Error::new("22P02", message)))
                })
            };
            Ok(text(row[0].text().map(read).transpose()?))
        })
        .of_type("uuid"),
        RowFunction::new("format", 1..=ARGUMENTS_MAX, Utf8, |row| format_text(row).map(text))
            .called_on_null(),
        RowFunction::new("pg_size_pretty", 1..=1, Utf8, |row| match &row[0] {
            Cell::Other(number) => {
                let number = cast(number, &Utf8)?;
                Ok(text(numeric_size_pretty(number.as_string::<i32>().value(0))))
            }
            other => Ok(text(other.int().map(size_pretty))),
        }),
        RowFunction::new("num_nulls", 1..=ARGUMENTS_MAX, Int32, |row| Ok(int4(count(row, true))))
            .called_on_null(),
        RowFunction::new("num_nonnulls", 1..=ARGUMENTS_MAX, Int32, |row| Ok(int4(count(row, false))))
            .called_on_null(),
        RowFunction::new("chr", 1..=1, Utf8, |row| row[0].int().map(letter).transpose().map(text)),
        // No date, time or interval here is without an end.
        RowFunction::new("isfinite", 1..=1, Boolean, |_| Ok(boolean(true))),
    ]
}

/// The letter of a number.
fn letter(number: i64) -> Result<String> {
    let refused = |message: String| Err(external(Error::new("54000", message)));
    let negative = "character number must be positive";
    match u32::try_from(number) {
        Ok(0) => refused("null character not permitted".to_string()),
        Ok(number) => match char::from_u32(number) {
            Some(letter) => Ok(letter.to_string()),
            None if number > 0x10_ffff => {
                refused(format!("requested character too large for encoding: {number}"))
            }
            None => refused(format!("requested character not valid for encoding: {number}")),
        },
        Err(_) if number < 0 => Err(external(Error::new("22023", negative))),
        Err(_) => refused(format!("requested character too large for encoding: {number}")),
    }
}

/// How many of the arguments are NULL, or are not.
fn count(row: &[Cell<'_>], nulls: bool) -> Option<i32> {
    i32::try_from(row.iter().filter(|cell| matches!(cell, Cell::Null) == nulls).count()).ok()
}

pub(super) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

pub(super) fn printed(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Text(text) => Some((*text).to_string()),
        Cell::Int(value) => Some(value.to_string()),
        Cell::Bool(value) => Some(value.to_string()),
        Cell::Null | Cell::Other(_) => None,
    }
}

/// Advisory locks are nobody's here: there is none to give back.
fn locks() -> Vec<RowFunction> {
    vec![
        RowFunction::new("pg_advisory_unlock", 1..=2, Boolean, |_| Ok(boolean(false))),
        RowFunction::new("pg_advisory_unlock_shared", 1..=2, Boolean, |_| Ok(boolean(false))),
    ]
}

/// A size in the largest unit that still shows two digits, as PostgreSQL rounds it.
fn size_pretty(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    // Below this a unit is kept: 10 kB is printed as 10240 bytes.
    const UNIT_MAX: i128 = 10 * 1024;
    let mut size = i128::from(bytes);
    let mut unit = 0;
    // After the first step one more bit is kept, so that the last division rounds to nearest.
    let mut half_bit = false;
    while unit + 1 < UNITS.len() {
        let limit = if half_bit { 2 * UNIT_MAX - 1 } else { UNIT_MAX };
        if size.abs() < limit {
            break;
        }
        size = if half_bit { size / 1024 } else { size / 512 };
        half_bit = true;
        unit += 1;
    }
    if half_bit {
        size = (size + size.signum()) / 2;
    }
    format!("{size} {}", UNITS[unit])
}

/// As [`size_pretty`], of a numeric as it is written: what is few enough bytes keeps its digits.
fn numeric_size_pretty(bytes: &str) -> Option<String> {
    let (whole, _) = bytes.split_once('.').unwrap_or((bytes, ""));
    let whole: i64 = whole.parse().ok()?;
    Some(if whole.abs() < 10 * 1024 { format!("{bytes} bytes") } else { size_pretty(whole) })
}

/// `pg_typeof`: the argument's type, which is known before any row is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TypeOf {
    signature: Signature,
}

impl Default for TypeOf {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &str {
        "pg_typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(Int32)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(arrow_field(self.name(), "regtype")))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number = args.arg_fields.first().map(|field| match field.data_type() {
            DataType::Null => oid::UNKNOWN,
            _ => column_type(field).oid,
        });
        Ok(ColumnarValue::Scalar(int4(number)))
    }
}
