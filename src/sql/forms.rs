//! Forms of queries that the engine lacks, in those that it has: `x IN (SELECT ...)` as a value, items of FROM that are computed
//! of the item before them, `FETCH FIRST ... WITH TIES`, windows with a base. Readers' statements and models may have them alike.

pub mod fragments;
pub mod grouping;
pub mod json_rows;
pub mod lateral;
pub mod limits;
pub mod membership;
pub mod named_windows;
pub mod names;

use datafusion::sql::sqlparser::ast::{Query, Select, VisitMut as _, VisitorMut};
use std::ops::ControlFlow;

/// Rewrites a query and those within it.
pub(super) fn rewrite(query: &mut Query) {
    let _ = query.visit(&mut Forms);
}

struct Forms;

impl VisitorMut for Forms {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        grouping::rewrite(select);
        membership::rewrite(select);
        lateral::rewrite(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        named_windows::rewrite(query);
        membership::rewrite_order(query);
        limits::with_ties(query);
        limits::fetch_to_limit(query);
        ControlFlow::Continue(())
    }
}
