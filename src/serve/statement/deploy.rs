//! `PLAN` and `APPLY [ROLLBACK [TO n]]`.

use super::Statement;
use super::utility::Cursor;
use crate::catalog::definer::Files;
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
