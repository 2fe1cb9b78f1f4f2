//! What went wrong inside the engine, in PostgreSQL's words: an SQLSTATE and a message that names what the user wrote.
//!
//! Internals never reach a client: what the user cannot have caused is logged under an id, and the client gets the id.

use super::Error;
use super::misread::misread;
use super::phrases::phrased;
use super::session::SEARCH_PATH;
use crate::engine::DATABASE;
use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        translate(&error)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        arrow(&error)
    }
}

impl Error {
    /// What the engine says, for who only borrows it.
    pub(super) fn of_engine(error: &DataFusionError) -> Self {
        translate(error)
    }

    /// What Arrow says, for who only borrows it.
    pub(super) fn of_arrow(error: &ArrowError) -> Self {
        arrow(error)
    }

    /// Something that is our fault: logged with an id, of which the client is told.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        tracing::error!(id, cause = %cause, "internal error");
        Error::new("XX000", format!("internal error {id}"))
            .with_hint("The server's log has more under this id.")
    }
}

/// A file that is not there any more: its rows were erased, or are older than versions are kept.
fn gone(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let is_gone = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound)
    };
    causes.into_iter().any(is_gone).then(|| {
        Error::new("72000", "the rows that are read are not kept any more: they were erased, or are too old")
            .with_hint("Begin the transaction, or the statement, again: it then reads what is there now.")
    })
}

fn translate(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::Context(_, inner) => translate(inner),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let start = diagnostic.span.map(|span| (span.start.line, span.start.column));
            let error = translate(inner);
            Error { place: error.place.or(start), ..error }
        }
        DataFusionError::Shared(inner) => translate(inner),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => translate(first),
            None => Error::internal(error),
        },
        DataFusionError::External(inner) => external(inner.as_ref()),
        DataFusionError::ArrowError(inner, _) => arrow(inner),
        DataFusionError::SchemaError(inner, _) => schema(inner),
        DataFusionError::SQL(inner, _) => {
            Error::new("42601", format!("syntax error: {}", tidy(&inner.to_string())))
        }
        DataFusionError::ResourcesExhausted(message) => {
            let code = if message.contains("disk space") { "53100" } else { "53200" };
            let what =
                if code == "53100" { "disk full: a query needs more room to spill" } else { "out of memory" };
            Error::new(code, what)
                .with_detail(message.lines().next().unwrap_or_default().to_string())
                .with_hint("Ask for less at once, or raise query_memory_bytes_max.")
        }
        DataFusionError::NotImplemented(message) if message.contains("OuterReferenceColumn") => {
            Error::new("0A000", "a subquery that refers to the query around it in this way is not supported")
                .with_hint(
                    "Compare its columns with those outside by = in WHERE, aggregate, or join the tables.",
                )
        }
        DataFusionError::NotImplemented(message) if message.contains("InSubquery") => {
            Error::new("0A000", "IN with a subquery is not supported outside of WHERE and HAVING")
                .with_hint("Write it into WHERE, or LEFT JOIN the subquery and test for NULL.")
        }
        DataFusionError::NotImplemented(message) => {
            phrased(message).unwrap_or_else(|| Error::new("0A000", tidy(message)))
        }
        DataFusionError::Plan(message) => plan(message),
        DataFusionError::Configuration(message) => Error::new("22023", tidy(message)),
        DataFusionError::Execution(message) => execution(message),
        DataFusionError::ParquetError(inner) => {
            if let Some(gone) = gone(inner.as_ref()) {
                return gone;
            }
            let id = Error::internal(inner);
            Error { code: "XX001", message: format!("a data file cannot be read: {}", id.message), ..id }
        }
        DataFusionError::Internal(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ExecutionJoin(_)
        | DataFusionError::Substrait(_)
        | DataFusionError::Ffi(_) => gone(error).unwrap_or_else(|| Error::internal(error)),
    }
}

fn external(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    if let Some(error) = error.downcast_ref::<Error>() {
        error.clone()
    } else if let Some(error) = error.downcast_ref::<DataFusionError>() {
        translate(error)
    } else if let Some(error) = error.downcast_ref::<ArrowError>() {
        arrow(error)
    } else if let Some(error) = misread_pattern(&error.to_string()) {
        error
    } else {
        gone(error).unwrap_or_else(|| Error::internal(error))
    }
}

/// A pattern's reader draws where it stopped, and says why in the last line.
fn misread_pattern(message: &str) -> Option<Error> {
    let lines = message.strip_prefix("regex parse error:")?;
    let why = lines.lines().last()?.trim_start_matches("error: ");
    Some(match why {
        "unrecognized flag" => Error::new("22023", "invalid regular expression option"),
        why => Error::new("2201B", format!("invalid regular expression: {why}")),
    })
}

fn arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::DivideByZero => Error::new("22012", "division by zero"),
        ArrowError::ArithmeticOverflow(message) => match negated(message) {
            Some(name) => Error::new("22003", format!("{name} out of range")),
            None => Error::new("22003", "value out of range").with_detail(tidy(message)),
        },
        ArrowError::CastError(message) | ArrowError::ParseError(message) => cast(message),
        ArrowError::InvalidArgumentError(message) | ArrowError::ComputeError(message) => execution(message),
        ArrowError::NotYetImplemented(message) => Error::new("0A000", tidy(message)),
        ArrowError::ExternalError(inner) => external(inner.as_ref()),
        ArrowError::MemoryError(_) => Error::new("53200", "out of memory"),
        _ => Error::internal(error),
    }
}

/// The type of which a number has no opposite: `Overflow happened on: - -32768`
fn negated(message: &str) -> Option<&'static str> {
    let (_, number) = message.split_once("happened on: - ")?;
    match number.trim().parse::<i64>().ok()? {
        i64::MIN => Some("bigint"),
        number if number == i64::from(i32::MIN) => Some("integer"),
        number if number == i64::from(i16::MIN) => Some("smallint"),
        _ => None,
    }
}

/// Casts that failed: the value does not read as the type (22P02, 22007 for times) or does not fit (22003).
fn cast(message: &str) -> Error {
    if let Some(error) = misread(message) {
        return error;
    }
    let lower = message.to_lowercase();
    let code =
        if lower.contains("can't cast value") || lower.contains("overflow") || lower.contains("too large") {
            "22003"
        } else if ["timestamp", "date", "time", "interval"].iter().any(|word| lower.contains(word)) {
            "22007"
        } else {
            "22P02"
        };
    Error::new(code, tidy(message))
}

/// What our own functions say, which say it as PostgreSQL does.
const KNOWN: [(&str, &str); 28] = [
    ("invalid regular expression option: ", "22023"),
    ("field position must not be zero", "22023"),
    ("step size cannot equal zero", "22023"),
    ("count must be greater than zero", "2201G"),
    ("is not between 0 and 1", "22003"),
    ("lower bound cannot equal upper bound", "2201G"),
    ("operand, lower bound, and upper bound cannot be NaN", "2201G"),
    ("lower and upper bounds must be finite", "2201G"),
    ("date/time field value out of range: ", "22008"),
    ("unrecognized encoding: ", "22023"),
    ("invalid hexadecimal ", "22023"),
    (" while decoding base64 sequence", "22023"),
    ("invalid base64 end sequence", "22023"),
    ("invalid source encoding name ", "22023"),
    ("invalid destination encoding name ", "22023"),
    ("invalid byte sequence for encoding ", "22021"),
    (" has no equivalent in encoding ", "22P05"),
    ("invalid input syntax for type ", "22P02"),
    (" not recognized for type ", "22023"),
    ("\" not supported for type ", "0A000"),
    ("\"EEEE\" not supported for input", "0A000"),
    ("\"EEEE\"", "42601"),
    ("cannot use \"V\" and decimal point together", "42601"),
    ("time zone \"", "22023"),
    ("cannot call json", "22023"),
    ("cannot deconstruct a", "22023"),
    ("cannot extract elements from ", "22023"),
    ("cannot get array length of ", "22023"),
];

fn execution(message: &str) -> Error {
    if let Some(error) = misread(message).or_else(|| phrased(message)) {
        return error;
    }
    if let Some((_, code)) = KNOWN.iter().find(|(known, _)| message.contains(known)) {
        return Error::new(code, tidy(message));
    }
    let lower = message.to_lowercase();
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        Error::new("22012", "division by zero")
    } else if lower.contains("overflow") || lower.contains("out of range") {
        Error::new("22003", tidy(message))
    } else if lower.contains("cast") || lower.contains("parsing") || lower.contains("parse") {
        cast(message)
    } else if lower.contains("regular expression") || lower.contains("regex") {
        Error::new("2201B", tidy(message))
    } else if lower.contains("more than one row") {
        Error::new("21000", "more than one row returned by a subquery used as an expression")
    } else {
        Error::new("22000", tidy(message))
    }
}

fn schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => column_missing(field, valid_fields),
        SchemaError::AmbiguousReference { field } => {
            Error::new("42702", format!("column reference \"{}\" is ambiguous", field.name))
        }
        SchemaError::DuplicateQualifiedField { qualifier, .. } => {
            Error::new("42712", format!("table name \"{}\" specified more than once", qualifier.table()))
        }
        SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new("42701", format!("column \"{name}\" specified more than once"))
        }
    }
}

fn column_missing(field: &Column, valid: &[Column]) -> Error {
    let error = match &field.relation {
        Some(relation) => {
            let known = valid.iter().any(|column| {
                column.relation.as_ref().is_some_and(|other| relation.table() == other.table())
            });
            if known || valid.is_empty() {
                Error::new("42703", format!("column {}.{} does not exist", relation.table(), field.name))
            } else {
                let table = relation.table();
                return Error::new("42P01", format!("missing FROM-clause entry for table \"{table}\""));
            }
        }
        None => Error::new("42703", format!("column \"{}\" does not exist", field.name)),
    };
    match closest(&field.name, valid) {
        Some(column) => error.with_hint(format!("Perhaps you meant to reference the column {column}.")),
        None => error,
    }
}

/// The column whose name is nearest, if any is near.
fn closest(name: &str, valid: &[Column]) -> Option<String> {
    let near_enough = (name.chars().count() / 2).max(1);
    valid
        .iter()
        .map(|column| (distance(&name.to_lowercase(), &column.name.to_lowercase()), column))
        .filter(|(distance, _)| *distance <= near_enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, column)| match &column.relation {
            Some(relation) => format!("\"{}.{}\"", relation.table(), column.name),
            None => format!("\"{}\"", column.name),
        })
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

fn plan(message: &str) -> Error {
    if let Some(name) = between(message, "table '", "' not found") {
        return relation_missing(name);
    }
    if let Some(name) = between(message, "Invalid function '", "'") {
        let error = Error::new("42883", format!("function {name} does not exist"));
        return match between(message, "Did you mean '", "'") {
            Some(other) => error.with_hint(format!("Perhaps you meant {other}.")),
            None => error,
        };
    }
    if let Some(name) =
        between(message, "table function '", "'").or(between(message, "Table function '", "'"))
    {
        return Error::new("42883", format!("function {name} does not exist"));
    }
    if let Some(call) = between(message, "No function matches the given name and argument types '", "'") {
        return Error::new("42883", format!("function {} does not exist", postgres_types(call)))
            .with_hint("No function matches the given name and argument types. You might need to add explicit type casts.");
    }
    if let Some((before, _)) = message.split_once("\" must appear in the GROUP BY clause")
        && let Some((_, column)) = before.rsplit_once('"')
    {
        let parts: Vec<&str> = column.split('.').collect();
        let column = parts[parts.len().saturating_sub(2)..].join(".");
        let message = format!(
            "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        return Error::new("42803", message);
    }
    if let Some(error) = phrased(message) {
        return error;
    }
    let lower = message.to_lowercase();
    let code = if lower.contains("group by") {
        "42803"
    } else if lower.contains("unique expression names") || lower.contains("duplicate") {
        "42701"
    } else if lower.contains("invalid placeholder")
        || lower.contains("unknown placeholder")
        || lower.contains("no value found for placeholder")
    {
        "42P02"
    } else if lower.contains("cannot coerce")
        || lower.contains("cannot infer common")
        || lower.contains("operator")
    {
        "42883"
    } else if lower.contains("cast") || lower.contains("type") {
        "42804"
    } else {
        "42000"
    };
    Error::new(code, tidy(message))
}

/// `relation "gold.x" does not exist`, without the database and the schema that were not written.
fn relation_missing(name: &str) -> Error {
    let name = name.strip_prefix(DATABASE).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
    let unwritten = ["public", SEARCH_PATH];
    let shown = match name.split_once('.') {
        Some((schema, table)) if unwritten.contains(&schema) => table,
        _ => name,
    };
    Error::new("42P01", format!("relation \"{shown}\" does not exist"))
}

/// Arrow's names of types in a call, as PostgreSQL's.
fn postgres_types(call: &str) -> String {
    const NAMES: [(&str, &str); 12] = [
        ("LargeUtf8", "text"),
        ("Utf8View", "text"),
        ("Utf8", "text"),
        ("Int64", "bigint"),
        ("Int32", "integer"),
        ("Int16", "smallint"),
        ("Float64", "double precision"),
        ("Float32", "real"),
        ("Boolean", "boolean"),
        ("Date32", "date"),
        ("Null", "unknown"),
        ("Decimal128", "numeric"),
    ];
    NAMES.iter().fold(call.to_string(), |call, (arrow, postgres)| call.replace(arrow, postgres))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// The first line, begun in lower case, without the engine's prefixes and full stop.
fn tidy(message: &str) -> String {
    let mut line = message.lines().next().unwrap_or_default();
    for prefix in [
        "Error during planning: ",
        "Execution error: ",
        "Cast error: ",
        "Parser error: ",
        "Arrow error: ",
        "This feature is not implemented: ",
    ] {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    let line = line.trim_end_matches('.').trim();
    let mut letters = line.chars();
    match (letters.next(), letters.clone().next()) {
        // An acronym stays as it is.
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => line.to_string(),
    }
}
