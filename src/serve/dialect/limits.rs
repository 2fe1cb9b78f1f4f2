//! Functions of floats that end in an error where PostgreSQL's do, and not in NaN or infinity.
//!
//! The engine's function does the work: where NaN, infinity or nothing comes out, it is looked at what went in.

use crate::serve::Error;
use arrow::array::types::Float64Type;
use arrow::array::{ArrayRef, AsArray as _, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Int64Type};
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// What a function refuses of its arguments, a row's at a time.
type Refuses = fn(&[f64]) -> Option<Error>;

/// The functions, what each refuses, and whether a result that became infinite, or nothing, is an error.
const FUNCTIONS: [(&str, Refuses, bool); 10] = [
    ("ln", logarithm, false),
    ("log", logarithm, false),
    ("log10", logarithm, false),
    ("log2", logarithm, false),
    ("exp", |_| None, true),
    ("power", power, true),
    ("acos", |x| out_of_range(x[0].abs() > 1.0), false),
    ("asin", |x| out_of_range(x[0].abs() > 1.0), false),
    ("acosh", |x| out_of_range(x[0] < 1.0), false),
    ("atanh", |x| out_of_range(x[0].abs() > 1.0), false),
];

/// A call of one of the functions that fails where PostgreSQL's does.
pub(super) fn of_expr(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(Transformed::no(expr)) };
    if func.name() == "factorial" {
        return Ok(Transformed::yes(Arc::new(ScalarUDF::new_from_impl(Factorial::default())).call(args)));
    }
    let limit = FUNCTIONS.iter().find(|(name, ..)| *name == func.name());
    Ok(match limit {
        Some((_, refuses, is_bounded)) => {
            let limited = Limited { of: func, refuses: *refuses, is_bounded: *is_bounded };
            Transformed::yes(Arc::new(ScalarUDF::new_from_impl(limited)).call(args))
        }
        None => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
    })
}

fn logarithm(arguments: &[f64]) -> Option<Error> {
    if arguments.contains(&0.0) {
        return Some(Error::new("2201E", "cannot take logarithm of zero"));
    }
    if arguments.iter().any(|x| *x < 0.0) {
        return Some(Error::new("2201E", "cannot take logarithm of a negative number"));
    }
    matches!(arguments, [1.0, _]).then(|| Error::new("22012", "division by zero"))
}

fn power(arguments: &[f64]) -> Option<Error> {
    match arguments {
        [0.0, exponent] if *exponent < 0.0 => {
            Some(Error::new("2201F", "zero raised to a negative power is undefined"))
        }
        [base, exponent] if *base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 => {
            let message = "a negative number raised to a non-integer power yields a complex result";
            Some(Error::new("2201F", message))
        }
        _ => None,
    }
}

fn out_of_range(is_outside: bool) -> Option<Error> {
    is_outside.then(|| Error::new("22003", "input is out of range"))
}

/// What became too large of numbers that were not.
pub(super) fn overflow() -> DataFusionError {
    external(Error::new("22003", "value out of range: overflow"))
}

/// What became nothing of numbers that were something.
pub(super) fn underflow() -> DataFusionError {
    external(Error::new("22003", "value out of range: underflow"))
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A function with its limits.
#[derive(Debug, Clone)]
struct Limited {
    of: Arc<ScalarUDF>,
    refuses: Refuses,
    is_bounded: bool,
}

impl PartialEq for Limited {
    fn eq(&self, other: &Self) -> bool {
        self.of == other.of
    }
}

impl Eq for Limited {}

impl std::hash::Hash for Limited {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.of.hash(state);
    }
}

impl ScalarUDFImpl for Limited {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn signature(&self) -> &Signature {
        self.of.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.of.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let floats = |value: &ColumnarValue| match value {
            ColumnarValue::Array(array) => cast(array, &DataType::Float64),
            ColumnarValue::Scalar(value) => cast(&value.to_array()?, &DataType::Float64),
        };
        let given = args.args.iter().map(floats).collect::<std::result::Result<Vec<_>, _>>()?;
        // NULL for what is NULL; a constant is the same in each row.
        let row = |row: usize| -> Option<Vec<f64>> {
            let value = |array: &ArrayRef| {
                let at = if array.len() == 1 { 0 } else { row };
                array.is_valid(at).then(|| array.as_primitive::<Float64Type>().value(at))
            };
            given.iter().map(value).collect()
        };
        let result = self.of.invoke_with_args(args)?;
        let results = floats(&result)?;
        // What is refused gives one of these, as does what is not.
        let is_suspect = |result: f64| !result.is_finite() || result == 0.0;
        let results = results.as_primitive::<Float64Type>().iter().enumerate();
        for (at, result) in results.filter_map(|(at, result)| Some((at, result.filter(|x| is_suspect(*x))?)))
        {
            let Some(given) = row(at) else { continue };
            if let Some(error) = (self.refuses)(&given) {
                return Err(external(error));
            }
            let is_usual = given.iter().all(|x| x.is_finite()) && (given.len() == 1 || given[0] != 0.0);
            if self.is_bounded && is_usual {
                return Err(if result == 0.0 { underflow() } else { overflow() });
            }
        }
        Ok(result)
    }
}

/// `factorial(bigint)`, which is a numeric.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Factorial {
    signature: Signature,
}

impl Default for Factorial {
    fn default() -> Self {
        Self { signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Factorial {
    fn name(&self) -> &str {
        "factorial"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let products = |of: &[ArrayRef]| -> Result<ArrayRef> {
            let products = of[0].as_primitive::<Int64Type>().iter().map(|of| of.map(factorial).transpose());
            let products = products.collect::<Result<Decimal128Array>>()?;
            Ok(Arc::new(products.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?))
        };
        make_scalar_function(products, vec![])(&args.args)
    }
}

fn factorial(of: i64) -> Result<i128> {
    /// One above the largest number of as many digits as a numeric has here.
    const END: i128 = 10_i128.pow(DECIMAL128_MAX_PRECISION as u32);
    if of < 0 {
        return Err(external(Error::new("22003", "factorial of a negative number is undefined")));
    }
    let product = (2..=i128::from(of))
        .try_fold(1_i128, |product, factor| product.checked_mul(factor).filter(|product| *product < END));
    product.ok_or_else(|| external(Error::new("22003", "value overflows numeric format")))
}

#[cfg(test)]
mod tests {
    use super::{factorial, logarithm, power};

    #[test]
    fn refused_as_in_postgresql() {
        let code = |error: Option<crate::serve::Error>| error.map(|error| error.code);
        assert_eq!(code(logarithm(&[0.0])), Some("2201E"));
        assert_eq!(code(logarithm(&[2.0, -1.0])), Some("2201E"));
        assert_eq!(code(logarithm(&[1.0, 2.0])), Some("22012"));
        assert_eq!(code(logarithm(&[1.0])), None);
        assert_eq!(code(power(&[0.0, -1.0])), Some("2201F"));
        assert_eq!(code(power(&[-1.0, 0.5])), Some("2201F"));
        assert_eq!(code(power(&[-8.0, 3.0])), None);
        assert_eq!(code(power(&[0.0, 0.0])), None);
    }

    #[test]
    fn factorials_end_with_the_digits() {
        assert_eq!(factorial(0).unwrap(), 1);
        assert_eq!(factorial(25).unwrap(), 15_511_210_043_330_985_984_000_000);
        assert!(factorial(33).is_ok());
        assert!(factorial(34).is_err());
        assert!(factorial(i64::MAX).is_err());
        assert!(factorial(-1).is_err());
    }
}
