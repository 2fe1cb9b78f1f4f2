//! Where the scripts beside `.ci/run` put what tests and benches need.

use std::env;
use std::path::PathBuf;

/// `SLUICE_TEST_CACHE`, or a folder among the user's caches.
pub fn cache() -> PathBuf {
    let given = env::var_os("SLUICE_TEST_CACHE").map(PathBuf::from);
    given.unwrap_or_else(|| env::home_dir().unwrap_or_default().join(".cache/sluice-test"))
}
