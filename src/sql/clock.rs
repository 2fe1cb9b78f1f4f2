//! Does a query (or a part of one) ask for the time? Then its result changes although no input does.

use datafusion::sql::sqlparser::ast::{Expr, Visit, visit_expressions};
use std::ops::ControlFlow;

const CLOCK_FUNCTIONS: [&str; 8] = [
    "now",
    "today",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "statement_timestamp",
];

/// True when the query calls a function that reads the clock.
pub fn asks_for_time(query: &impl Visit) -> bool {
    let found = visit_expressions(query, |expression| match expression {
        Expr::Function(function) if is_clock(&function.name.to_string()) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn is_clock(name: &str) -> bool {
    CLOCK_FUNCTIONS.iter().any(|clock| name.eq_ignore_ascii_case(clock))
}
