//! `sluice check`: read and plan all files of a project, touch no data. Of tables that others write the log is read.
//!
//! Errors go to standard error in the form that editors know (`--> file:line:column`), behind them notes on what is none,
//! a line each; the summary goes to standard output;
//! with `--json` everything is one JSON object on standard output.

use super::planned::{PLAN_MEMORY_BYTES_MAX, on_deep_stack};
use crate::catalog::plan::{alert_errors, plan};
use crate::catalog::project::{Model, Project};
use crate::config;
use crate::engine::Engine;
use crate::ingest::open::open_source;
use crate::ops::clock;
use crate::sql::{Error, OptionValue, Origin, undetermined, word_origin};
use crate::warehouse::{foreign, strict, system};
use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Flags of `sluice check`.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Project folder: holds catalog/ and sql/
    #[arg(long, value_name = "DIR", env = "SLUICE_PROJECT", default_value = ".")]
    project: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What a check found.
struct Report {
    sources: usize,
    models: usize,
    read: Duration,
    planned: Duration,
    errors: Vec<Error>,
    notes: Vec<Note>,
}

/// What is no mistake and yet worth a look.
struct Note {
    origin: Origin,
    message: String,
}

/// Checks a project; exit code 1 when it has errors.
pub(super) fn run(arguments: CheckArguments) -> anyhow::Result<ExitCode> {
    let report = check(&arguments.project)?;
    if arguments.json {
        println!("{}", as_json(&report));
    } else {
        for error in &report.errors {
            eprintln!("{}", rendered(&arguments.project, error));
        }
        for Note { origin: Origin { file, line, column }, message } in &report.notes {
            eprintln!("note: {}:{line}:{column}: {message}", file.display());
        }
        println!("{}", summary(&report));
    }
    Ok(if report.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(folder: &Path) -> anyhow::Result<Report> {
    let start = clock::instant();
    let mut errors: Vec<Error> = config::check_file(folder).err().map(settings_error).into_iter().collect();
    let project = match Project::load(folder) {
        Ok(project) => project,
        Err(found) => {
            errors.extend(found);
            let read = start.elapsed();
            let (planned, notes) = (Duration::ZERO, Vec::new());
            return Ok(Report { sources: 0, models: 0, read, planned, errors, notes });
        }
    };
    let read = start.elapsed();

    let start = clock::instant();
    let (sources, models) = (project.sources.len() + project.foreign.len(), project.models.len());
    let notes = notes(&project);
    let project = Arc::new(project);
    errors.extend(source_errors(&project));
    let engine = Engine::new(PLAN_MEMORY_BYTES_MAX, 1).context("the query engine did not start")?;
    let found = on_deep_stack(1, async move {
        let others = foreign::open_all(&project).await;
        let columns = foreign::columns(&others);
        let mut errors: Vec<Error> = others.into_values().filter_map(Result::err).flatten().collect();
        match plan(&project, &columns, &engine).await {
            Ok(planned) => {
                errors.extend(strict::refused(&project, &planned, &columns, &engine).await.into_values());
                let system = system::schemas();
                errors.extend(alert_errors(&project, &columns, &planned, &system, &engine).await);
            }
            Err(found) => errors.extend(found),
        }
        errors
    });
    errors.extend(found?);
    Ok(Report { sources, models, read, planned: start.elapsed(), errors, notes })
}

/// Where stored views have more than one answer.
fn notes(project: &Project) -> Vec<Note> {
    let mut notes = vec![];
    for model in &project.models {
        let Model::MaterializedView(view) = model else { continue };
        if view.late_of.is_some() || view.apart_of.is_some() {
            continue;
        }
        notes.extend(undetermined(&view.query.ast).into_iter().map(|part| {
            let origin = match part.line {
                0 => view.origin.clone(),
                line => Origin { file: view.origin.file.clone(), line, column: part.column },
            };
            Note { origin, message: part.message() }
        }));
    }
    notes
}

/// Options that a connector does not have, lacks or cannot read. Sources are made, not run; secrets stay where they are.
fn source_errors(project: &Project) -> Vec<Error> {
    let resolve = |value: &OptionValue| match value {
        OptionValue::Text(text) => Ok(text.clone()),
        OptionValue::Secret(name) => Ok(name.clone()),
    };
    let mut errors = vec![];
    for source in project.sources.values() {
        let connection = source.connection.as_ref().and_then(|name| project.connections.get(name));
        let opened = open_source(source, &project.folder, &resolve, connection.map(Arc::as_ref), None);
        let Err(error) = opened else { continue };
        let message = error.to_string();
        let quoted = message.split('"').skip(1).step_by(2);
        let place = quoted.filter_map(|word| word_origin(&source.sql, &source.origin, word)).next();
        errors.push(Error::new("22023", place.unwrap_or_else(|| source.origin.clone()), message));
    }
    errors
}

fn settings_error(error: config::Error) -> Error {
    let (line, column) = match &error {
        config::Error::File { line, column, .. } => (*line, *column),
        _ => (1, 1),
    };
    let origin = Origin { file: PathBuf::from(config::SETTINGS_FILE), line, column };
    Error::new("F0000", origin, error.message()).with_hint_if(error.hint())
}

fn summary(report: &Report) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match report.errors.len() {
        0 => format!(
            "ok: {}, {} (read in {} ms, planned in {} ms)",
            count(report.sources, "source"),
            count(report.models, "model"),
            report.read.as_millis(),
            report.planned.as_millis()
        ),
        errors => count(errors, "error"),
    }
}

fn as_json(report: &Report) -> serde_json::Value {
    let errors: Vec<serde_json::Value> = report
        .errors
        .iter()
        .map(|error| {
            json!({
                "file": error.origin.file,
                "line": error.origin.line,
                "column": error.origin.column,
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
            })
        })
        .collect();
    let notes = report.notes.iter().map(|Note { origin: Origin { file, line, column }, message }| {
        json!({ "file": file, "line": line, "column": column, "message": message })
    });
    let notes: Vec<_> = notes.collect();
    json!({
        "ok": report.errors.is_empty(),
        "sources": report.sources,
        "models": report.models,
        "read_ms": u64::try_from(report.read.as_millis()).unwrap_or(u64::MAX),
        "planned_ms": u64::try_from(report.planned.as_millis()).unwrap_or(u64::MAX),
        "errors": errors,
        "notes": notes,
    })
}

/// An error as text, with the line it stands in.
pub(super) fn rendered(project: &Path, error: &Error) -> String {
    let Origin { file, line, column } = &error.origin;
    let mut text = format!("error: {}\n --> {}:{line}:{column}\n", error.message, file.display());
    // Settings hold verifiers, which belong on no screen.
    let shows_source = file.as_path() != Path::new(config::SETTINGS_FILE);
    if let Some(source) = shows_source.then(|| source_line(&project.join(file), *line)).flatten() {
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let before = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
        let marked = caret(&source, before);
        let _ = write!(text, "{margin} |\n{number} | {source}\n{margin} | {marked}\n");
    }
    if let Some(hint) = &error.hint {
        let _ = writeln!(text, "hint: {hint}");
    }
    text
}

/// Longest line shown, characters.
const LINE_CHARACTERS_MAX: usize = 200;

fn source_line(path: &Path, line: u64) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let line = text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let shown = line.trim_end();
    if shown.trim().is_empty() || shown.chars().count() > LINE_CHARACTERS_MAX {
        return None;
    }
    Some(if ["SECRET", "PASSWORD"].iter().any(|word| shown.to_ascii_uppercase().contains(word)) {
        without_strings(shown)
    } else {
        shown.to_string()
    })
}

/// The line with what stands in quotes starred out: people write secrets where the names of variables belong.
fn without_strings(line: &str) -> String {
    let mut quoted = false;
    let starred = line.chars().map(|c| {
        if c == '\'' {
            quoted = !quoted;
            return c;
        }
        if quoted { '*' } else { c }
    });
    starred.collect()
}

/// Carets under the word at `before`; tabs stay tabs, so that they stand below it.
fn caret(source: &str, before: usize) -> String {
    let indent: String = source.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let word = source.chars().skip(before).take_while(|c| c.is_alphanumeric() || *c == '_').count();
    format!("{indent}{}", "^".repeat(word.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_below_words() {
        assert_eq!(caret("SELECT amuont FROM", 7), "       ^^^^^^");
        assert_eq!(caret("\tSELECT", 1), "\t^^^^^^");
        assert_eq!(caret("x", 9), " ^");
    }

    #[test]
    fn strings_of_secrets_are_not_shown() {
        assert_eq!(without_strings("CREATE SECRET s AS 'hunter2';"), "CREATE SECRET s AS '*******';");
    }
}
