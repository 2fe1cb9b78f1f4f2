//! Timestamps count microseconds, as those of tables do.
//!
//! DataFusion 55 counts nanoseconds in timestamps that are made of a text, of a function and of a date beside another: those
//! end in the year 2262, and `DATE '9999-12-31'`, which ends what has no end in many a warehouse, is an error beside them.

use super::coerced::is_comparison;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, Cast, Placeholder};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, cast};
use std::sync::Arc;

/// An expression that counts microseconds. A date beside a moment is its midnight in UTC, where that is the session's zone,
/// and stays what it is elsewhere.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema, is_utc: bool) -> Transformed<Expr> {
    match expr {
        Expr::Cast(Cast { expr, field }) => match coarser(field.data_type()) {
            Some(data_type) => {
                let field = Arc::new(field.as_ref().clone().with_data_type(data_type));
                Transformed::yes(Expr::Cast(Cast { expr, field }))
            }
            None => Transformed::no(Expr::Cast(Cast { expr, field })),
        },
        Expr::Literal(ScalarValue::TimestampNanosecond(time, zone), metadata) => {
            let time = time.map(|time| time.div_euclid(1_000));
            Transformed::yes(Expr::Literal(ScalarValue::TimestampMicrosecond(time, zone), metadata))
        }
        Expr::Placeholder(Placeholder { id, field: Some(field) }) => {
            let data_type = coarser(field.data_type()).unwrap_or_else(|| field.data_type().clone());
            let field = Arc::new(field.as_ref().clone().with_data_type(data_type));
            Transformed::yes(Expr::Placeholder(Placeholder { id, field: Some(field) }))
        }
        call @ Expr::ScalarFunction(_) => match call.get_type(schema).ok().as_ref().and_then(coarser) {
            Some(data_type) => Transformed::yes(cast(call, data_type)),
            None => Transformed::no(call),
        },
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let (left, right) = (beside(left, &right, schema, is_utc), right);
            let right = beside(right, &left, schema, is_utc);
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let low = beside(low, &expr, schema, is_utc);
            let high = beside(high, &expr, schema, is_utc);
            let expr = beside(expr, &low, schema, is_utc);
            let expr = beside(expr, &high, schema, is_utc);
            Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
        }
        other => Transformed::no(other),
    }
}

fn coarser(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        _ => None,
    }
}

/// A date as what stands beside it, if that is a timestamp.
fn beside(side: Box<Expr>, other: &Expr, schema: &DFSchema, is_utc: bool) -> Box<Expr> {
    match (side.get_type(schema), other.get_type(schema)) {
        (Ok(DataType::Date32), Ok(DataType::Timestamp(_, zone))) if zone.is_none() || is_utc => {
            Box::new(cast(*side, DataType::Timestamp(TimeUnit::Microsecond, zone)))
        }
        _ => side,
    }
}
