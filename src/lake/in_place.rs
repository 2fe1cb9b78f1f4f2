//! A local file read in place: one system call a page, where a `File` is duplicated, sought and read until it ends.

use super::Error;
use super::store::io_error;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// One open file. Reads leave no position behind: it may be read from several places at once.
#[derive(Clone, Debug)]
pub(super) struct InPlace {
    file: Arc<File>,
    length: u64,
}

impl InPlace {
    pub(super) fn open(path: &Path) -> std::result::Result<Self, Error> {
        let io = |e| io_error("read", path, e);
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        Ok(Self { file: Arc::new(file), length })
    }
}

impl Length for InPlace {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for InPlace {
    type T = BufReader<Onwards>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::new(Onwards { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, start) {
            Ok(()) => Ok(Bytes::from(bytes)),
            Err(error) => Err(ParquetError::External(Box::new(error))),
        }
    }
}

/// A file from some place on.
#[derive(Debug)]
pub(super) struct Onwards {
    file: Arc<File>,
    at: u64,
}

impl Read for Onwards {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
