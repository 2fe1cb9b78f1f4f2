//! Whether a column is still computed as it was: numbers that stay the same while a query's text is only written
//! otherwise, with other names for tables and common tables, columns that nobody takes, other spaces.
//!
//! Comes in: a logical plan before it is optimized. Goes out: a number for each output column and one for which rows
//! there are. Equal numbers: computed alike. Different ones: perhaps not (`a + b` and `b + a` differ).

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// How a query's columns and rows are computed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derivation {
    /// A number for each output column, in their order.
    pub columns: Vec<u64>,
    /// The number of its rows: which there are, and how often.
    pub rows: u64,
}

impl Derivation {
    /// Reads a plan.
    pub fn of(plan: &LogicalPlan) -> Self {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let name = scan.table_name.to_string();
                let fields = scan.projected_schema.fields().iter();
                let columns = fields.map(|field| number(&("column", &name, field.name()))).collect();
                Self { columns, rows: number(&("rows", &name)) }
            }
            LogicalPlan::SubqueryAlias(node) => Self::of(&node.input),
            LogicalPlan::Subquery(node) => Self::of(&node.subquery),
            // Order alone changes no row.
            LogicalPlan::Sort(node) if node.fetch.is_none() => Self::of(&node.input),
            LogicalPlan::Projection(node) => {
                let input = Self::of(&node.input);
                let columns = input.values(node.input.schema(), &node.expr);
                Self { columns, ..input }
            }
            LogicalPlan::Filter(node) => {
                let input = Self::of(&node.input);
                let kept = input.value(node.input.schema(), &node.predicate);
                Self { rows: number(&("filter", input.rows, kept)), ..input }
            }
            LogicalPlan::Window(node) => {
                let mut input = Self::of(&node.input);
                let over = input.values(node.input.schema(), &node.window_expr);
                // A window's value comes of the rows around it.
                input.columns.extend(over.iter().map(|over| number(&("window", input.rows, over))));
                input
            }
            LogicalPlan::Aggregate(node) => {
                let input = Self::of(&node.input);
                let keys = input.values(node.input.schema(), &node.group_expr);
                let rows = number(&("groups", input.rows, &keys));
                let of_group = input.values(node.input.schema(), &node.aggr_expr);
                let of_group: Vec<u64> =
                    of_group.iter().map(|value| number(&("aggregate", rows, value))).collect();
                // Grouping sets have more columns than expressions: the number of all of them stands for each.
                let first = node.schema.fields().len() - of_group.len();
                let is_plain = first == keys.len();
                let key = |at: usize| if is_plain { keys[at] } else { number(&("set", at, &keys)) };
                Self { columns: (0..first).map(key).chain(of_group).collect(), rows }
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = Self::of(input);
                Self { rows: number(&("distinct", input.rows, &input.columns)), ..input }
            }
            LogicalPlan::Join(node) => {
                let (left, right) = (Self::of(&node.left), Self::of(&node.right));
                let on: Vec<(u64, u64)> = node
                    .on
                    .iter()
                    .map(|(of_left, of_right)| {
                        (left.value(node.left.schema(), of_left), right.value(node.right.schema(), of_right))
                    })
                    .collect();
                let both = Self { columns: [left.columns, right.columns].concat(), rows: 0 };
                let joined = node.left.schema().join(node.right.schema()).map(DFSchemaRef::new);
                let filter = node.filter.as_ref().map(|filter| match &joined {
                    Ok(schema) => both.value(schema, filter),
                    Err(_) => number(&filter.to_string()),
                });
                let kind = (node.join_type.to_string(), format!("{:?}", node.null_equality), node.null_aware);
                let rows = number(&("join", left.rows, right.rows, &on, filter, kind));
                let columns = both.columns.iter().map(|column| number(&("joined", column, rows)));
                let mut columns: Vec<u64> = columns.collect();
                columns.resize(node.schema.fields().len(), rows);
                Self { columns, rows }
            }
            LogicalPlan::Union(node) => {
                let inputs: Vec<Self> = node.inputs.iter().map(|input| Self::of(input)).collect();
                let column = |at: usize| {
                    let each = inputs.iter().map(|input| input.columns.get(at));
                    number(&("union", each.collect::<Vec<_>>()))
                };
                let rows = number(&("union", inputs.iter().map(|input| input.rows).collect::<Vec<_>>()));
                Self { columns: (0..node.schema.fields().len()).map(column).collect(), rows }
            }
            other => Self::of_any(other),
        }
    }

    /// Of an operator without a rule: its own line and all that goes in stand for everything that comes out.
    fn of_any(plan: &LogicalPlan) -> Self {
        let inputs = plan.inputs().into_iter().map(Self::of);
        let inputs: Vec<_> = inputs.map(|input| (input.rows, input.columns)).collect();
        let rows = number(&(plan.display().to_string(), inputs));
        let columns = 0..plan.schema().fields().len();
        Self { columns: columns.map(|at| number(&(rows, at))).collect(), rows }
    }

    fn values(&self, schema: &DFSchemaRef, exprs: &[Expr]) -> Vec<u64> {
        exprs.iter().map(|expr| self.value(schema, expr)).collect()
    }

    /// An expression's number: its form, and the numbers of the columns in it.
    fn value(&self, schema: &DFSchemaRef, expr: &Expr) -> u64 {
        let expr = expr.clone().unalias();
        if let Expr::Column(column) = &expr {
            return self.column(schema, column);
        }
        let mut parts: Vec<u64> = vec![];
        let nameless = expr.transform_down(|expr| {
            match &expr {
                Expr::Column(column) => {
                    parts.push(self.column(schema, column));
                    return Ok(Transformed::yes(Expr::Column(Column::new_unqualified("_"))));
                }
                Expr::Exists(exists) => parts.push(subquery(&exists.subquery.subquery)),
                Expr::InSubquery(membership) => parts.push(subquery(&membership.subquery.subquery)),
                Expr::ScalarSubquery(scalar) => parts.push(subquery(&scalar.subquery)),
                _ => {}
            }
            Ok(Transformed::no(expr))
        });
        let form = nameless.map(|expr| expr.data.to_string()).unwrap_or_default();
        number(&(form, parts))
    }

    fn column(&self, schema: &DFSchemaRef, column: &Column) -> u64 {
        let index = schema.maybe_index_of_column(column);
        let known = index.and_then(|index| self.columns.get(index));
        known.copied().unwrap_or_else(|| number(&column.to_string()))
    }
}

/// A subquery's number. Columns of the query around it go by their names.
fn subquery(plan: &LogicalPlan) -> u64 {
    let Derivation { columns, rows } = Derivation::of(plan);
    let mut outer = vec![];
    // The closures never fail.
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    outer.push(column.to_string());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    number(&(columns, rows, outer))
}

fn number(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
