//! Statements as PostgreSQL clients write them, in the words that DataFusion understands.
//!
//! Comes in: a parsed query. Goes out: a query of the same meaning. Every rule is about a construct of the
//! language (a cast to `regclass`, `ARRAY(SELECT ..)`, an unqualified name), never about a known statement of a known
//! client: those change with every release.
//!
//! Cannot fail: what no rule knows stays as it is, and DataFusion says what it does not like about it.

mod arrays;
mod literals;
mod names;
mod nested;
mod operators;
mod ordered;
mod records;
mod relations;
mod rows_compared;
mod selects;
mod tableoids;
mod times;
mod types;
mod whole_rows;

use super::model::Model;
use crate::serve::datetime::Order;
use crate::sql::forms::{fragments, grouping, json_rows, lateral, limits, membership, named_windows};
use datafusion::sql::sqlparser::ast::{Expr, Query, Select, TableFactor, VisitMut as _, VisitorMut};
pub use fragments::cast;
pub use names::in_catalog;
pub use operators::with_backslash;
pub use relations::fits_integer;
use std::collections::HashSet;
use std::ops::ControlFlow;
use tableoids::TableOids;

/// Rewrites a query whose rows go to the client. Unqualified names of relations are looked up on the search path, a
/// date's numbers stand in `order`.
pub fn rewrite_query(query: &mut Query, model: &Model, search_path: &[String], order: Order) {
    let mut common = CommonTables::default();
    let _ = query.visit(&mut common);
    let mut rewriter = Rewriter { model, search_path, order, common: common.names, oids: vec![] };
    let _ = query.visit(&mut rewriter);
    let _ = query.visit(&mut literals::Places);
}

/// Names of `WITH` tables: they hide relations of the same name.
#[derive(Default)]
struct CommonTables {
    names: HashSet<String>,
}

impl VisitorMut for CommonTables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.names.extend(tables.map(|table| names::normalized(&table.alias.name)));
        ControlFlow::Continue(())
    }
}

struct Rewriter<'a> {
    model: &'a Model,
    search_path: &'a [String],
    /// How a date's numbers are read.
    order: Order,
    common: HashSet<String>,
    /// Of the SELECTs around, the innermost last.
    oids: Vec<TableOids>,
}

/// Inner expressions come before outer ones, so that a rule sees its operands rewritten.
impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        tableoids::rewrite(expr, &self.oids);
        ordered::sorted(expr);
        names::rewrite_function(expr);
        times::rewrite(expr, self.order);
        rows_compared::rewrite(expr);
        operators::rewrite(expr);
        types::rewrite(expr);
        arrays::rewrite(expr);
        literals::rewrite(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        relations::rewrite(factor, self.model, self.search_path, &self.common);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        grouping::rewrite(select);
        membership::rewrite(select);
        whole_rows::rewrite(select, self);
        records::rewrite(select, self);
        json_rows::rewrite(select);
        lateral::rewrite(select);
        self.oids.push(tableoids::of_select(select, self.model, self.search_path));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.oids.pop();
        selects::rewrite(select);
        ordered::rewrite(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        named_windows::rewrite(query);
        membership::rewrite_order(query);
        selects::values_alike(&mut query.body);
        selects::values_to_selects(&mut query.body);
        limits::with_ties(query);
        limits::fetch_to_limit(query);
        ControlFlow::Continue(())
    }
}
