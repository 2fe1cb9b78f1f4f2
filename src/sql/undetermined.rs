//! Parts of a query whose answer its rows do not determine: an order is missing. What a view stores of them is one of the
//! answers, and its query computed anew may give another. Pure.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArgumentClause, FunctionArguments, LimitClause, Query, SetExpr,
    Spanned as _, Visit as _, Visitor, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use std::ops::ControlFlow;

/// Aggregates that go by the order of their rows.
const ORDERED_AGGREGATES: [&str; 5] = ["array_agg", "string_agg", "first_value", "last_value", "nth_value"];

/// Window functions that go by the order of their rows.
const ORDERED_WINDOWS: [&str; 7] =
    ["row_number", "ntile", "lag", "lead", "first_value", "last_value", "nth_value"];

/// A part of a query that has more than one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undetermined {
    /// Which part, and what it lacks.
    pub what: String,
    /// 1-based line in the file; 0 where it is not known.
    pub line: u64,
    /// 1-based column in the file.
    pub column: u64,
}

impl Undetermined {
    /// The part and what follows, in one sentence.
    pub fn message(&self) -> String {
        format!("{}: the answer is not determined, and VERIFY may differ", self.what)
    }
}

/// These parts of a query, in the order in which they stand.
pub fn undetermined(query: &Query) -> Vec<Undetermined> {
    let mut found = Found::default();
    let _ = query.visit(&mut found);
    found.parts
}

#[derive(Default)]
struct Found {
    parts: Vec<Undetermined>,
}

impl Found {
    fn add(&mut self, at: Location, what: String) {
        let part = Undetermined { what, line: at.line, column: at.column };
        if !self.parts.contains(&part) {
            self.parts.push(part);
        }
    }
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if query.order_by.is_none() {
            if let Some(clause) = cut(query) {
                self.add(query.span().start, format!("{clause} has no ORDER BY"));
            }
            if let SetExpr::Select(select) = query.body.as_ref()
                && let Some(Distinct::On(keys)) = &select.distinct
            {
                let keys = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                self.add(query.span().start, format!("DISTINCT ON ({keys}) has no ORDER BY"));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(what) = undetermined_call(function)
        {
            self.add(function.span().start, what);
        }
        ControlFlow::Continue(())
    }
}

/// What cuts a query's rows off.
fn cut(query: &Query) -> Option<&'static str> {
    match (&query.limit_clause, &query.fetch) {
        (Some(LimitClause::LimitOffset { limit: None, offset: None, .. }), None) | (None, None) => None,
        (Some(LimitClause::LimitOffset { limit: None, .. }), None) => Some("OFFSET"),
        (Some(_), _) => Some("LIMIT"),
        (None, Some(_)) => Some("FETCH FIRST"),
    }
}

fn undetermined_call(function: &Function) -> Option<String> {
    let name = function.name.0.last()?.as_ident()?.value.to_lowercase();
    match &function.over {
        // A window by name may have an order where it is defined.
        Some(WindowType::NamedWindow(_)) => None,
        Some(WindowType::WindowSpec(window)) => {
            let has_order = window.window_name.is_some() || !window.order_by.is_empty();
            (ORDERED_WINDOWS.contains(&name.as_str()) && !has_order)
                .then(|| format!("{function} has no ORDER BY"))
        }
        None if name == "any_value" => Some(format!("{function} is any of the values")),
        None => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let is_order =
                |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(_));
            let has_order = list.clauses.iter().any(is_order) || !function.within_group.is_empty();
            (ORDERED_AGGREGATES.contains(&name.as_str()) && !has_order)
                .then(|| format!("{function} has no ORDER BY"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn found(sql: &str) -> Vec<(String, u64)> {
        let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap();
        let found = undetermined(&parser.parse_query().unwrap());
        found.into_iter().map(|part| (part.what, part.column)).collect()
    }

    #[test]
    fn what_lacks_an_order_is_found() {
        for (sql, what, column) in [
            ("SELECT k, array_agg(v) FROM t GROUP BY k", "array_agg(v) has no ORDER BY", 11),
            ("SELECT string_agg(DISTINCT v, ',') FROM t", "string_agg(DISTINCT v, ',') has no ORDER BY", 8),
            ("SELECT first_value(v) FROM t", "first_value(v) has no ORDER BY", 8),
            ("SELECT any_value(v) FROM t", "any_value(v) is any of the values", 8),
            ("SELECT v FROM t LIMIT 3", "LIMIT has no ORDER BY", 1),
            ("SELECT v FROM t OFFSET 3", "OFFSET has no ORDER BY", 1),
            ("SELECT v FROM t FETCH FIRST 3 ROWS ONLY", "FETCH FIRST has no ORDER BY", 1),
            ("SELECT v, row_number() OVER () FROM t", "row_number() OVER () has no ORDER BY", 11),
            ("SELECT lag(v) OVER (PARTITION BY k) FROM t", "lag(v) OVER (PARTITION BY k) has no ORDER BY", 8),
            ("SELECT DISTINCT ON (k) k, v FROM t", "DISTINCT ON (k) has no ORDER BY", 1),
            ("SELECT * FROM (SELECT v FROM t LIMIT 3) AS u ORDER BY v", "LIMIT has no ORDER BY", 16),
        ] {
            assert_eq!(found(sql), [(what.to_string(), column)], "{sql}");
        }
    }

    #[test]
    fn what_has_an_order_or_needs_none_is_not() {
        for sql in [
            "SELECT k, array_agg(v ORDER BY v), string_agg(v, ',' ORDER BY v), max(v) FROM t GROUP BY k",
            "SELECT first_value(v ORDER BY k), percentile_cont(0.5) WITHIN GROUP (ORDER BY v) FROM t",
            "SELECT row_number() OVER (ORDER BY v), sum(v) OVER (PARTITION BY k), count(*) OVER () FROM t",
            "SELECT row_number() OVER w FROM t WINDOW w AS (ORDER BY v)",
            "SELECT DISTINCT ON (k) k, v FROM t ORDER BY k, v LIMIT 3",
            "SELECT v FROM t ORDER BY v LIMIT 3 OFFSET 1",
        ] {
            assert_eq!(found(sql), [], "{sql}");
        }
    }
}
