//! Lines of COPY's text and CSV forms, and the values in them.

use crate::serve::Error;
use crate::serve::statement::{CopyFormat, CopyOptions};
use bytes::{Buf as _, Bytes, BytesMut};
use std::borrow::Cow;

/// Finds the ends of lines: where a backslash (text) or quotes (CSV) do not hide them.
#[derive(Debug)]
pub(super) struct Lines {
    quotes: Option<(u8, u8)>,
    /// Bytes of the line that were looked at.
    looked_at: usize,
    in_quotes: bool,
    escaped: bool,
    /// Lines that ended within the values of this one.
    within: usize,
    number: usize,
}

impl Lines {
    pub(super) fn new(options: &CopyOptions) -> Self {
        let quotes = (options.format == CopyFormat::Csv).then_some((options.quote, options.escape));
        Self { quotes, looked_at: 0, in_quotes: false, escaped: false, within: 0, number: 0 }
    }

    /// The number of the line that came last, from 1.
    pub(super) fn number(&self) -> usize {
        self.number.max(1)
    }

    /// The next line without its end; `None` until there is one.
    pub(super) fn next(&mut self, unread: &mut BytesMut, is_last: bool) -> Result<Option<Bytes>, Error> {
        while let Some(byte) = unread.get(self.looked_at).copied() {
            self.looked_at += 1;
            let ends = match self.quotes {
                None => {
                    let ends = byte == b'\n' && !self.escaped;
                    self.escaped = byte == b'\\' && !self.escaped;
                    ends
                }
                Some((quote, escape)) => {
                    if byte == quote && !self.escaped {
                        self.in_quotes = !self.in_quotes;
                    }
                    // Where the quote escapes itself, two of them open and close again.
                    self.escaped = self.in_quotes && byte == escape && escape != quote && !self.escaped;
                    byte == b'\n' && !self.in_quotes
                }
            };
            if ends {
                return Ok(Some(self.take(unread, self.looked_at, 1)));
            }
            self.within += usize::from(byte == b'\n');
        }
        if !is_last || unread.is_empty() {
            return Ok(None);
        }
        if self.in_quotes {
            self.number += self.within + 1;
            return Err(Error::new("22P04", "unterminated CSV quoted field"));
        }
        Ok(Some(self.take(unread, unread.len(), 0)))
    }

    fn take(&mut self, unread: &mut BytesMut, length: usize, end: usize) -> Bytes {
        let mut line = unread.split_to(length);
        line.truncate(length - end);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        self.number += self.within + 1;
        (self.looked_at, self.in_quotes, self.escaped, self.within) = (0, false, false, 0);
        line.freeze()
    }

    /// The values of a line; `None` stands for NULL.
    pub(super) fn values(&self, line: &Bytes, options: &CopyOptions) -> Result<Vec<Option<Bytes>>, Error> {
        match self.quotes {
            None => Ok(plain(line, options)),
            Some(_) => quoted(line, options),
        }
    }
}

/// Values with backslashes before what is special.
fn plain(line: &Bytes, options: &CopyOptions) -> Vec<Option<Bytes>> {
    let mut values = vec![];
    let (mut start, mut at, mut escaped) = (0, 0, false);
    loop {
        let byte = line.get(at).copied();
        if byte.is_none() || byte == Some(options.delimiter) && !escaped {
            let raw = line.slice(start..at);
            values.push(if raw == options.null.as_bytes() { None } else { Some(unescaped(raw)) });
            start = at + 1;
        }
        let Some(byte) = byte else { return values };
        escaped = byte == b'\\' && !escaped;
        at += 1;
    }
}

fn unescaped(raw: Bytes) -> Bytes {
    if !raw.contains(&b'\\') {
        return raw;
    }
    let mut value = BytesMut::with_capacity(raw.len());
    let mut rest = raw.as_ref();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            value.extend_from_slice(&[*byte]);
            continue;
        }
        let Some((letter, after)) = rest.split_first() else {
            value.extend_from_slice(b"\\");
            break;
        };
        rest = after;
        let special = match letter {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => number(&mut rest, u32::from(letter - b'0'), 8, 2),
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => number(&mut rest, 0, 16, 2),
            other => *other,
        };
        value.extend_from_slice(&[special]);
    }
    value.freeze()
}

/// A byte by its number: as many digits as there are, up to a number of them.
fn number(rest: &mut &[u8], first: u32, radix: u32, digits_max: usize) -> u8 {
    let mut number = first;
    for _ in 0..digits_max {
        let Some(digit) = rest.first().and_then(|digit| char::from(*digit).to_digit(radix)) else { break };
        number = number * radix + digit;
        rest.advance(1);
    }
    // As PostgreSQL does, what is more than a byte loses what is too much.
    (number & 0xff) as u8
}

/// Values with quotes around what is special.
fn quoted(line: &Bytes, options: &CopyOptions) -> Result<Vec<Option<Bytes>>, Error> {
    let mut values = vec![];
    let mut rest = line.as_ref();
    loop {
        let mut value = BytesMut::new();
        let (mut was_quoted, mut in_quotes, mut goes_on) = (false, false, false);
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            if in_quotes {
                let next = rest.first().copied();
                let escapes = next == Some(options.quote) || next == Some(options.escape);
                if *byte == options.escape && escapes {
                    value.extend(next);
                    rest.advance(1);
                } else if *byte == options.quote {
                    in_quotes = false;
                } else {
                    value.extend_from_slice(&[*byte]);
                }
            } else if *byte == options.delimiter {
                goes_on = true;
                break;
            } else if *byte == options.quote {
                (was_quoted, in_quotes) = (true, true);
            } else {
                value.extend_from_slice(&[*byte]);
            }
        }
        if in_quotes {
            return Err(Error::new("22P04", "unterminated CSV quoted field"));
        }
        let is_null = !was_quoted && value == options.null.as_bytes();
        values.push((!is_null).then(|| value.freeze()));
        if !goes_on {
            return Ok(values);
        }
    }
}

/// A value as errors show it.
pub(super) fn text_of(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(format: CopyFormat) -> CopyOptions {
        let csv = format == CopyFormat::Csv;
        CopyOptions {
            format,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".to_string() },
            header: false,
            quote: b'"',
            escape: b'"',
            force_quote: crate::serve::statement::ForceQuote::No,
        }
    }

    fn read(text: &str, options: &CopyOptions, piece: usize) -> Vec<Vec<Option<String>>> {
        let mut lines = Lines::new(options);
        let (mut unread, mut rows) = (BytesMut::new(), vec![]);
        let pieces = text.as_bytes().chunks(piece);
        let last = pieces.len();
        for (at, piece) in pieces.enumerate() {
            unread.extend_from_slice(piece);
            while let Some(line) = lines.next(&mut unread, at + 1 == last).unwrap() {
                let values = lines.values(&line, options).unwrap();
                let text = |value: Bytes| String::from_utf8(value.to_vec()).unwrap();
                rows.push(values.into_iter().map(|value| value.map(text)).collect());
            }
        }
        rows
    }

    /// However the pieces are cut, the rows are the same.
    #[test]
    fn lines_and_values_of_both_forms() {
        let some = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_string())).collect::<Vec<_>>();
        for piece in [1, 2, 3, 1000] {
            let text = options(CopyFormat::Text);
            let rows = read("a\\tb\t\\N\tc\\\nd\n\\x41\\101\t\\\\\t\r\nlast", &text, piece);
            assert_eq!(rows[0], [Some("a\tb".to_string()), None, Some("c\nd".to_string())]);
            assert_eq!(rows[1], some(&["AA", "\\", ""]));
            assert_eq!(rows[2], some(&["last"]));
            let csv = options(CopyFormat::Csv);
            let rows = read("a,\"b,\"\"\n\"\"\",\n\"\",x\"y,z\"\n", &csv, piece);
            assert_eq!(rows[0], [Some("a".to_string()), Some("b,\"\n\"".to_string()), None]);
            assert_eq!(rows[1], some(&["", "xy,z"]));
            assert_eq!(rows.len(), 2);
        }
    }

    #[test]
    fn an_open_quote_at_the_end_is_an_error() {
        let csv = options(CopyFormat::Csv);
        let mut lines = Lines::new(&csv);
        let mut unread = BytesMut::from(&b"a\n\"b\nc"[..]);
        assert!(lines.next(&mut unread, true).unwrap().is_some());
        assert_eq!(lines.next(&mut unread, true).unwrap_err().code, "22P04");
        assert_eq!(lines.number(), 3);
    }
}
