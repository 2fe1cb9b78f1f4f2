//! HTTP: is it up, how is it doing, take these records.
//!
//! Comes in: requests on one listener. Goes out: `GET /ready` and `GET /health` for supervisors, `GET /metrics` for
//! Prometheus, `GET /` for people, `POST /ingest/<source>` for records.
//!
//! Guarantee: a push is answered with 200 once its records are durable, and pushed again with the same channel and
//! token it is taken once. Failure: a JSON body that names what is wrong; a body over its limit is refused before it is
//! held in memory, and all bodies together are bounded.

mod ingest;
mod metrics;
mod page;
#[cfg(test)]
mod tests;

use super::connections::{Connection, Door, Patient};
use super::gate::{Credentials, DEFAULT_USER, Gate};
use super::{Error, Readers};
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What the audit log calls it.
const PROTOCOL: &str = "http";
/// How long running requests may take to end once a stop is asked for.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// No request is shorter: `GET / HTTP/1.0`.
const REQUEST_LINE: usize = 16;
/// How long a connection is kept on which nothing is said and nothing is answered.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Bodies that are held in memory together, in pushes of the largest size.
const PUSHES_HELD_MAX: usize = 4;

/// Where the server listens; `GET /ready` and the ready file tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// Postgres wire.
    pub pg: SocketAddr,
    /// Flight SQL.
    pub flight: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

/// What every handler is given.
#[derive(Clone)]
struct Shared(Arc<State>);

struct State {
    readers: Readers,
    addresses: Addresses,
    gate: Gate,
    /// Bytes of bodies that may still be taken into memory.
    room: Arc<Semaphore>,
}

impl std::ops::Deref for Shared {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Peer(*stream.remote_addr())
    }
}

impl Listener for Door {
    type Io = Patient<Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Patient<Connection>, SocketAddr) {
        let (connection, peer) = Door::accept(self).await;
        (Patient::new(connection, REQUEST_LINE, Some(SILENCE_MAX)), peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// Serves HTTP until shutdown is requested and running requests have ended or [`DRAIN_MAX`] has passed.
pub async fn listen(listener: TcpListener, readers: Readers, addresses: Addresses) -> io::Result<()> {
    let shutdown = readers.shutdown.clone();
    let door = Door::new(listener, readers.limits.connections_max);
    let app = router(readers, addresses).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(door, app).with_graceful_shutdown(shutdown.token().cancelled_owned());
    let drained = async {
        shutdown.requested().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = server.into_future() => served,
        () = drained => {
            tracing::warn!("http requests still ran at the end of the drain and were dropped");
            Ok(())
        }
    }
}

fn router(readers: Readers, addresses: Addresses) -> Router {
    let room = readers.limits.push_bytes_max.saturating_mul(PUSHES_HELD_MAX).min(Semaphore::MAX_PERMITS);
    let token_idle_max = Duration::from_secs(readers.limits.token_idle_seconds_max);
    let gate = Gate::new(Arc::clone(&readers.logins), token_idle_max);
    let state = State { readers, addresses, gate, room: Arc::new(Semaphore::new(room)) };
    Router::new()
        .route("/", get(page::home))
        .route("/ready", get(page::ready))
        .route("/health", get(page::health))
        .route("/metrics", get(metrics::metrics))
        .route("/ingest/{source}", post(ingest::push))
        .fallback(page::not_found)
        .with_state(Shared(Arc::new(state)))
}

/// Lets a caller in: trusted on loopback, or with a user's name and password. Tells as whom.
async fn admit(state: &State, headers: &HeaderMap, peer: Peer) -> Result<String, Refusal> {
    let refused = |user: &str, error: Error| {
        state.readers.audit.refused(PROTOCOL, peer.0.ip(), user, &error);
        Refusal::login(error)
    };
    let header = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let credentials = Credentials::from_header(header).map_err(|error| refused("", error))?;
    let here = peer.0.ip().to_canonical().is_loopback();
    if credentials == Credentials::None && here {
        // The one that Flight callers without a name are, if it is trusted.
        let trusted = state.readers.users.iter().filter(|(_, user)| user.trust_loopback);
        let first = trusted.clone().map(|(name, _)| name).next();
        if let Some(name) = trusted.map(|(name, _)| name).find(|name| *name == DEFAULT_USER).or(first) {
            return Ok(name.clone());
        }
    }
    let user = credentials.user().to_string();
    state.gate.admit(credentials, peer.0.ip()).await.map_err(|error| refused(&user, error))
}

/// A request that is not served, with the reason as JSON.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: String,
    hint: Option<String>,
    /// Sources that there are, for an unknown one.
    sources: Option<Vec<String>>,
    retry_after_seconds: Option<u32>,
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: None, sources: None, retry_after_seconds: None }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    fn forbidden(error: Error) -> Self {
        let mut refusal = Self::new(StatusCode::FORBIDDEN, error.message);
        refusal.hint = error.hint;
        refusal
    }

    fn login(error: Error) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, error.message);
        refusal.hint = error.hint;
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = serde_json::Map::new();
        body.insert("error".into(), self.error.into());
        if let Some(hint) = self.hint {
            body.insert("hint".into(), hint.into());
        }
        if let Some(sources) = self.sources {
            body.insert("sources".into(), sources.into());
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Basic realm=\"sluice\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
