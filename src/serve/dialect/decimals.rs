//! Casts to numeric as PostgreSQL makes them: of a float the fifteen digits that are always right, of a numeric and of a
//! text all digits where no number of them is asked for.

use super::numbers::is_numeric;
use super::typed::Typed as _;
use crate::serve::Error;
use crate::serve::postgres::catalog::types::PG_TYPMOD_KEY;
use arrow::array::types::{Float32Type, Float64Type};
use arrow::array::{ArrayRef, AsArray as _, Decimal128Array};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, FieldRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// Digits of a `double precision` and of a `real` that are always right.
const DIGITS: (usize, usize) = (15, 6);

/// An expression that casts to numeric as PostgreSQL does.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(Cast { expr: value, field }) = expr else { return Ok(Transformed::no(expr)) };
    let DataType::Decimal128(precision, scale) = *field.data_type() else {
        return Ok(Transformed::no(Expr::Cast(Cast { expr: value, field })));
    };
    let found = value.type_of(schema).ok();
    if found.as_ref().is_some_and(DataType::is_floating) {
        let function = ScalarUDF::new_from_impl(OfFloat::new(precision, scale));
        let rounded = Arc::new(function).call(vec![*value]);
        return Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(rounded), field })));
    }
    let bare = is_bare(&field).then(|| whole(&value, found.as_ref())).flatten();
    Ok(match bare {
        Some(whole) => Transformed::yes(whole),
        None => Transformed::no(Expr::Cast(Cast { expr: value, field })),
    })
}

/// `numeric` without the digits that it has.
fn is_bare(field: &FieldRef) -> bool {
    field.data_type() == &DataType::Decimal128(38, 10) && !field.metadata().contains_key(PG_TYPMOD_KEY)
}

/// The value with the digits that it has itself.
fn whole(value: &Expr, found: Option<&DataType>) -> Option<Expr> {
    let as_numeric = |precision| Some(cast(value.clone(), DataType::Decimal128(precision, 0)));
    match found? {
        found if is_numeric(found) => Some(cast(value.clone(), found.clone())),
        DataType::Int16 => as_numeric(5),
        DataType::Int32 => as_numeric(10),
        DataType::Int64 => as_numeric(19),
        _ => match value {
            Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
                written(text.trim()).map(lit)
            }
            _ => None,
        },
    }
}

/// `-12.50` with its two digits behind the point.
fn written(text: &str) -> Option<ScalarValue> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{before}{behind}");
    let is_number = !all.is_empty() && all.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number || all.len() > usize::from(DECIMAL128_MAX_PRECISION) {
        return None;
    }
    let number: i128 = all.parse().ok()?;
    let number = if text.starts_with('-') { -number } else { number };
    let (precision, scale) = (u8::try_from(all.len()).ok()?, i8::try_from(behind.len()).ok()?);
    Some(ScalarValue::Decimal128(Some(number), precision.max(1), scale))
}

/// A float as a numeric.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfFloat {
    precision: u8,
    scale: i8,
    signature: Signature,
}

impl OfFloat {
    fn new(precision: u8, scale: i8) -> Self {
        Self { precision, scale, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn rounded(&self, text: &str) -> Result<i128> {
        let too_large = || external(Error::new("22003", "numeric field overflow"));
        let (digits, exponent) = text.split_once('e').ok_or_else(too_large)?;
        let exponent: i32 = exponent.parse().map_err(|_| too_large())?;
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, digits),
        };
        let digits = digits.replace('.', "");
        let behind = i32::try_from(digits.len()).unwrap_or(0) - 1 - exponent;
        let number: i128 = digits.parse().map_err(|_| too_large())?;
        // `number` counts units of 10^-behind.
        let shift = i32::from(self.scale) - behind;
        let ten = |power: i32| 10_i128.checked_pow(power.unsigned_abs());
        let scaled = match (shift >= 0, ten(shift)) {
            (true, Some(factor)) => number.checked_mul(factor).ok_or_else(too_large)?,
            (false, Some(divisor)) => (number + divisor / 2) / divisor,
            (true, None) if number != 0 => return Err(too_large()),
            (_, None) => 0,
        };
        let fits = 10_i128.checked_pow(u32::from(self.precision)).is_none_or(|end| scaled < end);
        if fits { Ok(sign * scaled) } else { Err(too_large()) }
    }

    fn number(&self, value: f64, digits: usize) -> Result<i128> {
        if !value.is_finite() {
            return Err(external(Error::new("0A000", "NaN and infinity are not supported in numerics")));
        }
        self.rounded(&format!("{value:.*e}", digits - 1))
    }

    fn rounded_real(&self, value: f32) -> Result<i128> {
        self.number(f64::from(value), DIGITS.1)
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl ScalarUDFImpl for OfFloat {
    fn name(&self) -> &str {
        "numeric_of_float"
    }

    /// Casts have no name of their own either.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|value| value.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(self.precision, self.scale))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        make_scalar_function(|values| self.numbers(&values[0]), vec![])(&args.args)
    }
}

impl OfFloat {
    fn numbers(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let numbers: Decimal128Array = match values.data_type() {
            DataType::Float64 => {
                let values = values.as_primitive::<Float64Type>().iter();
                let numbers = values.map(|value| value.map(|value| self.number(value, DIGITS.0)).transpose());
                numbers.collect::<Result<_>>()?
            }
            _ => {
                let values = arrow::compute::cast(values, &DataType::Float32)?;
                let values = values.as_primitive::<Float32Type>().iter();
                let number = |value: f32| self.rounded_real(value);
                let numbers = values.map(|value| value.map(number).transpose());
                numbers.collect::<Result<_>>()?
            }
        };
        Ok(Arc::new(numbers.with_precision_and_scale(self.precision, self.scale)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{DIGITS, OfFloat, written};
    use datafusion::scalar::ScalarValue;

    #[test]
    fn floats_are_rounded_by_their_digits() {
        let of = OfFloat::new(10, 2);
        // As PostgreSQL 15 rounds them.
        for (value, expected) in
            [(1.005, 101), (-1.005, -101), (0.285, 29), (2.675, 268), (1e-300, 0), (12_345.678, 1_234_568)]
        {
            assert_eq!(of.number(value, DIGITS.0).unwrap(), expected, "{value}");
        }
        assert_eq!(of.rounded_real(0.1).unwrap(), 10);
        assert!(of.number(1e8, DIGITS.0).is_err());
        assert!(of.number(f64::NAN, DIGITS.0).is_err());
    }

    #[test]
    fn texts_keep_their_digits() {
        assert_eq!(written("-12.50"), Some(ScalarValue::Decimal128(Some(-1250), 4, 2)));
        assert_eq!(written(".5"), Some(ScalarValue::Decimal128(Some(5), 1, 1)));
        assert_eq!(written("1e3"), None);
        assert_eq!(written("x"), None);
    }
}
