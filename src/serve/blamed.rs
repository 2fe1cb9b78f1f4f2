//! Where in a statement's text the thing stands that an error speaks of, where the engine does not say it: the literal
//! that does not read, the function, the operator or the type that is not there.

use super::postgres::catalog::read_json;
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
        "22P02" if message.ends_with("type json") => {
            let to_json = |token: &Token| is_word(token, "json") || is_word(token, "jsonb");
            let is_read = |at: &usize| {
                let cast = tokens.get(at + 1).is_some_and(|next| next.token == Token::DoubleColon);
                let target = tokens.get(at + 2).is_some_and(|target| to_json(&target.token));
                let text = literal(&tokens[*at].token);
                let is_broken = text.is_some_and(|text| read_json(text).is_err());
                let before = at.checked_sub(1).is_some_and(|before| to_json(&tokens[before].token));
                is_broken && (cast && target || before)
            };
            (0..tokens.len()).find(is_read).and_then(|at| place(&tokens[at]))
        }
        "22P02" | "22007" | "22008" | "22003" => {
            let value = quoted_value(message)?;
            // PostgreSQL knows the place of what it reads with the statement, not of what a function reads.
            let is_read = |at: usize| {
                let read = at.checked_sub(2).map(|call| &tokens[call].token);
                !read.is_some_and(|call| is_word(call, "to_date") || is_word(call, "to_timestamp"))
            };
            first(&|at| literal(&tokens[at].token) == Some(value) && is_read(at))
        }
        "3F000" => {
            let name = message.split('"').nth(1)?;
            let is_schema = |at: usize| {
                is_word(&tokens[at].token, name)
                    && tokens.get(at + 1).is_some_and(|next| next.token == Token::Period)
            };
            first(&is_schema)
        }
        "42P10" => {
            let clause = if message.starts_with("GROUP BY") { "group" } else { "order" };
            let is_clause = |at: &usize| {
                is_word(&tokens[*at].token, clause)
                    && tokens.get(at + 1).is_some_and(|by| is_word(&by.token, "by"))
            };
            let keys = only((0..tokens.len()).filter(is_clause))? + 2;
            match message.split_once(" position ").and_then(|(_, rest)| rest.split_once(' ')) {
                Some((number, _)) => {
                    let is_number = |at: &usize| matches!(&tokens[*at].token, Token::Number(digits, _) if digits == number);
                    (keys..tokens.len()).find(is_number).and_then(|at| place(&tokens[at]))
                }
                // Of several it is not known which one is meant.
                None if tokens[keys..].iter().any(|token| token.token == Token::Comma) => None,
                None => place(tokens.get(keys)?),
            }
        }
        "42P20" => {
            let condition = only((0..tokens.len()).filter(|at| is_word(&tokens[*at].token, "where")))?;
            let over = (condition..tokens.len()).find(|at| is_word(&tokens[*at].token, "over"))?;
            let call = call_before(&tokens, over)?;
            place(&tokens[call])
        }
        "42601" if message == "subquery must return only one column" => {
            let is_subquery = |at: &usize| {
                tokens[*at].token == Token::LParen
                    && tokens.get(at + 1).is_some_and(|next| is_word(&next.token, "select"))
            };
            only((0..tokens.len()).filter(is_subquery)).and_then(|at| place(&tokens[at]))
        }
        "42601" if message == "subquery has too many columns" => {
            let is_in = |at: &usize| is_word(&tokens[*at].token, "in");
            only((0..tokens.len()).filter(is_in)).and_then(|at| place(&tokens[at]))
        }
        "42601" if message.ends_with("have the same number of columns") => {
            let word = message.split(' ').nth(1)?.to_lowercase();
            let between = only((0..tokens.len()).filter(|at| is_word(&tokens[*at].token, &word)))?;
            let select = (between..tokens.len()).find(|at| is_word(&tokens[*at].token, "select"))?;
            place(tokens.get(select + 1)?)
        }
        "42809" => {
            let name = message.strip_prefix("window function ")?.split(' ').next()?;
            let is_call = |at: usize| tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen);
            first(&|at| is_word(&tokens[at].token, name) && is_call(at))
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
            let call = (0..tokens.len()).find(|at| is_named(*at) && is_call(*at))?;
            // Its schema comes first.
            let is_qualified = call.checked_sub(2).filter(|at| tokens[at + 1].token == Token::Period);
            place(&tokens[is_qualified.unwrap_or(call)])
        }
        "42703" | "42704" => {
            let name = message.split('"').nth(1)?;
            let is_name = |at: usize| word(&tokens[at].token).as_deref() == Some(name);
            // Of several it is not known which one is meant.
            ((0..tokens.len()).filter(|at| is_name(*at)).count() == 1).then(|| first(&is_name)).flatten()
        }
        "42712" if message.starts_with("WITH") => {
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
        "42803" if message.ends_with("cannot be nested") => {
            let is_aggregate = |at: &usize| AGGREGATES.iter().any(|name| is_word(&tokens[*at].token, name));
            // Of each parenthesis that is open, whether it is an aggregate's.
            let mut open: Vec<bool> = vec![];
            for at in 0..tokens.len() {
                match tokens[at].token {
                    Token::LParen => {
                        let of_aggregate = at.checked_sub(1).is_some_and(|before| is_aggregate(&before));
                        if of_aggregate && open.contains(&true) {
                            return place(&tokens[at - 1]);
                        }
                        open.push(of_aggregate);
                    }
                    Token::RParen => drop(open.pop()),
                    _ => {}
                }
            }
            None
        }
        "42804" if message.starts_with("argument of CASE/WHEN") => {
            let when = only((0..tokens.len()).filter(|at| is_word(&tokens[*at].token, "when")))?;
            place(tokens.get(when + 1)?)
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

/// The name of the function whose call ends before this token.
fn call_before(tokens: &[TokenWithSpan], end: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..end).rev() {
        match tokens[at].token {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return at.checked_sub(1);
        }
    }
    None
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
    match message.strip_prefix("value \"").or_else(|| message.strip_prefix('"')) {
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
            ("42883", "function s.f(integer) does not exist", "select 1, s.f(1)", Some(11)),
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
            ("3F000", "schema \"n\" does not exist", "select n.f(1)", Some(8)),
            ("42P10", "ORDER BY position 5 is not in select list", "select a from t order by a, 5", Some(29)),
            ("42P10", "GROUP BY position 5 is not in select list", "select 5 from t group by 5", Some(26)),
            (
                "42P10",
                "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                "select distinct a from t order by b",
                Some(35),
            ),
            (
                "42P20",
                "window functions are not allowed in WHERE",
                "select 1 where 1 = rank(a, (b)) over ()",
                Some(20),
            ),
            ("42803", "aggregate function calls cannot be nested", "select (1), max(1 + count(*))", Some(21)),
            ("42809", "window function rank requires an OVER clause", "select rank()", Some(8)),
            ("42601", "subquery has too many columns", "select 1 in (select 1, 2)", Some(10)),
            ("42601", "subquery must return only one column", "select (select 1, 2)", Some(8)),
            (
                "42601",
                "each UNION query must have the same number of columns",
                "select 1, 2 union all select 1",
                Some(30),
            ),
            (
                "42804",
                "argument of CASE/WHEN must be type boolean, not type integer",
                "select case when 1 then 2 end",
                Some(18),
            ),
            ("22P02", "invalid input syntax for type json", "select 'x', '{}'::json, '{'::json", Some(25)),
            ("22008", "date/time field value out of range: \"x\"", "select to_date('x', 'y')", None),
            ("42P01", "relation \"n\" does not exist", "select 1 from n", None),
        ] {
            assert_eq!(blamed(code, message, sql, None), place, "{sql}");
        }
        let twice = "select a + 1, t + 1";
        let message = "operator does not exist: text + integer";
        assert_eq!(blamed("42883", message, twice, Some(15)), Some(17));
    }
}
