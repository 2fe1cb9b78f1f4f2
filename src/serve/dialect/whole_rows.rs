//! `t.*` as a value: a struct of the table's columns, as functions that make JSON take it; printed, where a record's text is
//! made of it.

use super::typed::Typed as _;
use crate::serve::postgres::encode::Forms;
use crate::serve::postgres::printed::printed;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{Expr, lit};

/// A call whose arguments are values.
pub(super) fn of_expr(mut expr: Expr, schema: &DFSchema, forms: Forms) -> Result<Transformed<Expr>> {
    if let Expr::ScalarFunction(ScalarFunction { func, args }) = &mut expr
        && ["record_text", "record_or_null"].contains(&func.name())
    {
        let fields = std::mem::take(args).into_iter();
        let fields = fields.flat_map(|field| columns_of(&field, schema).unwrap_or_else(|| vec![field]));
        *args = fields.map(|field| as_text(field, schema, forms)).collect();
        return Ok(Transformed::yes(expr));
    }
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

fn row_of(argument: &Expr, schema: &DFSchema) -> Option<Expr> {
    let columns = columns_of(argument, schema)?.into_iter();
    let fields = columns.flat_map(|column| match &column {
        Expr::Column(named) => vec![lit(named.name.clone()), column],
        _ => vec![],
    });
    Some(named_struct(fields.collect()))
}

#[expect(deprecated, reason = "the planner has no other word for a star among arguments")]
fn columns_of(argument: &Expr, schema: &DFSchema) -> Option<Vec<Expr>> {
    let Expr::Wildcard { qualifier: Some(table), .. } = argument else { return None };
    let columns = schema.columns().into_iter();
    let columns = columns.filter(|column| column.relation.as_ref().is_some_and(|of| table.resolved_eq(of)));
    Some(columns.map(Expr::Column).collect())
}

fn as_text(value: Expr, schema: &DFSchema, forms: Forms) -> Expr {
    match value.type_of(schema) {
        Ok(found) if found.is_string() || found == DataType::Null => value,
        _ => printed(value, forms),
    }
}
