//! The cut that readers see: one version of every table, published with an epoch.

use crate::lake::TableName;
use crate::sql::ForeignKey;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What kind of relation a reader meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// A bronze table, or a quarantine table.
    Source,
    /// A table that others write, read where it lies.
    Foreign,
    /// A streaming table, change feeds included.
    StreamingTable,
    /// A materialized view.
    MaterializedView,
    /// A view: planned from its SQL when read.
    View,
    /// A table of schema `sluice`.
    System,
}

/// How a relation stands in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Computed from the inputs of this epoch.
    Fresh,
    /// Its schedule or its lane has not come yet.
    Stale,
    /// As stale, by another definition of its own or of what it reads: what reads it waits for its new rows.
    Awaited,
    /// Its refresh failed; the last good version stands.
    Failed,
    /// As failed, by a rule that must hold: what reads it waits.
    Rejected,
}

impl Freshness {
    /// The word in system tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Freshness::Fresh => "fresh",
            Freshness::Stale | Freshness::Awaited => "stale",
            Freshness::Failed | Freshness::Rejected => "failed",
        }
    }

    /// True when the last good version stands in the place of a newer one.
    pub fn is_failure(self) -> bool {
        matches!(self, Freshness::Failed | Freshness::Rejected)
    }
}

/// What is known of a relation's definition; does not change as data flows.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name.
    pub name: TableName,
    /// Its kind.
    pub kind: RelationKind,
    /// Its columns as readers see them.
    pub schema: SchemaRef,
    /// `COMMENT ON TABLE`.
    pub comment: Option<String>,
    /// `COMMENT ON COLUMN`, by column.
    pub column_comments: HashMap<String, String>,
    /// A declared key.
    pub primary_key: Vec<String>,
    /// Declared references to the keys of other tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// The query's text, for models and views (`pg_get_viewdef`).
    pub query: Option<String>,
}

/// A relation's data in one cut.
#[derive(Clone, Debug)]
pub struct CutTable {
    /// The definition part.
    pub relation: Arc<Relation>,
    /// The Delta version (0 for views and system tables).
    pub version: i64,
    /// How it stands.
    pub freshness: Freshness,
    /// Its rows, pinned to `version`. `None` for views, which are planned from [`Relation::query`].
    pub provider: Option<Arc<dyn TableProvider>>,
    /// What the rows were computed from; `None` for what is not computed.
    pub computed: Option<Arc<Computed>>,
}

/// What a model's rows were computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The versions of its inputs.
    pub inputs: BTreeMap<TableName, i64>,
    /// What `now()` was; `None` when it was before this process.
    pub at: Option<DateTime<Utc>>,
}

/// One epoch: one version of every table. Immutable; readers hold an `Arc` as long as they need it.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The epoch's number, growing by one.
    pub epoch: i64,
    /// The one time of the wave: `now()` of its models.
    pub wave_time: DateTime<Utc>,
    /// Every relation, by name; schema `sluice` included.
    pub tables: BTreeMap<TableName, CutTable>,
    /// Changes only when definitions change: what catalogs may be cached by.
    pub shape: u64,
}
