//! A position in JSON text: tokens, and whole values to step over. Never recurses.

use super::fault::{Fault, Outcome};

/// A position in a payload that is valid UTF-8.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// The brackets that are open inside a value being stepped over; lent, so that no record allocates it.
    nesting: &'a mut Vec<u8>,
}

/// The inside of a JSON string.
#[derive(Clone, Copy)]
pub(super) struct StringSpan<'a> {
    /// Between the quotes, as written.
    pub(super) bytes: &'a [u8],
    /// True when it holds escapes.
    pub(super) escaped: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], nesting: &'a mut Vec<u8>) -> Self {
        Self { bytes, at: 0, nesting }
    }

    /// The byte here, if any.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// What has been read since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    pub(super) fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Nothing but blanks may follow.
    pub(super) fn expect_end(&mut self) -> Outcome {
        self.skip_whitespace();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the record")),
        }
    }

    /// One punctuation mark, blanks before it allowed.
    pub(super) fn expect(&mut self, mark: u8, name: &str) -> Outcome {
        self.skip_whitespace();
        if self.peek() == Some(mark) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.expected(name))
        }
    }

    /// `true`, `false` or `null`.
    pub(super) fn literal(&mut self, word: &'static str) -> Outcome {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.expected("a value"))
        }
    }

    /// A number; its text.
    pub(super) fn number(&mut self) -> Result<&'a str, Box<Fault>> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        text(self.since(start))
    }

    /// A string; stands at its opening quote.
    pub(super) fn string(&mut self) -> Result<StringSpan<'a>, Box<Fault>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at = special(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    let bytes = self.since(start);
                    self.at += 1;
                    return Ok(StringSpan { bytes, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    /// Steps over a whole value of any depth, checking its syntax.
    pub(super) fn skip_value(&mut self) -> Outcome {
        self.nesting.clear();
        loop {
            self.skip_whitespace();
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.skip_whitespace();
                    // The closing bracket of each is two above the opening one in ASCII.
                    if self.peek() == Some(open + 2) {
                        self.at += 1;
                    } else {
                        self.nesting.push(open);
                        if open == b'{' {
                            self.skip_key()?;
                        }
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            // A value has ended; so may the brackets around it.
            loop {
                let Some(&open) = self.nesting.last() else { return Ok(()) };
                self.skip_whitespace();
                match (self.peek(), open) {
                    (Some(b','), b'{') => {
                        self.at += 1;
                        self.skip_key()?;
                        break;
                    }
                    (Some(b','), _) => {
                        self.at += 1;
                        break;
                    }
                    (Some(close), _) if close == open + 2 => {
                        self.at += 1;
                        self.nesting.pop();
                    }
                    (_, b'{') => return Err(self.expected("\",\" or \"}\"")),
                    _ => return Err(self.expected("\",\" or \"]\"")),
                }
            }
        }
    }

    /// Passes what stands behind a member of an object: true when another follows, false behind the last.
    pub(super) fn another_member(&mut self) -> Result<bool, Box<Fault>> {
        self.skip_whitespace();
        let another = match self.peek() {
            Some(b',') => true,
            Some(b'}') => false,
            _ => return Err(self.expected("\",\" or \"}\"")),
        };
        self.at += 1;
        Ok(another)
    }

    /// An error that says what should stand here.
    pub(super) fn expected(&self, what: &str) -> Box<Fault> {
        Fault::syntax(what, self.at)
    }

    fn skip_key(&mut self) -> Outcome {
        self.skip_whitespace();
        self.string()?;
        self.expect(b':', "\":\"")
    }

    fn skip_scalar(&mut self) -> Outcome {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.expected("a value")),
        }
    }

    fn digits(&mut self) -> Outcome {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// Checks an escape; stands at its backslash.
    fn escape(&mut self) -> Outcome {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.bytes.get(self.at + 2..self.at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                    self.at += 6;
                    Ok(())
                }
                _ => Err(self.expected("four hex digits in an escape")),
            },
            _ => Err(self.expected("an escape")),
        }
    }
}

impl StringSpan<'_> {
    /// Writes the string's characters; a fault if no text can hold them.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) -> Outcome {
        let mut rest = self.bytes;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..at]);
            let escape = rest.get(at + 1).copied().unwrap_or_default();
            rest = rest.get(at + 2..).unwrap_or_default();
            out.push(match escape {
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let (character, after) = unicode(rest)?;
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = after;
                    continue;
                }
                itself => itself,
            });
        }
        out.extend_from_slice(rest);
        Ok(())
    }
}

/// The character of a `\u` escape whose digits come first, with its low surrogate if it needs one, and what follows.
fn unicode(digits: &[u8]) -> Result<(char, &[u8]), Box<Fault>> {
    let unpaired = || Fault::encoding("a surrogate escape stands without its other half");
    let (high, rest) = hex4(digits).ok_or_else(unpaired)?;
    let (code, rest) = match high {
        0 => return Err(Fault::encoding("text cannot hold the NUL character \\u0000")),
        0xd800..=0xdbff => {
            let low = rest.strip_prefix(b"\\u").and_then(hex4);
            match low.filter(|(low, _)| (0xdc00..=0xdfff).contains(low)) {
                Some((low, rest)) => (0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), rest),
                None => return Err(unpaired()),
            }
        }
        code => (code, rest),
    };
    Ok((char::from_u32(code).ok_or_else(unpaired)?, rest))
}

fn hex4(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = digits.split_at_checked(4)?;
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some((code, rest))
}

/// Bytes of a payload as text; they were checked before, so this cannot fail.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Box<Fault>> {
    std::str::from_utf8(bytes).map_err(|_| Fault::encoding("not UTF-8"))
}

/// The next quote, backslash or control character from `at` on, or the end. Eight bytes at a time: the strings of a
/// record are too short for more.
fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let equal = |word: u64, byte: u8| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference
    };
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (equal(word, b'"') | equal(word, b'\\') | control) & TOPS;
        if found != 0 {
            // Borrows can only mark bytes above the first that is meant: the lowest mark is always true.
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        at += 1;
    }
    at
}
