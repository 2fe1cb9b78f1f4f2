//! Names of functions and columns.

use super::fragments::{argument_of, call, cast, take, text_of};
use crate::serve::postgres::catalog::data;
pub use crate::sql::forms::names::{in_catalog, normalized, parts};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, ObjectName, TimezoneInfo, Value,
};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Functions that the engine has under another name.
const RENAMED: [(&str, &str); 9] = [
    ("ceiling", "ceil"),
    ("every", "bool_and"),
    ("sign", "signum"),
    ("statement_timestamp", "now"),
    ("transaction_timestamp", "now"),
    ("clock_timestamp", "now"),
    ("variance", "var_samp"),
    ("array_remove", "array_remove_all"),
    ("array_replace", "array_replace_all"),
];

/// Functions of a relation, which may be said by its name.
const OF_RELATIONS: [&str; 4] =
    ["pg_relation_size", "pg_table_size", "pg_total_relation_size", "pg_indexes_size"];

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
    // A name without a type is what these take.
    if let Expr::Function(function) = expr
        && in_catalog(&function.name).is_some_and(|name| OF_RELATIONS.contains(&name.as_str()))
        && let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first_mut()
        && text_of(of).is_some()
    {
        *of = call("regclassin", vec![take(of)]);
    }
    if let Expr::Function(function) = expr
        && in_catalog(&function.name).as_deref() == Some("gen_random_uuid")
    {
        *expr = call("uuid_in", vec![call("uuid", vec![])]);
    }
    // Ours is a text, which models mask with; PostgreSQL's are the bytes that it spells.
    if let Expr::Function(function) = expr
        && in_catalog(&function.name).as_deref() == Some("encode")
        && let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(of))) = list.args.first_mut()
        && matches!(of, Expr::Function(inner) if in_catalog(&inner.name).as_deref() == Some("sha256"))
    {
        *of = call("decode", vec![take(of), Expr::value(Value::SingleQuotedString("hex".to_string()))]);
    }
    if let Expr::Function(function) = expr
        && let Some(made) = json_aggregate(function)
    {
        *expr = made;
    }
    if let Expr::Function(function) = expr
        && let Some(made) = path_taken(function).or_else(|| date_of(function))
    {
        *expr = made;
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
        && let Some([left, right]) = plain_arguments(function).as_deref()
    {
        let side = |side: &Expr| Box::new(Expr::Nested(Box::new(side.clone())));
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

/// `json_agg(x)` is `json_of_texts(array_agg(json_item(x)))`: a list of what each value is as JSON, made one.
fn json_aggregate(function: &Function) -> Option<Expr> {
    let (each, all, count) = match in_catalog(&function.name)?.as_str() {
        "json_agg" => ("json_item", "json_of_texts", 1),
        "jsonb_agg" => ("json_item", "jsonb_of_texts", 1),
        "json_object_agg" => ("json_member", "json_of_members", 2),
        "jsonb_object_agg" => ("json_member", "jsonb_of_members", 2),
        _ => return None,
    };
    let mut list = function.clone();
    list.name = ObjectName::from(vec![Ident::new("array_agg")]);
    let FunctionArguments::List(arguments) = &mut list.args else { return None };
    if arguments.args.len() != count {
        return None;
    }
    // What is distinct is so, and in an order, as the values that it is.
    if count == 1 && arguments.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
        let all = if all.starts_with("jsonb") { "jsonb_of_items" } else { "json_of_items" };
        return Some(call(all, vec![Expr::Function(list)]));
    }
    let mut json = super::fragments::function(each, vec![]);
    let FunctionArguments::List(values) = &mut json.args else { return None };
    std::mem::swap(&mut values.args, &mut arguments.args);
    arguments.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(json))));
    Some(call(all, vec![Expr::Function(list)]))
}

/// `json_extract_path(x, 'a', 'b')` is `x #> ARRAY['a', 'b']`.
fn path_taken(function: &Function) -> Option<Expr> {
    let (taken, data_type) = match in_catalog(&function.name)?.as_str() {
        "json_extract_path" => ("json_get_path", DataType::JSON),
        "jsonb_extract_path" => ("json_get_path", DataType::JSONB),
        "json_extract_path_text" => ("json_get_path_text", DataType::JSON),
        "jsonb_extract_path_text" => ("json_get_path_text", DataType::JSONB),
        _ => return None,
    };
    let (json, steps) =
        plain_arguments(function)?.split_first().map(|(json, steps)| (json.clone(), steps.to_vec()))?;
    let json = if text_of(&json).is_some() { cast(json, data_type) } else { json };
    (!steps.is_empty()).then(|| call(taken, vec![json, super::arrays::array(steps)]))
}

/// `date(x)` is `CAST(x AS date)`.
fn date_of(function: &Function) -> Option<Expr> {
    let is_date = in_catalog(&function.name)? == "date";
    match plain_arguments(function)?.as_slice() {
        [of] if is_date => Some(cast(of.clone(), DataType::Date)),
        _ => None,
    }
}

fn plain_arguments(function: &Function) -> Option<Vec<Expr>> {
    match &function.args {
        FunctionArguments::List(list) => list.args.iter().map(argument_of).collect(),
        _ => None,
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
