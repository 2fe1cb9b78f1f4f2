//! `GROUP BY ()` and places of the select list in grouping sets.

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, Select, SelectItem, Value};

/// Applies the rule to one SELECT.
pub fn rewrite(select: &mut Select) {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return };
    let is_grouped = !keys.is_empty();
    keys.retain(|key| !matches!(key, Expr::Tuple(items) if items.is_empty()));
    if is_grouped && keys.is_empty() {
        // One group of all rows, which HAVING makes, too.
        select.having.get_or_insert_with(|| Expr::value(Value::Boolean(true)));
    }
    for key in keys {
        if let Expr::GroupingSets(sets) | Expr::Rollup(sets) | Expr::Cube(sets) = key {
            for key in sets.iter_mut().flatten() {
                if let Some(meant) = item(key, &select.projection) {
                    *key = meant;
                }
            }
        }
    }
}

/// The item of the select list that a number stands for.
fn item(key: &Expr, items: &[SelectItem]) -> Option<Expr> {
    let Expr::Value(value) = key else { return None };
    let Value::Number(place, _) = &value.value else { return None };
    match items.get(place.parse::<usize>().ok()?.checked_sub(1)?)? {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    }
}
