//! The statements about roles and rights: read as in the project's files.

use super::{Statement, text_of};
use crate::serve::Error;
use crate::sql::{AccessStatement, Definition, parse_file};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use std::path::Path;

/// Reads a statement that begins with `first`; `None` if it is not about rights.
pub(super) fn parse(sql: &str, first: &str, tokens: &[TokenWithSpan]) -> Option<Result<Statement, Error>> {
    let is_word = |token: &TokenWithSpan, words: &[&str]| {
        matches!(&token.token, Token::Word(word)
            if word.quote_style.is_none() && words.iter().any(|known| word.value.eq_ignore_ascii_case(known)))
    };
    let second = |words: &[&str]| tokens.get(1).is_some_and(|token| is_word(token, words));
    let is_access = match first {
        "GRANT" | "REVOKE" => true,
        "CREATE" | "DROP" => second(&["ROLE", "USER", "POLICY"]),
        "ALTER" => second(&["ROLE", "USER"]) || tokens.iter().any(|token| is_word(token, &["MASK"])),
        _ => false,
    };
    is_access.then(|| read(text_of(sql, tokens).unwrap_or_default()))
}

fn read(text: String) -> Result<Statement, Error> {
    let mut definitions = parse_file(Path::new(""), &text).map_err(|mut errors| match errors.is_empty() {
        true => Error::internal("a statement about rights was refused without an error"),
        // Where it stands counts from the statement's start: the message says it well enough.
        false => {
            let error = errors.remove(0);
            Error { hint: error.hint, ..Error::new(error.code, error.message) }
        }
    })?;
    match definitions.pop() {
        Some(Definition::Access(access)) => Ok(Statement::Access(access.statement)),
        _ => Err(Error::internal("a statement about rights was parsed as something else")),
    }
}

/// The word that PostgreSQL answers with.
pub(super) fn tag(statement: &AccessStatement) -> &'static str {
    match statement {
        AccessStatement::CreateRole { .. } => "CREATE ROLE",
        AccessStatement::AlterRole { .. } => "ALTER ROLE",
        AccessStatement::DropRoles { .. } => "DROP ROLE",
        AccessStatement::GrantRoles(_) => "GRANT ROLE",
        AccessStatement::RevokeRoles(_) => "REVOKE ROLE",
        AccessStatement::Grant(_) => "GRANT",
        AccessStatement::Revoke(_) => "REVOKE",
        AccessStatement::CreatePolicy(_) => "CREATE POLICY",
        AccessStatement::DropPolicy { .. } => "DROP POLICY",
        AccessStatement::SetMask(_) | AccessStatement::DropMask { .. } => "ALTER TABLE",
    }
}
