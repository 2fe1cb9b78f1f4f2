//! `sluice lineage`: what a table or a column comes of, or what comes of it, read from the plans of a project's models.

use super::planned::{PlannedProject, planned};
use crate::catalog::lineage::{Direction, Flow, Graph, Influences, Step, TableColumn, Transformation};
use crate::catalog::project::Project;
use crate::lake::TableName;
use crate::sql::hint_did_you_mean;
use anyhow::bail;
use clap::Args;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `sluice lineage`.
#[derive(Debug, Args)]
pub(super) struct LineageArguments {
    /// A table or a column, as in gold.fact_sales or gold.fact_sales.revenue
    of: String,
    /// Show what comes of it, not what it comes of
    #[arg(long)]
    downstream: bool,
    /// Print JSON lines, one for each step, instead of a tree
    #[arg(long)]
    json: bool,
    /// Project folder: holds catalog/ and sql/
    #[arg(long, value_name = "DIR", env = "SLUICE_PROJECT", default_value = ".")]
    project: PathBuf,
}

/// Prints the lineage; exit code 1 when there is no such table or column.
pub(super) fn run(arguments: LineageArguments) -> anyhow::Result<ExitCode> {
    let planned = planned(&arguments.project)?;
    let direction = if arguments.downstream { Direction::Downstream } else { Direction::Upstream };
    let columns = columns(&planned);
    let mut parts = arguments.of.splitn(3, '.');
    let (schema, name, column) = (parts.next(), parts.next(), parts.next());
    let table = TableName::new(schema.unwrap_or_default(), name.unwrap_or_default());
    let Some(known) = columns.get(&table) else {
        let names: Vec<String> = columns.keys().map(TableName::to_string).collect();
        let hint = hint_did_you_mean(&table.to_string(), names.iter().map(String::as_str));
        bail!("table \"{}\" does not exist. {}", arguments.of, hint.unwrap_or_default());
    };
    let text = match column {
        None => of_table(&table, &tables(&planned.project, direction), arguments.json),
        Some(column) if !known.iter().any(|name| name == column) => {
            let hint = hint_did_you_mean(column, known.iter().map(String::as_str));
            let hint = hint.unwrap_or_else(|| format!("Columns are {}.", known.join(", ")));
            bail!("column \"{column}\" of table \"{table}\" does not exist. {hint}");
        }
        Some(column) => {
            let column = TableColumn { table, column: column.to_string() };
            of_column(&column, &Graph::of(&planned.models), direction, arguments.json)
        }
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// The columns of every table of the project.
fn columns(planned: &PlannedProject) -> BTreeMap<TableName, Vec<String>> {
    let sources = planned.project.sources.values();
    let sources = sources.map(|source| (source.name.clone(), crate::sql::table_schema(source)));
    let foreign = planned.foreign.iter().map(|(name, schema)| (name.clone(), schema.clone()));
    let models = planned.models.iter().map(|(name, model)| (name.clone(), model.schema.clone()));
    let all = sources.chain(foreign).chain(models);
    all.map(|(name, schema)| (name, schema.fields().iter().map(|f| f.name().clone()).collect())).collect()
}

/// The next tables of each table.
fn tables(project: &Project, direction: Direction) -> BTreeMap<TableName, BTreeSet<TableName>> {
    let mut next: BTreeMap<TableName, BTreeSet<TableName>> = BTreeMap::new();
    for model in &project.models {
        for input in &model.query().inputs {
            let (from, to) = match direction {
                Direction::Upstream => (model.name(), input),
                Direction::Downstream => (input, model.name()),
            };
            next.entry(from.clone()).or_default().insert(to.clone());
        }
    }
    next
}

fn of_table(table: &TableName, next: &BTreeMap<TableName, BTreeSet<TableName>>, as_json: bool) -> String {
    let mut lines = vec![];
    follow(table, next, 1, &mut BTreeSet::new(), &mut lines);
    if as_json {
        let line = |line: &Line| json!({ "depth": line.depth, "table": line.text }).to_string() + "\n";
        return lines.iter().map(line).collect();
    }
    format!("{table}\n{}", tree(&lines))
}

fn follow(
    table: &TableName,
    next: &BTreeMap<TableName, BTreeSet<TableName>>,
    depth: usize,
    seen: &mut BTreeSet<TableName>,
    lines: &mut Vec<Line>,
) {
    for table in next.get(table).into_iter().flatten() {
        let is_new = seen.insert(table.clone());
        lines.push(Line { depth, text: table.to_string(), note: String::new(), seen: !is_new });
        if is_new {
            follow(table, next, depth + 1, seen, lines);
        }
    }
}

fn of_column(column: &TableColumn, graph: &Graph, direction: Direction, as_json: bool) -> String {
    let steps = graph.walk(column, direction);
    if as_json {
        let line = |step: &Step| {
            json!({
                "depth": step.depth,
                "table": step.column.table.to_string(),
                "column": step.column.column,
                "transformation": step.flow.transformation.as_str(),
                "masked": step.flow.masked,
            })
            .to_string()
                + "\n"
        };
        return steps.iter().map(line).collect();
    }
    let lines: Vec<Line> = steps
        .iter()
        .map(|step| Line {
            depth: step.depth,
            text: step.column.to_string(),
            note: flow_note(step.flow),
            seen: step.seen,
        })
        .collect();
    let mut text = format!("{column}\n{}", tree(&lines));
    if direction == Direction::Upstream {
        let indirect = graph.lineage_of(column).map(|lineage| &lineage.indirect);
        text += &influences("chosen by", indirect);
        text += &influences(
            "rows by",
            graph.rows().find(|(table, _)| **table == column.table).map(|(_, rows)| rows),
        );
    }
    text
}

/// `chosen by: silver.orders.status (filter), ...`
fn influences(title: &str, influences: Option<&Influences>) -> String {
    let Some(influences) = influences.filter(|found| !found.is_empty()) else { return String::new() };
    let shown = influences.iter().map(|(column, how)| format!("{column} ({})", how.as_str()));
    format!("{title}: {}\n", shown.collect::<Vec<_>>().join(", "))
}

fn flow_note(flow: Flow) -> String {
    let word = match flow.transformation {
        Transformation::Identity => "",
        Transformation::Transformation => "computed",
        Transformation::Aggregation => "aggregated",
    };
    if flow.masked { format!("{word}, masked") } else { word.to_string() }
}

/// A line of a tree.
struct Line {
    depth: usize,
    text: String,
    note: String,
    /// Shown before, with what follows it.
    seen: bool,
}

fn tree(lines: &[Line]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        // A branch goes on where a later line stands as deep before one stands less deep.
        let goes_on = |depth: usize| {
            let later = lines[at + 1..].iter().find(|later| later.depth <= depth);
            later.is_some_and(|later| later.depth == depth)
        };
        for depth in 1..line.depth {
            text += if goes_on(depth) { "│  " } else { "   " };
        }
        text += if goes_on(line.depth) { "├─ " } else { "└─ " };
        text += &line.text;
        if !line.note.is_empty() {
            let _ = write!(text, "  ({})", line.note);
        }
        text += if line.seen { "  (see above)\n" } else { "\n" };
    }
    text
}
