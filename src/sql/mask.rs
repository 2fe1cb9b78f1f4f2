//! `MASK (...)` of a source: what of each record is masked or dropped before anything of it is kept.

use super::columns::ColumnList;
use super::cursor::Cursor;
use super::{
    Encode, Error, Include, IncludeKind, OptionValue, Options, Origin, hint_did_you_mean, type_name,
};
use crate::ops::secret::Value;
use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::tokenizer::Token;

/// What is done to the fields of a source's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masking {
    /// The fields; none of them holds another.
    pub fields: Vec<FieldMask>,
    /// What `hmac_sha256` is keyed with.
    pub key: Option<MaskKey>,
}

/// `path WITH method` or `path DROP`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMask {
    /// The field's name, and of one inside another field those around it first.
    pub path: Vec<String>,
    /// What is done to it.
    pub method: MaskMethod,
    /// Where it is named.
    pub origin: Origin,
}

/// What stands in a field's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskMethod {
    /// The SHA-256 of its text. Whoever can guess the text can check the guess.
    Sha256,
    /// The same, keyed: whoever has not the key cannot.
    HmacSha256,
    /// First letter and domain.
    Email,
    /// The last four digits.
    Phone,
    /// Initials.
    Name,
    /// A text that is always the same.
    Text(String),
    /// Nothing.
    Drop,
}

/// A key, or where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskKey {
    /// The name of its secret.
    Secret(String),
    /// The key itself, once its secret was read.
    Value(Value),
}

impl Masking {
    /// Whether a column is masked: then it tells of nobody.
    pub fn covers(&self, column: &str) -> bool {
        self.fields.iter().any(|field| matches!(&field.path[..], [name] if name.eq_ignore_ascii_case(column)))
    }

    /// The secret whose value is still to be read.
    pub fn secret(&self) -> Option<&str> {
        match &self.key {
            Some(MaskKey::Secret(name)) => Some(name),
            _ => None,
        }
    }
}

impl FieldMask {
    /// The path as it is written.
    pub fn name(&self) -> String {
        self.path.join(".")
    }
}

impl MaskMethod {
    /// The word in system tables.
    pub fn as_str(&self) -> &'static str {
        match self {
            MaskMethod::Sha256 => "sha256",
            MaskMethod::HmacSha256 => "hmac_sha256",
            MaskMethod::Email => "mask_email",
            MaskMethod::Phone => "mask_phone",
            MaskMethod::Name => "mask_name",
            MaskMethod::Text(_) => "text",
            MaskMethod::Drop => "drop",
        }
    }
}

const METHODS: [&str; 5] = ["sha256", "hmac_sha256", "mask_email", "mask_phone", "mask_name"];
const METHODS_HINT: &str = "Write WITH sha256, hmac_sha256, mask_email, mask_phone, mask_name or a text such as 'redacted'; or DROP.";
/// The option that names the key.
const KEY: &str = "mask.key";

/// Reads `(path WITH method, path DROP, ...)`, behind `MASK`.
pub(super) fn mask_list(cursor: &mut Cursor<'_>) -> Result<Vec<FieldMask>, Error> {
    let mut fields: Vec<FieldMask> = vec![];
    cursor.expect(&Token::LParen)?;
    loop {
        let field = field(cursor)?;
        let around = |outer: &FieldMask, inner: &FieldMask| {
            outer.path.len() <= inner.path.len()
                && outer.path.iter().zip(&inner.path).all(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        if let Some(other) = fields.iter().find(|other| around(other, &field) || around(&field, other)) {
            let message = format!("field \"{}\" is masked already as \"{}\"", field.name(), other.name());
            return Err(Error::new("42701", field.origin, message));
        }
        fields.push(field);
        if cursor.take(&Token::Comma) {
            continue;
        }
        if cursor.take(&Token::RParen) {
            return Ok(fields);
        }
        return Err(cursor.unexpected("\",\" or \")\""));
    }
}

fn field(cursor: &mut Cursor<'_>) -> Result<FieldMask, Error> {
    let origin = cursor.origin();
    let mut path = vec![cursor.identifier("a field of the records")?.text];
    while cursor.take(&Token::Period) {
        path.push(cursor.identifier("the name of a field inside")?.text);
    }
    if cursor.take_word("DROP") {
        return Ok(FieldMask { path, method: MaskMethod::Drop, origin });
    }
    if !cursor.take_word("WITH") {
        return Err(cursor.unexpected("WITH or DROP").with_hint(METHODS_HINT));
    }
    if matches!(cursor.peek(), Some(Token::SingleQuotedString(_))) {
        let method = MaskMethod::Text(cursor.string("a text")?);
        return Ok(FieldMask { path, method, origin });
    }
    let method_origin = cursor.origin();
    let name = cursor.identifier("a way to mask")?.text.to_lowercase();
    let method = match name.as_str() {
        "sha256" => MaskMethod::Sha256,
        "hmac_sha256" => MaskMethod::HmacSha256,
        "mask_email" => MaskMethod::Email,
        "mask_phone" => MaskMethod::Phone,
        "mask_name" => MaskMethod::Name,
        _ => {
            let message = format!("there is no way to mask called \"{name}\"");
            let hint = hint_did_you_mean(&name, METHODS).unwrap_or_else(|| METHODS_HINT.to_string());
            return Err(Error::new("42883", method_origin, message).with_hint(hint));
        }
    };
    Ok(FieldMask { path, method, origin })
}

/// What a source's fields, key and columns make together.
pub(super) fn masking(
    fields: Vec<FieldMask>,
    options: &mut Options,
    options_origin: &Origin,
    list: &ColumnList,
    includes: &[Include],
    encode: &Encode,
) -> Result<Masking, Error> {
    let key = match options.remove(KEY) {
        None => None,
        Some(OptionValue::Secret(name)) => Some(MaskKey::Secret(name)),
        Some(OptionValue::Text(_)) => {
            let message = format!("\"{KEY}\" holds a secret in a file of the project");
            return Err(Error::new("0A000", options_origin.clone(), message).with_hint(format!(
                "Write CREATE SECRET s WITH (backend = 'env') AS 'VARIABLE'; and {KEY} = SECRET s."
            )));
        }
    };
    let keyed = fields.iter().find(|field| field.method == MaskMethod::HmacSha256);
    match (keyed, &key) {
        (Some(field), None) => {
            return Err(Error::syntax(field.origin.clone(), "hmac_sha256 needs a key")
                .with_hint(format!("Write {KEY} = SECRET name into the source's WITH (...).")));
        }
        (None, Some(_)) => {
            let message = format!("\"{KEY}\" is set, and no field is masked with hmac_sha256");
            return Err(Error::new("42P16", options_origin.clone(), message)
                .with_hint("Write MASK (field WITH hmac_sha256), or leave the key out."));
        }
        _ => {}
    }
    for field in &fields {
        check(field, list, includes, encode)?;
    }
    Ok(Masking { fields, key })
}

/// What masking leaves is text, and of what is dropped no column can be made.
fn check(field: &FieldMask, list: &ColumnList, includes: &[Include], encode: &Encode) -> Result<(), Error> {
    let unfit = |message: String| Error::new("42804", field.origin.clone(), message);
    let (name, inside) = (&field.path[0], &field.path[1..]);
    let is_drop = field.method == MaskMethod::Drop;
    if !inside.is_empty() && matches!(encode, Encode::Csv { .. }) {
        return Err(unfit(format!("field \"{}\" is inside another, and CSV has no nesting", field.name()))
            .with_hint(format!("Mask \"{name}\" as a whole, or DROP it.")));
    }
    if let Some(include) = includes.iter().find(|include| include.column.eq_ignore_ascii_case(name)) {
        let is_text = matches!(include.kind, IncludeKind::Key | IncludeKind::Header(_));
        return match is_text && inside.is_empty() && !is_drop {
            true => Ok(()),
            false => Err(unfit(format!("column \"{}\" of INCLUDE cannot be masked so", field.name()))
                .with_hint(
                    "Keys and headers can be masked as a whole; leave what must not be kept out of INCLUDE.",
                )),
        };
    }
    let Some(column) = list.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)) else {
        let is_unnamed = matches!(encode, Encode::Csv { header: false, .. });
        return match is_unnamed {
            true => Err(unfit(format!(
                "field \"{name}\" is no column, and without a header only columns have names"
            ))
            .with_hint("Declare it as a column of type TEXT, or write ENCODE CSV (header = true).")),
            false => Ok(()),
        };
    };
    let Some(held) = type_inside(&column.data_type, inside) else { return Ok(()) };
    if is_drop {
        return Err(unfit(format!(
            "field \"{}\" is dropped, and column \"{}\" is declared to hold it",
            field.name(),
            column.name
        ))
        .with_hint("Leave it out of the declared columns, or mask it."));
    }
    match held {
        DataType::Utf8 => Ok(()),
        other => Err(unfit(format!(
            "field \"{}\" is {}, and what masking leaves is text",
            field.name(),
            type_name(other)
        ))
        .with_hint("Declare it TEXT, or leave it out of the columns and DROP it.")),
    }
}

/// The type that a declared column gives a field inside it; `None` where it keeps the field's JSON as text, or not at all.
fn type_inside<'a>(held: &'a DataType, inside: &[String]) -> Option<&'a DataType> {
    match (held, inside) {
        (DataType::List(item), _) => type_inside(item.data_type(), inside),
        (held, []) => Some(held),
        (DataType::Struct(fields), [name, rest @ ..]) => {
            let field = fields.iter().find(|field| field.name().eq_ignore_ascii_case(name))?;
            type_inside(field.data_type(), rest)
        }
        (DataType::Utf8, _) => None,
        (held, _) => Some(held),
    }
}
