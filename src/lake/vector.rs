//! Deletion vectors: which rows of a file are no longer there.
//!
//! Format: "Deletion Vector Format" of the Delta protocol: a file `deletion_vector_<uuid>.bin` of one version byte and
//! then, for each vector, its size (big endian), a magic number, a 64-bit Roaring bitmap and a CRC-32 of both.

use super::action::Descriptor;
use super::snapshot::DataFile;
use super::store::Store;
use super::{Error, TableName};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;
use std::sync::Arc;

const FORMAT_VERSION: u8 = 1;
const MAGIC: [u8; 4] = 1_681_511_377u32.to_le_bytes();

/// The deleted rows of one file.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletionVector {
    pub(super) descriptor: Descriptor,
    /// Row positions in the file, from 0.
    pub rows: Arc<RoaringTreemap>,
}

impl DeletionVector {
    /// What tells it from every other vector of its file.
    pub(super) fn identity(&self) -> Arc<str> {
        let Descriptor { storage_type, path_or_inline_dv, offset, .. } = &self.descriptor;
        Arc::from(format!("{storage_type}{path_or_inline_dv}@{}", offset.unwrap_or_default()))
    }

    /// What to read of a file with `rows` physical rows.
    fn selection(&self, rows: u64) -> RowSelection {
        let mut selectors = Vec::new();
        let mut next = 0u64;
        let select =
            |from: u64, to: u64| RowSelector::select(usize::try_from(to - from).unwrap_or(usize::MAX));
        for deleted in self.rows.iter() {
            if deleted > next {
                selectors.push(select(next, deleted));
            }
            selectors.push(RowSelector::skip(1));
            next = deleted + 1;
        }
        if rows > next {
            selectors.push(select(next, rows));
        }
        RowSelection::from(selectors)
    }
}

/// What to read of a file with `rows` physical rows; `None` for all of it.
pub(super) fn selection_of(file: &DataFile, rows: u64) -> Option<RowSelection> {
    match (&file.only, &file.deletion_vector) {
        (Some(only), _) => Some(select_only(only, rows)),
        (None, Some(vector)) => Some(vector.selection(rows)),
        (None, None) => None,
    }
}

/// Reads these rows of a file with `rows` physical rows and no others.
fn select_only(only: &RoaringTreemap, rows: u64) -> RowSelection {
    let length = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
    let mut selectors = Vec::new();
    let mut next = 0u64;
    for row in only.iter().take_while(|row| *row < rows) {
        if row > next {
            selectors.push(RowSelector::skip(length(next, row)));
        }
        selectors.push(RowSelector::select(1));
        next = row + 1;
    }
    if rows > next {
        selectors.push(RowSelector::skip(length(next, rows)));
    }
    RowSelection::from(selectors)
}

/// Deleted rows of which no file tells yet: those of a commit that may not be made.
pub(super) fn unwritten(rows: RoaringTreemap) -> DeletionVector {
    let descriptor = Descriptor {
        storage_type: String::new(),
        path_or_inline_dv: String::new(),
        offset: None,
        size_in_bytes: 0,
        cardinality: i64::try_from(rows.len()).unwrap_or(i64::MAX),
    };
    DeletionVector { descriptor, rows: Arc::new(rows) }
}

/// Writes the vectors of one commit into one file, durable before it returns.
pub(super) fn write(store: &Store, vectors: &[RoaringTreemap]) -> Result<Vec<DeletionVector>, Error> {
    let id = uuid::Uuid::new_v4();
    let name = format!("deletion_vector_{id}.bin");
    let failed = |source| super::store::io_error("write", &store.path(&name), source);
    let mut bytes = vec![FORMAT_VERSION];
    let mut written = Vec::with_capacity(vectors.len());
    for rows in vectors {
        let offset = bytes.len();
        let mut body = MAGIC.to_vec();
        rows.serialize_into(&mut body).map_err(failed)?;
        let size = u32::try_from(body.len()).map_err(|_| failed(std::io::ErrorKind::FileTooLarge.into()))?;
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        let too_large = |_| failed(std::io::ErrorKind::FileTooLarge.into());
        written.push(DeletionVector {
            descriptor: Descriptor {
                storage_type: "u".to_string(),
                path_or_inline_dv: z85::encode(id.as_bytes()),
                offset: Some(i32::try_from(offset).map_err(too_large)?),
                size_in_bytes: i32::try_from(size).map_err(too_large)?,
                cardinality: i64::try_from(rows.len()).map_err(too_large)?,
            },
            rows: Arc::new(rows.clone()),
        });
    }
    store.write(&name, &bytes)?;
    Ok(written)
}

/// The file that a descriptor names, relative to the table; `None` for kinds that this server does not write.
pub(super) fn file_of(descriptor: &Descriptor) -> Option<String> {
    if descriptor.storage_type != "u" || descriptor.path_or_inline_dv.len() < 20 {
        return None;
    }
    let (prefix, encoded) =
        descriptor.path_or_inline_dv.split_at_checked(descriptor.path_or_inline_dv.len() - 20)?;
    let id = uuid::Uuid::from_slice(&z85::decode(encoded).ok()?).ok()?;
    let folder = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
    Some(format!("{folder}deletion_vector_{id}.bin"))
}

/// Reads one vector back, checked.
pub(super) fn read(
    store: &Store,
    table: &TableName,
    descriptor: &Descriptor,
) -> Result<DeletionVector, Error> {
    if descriptor.storage_type == "i" {
        return read_inline(table, descriptor);
    }
    let Some(file) = file_of(descriptor) else {
        let feature = format!("deletion vectors of storage type {:?}", descriptor.storage_type);
        return Err(Error::Unsupported { table: table.clone(), feature });
    };
    let corrupt = |reason: &str| Error::Corrupt {
        table: table.clone(),
        file: file.clone(),
        reason: reason.to_string(),
    };
    let bytes = store.read(&file)?.ok_or_else(|| corrupt("the file is missing"))?;
    let start = usize::try_from(descriptor.offset.unwrap_or(0)).map_err(|_| corrupt("negative offset"))?;
    let word = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    let size = word(start).map(u32::from_be_bytes).ok_or_else(|| corrupt("cut short"))?;
    let size = usize::try_from(size).map_err(|_| corrupt("too large"))?;
    let body = bytes.get(start + 4..start + 4 + size).ok_or_else(|| corrupt("cut short"))?;
    let crc = word(start + 4 + size).map(u32::from_be_bytes).ok_or_else(|| corrupt("cut short"))?;
    if crc32fast::hash(body) != crc {
        return Err(corrupt("checksum differs"));
    }
    of_body(body, descriptor).map_err(|reason| corrupt(&reason))
}

/// A vector that stands in the log itself, as others write small ones.
fn read_inline(table: &TableName, descriptor: &Descriptor) -> Result<DeletionVector, Error> {
    let corrupt = |reason: &str| Error::Corrupt {
        table: table.clone(),
        file: "_delta_log (deletion vector)".to_string(),
        reason: reason.to_string(),
    };
    let bytes = z85::decode(&descriptor.path_or_inline_dv).map_err(|e| corrupt(&e.to_string()))?;
    // The text stands for whole words: what is over is padding.
    let size = usize::try_from(descriptor.size_in_bytes).map_err(|_| corrupt("negative size"))?;
    let body = bytes.get(..size).ok_or_else(|| corrupt("cut short"))?;
    of_body(body, descriptor).map_err(|reason| corrupt(&reason))
}

/// The magic number and the bitmap.
fn of_body(body: &[u8], descriptor: &Descriptor) -> Result<DeletionVector, String> {
    let bitmap = body.strip_prefix(&MAGIC[..]).ok_or("wrong magic number")?;
    let rows = RoaringTreemap::deserialize_from(bitmap).map_err(|e| e.to_string())?;
    Ok(DeletionVector { descriptor: descriptor.clone(), rows: Arc::new(rows) })
}
