//! Operators as functions that fail where PostgreSQL's do.

use super::limits::{overflow, underflow};
use super::numbers::is_numeric;
use crate::serve::Error;
use arrow::array::types::{Decimal128Type, Float32Type, Float64Type};
use arrow::array::{Array as _, ArrayRef, ArrowNativeTypeOp as _, AsArray as _, Decimal128Array};
use arrow::compute::kernels::numeric::{add, div, mul, sub};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, i256};
use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::any::Any;
use std::sync::Arc;

/// Digits behind the point that a quotient of numerics has at least.
const QUOTIENT_SCALE: i8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// An operation between two values; dates are the days that they count.
pub(super) fn computed(operation: Operation, left: Expr, right: Expr) -> Expr {
    Arithmetic::new(vec![operation], false).call(vec![left, right])
}

/// An operation between two values of one type, which is its result's too. What `left` computes of such values is gone on
/// with in one function: the engine prints a call for each of its arguments, so that nested ones cost it the third power of
/// their depth.
pub(super) fn computed_alike(operation: Operation, left: Expr, right: Expr, data_type: &DataType) -> Expr {
    let alike = Alike::of(data_type);
    let (mut operations, mut args) = match left {
        Expr::ScalarFunction(ScalarFunction { func, args })
            if alike.is_some() && arithmetic(&func).is_some_and(|before| before.alike == alike) =>
        {
            (arithmetic(&func).map_or_else(Vec::new, |before| before.operations.clone()), args)
        }
        left => (Vec::new(), vec![left]),
    };
    operations.push(operation);
    args.push(right);
    Arithmetic { alike, ..Arithmetic::new(operations, false) }.call(args)
}

/// A date, so many days later or earlier.
pub(super) fn moved(operation: Operation, left: Expr, right: Expr) -> Expr {
    Arithmetic::new(vec![operation], true).call(vec![left, right])
}

fn arithmetic(function: &ScalarUDF) -> Option<&Arithmetic> {
    (function.inner().as_ref() as &dyn Any).downcast_ref()
}

/// The types that operations stay within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Alike {
    Int16,
    Int32,
    Int64,
    Float64,
}

impl Alike {
    fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Int16 => Some(Self::Int16),
            DataType::Int32 => Some(Self::Int32),
            DataType::Int64 => Some(Self::Int64),
            DataType::Float64 => Some(Self::Float64),
            _ => None,
        }
    }
}

/// A number without its fraction: halves of numerics go away from zero, halves of floats to the even neighbour.
pub(super) fn rounded(number: Expr) -> Expr {
    Arc::new(ScalarUDF::new_from_impl(Rounded::default())).call(vec![number])
}

impl Operation {
    fn symbol(self) -> &'static str {
        match self {
            Operation::Add => "+",
            Operation::Subtract => "-",
            Operation::Multiply => "*",
            Operation::Divide => "/",
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    /// From left to right, one less than there are values.
    operations: Vec<Operation>,
    /// What all its values are, if they are of one type.
    alike: Option<Alike>,
    /// Its days are a date.
    is_date: bool,
    signature: Signature,
}

impl Arithmetic {
    fn new(operations: Vec<Operation>, is_date: bool) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { operations, alike: None, is_date, signature }
    }

    fn call(self, args: Vec<Expr>) -> Expr {
        Arc::new(ScalarUDF::new_from_impl(self)).call(args)
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.operations.first().map_or("", |operation| operation.symbol())
    }

    /// As the engine writes its own operators, so that columns keep their names.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let mut sides = args.iter().map(|side| side.schema_name().to_string());
        let first = sides.next().unwrap_or_default();
        let others = self.operations.iter().zip(sides);
        Ok(others.fold(first, |text, (operation, side)| format!("{text} {} {side}", operation.symbol())))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whole numbers become the wider of the two, numerics keep their scales, everything beside a float is one.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = types else {
            // As its first two are, so are all.
            let [first, second, ..] = types else {
                return Err(DataFusionError::Internal("an operator has two sides".to_string()));
            };
            let alike = self.coerce_types(&[first.clone(), second.clone()])?;
            return Ok(vec![alike[0].clone(); types.len()]);
        };
        if [left, right].contains(&&DataType::Date32) {
            return Ok(vec![DataType::Int32; 2]);
        }
        if left.is_signed_integer() && right.is_signed_integer() {
            let wider = if width(left) < width(right) { right } else { left };
            return Ok(vec![wider.clone(); 2]);
        }
        if is_numeric(left) && right.is_signed_integer() || is_numeric(right) && left.is_signed_integer() {
            return Ok(vec![numeric_of(left), numeric_of(right)]);
        }
        if is_numeric(left) && is_numeric(right) {
            return Ok(types.to_vec());
        }
        let wider = if types.iter().all(|ty| ty == &DataType::Float32) {
            DataType::Float32
        } else {
            DataType::Float64
        };
        Ok(vec![wider; 2])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if self.is_date {
            return Ok(DataType::Date32);
        }
        Ok(match types {
            [DataType::Decimal128(_, left), DataType::Decimal128(_, right)] => {
                DataType::Decimal128(DECIMAL128_MAX_PRECISION, QUOTIENT_SCALE.max(*left).max(*right))
            }
            [left, ..] => left.clone(),
            [] => DataType::Null,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let computed = |sides: &[ArrayRef]| {
            let [first, others @ ..] = sides else {
                return Err(DataFusionError::Internal("an operator has two sides".to_string()));
            };
            let mut all = self.operations.iter().zip(others);
            all.try_fold(Arc::clone(first), |left, (operation, right)| {
                operation.between(&left, right, args.return_field.data_type())
            })
        };
        make_scalar_function(computed, vec![])(&args.args)
    }
}

impl Operation {
    /// Of two columns of values, what the result's type asks for.
    fn between(self, left: &ArrayRef, right: &ArrayRef, result: &DataType) -> Result<ArrayRef> {
        match result {
            DataType::Decimal128(_, scale) => quotients(left, right, *scale),
            DataType::Float32 | DataType::Float64 => self.floats(left, right),
            DataType::Date32 => {
                let days = self.kernel(left, right).map_err(|_| no_such_date())?;
                Ok(arrow::compute::cast(&days, &DataType::Date32)?)
            }
            other => self.kernel(left, right).map_err(|error| out_of_range(error, other)),
        }
    }

    fn kernel(self, left: &ArrayRef, right: &ArrayRef) -> std::result::Result<ArrayRef, ArrowError> {
        match self {
            Operation::Add => add(left, right),
            Operation::Subtract => sub(left, right),
            Operation::Multiply => mul(left, right),
            Operation::Divide => div(left, right),
        }
    }

    /// What floats give, unless it becomes infinite, or nothing, of what was neither.
    fn floats(self, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
        let results = self.kernel(left, right)?;
        let wide = |side: &ArrayRef| arrow::compute::cast(side, &DataType::Float64);
        let all = [wide(&results)?, wide(left)?, wide(right)?];
        let [of, left, right] = all.each_ref().map(|side| side.as_primitive::<Float64Type>());
        let rows = of.iter().zip(left).zip(right);
        for row in rows.filter_map(|((of, left), right)| Some((of?, left?, right?))) {
            match (self, row) {
                (Operation::Divide, (_, left, 0.0)) if !left.is_nan() => return Err(by_zero()),
                (_, (of, left, right)) if of.is_infinite() && left.is_finite() && right.is_finite() => {
                    return Err(overflow());
                }
                (Operation::Divide | Operation::Multiply, (0.0, left, right))
                    if left != 0.0 && right != 0.0 && right.is_finite() =>
                {
                    return Err(underflow());
                }
                _ => {}
            }
        }
        Ok(results)
    }
}

fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or_default()
}

/// A numeric that holds every whole number of a type.
fn numeric_of(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Int8 => DataType::Decimal128(3, 0),
        DataType::Int16 => DataType::Decimal128(5, 0),
        DataType::Int32 => DataType::Decimal128(10, 0),
        DataType::Int64 => DataType::Decimal128(19, 0),
        other => other.clone(),
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn out_of_range(error: ArrowError, data_type: &DataType) -> DataFusionError {
    let name = match data_type {
        DataType::Int16 | DataType::Int8 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    };
    match error {
        ArrowError::ArithmeticOverflow(_) => external(Error::new("22003", format!("{name} out of range"))),
        other => other.into(),
    }
}

fn no_such_date() -> DataFusionError {
    external(Error::new("22008", "date out of range"))
}

fn by_zero() -> DataFusionError {
    external(Error::new("22012", "division by zero"))
}

/// Quotients of a scale, rounded half away from zero.
fn quotients(left: &ArrayRef, right: &ArrayRef, scale: i8) -> Result<ArrayRef> {
    let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    // left / 10^a divided by right / 10^b, in units of 10^-scale.
    let shift = i16::from(scale) + i16::from(right.scale()) - i16::from(left.scale());
    let factor = i256::from_i128(10).pow_checked(u32::try_from(shift).unwrap_or(0))?;
    let quotients: Decimal128Array = arrow::compute::try_binary(left, right, |left: i128, right: i128| {
        let too_large = || ArrowError::ArithmeticOverflow("numeric".to_string());
        if right == 0 {
            return Err(ArrowError::DivideByZero);
        }
        let right = i256::from_i128(right);
        let scaled = i256::from_i128(left).mul_checked(factor).map_err(|_| too_large())?;
        let (quotient, rest) = (scaled.div_checked(right)?, scaled.mod_checked(right)?);
        let is_negative = scaled.is_negative() != right.is_negative();
        let rounds_up = rest.wrapping_abs().wrapping_add(rest.wrapping_abs()) >= right.wrapping_abs();
        let quotient = match (rounds_up, is_negative) {
            (false, _) => quotient,
            (true, false) => quotient.wrapping_add(i256::ONE),
            (true, true) => quotient.wrapping_sub(i256::ONE),
        };
        quotient.to_i128().ok_or_else(too_large)
    })
    .map_err(|error| match error {
        ArrowError::DivideByZero => by_zero(),
        _ => external(Error::new("22003", "value overflows numeric format")),
    })?;
    Ok(Arc::new(quotients.with_precision_and_scale(DECIMAL128_MAX_PRECISION, scale)?))
}

/// A number rounded to a whole one, of its own type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounded {
    signature: Signature,
}

impl Default for Rounded {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Rounded {
    fn name(&self) -> &str {
        "rounded"
    }

    /// Casts have no name of their own either.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|number| number.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let numbers = args.args[0].to_array(args.number_rows)?;
        let rounded: ArrayRef = match numbers.data_type() {
            DataType::Decimal128(precision, scale) => {
                let unit = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
                let half = unit / 2;
                let whole = numbers.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(|value| {
                    value.saturating_add(half * value.signum()) / unit * unit
                });
                Arc::new(whole.with_precision_and_scale(*precision, *scale)?)
            }
            DataType::Float32 => {
                Arc::new(numbers.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even))
            }
            DataType::Float64 => {
                Arc::new(numbers.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even))
            }
            _ => numbers,
        };
        Ok(ColumnarValue::Array(rounded))
    }
}
