//! DataFusion's planning errors → errors placed in a file, in our words. Pure.

use super::project::Model;
use crate::sql::{
    AlertDefinition, AuditDefinition, Error, Origin, TestRows, UnitTestDefinition, hint_did_you_mean,
    word_origin,
};
use datafusion::common::{Column, DataFusionError, SchemaError, Span};
use datafusion::sql::sqlparser::ast::{Query, Spanned as _};

/// Where the parts of a model, or of what is said of it, stand in its file.
pub(super) struct Place<'a> {
    text: &'a str,
    origin: &'a Origin,
    query: &'a Query,
    default: Option<Origin>,
}

impl<'a> Place<'a> {
    pub(super) fn of(model: &'a Model) -> Self {
        Self { text: model.sql(), origin: model.origin(), query: &model.query().ast, default: None }
    }

    pub(super) fn of_audit(audit: &'a AuditDefinition) -> Self {
        Self { text: &audit.sql, origin: &audit.origin, query: &audit.query, default: None }
    }

    pub(super) fn of_alert(alert: &'a AlertDefinition) -> Self {
        Self { text: &alert.sql, origin: &alert.origin, query: &alert.query, default: None }
    }

    pub(super) fn of_rows(test: &'a UnitTestDefinition, rows: &'a TestRows) -> Self {
        Self { text: &test.sql, origin: &test.origin, query: &rows.query, default: None }
    }

    /// A query that was made of a part of a statement.
    pub(super) fn at(origin: &'a Origin, query: &'a Query) -> Self {
        Self { text: "", origin, query, default: Some(origin.clone()) }
    }

    /// The same, for a part of the model whose own positions are not known.
    pub(super) fn with_default(&self, origin: Origin) -> Place<'a> {
        Place { default: Some(origin), ..*self }
    }

    /// The statement's start.
    pub(super) fn statement(&self) -> Origin {
        self.origin.clone()
    }

    /// The query's start.
    pub(super) fn query(&self) -> Origin {
        let start = self.query.span().start;
        if start.line == 0 { self.statement() } else { self.inside(start.line, start.column) }
    }

    /// The last place where the statement's text has this word; in the query, usually.
    pub(super) fn of_word(&self, word: &str) -> Option<Origin> {
        word_origin(self.text, self.origin, word)
    }

    fn inside(&self, line: u64, column: u64) -> Origin {
        Origin { file: self.origin.file.clone(), line, column }
    }

    /// Where an error stands: at its own span, at the word it is about, at the part it was found in.
    fn place(&self, span: Option<Span>, word: Option<&str>) -> Origin {
        if let Some(origin) = &self.default {
            return origin.clone();
        }
        match span {
            Some(span) if span.start.line > 0 => self.inside(span.start.line, span.start.column),
            _ => word.and_then(|word| self.of_word(word)).unwrap_or_else(|| self.query()),
        }
    }
}

/// The errors in one planning error: DataFusion reports several columns of a select list together.
pub(super) fn errors_of(error: &DataFusionError, place: &Place<'_>) -> Vec<Error> {
    let mut errors: Vec<Error> = vec![];
    for error in error.iter() {
        let error = one(error, place);
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    errors
}

fn one(error: &DataFusionError, place: &Place<'_>) -> Error {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => schema_error(error, span, place),
        DataFusionError::NotImplemented(message) => not_implemented(message, span, place),
        root => planning_error(&root.message(), span, place),
    }
}

/// Columns named in a hint at most.
const COLUMNS_NAMED_MAX: usize = 12;

/// The column by which a view shows closed windows alone.
const WINDOW_END: &str = "window_end";

fn schema_error(error: &SchemaError, span: Option<Span>, place: &Place<'_>) -> Error {
    match error {
        SchemaError::FieldNotFound { field, .. }
            if field.name == WINDOW_END && place.of_word("EMIT").is_some() =>
        {
            let origin = place.of_word("EMIT").unwrap_or_else(|| place.query());
            Error::new("42703", origin, format!("column \"{WINDOW_END}\" does not exist"))
                .with_hint("EMIT ON WINDOW CLOSE needs window_end among the result's columns.")
        }
        SchemaError::FieldNotFound { field, valid_fields } => {
            let origin = place.place(span.or(field.spans().first()), Some(field.name()));
            let hint = column_hint(field, valid_fields);
            Error::new("42703", origin, format!("column \"{}\" does not exist", field.flat_name()))
                .with_hint_if(hint)
        }
        SchemaError::AmbiguousReference { field } => {
            let origin = place.place(span.or(field.spans().first()), Some(field.name()));
            Error::new("42702", origin, format!("column \"{}\" is ambiguous", field.name()))
                .with_hint("Write the table's name or alias before it.")
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => Error::new(
            "42701",
            place.place(span, Some(name)),
            format!("the query gives two columns \"{name}\""),
        )
        .with_hint("Name one of them anew: expression AS name."),
    }
}

fn column_hint(field: &Column, valid: &[Column]) -> Option<String> {
    let names: Vec<&str> = valid.iter().map(|column| column.name.as_str()).collect();
    // An alias that is wrong, for a column that exists.
    if let Some(same) = valid.iter().find(|column| column.name == field.name) {
        return Some(format!("Did you mean \"{}\"?", same.flat_name()));
    }
    if let Some(hint) = hint_did_you_mean(&field.name, names.iter().copied()) {
        return Some(hint);
    }
    // Columns that every table has tell nobody what is missing.
    let telling: Vec<&str> = names.into_iter().filter(|name| !name.starts_with('_')).collect();
    match telling.get(..COLUMNS_NAMED_MAX) {
        _ if telling.is_empty() => None,
        Some(first) if telling.len() > COLUMNS_NAMED_MAX => {
            Some(format!("Columns are {}, ....", first.join(", ")))
        }
        _ => Some(format!("Columns are {}.", telling.join(", "))),
    }
}

fn not_implemented(message: &str, span: Option<Span>, place: &Place<'_>) -> Error {
    let function = message.strip_prefix("volatile function ").and_then(|rest| rest.split('(').next());
    let error = Error::unsupported(place.place(span, function), in_our_words(message));
    if function.is_some() {
        return error.with_hint("Take it out: a model must give the same rows however often it is computed.");
    }
    error
}

fn planning_error(message: &str, span: Option<Span>, place: &Place<'_>) -> Error {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or_default();
    if let Some(name) = first.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next()) {
        let hint = lines
            .find_map(|line| line.strip_prefix("Did you mean '"))
            .and_then(|rest| rest.split('\'').next());
        return Error::new(
            "42883",
            place.place(span, Some(name)),
            format!("function {name}() does not exist"),
        )
        .with_hint_if(hint.map(|hint| format!("Did you mean {hint}()?")));
    }
    if let Some(name) = first.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) {
        return Error::new("42P01", place.place(span, None), format!("table \"{name}\" does not exist"));
    }
    let is_about_types =
        ["coerce", "data type", "Cannot cast", "boolean"].iter().any(|word| first.contains(word));
    let code = if is_about_types { "42804" } else { "42000" };
    Error::new(code, place.place(span, quoted_word(first)), in_our_words(first))
}

/// The first word in quotes.
fn quoted_word(message: &str) -> Option<&str> {
    message.split(['\'', '"', '`']).nth(1).filter(|word| !word.is_empty() && !word.contains(' '))
}

/// Lower case at the start, no full stop at the end, without what only DataFusion's authors need.
fn in_our_words(message: &str) -> String {
    const PREFIXES: &[&str] = &["Error during planning: ", "Internal error: ", "type_coercion", "caused by"];
    let mut message = message.lines().next().unwrap_or_default().trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| message.strip_prefix(prefix)) {
        message = rest.trim();
    }
    let mut letters = message.trim_end_matches('.').chars();
    match letters.next() {
        // A name in capitals stays as it is.
        Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        Some(first) => std::iter::once(first).chain(letters).collect(),
        None => "the query cannot be planned".to_string(),
    }
}
