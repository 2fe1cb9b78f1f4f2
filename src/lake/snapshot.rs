//! One version of a table: schema, files, application versions. Immutable; commits make the next one.

use super::action::{Add, Descriptor, Line, MetaData, Protocol, Remove};
use super::stats::FileStatistics;
use super::store::Store;
use super::vector::DeletionVector;
use super::{Error, TableDefinition, TableKind, TableName};
use arrow::datatypes::{Schema, SchemaRef};
use roaring::RoaringTreemap;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

/// A data file of a table.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Relative to the table's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// Values of the partition columns, as Delta writes them.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Free marks that travel with the file.
    pub tags: BTreeMap<String, String>,
    /// Which of its rows are deleted.
    pub deletion_vector: Option<DeletionVector>,
    /// The only rows that are meant, for a file that stands for a change; never stored.
    pub(super) only: Option<Arc<RoaringTreemap>>,
    pub(super) descriptor: Option<Descriptor>,
    pub(super) stats_json: Option<Arc<str>>,
    pub(super) stats: OnceLock<Arc<FileStatistics>>,
}

impl DataFile {
    /// Its statistics, parsed once.
    pub fn statistics(&self, schema: &SchemaRef) -> Arc<FileStatistics> {
        Arc::clone(self.stats.get_or_init(|| {
            Arc::new(
                self.stats_json.as_deref().map(|t| FileStatistics::from_json(t, schema)).unwrap_or_default(),
            )
        }))
    }

    /// Rows that are still there, when known.
    pub fn live_rows(&self, schema: &SchemaRef) -> Option<u64> {
        if let Some(only) = &self.only {
            return Some(only.len());
        }
        let deleted = self.deletion_vector.as_ref().map_or(0, |v| v.rows.len());
        self.statistics(schema).rows.map(|rows| rows.saturating_sub(deleted))
    }

    /// True when some of its rows are not meant.
    pub(super) fn is_partly_read(&self) -> bool {
        self.deletion_vector.is_some() || self.only.is_some()
    }

    /// The same file with other rows deleted.
    pub(super) fn with_vector(&self, vector: DeletionVector) -> Self {
        Self { descriptor: Some(vector.descriptor.clone()), deletion_vector: Some(vector), ..self.clone() }
    }

    /// The file as the place of these rows alone.
    pub(super) fn with_only(&self, rows: RoaringTreemap) -> Self {
        Self { only: Some(Arc::new(rows)), ..self.clone() }
    }

    pub(super) fn of_add(add: Add) -> Self {
        Self {
            path: add.path,
            size: u64::try_from(add.size).unwrap_or_default(),
            modified_ms: add.modification_time,
            partition_values: add.partition_values,
            tags: add.tags.unwrap_or_default().into_iter().filter_map(|(k, v)| Some((k, v?))).collect(),
            deletion_vector: None,
            only: None,
            descriptor: add.deletion_vector,
            stats_json: add.stats.map(Arc::from),
            stats: OnceLock::new(),
        }
    }

    pub(super) fn to_add(&self, data_change: bool) -> Add {
        let tags = self.tags.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect::<BTreeMap<_, _>>();
        Add {
            path: self.path.clone(),
            partition_values: self.partition_values.clone(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            modification_time: self.modified_ms,
            data_change,
            stats: self.stats_json.as_deref().map(str::to_string),
            tags: (!tags.is_empty()).then_some(tags),
            deletion_vector: self.descriptor.clone(),
        }
    }

    pub(super) fn to_remove(&self, data_change: bool, now_ms: i64) -> Remove {
        Remove {
            path: self.path.clone(),
            deletion_timestamp: Some(now_ms),
            data_change,
            extended_file_metadata: Some(true),
            partition_values: Some(self.partition_values.clone()),
            size: Some(i64::try_from(self.size).unwrap_or(i64::MAX)),
            deletion_vector: self.descriptor.clone(),
        }
    }
}

/// One version of a table.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The table.
    pub table: TableName,
    /// Its version.
    pub version: i64,
    /// All columns, partition columns too, in order.
    pub schema: SchemaRef,
    /// Columns whose values stand in the log instead of in the files.
    pub partition_columns: Vec<String>,
    /// Live files, oldest first.
    pub files: Vec<Arc<DataFile>>,
    /// Application versions: how far streams are taken, which inputs were consumed.
    pub transactions: Arc<BTreeMap<String, i64>>,
    /// Where it lies.
    pub(super) store: Store,
    pub(super) metadata: Arc<MetaData>,
    pub(super) protocol: Arc<Protocol>,
}

impl Snapshot {
    /// An application version.
    pub fn transaction(&self, application: &str) -> Option<i64> {
        self.transactions.get(application).copied()
    }

    /// Application versions whose name starts with `prefix`: the rest of the name, and the version.
    pub fn transactions_of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, i64)> {
        self.transactions
            .iter()
            .filter_map(move |(name, version)| Some((name.strip_prefix(prefix)?, *version)))
    }

    /// Rows that are there, when every file says so.
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|f| f.live_rows(&self.schema)).sum()
    }

    /// Bytes of its data files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// A table property, such as `sluice.definition`.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.metadata.configuration.get(name).map(String::as_str)
    }

    /// Which table this is: another one at the same place has another.
    pub fn id(&self) -> &str {
        &self.metadata.id
    }

    /// How the table takes changes. Others may remove rows however they like.
    pub fn kind(&self) -> TableKind {
        if self.store.is_foreign() {
            return TableKind::Maintained;
        }
        match self.property("delta.enableDeletionVectors") {
            Some("true") => TableKind::Maintained,
            _ => TableKind::AppendOnly,
        }
    }

    /// True when the table has exactly these columns, in this order, is parted so and takes changes so.
    pub fn fits(&self, definition: &TableDefinition) -> bool {
        self.schema.fields() == definition.schema.fields()
            && self.partition_columns == definition.partition_columns
            && self.kind() == definition.kind
    }

    /// The version in no other columns than these: what is stored beside them is not read.
    pub fn showing(self: &Arc<Self>, columns: &Schema) -> Arc<Self> {
        let fields = self.schema.fields().iter();
        let shown: Vec<_> =
            fields.filter(|field| columns.index_of(field.name()).is_ok()).map(Arc::clone).collect();
        if shown.len() == self.schema.fields().len() {
            return Arc::clone(self);
        }
        let schema = Schema::new_with_metadata(shown, self.schema.metadata().clone());
        Arc::new(Self { schema: Arc::new(schema), ..Self::clone(self) })
    }

    /// What the next version is, given its lines. Vectors of added files are attached by the caller.
    pub(super) fn next(
        &self,
        version: i64,
        lines: &[Line],
        added: Vec<Arc<DataFile>>,
    ) -> Result<Self, Error> {
        let mut replay = Replay {
            table: self.table.clone(),
            store: self.store.clone(),
            protocol: Some(Arc::clone(&self.protocol)),
            metadata: Some(Arc::clone(&self.metadata)),
            schema: Some(Arc::clone(&self.schema)),
            files: self.files.clone(),
            transactions: Arc::clone(&self.transactions),
        };
        replay.apply(lines, Some(added))?;
        replay.into_snapshot(version)
    }
}

/// Log lines, applied in order.
#[derive(Debug)]
pub(super) struct Replay {
    table: TableName,
    store: Store,
    protocol: Option<Arc<Protocol>>,
    metadata: Option<Arc<MetaData>>,
    schema: Option<SchemaRef>,
    pub(super) files: Vec<Arc<DataFile>>,
    transactions: Arc<BTreeMap<String, i64>>,
}

/// Reader features that this server has. Column mapping is one only while it is switched off.
const READER_FEATURES: [&str; 5] =
    ["columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"];
/// The newest version of the protocol's reading side.
const READER_VERSION_MAX: i32 = 3;
const COLUMN_MAPPING: &str = "delta.columnMapping.mode";

impl Replay {
    pub(super) fn new(table: &TableName, store: &Store) -> Self {
        Self {
            table: table.clone(),
            store: store.clone(),
            protocol: None,
            metadata: None,
            schema: None,
            files: Vec::new(),
            transactions: Arc::default(),
        }
    }

    /// Applies one commit. `added` replaces what its add lines would give (with vectors already attached).
    pub(super) fn apply(&mut self, lines: &[Line], added: Option<Vec<Arc<DataFile>>>) -> Result<(), Error> {
        // A file that gets another vector is removed and added under one path, so removes go first.
        let mut removed: HashSet<&str> =
            lines.iter().filter_map(|l| l.remove.as_ref()).map(|r| r.path.as_str()).collect();
        if self.store.is_foreign() {
            // Others also add a file again to say more about it.
            removed.extend(lines.iter().filter_map(|l| l.add.as_ref()).map(|a| a.path.as_str()));
        }
        if !removed.is_empty() {
            self.files.retain(|file| !removed.contains(file.path.as_str()));
        }
        match added {
            Some(added) => self.files.extend(added),
            None => self.files.extend(
                lines.iter().filter_map(|l| l.add.clone()).map(|add| Arc::new(DataFile::of_add(add))),
            ),
        }
        for line in lines {
            if let Some(txn) = &line.txn {
                Arc::make_mut(&mut self.transactions).insert(txn.app_id.clone(), txn.version);
            }
            if let Some(protocol) = &line.protocol {
                self.protocol = Some(Arc::new(protocol.clone()));
            }
            if let Some(metadata) = &line.meta_data {
                self.schema = Some(match self.store.is_foreign() {
                    true => super::foreign::arrow_schema(&self.table, &metadata.schema_string)?,
                    false => super::schema::arrow_schema(&self.table, &metadata.schema_string)?,
                });
                self.metadata = Some(Arc::new(metadata.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn into_snapshot(self, version: i64) -> Result<Snapshot, Error> {
        let missing = |what: &str| Error::Corrupt {
            table: self.table.clone(),
            file: "_delta_log".to_string(),
            reason: format!("no {what} action up to version {version}"),
        };
        let metadata = self.metadata.ok_or_else(|| missing("metaData"))?;
        let protocol = self.protocol.ok_or_else(|| missing("protocol"))?;
        if let Some(feature) = unknown_feature(&protocol, &metadata) {
            return Err(Error::Unsupported { table: self.table.clone(), feature });
        }
        Ok(Snapshot {
            version,
            schema: self.schema.ok_or_else(|| missing("metaData"))?,
            partition_columns: metadata.partition_columns.clone(),
            files: self.files,
            transactions: self.transactions,
            store: self.store,
            protocol,
            metadata,
            table: self.table,
        })
    }
}

/// What a reader of the table must know and this server does not.
fn unknown_feature(protocol: &Protocol, metadata: &MetaData) -> Option<String> {
    if let Some(mode) = metadata.configuration.get(COLUMN_MAPPING).filter(|mode| *mode != "none") {
        return Some(format!("columnMapping ({COLUMN_MAPPING} = '{mode}')"));
    }
    if protocol.min_reader_version > READER_VERSION_MAX {
        return Some(format!("reader version {}", protocol.min_reader_version));
    }
    let features = protocol.reader_features.iter().flatten();
    features.into_iter().find(|feature| !READER_FEATURES.contains(&feature.as_str())).cloned()
}
