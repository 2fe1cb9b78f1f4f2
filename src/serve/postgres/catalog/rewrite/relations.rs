//! What stands in FROM: unqualified names, and functions that return rows.

use super::fragments::{argument_of, call, cast, query, select_of, text_of};
use super::json_rows;
use super::lateral::SET_RETURNING;
use super::names::{in_catalog, normalized};
use super::selects::of_integers;
use crate::serve::postgres::catalog::model::Model;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Ident, ObjectName, SelectItem, TableAlias, TableAliasColumnDef, TableFactor,
    TimezoneInfo, Value,
};
use std::collections::HashSet;

/// Applies the rules to one item of FROM.
pub fn rewrite(factor: &mut TableFactor, model: &Model, search_path: &[String], common: &HashSet<String>) {
    if let Some(rows) = rows_of_json(factor).or_else(|| records_of_json(factor)) {
        *factor = rows;
        return;
    }
    match factor {
        TableFactor::Table { name, args: None, .. } => qualify(name, model, search_path, common),
        TableFactor::Table { name, args: Some(arguments), alias, with_ordinality, .. } => {
            let Some(function) = in_catalog(name) else {
                return;
            };
            if let Some(empty) = without_rows(&function, alias.as_ref()) {
                *factor = empty;
                return;
            }
            let arguments: Option<Vec<Expr>> = arguments.args.iter().map(argument_of).collect();
            let Some(arguments) = arguments else {
                return;
            };
            *name = ObjectName::from(vec![Ident::new(&function)]);
            let arguments = if function == "generate_series" { times_of(arguments) } else { arguments };
            if !SET_RETURNING.contains(&function.as_str()) {
                return;
            }
            // DataFusion has this one as a table, which unlike a list is made row by row.
            let is_of_times = arguments.iter().any(|argument| time_type(argument).is_some());
            let is_table = function == "generate_series" && !*with_ordinality && !is_of_times;
            if is_table && arguments.iter().all(is_constant) {
                let is_integer = arguments.iter().all(fits_integer);
                let outer = column_alias(&function, alias.take(), false);
                *alias = Some(outer.clone());
                if is_integer && let Some(narrowed) = narrowed(factor, outer) {
                    *factor = narrowed;
                }
                return;
            }
            if let Some(derived) = rows_of(&function, arguments, alias.as_ref(), *with_ordinality) {
                *factor = derived;
            }
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            let arguments: Option<Vec<Expr>> = args.iter().map(argument_of).collect();
            if let (Some(function), Some(arguments)) = (in_catalog(name), arguments)
                && SET_RETURNING.contains(&function.as_str())
                && let Some(derived) = rows_of(&function, arguments, alias.as_ref(), *with_ordinality)
            {
                *factor = derived;
            }
        }
        TableFactor::UNNEST { array_exprs, alias, with_ordinality, .. } => {
            if let [array] = array_exprs.as_slice()
                && let Some(derived) =
                    rows_of("unnest", vec![array.clone()], alias.as_ref(), *with_ordinality)
            {
                *factor = derived;
            }
        }
        _ => {}
    }
}

/// Functions about what a warehouse has none of: options of foreign objects, partitions.
const WITHOUT_ROWS: [(&str, &str); 2] = [
    (
        "pg_options_to_table",
        "SELECT CAST(NULL AS TEXT) AS option_name, CAST(NULL AS TEXT) AS option_value WHERE false",
    ),
    (
        "pg_partition_tree",
        "SELECT CAST(NULL AS INT) AS relid, CAST(NULL AS INT) AS parentrelid, true AS isleaf, 0 AS level WHERE false",
    ),
];

fn without_rows(function: &str, alias: Option<&TableAlias>) -> Option<TableFactor> {
    let (name, text) = WITHOUT_ROWS.iter().find(|(name, _)| *name == function)?;
    let alias = alias.cloned().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::new(*name),
        columns: vec![],
        at: None,
    });
    let subquery = query(text)?;
    Some(TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None })
}

/// The whole name of a relation of PostgreSQL's own: `pg_class` is `pg_catalog.pg_class`. Names of the cut's own relations
/// are the session's to look up.
pub fn qualify(name: &mut ObjectName, model: &Model, search_path: &[String], common: &HashSet<String>) {
    let [part] = name.0.as_slice() else {
        return;
    };
    let Some(ident) = part.as_ident() else {
        return;
    };
    let bare = normalized(ident);
    if common.contains(&bare) {
        return;
    }
    if let Some(class) = model.find(&bare, search_path).filter(|class| class.builtin) {
        let quoted = |name: &str| Ident::with_quote_and_span('"', ident.span, name);
        *name = ObjectName::from(vec![quoted(&class.name.schema), quoted(&class.name.name)]);
    }
}

/// The bounds of a series of times: a text is what the other bound is, a step without a type an interval, and dates are
/// moments.
fn times_of(arguments: Vec<Expr>) -> Vec<Expr> {
    let [from, to, step] = match <[Expr; 3]>::try_from(arguments) {
        Ok(three) => three,
        Err(given) => return given,
    };
    let moment = DataType::Timestamp(None, TimezoneInfo::WithTimeZone);
    let of = |bound: &Expr| match time_type(bound)? {
        DataType::Date => Some(moment.clone()),
        other => Some(other),
    };
    let Some(data_type) = of(&from).or_else(|| of(&to)) else { return vec![from, to, step] };
    let bound = |bound: Expr| match time_type(&bound) {
        Some(DataType::Date) | None => cast(bound, data_type.clone()),
        _ => bound,
    };
    let interval = DataType::Interval { fields: None, precision: None };
    let step = if text_of(&step).is_some() { cast(step, interval) } else { step };
    vec![bound(from), bound(to), step]
}

/// The type of time that a bound is seen to have.
fn time_type(bound: &Expr) -> Option<DataType> {
    let data_type = match bound {
        Expr::TypedString(typed) => &typed.data_type,
        Expr::Cast { data_type, .. } => data_type,
        Expr::Nested(inner) => return time_type(inner),
        Expr::Function(call) => {
            let is_date = ["current_date", "make_date"].contains(&in_catalog(&call.name)?.as_str());
            return is_date.then_some(DataType::Date);
        }
        _ => return None,
    };
    matches!(data_type, DataType::Date | DataType::Timestamp(..)).then(|| data_type.clone())
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => !matches!(value.value, Value::Placeholder(_)),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) | Expr::Cast { expr, .. } => is_constant(expr),
        _ => false,
    }
}

pub fn fits_integer(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => {
            matches!(&value.value, Value::Number(digits, _) if digits.parse::<i32>().is_ok())
        }
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => fits_integer(expr),
        Expr::Cast { expr, data_type, .. } => matches!(data_type, DataType::Int(_)) && fits_integer(expr),
        _ => false,
    }
}

/// `(SELECT CAST(c AS INT) AS c FROM generate_series(1, 3) AS t(c)) AS t`: numbers of the bounds' type.
fn narrowed(series: &TableFactor, alias: TableAlias) -> Option<TableFactor> {
    let column = alias.columns.first()?.name.clone();
    let mut inner = query("SELECT 1 FROM t")?;
    let select = select_of(&mut inner)?;
    let expr = cast(Expr::Identifier(column.clone()), DataType::Int(None));
    select.projection = vec![SelectItem::ExprWithAlias { expr, alias: column }];
    select.from.first_mut()?.relation = series.clone();
    Some(TableFactor::Derived { lateral: false, subquery: inner, alias: Some(alias), sample: None })
}

/// `(SELECT unnest(f(arguments)) AS c) AS t(c)`: a row for every item of the list that the function gives.
fn rows_of(
    function: &str,
    arguments: Vec<Expr>,
    alias: Option<&TableAlias>,
    with_ordinality: bool,
) -> Option<TableFactor> {
    let alias = column_alias(function, alias.cloned(), with_ordinality);
    let list = match (function, arguments.as_slice()) {
        ("unnest", [list]) => list.clone(),
        (_, given) => of_integers(call(function, json_rows::read(function, given))),
    };
    let mut inner = query("SELECT 1")?;
    let mut items = vec![call("unnest", vec![list.clone()])];
    if with_ordinality {
        let one = || Expr::value(Value::Number("1".to_string(), false));
        items.push(call(
            "unnest",
            vec![call("generate_series", vec![one(), call("cardinality", vec![list])])],
        ));
    }
    select_of(&mut inner)?.projection = items
        .into_iter()
        .zip(&alias.columns)
        .map(|(expr, column)| SelectItem::ExprWithAlias { expr, alias: column.name.clone() })
        .collect();
    Some(TableFactor::Derived { lateral: false, subquery: inner, alias: Some(alias), sample: None })
}

/// `(SELECT unnest(..) AS key, unnest(..) AS value) AS t(key, value)`: the rows of a function that makes them of JSON.
fn rows_of_json(factor: &TableFactor) -> Option<TableFactor> {
    let (function, arguments, alias, with_ordinality) = json_rows::called(factor)?;
    let mut columns = json_rows::columns(&function, &arguments)?;
    if with_ordinality {
        let one = Expr::value(Value::Number("1".to_string(), false));
        let list = columns.first().and_then(|(_, rows)| json_rows::list_of(rows))?;
        let count = call("cardinality", vec![list]);
        columns.push(("ordinality", call("unnest", vec![call("generate_series", vec![one, count])])));
    }
    let mut alias = alias.cloned().unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::new(&function),
        columns: vec![],
        at: None,
    });
    let named = columns.iter().skip(alias.columns.len());
    let named = named.map(|(name, _)| Ident::with_quote('"', *name)).collect::<Vec<_>>();
    alias.columns.extend(named.into_iter().map(|name| TableAliasColumnDef { name, data_type: None }));
    let mut inner = query("SELECT 1")?;
    let items = columns.into_iter().zip(&alias.columns);
    select_of(&mut inner)?.projection = items
        .map(|((_, expr), column)| SelectItem::ExprWithAlias { expr, alias: column.name.clone() })
        .collect();
    Some(TableFactor::Derived { lateral: false, subquery: inner, alias: Some(alias), sample: None })
}

/// `(SELECT CAST(json_get_text(x, 'a') AS int) AS a) AS t(a)`: the rows of a function whose columns the query declares.
fn records_of_json(factor: &TableFactor) -> Option<TableFactor> {
    let (function, arguments, alias, with_ordinality) = json_rows::called(factor)?;
    let columns = json_rows::record_columns(&function, &arguments, alias).filter(|_| !with_ordinality)?;
    let mut alias = alias?.clone();
    alias.columns.iter_mut().for_each(|column| column.data_type = None);
    let mut inner = query("SELECT 1")?;
    select_of(&mut inner)?.projection =
        columns.into_iter().map(|(alias, expr)| SelectItem::ExprWithAlias { expr, alias }).collect();
    Some(TableFactor::Derived { lateral: false, subquery: inner, alias: Some(alias), sample: None })
}

/// The alias with its columns named: a function's only column is called like the table, as in PostgreSQL.
fn column_alias(function: &str, alias: Option<TableAlias>, with_ordinality: bool) -> TableAlias {
    let mut alias = alias.unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::new(function),
        columns: vec![],
        at: None,
    });
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
    if with_ordinality && alias.columns.len() == 1 {
        alias.columns.push(TableAliasColumnDef { name: Ident::new("ordinality"), data_type: None });
    }
    alias
}
