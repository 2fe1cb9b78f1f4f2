//! Lengths of time, compared and sorted by how long they are.
//!
//! DataFusion 55 compares intervals part by part: months, then days, then the rest. What two timestamps are apart has
//! no days but many hours, so that a month was less than `INTERVAL '1 day'`. As in PostgreSQL, a month has thirty days
//! here, and a day twenty-four hours.

use super::coerced::is_comparison;
use arrow::array::types::{Decimal128Type, IntervalMonthDayNanoType};
use arrow::array::{ArrayRef, AsArray as _};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::expr::{Between, Sort};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, LogicalPlan, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const SPAN: DataType = DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0);

/// Puts numbers in the place of intervals that are compared or sorted by. Has to come before expressions are simplified.
#[derive(Debug)]
pub(super) struct Spans;

impl OptimizerRule for Spans {
    fn name(&self) -> &str {
        "spans"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let schema = merge_schema(&plan.inputs());
        if let LogicalPlan::Sort(mut sort) = plan {
            sort.expr.iter_mut().for_each(|key| of_key(key, &schema));
            return Ok(Transformed::yes(LogicalPlan::Sort(sort)));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let compared = expr.transform_up(|expr| Ok(by_span(expr, &schema)))?;
            Ok(compared.update_data(|expr| name.restore(expr)))
        })
    }
}

fn by_span(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_interval = |expr: &Expr| expr.get_type(schema).is_ok_and(|found| found == INTERVAL);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op) && is_interval(&left) && is_interval(&right) =>
        {
            let (left, right) = (Box::new(span(*left)), Box::new(span(*right)));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Between(Between { expr, negated, low, high })
            if is_interval(&expr) && is_interval(&low) && is_interval(&high) =>
        {
            let [expr, low, high] = [expr, low, high].map(|side| Box::new(span(*side)));
            Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
        }
        other => Transformed::no(other),
    }
}

/// A window whose rows are sorted by lengths of time; no frame of the engine's is over intervals.
pub(super) fn of_window(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::WindowFunction(mut window) => {
            window.params.order_by.iter_mut().for_each(|key| of_key(key, schema));
            Transformed::yes(Expr::WindowFunction(window))
        }
        other => Transformed::no(other),
    }
}

/// What rows are sorted by.
fn of_key(key: &mut Sort, schema: &DFSchema) {
    if key.expr.get_type(schema).is_ok_and(|found| found == INTERVAL) {
        key.expr = span(std::mem::take(&mut key.expr));
    }
}

fn span(interval: Expr) -> Expr {
    Arc::new(ScalarUDF::new_from_impl(Span::default())).call(vec![interval])
}

/// How many nanoseconds an interval has.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Span {
    signature: Signature,
}

impl Default for Span {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![INTERVAL], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Span {
    fn name(&self) -> &str {
        "span"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(SPAN)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        make_scalar_function(spans, vec![])(&args.args)
    }
}

fn spans(intervals: &[ArrayRef]) -> Result<ArrayRef> {
    let intervals = intervals[0].as_primitive::<IntervalMonthDayNanoType>();
    let spans = intervals.unary::<_, Decimal128Type>(nanoseconds);
    Ok(Arc::new(spans.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?))
}

fn nanoseconds(of: IntervalMonthDayNano) -> i128 {
    const A_DAY: i128 = 86_400_000_000_000;
    let days = i128::from(of.months) * 30 + i128::from(of.days);
    days * A_DAY + i128::from(of.nanoseconds)
}
