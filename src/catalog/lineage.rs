//! Column lineage: which columns of its inputs each column of a query comes of, read from the query's plan.
//!
//! Comes in: a logical plan as the SQL planner makes it, before it is optimized. Goes out: for each output column what
//! its values are made of and what else bears on them, and for the query what decides which rows there are. Kinds are
//! those of OpenLineage's column lineage facet (version 1-2-0: DIRECT and INDIRECT with their subtypes, and `masking`).
//!
//! Where an operator is not known, each of its columns comes of all that goes in: too much is said rather than too
//! little.

mod expression;
mod graph;

use crate::engine::DATABASE;
use crate::lake::TableName;
use datafusion::common::{DFSchemaRef, TableReference};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};
use expression::Scope;
pub use graph::{Direction, Graph, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableColumn {
    /// The table.
    pub table: TableName,
    /// The column's name.
    pub column: String,
}

impl fmt::Display for TableColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// What is done to a value on its way, in the order of how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transformation {
    /// Taken as it is.
    Identity,
    /// Computed with others of its row.
    Transformation,
    /// Computed with others of its group.
    Aggregation,
}

impl Transformation {
    /// The word for it in system tables and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Transformation::Identity => "identity",
            Transformation::Transformation => "transformation",
            Transformation::Aggregation => "aggregation",
        }
    }
}

/// A value's way into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// What is done to it.
    pub transformation: Transformation,
    /// The value cannot be read back: it is hashed, masked, counted or only tested for being there.
    pub masked: bool,
}

impl Flow {
    const IDENTITY: Flow = Flow { transformation: Transformation::Identity, masked: false };

    /// This way, then a further one.
    fn then(self, next: Flow) -> Flow {
        Flow {
            transformation: self.transformation.max(next.transformation),
            masked: self.masked || next.masked,
        }
    }

    /// This way and another, side by side.
    fn beside(self, other: Flow) -> Flow {
        Flow {
            transformation: self.transformation.max(other.transformation),
            masked: self.masked && other.masked,
        }
    }
}

/// How a column bears on values that are not made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Influence {
    /// A join matches it.
    Join,
    /// Groups are made by it.
    GroupBy,
    /// Rows are kept or left out by it.
    Filter,
    /// Rows are ordered by it.
    Sort,
    /// A window is cut or ordered by it.
    Window,
    /// It chooses between values.
    Conditional,
}

impl Influence {
    /// The word for it in system tables and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Influence::Join => "join",
            Influence::GroupBy => "group by",
            Influence::Filter => "filter",
            Influence::Sort => "sort",
            Influence::Window => "window",
            Influence::Conditional => "conditional",
        }
    }
}

/// Columns that bear on values, and how.
pub type Influences = BTreeSet<(TableColumn, Influence)>;

/// What one column comes of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnLineage {
    /// What its values are made of.
    pub direct: BTreeMap<TableColumn, Flow>,
    /// What else bears on its values.
    pub indirect: Influences,
}

impl ColumnLineage {
    fn of(column: TableColumn) -> Self {
        Self { direct: BTreeMap::from([(column, Flow::IDENTITY)]), indirect: Influences::new() }
    }

    /// Comes of this as well.
    fn add(&mut self, other: ColumnLineage) {
        for (column, flow) in other.direct {
            self.direct.entry(column).and_modify(|known| *known = known.beside(flow)).or_insert(flow);
        }
        self.indirect.extend(other.indirect);
    }

    /// What it comes of, on a further way.
    fn then(mut self, next: Flow) -> Self {
        for flow in self.direct.values_mut() {
            *flow = flow.then(next);
        }
        self
    }

    /// Everything it comes of, as what bears on something else.
    fn bearing(self, influence: Influence) -> Influences {
        let direct = self.direct.into_keys().map(|column| (column, influence));
        direct.chain(self.indirect.into_iter().map(|(column, _)| (column, influence))).collect()
    }
}

/// What a query's rows come of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// What each output column comes of, in their order.
    pub columns: Vec<ColumnLineage>,
    /// What decides which rows there are.
    pub rows: Influences,
    /// What they are ordered by: it decides which there are below a limit.
    order: Influences,
}

impl Lineage {
    /// Reads a plan.
    pub fn of(plan: &LogicalPlan) -> Self {
        trace(plan, None)
    }

    /// One column that comes of all of these.
    fn merged(self) -> ColumnLineage {
        let mut all = ColumnLineage::default();
        for column in self.columns {
            all.add(column);
        }
        all
    }
}

/// A plan's lineage; columns of enclosing queries are found in `outer`.
fn trace(plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Lineage {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let table = table_of(&scan.table_name);
            let columns = scan.projected_schema.fields().iter();
            let columns = columns
                .map(|f| ColumnLineage::of(TableColumn { table: table.clone(), column: f.name().clone() }));
            Lineage { columns: columns.collect(), ..Lineage::default() }
        }
        LogicalPlan::Projection(node) => node.expr.iter().over(&node.input, outer),
        LogicalPlan::Filter(node) => {
            let mut lineage = trace(&node.input, outer);
            let kept =
                scope(node.input.schema(), &lineage, outer).bearing(&node.predicate, Influence::Filter);
            lineage.rows.extend(kept);
            lineage
        }
        LogicalPlan::Sort(node) => {
            let mut lineage = trace(&node.input, outer);
            let scope = scope(node.input.schema(), &lineage, outer);
            let order = node.expr.iter().flat_map(|sort| scope.bearing(&sort.expr, Influence::Sort));
            lineage.order = order.collect();
            lineage
        }
        LogicalPlan::Limit(node) => {
            let mut lineage = trace(&node.input, outer);
            lineage.rows.append(&mut lineage.order);
            lineage
        }
        LogicalPlan::Window(node) => {
            let mut lineage = trace(&node.input, outer);
            let scope = scope(node.input.schema(), &lineage, outer);
            let added: Vec<_> = node.window_expr.iter().map(|expr| scope.lineage(expr)).collect();
            lineage.columns.extend(added);
            lineage
        }
        LogicalPlan::Aggregate(node) => aggregate(node, outer),
        LogicalPlan::Distinct(Distinct::On(node)) => {
            let mut lineage = node.select_expr.iter().over(&node.input, outer);
            let input = trace(&node.input, outer);
            let scope = scope(node.input.schema(), &input, outer);
            let order = node.sort_expr.iter().flatten().map(|sort| (&sort.expr, Influence::Sort));
            let groups = node.on_expr.iter().map(|expr| (expr, Influence::GroupBy));
            let bearing = groups.chain(order).flat_map(|(expr, influence)| scope.bearing(expr, influence));
            lineage.rows.extend(bearing);
            lineage
        }
        LogicalPlan::Join(node) => join(node, outer),
        LogicalPlan::Union(node) => {
            let mut inputs = node.inputs.iter().map(|input| trace(input, outer));
            let mut lineage = inputs.next().unwrap_or_default();
            for input in inputs {
                for (column, other) in lineage.columns.iter_mut().zip(input.columns) {
                    column.add(other);
                }
                lineage.rows.extend(input.rows);
            }
            lineage
        }
        LogicalPlan::Unnest(node) => {
            let input = trace(&node.input, outer);
            let from = node.dependency_indices.iter();
            let columns = from.map(|&index| input.columns.get(index).cloned().unwrap_or_default()).collect();
            Lineage { columns, ..input }
        }
        LogicalPlan::SubqueryAlias(node) => trace(&node.input, outer),
        LogicalPlan::Distinct(Distinct::All(input)) => trace(input, outer),
        LogicalPlan::Subquery(node) => trace(&node.subquery, outer),
        _ => of_all_inputs(plan, outer),
    }
}

/// `[database.]schema.table` as a model names it.
fn table_of(reference: &TableReference) -> TableName {
    let resolved = reference.clone().resolve(DATABASE, "public");
    TableName::new(resolved.schema.as_ref(), resolved.table.as_ref())
}

fn scope<'a>(schema: &'a DFSchemaRef, input: &'a Lineage, outer: Option<&'a Scope<'a>>) -> Scope<'a> {
    Scope { schema, columns: &input.columns, outer }
}

/// Expressions over the rows of a plan.
trait Over {
    fn over(self, input: &LogicalPlan, outer: Option<&Scope<'_>>) -> Lineage;
}

impl<'e, I: Iterator<Item = &'e Expr>> Over for I {
    fn over(self, input: &LogicalPlan, outer: Option<&Scope<'_>>) -> Lineage {
        let from = trace(input, outer);
        let scope = scope(input.schema(), &from, outer);
        let columns = self.map(|expr| scope.lineage(expr)).collect();
        Lineage { columns, ..from }
    }
}

fn aggregate(node: &datafusion::logical_expr::Aggregate, outer: Option<&Scope<'_>>) -> Lineage {
    let input = trace(&node.input, outer);
    let scope = scope(node.input.schema(), &input, outer);
    let keys: Vec<&Expr> = match node.group_expr.as_slice() {
        [Expr::GroupingSet(sets)] => sets.distinct_expr(),
        keys => keys.iter().collect(),
    };
    let mut columns: Vec<_> = keys.iter().map(|expr| scope.lineage(expr)).collect();
    let groups = keys.iter().flat_map(|expr| scope.bearing(expr, Influence::GroupBy));
    let rows = input.rows.iter().cloned().chain(groups).collect();
    // Which set a row is of, where there are grouping sets, comes of no column.
    let sets = node.schema.fields().len().saturating_sub(columns.len() + node.aggr_expr.len());
    columns.extend(std::iter::repeat_n(ColumnLineage::default(), sets));
    columns.extend(node.aggr_expr.iter().map(|expr| scope.lineage(expr)));
    Lineage { columns, rows, ..Lineage::default() }
}

fn join(node: &datafusion::logical_expr::Join, outer: Option<&Scope<'_>>) -> Lineage {
    let (left, right) = (trace(&node.left, outer), trace(&node.right, outer));
    let mut matched = Influences::new();
    for (of_left, of_right) in &node.on {
        matched.extend(scope(node.left.schema(), &left, outer).bearing(of_left, Influence::Join));
        matched.extend(scope(node.right.schema(), &right, outer).bearing(of_right, Influence::Join));
    }
    let both = Lineage {
        columns: left.columns.iter().chain(&right.columns).cloned().collect(),
        rows: left.rows.iter().chain(&right.rows).cloned().collect(),
        ..Lineage::default()
    };
    if let Some(filter) = &node.filter
        && let Ok(schema) = node.left.schema().join(node.right.schema())
    {
        let schema = DFSchemaRef::new(schema);
        matched.extend(scope(&schema, &both, outer).bearing(filter, Influence::Join));
    }
    let mark = ColumnLineage { indirect: matched.clone(), ..ColumnLineage::default() };
    let columns = match node.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => both.columns,
        JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
        JoinType::RightSemi | JoinType::RightAnti => right.columns,
        JoinType::LeftMark => left.columns.into_iter().chain([mark]).collect(),
        JoinType::RightMark => right.columns.into_iter().chain([mark]).collect(),
    };
    Lineage { columns, rows: both.rows.into_iter().chain(matched).collect(), ..Lineage::default() }
}

fn of_all_inputs(plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Lineage {
    let mut all = Lineage::default();
    for input in plan.inputs() {
        let input = trace(input, outer);
        all.columns.extend(input.columns);
        all.rows.extend(input.rows);
    }
    let rows = all.rows.clone();
    let computed = Flow { transformation: Transformation::Transformation, masked: false };
    let column = all.merged().then(computed);
    Lineage { columns: vec![column; plan.schema().fields().len()], rows, ..Lineage::default() }
}

#[cfg(test)]
pub(super) mod tests;
