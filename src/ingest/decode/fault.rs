//! Why a record cannot become a row.

use arrow::datatypes::DataType;

/// Characters of an offending value that a reason quotes.
const VALUE_CHARS_MAX: usize = 60;

/// Why a record cannot become a row. Boxed, so that the good path carries one word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not what the format wants; reading cannot go on.
    Syntax(String),
    /// One value does not fit its column; the reader stands behind it and may go on.
    Value {
        /// The rule it breaks.
        rule: &'static str,
        /// The field, outermost first: `address.city`, `items[2].quantity`; empty for the record itself.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// What reading a value comes to.
pub(super) type Outcome = Result<(), Box<Fault>>;

impl Fault {
    /// Broken syntax at a byte of the payload.
    pub(super) fn syntax(expected: &str, at: usize) -> Box<Self> {
        Box::new(Fault::Syntax(format!("expected {expected} at byte {at}")))
    }

    /// A value that is not one of the column's type, as the record writes it.
    pub(super) fn mismatch(value: &[u8], data_type: &DataType) -> Box<Self> {
        let detail = format!("cannot read {} as {}", excerpt(value), type_name(data_type));
        Box::new(Fault::Value { rule: "type", path: String::new(), detail })
    }

    /// Text that is not one of the column's type, quoted.
    pub(super) fn mismatched_text(value: &str, data_type: &DataType) -> Box<Self> {
        let detail = format!("cannot read \"{}\" as {}", excerpt(value.as_bytes()), type_name(data_type));
        Box::new(Fault::Value { rule: "type", path: String::new(), detail })
    }

    /// Text that no text column can hold.
    pub(super) fn encoding(detail: &str) -> Box<Self> {
        Box::new(Fault::Value { rule: "encoding", path: String::new(), detail: detail.to_string() })
    }

    /// No value where one must be.
    pub(super) fn not_null() -> Box<Self> {
        let detail = "is NOT NULL, but the record has no value for it".to_string();
        Box::new(Fault::Value { rule: "not_null", path: String::new(), detail })
    }

    /// The same fault, seen from the object around it.
    pub(super) fn within(mut self: Box<Self>, field: &str) -> Box<Self> {
        if let Fault::Value { path, .. } = self.as_mut() {
            let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            *path = format!("{field}{separator}{path}");
        }
        self
    }

    /// The same fault, seen from the list around it.
    pub(super) fn at_index(self: Box<Self>, index: usize) -> Box<Self> {
        self.within(&format!("[{index}]"))
    }

    /// True when reading cannot go on.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self, Fault::Syntax(_))
    }

    /// The rule and the reason, as a quarantine row has them.
    pub(super) fn into_reason(self) -> (&'static str, String) {
        match self {
            Fault::Syntax(reason) => ("syntax", reason),
            Fault::Value { rule, path, detail } if path.is_empty() => (rule, detail),
            Fault::Value { rule, path, detail } => (rule, format!("field \"{path}\": {detail}")),
        }
    }
}

/// The start of a value, for messages.
fn excerpt(value: &[u8]) -> String {
    // Four bytes a character at most, so that a value of many megabytes is not walked for sixty of them.
    let head = &value[..value.len().min(4 * (VALUE_CHARS_MAX + 1))];
    let text = String::from_utf8_lossy(head);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

/// A type's name as SQL writes it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_string(),
        DataType::Int8 => "TINYINT".to_string(),
        DataType::Int16 => "SMALLINT".to_string(),
        DataType::Int32 => "INTEGER".to_string(),
        DataType::Int64 => "BIGINT".to_string(),
        DataType::Float32 => "REAL".to_string(),
        DataType::Float64 => "DOUBLE PRECISION".to_string(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Date32 => "DATE".to_string(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_string(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".to_string(),
        DataType::Utf8 => "TEXT".to_string(),
        DataType::Binary => "BINARY".to_string(),
        DataType::Struct(_) => "STRUCT".to_string(),
        DataType::List(item) => format!("{}[]", type_name(item.data_type())),
        other => other.to_string(),
    }
}
