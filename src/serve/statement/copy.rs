//! `COPY ... TO STDOUT`: a query or table in bulk, and how its rows are written.

use super::copy_in::copy_in;
use super::utility::Cursor;
use super::{Statement, query};
use crate::ops::opaque::Opaque;
use crate::serve::Error;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// What is copied, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// Whose rows.
    pub query: Opaque<ast::Query>,
    /// How they are written.
    pub options: CopyOptions,
}

/// How rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The form as a whole.
    pub format: CopyFormat,
    /// What stands between values.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// Whether a line of names comes first.
    pub header: bool,
    /// What quotes values in CSV.
    pub quote: u8,
    /// What escapes a quote in CSV.
    pub escape: u8,
    /// Which columns are always quoted in CSV.
    pub force_quote: ForceQuote,
}

/// The form of copied rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyFormat {
    /// A line a row, backslashes before what is special.
    #[default]
    Text,
    /// A line a row, quotes around what is special.
    Csv,
    /// PostgreSQL's send functions.
    Binary,
}

/// Columns that are quoted whether they need it or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForceQuote {
    /// None.
    #[default]
    No,
    /// These.
    Columns(Vec<String>),
    /// All.
    All,
}

/// Options as they are given, before what they leave out is known.
#[derive(Default)]
pub(super) struct Given {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: bool,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: ForceQuote,
}

/// `COPY { table [(column, ...)] | (query) } TO STDOUT [options]`, or `COPY table [(column, ...)] FROM STDIN [options]`.
pub(super) fn copy(sql: &str, tokens: &[TokenWithSpan]) -> Result<Statement, Error> {
    let mut cursor = Cursor::new(sql, &tokens[1..]);
    let mut given = Given::default();
    if cursor.take_word("BINARY") {
        given.format = Some(CopyFormat::Binary);
    }
    let rest = cursor.rest();
    if let Some(statement) =
        copy_in(Cursor::new(sql, rest), Given { format: given.format, ..Given::default() })
    {
        return statement.map(Statement::CopyIn);
    }
    let source = if cursor.peek() == Some(&Token::LParen) {
        parenthesised(&mut cursor)?.to_vec()
    } else {
        table(&mut cursor)?
    };
    cursor.expect_word("TO")?;
    if !cursor.take_word("STDOUT") {
        return Err(no_files("pg_write_server_files", "to"));
    }
    let options = options(&mut cursor, given, false)?;
    let query = query(sql, source)?;
    Ok(Statement::Copy(Copy { query: Opaque::new(*query), options }))
}

/// The options to the end of the statement, `is_in` where rows come in.
pub(super) fn options(cursor: &mut Cursor<'_>, mut given: Given, is_in: bool) -> Result<CopyOptions, Error> {
    let _ = cursor.take_word("WITH");
    if cursor.take(&Token::LParen) {
        listed(cursor, &mut given)?;
    } else {
        spoken(cursor, &mut given)?;
    }
    cursor.end()?;
    given.complete(is_in)
}

/// Files of the server are nobody's.
pub(super) fn no_files(role: &str, direction: &str) -> Error {
    let message =
        format!("must be superuser or have privileges of the {role} role to COPY {direction} a file");
    Error::new("42501", message)
        .with_hint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")
}

/// The tokens of a query in parentheses, without these.
fn parenthesised<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [TokenWithSpan], Error> {
    let tokens = cursor.rest();
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        cursor.advance();
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(&tokens[1..at]);
        }
    }
    Err(cursor.unexpected())
}

/// `SELECT columns FROM table`, of the tokens that name them.
fn table(cursor: &mut Cursor<'_>) -> Result<Vec<TokenWithSpan>, Error> {
    let start = cursor.rest();
    cursor.dotted_name()?;
    let name = &start[..start.len() - cursor.rest().len()];
    let columns = match cursor.peek() {
        Some(Token::LParen) => parenthesised(cursor)?.to_vec(),
        _ => vec![TokenWithSpan::wrap(Token::Mul)],
    };
    let word = |value: &str, keyword| {
        TokenWithSpan::wrap(Token::Word(Word { value: value.to_string(), quote_style: None, keyword }))
    };
    let select = [word("SELECT", Keyword::SELECT)].into_iter().chain(columns);
    Ok(select.chain([word("FROM", Keyword::FROM)]).chain(name.iter().cloned()).collect())
}

/// `(option [value], ...)`.
fn listed(cursor: &mut Cursor<'_>, given: &mut Given) -> Result<(), Error> {
    loop {
        let option = cursor.name()?;
        match option.as_str() {
            "format" => {
                let format = cursor.text()?;
                given.format = Some(match format.to_lowercase().as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    _ => return Err(Error::new("22023", format!("COPY format \"{format}\" not recognized"))),
                });
            }
            "delimiter" => given.delimiter = Some(cursor.text()?),
            "null" => given.null = Some(cursor.text()?),
            "quote" => given.quote = Some(cursor.text()?),
            "escape" => given.escape = Some(cursor.text()?),
            "header" => given.header = cursor.flag("header")?,
            "force_quote" => {
                given.force_quote = match cursor.take(&Token::Mul) {
                    true => ForceQuote::All,
                    false => {
                        cursor.expect(&Token::LParen)?;
                        let columns = names(cursor)?;
                        cursor.expect(&Token::RParen)?;
                        ForceQuote::Columns(columns)
                    }
                };
            }
            "encoding" => encoding(cursor)?,
            "freeze" | "force_not_null" | "force_null" => {
                return Err(Error::new("0A000", format!("COPY {option} is not supported")));
            }
            _ => return Err(Error::new("42601", format!("option \"{option}\" not recognized"))),
        }
        if !cursor.take(&Token::Comma) {
            return cursor.expect(&Token::RParen);
        }
    }
}

/// The older way: `BINARY`, `CSV HEADER DELIMITER AS ';'`.
fn spoken(cursor: &mut Cursor<'_>, given: &mut Given) -> Result<(), Error> {
    while !cursor.rest().is_empty() {
        if cursor.take_word("BINARY") {
            given.format = Some(CopyFormat::Binary);
        } else if cursor.take_word("CSV") {
            given.format = Some(CopyFormat::Csv);
        } else if cursor.take_word("HEADER") {
            given.header = true;
        } else if cursor.take_word("DELIMITER") || cursor.take_word("DELIMITERS") {
            let _ = cursor.take_word("AS");
            given.delimiter = Some(cursor.text()?);
        } else if cursor.take_word("NULL") {
            let _ = cursor.take_word("AS");
            given.null = Some(cursor.text()?);
        } else if cursor.take_word("QUOTE") {
            let _ = cursor.take_word("AS");
            given.quote = Some(cursor.text()?);
        } else if cursor.take_word("ESCAPE") {
            let _ = cursor.take_word("AS");
            given.escape = Some(cursor.text()?);
        } else if cursor.take_word("ENCODING") {
            encoding(cursor)?;
        } else {
            cursor.expect_word("FORCE")?;
            cursor.expect_word("QUOTE")?;
            given.force_quote = match cursor.take(&Token::Mul) {
                true => ForceQuote::All,
                false => ForceQuote::Columns(names(cursor)?),
            };
        }
    }
    Ok(())
}

fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    let mut names = vec![cursor.name()?];
    while cursor.take(&Token::Comma) {
        names.push(cursor.name()?);
    }
    Ok(names)
}

fn encoding(cursor: &mut Cursor<'_>) -> Result<(), Error> {
    let encoding = cursor.text()?;
    let folded: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    match folded.eq_ignore_ascii_case("utf8") {
        true => Ok(()),
        false => Err(Error::new("0A000", format!("COPY in encoding \"{encoding}\" is not supported"))
            .with_hint("Only UTF8 is supported.")),
    }
}

impl Given {
    /// What is left out has the format's defaults; what the format does not know is refused.
    pub(super) fn complete(self, comes_in: bool) -> Result<CopyOptions, Error> {
        let format = self.format.unwrap_or_default();
        let refused = |what: &str| Error::new("42601", what);
        if format == CopyFormat::Binary {
            for (given, name) in [(self.delimiter.is_some(), "DELIMITER"), (self.null.is_some(), "NULL")] {
                if given {
                    return Err(refused(&format!("cannot specify {name} in BINARY mode")));
                }
            }
            if self.header {
                return Err(Error::new("0A000", "cannot specify HEADER in BINARY mode"));
            }
        }
        if format != CopyFormat::Csv {
            let only_csv = [
                (self.quote.is_some(), "COPY quote available only in CSV mode"),
                (self.escape.is_some(), "COPY escape available only in CSV mode"),
                (self.force_quote != ForceQuote::No, "COPY force quote available only in CSV mode"),
            ];
            if let Some((_, message)) = only_csv.into_iter().find(|(given, _)| *given) {
                return Err(Error::new("0A000", message));
            }
        }
        if comes_in && self.force_quote != ForceQuote::No {
            return Err(Error::new("0A000", "COPY force quote only available using COPY TO"));
        }
        let csv = format == CopyFormat::Csv;
        let delimiter = single(self.delimiter, if csv { b',' } else { b'\t' }, "delimiter")?;
        let quote = single(self.quote, b'"', "quote")?;
        let escape = single(self.escape, quote, "escape")?;
        let null = self.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_string() });
        if matches!(delimiter, b'\r' | b'\n') {
            return Err(Error::new("22023", "COPY delimiter cannot be newline or carriage return"));
        }
        if null.contains(['\r', '\n']) {
            return Err(Error::new(
                "22023",
                "COPY null representation cannot use newline or carriage return",
            ));
        }
        if !csv
            && (delimiter.is_ascii_lowercase()
                || delimiter.is_ascii_digit()
                || matches!(delimiter, b'\\' | b'.'))
        {
            let message = format!("COPY delimiter cannot be \"{}\"", char::from(delimiter));
            return Err(Error::new("22023", message));
        }
        if csv && delimiter == quote {
            return Err(Error::new("22023", "COPY delimiter and quote must be different"));
        }
        if null.as_bytes().contains(&delimiter) {
            return Err(Error::new("22023", "COPY delimiter must not appear in the NULL specification"));
        }
        let Self { header, force_quote, .. } = self;
        Ok(CopyOptions { format, delimiter, null, header, quote, escape, force_quote })
    }
}

fn single(given: Option<String>, default: u8, what: &str) -> Result<u8, Error> {
    match given.as_deref().map(str::as_bytes) {
        None => Ok(default),
        Some([byte]) => Ok(*byte),
        Some(_) => Err(Error::new("0A000", format!("COPY {what} must be a single one-byte character"))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Copy, CopyFormat, CopyOptions, ForceQuote};
    use crate::serve::statement::{Statement, parse};

    fn read(sql: &str) -> (String, CopyOptions) {
        match parse(sql).unwrap().pop() {
            Some(Statement::Copy(Copy { query, options })) => (query.to_string(), options),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn what_is_copied() {
        for (sql, query) in [
            ("COPY gold.sales TO STDOUT", "SELECT * FROM gold.sales"),
            ("copy \"S\".t (a, \"B\") to stdout", "SELECT a, \"B\" FROM \"S\".t"),
            ("copy (select (1), ')') to stdout", "SELECT (1), ')'"),
            (
                "copy (with x as (values (1)) table x) to stdout binary",
                "WITH x AS (VALUES (1)) SELECT * FROM x",
            ),
        ] {
            assert_eq!(read(sql).0, query, "{sql}");
        }
    }

    #[test]
    fn what_comes_in() {
        let Some(Statement::CopyIn(copy)) =
            parse("copy bronze.\"R\" (a, \"B\") from stdin with csv header").unwrap().pop()
        else {
            panic!()
        };
        assert_eq!((copy.table.schema.as_deref(), copy.table.name.as_str()), (Some("bronze"), "R"));
        assert_eq!(copy.columns, Some(vec!["a".to_string(), "B".to_string()]));
        assert!(copy.options.header && copy.options.format == CopyFormat::Csv);
    }

    #[test]
    fn options_of_both_ways() {
        let text = read("copy t to stdout").1;
        assert_eq!((text.format, text.delimiter, text.null.as_str()), (CopyFormat::Text, b'\t', "\\N"));
        let csv = CopyOptions {
            format: CopyFormat::Csv,
            delimiter: b';',
            null: "N".to_string(),
            header: true,
            quote: b'\'',
            escape: b'\\',
            force_quote: ForceQuote::Columns(vec!["a".to_string(), "B".to_string()]),
        };
        let listed = "copy t to stdout with (format csv, delimiter ';', null 'N', header, quote '''', escape '\\', force_quote (a, \"B\"))";
        let spoken = "copy t to stdout with csv header delimiter as ';' null 'N' quote as '''' escape '\\' force quote a, \"B\"";
        assert_eq!(read(listed).1, csv);
        assert_eq!(read(spoken).1, csv);
        assert_eq!(read("copy t to stdout (format 'binary', encoding 'UTF-8')").1.format, CopyFormat::Binary);
        assert!(!read("copy t to stdout (format csv, header false, force_quote *)").1.header);
        assert_eq!(read("copy t to stdout with delimiter as E'\\t' null as '\\\\N'").1.delimiter, b'\t');
    }

    #[test]
    fn what_cannot_be() {
        for (sql, code) in [
            ("copy t from stdin (format csv, force_quote *)", "0A000"),
            ("copy t from '/tmp/x'", "42501"),
            ("copy (select 1) from stdin", "42601"),
            ("copy t (a from stdin", "42601"),
            ("copy t to '/tmp/x'", "42501"),
            ("copy t to program 'x'", "42501"),
            ("copy (select 1 to stdout", "42601"),
            ("copy (insert into t values (1)) to stdout", "0A000"),
            ("copy t to stdout (format xml)", "22023"),
            ("copy t to stdout (format binary, null 'x')", "42601"),
            ("copy t to stdout (format binary, header)", "0A000"),
            ("copy t to stdout (quote 'x')", "0A000"),
            ("copy t to stdout (delimiter 'ab')", "0A000"),
            ("copy t to stdout (delimiter 'a')", "22023"),
            ("copy t to stdout (format csv, delimiter '\"')", "22023"),
            ("copy t to stdout (format csv, delimiter ';', null 'a;b')", "22023"),
            ("copy t to stdout (nothing)", "42601"),
            ("copy t to stdout csv x", "42601"),
        ] {
            assert_eq!(parse(sql).unwrap_err().code, code, "{sql}");
        }
    }
}
