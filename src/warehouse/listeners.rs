//! The sockets that readers come in by: bound before anything else, so that what is in the way is said at once.

use crate::config::Settings;
use crate::ops::shutdown::Shutdown;
use crate::serve::{Readers, flight, http, postgres};
use anyhow::anyhow;
use std::net::SocketAddr;
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
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
