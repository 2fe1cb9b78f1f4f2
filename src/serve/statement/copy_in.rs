//! `COPY ... FROM STDIN`: rows that a client sends for a source.

use super::copy::{CopyOptions, Given, no_files, options};
use super::models::{Named, named};
use super::utility::Cursor;
use crate::serve::Error;
use datafusion::sql::sqlparser::tokenizer::Token;

/// What is copied into, and how its rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyIn {
    /// Whose rows they become.
    pub table: Named,
    /// The columns that come, in their order; `None` is all.
    pub columns: Option<Vec<String>>,
    /// How they are written.
    pub options: CopyOptions,
}

/// Reads what follows `COPY [BINARY]`; `None` where it is no `name [(columns)] FROM`.
pub(super) fn copy_in(mut cursor: Cursor<'_>, given: Given) -> Option<Result<CopyIn, Error>> {
    let table = named(&mut cursor).ok()?;
    let mut columns = None;
    if cursor.take(&Token::LParen) {
        let mut names = vec![cursor.name().ok()?];
        while cursor.take(&Token::Comma) {
            names.push(cursor.name().ok()?);
        }
        cursor.expect(&Token::RParen).ok()?;
        columns = Some(names);
    }
    if !cursor.take_word("FROM") {
        return None;
    }
    let options = match cursor.take_word("STDIN") {
        true => options(&mut cursor, given, true),
        false => Err(no_files("pg_read_server_files", "from")),
    };
    Some(options.map(|options| CopyIn { table, columns, options }))
}
