//! A model of a project, whatever its kind.

use crate::lake::TableName;
use crate::sql::{
    AutoCdc, ColumnTag, Expectation, ForeignKey, MaterializedViewDefinition, Origin,
    StreamingTableDefinition, ViewDefinition,
};
use std::sync::Arc;

/// What a name of the project stands for.
#[derive(Clone, Debug)]
pub enum Model {
    /// A streaming table.
    StreamingTable(Arc<StreamingTableDefinition>),
    /// A materialized view.
    MaterializedView(Arc<MaterializedViewDefinition>),
    /// A view.
    View(Arc<ViewDefinition>),
}

impl Model {
    /// Its name.
    pub fn name(&self) -> &TableName {
        match self {
            Model::StreamingTable(d) => &d.name,
            Model::MaterializedView(d) => &d.name,
            Model::View(d) => &d.name,
        }
    }

    /// Its query.
    pub fn query(&self) -> &crate::sql::ModelQuery {
        match self {
            Model::StreamingTable(d) => &d.query,
            Model::MaterializedView(d) => &d.query,
            Model::View(d) => &d.query,
        }
    }

    /// The change feed that it keeps, if it is `FLOW AUTO CDC`.
    pub fn auto_cdc(&self) -> Option<&AutoCdc> {
        match self {
            Model::StreamingTable(d) => d.auto_cdc.as_deref(),
            Model::MaterializedView(_) | Model::View(_) => None,
        }
    }

    /// Its rules for rows.
    pub fn expectations(&self) -> &[Expectation] {
        match self {
            Model::StreamingTable(d) => &d.expectations,
            Model::MaterializedView(d) => &d.expectations,
            Model::View(_) => &[],
        }
    }

    /// Its declared key; empty when there is none.
    pub fn primary_key(&self) -> &[String] {
        match self {
            Model::StreamingTable(d) => &d.primary_key,
            Model::MaterializedView(d) => &d.primary_key,
            Model::View(_) => &[],
        }
    }

    /// Its declared references to the keys of others.
    pub fn foreign_keys(&self) -> &[ForeignKey] {
        match self {
            Model::StreamingTable(d) => &d.foreign_keys,
            Model::MaterializedView(d) => &d.foreign_keys,
            Model::View(_) => &[],
        }
    }

    /// What kind of values its columns are declared to hold.
    pub fn tags(&self) -> &[ColumnTag] {
        match self {
            Model::StreamingTable(d) => &d.tags,
            Model::MaterializedView(d) => &d.tags,
            Model::View(d) => &d.tags,
        }
    }

    /// The view whose late rows it keeps, if that is what it is for.
    pub fn late_of(&self) -> Option<&TableName> {
        match self {
            Model::MaterializedView(d) => d.late_of.as_ref(),
            Model::StreamingTable(_) | Model::View(_) => None,
        }
    }

    /// The view whose rows that were set apart it keeps, if that is what it is for.
    pub fn apart_of(&self) -> Option<&TableName> {
        match self {
            Model::MaterializedView(d) => d.apart_of.as_ref(),
            Model::StreamingTable(_) | Model::View(_) => None,
        }
    }

    /// The view that it stands beside, if it keeps rows of one.
    pub fn beside(&self) -> Option<&TableName> {
        self.late_of().or(self.apart_of())
    }

    /// The statement that defines it.
    pub fn sql(&self) -> &str {
        match self {
            Model::StreamingTable(d) => &d.sql,
            Model::MaterializedView(d) => &d.sql,
            Model::View(d) => &d.sql,
        }
    }

    /// What it is in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Model::StreamingTable(_) => "streaming table",
            Model::MaterializedView(d) if d.late_of.is_some() => "late rows",
            Model::MaterializedView(d) if d.apart_of.is_some() => "rows set apart",
            Model::MaterializedView(_) => "materialized view",
            Model::View(_) => "view",
        }
    }

    /// The part of its definition that its rows depend on, written in one way: spaces, comments, keys, triggers, tags and
    /// the like are left out. While it is the same, what is stored stands.
    pub fn content(&self) -> String {
        let (columns, partitions) = match self {
            Model::StreamingTable(d) => (&d.columns, &d.partitioned_by[..]),
            Model::MaterializedView(d) => (&d.columns, &d.partitioned_by[..]),
            Model::View(_) => (&None, &[][..]),
        };
        let rules = self.expectations().iter().map(|e| (&e.name, &e.predicate, e.action));
        let query = match self.auto_cdc() {
            Some(flow) => flow.to_string(),
            None => self.query().ast.to_string(),
        };
        let (kind, names, rules) = (self.kind(), self.column_names(), rules.collect::<Vec<_>>());
        format!("{kind} {columns:?} {names:?} {partitions:?} {rules:?} {query}")
    }

    /// Its columns declared by name alone, if they are.
    fn column_names(&self) -> Option<&[String]> {
        match self {
            Model::StreamingTable(d) => d.column_names.as_deref(),
            Model::MaterializedView(d) => d.column_names.as_deref(),
            Model::View(d) => d.column_names.as_deref(),
        }
    }

    /// Where it is defined.
    pub fn origin(&self) -> &Origin {
        match self {
            Model::StreamingTable(d) => &d.origin,
            Model::MaterializedView(d) => &d.origin,
            Model::View(d) => &d.origin,
        }
    }
}
