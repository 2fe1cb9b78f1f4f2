//! The change of a query, derived from the changes of its inputs by rewriting its logical plan.
//!
//! ```text
//! scan                             the rows that came, weight +1, and those that went, -1
//! filter, projection, alias, union the change passes through; what a filter lets in and out as time passes, or a watermark
//! inner join                       ΔA ⋈ B_new  ∪  A_old ⋈ ΔB
//! outer, semi, anti, mark join     the change of the kept side alone, or else the affected keys
//! GROUP BY, DISTINCT, window       the affected keys: groups (partitions) of changed rows, computed new and old
//! ORDER BY ... LIMIT               the first rows and some more, kept in a hidden table
//! GROUPING SETS, NOT IN            rewritten as plain aggregates, as a join that knows of no NULLs
//! count(DISTINCT ...)              the values of each group, each once, kept in a hidden table
//! ```
//!
//! A derived plan has the columns of the plan that it stands for and, last, a weight: how many times the row has come,
//! negative when it has gone. Rows are not consolidated: one that came and went is there with both weights. The rules
//! are those of weighted collections (Budiu et al., "DBSP", PVLDB 16, 2023); recomputing affected keys is the rule for
//! all operators that have a key.
//!
//! Pure: nothing is read. What has no rule is refused with the reason, and the caller recomputes.

mod average;
mod best;
mod clock;
mod closing;
mod distinct;
mod explain;
mod first;
mod grouping;
mod join;
mod keyed;
mod merge;
mod narrow;
mod not_in;
mod ranges;
mod split;
mod top;

pub(super) use best::{Best, candidates};
pub(super) use clock::{asks_for_time, clock_input, clock_version};
pub(super) use closing::Moved;
pub(super) use explain::{Ending, explain};
pub(super) use first::{First, first};
pub(super) use join::rejoin;
pub(super) use keyed::{KEYS, Keyed, keyed};
pub(super) use merge::{Merge, merge};
pub(super) use narrow::{is_narrowed_by_other, looked_up_rows_of, narrow, rows_of};
pub(super) use split::{Split, State, split};

use crate::engine::PushDown;
use crate::lake::TableName;
use chrono::{DateTime, Utc};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, NullEquality, TableReference};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, JoinConstraint, JoinType, LogicalPlan, Projection,
    SubqueryAlias, TableScan, TableSource, Union, Unnest, Window, lit,
};
use datafusion::optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The last column of a derived plan.
pub(super) const WEIGHT: &str = "__weight";

/// Where hidden tables stand: no reader sees them.
pub(super) const HIDDEN_SCHEMA: &str = "sluice_state";

/// An input that has changed.
pub(super) struct Source {
    /// Its rows before the change.
    pub(super) old: Arc<dyn TableSource>,
    /// The rows that came, in one or several tables.
    pub(super) inserted: Vec<Arc<dyn TableSource>>,
    /// The rows that went.
    pub(super) deleted: Vec<Arc<dyn TableSource>>,
}

/// The inputs that have changed. A plan's own scans read the new versions of all inputs.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) tables: HashMap<TableName, Source>,
    /// What the time was, when it has moved; a plan's own `now()` is the new one.
    pub(super) since: Option<DateTime<Utc>>,
    /// The watermarks among the tables, and how they have moved.
    pub(super) watermarks: HashMap<TableName, Moved>,
}

impl From<HashMap<TableName, Source>> for Sources {
    fn from(tables: HashMap<TableName, Source>) -> Self {
        Self { tables, ..Self::default() }
    }
}

/// Why there is no derived plan.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no rule; why.
    NoRule(String),
    /// The engine could not build a plan.
    Engine(DataFusionError),
}

impl From<DataFusionError> for Refusal {
    fn from(error: DataFusionError) -> Self {
        Refusal::Engine(error)
    }
}

pub(super) type Derived<T> = Result<T, Refusal>;

/// A plan, or why there is no rule for it; an error only where the engine failed.
pub(super) fn ruled<T>(derived: Derived<T>) -> Result<Result<T, String>, super::Error> {
    match derived {
        Ok(found) => Ok(Ok(found)),
        Err(Refusal::NoRule(why)) => Ok(Err(why)),
        Err(Refusal::Engine(error)) => Err(error.into()),
    }
}

fn no_rule<T>(why: impl Into<String>) -> Derived<T> {
    Err(Refusal::NoRule(why.into()))
}

/// A plan as the rules read it: typed, DISTINCT as GROUP BY, subqueries as joins, tables of a list joined by what WHERE
/// asks of them, equalities as join keys, conditions where they first hold; nothing else simplified yet.
pub(super) fn normalise(state: &SessionState, plan: LogicalPlan) -> Derived<LogicalPlan> {
    let typed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    let mut state = state.clone();
    // Left in its expression, a subquery's own change would go unseen.
    state.config_mut().options_mut().optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelateLateralJoin::new()),
        // Before the next rule, which makes a condition of every ON, to which only keys of joins come back.
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(PushDown::default()),
        // Equalities that stood above a semi join have come down to joins below it: without keys these could not be met.
        Arc::new(ExtractEquijoinPredicate::new()),
    ];
    let plan = Optimizer::with_rules(rules).optimize(typed, &state, |_, _| {})?;
    let plan = plan.transform_up(one_row_always_joins)?.data;
    let plan = plan.transform_up(not_in::without_nulls)?.data;
    let plan = plan.transform_up(grouping::by_set)?.data;
    let plan = plan.transform_up(distinct::apart)?.data;
    match has_subquery(&plan)? {
        true => no_rule("a subquery that is no join has no rule"),
        false => Ok(plan),
    }
}

/// A left join on nothing with what always has one row, as an uncorrelated subquery is, is a product.
fn one_row_always_joins(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    let LogicalPlan::Join(join) = &plan else { return Ok(Transformed::no(plan)) };
    let is_product = join.on.is_empty() && join.filter.is_none();
    if join.join_type != JoinType::Left || !is_product || !has_one_row(&join.right) {
        return Ok(Transformed::no(plan));
    }
    let inner = Join { join_type: JoinType::Inner, ..join.clone() };
    let (left, right) = (LogicalPlan::clone(&join.left), LogicalPlan::clone(&join.right));
    Ok(Transformed::yes(rejoin(&inner, left, right)?))
}

fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

fn has_subquery(plan: &LogicalPlan) -> Derived<bool> {
    let mut found = false;
    plan.apply(|node| {
        node.apply_subqueries(|_| {
            found = true;
            Ok(TreeNodeRecursion::Stop)
        })
    })?;
    Ok(found)
}

/// The change of a plan; `None` when none of its inputs has changed.
pub(super) fn change(plan: &LogicalPlan, sources: &Sources) -> Derived<Option<LogicalPlan>> {
    if !is_touched(plan, sources)? {
        return Ok(None);
    }
    clock::only_filters(plan, sources)?;
    match plan {
        LogicalPlan::TableScan(scan) => scan_change(scan, sources),
        LogicalPlan::Projection(projection) => {
            if let Some(passed) = closing::passing(projection, sources)? {
                return Ok(Some(passed));
            }
            let Some(input) = change(&projection.input, sources)? else { return Ok(None) };
            let mut exprs = projection.expr.clone();
            exprs.push(weight());
            Ok(Some(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?)))
        }
        LogicalPlan::Filter(filter) => {
            let mut parts = Vec::new();
            if let Some(input) = change(&filter.input, sources)? {
                parts.push(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?));
            }
            parts.extend(clock::passing(filter, sources)?);
            if parts.is_empty() { Ok(None) } else { Ok(Some(union_of(parts)?)) }
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = change(&alias.input, sources)? else { return Ok(None) };
            let named = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok(Some(placed(LogicalPlan::SubqueryAlias(named), plan.schema())?))
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => change(&sort.input, sources),
        LogicalPlan::Union(union) => {
            let mut parts = Vec::new();
            for input in &union.inputs {
                if let Some(part) = change(input, sources)? {
                    parts.push(placed(part, plan.schema())?);
                }
            }
            if parts.is_empty() { Ok(None) } else { Ok(Some(union_of(parts)?)) }
        }
        LogicalPlan::Unnest(unnest) => {
            let Some(input) = change(&unnest.input, sources)? else { return Ok(None) };
            let (lists, options) = (unnest.exec_columns.clone(), unnest.options.clone());
            let unnested = LogicalPlan::Unnest(Unnest::try_new(Arc::new(input), lists, options)?);
            Ok(Some(placed(unnested, plan.schema())?))
        }
        LogicalPlan::Join(join) => join::change_of(join, sources),
        LogicalPlan::Aggregate(aggregate) => {
            let build = |input| {
                let (groups, aggregates) = (aggregate.group_expr.clone(), aggregate.aggr_expr.clone());
                Aggregate::try_new(Arc::new(input), groups, aggregates).map(LogicalPlan::Aggregate)
            };
            by_keys(&aggregate.input, &group_keys(aggregate)?, sources, build)
        }
        LogicalPlan::Window(window) if partition_keys(window).is_err() => {
            anew(plan, &window.input, "a window without PARTITION BY has no key", sources)
        }
        LogicalPlan::Window(window) => {
            let build =
                |input| Window::try_new(window.window_expr.clone(), Arc::new(input)).map(LogicalPlan::Window);
            by_keys(&window.input, &partition_keys(window)?, sources, build)
        }
        LogicalPlan::Distinct(Distinct::All(_) | Distinct::On(_)) => no_rule("DISTINCT was not rewritten"),
        LogicalPlan::Limit(limit) => anew(plan, &limit.input, "LIMIT has no key", sources),
        LogicalPlan::Sort(sort) => anew(plan, &sort.input, "LIMIT has no key", sources),
        other => no_rule(format!("{} has no rule", operator(other))),
    }
}

/// The plan over its inputs as they were.
pub(super) fn before(plan: &LogicalPlan, sources: &Sources) -> Derived<LogicalPlan> {
    let old = reading(plan, |name| Some(Arc::clone(&sources.tables.get(name)?.old)))?;
    Ok(match sources.since {
        Some(time) => clock::plan_at(old, time)?,
        None => old,
    })
}

/// The plan with other rows in some of its tables.
pub(super) fn reading(
    plan: &LogicalPlan,
    rows: impl Fn(&TableName) -> Option<Arc<dyn TableSource>>,
) -> Result<LogicalPlan, DataFusionError> {
    let read = plan.clone().transform_up(|node| {
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        match rows(&name_of(&scan.table_name)) {
            Some(source) => Ok(Transformed::yes(rescan(scan, &source))),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(read.data)
}

/// The stored tables that a plan scans, each once.
pub(super) fn tables_of(plan: &LogicalPlan) -> Result<Vec<TableName>, DataFusionError> {
    let mut tables = BTreeSet::new();
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.insert(name_of(&scan.table_name));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables.into_iter().collect())
}

/// True when one of a plan's tables has changed, or the time that it asks for has.
fn is_touched(plan: &LogicalPlan, sources: &Sources) -> Derived<bool> {
    let mut touched = sources.since.is_some() && asks_for_time(plan)?;
    if touched {
        return Ok(true);
    }
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            touched |= sources.tables.contains_key(&name_of(&scan.table_name));
        }
        Ok(if touched { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(touched)
}

pub(super) fn name_of(table: &TableReference) -> TableName {
    TableName::new(table.schema().unwrap_or_default(), table.table())
}

fn rescan(scan: &TableScan, source: &Arc<dyn TableSource>) -> LogicalPlan {
    LogicalPlan::TableScan(TableScan { source: Arc::clone(source), ..scan.clone() })
}

fn scan_change(scan: &TableScan, sources: &Sources) -> Derived<Option<LogicalPlan>> {
    let Some(source) = sources.tables.get(&name_of(&scan.table_name)) else { return Ok(None) };
    let mut parts = Vec::new();
    for (tables, sign) in [(&source.inserted, 1), (&source.deleted, -1)] {
        for rows in tables {
            parts.push(weighted(rescan(scan, rows), sign)?);
        }
    }
    if parts.is_empty() { Ok(None) } else { Ok(Some(union_of(parts)?)) }
}

/// The change of an operator whose rows of one key depend on its input's rows of that key alone.
fn by_keys(
    input: &LogicalPlan,
    keys: &[Expr],
    sources: &Sources,
    build: impl Fn(LogicalPlan) -> Result<LogicalPlan, DataFusionError>,
) -> Derived<Option<LogicalPlan>> {
    let Some(changed) = change(input, sources)? else { return Ok(None) };
    let affected = distinct(key_rows(changed, keys)?)?;
    let new = build(restrict(input.clone(), keys, affected.clone())?)?;
    let old = build(restrict(before(input, sources)?, keys, affected)?)?;
    Ok(Some(difference(new, old)?))
}

/// The change of an operator without a key: its rows before and after, where its input is kept in a hidden table.
fn anew(
    plan: &LogicalPlan,
    input: &LogicalPlan,
    why: &str,
    sources: &Sources,
) -> Derived<Option<LogicalPlan>> {
    if !split::reads_only_hidden(input)? {
        return no_rule(why);
    }
    Ok(Some(difference(plan.clone(), before(plan, sources)?)?))
}

/// What groups are made by.
fn group_keys(aggregate: &Aggregate) -> Derived<Vec<Expr>> {
    if aggregate.group_expr.is_empty() {
        return no_rule("an aggregate over everything has no key");
    }
    if aggregate.group_expr.iter().any(|group| matches!(group, Expr::GroupingSet(_))) {
        return no_rule("there are too many grouping sets");
    }
    Ok(each_key_once(aggregate))
}

/// The columns that the groups of an aggregate begin with: a key that is given twice is one.
fn each_key_once(aggregate: &Aggregate) -> Vec<Expr> {
    let mut keys: Vec<Expr> = Vec::with_capacity(aggregate.group_expr.len());
    for key in &aggregate.group_expr {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

/// What all window functions of a node are partitioned by.
fn partition_keys(window: &Window) -> Derived<Vec<Expr>> {
    let mut common: Option<Vec<Expr>> = None;
    for expr in &window.window_expr {
        let Expr::WindowFunction(function) = expr.clone().unalias_nested().data else {
            return no_rule("a window function is wrapped");
        };
        let WindowFunction { params, .. } = *function;
        common = Some(match common {
            None => params.partition_by,
            Some(common) => common.into_iter().filter(|key| params.partition_by.contains(key)).collect(),
        });
    }
    match common {
        Some(keys) if !keys.is_empty() => Ok(keys),
        _ => no_rule("a window without PARTITION BY has no key"),
    }
}

fn weight() -> Expr {
    Expr::Column(Column::new_unqualified(WEIGHT))
}

/// Every row of a plan with one weight.
fn weighted(plan: LogicalPlan, weight: i64) -> Derived<LogicalPlan> {
    let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(lit(weight).alias(WEIGHT));
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

fn difference(new: LogicalPlan, old: LogicalPlan) -> Derived<LogicalPlan> {
    union_of(vec![weighted(new, 1)?, weighted(old, -1)?])
}

/// The columns of a plan by position under the names of `schema`, and the weight, if there is one more column.
pub(super) fn placed(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan, DataFusionError> {
    let columns = plan.schema().columns();
    let mut exprs = Vec::with_capacity(columns.len());
    for (position, column) in columns.into_iter().enumerate() {
        let (qualifier, name) = match position < schema.fields().len() {
            true => {
                let (qualifier, field) = schema.qualified_field(position);
                (qualifier.cloned(), field.name().clone())
            }
            false => (None, WEIGHT.to_string()),
        };
        let stands = column.relation == qualifier && column.name == name;
        let column = Expr::Column(column);
        exprs.push(if stands { column } else { column.alias_qualified(qualifier, name) });
    }
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// All rows of plans of one shape, under the names of the first.
fn union_of(parts: Vec<LogicalPlan>) -> Derived<LogicalPlan> {
    let [first, _, ..] = &parts[..] else {
        return parts.into_iter().next().map_or_else(|| no_rule("nothing to unite"), Ok);
    };
    let schema = Arc::clone(first.schema());
    let inputs = parts.into_iter().map(|part| numbered(part).map(Arc::new)).collect::<Result<_, _>>()?;
    Ok(placed(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?), &schema)?)
}

/// The columns of a plan by their numbers: a union knows no tables, and columns of one name would be one to it.
fn numbered(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let columns = plan.schema().columns().into_iter().enumerate();
    let columns = columns.map(|(i, column)| Expr::Column(column).alias(format!("c{i}"))).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// The keys of a plan's rows, as columns `k0`, `k1`...
fn key_rows(plan: LogicalPlan, keys: &[Expr]) -> Derived<LogicalPlan> {
    let columns = keys
        .iter()
        .enumerate()
        .map(|(i, key)| key.clone().unalias_nested().data.alias(key_name(i)))
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

/// The name of a key's column.
pub(super) fn key_name(position: usize) -> String {
    format!("k{position}")
}

/// Each key once, under the name [`KEYS`].
fn distinct(keys: LogicalPlan) -> Derived<LogicalPlan> {
    let once = LogicalPlan::Distinct(Distinct::All(Arc::new(keys)));
    Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(once), KEYS)?))
}

/// The rows of a plan whose key is among `affected`; NULL is a key like any other.
fn restrict(plan: LogicalPlan, keys: &[Expr], affected: LogicalPlan) -> Derived<LogicalPlan> {
    let on = keys.iter().enumerate().map(|(i, key)| {
        let column = Column::new(Some(TableReference::bare(KEYS)), key_name(i));
        (key.clone().unalias_nested().data, Expr::Column(column))
    });
    let semi = Join::try_new(
        Arc::new(plan),
        Arc::new(affected),
        on.collect(),
        None,
        JoinType::LeftSemi,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?;
    Ok(LogicalPlan::Join(semi))
}

fn operator(plan: &LogicalPlan) -> String {
    let shown = plan.display().to_string();
    shown.split([':', ' ']).next().unwrap_or("operator").to_string()
}
