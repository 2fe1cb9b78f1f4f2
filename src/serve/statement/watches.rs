//! CREATE and DROP of audits and alerts. Only their heads are read here: what stands behind them is read as in a file.

use super::definitions::{if_exists, listed, relation};
use super::models::Named;
use super::text_of;
use super::utility::Cursor;
use crate::serve::Error;
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;

/// A statement about an audit or an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watching {
    /// `CREATE [OR REPLACE] AUDIT name ON model body`, `CREATE [OR REPLACE] ALERT name body`
    Create {
        /// The model of an audit.
        on: Option<Named>,
        /// Its name, alone.
        names: [String; 1],
        /// What stands behind it.
        body: String,
        /// `OR REPLACE`
        replace: bool,
    },
    /// `DROP AUDIT [IF EXISTS] name, ... ON model`, `DROP ALERT [IF EXISTS] name, ...`
    Drop {
        /// The model of audits.
        on: Option<Named>,
        /// Their names.
        names: Vec<String>,
        /// `IF EXISTS`
        if_exists: bool,
    },
}

impl Watching {
    /// The word that PostgreSQL would answer with.
    pub fn tag(&self) -> &'static str {
        match self {
            Watching::Create { on: Some(_), .. } => "CREATE AUDIT",
            Watching::Create { on: None, .. } => "CREATE ALERT",
            Watching::Drop { on: Some(_), .. } => "DROP AUDIT",
            Watching::Drop { on: None, .. } => "DROP ALERT",
        }
    }

    /// The model that audits are on.
    pub fn on(&self) -> Option<&Named> {
        match self {
            Watching::Create { on, .. } | Watching::Drop { on, .. } => on.as_ref(),
        }
    }

    /// What it names.
    pub fn names(&self) -> &[String] {
        match self {
            Watching::Create { names, .. } => names,
            Watching::Drop { names, .. } => names,
        }
    }
}

/// Reads what stands behind `first`; `None` where it is neither of an audit nor of an alert.
pub(super) fn parse(sql: &str, first: &str, tokens: &[TokenWithSpan]) -> Option<Result<Watching, Error>> {
    let mut cursor = Cursor::new(sql, tokens);
    let replace = first == "CREATE" && cursor.take_word("OR") && cursor.take_word("REPLACE");
    let of_audit = cursor.take_word("AUDIT");
    if !["CREATE", "DROP"].contains(&first) || !of_audit && !cursor.take_word("ALERT") {
        return None;
    }
    let watching = match first {
        "CREATE" => create(sql, &mut cursor, of_audit, replace),
        _ => drop(&mut cursor, of_audit),
    };
    Some(watching.and_then(|watching| cursor.end().map(|()| watching)))
}

fn create(sql: &str, cursor: &mut Cursor<'_>, of_audit: bool, replace: bool) -> Result<Watching, Error> {
    let names = [cursor.name()?];
    let on = on(cursor, of_audit)?;
    let body = text_of(sql, cursor.take_rest()).ok_or_else(|| cursor.unexpected())?;
    Ok(Watching::Create { on, names, body, replace })
}

fn drop(cursor: &mut Cursor<'_>, of_audit: bool) -> Result<Watching, Error> {
    let if_exists = if_exists(cursor)?;
    let names = listed(cursor, |cursor| cursor.name())?;
    Ok(Watching::Drop { on: on(cursor, of_audit)?, names, if_exists })
}

fn on(cursor: &mut Cursor<'_>, of_audit: bool) -> Result<Option<Named>, Error> {
    if !of_audit {
        return Ok(None);
    }
    cursor.expect_word("ON")?;
    relation(cursor).map(Some)
}
