//! `pg_terminate_backend(pid [, timeout])`: ends sessions, and waits until they have ended.

use super::Error;
use super::backends::Signal;
use super::functions::{Surroundings, external};
use arrow::array::types::{Int32Type, Int64Type};
use arrow::array::{AsArray as _, BooleanArray};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// The function, as one session calls it.
pub(super) fn terminate(surroundings: &Arc<Surroundings>) -> ScalarUDF {
    let (pid, timeout) = (DataType::Int32, DataType::Int64);
    let signatures = [vec![pid.clone()], vec![pid, timeout]].map(TypeSignature::Exact);
    let signature = Signature::one_of(signatures.to_vec(), Volatility::Volatile);
    AsyncScalarUDF::new(Arc::new(Terminate { signature, surroundings: Arc::clone(surroundings) }))
        .into_scalar_udf()
}

struct Terminate {
    signature: Signature,
    surroundings: Arc<Surroundings>,
}

impl Terminate {
    /// True for a session that was there to be told, and has ended in time.
    async fn ends(&self, process_id: i32, timeout: i64) -> Result<bool, Error> {
        let Ok(timeout) = u64::try_from(timeout) else {
            return Err(Error::new("22003", "\"timeout\" must not be negative"));
        };
        let (role, access) = (self.surroundings.role(), self.surroundings.access.load_full());
        let backends = &self.surroundings.backends;
        let told = backends.signal(process_id, Signal::Terminate, &role, &access)?;
        if !told || timeout == 0 {
            return Ok(told);
        }
        Ok(tokio::time::timeout(Duration::from_millis(timeout), backends.left(process_id)).await.is_ok())
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Terminate {
    async fn invoke_async_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.into_iter().map(|value| value.into_array(rows));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        let process_ids = arrays[0].as_primitive::<Int32Type>();
        let timeouts = arrays.get(1).map(|array| array.as_primitive::<Int64Type>());
        let mut ended = Vec::with_capacity(process_ids.len());
        for (row, process_id) in process_ids.iter().enumerate() {
            let timeout = timeouts.map_or(Some(0), |timeouts| timeouts.iter().nth(row).flatten());
            ended.push(match process_id.zip(timeout) {
                Some((process_id, timeout)) => Some(self.ends(process_id, timeout).await.map_err(external)?),
                None => None,
            });
        }
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::from(ended))))
    }
}

impl ScalarUDFImpl for Terminate {
    fn name(&self) -> &str {
        "pg_terminate_backend"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(
            "pg_terminate_backend waits, and was called by one that does not".into(),
        ))
    }
}

impl fmt::Debug for Terminate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminate").finish_non_exhaustive()
    }
}

impl PartialEq for Terminate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.surroundings, &other.surroundings)
    }
}

impl Eq for Terminate {}

impl Hash for Terminate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.surroundings).hash(state);
    }
}
