//! Arrays of several dimensions: `'{{1,2},{3,4}}'::int[]`, `unnest(ARRAY[[1,2],[3,4]])`.

use super::arrays::{array, items, null};
use super::fragments::{call, cast, literal, take};
use super::names::in_catalog;
use datafusion::sql::sqlparser::ast::{
    Array, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
};

/// The array of a literal of several dimensions, if its parts are of one length; `None` for any other literal.
pub fn array_of(text: &str, item: &DataType) -> Option<Expr> {
    let parts = parts(text)?;
    let built = parts.iter().map(|part| match array_of(part, item) {
        Some(inner) => Some(inner),
        None => {
            let typed =
                |text: &Option<String>| cast(text.as_deref().map_or_else(null, literal), item.clone());
            Some(array(items(part)?.iter().map(typed).collect()))
        }
    });
    let built = built.collect::<Option<Vec<Expr>>>()?;
    let length = |part: &Expr| match part {
        Expr::Array(Array { elem, .. }) => elem.len(),
        _ => 0,
    };
    let first = built.first().map(length)?;
    built.iter().all(|part| length(part) == first).then(|| array(built))
}

/// The texts of the arrays in an array of arrays.
fn parts(text: &str) -> Option<Vec<&str>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if !inner.trim_start().starts_with('{') {
        return None;
    }
    let (mut parts, mut depth, mut start) = (vec![], 0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, letter) in inner.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            '}' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    parts.push(&inner[start..=at]);
                }
            }
            ',' => {}
            letter if depth == 0 && !letter.is_whitespace() => return None,
            _ => {}
        }
    }
    (depth == 0).then_some(parts)
}

/// `unnest` gives the values of all dimensions.
pub fn flatten(function: &mut Function) {
    if in_catalog(&function.name).as_deref() != Some("unnest") {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument {
            let depth = depth(argument);
            (1..depth).for_each(|_| *argument = call("flatten", vec![take(argument)]));
        }
    }
}

/// Dimensions of an array that is written out.
fn depth(expr: &Expr) -> usize {
    match expr {
        Expr::Array(Array { elem, .. }) => 1 + elem.first().map_or(0, depth),
        _ => 0,
    }
}
