//! What can go wrong in the lake, named by table and file.

use super::TableName;
use arrow::datatypes::DataType;
use std::io;
use std::path::PathBuf;

/// A lake error. Its `Display` leaves the cause to [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `read`, `sync` ...
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A file of the log or of the data does not hold what it must.
    #[error("table {table}: {file} is damaged: {reason}")]
    Corrupt {
        /// The table.
        table: TableName,
        /// The file, relative to the table.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The table uses a feature of the Delta protocol that this server does not.
    #[error("table {table} needs Delta feature {feature}, which this server does not have")]
    Unsupported {
        /// The table.
        table: TableName,
        /// The feature's name.
        feature: String,
    },
    /// There is no table where one should be.
    #[error("table {table}: there is no Delta table at {}", path.display())]
    Missing {
        /// The table.
        table: TableName,
        /// The folder.
        path: PathBuf,
    },
    /// Something was to be written where others write.
    #[error("{} belongs to another writer and is only read", path.display())]
    ReadOnly {
        /// What was to be written.
        path: PathBuf,
    },
    /// Someone else committed what makes this commit wrong.
    #[error("table {table}: version {version} was committed by another writer and conflicts")]
    Conflict {
        /// The table.
        table: TableName,
        /// The other's version.
        version: i64,
    },
    /// A version that is no longer kept.
    #[error("table {table}: version {version} is no longer kept")]
    Gone {
        /// The table.
        table: TableName,
        /// The version asked for.
        version: i64,
    },
    /// The new definition does not fit the stored table.
    #[error("table {table}: {reason}")]
    Schema {
        /// The table.
        table: TableName,
        /// Which column, and why.
        reason: String,
    },
    /// A column's new type does not hold all that its stored one does.
    #[error("table {table}: column \"{column}\" is stored as {stored} and now defined as {defined}")]
    Retyped {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its type in the table.
        stored: Box<DataType>,
        /// Its type in the definition.
        defined: Box<DataType>,
    },
    /// Parquet could not be written or read.
    #[error("table {table}: parquet")]
    Parquet {
        /// The table.
        table: TableName,
        /// The cause.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Arrow refused.
    #[error("table {table}: arrow")]
    Arrow {
        /// The table.
        table: TableName,
        /// The cause.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Another process serves this warehouse.
    #[error("{} is in use by another sluice process", path.display())]
    Locked {
        /// The root.
        path: PathBuf,
    },
    /// A background thread died.
    #[error("table {table}: background work was stopped")]
    Stopped {
        /// The table.
        table: TableName,
    },
}

/// Writes an error with all its causes, for logs and system tables.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
