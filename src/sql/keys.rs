//! Declared keys: `PRIMARY KEY (...)`, `FOREIGN KEY (...) REFERENCES schema.table (...)`.
//!
//! Tools that draw relationships read them; nothing is checked against the rows.

use super::columns::{ColumnList, Owner};
use super::cursor::{Cursor, Name};
use super::refusal::{self, refuse};
use super::{Error, ForeignKey};

/// `PRIMARY KEY (a, b)`
pub(super) fn primary_key(cursor: &mut Cursor<'_>, owner: Owner, list: &mut ColumnList) -> Result<(), Error> {
    reject_source_key(cursor, owner, "PRIMARY KEY")?;
    cursor.expect_words(&["PRIMARY", "KEY"])?;
    let columns = cursor.column_list()?;
    set_key(cursor, list, texts(columns))
}

/// `PRIMARY KEY` behind a column's type.
pub(super) fn primary_key_of_column(
    cursor: &mut Cursor<'_>,
    owner: Owner,
    list: &mut ColumnList,
    column: &Name,
) -> Result<(), Error> {
    reject_source_key(cursor, owner, "PRIMARY KEY")?;
    cursor.expect_words(&["PRIMARY", "KEY"])?;
    set_key(cursor, list, vec![column.text.clone()])
}

/// `FOREIGN KEY (a, b) REFERENCES schema.table (c, d)`
pub(super) fn foreign_key(
    cursor: &mut Cursor<'_>,
    owner: Owner,
    list: &mut ColumnList,
    name: Option<Name>,
) -> Result<(), Error> {
    reject_source_key(cursor, owner, "FOREIGN KEY")?;
    cursor.expect_words(&["FOREIGN", "KEY"])?;
    let columns = texts(cursor.column_list()?);
    references(cursor, list, columns, name)
}

/// `REFERENCES schema.table (c)` behind a column's type.
pub(super) fn foreign_key_of_column(
    cursor: &mut Cursor<'_>,
    owner: Owner,
    list: &mut ColumnList,
    column: &Name,
) -> Result<(), Error> {
    reject_source_key(cursor, owner, "REFERENCES")?;
    references(cursor, list, vec![column.text.clone()], None)
}

fn references(
    cursor: &mut Cursor<'_>,
    list: &mut ColumnList,
    columns: Vec<String>,
    name: Option<Name>,
) -> Result<(), Error> {
    cursor.expect_words(&["REFERENCES"])?;
    let (table, at) = cursor.table_name("a table")?;
    let origin = cursor.source.origin(at);
    let referenced = if cursor.at_words(&["("]) { texts(cursor.column_list()?) } else { vec![] };
    refuse(cursor, refusal::REFERENCE_CLAUSES)?;
    if !referenced.is_empty() && referenced.len() != columns.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(Error::new("42830", origin, message).with_hint(format!(
            "Name as many columns of \"{table}\" as stand before REFERENCES, or leave them out: its primary key is meant."
        )));
    }
    if let Some(name) =
        name.as_ref().filter(|name| list.foreign_keys.iter().any(|k| k.name.as_ref() == Some(&name.text)))
    {
        let message = format!("constraint \"{}\" is declared twice", name.text);
        return Err(Error::new("42710", cursor.source.origin(name.at), message));
    }
    list.foreign_keys.push(ForeignKey { name: name.map(|n| n.text), columns, table, referenced, origin });
    Ok(())
}

fn reject_source_key(cursor: &Cursor<'_>, owner: Owner, what: &str) -> Result<(), Error> {
    if owner == Owner::Model {
        return Ok(());
    }
    Err(Error::unsupported(cursor.origin(), format!("{what} of a source is not supported yet"))
        .with_hint("Bronze keeps every record that came; declare the key in the silver table that reads it."))
}

fn set_key(cursor: &Cursor<'_>, list: &mut ColumnList, key: Vec<String>) -> Result<(), Error> {
    if !list.primary_key.is_empty() {
        return Err(Error::new("42P16", cursor.origin(), "PRIMARY KEY is declared twice"));
    }
    list.primary_key = key;
    Ok(())
}

fn texts(names: Vec<Name>) -> Vec<String> {
    names.into_iter().map(|name| name.text).collect()
}
