//! A correlated subquery as an asynchronous function of its outer columns.

use crate::ops::opaque::Opaque;
use crate::serve::Error;
use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::scalar::ScalarValue;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// What the caller wants of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The only value of the only row; NULL without rows.
    Value,
    /// Whether there are rows.
    Exists,
}

/// The name of the parameter that stands for an outer column.
pub fn parameter(index: usize) -> String {
    format!("$outer{index}")
}

/// A subquery whose outer columns are parameters.
#[derive(Clone)]
pub struct CorrelatedSubquery {
    plan: Opaque<LogicalPlan>,
    /// The plan as the optimizer leaves it: made when first needed, once for all rows.
    optimized: Arc<OnceLock<Opaque<LogicalPlan>>>,
    answer: Answer,
    /// Whether the first argument tells for which rows it is wanted.
    conditional: bool,
    returns: DataType,
    state: Opaque<SessionState>,
    name: String,
    signature: Signature,
}

impl CorrelatedSubquery {
    /// A function that runs `plan` in `state`; a conditional one has a condition before its other arguments.
    pub fn new(plan: LogicalPlan, answer: Answer, conditional: bool, state: Opaque<SessionState>) -> Self {
        let returns = match answer {
            Answer::Value => plan.schema().fields().first().map_or(DataType::Null, |f| f.data_type().clone()),
            Answer::Exists => DataType::Boolean,
        };
        let mut hasher = std::hash::DefaultHasher::new();
        plan.hash(&mut hasher);
        Self {
            plan: Opaque::new(plan),
            optimized: Arc::default(),
            answer,
            conditional,
            returns,
            state,
            name: format!("subquery_{}{:016x}", if conditional { "if_" } else { "" }, hasher.finish()),
            // Volatile, so that it stays where it stands: join conditions cannot wait for a subquery.
            signature: Signature::one_of(
                vec![TypeSignature::Nullary, TypeSignature::VariadicAny],
                Volatility::Volatile,
            ),
        }
    }

    /// As DataFusion takes it.
    pub fn into_udf(self) -> ScalarUDF {
        AsyncScalarUDF::new(Arc::new(self)).into_scalar_udf()
    }

    /// The plan for one row's values. Boxed, so that callers' futures do not hold the trees.
    fn planning(&self, values: &[ScalarValue]) -> Result<BoxFuture<'_, Result<Arc<dyn ExecutionPlan>>>> {
        let optimized = match self.optimized.get() {
            Some(optimized) => optimized,
            None => {
                let optimized = Opaque::new(self.state.optimize(&self.plan)?);
                self.optimized.get_or_init(|| optimized)
            }
        };
        let bound = LogicalPlan::clone(optimized).transform_up_with_subqueries(|node| {
            node.map_expressions(|expr| expr.transform_up(|expr| Ok(bind(expr, values))))
        })?;
        let bound = Opaque::new(bound.data);
        Ok(Box::pin(
            async move { self.state.query_planner().create_physical_plan(&bound, &*self.state).await },
        ))
    }

    async fn run(&self, values: &[ScalarValue]) -> Result<ScalarValue> {
        let physical = self.planning(values)?.await?;
        let batches = collect(physical, self.state.task_ctx()).await?;
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        match (self.answer, rows) {
            (Answer::Exists, rows) => Ok(ScalarValue::Boolean(Some(rows > 0))),
            (Answer::Value, 0) => ScalarValue::try_new_null(&self.returns),
            (Answer::Value, 1) => {
                let column = batches.iter().find(|batch| batch.num_rows() == 1).map(|batch| batch.column(0));
                column.map_or_else(
                    || ScalarValue::try_new_null(&self.returns),
                    |column| ScalarValue::try_from_array(column, 0)?.cast_to(&self.returns),
                )
            }
            (Answer::Value, _) => Err(DataFusionError::External(Box::new(Error::new(
                "21000",
                "more than one row returned by a subquery used as an expression",
            )))),
        }
    }
}

fn bind(expr: Expr, values: &[ScalarValue]) -> Transformed<Expr> {
    let Expr::Placeholder(Placeholder { id, .. }) = &expr else {
        return Transformed::no(expr);
    };
    match values.iter().enumerate().find(|(index, _)| parameter(*index) == *id) {
        Some((_, value)) => Transformed::yes(Expr::Literal(value.clone(), None)),
        None => Transformed::no(expr),
    }
}

impl fmt::Debug for CorrelatedSubquery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CorrelatedSubquery").field("name", &self.name).finish_non_exhaustive()
    }
}

impl PartialEq for CorrelatedSubquery {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.answer == other.answer && *self.plan == *other.plan
    }
}

impl Eq for CorrelatedSubquery {}

impl Hash for CorrelatedSubquery {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for CorrelatedSubquery {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal("a subquery is run asynchronously".to_string()))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for CorrelatedSubquery {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns: Vec<ArrayRef> =
            args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<_>>()?;
        let (wanted, columns) = match columns.split_first() {
            Some((condition, columns)) if self.conditional => (Some(as_boolean_array(condition)?), columns),
            _ => (None, columns.as_slice()),
        };
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        let mut answers = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            if wanted.is_some_and(|wanted| wanted.is_null(row) || !wanted.value(row)) {
                answers.push(ScalarValue::try_new_null(&self.returns)?);
                continue;
            }
            let values: Vec<ScalarValue> = columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<Result<_>>()?;
            let answer = match known.get(&values) {
                Some(answer) => answer.clone(),
                None => {
                    let answer = self.run(&values).await?;
                    known.insert(values, answer.clone());
                    answer
                }
            };
            answers.push(answer);
        }
        if answers.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(&self.returns)));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(answers)?))
    }
}
