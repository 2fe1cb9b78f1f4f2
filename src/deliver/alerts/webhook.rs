//! Messages by HTTP POST. Each carries its key, and a signature where a secret for it is named: both as Standard Webhooks
//! (standardwebhooks.com) has them, so that receivers find libraries that check them.

use super::message::Message;
use super::outbox::Outcome;
use super::payload::payload;
use crate::catalog::options::{doubt, value_of};
use crate::lake::chain;
use crate::ops::secret::{Secrets, Value};
use crate::ops::{clock, secret};
use crate::sql::Webhook;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url, redirect};
use sha2::Sha256;
use std::time::Duration;

/// How long a receiver may take for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How the text of a key begins that is base64.
const ENCODED: &str = "whsec_";

/// A client that goes where it is sent and nowhere else.
pub(super) fn client() -> reqwest::Result<Client> {
    Client::builder()
        .timeout(ANSWER_MAX)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Posts a message.
pub(super) async fn post(
    client: &Client,
    webhook: &Webhook,
    secrets: &Secrets,
    message: &Message,
) -> Outcome {
    match tried(client, webhook, secrets, message).await {
        Ok(status) if status.is_success() => Outcome::Delivered,
        Ok(status) => {
            let error = format!("it answered {status}");
            if matches!(status.as_u16(), 400 | 413 | 415 | 422) {
                return Outcome::Refused(error);
            }
            if matches!(status.as_u16(), 401 | 403 | 404 | 410) {
                // The address, or what it is signed with, may have been changed.
                doubt(&webhook.url, secrets);
                webhook.signed.iter().for_each(|name| secrets.doubt(name));
            }
            Outcome::Failed(error)
        }
        Err(error) => Outcome::Failed(error),
    }
}

async fn tried(
    client: &Client,
    webhook: &Webhook,
    secrets: &Secrets,
    message: &Message,
) -> Result<StatusCode, String> {
    let unknown = |error: secret::Error| error.to_string();
    let url = value_of(&webhook.url, secrets).await.map_err(unknown)?;
    let url = Url::parse(&url).map_err(|_| "its address is none of the web".to_string())?;
    let body = payload(message, webhook.format).to_string();
    let mut request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", &message.key)
        .header("webhook-id", &message.key);
    if let Some(name) = &webhook.signed {
        let key = secrets.get(name).await.map_err(unknown)?;
        let seconds = clock::now().timestamp().to_string();
        let signature = signature(&key, &message.key, &seconds, &body)?;
        request = request.header("webhook-timestamp", &seconds).header("webhook-signature", signature);
    }
    let answer = request.body(body).send().await;
    // The address may be a secret.
    answer.map(|answer| answer.status()).map_err(|error| chain(&error.without_url()))
}

/// HMAC-SHA256 over the message's key, the time and the body.
fn signature(key: &Value, id: &str, seconds: &str, body: &str) -> Result<String, String> {
    let bytes = match key.reveal().strip_prefix(ENCODED) {
        Some(encoded) => {
            STANDARD.decode(encoded).map_err(|_| format!("what follows {ENCODED} is no base64"))?
        }
        None => key.reveal().as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&bytes).map_err(|error| error.to_string())?;
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn signatures_are_as_specified() {
        let key = Value::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_string());
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
