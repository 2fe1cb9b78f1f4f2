//! The statements that are not queries: read token by token, since their grammar is small and
//! PostgreSQL's words (`on`, `ISO, MDY`, `*`) are not expressions.

use super::{Begin, Discarded, Modes, Statement, cursors, deploy, models, near};
use crate::serve::Error;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// Reads a statement that begins with `first`; `None` if it is none of this file's.
pub(super) fn parse(sql: &str, first: &str, tokens: &[TokenWithSpan]) -> Option<Result<Statement, Error>> {
    let mut cursor = Cursor::new(sql, &tokens[1..]);
    let statement = match first {
        "SET" => set(&mut cursor),
        "RESET" => reset(&mut cursor),
        "SHOW" => show(&mut cursor),
        "BEGIN" => {
            let _ = cursor.take_word("WORK") || cursor.take_word("TRANSACTION");
            cursor.modes().map(|modes| Statement::Begin(Begin { starts: false, modes }))
        }
        "START" => cursor
            .expect_word("TRANSACTION")
            .and_then(|()| cursor.modes())
            .map(|modes| Statement::Begin(Begin { starts: true, modes })),
        "COMMIT" | "END" => cursor.transaction_end().map(|chain| Statement::Commit { chain }),
        "ROLLBACK" | "ABORT" => rollback(&mut cursor),
        "SAVEPOINT" => cursor.name().map(Statement::Savepoint),
        "RELEASE" => {
            let _ = cursor.take_word("SAVEPOINT");
            cursor.name().map(Statement::Release)
        }
        "DISCARD" => discard(&mut cursor),
        "DEALLOCATE" => {
            let _ = cursor.take_word("PREPARE");
            cursor.name_or_all().map(Statement::Deallocate)
        }
        "FETCH" | "MOVE" => cursors::fetch(&mut cursor, first == "MOVE"),
        "CLOSE" => cursor.name_or_all().map(Statement::Close),
        "REFRESH" => models::refresh(&mut cursor),
        "VERIFY" => models::verify(&mut cursor),
        "ERASE" => deploy::erase(&mut cursor),
        "PLAN" => Ok(Statement::Plan),
        "APPLY" => deploy::apply(&mut cursor),
        "BACKFILL" => models::backfill(&mut cursor),
        "REPLAY" => models::replay(sql, &mut cursor),
        "UNLISTEN" => if cursor.take(&Token::Mul) { Ok(()) } else { cursor.name().map(drop) }
            .map(|()| Statement::Unlisten),
        _ => return None,
    };
    Some(statement.and_then(|statement| cursor.end().map(|()| statement)))
}

fn set(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    let local = cursor.take_word("LOCAL");
    let session = !local && cursor.peek_after_session();
    if session {
        cursor.advance();
    }
    if session && cursor.take_word("CHARACTERISTICS") {
        cursor.expect_word("AS")?;
        cursor.expect_word("TRANSACTION")?;
        return Ok(Statement::SetTransaction { modes: cursor.modes()?, session: true });
    }
    if !session && cursor.take_word("TRANSACTION") {
        return Ok(Statement::SetTransaction { modes: cursor.modes()?, session: false });
    }
    if cursor.take_word("SESSION") || session && cursor.is_word("AUTHORIZATION") {
        cursor.expect_word("AUTHORIZATION")?;
        return Ok(Statement::SetRole { role: cursor.user("DEFAULT")?, local });
    }
    if cursor.take_word("ROLE") {
        let _ = cursor.take(&Token::Eq) || cursor.take_word("TO");
        return Ok(Statement::SetRole { role: cursor.user("NONE")?, local });
    }
    let name = if cursor.take_word("TIME") {
        cursor.expect_word("ZONE")?;
        "timezone".to_string()
    } else if cursor.take_word("NAMES") {
        "client_encoding".to_string()
    } else {
        let name = cursor.dotted_name()?;
        if !cursor.take(&Token::Eq) {
            cursor.expect_word("TO")?;
        }
        name
    };
    let value = cursor.setting_value(name == "search_path")?;
    let default = name == "timezone" && value.as_deref() == Some("local");
    Ok(Statement::Set { name, value: value.filter(|_| !default), local })
}

fn reset(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    if cursor.take_word("ALL") {
        return Ok(Statement::ResetAll);
    }
    if cursor.take_word("SESSION") {
        cursor.expect_word("AUTHORIZATION")?;
        return Ok(Statement::Reset("role".to_string()));
    }
    if cursor.take_word("TIME") {
        cursor.expect_word("ZONE")?;
        return Ok(Statement::Reset("timezone".to_string()));
    }
    cursor.dotted_name().map(Statement::Reset)
}

fn show(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    if cursor.take_word("ALL") {
        return Ok(Statement::ShowAll);
    }
    if cursor.take_word("TIME") {
        cursor.expect_word("ZONE")?;
        return Ok(Statement::Show("timezone".to_string()));
    }
    if cursor.take_word("TRANSACTION") {
        cursor.expect_word("ISOLATION")?;
        cursor.expect_word("LEVEL")?;
        return Ok(Statement::Show("transaction_isolation".to_string()));
    }
    if cursor.take_word("SESSION") {
        cursor.expect_word("AUTHORIZATION")?;
        return Ok(Statement::Show("session_authorization".to_string()));
    }
    cursor.dotted_name().map(Statement::Show)
}

fn rollback(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    let _ = cursor.take_word("WORK") || cursor.take_word("TRANSACTION");
    if cursor.take_word("TO") {
        let _ = cursor.take_word("SAVEPOINT");
        return cursor.name().map(Statement::RollbackTo);
    }
    cursor.transaction_end().map(|chain| Statement::Rollback { chain })
}

fn discard(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    let what = match cursor.name()?.as_str() {
        "all" => Discarded::All,
        "plans" => Discarded::Plans,
        "sequences" => Discarded::Sequences,
        "temp" | "temporary" => Discarded::Temporary,
        _ => return Err(cursor.unexpected_before()),
    };
    Ok(Statement::Discard(what))
}

/// Walks over tokens without spaces.
pub(super) struct Cursor<'a> {
    sql: &'a str,
    tokens: &'a [TokenWithSpan],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(sql: &'a str, tokens: &'a [TokenWithSpan]) -> Self {
        Self { sql, tokens, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// The tokens not yet read.
    pub(super) fn rest(&self) -> &'a [TokenWithSpan] {
        &self.tokens[self.at.min(self.tokens.len())..]
    }

    pub(super) fn unexpected(&self) -> Error {
        near(self.sql, self.tokens.get(self.at))
    }

    fn unexpected_before(&self) -> Error {
        near(self.sql, self.tokens.get(self.at.saturating_sub(1)))
    }

    /// The tokens not yet read, as read.
    pub(super) fn take_rest(&mut self) -> &'a [TokenWithSpan] {
        let rest = self.rest();
        self.at = self.tokens.len();
        rest
    }

    pub(super) fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, token: &Token) -> Result<(), Error> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn is_word(&self, expected: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word))
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
    }

    pub(super) fn take_word(&mut self, expected: &str) -> bool {
        let found = self.is_word(expected);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_word(&mut self, expected: &str) -> Result<(), Error> {
        if self.take_word(expected) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// True at `SESSION` used as a scope: `SET SESSION x = 1`, `SET SESSION CHARACTERISTICS`, not as a setting's name.
    fn peek_after_session(&self) -> bool {
        self.is_word("SESSION")
            && matches!(self.tokens.get(self.at + 1).map(|t| &t.token), Some(Token::Word(_)))
    }

    /// True where a parenthesised query begins.
    pub(super) fn at_query(&self) -> bool {
        ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| self.is_word(word))
            || self.peek() == Some(&Token::LParen)
    }

    /// An identifier, folded to lower case unless quoted.
    pub(super) fn name(&mut self) -> Result<String, Error> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.advance();
                Ok(if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() })
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(super) fn dotted_name(&mut self) -> Result<String, Error> {
        let mut name = self.name()?;
        while self.take(&Token::Period) {
            name = format!("{name}.{}", self.name()?);
        }
        Ok(name)
    }

    fn name_or_all(&mut self) -> Result<Option<String>, Error> {
        if self.take_word("ALL") { Ok(None) } else { self.name().map(Some) }
    }

    fn user(&mut self, none: &str) -> Result<Option<String>, Error> {
        if self.take_word(none) {
            return Ok(None);
        }
        match self.peek() {
            Some(Token::SingleQuotedString(name)) => {
                self.advance();
                Ok(Some(name.clone()))
            }
            _ => self.name().map(Some),
        }
    }

    /// A word or a string.
    pub(super) fn text(&mut self) -> Result<String, Error> {
        match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                self.advance();
                Ok(text.clone())
            }
            _ => self.name(),
        }
    }

    /// An option that is on when it has no value.
    pub(super) fn flag(&mut self, option: &str) -> Result<bool, Error> {
        let value = match self.peek() {
            Some(Token::SingleQuotedString(_)) => Some(self.text()?),
            _ => self.option_value(),
        };
        match value.as_deref().map(str::to_lowercase).as_deref() {
            None | Some("true" | "on" | "1") => Ok(true),
            Some("false" | "off" | "0") => Ok(false),
            _ => Err(Error::new("42601", format!("{option} requires a Boolean value"))),
        }
    }

    /// The value of an `EXPLAIN` option, if one is given.
    pub(super) fn option_value(&mut self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.advance();
                Some(word.value.to_lowercase())
            }
            Some(Token::Number(number, _)) => {
                self.advance();
                Some(number.clone())
            }
            _ => None,
        }
    }

    /// A setting's value: words, strings and numbers, several with commas between; `None` is `DEFAULT`. Of a list of names
    /// the quotes are part of it.
    fn setting_value(&mut self, of_names: bool) -> Result<Option<String>, Error> {
        if self.take_word("DEFAULT") {
            return Ok(None);
        }
        let mut values = Vec::new();
        loop {
            let sign = if self.take(&Token::Minus) { "-" } else { "" };
            let value = match self.peek() {
                Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => text.clone(),
                Some(Token::Number(number, _)) => format!("{sign}{number}"),
                Some(Token::Word(word)) if word.quote_style.is_some() && of_names => {
                    format!("\"{}\"", word.value)
                }
                Some(Token::Word(word)) if word.quote_style.is_some() => word.value.clone(),
                Some(Token::Word(word)) => word.value.to_lowercase(),
                _ => return Err(self.unexpected()),
            };
            self.advance();
            values.push(value);
            if !self.take(&Token::Comma) {
                return Ok(Some(values.join(", ")));
            }
        }
    }

    /// Transaction modes.
    fn modes(&mut self) -> Result<Modes, Error> {
        let mut modes = vec![];
        loop {
            let mode = if self.take_word("ISOLATION") {
                self.expect_word("LEVEL")?;
                let level = match self.name()?.as_str() {
                    "serializable" => "serializable",
                    "repeatable" => self.expect_word("READ").map(|()| "repeatable read")?,
                    "read" if self.take_word("COMMITTED") => "read committed",
                    "read" => self.expect_word("UNCOMMITTED").map(|()| "read uncommitted")?,
                    _ => return Err(self.unexpected_before()),
                };
                ("transaction_isolation", level)
            } else if self.take_word("READ") {
                let only = self.take_word("ONLY");
                if !only {
                    self.expect_word("WRITE")?;
                }
                ("transaction_read_only", if only { "on" } else { "off" })
            } else if self.take_word("NOT") {
                self.expect_word("DEFERRABLE")?;
                ("transaction_deferrable", "off")
            } else if self.take_word("DEFERRABLE") {
                ("transaction_deferrable", "on")
            } else {
                return Ok(modes);
            };
            modes.push(mode);
            let _ = self.take(&Token::Comma);
        }
    }

    /// `[WORK | TRANSACTION] [AND [NO] CHAIN]`: whether the next transaction begins at once.
    fn transaction_end(&mut self) -> Result<bool, Error> {
        let _ = self.take_word("WORK") || self.take_word("TRANSACTION");
        if !self.take_word("AND") {
            return Ok(false);
        }
        let chain = !self.take_word("NO");
        self.expect_word("CHAIN").map(|()| chain)
    }

    pub(super) fn end(&self) -> Result<(), Error> {
        if self.at >= self.tokens.len() { Ok(()) } else { Err(self.unexpected()) }
    }
}
