//! The statements that define: CREATE VIEW, CREATE MATERIALIZED VIEW, CREATE TABLE ... AS, ALTER ... RENAME TO, DROP,
//! COMMENT ON, CREATE SCHEMA, and what watches.rs reads. Only their heads are read here: what stands behind a name is kept as it was written.

use super::models::{Named, named};
use super::utility::Cursor;
use super::watches::{self, Watching};
use super::{Statement, text_of};
use crate::engine::DATABASE;
use crate::serve::Error;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// What kind of relation a statement speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// `TABLE`
    Table,
    /// `VIEW`
    View,
    /// `MATERIALIZED VIEW`
    MaterializedView,
}

impl Object {
    /// Its words.
    pub fn words(self) -> &'static str {
        match self {
            Object::Table => "table",
            Object::View => "view",
            Object::MaterializedView => "materialized view",
        }
    }
}

/// A statement that defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ddl {
    /// `CREATE [OR REPLACE] object [IF NOT EXISTS] name body`
    Create {
        /// What it is called there.
        object: Object,
        /// Its name.
        name: Named,
        /// What stands behind the name.
        body: String,
        /// `OR REPLACE`
        replace: bool,
        /// `IF NOT EXISTS`
        if_not_exists: bool,
    },
    /// `ALTER object [IF EXISTS] name RENAME TO name`
    Rename {
        /// What it is called there.
        object: Object,
        /// Its name.
        name: Named,
        /// The name that it is to have, in the same schema.
        to: String,
        /// `IF EXISTS`
        if_exists: bool,
    },
    /// `DROP object [IF EXISTS] names [CASCADE]`
    Drop {
        /// What they are called there.
        object: Object,
        /// Their names.
        names: Vec<Named>,
        /// `IF EXISTS`
        if_exists: bool,
        /// `CASCADE`
        cascade: bool,
    },
    /// `COMMENT ON object name IS text`, `COMMENT ON COLUMN name.column IS text`
    Comment {
        /// The relation.
        name: Named,
        /// Its column, if it is about one.
        column: Option<String>,
        /// What is said; `None` is `NULL`.
        text: Option<String>,
    },
    /// `CREATE SCHEMA`: a schema is there as soon as something is in it.
    CreateSchema {
        /// Its name.
        name: String,
        /// `IF NOT EXISTS`
        if_not_exists: bool,
    },
    /// `DROP SCHEMA`
    DropSchema {
        /// Their names.
        names: Vec<String>,
        /// `IF EXISTS`
        if_exists: bool,
        /// `CASCADE`
        cascade: bool,
    },
    /// `CREATE` and `DROP` of an audit or an alert.
    Watch(Watching),
}

impl Ddl {
    /// The word that PostgreSQL answers with.
    pub fn tag(&self) -> &'static str {
        let by_object = |object: &Object, tags: [&'static str; 3]| match object {
            Object::Table => tags[0],
            Object::View => tags[1],
            Object::MaterializedView => tags[2],
        };
        match self {
            Ddl::Create { object, .. } => {
                by_object(object, ["CREATE TABLE AS", "CREATE VIEW", "CREATE MATERIALIZED VIEW"])
            }
            Ddl::Rename { object, .. } => {
                by_object(object, ["ALTER TABLE", "ALTER VIEW", "ALTER MATERIALIZED VIEW"])
            }
            Ddl::Drop { object, .. } => {
                by_object(object, ["DROP TABLE", "DROP VIEW", "DROP MATERIALIZED VIEW"])
            }
            Ddl::Comment { .. } => "COMMENT",
            Ddl::CreateSchema { .. } => "CREATE SCHEMA",
            Ddl::DropSchema { .. } => "DROP SCHEMA",
            Ddl::Watch(watching) => watching.tag(),
        }
    }
}

/// Reads a statement that begins with `first`; `None` if it defines nothing that a connection may define.
pub(super) fn parse(sql: &str, first: &str, tokens: &[TokenWithSpan]) -> Option<Result<Statement, Error>> {
    if let Some(watching) = watches::parse(sql, first, tokens.get(1..)?) {
        return Some(watching.map(|watching| Statement::Define(Ddl::Watch(watching))));
    }
    let mut cursor = Cursor::new(sql, tokens.get(1..)?);
    let ddl = match first {
        "CREATE" if cursor.take_word("SCHEMA") => create_schema(&mut cursor),
        "CREATE" => create(sql, &mut cursor)?,
        "DROP" if cursor.take_word("SCHEMA") => drop_schema(&mut cursor),
        "DROP" => {
            let object = object(&mut cursor)?;
            drop(object, &mut cursor)
        }
        "ALTER" => {
            let object = object(&mut cursor)?;
            rename(object, &mut cursor)?
        }
        "COMMENT" => comment(&mut cursor)?,
        _ => return None,
    };
    Some(ddl.and_then(|ddl| cursor.end().map(|()| Statement::Define(ddl))))
}

fn object(cursor: &mut Cursor<'_>) -> Option<Object> {
    if cursor.take_word("TABLE") {
        return Some(Object::Table);
    }
    if cursor.take_word("VIEW") {
        return Some(Object::View);
    }
    (cursor.take_word("MATERIALIZED") && cursor.take_word("VIEW")).then_some(Object::MaterializedView)
}

fn create(sql: &str, cursor: &mut Cursor<'_>) -> Option<Result<Ddl, Error>> {
    let replace = cursor.take_word("OR") && (cursor.take_word("REPLACE") || cursor.take_word("REFRESH"));
    let object = object(cursor)?;
    let create = |cursor: &mut Cursor<'_>| {
        let if_not_exists = if_not_exists(cursor)?;
        let name = relation(cursor)?;
        let body = with_data(cursor.take_rest())?;
        let body = text_of(sql, body).ok_or_else(|| cursor.unexpected())?;
        Ok(Ddl::Create { object, name, body, replace, if_not_exists })
    };
    match object {
        // A table of its own takes no rows over a connection.
        Object::Table if replace || !selects(cursor.rest()) => None,
        _ => Some(create(cursor)),
    }
}

/// True when `AS` stands outside of parentheses.
fn selects(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0;
    tokens.iter().any(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0 && is_word(token, "AS")
    })
}

/// A body without PostgreSQL's `WITH DATA` at its end.
fn with_data(body: &[TokenWithSpan]) -> Result<&[TokenWithSpan], Error> {
    match body {
        [.., with, no, data] if is_word(with, "WITH") && is_word(no, "NO") && is_word(data, "DATA") => {
            Err(Error::new("0A000", "WITH NO DATA is not supported")
                .with_hint("A view always has its data: leave WITH NO DATA out."))
        }
        [body @ .., with, data] if is_word(with, "WITH") && is_word(data, "DATA") => Ok(body),
        body => Ok(body),
    }
}

fn is_word(token: &TokenWithSpan, expected: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

fn rename(object: Object, cursor: &mut Cursor<'_>) -> Option<Result<Ddl, Error>> {
    let head = |cursor: &mut Cursor<'_>| Ok((if_exists(cursor)?, relation(cursor)?));
    let (if_exists, name) = match head(cursor) {
        Ok(head) => head,
        Err(error) => return Some(Err(error)),
    };
    let renames = cursor.take_word("RENAME") && cursor.take_word("TO");
    renames.then(|| cursor.name().map(|to| Ddl::Rename { object, name, to, if_exists }))
}

fn drop(object: Object, cursor: &mut Cursor<'_>) -> Result<Ddl, Error> {
    let if_exists = if_exists(cursor)?;
    let names = listed(cursor, relation)?;
    Ok(Ddl::Drop { object, names, if_exists, cascade: cascade(cursor) })
}

fn create_schema(cursor: &mut Cursor<'_>) -> Result<Ddl, Error> {
    let if_not_exists = if_not_exists(cursor)?;
    Ok(Ddl::CreateSchema { name: schema(cursor)?, if_not_exists })
}

fn drop_schema(cursor: &mut Cursor<'_>) -> Result<Ddl, Error> {
    let if_exists = if_exists(cursor)?;
    let names = listed(cursor, schema)?;
    Ok(Ddl::DropSchema { names, if_exists, cascade: cascade(cursor) })
}

fn comment(cursor: &mut Cursor<'_>) -> Option<Result<Ddl, Error>> {
    if !cursor.take_word("ON") {
        return None;
    }
    let of_column = cursor.take_word("COLUMN");
    if !of_column {
        object(cursor)?;
    }
    let comment = |cursor: &mut Cursor<'_>| {
        let mut parts = parts(cursor)?;
        let column = if of_column { parts.pop() } else { None };
        let name = of_parts(parts).ok_or_else(|| cursor.unexpected())??;
        cursor.expect_word("IS")?;
        let text = match cursor.peek() {
            Some(Token::DollarQuotedString(text)) => {
                cursor.advance();
                Some(text.value.clone())
            }
            Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_)) => Some(cursor.text()?),
            _ => cursor.expect_word("NULL").map(|()| None)?,
        };
        Ok(Ddl::Comment { name, column, text })
    };
    Some(comment(cursor))
}

pub(super) fn if_exists(cursor: &mut Cursor<'_>) -> Result<bool, Error> {
    let conditional = cursor.take_word("IF");
    if conditional {
        cursor.expect_word("EXISTS")?;
    }
    Ok(conditional)
}

fn if_not_exists(cursor: &mut Cursor<'_>) -> Result<bool, Error> {
    let conditional = cursor.take_word("IF");
    if conditional {
        cursor.expect_word("NOT")?;
        cursor.expect_word("EXISTS")?;
    }
    Ok(conditional)
}

fn cascade(cursor: &mut Cursor<'_>) -> bool {
    let cascade = cursor.take_word("CASCADE");
    let _ = !cascade && cursor.take_word("RESTRICT");
    cascade
}

pub(super) fn listed<T>(
    cursor: &mut Cursor<'_>,
    one: impl Fn(&mut Cursor<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut all = vec![one(cursor)?];
    while cursor.take(&Token::Comma) {
        all.push(one(cursor)?);
    }
    Ok(all)
}

/// `[[sluice.]schema.]name`
pub(super) fn relation(cursor: &mut Cursor<'_>) -> Result<Named, Error> {
    of_parts(parts(cursor)?).ok_or_else(|| cursor.unexpected())?
}

/// `[sluice.]schema`
fn schema(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let Named { schema, name } = named(cursor)?;
    match schema {
        Some(database) if database != DATABASE => Err(elsewhere(&format!("{database}.{name}"))),
        _ => Ok(name),
    }
}

fn parts(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    let mut parts = vec![cursor.name()?];
    while cursor.take(&Token::Period) {
        parts.push(cursor.name()?);
    }
    Ok(parts)
}

fn of_parts(parts: Vec<String>) -> Option<Result<Named, Error>> {
    Some(match <[String; 3]>::try_from(parts) {
        Ok([database, schema, name]) if database == DATABASE => Ok(Named { schema: Some(schema), name }),
        Ok(parts) => Err(elsewhere(&parts.join("."))),
        Err(mut parts) => {
            let name = parts.pop()?;
            let schema = parts.pop();
            if !parts.is_empty() {
                return None;
            }
            Ok(Named { schema, name })
        }
    })
}

fn elsewhere(name: &str) -> Error {
    Error::new("0A000", format!("cross-database references are not implemented: \"{name}\""))
        .with_hint(format!("There is one database, {DATABASE}."))
}
