//! Times with so many digits of a second: `x::timestamp(2)`, `time(0) '10:20:30.5'`, `current_timestamp(3)`.
//!
//! The digits that are left out are rounded, half away from zero, and the column says how many there are.

use crate::serve::postgres::catalog::types::PG_TYPMOD_KEY;
use arrow::array::types::IntervalMonthDayNanoType;
use arrow::array::{ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// The function that rewriting puts in.
pub(super) const NAME: &str = "to_precision";

/// What PostgreSQL adds to the precision of an interval of which no fields were named.
const ALL_FIELDS: i32 = 0x7fff << 16;

/// `to_precision(time, digits)`
pub(super) fn to_precision() -> ScalarUDF {
    ScalarUDF::new_from_impl(ToPrecision { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ToPrecision {
    signature: Signature,
}

impl ScalarUDFImpl for ToPrecision {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(digits) = args.scalar_arguments.get(1).copied().flatten().and_then(digits) else {
            return plan_err!("a precision is a literal");
        };
        let data_type = args.arg_fields[0].data_type().clone();
        let typmod = match data_type {
            DataType::Interval(_) => ALL_FIELDS + i32::from(digits),
            _ => i32::from(digits),
        };
        let metadata = [(PG_TYPMOD_KEY.to_string(), typmod.to_string())];
        Ok(Arc::new(Field::new(self.name(), data_type, true).with_metadata(metadata.into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [times, ColumnarValue::Scalar(precision)] = args.args.as_slice() else {
            return internal_err!("a precision is a literal");
        };
        let precision = digits(precision).unwrap_or(6);
        match times {
            ColumnarValue::Array(times) => Ok(ColumnarValue::Array(rounded(times, precision)?)),
            ColumnarValue::Scalar(time) => {
                let rounded = rounded(&time.to_array()?, precision)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&rounded, 0)?))
            }
        }
    }
}

fn digits(value: &ScalarValue) -> Option<u8> {
    match value {
        ScalarValue::Int64(Some(digits)) => u8::try_from(*digits).ok(),
        ScalarValue::Int32(Some(digits)) => u8::try_from(*digits).ok(),
        _ => None,
    }
}

fn rounded(times: &ArrayRef, digits: u8) -> Result<ArrayRef> {
    let per_second: i64 = match times.data_type() {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        },
        DataType::Interval(_) => 1_000_000_000,
        _ => return Ok(Arc::clone(times)),
    };
    let step = (per_second / 10_i64.pow(u32::from(digits.min(9)))).max(1);
    let to_step = |count: i64| to_step(count, step);
    if let DataType::Interval(_) = times.data_type() {
        let intervals = times.as_primitive::<IntervalMonthDayNanoType>();
        let rounded = intervals.unary::<_, IntervalMonthDayNanoType>(|of| {
            IntervalMonthDayNano::new(of.months, of.days, to_step(of.nanoseconds))
        });
        return Ok(Arc::new(rounded));
    }
    let counts = cast(times, &DataType::Int64)?;
    let counts: ArrayRef = Arc::new(counts.as_primitive::<Int64Type>().unary::<_, Int64Type>(to_step));
    Ok(cast(&counts, times.data_type())?)
}

fn to_step(count: i64, step: i64) -> i64 {
    let below = count / step * step;
    if (count % step).saturating_abs() >= step - step / 2 && step > 1 {
        below + count.signum() * step
    } else {
        below
    }
}

#[cfg(test)]
mod tests {
    use super::to_step;

    #[test]
    fn halves_go_away_from_zero() {
        for (count, step, expected) in
            [(1_499, 1_000, 1_000), (1_500, 1_000, 2_000), (-1_500, 1_000, -2_000), (7, 1, 7), (0, 10, 0)]
        {
            assert_eq!(to_step(count, step), expected, "{count} to {step}");
        }
    }
}
