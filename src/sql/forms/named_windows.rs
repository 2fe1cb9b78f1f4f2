//! `WINDOW w AS (...)`: each call that names a window is given all of it. The engine does not look at a window's base
//! (`OVER (w ORDER BY x)`), nor for windows in the ORDER BY of a query.

use super::fragments::outside_subqueries;
use super::names::normalized;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, VisitMut, WindowSpec,
    WindowType,
};
use std::collections::HashMap;

/// The windows of a SELECT by name.
type Windows = HashMap<String, WindowSpec>;

/// Gives windows to the calls of a query's SELECTs and of its ORDER BY; those inside have their own turn.
pub fn rewrite(query: &mut Query) {
    let windows = of_body(&mut query.body);
    spell_out(&mut query.order_by, &windows);
}

/// The windows that an ORDER BY may name: those of the only SELECT.
fn of_body(body: &mut SetExpr) -> Windows {
    match body {
        SetExpr::Select(select) => of_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left);
            of_body(right);
            Windows::new()
        }
        _ => Windows::new(),
    }
}

/// Gives windows to the calls of a SELECT, which has no named ones then.
fn of_select(select: &mut Select) -> Windows {
    let mut windows = Windows::new();
    for NamedWindowDefinition(name, window) in std::mem::take(&mut select.named_window) {
        let window = match window {
            NamedWindowExpr::NamedWindow(of) => windows.get(&normalized(&of)).cloned(),
            NamedWindowExpr::WindowSpec(spec) => whole(spec, &windows).ok(),
        };
        windows.extend(window.map(|window| (normalized(&name), window)));
    }
    spell_out(&mut select.projection, &windows);
    spell_out(&mut select.qualify, &windows);
    spell_out(&mut select.distinct, &windows);
    windows
}

fn spell_out(syntax: &mut impl VisitMut, windows: &Windows) {
    outside_subqueries(syntax, |expr| {
        let Expr::Function(call) = expr else { return };
        let window = match call.over.take() {
            Some(WindowType::NamedWindow(name)) => match windows.get(&normalized(&name)) {
                Some(window) => Some(WindowType::WindowSpec(window.clone())),
                None => Some(WindowType::NamedWindow(name)),
            },
            // The engine says of one that there is not that it does not exist.
            Some(WindowType::WindowSpec(spec)) => {
                Some(whole(spec, windows).map_or_else(WindowType::NamedWindow, WindowType::WindowSpec))
            }
            None => None,
        };
        call.over = window;
    });
}

/// A window with what it has of its base. If there is none of that name, the name.
fn whole(mut spec: WindowSpec, windows: &Windows) -> Result<WindowSpec, Ident> {
    let Some(name) = spec.window_name.take() else { return Ok(spec) };
    let Some(base) = windows.get(&normalized(&name)) else { return Err(name) };
    spec.partition_by.clone_from(&base.partition_by);
    if !base.order_by.is_empty() {
        spec.order_by.clone_from(&base.order_by);
    }
    Ok(spec)
}
