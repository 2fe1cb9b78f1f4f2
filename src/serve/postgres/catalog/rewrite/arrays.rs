//! Arrays: `'{a,b}'` as a value, `ARRAY(SELECT ..)`, subscripts of `int2vector`.

use super::fragments::take;
use super::fragments::{call, cast, function, literal, query, select_of, text_of};
use super::names::{columns_of, normalized};
use super::types::array_literal;
use super::{nested, ordered};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Ident, OrderByExpr, OrderByKind, Query, Select, SelectItem, Subscript,
    TableFactor, Value,
};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Catalog columns that are arrays.
static ARRAY_COLUMNS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    columns_of(&["_oid", "_int2", "_text", "_char", "_aclitem", "_name", "int2vector", "oidvector"])
});

/// Applies the rules to one expression.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(function) => {
            nested::flatten(function);
            if let Some(array) = array_of_query(function) {
                *expr = array;
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => count_from_one(root, access_chain),
        Expr::Cast {
            expr: of,
            data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(item, None)),
            ..
        } => cast_items(of, item),
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            let items = text_of(right).and_then(items);
            if let Some(items) = items {
                **right =
                    array(items.iter().map(|item| item.as_deref().map_or_else(null, untyped)).collect());
            }
            if let Some(listed) = listed(expr) {
                *expr = listed;
            }
        }
        Expr::BinaryOp { left, op, right } if is_comparison(op) => {
            literal_beside_column(left, right);
            literal_beside_column(right, left);
        }
        _ => {}
    }
    if let Some((text, item)) = array_literal(expr)
        && let Some(boxed) = nested::array_of(text, item)
    {
        *expr = boxed;
    } else if let Some((text, item)) = array_literal(expr)
        && let Some(items) = items(text)
    {
        let item = item.clone();
        let typed = items.iter().map(|text| cast(text.as_deref().map_or_else(null, literal), item.clone()));
        *expr = if items.is_empty() {
            cast(array(vec![]), DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), None)))
        } else {
            array(typed.collect())
        };
    }
}

/// `x = ANY (ARRAY[1, NULL])` is `x IN (1, NULL)`, which is NULL where it is not found; `x <> ALL (...)` is `NOT IN`.
fn listed(expr: &mut Expr) -> Option<Expr> {
    let (left, right, negated) = match expr {
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => (left, right, false),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => (left, right, true),
        _ => return None,
    };
    let Expr::Array(Array { elem, .. }) = right.as_mut() else { return None };
    let is_flat = !elem.is_empty() && !elem.iter().any(|item| matches!(item, Expr::Array(_)));
    is_flat.then(|| Expr::InList { expr: Box::new(take(left)), list: std::mem::take(elem), negated })
}

/// `ARRAY[1.5]::int[]`: each item is cast by itself, as PostgreSQL rounds and reads it.
fn cast_items(array: &mut Expr, item: &DataType) {
    if let Expr::Array(Array { elem, .. }) = array
        && !elem.iter().any(|of| matches!(of, Expr::Array(_)))
    {
        elem.iter_mut().for_each(|of| *of = cast(take(of), item.clone()));
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq | BinaryOperator::NotEq | BinaryOperator::PGOverlap | BinaryOperator::AtArrow
    )
}

/// `polroles = '{0}'`: the literal is of the column's type.
fn literal_beside_column(column: &Expr, value: &mut Expr) {
    let name = match column {
        Expr::Identifier(ident) => normalized(ident),
        Expr::CompoundIdentifier(idents) => idents.last().map(normalized).unwrap_or_default(),
        _ => return,
    };
    let Some(typname) = ARRAY_COLUMNS.get(name.as_str()) else {
        return;
    };
    let item = match *typname {
        "_int2" | "int2vector" => DataType::SmallInt(None),
        "_oid" | "oidvector" => DataType::Int(None),
        _ => DataType::Text,
    };
    if let Some(items) = text_of(value).and_then(items) {
        let typed = items.iter().map(|text| cast(text.as_deref().map_or_else(null, literal), item.clone()));
        *value = array(typed.collect());
    }
}

pub(super) fn array(elem: Vec<Expr>) -> Expr {
    Expr::Array(Array { elem, named: true })
}

pub(super) fn null() -> Expr {
    Expr::value(Value::Null)
}

/// An item of a literal whose type nobody named: a number when it looks like one.
fn untyped(item: &str) -> Expr {
    match item.parse::<i64>() {
        Ok(_) => Expr::value(Value::Number(item.to_string(), false)),
        Err(_) => literal(item),
    }
}

/// The items of an array literal of one dimension; `None` stands for NULL.
pub(super) fn items(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = vec![];
    let mut characters = inner.chars().peekable();
    while characters.peek().is_some() {
        let mut item = String::new();
        let mut quoted = false;
        let mut inside = false;
        for character in characters.by_ref() {
            match character {
                '"' => {
                    quoted = true;
                    inside = !inside;
                }
                ',' if !inside => break,
                '{' if !inside => return None,
                _ => item.push(character),
            }
        }
        let item = if quoted { item } else { item.trim().to_string() };
        items.push((quoted || !item.eq_ignore_ascii_case("null")).then_some(item));
    }
    Some(items)
}

/// `int2vector` and `oidvector` count from 0, lists from 1.
fn count_from_one(root: &Expr, access_chain: &mut [AccessExpr]) {
    let name = match root {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        _ => None,
    };
    // `i.indkey[0]` is a chain too: the name is then its last part before the subscript.
    let dotted = access_chain.iter().rev().find_map(|access| match access {
        AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident.clone()),
        _ => None,
    });
    let Some(name) = dotted.as_ref().or(name).map(normalized) else {
        return;
    };
    if !matches!(ARRAY_COLUMNS.get(name.as_str()), Some(&("int2vector" | "oidvector"))) {
        return;
    }
    for access in access_chain {
        if let AccessExpr::Subscript(Subscript::Index { index }) = access {
            let zero_based = Expr::Nested(Box::new(take(index)));
            *index = Expr::BinaryOp {
                left: Box::new(zero_based),
                op: BinaryOperator::Plus,
                right: Box::new(Expr::value(Value::Number("1".to_string(), false))),
            };
        }
    }
}

/// `ARRAY(SELECT x FROM t ORDER BY y)` is `(SELECT array_agg(x ORDER BY y) FROM t)`, empty where that is NULL.
fn array_of_query(function_call: &mut Function) -> Option<Expr> {
    let is_array = function_call.name.0.len() == 1
        && function_call.name.0[0].as_ident().is_some_and(|name| name.value.eq_ignore_ascii_case("array"));
    if !is_array {
        return None;
    }
    let FunctionArguments::Subquery(inner) = &mut function_call.args else {
        return None;
    };
    let aggregated = aggregate_in_place(inner).or_else(|| aggregate_over(inner))?;
    Some(call("array_or_empty", vec![Expr::Subquery(aggregated)]))
}

fn aggregate_in_place(inner: &Query) -> Option<Box<Query>> {
    let mut aggregated = Box::new(inner.clone());
    if inner.with.is_some() || inner.limit_clause.is_some() || inner.fetch.is_some() {
        return None;
    }
    let order = match aggregated.order_by.take().map(|order| order.kind) {
        None => vec![],
        Some(OrderByKind::Expressions(order)) => order,
        Some(OrderByKind::All(_)) => return None,
    };
    let select = select_of(&mut aggregated).filter(|select| is_plain(select))?;
    let item = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] => item.clone(),
        _ => return None,
    };
    let order = order.into_iter().map(|key| by_position(key, &item)).collect();
    select.projection = vec![SelectItem::UnnamedExpr(array_agg(item, order))];
    Some(aggregated)
}

/// `ORDER BY 1` names the only column.
fn by_position(mut key: OrderByExpr, item: &Expr) -> OrderByExpr {
    if matches!(&key.expr, Expr::Value(value) if matches!(&value.value, Value::Number(n, _) if n == "1")) {
        key.expr = item.clone();
    }
    key
}

fn is_plain(select: &Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let aggregates = ["max(", "min(", "count(", "sum(", "avg(", "array_agg(", "string_agg("];
    let text = select.projection.iter().map(ToString::to_string).collect::<String>().to_lowercase();
    select.distinct.is_none()
        && select.having.is_none()
        && !grouped
        && !aggregates.iter().any(|aggregate| text.contains(aggregate))
}

fn aggregate_over(inner: &Query) -> Option<Box<Query>> {
    let mut outer = query("SELECT 1 FROM (SELECT 1) AS t(x)")?;
    let select = select_of(&mut outer)?;
    select.projection = vec![SelectItem::UnnamedExpr(array_agg(Expr::Identifier(Ident::new("x")), vec![]))];
    if let Some(TableFactor::Derived { subquery, .. }) =
        select.from.first_mut().map(|from| &mut from.relation)
    {
        **subquery = inner.clone();
    }
    ordered::rewrite(select);
    Some(outer)
}

fn array_agg(item: Expr, order: Vec<OrderByExpr>) -> Expr {
    let mut aggregate = function("array_agg", vec![item]);
    if let FunctionArguments::List(list) = &mut aggregate.args
        && !order.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    Expr::Function(aggregate)
}
