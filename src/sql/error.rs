//! Errors in SQL files, placed.

use super::Origin;
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

impl Error {
    /// An error with its SQLSTATE.
    pub fn new(code: &'static str, origin: Origin, message: impl Into<String>) -> Self {
        Self { origin, message: message.into(), hint: None, code }
    }

    /// The text does not follow the grammar.
    pub fn syntax(origin: Origin, message: impl Into<String>) -> Self {
        Self::new("42601", origin, message)
    }

    /// The language knows it, this server does not do it.
    pub fn unsupported(origin: Origin, message: impl Into<String>) -> Self {
        Self::new("0A000", origin, message)
    }

    /// Adds what to do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do, if there is something to say.
    pub fn with_hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
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
