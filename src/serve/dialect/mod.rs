//! PostgreSQL's meaning of SQL where the engine's differs, for statements of readers.
//!
//! Comes in: a session's engine, and plans. Goes out: the engine with PostgreSQL's types in casts and its arithmetic,
//! and what PostgreSQL calls the types of a plan's columns. What the query computes is decided before anything is
//! optimized, so that every optimizer rule sees it.

mod arithmetic;
mod averages;
mod beside;
mod checks;
mod columns;
mod common_type;
mod decimals;
mod dimensions;
mod interval_totals;
mod jsonb;
mod limits;
mod missing;
mod modifiers;
mod numbers;
mod operators;
mod origins;
mod parts;
mod precision;
mod result_types;
mod scalar_rows;
mod subquery_order;
mod subscripts;
mod texts;
mod texts_read;
mod times;
mod type_names;
mod typed;
mod whole_rows;

pub(super) use beside::types_beside;
pub(super) use missing::explained;
pub(super) use origins::{Origin, origins};
pub(super) use result_types::{identifiers_with_names, result_types};

use crate::engine::Unnesting;
use crate::serve::Error;
use crate::serve::postgres::catalog;
use crate::serve::postgres::encode::Forms;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::sql::sqlparser::ast::Statement;
use operators::Operators;
use std::sync::Arc;
use type_names::TypeNames;

/// Gives an engine PostgreSQL's types and operators.
pub(super) fn equip(engine: SessionState) -> Result<SessionState> {
    // Ours comes first, as it knows which operators there are.
    let ours: Arc<dyn ExprPlanner> = Arc::new(Operators);
    let planners = std::iter::once(ours).chain(engine.expr_planners().iter().cloned()).collect();
    let mut config = engine.config().clone();
    // `SELECT * FROM (SELECT ... ORDER BY ...)` comes in that order: tools wrap what they are given to run.
    config.options_mut().sql_parser.enable_subquery_sort_elimination = false;
    let engine = SessionStateBuilder::new_from_existing(engine).with_config(config);
    let mut engine = engine.with_type_planner(Arc::new(TypeNames)).with_expr_planners(planners).build();
    for function in [parts::beginnings(), precision::to_precision()] {
        engine.register_udf(Arc::new(function))?;
    }
    engine.register_udaf(Arc::new(interval_totals::average()))?;
    Ok(engine)
}

/// What a session says of its values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner<'a> {
    /// In which form they become text, and dates are read.
    pub(super) forms: Forms,
    /// Whose clocks show moments.
    pub(super) zone: &'a str,
}

/// Refuses a plan that has just been made of a statement for what PostgreSQL refuses in it.
pub(super) fn check(
    plan: &LogicalPlan,
    statement: &Statement,
    functions: &dyn FunctionRegistry,
) -> std::result::Result<(), Error> {
    checks::check(plan).map_err(|error| missing::as_written(error.into(), statement, functions))
}

/// A plan that has just been made of a query's text, computing as PostgreSQL does in such a session.
pub(super) fn as_postgresql(plan: LogicalPlan, manner: &Manner<'_>) -> Result<LogicalPlan> {
    let mut unnesting = Unnesting::of_all_but(catalog::reads_only_catalogs);
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| {
                let expr = scalar_rows::of_expr(expr)?.data;
                let expr = times::of_expr(expr, &schema, manner)?.data;
                let expr = texts_read::of_expr(expr, &schema, manner.forms.order).data;
                let expr = whole_rows::of_expr(expr, &schema, manner.forms)?.data;
                let expr = dimensions::of_expr(expr, &schema)?.data;
                let expr = subscripts::of_expr(expr)?.data;
                let expr = jsonb::of_expr(expr, &schema)?.data;
                let expr = decimals::of_expr(expr, &schema)?.data;
                numbers::of_expr(expr, &schema)?
                    .transform_data(|expr| texts::of_expr(expr, &schema, manner.forms))
            })?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })?;
        // Types below may have changed: every node above has to see it.
        let node = node.map_data(LogicalPlan::recompute_schema)?;
        let node = node.map_data(|node| Ok(subquery_order::of_plan(node)?.data))?;
        node.map_data(|node| unnesting.rewritten(node))
    })?;
    Ok(rewritten.data)
}
