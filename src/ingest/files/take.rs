//! One file after another becomes batches.

use super::arrivals::{Arrival, Arrivals};
use super::folder::{Found, Stamp};
use super::resting::Resting;
use super::{End, OnChange, WayOut, parquet, records};
use crate::ingest::decode::{Caster, Decoded, RecordBuffer};
use crate::ingest::{Batch, FileProgress, SourceError};
use crate::ops::clock;
use crate::sql::{Encode, SourceDefinition};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Payload bytes of a batch.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Records of a batch.
const BATCH_RECORDS_MAX: usize = 65_536;
/// How much is hashed between two looks at whether to stop.
const HASH_CHUNK_BYTES: usize = 1 << 20;
/// Digits of a content's hash in `_partition`.
const CONTENT_DIGITS: usize = 12;

/// Takes files, and keeps what it took until there is enough for a batch: a million small files make few commits.
pub(super) struct Taker {
    definition: Arc<SourceDefinition>,
    on_change: OnChange,
    /// `None` for parquet, which comes decoded.
    buffer: Option<RecordBuffer>,
    caster: Caster,
    /// Files taken whole whose last records are still in the buffer.
    finished: Vec<FileProgress>,
    resting: Resting,
    pub(super) arrivals: Arrivals,
    pub(super) way_out: WayOut,
}

/// Why a file is not taken whole.
pub(super) enum Trouble {
    /// It may pass: the file is looked at again, after a pause.
    Passing(String),
    /// The content is at fault: the file is looked at again when it changes.
    Content(String),
    /// Taking files ends.
    End(End),
}

impl From<End> for Trouble {
    fn from(end: End) -> Self {
        Trouble::End(end)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Passing(format!("cannot be read: {error}"))
    }
}

/// A file being taken.
pub(super) struct Taking {
    pub(super) file: File,
    pub(super) progress: FileProgress,
    /// `_partition` of its records.
    pub(super) partition: String,
}

impl Taker {
    pub(super) fn new(
        definition: Arc<SourceDefinition>,
        on_change: OnChange,
        buffer: Option<RecordBuffer>,
        caster: Caster,
        arrivals: Arrivals,
        way_out: WayOut,
    ) -> Self {
        let (finished, resting) = (Vec::new(), Resting::default());
        Self { definition, on_change, buffer, caster, finished, resting, arrivals, way_out }
    }

    /// Takes a file that is due; what keeps it from being taken, if anything.
    pub(super) fn take(&mut self, found: &Found) -> Result<Option<String>, End> {
        let (path, stamp) = (&found.path, found.stamp);
        if let Some(why) = self.resting.why(path, stamp, clock::instant()) {
            return Ok(Some(why));
        }
        match self.try_take(found) {
            Ok(()) => {
                self.resting.over(path);
                Ok(None)
            }
            Err(Trouble::Passing(why)) => {
                self.resting.until_later(path, stamp, why.clone(), clock::instant(), rand::random());
                Ok(Some(why))
            }
            Err(Trouble::Content(why)) => {
                self.resting.until_changed(path, stamp, why.clone());
                Ok(Some(why))
            }
            Err(Trouble::End(end)) => Err(end),
        }
    }

    fn try_take(&mut self, found: &Found) -> Result<(), Trouble> {
        let mut file = File::open(&found.place)?;
        let content = self.hash(&mut file)?;
        if Stamp::of(&file.metadata()?)? != found.stamp {
            // It is being written after all: the next look sees.
            return Ok(());
        }
        let taken = match self.arrivals.arrival(&found.path, &content) {
            Arrival::Taken => {
                self.arrivals.settle(&found.path, found.stamp);
                return Ok(());
            }
            Arrival::Begun(taken) => taken,
            Arrival::Changed(before) if self.on_change == OnChange::Error => {
                self.flush(None)?;
                let short = |content: &str| content.get(..CONTENT_DIGITS).unwrap_or(content).to_string();
                return Err(Trouble::End(End::Failed(SourceError::FileChanged(format!(
                    "source {}: file \"{}\" was taken with content {} and now has content {}; restore it, rename the \
                     new one, or set on_change = 'take'",
                    self.definition.name,
                    found.path,
                    short(&before),
                    short(&content),
                )))));
            }
            Arrival::New | Arrival::Changed(_) => 0,
        };
        file.seek(SeekFrom::Start(0))?;
        let partition = format!("{}@{}", found.path, content.get(..CONTENT_DIGITS).unwrap_or(&content));
        let progress = FileProgress {
            path: found.path.clone(),
            content,
            size: found.stamp.size,
            modified_us: found.stamp.modified_us,
            taken,
            done: false,
        };
        let mut taking = Taking { file, progress, partition };
        let outcome = match self.definition.encode {
            Encode::Json | Encode::Csv { .. } => records::take(self, &mut taking),
            Encode::Parquet => parquet::take(self, &mut taking),
        };
        let unchanged = Stamp::of(&taking.file.metadata()?)? == found.stamp;
        let Taking { mut progress, .. } = taking;
        match outcome {
            Ok(()) if unchanged => progress.done = true,
            Err(Trouble::End(end)) => return Err(Trouble::End(end)),
            _ => {}
        }
        // What was taken of it counts, whole or not.
        self.arrivals.advance(progress.clone());
        self.finished.push(progress);
        outcome?;
        if unchanged { Ok(()) } else { Err(Trouble::Passing("was written while it was read".to_string())) }
    }

    /// The buffer of records; parquet has none.
    pub(super) fn buffer(&mut self) -> Result<&mut RecordBuffer, Trouble> {
        let none = || Trouble::End(End::Failed(SourceError::Fatal("no buffer for records".to_string())));
        self.buffer.as_mut().ok_or_else(none)
    }

    pub(super) fn definition(&self) -> &Arc<SourceDefinition> {
        &self.definition
    }

    pub(super) fn caster(&self) -> &Caster {
        &self.caster
    }

    /// Sends what is held if it is enough for a batch.
    pub(super) fn flush_if_full(&mut self, current: &FileProgress) -> Result<(), Trouble> {
        let full = |b: &RecordBuffer| b.bytes() >= BATCH_BYTES_MAX || b.len() >= BATCH_RECORDS_MAX;
        if self.buffer.as_ref().is_some_and(full) {
            self.flush(Some(current))?;
        }
        Ok(())
    }

    /// Sends all that is held, with how far the file that is being taken has come.
    pub(super) fn flush(&mut self, current: Option<&FileProgress>) -> Result<(), End> {
        let (bytes, decoded) = match &mut self.buffer {
            Some(buffer) => (buffer.bytes(), buffer.finish().map_err(End::Failed)?),
            None => (0, Decoded { rows: self.caster.empty(), rejected: Vec::new() }),
        };
        if decoded.rows.num_rows() == 0
            && decoded.rejected.is_empty()
            && self.finished.is_empty()
            && current.is_none()
        {
            return Ok(());
        }
        self.send(decoded, bytes, current)
    }

    /// Sends a batch, with the files finished since the last.
    pub(super) fn send(
        &mut self,
        decoded: Decoded,
        bytes: usize,
        current: Option<&FileProgress>,
    ) -> Result<(), End> {
        let mut files = std::mem::take(&mut self.finished);
        files.extend(current.cloned());
        self.way_out.send(Batch {
            rows: decoded.rows,
            rejected: decoded.rejected,
            positions: Vec::new(),
            files,
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            acknowledge: None,
        })
    }

    /// The SHA-256 of a file's content, lower-case hex.
    fn hash(&self, file: &mut File) -> Result<String, Trouble> {
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; HASH_CHUNK_BYTES];
        loop {
            self.way_out.go_on()?;
            match file.read(&mut chunk) {
                Ok(0) => return Ok(hex::encode(hasher.finalize())),
                Ok(read) => hasher.update(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
