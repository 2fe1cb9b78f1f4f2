//! Where in a statement's text the thing stands that an error speaks of, where the engine does not say it: the literal
//! that does not read, the function, the operator or the type that is not there.

use super::postgres::catalog::types::types;
use super::statement::position_of;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// The place of what an error's message names, in characters from 1. `from` is where the engine saw it begin, if it told.
pub(super) fn blamed(code: &str, message: &str, sql: &str, from: Option<usize>) -> Option<usize> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().ok()?;
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let place = |token: &TokenWithSpan| position_of(sql, token.span.start.line, token.span.start.column);
    let first = |is_meant: &dyn Fn(usize) -> bool| {
        (0..tokens.len()).find(|at| is_meant(*at)).and_then(|at| place(&tokens[at]))
    };
    match code {
        "22P02" | "22007" | "22008" | "22003" => {
            let value = quoted_value(message)?;
            first(&|at| literal(&tokens[at].token) == Some(value))
        }
        "42883" | "42725" if symbol_of(message).is_some() => {
            let symbol = symbol_of(message)?;
            let is_behind =
                |at: usize| from.is_none_or(|from| place(&tokens[at]).is_some_and(|here| here >= from));
            let keyword = KEYWORDS.iter().find(|(of, _)| *of == symbol).map(|(_, keyword)| *keyword);
            let written = first(&|at| is_behind(at) && tokens[at].token.to_string() == symbol);
            written.or_else(|| {
                first(&|at| {
                    is_behind(at) && keyword.is_some_and(|keyword| is_word(&tokens[at].token, keyword))
                })
            })
        }
        "42883" => {
            let name = message.strip_prefix("function ")?.split(['(', ' ']).next()?.rsplit('.').next()?;
            // PostgreSQL's name of what is written `trim(...)`.
            let names = if name == "btrim" { ["btrim", "trim"] } else { [name; 2] };
            let is_call = |at: usize| tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen);
            let is_named =
                |at: usize| word(&tokens[at].token).is_some_and(|word| names.contains(&word.as_str()));
            first(&|at| is_named(at) && is_call(at))
        }
        "42703" | "42704" => {
            let name = message.split('"').nth(1)?;
            let is_name = |at: usize| word(&tokens[at].token).as_deref() == Some(name);
            // Of several it is not known which one is meant.
            ((0..tokens.len()).filter(|at| is_name(*at)).count() == 1).then(|| first(&is_name)).flatten()
        }
        "42712" => {
            let name = message.split('"').nth(1)?;
            let is_name = |at: &usize| word(&tokens[*at].token).as_deref() == Some(name);
            (0..tokens.len()).filter(is_name).nth(1).and_then(|at| place(&tokens[at]))
        }
        "42846" => {
            let is_cast =
                |at: &usize| tokens[*at].token == Token::DoubleColon || is_word(&tokens[*at].token, "cast");
            let target = types().by_name(message.rsplit_once(" to ")?.1).map(|ty| ty.oid);
            let to_target = |at: &usize| {
                let name = tokens.get(at + 1).and_then(|next| word(&next.token));
                let found = name.and_then(|name| types().by_name(&name)).map(|ty| ty.oid);
                tokens[*at].token == Token::DoubleColon && found.is_some() && found == target
            };
            let casts = || (0..tokens.len()).filter(is_cast);
            let cast = only(casts()).or_else(|| only(casts().filter(to_target)));
            cast.and_then(|at| place(&tokens[at]))
        }
        "42803" | "42804" => {
            let condition = only((0..tokens.len()).filter(|at| is_word(&tokens[*at].token, "where")))? + 1;
            if message.starts_with("argument of WHERE") {
                return place(tokens.get(condition)?);
            }
            let is_call = |at: &usize| {
                let next = tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen);
                next && AGGREGATES.iter().any(|name| is_word(&tokens[*at].token, name))
            };
            let aggregate = (condition..tokens.len()).find(is_call)?;
            message.ends_with("not allowed in WHERE").then(|| place(&tokens[aggregate])).flatten()
        }
        _ => None,
    }
}

/// Operators that have words, too.
const KEYWORDS: [(&str, &str); 8] = [
    ("~~", "like"),
    ("~~*", "ilike"),
    ("!~~", "not"),
    ("!~~*", "not"),
    ("=", "in"),
    ("<>", "in"),
    (">=", "between"),
    ("<=", "between"),
];

const AGGREGATES: [&str; 8] = ["count", "sum", "avg", "min", "max", "array_agg", "string_agg", "bool_and"];

/// The first of places, if there is no other.
fn only(mut places: impl Iterator<Item = usize>) -> Option<usize> {
    let first = places.next();
    first.filter(|_| places.next().is_none())
}

fn is_word(token: &Token, expected: &str) -> bool {
    word(token).is_some_and(|word| word == expected)
}

/// What the message of an operator that is not there begins with.
pub(super) const OPERATOR: &str = "operator does not exist: ";

const AMBIGUOUS: &str = "operator is not unique: ";

/// The symbol between the types of two sides: `text + integer`.
fn symbol_of(message: &str) -> Option<&str> {
    let is_symbol = |word: &&str| word.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c));
    let sides = message.strip_prefix(OPERATOR).or_else(|| message.strip_prefix(AMBIGUOUS))?;
    sides.split(' ').find(is_symbol)
}

/// `... type integer: "abc"`, `value "abc" is out of range ...`.
fn quoted_value(message: &str) -> Option<&str> {
    match message.strip_prefix("value \"") {
        Some(rest) => rest.rsplit_once("\" is out of range").map(|(value, _)| value),
        None => message.split_once(": \"")?.1.strip_suffix('"'),
    }
}

fn literal(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => Some(text),
        Token::DollarQuotedString(quoted) => Some(&quoted.value),
        _ => None,
    }
}

/// A name as it is looked up.
fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
        Token::Word(word) => Some(word.value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::blamed;

    #[test]
    fn as_postgresql_points() {
        for (code, message, sql, place) in [
            ("22P02", "invalid input syntax for type integer: \"abc\"", "select 1, 'abc'::int", Some(11)),
            ("22P02", "invalid input syntax for type integer: \"it's\"", "select 'it''s'::int", Some(8)),
            ("22003", "value \"9e9\" is out of range for type integer", "select '9e9'::int", Some(8)),
            ("22008", "date/time field value out of range: \"x\"", "select\n date 'x'", Some(14)),
            ("22P02", "invalid input syntax for type integer: \"abc\"", "select t::int from x", None),
            ("22003", "integer out of range", "select 1", None),
            ("42883", "function upper(integer) does not exist", "select 1, Upper (1)", Some(11)),
            ("42883", "operator does not exist: text + integer", "select a - b, t + 1", Some(17)),
            ("42704", "type \"nope\" does not exist", "select 1::nope", Some(11)),
            ("42703", "column \"n\" does not exist", "select n from t order by n", None),
            ("42712", "WITH query name \"a\" specified more than once", "with a as (x), a as (y)", Some(16)),
            ("42846", "cannot cast type a to b", "select 1, x::b", Some(12)),
            ("42804", "argument of WHERE must be type boolean, not type text", "select 1 where a", Some(16)),
            (
                "42803",
                "aggregate functions are not allowed in WHERE",
                "select count(*) where sum(a) > 1",
                Some(23),
            ),
            ("42P01", "relation \"n\" does not exist", "select 1 from n", None),
        ] {
            assert_eq!(blamed(code, message, sql, None), place, "{sql}");
        }
        let twice = "select a + 1, t + 1";
        let message = "operator does not exist: text + integer";
        assert_eq!(blamed("42883", message, twice, Some(15)), Some(17));
    }
}
