//! Rows as text, as PostgreSQL's `record_out` writes them: `(1,"a b",)`.

use super::row::{Cell, RowFunction, text};
use arrow::datatypes::DataType;

/// Columns that a row may have.
const COLUMNS_MAX: usize = 1664;

/// The functions that rules put in, over values that are printed already.
pub fn functions() -> Vec<RowFunction> {
    let function = |name, body: fn(&[Cell<'_>]) -> Option<String>| {
        RowFunction::new(name, 1..=COLUMNS_MAX, DataType::Utf8, move |cells| Ok(text(body(cells))))
            .called_on_null()
    };
    vec![
        function("record_text", |cells| Some(record(cells))),
        function("record_or_null", |cells| {
            let is_null = cells.iter().all(|cell| matches!(cell, Cell::Null));
            (!is_null).then(|| record(cells))
        }),
    ]
}

fn record(cells: &[Cell<'_>]) -> String {
    let fields: Vec<String> = cells.iter().map(|cell| cell.text().map_or_else(String::new, field)).collect();
    format!("({})", fields.join(","))
}

/// A value, in quotes where it would not be told from what stands around it.
fn field(value: &str) -> String {
    let is_special = |letter: char| letter.is_ascii_whitespace() || "\"\\(),".contains(letter);
    if !value.is_empty() && !value.contains(is_special) {
        return value.to_string();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_postgresql_writes_them() {
        let cells = ["1", "a b", "", "say \"x\"", "\\", "(", "é"].map(Cell::Text);
        let cells = [cells.to_vec(), vec![Cell::Null]].concat();
        assert_eq!(record(&cells), r#"(1,"a b","","say ""x""","\\","(",é,)"#);
    }
}
