//! Operators and clauses: `OPERATOR(pg_catalog.~)`, `COLLATE`, `LIKE .. ESCAPE`, `AT TIME ZONE`, `(row).field`.

use super::fragments::{call, literal, text_of};
use super::names::normalized;
use datafusion::sql::sqlparser::ast::{AccessExpr, BinaryOperator, Expr, Value};

/// Applies the rules to one expression.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        // There is one collation, so that naming it changes nothing.
        Expr::Collate { expr: inner, .. } => *expr = take(inner),
        Expr::BinaryOp { op, .. } => {
            if let BinaryOperator::PGCustomBinaryOperator(name) = op
                && let Some(plain) = name.last().and_then(|symbol| operator(symbol))
            {
                *op = plain;
            }
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            let escape = escape_char.as_ref().and_then(|escape| match &escape.value {
                Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
                _ => None,
            });
            if let (Some(text), Some(escape)) = (text_of(pattern), escape) {
                **pattern = literal(&with_backslash(text, &escape));
                *escape_char = None;
            }
        }
        Expr::AtTimeZone { time_zone, .. }
            if text_of(time_zone).is_some_and(|zone| zone.eq_ignore_ascii_case("utc")) =>
        {
            **time_zone = literal("UTC");
        }
        Expr::CompoundFieldAccess { root, access_chain } if matches!(root.as_ref(), Expr::Nested(_)) => {
            let fields: Option<Vec<String>> = access_chain.iter().map(field_of).collect();
            if let Some(fields) = fields {
                let row = take(root);
                *expr = fields.iter().fold(row, |row, field| call("get_field", vec![row, literal(field)]));
            }
        }
        _ => {}
    }
}

fn field_of(access: &AccessExpr) -> Option<String> {
    match access {
        AccessExpr::Dot(Expr::Identifier(field)) => Some(normalized(field)),
        _ => None,
    }
}

/// Moves an expression out of its place.
pub fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

fn operator(symbol: &str) -> Option<BinaryOperator> {
    Some(match symbol {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "||" => BinaryOperator::StringConcat,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        _ => return None,
    })
}

/// A LIKE pattern whose escape character is the usual backslash.
fn with_backslash(pattern: &str, escape: &str) -> String {
    let escape = escape.chars().next();
    let mut plain = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            // The next character stands for itself.
            if let Some(next) = characters.next() {
                if matches!(next, '%' | '_' | '\\') {
                    plain.push('\\');
                }
                plain.push(next);
            }
        } else if character == '\\' {
            plain.push_str("\\\\");
        } else {
            plain.push(character);
        }
    }
    plain
}
