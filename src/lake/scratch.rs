//! A lake for a moment: in a temporary folder, in memory where the system has one there, and gone when dropped.

use super::store::io_error;
use super::{Error, Lake};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where Linux keeps files in memory.
const IN_MEMORY: &str = "/dev/shm";

/// A lake that is removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    lake: Arc<Lake>,
    folder: PathBuf,
}

impl Scratch {
    /// An empty lake. Blocks.
    pub fn new() -> Result<Self, Error> {
        let name = format!("sluice-scratch-{}", uuid::Uuid::new_v4().simple());
        let memory = Path::new(IN_MEMORY).join(&name);
        let folder = match std::fs::create_dir(&memory) {
            Ok(()) => memory,
            Err(_) => {
                let folder = std::env::temp_dir().join(&name);
                std::fs::create_dir(&folder).map_err(|e| io_error("create", &folder, e))?;
                folder
            }
        };
        Ok(Self { lake: Arc::new(Lake::open(&folder)?), folder })
    }

    /// The lake.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "could not remove a temporary folder");
        }
    }
}
