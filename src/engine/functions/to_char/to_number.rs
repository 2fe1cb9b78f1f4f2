//! `to_number(text, pattern)`: a number read by one of PostgreSQL's patterns.
//!
//! As there, every place of the pattern takes one character, whatever it is: what is no digit where a digit is asked for
//! is left out. A literal's number has the digits behind the point that it is written with, others those of the pattern.

use super::number::{Pattern, Piece};
use arrow::array::{ArrayRef, AsArray as _, Decimal128Builder};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// `to_number`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::engine::functions) struct ToNumber {
    signature: Signature,
}

impl ToNumber {
    pub(in crate::engine::functions) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToNumber {
    fn name(&self) -> &str {
        "to_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_text = |found: &DataType| found.is_string() || found.is_null();
        if types.len() == 2 && types.iter().all(is_text) {
            return Ok(vec![DataType::Utf8; 2]);
        }
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        plan_err!("No function matches the given name and argument types 'to_number({})'", types.join(", "))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let pattern = args.scalar_arguments.get(1).copied().flatten();
        let Some(pattern) = pattern.and_then(|pattern| pattern.try_as_str()) else {
            return plan_err!("to_number takes a pattern that is a literal");
        };
        let pattern = pattern.map(Pattern::new).transpose()?.unwrap_or_default();
        let text =
            args.scalar_arguments.first().copied().flatten().and_then(|text| text.try_as_str().flatten());
        let decimals = text.map_or_else(|| pattern.decimals(), |text| decimals_of(&read(&pattern, text)));
        let Some(scale) =
            i8::try_from(decimals).ok().filter(|scale| scale.unsigned_abs() <= DECIMAL128_MAX_PRECISION)
        else {
            return plan_err!("to_number takes at most {DECIMAL128_MAX_PRECISION} digits behind the point");
        };
        let number = DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
        Ok(Arc::new(Field::new(self.name(), number, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let column = |at: usize| cast(&args.args[at].to_array(rows)?, &DataType::Utf8);
        let (texts, patterns) = (column(0)?, column(1)?);
        let pattern = patterns.as_string::<i32>().iter().next().flatten().map(Pattern::new).transpose()?;
        if pattern.as_ref().is_some_and(Pattern::is_scientific) {
            return exec_err!("\"EEEE\" not supported for input");
        }
        let scale = match args.return_type() {
            DataType::Decimal128(_, scale) => usize::try_from(*scale).unwrap_or(0),
            _ => 0,
        };
        let mut numbers = Decimal128Builder::with_capacity(rows);
        for text in texts.as_string::<i32>() {
            match (text, &pattern) {
                (Some(text), Some(pattern)) => numbers.append_value(unscaled(&read(pattern, text), scale)?),
                _ => numbers.append_null(),
            }
        }
        let numbers: ArrayRef = Arc::new(numbers.finish().with_data_type(args.return_type().clone()));
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&numbers, 0)?)),
            false => Ok(ColumnarValue::Array(numbers)),
        }
    }
}

/// `-1234.5` in units of its last place; digits beyond those of the pattern were not read.
fn unscaled(number: &str, scale: usize) -> Result<i128> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{decimals:0<scale$}");
    digits.parse().map_err(|_| match digits.len() > usize::from(DECIMAL128_MAX_PRECISION) {
        true => exec_datafusion_err!("numeric field overflow"),
        false => exec_datafusion_err!("invalid input syntax for type numeric: \"{number}\""),
    })
}

fn decimals_of(number: &str) -> usize {
    number.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// What is read of a text.
struct Reading<'a> {
    rest: &'a str,
    sign: Option<char>,
    number: String,
}

fn read(pattern: &Pattern, text: &str) -> String {
    let mut reading = Reading { rest: text, sign: None, number: String::new() };
    for piece in pattern.pieces() {
        if reading.rest.is_empty() {
            break;
        }
        match piece {
            Piece::Digit(_) | Piece::Point => reading.place(pattern),
            Piece::Group if reading.rest.starts_with(',') => reading.skip(),
            Piece::Group => {}
            Piece::Letter(_) => reading.skip_other(),
            Piece::Sign => match reading.rest.chars().next() {
                Some(sign @ ('-' | '+')) => {
                    reading.sign = Some(sign);
                    reading.skip();
                }
                _ => reading.skip_blank(),
            },
        }
    }
    let sign = if reading.sign == Some('-') { "-" } else { "" };
    // PostgreSQL shows what it read with room for a sign.
    if reading.number.is_empty() { " ".to_string() } else { format!("{sign}{}", reading.number) }
}

impl Reading<'_> {
    /// One place: a sign before it, then a digit or the point.
    fn place(&mut self, pattern: &Pattern) {
        self.skip_blank();
        let first = self.rest.chars().next();
        if self.number.is_empty() && self.sign.is_none() && matches!(first, Some('-' | '+' | '<')) {
            self.sign = first.map(|sign| if sign == '<' { '-' } else { sign });
            self.skip();
        }
        let has_point = self.number.contains('.');
        let behind = self.number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        match self.rest.chars().next() {
            Some(digit) if digit.is_ascii_digit() && (!has_point || behind < pattern.decimals()) => {
                self.number.push(digit);
            }
            Some(digit) if digit.is_ascii_digit() => return,
            Some('.') if pattern.decimals() > 0 && !has_point => self.number.push('.'),
            Some('-') if !self.number.is_empty() && self.sign.is_none() => self.sign = Some('-'),
            _ => {}
        }
        self.skip();
        if self.number.is_empty() || self.sign.is_some() {
            return;
        }
        // A sign behind the last digit.
        if self.rest == "-" {
            self.sign = Some('-');
            self.skip();
        }
    }

    fn skip(&mut self) {
        let mut letters = self.rest.chars();
        letters.next();
        self.rest = letters.as_str();
    }

    fn skip_blank(&mut self) {
        self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
    }

    /// One character that is no part of a number.
    fn skip_other(&mut self) {
        let is_part = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ',' | '+' | '-');
        if self.rest.chars().next().is_some_and(|letter| !is_part(letter)) {
            self.skip();
        }
    }
}
