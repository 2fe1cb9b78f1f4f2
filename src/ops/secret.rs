//! Where secrets are kept: environment variables and files. Read each time they are needed, never logged.

use std::path::Path;

/// An environment variable's value; `None` when it is not set or not text.
pub fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A file's text without its trailing line break.
pub fn from_file(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}
