//! Reading a table's log, and writing checkpoints.
//!
//! A checkpoint's columns mirror the JSON actions, so both directions go through arrow-json: actions → JSON → columns
//! and back. Checkpoints are classic single files (`<version>.checkpoint.parquet`), which every reader knows.

use super::action::{Line, Remove, Sidecar, Txn, parse_commit};
use super::snapshot::{DataFile, Replay, Snapshot};
use super::store::Store;
use super::table::Tombstone;
use super::{Error, TableName, foreign, vector};
use crate::ops::failpoint::{self, Point};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::json::{LineDelimitedWriter, ReaderBuilder};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The log's folder.
pub(super) const FOLDER: &str = "_delta_log";

/// Where a commit stands.
pub(super) fn commit_path(version: i64) -> String {
    format!("{FOLDER}/{version:020}.json")
}

pub(super) fn checkpoint_path(version: i64) -> String {
    format!("{FOLDER}/{version:020}.checkpoint.parquet")
}

/// What the folder holds, by version, ascending.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) commits: Vec<i64>,
    pub(super) checkpoints: Vec<i64>,
    /// The files of each checkpoint.
    parts: BTreeMap<i64, Vec<String>>,
}

/// Lists the log.
pub(super) fn list(store: &Store) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    let mut checkpoints: BTreeMap<i64, Vec<(String, String)>> = BTreeMap::new();
    for name in store.list(FOLDER)? {
        let Some((stem, suffix)) = name.split_once('.') else { continue };
        let Ok(version) = stem.parse::<i64>() else { continue };
        match (suffix, suffix.strip_prefix("checkpoint.")) {
            ("json", _) => listing.commits.push(version),
            (_, Some(rest)) => checkpoints.entry(version).or_default().push((rest.to_string(), name)),
            _ => {}
        }
    }
    for (version, files) in checkpoints {
        if let Some(parts) = foreign::whole_checkpoint(&files) {
            listing.checkpoints.push(version);
            listing.parts.insert(version, parts);
        }
    }
    Ok(listing)
}

/// A table as its log tells it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) snapshot: Snapshot,
    /// Removed files that may still be on disk.
    pub(super) tombstones: HashMap<String, Tombstone>,
}

/// Reads the newest version, or version `at`. `None` when there is no table.
pub(super) fn load(store: &Store, table: &TableName, at: Option<i64>) -> Result<Option<Loaded>, Error> {
    let listing = list(store)?;
    let limit = at.unwrap_or(i64::MAX);
    let checkpoint = listing.checkpoints.iter().copied().rfind(|v| *v <= limit);
    let newest = listing.commits.iter().copied().chain(checkpoint).filter(|v| *v <= limit).max();
    let Some(newest) = newest else {
        return match at {
            Some(version) if !listing.commits.is_empty() => {
                Err(Error::Gone { table: table.clone(), version })
            }
            _ => Ok(None),
        };
    };
    if at.is_some_and(|version| version != newest) {
        return Err(Error::Gone { table: table.clone(), version: limit });
    }
    let mut replay = Replay::new(table, store);
    let mut tombstones = HashMap::new();
    let mut note = |lines: &[Line], version: i64| {
        for remove in lines.iter().filter_map(|l| l.remove.as_ref()) {
            bury(&mut tombstones, remove, version);
        }
        for add in lines.iter().filter_map(|l| l.add.as_ref()) {
            tombstones.remove(&add.path);
        }
    };
    if let Some(version) = checkpoint {
        let lines = read_checkpoint(store, table, &listing.parts[&version])?;
        note(&lines, version);
        replay.apply(&lines, None)?;
    }
    for version in checkpoint.map_or(0, |v| v + 1)..=newest {
        let lines = read_commit(store, table, version)?
            .ok_or_else(|| Error::Gone { table: table.clone(), version })?;
        note(&lines, version);
        replay.apply(&lines, None)?;
    }
    for file in &mut replay.files {
        attach_vector(store, table, file)?;
        foreign::count_rows(store, table, file)?;
    }
    Ok(Some(Loaded { snapshot: replay.into_snapshot(newest)?, tombstones }))
}

/// Notes what a remove leaves on disk: the file, and its deletion vector's.
pub(super) fn bury(tombstones: &mut HashMap<String, Tombstone>, remove: &Remove, version: i64) {
    let tombstone = Tombstone { removed_ms: remove.deletion_timestamp.unwrap_or_default(), version };
    if let Some(vector) = remove.deletion_vector.as_ref().and_then(vector::file_of) {
        tombstones.insert(vector, tombstone);
    }
    tombstones.insert(remove.path.clone(), tombstone);
}

/// Reads a file's deletion vector, if it has one.
pub(super) fn attach_vector(store: &Store, table: &TableName, file: &mut Arc<DataFile>) -> Result<(), Error> {
    let Some(descriptor) = &file.descriptor else { return Ok(()) };
    if file.deletion_vector.is_none() {
        let vector = vector::read(store, table, descriptor)?;
        *file = Arc::new(file.with_vector(vector));
    }
    Ok(())
}

/// Reads one commit; `None` when it is not there.
pub(super) fn read_commit(
    store: &Store,
    table: &TableName,
    version: i64,
) -> Result<Option<Vec<Line>>, Error> {
    let path = commit_path(version);
    let Some(bytes) = store.read(&path)? else { return Ok(None) };
    // A commit says something: one of others that is empty is still being written.
    if bytes.is_empty() && store.is_foreign() {
        return Ok(None);
    }
    let corrupt = |reason| Error::Corrupt { table: table.clone(), file: path, reason };
    let lines = parse_commit(&bytes).map_err(corrupt)?;
    if store.is_foreign() { foreign::localise(table, lines).map(Some) } else { Ok(Some(lines)) }
}

/// The files that a commit's lines add, with their vectors.
pub(super) fn added_files(
    store: &Store,
    table: &TableName,
    lines: &[Line],
) -> Result<Vec<Arc<DataFile>>, Error> {
    let added = lines.iter().filter_map(|line| line.add.clone());
    let mut added: Vec<Arc<DataFile>> = added.map(|add| Arc::new(DataFile::of_add(add))).collect();
    for file in &mut added {
        attach_vector(store, table, file)?;
        foreign::count_rows(store, table, file)?;
    }
    Ok(added)
}

/// Writes a checkpoint of a version and the hint that points to it.
pub(super) fn write_checkpoint(
    store: &Store,
    snapshot: &Snapshot,
    tombstones: &HashMap<String, i64>,
) -> Result<(), Error> {
    let mut lines = vec![
        Line { protocol: Some(snapshot.protocol.as_ref().clone()), ..Line::default() },
        Line { meta_data: Some(snapshot.metadata.as_ref().clone()), ..Line::default() },
    ];
    lines.extend(snapshot.transactions.iter().map(|(app_id, version)| Line {
        txn: Some(Txn { app_id: app_id.clone(), version: *version, last_updated: None }),
        ..Line::default()
    }));
    lines.extend(snapshot.files.iter().map(|f| Line { add: Some(f.to_add(false)), ..Line::default() }));
    lines.extend(tombstones.iter().map(|(path, at)| Line {
        remove: Some(Remove {
            path: path.clone(),
            deletion_timestamp: Some(*at),
            data_change: false,
            extended_file_metadata: None,
            partition_values: None,
            size: None,
            deletion_vector: None,
        }),
        ..Line::default()
    }));
    let table = &snapshot.table;
    let path = checkpoint_path(snapshot.version);
    let arrow = |source| Error::Arrow { table: table.clone(), source };
    let schema = Arc::new(checkpoint_schema());
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema))
        .with_batch_size(lines.len().max(1))
        .build_decoder()
        .map_err(arrow)?;
    decoder.serialize(&lines).map_err(arrow)?;
    let parquet = |source| Error::Parquet { table: table.clone(), source };
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).map_err(parquet)?;
    if let Some(batch) = decoder.flush().map_err(arrow)? {
        writer.write(&batch).map_err(parquet)?;
    }
    writer.close().map_err(parquet)?;
    // Written beside and renamed, so that a crash never leaves half a checkpoint under its name.
    store.replace(&path, &bytes)?;
    failpoint::pass(Point::CheckpointWritten, || table.to_string());
    let hint = serde_json::json!({"version": snapshot.version, "size": lines.len()}).to_string();
    store.replace(&format!("{FOLDER}/_last_checkpoint"), hint.as_bytes())
}

/// The lines of a checkpoint's files, and of those that they name.
fn read_checkpoint(store: &Store, table: &TableName, files: &[String]) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for file in files {
        lines.extend(read_checkpoint_file(store, table, &format!("{FOLDER}/{file}"))?);
    }
    let sidecars: Vec<Sidecar> = lines.iter().filter_map(|line| line.sidecar.clone()).collect();
    for sidecar in sidecars {
        lines.extend(read_checkpoint_file(store, table, &format!("{FOLDER}/_sidecars/{}", sidecar.path))?);
    }
    if store.is_foreign() { foreign::localise(table, lines) } else { Ok(lines) }
}

fn read_checkpoint_file(store: &Store, table: &TableName, path: &str) -> Result<Vec<Line>, Error> {
    let corrupt = |reason: String| Error::Corrupt { table: table.clone(), file: path.to_string(), reason };
    let bytes = store.read(path)?.ok_or_else(|| corrupt("the file is missing".to_string()))?;
    if path.ends_with(".json") {
        return parse_commit(&bytes).map_err(corrupt);
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes));
    let builder = builder.map_err(|e| corrupt(e.to_string()))?;
    // What others repeat in typed columns stands in the text, too.
    let columns = builder.parquet_schema().columns().iter().enumerate();
    let told = columns.filter(|(_, column)| {
        !column
            .path()
            .parts()
            .iter()
            .any(|part| ["stats_parsed", "partitionValues_parsed"].contains(&part.as_str()))
    });
    let told: Vec<usize> = told.map(|(at, _)| at).collect();
    let mask = ProjectionMask::leaves(builder.parquet_schema(), told);
    let reader = builder.with_projection(mask).build().map_err(|e| corrupt(e.to_string()))?;
    let mut json = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut json);
    for batch in reader {
        let batch = batch.map_err(|e| corrupt(e.to_string()))?;
        writer.write(&batch).map_err(|e| corrupt(e.to_string()))?;
    }
    writer.finish().map_err(|e| corrupt(e.to_string()))?;
    drop(writer);
    parse_commit(&json).map_err(corrupt)
}

/// The columns of a classic checkpoint.
fn checkpoint_schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let map = |name: &str| {
        let entry = Fields::from(vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("value", DataType::Utf8, true),
        ]);
        let entries = Arc::new(Field::new("key_value", DataType::Struct(entry), false));
        Field::new(name, DataType::Map(entries, false), true)
    };
    let list = |name: &str| {
        Field::new(name, DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))), true)
    };
    let group = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    let vector = || {
        group(
            "deletionVector",
            vec![
                text("storageType"),
                text("pathOrInlineDv"),
                int("offset"),
                int("sizeInBytes"),
                long("cardinality"),
            ],
        )
    };
    Schema::new(vec![
        group("txn", vec![text("appId"), long("version"), long("lastUpdated")]),
        group(
            "add",
            vec![
                text("path"),
                map("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                text("stats"),
                map("tags"),
                vector(),
            ],
        ),
        group(
            "remove",
            vec![
                text("path"),
                long("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                map("partitionValues"),
                long("size"),
                vector(),
            ],
        ),
        group(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                group("format", vec![text("provider"), map("options")]),
                text("schemaString"),
                list("partitionColumns"),
                map("configuration"),
                long("createdTime"),
            ],
        ),
        group(
            "protocol",
            vec![
                int("minReaderVersion"),
                int("minWriterVersion"),
                list("readerFeatures"),
                list("writerFeatures"),
            ],
        ),
    ])
}
