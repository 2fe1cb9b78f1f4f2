//! The files source: a folder in which files appear, each taken once.
//!
//! Comes in: files of a folder, or of a glob's matches below its first wildcard. Goes out: batches of their records,
//! with each file's progress. `_source` is the path below the folder, `_partition` is `path@` and the first twelve
//! digits of the content's SHA-256, `_offset` the record's number in the file from 0.
//!
//! Guarantee: an arrival is a path and a content. Each is taken once, in order of path, whatever is killed when: what a
//! batch has taken of a file becomes durable with it, and a restart goes on behind it. A file that is rewritten is a new
//! arrival; one that is touched, or gets a known content back, is none.
//! Failure: a file that cannot be read is named as trouble and looked at again; the others go on. With
//! `on_change = 'error'` a taken file with a new content stops the source.

mod arrivals;
mod folder;
mod parquet;
mod records;
mod resting;
mod take;

#[cfg(test)]
mod tests;

use self::arrivals::Arrivals;
use self::folder::Folder;
use self::take::Taker;
use super::decode::{Caster, RecordBuffer};
use super::{Batch, Outlet, Resume, Source, SourceError};
use crate::ops::clock;
use crate::sql::{Encode, SourceDefinition};
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What happens when a file that was taken has a new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// It is taken as a new arrival.
    Take,
    /// The source stops and names it.
    Error,
}

/// Settings of a files source.
#[derive(Clone, Debug)]
pub struct FilesSettings {
    /// Where relative paths start: the project folder.
    pub start: PathBuf,
    /// A folder, a file or a glob.
    pub path: String,
    /// What happens when a file that was taken has a new content.
    pub on_change: OnChange,
    /// How long to wait between two looks.
    pub poll: Duration,
}

/// The files of a folder.
#[derive(Debug)]
pub struct FilesSource {
    definition: Arc<SourceDefinition>,
    settings: FilesSettings,
    folder: Folder,
}

/// Why a look ends early.
enum End {
    /// The source must stop.
    Stopped,
    /// The source cannot go on.
    Failed(SourceError),
}

/// Messages of trouble that are shown at once.
const TROUBLES_SHOWN_MAX: usize = 3;

/// A look at a folder may take so many times the rest after it, so that a huge folder does not keep a core busy.
const REST_PER_LOOK: u32 = 4;

impl FilesSource {
    /// A source over these files.
    pub fn new(definition: Arc<SourceDefinition>, settings: FilesSettings) -> Result<Self, SourceError> {
        let folder = Folder::new(&settings.start, &settings.path).map_err(|why| {
            SourceError::Setting(format!("source {}: option \"path\": {why}", definition.name))
        })?;
        Ok(Self { definition, settings, folder })
    }
}

#[async_trait]
impl Source for FilesSource {
    async fn run(self: Box<Self>, resume: Resume, outlet: Outlet) -> Result<(), SourceError> {
        // Reading files blocks, so all of it runs beside the async threads; should this future be dropped, so does it.
        let stop = outlet.stop.child_token();
        let _stop_with_us = stop.clone().drop_guard();
        let name = self.definition.name.clone();
        let runtime = tokio::runtime::Handle::current();
        let way_out = WayOut { runtime, outlet: Outlet { stop, ..outlet } };
        let work = tokio::task::spawn_blocking(move || Watcher::new(*self, resume, way_out)?.run());
        match work.await {
            Ok(outcome) => outcome,
            Err(error) => {
                Err(SourceError::Fatal(format!("source {name}: reading its files failed: {error}")))
            }
        }
    }
}

/// Sends batches from a thread that may block, and ends waits when the source must stop.
struct WayOut {
    runtime: tokio::runtime::Handle,
    outlet: Outlet,
}

impl WayOut {
    fn send(&self, batch: Batch) -> Result<(), End> {
        let Outlet { batches, stop, .. } = &self.outlet;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(End::Stopped),
                sent = batches.send(batch) => sent.map_err(|_| End::Stopped),
            }
        })
    }

    fn wait(&self, time: Duration) -> Result<(), End> {
        let stop = &self.outlet.stop;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(End::Stopped),
                () = tokio::time::sleep(time) => Ok(()),
            }
        })
    }

    fn go_on(&self) -> Result<(), End> {
        if self.outlet.stop.is_cancelled() { Err(End::Stopped) } else { Ok(()) }
    }
}

/// Looks at the folder again and again.
struct Watcher {
    folder: Folder,
    poll: Duration,
    taker: Taker,
    /// Whether the last look met no trouble; `None` before the first.
    is_well: Option<bool>,
}

impl Watcher {
    fn new(source: FilesSource, resume: Resume, way_out: WayOut) -> Result<Self, SourceError> {
        let FilesSource { definition, settings, folder } = source;
        let buffer = match definition.encode {
            Encode::Parquet => None,
            Encode::Json | Encode::Csv { .. } => Some(RecordBuffer::new(&definition)?),
        };
        let caster = Caster::new(&definition)?;
        let arrivals = Arrivals::new(resume.files, settings.poll);
        let taker = Taker::new(definition, settings.on_change, buffer, caster, arrivals, way_out);
        Ok(Self { folder, poll: settings.poll, taker, is_well: None })
    }

    fn run(mut self) -> Result<(), SourceError> {
        loop {
            let began = clock::instant();
            let rest = |watcher: &Self| watcher.poll.max(began.elapsed() * REST_PER_LOOK);
            match self.look().and_then(|()| self.taker.way_out.wait(rest(&self))) {
                Ok(()) => {}
                Err(End::Stopped) => return Ok(()),
                Err(End::Failed(error)) => return Err(error),
            }
        }
    }

    /// Takes all that is due; one file's trouble does not hold up the others.
    fn look(&mut self) -> Result<(), End> {
        let mut troubles = Vec::new();
        let found = self.folder.look(&mut troubles);
        let due = self.taker.arrivals.look(&found, clock::now_us());
        for file in due {
            self.taker.way_out.go_on()?;
            if let Some(trouble) = self.taker.take(&found[file])? {
                troubles.push(format!("file \"{}\": {trouble}", found[file].path));
            }
        }
        self.taker.flush(None)?;
        self.report(&troubles);
        Ok(())
    }

    /// Tells troubles each time, that they are over once.
    fn report(&mut self, troubles: &[String]) {
        let reporter = &self.taker.way_out.outlet.reporter;
        if !troubles.is_empty() {
            let shown = troubles.iter().take(TROUBLES_SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
            let more = troubles.len().saturating_sub(TROUBLES_SHOWN_MAX);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            reporter.trouble(&format!("{shown}{more}"));
        } else if self.is_well != Some(true) {
            reporter.healthy();
        }
        self.is_well = Some(troubles.is_empty());
        if troubles.is_empty() {
            reporter.lag_records(0);
        }
    }
}
