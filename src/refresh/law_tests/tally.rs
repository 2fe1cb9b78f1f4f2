//! What a run has tried, by operator and by kind of change: a generator that rots is seen here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Refreshes of one sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refreshes {
    /// All of them.
    pub(super) all: u64,
    /// Those that were computed from changes.
    pub(super) incremental: u64,
    /// Those that changed rows of the view.
    pub(super) changed: u64,
}

impl Refreshes {
    fn add(&mut self, other: Refreshes) {
        self.all += other.all;
        self.incremental += other.incremental;
        self.changed += other.changed;
    }
}

/// Sums over cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Cases run.
    pub(super) cases: u64,
    /// All refreshes.
    pub(super) refreshes: Refreshes,
    /// Refreshes by operator of the query.
    pub(super) operators: BTreeMap<String, Refreshes>,
    /// Refreshes by the way they took.
    pub(super) ways: BTreeMap<String, Refreshes>,
    /// Commits that changed something, by kind.
    pub(super) changes: BTreeMap<String, u64>,
    /// Why views were recomputed.
    pub(super) refusals: BTreeMap<String, u64>,
    /// Derived plans that the engine failed on, so that the view was recomputed.
    pub(super) failed: BTreeMap<String, u64>,
    /// Refreshes of queries that failed, as they should: the query itself fails on the rows that there are.
    #[serde(default)]
    pub(super) failing: BTreeMap<String, u64>,
    /// Queries that the engine cannot compute at all.
    pub(super) impossible: BTreeMap<String, u64>,
    /// Queries whose result DuckDB agreed with.
    pub(super) agreed: u64,
    /// Queries that DuckDB cannot compute.
    pub(super) not_compared: BTreeMap<String, u64>,
}

impl Tally {
    /// Notes a refresh of a query.
    pub(super) fn refreshed<'a>(
        &mut self,
        operators: impl IntoIterator<Item = &'a &'static str>,
        way: &str,
        refreshes: Refreshes,
    ) {
        self.refreshes.add(refreshes);
        self.ways.entry(way.to_string()).or_default().add(refreshes);
        for operator in operators {
            self.operators.entry((*operator).to_string()).or_default().add(refreshes);
        }
    }

    /// Adds another run's sums.
    pub(super) fn add(&mut self, other: Tally) {
        self.cases += other.cases;
        self.refreshes.add(other.refreshes);
        for (of, refreshes) in other.operators {
            self.operators.entry(of).or_default().add(refreshes);
        }
        for (of, refreshes) in other.ways {
            self.ways.entry(of).or_default().add(refreshes);
        }
        let counts = [
            (&mut self.changes, other.changes),
            (&mut self.refusals, other.refusals),
            (&mut self.failed, other.failed),
            (&mut self.failing, other.failing),
            (&mut self.impossible, other.impossible),
            (&mut self.not_compared, other.not_compared),
        ];
        for (mine, others) in counts {
            for (of, count) in others {
                *mine.entry(of).or_default() += count;
            }
        }
        self.agreed += other.agreed;
    }
}

/// Counts one more of what a message says, names and numbers left out.
pub(super) fn count(counts: &mut BTreeMap<String, u64>, message: &str) {
    let mut kept = String::new();
    for c in message.lines().next().unwrap_or_default().chars().take(160) {
        match c.is_ascii_digit() {
            false => kept.push(c),
            true if kept.ends_with('#') => {}
            true => kept.push('#'),
        }
    }
    *counts.entry(kept).or_default() += 1;
}

fn percent(part: u64, all: u64) -> u64 {
    (part * 100).checked_div(all).unwrap_or(0)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, r: &Refreshes| {
            let (incremental, changed) = (percent(r.incremental, r.all), percent(r.changed, r.all));
            writeln!(
                f,
                "  {name:<24} {:>8} refreshes, {incremental:>3} % incremental, {changed:>3} % changed rows",
                r.all
            )
        };
        writeln!(f, "{} cases", self.cases)?;
        line(f, "all", &self.refreshes)?;
        writeln!(f, "by operator:")?;
        for (name, refreshes) in &self.operators {
            line(f, name, refreshes)?;
        }
        writeln!(f, "by way:")?;
        for (name, refreshes) in &self.ways {
            line(f, name, refreshes)?;
        }
        let lists = [
            ("commits that changed something, by kind", &self.changes),
            ("recomputed, by reason", &self.refusals),
            ("derived plans that failed", &self.failed),
            ("refreshes that failed as their query does", &self.failing),
            ("queries that the engine cannot compute", &self.impossible),
            ("queries that DuckDB cannot compute", &self.not_compared),
        ];
        for (title, counts) in lists {
            writeln!(f, "{title}: {}", counts.values().sum::<u64>())?;
            let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            for (what, count) in counts.iter().take(30) {
                writeln!(f, "  {count:>8} {what}")?;
            }
        }
        writeln!(f, "results that DuckDB agreed with: {}", self.agreed)
    }
}
