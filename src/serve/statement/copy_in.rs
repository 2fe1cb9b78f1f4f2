//! `COPY ... FROM STDIN`: rows that a client sends for a source.

use super::copy::{CopyOptions, Given, listed, spoken};
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
pub(super) fn copy_in(mut cursor: Cursor<'_>, mut given: Given) -> Option<Result<CopyIn, Error>> {
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
    let mut read = || {
        if !cursor.take_word("STDIN") {
            return Err(Error::new(
                "42501",
                "must be superuser or have privileges of the pg_read_server_files role to COPY from a file",
            )
            .with_hint(
                "Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
            ));
        }
        let _ = cursor.take_word("WITH");
        if cursor.take(&Token::LParen) {
            listed(&mut cursor, &mut given)?;
        } else {
            spoken(&mut cursor, &mut given)?;
        }
        cursor.end()?;
        std::mem::take(&mut given).complete(true)
    };
    let options = read();
    Some(options.map(|options| CopyIn { table, columns, options }))
}
