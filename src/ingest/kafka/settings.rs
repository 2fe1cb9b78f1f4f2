//! Options → librdkafka properties. Pure.
//!
//! Properties with the names of Kafka's own documentation pass as they are. What exactly-once rests on cannot be set;
//! what bounds memory and latency has a default that can.

use crate::ingest::SourceError;
use std::collections::BTreeMap;
use std::fmt;

/// Properties a user may override. Sizes keep one source's fetch-ahead (payloads, and librdkafka's own half kilobyte a
/// record) well below 200 MiB, whatever the number of partitions.
const DEFAULTS: &[(&str, &str)] = &[
    // Answered as soon as a byte is there; the wait only bounds how long a partition that was full is left alone.
    ("fetch.wait.max.ms", "50"),
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.error.backoff.ms", "200"),
    ("fetch.message.max.bytes", "2097152"),
    ("fetch.max.bytes", "16777216"),
    ("queued.min.messages", "50000"),
    ("queued.max.messages.kbytes", "24576"),
    // Partitions that are added later are found within this time.
    ("topic.metadata.refresh.interval.ms", "30000"),
    // Azure closes connections that are idle for four minutes.
    ("metadata.max.age.ms", "180000"),
    ("connections.max.idle.ms", "180000"),
    ("socket.keepalive.enable", "true"),
    // A broker that comes back is found within this time.
    ("reconnect.backoff.ms", "200"),
    ("reconnect.backoff.max.ms", "5000"),
    ("client.id", "sluice"),
];

/// Properties that exactly-once and error reports rest on.
const FIXED: &[(&str, &str, &str)] = &[
    ("enable.auto.commit", "false", "positions are kept in the Delta commit that holds the rows"),
    ("enable.auto.offset.store", "false", "positions are kept in the Delta commit that holds the rows"),
    ("auto.offset.reset", "error", "use scan.startup.mode and on_loss"),
    ("enable.partition.eof", "true", "it tells when a partition is read to its end"),
    ("statistics.interval.ms", "1000", "lag and health are read from the statistics"),
    // Back-pressure may keep the reader away for long; no group waits for it.
    ("max.poll.interval.ms", "86400000", "no group waits for this consumer"),
];

/// Properties of the Java client that librdkafka does not have, and what to use instead.
const JAVA_ONLY: &[(&str, &str)] = &[
    ("sasl.jaas.config", "set sasl.username and sasl.password"),
    ("ssl.truststore.location", "set ssl.ca.location to a PEM file"),
    ("ssl.truststore.password", "set ssl.ca.location to a PEM file"),
    ("ssl.truststore.type", "set ssl.ca.location to a PEM file"),
    ("key.deserializer", "FORMAT ... ENCODE says how records are read"),
    ("value.deserializer", "FORMAT ... ENCODE says how records are read"),
    ("max.poll.records", "leave it out"),
    ("default.api.timeout.ms", "set socket.timeout.ms"),
];

/// Properties whose values must never be shown.
const SECRETS: &[&str] = &[
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// The user name that Event Hubs expects beside a connection string.
const EVENT_HUBS_USER: &str = "$ConnectionString";

/// Where a partition without a position starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Startup {
    /// At its oldest record.
    Earliest,
    /// At what comes after the first start; partitions added later start at their oldest record.
    Latest,
}

/// What happens when retention removed records that were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnLoss {
    /// The source stops with a named error.
    Error,
    /// The loss is logged and reading goes on at the oldest record.
    Earliest,
}

/// Checked settings of one source.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) topic: String,
    pub(super) startup: Startup,
    pub(super) on_loss: OnLoss,
    /// What librdkafka is given.
    pub(super) properties: BTreeMap<String, String>,
}

impl Settings {
    /// Checks the options of a source; `source` names the consumer at the broker.
    pub(super) fn new(source: &str, options: &BTreeMap<String, String>) -> Result<Self, SourceError> {
        let mut options = options.clone();
        let topic = match options.remove("topic") {
            Some(topic) if !topic.is_empty() => topic,
            _ => return Err(setting("option \"topic\" is missing: a kafka source reads one topic")),
        };
        let startup = match options.remove("scan.startup.mode").as_deref() {
            None | Some("earliest") => Startup::Earliest,
            Some("latest") => Startup::Latest,
            Some(other) => {
                return Err(setting(format!(
                    "option \"scan.startup.mode\" is '{other}': use 'earliest' or 'latest'"
                )));
            }
        };
        let on_loss = match options.remove("on_loss").as_deref() {
            None | Some("error") => OnLoss::Error,
            Some("earliest") => OnLoss::Earliest,
            Some(other) => {
                return Err(setting(format!("option \"on_loss\" is '{other}': use 'error' or 'earliest'")));
            }
        };
        Ok(Self { topic, startup, on_loss, properties: properties(source, options)? })
    }

    /// The brokers as the user wrote them, for messages.
    pub(super) fn brokers(&self) -> &str {
        self.properties.get("bootstrap.servers").map_or("", String::as_str)
    }

    /// Takes secrets out of a text that comes from librdkafka.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_string();
        for secret in SECRETS.iter().filter_map(|name| self.properties.get(*name)) {
            if !secret.is_empty() {
                text = text.replace(secret.as_str(), "***");
            }
        }
        text
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("topic", &self.topic).finish_non_exhaustive()
    }
}

fn properties(
    source: &str,
    options: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, SourceError> {
    let mut properties = BTreeMap::new();
    for (name, value) in options {
        if let Some((_, instead)) = JAVA_ONLY.iter().find(|(java, _)| *java == name) {
            return Err(setting(format!("option \"{name}\" is one of the Java client: {instead}")));
        }
        if let Some((_, fixed, why)) = FIXED.iter().find(|(fixed, _, _)| *fixed == name)
            && *fixed != value
        {
            return Err(setting(format!("option \"{name}\" cannot be set to '{value}': {why}")));
        }
        let name = match name.as_str() {
            "sasl.mechanism" => "sasl.mechanisms".to_string(),
            "request.timeout.ms" => "socket.timeout.ms".to_string(),
            _ => name,
        };
        properties.insert(name, value);
    }
    if properties.get("bootstrap.servers").is_none_or(|servers| servers.trim().is_empty()) {
        return Err(setting(
            "option \"bootstrap.servers\" is missing: set it to host:port in the connection (CREATE CONNECTION ... TO KAFKA)",
        ));
    }
    let is = |name: &str, value: &str| {
        properties.get(name).is_some_and(|found: &String| found.eq_ignore_ascii_case(value))
    };
    let sasl = is("security.protocol", "SASL_SSL") || is("security.protocol", "SASL_PLAINTEXT");
    if sasl && !properties.contains_key("sasl.mechanisms") {
        properties.insert("sasl.mechanisms".to_string(), "PLAIN".to_string());
    }
    let plain = properties.get("sasl.mechanisms").is_some_and(|m| m.eq_ignore_ascii_case("PLAIN"));
    if sasl && plain {
        properties.entry("sasl.username".to_string()).or_insert_with(|| EVENT_HUBS_USER.to_string());
        if !properties.contains_key("sasl.password") {
            return Err(setting("option \"sasl.password\" is missing: add sasl.password = SECRET <name>"));
        }
    }
    for (name, value) in DEFAULTS {
        properties.entry((*name).to_string()).or_insert_with(|| (*value).to_string());
    }
    for (name, value, _) in FIXED {
        properties.insert((*name).to_string(), (*value).to_string());
    }
    // librdkafka assigns partitions only to a named group; nothing is ever stored under the name.
    properties.entry("group.id".to_string()).or_insert_with(|| format!("sluice-{source}"));
    // The only place where librdkafka tells that a topic was made anew is a debug line of this context.
    let debug = properties.remove("debug").filter(|contexts| !contexts.is_empty());
    properties.insert("debug".to_string(), debug.map_or("topic".to_string(), |d| format!("{d},topic")));
    Ok(properties)
}

fn setting(message: impl Into<String>) -> SourceError {
    SourceError::Setting(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect()
    }

    fn refused(pairs: &[(&str, &str)]) -> String {
        Settings::new("orders", &options(pairs)).expect_err("is refused").to_string()
    }

    #[test]
    fn event_hubs_needs_only_a_password() {
        let settings = Settings::new(
            "orders",
            &options(&[
                ("topic", "orders"),
                ("bootstrap.servers", "ns.example.net:9093"),
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", "PLAIN"),
                ("sasl.password", "Endpoint=sb://ns;SharedAccessKey=abc"),
            ]),
        )
        .unwrap();
        assert_eq!(settings.properties["sasl.mechanisms"], "PLAIN");
        assert_eq!(settings.properties["sasl.username"], "$ConnectionString");
        assert!(!settings.properties.contains_key("sasl.mechanism"));
        assert!(!settings.properties.contains_key("topic"));
        assert_eq!(
            settings.redact("login with Endpoint=sb://ns;SharedAccessKey=abc failed"),
            "login with *** failed"
        );
        assert!(!format!("{settings:?}").contains("abc"));
    }

    #[test]
    fn defaults_yield_and_fixed_properties_do_not() {
        let base = [("topic", "t"), ("bootstrap.servers", "b:1")];
        let settings = Settings::new("s", &options(&[base[0], base[1], ("fetch.wait.max.ms", "7")])).unwrap();
        assert_eq!(settings.properties["fetch.wait.max.ms"], "7");
        assert_eq!(settings.properties["auto.offset.reset"], "error");
        assert_eq!(settings.properties["enable.auto.commit"], "false");
        assert_eq!(settings.properties["group.id"], "sluice-s");
        assert_eq!((settings.startup, settings.on_loss), (Startup::Earliest, OnLoss::Error));
        assert!(
            refused(&[base[0], base[1], ("auto.offset.reset", "earliest")]).contains("scan.startup.mode")
        );
    }

    #[test]
    fn messages_name_the_option_and_the_way_out() {
        let brokers = ("bootstrap.servers", "b:1");
        let topic = ("topic", "t");
        assert!(refused(&[brokers]).contains("\"topic\""));
        assert!(refused(&[topic]).contains("bootstrap.servers"));
        assert!(refused(&[topic, brokers, ("scan.startup.mode", "newest")]).contains("'latest'"));
        assert!(refused(&[topic, brokers, ("on_loss", "ignore")]).contains("'earliest'"));
        assert!(refused(&[topic, brokers, ("sasl.jaas.config", "x")]).contains("sasl.username"));
        assert!(refused(&[topic, brokers, ("security.protocol", "SASL_SSL")]).contains("sasl.password"));
    }
}
