//! Accepting connections, a bounded number at a time.
//!
//! Comes in: a bound listener. Goes out: [`Connection`]s, each holding a permit until it closes. One more than
//! `limits.connections_max` is closed at once, so that a flood costs neither memory nor those who are in.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Rest after an accept that failed for the process's sake (no file descriptors left), so that it does not spin.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How long a client may take to begin what it wants to say.
const OPENING_MAX: Duration = Duration::from_secs(10);

/// A listener that lets in a bounded number of connections at a time.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl Door {
    /// A door over `listener` for `connections_max` connections.
    pub fn new(listener: TcpListener, connections_max: usize) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS))) }
    }

    /// The address that is listened on.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection that finds room.
    pub async fn accept(&self) -> (Connection, SocketAddr) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_REST).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
                tracing::warn!(%peer, "connection refused: limits.connections_max reached");
                continue;
            };
            // Small answers must not wait for a full packet; a socket that cannot be told so still works.
            let _ = stream.set_nodelay(true);
            return (Connection { stream, peer, _permit: permit }, peer);
        }
    }
}

/// A connection and its place among the allowed ones.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Waits for the first bytes and leaves them where they are.
    pub async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(bytes).await
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Bytes of a client that is let go when it says nothing: a connection holds one of few places.
#[derive(Debug)]
pub struct Patient<T> {
    bytes: T,
    /// What still has to come before the client has begun.
    opening: usize,
    /// How long it may then be silent, and be told nothing; `None` where the protocol itself asks whether it is there.
    silence_max: Option<Duration>,
    /// When it is let go.
    end: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    /// Waits [`OPENING_MAX`] for the first `opening` bytes, and then `silence_max` for more.
    pub fn new(bytes: T, opening: usize, silence_max: Option<Duration>) -> Self {
        Self { bytes, opening, silence_max, end: Some(Box::pin(sleep(OPENING_MAX))) }
    }

    /// So many bytes came or went.
    fn note(&mut self, came: usize) {
        self.opening = self.opening.saturating_sub(came);
        if self.opening > 0 {
            return;
        }
        self.end = self.silence_max.map(|silence| Box::pin(sleep(silence)));
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.bytes).poll_read(cx, buf);
        if read.is_ready() {
            self.note(buf.filled().len() - before);
            return read;
        }
        match self.end.as_mut().map(|end| end.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            _ => Poll::Pending,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.bytes).poll_write(cx, buf);
        if written.is_ready() {
            self.note(0);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.bytes).poll_write_vectored(cx, bufs);
        if written.is_ready() {
            self.note(0);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.bytes.is_write_vectored()
    }
}
