//! Which tables have a watermark, and whether the one that a view's windows are over can close them. Pure.

use super::project::{Model, Project};
use crate::lake::TableName;
use arrow::datatypes::{DataType, Schema};

/// Why there is no watermark, and what to do.
pub(super) struct Unmarked {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

const DECLARE: &str = "Declare WATERMARK FOR column AS column - INTERVAL '10' MINUTE in the source.";

/// The streaming tables that follow a watermark, each with the source whose it is.
pub fn followers(project: &Project) -> Vec<(TableName, TableName)> {
    let streaming = project.models.iter().filter(|model| matches!(model, Model::StreamingTable(_)));
    let marked = streaming.map(Model::name).filter(|name| unmarked_kind(name, project).is_none());
    marked.filter_map(|name| Some((name.clone(), roots(name, project).pop()?))).collect()
}

/// What keeps a model's windows, over a table of these columns, from being closed; `None` too where its query asks for
/// nothing of a watermark.
pub(super) fn unmarked(model: &Model, columns: Option<&Schema>, project: &Project) -> Option<Unmarked> {
    let table = model.query().watermark_of.as_ref()?;
    if let Some(unmarked) = unmarked_kind(table, project) {
        return Some(unmarked);
    }
    if model.query().late.is_none() && model.late_of().is_none() {
        return None;
    }
    // Each row says at which watermark it came: by that it is late.
    let column = columns?.field_with_name("_watermark").ok();
    let is_kept = column.is_some_and(|column| matches!(column.data_type(), DataType::Timestamp(_, _)));
    let message = || format!("\"{table}\" keeps no _watermark of its rows");
    const SELECT: &str = "Put _watermark among the columns that it selects from its stream.";
    (!is_kept).then(|| Unmarked { message: message(), hint: SELECT })
}

/// What keeps a table from having a watermark, whatever its columns.
fn unmarked_kind(table: &TableName, project: &Project) -> Option<Unmarked> {
    if let Some(source) = project.sources.get(table) {
        let message = format!("source \"{table}\" has no watermark: its windows would never close");
        return source.watermark.is_none().then_some(Unmarked { message, hint: DECLARE });
    }
    let refused = |what: &str, hint| Some(Unmarked { message: format!("\"{table}\" is {what}"), hint });
    const READ: &str =
        "Read windows from a source that declares a WATERMARK, or from a streaming table of one.";
    match project.models.iter().find(|model| model.name() == table) {
        None => (!is_known(table, project)).then_some(Unmarked {
            message: format!("\"{table}\" is a table of others, whose watermark is not known"),
            hint: READ,
        }),
        Some(Model::View(_)) => refused("a view, whose rows have no watermark that stands", READ),
        Some(Model::MaterializedView(_)) => {
            refused("a materialized view, whose rows come and go: none is late", READ)
        }
        Some(Model::StreamingTable(d)) if d.auto_cdc.is_some() => {
            refused("kept by AUTO CDC, whose rows come and go: none is late", READ)
        }
        Some(Model::StreamingTable(_)) => match roots(table, project).as_slice() {
            [source] if project.sources.get(source).is_some_and(|source| source.watermark.is_none()) => {
                let message = format!(
                    "source \"{source}\" of \"{table}\" has no watermark: its windows would never close"
                );
                Some(Unmarked { message, hint: DECLARE })
            }
            [source] if !is_known(source, project) => {
                refused("fed by a table of others, whose watermark is not known", READ)
            }
            [_] => None,
            _ => refused("fed by several sources, each with a watermark of its own", READ),
        },
    }
}

/// False for tables of others, but for production's that have a view of their watermark beside them.
fn is_known(table: &TableName, project: &Project) -> bool {
    let watermark = table.watermark();
    !project.foreign.contains_key(table) || project.models.iter().any(|model| *model.name() == watermark)
}

/// The sources whose rows a streaming table takes, looked up through the streaming tables between.
fn roots(table: &TableName, project: &Project) -> Vec<TableName> {
    let (mut open, mut roots) = (vec![table], Vec::new());
    while let Some(name) = open.pop() {
        match project.models.iter().find(|model| model.name() == name) {
            Some(model) => open.extend(&model.query().streams),
            None if !roots.contains(name) => roots.push(name.clone()),
            None => {}
        }
    }
    roots
}
