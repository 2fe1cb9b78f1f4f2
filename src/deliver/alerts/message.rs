//! What a target is told: one message for each look at an alert that changed something.

use super::instance::{Changes, Instance, Instances, Labels, Values};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A message to one target. It is kept as JSON until it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// By which a receiver knows that it has it already.
    pub key: String,
    /// The alert.
    pub alert: String,
    /// Who is told.
    pub target: String,
    /// When the look was, in microseconds since 1970.
    pub at_us: i64,
    /// The alert's own labels.
    pub labels: Labels,
    /// How many instances fire after it.
    pub firing: usize,
    /// How many more there were than an alert has instances.
    pub beyond: usize,
    /// The instances that fire from now on, and those that do no more.
    pub news: Vec<News>,
}

/// What is new of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// What tells it from the others.
    pub labels: Labels,
    /// What else its newest row says.
    pub values: Values,
    /// Since when its condition holds, in microseconds since 1970.
    pub started_us: i64,
    /// Since when it is resolved; `None` while it fires.
    pub ended_us: Option<i64>,
}

impl Message {
    /// What is to be told of changes; `None` when that is nothing.
    pub fn of(
        (alert, labels): (&str, &Labels),
        target: String,
        (changes, after): (&Changes, &Instances),
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let news = |instance: &Instance, ended_us| News {
            labels: instance.labels.clone(),
            values: instance.values.clone(),
            started_us: instance.active_since.timestamp_micros(),
            ended_us,
        };
        let fired = changes.fired.iter().map(|instance| news(instance, None));
        let ended = Some(now.timestamp_micros());
        let resolved = changes.resolved.iter().map(|instance| news(instance, ended));
        let news: Vec<News> = fired.chain(resolved).collect();
        (!news.is_empty()).then(|| Message {
            key: uuid::Uuid::new_v4().to_string(),
            alert: alert.to_string(),
            target,
            at_us: now.timestamp_micros(),
            labels: labels.clone(),
            firing: after.told(),
            beyond: after.beyond,
            news,
        })
    }

    /// `firing` while any instance does.
    pub fn status(&self) -> &'static str {
        if self.firing > 0 { "firing" } else { "resolved" }
    }

    /// One line that says it all: `[FIRING:2] no_input`.
    pub fn title(&self, subject: Option<&str>) -> String {
        let about = subject.unwrap_or(&self.alert);
        match self.firing {
            0 => format!("[RESOLVED] {about}"),
            firing => format!("[FIRING:{firing}] {about}"),
        }
    }

    /// When the look was.
    pub fn at(&self) -> DateTime<Utc> {
        time(self.at_us)
    }
}

impl News {
    /// `firing` or `resolved`.
    pub fn status(&self) -> &'static str {
        if self.ended_us.is_some() { "resolved" } else { "firing" }
    }

    /// Everything that its row said, in words.
    pub fn words(&self) -> String {
        let said = self.labels.iter().chain(&self.values);
        let words: Vec<String> = said.map(|(name, value)| format!("{name} = {value}")).collect();
        words.join(", ")
    }
}

/// A time as messages have it.
pub(super) fn written(us: i64) -> String {
    time(us).to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn time(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or_default()
}
