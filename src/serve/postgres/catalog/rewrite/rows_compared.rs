//! Rows compared as values, LIKE with a list, and operators that are functions here: `(a, b) = (1, 2)`, `(a, b) IS NULL`,
//! `x LIKE ANY (ARRAY['a%'])`, `|/ 2`.

use super::arrays::items;
use super::fragments::{call, cast, literal, take, text_of};
use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, FunctionArguments, UnaryOperator};

/// Applies the rules to one expression.
pub fn rewrite(expr: &mut Expr) {
    let other = match expr {
        Expr::BinaryOp { left, op, right } => match (row(left), row(right)) {
            (Some(left), Some(right)) if *op == BinaryOperator::Overlaps => overlap(&left, &right),
            (Some(left), Some(right)) if left.len() == right.len() && !left.is_empty() => {
                compared(left, op, right)
            }
            _ if *op == BinaryOperator::PGStartsWith => {
                Some(call("starts_with", vec![take(left), take(right)]))
            }
            _ => None,
        },
        Expr::InList { expr: of, list, negated } => in_list(of, list, *negated),
        Expr::IsDistinctFrom(left, right) => distinct(left, right),
        Expr::IsNotDistinctFrom(left, right) => {
            distinct(left, right).map(|expr| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) })
        }
        Expr::IsNull(of) => each(of, Expr::IsNull),
        Expr::IsNotNull(of) => each(of, Expr::IsNotNull),
        Expr::UnaryOp { op, expr: of } => match op {
            UnaryOperator::PGSquareRoot => {
                Some(call("sqrt", vec![cast(take(of), DataType::DoublePrecision)]))
            }
            UnaryOperator::PGCubeRoot => Some(call("cbrt", vec![cast(take(of), DataType::DoublePrecision)])),
            UnaryOperator::PGAbs => Some(call("abs", vec![take(of)])),
            _ => None,
        },
        Expr::Like { negated, any: true, expr: of, pattern, escape_char } => {
            any(pattern, |pattern| Expr::Like {
                negated: *negated,
                any: false,
                expr: of.clone(),
                pattern: Box::new(pattern),
                escape_char: escape_char.clone(),
            })
        }
        Expr::ILike { negated, any: true, expr: of, pattern, escape_char } => {
            any(pattern, |pattern| Expr::ILike {
                negated: *negated,
                any: false,
                expr: of.clone(),
                pattern: Box::new(pattern),
                escape_char: escape_char.clone(),
            })
        }
        _ => None,
    };
    if let Some(other) = other {
        *expr = other;
    }
}

/// The parts of `(a, b)` and of `ROW(a, b)`.
fn row(expr: &Expr) -> Option<Vec<Expr>> {
    use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr};
    match expr {
        Expr::Tuple(parts) => Some(parts.clone()),
        Expr::Nested(inner) => row(inner),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let FunctionArguments::List(list) = &function.args else { return None };
            let part = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            };
            list.args.iter().map(part).collect()
        }
        _ => None,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    let side = |side: Expr| Box::new(Expr::Nested(Box::new(side)));
    Expr::Nested(Box::new(Expr::BinaryOp { left: side(left), op, right: side(right) }))
}

/// A row is NULL if all its parts are, and not NULL if none of them is.
fn each(of: &Expr, is: fn(Box<Expr>) -> Expr) -> Option<Expr> {
    let parts = row(of)?.into_iter().map(|part| is(Box::new(Expr::Nested(Box::new(part)))));
    parts.reduce(|all, one| binary(all, BinaryOperator::And, one))
}

/// Rows are distinct if some of their parts are.
fn distinct(left: &Expr, right: &Expr) -> Option<Expr> {
    let (left, right) = (row(left)?, row(right)?);
    let part = |(a, b)| {
        let side = |side| Box::new(Expr::Nested(Box::new(side)));
        Expr::Nested(Box::new(Expr::IsDistinctFrom(side(a), side(b))))
    };
    let parts = (left.len() == right.len()).then(|| left.into_iter().zip(right).map(part))?;
    parts.reduce(|any, one| binary(any, BinaryOperator::Or, one))
}

/// Part by part: all are equal, or the first that differs decides.
fn compared(left: Vec<Expr>, op: &BinaryOperator, right: Vec<Expr>) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    let pairs = left.into_iter().zip(right);
    let (strict, last) = match op {
        Eq => return pairs.map(|(a, b)| binary(a, Eq, b)).reduce(|all, one| binary(all, And, one)),
        NotEq => return pairs.map(|(a, b)| binary(a, NotEq, b)).reduce(|all, one| binary(all, Or, one)),
        Lt => (Lt, Lt),
        LtEq => (Lt, LtEq),
        Gt => (Gt, Gt),
        GtEq => (Gt, GtEq),
        _ => return None,
    };
    let mut decided: Option<Expr> = None;
    for (a, b) in pairs.rev() {
        decided = Some(match decided {
            None => binary(a, last.clone(), b),
            Some(rest) => {
                let equal = binary(binary(a.clone(), Eq, b.clone()), And, rest);
                binary(binary(a, strict.clone(), b), Or, equal)
            }
        });
    }
    decided
}

/// `(start, end) OVERLAPS (start, end)`: periods from the earlier of both on, up to the later and without it; one of no
/// length is its one moment. An end may be told as an interval.
fn overlap(left: &[Expr], right: &[Expr]) -> Option<Expr> {
    use BinaryOperator::{And, Eq, Gt, Lt, Or, Plus};
    let period = |of: &[Expr]| {
        let (start, end) = match of {
            [start, length @ Expr::Interval(_)] => (start, binary(start.clone(), Plus, length.clone())),
            [start, end] => (start, end.clone()),
            _ => return None,
        };
        let ends = vec![start.clone(), end];
        Some((call("least", ends.clone()), call("greatest", ends)))
    };
    let ((from, to), (other_from, other_to)) = (period(left)?, period(right)?);
    let later = binary(from.clone(), Gt, other_from.clone());
    let earlier = binary(from.clone(), Lt, other_from.clone());
    let begins_within = binary(
        binary(later, And, binary(from.clone(), Lt, other_to)),
        Or,
        binary(from, Eq, other_from.clone()),
    );
    Some(binary(begins_within, Or, binary(earlier, And, binary(other_from, Lt, to))))
}

/// `(a, b) IN ((1, 2), (3, 4))`
fn in_list(of: &Expr, list: &[Expr], negated: bool) -> Option<Expr> {
    let of = row(of).filter(|parts| parts.len() > 1)?;
    let found = list.iter().map(|item| compared(of.clone(), &BinaryOperator::Eq, row(item)?));
    let found = found.collect::<Option<Vec<_>>>()?;
    let any = found.into_iter().reduce(|any, one| binary(any, BinaryOperator::Or, one))?;
    Some(match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(any))) },
        false => any,
    })
}

/// A condition for one of several patterns.
fn any(patterns: &Expr, of: impl Fn(Expr) -> Expr) -> Option<Expr> {
    let patterns = match patterns {
        Expr::Nested(inner) => return any(inner, of),
        Expr::Array(array) => array.elem.clone(),
        text => items(text_of(text)?)?
            .into_iter()
            .map(|item| item.map(|item| literal(&item)))
            .collect::<Option<_>>()?,
    };
    let all = patterns.into_iter().map(|pattern| Expr::Nested(Box::new(of(pattern))));
    all.reduce(|any, one| binary(any, BinaryOperator::Or, one))
}
