//! What went wrong, in words that name the broker or topic and the way out. Pure.

use super::settings::Settings;
use rdkafka::types::RDKafkaErrorCode as Code;

/// The text shown for an error that is retried.
pub(super) fn describe(settings: &Settings, code: Code, reason: &str) -> String {
    let brokers = settings.brokers();
    let topic = &settings.topic;
    let reason = settings.redact(tidy(reason));
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism => format!(
            "login to Kafka at {brokers} refused: {reason}; check sasl.mechanism, sasl.username and sasl.password \
             (Event Hubs: the connection string is the password)"
        ),
        Code::SSL => format!(
            "no TLS connection to Kafka at {brokers}: {reason}; check security.protocol and ssl.ca.location"
        ),
        Code::Resolve => format!("host of Kafka at {brokers} not found: {reason}; check bootstrap.servers"),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => format!(
            "topic \"{topic}\" does not exist at {brokers}; create it, or correct option topic of the source"
        ),
        Code::TopicAuthorizationFailed => {
            format!("topic \"{topic}\" at {brokers} may not be read by this user; grant it READ and DESCRIBE")
        }
        Code::InvalidTopic => {
            format!("\"{topic}\" is not a topic name at {brokers}; correct option topic of the source")
        }
        Code::MessageSizeTooLarge => format!(
            "topic \"{topic}\" holds a record that is too large to fetch: {reason}; raise receive.message.max.bytes"
        ),
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::OperationTimedOut
        | Code::RequestTimedOut => format!(
            "Kafka at {brokers} cannot be reached: {reason}; check that it runs, bootstrap.servers and security.protocol"
        ),
        _ => format!("reading topic \"{topic}\" at {brokers}: {reason}"),
    }
}

/// True when it is the login that is refused.
pub(super) fn refuses_login(code: Code) -> bool {
    matches!(code, Code::Authentication | Code::SaslAuthenticationFailed)
}

/// How much an error tells about the cause: of several that come together the one that tells most is shown.
pub(super) fn weight(code: Code) -> u8 {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => 3,
        Code::Resolve | Code::TopicAuthorizationFailed => 2,
        Code::AllBrokersDown | Code::OperationTimedOut => 0,
        _ => 1,
    }
}

/// True for errors that say themselves what is wrong, whatever came before them.
pub(super) fn tells_most(code: Code) -> bool {
    weight(code) >= 2
        || matches!(code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic)
}

/// True for what is no trouble: a partition's end, and the group that librdkafka looks for and nobody needs.
pub(super) fn harmless(code: Code) -> bool {
    matches!(
        code,
        Code::PartitionEOF
            | Code::GroupAuthorizationFailed
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
    )
}

/// Cuts what changes from try to try (`(after 3ms in state CONNECT)`), so that one trouble keeps one text.
fn tidy(reason: &str) -> &str {
    reason.split(" (after ").next().unwrap_or(reason).trim().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn settings() -> Settings {
        let options = [
            ("topic", "orders"),
            ("bootstrap.servers", "ns.example.net:9093"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.password", "hunter2"),
        ];
        let options: BTreeMap<String, String> =
            options.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        Settings::new("orders", &options).unwrap()
    }

    #[test]
    fn texts_name_the_thing_and_the_way_out() {
        let text = describe(
            &settings(),
            Code::BrokerTransportFailure,
            "sasl_ssl://ns:9093/bootstrap: Connect to ipv4#10.0.0.1:9093 failed: Connection refused (after 0ms in state CONNECT)",
        );
        assert!(text.contains("ns.example.net:9093") && text.contains("Connection refused"), "{text}");
        assert!(text.contains("bootstrap.servers") && !text.contains("after 0ms"), "{text}");

        let text = describe(&settings(), Code::UnknownTopicOrPartition, "Broker: Unknown topic");
        assert!(text.contains("\"orders\" does not exist"), "{text}");

        let text = describe(&settings(), Code::Authentication, "bad password hunter2");
        assert!(text.contains("sasl.password") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn the_cause_outweighs_its_consequence() {
        assert!(weight(Code::Authentication) > weight(Code::BrokerTransportFailure));
        assert!(weight(Code::BrokerTransportFailure) > weight(Code::AllBrokersDown));
    }
}
