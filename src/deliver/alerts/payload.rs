//! Messages as webhooks want them. Pure.

use super::message::{Message, News, written};
use crate::sql::{ALERT_NAME, PayloadFormat};
use serde_json::{Map, Value, json};

/// Instances that a card or a chat shows; what is more is counted. Teams takes 28 KB, Slack 50 blocks.
const SHOWN_MAX: usize = 10;
/// Letters of a value that are shown there.
const LETTERS_MAX: usize = 1_500;

/// A message's body.
pub(super) fn payload(message: &Message, format: PayloadFormat) -> Value {
    match format {
        PayloadFormat::Generic => generic(message),
        PayloadFormat::Teams => teams(message),
        PayloadFormat::Slack => slack(message),
    }
}

/// As Alertmanager's webhooks (version 4), which many receivers know.
fn generic(message: &Message) -> Value {
    let mut common = Map::from_iter([(ALERT_NAME.to_string(), message.alert.as_str().into())]);
    let group = common.clone();
    common.extend(message.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
    let alert = |news: &News| {
        let mut labels = common.clone();
        labels.extend(news.labels.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        json!({
            "status": news.status(),
            "labels": labels,
            "annotations": news.values,
            "startsAt": written(news.started_us),
            "endsAt": news.ended_us.map_or_else(|| "0001-01-01T00:00:00Z".to_string(), written),
            "generatorURL": "",
        })
    };
    json!({
        "version": "4",
        "idempotencyKey": message.key,
        "groupKey": format!("{{}}:{{{ALERT_NAME}=\"{}\"}}", message.alert),
        "truncatedAlerts": message.beyond,
        "status": message.status(),
        "receiver": message.target,
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": message.news.iter().map(alert).collect::<Vec<_>>(),
    })
}

/// An Adaptive Card, as Teams' workflows take them.
fn teams(message: &Message) -> Value {
    let color = if message.firing > 0 { "attention" } else { "good" };
    let mut body = vec![json!({
        "type": "TextBlock", "text": message.title(None), "size": "large", "weight": "bolder", "color": color, "wrap": true,
    })];
    let fact = |(name, value): (&String, &String)| json!({ "title": name, "value": cut(value) });
    if !message.labels.is_empty() {
        body.push(json!({ "type": "FactSet", "facts": message.labels.iter().map(fact).collect::<Vec<_>>() }));
    }
    for news in message.news.iter().take(SHOWN_MAX) {
        let status = json!({ "title": "status", "value": news.status() });
        let facts = news.labels.iter().chain(&news.values).map(fact);
        let facts: Vec<Value> = std::iter::once(status).chain(facts).collect();
        body.push(json!({ "type": "FactSet", "separator": true, "facts": facts }));
    }
    body.extend(more(message).map(|text| json!({ "type": "TextBlock", "text": text, "wrap": true })));
    let key = format!("{} · {}", written(message.at_us), message.key);
    body.push(json!({ "type": "TextBlock", "text": key, "size": "small", "isSubtle": true, "wrap": true }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })
}

/// Blocks, as Slack's incoming webhooks take them.
fn slack(message: &Message) -> Value {
    let section = |text: String| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let title = message.title(None);
    let mut blocks = vec![json!({ "type": "header", "text": { "type": "plain_text", "text": title } })];
    for news in message.news.iter().take(SHOWN_MAX) {
        blocks.push(section(format!("*{}*  {}", news.status(), escaped(&cut(&news.words())))));
    }
    blocks.extend(more(message).map(section));
    let labels = message.labels.iter().map(|(name, value)| format!("{name} = {value}"));
    let words: Vec<String> =
        labels.chain([written(message.at_us), message.key.clone()]).map(|text| escaped(&text)).collect();
    blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": words.join(" · ") }] }));
    json!({ "text": escaped(&title), "blocks": blocks })
}

/// What is not shown.
fn more(message: &Message) -> Option<String> {
    let more = message.news.len().saturating_sub(SHOWN_MAX) + message.beyond;
    (more > 0).then(|| format!("and {more} more"))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// Slack's own three letters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn message(instances: usize, firing: usize) -> Message {
        let map = |name: &str, value: String| BTreeMap::from([(name.to_string(), value)]);
        let news = |n: usize| News {
            labels: map("source", format!("bronze.<{n}>")),
            values: map("lag", "x".repeat(5_000)),
            started_us: 1_000_000,
            ended_us: (firing == 0).then_some(2_000_000),
        };
        Message {
            key: "k-1".to_string(),
            alert: "no_input".to_string(),
            target: "webhook w".to_string(),
            at_us: 2_000_000,
            labels: map("team", "ops".to_string()),
            firing,
            beyond: 3,
            news: (0..instances).map(news).collect(),
        }
    }

    #[test]
    fn the_generic_one_is_alertmanagers() {
        let body = payload(&message(1, 1), PayloadFormat::Generic);
        assert_eq!(body["status"], "firing");
        assert_eq!(body["truncatedAlerts"], 3);
        let alert = &body["alerts"][0];
        assert_eq!(
            alert["labels"],
            json!({ "alertname": "no_input", "team": "ops", "source": "bronze.<0>" })
        );
        assert_eq!(alert["startsAt"], "1970-01-01T00:00:01.000000Z");
        assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
        let body = payload(&message(1, 0), PayloadFormat::Generic);
        assert_eq!(body["status"], "resolved");
        assert_eq!(body["alerts"][0]["endsAt"], "1970-01-01T00:00:02.000000Z");
    }

    #[test]
    fn cards_and_chats_stay_within_bounds_and_name_the_key() {
        for (format, bytes_max) in [(PayloadFormat::Teams, 28_000), (PayloadFormat::Slack, 40_000)] {
            let body = payload(&message(100, 100), format).to_string();
            assert!(body.len() < bytes_max, "{} bytes", body.len());
            for words in ["and 93 more", "k-1", "[FIRING:100] no_input"] {
                assert!(body.contains(words), "{words} is missing in {body}");
            }
        }
        let chat = payload(&message(1, 1), PayloadFormat::Slack).to_string();
        assert!(chat.contains("bronze.&lt;0&gt;") && chat.contains("team = ops"), "{chat}");
        let card = payload(&message(1, 0), PayloadFormat::Teams);
        assert_eq!(card["attachments"][0]["content"]["body"][0]["color"], "good");
    }
}
