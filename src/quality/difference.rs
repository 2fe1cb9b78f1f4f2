//! Expected and actual rows, compared as bags and shown side by side. Pure.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rows that differ shown at most, and rows that are equal.
const DIFFERENT_MAX: usize = 20;
const EQUAL_MAX: usize = 5;

/// A row as it is compared and shown; NULL has no text.
type Row = Vec<Option<String>>;

/// What is wrong with the actual rows, as a table that people read; `None` when they are the expected ones, in whatever
/// order.
pub fn difference(
    names: &[&str],
    expected: &[RecordBatch],
    actual: &[RecordBatch],
) -> Result<Option<String>, ArrowError> {
    let mut counts: BTreeMap<Row, (i64, i64)> = BTreeMap::new();
    for row in rows(expected)? {
        counts.entry(row).or_default().0 += 1;
    }
    for row in rows(actual)? {
        counts.entry(row).or_default().1 += 1;
    }
    if counts.values().all(|(expected, actual)| expected == actual) {
        return Ok(None);
    }
    let (mut different, mut equal): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for (row, (expected, actual)) in &counts {
        let signed = |sign, count: i64| std::iter::repeat_n((sign, row), usize::try_from(count).unwrap_or(0));
        different.extend(signed('-', expected - actual));
        different.extend(signed('+', actual - expected));
        equal.extend(signed(' ', *expected.min(actual)));
    }
    Ok(Some(table(names, &different, &equal)))
}

fn rows(batches: &[RecordBatch]) -> Result<Vec<Row>, ArrowError> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter();
        let formatters =
            columns.map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let values = formatters.iter().zip(batch.columns()).map(|(formatter, column)| {
                let is_null = column.is_null(row);
                (!is_null).then(|| formatter.value(row).try_to_string()).transpose()
            });
            rows.push(values.collect::<Result<Row, _>>()?);
        }
    }
    Ok(rows)
}

fn table(names: &[&str], different: &[(char, &Row)], equal: &[(char, &Row)]) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_string());
    let lines: Vec<(char, Vec<String>)> = different
        .iter()
        .take(DIFFERENT_MAX)
        .chain(equal.iter().take(EQUAL_MAX))
        .map(|(sign, row)| (*sign, row.iter().map(shown).collect()))
        .collect();
    let width = |column: usize| {
        let values = lines.iter().map(|(_, row)| row[column].chars().count());
        values.chain([names[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let cells = |row: &[String]| {
        let padded = row.iter().zip(&widths).map(|(value, width)| format!("{value:<width$}"));
        padded.collect::<Vec<_>>().join(" | ").trim_end().to_string()
    };
    let head: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut text = format!("  {}\n", cells(&head));
    for (sign, row) in &lines {
        let _ = writeln!(text, "{sign} {}", cells(row));
    }
    let left_out = |all: usize, max: usize| all.saturating_sub(max);
    for (count, what) in [
        (left_out(different.len(), DIFFERENT_MAX), "that differ"),
        (left_out(equal.len(), EQUAL_MAX), "that are equal"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "  ... and {count} more rows {what}");
        }
    }
    text.push_str("  (- expected and not there, + there and not expected)");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    fn batch(rows: &[(i64, Option<&str>)]) -> Vec<RecordBatch> {
        let numbers: Int64Array = rows.iter().map(|(n, _)| Some(*n)).collect();
        let texts: StringArray = rows.iter().map(|(_, t)| *t).collect();
        let columns: [(&str, ArrayRef, bool); 2] =
            [("n", Arc::new(numbers), true), ("text", Arc::new(texts), true)];
        vec![RecordBatch::try_from_iter_with_nullable(columns).unwrap()]
    }

    fn compared(expected: &[(i64, Option<&str>)], actual: &[(i64, Option<&str>)]) -> Option<String> {
        difference(&["n", "text"], &batch(expected), &batch(actual)).unwrap()
    }

    #[test]
    fn bags_are_compared() {
        assert_eq!(compared(&[(1, Some("a")), (2, None)], &[(2, None), (1, Some("a"))]), None);
        assert_eq!(compared(&[], &[]), None);
        assert!(compared(&[(1, None)], &[(1, None), (1, None)]).is_some(), "copies count");
        assert!(compared(&[(1, None)], &[(1, Some("NULL"))]).is_some(), "NULL is no text");
    }

    #[test]
    fn what_differs_is_shown_first() {
        let text = compared(&[(1, Some("a")), (20, Some("b"))], &[(1, Some("a")), (3, None)]).unwrap();
        assert_eq!(
            text,
            "  n  | text\n- 20 | b\n+ 3  | NULL\n  1  | a\n  (- expected and not there, + there and not expected)"
        );
    }

    #[test]
    fn long_differences_are_cut() {
        let many: Vec<_> = (0..30).map(|n| (n, None)).collect();
        assert!(compared(&many, &[]).unwrap().contains("... and 10 more rows that differ"));
    }
}
