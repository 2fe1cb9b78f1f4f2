//! Which PostgreSQL type an Arrow type is, and the other way round for parameters.

use crate::serve::Error;
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use std::sync::Arc;

/// The key of a field's metadata that names its PostgreSQL type where Arrow's does not tell: `oid`, `name`, `"char"`,
/// `int2vector` (spelt as `pg_type.typname`).
pub const TYPE_KEY: &str = "postgres.type";

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
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
}

/// Types with their names, lengths and arrays: (number, name, bytes or -1, number of the array or 0).
const TYPES: [(u32, &str, i16, u32); 45] = [
    (oid::BOOL, "bool", 1, 1000),
    (oid::BYTEA, "bytea", -1, 1001),
    (oid::CHAR, "char", 1, 1002),
    (oid::NAME, "name", 64, 1003),
    (oid::INT8, "int8", 8, 1016),
    (oid::INT2, "int2", 2, 1005),
    (oid::INT2VECTOR, "int2vector", -1, 1006),
    (oid::INT4, "int4", 4, 1007),
    (24, "regproc", 4, 1008),
    (oid::TEXT, "text", -1, 1009),
    (oid::OID, "oid", 4, 1028),
    (27, "tid", 6, 1010),
    (28, "xid", 4, 1011),
    (29, "cid", 4, 1012),
    (oid::OIDVECTOR, "oidvector", -1, 1013),
    (oid::JSON, "json", -1, 199),
    (194, "pg_node_tree", -1, 0),
    (oid::FLOAT4, "float4", 4, 1021),
    (oid::FLOAT8, "float8", 8, 1022),
    (oid::UNKNOWN, "unknown", -2, 0),
    (869, "inet", -1, 1041),
    (1033, "aclitem", 12, 1034),
    (oid::BPCHAR, "bpchar", -1, 1014),
    (oid::VARCHAR, "varchar", -1, 1015),
    (oid::DATE, "date", 4, 1182),
    (oid::TIME, "time", 8, 1183),
    (oid::TIMESTAMP, "timestamp", 8, 1115),
    (oid::TIMESTAMPTZ, "timestamptz", 8, 1185),
    (oid::INTERVAL, "interval", 16, 1187),
    (oid::NUMERIC, "numeric", -1, 1231),
    (2202, "regprocedure", 4, 2207),
    (2203, "regoper", 4, 2208),
    (2204, "regoperator", 4, 2209),
    (2205, "regclass", 4, 2210),
    (2206, "regtype", 4, 2211),
    (2277, "anyarray", -1, 0),
    (oid::UUID, "uuid", 16, 2951),
    (3220, "pg_lsn", 8, 3221),
    (3734, "regconfig", 4, 3735),
    (3769, "regdictionary", 4, 3770),
    (oid::JSONB, "jsonb", -1, 3807),
    (4089, "regnamespace", 4, 4090),
    (4096, "regrole", 4, 4097),
    (4191, "regcollation", 4, 4192),
    (5069, "xid8", 8, 271),
];

/// A column as `RowDescription` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) oid: u32,
    pub(super) size: i16,
    pub(super) modifier: i32,
}

/// A result's column.
pub(super) fn column(field: &Field) -> Column {
    let (oid, modifier) = type_of(field);
    let size = TYPES.iter().find(|(number, ..)| *number == oid).map_or(-1, |(_, _, size, _)| *size);
    Column { name: field.name().clone(), oid, size, modifier }
}

/// The type of a field and its modifier (-1: none): precision and scale of a numeric.
pub(super) fn type_of(field: &Field) -> (u32, i32) {
    if let Some(named) = field.metadata().get(TYPE_KEY) {
        if let Some((oid, ..)) = TYPES.iter().find(|(_, name, ..)| name == named) {
            return (*oid, -1);
        }
        let element =
            named.strip_prefix('_').and_then(|element| TYPES.iter().find(|(_, name, ..)| *name == element));
        if let Some((_, _, _, array)) = element {
            return (*array, -1);
        }
    }
    let uuid = field.extension_type_name() == Some("arrow.uuid");
    match field.data_type() {
        DataType::FixedSizeBinary(16) if uuid => (oid::UUID, -1),
        data_type => type_of_data(data_type),
    }
}

/// The type of values without a field.
pub(super) fn type_of_data(data_type: &DataType) -> (u32, i32) {
    let oid = match data_type {
        DataType::Boolean => oid::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => oid::INT2,
        DataType::Int32 | DataType::UInt16 => oid::INT4,
        DataType::Int64 | DataType::UInt32 => oid::INT8,
        DataType::UInt64 => oid::NUMERIC,
        DataType::Float16 | DataType::Float32 => oid::FLOAT4,
        DataType::Float64 => oid::FLOAT8,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            return (oid::NUMERIC, ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4);
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            oid::BYTEA
        }
        DataType::Date32 | DataType::Date64 => oid::DATE,
        DataType::Time32(_) | DataType::Time64(_) => oid::TIME,
        DataType::Timestamp(_, None) => oid::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => oid::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => oid::INTERVAL,
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => oid::JSON,
        DataType::Dictionary(_, values) => return type_of_data(values),
        DataType::RunEndEncoded(_, values) => return type_of(values),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            let (element, modifier) = type_of(item);
            return (array_of(element), modifier);
        }
        _ => oid::TEXT,
    };
    (oid, -1)
}

/// The array type of an element; an array of arrays has the same type as its rows.
pub(super) fn array_of(element: u32) -> u32 {
    match TYPES.iter().find(|(number, ..)| *number == element) {
        Some((.., array)) if *array != 0 => *array,
        _ => element,
    }
}

/// The element of an array type.
pub(super) fn element_of(array: u32) -> Option<u32> {
    TYPES.iter().find(|(.., of)| *of == array && array != 0).map(|(element, ..)| *element)
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
        _ => TYPES.iter().find(|(number, ..)| *number == oid).map_or("unknown", |(_, name, ..)| name),
    }
}

/// What a parameter that a client declared is for the engine; `None` lets the engine find out.
pub(super) fn arrow_type(declared: u32) -> Result<Option<DataType>, Error> {
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
