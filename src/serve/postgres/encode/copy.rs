//! Rows of `COPY ... TO STDOUT`: one `CopyData` each, of the same values as `DataRow`s.

use super::{Encoder, Format, message, sized};
use crate::serve::Error;
use crate::serve::statement::{CopyFormat, CopyOptions, ForceQuote};
use bytes::{BufMut, BytesMut};

const COPY_DATA: u8 = b'd';
/// What a binary copy begins with: the signature, no flags, no extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Writes rows in the form that a `COPY` asked for.
pub(in crate::serve::postgres) struct Copier {
    options: CopyOptions,
    /// Which columns are always quoted.
    quoted: Vec<bool>,
    /// A binary copy's signature goes out with its first row.
    signed: bool,
    /// The text of one value, before it is escaped.
    value: BytesMut,
}

impl Copier {
    /// For columns of these names.
    pub(in crate::serve::postgres) fn new(options: &CopyOptions, names: &[&str]) -> Result<Self, Error> {
        let quoted = match &options.force_quote {
            ForceQuote::No => vec![false; names.len()],
            ForceQuote::All => vec![true; names.len()],
            ForceQuote::Columns(columns) => {
                if let Some(unknown) = columns.iter().find(|column| !names.contains(&column.as_str())) {
                    return Err(Error::new("42703", format!("column \"{unknown}\" does not exist")));
                }
                names.iter().map(|name| columns.iter().any(|column| column == name)).collect()
            }
        };
        Ok(Self { options: options.clone(), quoted, signed: false, value: BytesMut::new() })
    }

    /// How values are written.
    pub(in crate::serve::postgres) fn format(&self) -> Format {
        match self.options.format {
            CopyFormat::Binary => Format::Binary,
            CopyFormat::Text | CopyFormat::Csv => Format::Text,
        }
    }

    /// The line of names, if it was asked for.
    pub(in crate::serve::postgres) fn header(&self, names: &[&str], out: &mut BytesMut) -> Result<(), Error> {
        if !self.options.header {
            return Ok(());
        }
        message(COPY_DATA, out, |out| {
            for (i, name) in names.iter().enumerate() {
                self.separate(i, out);
                self.put(name.as_bytes(), false, names.len() == 1, out);
            }
            out.put_u8(b'\n');
            Ok(())
        })
    }

    /// A row.
    pub(in crate::serve::postgres) fn row(
        &mut self,
        encoder: &Encoder,
        row: usize,
        out: &mut BytesMut,
    ) -> Result<(), Error> {
        if self.options.format == CopyFormat::Binary {
            let signature = if self.signed { &[] } else { SIGNATURE };
            self.signed = true;
            return message(COPY_DATA, out, |out| {
                out.put_slice(signature);
                encoder.values(row, out)
            });
        }
        let mut value = std::mem::take(&mut self.value);
        let written = message(COPY_DATA, out, |out| {
            for (i, cell) in encoder.cells.iter().enumerate() {
                self.separate(i, out);
                if cell.is_null(row) {
                    out.put_slice(self.options.null.as_bytes());
                } else {
                    value.clear();
                    (cell.write)(row, &mut value)?;
                    self.put(&value, self.quoted[i], encoder.cells.len() == 1, out);
                }
            }
            out.put_u8(b'\n');
            Ok(())
        });
        self.value = value;
        written
    }

    /// What stands after the last row.
    pub(in crate::serve::postgres) fn end(&self, out: &mut BytesMut) -> Result<(), Error> {
        match self.options.format {
            CopyFormat::Binary => message(COPY_DATA, out, |out| {
                if !self.signed {
                    out.put_slice(SIGNATURE);
                }
                out.put_i16(-1);
                Ok(())
            }),
            CopyFormat::Text | CopyFormat::Csv => Ok(()),
        }
    }

    fn separate(&self, column: usize, out: &mut BytesMut) {
        if column > 0 {
            out.put_u8(self.options.delimiter);
        }
    }

    fn put(&self, value: &[u8], quoted: bool, alone: bool, out: &mut BytesMut) {
        match self.options.format {
            CopyFormat::Csv => self.put_csv(value, quoted, alone, out),
            CopyFormat::Text | CopyFormat::Binary => self.put_text(value, out),
        }
    }

    fn put_text(&self, value: &[u8], out: &mut BytesMut) {
        let escaped = |byte: u8| match byte {
            b'\\' => Some(b'\\'),
            0x08 => Some(b'b'),
            0x0c => Some(b'f'),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0x0b => Some(b'v'),
            other => (other == self.options.delimiter).then_some(other),
        };
        let mut rest = value;
        while let Some(at) = rest.iter().position(|byte| escaped(*byte).is_some()) {
            out.put_slice(&rest[..at]);
            out.put_u8(b'\\');
            out.put_u8(escaped(rest[at]).unwrap_or(rest[at]));
            rest = &rest[at + 1..];
        }
        out.put_slice(rest);
    }

    fn put_csv(&self, value: &[u8], quoted: bool, alone: bool, out: &mut BytesMut) {
        let CopyOptions { delimiter, quote, escape, null, .. } = &self.options;
        let special = |byte: &u8| byte == delimiter || byte == quote || matches!(byte, b'\r' | b'\n');
        let needs = value == null.as_bytes() || alone && value == b"\\." || value.iter().any(special);
        if !quoted && !needs {
            return out.put_slice(value);
        }
        out.put_u8(*quote);
        for byte in value {
            if byte == quote || byte == escape {
                out.put_u8(*escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(*quote);
    }
}

impl Encoder {
    /// The values of a row with their number before them, as `DataRow` and a binary copy have them.
    pub(super) fn values(&self, row: usize, out: &mut BytesMut) -> Result<(), Error> {
        out.put_i16(self.cells.len() as i16);
        for cell in &self.cells {
            match cell.is_null(row) {
                true => out.put_i32(-1),
                false => sized(out, |out| (cell.write)(row, out))?,
            }
        }
        Ok(())
    }
}
