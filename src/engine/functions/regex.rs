//! PostgreSQL's functions that take text apart: by regular expressions, and `string_to_table`.
//!
//! Those that return rows in PostgreSQL give a list here, of which readers' statements make rows.

use super::rowwise::RowWise;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::scalar::ScalarValue;
use regex::{Captures, Regex};
use std::cell::RefCell;
use std::sync::Arc;

/// The functions.
pub(super) const FUNCTIONS: [RowWise; 6] = [
    RowWise { name: "regexp_split_to_array", accepts: two_or_three, returns: texts, body: split },
    RowWise { name: "regexp_split_to_table", accepts: two_or_three, returns: texts, body: split },
    RowWise { name: "regexp_matches", accepts: two_or_three, returns: lists_of_texts, body: matches },
    RowWise { name: "regexp_substring", accepts: two_or_three, returns: |_| DataType::Utf8, body: substring },
    RowWise { name: "regexp_substr", accepts: substr_arguments, returns: |_| DataType::Utf8, body: substr },
    RowWise { name: "string_to_table", accepts: two_or_three, returns: texts, body: string_to_table },
];

fn two_or_three(types: &[DataType]) -> Option<Vec<DataType>> {
    (2..=3).contains(&types.len()).then(|| vec![DataType::Utf8; types.len()])
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

fn texts(_: &[DataType]) -> DataType {
    list_of(DataType::Utf8)
}

fn lists_of_texts(_: &[DataType]) -> DataType {
    list_of(list_of(DataType::Utf8))
}

fn list(items: impl IntoIterator<Item = Option<String>>) -> ScalarValue {
    let items: Vec<ScalarValue> = items.into_iter().map(ScalarValue::Utf8).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&items, &DataType::Utf8))
}

fn text(value: &ScalarValue) -> &str {
    value.try_as_str().flatten().unwrap_or_default()
}

fn split(row: &[ScalarValue]) -> Result<ScalarValue> {
    let (subject, flags) = (text(&row[0]), row.get(2).map_or("", text));
    if flags.contains('g') {
        return exec_err!("regexp_split_to_table() does not support the \"global\" option");
    }
    let pattern = pattern(text(&row[1]), flags)?;
    let (mut parts, mut from) = (vec![], 0);
    for found in pattern.find_iter(subject) {
        // What is found without a letter parts letters, but nothing from the text's ends.
        let parts_nothing = found.is_empty() && (found.start() == from || found.end() == subject.len());
        if !parts_nothing {
            parts.push(Some(subject[from..found.start()].to_string()));
            from = found.end();
        }
    }
    parts.push(Some(subject[from..].to_string()));
    Ok(list(parts))
}

fn matches(row: &[ScalarValue]) -> Result<ScalarValue> {
    let (subject, flags) = (text(&row[0]), row.get(2).map_or("", text));
    let pattern = pattern(text(&row[1]), flags)?;
    let groups = |captures: Captures<'_>| {
        let group = |at: usize| captures.get(at).map(|group| group.as_str().to_string());
        match captures.len() {
            1 => list([group(0)]),
            all => list((1..all).map(group)),
        }
    };
    let times = if flags.contains('g') { usize::MAX } else { 1 };
    let found: Vec<ScalarValue> = pattern.captures_iter(subject).take(times).map(groups).collect();
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&found, &list_of(DataType::Utf8))))
}

/// What a pattern matches first, or its first group there: `substring(text FROM pattern)`.
fn substring(row: &[ScalarValue]) -> Result<ScalarValue> {
    let pattern = pattern(text(&row[1]), row.get(2).map_or("", text))?;
    let found = pattern.captures(text(&row[0])).and_then(|found| found.get(usize::from(found.len() > 1)));
    Ok(ScalarValue::Utf8(found.map(|found| found.as_str().to_string())))
}

/// Text, pattern, and perhaps where to start, which match is meant, flags, and which group of it.
fn substr_arguments(types: &[DataType]) -> Option<Vec<DataType>> {
    let all =
        [DataType::Utf8, DataType::Utf8, DataType::Int64, DataType::Int64, DataType::Utf8, DataType::Int64];
    (2..=all.len()).contains(&types.len()).then(|| all[..types.len()].to_vec())
}

/// What a pattern matches for the n-th time: `regexp_substr(text, pattern, start, n, flags, group)`, counted from 1.
fn substr(row: &[ScalarValue]) -> Result<ScalarValue> {
    let number = |at: usize, name: &str, default: usize, least: usize| match row.get(at) {
        None => Ok(default),
        Some(ScalarValue::Int64(Some(value))) if *value >= least as i64 => Ok(*value as usize),
        Some(value) => exec_err!("invalid value for parameter \"{name}\": {value}"),
    };
    let (start, nth, group) = (number(2, "start", 1, 1)?, number(3, "n", 1, 1)?, number(5, "subexpr", 0, 0)?);
    let subject = text(&row[0]);
    let from = subject.char_indices().nth(start - 1).map_or(subject.len(), |(at, _)| at);
    let pattern = pattern(text(&row[1]), row.get(4).map_or("", text))?;
    let found = pattern.captures_iter(&subject[from..]).nth(nth - 1).and_then(|found| found.get(group));
    Ok(ScalarValue::Utf8(found.map(|found| found.as_str().to_string())))
}

fn string_to_table(row: &[ScalarValue]) -> Result<ScalarValue> {
    let (subject, delimiter) = (text(&row[0]), text(&row[1]));
    let null = row.get(2).map(text);
    let item = |part: &str| (Some(part) != null).then(|| part.to_string());
    Ok(match (subject, delimiter) {
        ("", _) => list([]),
        (subject, "") => list([item(subject)]),
        (subject, delimiter) => list(subject.split(delimiter).map(item)),
    })
}

thread_local! {
    /// The last pattern: most calls have the same for every row.
    static LAST: RefCell<Option<(String, Regex)>> = const { RefCell::new(None) };
}

fn pattern(pattern: &str, flags: &str) -> Result<Regex> {
    let spelled = format!("{}{}", options(flags)?, respelled(pattern));
    LAST.with_borrow_mut(|last| match last {
        Some((known, regex)) if *known == spelled => Ok(regex.clone()),
        _ => {
            let regex = Regex::new(&spelled).map_err(|error| {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                exec_datafusion_err!("invalid regular expression: {why}")
            })?;
            *last = Some((spelled, regex.clone()));
            Ok(regex)
        }
    })
}

/// PostgreSQL's `.` matches newlines, too, unless an option says otherwise.
fn options(flags: &str) -> Result<String> {
    let (mut on, mut lines) = (String::new(), false);
    for flag in flags.chars() {
        match flag {
            'g' | 'c' => {}
            'i' | 'x' => on.push(flag),
            'n' | 'm' => lines = true,
            's' => lines = false,
            other => return exec_err!("invalid regular expression option: \"{other}\""),
        }
    }
    on.push(if lines { 'm' } else { 's' });
    Ok(format!("(?{on})"))
}

/// Escapes that are called otherwise: `\y` is a word's edge, `\m` its start, `\M` its end.
fn respelled(pattern: &str) -> String {
    let mut spelled = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        spelled.push(letter);
        if letter != '\\' {
            continue;
        }
        match letters.next() {
            Some('y') => spelled.push('b'),
            Some('Y') => spelled.push('B'),
            Some('m') => spelled.push_str("b{start}"),
            Some('M') => spelled.push_str("b{end}"),
            Some('Z') => spelled.push('z'),
            other => spelled.extend(other),
        }
    }
    spelled
}
