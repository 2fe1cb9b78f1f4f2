//! Files of one table on the local disk, written so that a power cut never leaves a torn or lost commit.
//!
//! object_store's local `put` links before it syncs, so the order here is our own: data synced, then the commit's
//! temporary file synced, then linked to its name (which fails when the name exists), then the folder synced.

use super::Error;
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The folder of one table.
#[derive(Clone, Debug)]
pub(super) struct Store {
    root: PathBuf,
    /// Others write there: this process only reads.
    foreign: bool,
}

/// What tells a file from another of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// What a conditional put came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// Written, and durable.
    Done,
    /// The name was taken already.
    Exists,
}

impl Store {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, foreign: false }
    }

    /// The folder of a table that others write: nothing is ever written there.
    pub(super) fn foreign(root: PathBuf) -> Self {
        Self { root, foreign: true }
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.foreign
    }

    fn check_own(&self, path: &Path) -> Result<(), Error> {
        if self.foreign { Err(Error::ReadOnly { path: path.to_path_buf() }) } else { Ok(()) }
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The table whose folder this is, as its last two names say.
    pub(super) fn table(&self) -> String {
        let names: Vec<_> = self.root.iter().map(|name| name.to_string_lossy()).collect();
        names[names.len().saturating_sub(2)..].join(".")
    }

    /// Makes a folder and its parents durable.
    pub(super) fn make_folder(&self, relative: &str) -> Result<(), Error> {
        let path = self.path(relative);
        self.check_own(&path)?;
        let missing: Vec<PathBuf> = path
            .ancestors()
            .take_while(|a| !a.as_os_str().is_empty() && !a.is_dir())
            .map(Path::to_path_buf)
            .collect();
        fs::create_dir_all(&path).map_err(|e| io_error("create", &path, e))?;
        for folder in missing {
            match folder.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Creates a new file for writing; [`Store::settle`] makes it durable.
    pub(super) fn create(&self, relative: &str) -> Result<File, Error> {
        let path = self.path(relative);
        self.check_own(&path)?;
        File::create_new(&path).map_err(|e| io_error("create", &path, e))
    }

    /// Syncs a written file. Its folder is synced with the commit that names it.
    pub(super) fn settle(&self, relative: &str, file: &File) -> Result<(), Error> {
        file.sync_data().map_err(|e| io_error("sync", &self.path(relative), e))
    }

    /// Writes a whole new file, synced.
    pub(super) fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut file = self.create(relative)?;
        file.write_all(bytes).map_err(|e| io_error("write", &self.path(relative), e))?;
        self.settle(relative, &file)
    }

    /// Replaces a file atomically (for `_last_checkpoint`, which is only a hint).
    pub(super) fn replace(&self, relative: &str, bytes: &[u8]) -> Result<(), Error> {
        let temporary = format!("{relative}.{}.tmp", uuid::Uuid::new_v4());
        self.write(&temporary, bytes)?;
        let (from, to) = (self.path(&temporary), self.path(relative));
        fs::rename(&from, &to).map_err(|e| io_error("rename", &to, e))
    }

    /// Puts a commit under a name that must not exist. `folders` hold files that the commit names: they are synced
    /// before it can be seen.
    pub(super) fn put_new(&self, relative: &str, bytes: &[u8], folders: &[PathBuf]) -> Result<Put, Error> {
        for folder in folders {
            sync_folder(folder)?;
        }
        let (folder, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        let temporary = format!("{folder}/.{name}.{}.tmp", uuid::Uuid::new_v4());
        self.write(&temporary, bytes)?;
        let (from, to) = (self.path(&temporary), self.path(relative));
        failpoint::pass(Point::CommitSynced, || self.table());
        let linked = fs::hard_link(&from, &to);
        let _ = fs::remove_file(&from);
        match linked {
            Ok(()) => {
                failpoint::pass(Point::CommitLinked, || self.table());
                sync_folder(&self.path(folder))?;
                Ok(Put::Done)
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(Put::Exists),
            Err(e) => Err(io_error("link", &to, e)),
        }
    }

    /// Reads a file whole; `None` when there is none.
    pub(super) fn read(&self, relative: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(relative);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", &path, e)),
        }
    }

    /// Names in a folder (not its subfolders); empty when there is no such folder.
    pub(super) fn list(&self, relative: &str) -> Result<Vec<String>, Error> {
        let path = self.path(relative);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error("list", &path, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| io_error("list", &path, e))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Files in a folder and in those of its partitions.
    pub(super) fn list_parted(&self, folder: &str) -> Result<Vec<String>, Error> {
        let mut files = Vec::new();
        for name in self.list(folder)? {
            match name.contains('=') {
                true => files.extend(self.list_parted(&format!("{folder}{name}/"))?),
                false => files.push(format!("{folder}{name}")),
            }
        }
        Ok(files)
    }

    /// Deletes the folders of partitions in a folder that hold no files.
    pub(super) fn delete_empty(&self, folder: &str) -> Result<(), Error> {
        for name in self.list(folder)?.iter().filter(|name| name.contains('=')) {
            let inner = format!("{folder}{name}/");
            self.delete_empty(&inner)?;
            if self.list(&inner)?.is_empty() {
                let path = self.path(&inner);
                self.check_own(&path)?;
                fs::remove_dir(&path).map_err(|e| io_error("delete", &path, e))?;
            }
        }
        Ok(())
    }

    /// What tells a file from another of its name; `None` when there is none.
    pub(super) fn stamp(&self, relative: &str) -> Result<Option<Stamp>, Error> {
        let path = self.path(relative);
        match fs::metadata(&path) {
            Ok(meta) => {
                Ok(Some(Stamp { inode: meta.ino(), bytes: meta.len(), modified: meta.modified().ok() }))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", &path, e)),
        }
    }

    /// Time since a file was last written; `None` when it is gone.
    pub(super) fn age(&self, relative: &str) -> Result<Option<Duration>, Error> {
        let path = self.path(relative);
        match fs::metadata(&path).and_then(|m| m.modified()) {
            Ok(modified) => Ok(Some(clock::since(modified))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", &path, e)),
        }
    }

    /// Deletes a file; that it is gone already is fine.
    pub(super) fn delete(&self, relative: &str) -> Result<(), Error> {
        let path = self.path(relative);
        self.check_own(&path)?;
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("delete", &path, e)),
            _ => Ok(()),
        }
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| io_error("sync", path, e))
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: path.to_path_buf(), source }
}
