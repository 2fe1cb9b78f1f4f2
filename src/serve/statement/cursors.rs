//! `DECLARE`, `FETCH` and `MOVE`: a query read in steps.

use super::utility::Cursor;
use super::{Statement, near, parse_one, text_of};
use crate::ops::opaque::Opaque;
use crate::serve::Error;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// A query with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// The cursor's name.
    pub name: String,
    /// Whether it may go back; `None` leaves it open.
    pub scroll: Option<bool>,
    /// Whether it outlives its transaction.
    pub hold: bool,
    /// Whether rows are sent in binary.
    pub binary: bool,
    /// What is read.
    pub query: Opaque<ast::Query>,
    /// The statement as written.
    pub text: String,
}

/// Where a cursor goes, and which rows it passes on the way; counts are never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The rows that follow, at most so many; `None` is all.
    Forward(Option<u64>),
    /// The rows before, the nearest first.
    Backward(Option<u64>),
    /// One row, counted from the first (1) or from the last (-1); 0 is before the first.
    Absolute(i64),
    /// One row, counted from where the cursor stands.
    Relative(i64),
}

/// `DECLARE name [BINARY] [INSENSITIVE] [[NO] SCROLL] CURSOR [WITH HOLD] FOR query`.
pub(super) fn declare(sql: &str, tokens: &[TokenWithSpan]) -> Result<Statement, Error> {
    let mut cursor = Cursor::new(sql, &tokens[1..]);
    let name = cursor.name()?;
    let (mut binary, mut scroll, mut hold) = (false, None, false);
    while !cursor.take_word("CURSOR") {
        if cursor.take_word("BINARY") {
            binary = true;
        } else if cursor.take_word("NO") {
            cursor.expect_word("SCROLL")?;
            scroll = Some(false);
        } else if cursor.take_word("SCROLL") {
            scroll = Some(true);
        } else if !cursor.take_word("INSENSITIVE") {
            // Every cursor reads one cut: it is insensitive whether asked for or not.
            cursor.expect_word("ASENSITIVE")?;
        }
    }
    if cursor.take_word("WITH") {
        cursor.expect_word("HOLD")?;
        hold = true;
    } else if cursor.take_word("WITHOUT") {
        cursor.expect_word("HOLD")?;
    }
    cursor.expect_word("FOR")?;
    let inner = cursor.rest();
    match parse_one(sql, inner.to_vec())? {
        Statement::Query(query) => {
            let text = text_of(sql, tokens).unwrap_or_default();
            Ok(Statement::Declare(Declaration { name, scroll, hold, binary, query, text }))
        }
        _ => Err(near(sql, inner.first())),
    }
}

/// `FETCH | MOVE [direction] [FROM | IN] name`.
pub(super) fn fetch(cursor: &mut Cursor<'_>, moves: bool) -> Result<Statement, Error> {
    let direction = direction(cursor)?;
    let _ = cursor.take_word("FROM") || cursor.take_word("IN");
    Ok(Statement::Fetch { cursor: cursor.name()?, direction, moves })
}

fn direction(cursor: &mut Cursor<'_>) -> Result<Direction, Error> {
    // A cursor may be called `next`.
    if cursor.rest().len() == 1 {
        return Ok(Direction::Forward(Some(1)));
    }
    for (word, direction) in [
        ("NEXT", Direction::Forward(Some(1))),
        ("PRIOR", Direction::Backward(Some(1))),
        ("FIRST", Direction::Absolute(1)),
        ("LAST", Direction::Absolute(-1)),
        ("ALL", Direction::Forward(None)),
    ] {
        if cursor.take_word(word) {
            return Ok(direction);
        }
    }
    if cursor.take_word("ABSOLUTE") {
        return number(cursor)?.map(Direction::Absolute).ok_or_else(|| cursor.unexpected());
    }
    if cursor.take_word("RELATIVE") {
        return number(cursor)?.map(Direction::Relative).ok_or_else(|| cursor.unexpected());
    }
    let backward = cursor.take_word("BACKWARD");
    if (backward || cursor.take_word("FORWARD")) && cursor.take_word("ALL") {
        return Ok(steps(None, backward));
    }
    Ok(steps(Some(number(cursor)?.unwrap_or(1)), backward))
}

/// So many steps; a negative number turns round.
fn steps(count: Option<i64>, backward: bool) -> Direction {
    let turned = backward != count.is_some_and(|count| count < 0);
    let count = count.map(i64::unsigned_abs);
    if turned { Direction::Backward(count) } else { Direction::Forward(count) }
}

/// A whole number with its sign, if one stands here.
fn number(cursor: &mut Cursor<'_>) -> Result<Option<i64>, Error> {
    let negative = cursor.take(&Token::Minus);
    let signed = negative || cursor.take(&Token::Plus);
    let digits = match cursor.peek() {
        Some(Token::Number(digits, _)) => digits,
        _ if signed => return Err(cursor.unexpected()),
        _ => return Ok(None),
    };
    let number: i64 = digits.parse().map_err(|_| cursor.unexpected())?;
    cursor.advance();
    Ok(Some(if negative { -number } else { number }))
}

#[cfg(test)]
mod tests {
    use super::Direction::{self, Absolute, Backward, Forward, Relative};
    use crate::serve::statement::{Statement, parse};

    fn direction(sql: &str) -> Direction {
        match parse(sql).unwrap().pop() {
            Some(Statement::Fetch { cursor, direction, .. }) if cursor == "c" => direction,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn directions() {
        for (sql, expected) in [
            ("FETCH c", Forward(Some(1))),
            ("fetch from \"c\"", Forward(Some(1))),
            ("fetch next in c", Forward(Some(1))),
            ("fetch 10 from c", Forward(Some(10))),
            ("fetch -3 c", Backward(Some(3))),
            ("fetch all c", Forward(None)),
            ("fetch forward c", Forward(Some(1))),
            ("fetch forward 0 from c", Forward(Some(0))),
            ("fetch forward all in c", Forward(None)),
            ("move backward all in c", Backward(None)),
            ("fetch backward -2 from c", Forward(Some(2))),
            ("fetch prior c", Backward(Some(1))),
            ("fetch first from c", Absolute(1)),
            ("fetch last from c", Absolute(-1)),
            ("fetch absolute -2 from c", Absolute(-2)),
            ("fetch relative +2 from c", Relative(2)),
        ] {
            assert_eq!(direction(sql), expected, "{sql}");
        }
        for sql in
            ["fetch", "fetch absolute c", "fetch - c", "fetch 1 from c d", "fetch 99999999999999999999 c"]
        {
            assert_eq!(parse(sql).unwrap_err().code, "42601", "{sql}");
        }
    }

    #[test]
    fn declarations() {
        let sql = "declare \"C\" binary insensitive no scroll cursor with hold for select 1; close \"C\"";
        let Some(Statement::Declare(declared)) = parse(sql).unwrap().into_iter().next() else { panic!() };
        assert_eq!((declared.name.as_str(), declared.scroll), ("C", Some(false)));
        assert!(declared.hold && declared.binary);
        assert_eq!(declared.text, "declare \"C\" binary insensitive no scroll cursor with hold for select 1");
        for sql in ["declare c cursor for show all", "declare c cursor select 1", "declare c for select 1"] {
            assert_eq!(parse(sql).unwrap_err().code, "42601", "{sql}");
        }
    }
}
