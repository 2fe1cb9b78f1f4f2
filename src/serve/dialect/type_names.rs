//! Types in casts that Arrow knows no difference for: `x::name`, `x::varchar`, `x::oid`.
//!
//! The cast keeps PostgreSQL's name in its field's metadata, where [`super::result_types`] finds it.

use crate::serve::postgres::catalog::types::{
    BuiltinType, PG_TYPE_KEY, PG_TYPMOD_KEY, arrow_field, numeric_typmod, types,
};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{self, ArrayElemTypeDef, ObjectName};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct TypeNames;

impl TypePlanner for TypeNames {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        Ok(match sql_type {
            ast::DataType::Array(
                ArrayElemTypeDef::SquareBracket(item, None) | ArrayElemTypeDef::AngleBracket(item),
            ) => named(item).and_then(|item| types().by_oid(item.array)).map(field),
            ast::DataType::Numeric(ast::ExactNumberInfo::PrecisionAndScale(precision, scale))
            | ast::DataType::Decimal(ast::ExactNumberInfo::PrecisionAndScale(precision, scale))
            | ast::DataType::Dec(ast::ExactNumberInfo::PrecisionAndScale(precision, scale)) => {
                numeric(*precision, *scale)
            }
            // What rewriting puts in.
            ast::DataType::BigNumeric(ast::ExactNumberInfo::PrecisionAndScale(precision, scale)) => {
                let (precision, scale) = (u8::try_from(*precision).ok(), i8::try_from(*scale).ok());
                let data_type = precision.zip(scale).map(|(p, s)| DataType::Decimal128(p, s));
                data_type.map(|data_type| Arc::new(Field::new("", data_type, true)))
            }
            ast::DataType::Numeric(ast::ExactNumberInfo::Precision(precision))
            | ast::DataType::Decimal(ast::ExactNumberInfo::Precision(precision))
            | ast::DataType::Dec(ast::ExactNumberInfo::Precision(precision)) => numeric(*precision, 0),
            other => named(other).map(field).map(|field| match length(other) {
                Some(length) => modified(&field, length + 4),
                None => field,
            }),
        })
    }
}

/// `numeric(precision, scale)`, with what was said of it; `None` for what the engine refuses.
fn numeric(precision: u64, scale: i64) -> Option<FieldRef> {
    let (precision, scale) = (u8::try_from(precision).ok()?, i8::try_from(scale).ok()?);
    let data_type = match precision {
        1..=DECIMAL128_MAX_PRECISION => DataType::Decimal128(precision, scale),
        _ => return None,
    };
    let fits = (0..=i8::try_from(precision).ok()?).contains(&scale);
    let plain: FieldRef = Arc::new(Field::new("", data_type, true));
    fits.then(|| modified(&plain, numeric_typmod(precision, scale)))
}

/// The field with a `typmod`.
fn modified(field: &FieldRef, typmod: i32) -> FieldRef {
    let mut metadata = field.metadata().clone();
    metadata.insert(PG_TYPMOD_KEY.to_string(), typmod.to_string());
    Arc::new(Field::clone(field).with_metadata(metadata))
}

/// How many characters a text may have: `varchar(3)`; `char` is one.
fn length(sql_type: &ast::DataType) -> Option<i32> {
    let (length, otherwise) = match sql_type {
        ast::DataType::Varchar(length)
        | ast::DataType::CharacterVarying(length)
        | ast::DataType::CharVarying(length) => (length.as_ref(), None),
        ast::DataType::Char(length) | ast::DataType::Character(length) => (length.as_ref(), Some(1)),
        _ => return None,
    };
    match length {
        Some(ast::CharacterLength::IntegerLength { length, .. }) => i32::try_from(*length).ok(),
        Some(ast::CharacterLength::Max) => None,
        None => otherwise,
    }
}

/// A type that needs its name kept; `None` where Arrow's type says it all.
fn named(sql_type: &ast::DataType) -> Option<&'static BuiltinType> {
    match sql_type {
        ast::DataType::Varchar(_) | ast::DataType::CharacterVarying(_) | ast::DataType::CharVarying(_) => {
            types().by_name("varchar")
        }
        ast::DataType::Char(_) | ast::DataType::Character(_) => types().by_name("bpchar"),
        ast::DataType::JSON => types().by_name("json"),
        ast::DataType::JSONB => types().by_name("jsonb"),
        ast::DataType::Custom(name, _) => custom(name),
        _ => None,
    }
}

fn custom(name: &ObjectName) -> Option<&'static BuiltinType> {
    let last = name.0.last()?.as_ident()?;
    match (last.quote_style, last.value.to_lowercase().as_str()) {
        // Without quotes `char` is the SQL standard's type.
        (Some(_), "char") => types().by_name("\"char\""),
        (_, "sql_identifier") => types().by_name("name"),
        (_, "character_data" | "yes_or_no") => types().by_name("varchar"),
        (_, "cardinal_number") => types().by_name("int4"),
        (_, name) => types().by_name(name),
    }
}

fn field(ty: &BuiltinType) -> FieldRef {
    let known = arrow_field("", &ty.name);
    let data_type = match known.data_type() {
        // As the engine holds text that comes of a cast.
        DataType::Utf8 => DataType::Utf8View,
        other => other.clone(),
    };
    let metadata = [(PG_TYPE_KEY.to_string(), ty.name.clone())];
    Arc::new(Field::new("", data_type, true).with_metadata(metadata.into()))
}
