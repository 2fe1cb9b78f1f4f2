//! `PLAN`, `APPLY [ROLLBACK [TO n]]` and `ERASE SUBJECT 'value'`: what is asked of the warehouse as a whole.

use super::Statement;
use super::utility::Cursor;
use crate::catalog::definer::Files;
use crate::catalog::subject::SUBJECT;
use crate::serve::Error;
use datafusion::sql::sqlparser::tokenizer::Token;

/// `APPLY`: the folder's files; `APPLY ROLLBACK`: those that ran before, or those of a deployment's number.
pub(super) fn apply(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    if !cursor.take_word("ROLLBACK") {
        return Ok(Statement::Apply(Files::Folder));
    }
    if !cursor.take_word("TO") {
        return Ok(Statement::Apply(Files::Earlier(None)));
    }
    let number = match cursor.peek() {
        Some(Token::Number(digits, _)) => digits.parse().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| {
        cursor.unexpected().with_hint("Write the deployment's number, as sluice.deployments has it.")
    })?;
    cursor.advance();
    Ok(Statement::Apply(Files::Earlier(Some(number))))
}

/// `ERASE SUBJECT 'value' [TAG tag] [DRY RUN]`.
pub(super) fn erase(cursor: &mut Cursor<'_>) -> Result<Statement, Error> {
    cursor.expect_word("SUBJECT")?;
    let subject = match cursor.peek() {
        Some(Token::SingleQuotedString(text)) if !text.is_empty() => text.clone(),
        _ => {
            return Err(cursor.unexpected().with_hint(
                "Write the value that says whose a row is, in quotes: ERASE SUBJECT '42'; DRY RUN behind it only looks.",
            ));
        }
    };
    cursor.advance();
    let tag = if cursor.take_word("TAG") { cursor.name()?.to_lowercase() } else { SUBJECT.to_string() };
    let dry_run = cursor.take_word("DRY");
    if dry_run {
        cursor.expect_word("RUN")?;
    }
    Ok(Statement::Erase { subject, tag, dry_run })
}
