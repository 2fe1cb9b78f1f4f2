//! Select lists.

use super::fragments::{argument_of, call, cast, outside_subqueries, query, take, text_of};
use super::json_rows;
use super::lateral::SET_RETURNING;
use super::literals::is_float;
use super::names::{in_catalog, normalized};
use super::operators::numeric;
use datafusion::sql::sqlparser::ast::{
    self, DataType, DateTimeField, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    Select, SelectItem, SetExpr, SetOperator, SetQuantifier, Value,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Applies the rules to one SELECT.
pub fn rewrite(select: &mut Select) {
    let mut seen = HashSet::new();
    for (position, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            rows_of(expr);
            of_other_numbers(expr);
        }
        make_distinct(item, position, &mut seen);
    }
    grouped(select);
}

/// HAVING makes one group of all rows, also without GROUP BY and aggregates: the engine wants one of these.
fn grouped(select: &mut Select) {
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if let Some(having) = select.having.take_if(|_| !is_grouped) {
        // Nobody else's name: a query may count rows itself.
        let count = call("count", vec![Expr::value(Value::Boolean(true))]);
        let counted = Expr::IsNotNull(Box::new(count));
        select.having = Some(Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(having))),
            op: ast::BinaryOperator::And,
            right: Box::new(counted),
        });
    }
}

/// Of one column of `VALUES`, literals are of the type that another row's is cast to.
pub fn values_alike(body: &mut SetExpr) {
    let SetExpr::Values(values) = body else { return };
    let columns = values.rows.first().map_or(0, |row| row.len());
    for at in 0..columns {
        let data_type = values.rows.iter().find_map(|row| match row.get(at)? {
            Expr::Cast { data_type, .. } => Some(data_type.clone()),
            Expr::TypedString(typed) => Some(typed.data_type.clone()),
            Expr::Interval(_) => Some(DataType::Interval { fields: None, precision: None }),
            _ => None,
        });
        let Some(data_type) = data_type else { continue };
        for value in values.rows.iter_mut().filter_map(|row| row.get_mut(at)) {
            let is_json = matches!(data_type, DataType::JSON | DataType::JSONB);
            let is_null = matches!(value, Expr::Value(value) if value.value == Value::Null);
            // The engine would make a numeric of a float.
            let is_number = matches!(value, Expr::Value(value) if matches!(value.value, Value::Number(..)));
            if is_null && is_json || is_number && is_float(&data_type) || text_of(value).is_some() {
                *value = cast(take(value), data_type.clone());
            }
        }
    }
}

/// The engine's `VALUES` have no subqueries: rows with some become SELECTs, one behind the other.
pub fn values_to_selects(body: &mut SetExpr) {
    let SetExpr::Values(values) = body else { return };
    let asks = ast::visit_expressions(&values.rows, |expr| match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    if asks.is_continue() {
        return;
    }
    let rows = values.rows.iter_mut().filter_map(|row| select_of_row(row.iter_mut().map(take).collect()));
    let all = rows.reduce(|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    });
    if let Some(all) = all {
        *body = all;
    }
}

fn select_of_row(row: Vec<Expr>) -> Option<SetExpr> {
    let mut body = *query("SELECT 1")?.body;
    let SetExpr::Select(select) = &mut body else { return None };
    let column = |(at, expr): (usize, Expr)| SelectItem::ExprWithAlias {
        expr,
        alias: Ident::new(format!("column{}", at + 1)),
    };
    select.projection = row.into_iter().enumerate().map(column).collect();
    Some(body)
}

/// What `extract` gives is numeric, what `date_part` gives a float and `ntile` an integer: the engine has other numbers.
pub fn of_other_numbers(expr: &mut Expr) {
    let data_type = match expr {
        Expr::Extract { field: DateTimeField::Epoch, .. } => numeric(6),
        Expr::Extract { .. } => numeric(0),
        Expr::Function(function) if in_catalog(&function.name).as_deref() == Some("date_part") => {
            DataType::DoublePrecision
        }
        Expr::Function(function) if in_catalog(&function.name).as_deref() == Some("ntile") => {
            DataType::Int(None)
        }
        _ => return,
    };
    *expr = cast(take(expr), data_type);
}

/// `SELECT generate_series(1, 3) + 1` returns three rows, and so does `SELECT (f(3)).n`.
fn rows_of(expr: &mut Expr) {
    outside_subqueries(expr, |expr| {
        let Expr::Function(function) = &mut *expr else { return };
        let name = in_catalog(&function.name);
        if name.as_deref() == Some("unnest") {
            // Of a list that such a function gives, each item is a row once.
            let is_rows = |inner: &Expr| json_rows::list_of(inner).is_some();
            let rows = only_argument(function).filter(|inner| is_rows(inner)).map(take);
            *expr = rows.unwrap_or_else(|| take(expr));
            return;
        }
        if let Some(name) = &name
            && let FunctionArguments::List(list) = &function.args
            && let Some(arguments) = list.args.iter().map(argument_of).collect::<Option<Vec<_>>>()
            && let Some(rows) = json_rows::rows(name, &arguments)
        {
            *expr = rows;
            return;
        }
        if name.is_some_and(|name| name != "unnest" && SET_RETURNING.contains(&name.as_str())) {
            *expr = call("unnest", vec![of_integers(take(expr))]);
        }
    });
}

fn only_argument(function: &mut ast::Function) -> Option<&mut Expr> {
    let FunctionArguments::List(list) = &mut function.args else { return None };
    match list.args.as_mut_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr),
        _ => None,
    }
}

/// A series between integers is one of integers.
pub fn of_integers(series: Expr) -> Expr {
    let Expr::Function(function) = &series else { return series };
    let FunctionArguments::List(list) = &function.args else { return series };
    let is_integer = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => super::relations::fits_integer(expr),
        _ => false,
    };
    let is_series = in_catalog(&function.name).as_deref() == Some("generate_series");
    match is_series && list.args.iter().all(is_integer) {
        true => {
            let item = Box::new(DataType::Int(None));
            cast(series, DataType::Array(ast::ArrayElemTypeDef::SquareBracket(item, None)))
        }
        false => series,
    }
}

/// The engine names a cast as what is cast.
fn without_casts(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => without_casts(expr),
        other => other,
    }
}

/// Columns of one SELECT may be equal in PostgreSQL (`SELECT NULL, NULL`), but not in DataFusion.
fn make_distinct(item: &mut SelectItem, position: usize, seen: &mut HashSet<String>) {
    let name = match &*item {
        SelectItem::UnnamedExpr(expr) => without_casts(expr).to_string(),
        SelectItem::ExprWithAlias { alias, .. } => normalized(alias),
        _ => return,
    };
    if seen.insert(name.clone()) {
        return;
    }
    let alias = Ident::with_quote('"', format!("{name}:{}", position + 1));
    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
        *item = SelectItem::ExprWithAlias { expr: take(expr), alias };
    }
}
