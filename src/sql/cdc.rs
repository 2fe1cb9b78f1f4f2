//! `FLOW AUTO CDC`: a streaming table that keeps the newest row of each key, or every version of it.

use super::cdc_query::START_AT;
use super::columns::condition;
use super::cursor::{Cursor, Name};
use super::query::stream_of;
use super::refusal::{self, refuse};
use super::syntax::{quoted, quoted_table};
use super::{Error, ModelQuery, Origin, asks_for_time, hint_did_you_mean};
use crate::lake::TableName;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use std::fmt;

/// A change feed and what is kept of it. The rows that it stands for are those of [`super::defining_query`].
#[derive(Clone, Debug, PartialEq)]
pub struct AutoCdc {
    /// The table whose rows are the changes.
    pub input: TableName,
    /// What tells one entity from another.
    pub keys: Vec<ColumnName>,
    /// Which changes delete their key's row.
    pub delete_when: Option<DeleteCondition>,
    /// What orders the changes of a key.
    pub sequence_by: ColumnName,
    /// Which columns are kept beside the keys.
    pub columns: Selection,
    /// What is kept of the past.
    pub history: History,
    /// Where `FLOW` stands.
    pub origin: Origin,
}

/// A column and where it is named.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnName {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub origin: Origin,
}

/// The condition of `APPLY AS DELETE WHEN`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteCondition {
    /// As written.
    pub text: String,
    /// Where it stands.
    pub origin: Origin,
}

/// Columns, named or left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Selection {
    /// `a, b`
    Only(Vec<ColumnName>),
    /// `* [EXCEPT (a, b)]`
    AllBut(Vec<ColumnName>),
}

/// `STORED AS SCD TYPE`
#[derive(Clone, Debug, PartialEq)]
pub enum History {
    /// Type 1: the newest row of each key.
    Newest,
    /// Type 2: a row a version, from `__start_at` until `__end_at`.
    Versions {
        /// The columns of which a change opens a new version.
        tracked: Selection,
    },
}

impl AutoCdc {
    /// The columns that tell one row of the table from another.
    pub fn key_columns(&self) -> Vec<&str> {
        let start = matches!(self.history, History::Versions { .. }).then_some(START_AT);
        self.keys.iter().map(|key| key.name.as_str()).chain(start).collect()
    }
}

/// The clauses as they could be written.
impl fmt::Display for AutoCdc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FLOW AUTO CDC FROM STREAM {} KEYS ({})", quoted_table(&self.input), names(&self.keys))?;
        if let Some(delete) = &self.delete_when {
            write!(f, " APPLY AS DELETE WHEN {}", delete.text)?;
        }
        write!(f, " SEQUENCE BY {} COLUMNS {}", quoted(&self.sequence_by.name), self.columns)?;
        match &self.history {
            History::Newest => write!(f, " STORED AS SCD TYPE 1"),
            History::Versions { tracked } => {
                write!(f, " STORED AS SCD TYPE 2 TRACK HISTORY ON {tracked}")
            }
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selection::Only(columns) => f.write_str(&names(columns)),
            Selection::AllBut(columns) => write!(f, "* EXCEPT ({})", names(columns)),
        }
    }
}

fn names(columns: &[ColumnName]) -> String {
    columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
}

/// The clauses, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Clause {
    Keys,
    Delete,
    Sequence,
    Columns,
    Stored,
    Track,
}

impl Clause {
    const ALL: [Clause; 6] =
        [Clause::Keys, Clause::Delete, Clause::Sequence, Clause::Columns, Clause::Stored, Clause::Track];

    fn words(self) -> &'static [&'static str] {
        match self {
            Clause::Keys => &["KEYS"],
            Clause::Delete => &["APPLY", "AS", "DELETE", "WHEN"],
            Clause::Sequence => &["SEQUENCE", "BY"],
            Clause::Columns => &["COLUMNS"],
            Clause::Stored => &["STORED", "AS"],
            Clause::Track => &["TRACK", "HISTORY", "ON"],
        }
    }

    fn name(self) -> String {
        self.words().join(" ")
    }

    fn at(cursor: &Cursor<'_>) -> Option<Clause> {
        Clause::ALL.into_iter().find(|clause| cursor.at_words(clause.words()))
    }
}

const ORDER: &str = "The order is FLOW AUTO CDC FROM STREAM table KEYS (...) [APPLY AS DELETE WHEN ...] SEQUENCE BY column [COLUMNS ...] \
     [STORED AS SCD TYPE 1 | 2] [TRACK HISTORY ON ...].";

/// What has been read so far.
#[derive(Default)]
struct Read {
    keys: Option<Vec<ColumnName>>,
    delete_when: Option<DeleteCondition>,
    sequence_by: Option<ColumnName>,
    columns: Option<Selection>,
    scd_type: Option<u64>,
    tracked: Option<(Selection, Origin)>,
}

/// `FLOW AUTO CDC ...` to the end of the statement, the cursor at `FLOW`; and the query of its changes.
pub(super) fn auto_cdc(cursor: &mut Cursor<'_>) -> Result<(AutoCdc, ModelQuery), Error> {
    let origin = cursor.origin();
    cursor.expect_words(&["FLOW", "AUTO", "CDC"])?;
    let (input, at) = input(cursor)?;
    let changes = stream_of(cursor, &input, at)?;
    let mut read = Read::default();
    let mut last: Option<Clause> = None;
    while !cursor.at_end() {
        refuse(cursor, refusal::CDC_CLAUSES)?;
        let Some(clause) = Clause::at(cursor) else { return Err(unknown(cursor, last)) };
        match last {
            Some(last) if clause == last => {
                return Err(Error::syntax(cursor.origin(), format!("{} stands twice", clause.name())));
            }
            Some(last) if clause < last => {
                let message = format!("{} stands behind {}", clause.name(), last.name());
                return Err(Error::syntax(cursor.origin(), message).with_hint(ORDER));
            }
            _ => last = Some(clause),
        }
        read.clause(cursor, clause)?;
    }
    let missing = |clause: Clause| cursor.unexpected(&clause.name()).with_hint(ORDER);
    let keys = read.keys.ok_or_else(|| missing(Clause::Keys))?;
    let sequence_by = read.sequence_by.ok_or_else(|| missing(Clause::Sequence))?;
    let history = match (read.scd_type, read.tracked) {
        (Some(2), tracked) => {
            let tracked = tracked.map_or(Selection::AllBut(vec![]), |(tracked, _)| tracked);
            History::Versions { tracked }
        }
        (_, None) => History::Newest,
        (_, Some((_, origin))) => {
            return Err(Error::new("42P16", origin, "SCD TYPE 1 keeps no history to track")
                .with_hint("Write STORED AS SCD TYPE 2, or leave TRACK HISTORY out."));
        }
    };
    let columns = read.columns.unwrap_or(Selection::AllBut(vec![]));
    let delete_when = read.delete_when;
    Ok((AutoCdc { input, keys, delete_when, sequence_by, columns, history, origin }, changes))
}

/// `FROM STREAM schema.table`
fn input(cursor: &mut Cursor<'_>) -> Result<(TableName, Location), Error> {
    refuse(cursor, refusal::CDC_CLAUSES)?;
    cursor.expect_words(&["FROM"])?;
    if !cursor.take_word("STREAM") {
        return Err(cursor
            .unexpected("STREAM")
            .with_hint("Each change is taken once: write FROM STREAM schema.table."));
    }
    if cursor.peek() == Some(&Token::LParen) {
        return Err(Error::syntax(cursor.origin(), "STREAM takes no parentheses")
            .with_hint("Write FROM STREAM schema.table."));
    }
    cursor.table_name("a table")
}

fn unknown(cursor: &Cursor<'_>, last: Option<Clause>) -> Error {
    if let Some(word) = ["TRIGGER", "SCHEDULE", "PARTITIONED"].into_iter().find(|word| cursor.at_word(word)) {
        let message = format!("{word} stands behind FLOW AUTO CDC");
        return Error::syntax(cursor.origin(), message).with_hint("Put it before FLOW.");
    }
    let next: Vec<String> = Clause::ALL
        .into_iter()
        .filter(|clause| last.is_none_or(|last| *clause > last))
        .map(Clause::name)
        .collect();
    let expected = match next.as_slice() {
        [] => "\";\" or the end of the file".to_string(),
        next => next.join(", "),
    };
    let word = match cursor.peek() {
        Some(Token::Word(word)) => word.value.to_uppercase(),
        _ => String::new(),
    };
    let firsts = Clause::ALL.into_iter().filter_map(|clause| clause.words().first().copied());
    let hint = hint_did_you_mean(&word, firsts).unwrap_or_else(|| ORDER.to_string());
    cursor.unexpected(&expected).with_hint(hint)
}

impl Read {
    fn clause(&mut self, cursor: &mut Cursor<'_>, clause: Clause) -> Result<(), Error> {
        let origin = cursor.origin();
        cursor.expect_words(clause.words())?;
        match clause {
            Clause::Keys => self.keys = Some(named_once(cursor, "KEYS", |cursor| cursor.column_list())?),
            Clause::Delete => self.delete_when = Some(delete_condition(cursor)?),
            Clause::Sequence => self.sequence_by = Some(sequence(cursor)?),
            Clause::Columns => self.columns = Some(selection(cursor, "COLUMNS")?),
            Clause::Stored => self.scd_type = Some(scd_type(cursor)?),
            Clause::Track => self.tracked = Some((selection(cursor, "TRACK HISTORY ON")?, origin)),
        }
        Ok(())
    }
}

/// The condition: everything up to the next clause.
fn delete_condition(cursor: &mut Cursor<'_>) -> Result<DeleteCondition, Error> {
    let origin = cursor.origin();
    let mut depth = 0_usize;
    let mut taken = vec![];
    while !cursor.at_end() && (depth > 0 || Clause::at(cursor).is_none()) {
        match cursor.peek() {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => depth = depth.saturating_sub(1),
            _ => {}
        }
        taken.extend(cursor.advance().cloned());
    }
    let expression = condition(cursor, &taken, &cursor.origin(), "APPLY AS DELETE WHEN has no condition")?;
    if asks_for_time(&expression) {
        return Err(Error::unsupported(origin, "a delete that depends on the time is not supported")
            .with_hint("Whether a change deletes must be told from its own columns."));
    }
    Ok(DeleteCondition { text: cursor.source.covered(&taken).to_string(), origin })
}

fn sequence(cursor: &mut Cursor<'_>) -> Result<ColumnName, Error> {
    if cursor.at_words(&["STRUCT", "("]) || cursor.peek() == Some(&Token::LParen) {
        return Err(Error::unsupported(cursor.origin(), "SEQUENCE BY several columns is not supported yet")
            .with_hint("Make one column of them in the streaming table that the flow reads."));
    }
    let name = cursor.column_name()?;
    Ok(placed(cursor, name))
}

fn scd_type(cursor: &mut Cursor<'_>) -> Result<u64, Error> {
    const WORDS: &str =
        "Write STORED AS SCD TYPE 1 for the newest row of each key, SCD TYPE 2 for every version.";
    cursor.expect_words(&["SCD", "TYPE"]).map_err(|error| error.with_hint(WORDS))?;
    let unexpected = cursor.unexpected("1 or 2").with_hint(WORDS);
    match cursor.whole_number("1 or 2") {
        Ok(number @ (1 | 2)) => Ok(number),
        _ => Err(unexpected),
    }
}

/// `* [EXCEPT (a, b)]`, `(a, b)` or `a, b`.
fn selection(cursor: &mut Cursor<'_>, clause: &str) -> Result<Selection, Error> {
    if cursor.take(&Token::Mul) {
        if !cursor.take_word("EXCEPT") {
            return Ok(Selection::AllBut(vec![]));
        }
        return Ok(Selection::AllBut(named_once(cursor, "EXCEPT", |cursor| cursor.column_list())?));
    }
    if cursor.peek() == Some(&Token::LParen) {
        return Ok(Selection::Only(named_once(cursor, clause, |cursor| cursor.column_list())?));
    }
    let bare = |cursor: &mut Cursor<'_>| {
        let mut names = vec![cursor.column_name()?];
        while cursor.take(&Token::Comma) {
            names.push(cursor.column_name()?);
        }
        Ok(names)
    };
    Ok(Selection::Only(named_once(cursor, clause, bare)?))
}

/// A list in which no column stands twice.
fn named_once(
    cursor: &mut Cursor<'_>,
    clause: &str,
    read: impl Fn(&mut Cursor<'_>) -> Result<Vec<Name>, Error>,
) -> Result<Vec<ColumnName>, Error> {
    let mut names: Vec<ColumnName> = vec![];
    for name in read(cursor)? {
        let name = placed(cursor, name);
        if names.iter().any(|other| other.name == name.name) {
            let message = format!("\"{}\" stands twice in {clause}", name.name);
            return Err(Error::new("42701", name.origin, message));
        }
        names.push(name);
    }
    Ok(names)
}

fn placed(cursor: &Cursor<'_>, name: Name) -> ColumnName {
    ColumnName { name: name.text, origin: cursor.source.origin(name.at) }
}
