//! `POST /ingest/<source>`: records in, a position back.
//!
//! Comes in: one record, NDJSON or CSV, as the source's FORMAT says; with headers `channel` and `token` the push is
//! exactly once. Goes out: 200 once the records are durable, with a read token; else a status that says whether and when
//! to push again.

use super::{PROTOCOL, Peer, Refusal, Shared, admit};
use crate::ingest::{Body as PushBody, Committed, Inbox, Push, PushOutcome, TurnedAway};
use crate::serve::audit::Pushed;
use crate::serve::incoming;
use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest name of a channel.
const CHANNEL_BYTES_MAX: usize = 256;
/// How long a sender may take for its body.
const BODY_SECONDS_MAX: u64 = 60;
/// How long, and how much of, a body that is refused is read and dropped: most clients send it whole before they look at
/// the answer, and would see a broken connection in its place.
const REFUSED_BODY_WAIT_MAX: Duration = Duration::from_secs(1);
const REFUSED_BODY_BYTES_MAX: usize = 64 << 20;
/// When to try again after 429 and 503.
const RETRY_AFTER_SECONDS: u32 = 1;

/// The answer to a push that was taken.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    rows: u64,
    rejected: u64,
    /// The source's commit counter; null for a duplicate.
    batch: Option<i64>,
    /// What `SET sluice.read_after` waits for; null for a duplicate.
    read_token: Option<String>,
    /// False without channel and token: pushed again, the records would be there twice.
    exactly_once: bool,
    /// True when the channel had already taken this token.
    duplicate: bool,
}

/// The handler.
pub(super) async fn push(
    State(state): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Taken>, Refusal> {
    let mut pieces = body.into_data_stream();
    let taken = take(&state, peer, source, &headers, &mut pieces).await;
    if taken.is_err() {
        discard(&mut pieces).await;
    }
    taken.map(Json)
}

async fn take(
    state: &Shared,
    peer: Peer,
    source: String,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Taken, Refusal> {
    let role = admit(state, headers, peer).await?;
    let inbox = incoming::inbox(&state.readers, &source);
    let channel = channel(headers);
    let audited = state.readers.audit.pushed(Pushed {
        role: &role,
        address: peer.0.ip(),
        protocol: PROTOCOL,
        said: format!("POST /ingest/{source}"),
        channel: channel.as_ref().ok().and_then(Option::as_ref),
        table: inbox.is_some().then(|| format!("{}.{source}", incoming::SCHEMA)),
    });
    let taken = match inbox {
        Some(inbox) => put(state, &role, &source, (headers, body), channel, inbox).await,
        None => Err(unknown(state, &role, &source)),
    };
    audited.end_with(taken.as_ref().err().map(sqlstate));
    taken
}

fn unknown(state: &Shared, role: &str, source: &str) -> Refusal {
    let message = format!("there is no source \"{source}\" that takes pushes");
    let sources = Some(incoming::sources(&state.readers, role));
    Refusal { sources, ..Refusal::new(StatusCode::NOT_FOUND, message) }
}

/// What the other protocols would say.
fn sqlstate(refusal: &Refusal) -> &'static str {
    match refusal.status {
        StatusCode::FORBIDDEN => "42501",
        StatusCode::NOT_FOUND => "42P01",
        StatusCode::PAYLOAD_TOO_LARGE => "54000",
        StatusCode::TOO_MANY_REQUESTS => "53400",
        StatusCode::SERVICE_UNAVAILABLE => "57P03",
        StatusCode::REQUEST_TIMEOUT => "57014",
        _ => "22023",
    }
}

async fn put(
    state: &Shared,
    role: &str,
    source: &str,
    (headers, body): (&HeaderMap, &mut BodyDataStream),
    channel: Result<Option<(String, i64)>, Refusal>,
    inbox: Arc<dyn Inbox>,
) -> Result<Taken, Refusal> {
    incoming::check_may(&state.readers, role, source).map_err(Refusal::forbidden)?;
    let Admitted { channel, body, room: _room } = match admitted(state, channel, headers, body).await {
        Ok(admitted) => admitted,
        Err(refusal) => {
            inbox.turned_away(turned_away(&refusal));
            return Err(refusal);
        }
    };
    let exactly_once = channel.is_some();
    match inbox.push(Push { channel, body: PushBody::Text(body) }).await {
        PushOutcome::Taken { rows, rejected, committed } => Ok(Taken {
            rows,
            rejected,
            batch: committed.as_ref().map(|c| c.batch),
            read_token: committed.as_ref().map(|c| read_token(source, c)),
            exactly_once,
            duplicate: exactly_once && committed.is_none(),
        }),
        PushOutcome::Busy => Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!("source \"{source}\" has no room for more"),
        )
        .retry_after(RETRY_AFTER_SECONDS)),
        PushOutcome::Stopped(why) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("source \"{source}\" is stopped: {why}"),
        )
        .retry_after(RETRY_AFTER_SECONDS)),
        PushOutcome::Refused(why) => Err(Refusal::new(StatusCode::BAD_REQUEST, why)),
    }
}

/// What of a push is there before its source takes it.
struct Admitted {
    channel: Option<(String, i64)>,
    body: Bytes,
    room: OwnedSemaphorePermit,
}

async fn admitted(
    state: &Shared,
    channel: Result<Option<(String, i64)>, Refusal>,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Admitted, Refusal> {
    let channel = channel?;
    let (body, room) = read_body(headers, body, state.readers.limits.push_bytes_max, &state.room).await?;
    Ok(Admitted { channel, body, room })
}

fn turned_away(refusal: &Refusal) -> TurnedAway<'_> {
    match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => TurnedAway::Limit,
        _ => TurnedAway::Refused(&refusal.error),
    }
}

fn read_token(source: &str, committed: &Committed) -> String {
    format!("bronze.{source}@{}", committed.version)
}

/// The sender's channel and token: both or none.
fn channel(headers: &HeaderMap) -> Result<Option<(String, i64)>, Refusal> {
    let bad = |error: &str| Refusal::new(StatusCode::BAD_REQUEST, error);
    let text = |name: &'static str| {
        headers
            .get(name)
            .map(|value| value.to_str().map(str::trim))
            .transpose()
            .map_err(|_| bad(&format!("header \"{name}\" is not plain text")))
    };
    let (channel, token) = match (text("channel")?, text("token")?) {
        (None, None) => return Ok(None),
        (Some(channel), Some(token)) => (channel, token),
        (Some(_), None) => return Err(bad("header \"channel\" needs a header \"token\"")),
        (None, Some(_)) => return Err(bad("header \"token\" needs a header \"channel\"")),
    };
    if channel.is_empty() || channel.len() > CHANNEL_BYTES_MAX {
        return Err(bad(&format!("header \"channel\" has not 1 to {CHANNEL_BYTES_MAX} characters")));
    }
    match token.parse::<i64>() {
        Ok(token) if token >= 0 => Ok(Some((channel.to_string(), token))),
        _ => Err(bad(&format!("header \"token\" is not an integer from 0 to {}: \"{token}\"", i64::MAX))
            .with_hint(
                "Tokens of a channel grow from push to push; a push that is repeated keeps its token.",
            )),
    }
}

/// The body, with its part of the room that all bodies share. Refused before it is held: by its announced length, or at
/// the byte that is too many.
async fn read_body(
    headers: &HeaderMap,
    pieces: &mut BodyDataStream,
    bytes_max: usize,
    room: &Arc<Semaphore>,
) -> Result<(Bytes, OwnedSemaphorePermit), Refusal> {
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("push is larger than limits.push_bytes_max, {bytes_max} bytes"),
        )
        .with_hint("Push in smaller pieces, each with a token of its own.")
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    let reserved = announced.unwrap_or(bytes_max);
    if reserved > bytes_max {
        return Err(too_large());
    }
    let permits = u32::try_from(reserved).unwrap_or(u32::MAX);
    let permit = Arc::clone(room).try_acquire_many_owned(permits).map_err(|_| {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many pushes at a time")
            .retry_after(RETRY_AFTER_SECONDS)
    })?;
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0));
    let read = async {
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| {
                Refusal::new(StatusCode::BAD_REQUEST, format!("body ended early: {error}"))
            })?;
            if bytes.len() + piece.len() > bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(BODY_SECONDS_MAX), read).await.map_err(|_| {
        Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("body took longer than {BODY_SECONDS_MAX} seconds"))
    })??;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "body is empty"));
    }
    Ok((bytes.freeze(), permit))
}

async fn discard(pieces: &mut BodyDataStream) {
    let read = async {
        let mut left = REFUSED_BODY_BYTES_MAX;
        while let Some(Ok(piece)) = pieces.next().await {
            left = match left.checked_sub(piece.len()) {
                Some(left) => left,
                None => return,
            };
        }
    };
    let _ = tokio::time::timeout(REFUSED_BODY_WAIT_MAX, read).await;
}
