//! What PostgreSQL calls the modifiers of a query's columns: `numeric(18,2)` of a table's column and of a cast, none of
//! what is computed.
//!
//! Comes in: a plan as it was written. Goes out: a `typmod` for each column. What is computed does not depend on it.

use crate::serve::postgres::catalog::types::{NO_TYPMOD, PG_TYPMOD_KEY, column_type};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// The modifier of each column of a plan; -1 is none.
pub(super) fn of_plan(plan: &LogicalPlan) -> Vec<i32> {
    let columns = plan.schema().fields().len();
    let found = match plan {
        LogicalPlan::Projection(p) => of_exprs(&p.expr, &p.input),
        LogicalPlan::Aggregate(a) => of_exprs(&a.group_expr, &a.input),
        LogicalPlan::Window(w) => of_plan(&w.input),
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => {
            plan.inputs().first().map(|input| of_plan(input)).unwrap_or_default()
        }
        LogicalPlan::Distinct(Distinct::On(on)) => of_exprs(&on.select_expr, &on.input),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => of_plan(&join.left),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => of_plan(&join.right),
            _ => of_plan(&join.left).into_iter().chain(of_plan(&join.right)).collect(),
        },
        LogicalPlan::Union(union) => {
            let branches: Vec<Vec<i32>> = union.inputs.iter().map(|input| of_plan(input)).collect();
            let of_column = |at: usize| alike(branches.iter().map(|branch| branch.get(at).copied()));
            (0..columns).map(of_column).collect()
        }
        LogicalPlan::TableScan(_) => {
            plan.schema().fields().iter().map(|field| column_type(field).typmod).collect()
        }
        LogicalPlan::RecursiveQuery(query) => of_plan(&query.static_term),
        _ => vec![],
    };
    // What stands behind them is computed.
    let rest = std::iter::repeat(NO_TYPMOD);
    found.into_iter().chain(rest).take(columns).collect()
}

fn of_exprs(exprs: &[Expr], input: &LogicalPlan) -> Vec<i32> {
    let modifiers = of_plan(input);
    exprs.iter().map(|expr| of_expr(expr, input.schema(), &modifiers)).collect()
}

fn of_expr(expr: &Expr, schema: &DFSchema, modifiers: &[i32]) -> i32 {
    let of = |expr: &Expr| of_expr(expr, schema, modifiers);
    match expr {
        Expr::Alias(alias) => of(&alias.expr),
        Expr::Column(column) => {
            let index = schema.index_of_column(column).ok();
            index.and_then(|at| modifiers.get(at).copied()).unwrap_or(NO_TYPMOD)
        }
        Expr::OuterReferenceColumn(field, _) => column_type(field).typmod,
        Expr::Cast(cast) => said(&cast.field),
        Expr::TryCast(cast) => said(&cast.field),
        Expr::Case(case) => {
            let then = case.when_then_expr.iter().map(|(_, then)| Some(of(then)));
            alike(then.chain(case.else_expr.iter().map(|otherwise| Some(of(otherwise)))))
        }
        Expr::ScalarSubquery(subquery) => of_plan(&subquery.subquery).first().copied().unwrap_or(NO_TYPMOD),
        Expr::ScalarFunction(function) if function.name() == "coalesce" => {
            alike(function.args.iter().map(|argument| Some(of(argument))))
        }
        _ => NO_TYPMOD,
    }
}

/// The modifier that a cast names.
fn said(field: &Field) -> i32 {
    // A parameter of any precision has these: nobody said them.
    if field.data_type() == &DataType::Decimal128(38, 10) {
        return NO_TYPMOD;
    }
    let said = field.metadata().get(PG_TYPMOD_KEY).and_then(|typmod| typmod.parse().ok());
    said.unwrap_or(NO_TYPMOD)
}

/// What all have; none if they differ.
fn alike(modifiers: impl IntoIterator<Item = Option<i32>>) -> i32 {
    let mut modifiers = modifiers.into_iter();
    let first = modifiers.next().flatten().unwrap_or(NO_TYPMOD);
    if modifiers.all(|other| other == Some(first)) { first } else { NO_TYPMOD }
}
