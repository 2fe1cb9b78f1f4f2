//! Texts of columns that are cast to times, read as literals are: `'2026-01-05 10:15'`, `'Jan 5 2026'`, `'05/01/2026'` as the
//! session's `DateStyle` has it, `'1 month - 1 hour'`. The engine reads ISO's form alone, and that with seconds.

use super::typed::Typed as _;
use crate::serve::Error;
use crate::serve::datetime::{Kind, Order, iso};
use crate::sql::interval_parts;
use arrow::array::types::IntervalMonthDayNanoType;
use arrow::array::{Array as _, ArrayRef, AsArray as _, PrimitiveArray, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// A cast of a text that is not written in the statement.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema, order: Order) -> Transformed<Expr> {
    let Expr::Cast(Cast { expr: text, field }) = expr else { return Transformed::no(expr) };
    let kind = match field.data_type() {
        DataType::Date32 => Some(Kind::Date),
        DataType::Timestamp(_, None) => Some(Kind::Timestamp),
        DataType::Timestamp(_, Some(_)) => Some(Kind::Moment),
        _ => None,
    };
    let is_read = kind.is_some() || field.data_type() == &INTERVAL;
    let is_text = !matches!(*text, Expr::Literal(..) | Expr::Placeholder(_))
        && text.type_of(schema).is_ok_and(|found| found.is_string());
    if !is_read || !is_text {
        return Transformed::no(Expr::Cast(Cast { expr: text, field }));
    }
    let signature = Signature::any(1, Volatility::Immutable);
    let reader = Reader { kind, order, data_type: field.data_type().clone(), signature };
    let read = Arc::new(ScalarUDF::new_from_impl(reader)).call(vec![*text]);
    Transformed::yes(Expr::Cast(Cast { expr: Box::new(read), field }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Reader {
    /// Of a time; none for intervals.
    kind: Option<Kind>,
    order: Order,
    data_type: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Reader {
    fn name(&self) -> &str {
        "read"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (kind, order, data_type) = (self.kind, self.order, self.data_type.clone());
        let read = move |texts: &[ArrayRef]| match kind {
            Some(kind) => times(&texts[0], kind, order, &data_type),
            None => intervals(&texts[0]),
        };
        make_scalar_function(read, vec![])(&args.args)
    }
}

/// What the engine reads, and only if that is not all the rest in ISO's form.
fn times(texts: &ArrayRef, kind: Kind, order: Order, data_type: &DataType) -> Result<ArrayRef> {
    let is_ambiguous = |text: &str| text.contains('/');
    let texts = cast(texts, &DataType::Utf8)?;
    let lenient = CastOptions { safe: true, ..CastOptions::default() };
    let known = cast_with_options(&texts, data_type, &lenient)?;
    let texts = texts.as_string::<i32>();
    if known.null_count() == texts.null_count() && !texts.iter().flatten().any(is_ambiguous) {
        return Ok(known);
    }
    let spelled: StringArray = texts
        .iter()
        .map(|text| text.map(|text| iso(text, kind, order).unwrap_or_else(|| text.to_string())))
        .collect();
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(&spelled, data_type, &strict)?)
}

fn intervals(texts: &ArrayRef) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8)?;
    let read = |text: &str| {
        let (months, days, microseconds) = interval_parts(text)?;
        Some(IntervalMonthDayNano::new(months, days, microseconds.checked_mul(1_000)?))
    };
    let misread = |text: &str| {
        let message = format!("invalid input syntax for type interval: \"{text}\"");
        DataFusionError::External(Box::new(Error::new("22007", message)))
    };
    let intervals = texts.as_string::<i32>().iter().map(|text| match text {
        Some(text) => read(text).map(Some).ok_or_else(|| misread(text)),
        None => Ok(None),
    });
    Ok(Arc::new(intervals.collect::<Result<PrimitiveArray<IntervalMonthDayNanoType>>>()?))
}
