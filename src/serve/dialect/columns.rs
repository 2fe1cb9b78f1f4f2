//! What is known of a plan's columns: of those of its tables, and of what stands above them, up to the top.
//!
//! Comes in: a plan as it was written, and a kind of [`Knowledge`]. Goes out: a fact for each column.

use arrow::datatypes::Field;
use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// A kind of thing that can be known of columns.
pub(super) trait Knowledge {
    type Fact: Clone;

    /// Of the columns of what is known by itself, as tables are; `None` of what is known by its inputs.
    fn of_itself(&self, plan: &LogicalPlan) -> Option<Vec<Self::Fact>>;

    /// Of an expression over columns of which so much is known.
    fn of_expr(&self, expr: &Expr, schema: &DFSchema, known: &[Self::Fact]) -> Self::Fact;

    /// Of a column that several queries give together.
    fn together(&self, facts: Vec<Self::Fact>) -> Self::Fact;

    /// Of a column of which nothing else says more.
    fn otherwise(&self, field: &Field) -> Self::Fact;
}

/// What is known of each column of a plan.
pub(super) fn of_columns<K: Knowledge>(knowledge: &K, plan: &LogicalPlan) -> Vec<K::Fact> {
    let known = knowledge.of_itself(plan).unwrap_or_else(|| by_inputs(knowledge, plan));
    if known.len() == plan.schema().fields().len() {
        return known;
    }
    plan.schema().fields().iter().map(|field| knowledge.otherwise(field)).collect()
}

fn by_inputs<K: Knowledge>(knowledge: &K, plan: &LogicalPlan) -> Vec<K::Fact> {
    let of = |plan: &LogicalPlan| of_columns(knowledge, plan);
    let of_exprs = |exprs: &[Expr], input: &LogicalPlan| -> Vec<K::Fact> {
        let known = of(input);
        exprs.iter().map(|expr| knowledge.of_expr(expr, input.schema(), &known)).collect()
    };
    match plan {
        LogicalPlan::Projection(p) => of_exprs(&p.expr, &p.input),
        LogicalPlan::Aggregate(a) => {
            let (keys, sets) = match a.group_expr.as_slice() {
                // Each key once, and then which set a row is of.
                [Expr::GroupingSet(sets)] => (sets.distinct_expr().into_iter().cloned().collect(), true),
                keys => (keys.to_vec(), false),
            };
            let keys = of_exprs(&keys, &a.input);
            let set = sets.then(|| plan.schema().fields().get(keys.len())).flatten();
            let set = set.map(|field| knowledge.otherwise(field)).into_iter().collect();
            [keys, set, of_exprs(&a.aggr_expr, &a.input)].concat()
        }
        LogicalPlan::Window(w) => [of(&w.input), of_exprs(&w.window_expr, &w.input)].concat(),
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => {
            plan.inputs().first().map(|input| of(input)).unwrap_or_default()
        }
        LogicalPlan::Distinct(Distinct::On(on)) => of_exprs(&on.select_expr, &on.input),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => of(&join.left),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => of(&join.right),
            _ => [of(&join.left), of(&join.right)].concat(),
        },
        LogicalPlan::Union(union) => {
            together(knowledge, union.inputs.iter().map(|input| of(input)).collect(), plan)
        }
        LogicalPlan::Values(values) => {
            let of_row = |row: &Vec<Expr>| {
                row.iter().map(|expr| knowledge.of_expr(expr, &DFSchema::empty(), &[])).collect()
            };
            together(knowledge, values.values.iter().map(of_row).collect(), plan)
        }
        LogicalPlan::RecursiveQuery(query) => of(&query.static_term),
        _ => Vec::new(),
    }
}

/// Of each column of rows that come from several places.
fn together<K: Knowledge>(knowledge: &K, rows: Vec<Vec<K::Fact>>, plan: &LogicalPlan) -> Vec<K::Fact> {
    let of_column = |at: usize| rows.iter().filter_map(|row| row.get(at).cloned()).collect();
    (0..plan.schema().fields().len()).map(|at| knowledge.together(of_column(at))).collect()
}
