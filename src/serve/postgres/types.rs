//! PostgreSQL's types as the protocol numbers them. Which of them an Arrow type is, [`catalog::types`] tells; the other
//! way round, for parameters, is told here.

use super::catalog;
use super::catalog::types::{BuiltinType, ColumnType, ORIGIN_KEY};
use crate::serve::Error;
use crate::serve::ParameterType;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// The numbers of types, as in `pg_type`.
pub(super) mod oid {
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT2VECTOR: u32 = 22;
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const OIDVECTOR: u32 = 30;
    pub const JSON: u32 = 114;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const UNKNOWN: u32 = 705;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIME: u32 = 1083;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const INTERVAL: u32 = 1186;
    pub const NUMERIC: u32 = 1700;
    pub const REGTYPE: u32 = 2206;
    pub const INET: u32 = 869;
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
}

/// A column as `RowDescription` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) oid: u32,
    pub(super) size: i16,
    pub(super) modifier: i32,
    /// The relation that it is a column of, and its place there; 0 for what is computed.
    pub(super) origin: (i32, i16),
}

/// A result's column.
pub(super) fn column(field: &Field) -> Column {
    let (oid, modifier) = type_of(field);
    let size = builtin(oid).map_or(-1, |ty| ty.length);
    let origin = field.metadata().get(ORIGIN_KEY).and_then(|origin| {
        let (relation, place) = origin.split_once('.')?;
        Some((relation.parse().ok()?, place.parse().ok()?))
    });
    Column { name: field.name().clone(), oid, size, modifier, origin: origin.unwrap_or_default() }
}

/// The type of a field and its modifier (-1: none): precision and scale of a numeric.
pub(super) fn type_of(field: &Field) -> (u32, i32) {
    numbers(catalog::types::column_type(field))
}

/// The type of values without a field.
pub(super) fn type_of_data(data_type: &DataType) -> (u32, i32) {
    numbers(catalog::types::data_column_type(data_type))
}

/// Whether values are numbers that print as names: they come as a struct of both.
pub(super) fn is_identifier(oid: u32) -> bool {
    catalog::types::oid::IDENTIFIERS.contains(&oid.cast_signed())
}

/// The element of an array type.
pub(super) fn element_of(array: u32) -> Option<u32> {
    catalog::types::types().element_of(array.cast_signed()).map(i32::cast_unsigned)
}

fn builtin(oid: u32) -> Option<&'static BuiltinType> {
    catalog::types::types().by_oid(oid.cast_signed())
}

fn numbers(ty: ColumnType) -> (u32, i32) {
    (ty.oid.cast_unsigned(), ty.typmod)
}

/// A type's name for messages.
pub(super) fn name(oid: u32) -> &'static str {
    match oid {
        oid::INT2 => "smallint",
        oid::INT4 => "integer",
        oid::INT8 => "bigint",
        oid::FLOAT4 => "real",
        oid::FLOAT8 => "double precision",
        oid::BOOL => "boolean",
        oid::TIMESTAMP => "timestamp",
        oid::TIMESTAMPTZ => "timestamp with time zone",
        _ => builtin(oid).map_or("unknown", |ty| ty.name.as_str()),
    }
}

/// A type as SQL spells it: `integer`.
pub(super) fn spelling(oid: i32) -> String {
    catalog::types::types().format(oid, None)
}

/// The type that SQL spells so, if its values can be parameters.
pub(super) fn spelt(name: &str) -> Option<u32> {
    let oid = catalog::types::types().by_name(name)?.oid.cast_unsigned();
    matches!(arrow_type(oid), Ok(Some(_))).then_some(oid)
}

/// The type of a parameter by PostgreSQL's number; `None` lets the engine find out.
pub(in crate::serve) fn parameter_type(declared: u32) -> Result<Option<ParameterType>, Error> {
    let name = || builtin(declared).map(|ty| ty.name.clone());
    Ok(arrow_type(declared)?.map(|data_type| ParameterType { data_type, name: name() }))
}

/// What a parameter that a client declared is for the engine; `None` lets the engine find out.
pub(in crate::serve) fn arrow_type(declared: u32) -> Result<Option<DataType>, Error> {
    Ok(Some(match declared {
        0 | oid::UNKNOWN => return Ok(None),
        oid::BOOL => DataType::Boolean,
        oid::INT2 => DataType::Int16,
        oid::INT4 => DataType::Int32,
        oid::INT8 | oid::OID => DataType::Int64,
        oid::FLOAT4 => DataType::Float32,
        oid::FLOAT8 => DataType::Float64,
        oid::NUMERIC => DataType::Decimal128(38, 10),
        oid::TEXT
        | oid::VARCHAR
        | oid::BPCHAR
        | oid::NAME
        | oid::CHAR
        | oid::JSON
        | oid::JSONB
        | oid::UUID => DataType::Utf8,
        // Read as their names, or as their numbers.
        identifier if is_identifier(identifier) => DataType::Utf8,
        oid::BYTEA => DataType::Binary,
        oid::DATE => DataType::Date32,
        oid::TIME => DataType::Time64(TimeUnit::Microsecond),
        oid::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        oid::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        oid::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        array => match element_of(array) {
            Some(element) => match arrow_type(element)? {
                Some(item) => DataType::List(Arc::new(Field::new_list_field(item, true))),
                None => return Ok(None),
            },
            None => {
                return Err(Error::new(
                    "0A000",
                    format!("parameters of the type with OID {array} are not supported"),
                ));
            }
        },
    }))
}
