//! `x IN (SELECT ..)` as a value: in a select list, in CASE, under NOT, beside IS NULL.
//!
//! The engine knows IN as a condition of its own in WHERE, where NULL is as good as false, and NOT IN where nothing else
//! stands beside it but AND. Anywhere else it is `CASE WHEN EXISTS (the row) THEN true WHEN (x IS NULL or a row is) THEN
//! NULL ELSE false END`.

use super::fragments::{outside_subqueries, query, select_of, take};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, JoinConstraint, JoinOperator, Query, Select, SelectItem, SetExpr,
    TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value,
};

/// The name of the subquery, which no user's relation has.
const ROWS: &str = "in ?";

/// Applies the rule to one SELECT; those inside have their own turn.
pub fn rewrite(select: &mut Select) {
    let from = std::mem::take(&mut select.from);
    let (selection, having) = (select.selection.take(), select.having.take());
    outside_subqueries(select, make_value);
    (select.from, select.selection, select.having) = (from, selection, having);
    select.selection.iter_mut().chain(&mut select.having).for_each(|all| condition(all, true));
    for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
        if let JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on)) = &mut join.join_operator
        {
            condition(on, true);
        }
    }
}

/// Applies the rule to what a query is ordered by.
pub fn rewrite_order(query: &mut Query) {
    if let Some(order) = &mut query.order_by {
        outside_subqueries(order, make_value);
    }
}

/// What is a condition for the engine stays one; `is_alone` where nothing but AND is around.
fn condition(expr: &mut Expr, is_alone: bool) {
    match expr {
        Expr::Nested(inner) => condition(inner, is_alone),
        Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
            let is_alone = is_alone && *op == BinaryOperator::And;
            condition(left, is_alone);
            condition(right, is_alone);
        }
        Expr::InSubquery { expr: of, subquery, negated }
            if !matches!(of.as_ref(), Expr::Tuple(_)) && (!*negated || is_alone) =>
        {
            outside_subqueries(of, make_value);
            if !is_alone {
                select_all(subquery);
            }
        }
        Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } if is_alone => {
            outside_subqueries(left, make_value);
        }
        other => {
            outside_subqueries(other, make_value);
        }
    }
}

/// Where anything but AND is around, the engine names columns of a UNION twice: they are those of a SELECT here.
fn select_all(subquery: &mut Query) {
    if let SetExpr::SetOperation { .. } = subquery.body.as_ref()
        && let Some(rows) = from_rows("SELECT * FROM (SELECT 1) AS t", subquery, &[])
    {
        *subquery = *rows;
    }
}

/// Makes a value of it, if it asks for membership.
fn make_value(expr: &mut Expr) {
    if let Some(value) = value(expr) {
        *expr = value;
    }
}

fn value(expr: &mut Expr) -> Option<Expr> {
    if let Expr::AnyOp { .. } | Expr::AllOp { .. } = expr {
        return any_or_all(expr);
    }
    let Expr::InSubquery { expr: of, subquery, negated } = expr else { return None };
    let count = if let Expr::Tuple(parts) = of.as_ref() { parts.len() } else { 1 };
    // What PostgreSQL refuses, the engine refuses, too.
    if columns_of(subquery).is_some_and(|columns| columns != count) {
        return None;
    }
    let parts = match of.as_mut() {
        Expr::Tuple(parts) => std::mem::take(parts),
        single => vec![take(single)],
    };
    let column = |at: usize| Ident::with_quote('"', format!("{at}"));
    let names: Vec<Ident> = (1..=parts.len()).map(column).collect();
    let of_rows = |name: &Ident| Expr::CompoundIdentifier(vec![Ident::with_quote('"', ROWS), name.clone()]);
    let equal =
        parts.iter().zip(&names).map(|(part, name)| binary(of_rows(name), BinaryOperator::Eq, part.clone()));
    let equal = equal.reduce(|all, one| binary(all, BinaryOperator::And, one))?;
    let unknown = match (parts.as_slice(), names.as_slice()) {
        ([part], [name]) => {
            let is_null = Expr::IsNull(Box::new(nested(part.clone())));
            let any = binary(is_null, BinaryOperator::And, exists(subquery, &names, None)?);
            let null = exists(subquery, &names, Some(Expr::IsNull(Box::new(of_rows(name)))))?;
            binary(any, BinaryOperator::Or, null)
        }
        _ => exists(subquery, &names, Some(Expr::IsNull(Box::new(nested(equal.clone())))))?,
    };
    let found = exists(subquery, &names, Some(equal))?;
    let when = |condition, result| CaseWhen { condition, result: Expr::value(result) };
    Some(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![when(found, Value::Boolean(!*negated)), when(unknown, Value::Null)],
        else_result: Some(Box::new(Expr::value(Value::Boolean(*negated)))),
    })
}

/// How many columns a subquery has; `None` where its text does not tell.
fn columns_of(subquery: &mut Query) -> Option<usize> {
    let items = &select_of(subquery)?.projection;
    let is_one =
        |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    items.iter().all(is_one).then_some(items.len())
}

/// `x > ANY (SELECT ..)` is true where a row makes it so, `x > ALL (SELECT ..)` false where one does not.
fn any_or_all(expr: &mut Expr) -> Option<Expr> {
    let (of, op, rows, decides) = match expr {
        Expr::AnyOp { left, compare_op, right, .. } => (left, compare_op, right, true),
        Expr::AllOp { left, compare_op, right } => (left, compare_op, right, false),
        _ => return None,
    };
    let subquery = subquery_of(rows)?;
    let name = Ident::with_quote('"', "1");
    let names = std::slice::from_ref(&name);
    let row = || Expr::CompoundIdentifier(vec![Ident::with_quote('"', ROWS), name.clone()]);
    let compared = || binary(of.as_ref().clone(), op.clone(), row());
    let not = |expr: Expr| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) };
    let decided = exists(subquery, names, Some(if decides { compared() } else { not(compared()) }))?;
    let unknown = exists(subquery, names, Some(Expr::IsNull(Box::new(nested(compared())))))?;
    let when = |condition, result| CaseWhen { condition, result: Expr::value(result) };
    Some(Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![when(decided, Value::Boolean(decides)), when(unknown, Value::Null)],
        else_result: Some(Box::new(Expr::value(Value::Boolean(!decides)))),
    })
}

fn subquery_of(rows: &Expr) -> Option<&Query> {
    match rows {
        Expr::Subquery(query) => Some(query),
        Expr::Nested(inner) => subquery_of(inner),
        _ => None,
    }
}

/// `EXISTS (SELECT 1 FROM (subquery) AS "in ?"("1", ...) WHERE condition)`
fn exists(subquery: &Query, names: &[Ident], condition: Option<Expr>) -> Option<Expr> {
    let mut rows = from_rows("SELECT 1 FROM (SELECT 1) AS t", subquery, names)?;
    select_of(&mut rows)?.selection = condition;
    Some(Expr::Exists { subquery: rows, negated: false })
}

/// A query with a subquery in the place of its only table, whose columns have these names.
fn from_rows(text: &str, subquery: &Query, names: &[Ident]) -> Option<Box<Query>> {
    let mut rows = query(text)?;
    let columns = names.iter().map(|name| TableAliasColumnDef { name: name.clone(), data_type: None });
    let alias = TableAlias {
        explicit: true,
        name: Ident::with_quote('"', ROWS),
        columns: columns.collect(),
        at: None,
    };
    select_of(&mut rows)?.from.first_mut()?.relation = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery.clone()),
        alias: Some(alias),
        sample: None,
    };
    Some(rows)
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(nested(left)), op, right: Box::new(nested(right)) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}
