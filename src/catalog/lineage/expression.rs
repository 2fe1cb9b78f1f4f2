//! What an expression's value comes of.

use super::{ColumnLineage, Flow, Influence, Influences, Lineage, Transformation, trace};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::{Case, Expr, LogicalPlan, Subquery, expr::Sort};

/// Functions whose value tells nothing of their argument that could be read back.
const MASKS: &[&str] = &[
    "sha256",
    "sha224",
    "sha384",
    "sha512",
    "md5",
    "digest",
    "mask_phone",
    "mask_email",
    "mask_name",
    "surrogate_key",
    "count",
    "approx_distinct",
];

/// Columns that an expression may name, and what they come of.
pub(super) struct Scope<'a> {
    pub(super) schema: &'a DFSchemaRef,
    pub(super) columns: &'a [ColumnLineage],
    /// The query around this one.
    pub(super) outer: Option<&'a Scope<'a>>,
}

const COMPUTED: Flow = Flow { transformation: Transformation::Transformation, masked: false };
const AGGREGATED: Flow = Flow { transformation: Transformation::Aggregation, masked: false };

impl Scope<'_> {
    /// All that an expression's value comes of, as what bears on something else.
    pub(super) fn bearing(&self, expr: &Expr, influence: Influence) -> Influences {
        self.lineage(expr).bearing(influence)
    }

    /// What an expression's value comes of.
    pub(super) fn lineage(&self, expr: &Expr) -> ColumnLineage {
        match expr {
            Expr::Alias(alias) => self.lineage(&alias.expr),
            Expr::Column(column) => self.column(column),
            Expr::OuterReferenceColumn(_, column) => {
                self.outer.map(|outer| outer.enclosing(column)).unwrap_or_default()
            }
            Expr::IsNull(of) | Expr::IsNotNull(of) => {
                self.lineage(of).then(Flow { masked: true, ..COMPUTED })
            }
            Expr::Case(case) => self.case(case),
            Expr::ScalarFunction(call) => self.call(call.name(), &call.args, COMPUTED),
            Expr::AggregateFunction(call) => {
                let AggregateFunctionParams { args, filter, order_by, .. } = &call.params;
                let mut value = self.call(call.func.name(), args, AGGREGATED);
                self.bears(&mut value, filter.as_deref(), Influence::Conditional);
                self.bears(&mut value, sorted(order_by), Influence::Sort);
                value
            }
            Expr::WindowFunction(call) => {
                let WindowFunctionParams { args, partition_by, order_by, filter, .. } = &call.params;
                let mut value = self.call(call.fun.name(), args, COMPUTED);
                self.bears(&mut value, filter.as_deref(), Influence::Conditional);
                self.bears(&mut value, partition_by.iter().chain(sorted(order_by)), Influence::Window);
                value
            }
            Expr::ScalarSubquery(subquery) => {
                let (lineage, mut value) = self.subquery(subquery);
                value.add(lineage.merged().then(COMPUTED));
                value
            }
            Expr::Exists(exists) => self.subquery(&exists.subquery).1,
            Expr::InSubquery(membership) => self.compared(&membership.expr, &membership.subquery),
            Expr::SetComparison(comparison) => self.compared(&comparison.expr, &comparison.subquery),
            _ => {
                let mut value = ColumnLineage::default();
                // The closure never fails.
                let _ = expr.apply_children(|child| {
                    value.add(self.lineage(child).then(COMPUTED));
                    Ok(TreeNodeRecursion::Continue)
                });
                value
            }
        }
    }

    fn column(&self, column: &Column) -> ColumnLineage {
        let index = self.schema.maybe_index_of_column(column);
        index.and_then(|index| self.columns.get(index)).cloned().unwrap_or_default()
    }

    /// A column of this query, or else of the one around it.
    fn enclosing(&self, column: &Column) -> ColumnLineage {
        match self.outer {
            Some(outer) if self.schema.maybe_index_of_column(column).is_none() => outer.enclosing(column),
            _ => self.column(column),
        }
    }

    fn call(&self, name: &str, arguments: &[Expr], flow: Flow) -> ColumnLineage {
        let flow = Flow { masked: MASKS.contains(&name), ..flow };
        let mut value = ColumnLineage::default();
        for argument in arguments {
            value.add(self.lineage(argument).then(flow));
        }
        value
    }

    fn case(&self, case: &Case) -> ColumnLineage {
        let mut value = ColumnLineage::default();
        self.bears(&mut value, case.expr.as_deref(), Influence::Conditional);
        self.bears(
            &mut value,
            case.when_then_expr.iter().map(|(when, _)| when.as_ref()),
            Influence::Conditional,
        );
        let chosen = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
        for expr in chosen {
            value.add(self.lineage(expr).then(COMPUTED));
        }
        value
    }

    fn bears<'e>(
        &self,
        value: &mut ColumnLineage,
        exprs: impl IntoIterator<Item = &'e Expr>,
        influence: Influence,
    ) {
        value.indirect.extend(exprs.into_iter().flat_map(|expr| self.bearing(expr, influence)));
    }

    /// A subquery's lineage, and how it bears on a value by the rows it has.
    fn subquery(&self, subquery: &Subquery) -> (Lineage, ColumnLineage) {
        let plan: &LogicalPlan = &subquery.subquery;
        let lineage = trace(plan, Some(self));
        let rows = lineage.rows.iter().map(|(column, _)| (column.clone(), Influence::Conditional));
        let value = ColumnLineage { indirect: rows.collect(), ..ColumnLineage::default() };
        (lineage, value)
    }

    fn compared(&self, expr: &Expr, subquery: &Subquery) -> ColumnLineage {
        let (lineage, mut value) = self.subquery(subquery);
        value.add(self.lineage(expr).then(COMPUTED));
        value.indirect.extend(lineage.merged().bearing(Influence::Conditional));
        value
    }
}

fn sorted(order: &[Sort]) -> impl Iterator<Item = &Expr> {
    order.iter().map(|sort| &sort.expr)
}
