//! `printed(x)`: a value as PostgreSQL prints it, where a query makes text of it.

use super::encode::{Forms, Style, texts};
use super::types;
use arrow::array::ArrayRef;
use arrow::array::timezone::Tz;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::utils::make_scalar_function;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// The text of a value, in a session's form.
pub(in crate::serve) fn printed(value: Expr, forms: Forms) -> Expr {
    Arc::new(ScalarUDF::new_from_impl(Printed::new(forms))).call(vec![value])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Printed {
    forms: Forms,
    signature: Signature,
}

impl Printed {
    fn new(forms: Forms) -> Self {
        // A moment's text depends on the session's time zone.
        Self { forms, signature: Signature::any(1, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for Printed {
    fn name(&self) -> &str {
        "printed"
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(field) = args.arg_fields.first() else {
            return Err(DataFusionError::Internal("printed takes one value".to_string()));
        };
        let zone = args.config_options.execution.time_zone.as_deref().unwrap_or("UTC");
        let style = Style::in_zone(zone.parse::<Tz>()?, self.forms);
        let (oid, _) = types::type_of(field);
        let printed = |values: &[ArrayRef]| -> Result<ArrayRef> {
            let texts = texts(&values[0], oid, style);
            Ok(Arc::new(texts.map_err(|error| DataFusionError::External(Box::new(error)))?))
        };
        make_scalar_function(printed, vec![])(&args.args)
    }
}
