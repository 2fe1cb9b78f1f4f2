//! The small pages: ready, health, home.

use super::{Refusal, Shared};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// 200 and the addresses once the warehouse answers queries, 503 before and while it stops.
pub(super) async fn ready(State(state): State<Shared>) -> Response {
    let refusal =
        |error: &str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).retry_after(1).into_response();
    if state.readers.shutdown.is_requested() {
        return refusal("the warehouse is stopping");
    }
    // The cut before the first has no tables, not even those of schema `sluice`.
    if state.readers.cuts.borrow().tables.is_empty() {
        return refusal("the warehouse is starting");
    }
    let line = serde_json::to_string(&state.addresses).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], format!("{line}\n")).into_response()
}

/// 200 as long as the process serves at all.
pub(super) async fn health() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// What listens where and what to type, in plain text.
pub(super) async fn home(State(state): State<Shared>) -> Response {
    let a = state.addresses;
    let epoch = state.readers.cuts.borrow().epoch;
    format!(
        "Sluice {version}, epoch {epoch}\n\n\
         PostgreSQL   {pg}   psql -h {pg_ip} -p {pg_port} -U sluice\n\
         Flight SQL   {flight}   grpc://{flight}\n\
         HTTP         {http}   GET /ready, /health, /metrics; POST /ingest/<source>\n",
        version = env!("CARGO_PKG_VERSION"),
        pg = a.pg,
        pg_ip = a.pg.ip(),
        pg_port = a.pg.port(),
        flight = a.flight,
        http = a.http,
    )
    .into_response()
}

/// Anything else.
pub(super) async fn not_found(uri: Uri) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("there is no {}", uri.path()))
        .with_hint("Served are /, /ready, /health, /metrics and /ingest/<source>.")
}
