//! What clients ask about the warehouse rather than of its data: catalogs, schemas, tables, keys, types, abilities.
//!
//! Comes in: a Flight SQL metadata command and the newest cut. Goes out: one batch in the shape that the specification
//! gives. Names are filtered with SQL LIKE patterns.

use super::outgoing::plain_schema;
use crate::catalog::cut::{Cut, CutTable, RelationKind};
use crate::engine::DATABASE;
use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTableTypes, CommandGetTables,
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedTransaction,
    XdbcDataType,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The catalogs: one, the database.
pub(super) fn catalogs(command: CommandGetCatalogs) -> Result<RecordBatch, FlightError> {
    let mut builder = command.into_builder();
    builder.append(DATABASE);
    builder.build()
}

/// The schemas of a cut.
pub(super) fn schemas(command: CommandGetDbSchemas, cut: &Cut) -> Result<RecordBatch, FlightError> {
    let mut builder = command.into_builder();
    let names: BTreeSet<&str> = cut.tables.keys().map(|name| name.schema.as_str()).collect();
    for name in names {
        builder.append(DATABASE, name);
    }
    builder.build()
}

/// The tables of a cut, with their columns if asked for.
pub(super) fn tables(command: CommandGetTables, cut: &Cut) -> Result<RecordBatch, FlightError> {
    let mut builder = command.into_builder();
    for (name, table) in &cut.tables {
        let kind = table_type(table.relation.kind);
        builder.append(DATABASE, &name.schema, &name.name, kind, &described(table))?;
    }
    builder.build()
}

/// The types of tables that there are.
pub(super) fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch, FlightError> {
    let mut builder = command.into_builder();
    for name in ["MATERIALIZED VIEW", "SYSTEM TABLE", "TABLE", "VIEW"] {
        builder.append(name);
    }
    builder.build()
}

/// A table's declared key; nothing for a table without one.
pub(super) fn primary_keys(command: &CommandGetPrimaryKeys, cut: &Cut) -> Result<RecordBatch, ArrowError> {
    let asked = |filter: &Option<String>, name: &str| filter.as_ref().is_none_or(|wanted| wanted == name);
    let mut rows: Vec<(&str, &str, &str, String, i32)> = Vec::new();
    for (name, table) in &cut.tables {
        let wanted = name.name == command.table
            && asked(&command.db_schema, &name.schema)
            && asked(&command.catalog, DATABASE);
        if !wanted {
            continue;
        }
        for (column, place) in table.relation.primary_key.iter().zip(1..) {
            rows.push((&name.schema, &name.name, column, format!("{}_pkey", name.name), place));
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![DATABASE; rows.len()])),
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.2)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| Some(row.3.as_str())).collect::<StringArray>()),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.4))),
    ];
    RecordBatch::try_new(primary_keys_schema(), columns)
}

/// The shape of [`primary_keys`].
pub(super) fn primary_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// What the server is and can do.
pub(super) fn sql_info() -> Result<SqlInfoData, FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Sluice");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    // SQL only reads; bulk ingest appends to sources.
    info.append(SqlInfo::FlightSqlServerReadOnly, false);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, 0i32);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0i32);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, true);
    // Unquoted names are folded to lower case; there is no word for quoted ones being kept as they are.
    info.append(SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlCatalogTerm, "database");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.append(SqlInfo::SqlTransactionsSupported, false);
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    info.build()
}

/// The SQL types that columns have.
pub(super) fn xdbc_types() -> Result<XdbcTypeInfoData, FlightError> {
    use XdbcDataType as T;
    // Name, code, size in digits or characters, quoted as a literal, radix.
    let types: [(&str, T, Option<i32>, bool, Option<i32>); 12] = [
        ("boolean", T::XdbcBit, Some(1), false, None),
        ("smallint", T::XdbcSmallint, Some(16), false, Some(2)),
        ("integer", T::XdbcInteger, Some(32), false, Some(2)),
        ("bigint", T::XdbcBigint, Some(64), false, Some(2)),
        ("real", T::XdbcReal, Some(24), false, Some(2)),
        ("double precision", T::XdbcDouble, Some(53), false, Some(2)),
        ("numeric", T::XdbcDecimal, Some(38), false, Some(10)),
        ("text", T::XdbcVarchar, None, true, None),
        ("bytea", T::XdbcVarbinary, None, true, None),
        ("date", T::XdbcDate, Some(10), true, None),
        ("time", T::XdbcTime, Some(15), true, None),
        ("timestamp", T::XdbcTimestamp, Some(26), true, None),
    ];
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for (name, code, size, quoted, radix) in types {
        let numeric = name == "numeric";
        builder.append(XdbcTypeInfo {
            type_name: name.to_string(),
            data_type: code,
            column_size: size,
            literal_prefix: quoted.then(|| "'".to_string()),
            literal_suffix: quoted.then(|| "'".to_string()),
            create_params: numeric.then(|| vec!["precision".to_string(), "scale".to_string()]),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: name == "text",
            searchable: Searchable::Full,
            unsigned_attribute: radix.map(|_| false),
            fixed_prec_scale: false,
            auto_increment: Some(false),
            local_type_name: Some(name.to_string()),
            minimum_scale: numeric.then_some(0),
            maximum_scale: numeric.then_some(38),
            sql_data_type: code,
            datetime_subcode: None,
            num_prec_radix: radix,
            interval_precision: None,
        });
    }
    builder.build()
}

fn table_type(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Source | RelationKind::Foreign | RelationKind::StreamingTable => "TABLE",
        RelationKind::MaterializedView => "MATERIALIZED VIEW",
        RelationKind::View => "VIEW",
        RelationKind::System => "SYSTEM TABLE",
    }
}

/// A table's columns as its queries return them, with what the specification lets a server add.
fn described(table: &CutTable) -> Schema {
    let relation = &table.relation;
    let schema = plain_schema(&relation.schema);
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .zip(relation.schema.fields())
        .map(|(field, declared)| {
            let mut metadata = field.metadata().clone();
            metadata.extend([
                ("ARROW:FLIGHT:SQL:CATALOG_NAME".to_string(), DATABASE.to_string()),
                ("ARROW:FLIGHT:SQL:SCHEMA_NAME".to_string(), relation.name.schema.clone()),
                ("ARROW:FLIGHT:SQL:TABLE_NAME".to_string(), relation.name.name.clone()),
                ("ARROW:FLIGHT:SQL:IS_READ_ONLY".to_string(), "1".to_string()),
            ]);
            if let Some(comment) = relation.column_comments.get(field.name()) {
                metadata.insert("ARROW:FLIGHT:SQL:REMARKS".to_string(), comment.clone());
            }
            field.as_ref().clone().with_nullable(declared.is_nullable()).with_metadata(metadata)
        })
        .collect();
    Schema::new(fields)
}
