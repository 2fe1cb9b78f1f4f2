//! What is asked of a law's run: how many histories, of which seed, or one of them alone.
//!
//! ```text
//! SLUICE_LAW_CASES=100 SLUICE_LAW_SEED=7 cargo test --lib incremental_equals_full -- --nocapture
//! SLUICE_LAW_SEED=7:12 cargo test --lib incremental_equals_full              # its history 12 alone
//! ```
//!
//! A history follows from the run's seed and its own number. What fails is shrunk, and told with both.

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// What shrinking may try, and for how long; the smallest failure found by then is told.
const SHRINKS_MAX: u32 = 20_000;
const SHRINK_MS_MAX: u32 = 30_000;
/// Planning recurses deeply, and unoptimised frames are large.
const STACK_BYTES: usize = 16 << 20;

/// The histories that are asked for.
pub(in crate::refresh) struct Asked {
    pub(in crate::refresh) seed: u64,
    pub(in crate::refresh) histories: Range<u64>,
    /// One history alone is asked for.
    pub(in crate::refresh) is_one: bool,
    /// No fewer than the test command runs: enough to ask what has been tried.
    pub(in crate::refresh) is_all: bool,
}

impl Asked {
    /// `seed`, and so many `cases` of which `each` history has some, where nothing else is asked.
    pub(in crate::refresh) fn of_environment(seed: u64, cases: u64, each: u64) -> Self {
        let number = |text: &str| text.trim().parse::<u64>().unwrap_or_else(|e| panic!("{text:?}: {e}"));
        let all = cases.div_ceil(each);
        let count = variable("SLUICE_LAW_CASES").map_or(all, |text| number(&text).div_ceil(each));
        let run = |seed| Self { seed, histories: 0..count, is_one: false, is_all: count >= all };
        let Some(asked) = variable("SLUICE_LAW_SEED") else { return run(seed) };
        let Some((seed, history)) = asked.split_once(':') else { return run(number(&asked)) };
        let history = number(history);
        Self { seed: number(seed), histories: history..history + 1, is_one: true, is_all: false }
    }

    /// Another seed for each run.
    pub(in crate::refresh) fn anew(cases: u64) -> Self {
        Self::of_environment(crate::ops::clock::now_us().unsigned_abs(), cases, 1)
    }

    /// Follows each history; panics with the smallest that fails, and with what repeats it.
    pub(in crate::refresh) fn hold<S, F>(&self, histories: &S, follow: impl Fn(S::Value) -> F)
    where
        S: Strategy,
        F: Future<Output = ()> + Send + 'static,
    {
        println!("SLUICE_LAW_SEED={}", self.seed);
        for number in self.histories.clone() {
            let mut runner = runner(self.seed, number);
            let tree = histories.new_tree(&mut runner).unwrap();
            let outcome = runner.run_one(tree, |history| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .thread_stack_size(STACK_BYTES)
                    .enable_all()
                    .build()
                    .unwrap();
                let followed = runtime.block_on(async { tokio::spawn(follow(history)).await });
                followed.map_err(|error| TestCaseError::fail(error.to_string()))
            });
            outcome.unwrap_or_else(|error| panic!("{}\n{error}", repeats(self.seed, number)));
        }
    }
}

/// What repeats one history.
pub(super) fn repeats(seed: u64, history: u64) -> String {
    format!("SLUICE_LAW_SEED={seed}:{history}")
}

/// Draws one history, and shrinks it.
pub(super) fn runner(seed: u64, history: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&history.to_le_bytes());
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: SHRINKS_MAX,
        max_shrink_time: SHRINK_MS_MAX,
        ..ProptestConfig::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Past the capture of output: what a run has tried is to be seen when it passes, too.
pub(in crate::refresh) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Folders in memory where there are such: the law needs no durable commits.
pub(in crate::refresh) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}

/// What a run has tried, by name: how often at all, and how often rows changed by it.
#[derive(Clone, Default)]
pub(in crate::refresh) struct Tried(Arc<Mutex<BTreeMap<String, (u64, u64)>>>);

impl Tried {
    /// Notes that something was tried; and whether it changed rows.
    pub(in crate::refresh) fn add(&self, what: &str, changed: bool) {
        let mut tried = self.0.lock();
        let counts = tried.entry(what.to_string()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(changed);
    }

    /// How often something was tried, and how often it changed rows.
    pub(in crate::refresh) fn of(&self, what: &str) -> (u64, u64) {
        self.0.lock().get(what).copied().unwrap_or_default()
    }

    /// One line for each, past the capture of output.
    pub(in crate::refresh) fn tell(&self, law: &str, asked: &Asked) {
        let mut told = format!("{law}: seed {}, {} histories", asked.seed, asked.histories.clone().count());
        for (what, (all, changed)) in self.0.lock().iter() {
            told.push_str(&format!("\n  {all:>6}, {changed:>6} of them changed rows: {what}"));
        }
        say(&told);
    }
}
