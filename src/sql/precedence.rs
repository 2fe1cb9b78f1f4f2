//! `a IS DISTINCT FROM b AND c` means `(a IS DISTINCT FROM b) AND c`. The parser reads everything behind `FROM` as the
//! right side, and the power behind a sign before the sign; here the tree is turned so that AND, OR, NOT and signs bind
//! as PostgreSQL says.
//!
//! Models are kept as text: printed and parsed again, the tree has to be the same, its texts too.

use super::syntax::{take, text_value};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, UnaryOperator, Value, ValueWithSpan, VisitMut as _, VisitorMut,
};
use std::ops::ControlFlow;

/// Turns every expression of a query that has just been parsed. Parentheses stay what they are, and come around what was turned.
pub fn bind_as_written(query: &mut Query) {
    let _ = query.visit(&mut Turn);
}

/// As [`bind_as_written`], for an expression that stands alone.
pub fn bind_expression_as_written(expr: &mut Expr) {
    let _ = expr.visit(&mut Turn);
}

struct Turn;

/// Inner expressions come first: what was turned below may have to be turned again here.
impl VisitorMut for Turn {
    type Break = ();

    fn post_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::SingleQuotedString(text) = &mut value.value {
            value.value = text_value(std::mem::take(text));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        sign_first(expr);
        // The side that must not begin with an operator that binds weaker than this one.
        let side = match expr {
            Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => Some((right, 2)),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Some((expr, 2)),
            Expr::BinaryOp { op: BinaryOperator::And, right, .. } => Some((right, 1)),
            _ => None,
        };
        if let Some((side, strength)) = side
            && weaker(side, strength).is_some()
        {
            let mut tree = take(side.as_mut());
            turn(&mut tree, strength, expr);
            *expr = tree;
        }
        ControlFlow::Continue(())
    }
}

/// `-2 ^ 2` is `(-2) ^ 2`: a sign binds stronger than a power.
fn sign_first(expr: &mut Expr) {
    let Expr::UnaryOp { op: UnaryOperator::Minus, expr: of } = expr else { return };
    if !matches!(of.as_ref(), Expr::BinaryOp { op: BinaryOperator::PGExp, .. }) {
        return;
    }
    let mut tree = take(of.as_mut());
    let mut base = &mut tree;
    while let Expr::BinaryOp { left, op: BinaryOperator::PGExp, .. } = base {
        base = left.as_mut();
    }
    let bare = take(base);
    *base = Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(bare) };
    *expr = tree;
}

/// Puts `outer`, whose side is a hole, around the leftmost part of `tree` that binds as strongly as it.
fn turn(tree: &mut Expr, strength: u8, outer: &mut Expr) {
    match weaker(tree, strength) {
        Some(left) => turn(left, strength, outer),
        None => {
            let inner = take(tree);
            *tree = take(outer);
            match tree {
                Expr::IsDistinctFrom(_, side)
                | Expr::IsNotDistinctFrom(_, side)
                | Expr::UnaryOp { expr: side, .. }
                | Expr::BinaryOp { right: side, .. } => **side = inner,
                _ => {}
            }
            // Printed without a parenthesis, it would be read as it was before.
            if matches!(tree, Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..)) {
                let distinct = take(tree);
                *tree = Expr::Nested(Box::new(distinct));
            }
        }
    }
}

/// The left side of an operator that binds weaker than `strength`: OR has 0, AND 1.
fn weaker(expr: &mut Expr, strength: u8) -> Option<&mut Expr> {
    match expr {
        Expr::BinaryOp { op, left, .. } => {
            let own = match op {
                BinaryOperator::Or => 0,
                BinaryOperator::And => 1,
                _ => return None,
            };
            (own < strength).then_some(left.as_mut())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::bind_expression_as_written;
    use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    /// With a parenthesis around every operator.
    fn shown(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                format!("({} {op} {})", shown(left), shown(right))
            }
            Expr::IsDistinctFrom(a, b) => format!("({} <> {})", shown(a), shown(b)),
            Expr::IsNotDistinctFrom(a, b) => format!("({} == {})", shown(a), shown(b)),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("(not {})", shown(expr)),
            Expr::Nested(inner) => format!("[{}]", shown(inner)),
            other => other.to_string(),
        }
    }

    #[test]
    fn a_sign_binds_stronger_than_a_power() {
        for (sql, expected) in [
            ("-2 ^ 2", "(-2 ^ 2)"),
            ("-a ^ b ^ c + 1", "(((-a ^ b) ^ c) + 1)"),
            ("2 ^ -1", "(2 ^ -1)"),
            ("-(2 ^ 2)", "-[(2 ^ 2)]"),
        ] {
            let parser = Parser::new(&PostgreSqlDialect {});
            let mut expr = parser.try_with_sql(sql).unwrap().parse_expr().unwrap();
            bind_expression_as_written(&mut expr);
            assert_eq!(grouped(&expr), expected, "{sql}");
        }
    }

    /// With a parenthesis around every operator between two.
    fn grouped(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", grouped(left), grouped(right)),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => format!("-{}", grouped(expr)),
            Expr::Nested(inner) => format!("[{}]", grouped(inner)),
            other => other.to_string(),
        }
    }

    #[test]
    fn a_text_is_printed_as_it_is_meant() {
        let parsed = |sql: &str| {
            let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap();
            let mut expr = parser.parse_expr().unwrap();
            bind_expression_as_written(&mut expr);
            expr
        };
        for text in ["it's", "a''b", "''", r"C:\'x", r"\\''\n'''", r"\", "'"] {
            let sql = format!("'{}'", text.replace('\'', "''"));
            let printed = parsed(&sql).to_string();
            let Expr::Value(again) = parsed(&printed) else { panic!("{printed}") };
            assert_eq!(again.into_string().as_deref(), Some(text), "{sql} printed as {printed}");
        }
    }

    #[test]
    fn distinct_binds_stronger_than_and_or_not() {
        for (sql, expected) in [
            ("a IS DISTINCT FROM b AND c", "([(a <> b)] AND c)"),
            ("a IS DISTINCT FROM b OR c AND d", "([(a <> b)] OR (c AND d))"),
            ("a IS DISTINCT FROM b AND c OR d", "(([(a <> b)] AND c) OR d)"),
            ("x AND a IS DISTINCT FROM b OR c", "((x AND [(a <> b)]) OR c)"),
            ("x OR a IS NOT DISTINCT FROM b AND c", "(x OR ([(a == b)] AND c))"),
            ("NOT a IS DISTINCT FROM b AND c", "((not [(a <> b)]) AND c)"),
            ("x AND NOT a IS DISTINCT FROM b AND c OR d", "((x AND ((not [(a <> b)]) AND c)) OR d)"),
            ("a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e", "(([(a <> b)] AND [(c <> d)]) OR e)"),
            ("a IS DISTINCT FROM (b AND c)", "(a <> [(b AND c)])"),
            ("a IS DISTINCT FROM b + 1 OR NOT c", "([(a <> b + 1)] OR (not c))"),
            ("NOT (a OR b)", "(not [(a OR b)])"),
        ] {
            let parser = Parser::new(&PostgreSqlDialect {});
            let mut expr = parser.try_with_sql(sql).unwrap().parse_expr().unwrap();
            bind_expression_as_written(&mut expr);
            assert_eq!(shown(&expr), expected, "{sql}");
            let printed = expr.to_string();
            let parser = Parser::new(&PostgreSqlDialect {});
            let mut again = parser.try_with_sql(&printed).unwrap().parse_expr().unwrap();
            let as_parsed = shown(&again);
            bind_expression_as_written(&mut again);
            assert_eq!(shown(&again), as_parsed, "{printed} is read as it is meant");
        }
    }
}
