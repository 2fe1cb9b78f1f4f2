//! Calls and keys that DataFusion 55 calls by one name, told apart.
//!
//! It names an expression by its text without casts, and takes no two of one name in a GROUP BY, among aggregates or among
//! windows: `sum(x), sum(x::int)`, `GROUP BY day, day::text`, `count(*), count(1)`. One of such two gets its casts, or its
//! constants, through `coalesce`, which leaves a value as it is and shows in the name.

use crate::sql::{call, take};
use datafusion::common::SchemaError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, GroupByExpr, ObjectNamePart, Query, Select, SelectItem, VisitMut as _, VisitorMut,
    visit_expressions_mut,
};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// True if two expressions of a query had one name.
pub(super) fn is_about_names(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => {
            matches!(
                **error,
                SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. }
            )
        }
        DataFusionError::Plan(message) => message.contains("require unique expression names"),
        _ => false,
    }
}

/// True if a plan groups by a column and by something computed that is called like it: what the optimizer makes of that
/// fails.
pub(super) fn are_grouped_by(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            let mut names = HashSet::new();
            found |= !aggregate.group_expr.iter().all(|key| names.insert(key.schema_name().to_string()));
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Gives namesakes names of their own.
pub(super) fn tell_apart(query: &mut Query, is_aggregate: impl Fn(&str) -> bool) {
    let is_computed = |function: &Function| {
        function.over.is_some() || is_aggregate(&function.name.to_string().to_lowercase())
    };
    let mut named = Named { texts: HashMap::new(), is_computed: &is_computed };
    let _ = query.visit(&mut named);
    for (name, texts) in &mut named.texts {
        // What has nothing in it that could show keeps its name.
        texts.sort_by_key(|text| text != name);
    }
    let mut apart = Apart { texts: named.texts, places: Vec::new() };
    let _ = query.visit(&mut apart);
}

/// Texts by the names that the engine has for them.
type Texts = HashMap<String, Vec<String>>;

/// Finds aggregates, windows, and what is grouped by.
struct Named<'a> {
    texts: Texts,
    is_computed: &'a dyn Fn(&Function) -> bool,
}

impl Named<'_> {
    fn note(&mut self, expr: &Expr) {
        let texts = self.texts.entry(name_of(expr)).or_default();
        let text = text_of(expr);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
}

impl VisitorMut for Named<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Function(function) if (self.is_computed)(function)) {
            self.note(expr);
        }
        ControlFlow::Continue(())
    }

    /// A key may be told by its place in the list, too.
    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let GroupByExpr::Expressions(keys, _) = &select.group_by else { return ControlFlow::Continue(()) };
        if !keys.is_empty() {
            let items = select.projection.iter().filter_map(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
                _ => None,
            });
            items.chain(keys).for_each(|key| self.note(key));
        }
        ControlFlow::Continue(())
    }
}

/// An expression as it is written; functions are called by any case of letters.
fn text_of(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _ = visit_expressions_mut(&mut expr, |expr| {
        if let Expr::Function(function) = expr {
            for part in &mut function.name.0 {
                if let ObjectNamePart::Identifier(ident) = part
                    && ident.quote_style.is_none()
                {
                    ident.value.make_ascii_lowercase();
                }
            }
        }
        ControlFlow::<()>::Continue(())
    });
    expr.to_string()
}

/// What the engine calls an expression.
fn name_of(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _ = visit_expressions_mut(&mut expr, |expr| {
        while let Expr::Cast { expr: inner, .. } = expr {
            *expr = take(inner);
        }
        ControlFlow::<()>::Continue(())
    });
    text_of(&expr).replace("count(*)", "count(1)")
}

/// Renames all but the first of those that have one name: the second by one `coalesce`, the third by two.
struct Apart {
    texts: Texts,
    /// Of the expressions around, as they were written: which of its name it is.
    places: Vec<usize>,
}

impl VisitorMut for Apart {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let (name, text) = (name_of(expr), text_of(expr));
        let place = self.texts.get(&name).and_then(|texts| texts.iter().position(|other| *other == text));
        self.places.push(place.unwrap_or(0));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        for _ in 0..self.places.pop().unwrap_or(0) {
            let is_shown = |expr: &Expr| matches!(expr, Expr::Cast { .. });
            if !wrap(expr, is_shown) {
                wrap(expr, |expr| matches!(expr, Expr::Value(_)));
            }
        }
        ControlFlow::Continue(())
    }
}

/// Puts what is meant into `coalesce`, the outermost only; false if there is none.
fn wrap(expr: &mut Expr, is_meant: fn(&Expr) -> bool) -> bool {
    struct Wrap {
        is_meant: fn(&Expr) -> bool,
        around: usize,
        is_done: bool,
    }
    impl VisitorMut for Wrap {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            self.around += usize::from((self.is_meant)(expr));
            ControlFlow::Continue(())
        }

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if (self.is_meant)(expr) {
                self.around -= 1;
                if self.around == 0 {
                    *expr = call("coalesce", vec![take(expr)]);
                    self.is_done = true;
                }
            }
            ControlFlow::Continue(())
        }
    }
    let mut wrap = Wrap { is_meant, around: 0, is_done: false };
    let _ = expr.visit(&mut wrap);
    wrap.is_done
}
