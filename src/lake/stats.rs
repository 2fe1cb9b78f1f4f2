//! What a data file is known to hold: row count, and per column null count and bounds.
//!
//! Bounds come from the parquet footer, so they cost nothing extra; they travel in the log as Delta's `stats` JSON
//! ("Per-file Statistics" in the protocol). Columns are top-level primitives; nested ones have no bounds.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use chrono::{DateTime, NaiveDate};
use datafusion::common::ScalarValue;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Bounds of one column in one file; `None` where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnBounds {
    /// No value is below it.
    pub min: Option<ScalarValue>,
    /// No value is above it.
    pub max: Option<ScalarValue>,
    /// How many values are NULL.
    pub nulls: Option<u64>,
}

/// Statistics of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileStatistics {
    /// Physical rows, deleted ones included; `None` when the writer did not say.
    pub rows: Option<u64>,
    /// By column name.
    pub columns: BTreeMap<String, ColumnBounds>,
}

impl FileStatistics {
    /// Reads them from a written file's footer.
    pub(super) fn of_footer(metadata: &ParquetMetaData, schema: &Schema) -> Self {
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
        let parquet_schema = metadata.file_metadata().schema_descr();
        let mut columns = BTreeMap::new();
        for field in schema.fields() {
            if !is_bounded(field.data_type()) {
                continue;
            }
            let Ok(converter) = StatisticsConverter::try_new(field.name(), schema, parquet_schema) else {
                continue;
            };
            let groups = || metadata.row_groups().iter();
            let nulls = converter
                .row_group_null_counts(groups())
                .ok()
                .and_then(|counts| counts.iter().try_fold(0u64, |sum, count| count.map(|count| sum + count)));
            let nulls_of = |i: usize| nulls_in_group(metadata, &converter, i);
            let (mins, maxes) =
                (converter.row_group_mins(groups()).ok(), converter.row_group_maxes(groups()).ok());
            let bounds = ColumnBounds {
                min: mins.and_then(|a| extreme(&a, std::cmp::Ordering::Less, &nulls_of)),
                max: maxes.and_then(|a| extreme(&a, std::cmp::Ordering::Greater, &nulls_of)),
                nulls,
            };
            columns.insert(field.name().clone(), bounds);
        }
        Self { rows: Some(rows), columns }
    }

    /// Delta's `stats` text. Booleans and binaries carry only null counts.
    pub(super) fn to_json(&self) -> String {
        let mut text = String::from("{\"numRecords\":");
        text.push_str(&self.rows.unwrap_or_default().to_string());
        let side = |text: &mut String, name: &str, pick: &dyn Fn(&ColumnBounds) -> Option<String>| {
            text.push_str(&format!(",\"{name}\":{{"));
            let mut first = true;
            for (column, bounds) in &self.columns {
                if let Some(value) = pick(bounds) {
                    if !first {
                        text.push(',');
                    }
                    first = false;
                    text.push_str(&Value::from(column.as_str()).to_string());
                    text.push(':');
                    text.push_str(&value);
                }
            }
            text.push('}');
        };
        side(&mut text, "minValues", &|b| b.min.as_ref().and_then(render));
        side(&mut text, "maxValues", &|b| b.max.as_ref().and_then(render));
        side(&mut text, "nullCount", &|b| b.nulls.map(|n| n.to_string()));
        text.push('}');
        text
    }

    /// Reads Delta's `stats` text. What cannot be read is not known: statistics only ever help.
    pub(super) fn from_json(text: &str, schema: &Schema) -> Self {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Stats<'a> {
            num_records: Option<u64>,
            #[serde(borrow, default)]
            min_values: BTreeMap<String, &'a RawValue>,
            #[serde(borrow, default)]
            max_values: BTreeMap<String, &'a RawValue>,
            #[serde(default)]
            null_count: Map<String, Value>,
        }
        let Ok(stats) = serde_json::from_str::<Stats<'_>>(text) else {
            return Self::default();
        };
        let mut columns = BTreeMap::new();
        for field in schema.fields() {
            if !is_bounded(field.data_type()) {
                continue;
            }
            let read = |side: &BTreeMap<String, &RawValue>| {
                side.get(field.name()).and_then(|raw| parse(raw.get(), field.data_type()))
            };
            let bounds = ColumnBounds {
                min: read(&stats.min_values),
                max: read(&stats.max_values),
                nulls: stats.null_count.get(field.name()).and_then(Value::as_u64),
            };
            if bounds != ColumnBounds::default() {
                columns.insert(field.name().clone(), bounds);
            }
        }
        Self { rows: stats.num_records, columns }
    }
}

/// Which types carry bounds or null counts. Parquet's bounds leave NaN out, which is above all other numbers here: a file
/// would be passed over that holds it.
pub(super) fn is_bounded(data_type: &DataType) -> bool {
    !data_type.is_nested()
        && !data_type.is_floating()
        && !matches!(data_type, DataType::Dictionary(..) | DataType::Null)
}

fn nulls_in_group(metadata: &ParquetMetaData, converter: &StatisticsConverter<'_>, group: usize) -> bool {
    // A group whose values are all NULL has no bounds; that must not make the file's bounds unknown.
    let Some(group) = metadata.row_groups().get(group) else { return false };
    let rows = u64::try_from(group.num_rows()).unwrap_or_default();
    converter
        .row_group_null_counts(std::iter::once(group))
        .is_ok_and(|counts| counts.iter().next().flatten() == Some(rows))
}

/// The least or greatest of the groups' bounds; unknown as soon as one group's is.
fn extreme(
    bounds: &ArrayRef,
    keep: std::cmp::Ordering,
    all_null: &dyn Fn(usize) -> bool,
) -> Option<ScalarValue> {
    let mut best: Option<ScalarValue> = None;
    for i in 0..bounds.len() {
        if bounds.is_null(i) {
            if all_null(i) {
                continue;
            }
            return None;
        }
        let value = ScalarValue::try_from_array(bounds, i).ok()?;
        best = match best {
            Some(old) if value.partial_cmp(&old) != Some(keep) => Some(old),
            _ => Some(value),
        };
    }
    best
}

/// A bound as JSON; `None` for what the protocol gives no bounds to (and for NaN, which has no order there).
fn render(value: &ScalarValue) -> Option<String> {
    let text = |s: &str| Some(Value::from(s).to_string());
    match value {
        ScalarValue::Int8(Some(v)) => Some(v.to_string()),
        ScalarValue::Int16(Some(v)) => Some(v.to_string()),
        ScalarValue::Int32(Some(v)) => Some(v.to_string()),
        ScalarValue::Int64(Some(v)) => Some(v.to_string()),
        ScalarValue::Float32(Some(v)) if v.is_finite() => Some(v.to_string()),
        ScalarValue::Float64(Some(v)) if v.is_finite() => Some(v.to_string()),
        ScalarValue::Decimal128(Some(v), precision, scale) => {
            Some(DecimalText(*v, *precision, *scale).to_string())
        }
        ScalarValue::Date32(Some(days)) => {
            text(&NaiveDate::from_epoch_days(*days)?.format("%Y-%m-%d").to_string())
        }
        ScalarValue::TimestampMicrosecond(Some(us), zone) => {
            let time = DateTime::from_timestamp_micros(*us)?.naive_utc();
            let suffix = if zone.is_some() { "Z" } else { "" };
            text(&format!("{}{suffix}", time.format("%Y-%m-%dT%H:%M:%S%.6f")))
        }
        ScalarValue::Utf8(Some(s)) | ScalarValue::Utf8View(Some(s)) | ScalarValue::LargeUtf8(Some(s)) => {
            text(s)
        }
        _ => None,
    }
}

struct DecimalText(i128, u8, i8);

impl std::fmt::Display for DecimalText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = <arrow::datatypes::Decimal128Type as arrow::datatypes::DecimalType>::format_decimal(
            self.0, self.1, self.2,
        );
        f.write_str(&text)
    }
}

/// A bound from its JSON text.
fn parse(raw: &str, data_type: &DataType) -> Option<ScalarValue> {
    let unquoted: String =
        if raw.starts_with('"') { serde_json::from_str(raw).ok()? } else { raw.to_string() };
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            // Other writers cut the fraction to milliseconds: whoever prunes by a maximum must widen it.
            let time =
                chrono::NaiveDateTime::parse_from_str(unquoted.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f")
                    .ok()
                    .map(|t| t.and_utc())
                    .or_else(|| DateTime::parse_from_rfc3339(&unquoted).ok().map(|t| t.to_utc()))?;
            Some(ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), zone.clone()))
        }
        DataType::Boolean | DataType::Binary | DataType::BinaryView | DataType::LargeBinary => None,
        other => ScalarValue::try_from_string(unquoted, other).ok().filter(|v| !v.is_null()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    #[test]
    fn bounds_survive_the_log() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("amount", DataType::Decimal128(18, 2), true),
            Field::new("at", utc, true),
            Field::new("day", DataType::Date32, true),
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
        ]);
        let bounds = |min: ScalarValue, max: ScalarValue| ColumnBounds {
            min: Some(min),
            max: Some(max),
            nulls: Some(3),
        };
        let at = |us| ScalarValue::TimestampMicrosecond(Some(us), Some("UTC".into()));
        let amount = |v| ScalarValue::Decimal128(Some(v), 18, 2);
        let statistics = FileStatistics {
            rows: Some(10),
            columns: BTreeMap::from([
                ("amount".to_string(), bounds(amount(-1), amount(123_456))),
                ("at".to_string(), bounds(at(-1), at(1_760_000_000_123_456))),
                ("day".to_string(), bounds(ScalarValue::Date32(Some(-1)), ScalarValue::Date32(Some(20_000)))),
                (
                    "id".to_string(),
                    bounds(ScalarValue::Int64(Some(i64::MIN)), ScalarValue::Int64(Some(i64::MAX))),
                ),
                ("name".to_string(), bounds(ScalarValue::from("\"a\""), ScalarValue::from("ü"))),
            ]),
        };
        assert_eq!(FileStatistics::from_json(&statistics.to_json(), &schema), statistics);
    }
}
