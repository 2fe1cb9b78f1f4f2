//! Dates and times: literals in every form that PostgreSQL reads, parts and beginnings of centuries and decades, and the
//! clock under its other names.

use super::fragments::{argument_of, call, cast, filled, literal, take, text_of};
use super::literals::number_in;
use super::names::in_catalog;
use crate::serve::datetime::{Kind, Order, iso};
use datafusion::sql::sqlparser::ast::{
    DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, TimezoneInfo,
    Value,
};

/// Applies the rules to one expression.
pub fn rewrite(expr: &mut Expr, order: Order) {
    match expr {
        Expr::Cast { expr: value, data_type, .. } => {
            if let Some(read) = text_of(value).and_then(|text| read(text, data_type, order)) {
                match read {
                    Literal::Text(text) => **value = literal(&text),
                    Literal::Clock(clock) => **value = *clock,
                }
            }
        }
        Expr::TypedString(typed) => {
            let Value::SingleQuotedString(text) = &typed.value.value else { return };
            match read(text, &typed.data_type, order) {
                Some(Literal::Text(text)) => typed.value.value = Value::SingleQuotedString(text),
                Some(Literal::Clock(clock)) => *expr = cast(*clock, typed.data_type.clone()),
                None => {}
            }
        }
        Expr::Extract { field, expr: of, .. } => {
            if let Some(part) = part(field, of) {
                *expr = part;
            }
        }
        Expr::Function(function) => {
            if let Some(other) = beginning(function).or_else(|| clock(function)) {
                *expr = other;
            }
        }
        Expr::Identifier(ident) if ident.quote_style.is_none() => {
            if let Some(clock) = local_clock(&ident.value.to_lowercase()) {
                *expr = clock;
            }
        }
        _ => {}
    }
}

enum Literal {
    /// The same in a form that the engine reads.
    Text(String),
    /// What the clock says when the statement runs.
    Clock(Box<Expr>),
}

fn read(text: &str, data_type: &DataType, order: Order) -> Option<Literal> {
    let kind = match data_type {
        DataType::Date => Kind::Date,
        DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Kind::Moment,
        DataType::Timestamp(..) => Kind::Timestamp,
        DataType::Custom(name, _) => match in_catalog(name)?.as_str() {
            "timestamptz" => Kind::Moment,
            _ => return None,
        },
        _ => return None,
    };
    let today = || call("current_date", vec![]);
    match text.trim().to_lowercase().as_str() {
        "now" => return Some(Literal::Clock(Box::new(call("now", vec![])))),
        "today" => return Some(Literal::Clock(Box::new(today()))),
        "tomorrow" => return filled("SELECT x + 1", today()).map(Box::new).map(Literal::Clock),
        "yesterday" => return filled("SELECT x - 1", today()).map(Box::new).map(Literal::Clock),
        "epoch" => {
            let zone = if kind == Kind::Moment { "+00" } else { "" };
            let clock = if kind == Kind::Date { "" } else { " 00:00:00" };
            return Some(Literal::Text(format!("1970-01-01{clock}{zone}")));
        }
        _ => {}
    }
    iso(text, kind, order).map(Literal::Text)
}

/// Parts of a time that the engine does not know, or not with all of their digits.
fn part(field: &DateTimeField, of: &mut Expr) -> Option<Expr> {
    let name = match field {
        DateTimeField::Century => "century",
        DateTimeField::Decade => "decade",
        DateTimeField::Millennium | DateTimeField::Millenium => "millennium",
        DateTimeField::Millisecond | DateTimeField::Milliseconds => {
            let text = "SELECT CAST(CAST(extract(MICROSECOND FROM x) AS BIGNUMERIC(20, 3)) / 1000 AS BIGNUMERIC(20, 3))";
            return filled(text, take(of));
        }
        DateTimeField::Microseconds => return filled("SELECT extract(MICROSECOND FROM x)", take(of)),
        DateTimeField::Julian => {
            let text = "SELECT CAST(floor(CAST(extract(EPOCH FROM x) AS DOUBLE PRECISION) / 86400) + 2440588 \
                        AS BIGNUMERIC(20, 0))";
            return filled(text, take(of));
        }
        _ => return None,
    };
    filled(&format!("SELECT CAST(date_part('{name}', x) AS BIGNUMERIC(20, 0))"), take(of))
}

/// `date_trunc` in a zone, of a moment.
fn beginning(function: &Function) -> Option<Expr> {
    if in_catalog(&function.name)? != "date_trunc" {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let arguments = list.args.iter().map(argument_of).collect::<Option<Vec<_>>>()?;
    let [unit, of, zone] = <[Expr; 3]>::try_from(arguments).ok()?;
    let moment = cast(of, DataType::Timestamp(None, TimezoneInfo::WithTimeZone));
    let begun = call("date_trunc", vec![unit, call("timezone", vec![zone.clone(), moment])]);
    Some(call("timezone", vec![zone, begun]))
}

/// `age(x)` counts from today, `current_timestamp(2)` has two digits of a second.
fn clock(function: &Function) -> Option<Expr> {
    let name = in_catalog(&function.name)?;
    if let ("current_timestamp" | "localtimestamp" | "localtime", FunctionArguments::List(list)) =
        (name.as_str(), &function.args)
        && let [digits] = list.args.as_slice()
    {
        let clock = local_clock(&name).unwrap_or_else(|| call("now", vec![]));
        return Some(call("to_precision", vec![clock, number_in(argument_of(digits)?)]));
    }
    match (name.as_str(), &function.args) {
        ("localtimestamp" | "localtime", _) => local_clock(&name),
        ("age", FunctionArguments::List(list)) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(of))] => {
                filled("SELECT age(CAST(current_date() AS TIMESTAMP), x)", of.clone())
            }
            _ => None,
        },
        _ => None,
    }
}

fn local_clock(name: &str) -> Option<Expr> {
    let data_type = match name {
        "localtimestamp" => DataType::Timestamp(None, TimezoneInfo::None),
        "localtime" => DataType::Time(None, TimezoneInfo::None),
        "current_role" => return Some(call("current_role", vec![])),
        _ => return None,
    };
    Some(cast(call("now", vec![]), data_type))
}
