//! A prepared query's plan, kept from one execution to the next; and simple queries, prepared without the constants in them.
//!
//! What a statement means does not change while definitions and the session's settings stay: only the rows of its tables
//! do, and the values of its parameters. The optimized plan is kept with parameters in it; an execution puts in the
//! values and the tables of its cut, and has it laid out for them. What roles and rights make of a query is part of what it
//! means: a change of them has plans made anew, and one over a table with policies or masks is never kept. Plans with functions whose result changes (`now()`, a
//! setting) are made anew each time: the optimizer puts results in their place.

use super::shared::Whose;
use super::{Prepared, Scope, Session};
use crate::catalog::access::Access;
use crate::catalog::cut::Cut;
use crate::engine;
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use crate::serve::lift::{self, Constant};
use crate::serve::postgres::catalog::Catalog;
use crate::serve::query::Planned;
use crate::serve::statement::Statement;
use crate::serve::{Error, ParameterType};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::sql::sqlparser::ast::Query;
use quick_cache::unsync::Cache;
use std::sync::{Arc, Weak};

/// Queries of the simple protocol that a session keeps.
const SIMPLE_MAX: usize = 64;

/// The last queries of the simple protocol, by their text without constants.
pub(super) struct SimpleQueries(Cache<String, Arc<Prepared>>);

impl Default for SimpleQueries {
    fn default() -> Self {
        Self(Cache::new(SIMPLE_MAX))
    }
}

impl Session {
    /// A statement that is to be executed once, and the values to do it with. Another one that differs in constants
    /// alone finds it prepared.
    pub async fn prepare_simple(
        &self,
        statement: Statement,
    ) -> Result<(Arc<Prepared>, Vec<ScalarValue>), Error> {
        let Statement::Query(query) = &statement else {
            return Ok((self.prepare_once(statement).await?, vec![]));
        };
        let (lifted, constants) = match lift::lifted(query) {
            Some((lifted, constants)) => (Opaque::new(lifted), constants),
            None => (query.clone(), vec![]),
        };
        let declared: Vec<_> = constants.iter().map(Constant::declared).collect();
        let text = format!("{} {declared:?}", *lifted);
        let known = self.state.lock().simple.0.get(&text).cloned();
        let prepared = match known {
            Some(known) => Some(known),
            None => self.prepare_lifted(text, lifted, &declared).await,
        };
        let values = |prepared: &Prepared| {
            let constants = constants.into_iter().zip(&prepared.parameters);
            constants.map(|(constant, data_type)| constant.value(data_type)).collect::<Option<_>>()
        };
        match prepared.and_then(|prepared| values(&prepared).map(|values| (prepared, values))) {
            Some(ready) => Ok(ready),
            // The error has to be about the text as it was written.
            None => Ok((self.prepare_once(statement).await?, vec![])),
        }
    }

    /// Keeps a query that constants were taken from; `None` if it cannot be planned without them.
    async fn prepare_lifted(
        &self,
        text: String,
        lifted: Opaque<Query>,
        declared: &[Option<ParameterType>],
    ) -> Option<Arc<Prepared>> {
        let prepared = self.prepare(Statement::Query(lifted), declared).await;
        let mut prepared = prepared.ok().filter(|prepared| prepared.parameters.len() == declared.len())?;
        prepared.columns = None;
        let prepared = Arc::new(prepared);
        self.state.lock().simple.0.insert(text, Arc::clone(&prepared));
        Some(prepared)
    }

    /// The client is not told of columns: it gets those of the cut that the rows are of.
    async fn prepare_once(&self, statement: Statement) -> Result<Arc<Prepared>, Error> {
        let mut prepared = self.prepare(statement, &[]).await?;
        prepared.columns = None;
        Ok(Arc::new(prepared))
    }
}

/// What a plan goes by beside the query's text.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    /// The definitions of the warehouse, which a kept plan must not hold on to.
    pub(super) catalog: Weak<Catalog>,
    /// By whose rights, and which these are.
    pub(super) role: String,
    pub(super) access: Weak<Access>,
    /// The session's `search_path`, time zone, and forms of values.
    pub(super) settings: [String; 3],
}

impl Meaning {
    /// What of it has a name.
    pub(super) fn whose(&self) -> Whose {
        (self.role.clone(), self.settings.clone())
    }
}

impl PartialEq for Meaning {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.catalog, &other.catalog)
            && Weak::ptr_eq(&self.access, &other.access)
            && self.role == other.role
            && self.settings == other.settings
    }
}

/// An optimized plan with parameters in it, over no tables: those of a cut that is gone would stay in memory.
#[derive(Debug)]
pub(super) struct KeptPlan {
    meaning: Meaning,
    planned: Planned,
    /// Where the rows of its scans come from, in the order of the scans.
    tables: Vec<TableName>,
    scope: Scope,
}

impl KeptPlan {
    /// Keeps a plan that was just made over a cut; `None` if its meaning may change from one execution to the next.
    pub(super) fn of(meaning: Meaning, planned: &Planned, scope: Scope, cut: &Cut) -> Option<Self> {
        if planned.has_many_parts || !engine::is_lasting(&planned.plan).unwrap_or(false) {
            return None;
        }
        let typed = with_types(&planned.plan, &planned.parameters).ok()?;
        let optimized = scope.state.optimize(&typed).ok()?;
        let (plan, tables) = without_tables(optimized, cut).ok()?;
        let tables = tables.into_iter().collect::<Option<_>>()?;
        let planned = Planned { plan: Opaque::new(plan), is_optimized: true, ..planned.clone() };
        Some(Self { meaning, planned, tables, scope })
    }

    /// The plan for these values over a cut, and what to run it in; `None` if it does not fit them.
    pub(super) fn over(
        &self,
        meaning: &Meaning,
        cut: &Cut,
        types: &[DataType],
        values: &[ScalarValue],
    ) -> Result<Option<(Planned, Scope)>, Error> {
        if self.meaning != *meaning || self.planned.parameters != types {
            return Ok(None);
        }
        let Some(plan) = over_cut(&self.planned.plan, &self.tables, cut)? else { return Ok(None) };
        let plan = match values {
            [] => plan,
            values => engine::with_constants(&self.scope.state, &plan, values)?,
        };
        let planned = Planned { plan: Opaque::new(plan), ..self.planned.clone() };
        Ok(Some((planned, self.scope.clone())))
    }
}

/// The plan with the type of each parameter wherever it stands.
fn with_types(plan: &LogicalPlan, types: &[DataType]) -> Result<LogicalPlan, Error> {
    let typed = plan.clone().transform_down_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform(|expr| match expr {
                Expr::Placeholder(mut placeholder) if placeholder.field.is_none() => {
                    let place = placeholder.id.trim_start_matches('$').parse::<usize>().ok();
                    let found = place.and_then(|place| types.get(place.checked_sub(1)?));
                    let field = |found: &DataType| Arc::new(Field::new("", found.clone(), true));
                    placeholder.field = found.map(field);
                    Ok(Transformed::yes(Expr::Placeholder(placeholder)))
                }
                expr => Ok(Transformed::no(expr)),
            })
        })
    })?;
    Ok(typed.data)
}

/// The table of a cut that a scan reads; `None` if it is none.
fn table_of(scan: &TableScan, cut: &Cut) -> Option<TableName> {
    let read = source_as_provider(&scan.source).ok()?;
    let found = cut
        .tables
        .iter()
        .find(|(_, table)| table.provider.as_ref().is_some_and(|provider| Arc::ptr_eq(provider, &read)));
    found.map(|(name, _)| name.clone())
}

/// The same plan over tables that have their columns and nothing else, and which tables of the cut these stand for, in the
/// order in which [`over_cut`] comes by them; `None` for one that is not of the cut.
fn without_tables(plan: LogicalPlan, cut: &Cut) -> Result<(LogicalPlan, Vec<Option<TableName>>), Error> {
    let mut tables = Vec::new();
    let emptied = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            tables.push(table_of(&scan, cut));
            scan.source = provider_as_source(Arc::new(EmptyTable::new(scan.source.schema())));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok((emptied.data, tables))
}

/// The same plan over a cut; `None` if a table has other columns there, or is gone.
fn over_cut(plan: &LogicalPlan, tables: &[TableName], cut: &Cut) -> Result<Option<LogicalPlan>, Error> {
    let mut tables = tables.iter();
    let mut fits = true;
    let moved = plan.clone().transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            let table = tables.next().and_then(|name| cut.tables.get(name)?.provider.as_ref());
            match table {
                Some(table) if table.schema() == scan.source.schema() => {
                    scan.source = provider_as_source(Arc::clone(table));
                }
                _ => fits = false,
            }
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(fits.then_some(moved.data))
}
