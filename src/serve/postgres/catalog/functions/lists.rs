//! Functions over lists, which are PostgreSQL's arrays.

use super::row::{Cell, RowFunction, int4, list_of, oids, text};
use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray};
use arrow::compute::is_not_null;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::DataType::{self, Int32};
use arrow::datatypes::{Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// The functions. Lists start at 1, as arrays do in PostgreSQL unless one says otherwise.
pub fn functions() -> Vec<RowFunction> {
    fn length(row: &[Cell<'_>]) -> Option<i32> {
        match (&row[0], row[1].int()) {
            (Cell::Other(items), Some(1)) if !items.is_empty() => i32::try_from(items.len()).ok(),
            _ => None,
        }
    }
    vec![
        RowFunction::new("array_upper", 2..=2, Int32, |row| Ok(int4(length(row)))),
        RowFunction::new("generate_subscripts", 2..=2, list_of(Int32), |row| {
            Ok(oids(&(1..=length(row).unwrap_or(0)).collect::<Vec<_>>()))
        }),
        RowFunction::new("array_dims", 1..=1, DataType::Utf8, |row| {
            let Cell::Other(items) = &row[0] else { return Ok(text(None)) };
            let dimensions: String = extents(items).iter().map(|extent| format!("[1:{extent}]")).collect();
            Ok(text((!dimensions.is_empty()).then_some(dimensions)))
        }),
        RowFunction::new("array_lower", 2..=2, Int32, |row| Ok(int4(length(row).map(|_| 1)))),
    ]
}

/// The lengths of an array and of the arrays in it; none of an empty one.
fn extents(items: &ArrayRef) -> Vec<usize> {
    let inner = items.as_list_opt::<i32>().filter(|lists| !lists.is_empty()).map(|lists| lists.value(0));
    let own = (!items.is_empty()).then_some(items.len());
    own.into_iter().chain(inner.iter().flat_map(extents)).collect()
}

/// `array_or_empty(list)`: the list, or an empty one for NULL. `ARRAY(SELECT ..)` is never NULL in PostgreSQL, while
/// `array_agg` over no rows is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ArrayOrEmpty {
    signature: Signature,
}

impl Default for ArrayOrEmpty {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ArrayOrEmpty {
    fn name(&self) -> &str {
        "array_or_empty"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = args.args[0].to_array(args.number_rows)?;
        let DataType::List(item) = lists.data_type() else {
            return Ok(ColumnarValue::Array(lists));
        };
        if lists.null_count() == 0 {
            return Ok(ColumnarValue::Array(lists));
        }
        let empty = ScalarValue::List(ScalarValue::new_list_nullable(&[], item.data_type()));
        let empty = empty.cast_to(lists.data_type())?.to_array_of_size(lists.len())?;
        Ok(ColumnarValue::Array(zip(&is_not_null(&lists)?, &lists, &empty)?))
    }
}

/// `information_schema._pg_expandarray(list)`: an item `(x, n)` for every item `x` at position `n`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExpandArray {
    signature: Signature,
}

impl Default for ExpandArray {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ExpandArray {
    fn name(&self) -> &str {
        "_pg_expandarray"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let item = match arguments.first() {
            Some(DataType::List(item)) => item.data_type().clone(),
            _ => DataType::Null,
        };
        Ok(list_of(DataType::Struct(expanded(item))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let lists = args.args[0].to_array(args.number_rows)?;
        let Some(list) = lists.as_list_opt::<i32>() else {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(args.return_type())?));
        };
        let mut positions = vec![0; list.values().len()];
        for ends in list.offsets().windows(2) {
            let range = usize::try_from(ends[0]).unwrap_or(0)..usize::try_from(ends[1]).unwrap_or(0);
            for (position, slot) in (1..).zip(&mut positions[range]) {
                *slot = position;
            }
        }
        let fields = expanded(list.value_type());
        let columns: Vec<ArrayRef> = vec![Arc::clone(list.values()), Arc::new(Int32Array::from(positions))];
        let items = StructArray::try_new(fields.clone(), columns, None)?;
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
        let expanded =
            ListArray::try_new(item, list.offsets().clone(), Arc::new(items), list.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(expanded)))
    }
}

fn expanded(item: DataType) -> Fields {
    Fields::from(vec![Field::new("x", item, true), Field::new("n", Int32, true)])
}
