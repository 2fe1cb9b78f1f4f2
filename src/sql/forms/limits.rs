//! Row limits.

use super::fragments::function;
use super::names::normalized;
use datafusion::sql::sqlparser::ast::{
    self, Expr, Ident, LimitClause, Query, Select, SelectItem, SetExpr, Value,
};

/// `ORDER BY k FETCH FIRST n ROWS WITH TIES`: all whose rank is among the first, those that are passed over included.
pub fn with_ties(query: &mut Query) {
    let Some(fetch) = query.fetch.as_ref().filter(|fetch| fetch.with_ties && !fetch.percent) else { return };
    let number = |digits: &str| Expr::value(Value::Number(digits.to_string(), false));
    let count = fetch.quantity.clone().unwrap_or_else(|| number("1"));
    let passed = match &query.limit_clause {
        Some(LimitClause::LimitOffset { offset: Some(offset), .. }) => offset.value.clone(),
        _ => number("0"),
    };
    let Some(order) = &query.order_by else { return };
    let ast::OrderByKind::Expressions(keys) = order.kind.clone() else { return };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    if select.distinct.is_some() || select.qualify.is_some() {
        return;
    }
    let keys = keys.into_iter().map(|key| by_item(key, select)).collect();
    let mut rank = function("rank", vec![]);
    rank.over = Some(ast::WindowType::WindowSpec(ast::WindowSpec {
        window_name: None,
        partition_by: vec![],
        order_by: keys,
        window_frame: None,
    }));
    let binary =
        |left: Expr, op, right: Expr| Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
    let last = binary(count, ast::BinaryOperator::Plus, passed);
    let last = Expr::Nested(Box::new(last));
    select.qualify = Some(binary(Expr::Function(rank), ast::BinaryOperator::LtEq, last));
    query.fetch = None;
}

/// The key itself, where a place or a name of the select list stands for it.
fn by_item(mut key: ast::OrderByExpr, select: &Select) -> ast::OrderByExpr {
    let named = |name: &Ident| {
        select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if normalized(alias) == normalized(name) => {
                Some(expr.clone())
            }
            _ => None,
        })
    };
    let at = |digits: &str| match select.projection.get(digits.parse::<usize>().ok()?.checked_sub(1)?)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    let meant = match &key.expr {
        Expr::Identifier(name) => named(name),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => at(digits),
            _ => None,
        },
        _ => None,
    };
    key.expr = meant.unwrap_or(key.expr);
    key
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
