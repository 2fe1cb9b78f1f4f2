//! Functions from text to text, for DataFusion.

use super::mask;
use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, types};
use datafusion::logical_expr::{
    Coercion, ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, TypeSignatureClass,
    Volatility,
};
use datafusion::scalar::ScalarValue;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What is done to each text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextOperation {
    Sha256,
    MaskPhone,
    MaskEmail,
    MaskName,
}

impl TextOperation {
    pub(super) const ALL: [TextOperation; 4] =
        [TextOperation::Sha256, TextOperation::MaskPhone, TextOperation::MaskEmail, TextOperation::MaskName];

    fn name(self) -> &'static str {
        match self {
            TextOperation::Sha256 => "sha256",
            TextOperation::MaskPhone => "mask_phone",
            TextOperation::MaskEmail => "mask_email",
            TextOperation::MaskName => "mask_name",
        }
    }

    fn apply(self, text: &str) -> String {
        match self {
            TextOperation::Sha256 => sha256(text.as_bytes()),
            TextOperation::MaskPhone => mask::phone(text),
            TextOperation::MaskEmail => mask::email(text),
            TextOperation::MaskName => mask::name(text),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// One of the operations as a scalar function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TextFunction {
    operation: TextOperation,
    signature: Signature,
}

impl TextFunction {
    pub(super) fn new(operation: TextOperation) -> Self {
        let of =
            |native| TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Native(native))]);
        let mut accepted = vec![of(types::logical_string())];
        if operation == TextOperation::Sha256 {
            accepted.push(of(types::logical_binary()));
        }
        Self { operation, signature: Signature::one_of(accepted, Volatility::Immutable) }
    }

    fn over(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let mut results = StringBuilder::with_capacity(values.len(), values.len() * 32);
        let is_binary = matches!(
            values.data_type(),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        );
        if is_binary {
            let values = cast(values, &DataType::BinaryView)?;
            results.extend(values.as_binary_view().iter().map(|bytes| bytes.map(sha256)));
        } else {
            let values = cast(values, &DataType::Utf8View)?;
            results.extend(
                values.as_string_view().iter().map(|text| text.map(|text| self.operation.apply(text))),
            );
        }
        Ok(Arc::new(results.finish()))
    }
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.operation.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match arguments.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(self.over(values)?)),
            [ColumnarValue::Scalar(value)] => {
                let result = self.over(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
            }
            others => exec_err!("{} takes one argument, not {}", self.name(), others.len()),
        }
    }
}
