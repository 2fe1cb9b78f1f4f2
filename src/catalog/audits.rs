//! What an audit may be on, and whether its query can be planned.

use super::model::Model;
use super::plan_error::{Place, errors_of};
use crate::sql::{AuditDefinition, Error};
use datafusion::common::DataFusionError;

/// Why a model cannot be audited; `None` when it can.
pub(super) fn not_audited(audit: &AuditDefinition, model: Option<&Model>) -> Option<Error> {
    let (what, hint) = match model {
        Some(Model::StreamingTable(_) | Model::MaterializedView(_)) => return None,
        Some(Model::View(_)) => {
            ("a view, which is not stored", "Make it a materialized view, or audit what it reads.")
        }
        None => ("no model", "Bronze keeps every record that came: audit the silver table that reads it."),
    };
    let message = format!("audit \"{}\" is on \"{}\", {what}", audit.name, audit.on);
    Some(Error::new("42809", audit.origin.clone(), message).with_hint(hint))
}

/// The errors of planning an audit's query, where they stand.
pub(super) fn audit_errors(error: &DataFusionError, audit: &AuditDefinition) -> Vec<Error> {
    let mut errors = errors_of(error, &Place::of_audit(audit));
    for error in &mut errors {
        error.message = format!("audit \"{}\": {}", audit.name, error.message);
    }
    errors
}
