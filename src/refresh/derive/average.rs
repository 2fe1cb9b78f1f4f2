//! The average of decimals from their sum and count, to the digit as DataFusion's `avg` computes it.

use datafusion::arrow::array::{Array as _, AsArray as _, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::sync::Arc;

/// The average: the sum at the result's scale divided by the count, cut off; NULL when nothing was counted.
pub(super) fn average(sum: Expr, count: Expr, result: &DataType) -> Expr {
    let signature = Signature::new(TypeSignature::Any(2), Volatility::Immutable);
    ScalarUDF::new_from_impl(Average { signature, result: result.clone() }).call(vec![sum, count])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    signature: Signature,
    result: DataType,
}

impl ScalarUDFImpl for Average {
    fn name(&self) -> &'static str {
        "average_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (Some(sums), Some(counts), DataType::Decimal128(precision, scale)) = (
            arrays[0].as_primitive_opt::<Decimal128Type>(),
            arrays[1].as_primitive_opt::<Int64Type>(),
            &self.result,
        ) else {
            return internal_err!("an average is of a decimal sum and a count");
        };
        let shift = i32::from(*scale) - i32::from(sums.scale());
        let Some(factor) = u32::try_from(shift).ok().and_then(|shift| 10i128.checked_pow(shift)) else {
            return exec_err!("Arithmetic Overflow in AvgAccumulator");
        };
        let average = |row: usize| -> Result<Option<i128>> {
            if sums.is_null(row) || counts.is_null(row) || counts.value(row) == 0 {
                return Ok(None);
            }
            let overflow = || DataFusionError::Execution("Arithmetic Overflow in AvgAccumulator".to_string());
            let sum = sums.value(row).checked_mul(factor).ok_or_else(overflow)?;
            Ok(Some(sum / i128::from(counts.value(row))))
        };
        let averages = (0..sums.len()).map(average).collect::<Result<Decimal128Array>>()?;
        let averages = averages.with_precision_and_scale(*precision, *scale)?;
        averages.validate_decimal_precision(*precision)?;
        Ok(ColumnarValue::Array(Arc::new(averages)))
    }
}
