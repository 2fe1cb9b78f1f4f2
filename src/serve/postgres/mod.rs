//! PostgreSQL's protocol, version 3: psql, Power BI, JDBC, ODBC and every driver.
//!
//! Comes in: connections. Goes out: answers of a [`Session`](super::session::Session), simple and extended, streamed row
//! by row in text or binary; no result is ever held. Cancel, statement timeout, a client that goes away and shutdown end
//! a statement wherever it stands, while planning, computing or sending.
//!
//! ```text
//! socket ─ encryption ─ frame ─ login ─ connection ┬ simple   ┬ session ─ rows ─ encode ─ outbox ─ socket
//!                                                  └ extended ┘
//! ```
//!
//! pgwire gives the server's messages and SCRAM; the loop is ours, because pgwire's holds whole results and cancels
//! planning only. Messages of clients are decoded here (see `frame`).

mod cancel;
pub mod catalog;
mod connection;
mod copy;
mod copy_in;
mod decode;
pub(in crate::serve) mod encode;
mod encryption;
mod extended;
mod frame;
mod guesses;
mod login;
mod outbox;
pub(in crate::serve) mod printed;
mod rows;
mod types;

#[cfg(test)]
mod tests;

use super::{Error, Readers};
use cancel::CancelKeys;
use connection::Connection;
pub(in crate::serve) use decode::array_elements;
use encryption::Opened;
use frame::{Broken, Inbox};
use guesses::Guesses;
use login::Login;
use outbox::Outbox;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
pub(in crate::serve) use types::{arrow_type, parameter_type};

/// Time for a client to log in.
const LOGIN_MAX: Duration = Duration::from_secs(10);
/// Clients that may be logging in at a time, beside those that are in.
const LOGINS_MAX: usize = 256;
/// Rest after an accept that failed for the process's sake (no file descriptors left).
const ACCEPT_REST: Duration = Duration::from_millis(50);
/// Time for running statements to end after shutdown was asked for.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// What all connections share.
struct Server {
    readers: Readers,
    keys: Arc<CancelKeys>,
    guesses: Guesses,
    places: Arc<Semaphore>,
    logins: Arc<Semaphore>,
}

/// Answers until shutdown is asked for; then takes no more connections, lets running statements end within a grace and
/// resolves when every connection is closed.
pub async fn listen(listener: TcpListener, readers: Readers) {
    let server = Arc::new(Server {
        places: Arc::new(Semaphore::new(readers.limits.connections_max.min(Semaphore::MAX_PERMITS))),
        logins: Arc::new(Semaphore::new(LOGINS_MAX)),
        keys: Arc::default(),
        guesses: Guesses::default(),
        readers,
    });
    let shutdown = server.readers.shutdown.clone();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.requested() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((socket, address)) => {
                connections.spawn(serve(Arc::clone(&server), socket, address));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, from its first byte to its last.
async fn serve(server: Arc<Server>, socket: TcpStream, address: SocketAddr) {
    // Small answers must not wait for a full packet; a socket that cannot be told so still works.
    let _ = socket.set_nodelay(true);
    let (opened, login) = match Arc::clone(&server.logins).try_acquire_owned() {
        Ok(login) => {
            let opening = encryption::open(socket, server.readers.tls.as_deref());
            let opened = tokio::select! {
                () = server.readers.shutdown.requested() => return,
                opened = tokio::time::timeout(LOGIN_MAX, opening) => opened,
            };
            match opened {
                Ok(Ok(opened)) => (opened, Some(login)),
                // Nobody there could read why.
                _ => return tracing::info!(%address, "connection ended before it began"),
            }
        }
        Err(_) => (encryption::plain(socket, &[]), None),
    };
    let Opened { read, write, begun, certificate } = opened;
    let stall_max = Duration::from_millis(server.readers.limits.stall_ms_max);
    let (mut inbox, mut outbox) = (Inbox::new(read, begun), Outbox::new(write, stall_max));
    let entered = match login {
        Some(_login) => enter(&server, &mut inbox, &mut outbox, address, certificate.as_deref()).await,
        None => Err(too_many()),
    };
    let ended = match entered {
        Ok(Some((session, key_bytes, _place))) => {
            let key = server.keys.register(session.process_id(), session.activity(), key_bytes);
            inbox.logged_in();
            Connection::new(&mut inbox, &mut outbox, *session, key, server.readers.shutdown.clone())
                .run()
                .await
        }
        Ok(None) => Ok(()),
        Err(broken) => Err(broken),
    };
    if let Err(Broken::Fatal(error) | Broken::Message(_, error)) = ended {
        tracing::info!(%address, code = error.code, message = error.message, "connection ended");
        outbox.error(&error, true);
    }
    // Nobody may be there to read it.
    let _ = tokio::time::timeout(LOGIN_MAX, outbox.close()).await;
}

fn too_many() -> Broken {
    Broken::Fatal(Error::new("53300", "sorry, too many clients already"))
}

/// A session, the length of its cancel key, and its place.
type Entered = Option<(Box<super::session::Session>, usize, tokio::sync::OwnedSemaphorePermit)>;

/// Logs in and takes a place; the permit is held as long as the connection.
async fn enter(
    server: &Server,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
    address: SocketAddr,
    certificate: Option<&Vec<u8>>,
) -> Result<Entered, Broken> {
    let Server { readers, keys, guesses, .. } = server;
    let login = login::login(inbox, outbox, address, certificate, readers, keys, guesses);
    let (session, key_bytes) = tokio::select! {
        () = server.readers.shutdown.requested() => return Err(Broken::Fatal(connection::shutting_down())),
        login = tokio::time::timeout(LOGIN_MAX, login) => match login {
            Ok(Ok(Login::Session(session, key_bytes))) => (session, key_bytes),
            Ok(Ok(Login::Cancelled)) => return Ok(None),
            Ok(Err(broken)) => return Err(broken),
            Err(_) => return Err(Broken::Fatal(Error::new("08006", "login took too long"))),
        },
    };
    let place = Arc::clone(&server.places).try_acquire_owned().map_err(|_| too_many())?;
    Ok(Some((session, key_bytes, place)))
}
