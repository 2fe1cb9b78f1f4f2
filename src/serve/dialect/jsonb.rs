//! JSON as a value: read where a text becomes one, and `jsonb`'s operators: `@>`, `<@`, `?`, `?|`, `?&`, `||`, `-`, `#-`.
//!
//! `jsonb` has one form, in which equal values are equal texts; `json` stays as it was written, if it is JSON at all.

use super::result_types::type_in;
use super::typed::Typed as _;
use crate::engine::functions::json_place;
use crate::serve::Error;
use crate::serve::postgres::catalog::types::{PG_TYPE_KEY, oid};
use crate::serve::postgres::catalog::{
    is_made_of_values, json_of_row, jsonb_of_text, jsonb_of_value, read_json,
};
use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;
use serde_json::Value;
use std::sync::Arc;

/// Which JSON a value is, if it is one.
fn kind(expr: &Expr, schema: &DFSchema) -> Option<String> {
    match expr {
        Expr::Alias(alias) => kind(&alias.expr, schema),
        Expr::ScalarFunction(function) if ["json_get", "json_get_path"].contains(&function.name()) => {
            let of = function.args.first().and_then(|of| kind(of, schema));
            Some(of.unwrap_or_else(|| "json".to_string()))
        }
        // What gives JSON is a function here. To ask a chain of operators for its type takes the longer the more of them
        // there are, and each of them asks.
        Expr::BinaryExpr(_) => None,
        expr => {
            let (_, field) = expr.to_field(schema).ok()?;
            let named = field.metadata().get(PG_TYPE_KEY)?.clone();
            ["json", "jsonb"].contains(&named.as_str()).then_some(named)
        }
    }
}

pub(super) fn is_jsonb(expr: &Expr, schema: &DFSchema) -> bool {
    kind(expr, schema).is_some_and(|kind| kind == "jsonb")
}

fn is_untyped(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)), _))
}

/// Whether JSON may still stand there as it was written.
fn is_unread(expr: &Expr) -> bool {
    is_untyped(expr) || matches!(expr, Expr::Placeholder(_))
}

/// An operator of `jsonb`, if one of its sides is one.
pub(super) fn operator(op: &BinaryOperator, left: &Expr, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let (is_left, is_right) = (is_jsonb(left, schema), is_jsonb(right, schema));
    let both = (is_left || is_untyped(left)) && (is_right || is_untyped(right)) && (is_left || is_right);
    let operation = match op {
        BinaryOperator::AtArrow if both => Operation::Contains,
        BinaryOperator::ArrowAt if both => return Some(apply(Operation::Contains, right, left)),
        BinaryOperator::StringConcat if both => Operation::Concat,
        BinaryOperator::Question if is_left => Operation::HasKey,
        BinaryOperator::QuestionPipe if is_left => Operation::HasAny,
        BinaryOperator::QuestionAnd if is_left => Operation::HasAll,
        BinaryOperator::Minus if is_left => Operation::Without,
        BinaryOperator::HashMinus if is_left => Operation::WithoutPath,
        _ => return None,
    };
    Some(apply(operation, left, right))
}

fn apply(operation: Operation, left: &Expr, right: &Expr) -> Expr {
    let text = |side: &Expr| cast(side.clone(), DataType::Utf8);
    let is_list = |side: &Expr| matches!(side, Expr::ScalarFunction(f) if f.name() == "make_array");
    let right = match operation {
        Operation::Without | Operation::HasAny | Operation::HasAll | Operation::WithoutPath
            if !is_untyped(right) || is_list(right) =>
        {
            right.clone()
        }
        _ => text(right),
    };
    let operator = JsonbOperator { operation, signature: Signature::any(2, Volatility::Immutable) };
    Arc::new(ScalarUDF::new_from_impl(operator)).call(vec![text(left), right])
}

/// Casts to JSON that read it, members of `jsonb` in its form, and literals beside it.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { expr: value, field })
            if matches!(field.metadata().get(PG_TYPE_KEY).map(String::as_str), Some("json" | "jsonb"))
                && value.type_of(schema).is_ok_and(|found| found.is_string()) =>
        {
            let wanted = field.metadata().get(PG_TYPE_KEY).cloned().unwrap_or_default();
            let is_read = kind(&value, schema).is_some_and(|found| found == wanted);
            Ok(match is_read {
                true => Transformed::no(Expr::Cast(Cast { expr: value, field })),
                // Of the type of text that the plan has there.
                false if field.data_type() != &DataType::Utf8 => {
                    let read = Box::new(read(*value, wanted == "jsonb"));
                    Transformed::yes(Expr::Cast(Cast { expr: read, field }))
                }
                false => Transformed::yes(read(*value, wanted == "jsonb")),
            })
        }
        Expr::ScalarFunction(function) if is_made_of_values(function.name()) => {
            Ok(Transformed::yes(of_values(function)))
        }
        Expr::ScalarFunction(function) if ["json_get", "json_get_path"].contains(&function.name()) => {
            let got = Expr::ScalarFunction(function);
            Ok(Transformed::yes(match is_jsonb(&got, schema) {
                true => read(got, true),
                // JSON it is for sure.
                false => Expr::Cast(Cast { expr: Box::new(got), field: named("", "json") }),
            }))
        }
        other if is_of_others(&other) => Ok(told(other, schema)),
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right })
            if is_jsonb(&left, schema) && is_unread(&right)
                || is_jsonb(&right, schema) && is_unread(&left) =>
        {
            let side = |side: Box<Expr>| if is_unread(&side) { Box::new(read(*side, true)) } else { side };
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left: side(left), op, right: side(right) })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// A function that makes JSON, with the columns of a row in its place.
fn of_values(mut function: ScalarFunction) -> Expr {
    if let [Expr::ScalarFunction(row)] = function.args.as_mut_slice()
        && row.name() == "named_struct"
        && let Some(json) = json_of_row(function.func.name())
    {
        function.args = std::mem::take(&mut row.args);
        function.func = Arc::new(ScalarUDF::new_from_impl(json));
    }
    Expr::ScalarFunction(function)
}

/// Whether a value is of the type of one of those in it, which is not told of it.
fn is_of_others(expr: &Expr) -> bool {
    match expr {
        Expr::Case(_) | Expr::ScalarSubquery(_) => true,
        Expr::ScalarFunction(function) => ["coalesce", "nullif"].contains(&function.name()),
        _ => false,
    }
}

/// Known to be JSON, if it is.
fn told(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_text = expr.type_of(schema).is_ok_and(|found| found.is_string());
    let kind = match is_text.then(|| type_in(&expr, schema)) {
        Some(oid::JSON) => "json",
        Some(oid::JSONB) => "jsonb",
        _ => return Transformed::no(expr),
    };
    Transformed::yes(Expr::Cast(Cast { expr: Box::new(expr), field: named("", kind) }))
}

fn read(value: Expr, binary: bool) -> Expr {
    let read = ReadJson { binary, signature: Signature::any(1, Volatility::Immutable) };
    Arc::new(ScalarUDF::new_from_impl(read)).call(vec![cast(value, DataType::Utf8)])
}

fn named(name: &str, kind: &str) -> FieldRef {
    let metadata = [(PG_TYPE_KEY.to_string(), kind.to_string())];
    Arc::new(Field::new(name, DataType::Utf8, true).with_metadata(metadata.into()))
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// A text as JSON.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ReadJson {
    binary: bool,
    signature: Signature,
}

impl ScalarUDFImpl for ReadJson {
    fn name(&self) -> &str {
        if self.binary { "jsonb_in" } else { "json_in" }
    }

    /// Casts have no name of their own either.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|value| value.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(named(self.name(), if self.binary { "jsonb" } else { "json" }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        make_scalar_function(|texts| self.read(&texts[0]), vec![])(&args.args)
    }
}

impl ReadJson {
    fn read(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        let mut made = StringBuilder::new();
        for text in texts.as_string::<i32>() {
            match text {
                Some(text) if self.binary => made.append_value(jsonb_of_text(text)?),
                Some(text) => {
                    read_json(text)?;
                    made.append_value(text);
                }
                None => made.append_null(),
            }
        }
        Ok(Arc::new(made.finish()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Contains,
    Concat,
    HasKey,
    HasAny,
    HasAll,
    Without,
    WithoutPath,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonbOperator {
    operation: Operation,
    signature: Signature,
}

impl JsonbOperator {
    fn is_condition(&self) -> bool {
        !matches!(self.operation, Operation::Concat | Operation::Without | Operation::WithoutPath)
    }
}

impl ScalarUDFImpl for JsonbOperator {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Contains => "jsonb_contains",
            Operation::Concat => "jsonb_concat",
            Operation::HasKey => "jsonb_exists",
            Operation::HasAny => "jsonb_exists_any",
            Operation::HasAll => "jsonb_exists_all",
            Operation::Without => "jsonb_delete",
            Operation::WithoutPath => "jsonb_delete_path",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.is_condition() { DataType::Boolean } else { DataType::Utf8 })
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(match self.is_condition() {
            true => Arc::new(Field::new(self.name(), DataType::Boolean, true)),
            false => named(self.name(), "jsonb"),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sides = ColumnarValue::values_to_arrays(&args.args)?;
        let (left, right) = (sides[0].as_string::<i32>(), &sides[1]);
        let (mut conditions, mut values) = (BooleanBuilder::new(), StringBuilder::new());
        for row in 0..left.len() {
            let found = match left.is_null(row) || right.is_null(row) {
                true => None,
                false => Some(self.row(read_json(left.value(row))?, &Side::of(right, row)?)?),
            };
            match (self.is_condition(), found) {
                (true, found) => conditions.append_option(found.and_then(|found| found.as_bool())),
                (false, Some(value)) => values.append_value(jsonb_of_value(&value)),
                (false, None) => values.append_null(),
            }
        }
        Ok(ColumnarValue::Array(match self.is_condition() {
            true => Arc::new(conditions.finish()),
            false => Arc::new(values.finish()),
        }))
    }
}

/// What stands on the right of an operator.
enum Side {
    Text(String),
    Place(i64),
    Texts(Vec<String>),
}

impl Side {
    fn of(array: &ArrayRef, row: usize) -> Result<Self> {
        let value = array.slice(row, 1);
        if value.data_type().is_integer() {
            let place = arrow::compute::cast(&value, &DataType::Int64)?;
            return Ok(Side::Place(place.as_primitive::<arrow::array::types::Int64Type>().value(0)));
        }
        if let Some(list) = value.as_list_opt::<i32>() {
            let items = arrow::compute::cast(&list.value(0), &DataType::Utf8)?;
            let items = items.as_string::<i32>().iter().flatten().map(str::to_string);
            return Ok(Side::Texts(items.collect()));
        }
        let text = arrow::compute::cast(&value, &DataType::Utf8)?;
        Ok(Side::Text(text.as_string::<i32>().value(0).to_string()))
    }

    /// The items of a list, also of one that is still a text: `{a,b}`.
    fn items(&self) -> Vec<String> {
        match self {
            Side::Texts(items) => items.clone(),
            Side::Place(place) => vec![place.to_string()],
            Side::Text(text) => {
                let inner = text.trim().trim_start_matches('{').trim_end_matches('}');
                inner.split(',').map(|item| item.trim().trim_matches('"').to_string()).collect()
            }
        }
    }
}

impl JsonbOperator {
    fn row(&self, left: Value, right: &Side) -> Result<Value> {
        Ok(match (self.operation, right) {
            (Operation::Contains, Side::Text(right)) => {
                Value::Bool(contains(&left, &read_json(right)?, true))
            }
            (Operation::Concat, Side::Text(right)) => concat(left, read_json(right)?),
            (Operation::HasKey, Side::Text(key)) => Value::Bool(has(&left, key)),
            (Operation::HasAny, keys) => Value::Bool(keys.items().iter().any(|key| has(&left, key))),
            (Operation::HasAll, keys) => Value::Bool(keys.items().iter().all(|key| has(&left, key))),
            (Operation::Without, Side::Text(key)) => without(left, &Side::Texts(vec![key.clone()]))?,
            (Operation::Without, keys) => without(left, keys)?,
            (Operation::WithoutPath, path) => without_path(left, &path.items()),
            _ => return Err(external(Error::new("42883", "operator does not exist for these values"))),
        })
    }
}

fn has(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(members) => members.contains_key(key),
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(key)),
        Value::String(text) => text == key,
        _ => false,
    }
}

/// Whether all of `part` is found in `whole`, an array's items in any order.
fn contains(whole: &Value, part: &Value, is_top: bool) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part, false)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|part| whole.iter().any(|whole| contains(whole, part, false)))
        }
        // An array holds a value that stands alone.
        (Value::Array(whole), part) if is_top && !part.is_object() => whole.contains(part),
        (Value::Number(whole), Value::Number(part)) => whole == part || whole.as_f64() == part.as_f64(),
        (whole, part) => whole == part,
    }
}

fn concat(left: Value, right: Value) -> Value {
    let items = |value: Value| match value {
        Value::Array(items) => items,
        single => vec![single],
    };
    match (left, right) {
        (Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Value::Object(left)
        }
        (left, right) => Value::Array(items(left).into_iter().chain(items(right)).collect()),
    }
}

/// Without members or texts of these names, or without the item at a place.
fn without(value: Value, what: &Side) -> Result<Value> {
    Ok(match (value, what) {
        (Value::Array(mut items), Side::Place(at)) => {
            if let Some(at) = json_place(*at, items.len()) {
                items.remove(at);
            }
            Value::Array(items)
        }
        (Value::Object(mut members), Side::Texts(names)) => {
            names.iter().for_each(|name| drop(members.shift_remove(name)));
            Value::Object(members)
        }
        (Value::Array(mut items), Side::Texts(names)) => {
            items.retain(|item| !item.as_str().is_some_and(|text| names.iter().any(|name| name == text)));
            Value::Array(items)
        }
        (Value::Object(_), _) => {
            return Err(external(Error::new("22023", "cannot delete from object using integer index")));
        }
        _ => return Err(external(Error::new("22023", "cannot delete from scalar"))),
    })
}

fn without_path(mut value: Value, path: &[String]) -> Value {
    match path {
        [] => {}
        [last] => match &mut value {
            Value::Object(members) => drop(members.shift_remove(last)),
            Value::Array(items) => {
                if let Some(at) = last.parse().ok().and_then(|at| json_place(at, items.len())) {
                    items.remove(at);
                }
            }
            _ => {}
        },
        [first, rest @ ..] => {
            let inner = match &mut value {
                Value::Object(members) => members.get_mut(first),
                Value::Array(items) => {
                    let at = first.parse().ok().and_then(|at| json_place(at, items.len()));
                    at.and_then(|at| items.get_mut(at))
                }
                _ => None,
            };
            if let Some(inner) = inner {
                *inner = without_path(inner.take(), rest);
            }
        }
    }
    value
}
