//! Many random cases: in the test command, and as a long run that can be stopped and gone on with.
//!
//! ```text
//! SLUICE_LAW_CASES=100000 SLUICE_LAW_STATE=law.json cargo test --lib random_cases -- --nocapture
//! SLUICE_LAW_SEED=1:412 cargo test --lib random_cases -- --nocapture      # one story of 8 cases alone
//! ```
//!
//! A story follows from the run's seed and its own number. What fails is shrunk, and printed with its seed.

use super::aggregate;
use super::asked::{Asked, folder, repeats, runner, say, variable};
use super::oracle::Oracle;
use super::run::{QUERIES, Stage, Story, run, stories};
use super::tally::Tally;
use crate::engine::Engine;
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::TestError;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Cases of the test command: what two idle cores do in about two minutes, unoptimised.
const CASES: u64 = 2000;
/// Of so many stories one is such that DuckDB is asked too.
const SHARED_EVERY: u64 = 4;
/// Stories between two writes of the state.
const CHUNK: u64 = 32;
/// A run goes on after a failure, so that it tells of more than one, but not for ever.
const FAILURES_MAX: usize = 10;
/// Unoptimised planner frames are large.
const STACK_BYTES: usize = 64 << 20;

/// How far a run has come: kept in a file, it goes on from there.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    seed: u64,
    /// Stories below this number are done.
    done: u64,
    tally: Tally,
    failures: Vec<String>,
}

impl State {
    /// Where the run of that file has come to, or the start of what is asked.
    fn of(asked: &Asked, path: Option<&Path>) -> Self {
        let kept = path.and_then(|path| std::fs::read(path).ok());
        let fresh = Self { seed: asked.seed, done: asked.histories.start, ..Self::default() };
        let Some(kept) = kept else { return fresh };
        let state: Self = serde_json::from_slice(&kept).unwrap();
        assert_eq!(state.seed, asked.seed, "the state is that of a run with another seed");
        state
    }
}

fn keep(state: &State, path: &Path) {
    let next = path.with_extension("next");
    std::fs::write(&next, serde_json::to_vec(state).unwrap()).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// Runs one story, and shrinks it when it fails.
fn tell(seed: u64, number: u64, engines: &[Engine], oracle: Option<&Oracle>) -> Result<Tally, String> {
    let mut runner = runner(seed, number);
    let tree = stories().new_tree(&mut runner).map_err(|reason| reason.to_string())?;
    // Plans for one processor and for several are not alike.
    let engine = &engines[usize::from(number.is_multiple_of(3))];
    let shared = number % SHARED_EVERY == SHARED_EVERY - 1;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let tally = Mutex::new(None);
    let known = Mutex::new(HashMap::new());
    let outcome = runner.run_one(tree, |story: Story| {
        let story = if shared { story.shared() } else { story };
        let essence = story.essence(shared);
        if let Some(told) = known.lock().get(&essence) {
            return Result::clone(told).map_err(TestCaseError::fail);
        }
        let folder = folder();
        let stage = Stage { engine, root: folder.path(), oracle: oracle.filter(|_| shared) };
        let told = runtime.block_on(run(&story, shared, &stage));
        let told = told.map(|told| {
            tally.lock().get_or_insert(told);
        });
        if told.is_err() && known.lock().is_empty() {
            say(&format!("law: {} fails; it is being shrunk", repeats(seed, number)));
        }
        known.lock().insert(essence, told.clone());
        told.map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(_) => tally.into_inner().ok_or_else(|| "the story was not told".to_string()),
        Err(TestError::Fail(reason, _)) => Err(format!("{}\n{reason}", repeats(seed, number))),
        Err(error) => Err(format!("{}\n{error}", repeats(seed, number))),
    }
}

/// Runs stories on all processors; adds what came of them to the state.
fn tell_all(numbers: Range<u64>, state: &mut State, engines: &[[Engine; 2]], oracle: Option<&Oracle>) {
    let seed = state.seed;
    let next = AtomicU64::new(numbers.start);
    let shared = Mutex::new(state);
    std::thread::scope(|scope| {
        for engines in engines {
            let work = || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let told = tell(seed, number, engines, oracle);
                    let mut state = shared.lock();
                    match told {
                        Ok(tally) => state.tally.add(tally),
                        Err(failure) => {
                            say(&format!("FAILED {failure}"));
                            state.failures.push(failure);
                        }
                    }
                }
            };
            std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).unwrap();
        }
    });
}

#[test]
fn random_cases_hold() {
    let asked = Asked::of_environment(1, CASES, QUERIES as u64);
    let path = variable("SLUICE_LAW_STATE").map(PathBuf::from).filter(|_| !asked.is_one);
    let mut state = State::of(&asked, path.as_deref());
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8);
    let engines: Vec<[Engine; 2]> =
        (0..threads).map(|_| [1, 2].map(|partitions| Engine::new(1 << 30, partitions).unwrap())).collect();
    let oracle = Oracle::start();
    if oracle.is_none() {
        say("law: DuckDB is not asked: no Python that can import duckdb");
    }
    while state.done < asked.histories.end && state.failures.len() < FAILURES_MAX {
        let end = (state.done + CHUNK).min(asked.histories.end);
        tell_all(state.done..end, &mut state, &engines, oracle.as_ref());
        state.done = end;
        if let Some(path) = &path {
            keep(&state, path);
            say(&format!("law: {} cases", state.tally.cases));
        }
    }
    say(&format!("law: seed {}\n{}", state.seed, state.tally));
    assert!(state.failures.is_empty(), "{}", state.failures.join("\n\n"));
    if asked.is_all {
        has_tried_enough(&state.tally, oracle.is_some());
    }
}

/// A generator that draws only what is refused, or changes that change nothing, proves nothing.
fn has_tried_enough(tally: &Tally, has_oracle: bool) {
    let all = tally.refreshes;
    assert!(all.incremental * 2 > all.all, "too few refreshes are incremental");
    assert!(all.changed * 3 > all.all, "too few refreshes change rows");
    let impossible: u64 = tally.impossible.values().sum();
    assert!(impossible * 20 < tally.cases, "too many queries cannot be computed");
    for (operator, refreshes) in &tally.operators {
        assert!(refreshes.changed > 0, "{operator} has changed no rows");
    }
    for operator in OPERATORS.iter().copied().chain(aggregate::drawn()) {
        assert!(tally.operators.contains_key(operator), "no query has {operator}");
    }
    for change in CHANGES {
        assert!(tally.changes.contains_key(*change), "no {change}");
    }
    if has_oracle {
        let not_compared: u64 = tally.not_compared.values().sum();
        assert!(not_compared * 10 < tally.agreed, "DuckDB cannot compute too many queries");
    }
}

/// What queries are made of, beside aggregate functions.
const OPERATORS: &[&str] = &[
    "project",
    "WHERE",
    "inner join",
    "left join",
    "right join",
    "full join",
    "cross join",
    "self join",
    "join by inequality",
    "join with a condition",
    "EXISTS",
    "NOT EXISTS",
    "IN",
    "NOT IN",
    "subquery under OR",
    "scalar subquery",
    "uncorrelated subquery",
    "GROUP BY",
    "aggregate of all",
    "HAVING",
    "FILTER",
    "count(DISTINCT)",
    "sum(DISTINCT)",
    "ROLLUP",
    "CUBE",
    "GROUPING SETS",
    "DISTINCT",
    "DISTINCT ON",
    "UNION ALL",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "INTERSECT ALL",
    "EXCEPT ALL",
    "window",
    "window over all",
    "first of each key",
    "rank()",
    "dense_rank()",
    "LIMIT",
    "CTE",
    "unnest",
    "empty list",
    "subquery",
    "PARTITIONED BY",
    "view on a view",
    "DROP ROW",
];

/// What happens between refreshes.
const CHANGES: &[&str] = &[
    "insert",
    "insert of NULL keys",
    "insert of late rows",
    "insert of duplicates",
    "delete",
    "delete of all rows",
    "update",
    "replacement",
    "fold",
    "new column",
    "wider type",
    "fold of views",
    "several commits in one refresh",
    "restart",
];
