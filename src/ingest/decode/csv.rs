//! One CSV record to columns, by position or by a header's names.
//!
//! RFC 4180 with PostgreSQL's NULL: an empty field is NULL, a quoted empty one is the empty text. A quote counts where
//! a field starts; elsewhere it is a character. STRUCT and LIST columns hold JSON.

use super::column::{Row, RowField};
use super::cursor::text;
use super::fault::{Fault, Outcome};

/// Which column each field of a record is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mapping {
    /// The first field is the first declared column, and so on; further fields are for none.
    ByPosition,
    /// By the names of a header line; a record with more fields than names is misaligned.
    ByHeader(Vec<Option<usize>>),
}

impl Mapping {
    /// Matches a header's names with the columns': exactly, or else without regard to case. `None` if none matches.
    pub(super) fn from_header(names: &[String], columns: &Row) -> Option<Self> {
        let column = |name: &str| {
            let is = |same: &dyn Fn(&str) -> bool| columns.fields.iter().position(|f| same(f.field.name()));
            is(&|column| column == name).or_else(|| is(&|column| column.eq_ignore_ascii_case(name)))
        };
        let fields: Vec<_> = names.iter().map(|name| column(name.trim())).collect();
        fields.iter().any(Option::is_some).then_some(Mapping::ByHeader(fields))
    }

    fn column(&self, field: usize, columns: usize) -> Option<usize> {
        match self {
            Mapping::ByPosition => (field < columns).then_some(field),
            Mapping::ByHeader(fields) => fields.get(field).copied().flatten(),
        }
    }
}

/// One field as it stands in a record.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// Its text, without the quotes around it.
    pub(super) text: &'a [u8],
    quoted: bool,
    /// True when quotes inside are still doubled.
    pub(super) doubled: bool,
}

impl Field<'_> {
    /// True when there is no value.
    pub(super) fn is_null(self) -> bool {
        self.text.is_empty() && !self.quoted
    }
}

/// Appends a record to the columns. After a fault the caller truncates them to `row`, the rows before it.
pub(super) fn read_record(
    payload: &[u8],
    delimiter: u8,
    mapping: &Mapping,
    columns: &mut Row,
    row: usize,
    nesting: &mut Vec<u8>,
) -> Outcome {
    let mut misfit: Option<Box<Fault>> = None;
    let mut start = Some(0);
    let mut index = 0;
    while let Some(at) = start {
        let (field, next) = next_field(payload, at, delimiter)?;
        if let Some(column) = mapping.column(index, columns.fields.len()) {
            let outcome = append(field, &mut columns.fields[column], row, nesting);
            if let Err(fault) = outcome {
                let name = columns.fields[column].field.name();
                misfit.get_or_insert_with(|| fault.within(name));
            }
        }
        index += 1;
        start = next;
    }
    if let Mapping::ByHeader(names) = mapping
        && index > names.len()
    {
        return Err(Box::new(Fault::Syntax(format!("{index} fields where the header has {}", names.len()))));
    }
    match misfit {
        Some(fault) => Err(fault),
        None => columns.complete(row),
    }
}

/// The fields of a header line.
pub(super) fn header_names(payload: &[u8], delimiter: u8) -> Result<Vec<String>, Box<Fault>> {
    let mut names = Vec::new();
    let mut start = Some(0);
    while let Some(at) = start {
        let (field, next) = next_field(payload, at, delimiter)?;
        names.push(text(field.text)?.replace("\"\"", "\""));
        start = next;
    }
    Ok(names)
}

/// A record without the line end behind it.
pub(super) fn without_line_end(payload: &[u8]) -> &[u8] {
    let payload = payload.strip_suffix(b"\n").unwrap_or(payload);
    payload.strip_suffix(b"\r").unwrap_or(payload)
}

/// Reads a field into its column.
fn append(field: Field<'_>, target: &mut RowField, row: usize, nesting: &mut Vec<u8>) -> Outcome {
    let RowField { field: declared, column } = target;
    // Two fields of one name: the last one counts, as in JSON.
    column.truncate(row);
    if field.is_null() {
        // Left unset, a column that must not be NULL is found when the row is completed.
        if declared.is_nullable() {
            column.append_null();
        }
        return Ok(());
    }
    let text = text(field.text)?;
    let outcome = if field.doubled {
        column.append_field(&text.replace("\"\"", "\""), nesting)
    } else {
        column.append_field(text, nesting)
    };
    if outcome.is_err() {
        column.truncate(row);
    }
    outcome
}

/// The field that starts at a byte, and where the next one starts.
pub(super) fn next_field(
    payload: &[u8],
    at: usize,
    delimiter: u8,
) -> Result<(Field<'_>, Option<usize>), Box<Fault>> {
    let rest = &payload[at..];
    if let Some(inside) = rest.strip_prefix(b"\"") {
        let mut doubled = false;
        let mut end = 0;
        loop {
            end += memchr::memchr(b'"', &inside[end..])
                .ok_or_else(|| Fault::syntax("a closing quote", payload.len()))?;
            if inside.get(end + 1) != Some(&b'"') {
                break;
            }
            doubled = true;
            end += 2;
        }
        let field = Field { text: &inside[..end], quoted: true, doubled };
        return match inside.get(end + 1) {
            None => Ok((field, None)),
            Some(byte) if *byte == delimiter => Ok((field, Some(at + end + 3))),
            Some(_) => Err(Fault::syntax("a delimiter or the end of the record", at + end + 2)),
        };
    }
    let end = memchr::memchr(delimiter, rest);
    let text = &rest[..end.unwrap_or(rest.len())];
    if let Some(line_end) = memchr::memchr(b'\n', text) {
        return Err(Fault::syntax("one record, not several lines,", at + line_end));
    }
    Ok((Field { text, quoted: false, doubled: false }, end.map(|end| at + end + 1)))
}
