//! `INSERT INTO source`: rows that a statement itself has for a source, or that a query gives.

use super::models::Named;
use super::{NESTING_MAX, Statement, checked, near, syntax_error};
use crate::ops::opaque::Opaque;
use crate::serve::Error;
use datafusion::sql::sqlparser::ast::{self, ObjectName, TableObject};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// What is inserted where.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Whose rows they become.
    pub table: Named,
    /// The columns that come, in their order; `None` is all.
    pub columns: Option<Vec<String>>,
    /// What gives the rows.
    pub query: Opaque<ast::Query>,
}

/// `INSERT INTO name [(column, ...)] query`.
pub(super) fn insert(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Statement, Error> {
    let dialect = PostgreSqlDialect {};
    let last = tokens.last().map(|token| token.span.end);
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
    let parsed = parser.parse_statement().map_err(|error| syntax_error(sql, error, &mut parser, last))?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(near(sql, Some(&rest)));
    }
    let ast::Statement::Insert(insert) = parsed else { return Err(unsupported("INSERT in this form")) };
    of(sql, insert, None)
}

/// The statement, with the queries that stood before it (`WITH`).
pub(super) fn of(sql: &str, insert: ast::Insert, with: Option<ast::With>) -> Result<Statement, Error> {
    refuse_what_is_more(&insert)?;
    let ast::Insert { table: TableObject::TableName(table), columns, source: Some(mut query), .. } = insert
    else {
        return Err(unsupported("INSERT without VALUES or a query"));
    };
    if let Some(with) = with {
        query.with = Some(one_after_the_other(with, query.with.take()));
    }
    checked(sql, &mut query)?;
    let columns =
        columns.iter().map(|name| parts(name).pop()).collect::<Option<Vec<_>>>().unwrap_or_default();
    let columns = (!columns.is_empty()).then_some(columns);
    Ok(Statement::Insert(Insert { table: table_named(&table)?, columns, query: Opaque::new(*query) }))
}

/// The queries before `INSERT` are in sight of those that its own query has.
fn one_after_the_other(before: ast::With, own: Option<ast::With>) -> ast::With {
    let Some(own) = own else { return before };
    let recursive = before.recursive || own.recursive;
    let cte_tables = before.cte_tables.into_iter().chain(own.cte_tables).collect();
    ast::With { recursive, cte_tables, ..before }
}

/// What sources cannot do, by name.
fn refuse_what_is_more(insert: &ast::Insert) -> Result<(), Error> {
    if insert.returning.is_some() {
        return Err(unsupported("INSERT ... RETURNING").with_hint(
            "Nothing is made up for a row that is put into a source: what it holds is what was sent.",
        ));
    }
    if insert.on.is_some() {
        return Err(unsupported("INSERT ... ON CONFLICT").with_hint(
            "A source takes every row; FLOW AUTO CDC ... KEYS (...) in sql/ keeps the newest of each key.",
        ));
    }
    if insert.table_alias.is_some() || insert.overwrite || !insert.into {
        return Err(
            unsupported("INSERT in this form").with_hint("Write INSERT INTO source (column, ...) VALUES ...")
        );
    }
    Ok(())
}

fn table_named(name: &ObjectName) -> Result<Named, Error> {
    match parts(name).as_slice() {
        [name] => Ok(Named { schema: None, name: name.clone() }),
        [.., schema, name] => Ok(Named { schema: Some(schema.clone()), name: name.clone() }),
        [] => Err(unsupported("INSERT in this form")),
    }
}

fn parts(name: &ObjectName) -> Vec<String> {
    let idents = name.0.iter().filter_map(|part| part.as_ident());
    let folded = |ident: &ast::Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    idents.map(folded).collect()
}

fn unsupported(what: &str) -> Error {
    Error::new("0A000", format!("{what} is not supported"))
}
