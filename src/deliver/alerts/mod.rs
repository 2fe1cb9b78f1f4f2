//! Alerts: questions that are asked again and again, and who is told of the answers.
//!
//! ```text
//! epoch, schedule or clock ─► LOOK: the query over the cut ─► instances ─► what fires, what is resolved
//!                                                                            │ one commit to sluice.alert_log
//! webhook, mail ◄─ COURIER, one a target: its messages in order ◄─ OUTBOX, one a target
//! ```
//!
//! Comes in: a project's alerts and the cuts that readers see. Goes out: one message for each look that changed something,
//! and target. Guarantee: a message is written down before it is sent, and sent until it is taken, for a day at most: at
//! least once, each with a key by which a receiver knows it again, in order. Failure: a query that fails is asked again
//! and shown; a target that is away holds up nothing but its own messages.

mod courier;
mod email;
mod instance;
mod log;
mod message;
mod outbox;
mod payload;
mod rows;
mod watcher;
mod webhook;

pub use instance::{Instance, Instances, Phase};
pub use log::{NOTIFICATIONS, log_schema, notifications_schema};
pub use outbox::Outbox;

use crate::catalog::cut::Cut;
use crate::catalog::live::{Journal, Row};
use crate::engine::Engine;
use crate::lake;
use crate::ops::clock;
use crate::ops::secret::Secrets;
use crate::quality::Health;
use crate::sql::{AlertDefinition, ConnectionDefinition, Target};
use chrono::{DateTime, Utc};
use instance::{Seen, Timing};
use message::Message;
use outbox::{Due, Outcome, State};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often instances that do not move are written down again: what is noted is forgotten after some days.
const NOTED_AGAIN: chrono::Duration = chrono::Duration::hours(12);

/// What is known of an alert.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// What it is about now.
    pub instances: Instances,
    /// When its query was asked.
    pub looked_at: Option<DateTime<Utc>>,
    /// How many rows it gave.
    pub rows: usize,
    /// Why it gave none; `None` when it did not fail.
    pub error: Option<String>,
    /// How often in a row it failed.
    pub failures: u32,
    /// When all its instances were last written down.
    noted_at: Option<DateTime<Utc>>,
    /// How often it was asked since the start.
    pub looks: u64,
    /// How often that failed.
    pub looks_failed: u64,
}

/// The alerts of a warehouse, while projects come and go.
#[derive(Debug)]
pub struct Alerts {
    journal: Arc<Journal>,
    standing: Mutex<BTreeMap<String, Standing>>,
    outboxes: Mutex<BTreeMap<String, Outbox>>,
    /// Told whenever a message is put into an outbox.
    pushed: watch::Sender<()>,
}

/// What runs alerts.
pub struct Run {
    /// The alerts of the project.
    pub alerts: Vec<Arc<AlertDefinition>>,
    /// Those of them whose answer changes as time passes.
    pub of_clock: BTreeSet<String>,
    /// Its connections.
    pub connections: BTreeMap<String, Arc<ConnectionDefinition>>,
    /// What their queries run in.
    pub engine: Engine,
    /// What they run over.
    pub cuts: watch::Receiver<Arc<Cut>>,
    /// The shape of the project's first cut.
    pub shape: u64,
    /// Where addresses and passwords are.
    pub secrets: Arc<Secrets>,
}

impl Alerts {
    /// Goes on from what was written down. Blocks.
    pub fn recall(journal: Arc<Journal>) -> Result<Self, lake::Error> {
        let left = log::recall(&journal)?;
        let standing = left.instances.into_iter().map(|(name, instances)| {
            (name, Standing { instances: Instances::recall(instances), ..Standing::default() })
        });
        let mut outboxes: BTreeMap<String, Outbox> = BTreeMap::new();
        for (message, attempts) in left.waiting {
            outboxes.entry(message.target.clone()).or_default().push(Arc::new(message), attempts);
        }
        let (standing, outboxes) = (Mutex::new(standing.collect()), Mutex::new(outboxes));
        Ok(Self { journal, standing, outboxes, pushed: watch::Sender::new(()) })
    }

    /// How an alert stands.
    pub fn standing(&self, alert: &str) -> Standing {
        self.standing.lock().get(alert).cloned().unwrap_or_default()
    }

    /// How a target's messages stand.
    pub fn outbox(&self, target: &str) -> Outbox {
        self.outboxes.lock().get(target).cloned().unwrap_or_default()
    }

    /// How alerts and targets do.
    pub fn healths(&self) -> Vec<(String, Health)> {
        let health = |kind, attempts, error: &Option<String>, was_tried| match error {
            Some(error) => Health::Troubled { kind, attempts, is_lasting: false, error: error.clone() },
            None if was_tried => Health::Well,
            None => Health::Unknown,
        };
        let standing = self.standing.lock();
        let alerts = standing.iter().map(|(name, alert)| {
            let health = health("alert", alert.failures, &alert.error, alert.looked_at.is_some());
            (format!("alert {name}"), health)
        });
        let outboxes = self.outboxes.lock();
        let targets = outboxes.iter().map(|(name, outbox)| {
            let health =
                health("notification", outbox.failures, &outbox.error, outbox.delivered_at.is_some());
            (name.clone(), health)
        });
        alerts.chain(targets).collect()
    }

    /// Runs a project's alerts until stopped.
    pub async fn run(self: Arc<Self>, run: Run, stop: CancellationToken) {
        let targets = self.retain(&run.alerts);
        self.flush().await;
        let mut tasks = JoinSet::new();
        match webhook::client() {
            Ok(client) => {
                for target in targets.into_values() {
                    let courier = courier::Courier {
                        alerts: Arc::clone(&self),
                        client: client.clone(),
                        connections: run.connections.clone(),
                        secrets: Arc::clone(&run.secrets),
                        pushed: self.pushed.subscribe(),
                        stop: stop.clone(),
                    };
                    tasks.spawn(courier.run(target));
                }
            }
            Err(error) => tracing::error!(%error, "nobody can be told of alerts"),
        }
        let turn = Arc::new(tokio::sync::Semaphore::new(watcher::LOOKS_AT_ONCE));
        for alert in run.alerts {
            let watcher = watcher::Watcher {
                alerts: Arc::clone(&self),
                depends_on_clock: run.of_clock.contains(&alert.name),
                alert,
                engine: run.engine.clone(),
                cuts: run.cuts.clone(),
                turn: Arc::clone(&turn),
            };
            tasks.spawn(watcher.run(run.shape, stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Forgets what these alerts are not about any more; the targets that they name, each once.
    fn retain(&self, alerts: &[Arc<AlertDefinition>]) -> BTreeMap<String, Vec<(String, Target)>> {
        let mut targets: BTreeMap<String, Vec<(String, Target)>> = BTreeMap::new();
        for alert in alerts {
            for target in &alert.targets {
                targets.entry(target.to_string()).or_default().push((alert.name.clone(), target.clone()));
            }
        }
        let (now, mut rows) = (clock::now(), Vec::<Row>::new());
        let names: BTreeSet<&String> = alerts.iter().map(|alert| &alert.name).collect();
        let mut standing = self.standing.lock();
        for (name, gone) in standing.extract_if(.., |name, _| !names.contains(name)) {
            rows.extend(gone.instances.all().map(|instance| log::moved(&name, instance, "inactive", now)));
        }
        for name in names {
            standing.entry(name.clone()).or_default();
        }
        let mut outboxes = self.outboxes.lock();
        for (_, mut gone) in outboxes.extract_if(.., |name, _| !targets.contains_key(name)) {
            let settled = gone.give_up("no alert names this target any more");
            rows.extend(settled.iter().map(|settled| log::settled(settled, now)));
        }
        for name in targets.keys() {
            outboxes.entry(name.clone()).or_default();
        }
        self.journal.note_all(rows);
        targets
    }

    /// Takes a look into account: what it changed is written down, then told.
    async fn looked(&self, alert: &AlertDefinition, seen: Result<Seen, String>, now: DateTime<Utc>) {
        let (mut rows, mut messages) = (Vec::new(), Vec::new());
        {
            let mut all = self.standing.lock();
            let standing = all.entry(alert.name.clone()).or_default();
            standing.looked_at = Some(now);
            standing.looks += 1;
            match seen {
                Ok(seen) => {
                    (standing.rows, standing.error, standing.failures) = (seen.rows, None, 0);
                    if standing.noted_at.is_none_or(|then| now - then >= NOTED_AGAIN) {
                        standing.noted_at = Some(now);
                        let all = standing.instances.all();
                        rows.extend(all.map(|i| log::moved(&alert.name, i, i.phase.as_str(), now)));
                    }
                    let changes = standing.instances.observe(&seen, timing(alert), now);
                    let moved = changes.moved.iter();
                    rows.extend(moved.map(|(instance, state)| log::moved(&alert.name, instance, state, now)));
                    for target in &alert.targets {
                        let about = (alert.name.as_str(), &alert.labels);
                        let news = (&changes, &standing.instances);
                        messages.extend(Message::of(about, target.to_string(), news, now));
                    }
                }
                Err(error) => {
                    standing.failures = standing.failures.saturating_add(1);
                    standing.looks_failed += 1;
                    standing.error = Some(error);
                }
            }
        }
        if rows.is_empty() {
            return;
        }
        rows.extend(messages.iter().map(|message| log::waits(message, now)));
        self.journal.note_all(rows);
        self.flush().await;
        let mut lost = Vec::new();
        for message in messages {
            let mut outboxes = self.outboxes.lock();
            let outbox = outboxes.entry(message.target.clone()).or_default();
            lost.extend(outbox.push(Arc::new(message), 0));
        }
        self.journal.note_all(lost.iter().map(|settled| log::settled(settled, now)));
        self.pushed.send_replace(());
    }

    /// What a target is to be told next.
    fn due(&self, target: &str) -> Due {
        self.outboxes.lock().get(target).map_or(Due::Nothing, |outbox| outbox.due(clock::now()))
    }

    /// Notes how a try went.
    fn settle(&self, target: &str, key: &str, outcome: Outcome) {
        let now = clock::now();
        let settled = {
            let mut outboxes = self.outboxes.lock();
            outboxes.get_mut(target).and_then(|outbox| outbox.settle(key, outcome, now, rand::random()))
        };
        let Some(settled) = settled else { return };
        let (alert, error) = (&settled.message.alert, settled.error.as_deref());
        match settled.state {
            State::Delivered => tracing::debug!(target, alert, key, "delivered"),
            State::Waiting => tracing::debug!(target, alert, key, error, "could not be delivered yet"),
            State::GivenUp => tracing::warn!(target, alert, key, error, "given up: could not be delivered"),
        }
        self.journal.note(log::settled(&settled, now));
    }

    /// Writes down what was noted. What the disk refuses waits on, and is told all the same: that a disk is full is what
    /// an alert is for.
    async fn flush(&self) {
        if let Err(error) = self.journal.flush().await {
            tracing::warn!(error = lake::chain(&error), "could not write down what alerts have come to");
        }
    }
}

fn timing(alert: &AlertDefinition) -> Timing {
    Timing { hold: alert.hold, keep_firing: alert.keep_firing }
}
