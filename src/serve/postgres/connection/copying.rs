//! While a client copies rows in: its messages are data, and nothing is answered before it is done.

use super::Said;
use super::{Connection, Talk, shutting_down};
use crate::serve::Error;
use crate::serve::datetime::Reading;
use crate::serve::postgres::copy_in::CopyIn;
use crate::serve::postgres::frame::{Broken, Message};
use crate::serve::session::Target;
use crate::serve::statement::CopyOptions;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::CopyInResponse;
use std::collections::VecDeque;
use std::time::Instant;

/// Rows that come in, and what is to be done after them.
pub(in crate::serve::postgres) struct Copying {
    rows: CopyIn,
    deadline: Option<Instant>,
    /// The statements behind this one in a simple query.
    pub(super) then: VecDeque<Said>,
    /// A message of the extended protocol began it.
    pub(in crate::serve::postgres) extended: bool,
}

impl Talk<'_> {
    /// Asks the client for rows.
    pub(in crate::serve::postgres) fn copy_in(
        &mut self,
        target: Target,
        options: &CopyOptions,
        extended: bool,
    ) -> Result<(), Error> {
        let reading = Reading::of(&self.session.settings().lock())?;
        let rows = CopyIn::new(target, options.clone(), reading);
        let (code, width) = (rows.format().code(), rows.width());
        let response = CopyInResponse::new(code as i8, width as i16, vec![code; width]);
        self.outbox.add(PgWireBackendMessage::CopyInResponse(response));
        let deadline = self.session.deadline();
        self.copying = Some(Copying { rows, deadline, then: VecDeque::new(), extended });
        Ok(())
    }

    /// The client has sent its last row: what was sent becomes durable, or part of the transaction.
    pub(super) async fn copied(&mut self) -> Result<(), Broken> {
        let Some(Copying { rows, deadline, then, extended }) = self.copying.take() else { return Ok(()) };
        let taking = async {
            let (target, rows) = rows.finish()?;
            Ok(self.session.take_rows(&target, rows).await?)
        };
        let count = super::within(deadline, taking).await?;
        self.tell_notices();
        self.outbox.complete(format!("COPY {count}"));
        if extended { Ok(()) } else { self.statements(then).await }
    }
}

impl Connection<'_> {
    /// Takes one message of a client who copies in. `None` while more are to come; else how it ended.
    pub(super) async fn copy_message(&mut self) -> Option<Result<(), Broken>> {
        let deadline = self.talk.copying.as_ref().and_then(|copying| copying.deadline);
        let signals = self.talk.session.activity().signals();
        let message = tokio::select! {
            biased;
            () = self.ended() => Err(Broken::Fatal(shutting_down())),
            () = signals.cancelled() => Err(Error::cancelled().into()),
            message = self.inbox.next() => message,
            () = until(deadline) => Err(Error::timed_out().into()),
        };
        let ended = match message {
            Ok(Message::CopyData(piece)) => {
                let fed = self.talk.copying.as_mut().map_or(Ok(()), |copying| copying.rows.feed(&piece));
                match fed {
                    Ok(()) => return None,
                    Err(error) => Err(error.into()),
                }
            }
            Ok(Message::CopyDone) => self.answer(Message::CopyDone).await,
            Ok(Message::CopyFail(why)) => {
                Err(Error::new("57014", format!("COPY from stdin failed: {why}")).into())
            }
            // What a client sends behind its Execute before it looks at the answer.
            Ok(Message::Flush | Message::Sync) => return None,
            Ok(_) => Err(Error::new("08P01", "unexpected message type during COPY from stdin").into()),
            Err(broken) => Err(broken),
        };
        Some(ended)
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
