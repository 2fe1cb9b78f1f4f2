//! A literal without a type is of the type of what stands beside it: `coalesce(valid_to, '9999-12-31')`, `greatest(1, '2')`,
//! `CASE WHEN x THEN is_open ELSE 'f' END`.
//!
//! DataFusion 55 knows no type that a text has in common with a date or a truth value, and makes texts of numbers.

use crate::sql::with_seconds;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::{coalesce, greatest, least};
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    Case, ColumnarValue, Expr, ExprSchemable as _, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, cast, lit,
};
use std::any::Any;
use std::sync::Arc;

/// Functions whose arguments are of one type, as statements name them: of which, is known once they are planned.
pub(super) fn functions() -> [ScalarUDF; 3] {
    [coalesce(), greatest(), least()].map(|of| {
        let signature = Signature::user_defined(of.signature().volatility);
        ScalarUDF::new_from_impl(Alike { of, signature })
    })
}

/// An expression whose literals have the type of what stands beside them, and whose functions are the engine's.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, mut args }) => {
            let Some(Alike { of, .. }) = (func.inner().as_ref() as &dyn Any).downcast_ref() else {
                return Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }));
            };
            make_alike(&mut args, schema);
            Transformed::yes(of.call(args))
        }
        Expr::Case(Case { expr, mut when_then_expr, mut else_expr }) => {
            let results = when_then_expr.iter().map(|(_, then)| then).chain(&else_expr).map(AsRef::as_ref);
            // Beside numbers a text is one in many a view.
            if type_of(results, schema) == Some(DataType::Boolean) {
                let results = when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut else_expr);
                results.for_each(|result| read(result, &DataType::Boolean));
            }
            Transformed::yes(Expr::Case(Case { expr, when_then_expr, else_expr }))
        }
        Expr::InList(InList { expr, mut list, negated }) => {
            if expr.get_type(schema).is_ok_and(|found| found == DataType::Boolean) {
                list.iter_mut().for_each(|item| read(item, &DataType::Boolean));
            }
            Transformed::yes(Expr::InList(InList { expr, list, negated }))
        }
        other => Transformed::no(other),
    }
}

/// Gives literals the type of the other values.
pub fn make_alike(values: &mut [Expr], schema: &DFSchema) {
    if let Some(known) = type_of(values.iter(), schema) {
        values.iter_mut().for_each(|value| read(value, &known));
    }
}

/// The type that values without one are of: the first of another than text.
fn type_of<'a>(values: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Option<DataType> {
    let types = values.filter(|value| text_of(value).is_none()).map(|value| value.get_type(schema));
    types.flatten().find(|found| !found.is_null()).filter(|found| !found.is_string())
}

/// Reads a literal as such a type, a numeric with all its digits.
pub fn read(value: &mut Expr, data_type: &DataType) {
    let Some(text) = text_of(value) else { return };
    *value = match data_type {
        DataType::Decimal128(..) => numeric(text).map_or_else(|| cast(lit(text), data_type.clone()), lit),
        DataType::Timestamp(..) => {
            cast(lit(with_seconds(text).unwrap_or_else(|| text.to_string())), data_type.clone())
        }
        _ => cast(lit(text), data_type.clone()),
    };
}

fn text_of(value: &Expr) -> Option<&str> {
    match value {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// A numeric of as many digits as its text has.
fn numeric(text: &str) -> Option<ScalarValue> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = format!("{whole}{fraction}");
    let count = digits.trim_start_matches(['-', '+']).len();
    let precision = u8::try_from(count).ok().filter(|count| (1..=38).contains(count))?;
    let scale = i8::try_from(fraction.len()).ok()?;
    let is_number = digits.trim_start_matches(['-', '+']).bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| ScalarValue::Decimal128(digits.parse().ok(), precision, scale))
}

/// A function of the engine's, which may be asked for literals beside what they have no type in common with.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Alike {
    of: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Alike {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn aliases(&self) -> &[String] {
        self.of.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(coerced(&self.of, types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.of.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types = args.arg_fields.iter().map(|field| field.data_type().clone());
        let texts = args
            .scalar_arguments
            .iter()
            .map(|value| value.is_some_and(|value| value.try_as_str().flatten().is_some()));
        let types: Vec<(DataType, bool)> = types.zip(texts).collect();
        let known =
            types.iter().find(|(found, is_text)| !is_text && !found.is_null()).map(|(found, _)| found);
        let types = types.iter().map(|(found, is_text)| known.filter(|_| *is_text).unwrap_or(found).clone());
        let types = coerced(&self.of, &types.collect::<Vec<_>>())?;
        let fields: Vec<FieldRef> = types
            .iter()
            .zip(args.arg_fields)
            .map(|(of, field)| Arc::new(field.as_ref().clone().with_data_type(of.clone())))
            .collect();
        self.of.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, ..args })
    }

    /// In plans that were made otherwise than of a statement.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Simplified(self.of.call(args)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.of.invoke_with_args(args)
    }
}

/// What the engine's function takes for arguments of such types.
fn coerced(of: &ScalarUDF, types: &[DataType]) -> Result<Vec<DataType>> {
    let fields: Vec<FieldRef> = types.iter().map(|of| Arc::new(Field::new("", of.clone(), true))).collect();
    let fields = fields_with_udf(&fields, of)?;
    Ok(fields.iter().map(|field| field.data_type().clone()).collect())
}
