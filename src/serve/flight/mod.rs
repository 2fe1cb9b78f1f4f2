//! Arrow Flight SQL: tables to pandas, Polars, ADBC and JDBC as columns.
//!
//! Comes in: gRPC calls on one listener. Goes out: Arrow batches, streamed as the query makes them.
//!
//! Guarantee: a query reads the cut that was newest when it was asked for, whenever its stream is fetched; every call
//! has a known caller; nothing that a client leaves behind stays for ever (tokens, tickets and prepared statements
//! expire and are bounded). Failure: a gRPC status with the SQLSTATE, see [`status`].
//!
//! ```text
//! connections ─ wire (TLS) ─ gateway (who calls) ─┬ service (commands) ─┬ query    SQL → plan on one cut → batches
//!                                                 └ actions, sessions   ├ update   SQL → rows of sources, definitions
//!                                                                       ├ metadata cut → tables, keys, types
//!                                                                       └ outgoing batches → bounded messages
//! ```

mod actions;
mod gateway;
mod ingest;
mod keys;
mod messages;
mod metadata;
mod outgoing;
mod parameters;
mod placeholders;
mod query;
mod rows;
mod service;
mod sessions;
mod statements;
mod status;
#[cfg(test)]
mod tests;
mod update;
mod wire;

use self::gateway::Gateway;
use self::service::Service;
use self::sessions::Sessions;
use super::Readers;
use super::connections::Door;
use super::gate::Gate;
use arrow_flight::flight_service_server::FlightServiceServer;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

/// What the audit log calls it.
const PROTOCOL: &str = "flight";
/// Largest message that is taken: statements and parameters, not data.
const MESSAGE_IN_BYTES_MAX: usize = 16 << 20;
/// Calls that one connection may have open at a time.
const CALLS_PER_CONNECTION_MAX: u32 = 64;
/// How long running queries may take to end once a stop is asked for.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// What clients that follow the shutdown get to notice its end.
const FAREWELL_MAX: Duration = Duration::from_millis(500);
/// A silent connection is asked this often whether it is still there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Serves Flight SQL until shutdown is requested and running queries have ended or [`DRAIN_MAX`] has passed.
pub async fn listen(listener: TcpListener, readers: Readers) -> io::Result<()> {
    let shutdown = readers.shutdown.clone();
    let server_stop = CancellationToken::new();
    let door = Door::new(listener, readers.limits.connections_max);
    let incoming = wire::connections(door, readers.tls.clone());
    let token_idle_max = Duration::from_secs(readers.limits.token_idle_seconds_max);
    let gate = Gate::new(Arc::clone(&readers.logins), token_idle_max);
    // Options outlive their login's token by nothing.
    let sessions = Sessions::new(token_idle_max);
    let service = Service::new(readers, server_stop.clone()).map_err(io::Error::other)?;
    let flight = FlightServiceServer::new(Gateway::new(gate, sessions, service))
        .max_decoding_message_size(MESSAGE_IN_BYTES_MAX);

    let server = Server::builder()
        .max_concurrent_streams(CALLS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .add_service(flight)
        .serve_with_incoming_shutdown(incoming, shutdown.token().cancelled_owned());
    let drained = async {
        shutdown.requested().await;
        tokio::time::sleep(DRAIN_MAX).await;
        server_stop.cancel();
        tokio::time::sleep(FAREWELL_MAX).await;
    };
    tokio::select! {
        served = server => served.map_err(io::Error::other),
        () = drained => {
            tracing::warn!("flight queries still ran at the end of the drain and were ended");
            Ok(())
        }
    }
}
