//! `CREATE SOURCE lakehouse.name [(columns)] WITH (connector = 'delta', path = '...')`: a table that others write. It is
//! read where it lies, so it says itself which columns it has; those that are declared must be among them.

use super::clauses::options;
use super::columns::{ColumnList, Owner, column_list};
use super::cursor::Cursor;
use super::{Error, ForeignDefinition, OptionValue, Options, Origin, hint_did_you_mean};
use datafusion::sql::sqlparser::tokenizer::Token;
use std::time::Duration;

/// How often a table is looked at for new versions, milliseconds.
const POLL_MS: u64 = 1_000;
/// How seldom it may: a day.
const POLL_MS_MAX: u64 = 86_400_000;

const OPTIONS: [&str; 2] = ["path", "poll_ms"];

const EXAMPLE: &str =
    "Write CREATE SOURCE lakehouse.customers WITH (connector = 'delta', path = '/mnt/lake/customers').";

/// True when the statement names the connector for tables of others.
pub(super) fn is_foreign(cursor: &Cursor<'_>) -> bool {
    let named = |n| match (cursor.peek_nth(n), cursor.peek_nth(n + 1), cursor.peek_nth(n + 2)) {
        (Some(Token::Word(key)), Some(Token::Eq), Some(Token::SingleQuotedString(value))) => {
            key.value.eq_ignore_ascii_case("connector") && value.eq_ignore_ascii_case("delta")
        }
        _ => false,
    };
    (0..).take_while(|n| cursor.peek_nth(*n).is_some()).any(named)
}

/// Reads the statement, whose connector is known.
pub(super) fn foreign(cursor: &mut Cursor<'_>) -> Result<ForeignDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["CREATE", "SOURCE"])?;
    super::parser::refuse_if_not_exists(cursor)?;
    let (name, name_at) = cursor.table_name("a source")?;
    if name.schema == "bronze" {
        let message = format!("\"{name}\" cannot be a table that others write");
        return Err(Error::new("42P16", cursor.source.origin(name_at), message).with_hint(format!(
            "Schema bronze holds what this server takes in: write lakehouse.{}, or a schema of your own.",
            name.name
        )));
    }
    let list = match cursor.peek() {
        Some(Token::LParen) => column_list(cursor, Owner::Source)?,
        _ => ColumnList::default(),
    };
    if let Some(watermark) = &list.watermark {
        let message = format!("the watermark of \"{}\" has no use here", watermark.column);
        return Err(
            Error::unsupported(origin, message).with_hint("Watermarks are for streams: leave it out.")
        );
    }
    if !cursor.take_word("WITH") {
        return Err(cursor
            .unexpected("WITH (connector = 'delta', path = ...)")
            .with_hint("A Delta table says itself what it holds: leave INCLUDE and FORMAT out."));
    }
    let with_origin = cursor.origin();
    let mut options = options(cursor)?;
    if !cursor.at_end() {
        return Err(cursor
            .unexpected("the statement's end")
            .with_hint("A Delta table says itself what it holds: leave INCLUDE and FORMAT out."));
    }
    options.remove("connector");
    let path = path(&mut options, &with_origin)?;
    let poll = poll(&mut options, &with_origin)?;
    if let Some(key) = options.keys().next() {
        let hint = hint_did_you_mean(key, OPTIONS);
        return Err(Error::new("22023", with_origin, format!("connector 'delta' has no option \"{key}\""))
            .with_hint(hint.unwrap_or_else(|| "Its options are path and poll_ms.".to_string())));
    }
    let sql = cursor.statement_text().to_string();
    Ok(ForeignDefinition { name, columns: list.columns, tags: list.tags, path, poll, sql, origin })
}

fn path(options: &mut Options, origin: &Origin) -> Result<String, Error> {
    let path = match options.remove("path") {
        Some(OptionValue::Text(path)) if !path.trim().is_empty() => path,
        Some(OptionValue::Secret(_)) => {
            return Err(Error::syntax(origin.clone(), "\"path\" takes no secret").with_hint(EXAMPLE));
        }
        _ => {
            let message = "connector 'delta' needs a path, the table's folder";
            return Err(Error::syntax(origin.clone(), message).with_hint(EXAMPLE));
        }
    };
    let local = path.strip_prefix("file://").unwrap_or(&path);
    if let Some((scheme, _)) = local.split_once("://") {
        let message = format!("a table at {scheme}:// cannot be read: only folders of this machine can");
        return Err(Error::unsupported(origin.clone(), message)
            .with_hint("Mount the store as a folder, and write its path."));
    }
    Ok(local.to_string())
}

fn poll(options: &mut Options, origin: &Origin) -> Result<Duration, Error> {
    let milliseconds = match options.remove("poll_ms") {
        None => POLL_MS,
        Some(OptionValue::Text(text)) => match text.parse() {
            Ok(milliseconds) if (1..=POLL_MS_MAX).contains(&milliseconds) => milliseconds,
            _ => {
                let message = format!("\"poll_ms\" is a number from 1 to {POLL_MS_MAX}, not '{text}'");
                return Err(Error::new("22023", origin.clone(), message));
            }
        },
        Some(OptionValue::Secret(_)) => {
            return Err(Error::syntax(origin.clone(), "\"poll_ms\" takes no secret"));
        }
    };
    Ok(Duration::from_millis(milliseconds))
}
