//! What the parser does not read, or not as it is meant, in words that it reads: `TABLE t LIMIT 1`, `FETCH FIRST (n) ROWS ONLY`,
//! `trim(BOTH FROM x)`, `ORDER BY x USING >`, `f(a := 1)`, `'1 day'::interval PRECEDING`, `INTERVAL '1' DAY TO HOUR`.
//!
//! Comes in: the tokens of a query without blanks. Goes out: the same in other words, each at the place of what it stands for.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Tokens that the parser reads as they are meant.
pub fn respelled(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut read = Vec::with_capacity(tokens.len());
    let mut place = 0;
    while place < tokens.len() {
        let rest = &tokens[place..];
        let respelled = table(&read, rest)
            .or_else(|| fetch(rest))
            .or_else(|| trim(rest))
            .or_else(|| using(rest))
            .or_else(|| frame(rest))
            .or_else(|| fields(rest))
            .or_else(|| (rest[0].token == Token::Assignment).then(|| (vec![Token::RArrow], 1)));
        if let Some((words, taken)) = respelled {
            let span = tokens[place].span;
            read.extend(words.into_iter().map(|token| TokenWithSpan::new(token, span)));
            place += taken;
        } else {
            read.push(std::mem::replace(&mut tokens[place], TokenWithSpan::wrap(Token::EOF)));
            place += 1;
        }
    }
    read
}

/// Other tokens, and how many they stand for.
type Respelled = Option<(Vec<Token>, usize)>;

fn is(token: Option<&TokenWithSpan>, words: &[&str]) -> bool {
    match token.map(|token| &token.token) {
        Some(Token::Word(word)) => {
            word.quote_style.is_none() && words.iter().any(|of| word.value.eq_ignore_ascii_case(of))
        }
        _ => false,
    }
}

fn is_token(token: Option<&TokenWithSpan>, of: &Token) -> bool {
    token.is_some_and(|token| token.token == *of)
}

/// `TABLE t` where a query begins is `SELECT * FROM t`.
fn table(before: &[TokenWithSpan], rest: &[TokenWithSpan]) -> Respelled {
    let last = before.last();
    let begins = last.is_none()
        || is_token(last, &Token::LParen)
        || is_token(last, &Token::RParen)
        || is(last, &["UNION", "EXCEPT", "INTERSECT", "ALL", "DISTINCT"]);
    (begins && is(rest.first(), &["TABLE"]) && rest.len() > 1).then(|| {
        let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
        (words.to_vec(), 1)
    })
}

/// `FETCH FIRST (n) ROWS ONLY` is `LIMIT (n)`.
fn fetch(rest: &[TokenWithSpan]) -> Respelled {
    let begins = is(rest.first(), &["FETCH"])
        && is(rest.get(1), &["FIRST", "NEXT"])
        && is_token(rest.get(2), &Token::LParen);
    let end = if begins { closing(rest, 2)? } else { return None };
    (is(rest.get(end + 1), &["ROW", "ROWS"]) && is(rest.get(end + 2), &["ONLY"])).then(|| {
        let count = rest[2..=end].iter().map(|token| token.token.clone());
        (std::iter::once(Token::make_keyword("LIMIT")).chain(count).collect(), end + 3)
    })
}

/// Where a parenthesis ends that begins at a place.
fn closing(tokens: &[TokenWithSpan], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(start) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => return Some(place),
            Token::RParen => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// `trim(BOTH FROM x)` trims blanks.
fn trim(rest: &[TokenWithSpan]) -> Respelled {
    let bare = is(rest.first(), &["BOTH", "LEADING", "TRAILING"]) && is(rest.get(1), &["FROM"]);
    bare.then(|| (vec![rest[0].token.clone(), Token::SingleQuotedString(" ".to_string())], 1))
}

/// `ORDER BY x USING >` is `ORDER BY x DESC`.
fn using(rest: &[TokenWithSpan]) -> Respelled {
    let order = match rest.get(1)?.token {
        Token::Lt => "ASC",
        Token::Gt => "DESC",
        _ => return None,
    };
    is(rest.first(), &["USING"]).then(|| (vec![Token::make_keyword(order)], 2))
}

/// A frame's `'1 day'::interval PRECEDING`.
fn frame(rest: &[TokenWithSpan]) -> Respelled {
    let Token::SingleQuotedString(_) = rest.first()?.token else { return None };
    let is_bound = is_token(rest.get(1), &Token::DoubleColon)
        && is(rest.get(2), &["INTERVAL"])
        && is(rest.get(3), &["PRECEDING", "FOLLOWING"]);
    is_bound.then(|| (vec![Token::make_keyword("INTERVAL"), rest[0].token.clone()], 3))
}

/// `INTERVAL '1 2:30' DAY TO MINUTE`: the text says what it is. What two numbers with a dash are are years and months.
fn fields(rest: &[TokenWithSpan]) -> Respelled {
    let fields = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"];
    let Token::SingleQuotedString(_) = rest.get(1)?.token else { return None };
    let is_range = is(rest.first(), &["INTERVAL"])
        && is(rest.get(2), &fields)
        && is(rest.get(3), &["TO"])
        && is(rest.get(4), &fields);
    is_range.then(|| (vec![rest[0].token.clone(), rest[1].token.clone()], 5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    #[test]
    fn read_as_meant() {
        for (query, meant) in [
            ("TABLE t LIMIT 1", "SELECT * FROM t LIMIT 1"),
            ("WITH q AS (TABLE s.t) TABLE q", "WITH q AS ( SELECT * FROM s . t ) SELECT * FROM q"),
            ("VALUES (1) UNION ALL TABLE t", "VALUES ( 1 ) UNION ALL SELECT * FROM t"),
            ("SELECT 1 AS table", "SELECT 1 AS table"),
            ("SELECT 1 FETCH FIRST (1 + (1)) ROWS ONLY", "SELECT 1 LIMIT ( 1 + ( 1 ) )"),
            ("SELECT 1 FETCH FIRST 3 ROWS ONLY", "SELECT 1 FETCH FIRST 3 ROWS ONLY"),
            ("SELECT 1 FETCH FIRST (3) ROWS WITH TIES", "SELECT 1 FETCH FIRST ( 3 ) ROWS WITH TIES"),
            ("SELECT trim(both FROM x)", "SELECT trim ( both ' ' FROM x )"),
            ("SELECT trim(both 'x' FROM x)", "SELECT trim ( both 'x' FROM x )"),
            ("SELECT x FROM t ORDER BY x USING >, y USING <", "SELECT x FROM t ORDER BY x DESC , y ASC"),
            ("SELECT 1 FROM a JOIN b USING (x)", "SELECT 1 FROM a JOIN b USING ( x )"),
            ("SELECT make_interval(days := 1)", "SELECT make_interval ( days => 1 )"),
            ("RANGE '1 day'::interval PRECEDING", "RANGE INTERVAL '1 day' PRECEDING"),
            ("SELECT '1 day'::interval", "SELECT '1 day' :: interval"),
            ("SELECT INTERVAL '1 2:30' DAY TO MINUTE", "SELECT INTERVAL '1 2:30'"),
        ] {
            let tokens = Tokenizer::new(&PostgreSqlDialect {}, query).tokenize_with_location().unwrap();
            let words = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
            let read: Vec<_> =
                respelled(words.collect()).iter().map(|token| token.token.to_string()).collect();
            assert_eq!(read.join(" "), meant);
        }
    }
}
