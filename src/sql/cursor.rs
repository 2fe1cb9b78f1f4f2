//! A cursor over the tokens of one statement: what every part of the grammar is written with.

use super::{Error, Origin};
use crate::lake::TableName;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// A file's text, with positions that can be turned into pieces of it.
pub(super) struct SourceText<'a> {
    file: &'a Path,
    text: &'a str,
    /// Byte offset of each line's start.
    lines: Vec<usize>,
}

impl<'a> SourceText<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, lines }
    }

    pub(super) fn origin(&self, location: Location) -> Origin {
        Origin { file: self.file.to_path_buf(), line: location.line, column: location.column }
    }

    /// The text from one position up to (not including) another.
    pub(super) fn between(&self, start: Location, end: Location) -> &'a str {
        self.text.get(self.offset(start)..self.offset(end)).unwrap_or_default()
    }

    /// The text that these tokens cover.
    pub(super) fn covered(&self, tokens: &[TokenWithSpan]) -> &'a str {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => self.between(first.span.start, last.span.end),
            _ => "",
        }
    }

    /// Where the text from one position up to (not including) another stands, in bytes.
    pub(super) fn range(&self, start: Location, end: Location) -> Range<usize> {
        self.offset(start)..self.offset(end)
    }

    fn offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(start) = self.lines.get(line).copied() else { return self.text.len() };
        let columns = usize::try_from(location.column).unwrap_or(usize::MAX).saturating_sub(1);
        self.text[start..].char_indices().nth(columns).map_or(self.text.len(), |(at, _)| start + at)
    }
}

/// An identifier with its place.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) at: Location,
}

/// A statement's tokens (comments and whitespace left out) and how far they are read.
pub(super) struct Cursor<'a> {
    pub(super) source: &'a SourceText<'a>,
    tokens: &'a [TokenWithSpan],
    next: usize,
    /// Where the statement ends: its `;`, or the end of its last token.
    end: Location,
    /// Of a `>>` that closes two type brackets, how many are taken.
    angles_taken: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a SourceText<'a>, tokens: &'a [TokenWithSpan], end: Location) -> Self {
        Self { source, tokens, next: 0, end, angles_taken: 0 }
    }

    // Looking.

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.peek_nth(0)
    }

    pub(super) fn peek_nth(&self, n: usize) -> Option<&'a Token> {
        self.tokens.get(self.next + n).map(|t| &t.token)
    }

    pub(super) fn at_end(&self) -> bool {
        self.next >= self.tokens.len()
    }

    /// Where the next token stands.
    pub(super) fn location(&self) -> Location {
        self.tokens.get(self.next).map_or(self.end, |t| t.span.start)
    }

    pub(super) fn origin(&self) -> Origin {
        self.source.origin(self.location())
    }

    /// Where the statement ends.
    pub(super) fn end_origin(&self) -> Origin {
        self.source.origin(self.end)
    }

    /// Where the statement's first token stands.
    pub(super) fn statement_origin(&self) -> Origin {
        self.source.origin(self.tokens.first().map_or(self.end, |t| t.span.start))
    }

    /// The whole statement's text.
    pub(super) fn statement_text(&self) -> &'a str {
        self.source.covered(self.tokens)
    }

    /// True when the next tokens are these words, unquoted, in any letter case. A word of one punctuation character
    /// stands for that token.
    pub(super) fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.peek_nth(n).is_some_and(|token| is_word(token, word)))
    }

    pub(super) fn at_word(&self, word: &str) -> bool {
        self.at_words(&[word])
    }

    // Taking.

    pub(super) fn advance(&mut self) -> Option<&'a TokenWithSpan> {
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        Some(token)
    }

    pub(super) fn take_words(&mut self, words: &[&str]) -> bool {
        let found = self.at_words(words);
        if found {
            self.next += words.len();
        }
        found
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        self.take_words(&[word])
    }

    pub(super) fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.next += 1;
        }
        found
    }

    /// Takes one `>`, out of what the tokenizer read as an operator of several (`>>`, `>>>`).
    pub(super) fn take_closing_angle(&mut self) -> bool {
        let angles = match self.peek() {
            Some(Token::Gt) => 1,
            Some(Token::ShiftRight) => 2,
            Some(Token::CustomBinaryOperator(text)) if text.bytes().all(|b| b == b'>') => text.len(),
            _ => return false,
        };
        self.angles_taken += 1;
        if self.angles_taken == angles {
            self.angles_taken = 0;
            self.next += 1;
        }
        true
    }

    /// Where the last token before a place stands.
    pub(super) fn location_before(&self, place: Location) -> Option<Location> {
        self.tokens.iter().map(|t| t.span.start).take_while(|start| *start < place).last()
    }

    /// The tokens that are left; the cursor then stands at the end.
    pub(super) fn rest(&mut self) -> &'a [TokenWithSpan] {
        let rest = self.tokens.get(self.next..).unwrap_or_default();
        self.next = self.tokens.len();
        rest
    }

    /// A cursor over some of this statement's tokens.
    pub(super) fn within(&self, tokens: &'a [TokenWithSpan], end: Location) -> Cursor<'a> {
        Cursor::new(self.source, tokens, end)
    }

    // Expecting.

    pub(super) fn expect(&mut self, token: &Token) -> Result<(), Error> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(&format!("\"{token}\""))) }
    }

    pub(super) fn expect_words(&mut self, words: &[&str]) -> Result<(), Error> {
        for word in words {
            if !self.take_word(word) {
                return Err(self.unexpected(word));
            }
        }
        Ok(())
    }

    pub(super) fn expect_end(&self) -> Result<(), Error> {
        if self.at_end() { Ok(()) } else { Err(self.unexpected("\";\" or the end of the file")) }
    }

    /// An identifier: lower case unless quoted.
    pub(super) fn identifier(&mut self, what: &str) -> Result<Name, Error> {
        let at = self.location();
        match self.peek() {
            Some(Token::Word(word)) if !word.value.is_empty() => {
                self.next += 1;
                let text = match word.quote_style {
                    Some(_) => word.value.clone(),
                    None => word.value.to_lowercase(),
                };
                Ok(Name { text, at })
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// An identifier of an object that we store: it names a folder or a key.
    pub(super) fn object_name(&mut self, what: &str) -> Result<Name, Error> {
        let name = self.identifier(what)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.text.chars().all(plain) || name.text.len() > NAME_BYTES_MAX {
            let message = format!("\"{}\" cannot name {what}", name.text);
            return Err(Error::new("42602", self.source.origin(name.at), message).with_hint(format!(
                "Use lower-case letters, digits and underscores, at most {NAME_BYTES_MAX} of them."
            )));
        }
        Ok(name)
    }

    /// A column's name.
    pub(super) fn column_name(&mut self) -> Result<Name, Error> {
        let name = self.identifier("a column name")?;
        if name.text.contains(COLUMN_NAME_FORBIDDEN) || name.text.len() > NAME_BYTES_MAX {
            let message = format!("\"{}\" cannot name a column", name.text.escape_debug());
            return Err(Error::new("42602", self.source.origin(name.at), message).with_hint(format!(
                "Delta tables allow no spaces and none of , ; {{ }} ( ) = in column names, and we at most {NAME_BYTES_MAX} \
                 bytes."
            )));
        }
        Ok(name)
    }

    /// `schema.name`
    pub(super) fn table_name(&mut self, what: &str) -> Result<(TableName, Location), Error> {
        let schema = self.object_name(what)?;
        if !self.take(&Token::Period) {
            let message = format!("\"{}\" names no schema", schema.text);
            return Err(Error::syntax(self.source.origin(schema.at), message)
                .with_hint("Write schema.name, as in silver.orders."));
        }
        let name = self.object_name(what)?;
        if self.peek() == Some(&Token::Period) {
            let message = format!("\"{}.{}.\" has too many parts", schema.text, name.text);
            return Err(Error::syntax(self.source.origin(schema.at), message)
                .with_hint("Write schema.name: there is one database, sluice."));
        }
        Ok((TableName::new(schema.text, name.text), schema.at))
    }

    /// A string in single quotes (or an `E'...'` or `$$...$$` one).
    pub(super) fn string(&mut self, what: &str) -> Result<String, Error> {
        let text = match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => text.clone(),
            Some(Token::DollarQuotedString(text)) => text.value.clone(),
            _ => return Err(self.unexpected(&format!("{what} in single quotes"))),
        };
        self.next += 1;
        Ok(text)
    }

    /// A whole number.
    pub(super) fn whole_number(&mut self, what: &str) -> Result<u64, Error> {
        let number = match self.peek() {
            Some(Token::Number(digits, _)) => digits.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected(what))?;
        self.next += 1;
        Ok(number)
    }

    /// `INTERVAL '10' MINUTE` or `INTERVAL '10 minutes'`, positive.
    pub(super) fn interval(&mut self) -> Result<Duration, Error> {
        if !self.take_word("INTERVAL") {
            return Err(self.unexpected("INTERVAL"));
        }
        let at = self.location();
        let text = self.string("a length of time")?;
        let text = text.trim();
        let (count, unit) = count_and_unit(text);
        let unit = match unit {
            "" => self.time_unit()?,
            unit => seconds_of(unit).ok_or_else(|| self.not_a_unit(at, unit))?,
        };
        let seconds = count.parse::<f64>().ok().map(|count| count * unit);
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
            Error::new("22007", self.source.origin(at), format!("'{text}' is not a length of time"))
                .with_hint("Write INTERVAL '10' MINUTE.")
        })
    }

    /// `n UNIT`, as in `SCHEDULE EVERY 2 HOURS`.
    pub(super) fn every(&mut self) -> Result<Duration, Error> {
        if self.at_word("INTERVAL") {
            return self.interval();
        }
        let at = self.location();
        let count = self.whole_number("a whole number")?;
        let unit = self.time_unit()?;
        Duration::try_from_secs_f64(count as f64 * unit)
            .map_err(|_| Error::new("22008", self.source.origin(at), "the length of time is too long"))
    }

    /// Seconds of the unit that comes next.
    fn time_unit(&mut self) -> Result<f64, Error> {
        let at = self.location();
        match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                let seconds = seconds_of(&word.value).ok_or_else(|| self.not_a_unit(at, &word.value))?;
                self.next += 1;
                Ok(seconds)
            }
            _ => Err(self.unexpected("SECOND, MINUTE, HOUR or DAY")),
        }
    }

    fn not_a_unit(&self, at: Location, unit: &str) -> Error {
        Error::syntax(self.source.origin(at), format!("\"{unit}\" is not a unit of time that has one length"))
            .with_hint("Use MILLISECOND, SECOND, MINUTE, HOUR, DAY or WEEK.")
    }

    /// The tokens between a `(` that comes next and its `)`, both taken.
    pub(super) fn parenthesized(&mut self) -> Result<Cursor<'a>, Error> {
        let open = self.origin();
        self.expect(&Token::LParen)?;
        let first = self.next;
        let mut depth = 1_usize;
        while let Some(token) = self.advance() {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(self.within(&self.tokens[first..self.next - 1], token.span.start));
            }
        }
        Err(Error::syntax(open, "this \"(\" is never closed"))
    }

    /// `(a, b, c)`: at least one column name.
    pub(super) fn column_list(&mut self) -> Result<Vec<Name>, Error> {
        self.expect(&Token::LParen)?;
        let mut names = vec![];
        loop {
            names.push(self.column_name()?);
            if !self.take(&Token::Comma) {
                self.expect(&Token::RParen)?;
                return Ok(names);
            }
        }
    }

    // Failing.

    /// The next token is not what the grammar wants.
    pub(super) fn unexpected(&self, expected: &str) -> Error {
        let found = match self.peek() {
            Some(token) => format!("\"{}\"", shortened(&token.to_string())),
            None => "the end of the statement".to_string(),
        };
        Error::syntax(self.origin(), format!("expected {expected}, found {found}"))
    }
}

/// `10 minutes` as a length of time.
pub(super) fn length_of_time(text: &str) -> Option<Duration> {
    let (count, unit) = count_and_unit(text.trim());
    let seconds = count.parse::<f64>().ok()? * seconds_of(unit)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// `10 minutes` → `10`, `minutes`
fn count_and_unit(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    (count, unit.trim())
}

/// Longest name of a column or a table.
const NAME_BYTES_MAX: usize = 63;

/// Characters that Delta refuses in column names (without column mapping), and control characters.
fn is_forbidden_in_column(c: char) -> bool {
    c.is_control() || " ,;{}()=".contains(c)
}
const COLUMN_NAME_FORBIDDEN: fn(char) -> bool = is_forbidden_in_column;

/// True when a token is this word, unquoted, in any letter case, or this punctuation character.
pub(super) fn is_word(token: &Token, word: &str) -> bool {
    match token {
        Token::Word(w) => w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word),
        Token::LParen => word == "(",
        Token::RParen => word == ")",
        Token::Comma => word == ",",
        Token::Period => word == ".",
        Token::DoubleColon => word == "::",
        _ => false,
    }
}

/// A token's text, cut to what fits on a line. Secrets have no business in files; still, strings are not echoed whole.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line.to_string(),
    }
}

/// Seconds of a unit of time whose length does not depend on the calendar.
fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => 0.001,
        "s" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}
