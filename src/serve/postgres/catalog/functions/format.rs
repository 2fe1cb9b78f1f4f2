//! `format('%s is %I', 'x', 'a b')`: PostgreSQL's `%[position$][-][width]type`, where a width may be `*` or `*position$`.

use super::row::Cell;
use super::server::{external, printed};
use crate::serve::Error;
use crate::serve::postgres::catalog::definitions::{quote_identifier, quote_literal};
use datafusion::error::{DataFusionError, Result};
use std::iter::Peekable;
use std::str::Chars;

/// The text; NULL where the pattern is.
pub(super) fn format_text(row: &[Cell<'_>]) -> Result<Option<String>> {
    let Some(pattern) = row[0].text() else { return Ok(None) };
    let mut arguments = Arguments { values: &row[1..], next: 0 };
    let mut formatted = String::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            formatted.push(letter);
        } else if letters.next_if_eq(&'%').is_some() {
            formatted.push('%');
        } else {
            formatted.push_str(&placed(&mut letters, &mut arguments)?);
        }
    }
    Ok(Some(formatted))
}

struct Arguments<'a> {
    values: &'a [Cell<'a>],
    /// The one that is taken where no position is told.
    next: usize,
}

impl Arguments<'_> {
    fn take(&mut self, position: Option<usize>) -> Result<&Cell<'_>> {
        let at = match position {
            Some(0) => return refused("format specifies argument 0, but arguments are numbered from 1"),
            Some(position) => position - 1,
            None => self.next,
        };
        self.next = at + 1;
        match self.values.get(at) {
            Some(value) => Ok(value),
            None => refused("too few arguments for format()"),
        }
    }
}

/// What stands behind a `%`, with its value.
fn placed(letters: &mut Peekable<Chars<'_>>, arguments: &mut Arguments<'_>) -> Result<String> {
    let mut position = None;
    let mut width = number(letters)?;
    if width.is_some() && letters.next_if_eq(&'$').is_some() {
        position = width.take();
    }
    let mut is_left = false;
    if width.is_none() {
        while letters.next_if_eq(&'-').is_some() {
            is_left = true;
        }
        width = match letters.next_if_eq(&'*') {
            None => number(letters)?,
            Some(_) => {
                let place = number(letters)?;
                if place.is_some() && letters.next_if_eq(&'$').is_none() {
                    return refused("width argument position must be ended by \"$\"");
                }
                let told = arguments.take(place)?.int().unwrap_or_default();
                is_left |= told < 0;
                usize::try_from(told.unsigned_abs()).ok()
            }
        };
    }
    let Some(kind) = letters.next() else { return refused("unterminated format() type specifier") };
    if !['s', 'I', 'L'].contains(&kind) {
        return refused(&format!("unrecognized format() type specifier \"{kind}\""));
    }
    let value = printed(arguments.take(position)?);
    let text = match (kind, value) {
        ('I', Some(value)) => quote_identifier(&value),
        ('I', None) => {
            let message = "null values cannot be formatted as an SQL identifier";
            return Err(external(Error::new("22004", message)));
        }
        ('L', value) => value.map_or_else(|| "NULL".to_string(), |value| quote_literal(&value)),
        (_, value) => value.unwrap_or_default(),
    };
    let blanks = width.unwrap_or_default().saturating_sub(text.chars().count());
    // A width is a client's: what it asks for is bounded, as values are.
    if blanks > BLANKS_MAX {
        return Err(external(Error::new("22003", "number is out of range")));
    }
    let blanks = " ".repeat(blanks);
    Ok(if is_left { text + &blanks } else { blanks + &text })
}

/// The most blanks that one value is widened by.
const BLANKS_MAX: usize = 1 << 20;

fn number(letters: &mut Peekable<Chars<'_>>) -> Result<Option<usize>> {
    let mut digits = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    if digits.is_empty() {
        return Ok(None);
    }
    let out_of_range = |_| external(Error::new("22003", "number is out of range"));
    digits.parse::<i32>().map_err(out_of_range).map(|number| usize::try_from(number).ok())
}

fn refused<T>(message: &str) -> Result<T, DataFusionError> {
    Err(external(Error::new("22023", message)))
}
