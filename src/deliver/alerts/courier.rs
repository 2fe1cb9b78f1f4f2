//! Brings one target its messages, one after the other, for as long as each takes.

use super::message::Message;
use super::outbox::{Due, Outcome};
use super::watcher::sleep_until;
use super::{Alerts, email, webhook};
use crate::ops::secret::Secrets;
use crate::sql::{ConnectionDefinition, Target};
use reqwest::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long a message that is under way is waited for at the end. It is sent again where that was too short.
const END_MAX: Duration = Duration::from_secs(1);

pub(super) struct Courier {
    pub(super) alerts: Arc<Alerts>,
    pub(super) client: Client,
    pub(super) connections: BTreeMap<String, Arc<ConnectionDefinition>>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) pushed: watch::Receiver<()>,
    pub(super) stop: CancellationToken,
}

impl Courier {
    /// Runs until stopped. The target comes as each alert names it.
    pub(super) async fn run(mut self, named: Vec<(String, Target)>) {
        let Some(target) = named.first().map(|(_, target)| target.to_string()) else { return };
        while !self.stop.is_cancelled() {
            self.pushed.mark_unchanged();
            match self.alerts.due(&target) {
                Due::Now(message) => {
                    let Some(outcome) = self.try_once(&named, &message).await else { return };
                    self.alerts.settle(&target, &message.key, outcome);
                }
                Due::At(time) => tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = sleep_until(Some(time)) => {}
                },
                Due::Nothing => tokio::select! {
                    () = self.stop.cancelled() => return,
                    pushed = self.pushed.changed() => if pushed.is_err() { return },
                },
            }
        }
    }

    /// Sends a message; `None` when there is no time left to see how that goes.
    async fn try_once(&self, named: &[(String, Target)], message: &Message) -> Option<Outcome> {
        let by_alert = named.iter().find(|(alert, _)| *alert == message.alert).or(named.first());
        let (_, target) = by_alert?;
        let end = async {
            self.stop.cancelled().await;
            tokio::time::sleep(END_MAX).await;
        };
        tokio::select! {
            outcome = self.send(target, message) => Some(placed(target, outcome)),
            () = end => None,
        }
    }

    async fn send(&self, target: &Target, message: &Message) -> Outcome {
        match target {
            Target::Webhook(webhook) => webhook::post(&self.client, webhook, &self.secrets, message).await,
            Target::Email(email) => match self.connections.get(&email.connection) {
                Some(connection) => email::send(email, connection, &self.secrets, message).await,
                None => Outcome::Failed(format!("connection \"{}\" does not exist", email.connection)),
            },
        }
    }
}

/// An outcome that says where the target stands and what to do.
fn placed(target: &Target, outcome: Outcome) -> Outcome {
    let way_out = match target {
        Target::Webhook(_) => "mend what receives there, or change the target's URL",
        Target::Email(_) => "mend the mail server, or change the target's connection",
    };
    let placed = |why: String, then: &str| format!("{}: {target}: {why}; {then}: {way_out}", target.origin());
    match outcome {
        Outcome::Delivered => Outcome::Delivered,
        Outcome::Refused(why) => Outcome::Refused(placed(why, "it is not sent again")),
        Outcome::Failed(why) => {
            Outcome::Failed(placed(why, "it is sent again for a day, with growing pauses"))
        }
    }
}
