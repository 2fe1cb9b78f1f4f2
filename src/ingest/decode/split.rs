//! Bytes that hold many records, cut into records in bounded memory.
//!
//! Comes in: a reader of lines (NDJSON), of CSV or of a JSON array. Goes out: one [`Piece`] after another, the same
//! ones whenever the same bytes are read, so that a piece's number is a position. Blank lines are no pieces.
//!
//! A broken record is cut so that its neighbours stand: a CSV quote that is never closed, or closed in the middle of a
//! field, costs its own line only; so does a JSON string that runs over a line's end.

use std::io::{self, Read};

/// The longest record; of a longer one only the head is kept, for the quarantine.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;
/// How much of a record that is too long is kept.
const HEAD_BYTES: usize = 1 << 20;
/// How much is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// What a reader's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A JSON array if it starts with a bracket, else one JSON object a line.
    Json,
    /// CSV records, whose quoted fields may hold line ends.
    Csv {
        /// Field separator.
        delimiter: u8,
    },
}

/// A part of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record, without the line end or comma behind it.
    Record(&'a [u8]),
    /// Something that is no record: what stands there and why it is none.
    Fragment(&'a [u8], &'static str),
    /// The head of a record that is longer than [`RECORD_BYTES_MAX`].
    TooLong(&'a [u8]),
}

/// Cuts a reader's bytes into pieces.
#[derive(Debug)]
pub(crate) struct Splitter<R> {
    reader: R,
    scan: Scan,
    buffer: Vec<u8>,
    /// Where the next piece starts in the buffer.
    start: usize,
    /// How far behind `start` the scan has come.
    at: usize,
    ended: bool,
    /// The rest of a record that is too long is being passed over.
    discarding: bool,
    record_bytes_max: usize,
}

/// How far a scan has come, by shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    /// Before the first byte that tells an array from lines.
    Start,
    Lines,
    Csv {
        delimiter: u8,
        state: CsvState,
    },
    Array {
        depth: usize,
        in_string: bool,
        escaped: bool,
        first: bool,
    },
    /// Behind an array's end, where nothing may stand.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CsvState {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote inside quotes: the field's end, or half of a doubled quote.
    Closed,
    /// The record is broken; it ends with its first line.
    Broken,
}

/// A piece found: its end and where the next one starts, both counted from its own start.
struct Cut {
    end: usize,
    next: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Record,
    /// Nothing, unless it is not blank.
    Line,
    Fragment(&'static str),
    TooLong,
}

impl<R: Read> Splitter<R> {
    /// Cuts what the reader holds; a byte order mark before it is passed over.
    pub(crate) fn new(reader: R, shape: Shape) -> Self {
        let scan = match shape {
            Shape::Json => Scan::Start,
            Shape::Csv { delimiter } => Scan::Csv { delimiter, state: CsvState::FieldStart },
        };
        Self {
            reader,
            scan,
            buffer: Vec::new(),
            start: 0,
            at: 0,
            ended: false,
            discarding: false,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }

    #[cfg(test)]
    fn with_limit(mut self, record_bytes_max: usize) -> Self {
        self.record_bytes_max = record_bytes_max;
        self
    }

    /// The next piece, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        if self.buffer.is_empty() && !self.ended {
            self.fill()?;
            while self.buffer.len() < 3 && !self.ended {
                self.fill()?;
            }
            if self.buffer.starts_with(b"\xef\xbb\xbf") {
                self.start = 3;
            }
        }
        let (piece, kind) = loop {
            let Some(cut) = self.cut() else {
                if self.ended {
                    return Ok(None);
                }
                self.fill()?;
                continue;
            };
            let piece = self.start..self.start + cut.end;
            self.start += cut.next;
            self.at = 0;
            if std::mem::take(&mut self.discarding) {
                continue;
            }
            self.discarding = cut.kind == Kind::TooLong;
            if cut.kind == Kind::Line && self.buffer[piece.clone()].trim_ascii().is_empty() {
                continue;
            }
            break (piece, cut.kind);
        };
        let bytes = &self.buffer[piece];
        Ok(Some(match kind {
            Kind::Record | Kind::Line => Piece::Record(bytes),
            Kind::Fragment(why) => Piece::Fragment(bytes, why),
            Kind::TooLong => Piece::TooLong(&bytes[..bytes.len().min(HEAD_BYTES)]),
        }))
    }

    /// Reads on, keeping only what no piece has taken yet.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK_BYTES, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[length..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        self.buffer.truncate(length + read.as_ref().map_or(0, |read| *read));
        self.ended = read? == 0;
        Ok(())
    }

    /// Scans on; `None` when it takes more bytes to tell, or when all are told.
    fn cut(&mut self) -> Option<Cut> {
        let window = &self.buffer[self.start..];
        let cut = match self.scan {
            Scan::Start => {
                self.start += window.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                if *self.buffer.get(self.start)? != b'[' {
                    self.scan = Scan::Lines;
                    return self.cut();
                }
                self.start += 1;
                self.scan = Scan::Array { depth: 0, in_string: false, escaped: false, first: true };
                return self.cut();
            }
            Scan::Lines => line(window, &mut self.at, self.ended, Kind::Line),
            Scan::After => line(window, &mut self.at, self.ended, Kind::Line).map(|mut cut| {
                if !window[..cut.end].trim_ascii().is_empty() {
                    cut.kind = Kind::Fragment("expected the end of the file behind the array");
                }
                cut
            }),
            Scan::Csv { .. } => self.cut_csv(),
            Scan::Array { .. } => self.cut_array(),
        };
        let length = self.buffer.len() - self.start;
        if cut.is_some() || length <= self.record_bytes_max {
            return cut;
        }
        if let Scan::Csv { state, .. } = &mut self.scan
            && *state == CsvState::Quoted
        {
            // More likely a quote that was never closed than a record of this size.
            *state = CsvState::Broken;
            self.at = 0;
            return self.cut();
        }
        // What was scanned is given up; the scan goes on from here to find the record's end.
        let at = std::mem::take(&mut self.at);
        if self.discarding {
            self.start += at;
            return None;
        }
        Some(Cut { end: at, next: at, kind: Kind::TooLong })
    }

    fn cut_csv(&mut self) -> Option<Cut> {
        let Scan::Csv { delimiter, state } = &mut self.scan else { return None };
        let window = &self.buffer[self.start..];
        let mut at = self.at;
        let cut = loop {
            let rest = window.get(at..).unwrap_or_default();
            match *state {
                CsvState::FieldStart => match rest.first() {
                    None => break None,
                    Some(b'"') => (at, *state) = (at + 1, CsvState::Quoted),
                    Some(_) => *state = CsvState::Plain,
                },
                CsvState::Plain => match memchr::memchr2(*delimiter, b'\n', rest) {
                    None => {
                        at = window.len();
                        break None;
                    }
                    Some(end) if rest[end] == b'\n' => break Some((at + end, at + end + 1)),
                    Some(end) => (at, *state) = (at + end + 1, CsvState::FieldStart),
                },
                CsvState::Quoted => match memchr::memchr(b'"', rest) {
                    Some(quote) => (at, *state) = (at + quote + 1, CsvState::Closed),
                    None if self.ended => (at, *state) = (0, CsvState::Broken),
                    None => {
                        at = window.len();
                        break None;
                    }
                },
                CsvState::Closed => match rest {
                    [b'"', ..] => (at, *state) = (at + 1, CsvState::Quoted),
                    [b'\n', ..] => break Some((at, at + 1)),
                    [b'\r', b'\n', ..] => break Some((at, at + 2)),
                    [byte, ..] if *byte == *delimiter => (at, *state) = (at + 1, CsvState::FieldStart),
                    [] | [b'\r'] => break None,
                    _ => (at, *state) = (0, CsvState::Broken),
                },
                CsvState::Broken => match memchr::memchr(b'\n', rest) {
                    Some(end) => break Some((at + end, at + end + 1)),
                    None => {
                        at = window.len();
                        break None;
                    }
                },
            }
        };
        self.at = at;
        let all = (window.len(), window.len());
        let (end, next) = cut.or_else(|| (self.ended && !window.is_empty()).then_some(all))?;
        *state = CsvState::FieldStart;
        let end = end - usize::from(window[..end].ends_with(b"\r"));
        // A line of blanks is a record, if of little: the delimiter may be a blank.
        Some(Cut { end, next, kind: if end == 0 { Kind::Line } else { Kind::Record } })
    }

    fn cut_array(&mut self) -> Option<Cut> {
        let Scan::Array { depth, in_string, escaped, first } = &mut self.scan else { return None };
        let window = &self.buffer[self.start..];
        let mut after = false;
        let mut at = self.at;
        let mut kind = Kind::Record;
        let cut = loop {
            let Some(byte) = window.get(at) else { break None };
            at += 1;
            if std::mem::take(escaped) {
                continue;
            }
            match byte {
                b'\\' if *in_string => *escaped = true,
                b'"' => *in_string = !*in_string,
                b'\n' if *in_string => {
                    // No string holds a line end: the element is broken, and the next line may be whole.
                    (*depth, *in_string) = (0, false);
                    break Some(at - 1);
                }
                _ if *in_string => {}
                b'{' | b'[' => *depth += 1,
                b'}' | b']' if *depth > 0 => *depth -= 1,
                b',' if *depth == 0 => break Some(at - 1),
                b']' => {
                    after = true;
                    if *first {
                        kind = Kind::Line;
                    }
                    break Some(at - 1);
                }
                _ => {}
            }
        };
        self.at = at;
        *first &= cut.is_none();
        let cut = match cut {
            Some(end) => Cut { end, next: at, kind },
            None if !self.ended => return None,
            // The file ends inside the array: first what is left, if anything, then the end itself.
            None if window.trim_ascii().is_empty() => {
                after = true;
                let why = "the file ends inside its array";
                Cut { end: window.len(), next: window.len(), kind: Kind::Fragment(why) }
            }
            None => Cut { end: window.len(), next: window.len(), kind: Kind::Record },
        };
        if after {
            self.scan = Scan::After;
        }
        Some(cut)
    }
}

/// A line from the window's start; `at` is how far no line end stands.
fn line(window: &[u8], at: &mut usize, ended: bool, kind: Kind) -> Option<Cut> {
    let found = memchr::memchr(b'\n', window.get(*at..).unwrap_or_default());
    let (end, next) = match found {
        Some(end) => (*at + end, *at + end + 1),
        None if ended && !window.is_empty() => (window.len(), window.len()),
        None => {
            *at = window.len();
            return None;
        }
    };
    let end = end - usize::from(window[..end].ends_with(b"\r"));
    Some(Cut { end, next, kind })
}

#[cfg(test)]
mod tests;
