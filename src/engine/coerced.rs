//! Plans whose values are made alike before DataFusion does it: its own choice of a common type is too narrow for some.

use super::{floats, microseconds, spans, untyped};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator};

/// The same plan, as such a session has it.
pub(super) fn coerced(plan: LogicalPlan, session: &SessionState) -> Result<LogicalPlan> {
    let is_utc = shows_utc(session);
    let coerced = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let coerced = of_expr(expr, &schema, is_utc)?;
            Ok(coerced.update_data(|expr| name.restore(expr)))
        })?;
        let is_changed = node.transformed;
        // A type below may have changed.
        node.map_data(|node| match node {
            LogicalPlan::Values(rows) if is_changed => LogicalPlanBuilder::values(rows.values)?.build(),
            LogicalPlan::Union(union) => floats::of_union(union)?.recompute_schema(),
            node => node.recompute_schema(),
        })
    })?;
    Ok(coerced.data)
}

/// The same expression over such columns.
pub(super) fn coerced_expr(expr: Expr, schema: &DFSchema, session: &SessionState) -> Result<Expr> {
    Ok(of_expr(expr, schema, shows_utc(session))?.data)
}

fn shows_utc(session: &SessionState) -> bool {
    let zone = session.config_options().execution.time_zone.as_deref();
    zone.is_none_or(|zone| ["UTC", "+00:00"].contains(&zone))
}

fn of_expr(expr: Expr, schema: &DFSchema, is_utc: bool) -> Result<Transformed<Expr>> {
    expr.transform_up(|expr| {
        let expr = untyped::of_expr(expr, schema);
        let expr = expr.transform_data(|expr| Ok(microseconds::of_expr(expr, schema, is_utc)))?;
        let expr = expr.transform_data(|expr| Ok(floats::of_expr(expr, schema)))?;
        expr.transform_data(|expr| Ok(spans::of_window(expr, schema)))
    })
}

/// True for operators whose sides are of one type and which say whether they are in an order.
pub fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

#[cfg(test)]
mod tests {
    use crate::engine::{Engine, plan_sql};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::catalog::MemoryCatalogProvider;
    use std::sync::Arc;

    /// What such a query gives, a row of one column on each line.
    async fn rows(sql: &str) -> Vec<String> {
        let session = Engine::new(1 << 24, 1).unwrap().session(Arc::new(MemoryCatalogProvider::new()));
        let plan = plan_sql(&session.state(), sql).await.unwrap();
        let batches = session.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        let table = pretty_format_batches(&batches).unwrap().to_string();
        let lines = table.lines().skip(3).filter(|line| !line.starts_with('+'));
        lines.map(|line| line.trim_matches(['|', ' ']).to_string()).collect()
    }

    #[tokio::test]
    async fn times_do_not_end_in_2262() {
        let ends = "(VALUES (DATE '9999-12-31'), (DATE '2026-02-01')) AS t(d)";
        for condition in [
            "TIMESTAMP '2026-03-01 10:00:00' < d",
            "TIMESTAMP '2026-03-01 10:00:00' BETWEEN DATE '2026-01-01' AND d",
            "d > now()",
            "CAST(d AS TIMESTAMP) = TIMESTAMP '9999-12-31'",
        ] {
            let sql = format!("SELECT d FROM {ends} WHERE {condition} AND d > DATE '2100-01-01'");
            assert_eq!(rows(&sql).await, ["9999-12-31"], "{condition}");
        }
    }

    #[tokio::test]
    async fn floats_are_no_numerics_beside_them() {
        let floats = "(VALUES (CAST('1e-16' AS DOUBLE)), (CAST('1e30' AS DOUBLE))) AS t(f)";
        for (condition, count) in
            [("f > 0.0", 2), ("f > 1.5", 1), ("f BETWEEN 0.0 AND 0.1", 1), ("f IN (0.0, 1.0)", 0)]
        {
            let sql = format!("SELECT count(*) FROM {floats} WHERE {condition}");
            assert_eq!(rows(&sql).await, [count.to_string()], "{condition}");
        }
        let union = format!("SELECT f FROM {floats} UNION ALL SELECT 0.5 ORDER BY 1");
        assert_eq!(rows(&union).await, ["1e-16", "0.5", "1e30"]);
    }

    #[tokio::test]
    async fn literals_are_of_the_type_beside_them() {
        for (expr, value) in [
            ("coalesce(CAST(NULL AS DATE), '9999-12-31')", "9999-12-31"),
            ("coalesce(CAST(NULL AS TIMESTAMP), '9999-12-31 10:30')", "9999-12-31T10:30:00"),
            ("greatest(1.5, '2.25')", "2.25"),
            ("least(DATE '2026-01-01', '2025-12-31')", "2025-12-31"),
            ("CASE WHEN 1 = 2 THEN 1 < 2 ELSE 'f' END", "false"),
            ("coalesce(NULL, 'text')", "text"),
        ] {
            assert_eq!(rows(&format!("SELECT {expr}")).await, [value], "{expr}");
        }
    }

    #[tokio::test]
    async fn what_joins_have_joined_is_joined_again() {
        let tables = "WITH a(k) AS (VALUES (1)), b(k) AS (VALUES (2)), c(k) AS (VALUES (2))";
        for (joins, count) in [
            ("a FULL JOIN b USING (k) FULL JOIN c USING (k)", 2),
            ("a RIGHT JOIN b USING (k) JOIN c USING (k)", 1),
            ("c JOIN (a FULL JOIN b USING (k)) USING (k)", 1),
            ("a LEFT JOIN b USING (k) JOIN c USING (k)", 0),
        ] {
            let sql = format!("{tables} SELECT count(*) FROM {joins}");
            assert_eq!(rows(&sql).await, [count.to_string()], "{joins}");
        }
    }
}
