//! PostgreSQL's words for what the engine says otherwise, in models and readers' statements alike: `AT TIME ZONE`, JSON
//! operators, `SIMILAR TO`, `U&'...'`, `float`, and literals of times that leave seconds out.

use super::forms::fragments::text_of;
use super::interval::interval_parts;
use super::syntax::{call, function as function_of, literal, take, text_value};
use super::using::name_tables;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, ObjectNamePart, Query, Select, Subscript, TimezoneInfo, Value,
    VisitMut as _, VisitorMut,
};
use std::ops::ControlFlow;

/// Rewrites every expression of a query.
pub fn spell_for_engine(query: &mut Query) {
    let _ = query.visit(&mut Spell);
}

struct Spell;

impl VisitorMut for Spell {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_tables(select);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::AtTimeZone { timestamp, time_zone } => {
                respell(time_zone, east_of_greenwich);
                *expr = call("timezone", vec![take(time_zone), take(timestamp)]);
            }
            Expr::BinaryOp { left, op, right } => {
                if let Some(function) = json_function(op) {
                    *expr = call(function, vec![take(left), take(right)]);
                }
            }
            Expr::SimilarTo { negated, expr: value, pattern, escape_char: None } => {
                if let Some(regex) = text_of(pattern).map(similar_as_regex) {
                    let op =
                        if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
                    let right = Box::new(literal(&regex));
                    *expr = Expr::BinaryOp { left: Box::new(take(value)), op, right };
                }
            }
            Expr::Function(function) => {
                if let Some(respelled) = respelled_function(function) {
                    *expr = respelled;
                }
            }
            // The tokenizer has put the letters in the place of their numbers.
            Expr::Value(value) => {
                if let Value::UnicodeStringLiteral(text) = &mut value.value {
                    value.value = text_value(std::mem::take(text));
                }
            }
            Expr::Interval(interval) if interval.leading_field.is_none() => {
                respell(&mut interval.value, interval_in_units);
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                bound_slices(access_chain);
                if let Some(column) = column_of_row(root, access_chain) {
                    *expr = column;
                }
            }
            Expr::Cast { expr: value, data_type, .. } => match data_type {
                DataType::Float(_) | DataType::Array(_) => name_float(data_type),
                DataType::Interval { .. } => respell(value, interval_in_units),
                DataType::Timestamp(..) => respell(value, with_seconds),
                DataType::Time(..) => respell(value, clock_of_digits),
                DataType::Bytea => {
                    if let Some(bytes) = text_of(value).and_then(written_bytes) {
                        *expr = bytes;
                    }
                }
                _ => {}
            },
            Expr::TypedString(typed) => {
                name_float(&mut typed.data_type);
                if let Value::SingleQuotedString(text) = &mut typed.value.value {
                    let spelled = match typed.data_type {
                        DataType::Timestamp(..) => with_seconds(text),
                        DataType::Time(..) => clock_of_digits(text),
                        _ => None,
                    };
                    *text = spelled.unwrap_or_else(|| std::mem::take(text));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `float` is `double precision`.
fn name_float(data_type: &mut DataType) {
    match data_type {
        DataType::Float(_) => *data_type = DataType::DoublePrecision,
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => name_float(item),
        _ => {}
    }
}

fn json_function(op: &BinaryOperator) -> Option<&'static str> {
    match op {
        BinaryOperator::Arrow => Some("json_get"),
        BinaryOperator::LongArrow => Some("json_get_text"),
        BinaryOperator::HashArrow => Some("json_get_path"),
        BinaryOperator::HashLongArrow => Some("json_get_path_text"),
        _ => None,
    }
}

/// The arguments of `make_interval` by name.
const PARTS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "mins", "secs"];

/// `to_date` and `to_timestamp` by PostgreSQL's patterns, which have no `%`, `make_interval(days => 10)`, and
/// `make_timestamptz`, of a zone or the session's.
fn respelled_function(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
    let arguments = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some((None, expr.clone())),
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => {
            Some((Some(name.value.to_lowercase()), expr.clone()))
        }
        FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(expr), .. } => {
            Some((Some(name.value.to_lowercase()), expr.clone()))
        }
        _ => None,
    });
    let arguments: Vec<(Option<String>, Expr)> = arguments.collect::<Option<_>>()?;
    match (name.value.to_lowercase().as_str(), arguments.as_slice()) {
        ("to_date", [(None, text), (None, pattern)]) if !is_strftime(pattern) => {
            Some(call("date_by_pattern", vec![text.clone(), pattern.clone()]))
        }
        ("to_timestamp", [(None, text), (None, pattern)]) if !is_strftime(pattern) => {
            Some(as_moment(call("timestamp_by_pattern", vec![text.clone(), pattern.clone()])))
        }
        ("make_timestamptz", parts) => {
            let (time, zone) = parts.split_at_checked(6)?;
            let time = call("make_timestamp", time.iter().map(|(_, part)| part.clone()).collect());
            match zone {
                [] => Some(as_moment(time)),
                [(None, zone)] => Some(call("timezone", vec![zone.clone(), time])),
                _ => None,
            }
        }
        ("make_interval", arguments) if arguments.iter().any(|(name, _)| name.is_some()) => {
            let mut parts: Vec<Expr> =
                PARTS.map(|_| Expr::value(Value::Number("0".to_string(), false))).into();
            for (at, (name, expr)) in arguments.iter().enumerate() {
                let at = name.as_ref().map_or(Some(at), |name| PARTS.iter().position(|part| part == name))?;
                *parts.get_mut(at)? = expr.clone();
            }
            Some(call("make_interval", parts))
        }
        // A value for each share of the list.
        ("percentile_cont" | "percentile_disc", [(None, Expr::Array(shares))]) => {
            let of = |share: &Expr| {
                let mut one = function.clone();
                one.args = function_of("", vec![share.clone()]).args;
                Expr::Function(one)
            };
            Some(Expr::Array(Array { elem: shares.elem.iter().map(of).collect(), named: true }))
        }
        _ => None,
    }
}

/// `CAST(time AS TIMESTAMP WITH TIME ZONE)`
fn as_moment(time: Expr) -> Expr {
    let (expr, data_type) = (Box::new(time), DataType::Timestamp(None, TimezoneInfo::WithTimeZone));
    Expr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None }
}

fn is_strftime(pattern: &Expr) -> bool {
    text_of(pattern).is_some_and(|pattern| pattern.contains('%'))
}

fn respell(expr: &mut Expr, spelled: fn(&str) -> Option<String>) {
    if let Some(spelled) = text_of(expr).and_then(spelled) {
        *expr = literal(&spelled);
    }
}

/// `2026-01-01 10:30` has no seconds: zero. `None` for what says them, or is no moment.
pub fn with_seconds(text: &str) -> Option<String> {
    let (date, time) = text.trim().split_once([' ', 'T'])?;
    let end = time.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(time.len());
    let (clock, rest) = time.split_at(end);
    (clock.matches(':').count() == 1).then(|| format!("{date} {clock}:00{rest}"))
}

/// `1030` and `103000` are `10:30` and `10:30:00`.
fn clock_of_digits(text: &str) -> Option<String> {
    let text = text.trim();
    let is_clock = matches!(text.len(), 4 | 6) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_clock.then(|| {
        let seconds = text.get(4..).filter(|seconds| !seconds.is_empty()).unwrap_or("00");
        format!("{}:{}:{seconds}", &text[..2], &text[2..4])
    })
}

/// The engine's sign of a zone that is told in hours: for `AT TIME ZONE` they are counted to the west, as in POSIX.
fn east_of_greenwich(zone: &str) -> Option<String> {
    let zone = zone.trim();
    let (sign, hours) = match zone.as_bytes().first()? {
        b'+' => ('-', &zone[1..]),
        b'-' => ('+', &zone[1..]),
        _ => return None,
    };
    Some(format!("{sign}{hours}"))
}

/// Bytes that are written in hexadecimal digits, or with escapes: `\x41`, `a\\101`.
fn written_bytes(text: &str) -> Option<Expr> {
    match text.strip_prefix("\\x") {
        Some(digits) => Some(call("decode", vec![literal(digits), literal("hex")])),
        None => text.contains('\\').then(|| call("decode", vec![literal(text), literal("escape")])),
    }
}

/// `list[:2]` begins at the first item, `list[2:]` ends at the last.
fn bound_slices(access_chain: &mut [AccessExpr]) {
    let number = |number: i32| Expr::value(Value::Number(number.to_string(), false));
    for access in access_chain {
        if let AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) = access {
            lower_bound.get_or_insert_with(|| number(1));
            upper_bound.get_or_insert_with(|| number(i32::MAX));
        }
    }
}

/// `(t).a`: a column, or a field of one.
fn column_of_row(root: &Expr, access_chain: &[AccessExpr]) -> Option<Expr> {
    let (Expr::Nested(row), [AccessExpr::Dot(Expr::Identifier(field))]) = (root, access_chain) else {
        return None;
    };
    let mut names = match row.as_ref() {
        Expr::Identifier(name) => vec![name.clone()],
        Expr::CompoundIdentifier(names) => names.clone(),
        _ => return None,
    };
    names.push(field.clone());
    Some(Expr::CompoundIdentifier(names))
}

/// An interval in units that the engine knows.
fn interval_in_units(text: &str) -> Option<String> {
    let (months, days, microseconds) = interval_parts(text)?;
    let parts = [(i64::from(months), "months"), (i64::from(days), "days"), (microseconds, "microseconds")];
    let known =
        parts.iter().filter(|(number, _)| *number != 0).map(|(number, unit)| format!("{number} {unit}"));
    let known: Vec<_> = known.collect();
    Some(if known.is_empty() { "0 days".to_string() } else { known.join(" ") })
}

/// `%` and `_` are LIKE's; what else means something in a regular expression means that here, but for `.`, `^`, `$`.
fn similar_as_regex(pattern: &str) -> String {
    let mut regex = String::from("^(?:");
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '.' | '^' | '$' => {
                regex.push('\\');
                regex.push(letter);
            }
            '\\' => {
                regex.push('\\');
                regex.extend(letters.next());
            }
            other => regex.push(other),
        }
    }
    regex.push_str(")$");
    regex
}

#[cfg(test)]
mod tests {
    use super::{clock_of_digits, east_of_greenwich, interval_in_units, similar_as_regex, with_seconds};

    #[test]
    fn literals_say_all_that_is_left_out() {
        assert_eq!(with_seconds("2026-01-01 10:30").as_deref(), Some("2026-01-01 10:30:00"));
        assert_eq!(with_seconds("2026-01-01T10:30+02").as_deref(), Some("2026-01-01 10:30:00+02"));
        assert_eq!(with_seconds("2026-01-01 10:30:05"), None);
        assert_eq!(with_seconds("2026-01-01"), None);
        assert_eq!(
            interval_in_units("1 day -04:05:06.5").as_deref(),
            Some("1 days -14706500000 microseconds")
        );
        assert_eq!(interval_in_units("P1Y2W").as_deref(), Some("12 months 14 days"));
        assert_eq!(interval_in_units("0").as_deref(), Some("0 days"));
        assert_eq!(interval_in_units("PT"), None);
        assert_eq!(clock_of_digits("1030").as_deref(), Some("10:30:00"));
        assert_eq!(clock_of_digits("103005").as_deref(), Some("10:30:05"));
        assert_eq!(clock_of_digits("10:30"), None);
        assert_eq!(east_of_greenwich("-03:30").as_deref(), Some("+03:30"));
        assert_eq!(east_of_greenwich("Europe/Berlin"), None);
        assert_eq!(similar_as_regex("a%(b|c)_."), "^(?:a.*(b|c).\\.)$");
    }
}
