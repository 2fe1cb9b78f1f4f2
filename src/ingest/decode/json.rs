//! One JSON object a record, read in one pass straight into columns.
//!
//! A value that does not fit its column does not end the reading: syntax that is broken further on is the better
//! reason, and a field that comes again may still set the column (the last one counts). Recursion follows declared
//! types only, so the depth of a payload cannot exhaust the stack.

use super::column::{Column, Row, RowField, Values, length_i32};
use super::cursor::{Cursor, text};
use super::fault::{Fault, Outcome};

/// Appends a record to the columns. After a fault the caller truncates them to `row`, the rows before it.
pub(super) fn read_record(payload: &[u8], columns: &mut Row, row: usize, nesting: &mut Vec<u8>) -> Outcome {
    let mut cursor = Cursor::new(payload, nesting);
    cursor.skip_whitespace();
    if cursor.peek() != Some(b'{') {
        cursor.skip_value()?;
        cursor.expect_end()?;
        let detail = "the record is not a JSON object".to_string();
        return Err(Box::new(Fault::Value { rule: "type", path: String::new(), detail }));
    }
    match read_object(&mut cursor, columns, row) {
        Err(fault) if fault.is_fatal() => Err(fault),
        outcome => {
            cursor.expect_end()?;
            outcome
        }
    }
}

/// Appends one JSON value that is a text of its own, as a CSV field holds it.
pub(super) fn read_nested(payload: &[u8], column: &mut Column, nesting: &mut Vec<u8>) -> Outcome {
    let mut cursor = Cursor::new(payload, nesting);
    cursor.skip_whitespace();
    match read_value(&mut cursor, column) {
        Err(fault) if fault.is_fatal() => Err(fault),
        outcome => {
            cursor.expect_end()?;
            outcome
        }
    }
}

/// Reads an object; stands at its brace.
fn read_object(cursor: &mut Cursor<'_>, columns: &mut Row, row: usize) -> Outcome {
    // Values that do not fit, by column: forgiven when the field comes again and fits. Allocates for bad records only.
    let mut misfits: Vec<(usize, Box<Fault>)> = Vec::new();
    columns.lookup.begin();
    cursor.at += 1;
    cursor.skip_whitespace();
    if cursor.peek() == Some(b'}') {
        cursor.at += 1;
        return columns.complete(row);
    }
    loop {
        cursor.skip_whitespace();
        let index = read_key(cursor, columns)?;
        cursor.expect(b':', "\":\"")?;
        cursor.skip_whitespace();
        match index {
            None => cursor.skip_value()?,
            Some(index) => {
                let RowField { field, column } = &mut columns.fields[index];
                if column.len() > row {
                    column.truncate(row);
                }
                misfits.retain(|(misfit, _)| *misfit != index);
                if let Err(fault) = read_field(cursor, column, field.is_nullable()) {
                    if fault.is_fatal() {
                        return Err(fault);
                    }
                    column.truncate(row);
                    misfits.push((index, fault.within(field.name())));
                }
            }
        }
        if !cursor.another_member()? {
            break;
        }
    }
    match misfits.into_iter().next() {
        Some((_, fault)) => Err(fault),
        None => columns.complete(row),
    }
}

/// Reads a field's name; which column it is for.
fn read_key(cursor: &mut Cursor<'_>, columns: &mut Row) -> Result<Option<usize>, Box<Fault>> {
    if cursor.peek() == Some(b'"')
        && let Some((length, column)) = columns.lookup.guess(&cursor.bytes[cursor.at + 1..])
    {
        cursor.at += 1 + length;
        return Ok(column);
    }
    let name = cursor.string()?;
    if !name.escaped {
        return Ok(columns.lookup.find(name.bytes));
    }
    let mut unescaped = Vec::with_capacity(name.bytes.len());
    // A name that is no text cannot be a column's.
    Ok(name.write_to(&mut unescaped).ok().and_then(|()| columns.lookup.find_unescaped(&unescaped)))
}

/// Reads a field's value; a null leaves a column that must not be NULL unset.
fn read_field(cursor: &mut Cursor<'_>, column: &mut Column, nullable: bool) -> Outcome {
    if nullable || cursor.peek() != Some(b'n') { read_value(cursor, column) } else { cursor.literal("null") }
}

/// Reads a value into a column. After a fault that is not fatal the cursor stands behind the value.
fn read_value(cursor: &mut Cursor<'_>, column: &mut Column) -> Outcome {
    let start = cursor.at;
    let length = column.len();
    match (cursor.peek(), &mut column.values) {
        (Some(b'n'), _) => {
            cursor.literal("null")?;
            column.append_null();
            Ok(())
        }
        (Some(b'"'), Values::Text(values)) => {
            let string = cursor.string()?;
            if string.escaped {
                string.write_to(&mut values.bytes)?;
            } else {
                values.bytes.extend_from_slice(string.bytes);
            }
            values.end();
            column.appended()
        }
        (_, Values::Text(values)) => {
            // Numbers, booleans, objects and arrays keep their JSON text.
            cursor.skip_value()?;
            values.bytes.extend_from_slice(cursor.since(start));
            values.end();
            column.appended()
        }
        (Some(b'"'), Values::Struct(_) | Values::List { .. }) => misfit(cursor, column),
        (Some(b'"'), _) => {
            let string = cursor.string()?;
            if !string.escaped {
                return column.append_text(text(string.bytes)?);
            }
            let mut unescaped = Vec::with_capacity(string.bytes.len());
            string.write_to(&mut unescaped)?;
            column.append_text(text(&unescaped)?)
        }
        (Some(b'{'), Values::Struct(row)) => {
            read_object(cursor, row, length)?;
            column.appended()
        }
        (Some(b'['), Values::List { item, ends }) => {
            read_list(cursor, item)?;
            ends.push(length_i32(item.column.len()));
            column.appended()
        }
        (Some(b'-' | b'0'..=b'9'), _) => {
            let number = cursor.number()?;
            column.append_number(number)
        }
        (Some(b't'), Values::Boolean(values)) => {
            cursor.literal("true")?;
            values.append(true);
            column.appended()
        }
        (Some(b'f'), Values::Boolean(values)) => {
            cursor.literal("false")?;
            values.append(false);
            column.appended()
        }
        _ => misfit(cursor, column),
    }
}

/// Reads an array; stands at its bracket.
fn read_list(cursor: &mut Cursor<'_>, item: &mut RowField) -> Outcome {
    let RowField { field, column } = item;
    let mut misfit = None;
    let mut index = 0;
    cursor.at += 1;
    cursor.skip_whitespace();
    if cursor.peek() == Some(b']') {
        cursor.at += 1;
        return Ok(());
    }
    loop {
        cursor.skip_whitespace();
        let length = column.len();
        let outcome = match read_field(cursor, column, field.is_nullable()) {
            Ok(()) if column.len() == length => Err(Fault::not_null()),
            outcome => outcome,
        };
        if let Err(fault) = outcome {
            if fault.is_fatal() {
                return Err(fault);
            }
            column.truncate(length);
            misfit.get_or_insert_with(|| fault.at_index(index));
        }
        index += 1;
        cursor.skip_whitespace();
        match cursor.peek() {
            Some(b',') => cursor.at += 1,
            Some(b']') => break,
            _ => return Err(cursor.expected("\",\" or \"]\"")),
        }
    }
    cursor.at += 1;
    misfit.map_or(Ok(()), Err)
}

/// Steps over a value of a kind that the column cannot hold.
fn misfit(cursor: &mut Cursor<'_>, column: &Column) -> Outcome {
    let start = cursor.at;
    cursor.skip_value()?;
    Err(Fault::mismatch(cursor.since(start), column.data_type()))
}
