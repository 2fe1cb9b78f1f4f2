//! Column types as users write them → Arrow types that Delta can hold.

use super::cursor::Cursor;
use super::{Error, hint_did_you_mean};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, Fields, TimeUnit};
use datafusion::sql::sqlparser::tokenizer::Token;
use std::sync::Arc;

/// How deep types may nest.
const NESTING_MAX: usize = 32;

/// Reads a type: a scalar, `STRUCT<name type, ...>`, `ARRAY<type>`, `MAP<TEXT, type>`, any of them with `[]` behind.
pub(super) fn data_type(cursor: &mut Cursor<'_>) -> Result<DataType, Error> {
    nested_type(cursor, 0)
}

fn nested_type(cursor: &mut Cursor<'_>, depth: usize) -> Result<DataType, Error> {
    if depth >= NESTING_MAX {
        return Err(Error::new("54001", cursor.origin(), format!("types nest more than {NESTING_MAX} deep")));
    }
    let mut data_type = if cursor.take_words(&["STRUCT"]) {
        struct_type(cursor, depth)?
    } else if cursor.take_word("ARRAY") {
        open_angle(cursor, "ARRAY<TEXT>")?;
        let element = nested_type(cursor, depth + 1)?;
        close_angle(cursor)?;
        list_of(element)
    } else if cursor.take_word("MAP") {
        map_type(cursor, depth)?
    } else {
        scalar_type(cursor)?
    };
    let mut lists = depth;
    while cursor.take(&Token::LBracket) {
        lists += 1;
        if lists >= NESTING_MAX {
            return Err(Error::new(
                "54001",
                cursor.origin(),
                format!("types nest more than {NESTING_MAX} deep"),
            ));
        }
        if !cursor.take(&Token::RBracket) {
            return Err(cursor.unexpected("\"]\"").with_hint("Arrays have no fixed length: write TEXT[]."));
        }
        data_type = list_of(data_type);
    }
    Ok(data_type)
}

fn struct_type(cursor: &mut Cursor<'_>, depth: usize) -> Result<DataType, Error> {
    open_angle(cursor, "STRUCT<city TEXT, zip TEXT>")?;
    let mut fields: Vec<Field> = vec![];
    loop {
        let name = cursor.column_name()?;
        if fields.iter().any(|f| f.name().eq_ignore_ascii_case(&name.text)) {
            let message = format!("field \"{}\" stands twice in a STRUCT", name.text);
            return Err(Error::new("42701", cursor.source.origin(name.at), message));
        }
        // Spark writes `city: STRING`.
        cursor.take(&Token::Colon);
        let field_type = nested_type(cursor, depth + 1)?;
        if cursor.at_words(&["NOT", "NULL"]) {
            return Err(Error::unsupported(cursor.origin(), "NOT NULL inside STRUCT is not supported yet")
                .with_hint("Check it with an expectation in the silver table."));
        }
        fields.push(Field::new(name.text, field_type, true));
        if !cursor.take(&Token::Comma) {
            break;
        }
    }
    close_angle(cursor)?;
    Ok(DataType::Struct(Fields::from(fields)))
}

fn map_type(cursor: &mut Cursor<'_>, depth: usize) -> Result<DataType, Error> {
    open_angle(cursor, "MAP<TEXT, BIGINT>")?;
    let key_origin = cursor.origin();
    if nested_type(cursor, depth + 1)? != DataType::Utf8 {
        return Err(Error::unsupported(key_origin, "only TEXT can be the key of a MAP"));
    }
    cursor.expect(&Token::Comma)?;
    let value = nested_type(cursor, depth + 1)?;
    close_angle(cursor)?;
    // Names as Delta's own schemas have them.
    let entries =
        Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)]);
    Ok(DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entries), false)), false))
}

fn open_angle(cursor: &mut Cursor<'_>, example: &str) -> Result<(), Error> {
    if cursor.take(&Token::Lt) {
        return Ok(());
    }
    Err(cursor.unexpected("\"<\"").with_hint(format!("Write nested types as {example}.")))
}

fn close_angle(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    if cursor.take_closing_angle() { Ok(()) } else { Err(cursor.unexpected("\",\" or \">\"")) }
}

fn list_of(element: DataType) -> DataType {
    // The element's name as Delta's own schemas have it.
    DataType::List(Arc::new(Field::new("element", element, true)))
}

/// Every name of a scalar type, for suggestions.
const SCALARS: &[&str] = &[
    "smallint",
    "int",
    "integer",
    "bigint",
    "tinyint",
    "real",
    "float",
    "double",
    "decimal",
    "numeric",
    "boolean",
    "text",
    "string",
    "varchar",
    "bytea",
    "binary",
    "date",
    "timestamp",
    "timestamptz",
    "struct",
    "array",
    "map",
];

fn scalar_type(cursor: &mut Cursor<'_>) -> Result<DataType, Error> {
    let origin = cursor.origin();
    let name = cursor.identifier("a type")?.text;
    let data_type = match name.as_str() {
        "tinyint" | "int1" => DataType::Int8,
        "smallint" | "int2" => DataType::Int16,
        "int" | "integer" | "int4" => DataType::Int32,
        "bigint" | "int8" | "long" => DataType::Int64,
        "real" | "float4" => DataType::Float32,
        "float" | "float8" => DataType::Float64,
        "double" => {
            cursor.take_word("PRECISION");
            DataType::Float64
        }
        "boolean" | "bool" => DataType::Boolean,
        "decimal" | "numeric" | "dec" => return decimal_type(cursor),
        "text" | "string" => DataType::Utf8,
        "varchar" | "char" | "character" | "bpchar" => {
            cursor.take_word("VARYING");
            return text_type(cursor);
        }
        "bytea" | "binary" | "blob" | "varbinary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamptz" => return timestamp_type(cursor, true),
        "timestamp" => {
            let zoned = cursor.take_words(&["WITH", "TIME", "ZONE"]);
            if !zoned {
                cursor.take_words(&["WITHOUT", "TIME", "ZONE"]);
            }
            return timestamp_type(cursor, zoned);
        }
        "time" | "timetz" | "interval" => {
            let message = format!("a column cannot be {}: Delta has no such type", name.to_uppercase());
            return Err(Error::unsupported(origin, message)
                .with_hint("Declare it TEXT, or BIGINT for a number of seconds."));
        }
        "json" | "jsonb" | "variant" | "uuid" | "xml" | "inet" => {
            let message = format!("type {} is not supported yet", name.to_uppercase());
            return Err(Error::unsupported(origin, message)
                .with_hint("Declare it TEXT, or for JSON the fields as STRUCT<...>."));
        }
        "serial" | "bigserial" | "money" | "geometry" | "geography" => {
            return Err(Error::unsupported(origin, format!("type {} is not supported", name.to_uppercase()))
                .with_hint("Declare BIGINT, or DECIMAL(18,2) for amounts."));
        }
        "uint1" | "uint2" | "uint4" | "uint8" | "unsigned" => {
            return Err(Error::unsupported(origin, "Delta has no unsigned numbers")
                .with_hint("Declare the next wider signed type."));
        }
        _ => {
            let hint = hint_did_you_mean(&name, SCALARS.iter().copied());
            return Err(Error::new("42704", origin, format!("type \"{name}\" does not exist"))
                .with_hint(hint.unwrap_or_else(|| {
                    "Types are BIGINT, INT, SMALLINT, DOUBLE, REAL, DECIMAL(p,s), BOOLEAN, TEXT, BYTEA, DATE, TIMESTAMP, \
                     TIMESTAMPTZ, STRUCT<...>, ARRAY<...>, MAP<TEXT, ...>."
                        .to_string()
                })));
        }
    };
    Ok(data_type)
}

/// `DECIMAL`, `DECIMAL(p)`, `DECIMAL(p,s)`; alone it is DECIMAL(38,10), as in DataFusion.
fn decimal_type(cursor: &mut Cursor<'_>) -> Result<DataType, Error> {
    if !cursor.take(&Token::LParen) {
        return Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 10));
    }
    let origin = cursor.origin();
    let precision = cursor.whole_number("a precision")?;
    let scale = if cursor.take(&Token::Comma) { cursor.whole_number("a scale")? } else { 0 };
    cursor.expect(&Token::RParen)?;
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p @ 1..=DECIMAL128_MAX_PRECISION), Ok(s)) if scale <= precision => Ok(DataType::Decimal128(p, s)),
        _ => Err(Error::new("22023", origin, format!("DECIMAL({precision},{scale}) does not exist"))
            .with_hint("The precision goes from 1 to 38, the scale from 0 to the precision.")),
    }
}

/// Text of a declared length would promise a check that nobody makes.
fn text_type(cursor: &mut Cursor<'_>) -> Result<DataType, Error> {
    if cursor.peek() == Some(&Token::LParen) {
        return Err(Error::unsupported(cursor.origin(), "the length of a text is not supported").with_hint(
            "Declare it TEXT, and check the length with an expectation: EXPECT (length(name) <= 20).",
        ));
    }
    Ok(DataType::Utf8)
}

fn timestamp_type(cursor: &mut Cursor<'_>, zoned: bool) -> Result<DataType, Error> {
    if cursor.peek() == Some(&Token::LParen) {
        return Err(Error::unsupported(cursor.origin(), "the precision of a timestamp is not supported")
            .with_hint("Timestamps are kept in microseconds: leave the precision out."));
    }
    Ok(DataType::Timestamp(TimeUnit::Microsecond, zoned.then(|| "UTC".into())))
}

/// A type as users write it, for messages.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_string(),
        DataType::Int8 => "TINYINT".to_string(),
        DataType::Int16 => "SMALLINT".to_string(),
        DataType::Int32 => "INT".to_string(),
        DataType::Int64 => "BIGINT".to_string(),
        DataType::Float32 => "REAL".to_string(),
        DataType::Float64 => "DOUBLE".to_string(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "TEXT".to_string(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTEA".to_string(),
        DataType::Date32 => "DATE".to_string(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_string(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".to_string(),
        DataType::List(element) => format!("{}[]", type_name(element.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{} {}", f.name(), type_name(f.data_type()))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types: Vec<String> = fields.iter().map(|f| type_name(f.data_type())).collect();
                format!("MAP<{}>", types.join(", "))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}
