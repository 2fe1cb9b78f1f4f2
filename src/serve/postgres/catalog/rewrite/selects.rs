//! Select lists and row limits.

use super::fragments::{call, cast, query, take};
use super::names::{in_catalog, normalized};
use super::operators::numeric;
use datafusion::sql::sqlparser::ast::{
    self, DataType, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LimitClause,
    Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Value,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Functions that return rows in PostgreSQL and a list here.
pub const SET_RETURNING: [&str; 8] = [
    "unnest",
    "generate_series",
    "generate_subscripts",
    "pg_partition_ancestors",
    "_pg_expandarray",
    "regexp_split_to_table",
    "regexp_matches",
    "string_to_table",
];

/// Applies the rules to one SELECT.
pub fn rewrite(select: &mut Select) {
    let mut seen = HashSet::new();
    for (position, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            rows_of(expr);
            part_of_time(expr);
        }
        make_distinct(item, position, &mut seen);
    }
}

/// The engine's `VALUES` have no subqueries: rows with some become SELECTs, one behind the other.
pub fn values_to_selects(body: &mut SetExpr) {
    let SetExpr::Values(values) = body else { return };
    let asks = ast::visit_expressions(&values.rows, |expr| match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if asks.is_continue() {
        return;
    }
    let rows = values.rows.iter_mut().filter_map(|row| select_of_row(row.iter_mut().map(take).collect()));
    let all = rows.reduce(|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    });
    if let Some(all) = all {
        *body = all;
    }
}

fn select_of_row(row: Vec<Expr>) -> Option<SetExpr> {
    let mut body = *query("SELECT 1")?.body;
    let SetExpr::Select(select) = &mut body else { return None };
    let column = |(at, expr): (usize, Expr)| SelectItem::ExprWithAlias {
        expr,
        alias: Ident::new(format!("column{}", at + 1)),
    };
    select.projection = row.into_iter().enumerate().map(column).collect();
    Some(body)
}

/// What `extract` gives is numeric, what `date_part` gives a float: the engine has whole numbers for both.
fn part_of_time(expr: &mut Expr) {
    let data_type = match expr {
        Expr::Extract { field: DateTimeField::Epoch, .. } => numeric(6),
        Expr::Extract { .. } => numeric(0),
        Expr::Function(function) if in_catalog(&function.name).as_deref() == Some("date_part") => {
            DataType::DoublePrecision
        }
        _ => return,
    };
    *expr = cast(take(expr), data_type);
}

/// `SELECT generate_series(1, 3)` returns three rows, and so does `SELECT (f(3)).n`.
fn rows_of(expr: &mut Expr) {
    match expr {
        Expr::Nested(inner) => rows_of(inner),
        Expr::Function(function) => match in_catalog(&function.name).as_deref() {
            Some("get_field") => {
                if let FunctionArguments::List(list) = &mut function.args
                    && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) = list.args.first_mut()
                {
                    rows_of(value);
                }
            }
            Some(name) if name != "unnest" && SET_RETURNING.contains(&name) => {
                *expr = call("unnest", vec![take(expr)]);
            }
            _ => {}
        },
        _ => {}
    }
}

/// Columns of one SELECT may be equal in PostgreSQL (`SELECT NULL, NULL`), but not in DataFusion.
fn make_distinct(item: &mut SelectItem, position: usize, seen: &mut HashSet<String>) {
    let name = match &*item {
        SelectItem::UnnamedExpr(expr) => expr.to_string(),
        SelectItem::ExprWithAlias { alias, .. } => normalized(alias),
        _ => return,
    };
    if seen.insert(name.clone()) {
        return;
    }
    let alias = Ident::with_quote('"', format!("{name}:{}", position + 1));
    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
        *item = SelectItem::ExprWithAlias { expr: take(expr), alias };
    }
}

/// `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
pub fn fetch_to_limit(query: &mut Query) {
    let Some(fetch) = query.fetch.take_if(|fetch| !fetch.with_ties && !fetch.percent) else {
        return;
    };
    let limit = fetch.quantity.unwrap_or_else(|| Expr::value(Value::Number("1".to_string(), false)));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit: inner, .. }) => *inner = Some(limit),
        clause => {
            *clause = Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: vec![] });
        }
    }
}
