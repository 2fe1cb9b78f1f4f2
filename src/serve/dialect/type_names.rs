//! Types in casts that Arrow knows no difference for: `x::name`, `x::varchar`, `x::oid`.
//!
//! The cast keeps PostgreSQL's name in its field's metadata, where [`super::result_types`] finds it.

use crate::serve::postgres::catalog::types::{BuiltinType, PG_TYPE_KEY, arrow_field, types};
use arrow::datatypes::{DataType, Field, FieldRef};
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
            other => named(other).map(field),
        })
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
