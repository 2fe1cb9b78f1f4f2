//! `c.tableoid`: the number of the catalog that `c` stands for. psql finds comments by it.

use super::fragments::cast;
use super::names::{normalized, parts};
use crate::lake::TableName;
use crate::serve::postgres::catalog::model::Model;
use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, ObjectName, Select, TableFactor, Value};
use std::collections::HashMap;

/// The numbers of the catalogs that one SELECT reads, by the names that they have in it.
pub type TableOids = HashMap<String, i32>;

/// What a SELECT's FROM names.
pub fn of_select(select: &Select, model: &Model, search_path: &[String]) -> TableOids {
    let joined = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    joined.filter_map(|factor| of_factor(factor, model, search_path)).collect()
}

fn of_factor(factor: &TableFactor, model: &Model, search_path: &[String]) -> Option<(String, i32)> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let names = parts(name)?;
    let class = match names.as_slice() {
        [name] => model.find(name, search_path),
        [.., schema, name] => model.class_named(&TableName::new(schema, name)),
        [] => None,
    };
    let called = alias.as_ref().map(|alias| normalized(&alias.name)).or_else(|| names.last().cloned())?;
    class.filter(|class| class.builtin).map(|class| (called, class.oid))
}

/// Applies the rule to one expression; the innermost SELECT comes last.
pub fn rewrite(expr: &mut Expr, selects: &[TableOids]) {
    if let Expr::CompoundIdentifier(names) = expr
        && let [table, column] = names.as_slice()
        && normalized(column) == "tableoid"
        && let Some(oid) = selects.iter().rev().find_map(|named| named.get(&normalized(table)))
    {
        let number = Expr::value(Value::Number(oid.to_string(), false));
        *expr = cast(number, DataType::Custom(ObjectName::from(vec![Ident::new("oid")]), vec![]));
    }
}
