//! Parses the statements of a file: splits it at its semicolons and dispatches on the first words.

use super::cursor::{Cursor, SourceText};
use super::refusal::{self, refuse};
use super::{Definition, Error, access, alert, audit, foreign, hint_did_you_mean, model, outside, unit_test};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError};
use std::path::Path;

/// Parses every statement of a file. `file` is its path relative to the project folder, for [`super::Origin`]s.
/// All errors of the file are reported together, in order: after one, reading goes on behind the next semicolon.
pub fn parse_file(file: &Path, text: &str) -> Result<Vec<Definition>, Vec<Error>> {
    let source = SourceText::new(file, text);
    let mut tokens: Vec<TokenWithSpan> = vec![];
    let torn = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location_into_buf(&mut tokens).err();
    tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));

    let mut definitions: Vec<Definition> = vec![];
    let mut errors: Vec<Error> = vec![];
    let mut statements = split(&tokens);
    if torn.is_some() && tokens.last().is_some_and(|t| t.token != Token::SemiColon) {
        // What the tokenizer could not finish is in the last piece: its own error says it best.
        statements.pop();
    }
    for statement in statements {
        let mut cursor = Cursor::new(&source, statement.tokens, statement.end);
        match definition(&mut cursor) {
            Ok(definition) => definitions.push(definition),
            Err(error) => errors.push(error),
        }
    }
    errors.extend(torn.map(|error| torn_text(&source, error)));
    if errors.is_empty() { Ok(definitions) } else { Err(errors) }
}

/// One statement's tokens and where it ends.
struct Piece<'a> {
    tokens: &'a [TokenWithSpan],
    end: Location,
}

fn split(tokens: &[TokenWithSpan]) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    let mut rest = tokens;
    while !rest.is_empty() {
        let length = rest.iter().position(|t| t.token == Token::SemiColon).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(length);
        let end = behind.first().map(|semicolon| semicolon.span.start).or(piece.last().map(|t| t.span.end));
        if let (false, Some(end)) = (piece.is_empty(), end) {
            pieces.push(Piece { tokens: piece, end });
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    pieces
}

fn torn_text(source: &SourceText<'_>, error: TokenizerError) -> Error {
    let mut letters = error.message.trim_end_matches('.').chars();
    let message = letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect());
    let hint = if message.contains("comment") {
        "Close the comment with */."
    } else if message.contains("identifier") || message.contains("close delimiter") {
        "Close the name with a double quote."
    } else {
        "Close the string with a single quote; a quote inside it is written twice."
    };
    Error::syntax(source.origin(error.location), message).with_hint(hint)
}

/// First words of every statement of a file, for suggestions.
const HEADS: &[&str] = &[
    "CREATE SECRET",
    "CREATE CONNECTION",
    "CREATE SCHEMA",
    "CREATE SOURCE",
    "CREATE ALERT",
    "CREATE STREAMING TABLE",
    "CREATE OR REFRESH STREAMING TABLE",
    "CREATE MATERIALIZED VIEW",
    "CREATE VIEW",
    "CREATE AUDIT",
    "EXECUTE UNIT TEST",
    "COMMENT ON",
    "CREATE ROLE",
    "CREATE POLICY",
    "GRANT",
];

fn definition(cursor: &mut Cursor<'_>) -> Result<Definition, Error> {
    if cursor.at_words(&["CREATE", "SECRET"]) {
        return outside::secret(cursor).map(Definition::Secret);
    }
    if cursor.at_words(&["CREATE", "CONNECTION"]) {
        return outside::connection(cursor).map(Definition::Connection);
    }
    if cursor.at_words(&["CREATE", "SCHEMA"]) {
        return outside::schema(cursor).map(Definition::Schema);
    }
    if cursor.at_words(&["CREATE", "SOURCE"]) && foreign::is_foreign(cursor) {
        return foreign::foreign(cursor).map(Definition::Foreign);
    }
    if cursor.at_words(&["CREATE", "SOURCE"]) {
        return outside::source(cursor).map(Definition::Source);
    }
    if cursor.at_words(&["COMMENT", "ON"]) {
        return model::comment(cursor).map(Definition::Comment);
    }
    if cursor.at_words(&["CREATE", "AUDIT"]) || cursor.at_words(&["CREATE", "OR", "REPLACE", "AUDIT"]) {
        return audit::audit(cursor).map(Definition::Audit);
    }
    if cursor.at_words(&["EXECUTE", "UNIT", "TEST"]) {
        return unit_test::unit_test(cursor).map(Definition::UnitTest);
    }
    if cursor.at_words(&["CREATE", "ALERT"]) || cursor.at_words(&["CREATE", "OR", "REPLACE", "ALERT"]) {
        return alert::alert(cursor).map(Definition::Alert);
    }
    if access::is_access(cursor) {
        return access::access(cursor).map(Definition::Access);
    }
    refuse(cursor, refusal::STATEMENTS)?;
    computed(cursor)
}

/// `CREATE [OR REFRESH | OR REPLACE] STREAMING TABLE | MATERIALIZED VIEW | VIEW`
fn computed(cursor: &mut Cursor<'_>) -> Result<Definition, Error> {
    let unknown = unknown_statement(cursor);
    if !cursor.take_word("CREATE") {
        return Err(unknown);
    }
    let or_origin = cursor.origin();
    let refresh = cursor.take_words(&["OR", "REFRESH"]);
    let replace = !refresh && cursor.take_words(&["OR", "REPLACE"]);
    if cursor.take_words(&["STREAMING", "TABLE"]) {
        if replace {
            return Err(Error::unsupported(or_origin, "OR REPLACE of a streaming table is not supported")
                .with_hint("Write CREATE OR REFRESH STREAMING TABLE: rows that were taken are kept."));
        }
        return model::streaming_table(cursor).map(Definition::StreamingTable);
    }
    if cursor.take_words(&["MATERIALIZED", "VIEW"]) {
        return model::materialized_view(cursor).map(Definition::MaterializedView);
    }
    if cursor.take_words(&["VIEW"]) {
        if refresh {
            return Err(Error::syntax(or_origin, "a view is not stored: it has nothing to refresh")
                .with_hint("Write CREATE OR REPLACE VIEW, or make it a materialized view."));
        }
        return model::view(cursor).map(Definition::View);
    }
    Err(unknown)
}

fn unknown_statement(cursor: &Cursor<'_>) -> Error {
    const WORDS_SHOWN: usize = 3;
    let words = (0..WORDS_SHOWN).map_while(|n| match cursor.peek_nth(n) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    });
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        return cursor.unexpected("a statement");
    }
    // The name of the object may be among the words: the nearest head of any length counts.
    let hint =
        (1..=words.len()).rev().find_map(|n| hint_did_you_mean(&words[..n].join(" "), HEADS.iter().copied()));
    let shown = if words[0] == "CREATE" { words[..words.len().min(2)].join(" ") } else { words[0].clone() };
    Error::syntax(cursor.statement_origin(), format!("\"{shown}\" begins no statement of this language"))
        .with_hint(hint.unwrap_or_else(|| format!("Statements are {}.", HEADS.join(", "))))
}

/// Refuses `IF NOT EXISTS`, where an object's name comes next.
pub(super) fn refuse_if_not_exists(cursor: &Cursor<'_>) -> Result<(), Error> {
    if cursor.at_words(&["IF", "NOT", "EXISTS"]) {
        return Err(Error::unsupported(cursor.origin(), "IF NOT EXISTS is not supported")
            .with_hint("Files are the truth: leave it out."));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
