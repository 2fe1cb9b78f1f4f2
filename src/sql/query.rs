//! A model's query: `STREAM` taken out, parsed by sqlparser, its inputs found.

use super::closing::{late_rows, on_close, take_clauses, window_mistake, windowed_table};
use super::cursor::{Cursor, is_word};
use super::forms;
use super::misread::respelled;
use super::precedence::bind_as_written;
use super::refusal::{self, refuse};
use super::spelling::spell_for_engine;
use super::syntax::is_sampled;
use super::windows::{Given, expand_windows_given};
use super::{Error, ModelQuery, Origin};
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, SetExpr, Spanned, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};
use std::ops::ControlFlow;

/// Tokens of one query at most.
const QUERY_TOKENS_MAX: usize = 20_000;

/// Operators of one expression at most: a longer chain would make a tree too deep for a thread's stack.
const OPERATORS_MAX: usize = 1_000;

/// UNION, EXCEPT and INTERSECT in one query at most, for the same reason.
const SET_OPERATIONS_MAX: usize = 200;

/// Reads the rest of the statement as a query.
pub(super) fn model_query(cursor: &mut Cursor<'_>) -> Result<ModelQuery, Error> {
    let end = cursor.end_origin();
    if !["SELECT", "WITH", "VALUES", "("].iter().any(|word| cursor.at_word(word)) {
        return Err(cursor.unexpected("a query").with_hint("Write AS SELECT ... FROM ...."));
    }
    let start = cursor.location();
    let rest = cursor.rest();
    let (tokens, clauses) = take_clauses(cursor, rest)?;
    check_size(cursor, tokens)?;
    refuse_clauses(cursor, tokens)?;
    let (tokens, streams) = take_streams(cursor, tokens)?;

    let sql = cursor.source.between(start, tokens.last().map_or(start, |t| t.span.end)).to_string();
    let mut ast = parsed(cursor, tokens, &end)?;
    let (mut watermark_of, mut late, mut given) = (None, None, Given::All);
    if let Some((at, to)) = clauses.late {
        let table = windowed_table(&ast, "LATE ROWS TO", cursor.source.origin(at))?;
        late = Some(Box::new(late_rows(&ast, &table, (at, to), cursor)?));
        (watermark_of, given) = (Some(table), Given::InTime);
    }
    if let Some(at) = clauses.emit {
        let origin = cursor.source.origin(at);
        let table = windowed_table(&ast, "EMIT ON WINDOW CLOSE", origin.clone())?;
        *ast = on_close(*ast, &table, at).map_err(|message| Error::new("XX000", origin, message))?;
        watermark_of = Some(table);
    }
    expand_windows_given(&mut ast, given).map_err(|error| window_mistake(cursor, error))?;

    let inputs = inputs_of(cursor, &ast)?;
    Ok(ModelQuery { ast: Opaque::new(*ast), sql, streams, inputs, watermark_of, late })
}

/// Tokens as a query in the engine's words; what it lacks at its end stands at `end`.
fn parsed(cursor: &Cursor<'_>, tokens: Vec<TokenWithSpan>, end: &Origin) -> Result<Box<Query>, Error> {
    let tokens = respelled(tokens);
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(tokens);
    let mut ast = parser
        .parse_query()
        .and_then(|query| match parser.peek_token_ref() {
            token if token.token == Token::EOF => Ok(query),
            token => parser.expected_ref("the end of the query", token),
        })
        .map_err(|error| placed(cursor, end, error))?;
    bind_as_written(&mut ast);
    spell_for_engine(&mut ast);
    forms::rewrite(&mut ast);
    Ok(ast)
}

/// Every table that a query names, in order of appearance, each once.
fn inputs_of(cursor: &Cursor<'_>, query: &Query) -> Result<Vec<TableName>, Error> {
    let mut inputs: Vec<TableName> = vec![];
    for relation in walk(query).map_err(|misuse| misuse.placed(cursor))? {
        if !inputs.contains(&relation.name) {
            inputs.push(relation.name);
        }
    }
    Ok(inputs)
}

/// These tokens as a query that looks at tables as they stand, and the tables that it names; `rename` is done to it first.
pub(super) fn plain_query(
    cursor: &Cursor<'_>,
    tokens: &[TokenWithSpan],
    end: &Origin,
    rename: impl FnOnce(&mut Query),
) -> Result<(Query, Vec<TableName>), Error> {
    check_size(cursor, tokens)?;
    refuse_clauses(cursor, tokens)?;
    let mut ast = parsed(cursor, tokens.to_vec(), end)?;
    rename(&mut ast);
    expand_windows_given(&mut ast, Given::All).map_err(|error| window_mistake(cursor, error))?;
    let inputs = inputs_of(cursor, &ast)?;
    Ok((*ast, inputs))
}

/// All rows of a table that is named `at` a place, each taken once.
pub(super) fn stream_of(cursor: &Cursor<'_>, name: &TableName, at: Location) -> Result<ModelQuery, Error> {
    let quoted = |part: &str| Token::make_word(part, Some('"'));
    let sql = [
        Token::make_keyword("SELECT"),
        Token::Mul,
        Token::make_keyword("FROM"),
        quoted(&name.schema),
        Token::Period,
        quoted(&name.name),
    ];
    let tokens = sql.map(|token| TokenWithSpan::new(token, Span::new(at, at)));
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(tokens.to_vec());
    let ast = parser.parse_query().map_err(|error| placed(cursor, &cursor.source.origin(at), error))?;
    let (sql, names) = (ast.to_string(), vec![name.clone()]);
    let (streams, inputs) = (names.clone(), names);
    Ok(ModelQuery { ast: Opaque::new(*ast), sql, streams, inputs, watermark_of: None, late: None })
}

/// Refuses a query or an expression that is too long, or whose operators lean on each other too deep.
pub(super) fn check_size(cursor: &Cursor<'_>, tokens: &[TokenWithSpan]) -> Result<(), Error> {
    let refuse = |at: &TokenWithSpan, what: String| {
        let origin = cursor.source.origin(at.span.start);
        Err(Error::new("54001", origin, format!("the query has more than {what}"))
            .with_hint("Split it into views."))
    };
    if let Some(token) = tokens.get(QUERY_TOKENS_MAX) {
        return refuse(token, format!("{QUERY_TOKENS_MAX} words and symbols"));
    }
    let mut set_operations = 0;
    // Operators since the expression began, for each open parenthesis: a chain of them is a tree that leans to the left.
    let mut chains = vec![0_usize];
    for token in tokens {
        match depth_of(&token.token) {
            Depth::Opens => chains.push(0),
            Depth::Closes => {
                let inner = if chains.len() > 1 { chains.pop() } else { None };
                if let (Some(inner), Some(outer)) = (inner, chains.last_mut()) {
                    *outer += inner;
                }
            }
            Depth::Begins => {
                if let Some(chain) = chains.last_mut() {
                    *chain = 0;
                }
            }
            Depth::Leans => {
                if let Some(chain) = chains.last_mut() {
                    *chain += 1;
                }
                if chains.iter().sum::<usize>() > OPERATORS_MAX {
                    return refuse(token, format!("{OPERATORS_MAX} operators in one expression"));
                }
            }
            Depth::Unites => {
                set_operations += 1;
                if set_operations > SET_OPERATIONS_MAX {
                    return refuse(token, format!("{SET_OPERATIONS_MAX} set operations"));
                }
            }
            Depth::None => {}
        }
    }
    Ok(())
}

/// What a token does to the depth of the tree.
enum Depth {
    Opens,
    Closes,
    /// An expression begins anew.
    Begins,
    /// An operator takes what stands before it as its left side.
    Leans,
    /// A set operation does so with whole queries.
    Unites,
    None,
}

fn depth_of(token: &Token) -> Depth {
    const BEGINNING: &[&str] =
        &["SELECT", "FROM", "WHERE", "WHEN", "THEN", "ELSE", "ON", "JOIN", "HAVING", "BY", "VALUES", "LIMIT"];
    const LEANING: &[&str] = &[
        "AND", "OR", "XOR", "IS", "IN", "LIKE", "ILIKE", "SIMILAR", "RLIKE", "REGEXP", "BETWEEN", "NOT",
        "AT", "COLLATE", "ISNULL", "NOTNULL", "OVERLAPS", "DIV", "OPERATOR", "MEMBER",
    ];
    let is_one_of = |words: &[&str]| words.iter().any(|word| is_word(token, word));
    match token {
        Token::LParen | Token::LBracket => Depth::Opens,
        Token::RParen | Token::RBracket => Depth::Closes,
        Token::Comma => Depth::Begins,
        Token::Word(_) if is_one_of(BEGINNING) => Depth::Begins,
        Token::Word(_) if is_one_of(LEANING) => Depth::Leans,
        Token::Word(_) if is_one_of(&["UNION", "EXCEPT", "INTERSECT", "MINUS"]) => Depth::Unites,
        Token::Word(_)
        | Token::Number(_, _)
        | Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::Period => Depth::None,
        _ => Depth::Leans,
    }
}

/// Refuses what is known and not done, wherever it stands in the query.
fn refuse_clauses(cursor: &Cursor<'_>, tokens: &[TokenWithSpan]) -> Result<(), Error> {
    for at in 0..tokens.len() {
        let here = cursor.within(&tokens[at..], tokens[at].span.end);
        refuse(&here, refusal::QUERY_CLAUSES)?;
        if at > 0 && ["FROM", "JOIN", ","].iter().any(|word| is_word(&tokens[at - 1].token, word)) {
            refuse(&here, refusal::TABLE_FUNCTIONS)?;
        }
    }
    Ok(())
}

/// Takes `STREAM` out of `FROM STREAM schema.table`, `JOIN STREAM schema.table` and `TUMBLE(STREAM schema.table,
/// ...)`, and says
/// which tables it stood before.
fn take_streams(
    cursor: &Cursor<'_>,
    tokens: &[TokenWithSpan],
) -> Result<(Vec<TokenWithSpan>, Vec<TableName>), Error> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut streams: Vec<TableName> = vec![];
    for (at, token) in tokens.iter().enumerate() {
        let before = |word| kept.last().is_some_and(|t| is_word(&t.token, word));
        let after = |n: usize| tokens.get(at + n).map(|t| &t.token);
        let in_window = before("(")
            && kept
                .iter()
                .rev()
                .nth(1)
                .is_some_and(|t| is_word(&t.token, "TUMBLE") || is_word(&t.token, "HOP"));
        let in_from = before("FROM") || before("JOIN");
        let qualified = matches!((after(1), after(2)), (Some(Token::Word(_)), Some(Token::Period)));
        let is_stream = is_word(&token.token, "STREAM") && (in_from || in_window || before(",")) && qualified;
        if is_word(&token.token, "STREAM") && in_from && after(1) == Some(&Token::LParen) {
            let origin = cursor.source.origin(token.span.start);
            return Err(Error::syntax(origin, "STREAM takes no parentheses")
                .with_hint("Write FROM STREAM schema.table."));
        }
        if !is_stream {
            kept.push(token.clone());
            continue;
        }
        let mut name = cursor.within(&tokens[at + 1..], token.span.end);
        let (name, _) = name.table_name("a table")?;
        if !streams.contains(&name) {
            streams.push(name);
        }
    }
    Ok((kept, streams))
}

/// A sqlparser error with its place, in our words. Without a place of its own it stands at `end`.
pub(super) fn placed(cursor: &Cursor<'_>, end: &Origin, error: ParserError) -> Error {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return Error::new("54001", end.clone(), "the query nests too deep")
                .with_hint("Split it into views.");
        }
    };
    let (text, mut location) = split_location(&text);
    if text.starts_with(BEHIND) {
        location = location.and_then(|location| cursor.location_before(location));
    }
    let origin = location.map_or_else(|| end.clone(), |location| cursor.source.origin(location));
    Error::syntax(origin, in_our_words(text))
}

/// How sqlparser begins a message that it places one token too late.
const BEHIND: &str = "Expected an expression, found: ";

/// `... at Line: 3, Column: 7` → the message and the place.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let split = || {
        let (message, place) = text.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location::new(line.parse().ok()?, column.trim().parse().ok()?)))
    };
    match split() {
        Some((message, location)) => (message, Some(location)),
        None => (text, None),
    }
}

/// `Expected: an expression, found: FROM` → `expected an expression, found "FROM"`.
fn in_our_words(text: &str) -> String {
    let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
    let expected = text.strip_prefix("Expected: ").or_else(|| text.strip_prefix("Expected "));
    if let Some((expected, found)) = expected.and_then(|rest| rest.rsplit_once(", found: ")) {
        let found = match found {
            "EOF" => "the end of the statement".to_string(),
            found => format!("\"{found}\""),
        };
        return format!("expected {expected}, found {found}");
    }
    let mut letters = text.trim_end_matches('.').chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => "the query cannot be read".to_string(),
    }
}

/// A table that a query names, and where.
#[derive(Clone, Debug)]
pub struct NamedRelation {
    /// The table.
    pub name: TableName,
    /// 1-based line in the file.
    pub line: u64,
    /// 1-based column in the file.
    pub column: u64,
}

/// Every place where a parsed model query names a table; names of CTEs are left out.
pub fn relations(query: &Query) -> Vec<NamedRelation> {
    walk(query).unwrap_or_default()
}

fn walk(query: &Query) -> Result<Vec<NamedRelation>, Misuse> {
    let mut walker = Walker { scopes: vec![], relations: vec![] };
    match query.visit(&mut walker) {
        ControlFlow::Continue(()) => Ok(walker.relations),
        ControlFlow::Break(misuse) => Err(misuse),
    }
}

/// Something in a query that no model may hold.
struct Misuse {
    code: &'static str,
    at: Location,
    message: String,
    hint: &'static str,
}

impl Misuse {
    fn placed(self, cursor: &Cursor<'_>) -> Error {
        Error::new(self.code, cursor.source.origin(self.at), self.message).with_hint(self.hint)
    }
}

/// Collects relations; keeps the names of CTEs by query, since an inner one hides nothing outside of it.
struct Walker {
    scopes: Vec<Vec<String>>,
    relations: Vec<NamedRelation>,
}

impl Visitor for Walker {
    type Break = Misuse;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Misuse> {
        let names = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| normal(&cte.alias.name));
        self.scopes.push(names.collect());
        let at = query.span().start;
        if !only_reads(&query.body) {
            return ControlFlow::Break(Misuse {
                code: "0A000",
                at,
                message: "a model's query only reads".to_string(),
                hint: "Leave INSERT, UPDATE, DELETE, MERGE and TABLE out: write SELECT.",
            });
        }
        if !query.locks.is_empty() {
            return ControlFlow::Break(Misuse {
                code: "0A000",
                at,
                message: "FOR UPDATE and FOR SHARE are not supported".to_string(),
                hint: "A query reads one epoch that nobody changes: leave the lock out.",
            });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Misuse> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Misuse> {
        if is_sampled(factor) {
            return ControlFlow::Break(Misuse {
                code: "0A000",
                at: factor.span().start,
                message: "TABLESAMPLE is not supported".to_string(),
                hint: refusal::TABLESAMPLE,
            });
        }
        match factor {
            TableFactor::Table { name, args: None, .. } => self.relation(name),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Walker {
    fn relation(&mut self, name: &ObjectName) -> ControlFlow<Misuse> {
        let parts: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
        let at = parts.first().map_or(Location::empty(), |part| part.span.start);
        match parts.as_slice() {
            [schema, table] => {
                let name = TableName::new(normal(schema), normal(table));
                self.relations.push(NamedRelation { name, line: at.line, column: at.column });
                ControlFlow::Continue(())
            }
            [one] if self.scopes.iter().flatten().any(|cte| *cte == normal(one)) => ControlFlow::Continue(()),
            [one] => ControlFlow::Break(Misuse {
                code: "42P01",
                at,
                message: format!("\"{}\" names no schema", normal(one)),
                hint: "Write schema.name, as in silver.orders.",
            }),
            _ => ControlFlow::Break(Misuse {
                code: "0A000",
                at,
                message: format!("\"{name}\" has too many parts"),
                hint: "Write schema.name: there is one database, sluice.",
            }),
        }
    }
}

/// An identifier as it is resolved: lower case unless quoted.
pub fn normal(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

fn only_reads(body: &SetExpr) -> bool {
    // A chain of UNIONs leans to the left: a loop there keeps the stack flat.
    let mut body = body;
    loop {
        match body {
            SetExpr::Select(select) => return select.into.is_none(),
            SetExpr::Query(_) | SetExpr::Values(_) => return true,
            SetExpr::SetOperation { left, right, .. } => {
                if !only_reads(right) {
                    return false;
                }
                body = left;
            }
            SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => {
                return false;
            }
        }
    }
}
