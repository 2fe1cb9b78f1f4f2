//! Correlated subqueries over the system catalogs, of any form.
//!
//! DataFusion turns correlated subqueries into joins, and refuses those for which it knows no join: scalar subqueries
//! that are not aggregated (`(SELECT pg_get_expr(..) FROM pg_attrdef d WHERE d.adrelid = a.attrelid)`), comparisons
//! other than equality, EXISTS in a select list. Clients that read catalogs are full of them. This rule makes each such
//! subquery a function of the outer columns it names; the function runs the subquery for every distinct set of values,
//! which is what PostgreSQL does too.
//!
//! Only subqueries that read nothing but system catalogs (which are small and in memory) are taken: over data, running
//! a subquery row by row would be a trap.

mod run;

use crate::ops::opaque::Opaque;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{Exists, Placeholder, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};
use datafusion::optimizer::AnalyzerRule;
use run::{Answer, CorrelatedSubquery};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Adds the rule to an engine that has all its functions.
pub fn register(engine: &mut SessionState) {
    // The state is taken before the rule is added: it runs what the rule has already rewritten.
    let state = Opaque::new(engine.clone());
    engine.add_analyzer_rule(Arc::new(CatalogSubqueries { state }));
}

struct CatalogSubqueries {
    state: Opaque<SessionState>,
}

impl fmt::Debug for CatalogSubqueries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogSubqueries").finish_non_exhaustive()
    }
}

impl AnalyzerRule for CatalogSubqueries {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| self.rewrite_node(node)).map(|rewritten| rewritten.data)
    }

    fn name(&self) -> &str {
        "catalog_subqueries"
    }
}

impl CatalogSubqueries {
    fn rewrite_node(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let schema = merge_schema(&node.inputs());
        // DataFusion has semi and anti joins for EXISTS in WHERE.
        let exists_is_known = matches!(node, LogicalPlan::Filter(_));
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let lazy = expr.transform_down(|expr| self.rewrite_case(expr, &schema))?;
            let rewritten = lazy.transform_data(|expr| {
                expr.transform_up(|expr| self.rewrite_expr(expr, &schema, exists_is_known))
            })?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    }

    /// A branch of CASE is computed only for rows that take it: catalogs have many rows, and few of a kind.
    fn rewrite_case(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let Expr::Case(mut case) = expr else { return Ok(Transformed::no(expr)) };
        let mut found = false;
        if case.expr.is_none() {
            for (when, then) in &mut case.when_then_expr {
                // A call that waits cannot be the argument of another.
                if let Expr::ScalarSubquery(subquery) = then.as_ref()
                    && is_taken(subquery)?
                    && !holds_subquery(when)?
                {
                    **then = self.call(subquery, Answer::Value, Some(when.as_ref()), schema)?;
                    found = true;
                }
            }
        }
        let case = Expr::Case(case);
        Ok(if found { Transformed::yes(case) } else { Transformed::no(case) })
    }

    fn rewrite_expr(
        &self,
        expr: Expr,
        schema: &DFSchema,
        exists_is_known: bool,
    ) -> Result<Transformed<Expr>> {
        match expr {
            Expr::ScalarSubquery(subquery) if is_taken(&subquery)? => {
                Ok(Transformed::yes(self.call(&subquery, Answer::Value, None, schema)?))
            }
            Expr::Exists(Exists { subquery, negated })
                if !exists_is_known && reads_catalogs_only(&subquery.subquery)? =>
            {
                let exists = self.call(&subquery, Answer::Exists, None, schema)?;
                Ok(Transformed::yes(if negated { Expr::Not(Box::new(exists)) } else { exists }))
            }
            other => Ok(Transformed::no(other)),
        }
    }

    /// The subquery as a function of the outer columns that it names, run where `condition` holds.
    fn call(
        &self,
        subquery: &Subquery,
        answer: Answer,
        condition: Option<&Expr>,
        schema: &DFSchema,
    ) -> Result<Expr> {
        let mut arguments: Vec<(Column, Expr)> = vec![];
        let plan = Arc::unwrap_or_clone(Arc::clone(&subquery.subquery));
        let plan = plan.transform_up_with_subqueries(|node| {
            node.map_expressions(|expr| {
                expr.transform_up(|expr| {
                    let Expr::OuterReferenceColumn(field, column) = expr else {
                        return Ok(Transformed::no(expr));
                    };
                    let known = arguments.iter().position(|(known, _)| *known == column);
                    let index = known.unwrap_or_else(|| {
                        // What this query does not have comes from a query around it.
                        let argument = if schema.has_column(&column) {
                            Expr::Column(column.clone())
                        } else {
                            Expr::OuterReferenceColumn(Arc::clone(&field), column.clone())
                        };
                        arguments.push((column, argument));
                        arguments.len() - 1
                    });
                    Ok(Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(
                        run::parameter(index),
                        Some(field),
                    ))))
                })
            })
        })?;
        let plan = plan.data.recompute_schema()?;
        let function = CorrelatedSubquery::new(plan, answer, condition.is_some(), self.state.clone());
        let columns = arguments.into_iter().map(|(_, argument)| argument);
        let arguments = condition.cloned().into_iter().chain(columns).collect();
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function.into_udf()), arguments)))
    }
}

fn holds_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
        ))
    })
}

fn is_taken(subquery: &Subquery) -> Result<bool> {
    Ok(!subquery.subquery.all_out_ref_exprs().is_empty() && reads_catalogs_only(&subquery.subquery)?)
}

fn reads_catalogs_only(plan: &LogicalPlan) -> Result<bool> {
    Ok(relations_of(plan)?.0)
}

/// True for a plan that reads system catalogs and nothing else: its subqueries are run as they are.
pub fn reads_only_catalogs(plan: &LogicalPlan) -> Result<bool> {
    Ok(relations_of(plan)? == (true, true))
}

/// Whether all relations that are read are system catalogs, and whether there are any.
fn relations_of(plan: &LogicalPlan) -> Result<(bool, bool)> {
    let (mut catalogs_only, mut any) = (true, false);
    // A recursive query reads itself, under its bare name.
    let mut recursive = HashSet::new();
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::RecursiveQuery(query) => drop(recursive.insert(query.name.clone())),
            LogicalPlan::TableScan(scan) => {
                let of_catalogs =
                    matches!(scan.table_name.schema(), Some("pg_catalog" | "information_schema"));
                let is_itself =
                    scan.table_name.schema().is_none() && recursive.contains(scan.table_name.table());
                catalogs_only &= of_catalogs || is_itself;
                any = true;
            }
            _ => {}
        }
        Ok(if catalogs_only { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok((catalogs_only, any))
}
