//! Which rows of the tables below a plan matter, when of its own rows only those with certain keys do.
//!
//! A restriction moves down as a filter on the keys' columns would: through projections and unnested lists, to the groups of an aggregate,
//! to the partitions of a window, to that side of a join whose rows the join keeps, and by the join's equalities to the
//! other. What it reaches is narrowed by an index, or, where keys are steps of a time, to a range of it; what it does not
//! reach is read as before. It only ever leaves out rows that do not matter: the operators above still compare the keys.

use super::ranges::range;
use super::{group_keys, partition_keys};
use crate::lake::{self, FilesProvider};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, DataFusionError, ExprSchema as _};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Cast, Expr, Filter, Join, JoinType, LogicalPlan, TableScan, TableSource, Union,
};
use std::any::Any;
use std::sync::Arc;

/// A key column: what it is in a plan's columns, and which column of the key batches holds its values.
#[derive(Clone)]
struct Key {
    expr: Expr,
    values: usize,
}

/// A plan whose tables are narrowed to rows that matter for these keys: of `on`, the expression at place `i` has the values of
/// column `i` of `keys`. Blocks: indexes are looked up, and built.
pub(in crate::refresh) fn narrow(
    plan: &LogicalPlan,
    on: &[Expr],
    keys: &[RecordBatch],
) -> Result<LogicalPlan, DataFusionError> {
    let on = on.iter().enumerate();
    let on: Vec<Key> = on.map(|(values, expr)| Key { expr: bare(expr), values }).collect();
    Narrowing { keys }.of(plan, &on)
}

/// How many rows a scan's table has; `None` when it is not one of ours.
pub(in crate::refresh) fn rows_of(scan: &TableScan) -> Option<u64> {
    of_files(scan, |files| files.rows().unwrap_or(u64::MAX))
}

/// How many rows a scan looks up one by one; `None` when it reads otherwise.
pub(in crate::refresh) fn looked_up_rows_of(scan: &TableScan) -> Option<u64> {
    of_files(scan, FilesProvider::looked_up_rows)?
}

fn of_files<T>(scan: &TableScan, told: impl Fn(&FilesProvider) -> T) -> Option<T> {
    let provider = source_as_provider(&scan.source).ok()?;
    (provider.as_ref() as &dyn Any).downcast_ref::<FilesProvider>().map(told)
}

struct Narrowing<'a> {
    keys: &'a [RecordBatch],
}

impl Narrowing<'_> {
    fn of(&self, plan: &LogicalPlan, on: &[Key]) -> Result<LogicalPlan, DataFusionError> {
        if on.is_empty() {
            return Ok(plan.clone());
        }
        let input = match plan {
            LogicalPlan::TableScan(scan) => return self.of_scan(scan, on),
            LogicalPlan::Join(join) => return self.of_join(join, on),
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|input| {
                    let below = moved(on, &union.schema, |place| Some(column_at(input.schema(), place)));
                    self.of(input, &below).map(Arc::new)
                });
                let inputs = inputs.collect::<Result<_, _>>()?;
                return Ok(LogicalPlan::Union(Union { inputs, schema: Arc::clone(&union.schema) }));
            }
            LogicalPlan::Projection(projection) => {
                let below = moved(on, &projection.schema, |place| projection.expr.get(place).cloned());
                self.of(&projection.input, &below)?
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = alias.input.schema();
                self.of(&alias.input, &moved(on, &alias.schema, |place| Some(column_at(input, place))))?
            }
            LogicalPlan::Filter(filter) => self.of(&filter.input, on)?,
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.of(&sort.input, on)?,
            LogicalPlan::Aggregate(aggregate) => {
                let Ok(groups) = group_keys(aggregate) else { return Ok(plan.clone()) };
                self.of(&aggregate.input, &moved(on, &aggregate.schema, |place| groups.get(place).cloned()))?
            }
            LogicalPlan::Unnest(unnest) => {
                let input = unnest.input.schema();
                let kept = |place: usize| {
                    let place = *unnest.dependency_indices.get(place)?;
                    let column = Column::from(input.qualified_field(place));
                    (!unnest.exec_columns.contains(&column)).then_some(Expr::Column(column))
                };
                self.of(&unnest.input, &moved(on, &unnest.schema, kept))?
            }
            LogicalPlan::Window(window) => {
                let Ok(partitions) = partition_keys(window) else { return Ok(plan.clone()) };
                let within = |key: &&Key| partitions.contains(&key.expr);
                self.of(&window.input, &on.iter().filter(within).cloned().collect::<Vec<_>>())?
            }
            other => return Ok(other.clone()),
        };
        plan.with_new_exprs(plan.expressions(), vec![input])
    }

    fn of_join(&self, join: &Join, on: &[Key]) -> Result<LogicalPlan, DataFusionError> {
        let side = |of: &LogicalPlan| -> Vec<Key> {
            let schema = of.schema();
            on.iter().filter(|key| is_of(&key.expr, schema)).cloned().collect()
        };
        let (mut left, mut right) = (Vec::new(), Vec::new());
        if narrows_left(join.join_type) {
            left = side(&join.left);
        }
        if narrows_right(join.join_type) {
            right = side(&join.right);
        }
        // A row of the other side matters only where the join's equality holds.
        let across = |from: &[Key], to_right: bool| -> Vec<Key> {
            let pairs =
                join.on.iter().map(|(l, r)| if to_right { (bare(l), bare(r)) } else { (bare(r), bare(l)) });
            let equal = |(here, there): (Expr, Expr)| {
                let key = from.iter().find(|key| key.expr == here)?;
                Some(Key { expr: there, values: key.values })
            };
            pairs.filter_map(equal).collect()
        };
        let (more_left, more_right) = (across(&right, false), across(&left, true));
        left.extend(more_left);
        right.extend(more_right);
        let narrowed = Join {
            left: Arc::new(self.of(&join.left, &left)?),
            right: Arc::new(self.of(&join.right, &right)?),
            ..join.clone()
        };
        Ok(LogicalPlan::Join(narrowed))
    }

    fn of_scan(&self, scan: &TableScan, on: &[Key]) -> Result<LogicalPlan, DataFusionError> {
        let stands = || Ok(LogicalPlan::TableScan(scan.clone()));
        let provider = source_as_provider(&scan.source)?;
        let Some(files) = (provider.as_ref() as &dyn Any).downcast_ref::<FilesProvider>() else {
            return stands();
        };
        let schema = scan.source.schema();
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for key in on {
            if let Some(column) = looked_up(&key.expr, scan)
                && let Ok(place) = schema.index_of(&column.name)
                && !schema.field(place).data_type().is_floating()
                && !columns.contains(&place)
            {
                columns.push(place);
                values.push(key.values);
            }
        }
        if columns.is_empty() {
            return self.of_range(scan, on);
        }
        let keys = self.keys.iter().map(|batch| batch.project(&values)).collect::<Result<Vec<_>, _>>()?;
        let external = |e: lake::Error| DataFusionError::External(Box::new(e));
        let Some(narrowed) = files.narrowed(&columns, &keys).map_err(external)? else { return stands() };
        let source: Arc<dyn TableSource> = provider_as_source(Arc::new(narrowed));
        Ok(LogicalPlan::TableScan(TableScan { source, ..scan.clone() }))
    }

    /// A scan of the times that its keys are made of, as far as one is.
    fn of_range(&self, scan: &TableScan, on: &[Key]) -> Result<LogicalPlan, DataFusionError> {
        let ranges = on.iter().map(|key| range(&key.expr, scan, self.keys, key.values));
        let ranges = ranges.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
        let scan = LogicalPlan::TableScan(scan.clone());
        match conjunction(ranges) {
            Some(within) => Ok(LogicalPlan::Filter(Filter::try_new(within, Arc::new(scan))?)),
            None => Ok(scan),
        }
    }
}

/// True when of the left side only the rows matter that make a result with one of the keys.
fn narrows_left(join: JoinType) -> bool {
    use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi};
    matches!(join, Inner | Left | LeftSemi | LeftAnti | LeftMark)
}

fn narrows_right(join: JoinType) -> bool {
    use JoinType::{Inner, Right, RightAnti, RightMark, RightSemi};
    matches!(join, Inner | Right | RightSemi | RightAnti | RightMark)
}

/// True when of a join's larger side only the rows matter whose key the smaller has.
pub(in crate::refresh) fn is_narrowed_by_other(join: JoinType, narrows_the_left: bool) -> bool {
    use JoinType::{Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
    if narrows_the_left {
        matches!(join, Inner | Right | RightSemi | RightAnti | RightMark | LeftSemi)
    } else {
        matches!(join, Inner | Left | LeftSemi | LeftAnti | LeftMark | RightSemi)
    }
}

/// The keys one operator further down; those that are computed there from several columns are let go.
fn moved(on: &[Key], schema: &DFSchema, below: impl Fn(usize) -> Option<Expr>) -> Vec<Key> {
    let below = |key: &Key| {
        let Expr::Column(column) = &key.expr else { return None };
        let expr = bare(&below(schema.maybe_index_of_column(column)?)?);
        Some(Key { expr, values: key.values })
    };
    on.iter().filter_map(below).collect()
}

fn column_at(schema: &DFSchema, place: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(place)))
}

fn is_of(expr: &Expr, schema: &DFSchema) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && columns.into_iter().all(|column| schema.has_column(column))
}

fn bare(expr: &Expr) -> Expr {
    expr.clone().unalias_nested().data
}

/// The stored column whose value tells the expression's: the column itself, or a cast that loses nothing.
pub(super) fn looked_up<'a>(expr: &'a Expr, scan: &TableScan) -> Option<&'a Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Cast(Cast { expr, field }) => match expr.as_ref() {
            Expr::Column(column) => {
                let from = scan.projected_schema.field_from_column(column).ok()?;
                is_lossless(from.data_type(), field.data_type()).then_some(column)
            }
            _ => None,
        },
        _ => None,
    }
}

/// True when casting there and back gives every value again.
fn is_lossless(from: &DataType, to: &DataType) -> bool {
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    match (from, to) {
        _ if from == to => true,
        _ if is_text(from) && is_text(to) => true,
        _ if from.is_integer() && to.is_integer() => from.primitive_width() <= to.primitive_width(),
        (DataType::Decimal128(p, s), DataType::Decimal128(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        (_, DataType::Decimal128(q, t)) if from.is_integer() => i16::from(*q) - i16::from(*t) >= 20,
        (DataType::Date32, DataType::Timestamp(..)) => true,
        _ => false,
    }
}
