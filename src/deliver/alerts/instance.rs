//! What an alert's instances go through, as Prometheus has it. Pure.
//!
//! ```text
//!            holds            for as long as FOR says
//! inactive ────────► pending ────────────────────────► firing ◄──────┐ holds
//!     ▲                 │ is over                         │ is over   │
//!     ├─────────────────┘                                 ▼           │
//!     └── resolved ◄──────────────────────────────── keep firing ─────┘
//!                    for as long as KEEP FIRING FOR says
//! ```

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What tells an instance from the others of its alert.
pub type Labels = BTreeMap<String, String>;
/// What else its row says.
pub type Values = BTreeMap<String, String>;

/// Instances of one alert at most; what more there are is counted.
pub const INSTANCES_MAX: usize = 100;

/// How far an instance has come. One that is inactive is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The condition holds, and has not for long enough.
    Pending,
    /// It has been over, and not for long enough.
    KeepFiring,
    /// It holds, and whom it concerns was told.
    Firing,
}

impl Phase {
    const ALL: [Phase; 3] = [Phase::Pending, Phase::KeepFiring, Phase::Firing];

    /// The words in system tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::KeepFiring => "keep firing",
            Phase::Firing => "firing",
        }
    }

    /// The phase of these words.
    pub fn of(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == words)
    }
}

/// Something that an alert is about, while its condition holds and as long after it as it fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What tells it from the others.
    pub labels: Labels,
    /// What else the newest row said.
    pub values: Values,
    /// How far it has come.
    pub phase: Phase,
    /// Since when the condition holds.
    pub active_since: DateTime<Utc>,
    /// Since when it fires.
    pub fired_at: Option<DateTime<Utc>>,
    /// Since when the condition is over, although it fires.
    pub over_since: Option<DateTime<Utc>>,
}

/// An alert's clauses about time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// `FOR`
    pub hold: Duration,
    /// `KEEP FIRING FOR`
    pub keep_firing: Duration,
}

/// The rows that an alert's query gave.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// One entry an instance.
    pub instances: BTreeMap<Labels, Values>,
    /// How many rows were read.
    pub rows: usize,
    /// False when there were more: of an instance that was not seen nothing is known then.
    pub is_complete: bool,
}

/// What has changed with a look at an alert.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Instances that are in another phase, the new ones too, and the words for it: those of a phase, `resolved`,
    /// `inactive`.
    pub moved: Vec<(Instance, &'static str)>,
    /// Those of them that fire from now on.
    pub fired: Vec<Instance>,
    /// Those that fired until now.
    pub resolved: Vec<Instance>,
}

/// An alert's instances.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    now: BTreeMap<Labels, Instance>,
    /// Instances that there was no room for.
    pub beyond: usize,
}

impl Instances {
    /// Goes on from these.
    pub fn recall(instances: impl IntoIterator<Item = Instance>) -> Self {
        let now = instances.into_iter().map(|instance| (instance.labels.clone(), instance)).collect();
        Self { now, beyond: 0 }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Instance> {
        self.now.values()
    }

    /// How many are in a phase.
    pub fn count(&self, phase: Phase) -> usize {
        self.all().filter(|instance| instance.phase == phase).count()
    }

    /// How many targets were told of and not yet of their end.
    pub fn told(&self) -> usize {
        self.all().filter(|instance| instance.phase != Phase::Pending).count()
    }

    /// The furthest phase of any.
    pub fn phase(&self) -> Option<Phase> {
        self.all().map(|instance| instance.phase).max()
    }

    /// Takes a look into account.
    pub fn observe(&mut self, seen: &Seen, timing: Timing, now: DateTime<Utc>) -> Changes {
        let mut changes = Changes::default();
        let known: BTreeSet<Labels> = self.now.keys().cloned().collect();
        for labels in &known {
            let row = seen.instances.get(labels);
            if (row.is_some() || seen.is_complete)
                && let Some(before) = self.now.remove(labels)
            {
                let next = before.next(row, timing, now);
                self.keep(before, next, &mut changes);
            }
        }
        self.beyond = 0;
        for (labels, values) in seen.instances.iter().filter(|(labels, _)| !known.contains(*labels)) {
            if self.now.len() >= INSTANCES_MAX {
                self.beyond += 1;
                continue;
            }
            let new = Instance::new(labels.clone(), values.clone(), now);
            let next = new.next(Some(values), timing, now);
            if let Next::Stays(pending) = &next {
                changes.moved.push((pending.clone(), pending.phase.as_str()));
            }
            self.keep(new, next, &mut changes);
        }
        changes
    }

    /// When an instance would get further although nothing changes.
    pub fn next_due(&self, timing: Timing) -> Option<DateTime<Utc>> {
        let due = self.all().filter_map(|instance| match instance.phase {
            Phase::Pending => later(instance.active_since, timing.hold),
            Phase::KeepFiring => later(instance.over_since?, timing.keep_firing),
            Phase::Firing => None,
        });
        due.min()
    }

    fn keep(&mut self, before: Instance, next: Next, changes: &mut Changes) {
        match next {
            Next::Stays(after) => {
                if after.phase != before.phase {
                    changes.moved.push((after.clone(), after.phase.as_str()));
                }
                self.now.insert(after.labels.clone(), after);
            }
            Next::Fires(after) => {
                changes.moved.push((after.clone(), after.phase.as_str()));
                changes.fired.push(after.clone());
                self.now.insert(after.labels.clone(), after);
            }
            Next::Resolves => {
                changes.moved.push((before.clone(), "resolved"));
                changes.resolved.push(before);
            }
            Next::Ends => changes.moved.push((before, "inactive")),
        }
    }
}

/// What becomes of an instance.
enum Next {
    Stays(Instance),
    Fires(Instance),
    Resolves,
    Ends,
}

impl Instance {
    fn new(labels: Labels, values: Values, now: DateTime<Utc>) -> Self {
        let phase = Phase::Pending;
        Self { labels, values, phase, active_since: now, fired_at: None, over_since: None }
    }

    /// The next phase, given its row; without one the condition is over.
    fn next(&self, row: Option<&Values>, timing: Timing, now: DateTime<Utc>) -> Next {
        let mut after = self.clone();
        if let Some(values) = row {
            after.values = values.clone();
        }
        match (self.phase, row.is_some()) {
            (Phase::Pending, true) if has_passed(self.active_since, timing.hold, now) => {
                (after.phase, after.fired_at) = (Phase::Firing, Some(now));
                Next::Fires(after)
            }
            (Phase::Pending, true) => Next::Stays(after),
            (Phase::Pending, false) => Next::Ends,
            (Phase::Firing | Phase::KeepFiring, true) => {
                (after.phase, after.over_since) = (Phase::Firing, None);
                Next::Stays(after)
            }
            (Phase::Firing | Phase::KeepFiring, false) => {
                let over_since = self.over_since.unwrap_or(now);
                if has_passed(over_since, timing.keep_firing, now) {
                    return Next::Resolves;
                }
                (after.phase, after.over_since) = (Phase::KeepFiring, Some(over_since));
                Next::Stays(after)
            }
        }
    }
}

fn later(then: DateTime<Utc>, time: Duration) -> Option<DateTime<Utc>> {
    then.checked_add_signed(chrono::Duration::from_std(time).ok()?)
}

/// A clock that was put back makes nothing pass sooner.
fn has_passed(since: DateTime<Utc>, time: Duration, now: DateTime<Utc>) -> bool {
    later(since, time).is_some_and(|due| now >= due)
}

#[cfg(test)]
mod tests;
