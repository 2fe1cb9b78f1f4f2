//! `COPY ... FROM STDIN`: what a client sends, read into rows as it comes.
//!
//! Comes in: pieces of any size. Goes out: one batch, when the client says that it is done; until then nothing is kept
//! anywhere else. What does not read ends it at once, with PostgreSQL's error and the line and column that it is about.

mod binary;
mod lines;

use super::decode;
use super::encode::Format;
use super::types;
use crate::ingest::row_bytes;
use crate::serve::Error;
use crate::serve::datetime::Reading;
use crate::serve::session::{Target, null_violation, too_large};
use crate::serve::statement::{CopyFormat, CopyOptions};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Field, Schema};
use bytes::{Bytes, BytesMut};
use datafusion::common::ScalarValue;
use lines::{Lines, text_of};
use std::sync::Arc;

/// How much of a line or of a value errors show.
const SHOWN_CHARACTERS_MAX: usize = 100;

/// So many rows are put into columns at a time.
const ROWS_GATHERED: usize = 8_192;

/// Rows on their way in.
pub(super) struct CopyIn {
    target: Target,
    options: CopyOptions,
    reading: Reading,
    /// Rows that are in columns already: values by themselves take many times the memory.
    gathered: Vec<RecordBatch>,
    gathered_bytes: usize,
    /// The values of the last rows, by column.
    columns: Vec<Vec<ScalarValue>>,
    rows: usize,
    bytes: usize,
    unread: BytesMut,
    lines: Lines,
    header_due: bool,
    begun: bool,
    /// The end was marked among the data: what follows is left out.
    ended: bool,
}

impl CopyIn {
    /// Waits for the first piece. `reading` is the session's, of dates and times.
    pub(super) fn new(target: Target, options: CopyOptions, reading: Reading) -> Self {
        let columns = target.columns.iter().map(|_| vec![]).collect();
        let (lines, header_due) = (Lines::new(&options), options.header);
        Self {
            target,
            options,
            reading,
            gathered: vec![],
            gathered_bytes: 0,
            columns,
            rows: 0,
            bytes: 0,
            unread: BytesMut::new(),
            lines,
            header_due,
            begun: false,
            ended: false,
        }
    }

    /// The format that the client has to send.
    pub(super) fn format(&self) -> Format {
        if self.is_binary() { Format::Binary } else { Format::Text }
    }

    /// How many values a row has.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    fn is_binary(&self) -> bool {
        self.options.format == CopyFormat::Binary
    }

    /// Takes a piece.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.ended {
            return Ok(());
        }
        self.bytes += piece.len();
        if self.bytes > self.target.bytes_max {
            return Err(too_large(self.target.bytes_max));
        }
        self.unread.extend_from_slice(piece);
        self.read(false)
    }

    /// The rows, after the last piece.
    pub(super) fn finish(mut self) -> Result<(Target, RecordBatch), Error> {
        self.read(true)?;
        self.gather()?;
        let rows = concat_batches(&self.gathered[0].schema(), &self.gathered)?;
        Ok((self.target, rows))
    }

    /// Puts the values of the last rows into columns.
    fn gather(&mut self) -> Result<(), Error> {
        let count = self.columns.first().map_or(0, Vec::len);
        let columns = self.columns.iter_mut().map(std::mem::take).zip(&self.target.columns);
        let columns = columns.map(|(values, column)| match values.is_empty() {
            true => Ok(new_empty_array(&column.data_type)),
            false => Ok(cast(&ScalarValue::iter_to_array(values)?, &column.data_type)?),
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, Error>>()?;
        let fields = self.target.columns.iter();
        let fields = fields.map(|column| Field::new(&column.name, column.data_type.clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let rows = RecordBatch::try_new_with_options(schema, columns, &options)?;
        self.gathered_bytes += row_bytes(&rows);
        if self.gathered_bytes > self.target.bytes_max {
            return Err(too_large(self.target.bytes_max));
        }
        self.gathered.push(rows);
        Ok(())
    }

    fn read(&mut self, is_last: bool) -> Result<(), Error> {
        if self.is_binary() { self.read_binary(is_last) } else { self.read_lines(is_last) }
    }

    fn read_lines(&mut self, is_last: bool) -> Result<(), Error> {
        while !self.ended {
            let Some(line) =
                self.lines.next(&mut self.unread, is_last).map_err(|error| self.at_line(error, None))?
            else {
                return Ok(());
            };
            if line.as_ref() == b"\\." {
                self.ended = true;
            } else if std::mem::take(&mut self.header_due) {
                continue;
            } else {
                self.take_line(&line)?;
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: &Bytes) -> Result<(), Error> {
        let Ok(text) = std::str::from_utf8(line) else {
            let error = decode::not_utf8(line);
            return Err(self.at_line(error, None));
        };
        let values =
            self.lines.values(line, &self.options).map_err(|error| self.at_line(error, Some(text)))?;
        if values.len() > self.width() {
            let error = Error::new("22P04", "extra data after last expected column");
            return Err(self.at_line(error, Some(text)));
        }
        for (at, column) in self.target.columns.iter().enumerate() {
            let Some(value) = values.get(at) else {
                let error = Error::new("22P04", format!("missing data for column \"{}\"", column.name));
                return Err(self.at_line(error, Some(text)));
            };
            let read = self.value(at, Format::Text, value.as_ref());
            let read = read.map_err(|error| self.at_column(error, &column.name, value.as_ref()))?;
            self.columns[at].push(read);
        }
        self.end_row(Some(text))
    }

    /// A value of a column's own type.
    fn value(&self, at: usize, format: Format, bytes: Option<&Bytes>) -> Result<ScalarValue, Error> {
        let declared = &self.target.columns[at].data_type;
        let (oid, _) = types::type_of_data(declared);
        let value = decode::value(oid, format, bytes, declared, &self.reading)?;
        if value.is_null() || value.data_type() == *declared {
            return Ok(value);
        }
        value.cast_to(declared).map_err(|error| match declared.is_decimal() {
            true => Error::new("22003", "numeric field overflow"),
            false => error.into(),
        })
    }

    fn end_row(&mut self, line: Option<&str>) -> Result<(), Error> {
        let missing = self.target.columns.iter().zip(&self.columns);
        let missing = missing
            .filter(|(column, values)| !column.nullable && values.last().is_some_and(ScalarValue::is_null));
        if let Some((column, _)) = missing.into_iter().next() {
            return Err(self.at_line(null_violation(&column.name, &self.target.table), line));
        }
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_GATHERED) { self.gather() } else { Ok(()) }
    }

    /// An error about a line, shown as far as is useful.
    fn at_line(&self, error: Error, line: Option<&str>) -> Error {
        let number = self.number();
        let table = &self.target.table.name;
        error.with_context(match line {
            Some(line) => format!("COPY {table}, line {number}: \"{}\"", shown(line)),
            None => format!("COPY {table}, line {number}"),
        })
    }

    fn at_column(&self, error: Error, column: &str, value: Option<&Bytes>) -> Error {
        let (table, number) = (&self.target.table.name, self.number());
        error.with_context(match value {
            Some(value) if !self.is_binary() => {
                format!("COPY {table}, line {number}, column {column}: \"{}\"", shown(&text_of(value)))
            }
            Some(_) => format!("COPY {table}, line {number}, column {column}"),
            None => format!("COPY {table}, line {number}, column {column}: null input"),
        })
    }

    /// The line that is read, or the row where there are no lines.
    fn number(&self) -> usize {
        if self.is_binary() { self.rows + 1 } else { self.lines.number() }
    }
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}
