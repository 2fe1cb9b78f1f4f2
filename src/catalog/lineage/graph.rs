//! The columns of a whole project, and which come of which.

use super::{ColumnLineage, Flow, Influences, TableColumn};
use crate::catalog::plan::PlannedModel;
use crate::lake::TableName;
use std::collections::{BTreeMap, BTreeSet};

/// Which way one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What a column comes of.
    Upstream,
    /// What comes of a column.
    Downstream,
}

/// A column that a walk comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many steps from where it began.
    pub depth: usize,
    /// The column.
    pub column: TableColumn,
    /// What is done to the value on this step.
    pub flow: Flow,
    /// The walk has been here before; what follows is shown there.
    pub seen: bool,
}

/// Which columns come of which.
#[derive(Debug, Default)]
pub struct Graph {
    columns: BTreeMap<TableColumn, ColumnLineage>,
    rows: BTreeMap<TableName, Influences>,
    readers: BTreeMap<TableColumn, BTreeMap<TableColumn, Flow>>,
}

impl Graph {
    /// The graph of these models.
    pub fn of<'a>(models: impl IntoIterator<Item = (&'a TableName, &'a PlannedModel)>) -> Self {
        let mut graph = Self::default();
        for (table, planned) in models {
            graph.rows.insert(table.clone(), planned.lineage.rows.clone());
            for (field, lineage) in planned.schema.fields().iter().zip(&planned.lineage.columns) {
                let column = TableColumn { table: table.clone(), column: field.name().clone() };
                for (from, flow) in &lineage.direct {
                    graph.readers.entry(from.clone()).or_default().insert(column.clone(), *flow);
                }
                graph.columns.insert(column, lineage.clone());
            }
        }
        graph
    }

    /// Every column of a model with what it comes of, in the order of names.
    pub fn columns(&self) -> impl Iterator<Item = (&TableColumn, &ColumnLineage)> {
        self.columns.iter()
    }

    /// What decides which rows each model has.
    pub fn rows(&self) -> impl Iterator<Item = (&TableName, &Influences)> {
        self.rows.iter()
    }

    /// What one column comes of.
    pub fn lineage_of(&self, column: &TableColumn) -> Option<&ColumnLineage> {
        self.columns.get(column)
    }

    /// The columns that values take to or from a column, depth first. A column that is met again is not followed again.
    pub fn walk(&self, from: &TableColumn, direction: Direction) -> Vec<Step> {
        let mut steps = vec![];
        self.follow(from, direction, 1, &mut BTreeSet::new(), &mut steps);
        steps
    }

    fn follow(
        &self,
        from: &TableColumn,
        direction: Direction,
        depth: usize,
        seen: &mut BTreeSet<TableColumn>,
        steps: &mut Vec<Step>,
    ) {
        let next = match direction {
            Direction::Upstream => self.columns.get(from).map(|lineage| &lineage.direct),
            Direction::Downstream => self.readers.get(from),
        };
        for (column, flow) in next.into_iter().flatten() {
            let is_new = seen.insert(column.clone());
            steps.push(Step { depth, column: column.clone(), flow: *flow, seen: !is_new });
            if is_new {
                self.follow(column, direction, depth + 1, seen, steps);
            }
        }
    }

    /// Ways on which a value reaches other columns unmasked, the shortest to each, where `stops` does not hold for a
    /// column on the way: each from `from` to the column reached.
    pub fn unmasked(
        &self,
        from: &TableColumn,
        stops: impl Fn(&TableColumn) -> bool,
    ) -> BTreeMap<TableColumn, Vec<TableColumn>> {
        let mut ways = BTreeMap::from([(from.clone(), vec![from.clone()])]);
        let mut frontier = vec![from.clone()];
        while !frontier.is_empty() {
            let mut next = vec![];
            for at in frontier {
                let readers = self.readers.get(&at).into_iter().flatten();
                for (column, _) in readers.filter(|(column, flow)| !flow.masked && !stops(column)) {
                    if ways.contains_key(column) {
                        continue;
                    }
                    let mut way = ways.get(&at).cloned().unwrap_or_default();
                    way.push(column.clone());
                    ways.insert(column.clone(), way);
                    next.push(column.clone());
                }
            }
            frontier = next;
        }
        ways.remove(from);
        ways
    }
}
