//! Which column of which relation a query's column is, as `RowDescription` tells it: PostgreSQL's table OID and number of
//! the column, from which drivers find out what may be NULL and what a table is called.
//!
//! Comes in: a plan as it was written. Goes out: a relation and a place in it for each column that is one, through
//! whatever stands between; none for what is computed and for what several queries give together.

use datafusion::common::{DFSchema, JoinType, TableReference};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// A relation, and the place of one of its columns, from 1.
pub(in crate::serve) type Origin = Option<(TableReference, i16)>;

/// Where each column of a plan comes from.
pub(in crate::serve) fn origins(plan: &LogicalPlan) -> Vec<Origin> {
    let columns = plan.schema().fields().len();
    let found = match plan {
        LogicalPlan::Projection(p) => of_exprs(&p.expr, &p.input),
        LogicalPlan::Aggregate(a) => of_exprs(&a.group_expr, &a.input),
        LogicalPlan::Window(w) => origins(&w.input),
        // A view stands under its name; an alias has no schema.
        LogicalPlan::SubqueryAlias(alias) if alias.alias.schema().is_some() => {
            (0..columns).map(|at| of(&alias.alias, at)).collect()
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => {
            plan.inputs().first().map(|input| origins(input)).unwrap_or_default()
        }
        LogicalPlan::Distinct(Distinct::On(on)) => of_exprs(&on.select_expr, &on.input),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => origins(&join.left),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => origins(&join.right),
            _ => origins(&join.left).into_iter().chain(origins(&join.right)).collect(),
        },
        LogicalPlan::TableScan(scan) => {
            let places: Vec<usize> = scan.projection.clone().unwrap_or_else(|| (0..columns).collect());
            places.into_iter().map(|at| of(&scan.table_name, at)).collect()
        }
        _ => vec![],
    };
    // What stands behind them is computed.
    found.into_iter().chain(std::iter::repeat(None)).take(columns).collect()
}

fn of(table: &TableReference, at: usize) -> Origin {
    Some((table.clone(), i16::try_from(at + 1).ok()?))
}

fn of_exprs(exprs: &[Expr], input: &LogicalPlan) -> Vec<Origin> {
    let known = origins(input);
    exprs.iter().map(|expr| of_expr(expr, input.schema(), &known)).collect()
}

fn of_expr(expr: &Expr, schema: &DFSchema, known: &[Origin]) -> Origin {
    match expr {
        Expr::Alias(alias) => of_expr(&alias.expr, schema, known),
        Expr::Column(column) => {
            schema.index_of_column(column).ok().and_then(|at| known.get(at).cloned().flatten())
        }
        _ => None,
    }
}
