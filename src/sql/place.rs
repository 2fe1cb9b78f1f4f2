//! Where a word stands in a statement, for errors of stages that know the word only.

use super::Origin;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// The last place where a statement's text has this word, in any letter case; `start` is where the statement stands.
pub fn word_origin(statement: &str, start: &Origin, word: &str) -> Option<Origin> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, statement).tokenize_with_location().ok()?;
    let is_it = |token: &Token| matches!(token, Token::Word(w) if w.value.eq_ignore_ascii_case(word));
    let at = tokens.iter().rev().find(|token| is_it(&token.token))?.span.start;
    let column = if at.line == 1 { start.column + at.column - 1 } else { at.column };
    Some(Origin { file: start.file.clone(), line: start.line + at.line - 1, column })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_from_the_end() {
        let start = Origin { file: "x.sql".into(), line: 3, column: 5 };
        let place =
            |statement: &str, word: &str| word_origin(statement, &start, word).map(|o| (o.line, o.column));
        assert_eq!(place("SELECT a,\n  A FROM b", "a"), Some((4, 3)));
        assert_eq!(place("SELECT a, 'b'", "a"), Some((3, 12)));
        assert_eq!(place("SELECT a, 'b'", "b"), None);
    }
}
