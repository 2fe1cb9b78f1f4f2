//! Numbers taken out of a query's text, so that one plan serves all queries that differ in nothing else.
//!
//! `WHERE customer = 7` becomes `WHERE customer = $1`, with a value beside it. Only whole numbers that a condition
//! compares with are taken: elsewhere a number may be more than its value (a column's place, a label, a precision).

use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, Expr, Query, SetExpr, TableFactor, Value};
use std::ops::ControlFlow;

/// So many numbers of a query are taken at most.
const NUMBERS_MAX: usize = 64;

/// A query with parameters in the place of its numbers, and these; `None` if there are none, too many, or if it has
/// parameters already.
pub(super) fn lifted(query: &Query) -> Option<(Query, Vec<ScalarValue>)> {
    let is_parameter =
        |expr: &Expr| matches!(expr, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
    let parameters = ast::visit_expressions(query, |expr| match is_parameter(expr) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    if parameters.is_break() {
        return None;
    }
    let (mut query, mut lift) = (query.clone(), Lift::default());
    lift.query(&mut query);
    (1..=NUMBERS_MAX).contains(&lift.numbers.len()).then_some((query, lift.numbers))
}

#[derive(Default)]
struct Lift {
    numbers: Vec<ScalarValue>,
}

impl Lift {
    /// A query and those it selects from; not those within its expressions, which may be planned apart.
    fn query(&mut self, query: &mut Query) {
        let tables = query.with.iter_mut().flat_map(|with| &mut with.cte_tables);
        tables.for_each(|table| self.query(&mut table.query));
        self.body(&mut query.body);
    }

    fn body(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            SetExpr::Select(select) => {
                for from in &mut select.from {
                    let joined = from.joins.iter_mut().map(|join| &mut join.relation);
                    for table in std::iter::once(&mut from.relation).chain(joined) {
                        if let TableFactor::Derived { lateral: false, subquery, .. } = table {
                            self.query(subquery);
                        }
                    }
                }
                if let Some(condition) = &mut select.selection {
                    self.condition(condition);
                }
            }
            _ => {}
        }
    }

    fn condition(&mut self, expr: &mut Expr) {
        use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
        match expr {
            Expr::Nested(inner) => self.condition(inner),
            Expr::BinaryOp { left, op: And | Or, right } => {
                self.condition(left);
                self.condition(right);
            }
            Expr::BinaryOp { left, op: Eq | NotEq | Lt | LtEq | Gt | GtEq, right } => {
                self.operand(left);
                self.operand(right);
            }
            Expr::Between { low, high, .. } => {
                self.operand(low);
                self.operand(high);
            }
            _ => {}
        }
    }

    fn operand(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Nested(inner) => self.operand(inner),
            Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
                self.operand(left);
                self.operand(right);
            }
            Expr::Value(value) => {
                let Value::Number(digits, _) = &value.value else { return };
                // As PostgreSQL types it: the smallest that holds it, from four bytes on.
                let number = match (digits.parse::<i32>(), digits.parse::<i64>()) {
                    (Ok(number), _) => ScalarValue::Int32(Some(number)),
                    (_, Ok(number)) => ScalarValue::Int64(Some(number)),
                    _ => return,
                };
                self.numbers.push(number);
                value.value = Value::Placeholder(format!("${}", self.numbers.len()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::statement::{Statement, parse};

    fn lift(sql: &str) -> Option<(String, Vec<i64>)> {
        let Some(Statement::Query(query)) = parse(sql).unwrap().pop() else { panic!("{sql} is no query") };
        let (query, numbers) = lifted(&query)?;
        let number = |value: ScalarValue| match value {
            ScalarValue::Int32(Some(number)) => i64::from(number),
            ScalarValue::Int64(Some(number)) => number,
            other => panic!("{other} is no number"),
        };
        Some((query.to_string(), numbers.into_iter().map(number).collect()))
    }

    #[test]
    fn numbers_that_are_compared_with_are_taken() {
        let (query, numbers) =
            lift("SELECT a, 3 FROM t WHERE a = 7 AND (b BETWEEN 1 AND 1 + 10 OR 4 < c) ORDER BY 1 LIMIT 5")
                .unwrap();
        assert_eq!(
            query,
            "SELECT a, 3 FROM t WHERE a = $1 AND (b BETWEEN $2 AND $3 + $4 OR $5 < c) ORDER BY 1 LIMIT 5"
        );
        assert_eq!(numbers, [7, 1, 1, 10, 4]);
        let (query, numbers) =
            lift("SELECT a FROM (SELECT a FROM t WHERE b = 5000000000) u WHERE a = 2").unwrap();
        assert_eq!(query, "SELECT a FROM (SELECT a FROM t WHERE b = $1) u WHERE a = $2");
        assert_eq!(numbers, [5_000_000_000, 2]);
    }

    #[test]
    fn what_may_be_more_than_a_number_stays() {
        assert_eq!(lift("SELECT 1, round(a, 2) FROM t WHERE a LIKE '5' GROUP BY 1 LIMIT 10"), None);
        assert_eq!(lift("SELECT a FROM t WHERE round(a, 2) = 1.5 AND a > 99999999999999999999"), None);
        assert_eq!(lift("SELECT a FROM t WHERE a IN (SELECT b FROM u WHERE c = 1)"), None);
        assert_eq!(lift("SELECT a FROM t WHERE a = 1 AND b = $1"), None);
        assert_eq!(lift("SELECT $1 FROM t WHERE a = 1 AND b = 2"), None);
    }
}
