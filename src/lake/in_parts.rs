//! Single rows of files, read on all processors: each costs a page of each column, wherever it stands.

use super::snapshot::DataFile;
use roaring::RoaringTreemap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Fewer rows are not worth a thread.
const PART_ROWS_MIN: usize = 128;

/// What `read` makes of each part of the files, in the files' order; `read` is given a file that stands for some of its
/// rows. Files that stand for all of theirs are not cut. Blocks.
pub fn read_in_parts<T: Send, E: Send>(
    files: &[Arc<DataFile>],
    read: impl Fn(&Arc<DataFile>) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.min(single_rows(files) / PART_ROWS_MIN);
    if threads < 2 {
        return files.iter().map(read).collect();
    }
    let parts = parts(files, threads);
    let next = AtomicUsize::new(0);
    // Whoever is free takes the next part.
    let take = || {
        let mut taken = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(at) else { return taken };
            taken.push((at, read(part)));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let own = take();
        let others = others.into_iter().flat_map(|other| other.join().unwrap_or_else(|e| resume_unwind(e)));
        own.into_iter().chain(others).collect::<Vec<_>>()
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

/// How many rows are looked up one by one.
fn single_rows(files: &[Arc<DataFile>]) -> usize {
    let rows: u64 = files.iter().filter_map(|file| Some(file.only.as_ref()?.len())).sum();
    usize::try_from(rows).unwrap_or(usize::MAX)
}

/// The files, those that stand for single rows cut so that each thread has some.
fn parts(files: &[Arc<DataFile>], threads: usize) -> Vec<Arc<DataFile>> {
    let part_rows = single_rows(files).div_ceil(threads).max(PART_ROWS_MIN);
    let mut parts = Vec::new();
    for file in files {
        match &file.only {
            Some(only) if only.len() > part_rows as u64 => {
                let only: Vec<u64> = only.iter().collect();
                let cut = only.chunks(part_rows).map(|rows| rows.iter().copied().collect::<RoaringTreemap>());
                parts.extend(cut.map(|rows| Arc::new(file.with_only(rows))));
            }
            _ => parts.push(Arc::clone(file)),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::Error;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::OnceLock;

    fn file(only: Option<Vec<u64>>) -> Arc<DataFile> {
        Arc::new(DataFile {
            path: "part.parquet".to_string(),
            size: 0,
            modified_ms: 0,
            partition_values: BTreeMap::new(),
            tags: BTreeMap::new(),
            deletion_vector: None,
            only: only.map(|rows| Arc::new(rows.into_iter().collect())),
            descriptor: None,
            stats_json: None,
            stats: OnceLock::new(),
        })
    }

    fn rows(file: &DataFile) -> Option<Vec<u64>> {
        file.only.as_ref().map(|only| only.iter().collect())
    }

    proptest! {
        #[test]
        fn parts_are_the_files_in_their_order(
            files in prop::collection::vec(prop::option::of(prop::collection::btree_set(0u64..5_000, 0..600)), 0..6),
            threads in 1usize..9,
        ) {
            let files: Vec<_> = files.into_iter().map(|only| file(only.map(Vec::from_iter))).collect();
            let parts = parts(&files, threads);
            let singles = |files: &[Arc<DataFile>]| files.iter().filter_map(|f| rows(f)).flatten().collect::<Vec<_>>();
            let whole = |files: &[Arc<DataFile>]| files.iter().filter(|file| file.only.is_none()).count();
            prop_assert_eq!(singles(&parts), singles(&files));
            prop_assert_eq!(whole(&parts), whole(&files));
            prop_assert!(parts.len() <= files.len() + threads);
            let read = read_in_parts::<_, Error>(&files, |part| Ok(rows(part))).unwrap();
            let read: Vec<u64> = read.into_iter().flatten().flatten().collect();
            prop_assert_eq!(read, singles(&files));
        }
    }
}
