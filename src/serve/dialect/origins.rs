//! Which column of which relation a query's column is, as `RowDescription` tells it: PostgreSQL's table OID and number of
//! the column, from which drivers find out what may be NULL and what a table is called.
//!
//! Comes in: a plan as it was written. Goes out: a relation and a place in it for each column that is one, through
//! whatever stands between; none for what is computed and for what several queries give together.

use super::columns::{Knowledge, of_columns};
use super::modifiers;
use crate::serve::postgres::catalog::types::column_type;
use arrow::datatypes::Field;
use datafusion::common::{DFSchema, JoinType, TableReference};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};

/// A relation, and the place of one of its columns, from 1.
pub(in crate::serve) type Origin = Option<(TableReference, i16)>;

/// Where each column of a plan comes from.
pub(in crate::serve) fn origins(plan: &LogicalPlan) -> Vec<Origin> {
    of_columns(&Origins, plan)
}

struct Origins;

impl Knowledge for Origins {
    type Fact = Origin;

    fn of_itself(&self, plan: &LogicalPlan) -> Option<Vec<Origin>> {
        let columns = 0..plan.schema().fields().len();
        match plan {
            // A view stands under its name; an alias has no schema.
            LogicalPlan::SubqueryAlias(alias) if alias.alias.schema().is_some() => {
                Some(columns.map(|at| of(&alias.alias, at)).collect())
            }
            LogicalPlan::TableScan(scan) => {
                let places = scan.projection.clone().unwrap_or_else(|| columns.collect());
                Some(places.into_iter().map(|at| of(&scan.table_name, at)).collect())
            }
            // INTERSECT and EXCEPT: before anything is optimized, nothing else is such a join.
            LogicalPlan::Join(join) if matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti) => {
                Some(columns.map(|_| None).collect())
            }
            // Of the query's first rows and of those that follow from them.
            LogicalPlan::RecursiveQuery(_) => Some(columns.map(|_| None).collect()),
            _ => None,
        }
    }

    fn of_expr(&self, expr: &Expr, schema: &DFSchema, known: &[Origin]) -> Origin {
        match expr {
            Expr::Alias(alias) => self.of_expr(&alias.expr, schema, known),
            Expr::Column(column) => {
                schema.index_of_column(column).ok().and_then(|at| known.get(at).cloned().flatten())
            }
            // PostgreSQL has no cast where there is nothing to do.
            Expr::Cast(cast) if is_as_it_was(cast, schema) => self.of_expr(&cast.expr, schema, known),
            _ => None,
        }
    }

    fn together(&self, _: Vec<Origin>) -> Origin {
        None
    }

    fn otherwise(&self, _: &Field) -> Origin {
        None
    }
}

fn is_as_it_was(cast: &Cast, schema: &DFSchema) -> bool {
    let Ok((_, was)) = cast.expr.to_field(schema) else { return false };
    let was = column_type(&was);
    column_type(&cast.field).oid == was.oid && modifiers::said(&cast.field) == was.typmod
}

fn of(table: &TableReference, at: usize) -> Origin {
    Some((table.clone(), i16::try_from(at + 1).ok()?))
}
