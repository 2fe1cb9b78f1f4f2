//! What clients send, taken apart with every length checked.
//!
//! Comes in: bytes of the socket. Goes out: one [`Message`] after the other. A length that cannot be is fatal, since the
//! next message could not be found; a body that does not read is an error of that message. (pgwire's decoders read past
//! the end of a broken body, so ours stand here.)

use super::encryption::Reading;
use crate::serve::Error;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::AsyncReadExt;

/// Size of one message of a client who has logged in.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Size of one message of a client who has not.
const LOGIN_MESSAGE_BYTES_MAX: usize = 10_000;
/// How much is taken from the socket while a statement runs, to notice that the client went away.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;
const READ_BYTES: usize = 8 << 10;

const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;
const CANCEL_REQUEST: i32 = 80_877_102;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Asks for TLS or GSS.
    Encryption,
    /// Asks to cancel the statement of another connection.
    Cancel { process_id: i32, secret: Bytes },
    /// Wants a session.
    Startup { major: u16, minor: u16, parameters: Vec<(String, String)> },
}

/// A portal or a prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement,
    Portal,
}

/// A message of a session.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        formats: Vec<i16>,
        values: Vec<Option<Bytes>>,
        results: Vec<i16>,
    },
    Describe {
        target: Target,
        name: String,
    },
    Execute {
        portal: String,
        rows_max: i32,
    },
    Close {
        target: Target,
        name: String,
    },
    Flush,
    Sync,
    Terminate,
    /// Answers of a login.
    Password(Bytes),
    /// A piece of what is copied in. Outside of COPY these three are skipped, as by PostgreSQL.
    CopyData(Bytes),
    /// It was the last.
    CopyDone,
    /// Nothing of it is to be kept; why.
    CopyFail(String),
    FunctionCall,
}

/// Why no message came.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client has gone.
    Gone,
    /// The stream cannot be understood any more.
    Fatal(Error),
    /// One message could not; the next may. Carries the kind of the message.
    Message(u8, Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken::Message(0, error)
    }
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Broken::Gone
    }
}

/// The reading half of a connection.
pub(super) struct Inbox {
    socket: Reading,
    buffer: BytesMut,
    logged_in: bool,
}

impl Inbox {
    /// `begun` was read already.
    pub(super) fn new(socket: Reading, begun: BytesMut) -> Self {
        Self { socket, buffer: begun, logged_in: false }
    }

    /// From now on messages may be large.
    pub(super) fn logged_in(&mut self) {
        self.logged_in = true;
    }

    /// Resolves when the client has gone; takes in what it sends meanwhile. May be dropped at any time.
    pub(super) async fn gone(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES_MAX {
            if !matches!(self.read().await, Ok(())) {
                return;
            }
        }
        std::future::pending().await
    }

    async fn read(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_BYTES);
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn fill(&mut self, bytes: usize) -> io::Result<()> {
        while self.buffer.len() < bytes {
            self.read().await?;
        }
        Ok(())
    }

    /// The next message before a session. May be dropped at any time.
    pub(super) async fn opening(&mut self) -> Result<Opening, Broken> {
        self.fill(4).await?;
        let length = (&self.buffer[..4]).get_i32();
        let length = usize::try_from(length).unwrap_or(0);
        if !(8..=LOGIN_MESSAGE_BYTES_MAX).contains(&length) {
            return Err(Broken::Fatal(Error::new("08P01", "invalid length of startup packet")));
        }
        self.fill(length).await?;
        let mut body = Body(self.buffer.split_to(length).freeze());
        body.0.advance(4);
        opening(&mut body).map_err(Broken::Fatal)
    }

    /// The next message of a session. May be dropped at any time.
    pub(super) async fn next(&mut self) -> Result<Message, Broken> {
        self.fill(5).await?;
        let kind = self.buffer[0];
        let length = usize::try_from((&self.buffer[1..5]).get_i32()).unwrap_or(0);
        let max = if self.logged_in { MESSAGE_BYTES_MAX } else { LOGIN_MESSAGE_BYTES_MAX };
        if length < 4 {
            return Err(Broken::Fatal(Error::new("08P01", "invalid message length")));
        }
        if length > max {
            let message = format!("message of {length} bytes is longer than {max} bytes");
            return Err(Broken::Fatal(Error::new("54000", message)));
        }
        self.fill(length + 1).await?;
        let mut body = Body(self.buffer.split_to(length + 1).freeze());
        body.0.advance(5);
        match decode(kind, &mut body) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => {
                let message = format!("invalid frontend message type {kind}");
                Err(Broken::Fatal(Error::new("08P01", message)))
            }
            Err(error) => Err(Broken::Message(kind, error)),
        }
    }
}

fn opening(body: &mut Body) -> Result<Opening, Error> {
    match body.i32()? {
        SSL_REQUEST | GSS_REQUEST => Ok(Opening::Encryption),
        CANCEL_REQUEST => {
            Ok(Opening::Cancel { process_id: body.i32()?, secret: std::mem::take(&mut body.0) })
        }
        version => {
            let mut parameters = Vec::new();
            loop {
                let name = body.text()?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name, body.text()?));
            }
            let [a, b, c, d] = version.to_be_bytes();
            let (major, minor) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            Ok(Opening::Startup { major, minor, parameters })
        }
    }
}

fn decode(kind: u8, body: &mut Body) -> Result<Option<Message>, Error> {
    let message = match kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => Message::Parse {
            name: body.text()?,
            sql: body.text()?,
            types: body.many(|body| body.i32().map(|oid| oid as u32))?,
        },
        b'B' => Message::Bind {
            portal: body.text()?,
            statement: body.text()?,
            formats: body.many(Body::i16)?,
            values: body.many(Body::value)?,
            results: body.many(Body::i16)?,
        },
        b'D' => Message::Describe { target: body.target()?, name: body.text()? },
        b'E' => Message::Execute { portal: body.text()?, rows_max: body.i32()? },
        b'C' => Message::Close { target: body.target()?, name: body.text()? },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'p' => Message::Password(std::mem::take(&mut body.0)),
        b'd' => Message::CopyData(std::mem::take(&mut body.0)),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(body.text()?),
        b'F' => return Ok(Some(Message::FunctionCall)),
        _ => return Ok(None),
    };
    if body.0.has_remaining() { Err(malformed()) } else { Ok(Some(message)) }
}

fn malformed() -> Error {
    Error::new("08P01", "invalid message format")
}

/// A message's body, read from the front.
struct Body(Bytes);

impl Body {
    fn take(&mut self, bytes: usize) -> Result<Bytes, Error> {
        if self.0.remaining() < bytes { Err(malformed()) } else { Ok(self.0.split_to(bytes)) }
    }

    fn i16(&mut self) -> Result<i16, Error> {
        self.take(2).map(|mut bytes| bytes.get_i16())
    }

    fn i32(&mut self) -> Result<i32, Error> {
        self.take(4).map(|mut bytes| bytes.get_i32())
    }

    /// A text that ends with a zero byte.
    fn text(&mut self) -> Result<String, Error> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
        let bytes = self.take(end + 1)?;
        match std::str::from_utf8(&bytes[..end]) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => Err(Error::new("22021", "invalid byte sequence for encoding \"UTF8\"")),
        }
    }

    fn target(&mut self) -> Result<Target, Error> {
        match self.take(1)?[0] {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            _ => Err(malformed()),
        }
    }

    fn value(&mut self) -> Result<Option<Bytes>, Error> {
        match self.i32()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| malformed())?).map(Some),
        }
    }

    /// As many as the number before them says. Nothing is reserved for a number that lies.
    fn many<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let count = self.i16()? as u16;
        (0..count).map(|_| read(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Message, Opening, decode, opening};
    use bytes::Bytes;

    #[test]
    fn every_cut_of_a_message_is_an_error_not_a_panic() {
        let bind = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\x01\0\x01";
        let read = |bytes: &[u8]| decode(b'B', &mut Body(Bytes::copy_from_slice(bytes)));
        let Ok(Some(Message::Bind { portal, values, .. })) = read(bind) else { panic!() };
        assert_eq!((portal.as_str(), values), ("p", vec![Some(Bytes::from_static(b"ab")), None]));
        for length in 0..bind.len() {
            assert_eq!(read(&bind[..length]).unwrap_err().code, "08P01", "{length}");
        }
        assert!(read(&[bind.as_slice(), b"x"].concat()).is_err());
        assert!(decode(b'?', &mut Body(Bytes::new())).unwrap().is_none());
        assert_eq!(decode(b'Q', &mut Body(Bytes::from_static(b"\xff\0"))).unwrap_err().code, "22021");
    }

    #[test]
    fn openings() {
        let read = |bytes: &'static [u8]| opening(&mut Body(Bytes::from_static(bytes)));
        assert_eq!(read(&[4, 210, 22, 47]), Ok(Opening::Encryption));
        let parameters = vec![("user".to_string(), "ann".to_string())];
        assert_eq!(read(b"\0\x03\0\0user\0ann\0\0"), Ok(Opening::Startup { major: 3, minor: 0, parameters }));
        assert!(read(b"\0\x03\0\0user\0ann").is_err());
    }
}
