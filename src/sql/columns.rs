//! The list in parentheses behind an object's name: columns, expectations, keys, the watermark.

use super::cursor::{Cursor, Name};
use super::keys::{foreign_key, foreign_key_of_column, primary_key, primary_key_of_column};
use super::precedence::bind_expression_as_written;
use super::refusal::{self, refuse};
use super::types::data_type;
use super::{
    ColumnDefinition, ColumnTag, Error, Expectation, ForeignKey, Origin, ViolationAction, Watermark,
};
use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// What a list held.
#[derive(Default)]
pub(super) struct ColumnList {
    /// The file it stands in.
    pub(super) file: std::path::PathBuf,
    /// Columns with a type.
    pub(super) columns: Vec<ColumnDefinition>,
    /// Columns named without a type: the query gives it.
    pub(super) names: Vec<Name>,
    pub(super) expectations: Vec<Expectation>,
    pub(super) primary_key: Vec<String>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) tags: Vec<ColumnTag>,
    pub(super) watermark: Option<Watermark>,
}

/// Whose list it is: sources have watermarks, models have expectations and keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Source,
    Model,
}

/// Reads `( ... )`.
pub(super) fn column_list(cursor: &mut Cursor<'_>, owner: Owner) -> Result<ColumnList, Error> {
    let mut list = ColumnList { file: cursor.origin().file, ..ColumnList::default() };
    cursor.expect(&Token::LParen)?;
    loop {
        item(cursor, owner, &mut list)?;
        if cursor.take(&Token::Comma) {
            continue;
        }
        if cursor.take(&Token::RParen) {
            return Ok(list);
        }
        return Err(cursor.unexpected("\",\" or \")\""));
    }
}

fn item(cursor: &mut Cursor<'_>, owner: Owner, list: &mut ColumnList) -> Result<(), Error> {
    refuse(cursor, refusal::CONSTRAINTS)?;
    if cursor.at_words(&["WATERMARK", "FOR"]) {
        return watermark(cursor, owner, list);
    }
    if cursor.at_words(&["PRIMARY", "KEY"]) {
        return primary_key(cursor, owner, list);
    }
    if cursor.at_words(&["FOREIGN", "KEY"]) {
        return foreign_key(cursor, owner, list, None);
    }
    // A column may be called "constraint", but not be declared by two words and EXPECT.
    if cursor.at_word("CONSTRAINT") {
        cursor.take_word("CONSTRAINT");
        let name = cursor.identifier("the constraint's name")?;
        refuse(cursor, refusal::CONSTRAINTS)?;
        if cursor.at_words(&["PRIMARY", "KEY"]) {
            return primary_key(cursor, owner, list);
        }
        if cursor.at_words(&["FOREIGN", "KEY"]) {
            return foreign_key(cursor, owner, list, Some(name));
        }
        return expectation(cursor, owner, list, name);
    }
    if cursor.at_words(&["EXPECT", "("]) {
        return Err(cursor.unexpected("CONSTRAINT name EXPECT").with_hint("Give the expectation a name."));
    }
    column(cursor, owner, list)
}

fn column(cursor: &mut Cursor<'_>, owner: Owner, list: &mut ColumnList) -> Result<(), Error> {
    let name = cursor.column_name()?;
    let taken =
        list.columns.iter().map(|c| c.name.as_str()).chain(list.names.iter().map(|n| n.text.as_str()));
    // Delta tells columns apart without regard to letter case.
    if taken.into_iter().any(|other| other.eq_ignore_ascii_case(&name.text)) {
        let message = format!("column \"{}\" is declared twice", name.text);
        return Err(Error::new("42701", cursor.source.origin(name.at), message));
    }
    // A type may be called "tag" only if it is no tag's clause.
    let is_untyped = matches!(cursor.peek(), Some(Token::Comma | Token::RParen)) || at_tag(cursor);
    if is_untyped && owner == Owner::Model {
        while tag(cursor, &name, list)? {}
        list.names.push(name);
        return Ok(());
    }
    let data_type = data_type(cursor)?;
    let mut nullable = true;
    loop {
        if cursor.take_words(&["NOT", "NULL"]) {
            nullable = false;
        } else if cursor.take_word("NULL") {
            // The default, spelled out.
        } else if cursor.at_words(&["PRIMARY", "KEY"]) {
            primary_key_of_column(cursor, owner, list, &name)?;
        } else if cursor.at_word("REFERENCES") {
            foreign_key_of_column(cursor, owner, list, &name)?;
        } else if tag(cursor, &name, list)? {
            // Taken.
        } else {
            refuse(cursor, refusal::COLUMN_CLAUSES)?;
            break;
        }
    }
    if cursor.at_word("CONSTRAINT") || cursor.at_words(&["EXPECT", "("]) {
        return Err(cursor
            .unexpected("\",\" or \")\"")
            .with_hint("Put a comma before CONSTRAINT name EXPECT (...)."));
    }
    list.columns.push(ColumnDefinition { name: name.text, data_type, nullable });
    Ok(())
}

fn at_tag(cursor: &Cursor<'_>) -> bool {
    ["TAG", "UNTAG"].iter().any(|word| cursor.at_word(word))
        && matches!(cursor.peek_nth(1), Some(Token::Word(_)))
}

/// `TAG pii` or `UNTAG pii`, if one comes next.
fn tag(cursor: &mut Cursor<'_>, column: &Name, list: &mut ColumnList) -> Result<bool, Error> {
    let origin = cursor.origin();
    if !at_tag(cursor) {
        return Ok(false);
    }
    let holds = cursor.take_word("TAG");
    if !holds {
        cursor.take_word("UNTAG");
    }
    let tag = cursor.identifier("a tag")?.text.to_lowercase();
    if list.tags.iter().any(|other| other.column == column.text && other.tag == tag) {
        return Err(Error::syntax(origin, format!("column \"{}\" names tag {tag} twice", column.text)));
    }
    list.tags.push(ColumnTag { column: column.text.clone(), tag, holds, origin });
    Ok(true)
}

/// `WATERMARK FOR column AS column - INTERVAL '10' MINUTE`
fn watermark(cursor: &mut Cursor<'_>, owner: Owner, list: &mut ColumnList) -> Result<(), Error> {
    let origin = cursor.origin();
    if owner == Owner::Model {
        return Err(Error::unsupported(origin, "WATERMARK of a model is not supported yet")
            .with_hint("Declare the watermark in the CREATE SOURCE that the model reads."));
    }
    if list.watermark.is_some() {
        return Err(Error::syntax(origin, "a source has one WATERMARK"));
    }
    cursor.expect_words(&["WATERMARK", "FOR"])?;
    let column = cursor.column_name()?;
    cursor.expect_words(&["AS"])?;
    let base = cursor.column_name()?;
    if base.text != column.text {
        let message = format!("the watermark for \"{}\" is computed from \"{}\"", column.text, base.text);
        return Err(Error::unsupported(cursor.source.origin(base.at), message)
            .with_hint(format!("Write WATERMARK FOR {0} AS {0} - INTERVAL '10' MINUTE.", column.text)));
    }
    let delay = if cursor.take(&Token::Minus) { cursor.interval()? } else { std::time::Duration::ZERO };
    list.watermark = Some(Watermark::new(column.text, delay));
    Ok(())
}

/// `EXPECT (predicate) [ON VIOLATION action]`, behind `CONSTRAINT name`.
fn expectation(
    cursor: &mut Cursor<'_>,
    owner: Owner,
    list: &mut ColumnList,
    name: Name,
) -> Result<(), Error> {
    let origin = cursor.source.origin(name.at);
    if !cursor.at_word("EXPECT") {
        return Err(cursor.unexpected("EXPECT, PRIMARY KEY or FOREIGN KEY"));
    }
    if owner == Owner::Source {
        return Err(Error::unsupported(cursor.origin(), "EXPECT of a source is not supported yet")
            .with_hint("Bronze keeps every record that came; write the expectation in the silver table that reads it."));
    }
    if list.expectations.iter().any(|other| other.name == name.text) {
        return Err(Error::new("42710", origin, format!("expectation \"{}\" is declared twice", name.text)));
    }
    cursor.expect_words(&["EXPECT"])?;
    let predicate = predicate(cursor)?;
    let at_least = at_least(cursor)?;
    let action = violation_action(cursor, at_least.is_some())?;
    list.expectations.push(Expectation { name: name.text, predicate, action, at_least, origin });
    Ok(())
}

/// The text in parentheses, once it is known to be an expression.
fn predicate(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let mut inside = cursor.parenthesized()?;
    let end = inside.end_origin();
    let tokens = inside.rest();
    condition(&inside, tokens, &end, "this expectation has no condition")?;
    Ok(inside.source.covered(tokens).to_string())
}

/// These tokens as an expression; `end` is where they end, `none` what is said when there are none.
pub(super) fn condition(
    cursor: &Cursor<'_>,
    tokens: &[TokenWithSpan],
    end: &Origin,
    none: &str,
) -> Result<Expr, Error> {
    if tokens.is_empty() {
        return Err(Error::syntax(end.clone(), none));
    }
    super::query::check_size(cursor, tokens)?;
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens_with_locations(tokens.to_vec());
    let parsed = parser.parse_expr().and_then(|expression| match parser.peek_token_ref() {
        token if token.token == Token::EOF => Ok(expression),
        token => parser.expected_ref("the end of the condition", token),
    });
    let parsed = parsed.map(|mut expression| {
        bind_expression_as_written(&mut expression);
        expression
    });
    parsed.map_err(|error| super::query::placed(cursor, end, error))
}

/// `AT LEAST n PERCENT`
fn at_least(cursor: &mut Cursor<'_>) -> Result<Option<f64>, Error> {
    if !cursor.take_words(&["AT", "LEAST"]) {
        return Ok(None);
    }
    let origin = cursor.origin();
    let percent = match cursor.peek() {
        Some(Token::Number(digits, _)) => digits.parse::<f64>().ok(),
        _ => None,
    };
    let percent = percent.ok_or_else(|| cursor.unexpected("a number of percent"))?;
    cursor.advance();
    cursor.expect_words(&["PERCENT"])?;
    if percent <= 0.0 || percent > 100.0 {
        let message = format!("{percent} percent is no share that can be missed");
        return Err(Error::new("22023", origin, message).with_hint("Write AT LEAST 85 PERCENT."));
    }
    Ok(Some(percent))
}

fn violation_action(cursor: &mut Cursor<'_>, of_share: bool) -> Result<ViolationAction, Error> {
    if !cursor.take_words(&["ON", "VIOLATION"]) {
        return Ok(ViolationAction::Warn);
    }
    let origin = cursor.origin();
    let action = if cursor.take_words(&["DROP", "ROW"]) {
        ViolationAction::DropRow
    } else if cursor.take_words(&["QUARANTINE", "ROW"]) {
        ViolationAction::QuarantineRow
    } else if cursor.take_words(&["FAIL", "UPDATE"]) {
        ViolationAction::FailUpdate
    } else {
        return Err(cursor
            .unexpected("DROP ROW, QUARANTINE ROW or FAIL UPDATE")
            .with_hint("Leave ON VIOLATION out to keep the row, warn and count."));
    };
    if of_share && action.keeps_rows_out() {
        return Err(Error::unsupported(origin, "AT LEAST is about all rows, not about which row goes")
            .with_hint("Write ON VIOLATION FAIL UPDATE, or leave ON VIOLATION out to warn and count."));
    }
    Ok(action)
}

#[cfg(test)]
mod tests {
    use crate::sql::{Definition, ViolationAction, parse_file};

    fn rule(text: &str) -> Result<(Option<f64>, ViolationAction), String> {
        let view = format!(
            "CREATE MATERIALIZED VIEW gold.x (a INT, CONSTRAINT c EXPECT (a > 0) {text}) AS SELECT 1 AS a"
        );
        let parsed = parse_file("x.sql".as_ref(), &view).map_err(|errors| errors[0].to_string())?;
        match parsed.first() {
            Some(Definition::MaterializedView(view)) => {
                Ok((view.expectations[0].at_least, view.expectations[0].action))
            }
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn shares_are_read() {
        use ViolationAction::{FailUpdate, Warn};
        assert_eq!(rule(""), Ok((None, Warn)));
        assert_eq!(rule("AT LEAST 85 PERCENT"), Ok((Some(85.0), Warn)));
        assert_eq!(rule("AT LEAST 99.5 PERCENT ON VIOLATION FAIL UPDATE"), Ok((Some(99.5), FailUpdate)));
        assert!(rule("AT LEAST 0 PERCENT").unwrap_err().contains("0 percent is no share"));
        assert!(rule("AT LEAST 101 PERCENT").unwrap_err().contains("101 percent is no share"));
        assert!(rule("AT LEAST many PERCENT").unwrap_err().contains("a number of percent"));
        assert!(rule("AT LEAST 85").unwrap_err().contains("expected PERCENT"));
    }
}
