//! Functions that make rows of JSON, in FROM and in select lists: `jsonb_each(t.payload)`, `jsonb_array_elements('[1, 2]')`.
//!
//! The engine has the lists of their values, and of their keys. Their columns have names of their own, `key` and `value`,
//! whatever their item of FROM is called; and of what has one column only, the item's name means its value.

use super::fragments::{argument_of, call, cast, filled, literal, text_of};
use super::names::{in_catalog, normalized};
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, FunctionArguments, Ident, Select, TableAlias, TableFactor, visit_expressions_mut,
};
use std::ops::ControlFlow;

/// The functions of one column, and of two.
const ITEMS: [&str; 4] =
    ["json_array_elements", "json_array_elements_text", "jsonb_array_elements", "jsonb_array_elements_text"];
const MEMBERS: [&str; 4] = ["json_each", "json_each_text", "jsonb_each", "jsonb_each_text"];
/// One that has no name of its own for its column.
const KEYS: [&str; 2] = ["json_object_keys", "jsonb_object_keys"];

/// The columns of the rows that a function gives, with their names; `None` if it makes no rows of JSON.
pub fn columns(function: &str, arguments: &[Expr]) -> Option<Vec<(&'static str, Expr)>> {
    let arguments = read(function, arguments);
    let list = |name: &str| call("unnest", vec![call(name, arguments.clone())]);
    let typed = |list: Expr| match function {
        text if text.ends_with("_text") => list,
        _ => cast(list, json_type(function)),
    };
    if ITEMS.contains(&function) {
        return Some(vec![("value", typed(list(function)))]);
    }
    let keys = if function.starts_with("jsonb") { "jsonb_each_keys" } else { "json_each_keys" };
    let values = || typed(list(&format!("{function}_values")));
    MEMBERS.contains(&function).then(|| vec![("key", list(keys)), ("value", values())])
}

/// The places of an array's items, counted from one; `None` for a function that gives others.
pub fn places(function: &str, arguments: &[Expr]) -> Option<Expr> {
    let of = if function.starts_with("jsonb") { "jsonb_array_length" } else { "json_array_length" };
    let length = call(of, read(function, arguments));
    ITEMS.contains(&function).then(|| filled("SELECT generate_series(1, CAST(x AS BIGINT))", length))?
}

/// The columns of `json_to_record(x) AS t(a int, b text)` and `json_to_recordset(x) AS ...`: the members of these names, as
/// these types.
pub fn record_columns(
    function: &str,
    arguments: &[Expr],
    alias: Option<&TableAlias>,
) -> Option<Vec<(Ident, Expr)>> {
    let [argument] = arguments else { return None };
    let all = match function {
        "json_to_record" | "jsonb_to_record" => false,
        "json_to_recordset" | "jsonb_to_recordset" => true,
        _ => return None,
    };
    let rows = match text_of(argument) {
        Some(_) => cast(argument.clone(), json_type(function)),
        None => argument.clone(),
    };
    let elements = if function.starts_with("jsonb") { "jsonb_array_elements" } else { "json_array_elements" };
    let row = || if all { call("unnest", vec![call(elements, vec![rows.clone()])]) } else { rows.clone() };
    let columns = alias.map_or(&[][..], |alias| &alias.columns);
    let columns = columns.iter().map(|column| {
        let data_type = column.data_type.clone()?;
        let is_json = matches!(data_type, DataType::JSON | DataType::JSONB);
        let taken = if is_json { "json_get" } else { "json_get_text" };
        let value = call(taken, vec![row(), literal(&normalized(&column.name))]);
        Some((column.name.clone(), cast(value, data_type)))
    });
    columns.collect::<Option<Vec<_>>>().filter(|columns| !columns.is_empty())
}

/// The list whose items are rows.
pub fn list_of(rows: &Expr) -> Option<Expr> {
    match rows {
        Expr::Cast { expr, .. } => list_of(expr),
        Expr::Function(function) if in_catalog(&function.name).as_deref() == Some("unnest") => {
            match &function.args {
                FunctionArguments::List(list) => list.args.first().and_then(argument_of),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The rows that a function gives in a select list: a value each, or a record.
pub fn rows(function: &str, arguments: &[Expr]) -> Option<Expr> {
    if KEYS.contains(&function) {
        return Some(call("unnest", vec![call(function, read(function, arguments))]));
    }
    let mut columns: Vec<Expr> =
        columns(function, arguments)?.into_iter().map(|(_, column)| column).collect();
    Some(if columns.len() == 1 { columns.remove(0) } else { call("record_text", columns) })
}

/// Literals are read as the JSON that they are of.
pub fn read(function: &str, arguments: &[Expr]) -> Vec<Expr> {
    let is_of_json = KEYS.iter().chain(&ITEMS).chain(&MEMBERS).any(|name| *name == function);
    let argument = |argument: &Expr| match text_of(argument) {
        Some(_) if is_of_json => cast(argument.clone(), json_type(function)),
        _ => argument.clone(),
    };
    arguments.iter().map(argument).collect()
}

fn json_type(function: &str) -> DataType {
    if function.starts_with("jsonb") { DataType::JSONB } else { DataType::JSON }
}

/// `e` is `e.value` where `jsonb_array_elements(...) AS e` stands in FROM.
pub fn rewrite(select: &mut Select) {
    let factors = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let names: Vec<String> = factors.filter_map(name_of_items).collect();
    if names.is_empty() {
        return;
    }
    let _ = visit_expressions_mut(select, |expr| {
        if let Expr::Identifier(name) = expr
            && names.contains(&normalized(name))
        {
            *expr = Expr::CompoundIdentifier(vec![name.clone(), Ident::with_quote('"', "value")]);
        }
        ControlFlow::<()>::Continue(())
    });
}

/// What an item of FROM is called that has one column, if nobody named that.
fn name_of_items(factor: &TableFactor) -> Option<String> {
    let (function, alias) = match factor {
        TableFactor::Table { name, args: Some(_), alias: Some(alias), .. }
        | TableFactor::Function { name, alias: Some(alias), .. } => (in_catalog(name)?, alias),
        _ => return None,
    };
    (ITEMS.contains(&function.as_str()) && alias.columns.is_empty()).then(|| normalized(&alias.name))
}

/// The function that an item of FROM calls, with its arguments and its name.
pub fn called(factor: &TableFactor) -> Option<(String, Vec<Expr>, Option<&TableAlias>, bool)> {
    let (name, arguments, alias, with_ordinality) = match factor {
        TableFactor::Table { name, args: Some(arguments), alias, with_ordinality, .. } => {
            (name, &arguments.args, alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            (name, args, alias, *with_ordinality)
        }
        _ => return None,
    };
    let arguments = arguments.iter().map(argument_of).collect::<Option<Vec<_>>>()?;
    Some((in_catalog(name)?, arguments, alias.as_ref(), with_ordinality))
}
