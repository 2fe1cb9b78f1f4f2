//! Connections, encrypted where the project has a certificate.
//!
//! Comes in: accepted sockets. Goes out: streams of bytes. A client begins with TLS or does not: its first byte tells. Each
//! handshake is a task of its own, so that a slow one holds nobody up; one that fails ends its own connection only.

use crate::serve::connections::{Connection, Door, Patient};
use crate::serve::tls::{HANDSHAKE, Tls};
use futures::{Stream, StreamExt as _};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// How long a client may take for its handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// The bytes that HTTP/2 begins with; a connection that is silent later is asked whether it is still there.
const PREFACE: usize = 24;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// What calls come through.
pub(super) struct Wire {
    bytes: Pin<Box<dyn Bytes>>,
    peer: Peer,
}

trait Bytes: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Bytes for T {}

/// The connections of a door, as they are ready for calls.
pub(super) fn connections(door: Door, tls: Option<Arc<Tls>>) -> impl Stream<Item = io::Result<Wire>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(accept(door, tls, sender));
    ReceiverStream::new(receiver).map(Ok)
}

async fn accept(door: Door, tls: Option<Arc<Tls>>, sender: mpsc::Sender<Wire>) {
    loop {
        let (connection, peer) = tokio::select! {
            () = sender.closed() => return,
            accepted = door.accept() => accepted,
        };
        let (tls, sender) = (tls.clone(), sender.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_MAX, open(connection, tls.as_deref())).await {
                // At the end of the listener nobody is waiting any more.
                Ok(Ok(wire)) => drop(sender.send(wire).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "flight connection refused"),
                Err(_) => tracing::debug!(%peer, "flight handshake took too long"),
            }
        });
    }
}

async fn open(connection: Connection, tls: Option<&Tls>) -> io::Result<Wire> {
    let peer = Peer(connection.peer());
    let Some(tls) = tls else { return Ok(Wire::new(connection, peer)) };
    let mut first = [0];
    connection.peek(&mut first).await?;
    if first == [HANDSHAKE] {
        let encrypted = tls.offer().http2.accept(connection).await?;
        return Ok(Wire::new(encrypted, peer));
    }
    if tls.is_required() {
        return Err(io::Error::other("connections to this server must be encrypted"));
    }
    Ok(Wire::new(connection, peer))
}

impl Wire {
    fn new(bytes: impl Bytes + Unpin + 'static, peer: Peer) -> Self {
        Self { bytes: Box::pin(Patient::new(bytes, PREFACE, None)), peer }
    }
}

impl Connected for Wire {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.bytes.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bytes.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bytes.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.bytes.is_write_vectored()
    }
}
