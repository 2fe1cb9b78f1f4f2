//! `t.*` as a value: a struct of the table's columns, as functions that make JSON take it.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{Expr, lit};

/// A call whose arguments are values.
pub(super) fn of_expr(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let arguments = match &mut expr {
        Expr::ScalarFunction(ScalarFunction { args, .. }) => args,
        Expr::AggregateFunction(AggregateFunction { func, params }) if func.name() == "array_agg" => {
            &mut params.args
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let mut found = false;
    for argument in arguments {
        if let Some(row) = row_of(argument, schema) {
            *argument = row;
            found = true;
        }
    }
    Ok(if found { Transformed::yes(expr) } else { Transformed::no(expr) })
}

#[expect(deprecated, reason = "the planner has no other word for a star among arguments")]
fn row_of(argument: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::Wildcard { qualifier: Some(table), .. } = argument else { return None };
    let columns = schema.columns().into_iter();
    let columns = columns.filter(|column| column.relation.as_ref().is_some_and(|of| table.resolved_eq(of)));
    let fields = columns.flat_map(|column| [lit(column.name.clone()), Expr::Column(column)]);
    Some(named_struct(fields.collect()))
}
