//! Functions that make JSON of values: `to_json`, `json_build_object`, `json_agg`, `json_object_agg` and their like for
//! `jsonb`.
//!
//! An aggregate is made in two steps, as the engine's `array_agg` does not keep what its items are in PostgreSQL: each value
//! becomes JSON, and the list of these texts becomes one.
//!
//! `json` is written as PostgreSQL's functions write it, each with its own spaces; `jsonb` has one form, in which members
//! are sorted and the last of one name counts.

use super::json_misread;
use super::jsonb_form::{as_jsonb, by_name};
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
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use serde_json::{Map, Value};
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
    /// `{"a":1,"b":2}` of a row, which comes as names and values in turn.
    Row,
    /// An argument of `json_agg`: those of several parts begin lines of their own.
    Item,
    /// A row that is one.
    RowItem,
    /// `"a" : 1`, of an argument of `json_object_agg`.
    Member,
    /// The items of a list, each with a space between: what `json_agg(DISTINCT ...)` makes of `array_agg`.
    Items,
    /// As that, of items that are JSON: what `json_agg` makes.
    Texts,
    /// Of members: what `json_object_agg` makes.
    Members,
}

/// The functions, and whether they make `jsonb`.
const FUNCTIONS: [(&str, Form, bool); 16] = [
    ("to_json", Form::Value, false),
    ("to_jsonb", Form::Value, true),
    ("row_to_json", Form::Value, false),
    ("array_to_json", Form::Value, false),
    ("json_item", Form::Item, false),
    ("json_member", Form::Member, false),
    ("json_of_texts", Form::Texts, false),
    ("jsonb_of_texts", Form::Texts, true),
    ("json_of_members", Form::Members, false),
    ("jsonb_of_members", Form::Members, true),
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
    FUNCTIONS.into_iter().map(|(name, form, binary)| Json::new(name, form, binary))
}

/// Whether a function makes JSON of its arguments, as what they are in PostgreSQL.
pub fn is_made_of_values(name: &str) -> bool {
    let form = FUNCTIONS.iter().find(|(of, ..)| *of == name).map(|(_, form, _)| form);
    form.is_some_and(|form| !matches!(form, Form::Items | Form::Texts | Form::Members))
}

/// The function that makes of a row's columns, names and values in turn, what this one makes of a row.
pub fn of_row(name: &str) -> Option<Json> {
    let (name, form, binary) = FUNCTIONS.into_iter().find(|(of, ..)| *of == name)?;
    match form {
        Form::Value => Some(Json::new(name, Form::Row, binary)),
        Form::Item => Some(Json::new(name, Form::RowItem, binary)),
        _ => None,
    }
}

impl Json {
    fn new(name: &'static str, form: Form, binary: bool) -> Self {
        let any = vec![TypeSignature::VariadicAny, TypeSignature::Nullary];
        Self { name, form, binary, signature: Signature::one_of(any, Volatility::Stable) }
    }
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
            Form::Value | Form::Item | Form::Items | Form::Texts | Form::Members if arguments != 1 => {
                Some(format!("function {} takes one argument", self.name))
            }
            Form::Object | Form::Row | Form::RowItem | Form::Member if !arguments.is_multiple_of(2) => {
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
        if let Form::Items | Form::Texts | Form::Members = self.form {
            return self.of_lists(&arrays[0]);
        }
        let is_of_pairs = matches!(self.form, Form::Object | Form::Row | Form::RowItem | Form::Member);
        let names = if is_of_pairs { 2 } else { 1 };
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
            Form::Array => format!("[{}]", joined(columns, row, ", ")?),
            Form::Object => {
                let message = "argument 1: key must not be null";
                let members = members(columns, row, " : ", || Error::new("22004", message))?;
                format!("{{{}}}", members.join(", "))
            }
            Form::Member => {
                members(columns, row, " : ", || Error::new("22023", "field name must not be null"))?
                    .join(", ")
            }
            Form::Row | Form::RowItem => {
                let members = members(columns, row, ":", || Error::internal("a column without a name"))?;
                let line = if self.form == Form::RowItem { LINE } else { "" };
                format!("{line}{{{}}}", members.join(","))
            }
            Form::Item if columns.iter().any(|column| column.has_parts(row)) => {
                format!("{LINE}{}", joined(columns, row, "")?)
            }
            Form::Value | Form::Item | Form::Items | Form::Texts | Form::Members => joined(columns, row, "")?,
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
            let items = match self.form {
                Form::Items => Column::new(&lists.value(row), item)?,
                _ => Column::of_json(&lists.value(row))?,
            };
            let items =
                (0..lists.value(row).len()).map(|at| items.text(at)).collect::<Result<Vec<_>>>()?.join(", ");
            let text = match self.form {
                Form::Members => format!("{{ {items} }}"),
                _ => format!("[{}]", items.strip_prefix(LINE).unwrap_or(&items)),
            };
            made.append_value(if self.binary { as_jsonb(&text)? } else { text });
        }
        Ok(ColumnarValue::Array(Arc::new(made.finish())))
    }
}

/// What stands before an item of several parts, but for the first.
const LINE: &str = "\n ";

/// Names and values in turn.
fn members(
    columns: &[Column],
    row: usize,
    between: &str,
    no_name: impl Fn() -> Error,
) -> Result<Vec<String>> {
    let members = columns.chunks_exact(2).map(|pair| match pair[0].is_null(row) {
        true => Err(external(no_name())),
        false => Ok(format!("{}{between}{}", pair[0].text(row)?, pair[1].text(row)?)),
    });
    members.collect()
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
        if is_json && !array.data_type().is_nested() {
            return Self::of_json(array);
        }
        let values = Values::Written(JsonValue::new(array, style).map_err(external)?);
        Ok(Self { array: Arc::clone(array), values })
    }

    /// Of texts that are JSON already.
    fn of_json(array: &ArrayRef) -> Result<Self> {
        Ok(Self { array: Arc::clone(array), values: Values::Raw(cast(array, &DataType::Utf8)?) })
    }

    /// Whether a value is a list or a row.
    fn has_parts(&self, row: usize) -> bool {
        self.array.data_type().is_nested() && self.array.is_valid(row)
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

/// A text as the JSON that it is.
pub fn read(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| unreadable(text, &error.to_string()))
}

/// The error about a text that is no JSON; `why` is said where PostgreSQL would say nothing.
pub fn unreadable(text: &str, why: &str) -> DataFusionError {
    let detail = json_misread::why(text).unwrap_or_else(|| format!("{why}."));
    external(Error::new("22P02", "invalid input syntax for type json").with_detail(detail))
}

/// As [`as_jsonb`], of a value that was read.
pub fn printed(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = in_order(members)
                .into_iter()
                .map(|(name, value)| format!("{}: {}", Value::String(name.clone()), printed(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

/// An object's members in the order of `jsonb`.
pub fn in_order(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by(|(a, _), (b, _)| by_name(a, b));
    members
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
