//! A subquery that is a value is NULL where it has no row, whatever its column may be inside: `(SELECT 1 WHERE false)`.

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};
use std::sync::Arc;

/// A subquery whose column may be NULL. One that asks for what is around it becomes a join, which knows that already.
pub(super) fn of_expr(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
    let fields = subquery.subquery.schema().fields();
    let is_certain = fields.len() == 1 && !fields[0].is_nullable();
    let needs_nothing = gives_one_row(&subquery.subquery) || !subquery.outer_ref_columns.is_empty();
    if !is_certain || needs_nothing {
        return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
    }
    let (relation, field) = subquery.subquery.schema().qualified_field(0);
    let column = Expr::Column((relation, field).into());
    let name = field.name().clone();
    let relation = relation.cloned();
    let perhaps = Arc::new(ScalarUDF::new_from_impl(Perhaps::default())).call(vec![column]);
    let plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(subquery.subquery))
        .project([perhaps.alias_qualified(relation, name)])?
        .build()?;
    Ok(Transformed::yes(Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..subquery })))
}

/// True for what has a row whatever there is to read.
fn gives_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Sort(_) => {
            plan.inputs().iter().all(|input| gives_one_row(input))
        }
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

/// The value itself, as one that may be NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Perhaps {
    signature: Signature,
}

impl Default for Perhaps {
    fn default() -> Self {
        // What is constant would be put in its place.
        Self { signature: Signature::any(1, Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Perhaps {
    fn name(&self) -> &str {
        "perhaps"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(match args.arg_fields.first() {
            Some(field) => Arc::new(Field::clone(field).with_nullable(true)),
            None => Arc::new(Field::new(self.name(), DataType::Null, true)),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args[0].clone())
    }
}
