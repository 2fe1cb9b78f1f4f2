//! What alerts tell, and when: after they have held, once for all that is new, signed; and what is said of those who cannot
//! be told.

use crate::alerts::{EMPTY_TANKS, push, tanks};
use crate::support::http::Http;
use crate::support::receiver::{Posted, Receiver};
use crate::support::{FLOW, Server, trial, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use libtest_mimic::Trial;
use serde_json::Value;
use sha2::Sha256;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("told::only_what_has_held_and_until_it_has_been_over", only_what_has_held),
        trial("told::all_that_is_new_in_one_message", all_that_is_new_in_one_message),
        trial("told::with_a_signature_that_can_be_checked", with_a_signature_that_can_be_checked),
        trial("told::who_cannot_be_is_named_with_place_and_way_out", who_cannot_be_is_named),
    ]
}

fn body(posted: &Posted) -> Value {
    serde_json::from_str(&posted.body).unwrap()
}

fn wait_for(receiver: &Receiver, messages: usize) -> Vec<Posted> {
    until(&format!("{messages} messages"), FLOW, || match receiver.posted() {
        posted if posted.len() >= messages => Ok(posted),
        posted => Err(format!("{} came", posted.len())),
    })
}

/// Alert and status of each message.
fn news(messages: &[Posted]) -> Vec<String> {
    let news = |posted: &Posted| {
        let body = body(posted);
        format!("{} {}", body["groupLabels"]["alertname"].as_str().unwrap(), body["status"].as_str().unwrap())
    };
    messages.iter().map(news).collect()
}

fn only_what_has_held() {
    let receiver = Receiver::start(vec![]);
    let told = format!("{EMPTY_TANKS} THEN NOTIFY (WEBHOOK yard URL 'http://{}/');\n", receiver.address);
    let warehouse = tanks(&format!(
        "CREATE ALERT soon FOR INTERVAL '1' SECOND KEEP FIRING FOR INTERVAL '1' SECOND {told}\
         CREATE ALERT never FOR INTERVAL '1' HOUR {told}\
         CREATE ALERT for_long KEEP FIRING FOR INTERVAL '1' HOUR {told}"
    ));
    let server = warehouse.serve();
    let state = |alert: &str| {
        format!("SELECT state, rows, pending, firing FROM sluice.alerts WHERE alert = '{alert}'")
    };
    push(&server, "a", 5, 1);
    server.wait_until(&state("soon"), "firing|1|0|1");
    server.wait_until(&state("for_long"), "firing|1|0|1");
    server.wait_until(&state("never"), "pending|1|1|0");
    push(&server, "a", 50, 2);
    server.wait_until(&state("never"), "inactive|0|0|0");
    server.wait_until(&state("for_long"), "keep firing|0|0|1");
    server.wait_until(&state("soon"), "inactive|0|0|0");
    // What was pending and is over was never told; what goes on firing is not told to be over.
    let mut heard = news(&wait_for(&receiver, 3));
    heard.sort();
    assert_eq!(heard, ["for_long firing", "soon firing", "soon resolved"]);
    let waited = |state: &str, from: &str| {
        let query = format!(
            "SELECT bool_and(at - {from} >= INTERVAL '1 second') FROM sluice.alert_log WHERE alert = 'soon' AND state = '{state}'"
        );
        assert_eq!(server.query(&query), "t", "{state}");
    };
    waited("firing", "active_since");
    waited("resolved", "over_since");
}

/// Several levels in one push, which are in one epoch.
fn push_all(server: &Server, levels: &[(&str, i32)], second: u32) {
    let row = |(tank, level): &(&str, i32)| {
        format!(
            "{{\"tank\": \"{tank}\", \"level\": {level}, \"seen_at\": \"2026-01-01 00:00:{second:02}Z\"}}\n"
        )
    };
    let rows: String = levels.iter().map(row).collect();
    let reply = Http::new(FLOW).post(server.http, "/ingest/levels", &[], rows).unwrap();
    assert!(reply.status < 300, "{reply:?}");
}

fn all_that_is_new_in_one_message() {
    let receiver = Receiver::start(vec![]);
    let warehouse = tanks(&format!(
        "CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (WEBHOOK yard URL 'http://{}/');\n",
        receiver.address
    ));
    let server = warehouse.serve();
    let about = |posted: &Posted| {
        let body = body(posted);
        let alerts = body["alerts"].as_array().unwrap().clone();
        let about = |alert: &Value| {
            format!("{} {}", alert["labels"]["tank"].as_str().unwrap(), alert["status"].as_str().unwrap())
        };
        let mut all: Vec<String> = alerts.iter().map(about).collect();
        all.sort();
        (body["status"].as_str().unwrap().to_string(), all.join(", "))
    };
    push_all(&server, &[("a", 5), ("b", 6), ("c", 50)], 1);
    let messages = wait_for(&receiver, 1);
    assert_eq!(about(&messages[0]), ("firing".to_string(), "a firing, b firing".to_string()));
    push_all(&server, &[("a", 50), ("c", 7)], 2);
    let messages = wait_for(&receiver, 2);
    assert_eq!(about(&messages[1]), ("firing".to_string(), "a resolved, c firing".to_string()));
    push_all(&server, &[("b", 50), ("c", 50)], 3);
    let messages = wait_for(&receiver, 3);
    assert_eq!(about(&messages[2]), ("resolved".to_string(), "b resolved, c resolved".to_string()));
    server.wait_until(
        "SELECT count(*), count(DISTINCT key) FROM sluice.notifications WHERE state = 'delivered'",
        "3|3",
    );
}

fn with_a_signature_that_can_be_checked() {
    let receiver = Receiver::start(vec![]);
    let warehouse = tanks(&format!(
        "CREATE SECRET key WITH (backend = 'file') AS 'key';\n\
         CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (WEBHOOK yard URL 'http://{}/' SIGNED SECRET key);\n",
        receiver.address
    ));
    let key = "correct horse battery staple";
    warehouse.write("key", format!("whsec_{}\n", STANDARD.encode(key)));
    let server = warehouse.serve();
    push(&server, "a", 5, 1);
    let posted = wait_for(&receiver, 1).remove(0);
    let header = |name: &str| {
        let value = posted.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("no header {name} in {:?}", posted.headers)).to_string()
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), posted.body);
    mac.update(signed.as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    // The receiver keeps headers in lower case.
    assert_eq!(header("webhook-signature"), signature.to_lowercase());
}

fn who_cannot_be_is_named() {
    let receiver = Receiver::start(vec![500; 1_000]);
    let warehouse = tanks(&format!(
        "CREATE CONNECTION post TO SMTP (host = '127.0.0.1', port = 9, tls = 'none', from = 'sluice@example.com');\n\
         CREATE ALERT empty {EMPTY_TANKS}\n\
         THEN NOTIFY (WEBHOOK yard URL 'http://{}/'),\n       (EMAIL 'yard@example.com' CONNECTION post);\n",
        receiver.address
    ));
    let limits = ["env", "SLUICE_LIMITS_RETRIES_MAX=1"];
    let server = Server::launch_within(&limits, &warehouse, &[]).ready().unwrap();
    push(&server, "a", 5, 1);
    let told = [
        (
            "webhook yard",
            "catalog/alerts.sql:3:14: webhook yard: it answered 500 Internal Server Error; it is sent again for a day, with \
             growing pauses: mend what receives there, or change the target's URL",
        ),
        (
            "email yard@example.com over post",
            "catalog/alerts.sql:4:9: email yard@example.com over post: Connection error: Connection refused (os error 111); it is \
             sent again for a day, with growing pauses: mend the mail server, or change the target's connection",
        ),
    ];
    for (target, error) in told {
        for query in [
            format!("SELECT error FROM sluice.notifications WHERE target = '{target}' AND state = 'waiting'"),
            format!("SELECT error FROM sluice.alert_targets WHERE target = '{target}'"),
            format!("SELECT error FROM sluice.incidents WHERE object = '{target}' AND state = 'open'"),
        ] {
            server.wait_until(&query, error);
        }
    }
    // Nothing waits for them.
    push(&server, "b", 50, 2);
    server.wait_until("SELECT count(*) FROM gold.levels", "2");
}
