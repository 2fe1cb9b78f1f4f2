//! Why a text is no JSON, in PostgreSQL's words: what stands where something else is expected.

/// How deep values are looked into.
const DEPTH_MAX: usize = 128;

/// The detail of the error; `None` if nothing of a grammar's is wrong with the text, as far as it is looked into.
pub fn why(text: &str) -> Option<String> {
    let mut reader = Reader { rest: text, depth: 0 };
    let read = reader.value().and_then(|()| match reader.token()? {
        "" => Ok(()),
        found => Err(format!("Expected end of input, but found \"{found}\".")),
    });
    read.err().filter(|_| reader.depth <= DEPTH_MAX)
}

struct Reader<'a> {
    rest: &'a str,
    /// In how many values what follows stands.
    depth: usize,
}

fn ended() -> String {
    "The input string ended unexpectedly.".to_string()
}

fn expected(what: &str, found: &str) -> String {
    if found.is_empty() { ended() } else { format!("Expected {what}, but found \"{found}\".") }
}

impl<'a> Reader<'a> {
    /// The next token, which is taken; nothing at the end.
    fn token(&mut self) -> Result<&'a str, String> {
        let from = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || !letter.is_ascii();
        let word = || from.find(|letter| !is_part(letter)).unwrap_or(from.len());
        let length = match from.chars().next() {
            None => 0,
            Some('"') => string(from)?,
            Some('{' | '}' | '[' | ']' | ',' | ':') => 1,
            Some('-' | '0'..='9') => number(from)?,
            Some(letter) if is_part(letter) && ["true", "false", "null"].contains(&&from[..word()]) => word(),
            Some(letter) => return Err(invalid(&from[..word().max(letter.len_utf8())])),
        };
        let (token, rest) = from.split_at(length);
        self.rest = rest;
        Ok(token)
    }

    /// The next token, which stays.
    fn peeked(&self) -> Result<&'a str, String> {
        Reader { ..*self }.token()
    }

    fn value(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("too deep".to_string());
        }
        match self.token()? {
            "{" => self.object()?,
            "[" => self.array()?,
            found @ ("" | "}" | "]" | "," | ":") => return Err(expected("JSON value", found)),
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), String> {
        let mut what = "string or \"}\"";
        loop {
            match self.token()? {
                "}" if what != "string" => return Ok(()),
                name if name.starts_with('"') => {}
                found => return Err(expected(what, found)),
            }
            match self.token()? {
                ":" => self.value()?,
                found => return Err(expected("\":\"", found)),
            }
            match self.token()? {
                "," => what = "string",
                "}" => return Ok(()),
                found => return Err(expected("\",\" or \"}\"", found)),
            }
        }
    }

    fn array(&mut self) -> Result<(), String> {
        if self.peeked()? == "]" {
            return self.token().map(drop);
        }
        loop {
            self.value()?;
            match self.token()? {
                "," => {}
                "]" => return Ok(()),
                found => return Err(expected("\",\" or \"]\"", found)),
            }
        }
    }
}

fn invalid(token: &str) -> String {
    format!("Token \"{token}\" is invalid.")
}

/// The length of a string with its quotes.
fn string(from: &str) -> Result<usize, String> {
    let mut letters = from.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok(at + 1),
            '\\' => match letters.next() {
                Some((_, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' | 'u')) => {}
                Some((_, other)) => return Err(format!("Escape sequence \"\\{other}\" is invalid.")),
                None => break,
            },
            control if u32::from(control) < 32 => {
                return Err(format!("Character with value 0x{:02x} must be escaped.", u32::from(control)));
            }
            _ => {}
        }
    }
    Err(invalid(from))
}

/// The length of a number; what follows it without a space belongs to it, and is wrong.
fn number(from: &str) -> Result<usize, String> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut length = usize::from(from.starts_with('-'));
    let mut is_number = true;
    match digits(&from[length..]) {
        0 => is_number = false,
        _ if from[length..].starts_with('0') => length += 1,
        whole => length += whole,
    }
    if is_number && from[length..].starts_with('.') {
        let fraction = digits(&from[length + 1..]);
        length += 1 + fraction;
        is_number = fraction > 0;
    }
    if is_number && from[length..].starts_with(['e', 'E']) {
        let sign = usize::from(from[length + 1..].starts_with(['+', '-']));
        let exponent = digits(&from[length + 1 + sign..]);
        length += 1 + sign + exponent;
        is_number = exponent > 0;
    }
    let behind = from[length..]
        .find(|letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '_');
    let behind = behind.unwrap_or(from.len() - length);
    if is_number && behind == 0 { Ok(length) } else { Err(invalid(&from[..length + behind])) }
}

#[cfg(test)]
mod tests {
    use super::why;

    #[test]
    fn as_postgresql_says() {
        for (text, detail) in [
            ("{\"a\":", "The input string ended unexpectedly."),
            ("", "The input string ended unexpectedly."),
            ("[", "The input string ended unexpectedly."),
            ("{a}", "Token \"a\" is invalid."),
            ("x", "Token \"x\" is invalid."),
            ("tru", "Token \"tru\" is invalid."),
            ("01", "Token \"01\" is invalid."),
            ("1.", "Token \"1.\" is invalid."),
            ("-", "Token \"-\" is invalid."),
            ("\"abc", "Token \"\"abc\" is invalid."),
            ("'a'", "Token \"'\" is invalid."),
            ("[1,]", "Expected JSON value, but found \"]\"."),
            ("{\"a\" 1}", "Expected \":\", but found \"1\"."),
            ("{1:2}", "Expected string or \"}\", but found \"1\"."),
            ("{\"a\":1,}", "Expected string, but found \"}\"."),
            ("{\"a\":1 2}", "Expected \",\" or \"}\", but found \"2\"."),
            ("[1 2]", "Expected \",\" or \"]\", but found \"2\"."),
            ("{\"a\":1} [", "Expected end of input, but found \"[\"."),
            ("\"\\x\"", "Escape sequence \"\\x\" is invalid."),
            ("\"\u{1}\"", "Character with value 0x01 must be escaped."),
        ] {
            assert_eq!(why(text).as_deref(), Some(detail), "{text}");
        }
        for text in ["{}", "[]", "[1, -2.5e3, \"a\\n\", null]", "{\"a\": {\"b\": [true]}} "] {
            assert_eq!(why(text), None, "{text}");
        }
        assert_eq!(why(&"[".repeat(100_000)), None);
    }
}
