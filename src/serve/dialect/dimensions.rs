//! Arrays of arrays: in PostgreSQL all of one depth have one length, and how many depths there are is no part of the type.

use super::typed::Typed as _;
use crate::serve::Error;
use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// The name of the function that looks at lengths.
pub(super) const NAME: &str = "rectangular";

/// `ARRAY[a, b]` of arrays, refused (2202E) when it is made of some that are not alike; a cast of such to `int[]`.
pub(super) fn of_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_list = |expr: &Expr| expr.type_of(schema).is_ok_and(|found| found.is_list());
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args })
            if func.name() == "make_array" && args.len() > 1 && args.iter().any(is_list) =>
        {
            let array = Expr::ScalarFunction(ScalarFunction { func, args });
            let checked = Arc::new(ScalarUDF::new_from_impl(Rectangular::default())).call(vec![array]);
            Ok(Transformed::yes(checked))
        }
        Expr::Cast(Cast { expr, field }) => {
            let deeper = expr.type_of(schema).ok().and_then(|found| as_deep(field.data_type(), &found));
            let Some(deeper) = deeper else { return Ok(Transformed::no(Expr::Cast(Cast { expr, field }))) };
            let field = Arc::new(field.as_ref().clone().with_data_type(deeper));
            Ok(Transformed::yes(Expr::Cast(Cast { expr, field })))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// An array's type with as many dimensions as another has, if that has more.
fn as_deep(wanted: &DataType, found: &DataType) -> Option<DataType> {
    let (DataType::List(item), DataType::List(inner)) = (wanted, found) else { return None };
    match (item.data_type().is_list(), inner.data_type().is_list()) {
        (false, true) => {
            let inner = as_deep(wanted, inner.data_type()).unwrap_or_else(|| wanted.clone());
            Some(DataType::new_list(inner, true))
        }
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rectangular {
    signature: Signature,
}

impl Default for Rectangular {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Rectangular {
    fn name(&self) -> &str {
        NAME
    }

    /// The array's own.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|value| value.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        args.arg_fields
            .first()
            .cloned()
            .ok_or_else(|| DataFusionError::Internal(format!("{NAME} of nothing")))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.into_iter().next() else {
            return Err(DataFusionError::Internal(format!("{NAME} of nothing")));
        };
        let is_constant = matches!(value, ColumnarValue::Scalar(_));
        let arrays = value.to_array(if is_constant { 1 } else { args.number_rows })?;
        match items_of_rows(&arrays).iter().all(is_rectangular) {
            true => Ok(value),
            false => Err(DataFusionError::External(Box::new(Error::new(
                "2202E",
                "multidimensional arrays must have array expressions with matching dimensions",
            )))),
        }
    }
}

/// What is in each array; nothing in one that is NULL.
fn items_of_rows(arrays: &ArrayRef) -> Vec<ArrayRef> {
    let Some(lists) = arrays.as_list_opt::<i32>() else { return vec![] };
    (0..lists.len()).filter(|row| lists.is_valid(*row)).map(|row| lists.value(row)).collect()
}

/// Arrays that are rectangular themselves are together if all have the same lengths.
fn is_rectangular(items: &ArrayRef) -> bool {
    let Some(lists) = items.as_list_opt::<i32>() else { return true };
    let of = |row: usize| if lists.is_valid(row) { lengths(&lists.value(row)) } else { vec![] };
    (1..lists.len()).all(|row| of(row) == of(0))
}

/// The lengths of an array and of those in it, from the outside in; none of an empty one.
fn lengths(items: &ArrayRef) -> Vec<usize> {
    if items.is_empty() {
        return vec![];
    }
    let inner = items.as_list_opt::<i32>().map(|lists| lengths(&lists.value(0))).unwrap_or_default();
    [vec![items.len()], inner].concat()
}
