//! Errors as clients see them, in PostgreSQL's words.

use super::blamed::{OPERATOR, blamed};
use super::statement;
use std::fmt;

/// An error with its SQLSTATE: primary message (lower case, no full stop), detail and hint (full sentences).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// SQLSTATE: 42601 syntax, 42P01 no such table, 42703 no such column, 57014 cancelled, 53200 memory ...
    pub code: &'static str,
    /// The primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// What was being done: `COPY readings, line 7, column value: "abc"`.
    pub context: Option<String>,
    /// 1-based character position in the statement.
    pub position: Option<usize>,
    /// The same as line and column, until someone who has the text makes a position of it ([`Error::located`]).
    pub place: Option<(u64, u64)>,
}

impl Error {
    /// An error with a code and a message.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, detail: None, hint: None, context: None, position: None, place: None }
    }

    /// Adds what to do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds more about it.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what was being done.
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Adds where in the statement's text, in characters from 1.
    pub fn with_position(mut self, position: Option<usize>) -> Self {
        self.position = position;
        self
    }

    /// Makes a position of a line and column in `sql`, or of what the message names there.
    pub fn located(mut self, sql: &str) -> Self {
        if self.position.is_some() || self.context.is_some() {
            return self;
        }
        let told = self.place.and_then(|(line, column)| statement::position_of(sql, line, column));
        // Of these the engine tells where a part stands: a side, an argument, the first of several queries.
        let is_of_more = self.message.starts_with(OPERATOR)
            || self.message.ends_with("have the same number of columns")
            || self.message.ends_with("cannot be nested");
        let is_told = told.is_some() && !is_of_more;
        let named = || blamed(self.code, &self.message, sql, told);
        self.position = if is_told { told } else { named().or(told) };
        self
    }

    /// The user asked for the statement to stop.
    pub fn cancelled() -> Self {
        Self::new("57014", "canceling statement due to user request")
    }

    /// The statement ran longer than `statement_timeout`.
    pub fn timed_out() -> Self {
        Self::new("57014", "canceling statement due to statement timeout")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Error {}
