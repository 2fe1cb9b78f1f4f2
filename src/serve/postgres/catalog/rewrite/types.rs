//! Type names in casts: `::pg_catalog.text`, `::regclass`, `::oid`, `::name`, `::"char"`.

use super::fragments::{call, cast, take, text_of};
use super::names::{identifier_kind, in_catalog, printed};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, Expr, ObjectName, TimezoneInfo, Value,
};

/// Applies the rules to one expression.
pub fn rewrite(expr: &mut Expr) {
    if let Expr::TypedString(typed) = expr {
        let digits = without_precision(&mut typed.data_type);
        if let Some(digits) = digits {
            *expr = call("to_precision", vec![take(expr), number(digits)]);
        }
        return;
    }
    let Expr::Cast { expr: inner, data_type, .. } = expr else {
        return;
    };
    if let Some(digits) = without_precision(data_type) {
        *expr = call("to_precision", vec![take(expr), number(digits)]);
        return;
    }
    if let Some(kind) = identifier_type(data_type) {
        *expr = call(&format!("{kind}in"), vec![take(inner)]);
        return;
    }
    if *data_type == DataType::Uuid {
        *expr = call("uuid_in", vec![cast(take(inner), DataType::Text)]);
        return;
    }
    if let Some(cut) = cut_to_length(inner, data_type) {
        **inner = cut;
    }
    standard(data_type);
    if is_text(data_type)
        && let Some(kind) = identifier_kind(inner)
    {
        *expr = printed(kind, take(inner));
    }
}

/// The digits of a second that a type of time names, which it has no longer then.
fn without_precision(data_type: &mut DataType) -> Option<u64> {
    /// As many as there are: more are taken for these.
    const DIGITS_MAX: u64 = 6;
    let digits = match data_type {
        DataType::Timestamp(digits, TimezoneInfo::Tz) => {
            let digits = digits.take();
            *data_type = DataType::Timestamp(None, TimezoneInfo::WithTimeZone);
            digits
        }
        DataType::Timestamp(digits, _) | DataType::Time(digits, TimezoneInfo::None) => digits.take(),
        DataType::Interval { fields: None, precision } => precision.take(),
        DataType::Custom(name, arguments) if in_catalog(name).as_deref() == Some("timestamptz") => {
            let digits = arguments.first().and_then(|digits| digits.parse().ok());
            if digits.is_some() {
                *data_type = DataType::Timestamp(None, TimezoneInfo::WithTimeZone);
            }
            digits
        }
        _ => None,
    };
    digits.map(|digits| digits.min(DIGITS_MAX))
}

fn number(number: u64) -> Expr {
    Expr::value(Value::Number(number.to_string(), false))
}

/// The `reg*` type that is meant.
fn identifier_type(data_type: &DataType) -> Option<&'static str> {
    let name = match data_type {
        DataType::Regclass => return Some("regclass"),
        DataType::Custom(name, _) => in_catalog(name)?,
        _ => return None,
    };
    ["regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole"]
        .into_iter()
        .find(|kind| *kind == name)
}

/// `x::varchar(3)` has three characters at most, `x::char(3)` three, blanks included.
fn cut_to_length(inner: &Expr, data_type: &DataType) -> Option<Expr> {
    let (length, is_padded) = match data_type {
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            (length.as_ref(), false)
        }
        DataType::Char(length) | DataType::Character(length) => (length.as_ref(), true),
        _ => return None,
    };
    let length = match length {
        Some(CharacterLength::IntegerLength { length, .. }) => *length,
        Some(CharacterLength::Max) => return None,
        None if is_padded => 1,
        None => return None,
    };
    let count = || number(length);
    let cut = call("left", vec![cast(inner.clone(), DataType::Text), count()]);
    Some(if is_padded { call("rpad", vec![cut, count()]) } else { cut })
}

/// Turns names that only PostgreSQL has into those of the SQL standard.
fn standard(data_type: &mut DataType) {
    match data_type {
        DataType::Custom(name, _) => {
            if let Some(known) = standard_of(name) {
                *data_type = known;
            }
        }
        DataType::Uuid => *data_type = DataType::Text,
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _) | ArrayElemTypeDef::AngleBracket(item)) => {
            standard(item);
        }
        _ => {}
    }
}

fn standard_of(name: &ObjectName) -> Option<DataType> {
    let name = match in_catalog(name) {
        Some(name) => name,
        None => super::names::parts(name)
            .filter(|parts| parts.len() == 2 && parts[0] == "information_schema")?
            .pop()?,
    };
    Some(match name.as_str() {
        "text" | "cstring" | "xml" | "aclitem" | "pg_node_tree" | "unknown" => DataType::Text,
        "bool" | "boolean" => DataType::Boolean,
        "int2" | "smallint" => DataType::SmallInt(None),
        "int4" | "int" | "integer" | "cardinal_number" => DataType::Int(None),
        "int8" | "bigint" => DataType::BigInt(None),
        "float4" | "real" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp(None, TimezoneInfo::None),
        "timestamptz" => DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
        "bytea" => DataType::Bytea,
        _ => return None,
    })
}

/// `name` is text of its own kind; [`crate::serve::dialect`] tells them apart.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Text | DataType::Varchar(_) => true,
        DataType::Custom(name, _) => in_catalog(name).is_some_and(|name| name == "name"),
        _ => false,
    }
}

/// A cast of a string literal to an array, as the literal's text and the item type.
pub fn array_literal(expr: &Expr) -> Option<(&str, &DataType)> {
    match expr {
        Expr::Cast { expr, data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)), .. } => {
            Some((text_of(expr)?, item))
        }
        _ => None,
    }
}
