//! What stands in SQL for people alone: its comments.

use super::cursor::SourceText;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};
use std::ops::Range;
use std::path::Path;

/// Where the comments of a text stand, in bytes; of one that cannot be read none are known.
pub fn remarks(text: &str) -> Vec<Range<usize>> {
    let source = SourceText::new(Path::new(""), text);
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().unwrap_or_default();
    let is_remark = |token: &&TokenWithSpan| {
        matches!(
            token.token,
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
        )
    };
    tokens.iter().filter(is_remark).map(|token| source.range(token.span.start, token.span.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::remarks;

    #[test]
    fn comments_are_found_and_nothing_else() {
        let text = "-- é one\nSELECT '-- no', \"/* no */\" /* two\nlines */ FROM a -- three";
        let found: Vec<&str> = remarks(text).into_iter().map(|range| text[range].trim_end()).collect();
        assert_eq!(found, ["-- é one", "/* two\nlines */", "-- three"]);
        assert!(remarks("SELECT 'torn -- ").is_empty());
    }
}
