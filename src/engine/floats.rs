//! A numeric beside a float is one: the engine makes a numeric with fifteen digits behind the point of both, to which
//! `1e-16` is zero and for which `1e16` is too large.

use super::coerced::is_comparison;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, Union, cast,
};
use std::sync::Arc;

/// Functions whose arguments are of one type.
const ALIKE: [&str; 4] = ["coalesce", "greatest", "least", "nullif"];

/// An expression that compares and picks floats as PostgreSQL does.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) if is_comparison(op) => {
            alike([left.as_mut(), right.as_mut()], schema);
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Between(Between { mut expr, negated, mut low, mut high }) => {
            alike([expr.as_mut(), low.as_mut(), high.as_mut()], schema);
            Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
        }
        Expr::InList(InList { mut expr, mut list, negated }) => {
            alike(std::iter::once(expr.as_mut()).chain(&mut list), schema);
            Transformed::yes(Expr::InList(InList { expr, list, negated }))
        }
        Expr::Case(Case { expr, mut when_then_expr, mut else_expr }) => {
            let results = when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut else_expr);
            alike(results.map(AsMut::as_mut), schema);
            Transformed::yes(Expr::Case(Case { expr, when_then_expr, else_expr }))
        }
        Expr::ScalarFunction(mut call) if ALIKE.contains(&call.name()) => {
            alike(&mut call.args, schema);
            Transformed::yes(Expr::ScalarFunction(call))
        }
        other => Transformed::no(other),
    }
}

/// A UNION whose numerics are floats where another of its queries has floats.
pub(super) fn of_union(mut union: Union) -> Result<LogicalPlan> {
    let types = |input: &LogicalPlan| input.schema().fields().iter().map(|f| f.data_type().clone()).collect();
    let types: Vec<Vec<DataType>> = union.inputs.iter().map(|input| types(input)).collect();
    let is_float = |column: usize| types.iter().any(|of| of.get(column).is_some_and(DataType::is_floating));
    for (input, types) in union.inputs.iter_mut().zip(&types) {
        let becomes_one =
            |column: usize| matches!(types[column], DataType::Decimal128(..)) && is_float(column);
        if !(0..types.len()).any(becomes_one) {
            continue;
        }
        let columns = input.schema().columns().into_iter().enumerate().map(|(place, column)| {
            let name = column.name.clone();
            match becomes_one(place) {
                true => cast(Expr::Column(column), DataType::Float64).alias(name),
                false => Expr::Column(column),
            }
        });
        *input = Arc::new(LogicalPlanBuilder::from(Arc::clone(input)).project(columns)?.build()?);
    }
    Ok(LogicalPlan::Union(union))
}

/// Makes numerics floats where one of the values is a float.
fn alike<'a>(values: impl IntoIterator<Item = &'a mut Expr>, schema: &DFSchema) {
    let mut values: Vec<_> = values.into_iter().collect();
    let types: Vec<_> = values.iter().map(|value| value.get_type(schema).ok()).collect();
    if types.iter().flatten().any(DataType::is_floating) {
        for (value, found) in values.iter_mut().zip(&types) {
            if matches!(found, Some(DataType::Decimal128(..))) {
                **value = cast(std::mem::take(*value), DataType::Float64);
            }
        }
    }
}
