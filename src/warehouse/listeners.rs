//! The sockets that readers come in by: bound before anything else, so that what is in the way is said at once.

use crate::config::Settings;
use crate::ops::shutdown::Shutdown;
use crate::serve::{Readers, flight, http, postgres};
use anyhow::anyhow;
use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// The three bound sockets.
pub(super) struct Listeners {
    pg: TcpListener,
    flight: TcpListener,
    http: TcpListener,
}

impl Listeners {
    pub(super) fn bind(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            pg: bind("Postgres", "--pg-listen", settings.pg_listen)?,
            flight: bind("Flight SQL", "--flight-listen", settings.flight_listen)?,
            http: bind("HTTP", "--http-listen", settings.http_listen)?,
        })
    }

    pub(super) fn addresses(&self) -> std::io::Result<http::Addresses> {
        Ok(http::Addresses {
            pg: self.pg.local_addr()?,
            flight: self.flight.local_addr()?,
            http: self.http.local_addr()?,
        })
    }

    pub(super) fn serve(self, readers: Readers, addresses: http::Addresses, stop: &Shutdown) {
        stop.spawn(postgres::listen(self.pg, readers.clone()));
        let flight = flight::listen(self.flight, readers.clone());
        stop.spawn(async move {
            if let Err(error) = flight.await {
                tracing::error!(%error, "Flight SQL stopped");
            }
        });
        let http = http::listen(self.http, readers, addresses);
        stop.spawn(async move {
            if let Err(error) = http.await {
                tracing::error!(%error, "HTTP stopped");
            }
        });
    }
}

fn bind(what: &str, flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    open(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow!(
                "{what} address {address} is in use; stop what listens there or choose another with {flag}"
            )
        }
        _ => anyhow!("could not listen on {what} address {address}: {error}; choose another with {flag}"),
    })
}

/// A listener whose connections are asked now and then whether somebody is still there.
fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    SockRef::from(&socket).set_tcp_keepalive(&keepalive())?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Who says nothing is asked after a minute, and gone when three more bring no answer: what a session holds is free then.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(ASKED_AGAIN).with_retries(ASKED_MAX)
}

/// How long a connection may be silent before its other end is asked whether it is still there.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Between two questions.
const ASKED_AGAIN: Duration = Duration::from_secs(20);
/// Questions without an answer that end it.
const ASKED_MAX: u32 = 3;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
