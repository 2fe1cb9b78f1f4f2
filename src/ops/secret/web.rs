//! Requests to vaults: one client, with logins that are kept until they run out.

use super::Trouble;
use super::clock;
use parking_lot::Mutex;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a vault may take for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A token is renewed this long before it runs out.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);
/// How long a token lives whose vault does not say.
const TOKEN_SECONDS: u64 = 300;

/// The client.
#[derive(Default)]
pub(super) struct Web {
    client: OnceLock<Result<Client, String>>,
    /// By whom they are for.
    tokens: Mutex<HashMap<String, Token>>,
}

#[derive(Clone)]
struct Token {
    text: String,
    until: Instant,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Web(..)")
    }
}

/// What came of a request.
pub(super) enum Answer {
    /// What was asked for.
    Found(Json),
    /// The token does not do (any more).
    NotLetIn,
}

impl Web {
    pub(super) fn client(&self) -> Result<&Client, Trouble> {
        let made = self.client.get_or_init(|| {
            let client = Client::builder().timeout(ANSWER_MAX).redirect(reqwest::redirect::Policy::none());
            client.build().map_err(|error| error.without_url().to_string())
        });
        made.as_ref().map_err(|error| Trouble::lasting(format!("no requests can be made: {error}")))
    }

    /// A token that is kept and has not run out.
    pub(super) fn token(&self, of: &str) -> Option<String> {
        let tokens = self.tokens.lock();
        tokens.get(of).filter(|token| token.until > clock::instant()).map(|token| token.text.clone())
    }

    /// Keeps a token for as long as its vault says.
    pub(super) fn keep_token(&self, of: &str, text: &str, seconds: Option<u64>) {
        let lives = Duration::from_secs(seconds.unwrap_or(TOKEN_SECONDS)).saturating_sub(TOKEN_MARGIN);
        let token = Token { text: text.to_string(), until: clock::instant() + lives };
        self.tokens.lock().insert(of.to_string(), token);
    }

    pub(super) fn drop_token(&self, of: &str) {
        self.tokens.lock().remove(of);
    }
}

/// Sends a request. `what` is who answers, for messages; of an answer that is no success only the status is told.
pub(super) async fn send(request: RequestBuilder, what: &str) -> Result<Answer, Trouble> {
    let answer = request.send().await.map_err(|error| {
        let why = if error.is_timeout() {
            "no answer in time".to_string()
        } else if error.is_connect() {
            "no connection".to_string()
        } else {
            error.without_url().to_string()
        };
        Trouble::passing(format!("{what} cannot be reached: {why}"))
    })?;
    let status = answer.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Ok(Answer::NotLetIn);
    }
    if status == StatusCode::NOT_FOUND {
        return Err(Trouble::lasting(format!("{what} has no such secret (404)")));
    }
    if !status.is_success() {
        let reason = format!("{what} answers with status {}", status.as_u16());
        let may_pass = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        return Err(Trouble { reason, may_pass });
    }
    let body = answer.bytes().await;
    let body = body.map_err(|_| Trouble::passing(format!("{what} broke its answer off")))?;
    let json = serde_json::from_slice(&body);
    json.map(Answer::Found)
        .map_err(|_| Trouble::lasting(format!("{what} answers with something that is no JSON")))
}

/// A number, which some services write as text.
pub(super) fn seconds(json: &Json) -> Option<u64> {
    json.as_u64().or_else(|| json.as_str()?.parse().ok())
}

/// The refusal of who is not let in.
pub(super) fn not_let_in(what: &str) -> Trouble {
    Trouble::passing(format!("{what} does not let this server read it (401 or 403)"))
}
