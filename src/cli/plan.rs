//! `sluice plan`, `sluice apply`: what edited files change, and running them.
//!
//! A running server is asked for what the files of its project folder would change; with `--against` two folders are
//! compared instead, which needs no server: in a pull request, say.

use super::planned::planned;
use super::remote::{ServerArguments, ask};
use crate::catalog::changes::{Impact, Version, changes};
use anyhow::bail;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio_postgres::SimpleQueryRow;

/// Flags of `sluice plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// Compare with the project in this folder, and ask no server
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Project folder to compare with --against: holds catalog/ and sql/
    #[arg(long, value_name = "DIR", env = "SLUICE_PROJECT", default_value = ".")]
    project: PathBuf,
    /// Exit with 1 if a change is of this kind, or a graver one
    #[arg(long, value_name = "IMPACT")]
    refuse: Option<Refused>,
    /// Print JSON lines, one for each object
    #[arg(long)]
    json: bool,
}

/// What `--refuse` refuses.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Refused {
    /// Anything that readers notice
    Additive,
    /// Other values or other rows
    Values,
    /// Columns or tables that are gone or have another type
    Breaking,
}

impl Refused {
    fn words(self) -> &'static [&'static str] {
        const WORDS: &[&str] =
            &[Impact::Breaking.as_str(), Impact::Values.as_str(), Impact::Additive.as_str()];
        match self {
            Refused::Additive => WORDS,
            Refused::Values => &WORDS[..2],
            Refused::Breaking => &WORDS[..1],
        }
    }
}

/// Flags of `sluice apply`.
#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// Go back to the files that ran before, or to those of a deployment's number (sluice.deployments)
    #[arg(long, value_name = "N", num_args = 0..=1)]
    rollback: Option<Option<i64>>,
    /// Print JSON lines, one for each object
    #[arg(long)]
    json: bool,
}

/// An object that is not as it was, as it is shown.
struct Line {
    name: String,
    object: String,
    change: String,
    impact: String,
    rows: String,
    stored_rows: Option<u64>,
    details: Vec<String>,
    affects: Vec<String>,
}

/// Prints what edited files would change; exit code 1 for changes that `--refuse` names.
pub(super) fn plan(arguments: PlanArguments) -> anyhow::Result<ExitCode> {
    let lines = match &arguments.against {
        Some(folder) => compared(folder, &arguments.project)?,
        None => lines(&ask(&arguments.server, "PLAN")?),
    };
    print!("{}", shown(&lines, arguments.json));
    let refused = |line: &&Line| arguments.refuse.is_some_and(|r| r.words().contains(&line.impact.as_str()));
    if let Some(line) = lines.iter().find(refused) {
        bail!("the change of {} is refused: its impact is {}", line.name, line.impact);
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the server run the files of its folder, or those of before; prints what that changed.
pub(super) fn apply(arguments: ApplyArguments) -> anyhow::Result<ExitCode> {
    let statement = match arguments.rollback {
        None => "APPLY".to_string(),
        Some(None) => "APPLY ROLLBACK".to_string(),
        Some(Some(number)) => format!("APPLY ROLLBACK TO {number}"),
    };
    print!("{}", shown(&lines(&ask(&arguments.server, &statement)?), arguments.json));
    Ok(ExitCode::SUCCESS)
}

fn compared(before: &std::path::Path, after: &std::path::Path) -> anyhow::Result<Vec<Line>> {
    let (before, after) = (planned(before)?, planned(after)?);
    let [before, after] =
        [&before, &after].map(|side| Version { project: &side.project, planned: &side.models });
    let line = |change: crate::catalog::changes::ObjectChange| Line {
        affects: change.affected(),
        object: change.object.to_string(),
        change: change.kind.as_str().to_string(),
        impact: change.impact.as_str().to_string(),
        rows: change.rows.as_str().to_string(),
        stored_rows: None,
        name: change.name,
        details: change.details,
    };
    Ok(changes(before, after).into_iter().map(line).collect())
}

fn lines(rows: &[SimpleQueryRow]) -> Vec<Line> {
    let line = |row: &SimpleQueryRow| {
        let text = |name: &str| row.try_get(name).ok().flatten().unwrap_or_default().to_string();
        let list = |name: &str, between: &str| -> Vec<String> {
            text(name).split(between).filter(|part| !part.is_empty()).map(str::to_string).collect()
        };
        Line {
            name: text("name"),
            object: text("object"),
            change: text("change"),
            impact: text("impact"),
            rows: text("rows"),
            stored_rows: text("stored_rows").parse().ok(),
            details: list("details", "; "),
            affects: list("affects", ", "),
        }
    };
    rows.iter().map(line).collect()
}

fn shown(lines: &[Line], as_json: bool) -> String {
    if as_json {
        return lines.iter().map(|line| as_object(line).to_string() + "\n").collect();
    }
    if lines.is_empty() {
        return "Nothing is changed.\n".to_string();
    }
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let sign = match line.change.as_str() {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        let _ = write!(text, "{sign} {:width$}  {}", line.name, line.object);
        if line.impact != "none" && line.change != "added" {
            let _ = write!(text, ", {}", line.impact);
        }
        match (line.rows.as_str(), line.stored_rows) {
            ("rebuilt", Some(rows)) if line.change != "added" => {
                let _ = write!(text, ", {rows} rows rebuilt");
            }
            ("rebuilt", _) if line.change != "added" => text += ", rebuilt",
            ("from now on", _) => text += ", from now on",
            _ => {}
        }
        text.push('\n');
        for detail in &line.details {
            let _ = writeln!(text, "    {detail}");
        }
        if !line.affects.is_empty() {
            let _ = writeln!(text, "    reaches {}", line.affects.join(", "));
        }
    }
    let count = |change: &str| lines.iter().filter(|line| line.change == change).count();
    let rebuilt = lines.iter().filter(|line| line.rows == "rebuilt").count();
    let _ = writeln!(
        text,
        "{} added, {} changed, {} removed; {rebuilt} to compute",
        count("added"),
        count("changed"),
        count("removed")
    );
    text
}

fn as_object(line: &Line) -> serde_json::Value {
    json!({
        "name": line.name,
        "object": line.object,
        "change": line.change,
        "impact": line.impact,
        "rows": line.rows,
        "stored_rows": line.stored_rows,
        "details": line.details,
        "affects": line.affects,
    })
}
