//! Where a person is in a project: which columns say whose a row is, and which tables come of such rows.
//!
//! Comes in: a tag (`customer_id BIGINT TAG subject`) and the models' plans. Goes out: the tables that must be gone
//! through. A column that takes a tagged one's value as it is says whose a row is, too; one that computes something of it
//! does not, and its table is made anew instead.

use super::lineage::{Graph, TableColumn, Transformation};
use super::plan::PlannedModel;
use super::project::{Model, Project};
use crate::lake::TableName;
use std::collections::{BTreeMap, BTreeSet};

/// The tag of columns that say whose a row is.
pub const SUBJECT: &str = "subject";

/// The tables that a person is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Stored tables whose columns say whose a row is, inputs first. Their rows are taken out, but for those of views,
    /// which follow what they read.
    pub tables: Vec<Told>,
    /// Tables beside which rows may be set apart that are the person's, and how the fields that say so are called.
    pub apart: BTreeMap<TableName, BTreeSet<String>>,
    /// Streaming tables that take the rows of such tables and do not say whose their own are.
    pub untold: Vec<TableName>,
    /// Every stored model that comes of such rows, inputs first.
    pub followers: Vec<TableName>,
    /// Tables that others write.
    pub foreign: Vec<TableName>,
}

/// A table whose columns say whose a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The table.
    pub table: TableName,
    /// These columns.
    pub columns: Vec<String>,
    /// Its rows come and go with those of its inputs.
    pub follows: bool,
}

impl Whereabouts {
    /// Everything that is tagged, and what comes of it.
    pub fn of(project: &Project, planned: &BTreeMap<TableName, PlannedModel>, tag: &str) -> Self {
        let columns = columns(project, planned, tag);
        let names = |table: &TableName| -> Vec<String> {
            columns
                .iter()
                .filter(|column| column.table == *table)
                .map(|column| column.column.clone())
                .collect()
        };
        let mut reached: BTreeSet<TableName> = columns.iter().map(|column| column.table.clone()).collect();
        let foreign = project.foreign.keys().filter(|name| reached.contains(*name)).cloned().collect();
        let mut found = Self { foreign, ..Self::default() };
        for source in project.sources.values().filter(|source| reached.contains(&source.name)) {
            let columns = names(&source.name);
            found.apart.insert(source.name.clone(), columns.iter().cloned().collect());
            found.tables.push(Told { table: source.name.clone(), columns, follows: false });
        }
        let fields: BTreeSet<String> = columns.iter().map(|column| column.column.clone()).collect();
        // Models stand behind what they read.
        for model in &project.models {
            let reads = |input: &TableName| reached.contains(input) || reached.contains(&guarded(input));
            if reached.contains(model.name()) || model.query().inputs.iter().any(reads) {
                reached.insert(model.name().clone());
                found.reach(model, names(model.name()), &fields);
            }
        }
        found
    }

    fn reach(&mut self, model: &Model, columns: Vec<String>, fields: &BTreeSet<String>) {
        let name = model.name().clone();
        let is_streaming = matches!(model, Model::StreamingTable(table) if table.auto_cdc.is_none());
        if matches!(model, Model::View(_)) {
            return;
        }
        self.followers.push(name.clone());
        if is_streaming {
            self.apart.insert(name.clone(), fields.clone());
        }
        match columns.is_empty() {
            false => self.tables.push(Told { table: name, columns, follows: !is_streaming }),
            true if is_streaming => self.untold.push(name),
            true => {}
        }
    }
}

/// The table beside which a quarantine stands, or the table itself.
fn guarded(name: &TableName) -> TableName {
    match name.name.strip_suffix("__quarantine") {
        Some(table) => TableName::new(&name.schema, table),
        None => name.clone(),
    }
}

/// The columns that are tagged, and those that take a value of one as it is.
fn columns(
    project: &Project,
    planned: &BTreeMap<TableName, PlannedModel>,
    tag: &str,
) -> BTreeSet<TableColumn> {
    let sources = project.sources.values().map(|source| (&source.name, &source.tags));
    let foreign = project.foreign.values().map(|foreign| (&foreign.name, &foreign.tags));
    let mut found: BTreeSet<TableColumn> = BTreeSet::new();
    for (table, tags) in sources.chain(foreign) {
        let tagged = tags.iter().filter(|known| known.holds && known.tag == tag);
        found.extend(tagged.map(|tag| TableColumn { table: table.clone(), column: tag.column.clone() }));
    }
    for model in &project.models {
        let tagged = model.tags().iter().filter(|known| known.holds && known.tag == tag);
        let column = |name: &String| TableColumn { table: model.name().clone(), column: name.clone() };
        found.extend(tagged.map(|tag| column(&tag.column)));
    }
    let graph = Graph::of(planned);
    loop {
        let takes = |lineage: &super::lineage::ColumnLineage| {
            let mut direct = lineage.direct.iter();
            direct.any(|(from, flow)| {
                flow.transformation == Transformation::Identity && !flow.masked && found.contains(from)
            })
        };
        let more: Vec<TableColumn> = graph
            .columns()
            .filter(|(column, lineage)| !found.contains(*column) && takes(lineage))
            .map(|(column, _)| column.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}
