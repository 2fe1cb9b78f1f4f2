//! `EXECUTE UNIT TEST`: a model over rows that the test gives, and the rows that must come of them.
//!
//! ```text
//! EXECUTE UNIT TEST name FOR schema.model [AT TIME '2026-01-01 00:20:00+00']
//!   MOCK schema.input (column TYPE, ...) AS (VALUES (...))     as many as the model has inputs, at most
//!   [STEP MOCK schema.input [(...)] AS (VALUES (...))] ...     what comes later: the model is refreshed in between
//!   EXPECTED (column TYPE, ...) AS (VALUES (...))              of the table as it then is
//! ```

use super::cursor::Cursor;
use super::query::plain_query;
use super::types::data_type;
use super::{ColumnDefinition, Error, Origin};
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{DateTime, Utc};
use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::Token;

/// `EXECUTE UNIT TEST name FOR model`
#[derive(Clone, Debug)]
pub struct UnitTestDefinition {
    /// Its name, one of its own among the tests of the model.
    pub name: String,
    /// The model.
    pub of: TableName,
    /// What `now()` is; the time of the run without.
    pub at: Option<DateTime<Utc>>,
    /// What comes to the model's inputs, one refresh after the other.
    pub steps: Vec<Vec<Mock>>,
    /// The rows that the model then has, in some of its columns.
    pub expected: TestRows,
    /// The whole statement, for display.
    pub sql: String,
    /// Where it stands.
    pub origin: Origin,
}

/// `MOCK table (columns) AS (query)`
#[derive(Clone, Debug)]
pub struct Mock {
    /// The input whose rows are given.
    pub table: TableName,
    /// The rows.
    pub rows: TestRows,
}

/// Rows that a test gives.
#[derive(Clone, Debug)]
pub struct TestRows {
    /// Their columns.
    pub columns: Vec<ColumnDefinition>,
    /// A query that reads no table.
    pub query: Opaque<Query>,
    /// Where they stand.
    pub origin: Origin,
}

/// `EXECUTE UNIT TEST ...`, the cursor at `EXECUTE`.
pub(super) fn unit_test(cursor: &mut Cursor<'_>) -> Result<UnitTestDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["EXECUTE", "UNIT", "TEST"])?;
    let name = cursor.object_name("a unit test")?.text;
    cursor.expect_words(&["FOR"])?;
    let (of, _) = cursor.table_name("a model")?;
    let at = if cursor.take_words(&["AT", "TIME"]) { Some(time(cursor)?) } else { None };
    let mut steps: Vec<Vec<Mock>> = vec![vec![]];
    loop {
        if cursor.take_word("STEP") {
            if !cursor.at_word("MOCK") {
                return Err(cursor.unexpected("MOCK"));
            }
            steps.push(vec![]);
        } else if cursor.at_word("MOCK") {
            let mock = mock(cursor, steps.iter().flatten())?;
            if let Some(step) = steps.last_mut() {
                step.push(mock);
            }
        } else {
            break;
        }
    }
    if !cursor.at_word("EXPECTED") {
        return Err(cursor.unexpected("MOCK, STEP or EXPECTED"));
    }
    let expected_origin = cursor.origin();
    cursor.expect_words(&["EXPECTED"])?;
    let columns = columns(cursor)?;
    let expected = rows(cursor, columns)?;
    cursor.expect_end()?;
    let expected = TestRows { origin: expected_origin, ..expected };
    Ok(UnitTestDefinition { name, of, at, steps, expected, sql: cursor.statement_text().to_string(), origin })
}

fn time(cursor: &mut Cursor<'_>) -> Result<DateTime<Utc>, Error> {
    let origin = cursor.origin();
    let text = cursor.string("a time")?;
    string_to_datetime(&Utc, &text).map_err(|_| {
        Error::new("22007", origin, format!("'{text}' is not a time"))
            .with_hint("Write AT TIME '2026-01-01 00:20:00+00'.")
    })
}

/// `MOCK schema.table [(columns)] AS (query)`: columns that were given before need not be again.
fn mock<'a>(cursor: &mut Cursor<'_>, earlier: impl Iterator<Item = &'a Mock>) -> Result<Mock, Error> {
    cursor.expect_words(&["MOCK"])?;
    let (table, at) = cursor.table_name("an input of the model")?;
    let origin = cursor.source.origin(at);
    let known = earlier.filter(|mock| mock.table == table).last();
    let columns = match (cursor.peek(), known) {
        (Some(Token::LParen), _) => columns(cursor)?,
        (_, Some(known)) => known.rows.columns.clone(),
        _ => {
            return Err(cursor.unexpected("the mock's columns").with_hint(format!(
                "Write MOCK {table}(column TYPE, ...) AS (VALUES (...)); columns that are left out are NULL."
            )));
        }
    };
    Ok(Mock { rows: TestRows { origin, ..rows(cursor, columns)? }, table })
}

/// `(name TYPE, ...)`
fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<ColumnDefinition>, Error> {
    cursor.expect(&Token::LParen)?;
    let mut columns: Vec<ColumnDefinition> = vec![];
    loop {
        let name = cursor.column_name()?;
        if columns.iter().any(|other| other.name.eq_ignore_ascii_case(&name.text)) {
            let message = format!("column \"{}\" is declared twice", name.text);
            return Err(Error::new("42701", cursor.source.origin(name.at), message));
        }
        let data_type = data_type(cursor)?;
        columns.push(ColumnDefinition { name: name.text, data_type, nullable: true });
        if !cursor.take(&Token::Comma) {
            cursor.expect(&Token::RParen)?;
            return Ok(columns);
        }
    }
}

/// `AS (query)`: rows that no table has a part in.
fn rows(cursor: &mut Cursor<'_>, columns: Vec<ColumnDefinition>) -> Result<TestRows, Error> {
    cursor.expect_words(&["AS"])?;
    let origin = cursor.origin();
    let mut inside = cursor.parenthesized()?;
    let end = inside.end_origin();
    if !["SELECT", "WITH", "VALUES"].iter().any(|word| inside.at_word(word)) {
        return Err(inside
            .unexpected("VALUES or a query")
            .with_hint("Write AS (VALUES (1, 'a'), (2, 'b')); of no rows AS (SELECT 1, 'a' WHERE false)."));
    }
    let tokens = inside.rest();
    let (query, inputs) = plain_query(&inside, tokens, &end, |_| {})?;
    if let Some(input) = inputs.first() {
        return Err(
            given_alone(&inside, input).with_hint("Write the rows that are meant: AS (VALUES (...)).")
        );
    }
    Ok(TestRows { columns, query: Opaque::new(query), origin })
}

fn given_alone(inside: &Cursor<'_>, input: &TableName) -> Error {
    let message = format!("a unit test's rows are given, and not read from \"{input}\"");
    Error::unsupported(inside.statement_origin(), message)
}

#[cfg(test)]
mod tests {
    use crate::sql::{Definition, UnitTestDefinition, parse_file};

    fn unit_test(text: &str) -> Result<UnitTestDefinition, String> {
        let mut parsed =
            parse_file("sql/gold/x.sql".as_ref(), text).map_err(|errors| errors[0].to_string())?;
        match parsed.pop() {
            Some(Definition::UnitTest(test)) => Ok(test),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn steps_go_on_with_the_columns_that_were_given() {
        let test = unit_test(
            "EXECUTE UNIT TEST late FOR gold.x AT TIME '2026-01-01 00:20:00+00'\n\
             MOCK silver.a(k INT, t TEXT) AS (VALUES (1, 'x'), (2, NULL)) MOCK silver.b(k INT) AS (VALUES (1))\n\
             STEP MOCK silver.a AS (VALUES (3, 'z')) STEP MOCK silver.b(k BIGINT) AS (SELECT 1 WHERE false)\n\
             EXPECTED(k INT) AS (VALUES (1));",
        )
        .unwrap();
        assert_eq!(test.name, "late");
        assert_eq!(test.at.unwrap().to_rfc3339(), "2026-01-01T00:20:00+00:00");
        let tables: Vec<Vec<String>> = test
            .steps
            .iter()
            .map(|step| step.iter().map(|m| format!("{} {}", m.table, m.rows.columns.len())).collect())
            .collect();
        assert_eq!(tables, [vec!["silver.a 2", "silver.b 1"], vec!["silver.a 2"], vec!["silver.b 1"]]);
        assert_eq!(test.steps[1][0].rows.origin.to_string(), "sql/gold/x.sql:3:11");
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, message) in [
            ("EXECUTE UNIT TEST FOR gold.x", "1:23: expected FOR"),
            ("EXECUTE UNIT TEST a FOR gold.x AT TIME 'noon'", "1:40: 'noon' is not a time"),
            (
                "EXECUTE UNIT TEST a FOR gold.x MOCK silver.a AS (VALUES (1))",
                "1:46: expected the mock's columns",
            ),
            ("EXECUTE UNIT TEST a FOR gold.x MOCK silver.a(k INT, K INT) AS (VALUES (1))", "declared twice"),
            (
                "EXECUTE UNIT TEST a FOR gold.x MOCK silver.a(k INTT) AS (VALUES (1))",
                "type \"intt\" does not exist",
            ),
            ("EXECUTE UNIT TEST a FOR gold.x MOCK silver.a(k INT) AS VALUES (1)", "1:56: expected \"(\""),
            (
                "EXECUTE UNIT TEST a FOR gold.x MOCK silver.a(k INT) AS (SELECT k FROM silver.b)",
                "rows are given, and not read from \"silver.b\"",
            ),
            ("EXECUTE UNIT TEST a FOR gold.x STEP EXPECTED(k INT) AS (VALUES (1))", "expected MOCK"),
            (
                "EXECUTE UNIT TEST a FOR gold.x MOCK silver.a(k INT) AS (VALUES (1))",
                "expected MOCK, STEP or EXPECTED",
            ),
        ] {
            let error = unit_test(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
