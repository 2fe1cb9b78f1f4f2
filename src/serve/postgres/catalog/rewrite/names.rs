//! Names of functions and columns.

use super::fragments::{argument_of, call, cast};
use crate::serve::postgres::catalog::data;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArguments, Ident, ObjectName, TimezoneInfo,
};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// An identifier as PostgreSQL folds it.
pub fn normalized(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

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

/// Functions that the engine has under another name.
const RENAMED: [(&str, &str); 10] = [
    ("every", "bool_and"),
    ("sign", "signum"),
    ("statement_timestamp", "now"),
    ("transaction_timestamp", "now"),
    ("clock_timestamp", "now"),
    ("jsonb_typeof", "json_typeof"),
    ("jsonb_array_length", "json_array_length"),
    ("variance", "var_samp"),
    ("array_remove", "array_remove_all"),
    ("array_replace", "array_replace_all"),
];

/// `pg_catalog.lower(x)` is `lower(x)`, and `every(x)` is `bool_and(x)`.
pub fn rewrite_function(expr: &mut Expr) {
    // A word of the language, like `current_user`.
    if let Expr::Identifier(name) = expr
        && name.quote_style.is_none()
        && normalized(name) == "current_schema"
    {
        *expr = call("current_schema", vec![]);
    }
    if let Expr::Function(function) = expr
        && let Some(name) = in_catalog(&function.name)
        && let Some((_, known)) = RENAMED.iter().find(|(renamed, _)| *renamed == name)
    {
        function.name = ObjectName::from(vec![Ident::new(*known)]);
    }
    if let Expr::Function(function) = expr
        && in_catalog(&function.name).as_deref() == Some("gen_random_uuid")
    {
        *expr = call("uuid_in", vec![call("uuid", vec![])]);
    }
    if let Expr::Function(function) = expr
        && let Some(items) = match in_catalog(&function.name).as_deref() {
            Some("json_agg") => Some("json_of_items"),
            Some("jsonb_agg") => Some("jsonb_of_items"),
            _ => None,
        }
    {
        let name = ObjectName::from(vec![Ident::new("array_agg")]);
        *expr = call(items, vec![Expr::Function(Function { name, ..function.clone() })]);
    }
    // What the engine makes of seconds has no zone.
    if let Expr::Function(function) = expr
        && in_catalog(&function.name).as_deref() == Some("to_timestamp")
        && let FunctionArguments::List(list) = &function.args
        && list.args.len() == 1
    {
        *expr = cast(Expr::Function(function.clone()), DataType::Timestamp(None, TimezoneInfo::WithTimeZone));
    }
    if let Expr::Function(function) = expr
        && in_catalog(&function.name).as_deref() == Some("mod")
        && let FunctionArguments::List(list) = &function.args
        && let [left, right] = list.args.as_slice()
        && let (Some(left), Some(right)) = (argument_of(left), argument_of(right))
    {
        let side = |side: Expr| Box::new(Expr::Nested(Box::new(side)));
        let rest = Expr::BinaryOp { left: side(left), op: BinaryOperator::Modulo, right: side(right) };
        *expr = Expr::Nested(Box::new(rest));
    }
    if let Expr::Function(function) = expr
        && function.name.0.len() == 2
        && let Some(name) = in_catalog(&function.name)
    {
        function.name = ObjectName::from(vec![Ident::new(name)]);
    }
}

/// The `reg*` type of an expression that prints as a name, of those that show it by their form: columns that
/// PostgreSQL declares so, and calls that make such a value.
pub fn identifier_kind(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Nested(inner) => identifier_kind(inner),
        Expr::Identifier(ident) => column_kind(ident),
        Expr::CompoundIdentifier(idents) => column_kind(idents.last()?),
        Expr::Function(function) => function_kind(function),
        _ => None,
    }
}

/// `regclassout(x)`: the name of what `x` is the number of.
pub fn printed(kind: &str, expr: Expr) -> Expr {
    call(&format!("{kind}out"), vec![expr])
}

fn column_kind(ident: &Ident) -> Option<&'static str> {
    static COLUMNS: LazyLock<HashMap<&'static str, &'static str>> =
        LazyLock::new(|| columns_of(&["regproc", "regtype"]));
    COLUMNS.get(normalized(ident).as_str()).copied()
}

fn function_kind(function: &Function) -> Option<&'static str> {
    match in_catalog(&function.name)?.as_str() {
        "regclassin" | "to_regclass" => Some("regclass"),
        "regtypein" | "to_regtype" | "pg_typeof" => Some("regtype"),
        "regprocin" | "to_regproc" => Some("regproc"),
        "regprocedurein" => Some("regprocedure"),
        "regnamespacein" | "to_regnamespace" => Some("regnamespace"),
        "regrolein" | "to_regrole" => Some("regrole"),
        _ => None,
    }
}

/// Catalog columns of these types, by name. The names of such columns are not used for other types in PostgreSQL's
/// catalogs.
pub fn columns_of(typnames: &[&str]) -> HashMap<&'static str, &'static str> {
    let all = || data::relations().iter().flat_map(|relation| &relation.columns);
    // A name that stands for another type elsewhere (`data_type`) tells nothing by itself.
    let others: HashSet<&str> = all().filter(|c| !typnames.contains(&c.typname)).map(|c| c.name).collect();
    all()
        .filter(|column| typnames.contains(&column.typname) && !others.contains(column.name))
        .map(|column| (column.name, column.typname))
        .collect()
}
