//! A subquery for all values of the outer columns at once.
//!
//! The *domain* is the distinct values of the outer columns in the rows around. It is pushed down the subquery's plan to
//! where it stops to depend on them; from there up, every operator works on each value by itself: aggregates group by
//! it, limits count within it, windows are parted by it (Neumann and Kemper, "Unnesting Arbitrary Queries", 2015).

use super::{Unnesting, is_not_distinct_from};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinType, TableReference};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::{Exists, InSubquery, Sort as SortExpr};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, ExprFunctionExt as _, Filter, Join, Limit, LogicalPlan,
    LogicalPlanBuilder, Projection, Sort, Subquery, SubqueryAlias, Window, cast, lit, when,
};
use std::sync::Arc;

/// A plan with the outer values beside its own columns, which come first.
pub(super) struct Dependent {
    pub(super) plan: LogicalPlan,
    /// The outer values, in the order of [`Domain::columns`].
    pub(super) keys: Vec<Column>,
}

/// The outer columns of a subquery, and the rows that have them.
pub(super) struct Domain<'a> {
    rows: &'a LogicalPlan,
    columns: Vec<Column>,
    names: &'a mut Unnesting,
}

impl<'a> Domain<'a> {
    /// `None` where the rows around are not the same each time they are computed.
    pub(super) fn of(
        rows: &'a LogicalPlan,
        subquery: &LogicalPlan,
        names: &'a mut Unnesting,
    ) -> Result<Option<Self>> {
        let mut columns: Vec<Column> = vec![];
        each_outer(subquery, |column| {
            if rows.schema().has_column(column) && !columns.contains(column) {
                columns.push(column.clone());
            }
        })?;
        if !columns.is_empty() && is_volatile(rows)? {
            return Ok(None);
        }
        Ok(Some(Self { rows, columns, names }))
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The distinct values, under names of their own.
    fn values(&mut self) -> Result<Dependent> {
        let relation = TableReference::bare(self.names.next("outer"));
        let names: Vec<String> = self.columns.iter().map(|_| self.names.next("key")).collect();
        let columns = self.columns.iter().zip(&names);
        let columns: Vec<Expr> =
            columns.map(|(column, name)| Expr::Column(column.clone()).alias(name)).collect();
        let plan = LogicalPlanBuilder::from(self.rows.clone()).project(columns)?.distinct()?;
        let plan = plan.alias(relation.clone())?.build()?;
        let keys = names.into_iter().map(|name| Column::new(Some(relation.clone()), name)).collect();
        Ok(Dependent { plan, keys })
    }

    /// The plan for each of the values; `None` where an operator is not known to keep them apart.
    pub(super) fn push(&mut self, plan: LogicalPlan) -> Result<Option<Dependent>> {
        if !self.mentions(&plan)? {
            if self.columns.is_empty() {
                return Ok(Some(Dependent { plan, keys: vec![] }));
            }
            let values = self.values()?;
            let plan = LogicalPlanBuilder::from(plan).cross_join(values.plan)?.build()?;
            return Ok(Some(Dependent { plan, keys: values.keys }));
        }
        match plan {
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::SubqueryAlias(alias) => self.alias(alias),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Sort(sort) => self.sort(sort),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Some(Dependent { plan, keys }) = self.push(Arc::unwrap_or_clone(input))? else {
                    return Ok(None);
                };
                Ok(Some(Dependent { plan: LogicalPlan::Distinct(Distinct::All(Arc::new(plan))), keys }))
            }
            LogicalPlan::Distinct(Distinct::On(on)) => self.distinct_on(on),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => {
                let schema = Arc::clone(&union.schema);
                let mut branches = vec![];
                for input in union.inputs {
                    let Some(branch) = self.push(Arc::unwrap_or_clone(input))? else { return Ok(None) };
                    branches.push(branch);
                }
                self.union(&schema, branches)
            }
            _ => Ok(None),
        }
    }

    fn filter(&mut self, filter: Filter) -> Result<Option<Dependent>> {
        let schema = Arc::clone(filter.input.schema());
        let Some(Dependent { plan, keys }) = self.push(Arc::unwrap_or_clone(filter.input))? else {
            return Ok(None);
        };
        let predicate = self.bound(filter.predicate, &keys, &schema)?;
        let plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
        Ok(Some(Dependent { plan, keys }))
    }

    fn projection(&mut self, projection: Projection) -> Result<Option<Dependent>> {
        let schema = Arc::clone(projection.input.schema());
        let Some(Dependent { plan, keys }) = self.push(Arc::unwrap_or_clone(projection.input))? else {
            return Ok(None);
        };
        let mut columns = self.named(projection.expr, &projection.schema, &keys, &schema)?;
        columns.extend(keys.iter().cloned().map(Expr::Column));
        let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?);
        Ok(Some(Dependent { plan, keys }))
    }

    /// Expressions with the outer values in them, under the names that they had.
    fn named(
        &self,
        exprs: Vec<Expr>,
        names: &DFSchema,
        keys: &[Column],
        schema: &DFSchema,
    ) -> Result<Vec<Expr>> {
        let named = exprs.into_iter().zip(names.iter()).map(|(expr, (relation, field))| {
            let bound = self.bound(expr.clone(), keys, schema)?;
            let keeps_name = bound == expr || matches!(bound, Expr::Alias(_));
            Ok(if keeps_name { bound } else { bound.alias_qualified(relation.cloned(), field.name()) })
        });
        named.collect()
    }

    fn alias(&mut self, alias: SubqueryAlias) -> Result<Option<Dependent>> {
        let Some(Dependent { plan, mut keys }) = self.push(Arc::unwrap_or_clone(alias.input))? else {
            return Ok(None);
        };
        keys.iter_mut().for_each(|key| key.relation = Some(alias.alias.clone()));
        let plan = LogicalPlanBuilder::from(plan).alias(alias.alias)?.build()?;
        Ok(Some(Dependent { plan, keys }))
    }

    /// Groups are groups of each value; an aggregate over everything has a row for values without rows, too.
    fn aggregate(&mut self, aggregate: Aggregate) -> Result<Option<Dependent>> {
        let schema = Arc::clone(aggregate.input.schema());
        if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
            return Ok(None);
        }
        let Some(Dependent { plan, keys }) = self.push(Arc::unwrap_or_clone(aggregate.input))? else {
            return Ok(None);
        };
        let bound = |exprs: Vec<Expr>| -> Result<Vec<Expr>> {
            exprs.into_iter().map(|expr| self.bound(expr, &keys, &schema)).collect()
        };
        let mut groups = bound(aggregate.group_expr)?;
        let computed = bound(aggregate.aggr_expr)?;
        let (first, all) = (groups.len(), aggregate.schema.fields().len());
        groups.extend(keys.iter().cloned().map(Expr::Column));
        let grouped = Aggregate::try_new(Arc::new(plan), groups, computed.clone())?;
        let positions = (0..first).chain(first + keys.len()..all + keys.len());
        let plan = restored(LogicalPlan::Aggregate(grouped), &aggregate.schema, positions, &keys)?;
        if first > 0 {
            return Ok(Some(Dependent { plan, keys }));
        }
        let values = self.values()?;
        let same = values.keys.iter().zip(&keys).map(|(outer, key)| same(outer, key));
        let joined = LogicalPlanBuilder::from(values.plan).join_on(plan, JoinType::Left, same)?.build()?;
        let mut columns = vec![];
        for (expr, (relation, field)) in computed.iter().zip(aggregate.schema.iter()) {
            let Expr::AggregateFunction(function) = expr.clone().unalias_nested().data else {
                return Ok(None);
            };
            let column = Expr::Column(Column::new(relation.cloned(), field.name()));
            let of_nothing = function.func.default_value(field.data_type())?;
            columns.push(match of_nothing.is_null() {
                true => column,
                false => when(column.clone().is_null(), lit(of_nothing))
                    .otherwise(column)?
                    .alias_qualified(relation.cloned(), field.name()),
            });
        }
        columns.extend(values.keys.iter().cloned().map(Expr::Column));
        let plan = LogicalPlanBuilder::from(joined).project(columns)?.build()?;
        Ok(Some(Dependent { plan, keys: values.keys }))
    }

    fn sort(&mut self, sort: Sort) -> Result<Option<Dependent>> {
        if let Some(fetch) = sort.fetch {
            let input = Arc::new(LogicalPlan::Sort(Sort { fetch: None, ..sort }));
            let fetch = i64::try_from(fetch).ok().map(|fetch| Box::new(lit(fetch)));
            return self.limit(Limit { skip: None, fetch, input });
        }
        let schema = Arc::clone(sort.input.schema());
        let Some(Dependent { plan, keys }) = self.push(Arc::unwrap_or_clone(sort.input))? else {
            return Ok(None);
        };
        let expr = self.ordered(sort.expr, &keys, &schema)?;
        let plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch: None });
        Ok(Some(Dependent { plan, keys }))
    }

    fn ordered(&self, order: Vec<SortExpr>, keys: &[Column], schema: &DFSchema) -> Result<Vec<SortExpr>> {
        let bound = order.into_iter().map(|sort| {
            let expr = self.bound(sort.expr.clone(), keys, schema)?;
            Ok(sort.with_expr(expr))
        });
        bound.collect()
    }

    /// Rows are counted within each value.
    fn limit(&mut self, limit: Limit) -> Result<Option<Dependent>> {
        let (order, input) = match Arc::unwrap_or_clone(limit.input) {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => (sort.expr, Arc::unwrap_or_clone(sort.input)),
            // A projection keeps rows and their order.
            LogicalPlan::Projection(projection) => {
                let below = LogicalPlan::Limit(Limit { input: projection.input, ..limit });
                let above =
                    Projection::try_new_with_schema(projection.expr, Arc::new(below), projection.schema)?;
                return self.projection(above);
            }
            other => (vec![], other),
        };
        let schema = Arc::clone(input.schema());
        let Some(Dependent { plan, keys }) = self.push(input)? else { return Ok(None) };
        let partition = keys.iter().cloned().map(Expr::Column).collect();
        let order = self.ordered(order, &keys, &schema)?;
        let place = match order.is_empty() {
            true => row_number().partition_by(partition).build()?,
            false => row_number().partition_by(partition).order_by(order).build()?,
        };
        let number = Column::from_name(place.schema_name().to_string());
        let numbered = LogicalPlanBuilder::from(plan).window(vec![place])?.build()?;
        let number = || cast(Expr::Column(number.clone()), DataType::Int64);
        let is_given = |count: &Expr| !matches!(count, Expr::Literal(value, _) if value.is_null());
        let skip = limit.skip.map(|skip| *skip).filter(is_given);
        let fetch = limit.fetch.map(|fetch| *fetch).filter(is_given);
        let after = skip.clone().map(|skip| number().gt(skip));
        let last = fetch.map(|fetch| match skip {
            Some(skip) => fetch + skip,
            None => fetch,
        });
        let conditions = after.into_iter().chain(last.map(|last| number().lt_eq(last)));
        let plan = match conjunction(conditions) {
            Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(numbered))?),
            None => numbered,
        };
        let plan = restored(plan, &schema, 0..schema.fields().len(), &keys)?;
        Ok(Some(Dependent { plan, keys }))
    }

    fn distinct_on(&mut self, on: DistinctOn) -> Result<Option<Dependent>> {
        let schema = Arc::clone(on.input.schema());
        let Some(Dependent { plan, keys }) = self.push(Arc::unwrap_or_clone(on.input))? else {
            return Ok(None);
        };
        let outer = || keys.iter().cloned().map(Expr::Column);
        let mut columns = self.named(on.select_expr, &on.schema, &keys, &schema)?;
        columns.extend(outer());
        let told_apart = on.on_expr.into_iter().map(|expr| self.bound(expr, &keys, &schema));
        let told_apart = outer().map(Ok).chain(told_apart).collect::<Result<Vec<_>>>()?;
        let order = match on.sort_expr {
            Some(order) => {
                let within = self.ordered(order, &keys, &schema)?;
                Some(outer().map(|key| key.sort(true, true)).chain(within).collect())
            }
            None => None,
        };
        let on = DistinctOn::try_new(told_apart, columns, order, Arc::new(plan))?;
        Ok(Some(Dependent { plan: LogicalPlan::Distinct(Distinct::On(on)), keys }))
    }

    fn window(&mut self, window: Window) -> Result<Option<Dependent>> {
        let schema = Arc::clone(window.input.schema());
        let Some(Dependent { plan, keys }) = self.push(Arc::unwrap_or_clone(window.input))? else {
            return Ok(None);
        };
        let parted = window.window_expr.into_iter().map(|expr| {
            let bound = self.bound(expr, &keys, &schema)?;
            let parted = bound.transform_down(|expr| {
                let Expr::WindowFunction(mut function) = expr else { return Ok(Transformed::no(expr)) };
                function.params.partition_by.extend(keys.iter().cloned().map(Expr::Column));
                let changed = Expr::WindowFunction(function);
                Ok(Transformed::new(changed, true, TreeNodeRecursion::Jump))
            })?;
            Ok(parted.data)
        });
        let parted = parted.collect::<Result<Vec<_>>>()?;
        let (own, all) = (schema.fields().len(), plan.schema().fields().len());
        let computed = parted.len();
        let plan = LogicalPlan::Window(Window::try_new(parted, Arc::new(plan))?);
        let plan = restored(plan, &window.schema, (0..own).chain(all..all + computed), &keys)?;
        Ok(Some(Dependent { plan, keys }))
    }

    fn join(&mut self, join: Join) -> Result<Option<Dependent>> {
        if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
            return Ok(None);
        }
        let (left, right) = (Arc::unwrap_or_clone(join.left), Arc::unwrap_or_clone(join.right));
        let columns = (left.schema().fields().len(), right.schema().fields().len());
        let is_right_apart = !self.mentions(&right)?;
        // An outer join has rows of the left side alone, which have to have a value.
        let is_left_apart = join.join_type == JoinType::Inner && !is_right_apart && !self.mentions(&left)?;
        let alone = |plan| Some(Dependent { plan, keys: vec![] });
        let left = if is_left_apart { alone(left) } else { self.push(left)? };
        let right = if is_right_apart { alone(right) } else { self.push(right)? };
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        let both = left.keys.iter().zip(&right.keys).map(|(left, right)| same(left, right));
        let keys = if left.keys.is_empty() { right.keys.clone() } else { left.keys.clone() };
        let equal = join.on.into_iter().map(|(left, right)| left.eq(right));
        let mut conditions: Vec<Expr> = both.chain(equal).collect();
        if let Some(filter) = join.filter {
            conditions.push(self.bound(filter, &keys, &join.schema)?);
        }
        let all = left.plan.schema().fields().len();
        let joined = LogicalPlanBuilder::from(left.plan);
        let joined = match conditions.is_empty() {
            true => joined.join_on(right.plan, join.join_type, [lit(true)])?,
            false => joined.join_on(right.plan, join.join_type, conditions)?,
        };
        let positions = (0..columns.0).chain(all..all + columns.1);
        let plan = restored(joined.build()?, &join.schema, positions, &keys)?;
        Ok(Some(Dependent { plan, keys }))
    }

    fn union(&mut self, schema: &DFSchema, branches: Vec<Dependent>) -> Result<Option<Dependent>> {
        let names: Vec<String> = self.columns.iter().map(|_| self.names.next("key")).collect();
        let own = schema.fields().len();
        let aligned = branches.into_iter().map(|Dependent { plan, keys }| {
            let columns = plan.schema().columns().into_iter().take(own).map(Expr::Column);
            let outer = keys.into_iter().zip(&names).map(|(key, name)| Expr::Column(key).alias(name));
            LogicalPlanBuilder::from(plan).project(columns.chain(outer).collect::<Vec<_>>())?.build()
        });
        let mut aligned = aligned.collect::<Result<Vec<_>>>()?.into_iter();
        let Some(first) = aligned.next() else { return Ok(None) };
        let united = aligned.try_fold(LogicalPlanBuilder::from(first), LogicalPlanBuilder::union)?.build()?;
        let united_keys: Vec<Column> = united.schema().columns().into_iter().skip(own).collect();
        let columns = restored(united, schema, 0..own, &united_keys)?;
        Ok(Some(Dependent { plan: columns, keys: united_keys }))
    }

    /// True when something in a plan, or in its subqueries, names an outer column.
    fn mentions(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut found = false;
        each_outer(plan, |column| found |= self.columns.contains(column))?;
        Ok(found)
    }

    /// An expression with the outer values in place of the outer columns. In subqueries of its own they are outer columns
    /// still; what `schema` has, around those, is meant before what is further out.
    fn bound(&self, expr: Expr, keys: &[Column], schema: &DFSchema) -> Result<Expr> {
        let key = |column: &Column| {
            let index = self.columns.iter().position(|outer| outer == column)?;
            keys.get(index).cloned()
        };
        let within = |subquery: Subquery| -> Result<Subquery> {
            let plan = Arc::unwrap_or_clone(subquery.subquery).transform_up_with_subqueries(|node| {
                node.map_expressions(|expr| {
                    expr.transform_up(|expr| match expr {
                        Expr::OuterReferenceColumn(field, column) if !schema.has_column(&column) => {
                            Ok(match key(&column) {
                                Some(key) => Transformed::yes(Expr::OuterReferenceColumn(field, key)),
                                None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
                            })
                        }
                        other => Ok(Transformed::no(other)),
                    })
                })
            })?;
            let plan = plan.data.recompute_schema()?;
            let outer_ref_columns = plan.all_out_ref_exprs();
            Ok(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans })
        };
        let bound = expr.transform_up(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(field, column) => match key(&column) {
                    Some(key) => Transformed::yes(Expr::Column(key)),
                    None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
                },
                Expr::ScalarSubquery(subquery) => Transformed::yes(Expr::ScalarSubquery(within(subquery)?)),
                Expr::Exists(Exists { subquery, negated }) => {
                    Transformed::yes(Expr::Exists(Exists { subquery: within(subquery)?, negated }))
                }
                Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                    let subquery = within(subquery)?;
                    Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated }))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(bound.data)
    }
}

fn same(left: &Column, right: &Column) -> Expr {
    is_not_distinct_from(Expr::Column(left.clone()), Expr::Column(right.clone()))
}

/// The columns at these positions under the names of `schema`, and the outer values behind them.
pub(super) fn restored(
    plan: LogicalPlan,
    schema: &DFSchema,
    positions: impl IntoIterator<Item = usize>,
    keys: &[Column],
) -> Result<LogicalPlan> {
    let columns = positions.into_iter().zip(schema.iter()).map(|(at, (relation, field))| {
        let column = Column::from(plan.schema().qualified_field(at));
        let keeps_name = column.relation.as_ref() == relation && column.name == *field.name();
        let column = Expr::Column(column);
        if keeps_name { column } else { column.alias_qualified(relation.cloned(), field.name()) }
    });
    let columns: Vec<Expr> = columns.chain(keys.iter().cloned().map(Expr::Column)).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}

fn each_outer(plan: &LogicalPlan, mut found: impl FnMut(&Column)) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    found(column);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}
