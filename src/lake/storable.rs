//! Which Arrow types our Delta tables can hold, and what a query's output is cast to.
//!
//! Comes in: the schema of a query. Goes out: the schema its rows are stored in, such that every value of the first can
//! be cast to the second without loss (a number beyond 64 signed bits fails the cast, it is not cut), or the column that
//! no Delta table can hold.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use std::fmt;
use std::sync::Arc;

/// A column that no Delta table can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstorable {
    /// Its name; dotted when it lies within another.
    pub column: String,
    /// Its type.
    pub data_type: DataType,
    /// What to do about it: a full sentence.
    pub hint: &'static str,
}

impl std::error::Error for Unstorable {}

impl fmt::Display for Unstorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.data_type {
            DataType::Null => "NULL of no type",
            DataType::Interval(_) | DataType::Duration(_) => "an interval",
            DataType::Time32(_) | DataType::Time64(_) => "a time of day",
            DataType::Union(_, _) => "a union",
            _ => "a decimal of too many digits",
        };
        write!(f, "column \"{}\" is {kind}, which no Delta table holds", self.column)
    }
}

/// The schema in which rows of this schema are stored. Names, order and nullability stay; metadata goes.
pub fn storable(schema: &Schema) -> Result<Schema, Unstorable> {
    let fields = schema.fields().iter().map(|field| storable_field(field, field.name()));
    Ok(Schema::new(fields.collect::<Result<Vec<_>, _>>()?))
}

fn storable_field(field: &Field, path: &str) -> Result<Field, Unstorable> {
    Ok(Field::new(field.name(), storable_type(field.data_type(), path)?, field.is_nullable()))
}

fn storable_type(data_type: &DataType, path: &str) -> Result<DataType, Unstorable> {
    let refuse = |hint| Err(Unstorable { column: path.to_string(), data_type: data_type.clone(), hint });
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32 => data_type.clone(),

        // The next wider signed type holds all values; for 64 bits there is none, and row_number() needs none.
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,

        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,

        DataType::Date64 => DataType::Date32,
        // An instant is the same instant in any zone.
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into()))
        }

        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => match storable_decimal(*precision, *scale) {
            Some(decimal) => decimal,
            None => return refuse("Cast it to DECIMAL(38, s) or DOUBLE."),
        },

        DataType::Dictionary(_, values) => storable_type(values, path)?,
        DataType::RunEndEncoded(_, values) => storable_type(values.data_type(), path)?,

        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => {
            let inner = storable_type(element.data_type(), &format!("{path}.element"))?;
            // The element's name as Delta's own schemas have it.
            DataType::List(Arc::new(Field::new("element", inner, element.is_nullable())))
        }
        DataType::Struct(fields) => DataType::Struct(storable_fields(fields, path)?),
        DataType::Map(entries, sorted) => map_type(entries, *sorted, path)?,

        DataType::Null => return refuse("Give it a type, as in CAST(NULL AS TEXT)."),
        DataType::Interval(_) | DataType::Duration(_) => {
            return refuse("Store a number, as in EXTRACT(EPOCH FROM x).");
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            return refuse("Cast it to TEXT, or store it with its date as a TIMESTAMP.");
        }
        DataType::Union(_, _) => return refuse("Cast it to one type."),
    })
}

fn storable_fields(fields: &Fields, path: &str) -> Result<Fields, Unstorable> {
    fields.iter().map(|f| storable_field(f, &format!("{path}.{}", f.name()))).collect()
}

/// Keys and values under the names of Delta's own schemas.
fn map_type(entries: &FieldRef, sorted: bool, path: &str) -> Result<DataType, Unstorable> {
    let DataType::Struct(fields) = entries.data_type() else {
        return storable_type(entries.data_type(), path);
    };
    let renamed: Vec<Field> = storable_fields(fields, path)?
        .iter()
        .zip(["key", "value"])
        .map(|(field, name)| field.as_ref().clone().with_name(name))
        .collect();
    Ok(DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(renamed.into()), false)), sorted))
}

/// DECIMAL with 1 to 38 digits, of which 0 up to all stand behind the point.
fn storable_decimal(precision: u8, scale: i8) -> Option<DataType> {
    let (precision, scale) = match u8::try_from(scale) {
        Ok(scale) => (precision.max(scale), scale),
        // A negative scale stands for zeros before the point.
        Err(_) => (precision.checked_add(scale.unsigned_abs())?, 0),
    };
    let fits = precision <= DECIMAL128_MAX_PRECISION;
    fits.then_some(DataType::Decimal128(precision.max(1), i8::try_from(scale).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::IntervalUnit;

    fn stored(data_type: DataType) -> Result<DataType, String> {
        let schema = Schema::new(vec![Field::new("x", data_type, true)]);
        storable(&schema).map(|s| s.field(0).data_type().clone()).map_err(|e| format!("{e}. {}", e.hint))
    }

    #[test]
    fn every_type_is_stored_or_refused() {
        let us = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        for (from, to) in [
            (DataType::Utf8View, DataType::Utf8),
            (DataType::LargeUtf8, DataType::Utf8),
            (DataType::BinaryView, DataType::Binary),
            (DataType::FixedSizeBinary(16), DataType::Binary),
            (DataType::UInt8, DataType::Int16),
            (DataType::UInt64, DataType::Int64),
            (DataType::Float16, DataType::Float32),
            (DataType::Date64, DataType::Date32),
            (DataType::Timestamp(TimeUnit::Nanosecond, None), us(None)),
            (DataType::Timestamp(TimeUnit::Second, Some("+02:00".into())), us(Some("UTC"))),
            (DataType::Decimal256(38, 4), DataType::Decimal128(38, 4)),
            (DataType::Decimal128(5, -3), DataType::Decimal128(8, 0)),
            (DataType::Decimal32(2, 4), DataType::Decimal128(4, 4)),
            (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View)), DataType::Utf8),
        ] {
            assert_eq!(stored(from.clone()), Ok(to), "{from}");
        }
        for refused in [
            DataType::Null,
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Duration(TimeUnit::Second),
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Decimal256(39, 2),
            DataType::Decimal128(38, -1),
        ] {
            assert!(stored(refused.clone()).is_err(), "{refused}");
        }
    }

    #[test]
    fn nesting_is_followed() {
        let inner = Field::new("views", DataType::new_list(DataType::Utf8View, true), true);
        let expected = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
        let DataType::Struct(fields) = stored(DataType::Struct(vec![inner].into())).unwrap() else {
            panic!()
        };
        assert_eq!(fields[0].data_type(), &expected);

        let bad = DataType::Struct(vec![Field::new("gone", DataType::Null, true)].into());
        assert_eq!(
            stored(bad).unwrap_err(),
            "column \"x.gone\" is NULL of no type, which no Delta table holds. Give it a type, as in CAST(NULL AS TEXT)."
        );
    }
}
