//! Names as PostgreSQL reads them.

pub use super::super::query::normal as normalized;

use datafusion::sql::sqlparser::ast::ObjectName;

/// The parts of a name; `None` when one is no identifier.
pub fn parts(name: &ObjectName) -> Option<Vec<String>> {
    name.0.iter().map(|part| part.as_ident().map(normalized)).collect()
}

/// The name without `pg_catalog.` before it (or `information_schema.`, before the functions that have their home
/// there: their names begin with `_pg_`).
pub fn in_catalog(name: &ObjectName) -> Option<String> {
    match parts(name)?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == "pg_catalog" => Some(name.clone()),
        [schema, name] if schema == "information_schema" && name.starts_with("_pg_") => Some(name.clone()),
        _ => None,
    }
}
