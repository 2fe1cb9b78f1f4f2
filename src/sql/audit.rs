//! `CREATE AUDIT`: a query over a model, called `this`, that must give no rows; and the checks that everybody writes, as
//! one line each.
//!
//! ```text
//! CREATE [OR REPLACE] AUDIT name ON schema.model [BLOCKING]
//!     AS SELECT ... FROM this ...
//!   | UNIQUE (a, b)                                   no two rows have both
//!   | NOT NULL (a, b)                                 every row has each
//!   | ACCEPTED VALUES (a) IN ('x', 'y')               nothing else stands there, NULL aside
//!   | FOREIGN KEY (a) REFERENCES schema.table (b)     each has its row there, NULL aside
//! ```
//!
//! A one-liner is written out as the query that it stands for: what is planned, judged and shown is a query in any case.

use super::cursor::Cursor;
use super::query::{normal, plain_query};
use super::syntax::{quoted, quoted_table};
use super::{AuditDefinition, Error, Origin};
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, VisitMut as _, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};
use std::ops::ControlFlow;

/// What the model is called in an audit's query.
const THIS: &str = "this";

const KINDS: &str = "AS and a query, UNIQUE (...), NOT NULL (...), ACCEPTED VALUES (...) IN (...) or FOREIGN KEY (...) REFERENCES";

/// `CREATE AUDIT ...`, the cursor at `CREATE`.
pub(super) fn audit(cursor: &mut Cursor<'_>) -> Result<AuditDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["CREATE"])?;
    cursor.take_words(&["OR", "REPLACE"]);
    cursor.expect_words(&["AUDIT"])?;
    super::parser::refuse_if_not_exists(cursor)?;
    if cursor.at_words(&["ON"]) {
        return Err(cursor
            .unexpected("the audit's name")
            .with_hint("Give it a name, by which sluice.audits tells of it."));
    }
    let name = cursor.object_name("an audit")?.text;
    cursor.expect_words(&["ON"])?;
    let (on, _) = cursor.table_name("a model")?;
    let blocking = cursor.take_word("BLOCKING");
    let (query, inputs) = rows_that_must_not_be(cursor, &on, &origin)?;
    let sql = cursor.statement_text().to_string();
    Ok(AuditDefinition { name, on, blocking, query: Opaque::new(query), inputs, sql, origin })
}

fn rows_that_must_not_be(
    cursor: &mut Cursor<'_>,
    on: &TableName,
    origin: &Origin,
) -> Result<(Query, Vec<TableName>), Error> {
    let end = cursor.end_origin();
    if cursor.take_word("AS") {
        if !["SELECT", "WITH", "("].iter().any(|word| cursor.at_word(word)) {
            return Err(cursor.unexpected("a query").with_hint("Write AS SELECT ... FROM this ...."));
        }
        let tokens = cursor.rest();
        return plain_query(cursor, tokens, &end, |query| name_this(query, on));
    }
    let at = cursor.location();
    let text = one_liner(cursor)?;
    cursor.expect_end()?;
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, &text).tokenize_with_location();
    let tokens = tokens.map_err(|error| Error::new("XX000", origin.clone(), error.to_string()))?;
    plain_query(cursor, &placed_at(tokens, at), &end, |query| name_this(query, on))
}

/// The query that a one-liner stands for.
fn one_liner(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    if cursor.take_word("UNIQUE") {
        let columns = columns(cursor)?;
        let known = each(&columns, " AND ", |column| format!("{column} IS NOT NULL"));
        let list = columns.join(", ");
        return Ok(format!(
            "SELECT {list}, count(*) AS times FROM this WHERE {known} GROUP BY {list} HAVING count(*) > 1"
        ));
    }
    if cursor.take_words(&["NOT", "NULL"]) {
        let missing = each(&columns(cursor)?, " OR ", |column| format!("{column} IS NULL"));
        return Ok(format!("SELECT * FROM this WHERE {missing}"));
    }
    if cursor.take_words(&["ACCEPTED", "VALUES"]) {
        let (column, values) = accepted(cursor)?;
        return Ok(format!("SELECT * FROM this WHERE {column} NOT IN ({values})"));
    }
    if cursor.take_words(&["FOREIGN", "KEY"]) {
        return foreign_key(cursor);
    }
    Err(cursor.unexpected(KINDS))
}

fn accepted(cursor: &mut Cursor<'_>) -> Result<(String, String), Error> {
    let origin = cursor.origin();
    let columns = columns(cursor)?;
    let [column] = columns.as_slice() else {
        return Err(Error::syntax(origin, "ACCEPTED VALUES is of one column")
            .with_hint("Write an audit for each, or AS SELECT ... FROM this WHERE (a, b) NOT IN (...)."));
    };
    cursor.expect_words(&["IN"])?;
    let mut inside = cursor.parenthesized()?;
    let end = inside.end_origin();
    let tokens = inside.rest();
    if tokens.is_empty() {
        return Err(
            Error::syntax(end, "no value is accepted").with_hint("Write ACCEPTED VALUES (a) IN ('x', 'y').")
        );
    }
    Ok((column.clone(), cursor.source.covered(tokens).to_string()))
}

fn foreign_key(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let own = columns(cursor)?;
    cursor.expect_words(&["REFERENCES"])?;
    let (table, at) = cursor.table_name("a table")?;
    if !cursor.at_words(&["("]) {
        return Err(cursor
            .unexpected("the columns that are referred to")
            .with_hint(format!("Write REFERENCES {table} (column).")));
    }
    let theirs = columns(cursor)?;
    if own.len() != theirs.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(Error::new("42830", cursor.source.origin(at), message)
            .with_hint(format!("Name as many columns of \"{table}\" as stand before REFERENCES.")));
    }
    let known = each(&own, " AND ", |column| format!("this.{column} IS NOT NULL"));
    let pairs: Vec<String> =
        own.iter().zip(&theirs).map(|(own, their)| format!("referred.{their} = this.{own}")).collect();
    Ok(format!(
        "SELECT * FROM this WHERE {known} AND NOT EXISTS (SELECT 1 FROM {} AS referred WHERE {})",
        quoted_table(&table),
        pairs.join(" AND ")
    ))
}

fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    Ok(cursor.column_list()?.into_iter().map(|name| quoted(&name.text)).collect())
}

fn each(columns: &[String], between: &str, condition: impl Fn(&String) -> String) -> String {
    columns.iter().map(condition).collect::<Vec<_>>().join(between)
}

/// Tokens of a text that we wrote, as if they all stood at one place of the file.
fn placed_at(tokens: Vec<TokenWithSpan>, at: Location) -> Vec<TokenWithSpan> {
    let kept = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    kept.map(|token| TokenWithSpan::new(token.token, Span::new(at, at))).collect()
}

/// `FROM this` becomes `FROM schema.model AS this`.
fn name_this(query: &mut Query, model: &TableName) {
    let _ = query.visit(&mut NameThis(model));
}

struct NameThis<'a>(&'a TableName);

impl VisitorMut for NameThis<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, .. } = factor else { return ControlFlow::Continue(()) };
        let [ObjectNamePart::Identifier(only)] = name.0.as_slice() else { return ControlFlow::Continue(()) };
        if normal(only) == THIS {
            let span = only.span;
            let part = |text: &str| Ident { value: text.to_string(), quote_style: Some('"'), span };
            *name = ObjectName::from(vec![part(&self.0.schema), part(&self.0.name)]);
            let named = || TableAlias { name: part(THIS), columns: vec![], explicit: true, at: None };
            alias.get_or_insert_with(named);
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use crate::sql::{AuditDefinition, Definition, parse_file};

    fn audit(text: &str) -> Result<AuditDefinition, String> {
        let mut parsed =
            parse_file("sql/gold/x.sql".as_ref(), text).map_err(|errors| errors[0].to_string())?;
        match parsed.pop() {
            Some(Definition::Audit(audit)) => Ok(audit),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn this_is_the_model() {
        let text = "CREATE AUDIT a ON gold.x BLOCKING AS\nSELECT this.k, t.k FROM this JOIN THIS AS t ON this.k = t.k + 1";
        let audit = audit(text).unwrap();
        assert_eq!((audit.name.as_str(), audit.blocking, audit.inputs.len()), ("a", true, 1));
        assert_eq!(audit.on.to_string(), "gold.x");
        let query = audit.query.to_string();
        assert!(query.contains("FROM \"gold\".\"x\" AS \"this\" JOIN \"gold\".\"x\" AS t"), "{query}");
    }

    #[test]
    fn one_liners_are_queries() {
        for (written, query) in [
            (
                "UNIQUE (a, \"B\")",
                "SELECT \"a\", \"B\", count(*) AS times FROM \"gold\".\"x\" AS \"this\" WHERE \"a\" IS NOT NULL AND \
                 \"B\" IS NOT NULL GROUP BY \"a\", \"B\" HAVING count(*) > 1",
            ),
            (
                "NOT NULL (a, b)",
                "SELECT * FROM \"gold\".\"x\" AS \"this\" WHERE \"a\" IS NULL OR \"b\" IS NULL",
            ),
            (
                "ACCEPTED VALUES (a) IN ('x', 'y')",
                "SELECT * FROM \"gold\".\"x\" AS \"this\" WHERE \"a\" NOT IN ('x', 'y')",
            ),
            (
                "FOREIGN KEY (a) REFERENCES gold.y (b)",
                "SELECT * FROM \"gold\".\"x\" AS \"this\" WHERE this.\"a\" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM \
                 \"gold\".\"y\" AS referred WHERE referred.\"b\" = this.\"a\")",
            ),
        ] {
            let audit = audit(&format!("CREATE AUDIT n ON gold.x {written};")).unwrap();
            assert_eq!(audit.query.to_string(), query);
            assert!(!audit.blocking);
        }
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, message) in [
            ("CREATE AUDIT ON gold.x UNIQUE (a)", "1:14: expected the audit's name"),
            ("CREATE AUDIT a ON x UNIQUE (a)", "1:19: \"x\" names no schema"),
            ("CREATE AUDIT a ON gold.x\n  UNIQE (a)", "2:3: expected AS and a query, UNIQUE"),
            ("CREATE AUDIT a ON gold.x AS DELETE FROM this", "1:29: expected a query"),
            ("CREATE AUDIT a ON gold.x AS SELECT 1 FROM y", "1:43: \"y\" names no schema"),
            (
                "CREATE AUDIT a ON gold.x ACCEPTED VALUES (a, b) IN (1)",
                "1:42: ACCEPTED VALUES is of one column",
            ),
            ("CREATE AUDIT a ON gold.x ACCEPTED VALUES (a) IN ()", "no value is accepted"),
            (
                "CREATE AUDIT a ON gold.x FOREIGN KEY (a, b) REFERENCES gold.y (b)",
                "1:56: number of referencing",
            ),
            ("CREATE AUDIT a ON gold.x NOT NULL (a) BLOCKING", "1:39: expected \";\""),
        ] {
            let error = audit(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
