//! PostgreSQL's meaning of SQL where the engine's differs, for statements of readers.
//!
//! Comes in: a session's engine, and plans. Goes out: the engine with PostgreSQL's types in casts and its arithmetic,
//! and what PostgreSQL calls the types of a plan's columns. What the query computes is decided before anything is
//! optimized, so that every optimizer rule sees it.

mod arithmetic;
mod common_type;
mod numbers;
mod operators;
mod result_types;
mod type_names;

pub(super) use result_types::{identifiers_with_names, result_types};

use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry as _, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use operators::Operators;
use std::sync::Arc;
use type_names::TypeNames;

/// Gives an engine PostgreSQL's types and operators.
pub(super) fn equip(engine: SessionState) -> Result<SessionState> {
    let mut engine =
        SessionStateBuilder::new_from_existing(engine).with_type_planner(Arc::new(TypeNames)).build();
    engine.register_expr_planner(Arc::new(Operators))?;
    Ok(engine)
}

/// A plan that has just been made of a query's text, computing as PostgreSQL does.
pub(super) fn as_postgresql(plan: LogicalPlan) -> Result<LogicalPlan> {
    numbers::with_numbers(plan)
}
