//! Values that an aggregate puts side by side: `SELECT array_agg(x) FROM (SELECT x FROM t ORDER BY x) AS s` has them in the
//! order of the subquery, and `array_agg(DISTINCT x)` in their own. The engine has them as they come, unless the aggregate
//! asks for an order.

use super::fragments::{argument_of, outside_subqueries};
use super::names::{in_catalog, normalized};
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident,
    OrderByExpr, OrderByKind, OrderByOptions, Query, Select, SelectItem, SetExpr, TableFactor,
    TableWithJoins, Value,
};

/// What depends on the order of its values.
const AGGREGATES: [&str; 2] = ["array_agg", "string_agg"];

/// Gives the aggregates of a SELECT the order of its only table.
pub fn rewrite(select: &mut Select) {
    let [TableWithJoins { relation: TableFactor::Derived { subquery, alias, .. }, joins }] =
        select.from.as_slice()
    else {
        return;
    };
    let renamed = alias.iter().flat_map(|alias| &alias.columns).map(|column| column.name.clone()).collect();
    let order = if joins.is_empty() { order_of(subquery, renamed) } else { vec![] };
    if order.is_empty() {
        return;
    }
    outside_subqueries(&mut select.projection, |expr| {
        if let Some(list) = arguments(expr)
            && list.duplicate_treatment.is_none()
        {
            list.clauses.push(FunctionArgumentClause::OrderBy(order.clone()));
        }
    });
}

/// Each value once, the least first.
pub fn sorted(expr: &mut Expr) {
    if let Some(list) = arguments(expr)
        && list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
        && let Some(value) = list.args.first().and_then(argument_of)
    {
        let options = OrderByOptions { asc: None, nulls_first: None };
        let by_value = OrderByExpr { expr: value, options, with_fill: None };
        list.clauses.push(FunctionArgumentClause::OrderBy(vec![by_value]));
    }
}

/// What one of the aggregates takes, if it names no order.
fn arguments(expr: &mut Expr) -> Option<&mut FunctionArgumentList> {
    let Expr::Function(function) = expr else { return None };
    let is_meant = in_catalog(&function.name).is_some_and(|name| AGGREGATES.contains(&name.as_str()));
    match &mut function.args {
        FunctionArguments::List(list) if is_meant && function.over.is_none() => {
            let is_ordered = |clause: &_| matches!(clause, FunctionArgumentClause::OrderBy(_));
            (!list.clauses.iter().any(is_ordered)).then_some(list)
        }
        _ => None,
    }
}

/// The keys that a subquery's rows are in order by, as its columns; those behind one that is no column are left out.
fn order_of(query: &Query, renamed: Vec<Ident>) -> Vec<OrderByExpr> {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &query.order_by) else {
        return vec![];
    };
    let OrderByKind::Expressions(keys) = &order.kind else { return vec![] };
    let mut columns: Vec<(&Expr, Option<Ident>)> = Vec::with_capacity(select.projection.len());
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => columns.push((expr, name_of(expr).cloned())),
            SelectItem::ExprWithAlias { expr, alias } => columns.push((expr, Some(alias.clone()))),
            _ => return vec![],
        }
    }
    for (column, name) in columns.iter_mut().zip(renamed) {
        column.1 = Some(name);
    }
    let of_key = |key: &OrderByExpr| {
        let (_, name) = match place(&key.expr) {
            Some(place) => columns.get(place.checked_sub(1)?),
            None => columns.iter().zip(&select.projection).find_map(|(column, item)| {
                let is_named = matches!((item, &key.expr), (SelectItem::ExprWithAlias { alias, .. }, Expr::Identifier(name))
                    if normalized(alias) == normalized(name));
                (is_named || *column.0 == key.expr).then_some(column)
            }),
        }?;
        Some(OrderByExpr { expr: Expr::Identifier(name.clone()?), ..key.clone() })
    };
    keys.iter().map_while(of_key).collect()
}

/// What an expression without an alias is called, if it is a column.
fn name_of(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    }
}

/// `ORDER BY 2` means the second column. The number may have its type already.
fn place(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Cast { expr, .. } => place(expr),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}
