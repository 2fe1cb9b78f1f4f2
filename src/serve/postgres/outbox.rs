//! What clients are sent: messages gathered in a buffer, written in large pieces.
//!
//! A client that stops reading is cut off: its query would hold memory and a cut for ever.

use super::encryption::Writing;
use crate::serve::Error;
use bytes::BytesMut;
use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{CommandComplete, NoticeResponse};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// How much what is told beside an answer matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Notice,
    Warning,
}

impl Severity {
    /// That of what a session has to say: a warning by the class of its code.
    pub(super) fn of(notice: &Error) -> Self {
        if notice.code.starts_with("01") { Self::Warning } else { Self::Notice }
    }

    /// Whether a client hears it whose `client_min_messages` is such.
    pub(super) fn is_told(self, least: &str) -> bool {
        match least {
            "error" => false,
            "warning" => self >= Self::Warning,
            _ => true,
        }
    }
}

/// The writing half of a connection.
pub(super) struct Outbox {
    socket: Writing,
    buffer: BytesMut,
    /// How long a client may take nothing of what is sent.
    stall_max: Duration,
}

impl Outbox {
    pub(super) fn new(socket: Writing, stall_max: Duration) -> Self {
        Self { socket, buffer: BytesMut::new(), stall_max }
    }

    /// The buffer, for who writes whole messages into it.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Adds whole messages.
    pub(super) fn take(&mut self, messages: BytesMut) {
        self.buffer.unsplit(messages);
    }

    /// Adds a message. One that cannot be encoded (too large a name) is our fault and logged.
    pub(super) fn add(&mut self, message: PgWireBackendMessage) {
        let before = self.buffer.len();
        if let Err(error) = message.encode(&mut self.buffer) {
            self.buffer.truncate(before);
            tracing::error!(%error, "a message could not be encoded");
        }
    }

    /// `CommandComplete`.
    pub(super) fn complete(&mut self, tag: String) {
        self.add(PgWireBackendMessage::CommandComplete(CommandComplete::new(tag)));
    }

    /// An error; a fatal one ends the connection.
    pub(super) fn error(&mut self, error: &Error, fatal: bool) {
        let severity = if fatal { "FATAL" } else { "ERROR" };
        self.add(PgWireBackendMessage::ErrorResponse(info(error, severity).into()));
    }

    /// Something worth knowing.
    pub(super) fn notice(&mut self, notice: &Error, severity: Severity) {
        let severity = match severity {
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
        };
        let notice: NoticeResponse = info(notice, severity).into();
        self.add(PgWireBackendMessage::NoticeResponse(notice));
    }

    /// Writes everything. May be dropped at any time: what is not written stays.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.buffer.is_empty() {
            match tokio::time::timeout(self.stall_max, self.socket.write_buf(&mut self.buffer)).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            };
        }
        // Encryption gathers, too.
        let flushed = tokio::time::timeout(self.stall_max, self.socket.flush()).await;
        flushed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes everything and says that nothing more comes.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.socket.shutdown().await
    }
}

fn info(error: &Error, severity: &str) -> ErrorInfo {
    // A zero byte would end the field.
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let mut info = ErrorInfo::new(severity.to_string(), error.code.to_string(), clean(&error.message));
    info.severity_nonlocalized = Some(severity.to_string());
    info.detail = error.detail.as_deref().map(clean);
    info.hint = error.hint.as_deref().map(clean);
    info.where_context = error.context.as_deref().map(clean);
    info.position = error.position.map(|position| position.to_string());
    info
}
