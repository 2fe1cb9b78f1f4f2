//! The statements about models: REFRESH, VERIFY, REPLAY QUARANTINE, EXPLAIN CREATE MATERIALIZED VIEW, EXECUTE UNIT TEST.

use super::utility::Cursor;
use super::{Statement, byte_of};
use crate::refresh::{Extent, Range};
use crate::serve::Error;
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// A relation's name as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its schema; `None` when it is to be found along the search path.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
}

/// `REFRESH TABLE name [FULL [ALLOW HISTORY LOSS]]`, and PostgreSQL's
/// `REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH DATA]`.
pub(super) fn refresh(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    let only_view = cursor.take_word("MATERIALIZED");
    if only_view {
        cursor.expect_word("VIEW")?;
        let _ = cursor.take_word("CONCURRENTLY");
    } else {
        let _ = cursor.take_word("STREAMING");
        cursor.expect_word("TABLE")?;
    }
    let name = named(cursor)?;
    let mut extent = Extent::Changes;
    if cursor.take_word("FULL") {
        extent = Extent::Full;
        if cursor.take_word("ALLOW") {
            cursor.expect_word("HISTORY")?;
            cursor.expect_word("LOSS")?;
            extent = Extent::WhatIsLeft;
        }
    }
    if only_view && cursor.take_word("WITH") {
        if cursor.take_word("NO") {
            return Err(Error::new("0A000", "REFRESH MATERIALIZED VIEW ... WITH NO DATA is not supported")
                .with_hint("A view always has its data: leave WITH NO DATA out."));
        }
        cursor.expect_word("DATA")?;
    }
    Ok(Statement::Refresh { name, extent, only_view })
}

/// `VERIFY MATERIALIZED VIEW name`.
pub(super) fn verify(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    cursor.expect_word("MATERIALIZED")?;
    cursor.expect_word("VIEW")?;
    named(cursor).map(Statement::Verify)
}

/// `REPLAY QUARANTINE name [WHERE condition]`.
pub(super) fn replay(sql: &str, cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    cursor.expect_word("QUARANTINE")?;
    let name = named(cursor)?;
    let mut predicate = None;
    if cursor.take_word("WHERE") {
        let rest = cursor.take_rest();
        let text = rest
            .first()
            .zip(rest.last())
            .and_then(|(first, last)| sql.get(byte_of(sql, first.span.start)?..byte_of(sql, last.span.end)?));
        predicate = Some(text.ok_or_else(|| cursor.unexpected())?.to_string());
    }
    Ok(Statement::Replay { name, predicate })
}

/// `BACKFILL name FROM 'time' TO 'time' [ALLOW HISTORY LOSS]`.
pub(super) fn backfill(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    let name = named(cursor)?;
    cursor.expect_word("FROM")?;
    let from = cursor.text()?;
    cursor.expect_word("TO")?;
    let to = cursor.text()?;
    let mut history_may_be_lost = false;
    if cursor.take_word("ALLOW") {
        cursor.expect_word("HISTORY")?;
        cursor.expect_word("LOSS")?;
        history_may_be_lost = true;
    }
    let range = Range { from_us: time(&from)?, to_us: time(&to)? };
    if range.from_us >= range.to_us {
        return Err(Error::new("22007", format!("'{from}' is not before '{to}'")));
    }
    Ok(Statement::Backfill { name, range, history_may_be_lost })
}

/// A time as PostgreSQL reads it, in UTC where no zone stands; microseconds since 1970.
fn time(text: &str) -> Result<i64, Error> {
    let nanoseconds = string_to_timestamp_nanos(text);
    let invalid =
        || Error::new("22007", format!("invalid input syntax for type timestamp with time zone: \"{text}\""));
    nanoseconds.map(|nanoseconds| nanoseconds.div_euclid(1_000)).map_err(|_| invalid())
}

pub(super) fn named(cursor: &mut Cursor<'_>) -> Result<Named, Error> {
    let first = cursor.name()?;
    if !cursor.take(&Token::Period) {
        return Ok(Named { schema: None, name: first });
    }
    Ok(Named { schema: Some(first), name: cursor.name()? })
}

/// The definition that `EXPLAIN CREATE MATERIALIZED VIEW` explains; `None` when these tokens begin none.
pub(super) fn explained(sql: &str, tokens: &[TokenWithSpan]) -> Option<Statement> {
    let mut cursor = Cursor::new(sql, tokens);
    let creates = cursor.take_word("CREATE");
    if cursor.take_word("OR") && !cursor.take_word("REFRESH") {
        let _ = cursor.take_word("REPLACE");
    }
    let is_view = creates && cursor.take_word("MATERIALIZED") && cursor.take_word("VIEW");
    blanked(sql, tokens).filter(|_| is_view).map(Statement::ExplainModel)
}

/// `EXECUTE UNIT TEST ...`; `None` when these tokens begin none.
pub(super) fn unit_test(sql: &str, tokens: &[TokenWithSpan]) -> Option<Statement> {
    let mut cursor = Cursor::new(sql, tokens);
    let is_test = ["EXECUTE", "UNIT", "TEST"].iter().all(|word| cursor.take_word(word));
    blanked(sql, tokens).filter(|_| is_test).map(Statement::UnitTest)
}

/// The text of these tokens with what stands before it blanked, so that places in it are those in the whole text.
fn blanked(sql: &str, tokens: &[TokenWithSpan]) -> Option<String> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let (start, end) = (byte_of(sql, first.span.start)?, byte_of(sql, last.span.end)?);
    let (before, text) = sql.get(..end).and_then(|text| text.split_at_checked(start))?;
    let blank: String = before.chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
    Some(format!("{blank}{text}"))
}
