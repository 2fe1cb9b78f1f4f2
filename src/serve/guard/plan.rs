//! From a restriction to the rows that a role sees: policies and masks as a query over the relation, by the owner's rights.

use super::barrier::Barrier;
use super::{Guard, denied};
use crate::catalog::access::{Action, Restriction, Rule, mask_fits};
use crate::catalog::cut::{Relation, RelationKind};
use crate::engine::{self, CutCatalog, DATABASE};
use crate::ops::opaque::Opaque;
use crate::serve::Error;
use crate::sql::{quoted, quoted_table, spell_for_engine};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::{CatalogProviderList as _, MemoryCatalogProviderList};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::Arc;

/// The bytes of a source's record, in which a masked column can still be read.
const RAW: &str = "_raw";

/// Functions that say who asks.
const WHO: [&str; 3] = ["current_user", "current_role", "user"];

/// The part of a relation that a restriction leaves.
pub(super) async fn restricted(
    guard: &Guard,
    relation: &Relation,
    restriction: Restriction,
) -> Result<Barrier> {
    let plan = planned(guard, relation, &restriction).await?;
    let fields = relation.schema.fields().iter();
    let fields: Vec<Field> = fields.map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Ok(Barrier {
        plan,
        schema: Arc::new(Schema::new(fields)),
        columns: restriction.columns,
        denied: denied(&guard.role, Action::Select(&relation.name), relation),
    })
}

/// Whether a policy or a mask can be: what it is made of is there, and is of the right type.
pub(in crate::serve) async fn check_rule(
    guard: &Guard,
    relation: &Relation,
    rule: &Rule,
) -> std::result::Result<(), Error> {
    let restriction = match rule {
        Rule::Policy(policy) => {
            Restriction { filter: Some(format!("({})", policy.using)), ..Restriction::default() }
        }
        Rule::Mask(mask) => {
            let masks = [(mask.column.clone(), mask.mask.clone())].into();
            Restriction { masks, ..Restriction::default() }
        }
        Rule::Role(_) | Rule::Given(_) => return Ok(()),
    };
    planned(guard, relation, &restriction).await?;
    Ok(())
}

/// Boxed, because the engine's planning futures are large.
fn planned<'a>(
    guard: &'a Guard,
    relation: &'a Relation,
    restriction: &'a Restriction,
) -> BoxFuture<'a, Result<Opaque<LogicalPlan>>> {
    async move {
        let mut state = SessionState::clone(&guard.state);
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        let tables = CutCatalog::new(Arc::clone(&guard.cut), guard.engine.clone());
        catalogs.register_catalog(DATABASE.to_string(), Arc::new(tables));
        state.register_catalog_list(catalogs);
        let statement = EngineStatement::Statement(Box::new(query(relation, restriction)?));
        let plan = engine::plan(&state, statement).await?;
        let plan = as_stored(who_is(plan, &guard.role)?, relation, restriction)?;
        Ok(Opaque::new(plan))
    }
    .boxed()
}

/// `SELECT a, mask AS b FROM relation WHERE policies`
fn query(relation: &Relation, restriction: &Restriction) -> Result<ast::Statement> {
    let is_masked_source = relation.kind == RelationKind::Source && !restriction.masks.is_empty();
    let columns = relation.schema.fields().iter().map(|field| {
        let name = quoted(field.name());
        match restriction.masks.get(field.name()) {
            Some(mask) => format!("({mask}) AS {name}"),
            None if is_masked_source && field.name() == RAW => format!("NULL AS {name}"),
            None => name,
        }
    });
    let columns: Vec<String> = columns.collect();
    let mut text = format!("SELECT {} FROM {}", columns.join(", "), quoted_table(&relation.name));
    if let Some(filter) = &restriction.filter {
        text = format!("{text} WHERE {filter}");
    }
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).map_err(not_sql)?;
    let mut query = parser.parse_query().map_err(not_sql)?;
    spell_for_engine(&mut query);
    Ok(ast::Statement::Query(query))
}

fn not_sql(error: ParserError) -> DataFusionError {
    DataFusionError::SQL(Box::new(error), None)
}

/// Who asks stands in the plan: a cursor is read by whoever declared it.
fn who_is(plan: LogicalPlan, role: &str) -> Result<LogicalPlan> {
    let named = plan.transform_down_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform(|expr| match &expr {
                Expr::ScalarFunction(call) if WHO.contains(&call.name()) => Ok(Transformed::yes(lit(role))),
                _ => Ok(Transformed::no(expr)),
            })
        })
    })?;
    Ok(named.data)
}

/// The same columns in the types that the relation has. The engine may read a column in another form than it is stored in;
/// a mask has to be of its column's type.
fn as_stored(plan: LogicalPlan, relation: &Relation, restriction: &Restriction) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let columns = schema.columns().into_iter().zip(relation.schema.fields()).map(|(column, field)| {
        let column = Expr::Column(column);
        let (is, wanted) = (column.get_type(&schema)?, field.data_type());
        if restriction.masks.contains_key(field.name()) && !mask_fits(&is, wanted) {
            let message = format!("the mask of column \"{}\" is not of the column's type", field.name());
            return Err(DataFusionError::External(Box::new(Error::new("42804", message))));
        }
        let column = if is == *wanted { column } else { cast(column, wanted.clone()) };
        Ok(column.alias(field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
