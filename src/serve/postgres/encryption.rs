//! A connection's first bytes: whether it is encrypted.
//!
//! A client asks for TLS and is answered with one byte, or begins with TLS at once (and then has to name the protocol).
//! Nothing is read beyond a request, so that nobody can put words before those of the encrypted client.

use super::frame::Broken;
use crate::serve::Error;
use crate::serve::tls::{ALPN, HANDSHAKE, Tls};
use bytes::BytesMut;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Requests for encryption that are answered: for TLS and for GSS.
const REQUESTS_MAX: usize = 2;
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

pub(super) type Reading = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writing = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection on which the start-up message comes next.
pub(super) struct Opened {
    pub(super) read: Reading,
    pub(super) write: Writing,
    /// What of that message was read already.
    pub(super) begun: BytesMut,
    /// The certificate that encrypts it, if it is encrypted.
    pub(super) certificate: Option<Arc<Vec<u8>>>,
}

/// Answers what a client asks of encryption.
pub(super) async fn open(mut socket: TcpStream, tls: Option<&Tls>) -> Result<Opened, Broken> {
    let mut first = [0];
    socket.peek(&mut first).await?;
    if let (Some(tls), [HANDSHAKE]) = (tls, first) {
        return encrypted(socket, tls, true).await;
    }
    let mut begun = [0; 8];
    for answered in 0.. {
        socket.read_exact(&mut begun).await?;
        match (begun, tls) {
            (SSL_REQUEST | GSS_REQUEST, _) if answered == REQUESTS_MAX => break,
            (SSL_REQUEST, Some(tls)) => {
                socket.write_all(b"S").await?;
                return encrypted(socket, tls, false).await;
            }
            (SSL_REQUEST | GSS_REQUEST, _) => socket.write_all(b"N").await?,
            _ => break,
        }
    }
    Ok(plain(socket, &begun))
}

/// A connection that is not encrypted.
pub(super) fn plain(socket: TcpStream, begun: &[u8]) -> Opened {
    let (read, write) = socket.into_split();
    Opened { read: Box::new(read), write: Box::new(write), begun: begun.into(), certificate: None }
}

async fn encrypted(socket: TcpStream, tls: &Tls, at_once: bool) -> Result<Opened, Broken> {
    let offer = tls.offer();
    let stream = offer.acceptor.accept(socket).await?;
    if at_once && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        let message = "received direct SSL connection request without ALPN protocol negotiation extension";
        return Err(Broken::Fatal(Error::new("08P01", message)));
    }
    let (read, write) = tokio::io::split(stream);
    let certificate = Some(offer.certificate);
    Ok(Opened { read: Box::new(read), write: Box::new(write), begun: BytesMut::new(), certificate })
}
