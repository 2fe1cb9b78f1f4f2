//! Functions that make JSON of values: `to_json`, `json_build_object`, `json_agg` and their like for `jsonb`.
//!
//! `json` is written as PostgreSQL's functions write it, each with its own spaces; `jsonb` has one form, in which members
//! are sorted and the last of one name counts.

use crate::serve::Error;
use crate::serve::postgres::catalog::types::PG_TYPE_KEY;
use crate::serve::postgres::encode::{JsonValue, Style};
use arrow::array::timezone::Tz;
use arrow::array::{Array as _, ArrayRef, AsArray as _, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use bytes::BytesMut;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;
use std::sync::Arc;

/// What is made of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// The only argument.
    Value,
    /// `[a, b]`
    Array,
    /// `{"a" : 1, "b" : 2}` of names and values in turn.
    Object,
    /// The items of a list, each with a space between: what `json_agg` makes of `array_agg`.
    Items,
}

/// The functions, and whether they make `jsonb`.
const FUNCTIONS: [(&str, Form, bool); 9] = [
    ("to_json", Form::Value, false),
    ("to_jsonb", Form::Value, true),
    ("row_to_json", Form::Value, false),
    ("json_build_array", Form::Array, false),
    ("jsonb_build_array", Form::Array, true),
    ("json_build_object", Form::Object, false),
    ("jsonb_build_object", Form::Object, true),
    ("json_of_items", Form::Items, false),
    ("jsonb_of_items", Form::Items, true),
];

/// One of them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Json {
    name: &'static str,
    form: Form,
    binary: bool,
    signature: Signature,
}

/// All of them.
pub fn functions() -> impl Iterator<Item = Json> {
    let signature = || {
        Signature::one_of(
            vec![
                datafusion::logical_expr::TypeSignature::VariadicAny,
                datafusion::logical_expr::TypeSignature::Nullary,
            ],
            Volatility::Stable,
        )
    };
    FUNCTIONS.into_iter().map(move |(name, form, binary)| Json { name, form, binary, signature: signature() })
}

impl ScalarUDFImpl for Json {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let arguments = args.arg_fields.len();
        let wrong = match self.form {
            Form::Value | Form::Items if arguments != 1 => {
                Some(format!("function {} takes one argument", self.name))
            }
            Form::Object if !arguments.is_multiple_of(2) => {
                Some("argument list must have even number of elements".to_string())
            }
            _ => None,
        };
        if let Some(message) = wrong {
            return Err(external(Error::new("22023", message)));
        }
        let kind = if self.binary { "jsonb" } else { "json" };
        let metadata = [(PG_TYPE_KEY.to_string(), kind.to_string())];
        Ok(Arc::new(Field::new(self.name, DataType::Utf8, true).with_metadata(metadata.into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        if self.form == Form::Items {
            return self.of_lists(&arrays[0]);
        }
        let names = if self.form == Form::Object { 2 } else { 1 };
        let columns: Vec<Column> = arrays
            .iter()
            .zip(&args.arg_fields)
            .enumerate()
            .map(|(at, (array, field))| match at % names == 0 && names == 2 {
                true => Column::of_names(array),
                false => Column::new(array, field),
            })
            .collect::<Result<_>>()?;
        let mut made = StringBuilder::new();
        for row in 0..args.number_rows {
            match self.row(&columns, row)? {
                Some(text) => made.append_value(text),
                None => made.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(made.finish())))
    }
}

impl Json {
    fn row(&self, columns: &[Column], row: usize) -> Result<Option<String>> {
        let text = match self.form {
            Form::Value if columns.iter().any(|column| column.is_null(row)) => return Ok(None),
            Form::Value | Form::Items => joined(columns, row, "")?,
            Form::Array => format!("[{}]", joined(columns, row, ", ")?),
            Form::Object => {
                let members = columns.chunks_exact(2).map(|pair| {
                    if pair[0].is_null(row) {
                        let message = "argument 1: key must not be null";
                        return Err(external(Error::new("22004", message)));
                    }
                    Ok(format!("{} : {}", pair[0].text(row)?, pair[1].text(row)?))
                });
                format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(", "))
            }
        };
        Ok(Some(if self.binary { as_jsonb(&text)? } else { text }))
    }

    /// NULL of no rows, as aggregates are.
    fn of_lists(&self, lists: &ArrayRef) -> Result<ColumnarValue> {
        let lists =
            lists.as_list_opt::<i32>().ok_or_else(|| external(Error::internal("json_agg without a list")))?;
        let DataType::List(item) = lists.data_type() else {
            return Err(external(Error::internal("a list of another type")));
        };
        let mut made = StringBuilder::new();
        for row in 0..lists.len() {
            if lists.is_null(row) {
                made.append_null();
                continue;
            }
            let column = Column::new(&lists.value(row), item)?;
            let items = (0..lists.value(row).len()).map(|at| column.text(at)).collect::<Result<Vec<_>>>()?;
            // Of rows, each has a line.
            let between = if matches!(item.data_type(), DataType::Struct(_)) { ", \n " } else { ", " };
            let text = format!("[{}]", items.join(between));
            made.append_value(if self.binary { as_jsonb(&text)? } else { text });
        }
        Ok(ColumnarValue::Array(Arc::new(made.finish())))
    }
}

fn joined(columns: &[Column], row: usize, between: &str) -> Result<String> {
    Ok(columns.iter().map(|column| column.text(row)).collect::<Result<Vec<_>>>()?.join(between))
}

/// An argument's values as JSON.
struct Column {
    array: ArrayRef,
    values: Values,
}

enum Values {
    /// JSON already.
    Raw(ArrayRef),
    Written(JsonValue),
}

impl Column {
    fn new(array: &ArrayRef, field: &Field) -> Result<Self> {
        let style = Style::exact("UTC".parse::<Tz>()?);
        let is_json = matches!(field.metadata().get(PG_TYPE_KEY).map(String::as_str), Some("json" | "jsonb"));
        let values = if is_json && !array.data_type().is_nested() {
            Values::Raw(cast(array, &DataType::Utf8)?)
        } else {
            Values::Written(JsonValue::new(array, style).map_err(external)?)
        };
        Ok(Self { array: Arc::clone(array), values })
    }

    /// Names of members are text, whatever they are made of.
    fn of_names(array: &ArrayRef) -> Result<Self> {
        let text = cast(array, &DataType::Utf8)?;
        Self::new(&text, &Field::new("", DataType::Utf8, true))
    }

    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(row)
    }

    fn text(&self, row: usize) -> Result<String> {
        let mut out = BytesMut::new();
        match &self.values {
            Values::Raw(texts) if texts.is_valid(row) => {
                return Ok(texts.as_string::<i32>().value(row).to_string());
            }
            Values::Raw(_) => return Ok("null".to_string()),
            Values::Written(values) => values.put(row, &mut out).map_err(external)?,
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

/// The form of `jsonb`: a space behind colons and commas, members by the length of their names, then by the names.
pub fn as_jsonb(text: &str) -> Result<String> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let error =
            Error::new("22P02", "invalid input syntax for type json").with_detail(format!("{error}."));
        external(error)
    })?;
    Ok(printed(&value))
}

/// As [`as_jsonb`], of a value that was read.
pub fn printed(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
            let members = members
                .into_iter()
                .map(|(name, value)| format!("{}: {}", Value::String(name.clone()), printed(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
