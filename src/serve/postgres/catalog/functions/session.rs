//! What a session may see and do.

use super::identifiers::SearchPath;
use super::row::{RowFunction, boolean, int4, text};
use arrow::datatypes::DataType::{Boolean, Int32, Utf8};

/// The functions.
pub fn functions(path: &SearchPath) -> Vec<RowFunction> {
    let mut functions = visibility(path);
    // As over a Unix socket: the addresses are the operator's business.
    for name in ["inet_server_addr", "inet_client_addr"] {
        functions.push(RowFunction::new(name, 0..=0, Utf8, |_| Ok(text(None))));
    }
    for name in ["inet_server_port", "inet_client_port"] {
        functions.push(RowFunction::new(name, 0..=0, Int32, |_| Ok(int4(None))));
    }
    functions
}

fn visibility(path: &SearchPath) -> Vec<RowFunction> {
    let path = path.clone();
    let mut functions = vec![RowFunction::new("pg_table_is_visible", 1..=1, Boolean, move |row| {
        Ok(boolean(row[0].oid().and_then(|oid| path.is_visible(oid))))
    })];
    // Types, functions and the like are all in pg_catalog, which every search path begins with.
    let always = [
        "pg_type_is_visible",
        "pg_function_is_visible",
        "pg_operator_is_visible",
        "pg_opclass_is_visible",
        "pg_opfamily_is_visible",
        "pg_collation_is_visible",
        "pg_conversion_is_visible",
        "pg_statistics_obj_is_visible",
        "pg_ts_config_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_template_is_visible",
    ];
    functions.extend(always.map(|name| RowFunction::new(name, 1..=1, Boolean, |_| Ok(boolean(true)))));
    functions
}
