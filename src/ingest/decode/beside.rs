//! What came with a record beside its bytes: kept with one that is rejected, so that it can be decoded again.

use super::Record;
use super::mask::Masker;
use arrow::datatypes::{DataType, Schema};
use serde::{Deserialize, Serialize};

/// What came with a record, as far as its source's definition asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Beside {
    /// The header line that names its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// It came as columns; its bytes are these as JSON.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub as_columns: bool,
    /// Fields that were masked or dropped before the bytes were kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<String>,
    /// Its key, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The broker's timestamp, microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_us: Option<i64>,
    /// Its headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
}

impl Beside {
    /// What came beside a row that came as columns; `None` when its JSON does not say all: bytes have no form in it.
    pub(in crate::ingest) fn columns(schema: &Schema, masker: &Masker) -> Option<Self> {
        let all_say = schema.fields().iter().all(|field| says_all(field.data_type()));
        let masked = masker.names().to_vec();
        all_say.then(|| Self { as_columns: true, masked, ..Self::default() })
    }

    pub(super) fn note_key(&mut self, key: &[u8]) {
        self.key = Some(hex::encode(key));
    }

    pub(super) fn note_timestamp(&mut self, timestamp_us: Option<i64>) {
        self.timestamp_us = timestamp_us;
    }

    pub(super) fn note_header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_string(), value.to_string()));
    }

    /// As it is kept.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As it was kept; `None` when that is not to be read.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Hands over the record with this beside it.
    pub fn with<T>(&self, record: Record<'_>, take: impl FnOnce(&Record<'_>) -> T) -> T {
        let key = self.key.as_ref().and_then(|key| hex::decode(key).ok());
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        take(&Record { key: key.as_deref(), timestamp_us: self.timestamp_us, headers: &headers, ..record })
    }
}

/// True when values are in JSON what they are in columns.
fn says_all(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => says_all(values),
        DataType::Struct(fields) => fields.iter().all(|field| says_all(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _) => says_all(item.data_type()),
        other => !other.is_binary(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let mut beside = Beside { header: Some("a,b".to_string()), ..Beside::default() };
        assert_eq!(beside.to_text(), r#"{"header":"a,b"}"#);
        beside.note_key(&[0, 255]);
        beside.note_timestamp(Some(7));
        beside.note_header("trace", "x\"y");
        assert_eq!(Beside::from_text(&beside.to_text()).as_ref(), Some(&beside));
        let bare = Record {
            payload: b"1",
            source: "s",
            partition: "0",
            offset: 3,
            key: None,
            timestamp_us: None,
            headers: &[],
        };
        beside.with(bare, |record| {
            assert_eq!((record.key, record.timestamp_us), (Some(&[0, 255][..]), Some(7)));
            assert_eq!(record.headers, [("trace", &b"x\"y"[..])]);
            assert_eq!((record.payload, record.offset), (&b"1"[..], 3));
        });
        assert_eq!(Beside::from_text("{}"), Some(Beside::default()));
        assert_eq!(Beside::from_text("no"), None);
    }
}
