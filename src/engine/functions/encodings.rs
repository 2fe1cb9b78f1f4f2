//! Bytes as text and text as bytes: PostgreSQL's `encode`, `decode`, `convert_from`, `convert_to`.

use super::rowwise::RowWise;
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::scalar::ScalarValue;
use std::borrow::Cow;

/// Characters of a line of base64, as MIME has them.
const LINE: usize = 76;

/// The functions. `encode` and `decode` replace DataFusion's, which know other forms.
pub(super) const FUNCTIONS: [RowWise; 4] = [
    RowWise {
        name: "encode",
        accepts: bytes_and_word,
        returns: |_| DataType::Utf8,
        body: |row| Ok(text(encoded(&bytes_of(&row[0])?, text_of(&row[1]))?)),
    },
    RowWise {
        name: "decode",
        accepts: text_and_word,
        returns: |_| DataType::Binary,
        body: |row| Ok(ScalarValue::Binary(Some(decoded(text_of(&row[0]), text_of(&row[1]))?))),
    },
    RowWise {
        name: "convert_from",
        accepts: bytes_and_word,
        returns: |_| DataType::Utf8,
        body: |row| Ok(text(read(&bytes_of(&row[0])?, text_of(&row[1]))?)),
    },
    RowWise {
        name: "convert_to",
        accepts: text_and_word,
        returns: |_| DataType::Binary,
        body: |row| Ok(ScalarValue::Binary(Some(written(text_of(&row[0]), text_of(&row[1]))?))),
    },
];

/// Bytes, or a literal of no type, which is read as bytes are written.
fn bytes_and_word(types: &[DataType]) -> Option<Vec<DataType>> {
    match types {
        [value, word] if is_text(word) && is_text(value) => Some(vec![DataType::Utf8; 2]),
        [value, word] if is_text(word) && value.is_binary() => Some(vec![DataType::Binary, DataType::Utf8]),
        _ => None,
    }
}

fn text_and_word(types: &[DataType]) -> Option<Vec<DataType>> {
    (types.len() == 2 && types.iter().all(is_text)).then(|| vec![DataType::Utf8; 2])
}

fn is_text(data_type: &DataType) -> bool {
    data_type.is_string() || data_type.is_null()
}

fn text(text: String) -> ScalarValue {
    ScalarValue::Utf8(Some(text))
}

fn text_of(value: &ScalarValue) -> &str {
    value.try_as_str().flatten().unwrap_or_default()
}

fn bytes_of(value: &ScalarValue) -> Result<Cow<'_, [u8]>> {
    match value {
        ScalarValue::Binary(Some(bytes)) => Ok(Cow::Borrowed(bytes)),
        other => match text_of(other).strip_prefix("\\x") {
            Some(digits) => from_hex(digits).map(Cow::Owned),
            None => from_escape(text_of(other)).map(Cow::Owned),
        },
    }
}

fn encoded(bytes: &[u8], form: &str) -> Result<String> {
    match form.to_lowercase().as_str() {
        "hex" => Ok(hex::encode(bytes)),
        "base64" => {
            let line = STANDARD.encode(bytes);
            // ASCII: every character is a byte.
            let lines: Vec<&str> =
                (0..line.len()).step_by(LINE).map(|at| &line[at..line.len().min(at + LINE)]).collect();
            Ok(lines.join("\n"))
        }
        "escape" => Ok(bytes.iter().fold(String::new(), |mut text, byte| {
            match byte {
                b'\\' => text.push_str("\\\\"),
                0 | 128.. => text.push_str(&format!("\\{byte:03o}")),
                byte => text.push(char::from(*byte)),
            }
            text
        })),
        _ => exec_err!("unrecognized encoding: \"{form}\""),
    }
}

fn decoded(text: &str, form: &str) -> Result<Vec<u8>> {
    match form.to_lowercase().as_str() {
        "hex" => from_hex(text),
        "base64" => from_base64(text),
        "escape" => from_escape(text),
        _ => exec_err!("unrecognized encoding: \"{form}\""),
    }
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let digits: String = text.chars().filter(|digit| !is_blank(*digit)).collect();
    if let Some(digit) = digits.chars().find(|digit| !digit.is_ascii_hexdigit()) {
        return exec_err!("invalid hexadecimal digit: \"{digit}\"");
    }
    hex::decode(digits).map_err(|_| exec_datafusion_err!("invalid hexadecimal data: odd number of digits"))
}

fn from_base64(text: &str) -> Result<Vec<u8>> {
    let symbols: String = text.chars().filter(|symbol| !is_blank(*symbol)).collect();
    let is_symbol = |symbol: char| symbol.is_ascii_alphanumeric() || matches!(symbol, '+' | '/' | '=');
    if let Some(symbol) = symbols.chars().find(|symbol| !is_symbol(*symbol)) {
        return exec_err!("invalid symbol \"{symbol}\" found while decoding base64 sequence");
    }
    STANDARD.decode(symbols).map_err(|_| exec_datafusion_err!("invalid base64 end sequence"))
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\n' | '\t' | '\r')
}

/// `\\` is a backslash, `\101` a byte in octal, anything else itself.
fn from_escape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let is_octal = |at: usize, most: u8| after.get(at).is_some_and(|digit| (b'0'..=most).contains(digit));
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [a, b, c, after @ ..]) if is_octal(0, b'3') && is_octal(1, b'7') && is_octal(2, b'7') => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                after
            }
            (b'\\', _) => return exec_err!("invalid input syntax for type bytea"),
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    Ok(bytes)
}

/// Encodings of text.
enum Encoding {
    Utf8,
    Latin1,
}

fn encoding(name: &str, role: &str) -> Result<Encoding> {
    let letters: String = name.chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
    match letters.to_lowercase().as_str() {
        "utf8" | "unicode" => Ok(Encoding::Utf8),
        "latin1" | "iso88591" => Ok(Encoding::Latin1),
        _ => exec_err!("invalid {role} encoding name \"{name}\""),
    }
}

fn read(bytes: &[u8], name: &str) -> Result<String> {
    match encoding(name, "source")? {
        Encoding::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text.to_string()),
            Ok(_) => exec_err!("invalid byte sequence for encoding \"UTF8\": 0x00"),
            Err(error) => {
                let wrong = &bytes[error.valid_up_to()..];
                // A character that breaks off is shown as far as its first byte says that it goes.
                let length = match wrong.first() {
                    Some(0xC0..=0xDF) => 2,
                    Some(0xE0..=0xEF) => 3,
                    Some(0xF0..=0xF7) => 4,
                    _ => 1,
                };
                let shown: Vec<String> =
                    wrong.iter().take(length).map(|byte| format!("0x{byte:02x}")).collect();
                exec_err!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "))
            }
        },
        // The first 256 characters of Unicode.
        Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

fn written(text: &str, name: &str) -> Result<Vec<u8>> {
    match encoding(name, "destination")? {
        Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
        Encoding::Latin1 => {
            let byte = |letter: char| {
                u8::try_from(u32::from(letter)).or_else(|_| {
                    let mut buffer = [0; 4];
                    let bytes = letter.encode_utf8(&mut buffer).bytes().map(|byte| format!("0x{byte:02x}"));
                    exec_err!(
                        "character with byte sequence {} in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
                        bytes.collect::<Vec<_>>().join(" ")
                    )
                })
            };
            text.chars().map(byte).collect()
        }
    }
}
