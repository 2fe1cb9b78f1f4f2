//! A Delta table as another engine would write it, made by hand: parquet files and a log of JSON lines.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use roaring::RoaringTreemap;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A row: `id`, `region`, `amount`.
pub type Row = (i64, &'static str, i64);

/// The columns of [`Row`], as a `schemaString` has them.
pub const COLUMNS: [(&str, &str); 3] = [("id", "long"), ("region", "string"), ("amount", "long")];

/// A table that the test writes and the server reads.
pub struct DeltaTable {
    folder: PathBuf,
    next: i64,
    metadata: Value,
    /// What the test has written, by path, with its bytes.
    written: BTreeMap<PathBuf, Vec<u8>>,
}

impl DeltaTable {
    /// Makes a table of these columns, protocol and properties: version 0.
    pub fn create(folder: &Path, columns: &[(&str, &str)], properties: &Value) -> Self {
        let metadata = metadata(columns, &[], properties);
        let (folder, written) = (folder.to_path_buf(), BTreeMap::new());
        let mut table = Self { folder, next: 0, metadata: metadata.clone(), written };
        table.commit(&[protocol(&["deletionVectors"]), metadata]);
        table
    }

    /// A table of [`Row`]s.
    pub fn of_rows(folder: &Path) -> Self {
        Self::create(folder, &COLUMNS, &json!({}))
    }

    /// The `metaData` line.
    pub fn metadata(&self) -> Value {
        self.metadata.clone()
    }

    /// The `metaData` line of the same table with other columns.
    pub fn metadata_of(&self, columns: &[(&str, &str)]) -> Value {
        let mut metadata = metadata(columns, &[], &json!({}));
        metadata["metaData"]["id"] = self.metadata["metaData"]["id"].clone();
        metadata
    }

    /// The newest version.
    pub fn version(&self) -> i64 {
        self.next - 1
    }

    /// Writes a data file; gives its `add` line.
    pub fn file(&mut self, rows: &[Row]) -> Value {
        self.file_of(&rows_of(rows), "", json!({}))
    }

    /// Writes a data file of any columns under `prefix`, in a partition; gives its `add` line, with no statistics.
    pub fn file_of(&mut self, batch: &RecordBatch, prefix: &str, partition: Value) -> Value {
        self.raw_file(&parquet_of(batch), prefix, partition)
    }

    /// As [`DeltaTable::file_of`], of a file that was made elsewhere.
    pub fn raw_file(&mut self, bytes: &[u8], prefix: &str, partition: Value) -> Value {
        let path = format!("{prefix}part-{}.parquet", uuid::Uuid::new_v4());
        let size = bytes.len();
        self.put(&path, bytes);
        // As the protocol asks: escaped as in a URL.
        let path = path.replace('%', "%25").replace(' ', "%20");
        json!({"add": {"path": path, "partitionValues": partition, "size": size, "modificationTime": now_ms(),
            "dataChange": true}})
    }

    /// Writes a file of change data; gives its `cdc` line.
    pub fn change_file(&mut self, rows: &[(Row, &'static str)]) -> Value {
        let plain: Vec<Row> = rows.iter().map(|(row, _)| *row).collect();
        let mut columns: Vec<(String, ArrayRef)> = named(&rows_of(&plain));
        let kinds: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, kind)| *kind)));
        columns.push(("_change_type".to_string(), kinds));
        let path = format!("_change_data/cdc-{}.parquet", uuid::Uuid::new_v4());
        let bytes = parquet_of(&RecordBatch::try_from_iter(columns).unwrap());
        self.put(&path, &bytes);
        json!({"cdc": {"path": path, "partitionValues": {}, "size": bytes.len(), "dataChange": false}})
    }

    /// Appends rows as the next version.
    pub fn append(&mut self, rows: &[Row]) -> Value {
        let add = self.file(rows);
        self.commit(std::slice::from_ref(&add));
        add
    }

    /// An `add` line whose vector, in a file of its own, hides these rows; the file needs a count of its rows.
    pub fn with_vector(&mut self, add: &Value, physical: u64, hidden: &[u64]) -> Value {
        let id = uuid::Uuid::new_v4();
        let body = vector_body(hidden);
        let mut bytes = vec![1u8];
        bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(&body);
        bytes.extend(crc32fast::hash(&body).to_be_bytes());
        self.put(&format!("deletion_vector_{id}.bin"), &bytes);
        let vector = json!({"storageType": "u", "pathOrInlineDv": z85::encode(id.as_bytes()), "offset": 1,
            "sizeInBytes": body.len(), "cardinality": hidden.len()});
        revised(add, &vector, physical)
    }

    /// Commits lines as the next version, renamed in whole.
    pub fn commit(&mut self, lines: &[Value]) {
        let info =
            json!({"commitInfo": {"timestamp": now_ms(), "operation": "WRITE", "operationParameters": {}}});
        let text: String = std::iter::once(&info).chain(lines).map(|line| format!("{line}\n")).collect();
        self.commit_text(&text);
    }

    /// Commits a text as the next version.
    pub fn commit_text(&mut self, text: &str) {
        self.put(&commit_path(self.next), text.as_bytes());
        self.next += 1;
    }

    /// Puts another text where the newest version is.
    pub fn mend(&mut self, lines: &[Value]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.put(&commit_path(self.next - 1), text.as_bytes());
    }

    /// Writes the newest version's checkpoint of these lines, in so many parts.
    pub fn checkpoint(&mut self, lines: &[Value], parts: usize) {
        let version = self.version();
        for (number, part) in lines.chunks(lines.len().div_ceil(parts)).enumerate() {
            let name = match parts {
                1 => format!("{version:020}.checkpoint.parquet"),
                _ => format!("{version:020}.checkpoint.{:010}.{parts:010}.parquet", number + 1),
            };
            self.put(&format!("_delta_log/{name}"), &parquet_of(&checkpoint_rows(part)));
        }
    }

    /// Writes the newest version's checkpoint as one file of lines that names another with the `add` lines.
    pub fn checkpoint_with_sidecar(&mut self, lines: &[Value], adds: &[Value]) {
        let sidecar = format!("{}.parquet", uuid::Uuid::new_v4());
        self.put(&format!("_delta_log/_sidecars/{sidecar}"), &parquet_of(&checkpoint_rows(adds)));
        let named = json!({"sidecar": {"path": sidecar, "sizeInBytes": 1, "modificationTime": now_ms()}});
        let text: String = lines.iter().chain([&named]).map(|line| format!("{line}\n")).collect();
        let name = format!("{:020}.checkpoint.{}.json", self.version(), uuid::Uuid::new_v4());
        self.put(&format!("_delta_log/{name}"), text.as_bytes());
    }

    /// Deletes the log below the newest version and that version's own commit, as a cleanup after a checkpoint may.
    pub fn clean_log(&mut self) {
        for version in 0..self.next {
            self.delete(&commit_path(version));
        }
    }

    /// Deletes the file of an `add` or `cdc` line, as VACUUM does.
    pub fn vacuum(&mut self, line: &Value) {
        let action = line.as_object().unwrap().values().next().unwrap();
        self.delete(action["path"].as_str().unwrap());
    }

    /// Deletes all of it.
    pub fn drop_table(self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Panics when anyone but the test has written, changed or deleted a file of the folder.
    pub fn assert_only_read(&self) {
        let mut found = BTreeMap::new();
        let mut open = vec![self.folder.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => open.push(path),
                    false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
                }
            }
        }
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&self.written), "the folder of others has other files");
        assert!(found == self.written, "a file of others has changed");
    }

    fn put(&mut self, path: &str, bytes: &[u8]) {
        let to = self.folder.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let staged = self.folder.with_extension(format!("staged-{}", uuid::Uuid::new_v4()));
        fs::write(&staged, bytes).unwrap();
        fs::rename(&staged, &to).unwrap();
        self.written.insert(to, bytes.to_vec());
    }

    fn delete(&mut self, path: &str) {
        let path = self.folder.join(path);
        if self.written.remove(&path).is_some() {
            fs::remove_file(&path).unwrap();
        }
    }
}

/// A `protocol` line with these features.
pub fn protocol(features: &[&str]) -> Value {
    json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features,
        "writerFeatures": features}})
}

/// A `metaData` line of a table with an id of its own.
pub fn metadata(columns: &[(&str, &str)], partitions: &[&str], properties: &Value) -> Value {
    let fields: Vec<Value> = columns
        .iter()
        .map(|(name, data_type)| {
            let data_type: Value = serde_json::from_str(data_type).unwrap_or_else(|_| json!(data_type));
            json!({"name": name, "type": data_type, "nullable": true, "metadata": {"comment": "as others have it"}})
        })
        .collect();
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    json!({"metaData": {"id": uuid::Uuid::new_v4().to_string(), "format": {"provider": "parquet", "options": {}},
        "schemaString": schema, "partitionColumns": partitions, "configuration": properties,
        "createdTime": now_ms()}})
}

/// The `remove` line of an `add` line.
pub fn removed(add: &Value) -> Value {
    let add = &add["add"];
    json!({"remove": {"path": add["path"], "deletionTimestamp": now_ms(), "dataChange": add["dataChange"],
        "extendedFileMetadata": true, "partitionValues": add["partitionValues"], "size": add["size"],
        "deletionVector": add["deletionVector"]}})
}

/// The line of an action that only moves rows.
pub fn moving(line: &Value) -> Value {
    let mut line = line.clone();
    line.as_object_mut().unwrap().values_mut().for_each(|action| action["dataChange"] = json!(false));
    line
}

/// An `add` line whose vector, in the log itself, hides these rows.
pub fn with_inline_vector(add: &Value, physical: u64, hidden: &[u64]) -> Value {
    let mut body = vector_body(hidden);
    let size = body.len();
    body.resize(size.next_multiple_of(4), 0);
    let vector = json!({"storageType": "i", "pathOrInlineDv": z85::encode(&body), "sizeInBytes": size,
        "cardinality": hidden.len()});
    revised(add, &vector, physical)
}

fn revised(add: &Value, vector: &Value, physical: u64) -> Value {
    let mut add = add.clone();
    add["add"]["deletionVector"] = vector.clone();
    add["add"]["stats"] = json!(json!({"numRecords": physical}).to_string());
    add
}

fn vector_body(hidden: &[u64]) -> Vec<u8> {
    let mut body = 1_681_511_377u32.to_le_bytes().to_vec();
    hidden.iter().copied().collect::<RoaringTreemap>().serialize_into(&mut body).unwrap();
    body
}

fn rows_of(rows: &[Row]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
    let regions: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
    let amounts: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)));
    RecordBatch::try_from_iter([("id", ids), ("region", regions), ("amount", amounts)]).unwrap()
}

fn named(batch: &RecordBatch) -> Vec<(String, ArrayRef)> {
    let names = batch.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    names.into_iter().zip(batch.columns().iter().cloned()).collect()
}

/// The lines as a checkpoint has them: a column for each kind of action.
fn checkpoint_rows(lines: &[Value]) -> RecordBatch {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let reader =
        arrow::json::ReaderBuilder::new(Arc::new(checkpoint_columns())).build(text.as_bytes()).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn checkpoint_columns() -> Schema {
    use DataType::{Boolean, Int32, Int64, Utf8};
    let field = |name: &str, data_type: DataType| Field::new(name, data_type, true);
    let group = |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    let list = |name: &str| Field::new_list(name, Field::new("element", Utf8, true), true);
    let map = |name: &str| {
        let (key, value) = (Field::new("key", Utf8, false), Field::new("value", Utf8, true));
        Field::new_map(name, "key_value", key, value, false, true)
    };
    let vector = vec![
        field("storageType", Utf8),
        field("pathOrInlineDv", Utf8),
        field("offset", Int32),
        field("sizeInBytes", Int32),
        field("cardinality", Int64),
    ];
    let add = vec![
        field("path", Utf8),
        map("partitionValues"),
        field("size", Int64),
        field("modificationTime", Int64),
        field("dataChange", Boolean),
        field("stats", Utf8),
        group("deletionVector", vector),
        // What Spark writes beside the text.
        group("stats_parsed", vec![field("numRecords", Int64)]),
    ];
    let metadata = vec![
        field("id", Utf8),
        group("format", vec![field("provider", Utf8), map("options")]),
        field("schemaString", Utf8),
        list("partitionColumns"),
        map("configuration"),
        field("createdTime", Int64),
    ];
    let protocol = vec![
        field("minReaderVersion", Int32),
        field("minWriterVersion", Int32),
        list("readerFeatures"),
        list("writerFeatures"),
    ];
    Schema::new(vec![group("add", add), group("metaData", metadata), group("protocol", protocol)])
}

fn parquet_of(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn commit_path(version: i64) -> String {
    format!("_delta_log/{version:020}.json")
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}
