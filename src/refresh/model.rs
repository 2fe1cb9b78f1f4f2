//! A model as the engine runs it: its definition, its tables, what it reads, how it is doing.

use super::cost::Past;
use super::derive::{HIDDEN_SCHEMA, Split};
use crate::catalog::cut::{Cut, Freshness};
use crate::catalog::plan::PlannedModel;
use crate::catalog::project::Model as Definition;
use crate::engine::KeptPlans;
use crate::lake::{Error, FilesProvider, Lake, Snapshot, Table, TableDefinition, TableKind, TableName};
use crate::ops::clock;
use crate::ops::opaque::Opaque;
use crate::quality::Verdict;
use crate::sql::quarantine_schema;
use crate::sql::{AuditDefinition, Continuation, Expectation, RefreshPolicy, Trigger, ViolationAction};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// Application version: which definition a materialized view's rows were computed by.
pub(super) const DEFINITION: &str = "sluice.definition";
/// Application versions, one an input: the version consumed.
pub(super) const CONSUMED: &str = "sluice.consumed.";
/// Application version: refreshes that changed the table.
pub(super) const REFRESH: &str = "sluice.refresh";

/// Changes when hidden aggregates are kept in another way than before.
const HIDDEN_FORMAT: u32 = 1;

/// A stored model.
#[derive(Debug)]
pub struct Model {
    /// Its name.
    pub name: TableName,
    /// Its rows.
    pub table: Arc<Table>,
    /// Rows that its rules set apart, if it has such rules.
    pub quarantine: Option<Arc<Table>>,
    /// Its columns as defined. A view's table may still stand in older ones, until it is computed in these.
    pub schema: SchemaRef,
    /// Its columns whose values stand in the log instead of in the files.
    pub partitioned_by: Vec<String>,
    /// Its query's text as the engine reads it, without `STREAM`.
    pub query: String,
    /// How it is gone on from, of a change feed whose rows show how far they have come.
    pub continuation: Option<Continuation>,
    /// Inputs whose rows are each taken once; empty for what is kept equal to its query.
    pub streams: Vec<TableName>,
    /// Every stored table it reads, views looked through.
    pub inputs: Vec<TableName>,
    /// When it is refreshed.
    pub trigger: Trigger,
    /// Whether only its changes may be computed.
    pub policy: RefreshPolicy,
    /// Its rules.
    pub expectations: Vec<Expectation>,
    /// What must hold of its result.
    pub audits: Vec<Arc<AuditDefinition>>,
    /// Which definition this is.
    pub definition_hash: i64,
    /// Its rows are appended, never taken back: a streaming table that is no change feed.
    pub is_streaming: bool,
    /// The hidden tables that its refreshes use; known once one has begun.
    pub hidden_in_use: Mutex<Option<BTreeSet<TableName>>>,
    /// Why its refreshes recompute it; known once it has been planned over its inputs.
    pub why_not: OnceLock<Option<String>>,
    /// Its query as it was planned last, for refreshes to come.
    pub(super) chain: Mutex<Option<Opaque<Split>>>,
    /// Its continuation as it was planned last.
    pub(super) continued: Mutex<Option<Opaque<Split>>>,
    /// What its refreshes ran.
    pub(super) plans: KeptPlans,
    /// What its refreshes took.
    pub(super) past: Mutex<Past>,
}

/// The versions that a table's rows were computed from, those of hidden tables too.
pub fn consumed(snapshot: &Snapshot) -> BTreeMap<TableName, i64> {
    let named = |(name, version): (&str, i64)| {
        let (schema, name) = name.split_once('.')?;
        Some((TableName::new(schema, name), version)).filter(|_| version >= 0)
    };
    snapshot.transactions_of(CONSUMED).filter_map(named).collect()
}

/// The files of a table in a cut.
pub(super) fn files_in<'a>(cut: &'a Cut, table: &TableName) -> Option<&'a FilesProvider> {
    let provider = cut.tables.get(table)?.provider.as_deref()?;
    (provider as &dyn Any).downcast_ref()
}

/// What decides how a view is refreshed: known from its definition alone.
pub(super) struct Outline<'a> {
    pub(super) name: &'a TableName,
    /// Its query's text.
    pub(super) query: &'a str,
    /// Its columns as they are stored.
    pub(super) schema: &'a SchemaRef,
    pub(super) partitioned_by: &'a [String],
    pub(super) expectations: &'a [Expectation],
    pub(super) policy: RefreshPolicy,
}

impl Outline<'_> {
    /// The name of a hidden aggregate of its own.
    pub(super) fn hidden_name(&self, number: usize) -> TableName {
        TableName::new(HIDDEN_SCHEMA, format!("{}.{}", self.name, number + 1))
    }
}

impl Model {
    pub(super) fn outline(&self) -> Outline<'_> {
        let Self { name, query, schema, partitioned_by, expectations, policy, .. } = self;
        Outline { name, query, schema, partitioned_by, expectations, policy: *policy }
    }

    /// The versions that the stored rows were computed from, those of hidden tables too.
    pub(super) fn consumed(&self) -> BTreeMap<TableName, i64> {
        consumed(&self.table.snapshot())
    }

    /// True when nothing has moved since these versions were consumed.
    pub(super) fn is_up_to(&self, cut: &Cut, consumed: &BTreeMap<TableName, i64>) -> bool {
        self.versions_in(cut).iter().all(|(name, version)| consumed.get(name) == Some(version))
    }

    /// What says of the hidden tables consumed so far that the rows are not computed from them any more.
    pub(super) fn hidden_forgotten(&self) -> BTreeMap<TableName, i64> {
        let consumed = self.consumed().into_keys();
        consumed.filter(|name| name.schema == HIDDEN_SCHEMA).map(|name| (name, -1)).collect()
    }

    /// A hidden aggregate as a model that is kept like this one.
    pub(super) fn hidden(&self, table: Arc<Table>, inputs: Vec<TableName>) -> Self {
        let schema = Arc::clone(&table.snapshot().schema);
        Self {
            name: table.name().clone(),
            definition_hash: hash(&format!("{HIDDEN_FORMAT} {} {schema:?}", self.definition_hash)),
            table,
            quarantine: None,
            schema,
            partitioned_by: Vec::new(),
            query: String::new(),
            continuation: None,
            streams: Vec::new(),
            inputs,
            trigger: Trigger::default(),
            policy: self.policy,
            expectations: Vec::new(),
            audits: Vec::new(),
            is_streaming: false,
            hidden_in_use: Mutex::default(),
            why_not: OnceLock::new(),
            chain: Mutex::default(),
            continued: Mutex::default(),
            plans: KeptPlans::default(),
            past: Mutex::default(),
        }
    }

    /// A refresh begins to use these hidden tables.
    pub(super) fn uses_hidden(&self, names: impl IntoIterator<Item = TableName>) {
        self.hidden_in_use.lock().get_or_insert_default().extend(names);
    }

    /// Does away with a hidden table if no refresh uses it and no older definition's rows stand that did: reverted, they
    /// would be gone on from. No refresh begins to use it meanwhile. `None` when it stays.
    pub fn let_go<T>(&self, hidden: &TableName, remove: impl FnOnce() -> T) -> Option<T> {
        let in_use = self.hidden_in_use.lock();
        let is_left = in_use.as_ref().is_some_and(|names| !names.contains(hidden));
        (is_left && !self.is_outdated()).then(remove)
    }

    /// The versions of its inputs in a cut.
    pub(super) fn versions_in(&self, cut: &Cut) -> BTreeMap<TableName, i64> {
        let version = |input: &TableName| Some((input.clone(), cut.tables.get(input)?.version));
        self.inputs.iter().filter_map(version).collect()
    }

    /// How many rows its inputs have in a cut.
    pub(super) fn rows_in(&self, cut: &Cut) -> u64 {
        self.inputs.iter().filter_map(|input| files_in(cut, input)?.rows()).sum()
    }

    /// The versions in a cut of what its rows are made of and of what its audits compare them with.
    pub(super) fn judged_by(&self, cut: &Cut) -> BTreeMap<TableName, i64> {
        let compared =
            self.audits.iter().flat_map(|audit| &audit.inputs).filter(|input| **input != self.name);
        let version = |input: &TableName| Some((input.clone(), cut.tables.get(input)?.version));
        self.inputs.iter().chain(compared).filter_map(version).collect()
    }

    /// The version of an input that was consumed last.
    pub fn consumed_version(&self, input: &TableName) -> Option<i64> {
        self.table.snapshot().transaction(&format!("{CONSUMED}{input}"))
    }

    /// Its definition's number as text, for display.
    pub fn definition_id(&self) -> String {
        format!("{:016x}", self.definition_hash)
    }

    /// The table that it is to have.
    pub(super) fn table_definition(&self) -> TableDefinition {
        TableDefinition {
            schema: Arc::clone(&self.schema),
            partition_columns: self.partitioned_by.clone(),
            kind: if self.is_streaming { TableKind::AppendOnly } else { TableKind::Maintained },
            properties: BTreeMap::new(),
        }
    }

    /// True when the rows were computed by another definition, or never.
    pub(super) fn is_outdated(&self) -> bool {
        !self.is_of(&self.table.snapshot())
    }

    /// True when a version's rows were computed by this definition, in its columns. (A streaming table keeps columns
    /// that are defined no more.)
    pub(super) fn is_of(&self, snapshot: &Snapshot) -> bool {
        snapshot.transaction(DEFINITION) == Some(self.definition_hash)
            && (self.is_streaming || snapshot.fits(&self.table_definition()))
    }
}

/// Every model's hidden tables in the lake: each with the name of the model that made it.
pub fn hidden_tables(lake: &Lake) -> Result<Vec<(TableName, String)>, Error> {
    let owned = |name: TableName| {
        let owner = name.name.rsplit_once('.')?.0.to_string();
        Some((name, owner))
    };
    Ok(lake.names_in(HIDDEN_SCHEMA)?.into_iter().filter_map(owned).collect())
}

/// What a model reads.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Every stored table, views looked through.
    pub stored: Vec<TableName>,
    /// The contents of these views, in one order: a change of one changes what the model is.
    pub views: Vec<String>,
    /// Which tables these are among those that others write: rows that were computed from another table are computed
    /// anew.
    pub foreign: Vec<String>,
}

/// Opens (and creates) a model's tables. Blocks.
pub fn open_model(
    lake: &Lake,
    definition: &Definition,
    planned: &PlannedModel,
    reads: Reads,
    audits: Vec<Arc<AuditDefinition>>,
) -> Result<Option<Model>, Error> {
    let (name, expectations, partitioned_by, trigger, policy, is_streaming) = match definition {
        Definition::StreamingTable(d) => {
            let policy = RefreshPolicy::Auto;
            let is_streaming = d.auto_cdc.is_none();
            (&d.name, &d.expectations, &d.partitioned_by, &d.trigger, policy, is_streaming)
        }
        Definition::MaterializedView(d) => {
            (&d.name, &d.expectations, &d.partitioned_by, &d.trigger, d.refresh_policy, false)
        }
        Definition::View(_) => return Ok(None),
    };
    let schema = Arc::clone(&planned.schema);
    let table_definition = TableDefinition {
        schema: Arc::clone(&schema),
        partition_columns: partitioned_by.clone(),
        kind: if is_streaming { TableKind::AppendOnly } else { TableKind::Maintained },
        properties: BTreeMap::new(),
    };
    let table = if is_streaming {
        lake.ensure(name, &table_definition)?
    } else {
        // Readers keep the old columns until the rows are computed in the new ones.
        lake.ensure_any(name, &table_definition)?
    };
    let sets_apart = expectations.iter().any(|e| e.action == ViolationAction::QuarantineRow)
        || schema.fields().iter().any(|f| !f.is_nullable());
    let quarantine = if is_streaming && sets_apart {
        let definition = TableDefinition::append_only(quarantine_schema());
        Some(lake.ensure(&name.quarantine(), &definition)?)
    } else {
        None
    };
    Ok(Some(Model {
        name: name.clone(),
        table,
        quarantine,
        schema,
        partitioned_by: partitioned_by.clone(),
        query: planned.query.clone(),
        continuation: planned.continuation.clone(),
        streams: if is_streaming { definition.query().streams.clone() } else { Vec::new() },
        definition_hash: hash_of(&definition.content(), &reads),
        inputs: reads.stored,
        trigger: trigger.clone(),
        policy,
        expectations: expectations.clone(),
        audits,
        is_streaming,
        hidden_in_use: Mutex::default(),
        why_not: OnceLock::new(),
        chain: Mutex::default(),
        continued: Mutex::default(),
        plans: KeptPlans::default(),
        past: Mutex::default(),
    }))
}

/// The number of a definition's content, of that of the views that it reads and of the tables of others.
fn hash_of(content: &str, reads: &Reads) -> i64 {
    let read = reads.views.iter().chain(&reads.foreign).map(String::as_str);
    hash(&std::iter::once(content).chain(read).collect::<Vec<_>>().join("\0"))
}

/// A text's number: the same text gives the same number on every machine.
fn hash(sql: &str) -> i64 {
    let digest = Sha256::digest(sql.as_bytes());
    let mut first = [0u8; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_le_bytes(first)
}

/// The number of the content of a definition that reads no views, as text, for display.
pub fn definition_id(definition: &Definition) -> String {
    format!("{:016x}", hash(&definition.content()))
}

/// One refresh as `sluice.refreshes` shows it.
#[derive(Clone, Debug)]
pub struct RefreshRecord {
    /// The epoch it joined (for a failure, the epoch that stood).
    pub epoch: i64,
    /// The model.
    pub model: TableName,
    /// `append`, `incremental` or `recompute`.
    pub mode: &'static str,
    /// Why it ran, and why in this mode.
    pub reason: String,
    /// Input rows of an append, rows read from tables by an incremental refresh, result rows of a recompute.
    pub rows_read: i64,
    /// Rows added.
    pub rows_inserted: i64,
    /// Rows deleted.
    pub rows_deleted: i64,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// What was found of its result.
    pub verdict: Verdict,
    /// When it ended.
    pub at: DateTime<Utc>,
}

/// How a model stands.
#[derive(Clone, Debug)]
pub struct ModelStatus {
    /// Fresh, stale or failed.
    pub freshness: Freshness,
    /// The wave time of the inputs it was computed from.
    pub fresh_as_of: Option<DateTime<Utc>>,
    /// Why it failed last.
    pub error: Option<String>,
    /// How often it has failed since it was good.
    pub failures: u32,
    /// Trying again alone will not help.
    pub is_lasting: bool,
}

impl ModelStatus {
    /// A model that stands.
    pub(super) fn standing(freshness: Freshness, fresh_as_of: Option<DateTime<Utc>>) -> Self {
        Self { freshness, fresh_as_of, error: None, failures: 0, is_lasting: false }
    }
}

impl RefreshRecord {
    /// A refresh that failed while `epoch` stood.
    pub(super) fn failure(
        epoch: i64,
        model: &TableName,
        mode: &'static str,
        seconds: f64,
        error: String,
    ) -> Self {
        Self {
            epoch,
            model: model.clone(),
            mode,
            reason: "inputs moved".to_string(),
            rows_read: 0,
            rows_inserted: 0,
            rows_deleted: 0,
            seconds,
            error: Some(error),
            verdict: Verdict::default(),
            at: clock::now(),
        }
    }

    /// A model whose tables could not be opened: it is left out, and what stands of the others goes on.
    pub fn unopened(epoch: i64, model: &TableName, error: String) -> Self {
        Self { reason: "start".to_string(), ..Self::failure(epoch, model, "open", 0.0, error) }
    }
}

/// How every table stands, shared with system tables.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<BTreeMap<TableName, ModelStatus>>>);

impl StatusBoard {
    /// Every table's status.
    pub fn all(&self) -> BTreeMap<TableName, ModelStatus> {
        self.0.lock().clone()
    }

    /// Notes a model whose tables could not be opened: nothing is tried.
    pub fn leave_out(&self, name: &TableName, error: String) {
        let standing = ModelStatus::standing(Freshness::Failed, None);
        self.set(name, ModelStatus { error: Some(error), failures: 1, is_lasting: true, ..standing });
    }

    /// Notes a model that failed and the inputs' time that its last good rows stand for.
    pub(super) fn fail(
        &self,
        name: &TableName,
        freshness: Freshness,
        fresh_as_of: Option<DateTime<Utc>>,
        error: String,
    ) {
        let mut board = self.0.lock();
        let failures = board.get(name).map_or(0, |status| status.failures).saturating_add(1);
        let is_lasting = freshness == Freshness::Rejected;
        let status = ModelStatus { freshness, fresh_as_of, error: Some(error), failures, is_lasting };
        board.insert(name.clone(), status);
    }

    pub(super) fn set(&self, name: &TableName, status: ModelStatus) {
        self.0.lock().insert(name.clone(), status);
    }
}
