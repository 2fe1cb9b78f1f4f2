//! How a source's CSV records are laid out, for who looks for a value in them and reads nothing else.

use super::Beside;
use super::csv::{header_names, next_field, without_line_end};
use super::cursor::text;
use crate::sql::{Encode, SourceDefinition};
use std::collections::BTreeSet;

/// The fields of a source's CSV records.
#[derive(Clone, Debug)]
pub struct CsvLayout {
    delimiter: u8,
    has_header: bool,
    columns: Vec<String>,
}

impl CsvLayout {
    /// Of a source; `None` when its records are not CSV.
    pub fn of(source: &SourceDefinition) -> Option<Self> {
        let Encode::Csv { delimiter, header } = source.encode else { return None };
        let columns = source.columns.iter().map(|column| column.name.clone()).collect();
        Some(Self { delimiter, has_header: header, columns })
    }

    /// What stands in the fields of these names. `None` when it cannot be told which fields these are: the record is torn, it
    /// has not as many fields as there are names, none is called so, or the header is not known that it came with.
    pub fn values(
        &self,
        record: &[u8],
        beside: Option<&Beside>,
        wanted: &BTreeSet<String>,
    ) -> Option<Vec<String>> {
        let names = match beside {
            None if self.has_header => return None,
            Some(Beside { header: Some(line), .. }) => header_names(line.as_bytes(), self.delimiter).ok()?,
            _ => self.columns.clone(),
        };
        let is_wanted = |name: &String| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(name.trim()));
        let fields = fields(without_line_end(record), self.delimiter)?;
        if fields.len() != names.len() || !names.iter().any(is_wanted) {
            return None;
        }
        let values = names.iter().zip(fields).filter(|(name, _)| is_wanted(name));
        Some(values.map(|(_, value)| value).collect())
    }
}

/// Every field of a record; `None` when it is torn.
fn fields(record: &[u8], delimiter: u8) -> Option<Vec<String>> {
    let (mut fields, mut start) = (Vec::new(), Some(0));
    while let Some(at) = start {
        let (field, next) = next_field(record, at, delimiter).ok()?;
        fields.push(text(field.text).ok()?.replace("\"\"", "\""));
        start = next;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(record: &str, header: Option<&str>) -> Option<Vec<String>> {
        let columns = ["id", "name", "amount"].map(str::to_string).to_vec();
        let layout = CsvLayout { delimiter: b',', has_header: true, columns };
        let kept = serde_json::json!({ "header": header }).to_string();
        let beside = Beside::from_text(&kept).unwrap();
        layout.values(record.as_bytes(), Some(&beside), &BTreeSet::from(["id".to_string()]))
    }

    #[test]
    fn a_field_is_found_by_its_header_or_by_its_place() {
        let one = |text: &str| Some(vec![text.to_string()]);
        assert_eq!(values("7,\"a, b\",1\n", None), one("7"));
        assert_eq!(values("x,7", Some("name, ID")), one("7"));
        assert_eq!(values("x,\"7\"\"8\"", Some("name,\"id\"")), one("7\"8"));
    }

    #[test]
    fn what_is_torn_or_not_known_is_told_apart() {
        assert_eq!(values("7,\"a", None), None, "no closing quote");
        assert_eq!(values("7,a", None), None, "a field is missing");
        assert_eq!(values("7,a,b,c", Some("id,name,amount")), None, "one too many");
        assert_eq!(values("7,a", Some("code,name")), None, "no field is called so");
        let columns = vec!["id".to_string()];
        let wanted = BTreeSet::from(["id".to_string()]);
        let headless = CsvLayout { delimiter: b',', has_header: false, columns };
        assert_eq!(headless.values(b"7", None, &wanted), Some(vec!["7".to_string()]));
        let headed = CsvLayout { has_header: true, ..headless };
        assert_eq!(headed.values(b"7", None, &wanted), None, "its header is not known");
    }
}
