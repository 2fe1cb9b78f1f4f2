//! Operators and clauses: `OPERATOR(pg_catalog.~)`, `COLLATE`, `LIKE .. ESCAPE`, `extract`, `(row).field`.

use super::fragments::{call, cast, literal, take, text_of};
use super::names::{in_catalog, normalized};
use super::selects::of_other_numbers;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, DateTimeField, ExactNumberInfo, Expr, FunctionArg, FunctionArgExpr,
    FunctionArguments, UnaryOperator, Value,
};

/// Applies the rules to one expression.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        // There is one collation, so that naming it changes nothing.
        Expr::Collate { expr: inner, .. } => *expr = take(inner),
        // Each bit differs from what is set everywhere.
        Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr: inner } => {
            // Of the narrowest type: the other's is the result's.
            let all = cast(Expr::value(Value::Number("-1".to_string(), false)), DataType::SmallInt(None));
            let (left, right) = (Box::new(take(inner)), Box::new(all));
            let xor = Expr::BinaryOp { left, op: BinaryOperator::PGBitwiseXor, right };
            *expr = Expr::Nested(Box::new(xor));
        }
        Expr::BinaryOp { op, left, right } if is_arithmetic(op) => {
            of_other_numbers(within(left));
            of_other_numbers(within(right));
        }
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
            } else if let Some(escape) = escape_char.take() {
                **pattern = call("like_escape", vec![take(pattern), Expr::Value(escape)]);
            }
        }
        // What is a text, and no place, is a regular expression.
        Expr::Substring { expr: of, substring_from: Some(pattern), substring_for: None, .. }
            if is_text(pattern) =>
        {
            *expr = call("regexp_substring", vec![take(of), take(pattern)]);
        }
        // Seconds with their fraction.
        Expr::Extract { field: field @ DateTimeField::Second, .. } => {
            *field = DateTimeField::Microsecond;
            let microseconds = cast(take(expr), numeric(6));
            *expr = cast(divided(microseconds, "1000000"), numeric(6));
        }
        Expr::Function(function) if in_catalog(&function.name).as_deref() == Some("date_part") => {
            if let FunctionArguments::List(list) = &mut function.args
                && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(field))) = list.args.first_mut()
                && text_of(field).is_some_and(|text| text.starts_with("second"))
            {
                *field = literal("microsecond");
                *expr = divided(cast(take(expr), DataType::DoublePrecision), "1000000");
            }
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

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

/// What stands in parentheses.
fn within(expr: &mut Expr) -> &mut Expr {
    match expr {
        Expr::Nested(inner) => within(inner),
        other => other,
    }
}

/// The type of what `extract` gives, with so many digits behind the point: a numeric of which nobody said how many.
pub fn numeric(scale: i64) -> DataType {
    DataType::BigNumeric(ExactNumberInfo::PrecisionAndScale(20, scale))
}

fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { data_type: DataType::Text | DataType::Varchar(_), .. } => true,
        other => text_of(other).is_some(),
    }
}

fn divided(expr: Expr, by: &str) -> Expr {
    let right = Box::new(Expr::value(Value::Number(by.to_string(), false)));
    Expr::BinaryOp { left: Box::new(expr), op: BinaryOperator::Divide, right }
}

fn field_of(access: &AccessExpr) -> Option<String> {
    match access {
        AccessExpr::Dot(Expr::Identifier(field)) => Some(normalized(field)),
        _ => None,
    }
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
pub fn with_backslash(pattern: &str, escape: &str) -> String {
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
