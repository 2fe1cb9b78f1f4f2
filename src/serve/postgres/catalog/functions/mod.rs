//! PostgreSQL's functions over the system catalogs.
//!
//! Comes in: the [`Model`] of a cut, a session's surroundings, and the cut (for sizes). Goes out: functions under their
//! PostgreSQL names. What depends on the model alone is made once a shape and shared by all sessions. Functions that
//! answer for the session (`current_user`, `current_setting` ...) are the session's own.

mod cut;
mod format;
mod identified;
mod identifiers;
mod json;
mod json_changed;
mod json_misread;
mod jsonb_form;
mod lists;
mod objects;
mod privileges;
mod records;
mod row;
mod server;
mod session;

pub use identifiers::SearchPath;
pub use json::{is_made_of_values, of_row as json_of_row, printed as jsonb_printed, read as read_json};
pub use jsonb_form::as_jsonb;

use super::model::Model;
use crate::catalog::cut::Cut;
use chrono::{DateTime, Utc};
use datafusion::logical_expr::ScalarUDF;
use row::RowFunction;
use std::sync::Arc;

/// The functions that depend on the model alone.
pub fn of_model(model: &Arc<Model>, started_at: DateTime<Utc>) -> Vec<Arc<ScalarUDF>> {
    let mut functions = objects::functions(model);
    functions.extend(server::functions(started_at));
    functions.extend(lists::functions());
    functions.extend(records::functions());
    functions.extend(json_changed::functions());
    let mut functions = finished(functions);
    functions.extend([
        Arc::new(ScalarUDF::new_from_impl(server::TypeOf::default())),
        Arc::new(ScalarUDF::new_from_impl(identified::Identified::default())),
        Arc::new(ScalarUDF::new_from_impl(lists::ArrayOrEmpty::default())),
        Arc::new(ScalarUDF::new_from_impl(lists::ExpandArray::default())),
    ]);
    functions.extend(json::functions().map(|function| Arc::new(ScalarUDF::new_from_impl(function))));
    functions
}

/// The functions that depend on the session's settings.
pub fn of_session(model: &Arc<Model>, path: &SearchPath) -> Vec<Arc<ScalarUDF>> {
    let mut functions = identifiers::functions(model, path);
    functions.extend(session::functions(path));
    functions.extend(privileges::functions(model, path));
    finished(functions)
}

/// The functions that depend on the cut.
pub fn of_cut(model: &Arc<Model>, cut: &Arc<Cut>) -> Vec<Arc<ScalarUDF>> {
    finished(cut::functions(model, cut))
}

fn finished(functions: Vec<RowFunction>) -> Vec<Arc<ScalarUDF>> {
    functions.into_iter().map(|function| Arc::new(function.into_udf())).collect()
}
