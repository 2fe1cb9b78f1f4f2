//! Pieces of syntax that rules put in.

pub use super::super::syntax::{call, function, literal, take};

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, Query, Select, SelectItem, SetExpr, Statement,
    Value, VisitMut, VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use std::ops::ControlFlow;

/// `CAST(expr AS data_type)`
pub fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// A query from its text, to be filled in. The texts are constants of this module's callers.
pub fn query(text: &str) -> Option<Box<Query>> {
    let statement = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_statement().ok()?;
    match statement {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}

/// The expression that `SELECT ...` selects, with another in the place of `x`. The texts are constants of this module's
/// callers.
pub fn filled(text: &str, x: Expr) -> Option<Expr> {
    let mut query = query(text)?;
    let [SelectItem::UnnamedExpr(expr)] = select_of(&mut query)?.projection.as_mut_slice() else {
        return None;
    };
    let mut expr = take(expr);
    let _ = visit_expressions_mut(&mut expr, |inner| {
        if matches!(inner, Expr::Identifier(ident) if ident.value == "x") {
            *inner = Expr::Nested(Box::new(x.clone()));
        }
        ControlFlow::<()>::Continue(())
    });
    Some(expr)
}

/// The only SELECT of a query without set operations.
pub fn select_of(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => select_of(query),
        _ => None,
    }
}

/// The text of a string literal.
pub fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => text_of(inner),
        _ => None,
    }
}

/// A plain argument.
pub fn argument_of(argument: &FunctionArg) -> Option<Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

/// Shows each expression that stands in `syntax`, from the inside out, but none of those in its subqueries.
pub fn outside_subqueries(syntax: &mut impl VisitMut, rewrite: impl FnMut(&mut Expr)) {
    let _ = syntax.visit(&mut Outside { rewrite, depth: 0 });
}

struct Outside<F> {
    rewrite: F,
    depth: usize,
}

impl<F: FnMut(&mut Expr)> VisitorMut for Outside<F> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            (self.rewrite)(expr);
        }
        ControlFlow::Continue(())
    }
}
