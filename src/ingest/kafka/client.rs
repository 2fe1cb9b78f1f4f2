//! The librdkafka consumer and what it tells beside records: errors, statistics, one log line.

use super::continuity::Watermarks;
use super::settings::Settings;
use super::trouble;
use crate::ingest::SourceError;
use crate::ops::clock;
use parking_lot::Mutex;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientContext, TopicPartitionList};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long one question to a broker may take. Short, because a stop waits for it.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an error stays the likely cause of what comes after it.
const CAUSE_AGE_MAX: Duration = Duration::from_secs(30);

/// A consumer whose [`Observer`] can be asked what happened.
pub(super) type Consumer = BaseConsumer<Observer>;

/// Checks that librdkafka takes the settings; nothing is connected.
pub(super) fn check(settings: &Settings) -> Result<(), SourceError> {
    config(settings).create_native_config().map(|_| ()).map_err(|error| refused(settings, &error))
}

/// A consumer of the settings. Connecting is librdkafka's business, in the background.
pub(super) fn connect(settings: &Settings) -> Result<Consumer, SourceError> {
    config(settings)
        .create_with_context(Observer::new(settings.clone()))
        .map_err(|error| refused(settings, &error))
}

fn config(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    // The level is for librdkafka's log queue; the observer decides what is passed on.
    config.set_log_level(RDKafkaLogLevel::Debug);
    config
}

fn refused(settings: &Settings, error: &KafkaError) -> SourceError {
    let text = match error {
        KafkaError::ClientConfig(_, description, name, _) => {
            format!("option \"{name}\" refused: {}", description.trim().trim_end_matches('.'))
        }
        KafkaError::ClientCreation(reason) => format!("Kafka options refused: {}", reason.trim()),
        other => format!("Kafka options refused: {other}"),
    };
    SourceError::Setting(settings.redact(&text))
}

/// What a topic looks like.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// It has these partitions, in order.
    Partitions(Vec<i32>),
    /// It cannot be read now.
    Trouble(Code),
}

/// Asks for the topic's partitions.
pub(super) fn topic(consumer: &Consumer, settings: &Settings) -> Result<Topic, Code> {
    let metadata =
        consumer.fetch_metadata(Some(&settings.topic), QUESTION_TIMEOUT).map_err(|error| code_of(&error))?;
    let Some(topic) = metadata.topics().iter().find(|t| t.name() == settings.topic) else {
        return Ok(Topic::Trouble(Code::UnknownTopicOrPartition));
    };
    if let Some(error) = topic.error() {
        return Ok(Topic::Trouble(error.into()));
    }
    let mut ids: Vec<i32> = topic.partitions().iter().map(|p| p.id()).collect();
    ids.sort_unstable();
    if ids.is_empty() {
        return Ok(Topic::Trouble(Code::UnknownTopicOrPartition));
    }
    Ok(Topic::Partitions(ids))
}

/// Asks for a partition's first and last offset.
pub(super) fn watermarks(
    consumer: &Consumer,
    settings: &Settings,
    partition: i32,
) -> Result<Watermarks, Code> {
    let (low, high) = consumer
        .fetch_watermarks(&settings.topic, partition, QUESTION_TIMEOUT)
        .map_err(|error| code_of(&error))?;
    Ok(Watermarks { low, high })
}

/// Starts reading exactly these partitions.
pub(super) fn assign(
    consumer: &Consumer,
    settings: &Settings,
    starts: &[(i32, rdkafka::Offset)],
) -> Result<(), Code> {
    let mut list = TopicPartitionList::with_capacity(starts.len());
    for (partition, offset) in starts {
        list.add_partition_offset(&settings.topic, *partition, *offset).map_err(|error| code_of(&error))?;
    }
    consumer.assign(&list).map_err(|error| code_of(&error))
}

/// The code in an error.
pub(super) fn code_of(error: &KafkaError) -> Code {
    error.rdkafka_error_code().unwrap_or(Code::Fail)
}

/// What the cluster looked like at the last statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// By partition: its high watermark (negative when unknown) and whether its leader is connected.
    pub(super) partitions: BTreeMap<i32, PartitionView>,
}

/// See [`View`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionView {
    /// The high watermark, negative when unknown.
    pub(super) high: i64,
    /// True when the broker that leads it is connected.
    pub(super) up: bool,
}

/// Listens to librdkafka; its callbacks run inside `poll`.
pub(super) struct Observer {
    settings: Settings,
    seen: Mutex<Seen>,
    anew: AtomicBool,
}

#[derive(Default)]
struct Seen {
    cause: Option<(Instant, Code, String)>,
    view: Option<View>,
}

impl Observer {
    fn new(settings: Settings) -> Self {
        Self { settings, seen: Mutex::default(), anew: AtomicBool::new(false) }
    }

    /// The error that tells most of those that came lately, in words.
    pub(super) fn cause(&self) -> Option<String> {
        let seen = self.seen.lock();
        let (_, code, reason) = seen.cause.as_ref()?;
        Some(trouble::describe(&self.settings, *code, reason))
    }

    /// True when the broker took the login for wrong.
    pub(super) fn refused_login(&self) -> bool {
        self.seen.lock().cause.as_ref().is_some_and(|(_, code, _)| trouble::refuses_login(*code))
    }

    /// Forgets errors: they are over.
    pub(super) fn forget(&self) {
        self.seen.lock().cause = None;
    }

    /// The newest statistics, once.
    pub(super) fn view(&self) -> Option<View> {
        self.seen.lock().view.take()
    }

    /// Whether the topic changed its identity while it was read. Asked for every record, so it takes no lock.
    pub(super) fn was_made_anew(&self) -> bool {
        self.anew.load(Ordering::Relaxed)
    }

    fn note(&self, code: Code, reason: &str) {
        let now = clock::instant();
        let mut seen = self.seen.lock();
        let weaker = seen.cause.as_ref().is_some_and(|(at, known, _)| {
            trouble::weight(code) < trouble::weight(*known) && now.duration_since(*at) < CAUSE_AGE_MAX
        });
        if !weaker && !trouble::harmless(code) {
            seen.cause = Some((now, code, reason.to_string()));
        }
    }
}

impl ClientContext for Observer {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        if changed_identity(message, &self.settings.topic) {
            self.anew.store(true, Ordering::Relaxed);
        }
        let message = self.settings.redact(message);
        match level {
            RDKafkaLogLevel::Debug => tracing::trace!(target: "librdkafka", facility = fac, "{message}"),
            // Errors come as events too and are shown with the source.
            _ => tracing::debug!(target: "librdkafka", facility = fac, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => self.seen.lock().view = Some(statistics.view(&self.settings.topic)),
            Err(error) => tracing::debug!(%error, "librdkafka statistics unreadable"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(code_of(&error), reason);
    }
}

impl ConsumerContext for Observer {}

/// Reads `Topic orders changed id from <old> to <new>`; a topic whose identity is not known has one of zeros.
fn changed_identity(message: &str, topic: &str) -> bool {
    const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAAAAA";
    message
        .split_once(&format!("Topic {topic} changed id from "))
        .and_then(|(_, ids)| ids.split_once(" to "))
        .is_some_and(|(old, new)| !old.starts_with(UNKNOWN) && !new.starts_with(UNKNOWN))
}

/// The part of librdkafka's statistics that is used.
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: BTreeMap<String, BrokerStatistics>,
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    nodeid: i32,
    state: String,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    partition: i32,
    leader: i32,
    hi_offset: i64,
    #[serde(default)]
    unknown: bool,
}

impl Statistics {
    fn view(&self, topic: &str) -> View {
        let up = |node: i32| self.brokers.values().any(|b| b.nodeid == node && b.state == "UP");
        let partitions = self.topics.get(topic).into_iter().flat_map(|t| t.partitions.values());
        View {
            partitions: partitions
                .filter(|p| p.partition >= 0 && !p.unknown)
                .map(|p| (p.partition, PartitionView { high: p.hi_offset, up: up(p.leader) }))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_second_identity_counts() {
        let first =
            "[thrd:main]: Topic orders changed id from AAAAAAAAAAAAAAAAAAAAAA to Yh2Zz6kQQ0eLZ1dRkS9m1g";
        let second =
            "[thrd:main]: Topic orders changed id from Yh2Zz6kQQ0eLZ1dRkS9m1g to 0kQQ0eLZ1dRkS9m1gYh2Zz";
        assert!(!changed_identity(first, "orders"));
        assert!(changed_identity(second, "orders"));
        assert!(!changed_identity(second, "order"));
    }

    #[test]
    fn statistics_give_leaders_and_watermarks() {
        let text = r#"{"name":"x","brokers":{
            "h:1/bootstrap":{"nodeid":-1,"state":"UP"},"h:1/1":{"nodeid":1,"state":"UP"},"h:2/2":{"nodeid":2,"state":"TRY_CONNECT"}},
            "topics":{"orders":{"partitions":{
              "0":{"partition":0,"leader":1,"hi_offset":12,"unknown":false},
              "1":{"partition":1,"leader":2,"hi_offset":-1001,"unknown":false},
              "-1":{"partition":-1,"leader":-1,"hi_offset":-1001}}}}}"#;
        let view = serde_json::from_str::<Statistics>(text).unwrap().view("orders");
        let expected = BTreeMap::from([
            (0, PartitionView { high: 12, up: true }),
            (1, PartitionView { high: -1001, up: false }),
        ]);
        assert_eq!(view.partitions, expected);
    }
}
