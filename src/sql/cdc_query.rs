//! The query that `AUTO CDC` stands for: a function of the rows that came, whatever order and batches they came in.
//!
//! The changes of a key are ordered by `SEQUENCE BY`; of those with one sequence value the last by position counts
//! (`_partition`, then `_offset`, where the input has them), and of those with one position, or none, the one whose values
//! have the greatest hash: arbitrary, but the same every time. NULL is a value like any other: as a key it is one key, as
//! a sequence the least.
//!
//! Every window is partitioned by the keys, so that a refresh computes the keys anew that changed, and no others.

use super::cdc::{AutoCdc, ColumnName, History, Selection};
use super::layout::BRONZE_COLUMNS;
use super::syntax::{quoted, quoted_table};
use super::{Error, hint_did_you_mean, type_name};
use crate::lake::TableName;
use arrow::datatypes::{DataType, Schema};

/// The column that says when a version begins.
pub const START_AT: &str = "__start_at";
/// The column that says when a version ends; NULL while it is current.
pub const END_AT: &str = "__end_at";

/// The text of the query over an input with these columns; all that is wrong with the columns it names.
pub fn defining_query(cdc: &AutoCdc, input: &Schema) -> Result<String, Vec<Error>> {
    let chosen = Chosen::new(cdc, input)?;
    Ok(query(cdc, &chosen, &changes(cdc, &chosen)))
}

/// How keys are gone on from where they stand, with nothing read of the changes that brought them there.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuation {
    /// Gives a key's rows from those of its changes that are later than its row that stands, which is read as one more
    /// change: the query that [`defining_query`] gives, over the input and the table itself. Versions that have ended
    /// stay as they are and are not in it.
    pub query: String,
    /// The table whose rows are the changes.
    pub input: TableName,
    /// The column by which changes are ordered. The table shows that of the last one, later ones in the row, too.
    pub sequence: String,
    /// The column that is NULL in the rows that may change; none where all may.
    pub end: Option<&'static str>,
}

/// How a change feed's `table` is gone on from; `None` when its rows do not show how far they have come. The query is
/// sound.
pub fn continuation(cdc: &AutoCdc, input: &Schema, table: &TableName) -> Option<Continuation> {
    let chosen = Chosen::new(cdc, input).ok()?;
    let sequence = &cdc.sequence_by.name;
    // -0.0 and NaN: equal for some operators, different for others.
    let is_total = !input.field_with_name(sequence).ok()?.data_type().is_floating();
    let is_shown = chosen.kept.contains(&chosen.sequence);
    (is_total && is_shown).then(|| Continuation {
        query: query(
            cdc,
            &chosen,
            &format!("{} UNION ALL {}", changes(cdc, &chosen), stood(cdc, &chosen, table)),
        ),
        input: cdc.input.clone(),
        sequence: sequence.clone(),
        end: matches!(cdc.history, History::Versions { .. }).then_some(END_AT),
    })
}

fn query(cdc: &AutoCdc, chosen: &Chosen, changes: &str) -> String {
    match &cdc.history {
        History::Newest => newest(chosen, changes),
        History::Versions { .. } => versions(chosen, changes),
    }
}

/// The columns of the input by their part, all quoted.
struct Chosen {
    keys: Vec<String>,
    /// Kept beside the keys.
    kept: Vec<String>,
    /// Of which a change opens a version.
    tracked: Vec<String>,
    sequence: String,
    /// Where the input keeps positions.
    position: Vec<String>,
}

impl Chosen {
    fn new(cdc: &AutoCdc, input: &Schema) -> Result<Self, Vec<Error>> {
        let is_key = |name: &str| cdc.keys.iter().any(|key| key.name == name);
        let all: Vec<&str> = input.fields().iter().map(|f| f.name().as_str()).collect();
        let own: Vec<&str> =
            all.iter().copied().filter(|name| !BRONZE_COLUMNS.contains(name) && !is_key(name)).collect();
        let kept = select(&cdc.columns, &own, is_key);
        let errors = mistakes(cdc, input, &kept);
        if !errors.is_empty() {
            return Err(errors);
        }
        let tracked = match &cdc.history {
            History::Newest => vec![],
            History::Versions { tracked } => {
                // That a row was seen again later is no change of it.
                let told: Vec<&str> =
                    kept.iter().copied().filter(|name| *name != cdc.sequence_by.name).collect();
                select(tracked, &told, is_key)
            }
        };
        let all_quoted = |names: Vec<&str>| names.into_iter().map(quoted).collect::<Vec<_>>();
        let position = ["_partition", "_offset"].into_iter().filter(|name| all.contains(name)).collect();
        Ok(Self {
            keys: cdc.keys.iter().map(|key| quoted(&key.name)).collect(),
            tracked: all_quoted(tracked),
            kept: all_quoted(kept),
            sequence: quoted(&cdc.sequence_by.name),
            position: all_quoted(position),
        })
    }

    /// The columns of the result.
    fn output(&self) -> String {
        self.keys.iter().chain(&self.kept).cloned().collect::<Vec<_>>().join(", ")
    }

    /// What is read of a change as it stands, each column once.
    fn read(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = vec![];
        for column in self.keys.iter().chain(&self.kept).chain(&self.position) {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        columns
    }

    /// The order of changes that have one sequence value.
    fn tie_order(&self, direction: &str) -> String {
        let ties = self.position.iter().map(String::as_str).chain([HASH]);
        ties.map(|column| format!(", {column} {direction}")).collect()
    }
}

const AT: &str = "\"__cdc_at\"";
const DELETES: &str = "\"__cdc_deletes\"";
const HASH: &str = "\"__cdc_hash\"";
/// When a version begins that this change opens.
const OPENS: &str = "\"__cdc_opens\"";

fn named(selection: &Selection) -> &[ColumnName] {
    let (Selection::Only(columns) | Selection::AllBut(columns)) = selection;
    columns
}

/// The columns of a selection; `all` is what `*` stands for. Keys are in every result anyway.
fn select<'a>(selection: &'a Selection, all: &[&'a str], is_key: impl Fn(&str) -> bool) -> Vec<&'a str> {
    match selection {
        Selection::Only(columns) => {
            columns.iter().map(|column| column.name.as_str()).filter(|name| !is_key(name)).collect()
        }
        Selection::AllBut(left_out) => {
            let is_left_out = |name: &str| left_out.iter().any(|column| column.name == name);
            all.iter().copied().filter(|name| !is_left_out(name)).collect()
        }
    }
}

/// Columns that are named and cannot stand where they do.
fn mistakes(cdc: &AutoCdc, input: &Schema, kept: &[&str]) -> Vec<Error> {
    let mut errors = vec![];
    let is_key = |name: &str| cdc.keys.iter().any(|key| key.name == name);
    let ordered = cdc.keys.iter().map(|key| ("KEYS", key)).chain([("SEQUENCE BY", &cdc.sequence_by)]);
    for (clause, column) in ordered {
        let Ok(field) = input.field_with_name(&column.name) else {
            errors.push(missing(column, clause, input));
            continue;
        };
        if field.data_type().is_nested() || *field.data_type() == DataType::Binary {
            let (name, its_type) = (&column.name, type_name(field.data_type()));
            let message = format!("{clause} column \"{name}\" is {its_type}, which has no order");
            errors.push(
                Error::new("42804", column.origin.clone(), message)
                    .with_hint("Choose a number, a text, a date or a timestamp."),
            );
        }
    }
    let exists = |column: &ColumnName| input.field_with_name(&column.name).is_ok();
    for column in named(&cdc.columns) {
        if !exists(column) {
            errors.push(missing(column, "COLUMNS", input));
        } else if matches!(cdc.columns, Selection::AllBut(_)) && is_key(&column.name) {
            let message = format!("key \"{}\" cannot be left out of COLUMNS", column.name);
            errors.push(
                Error::new("42P16", column.origin.clone(), message)
                    .with_hint("Without it nobody could tell whose row it is."),
            );
        }
    }
    let History::Versions { tracked } = &cdc.history else { return errors };
    for column in named(tracked) {
        if !exists(column) {
            errors.push(missing(column, "TRACK HISTORY ON", input));
        } else if !kept.contains(&column.name.as_str()) && !is_key(&column.name) {
            let message = format!("TRACK HISTORY ON column \"{}\" is not kept", column.name);
            errors.push(
                Error::new("42P16", column.origin.clone(), message)
                    .with_hint("Name it in COLUMNS, or leave it out here."),
            );
        }
    }
    errors
}

fn missing(column: &ColumnName, clause: &str, input: &Schema) -> Error {
    let names = input.fields().iter().map(|f| f.name().as_str());
    let message = format!("{clause} column \"{}\" does not exist", column.name);
    Error::new("42703", column.origin.clone(), message).with_hint_if(hint_did_you_mean(&column.name, names))
}

/// The changes: what of them is kept, and their place among those of their key.
fn changes(cdc: &AutoCdc, chosen: &Chosen) -> String {
    let deletes = match &cdc.delete_when {
        Some(condition) => format!("(({}) IS TRUE)", condition.text),
        None => "FALSE".to_string(),
    };
    let hashed = chosen.kept.iter().chain([&deletes]).cloned().collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {columns}, {sequence} AS {AT}, {sequence} AS {OPENS}, {deletes} AS {DELETES}, surrogate_key({hashed}) AS {HASH} \
         FROM {input}",
        columns = chosen.read().join(", "),
        sequence = chosen.sequence,
        input = quoted_table(&cdc.input),
    )
}

/// The rows that stand and may change, as changes. None has the sequence of another change: they need no position.
fn stood(cdc: &AutoCdc, chosen: &Chosen, table: &TableName) -> String {
    let column = |column: &str| {
        let is_stored = chosen.keys.iter().chain(&chosen.kept).any(|stored| stored == column);
        if is_stored { column.to_string() } else { format!("NULL AS {column}") }
    };
    let columns = chosen.read().into_iter().map(column).collect::<Vec<_>>().join(", ");
    let (opens, current) = match &cdc.history {
        History::Newest => (chosen.sequence.clone(), String::new()),
        History::Versions { .. } => (quoted(START_AT), format!(" WHERE {} IS NULL", quoted(END_AT))),
    };
    format!(
        "SELECT {columns}, {sequence} AS {AT}, {opens} AS {OPENS}, FALSE AS {DELETES}, NULL AS {HASH} FROM {table}{current}",
        sequence = chosen.sequence,
        table = quoted_table(table),
    )
}

/// Type 1: the newest change of each key, unless it deletes.
fn newest(chosen: &Chosen, changes: &str) -> String {
    format!(
        "SELECT {output} FROM (SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY {AT} DESC NULLS LAST{ties}) AS \
         \"__cdc_age\" FROM ({changes}) AS \"__cdc_changes\") AS \"__cdc_ranked\" WHERE \"__cdc_age\" = 1 AND NOT {DELETES}",
        output = chosen.output(),
        keys = chosen.keys.join(", "),
        ties = chosen.tie_order("DESC NULLS LAST"),
    )
}

/// Type 2: runs of changes that leave the tracked columns as they are. A run's last change gives its columns, its first
/// one the start, and the change that follows it the end. (The parser takes all that follows `IS DISTINCT FROM` as its
/// right side: it stands in parentheses.)
fn versions(chosen: &Chosen, changes: &str) -> String {
    let keys = chosen.keys.join(", ");
    let by_all =
        format!("(PARTITION BY {keys} ORDER BY {AT} ASC NULLS FIRST{})", chosen.tie_order("ASC NULLS FIRST"));
    let by_sequence = format!("PARTITION BY {keys} ORDER BY {AT} ASC NULLS FIRST");
    let settled = format!(
        "SELECT *, (lead({DELETES}) OVER {by_all} IS NULL OR (lead({AT}) OVER {by_all} IS DISTINCT FROM {AT})) AS \
         \"__cdc_settles\" FROM ({changes}) AS \"__cdc_changes\""
    );
    let turns: String = std::iter::once(DELETES)
        .chain(chosen.tracked.iter().map(String::as_str))
        .map(|column| format!("(lag({column}) OVER ({by_sequence}) IS DISTINCT FROM {column})"))
        .collect::<Vec<_>>()
        .join(" OR ");
    let turning = format!(
        "SELECT *, ({turns}) AS \"__cdc_turns\" FROM ({settled}) AS \"__cdc_settled\" WHERE \"__cdc_settles\""
    );
    let bounded = format!(
        "SELECT *, max(CASE WHEN \"__cdc_turns\" AND NOT {DELETES} THEN {OPENS} END) OVER ({by_sequence} ROWS BETWEEN UNBOUNDED \
         PRECEDING AND CURRENT ROW) AS \"__cdc_start\", lead(\"__cdc_turns\") OVER ({by_sequence}) AS \"__cdc_ends\", \
         lead({AT}) OVER ({by_sequence}) AS \"__cdc_next\" FROM ({turning}) AS \"__cdc_turning\""
    );
    format!(
        "SELECT {output}, \"__cdc_start\" AS \"{START_AT}\", CASE WHEN \"__cdc_ends\" THEN \"__cdc_next\" END AS \"{END_AT}\" \
         FROM ({bounded}) AS \"__cdc_bounded\" WHERE NOT {DELETES} AND (\"__cdc_ends\" IS DISTINCT FROM FALSE)",
        output = chosen.output(),
    )
}

#[cfg(test)]
mod tests;
