//! From a field's name to its column, without hashing when records keep their fields in one order.

use std::collections::HashMap;

/// Fields remembered in the order in which records have them.
const EXPECTED_FIELDS_MAX: usize = 512;
/// Fields that a record may leave out in a row before its next field is looked up by hash.
const MISSING_FIELDS_MAX: usize = 4;

/// From a field's name to its column, if it has one.
#[derive(Debug)]
pub(super) struct Lookup {
    names: HashMap<Box<[u8]>, usize>,
    expected: Vec<Expected>,
    at: usize,
}

#[derive(Debug)]
struct Expected {
    /// The name and its closing quote, so that one comparison settles both.
    quoted: Box<[u8]>,
    column: Option<usize>,
}

impl Lookup {
    /// A lookup over columns in order.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names = names.enumerate().map(|(index, name)| (Box::from(name.as_bytes()), index)).collect();
        Self { names, expected: Vec::new(), at: 0 }
    }

    /// A new object begins.
    pub(super) fn begin(&mut self) {
        self.at = 0;
    }

    /// Guesses that `rest`, which starts behind a field's opening quote, starts with the name that is due: its length,
    /// closing quote included, and its column.
    pub(super) fn guess(&mut self, rest: &[u8]) -> Option<(usize, Option<usize>)> {
        let end = self.expected.len().min(self.at + 1 + MISSING_FIELDS_MAX);
        for index in self.at..end {
            let expected = &self.expected[index];
            if rest.starts_with(&expected.quoted) {
                self.at = index + 1;
                return Some((expected.quoted.len(), expected.column));
            }
        }
        None
    }

    /// Finds a field's column by its name as written (without escapes), and remembers its place.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<usize> {
        let column = self.names.get(name).copied();
        if self.at == self.expected.len() && self.at < EXPECTED_FIELDS_MAX {
            let mut quoted = name.to_vec();
            quoted.push(b'"');
            self.expected.push(Expected { quoted: quoted.into(), column });
            self.at += 1;
        }
        column
    }

    /// Finds a field's column by a name that the record writes with escapes.
    pub(super) fn find_unescaped(&self, name: &[u8]) -> Option<usize> {
        self.names.get(name).copied()
    }
}
