//! What of a record is masked or dropped before anything of it is kept: the record is written anew, in its own format,
//! and read from that, so that `_raw` and the quarantine hold no more than the columns do.
//!
//! A record that cannot be read cannot be written anew either: of it only the length and a hash are kept. Names are
//! compared without regard to case, so that `Email` is no way around `email`.

use super::csv::{self, Mapping};
use super::cursor::{Cursor, StringSpan};
use super::fault::{Fault, Outcome};
use crate::engine::functions::mask;
use crate::ingest::SourceError;
use crate::ops::secret::Value;
use crate::sql::{MaskKey, MaskMethod, SourceDefinition};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// Arrays directly inside of arrays, at most: a payload must not decide how deep the stack is.
const NESTED_LISTS_MAX: usize = 32;
/// What is left of a value that no other way of masking fits.
const HIDDEN: &str = "***";

/// Masks the records of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masker {
    root: Node,
    key: Option<Value>,
    names: Vec<String>,
}

/// A field, and the fields inside it.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) method: Option<MaskMethod>,
    pub(super) inside: Vec<(String, Node)>,
}

impl Node {
    /// The field of a name, if something is done to it or in it.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.inside.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, node)| node)
    }

    fn put(&mut self, path: &[String], method: &MaskMethod) {
        let Some((name, rest)) = path.split_first() else {
            self.method = Some(method.clone());
            return;
        };
        let at = self.inside.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        let at = at.unwrap_or_else(|| {
            self.inside.push((name.clone(), Node::default()));
            self.inside.len() - 1
        });
        self.inside[at].1.put(rest, method);
    }
}

impl Masker {
    /// What a source's definition asks for, its key read.
    pub(crate) fn new(definition: &SourceDefinition) -> Result<Self, SourceError> {
        let masking = &definition.masking;
        let key = match &masking.key {
            None => None,
            Some(MaskKey::Value(key)) => Some(key.clone()),
            Some(MaskKey::Secret(name)) => {
                let message =
                    format!("source {}: secret \"{name}\" of mask.key was not read", definition.name);
                return Err(SourceError::Setting(message));
            }
        };
        let mut root = Node::default();
        masking.fields.iter().for_each(|field| root.put(&field.path, &field.method));
        Ok(Self { root, key, names: masking.fields.iter().map(|field| field.name()).collect() })
    }

    /// True when records are kept as they came.
    pub(crate) fn is_idle(&self) -> bool {
        self.root.inside.is_empty()
    }

    /// The fields that are masked or dropped.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The fields of a record.
    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// What is left of a text.
    pub(super) fn text(&self, method: &MaskMethod, text: &str) -> String {
        match method {
            MaskMethod::Sha256 => hex::encode(Sha256::digest(text.as_bytes())),
            MaskMethod::HmacSha256 => self.keyed(text.as_bytes()),
            MaskMethod::Email => mask::email(text),
            MaskMethod::Phone => mask::phone(text),
            MaskMethod::Name => mask::name(text),
            MaskMethod::Text(constant) => constant.clone(),
            MaskMethod::Drop => String::new(),
        }
    }

    /// The keyed hash where there is a key, else the plain one.
    fn keyed(&self, bytes: &[u8]) -> String {
        let key =
            self.key.as_ref().and_then(|key| Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes()).ok());
        match key {
            Some(mut hash) => {
                hash.update(bytes);
                hex::encode(hash.finalize().into_bytes())
            }
            None => hex::encode(Sha256::digest(bytes)),
        }
    }

    /// What is kept of a column that comes beside a record: its key, a header.
    pub(super) fn beside(&self, column: &str, bytes: &[u8]) -> Option<String> {
        let method = self.root.get(column)?.method.as_ref()?;
        Some(self.text(method, &String::from_utf8_lossy(bytes)))
    }

    /// What a quarantine says of a record that it does not keep.
    pub(super) fn withheld(&self, payload: &[u8], reason: &str) -> String {
        format!(
            "{reason}; its {} bytes are not kept, since the source masks fields (their hash: {})",
            payload.len(),
            self.keyed(payload)
        )
    }

    /// Writes a JSON record anew. After a fault, nothing of what was written may be kept.
    pub(super) fn write_json(&self, payload: &[u8], out: &mut Vec<u8>, nesting: &mut Vec<u8>) -> Outcome {
        checked_text(payload)?;
        let mut cursor = Cursor::new(payload, nesting);
        cursor.skip_whitespace();
        if cursor.peek() != Some(b'{') {
            cursor.skip_value()?;
            cursor.expect_end()?;
            return Err(fault("type", "the record is not a JSON object"));
        }
        self.write_object(&mut cursor, &self.root, out)?;
        cursor.expect_end()
    }

    /// Writes a value anew; stands at its first byte.
    fn write_value(&self, cursor: &mut Cursor<'_>, node: &Node, lists: usize, out: &mut Vec<u8>) -> Outcome {
        let start = cursor.at;
        match (cursor.peek(), &node.method) {
            (Some(b'['), _) => return self.write_list(cursor, node, lists, out),
            (Some(b'{'), None) => return self.write_object(cursor, node, out),
            (Some(b'{'), Some(method)) => {
                cursor.skip_value()?;
                let whole = String::from_utf8_lossy(cursor.since(start));
                let left = match method {
                    MaskMethod::Email | MaskMethod::Phone | MaskMethod::Name => HIDDEN.to_string(),
                    method => self.text(method, &whole),
                };
                write_string(&left, out);
            }
            (Some(b'"'), Some(method)) => {
                let text = unescaped(cursor.string()?)?;
                write_string(&self.text(method, &text), out);
            }
            (Some(b'"'), None) => {
                // JSON in a text.
                let text = unescaped(cursor.string()?)?;
                write_string(&self.inside_text(&text, node), out);
            }
            (Some(b'n'), _) | (_, None) => {
                cursor.skip_value()?;
                out.extend_from_slice(cursor.since(start));
            }
            (_, Some(method)) => {
                cursor.skip_value()?;
                let text = String::from_utf8_lossy(cursor.since(start));
                write_string(&self.text(method, &text), out);
            }
        }
        Ok(())
    }

    /// What is left of a text that holds fields; what cannot be read so is hidden whole.
    pub(super) fn inside_text(&self, text: &str, node: &Node) -> String {
        let (mut out, mut nesting) = (Vec::new(), Vec::new());
        let mut cursor = Cursor::new(text.as_bytes(), &mut nesting);
        cursor.skip_whitespace();
        let written = match cursor.peek() {
            Some(b'{' | b'[') => self.write_value(&mut cursor, node, 0, &mut out),
            _ => Err(cursor.expected("an object")),
        };
        let written = written.and_then(|()| cursor.expect_end());
        written.ok().and_then(|()| String::from_utf8(out).ok()).unwrap_or_else(|| HIDDEN.to_string())
    }

    fn write_list(&self, cursor: &mut Cursor<'_>, node: &Node, lists: usize, out: &mut Vec<u8>) -> Outcome {
        if lists == NESTED_LISTS_MAX {
            return Err(fault("syntax", "arrays inside of arrays are nested too deep to be masked"));
        }
        cursor.at += 1;
        out.push(b'[');
        cursor.skip_whitespace();
        if cursor.peek() == Some(b']') {
            cursor.at += 1;
            out.push(b']');
            return Ok(());
        }
        loop {
            cursor.skip_whitespace();
            self.write_value(cursor, node, lists + 1, out)?;
            cursor.skip_whitespace();
            match cursor.peek() {
                Some(mark @ (b',' | b']')) => {
                    cursor.at += 1;
                    out.push(mark);
                    if mark == b']' {
                        return Ok(());
                    }
                }
                _ => return Err(cursor.expected("\",\" or \"]\"")),
            }
        }
    }

    fn write_object(&self, cursor: &mut Cursor<'_>, node: &Node, out: &mut Vec<u8>) -> Outcome {
        cursor.at += 1;
        out.push(b'{');
        let first = out.len();
        cursor.skip_whitespace();
        if cursor.peek() == Some(b'}') {
            cursor.at += 1;
            out.push(b'}');
            return Ok(());
        }
        loop {
            cursor.skip_whitespace();
            let start = cursor.at;
            let key = cursor.string()?;
            let quoted = cursor.since(start);
            cursor.expect(b':', "\":\"")?;
            cursor.skip_whitespace();
            let inside = match key.escaped {
                true => node.get(&unescaped(key)?),
                false => node.get(&String::from_utf8_lossy(key.bytes)),
            };
            if inside.is_some_and(|inside| inside.method == Some(MaskMethod::Drop)) {
                cursor.skip_value()?;
            } else {
                if out.len() > first {
                    out.push(b',');
                }
                out.extend_from_slice(quoted);
                out.push(b':');
                match inside {
                    Some(inside) => self.write_value(cursor, inside, 0, out)?,
                    None => {
                        let start = cursor.at;
                        cursor.skip_value()?;
                        out.extend_from_slice(cursor.since(start));
                    }
                }
            }
            if !cursor.another_member()? {
                break;
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes a CSV record anew. `names` are those of its header; without one, fields go by the declared `columns`, and
    /// what stands behind these has no name to be known by: it is emptied.
    pub(super) fn write_csv(
        &self,
        payload: &[u8],
        delimiter: u8,
        (mapping, names): (&Mapping, &[String]),
        out: &mut Vec<u8>,
    ) -> Outcome {
        checked_text(payload)?;
        let line = csv::without_line_end(payload);
        let mut start = Some(0);
        let mut index = 0;
        while let Some(at) = start {
            let (field, next) = csv::next_field(line, at, delimiter)?;
            let end = next.map_or(line.len(), |next| next - 1);
            if index > 0 {
                out.push(delimiter);
            }
            let method = match names.get(index) {
                Some(name) => self.root.get(name.trim()).and_then(|node| node.method.as_ref()),
                None if *mapping == Mapping::ByPosition => Some(&MaskMethod::Drop),
                None => {
                    let detail = format!("{} fields where the header has {}", index + 1, names.len());
                    return Err(fault("syntax", &detail));
                }
            };
            match method {
                None => out.extend_from_slice(&line[at..end]),
                Some(MaskMethod::Drop) => {}
                Some(_) if field.is_null() => {}
                Some(method) => {
                    let text = String::from_utf8_lossy(field.text);
                    let text = if field.doubled { text.replace("\"\"", "\"") } else { text.into_owned() };
                    out.push(b'"');
                    out.extend_from_slice(self.text(method, &text).replace('"', "\"\"").as_bytes());
                    out.push(b'"');
                }
            }
            index += 1;
            start = next;
        }
        out.extend_from_slice(&payload[line.len()..]);
        Ok(())
    }
}

fn fault(rule: &'static str, detail: &str) -> Box<Fault> {
    Box::new(Fault::Value { rule, path: String::new(), detail: detail.to_string() })
}

fn checked_text(payload: &[u8]) -> Outcome {
    match std::str::from_utf8(payload) {
        Ok(_) => Ok(()),
        Err(_) => Err(Fault::encoding("the record is not UTF-8")),
    }
}

fn unescaped(string: StringSpan<'_>) -> Result<String, Box<Fault>> {
    let mut bytes = Vec::with_capacity(string.bytes.len());
    string.write_to(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| Fault::encoding("not UTF-8"))
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

#[cfg(test)]
mod tests;
