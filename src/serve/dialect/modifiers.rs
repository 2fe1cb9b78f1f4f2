//! What PostgreSQL calls the modifiers of a query's columns: `numeric(18,2)` of a table's column and of a cast, none of
//! what is computed.
//!
//! Comes in: a plan as it was written. Goes out: a `typmod` for each column. What is computed does not depend on it.

use super::columns::{Knowledge, of_columns};
use super::precision;
use crate::serve::postgres::catalog::types::{NO_TYPMOD, PG_TYPMOD_KEY, column_type};
use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};

/// The modifier of each column of a plan; -1 is none.
pub(super) fn of_plan(plan: &LogicalPlan) -> Vec<i32> {
    of_columns(&Modifiers, plan)
}

struct Modifiers;

impl Knowledge for Modifiers {
    type Fact = i32;

    fn of_itself(&self, plan: &LogicalPlan) -> Option<Vec<i32>> {
        let fields = plan.schema().fields().iter();
        matches!(plan, LogicalPlan::TableScan(_))
            .then(|| fields.map(|field| column_type(field).typmod).collect())
    }

    fn of_expr(&self, expr: &Expr, schema: &DFSchema, known: &[i32]) -> i32 {
        let of = |expr: &Expr| self.of_expr(expr, schema, known);
        match expr {
            Expr::Alias(alias) => of(&alias.expr),
            Expr::Column(column) => {
                let index = schema.index_of_column(column).ok();
                index.and_then(|at| known.get(at).copied()).unwrap_or(NO_TYPMOD)
            }
            Expr::OuterReferenceColumn(field, _) => column_type(field).typmod,
            Expr::Cast(cast) => said(&cast.field),
            Expr::TryCast(cast) => said(&cast.field),
            Expr::Case(case) => {
                let then = case.when_then_expr.iter().map(|(_, then)| of(then));
                self.together(then.chain(case.else_expr.iter().map(|otherwise| of(otherwise))).collect())
            }
            Expr::ScalarSubquery(subquery) => {
                of_plan(&subquery.subquery).first().copied().unwrap_or(NO_TYPMOD)
            }
            Expr::ScalarFunction(function) if function.name() == precision::NAME => {
                expr.to_field(schema).map_or(NO_TYPMOD, |(_, field)| said(&field))
            }
            Expr::ScalarFunction(function) if function.name() == "coalesce" => {
                self.together(function.args.iter().map(of).collect())
            }
            _ => NO_TYPMOD,
        }
    }

    /// What all have; none if they differ.
    fn together(&self, modifiers: Vec<i32>) -> i32 {
        let first = modifiers.first().copied().unwrap_or(NO_TYPMOD);
        if modifiers.iter().all(|other| *other == first) { first } else { NO_TYPMOD }
    }

    fn otherwise(&self, _: &Field) -> i32 {
        NO_TYPMOD
    }
}

/// The modifier that a cast names.
pub(super) fn said(field: &Field) -> i32 {
    // A parameter of any precision has these: nobody said them.
    if field.data_type() == &DataType::Decimal128(38, 10) {
        return NO_TYPMOD;
    }
    let said = field.metadata().get(PG_TYPMOD_KEY).and_then(|typmod| typmod.parse().ok());
    said.unwrap_or(NO_TYPMOD)
}
