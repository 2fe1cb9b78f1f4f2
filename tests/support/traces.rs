//! Looking for somebody in a folder: in the bytes of every file, and in the values of every parquet file, which may be
//! stored compressed or in parts.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The files below a folder that hold a text, and how many were looked at.
pub fn traces(folder: &Path, text: &str) -> (Vec<PathBuf>, usize) {
    let mut found = Vec::new();
    let mut looked_at = 0;
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
                continue;
            }
            // Files that the server is done with may go while they are looked at.
            let Ok(bytes) = fs::read(&path) else { continue };
            looked_at += 1;
            let hex = text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
            let is_parquet = path.extension().is_some_and(|extension| extension == "parquet");
            let holds = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
            if holds(text) || holds(&hex) || is_parquet && values_hold(&path, text) {
                found.push(path);
            }
        }
    }
    (found, looked_at)
}

fn values_hold(path: &Path, text: &str) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // A server that was killed leaves files that it had not finished: nobody can read values of these.
    let Ok(reader) = ParquetRecordBatchReaderBuilder::try_new(file) else { return false };
    let reader = reader.build().unwrap();
    let hex = text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let options = FormatOptions::default();
    for batch in reader.map(Result::unwrap) {
        for column in batch.columns() {
            // Bytes are shown in hex.
            let shown = ArrayFormatter::try_new(column, &options).unwrap();
            let values = (0..column.len()).map(|row| shown.value(row).to_string());
            if values.into_iter().any(|value| value.contains(text) || value.contains(&hex)) {
                return true;
            }
        }
    }
    false
}
