//! The language: what parses and to what, what is refused by name, what is wrong and where.

mod accepted;
mod mistakes;
mod refused;
mod robust;

use super::*;
use crate::lake::TableName;
use crate::sql::*;

fn parse(text: &str) -> Result<Vec<Definition>, Vec<Error>> {
    parse_file(Path::new("x.sql"), text)
}

/// The one definition of a text.
#[track_caller]
fn one(text: &str) -> Definition {
    match parse(text) {
        Ok(definitions) if definitions.len() == 1 => definitions.into_iter().next().unwrap(),
        Ok(definitions) => panic!("{} definitions", definitions.len()),
        Err(errors) => panic!("{errors:?}"),
    }
}

/// The errors of a text, as `code line:column message / hint`.
fn errors(text: &str) -> Vec<String> {
    let shown = |e: &Error| {
        let hint = e.hint.as_ref().map(|hint| format!(" / {hint}")).unwrap_or_default();
        format!("{} {}:{} {}{hint}", e.code, e.origin.line, e.origin.column, e.message)
    };
    parse(text).err().unwrap_or_default().iter().map(shown).collect()
}
