//! `?` → `$1`: the placeholders of JDBC, ODBC and Python's DB-API in PostgreSQL's words.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};
use std::borrow::Cow;

/// The statement with each `?` outside of strings, names and comments replaced by `$1`, `$2` ...; a statement that
/// cannot be tokenized or has `$n` of its own is left to the parser as it is.
pub(super) fn numbered(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return Cow::Borrowed(sql);
    }
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location() else {
        return Cow::Borrowed(sql);
    };
    let is_numbered = |t: &Token| matches!(t, Token::Placeholder(name) if name != "?");
    if tokens.iter().any(|t| is_numbered(&t.token)) {
        return Cow::Borrowed(sql);
    }
    let mut marks = tokens
        .iter()
        .filter(|t| match &t.token {
            Token::Question => true,
            Token::Placeholder(name) => name == "?",
            _ => false,
        })
        .map(|t| t.span.start)
        .peekable();
    let mut text = String::with_capacity(sql.len() + 8);
    let mut at = Location { line: 1, column: 1 };
    let mut count = 0;
    for c in sql.chars() {
        if c == '?' && marks.next_if_eq(&at).is_some() {
            count += 1;
            text.push_str(&format!("${count}"));
        } else {
            text.push(c);
        }
        at = if c == '\n' {
            Location { line: at.line + 1, column: 1 }
        } else {
            Location { line: at.line, column: at.column + 1 }
        };
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn marks_are_numbered_and_what_is_quoted_stays() {
        let cases = [
            ("SELECT 1", "SELECT 1"),
            ("SELECT * FROM t WHERE a = ? AND b>?", "SELECT * FROM t WHERE a = $1 AND b>$2"),
            (
                "SELECT '?', \"?\", E'\\'?', ? -- ?\n, ?/* ? */",
                "SELECT '?', \"?\", E'\\'?', $1 -- ?\n, $2/* ? */",
            ),
            ("SELECT 'ünï''?'\n  , ?", "SELECT 'ünï''?'\n  , $1"),
            ("SELECT $1, '?'", "SELECT $1, '?'"),
            ("SELECT (?), (?)", "SELECT ($1), ($2)"),
            ("SELECT 'open ?", "SELECT 'open ?"),
        ];
        for (given, expected) in cases {
            assert_eq!(numbered(given), expected);
        }
    }
}
