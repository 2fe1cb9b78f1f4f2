//! Rows of COPY's binary form.

use super::CopyIn;
use crate::serve::Error;
use crate::serve::postgres::encode::Format;
use bytes::{Buf as _, Bytes};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, and how long what else the header has is.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;
/// Flags that must be understood; one of them says that rows have numbers.
const CRITICAL_FLAGS: u32 = 0xffff_0000;

impl CopyIn {
    pub(super) fn read_binary(&mut self, is_last: bool) -> Result<(), Error> {
        if !self.begun {
            self.begun = self.read_header()?;
        }
        while self.begun && !self.ended && self.read_row()? {}
        match is_last && !self.ended {
            // As in PostgreSQL, a copy that ends between two rows may leave its trailer out.
            true if self.begun && self.unread.is_empty() => Ok(()),
            true if !self.begun => Err(Error::new("22P04", "COPY file signature not recognized")),
            true => Err(self.at_line(Error::new("22P04", "unexpected EOF in COPY data"), None)),
            false => Ok(()),
        }
    }

    /// True once the header is there.
    fn read_header(&mut self) -> Result<bool, Error> {
        let compared = self.unread.len().min(SIGNATURE.len());
        if self.unread[..compared] != SIGNATURE[..compared] {
            return Err(Error::new("22P04", "COPY file signature not recognized"));
        }
        if self.unread.len() < HEADER_BYTES {
            return Ok(false);
        }
        let mut rest = &self.unread[SIGNATURE.len()..];
        let flags = rest.get_u32();
        let Ok(extension) = usize::try_from(rest.get_i32()) else {
            return Err(Error::new("22P04", "invalid COPY file header (missing length)"));
        };
        if flags & (1 << 16) != 0 {
            return Err(Error::new("22P04", "invalid COPY file header (WITH OIDS)"));
        }
        if flags & CRITICAL_FLAGS != 0 {
            return Err(Error::new("22P04", "unrecognized critical flags in COPY file header"));
        }
        if rest.len() < extension {
            return Ok(false);
        }
        self.unread.advance(HEADER_BYTES + extension);
        Ok(true)
    }

    /// True if there was a whole row.
    fn read_row(&mut self) -> Result<bool, Error> {
        let mut rest = self.unread.as_ref();
        if rest.len() < 2 {
            return Ok(false);
        }
        let count = rest.get_i16();
        if count == -1 {
            self.ended = true;
            return match rest.is_empty() {
                true => Ok(false),
                false => Err(self.at_line(Error::new("22P04", "received copy data after EOF marker"), None)),
            };
        }
        if usize::try_from(count) != Ok(self.width()) {
            let message = format!("row field count is {count}, expected {}", self.width());
            return Err(self.at_line(Error::new("22P04", message), None));
        }
        let mut lengths = vec![];
        for _ in 0..self.width() {
            if rest.len() < 4 {
                return Ok(false);
            }
            let length = match rest.get_i32() {
                -1 => None,
                length => Some(
                    usize::try_from(length)
                        .map_err(|_| self.at_line(Error::new("22P04", "invalid field size"), None))?,
                ),
            };
            if rest.len() < length.unwrap_or(0) {
                return Ok(false);
            }
            rest.advance(length.unwrap_or(0));
            lengths.push(length);
        }
        let row = self.unread.len() - rest.len();
        let mut row = self.unread.split_to(row).freeze();
        row.advance(2);
        for (at, length) in lengths.into_iter().enumerate() {
            row.advance(4);
            let value: Option<Bytes> = length.map(|length| row.split_to(length));
            let read = self.value(at, Format::Binary, value.as_ref());
            let read =
                read.map_err(|error| self.at_column(error, &self.target.columns[at].name, value.as_ref()))?;
            self.columns[at].push(read);
        }
        self.end_row(None)?;
        Ok(true)
    }
}
