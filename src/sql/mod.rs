//! Our statements: a parser on top of sqlparser, and typed definitions.
//!
//! Comes in: the text of one SQL file (or of one statement typed in psql). Goes out: [`Definition`]s with their
//! [`Origin`], or an [`Error`] that says what, where (file, line, column), why and what to do. Nothing is guessed: what
//! the language knows but this server does not do yet is refused by name.

mod definition;
mod parser;

pub use definition::*;
pub use parser::parse_file;

use std::fmt;

/// An error in a SQL file, placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it: a full sentence.
    pub hint: Option<String>,
    /// The SQLSTATE it would have over the wire: 42601 syntax, 0A000 not supported, 42P01 ...
    pub code: &'static str,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}
