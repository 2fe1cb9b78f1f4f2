//! Arrow schema ↔ Delta schema, and which protocol features a schema needs.

use super::action::{Format, MetaData, Protocol};
use super::{Error, TableName};
use crate::ops::clock;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::{TryFromArrow as _, TryIntoArrow as _};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a table takes changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Rows are only ever added: no deletion vectors, so that the oldest readers open it.
    AppendOnly,
    /// Rows come and go: deletes are deletion vectors.
    Maintained,
}

/// What a table is made of.
#[derive(Clone, Debug)]
pub struct TableDefinition {
    /// Its columns, in types that Delta holds.
    pub schema: SchemaRef,
    /// Columns kept in the log.
    pub partition_columns: Vec<String>,
    /// How it takes changes.
    pub kind: TableKind,
    /// Properties of our own, such as the definition's hash.
    pub properties: BTreeMap<String, String>,
}

impl TableDefinition {
    /// A table of these columns to which rows are only ever added, unpartitioned and without properties.
    pub fn append_only(schema: SchemaRef) -> Self {
        Self {
            schema,
            partition_columns: Vec::new(),
            kind: TableKind::AppendOnly,
            properties: BTreeMap::new(),
        }
    }
}

/// Reads a `schemaString`.
pub(super) fn arrow_schema(table: &TableName, text: &str) -> Result<SchemaRef, Error> {
    let corrupt = |reason: String| Error::Corrupt {
        table: table.clone(),
        file: "_delta_log (schemaString)".to_string(),
        reason,
    };
    let schema: StructType = serde_json::from_str(text).map_err(|e| corrupt(e.to_string()))?;
    let schema: Schema = (&schema).try_into_arrow().map_err(|e| corrupt(e.to_string()))?;
    Ok(Arc::new(schema))
}

/// The metaData action of a definition; `id` is kept when a table's definition changes.
pub(super) fn metadata(
    table: &TableName,
    definition: &TableDefinition,
    id: Option<String>,
) -> Result<MetaData, Error> {
    let refuse = |reason: String| Error::Schema { table: table.clone(), reason };
    let schema = StructType::try_from_arrow(definition.schema.as_ref()).map_err(|e| refuse(e.to_string()))?;
    let mut configuration = definition.properties.clone();
    // Our own upkeep decides what is kept; other engines' defaults must not delete what an epoch still names.
    configuration.insert("delta.enableExpiredLogCleanup".to_string(), "false".to_string());
    match definition.kind {
        TableKind::AppendOnly => {}
        TableKind::Maintained => {
            configuration.insert("delta.enableDeletionVectors".to_string(), "true".to_string());
        }
    }
    Ok(MetaData {
        id: id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        format: Format { provider: "parquet".to_string(), options: BTreeMap::new() },
        schema_string: serde_json::to_string(&schema).map_err(|e| refuse(e.to_string()))?,
        partition_columns: definition.partition_columns.clone(),
        configuration,
        created_time: Some(clock::now_ms()),
    })
}

/// The lowest protocol that the definition needs.
pub(super) fn protocol(definition: &TableDefinition) -> Protocol {
    let mut reader_features = Vec::new();
    if definition.kind == TableKind::Maintained {
        reader_features.push("deletionVectors".to_string());
    }
    if definition.schema.fields().iter().any(|f| has_zoneless_timestamp(f.data_type())) {
        reader_features.push("timestampNtz".to_string());
    }
    if reader_features.is_empty() {
        return Protocol {
            min_reader_version: 1,
            min_writer_version: 2,
            reader_features: None,
            writer_features: None,
        };
    }
    let mut writer_features = vec!["appendOnly".to_string(), "invariants".to_string()];
    writer_features.extend(reader_features.iter().cloned());
    Protocol {
        min_reader_version: 3,
        min_writer_version: 7,
        reader_features: Some(reader_features),
        writer_features: Some(writer_features),
    }
}

/// What a table needs that has been what `old` says and becomes what `new` says: a feature once used stays, since
/// older versions, which stay readable, use it.
pub(super) fn joined(old: &Protocol, new: Protocol) -> Protocol {
    let features = |old: &Option<Vec<String>>, new: Option<Vec<String>>| {
        let mut all: Vec<String> = old.clone().unwrap_or_default();
        let more: Vec<String> = new.into_iter().flatten().filter(|f| !all.contains(f)).collect();
        all.extend(more);
        (!all.is_empty()).then_some(all)
    };
    Protocol {
        min_reader_version: old.min_reader_version.max(new.min_reader_version),
        min_writer_version: old.min_writer_version.max(new.min_writer_version),
        reader_features: features(&old.reader_features, new.reader_features),
        writer_features: features(&old.writer_features, new.writer_features),
    }
}

fn has_zoneless_timestamp(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) | DataType::Map(f, _) => {
            has_zoneless_timestamp(f.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|f| has_zoneless_timestamp(f.data_type())),
        _ => false,
    }
}

/// The columns with the types that queries work on: views of strings and binaries, which move without copying.
pub fn query_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            other => other.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
