//! What a reader may say: a closed list.
//!
//! Comes in: the text of one message, possibly several statements. Goes out: [`Statement`]s; everything that is not on
//! the list is refused by name, before anything is planned. Nothing here touches data.

mod access;
mod copy;
mod copy_in;
mod cursors;
mod definitions;
mod deploy;
mod insert;
mod models;
mod qualify;
mod refused;
mod utility;
mod watches;

#[cfg(test)]
mod tests;

pub use copy::{Copy, CopyFormat, CopyOptions, ForceQuote};
pub use copy_in::CopyIn;
pub use cursors::{Declaration, Direction};
pub use definitions::{Ddl, Object};
pub use insert::Insert;
pub use models::Named;
pub use qualify::{Behind, qualified};
pub use watches::Watching;

use super::Error;
use crate::catalog::definer::Files;
use crate::ops::opaque::Opaque;
use crate::refresh::{Extent, Range};
use crate::sql::{AccessStatement, bind_as_written, bind_expression_as_written, expand_windows, respelled};
use datafusion::sql::sqlparser::ast::{self, SetExpr};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// How deep expressions and queries may nest.
const NESTING_MAX: usize = 100;

/// One statement of a reader.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Nothing but spaces and semicolons.
    Empty,
    /// `SELECT`, `WITH`, `VALUES`, `TABLE`.
    Query(Opaque<ast::Query>),
    /// `EXPLAIN [ANALYZE] [VERBOSE] <query>`.
    Explain {
        /// What is explained.
        query: Opaque<ast::Query>,
        /// Run it and count.
        analyze: bool,
        /// All plans, not only the last of each kind.
        verbose: bool,
    },
    /// `EXPLAIN CREATE MATERIALIZED VIEW ...`: the definition's text.
    ExplainModel(String),
    /// `EXECUTE UNIT TEST ...`: its text.
    UnitTest(String),
    /// `VERIFY MATERIALIZED VIEW <name>`.
    Verify(Named),
    /// `BACKFILL <name> FROM <time> TO <time>`.
    Backfill {
        /// The streaming table.
        name: Named,
        /// From when to when.
        range: Range,
        /// Rows that its input does not hold any more may be lost.
        history_may_be_lost: bool,
    },
    /// `REPLAY QUARANTINE <name>`.
    Replay {
        /// The table beside which the rows are kept.
        name: Named,
        /// Which of them; all without.
        predicate: Option<String>,
    },
    /// `REFRESH TABLE | MATERIALIZED VIEW <name>`.
    Refresh {
        /// The model.
        name: Named,
        /// How much of it.
        extent: Extent,
        /// It was called a materialized view.
        only_view: bool,
    },
    /// `ERASE SUBJECT 'value' [TAG tag] [DRY RUN]`
    Erase {
        /// The value that says whose a row is.
        subject: String,
        /// The tag of the columns that hold it.
        tag: String,
        /// Nothing is done; what would be is told.
        dry_run: bool,
    },
    /// `PLAN`
    Plan,
    /// `APPLY [ROLLBACK [TO n]]`
    Apply(Files),
    /// `CREATE VIEW`, `CREATE TABLE ... AS`, `DROP` and what else defines.
    Define(Ddl),
    /// `SHOW <setting>`.
    Show(String),
    /// `SHOW ALL`.
    ShowAll,
    /// `SET [LOCAL] <setting> = <value>`; `None` is `DEFAULT`.
    Set {
        /// The setting.
        name: String,
        /// Its new value.
        value: Option<String>,
        /// Only until the transaction ends.
        local: bool,
    },
    /// `RESET <setting>`.
    Reset(String),
    /// `RESET ALL`.
    ResetAll,
    /// `SET SESSION AUTHORIZATION`, `SET ROLE`.
    SetRole {
        /// The role; `None` is `DEFAULT` or `NONE`.
        role: Option<String>,
        /// Only until the transaction ends.
        local: bool,
    },
    /// `CREATE ROLE`, `GRANT`, `CREATE POLICY` and the like.
    Access(AccessStatement),
    /// `BEGIN`, `START TRANSACTION`.
    Begin(Begin),
    /// `SET TRANSACTION`, `SET SESSION CHARACTERISTICS`.
    SetTransaction {
        /// What was said.
        modes: Modes,
        /// It is about all transactions that follow.
        session: bool,
    },
    /// `COMMIT`, `END`.
    Commit {
        /// The next transaction begins at once.
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`.
    Rollback {
        /// The next transaction begins at once.
        chain: bool,
    },
    /// `SAVEPOINT`.
    Savepoint(String),
    /// `ROLLBACK TO`.
    RollbackTo(String),
    /// `RELEASE`.
    Release(String),
    /// `DISCARD`.
    Discard(Discarded),
    /// `DEALLOCATE <name>`; `None` is `ALL`.
    Deallocate(Option<String>),
    /// `COPY <query> TO STDOUT`.
    Copy(Copy),
    /// `COPY <source> FROM STDIN`.
    CopyIn(CopyIn),
    /// `INSERT INTO <source>`.
    Insert(Insert),
    /// `DECLARE <name> CURSOR FOR <query>`.
    Declare(Declaration),
    /// `FETCH`, `MOVE`.
    Fetch {
        /// Of which cursor.
        cursor: String,
        /// Which rows.
        direction: Direction,
        /// `MOVE`: the rows are counted, not given.
        moves: bool,
    },
    /// `CLOSE <name>`; `None` is `ALL`.
    Close(Option<String>),
    /// `UNLISTEN`.
    Unlisten,
    /// `PREPARE <name> AS <query or INSERT>`.
    Prepare {
        /// The name it is executed by.
        name: String,
        /// Declared parameter types.
        types: Opaque<Vec<ast::DataType>>,
        /// What is prepared.
        statement: Box<Statement>,
        /// The whole text.
        text: String,
    },
    /// `EXECUTE <name>`.
    Execute {
        /// The prepared statement.
        name: String,
        /// Its parameters.
        arguments: Opaque<Vec<ast::Expr>>,
    },
}

/// How a transaction begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// The words were `START TRANSACTION`, which have a tag of their own.
    pub starts: bool,
    /// What was said of the transaction.
    pub modes: Modes,
}

/// What is said of transactions, as settings and their values. Every transaction reads one cut, whatever it says: the
/// settings only tell what was said.
pub type Modes = Vec<(&'static str, &'static str)>;

/// What `DISCARD` discards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// Everything the session holds.
    All,
    /// Plans.
    Plans,
    /// Sequences: there are none.
    Sequences,
    /// Temporary tables: there are none.
    Temporary,
}

impl Statement {
    /// The word PostgreSQL answers with when the statement is done; queries add their row count.
    pub fn tag(&self) -> &'static str {
        match self {
            Statement::Empty => "",
            Statement::Query(_) => "SELECT",
            Statement::Explain { .. } | Statement::ExplainModel(_) => "EXPLAIN",
            Statement::UnitTest(_) => "EXECUTE UNIT TEST",
            Statement::Verify(_) => "VERIFY MATERIALIZED VIEW",
            Statement::Backfill { .. } => "BACKFILL",
            Statement::Replay { .. } => "REPLAY QUARANTINE",
            Statement::Refresh { only_view: true, .. } => "REFRESH MATERIALIZED VIEW",
            Statement::Refresh { only_view: false, .. } => "REFRESH TABLE",
            Statement::Erase { .. } => "ERASE SUBJECT",
            Statement::Plan => "PLAN",
            Statement::Apply(_) => "APPLY",
            Statement::Define(ddl) => ddl.tag(),
            Statement::Show(_) | Statement::ShowAll => "SHOW",
            Statement::Set { .. } | Statement::SetRole { .. } | Statement::SetTransaction { .. } => "SET",
            Statement::Access(access) => access::tag(access),
            Statement::Reset(_) | Statement::ResetAll => "RESET",
            Statement::Begin(Begin { starts: false, .. }) => "BEGIN",
            Statement::Begin(Begin { starts: true, .. }) => "START TRANSACTION",
            Statement::Commit { .. } => "COMMIT",
            Statement::Rollback { .. } | Statement::RollbackTo(_) => "ROLLBACK",
            Statement::Savepoint(_) => "SAVEPOINT",
            Statement::Release(_) => "RELEASE",
            Statement::Discard(Discarded::All) => "DISCARD ALL",
            Statement::Discard(Discarded::Plans) => "DISCARD PLANS",
            Statement::Discard(Discarded::Sequences) => "DISCARD SEQUENCES",
            Statement::Discard(Discarded::Temporary) => "DISCARD TEMP",
            Statement::Deallocate(Some(_)) => "DEALLOCATE",
            Statement::Deallocate(None) => "DEALLOCATE ALL",
            Statement::Copy(_) | Statement::CopyIn(_) => "COPY",
            Statement::Insert(_) => "INSERT",
            Statement::Declare(_) => "DECLARE CURSOR",
            Statement::Fetch { moves: false, .. } => "FETCH",
            Statement::Fetch { moves: true, .. } => "MOVE",
            Statement::Close(Some(_)) => "CLOSE CURSOR",
            Statement::Close(None) => "CLOSE CURSOR ALL",
            Statement::Unlisten => "UNLISTEN",
            Statement::Prepare { .. } => "PREPARE",
            Statement::Execute { .. } => "EXECUTE",
        }
    }

    /// The query that is planned when the statement is prepared.
    pub fn query(&self) -> Option<&Opaque<ast::Query>> {
        match self {
            Statement::Query(query)
            | Statement::Copy(Copy { query, .. })
            | Statement::Insert(Insert { query, .. })
            | Statement::Declare(Declaration { query, .. }) => Some(query),
            _ => None,
        }
    }

    /// True for what may still be said in a transaction that has failed.
    pub fn ends_failure(&self) -> bool {
        matches!(self, Statement::Commit { .. } | Statement::Rollback { .. } | Statement::RollbackTo(_))
    }
}

/// Parses every statement of a text; an empty text has none. Positions count from the start of the whole text.
pub fn parse(sql: &str) -> Result<Vec<Statement>, Error> {
    Ok(parse_said(sql)?.into_iter().map(|(statement, _)| statement).collect())
}

/// PostgreSQL's words for what begins and does not end, with all that follows, and where it begins.
fn unterminated(sql: &str, message: &str, at: Option<usize>) -> Error {
    // Of a comment the parser tells the end only.
    let comment = sql.rfind("/*").map(|start| sql[..start].chars().count() + 1);
    let (what, at) = match message {
        "Unterminated string literal" | "Unterminated encoded string literal" => ("quoted string", at),
        "Expected close delimiter '\"' before EOF." => ("quoted identifier", at),
        "Unexpected EOF while in a multi-line comment" => ("/* comment", comment),
        _ => return Error::new("42601", message.to_lowercase()).with_position(at),
    };
    let rest: String = sql.chars().skip(at.unwrap_or(1) - 1).collect();
    Error::new("42601", format!("unterminated {what} at or near \"{rest}\"")).with_position(at)
}

/// As [`parse`], each with its own text.
pub fn parse_said(sql: &str) -> Result<Vec<(Statement, String)>, Error> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| unterminated(sql, &error.message, at(sql, error.location)))?;
    let mut statements = Vec::new();
    for tokens in tokens.split(|token| token.token == Token::SemiColon) {
        let tokens: Vec<TokenWithSpan> =
            tokens.iter().filter(|token| !is_space(&token.token)).cloned().collect();
        if !tokens.is_empty() {
            let text = text_of(sql, &tokens).unwrap_or_default();
            statements.push((parse_one(sql, tokens)?, text));
        }
    }
    Ok(statements)
}

fn is_space(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_) | Token::EOF)
}

fn parse_one(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Statement, Error> {
    let mut words = tokens.iter().map_while(|token| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    });
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    match first.as_str() {
        // A parenthesis opens a query, too.
        "" | "SELECT" | "VALUES" | "TABLE" => {
            query(sql, tokens).map(|query| Statement::Query(Opaque::new(*query)))
        }
        "WITH" => with(sql, tokens),
        "EXPLAIN" => explain(sql, tokens),
        "COPY" => copy::copy(sql, &tokens),
        "INSERT" => insert::insert(sql, tokens),
        "DECLARE" => cursors::declare(sql, &tokens),
        "PREPARE" => prepare(sql, tokens),
        "EXECUTE" => match models::unit_test(sql, &tokens) {
            Some(statement) => Ok(statement),
            None => execute(sql, tokens),
        },
        _ => {
            let access = access::parse(sql, &first, &tokens);
            let utility = access.or_else(|| utility::parse(sql, &first, &tokens));
            match utility.or_else(|| definitions::parse(sql, &first, &tokens)) {
                Some(statement) => statement,
                None => {
                    Err(refused::refusal(&first, second.as_deref())
                        .unwrap_or_else(|| near(sql, tokens.first())))
                }
            }
        }
    }
}

/// `WITH ... query` and `WITH ... INSERT INTO source query`.
fn with(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Statement, Error> {
    let mut query = *unchecked(sql, tokens)?;
    match *query.body {
        SetExpr::Insert(ast::Statement::Insert(inserted)) => insert::of(sql, inserted, query.with),
        _ => {
            checked(sql, &mut query)?;
            Ok(Statement::Query(Opaque::new(query)))
        }
    }
}

fn query(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Box<ast::Query>, Error> {
    let mut query = unchecked(sql, tokens)?;
    checked(sql, &mut query)?;
    Ok(query)
}

fn unchecked(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Box<ast::Query>, Error> {
    let dialect = PostgreSqlDialect {};
    let last = tokens.last().map(|token| token.span.end);
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(respelled(tokens));
    let query = parser.parse_query().map_err(|error| syntax_error(sql, error, &mut parser, last))?;
    let rest = parser.peek_token();
    match rest.token {
        Token::EOF => Ok(query),
        _ => Err(near(sql, Some(&rest))),
    }
}

/// A query that was read, as it is meant; refused if it hides what readers may not say.
fn checked(sql: &str, query: &mut ast::Query) -> Result<(), Error> {
    bind_as_written(query);
    refused::check_query(query)?;
    expand_windows(query).map_err(|error| {
        Error::new(error.code, error.message).with_hint(error.hint).with_position(at(sql, error.at))
    })
}

/// `EXPLAIN [ANALYZE] [VERBOSE] query` and `EXPLAIN (option [value], ...) query`.
fn explain(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Statement, Error> {
    let mut cursor = utility::Cursor::new(sql, &tokens[1..]);
    let (mut analyze, mut verbose) = (false, false);
    if cursor.take(&Token::LParen) && !cursor.at_query() {
        loop {
            let option = cursor.name()?;
            let on = match cursor.option_value() {
                Some(value) if option == "format" && value != "text" => {
                    return Err(Error::new("0A000", format!("EXPLAIN (FORMAT {value}) is not supported")));
                }
                Some(value) => !matches!(value.as_str(), "false" | "off" | "0"),
                None => true,
            };
            match option.as_str() {
                "analyze" => analyze = on,
                "verbose" => verbose = on,
                "format" | "costs" | "buffers" | "timing" | "summary" | "settings" | "wal" => {}
                other => {
                    return Err(Error::new("42601", format!("unrecognized EXPLAIN option \"{other}\"")));
                }
            }
            if !cursor.take(&Token::Comma) {
                break;
            }
        }
        cursor.expect(&Token::RParen)?;
    } else {
        cursor = utility::Cursor::new(sql, &tokens[1..]);
        analyze = cursor.take_word("ANALYZE") || cursor.take_word("ANALYSE");
        verbose = cursor.take_word("VERBOSE");
    }
    if let Some(explained) = models::explained(sql, cursor.rest()) {
        return match analyze {
            false => Ok(explained),
            true => Err(Error::new("0A000", "EXPLAIN ANALYZE of a definition is not supported")
                .with_hint("Leave ANALYZE out; sluice.refreshes has what each refresh did.")),
        };
    }
    let rest = cursor.rest().to_vec();
    match parse_one(sql, rest)? {
        Statement::Query(query) => Ok(Statement::Explain { query, analyze, verbose }),
        other => Err(Error::new("0A000", format!("EXPLAIN {} is not supported", other.tag()))),
    }
}

/// `PREPARE name [(type, ...)] AS query or INSERT`.
fn prepare(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Statement, Error> {
    let mut cursor = utility::Cursor::new(sql, &tokens[1..]);
    let name = cursor.name()?;
    let dialect = PostgreSqlDialect {};
    let last = tokens.last().map(|token| token.span.end);
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(cursor.rest().to_vec());
    let mut types = Vec::new();
    if parser.consume_token(&Token::LParen) {
        types = parser
            .parse_comma_separated(Parser::parse_data_type)
            .and_then(|types| parser.expect_token(&Token::RParen).map(|_| types))
            .map_err(|error| syntax_error(sql, error, &mut parser, last))?;
    }
    if !parser.parse_keyword(Keyword::AS) {
        return Err(near(sql, Some(&parser.peek_token())));
    }
    let consumed = parser.peek_token().span;
    let rest = tokens.iter().skip_while(|token| token.span != consumed).cloned().collect();
    let text = text_of(sql, &tokens).unwrap_or_default();
    match parse_one(sql, rest)? {
        statement @ (Statement::Query(_) | Statement::Insert(_)) => {
            let (types, statement) = (Opaque::new(types), Box::new(statement));
            Ok(Statement::Prepare { name, types, statement, text })
        }
        other => Err(Error::new("0A000", format!("PREPARE of {} is not supported", other.tag()))),
    }
}

/// `EXECUTE name [(expression, ...)]`.
fn execute(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Statement, Error> {
    let mut cursor = utility::Cursor::new(sql, &tokens[1..]);
    let name = cursor.name()?;
    let dialect = PostgreSqlDialect {};
    let last = tokens.last().map(|token| token.span.end);
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(cursor.rest().to_vec());
    let mut arguments = Vec::new();
    if parser.consume_token(&Token::LParen) {
        arguments = parser
            .parse_comma_separated(Parser::parse_expr)
            .and_then(|arguments| parser.expect_token(&Token::RParen).map(|_| arguments))
            .map_err(|error| syntax_error(sql, error, &mut parser, last))?;
    }
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(near(sql, Some(&rest)));
    }
    arguments.iter_mut().for_each(bind_expression_as_written);
    Ok(Statement::Execute { name, arguments: Opaque::new(arguments) })
}

/// PostgreSQL's words for a parse error: the token that could not be understood, and where it stands.
fn syntax_error(sql: &str, error: ParserError, parser: &mut Parser<'_>, last: Option<Location>) -> Error {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return Error::new("54001", "statement is nested too deeply")
                .with_hint(format!("At most {NESTING_MAX} levels are read."));
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    match location_in(&message) {
        Some(location) => {
            let position = at(sql, location);
            match message.split_once(", found: ").map(|(_, found)| found) {
                Some(found) if !found.starts_with("EOF") => {
                    let found = found.rsplit_once(" at Line: ").map_or(found, |(found, _)| found);
                    Error::new("42601", format!("syntax error at or near \"{}\"", found.trim_matches('"')))
                        .with_position(position)
                }
                _ => {
                    let text = message.rsplit_once(" at Line: ").map_or(message.as_str(), |(text, _)| text);
                    Error::new("42601", format!("syntax error: {}", lower_first(text)))
                        .with_position(position)
                }
            }
        }
        None if parser.peek_token().token == Token::EOF || message.contains("found: EOF") => {
            Error::new("42601", "syntax error at end of input")
                .with_position(last.and_then(|location| at(sql, location)))
        }
        None => Error::new("42601", format!("syntax error: {}", lower_first(&message))),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// `syntax error at or near "token"`.
fn near(sql: &str, token: Option<&TokenWithSpan>) -> Error {
    match token {
        Some(token) if token.token != Token::EOF => {
            Error::new("42601", format!("syntax error at or near \"{}\"", token.token))
                .with_position(at(sql, token.span.start))
        }
        _ => Error::new("42601", "syntax error at end of input")
            .with_position(Some(sql.trim_end().chars().count() + 1)),
    }
}

fn at(sql: &str, location: Location) -> Option<usize> {
    position_of(sql, location.line, location.column)
}

/// The parser writes places into its messages: ` at Line: 1, Column: 8`.
fn location_in(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    let column = column.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
}

/// The text that tokens were made of.
fn text_of(sql: &str, tokens: &[TokenWithSpan]) -> Option<String> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    sql.get(byte_of(sql, first.span.start)?..byte_of(sql, last.span.end)?).map(str::to_string)
}

/// The byte offset of a line and column.
fn byte_of(sql: &str, location: Location) -> Option<usize> {
    let position = position_of(sql, location.line, location.column)?.checked_sub(1)?;
    let mut offsets = sql.char_indices().map(|(at, _)| at).chain([sql.len()]);
    offsets.nth(position)
}

/// The 1-based character position of a line and column; `None` for line 0, which is nowhere.
pub fn position_of(sql: &str, line: u64, column: u64) -> Option<usize> {
    let lines_before = usize::try_from(line.checked_sub(1)?).ok()?;
    let before: usize = sql.split('\n').take(lines_before).map(|line| line.chars().count() + 1).sum();
    Some(before + usize::try_from(column).ok()?)
}
