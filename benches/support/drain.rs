//! A Flight client that only drains: it counts rows and bytes and looks at none of them, so that what is measured is the
//! server.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightData, Ticket};
use futures::future::try_join_all;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// What may be under way at once, of each stream and of all: more than a batch.
const WINDOW: u32 = 16 << 20;

/// What came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    pub rows: u64,
    pub bytes: u64,
    /// From the question to the end.
    pub all: Duration,
}

/// Asks for a query's result, in parts side by side where the server offers some, or in one piece.
pub async fn query(address: SocketAddr, sql: &str, login: bool, in_parts: bool) -> Drained {
    let asked = Instant::now();
    let mut client = FlightSqlServiceClient::new(connect(address).await);
    if login {
        client.handshake("sluice", "").await.unwrap();
    }
    if !in_parts {
        client.set_header("sluice-endpoints-max", "1");
    }
    let info = client.execute(sql.to_string(), None).await.unwrap();
    let token = client.token().cloned();
    let tickets = info.endpoint.into_iter().map(|endpoint| endpoint.ticket.unwrap());
    let parts = tickets.map(|ticket| drain(address, ticket, token.as_deref()));
    let parts = try_join_all(parts).await.unwrap();
    let sum = |of: fn(&Drained) -> u64| parts.iter().map(of).sum();
    Drained { rows: sum(|part| part.rows), bytes: sum(|part| part.bytes), all: asked.elapsed() }
}

/// Takes all that a ticket gives, over a connection of its own.
pub async fn drain(address: SocketAddr, ticket: Ticket, token: Option<&str>) -> Result<Drained, Status> {
    let asked = Instant::now();
    let mut client = FlightServiceClient::new(connect(address).await).max_decoding_message_size(usize::MAX);
    let mut request = Request::new(ticket);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let mut stream = client.do_get(request).await?.into_inner();
    let mut drained = Drained::default();
    while let Some(data) = stream.message().await? {
        drained.rows += rows(&data);
        drained.bytes += (data.data_header.len() + data.data_body.len()) as u64;
    }
    drained.all = asked.elapsed();
    Ok(drained)
}

/// The rows of a message, by what stands before its body.
fn rows(data: &FlightData) -> u64 {
    let message = arrow::ipc::root_as_message(&data.data_header).unwrap();
    message.header_as_record_batch().map_or(0, |batch| batch.length() as u64)
}

async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    endpoint.tcp_nodelay(true).connect().await.unwrap()
}
