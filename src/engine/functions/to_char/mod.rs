//! `to_char(value, pattern)` with PostgreSQL's patterns, for times, lengths of time and numbers.
//!
//! A pattern with `%` in it is read as `strftime` reads it: that was the engine's own `to_char`, and means nothing to
//! PostgreSQL.

mod datetime;
mod number;
pub(super) mod read;
mod to_number;
mod values;

pub(super) use to_number::ToNumber;

use arrow::array::{ArrayRef, AsArray as _, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::functions::datetime::to_char::ToCharFunc;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// `to_char`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToChar {
    signature: Signature,
    strftime: ToCharFunc,
    aliases: Vec<String>,
}

impl ToChar {
    pub(super) fn new() -> Self {
        let strftime = ToCharFunc::new();
        // All names of the engine's own function, so that none of it is left.
        let aliases = strftime.aliases().to_vec();
        Self { signature: Signature::user_defined(Volatility::Immutable), strftime, aliases }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [value, _] = types else {
            return plan_err!("to_char takes a value and a pattern");
        };
        let value = match value {
            DataType::Int8 | DataType::Int16 | DataType::Int32 => DataType::Int64,
            DataType::Float16 | DataType::Float32 => DataType::Float64,
            // A literal without a type is a moment.
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => {
                DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)
            }
            other if values::is_known(other) => other.clone(),
            other => return plan_err!("to_char has no patterns for {other}"),
        };
        Ok(vec![value, DataType::Utf8])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, pattern] = args.args.as_slice() else {
            return exec_err!("to_char takes a value and a pattern");
        };
        if let ColumnarValue::Scalar(ScalarValue::Utf8(Some(pattern))) = pattern
            && pattern.contains('%')
        {
            return self.strftime.invoke_with_args(args);
        }
        let is_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let zone = args.config_options.execution.time_zone.as_deref();
        let values = values::Values::new(&value.to_array(rows)?, zone)?;
        let patterns = cast(&pattern.to_array(rows)?, &DataType::Utf8)?;
        let mut known: HashMap<&str, values::Pattern> = HashMap::new();
        let texts = patterns.as_string::<i32>().iter().enumerate().map(|(row, pattern)| {
            let Some(pattern) = pattern else { return Ok(None) };
            let read = match known.entry(pattern) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(values.pattern(pattern)?),
            };
            Ok(values.format(row, read))
        });
        let texts: ArrayRef = Arc::new(texts.collect::<Result<StringArray>>()?);
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&texts, 0)?)),
            false => Ok(ColumnarValue::Array(texts)),
        }
    }
}

/// `st`, `nd`, `rd` or `th` behind a number's digits.
fn ordinal(digits: &str, upper: bool) -> &'static str {
    let teens = digits.len() > 1 && digits.as_bytes()[digits.len() - 2] == b'1';
    let (small, large) = match digits.as_bytes().last() {
        Some(b'1') if !teens => ("st", "ST"),
        Some(b'2') if !teens => ("nd", "ND"),
        Some(b'3') if !teens => ("rd", "RD"),
        _ => ("th", "TH"),
    };
    if upper { large } else { small }
}
