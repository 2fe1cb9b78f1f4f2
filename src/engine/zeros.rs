//! -0.0 and 0.0 are one value, as in PostgreSQL.
//!
//! DataFusion 55 takes them for one where it compares, joins and groups, and for two where it cuts windows, finds a row's
//! peers in them, and looks for distinct arguments. What is told apart there has 0.0 added, which makes 0.0 of -0.0 and
//! leaves every other value as it is. Only for plans that are optimized: the sum would be taken for its argument.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable as _, LogicalPlan, Window};
use std::borrow::Cow;

/// The same plan, where windows and distinct arguments know one zero.
pub(super) fn one_zero(plan: &LogicalPlan) -> Result<Cow<'_, LogicalPlan>> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= tells_zeros_apart(node)?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !found {
        return Ok(Cow::Borrowed(plan));
    }
    let changed = plan.clone().transform_up_with_subqueries(|node| {
        if !tells_zeros_apart(&node)? {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(match node {
            LogicalPlan::Window(Window { input, window_expr, schema }) => {
                let calls = window_expr.into_iter().map(|call| named(call, input.schema()));
                let window_expr = calls.collect::<Result<_>>()?;
                LogicalPlan::Window(Window { input, window_expr, schema })
            }
            LogicalPlan::Aggregate(Aggregate { input, group_expr, aggr_expr, schema, .. }) => {
                let calls = aggr_expr.into_iter().map(|call| named(call, input.schema()));
                let calls = calls.collect::<Result<_>>()?;
                LogicalPlan::Aggregate(Aggregate::try_new_with_schema(input, group_expr, calls, schema)?)
            }
            other => other,
        }))
    })?;
    Ok(Cow::Owned(changed.data))
}

fn tells_zeros_apart(node: &LogicalPlan) -> Result<bool> {
    let (input, calls) = match node {
        LogicalPlan::Window(window) => (&window.input, &window.window_expr),
        LogicalPlan::Aggregate(aggregate) => (&aggregate.input, &aggregate.aggr_expr),
        _ => return Ok(false),
    };
    for call in calls {
        for told_apart in told_apart(call) {
            if told_apart.get_type(input.schema())?.is_floating() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The expressions by which a call tells rows apart.
fn told_apart(call: &Expr) -> Vec<&Expr> {
    match call {
        Expr::Alias(alias) => told_apart(&alias.expr),
        Expr::WindowFunction(window) => {
            let order = window.params.order_by.iter().map(|by| &by.expr);
            window.params.partition_by.iter().chain(order).collect()
        }
        Expr::AggregateFunction(call) if call.params.distinct => call.params.args.iter().collect(),
        _ => Vec::new(),
    }
}

/// A call that knows one zero, under its old name.
fn named(call: Expr, schema: &DFSchema) -> Result<Expr> {
    let name = call.schema_name().to_string();
    let call = match call.unalias_nested().data {
        Expr::WindowFunction(window) => {
            let WindowFunction { fun, mut params } = *window;
            params.partition_by = with_one_zero(params.partition_by, schema)?;
            let order =
                params.order_by.into_iter().map(|by| Ok(Sort { expr: plus_zero(by.expr, schema)?, ..by }));
            params.order_by = order.collect::<Result<_>>()?;
            Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) if params.distinct => {
            params.args = with_one_zero(params.args, schema)?;
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        other => other,
    };
    Ok(call.alias(name))
}

fn with_one_zero(exprs: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    exprs.into_iter().map(|expr| plus_zero(expr, schema)).collect()
}

fn plus_zero(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let data_type = expr.get_type(schema)?;
    if !data_type.is_floating() {
        return Ok(expr);
    }
    Ok(expr + Expr::Literal(ScalarValue::new_zero(&data_type)?, None))
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::catalog::MemoryCatalogProvider;
    use std::sync::Arc;

    const ZEROS: &str = "(VALUES (1, CAST('-0.0' AS DOUBLE)), (2, CAST('0.0' AS DOUBLE)), (3, CAST('-0.0' AS DOUBLE))) AS v (id, x)";

    async fn said(query: &str) -> String {
        let session = Engine::new(1 << 24, 2).unwrap().session(Arc::new(MemoryCatalogProvider::new()));
        let rows = session.sql(&query.replace("zeros", ZEROS)).await.unwrap().collect().await.unwrap();
        let table = pretty_format_batches(&rows).unwrap().to_string();
        let lines = table.lines().skip(3).filter(|line| line.starts_with('|'));
        lines.map(|line| line.split_whitespace().collect::<String>()).collect()
    }

    /// As PostgreSQL answers.
    #[tokio::test]
    async fn windows_and_distinct_arguments_know_one_zero() {
        for (query, answer) in [
            (
                "SELECT id, row_number() OVER (PARTITION BY x ORDER BY id) FROM zeros ORDER BY id",
                "|1|1||2|2||3|3|",
            ),
            ("SELECT id, rank() OVER (ORDER BY x) FROM zeros ORDER BY id", "|1|1||2|1||3|1|"),
            (
                "SELECT id, count(*) OVER (PARTITION BY x) AS n, sum(id) OVER (ORDER BY x) AS s FROM zeros ORDER BY id",
                "|1|3|6||2|3|6||3|3|6|",
            ),
            (
                "SELECT id FROM (SELECT *, row_number() OVER (PARTITION BY x ORDER BY id DESC) AS n FROM zeros) WHERE n = 1",
                "|3|",
            ),
            ("SELECT count(DISTINCT x), count(DISTINCT id) FROM zeros", "|1|3|"),
            (
                "SELECT id % 2 AS k, count(DISTINCT x), count(DISTINCT id) FROM zeros GROUP BY 1 ORDER BY 1",
                "|0|1|1||1|1|2|",
            ),
        ] {
            assert_eq!(said(query).await, answer, "{query}");
        }
    }
}
