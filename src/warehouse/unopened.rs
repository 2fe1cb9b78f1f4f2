//! Why a stored table could not be brought to its definition, in the words of who wrote it, and what to do.

use crate::lake::{Error, chain};
use crate::sql::type_name;

/// The reason, with a way out. `what` is the definition: a source, a model.
pub(super) fn reason(what: &str, error: &Error) -> String {
    let rename = format!("give the {what} another name, or move its folder away");
    match error {
        Error::Retyped { table, column, stored, defined } => {
            let (stored, defined) = (type_name(stored), type_name(defined));
            format!(
                "table {table}: column \"{column}\" is stored as {stored} and now defined as {defined}, which does not \
                 hold every {stored}; define it as {stored} again, or {rename}"
            )
        }
        Error::Schema { .. } => format!("{error}; define it as before, or {rename}"),
        other => chain(other),
    }
}
