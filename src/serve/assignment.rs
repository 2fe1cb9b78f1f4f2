//! What a column takes of a statement's values: PostgreSQL's casts on assignment.
//!
//! Literals and parameters that have no type of their own are read as the column's. Any other value must be of a type that
//! PostgreSQL casts to the column's unasked, else it is refused (42804): a text is no number until it is cast to one.

use super::postgres::catalog::casts::{self, Context};
use super::postgres::catalog::types::{data_column_type, types};
use super::statement::{Statement, parse};
use super::{Error, ParameterType, parameters};
use crate::sql::ColumnDefinition;
use datafusion::sql::sqlparser::ast::{
    self, CastKind, Expr, Query, SelectItem, SetExpr, TableFactor, UnaryOperator, Value,
};

/// Refuses a value of a type that a column does not take.
pub(super) fn check(column: &ColumnDefinition, found: i32) -> Result<(), Error> {
    let wanted = data_column_type(&column.data_type).oid;
    if is_assignable(found, wanted) {
        return Ok(());
    }
    let (wanted, found) = (types().format(wanted, None), types().format(found, None));
    let message = format!("column \"{}\" is of type {wanted} but expression is of type {found}", column.name);
    Err(Error::new("42804", message).with_hint("You will need to rewrite or cast the expression."))
}

/// Whether PostgreSQL casts values of one type to a column of another.
fn is_assignable(from: i32, to: i32) -> bool {
    casts::context(from, to).is_some_and(|context| context <= Context::Assignment)
}

/// Whether a value takes the type of its column: a text, NULL, DEFAULT, a parameter that the client gave no type.
pub(super) fn is_untyped(value: &Expr, declared: &[Option<ParameterType>]) -> bool {
    match value {
        Expr::Nested(inner) => is_untyped(inner, declared),
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => {
                let number = name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
                !number.checked_sub(1).and_then(|at| declared.get(at)).is_some_and(Option::is_some)
            }
            value => !matches!(value, Value::Number(..) | Value::Boolean(_)),
        },
        value => is_default(value),
    }
}

/// A value that has the type of another, and is found with others of its kind: so many rows ask for few types.
pub(super) fn of_its_type(value: &Expr) -> Expr {
    match value {
        Expr::Cast { data_type, .. } => cast_to(null(), data_type.clone()),
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => of_its_type(inner),
        Expr::Value(found) => match &found.value {
            Value::Number(digits, _) if digits.parse::<i32>().is_ok() => number("0"),
            Value::Number(digits, _) if digits.parse::<i64>().is_ok() => number("9999999999"),
            Value::Number(..) => number("0.5"),
            Value::Boolean(_) => Expr::value(Value::Boolean(true)),
            _ => value.clone(),
        },
        value => value.clone(),
    }
}

/// A value as its column has it; the word DEFAULT stands for NULL, as no column has another default.
pub(super) fn cast(value: Expr, column: &ColumnDefinition) -> Expr {
    let value = if is_default(&value) { null() } else { value };
    match parameters::written(&column.data_type) {
        Some(data_type) => cast_to(value, data_type),
        None => value,
    }
}

/// Casts what a query selects of no type to the columns that it is for; behind a `*`, places are not known.
pub(super) fn cast_untyped(
    query: &mut Query,
    columns: &[ColumnDefinition],
    declared: &[Option<ParameterType>],
) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    for (item, column) in select.projection.iter_mut().zip(columns) {
        match item {
            SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } => {
                if is_untyped(value, declared) {
                    *value = cast(std::mem::replace(value, null()), column);
                }
            }
            _ => return,
        }
    }
}

/// A query whose columns are cast, each to the one that it is for.
pub(super) fn cast_columns(query: Query, columns: &[ColumnDefinition]) -> Result<Query, Error> {
    let name = |at: usize| format!("c{at}");
    let cast = columns.iter().enumerate().map(|(at, column)| match parameters::written(&column.data_type) {
        Some(data_type) => format!("CAST({} AS {data_type})", name(at)),
        None => name(at),
    });
    let (cast, names): (Vec<_>, Vec<_>) = (cast.collect(), (0..columns.len()).map(name).collect());
    let text = format!("SELECT {} FROM (SELECT 1) AS inserted ({})", cast.join(", "), names.join(", "));
    let whole = match parse(&text)?.pop() {
        Some(Statement::Query(whole)) => whole,
        _ => return Err(Error::internal("a query is none once it is cast")),
    };
    let mut whole = Query::clone(&whole);
    if let SetExpr::Select(select) = whole.body.as_mut()
        && let Some(from) = select.from.first_mut()
        && let TableFactor::Derived { subquery, .. } = &mut from.relation
    {
        **subquery = query;
    }
    Ok(whole)
}

fn is_default(value: &Expr) -> bool {
    matches!(value, Expr::Identifier(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default"))
}

fn cast_to(value: Expr, data_type: ast::DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(value), data_type, array: false, format: None }
}

fn number(digits: &str) -> Expr {
    Expr::value(Value::Number(digits.to_string(), false))
}

/// `NULL`
pub(super) fn null() -> Expr {
    Expr::value(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `INSERT INTO t (to) SELECT NULL::from` is taken or refused by PostgreSQL 15.
    #[test]
    fn columns_take_what_postgresql_casts_on_assignment() {
        let number = |name: &str| types().by_name(name).unwrap().oid;
        for (from, to) in [
            ("integer", "text"),
            ("bigint", "smallint"),
            ("double precision", "integer"),
            ("numeric", "real"),
            ("timestamptz", "date"),
            ("date", "timestamptz"),
            ("timestamp", "time"),
            ("interval", "time"),
            ("time", "interval"),
            ("regclass", "bigint"),
            ("integer[]", "bigint[]"),
            ("integer[]", "text[]"),
            ("bytea", "text"),
            ("unknown", "date"),
        ] {
            assert!(is_assignable(number(from), number(to)), "{from} to {to}");
        }
        for (from, to) in [
            ("text", "integer"),
            ("varchar", "date"),
            ("boolean", "integer"),
            ("integer", "boolean"),
            ("date", "time"),
            ("date", "integer"),
            ("text", "bytea"),
            ("text[]", "integer[]"),
            ("integer", "integer[]"),
            ("interval", "timestamp"),
            ("json", "integer"),
        ] {
            assert!(!is_assignable(number(from), number(to)), "{from} to {to}");
        }
    }
}
