//! `sluice.alert_log`: each phase that an instance came to, each message and its tries. What is written there at once stands
//! together: a message, and the phase that it tells of.

use super::instance::{Instance, Labels, Phase};
use super::message::Message;
use super::outbox::{Settled, State};
use crate::catalog::live::{Journal, Row, time};
use crate::lake;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The query behind `sluice.notifications`.
pub const NOTIFICATIONS: &str = "SELECT key, alert, target, min(message_at) AS created_at, last_value(state ORDER BY at, attempts) \
     AS state, max(attempts) AS attempts, last_value(error ORDER BY at, attempts) AS error, \
     max(CASE WHEN state = 'delivered' THEN at END) AS delivered_at \
     FROM sluice.alert_log WHERE key IS NOT NULL GROUP BY key, alert, target";

/// The columns of `sluice.alert_log`.
pub fn log_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time =
        |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Arc::new(Schema::new(vec![
        time("at"),
        text("alert"),
        text("state"),
        text("labels"),
        text("values"),
        time("active_since"),
        time("fired_at"),
        time("over_since"),
        text("key"),
        text("target"),
        time("message_at"),
        Field::new("attempts", DataType::Int64, true),
        text("error"),
        text("message"),
    ]))
}

/// The columns of `sluice.notifications`.
pub fn notifications_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time =
        |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Arc::new(Schema::new(vec![
        text("key"),
        text("alert"),
        text("target"),
        time("created_at"),
        text("state"),
        Field::new("attempts", DataType::Int64, true),
        text("error"),
        time("delivered_at"),
    ]))
}

/// The row of an instance that has come to a phase.
pub(super) fn moved(alert: &str, instance: &Instance, state: &str, now: DateTime<Utc>) -> Row {
    vec![
        time(Some(now)),
        alert.into(),
        state.into(),
        json(&instance.labels),
        json(&instance.values),
        time(Some(instance.active_since)),
        time(instance.fired_at),
        time(instance.over_since),
    ]
}

/// The row of a message that is to be delivered.
pub(super) fn waits(message: &Message, now: DateTime<Utc>) -> Row {
    let mut row = of_message(message, State::Waiting, now);
    row.extend([0_i64.into(), ScalarValue::Utf8(None), json(message)]);
    row
}

/// The row of a message that was tried.
pub(super) fn settled(settled: &Settled, now: DateTime<Utc>) -> Row {
    let mut row = of_message(&settled.message, settled.state, now);
    row.extend([i64::from(settled.attempts).into(), ScalarValue::Utf8(settled.error.clone())]);
    row
}

fn of_message(message: &Message, state: State, now: DateTime<Utc>) -> Row {
    let nothing = || ScalarValue::Null;
    vec![
        time(Some(now)),
        message.alert.as_str().into(),
        state.as_str().into(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        message.key.as_str().into(),
        message.target.as_str().into(),
        time(Some(message.at())),
    ]
}

fn json(value: &impl Serialize) -> ScalarValue {
    ScalarValue::Utf8(serde_json::to_string(value).ok())
}

/// What an earlier process has left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Instances by alert.
    pub(super) instances: BTreeMap<String, Vec<Instance>>,
    /// Messages that were not delivered, oldest first, and how often each was tried.
    pub(super) waiting: Vec<(Message, u32)>,
}

/// Reads what is left. Blocks.
pub(super) fn recall(journal: &Journal) -> Result<Left, lake::Error> {
    let mut phases: BTreeMap<(String, Labels), (i64, Option<Instance>)> = BTreeMap::new();
    let mut messages: BTreeMap<String, Message> = BTreeMap::new();
    let mut tries: BTreeMap<String, (u32, bool)> = BTreeMap::new();
    for rows in journal.written()? {
        let noted = Noted(&rows);
        for row in 0..rows.num_rows() {
            if let Some(key) = noted.text("key", row) {
                let (attempts, is_over) = tries.entry(key.clone()).or_default();
                *attempts = noted.attempts(row).max(*attempts);
                *is_over |= noted.text("state", row).as_deref() != Some(State::Waiting.as_str());
                messages.extend(noted.json("message", row).map(|message| (key, message)));
            } else if let Some((at, alert, labels, instance)) = noted.phase(row) {
                let newest = phases.entry((alert, labels)).or_insert((at, None));
                if newest.0 <= at {
                    *newest = (at, instance);
                }
            }
        }
    }
    let mut left = Left::default();
    for ((alert, _), (_, instance)) in phases {
        left.instances.entry(alert).or_default().extend(instance);
    }
    for (key, message) in messages {
        if let Some((attempts, false)) = tries.get(&key) {
            left.waiting.push((message, *attempts));
        }
    }
    left.waiting.sort_by_key(|(message, _)| message.at_us);
    Ok(left)
}

/// Rows of the log.
struct Noted<'a>(&'a RecordBatch);

impl Noted<'_> {
    fn text(&self, name: &str, row: usize) -> Option<String> {
        let column = self.0.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_string())
    }

    fn json<T: DeserializeOwned>(&self, name: &str, row: usize) -> Option<T> {
        serde_json::from_str(&self.text(name, row)?).ok()
    }

    fn micros(&self, name: &str, row: usize) -> Option<i64> {
        let column = self.0.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    fn time(&self, name: &str, row: usize) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.micros(name, row)?)
    }

    fn attempts(&self, row: usize) -> u32 {
        let column = self.0.column_by_name("attempts").and_then(|c| c.as_primitive_opt::<Int64Type>());
        column.and_then(|column| u32::try_from(column.value(row)).ok()).unwrap_or(0)
    }

    /// When, of which alert, which instance, and how it then was: `None` once it was no more.
    fn phase(&self, row: usize) -> Option<(i64, String, Labels, Option<Instance>)> {
        let labels: Labels = self.json("labels", row)?;
        let instance = Phase::of(&self.text("state", row)?).and_then(|phase| {
            Some(Instance {
                labels: labels.clone(),
                values: self.json("values", row)?,
                phase,
                active_since: self.time("active_since", row)?,
                fired_at: self.time("fired_at", row),
                over_since: self.time("over_since", row),
            })
        });
        Some((self.micros("at", row)?, self.text("alert", row)?, labels, instance))
    }
}
