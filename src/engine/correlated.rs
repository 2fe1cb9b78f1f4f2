//! Subqueries that name columns of the query around them, as joins: LATERAL, EXISTS and scalar subqueries as values.
//!
//! The engine turns such a subquery into a join where it compares with `=` in WHERE, and EXISTS where it is a condition.
//! Everything else is done here, for any comparison, order, limit and nesting: the subquery is computed for all values of
//! the outer columns at once ([`domain`]), and joined to the rows that have them.

mod domain;
mod only;

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema as _, JoinType, TableReference, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn::{array_agg, count};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, SubqueryAlias, binary_expr, lit,
};
use datafusion::optimizer::decorrelate::PullUpCorrelatedExpr;
use domain::{Dependent, Domain, restored};
use only::only_value;
use std::sync::Arc;

/// The plan of a model, whose subqueries are joins where the engine does not make such of them itself.
pub(super) fn joined_as_needed(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    if !has(&plan, |_| true)? && !is_lateral(&plan)? {
        return Ok(plan);
    }
    let is_planned = || {
        let optimized = state.optimize(&plan)?;
        Ok::<_, DataFusionError>(!has(&optimized, stays_unplanned)? && !is_lateral(&optimized)?)
    };
    if !has(&plan, is_misjoined)? && is_planned().unwrap_or(false) {
        return Ok(plan);
    }
    let mut unnesting = Unnesting::of_all_but(|_| Ok(false));
    let rewritten = plan.clone().transform_up_with_subqueries(|node| {
        // Below, what is NULL may have changed.
        unnesting.rewritten(node.recompute_schema()?).map(Transformed::yes)
    });
    // What cannot be rewritten is the engine's to refuse, as it was written.
    Ok(rewritten.map_or(plan, |rewritten| rewritten.data))
}

/// True when an expression of a plan is a subquery of which this holds.
fn has(plan: &LogicalPlan, meant: fn(&Expr) -> bool) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|expr| Ok(is_subquery(expr) && meant(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))
}

/// True when a subquery stands in FROM.
fn is_lateral(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Subquery(_))))
}

/// True for a subquery that, left in an optimized plan, cannot be run.
fn stays_unplanned(expr: &Expr) -> bool {
    !matches!(expr, Expr::ScalarSubquery(subquery) if subquery.outer_ref_columns.is_empty())
}

/// True for `x NOT IN (SELECT y ..)` that names outer columns: the engine's join takes a NULL of any outer row for one of all.
fn is_misjoined(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::InSubquery(InSubquery { negated: true, subquery, .. }) if !subquery.outer_ref_columns.is_empty()
    )
}

/// Makes joins of subqueries, one node after the other.
#[derive(Debug)]
pub struct Unnesting {
    /// Names that were given.
    names: usize,
    stays: fn(&LogicalPlan) -> Result<bool>,
}

impl Unnesting {
    /// Of all subqueries but those that are to stay as they are.
    pub fn of_all_but(stays: fn(&LogicalPlan) -> Result<bool>) -> Self {
        Self { names: 0, stays }
    }

    /// A name that nothing else has.
    fn next(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what} #{}", self.names)
    }

    /// Rewrites one node, whose inputs and subqueries are rewritten already.
    pub fn rewritten(&mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        rewritten(node, self)
    }
}

fn rewritten(node: LogicalPlan, names: &mut Unnesting) -> Result<LogicalPlan> {
    match &node {
        LogicalPlan::Join(join) => Ok(lateral(join, names)?.unwrap_or(node)),
        LogicalPlan::Projection(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Filter(_) => with_values(node, names),
        _ => Ok(node),
    }
}

/// `a JOIN LATERAL (...) AS b ON ...`; `None` where it is none, or of a form that stays the engine's.
fn lateral(join: &Join, names: &mut Unnesting) -> Result<Option<LogicalPlan>> {
    let (subquery, alias) = match join.right.as_ref() {
        LogicalPlan::Subquery(subquery) => (subquery, None),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match input.as_ref() {
            LogicalPlan::Subquery(subquery) => (subquery, Some(alias.clone())),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Ok(None);
    }
    let keys = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let conditions = keys.chain(join.filter.clone()).collect();
    let Some(joined) = joined(&join.left, &subquery.subquery, alias, join.join_type, conditions, names)?
    else {
        return Ok(None);
    };
    Ok(Some(restored(joined, &join.schema, 0..join.schema.fields().len(), &[])?))
}

/// Rows, each with those that the subquery has for it. The columns of both come first.
fn joined(
    left: &LogicalPlan,
    subquery: &LogicalPlan,
    alias: Option<TableReference>,
    join_type: JoinType,
    mut conditions: Vec<Expr>,
    names: &mut Unnesting,
) -> Result<Option<LogicalPlan>> {
    let Some(mut domain) = Domain::of(left, subquery, names)? else { return Ok(None) };
    let outer = domain.columns().to_vec();
    let Some(Dependent { mut plan, mut keys }) = domain.push(subquery.clone())? else { return Ok(None) };
    if let Some(alias) = alias {
        keys.iter_mut().for_each(|key| key.relation = Some(alias.clone()));
        plan = LogicalPlanBuilder::from(plan).alias(alias)?.build()?;
    }
    let same = outer.into_iter().zip(keys);
    conditions.extend(same.map(|(outer, key)| is_not_distinct_from(Expr::Column(outer), Expr::Column(key))));
    let joined = LogicalPlanBuilder::from(left.clone());
    Ok(Some(match conditions.is_empty() && join_type == JoinType::Inner {
        true => joined.cross_join(plan)?.build()?,
        false if conditions.is_empty() => joined.join_on(plan, join_type, [lit(true)])?.build()?,
        false => joined.join_on(plan, join_type, conditions)?.build()?,
    }))
}

/// A node whose subqueries as values are columns of its input.
fn with_values(node: LogicalPlan, names: &mut Unnesting) -> Result<LogicalPlan> {
    let Some(input) = node.inputs().first().map(|input| LogicalPlan::clone(input)) else { return Ok(node) };
    let columns = input.schema().fields().len();
    let mut values = Values { input, found: false, names };
    let schema = Arc::clone(node.schema());
    if let LogicalPlan::Filter(Filter { predicate, .. }) = &node {
        let conditions =
            split_conjunction(predicate).into_iter().map(|condition| values.condition(condition));
        let Some(predicate) = conjunction(conditions.collect::<Result<Vec<_>>>()?) else { return Ok(node) };
        if !values.found {
            return Ok(node);
        }
        let filter = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(values.input))?);
        return restored(filter, &schema, 0..columns, &[]);
    }
    let preserved = NamePreserver::new(&node);
    let node = node.map_expressions(|expr| {
        let name = preserved.save(&expr);
        Ok(values.replace(expr)?.update_data(|expr| name.restore(expr)))
    })?;
    if !values.found {
        return Ok(node.data);
    }
    let widened = values.input;
    let all = widened.schema().fields().len();
    let node = node.data.with_new_exprs(node.data.expressions(), vec![widened])?;
    match &node {
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => Ok(node),
        // What is put in passes through.
        _ => {
            let positions = (0..columns).chain(all..node.schema().fields().len()).collect::<Vec<_>>();
            restored(node, &schema, positions, &[])
        }
    }
}

/// A node's input, widened by the values of its subqueries.
struct Values<'a> {
    input: LogicalPlan,
    found: bool,
    names: &'a mut Unnesting,
}

impl Values<'_> {
    /// A condition of WHERE: what the engine makes a join of by itself stays.
    fn condition(&mut self, condition: &Expr) -> Result<Expr> {
        match condition {
            Expr::Exists(_) | Expr::InSubquery(InSubquery { negated: false, .. }) => Ok(condition.clone()),
            Expr::InSubquery(InSubquery { expr, subquery, .. }) => {
                // The engine's join takes a NULL of any outer row for one of all.
                match subquery.outer_ref_columns.is_empty() || (self.names.stays)(&subquery.subquery)? {
                    true => Ok(condition.clone()),
                    false => Ok(self.replace(in_none(expr, subquery, self.input.schema())?)?.data),
                }
            }
            other => Ok(self.replace(other.clone())?.data),
        }
    }

    fn replace(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        expr.transform_down(|expr| {
            let value = match &expr {
                Expr::Exists(Exists { subquery, negated }) => {
                    let column = value_of(&mut self.input, subquery, Answer::Exists, self.names)?;
                    column.map(|column| if *negated { Expr::Not(Box::new(column)) } else { column })
                }
                Expr::ScalarSubquery(subquery) if !is_known(&subquery.subquery)? => {
                    value_of(&mut self.input, subquery, Answer::Value, self.names)?
                }
                _ => None,
            };
            self.found |= value.is_some();
            Ok(match value {
                Some(value) => Transformed::new(value, true, TreeNodeRecursion::Jump),
                None => Transformed::no(expr),
            })
        })
    }
}

/// `x NOT IN (SELECT y ..)` holds where no y is x, none is NULL, and x is not, unless there is no y.
fn in_none(expr: &Expr, subquery: &Subquery, schema: &DFSchema) -> Result<Expr> {
    let plan = subquery.subquery.as_ref();
    let Some(value) = plan.schema().columns().into_iter().next().map(Expr::Column) else {
        return plan_err!("subquery has no columns");
    };
    let outer = expr.clone().transform_up(|expr| {
        let Expr::Column(column) = expr else { return Ok(Transformed::no(expr)) };
        let field = Arc::clone(schema.field_from_column(&column)?);
        Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
    })?;
    let none = |plan: LogicalPlan| {
        let outer_ref_columns = plan.all_out_ref_exprs();
        let subquery =
            Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans.clone() };
        Expr::Exists(Exists { subquery, negated: true })
    };
    let filtered = |condition| LogicalPlanBuilder::from(plan.clone()).filter(condition)?.build();
    let different = none(filtered(value.clone().eq(outer.data))?);
    let known = none(filtered(value.is_null())?);
    Ok(different.and(known).and(expr.clone().is_not_null().or(none(plan.clone()))))
}

/// What is wanted of a subquery's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Whether there are any.
    Exists,
    /// The only value of the only row.
    Value,
}

/// The column that has a subquery's answer, put into the input.
fn value_of(
    input: &mut LogicalPlan,
    subquery: &Subquery,
    answer: Answer,
    names: &mut Unnesting,
) -> Result<Option<Expr>> {
    let plan = subquery.subquery.as_ref();
    if (names.stays)(plan)? {
        return Ok(None);
    }
    let name = names.next("value");
    let answers = match answer {
        Answer::Exists => LogicalPlanBuilder::from(plan.clone())
            .aggregate(Vec::<Expr>::new(), vec![count(lit(1_i64)).alias("rows")])?
            .project(vec![Expr::Column(Column::from_name("rows")).gt(lit(0_i64)).alias(&name)])?,
        Answer::Value => {
            let Some(value) = plan.schema().columns().into_iter().next() else { return Ok(None) };
            let values = array_agg(Expr::Column(value)).alias("values");
            LogicalPlanBuilder::from(plan.clone())
                .aggregate(Vec::<Expr>::new(), vec![values])?
                .project(vec![only_value(Expr::Column(Column::from_name("values"))).alias(&name)])?
        }
    };
    let alias = TableReference::bare(names.next("answers"));
    let answers = answers.build()?;
    let widened = joined(input, &answers, Some(alias.clone()), JoinType::Left, vec![], names)?;
    Ok(widened.map(|widened| {
        *input = widened;
        Expr::Column(Column::new(Some(alias), name))
    }))
}

/// `=` for which NULL is a value like any other.
fn is_not_distinct_from(left: Expr, right: Expr) -> Expr {
    binary_expr(left, Operator::IsNotDistinctFrom, right)
}

/// True for a scalar subquery that the engine makes a join of: one that names nothing outside, and an aggregate over
/// everything whose conditions can be pulled out.
fn is_known(plan: &LogicalPlan) -> Result<bool> {
    if plan.all_out_ref_exprs().is_empty() {
        return Ok(true);
    }
    let mut below = plan;
    while let LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) = below {
        let Some(input) = below.inputs().first().copied() else { break };
        below = input;
    }
    if !matches!(below, LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty()) {
        return Ok(false);
    }
    let mut pull_up = PullUpCorrelatedExpr::new().with_need_handle_count_bug(true);
    let pulled = plan.clone().rewrite(&mut pull_up);
    Ok(pulled.is_ok() && pull_up.can_pull_up)
}
