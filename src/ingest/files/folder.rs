//! Which files are there: a folder, one file, or a glob, looked at as it is now.
//!
//! Left out: names that start with a dot or end in `.tmp` or `.part`, what is no regular file, folders behind links.
//! Refused, as trouble: files that a link leads to outside the source's folder.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How deep folders are followed.
const FOLDER_DEPTH_MAX: usize = 32;

/// Where a source's files are.
#[derive(Debug)]
pub(super) struct Folder {
    /// The folder that paths start at.
    base: PathBuf,
    /// What a path below it must look like; without one, `base` is a folder taken whole or a single file.
    pattern: Option<glob::Pattern>,
}

/// A file as a look found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Below the source's folder, `/` separated.
    pub(super) path: String,
    /// Where it is, links resolved.
    pub(super) place: PathBuf,
    pub(super) stamp: Stamp,
}

/// What tells cheaply that a file has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: i64,
    /// Microseconds since 1970.
    pub(super) modified_us: i64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> io::Result<Self> {
        let modified = metadata.modified()?;
        let micros = |later: SystemTime, earlier: SystemTime| {
            later.duration_since(earlier).ok().and_then(|age| i64::try_from(age.as_micros()).ok())
        };
        let modified_us = micros(modified, UNIX_EPOCH)
            .or_else(|| micros(UNIX_EPOCH, modified).map(|us| -us))
            .unwrap_or(i64::MIN);
        Ok(Self { size: i64::try_from(metadata.len()).unwrap_or(i64::MAX), modified_us })
    }
}

impl Folder {
    /// Parts a path at its first wildcard; a relative one starts at `start`, which has none.
    pub(super) fn new(start: &Path, path: &str) -> Result<Self, String> {
        let wild = |part: &str| part.contains(['*', '?', '[']);
        let parts: Vec<&str> = path.split('/').collect();
        let Some(first) = parts.iter().position(|part| wild(part)) else {
            return Ok(Self { base: start.join(path), pattern: None });
        };
        let below = match parts[..first].join("/") {
            root if root.is_empty() && path.starts_with('/') => "/".to_string(),
            below => below,
        };
        let pattern = glob::Pattern::new(&parts[first..].join("/"))
            .map_err(|error| format!("\"{path}\" is not a glob: {error}"))?;
        Ok(Self { base: start.join(below), pattern: Some(pattern) })
    }

    /// The files there now, by path; what cannot be looked at goes to `troubles`.
    pub(super) fn look(&self, troubles: &mut Vec<String>) -> Vec<Found> {
        let looked = fs::canonicalize(&self.base).and_then(|base| Ok((fs::metadata(&base)?, base)));
        let (metadata, base) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                let kind = if self.pattern.is_some() { "folder" } else { "path" };
                troubles.push(format!("{kind} \"{}\" cannot be looked at: {error}", self.base.display()));
                return Vec::new();
            }
        };
        if metadata.is_file() && self.pattern.is_none() {
            let path = self.base.file_name().map(|name| name.to_string_lossy().into_owned());
            return match (path, Stamp::of(&metadata)) {
                (Some(path), Ok(stamp)) => vec![Found { path, place: base, stamp }],
                _ => Vec::new(),
            };
        }
        let mut files = BTreeMap::new();
        self.look_into(&base, &base, "", 0, &mut files, troubles);
        files.into_iter().map(|(path, (place, stamp))| Found { path, place, stamp }).collect()
    }

    fn look_into(
        &self,
        base: &Path,
        folder: &Path,
        prefix: &str,
        depth: usize,
        files: &mut BTreeMap<String, (PathBuf, Stamp)>,
        troubles: &mut Vec<String>,
    ) {
        let cannot =
            |error: io::Error| format!("folder \"{}\" cannot be looked at: {error}", folder.display());
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            // It may have gone since its parent was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && depth > 0 => return,
            Err(error) => return troubles.push(cannot(error)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return troubles.push(cannot(error)),
            };
            let Ok(name) = entry.file_name().into_string() else {
                troubles.push(format!(
                    "file \"{prefix}{}\": its name is not UTF-8",
                    entry.file_name().to_string_lossy()
                ));
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            match examine(base, &entry.path()) {
                Ok(Entry::Folder) if depth < FOLDER_DEPTH_MAX && self.goes_below(&path) => {
                    self.look_into(base, &entry.path(), &format!("{path}/"), depth + 1, files, troubles);
                }
                Ok(Entry::File(place, stamp)) if self.takes(&path, &name) => {
                    files.insert(path, (place, stamp));
                }
                Ok(Entry::Outside) if self.takes(&path, &name) => {
                    troubles.push(format!("file \"{path}\": the link leads out of the source's folder"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => troubles.push(format!("file \"{path}\": {error}")),
            }
        }
    }

    fn takes(&self, path: &str, name: &str) -> bool {
        let lower = name.to_ascii_lowercase();
        let unfinished = lower.ends_with(".tmp") || lower.ends_with(".part");
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        !unfinished && self.pattern.as_ref().is_none_or(|pattern| pattern.matches_with(path, options))
    }

    /// Whether files below this folder can be meant.
    fn goes_below(&self, path: &str) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let levels = |text: &str| text.split('/').count();
        pattern.as_str().contains("**") || levels(pattern.as_str()) > levels(path)
    }
}

enum Entry {
    Folder,
    File(PathBuf, Stamp),
    /// A link to what lies outside the source's folder.
    Outside,
    Other,
}

fn examine(base: &Path, path: &Path) -> io::Result<Entry> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        return Ok(Entry::Folder);
    }
    if metadata.is_file() {
        return Ok(Entry::File(path.to_path_buf(), Stamp::of(&metadata)?));
    }
    if !metadata.is_symlink() {
        return Ok(Entry::Other);
    }
    let place = fs::canonicalize(path)?;
    if !place.starts_with(base) {
        return Ok(Entry::Outside);
    }
    let metadata = fs::metadata(&place)?;
    // A folder inside the source's folder is looked at where it is.
    if metadata.is_file() { Ok(Entry::File(place, Stamp::of(&metadata)?)) } else { Ok(Entry::Other) }
}
