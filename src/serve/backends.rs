//! Who is connected and what each session is doing, as `pg_stat_activity` tells it; and how one session stops another.
//!
//! Comes in: what protocols say of their sessions. Goes out: the open sessions, and the two signals that a session can
//! be sent: give up the statement, or end. Who may send them is decided here, as PostgreSQL decides it.

use super::Error;
use super::functions::Surroundings;
use crate::catalog::access::Access;
use crate::ops::clock;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Bytes of a statement that are shown, as `track_activity_query_size` says.
pub const QUERY_BYTES_MAX: usize = 1024;

/// The sessions of all protocols, by number.
#[derive(Debug, Default)]
pub struct Backends {
    sessions: Mutex<BTreeMap<i32, Weak<Surroundings>>>,
    /// Told of each that leaves.
    leaving: Notify,
}

impl Backends {
    /// A session begins.
    pub(super) fn enter(&self, session: &Arc<Surroundings>) {
        self.sessions.lock().insert(session.process_id, Arc::downgrade(session));
    }

    /// A session has ended.
    pub(super) fn leave(&self, process_id: i32) {
        self.sessions.lock().remove(&process_id);
        self.leaving.notify_waiters();
    }

    /// Resolves when a session has ended.
    pub(super) async fn left(&self, process_id: i32) {
        loop {
            let leaving = self.leaving.notified();
            if !self.sessions.lock().contains_key(&process_id) {
                return;
            }
            leaving.await;
        }
    }

    /// The open sessions, by number.
    pub fn open(&self) -> Vec<OpenSession> {
        let sessions: Vec<_> = self.sessions.lock().values().filter_map(Weak::upgrade).collect();
        sessions.iter().map(|session| OpenSession::of(session)).collect()
    }

    /// Sends a session a signal by a role's rights; false if there is no such session.
    pub(super) fn signal(
        &self,
        process_id: i32,
        signal: Signal,
        role: &str,
        access: &Access,
    ) -> Result<bool, Error> {
        let Some(session) = self.sessions.lock().get(&process_id).and_then(Weak::upgrade) else {
            return Ok(false);
        };
        may_signal(signal, role, &session.user, access)?;
        match signal {
            Signal::Cancel => session.activity.cancel(),
            Signal::Terminate => session.activity.terminate(),
        }
        Ok(true)
    }
}

/// A session that is open.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Its number.
    pub process_id: i32,
    /// Who logged in.
    pub user: String,
    /// By whose rights it acts.
    pub role: String,
    /// Where its client is.
    pub peer: Peer,
    /// The client program's name.
    pub application: String,
    /// When it began.
    pub began: DateTime<Utc>,
    /// What it is doing.
    pub seen: Seen,
}

impl OpenSession {
    fn of(session: &Surroundings) -> Self {
        Self {
            process_id: session.process_id,
            user: session.user.clone(),
            role: session.role(),
            peer: session.peer.clone(),
            application: session.settings.lock().get("application_name").unwrap_or_default(),
            began: session.activity.began,
            seen: session.activity.seen(),
        }
    }
}

/// What a session can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// `pg_cancel_backend`: give up the statement that runs.
    Cancel,
    /// `pg_terminate_backend`: end.
    Terminate,
}

/// Superusers may stop everyone's statements; others those of whom they have the rights of, but no superuser's.
fn may_signal(signal: Signal, role: &str, of: &str, access: &Access) -> Result<(), Error> {
    let (whose, done, doing) = match signal {
        Signal::Cancel => ("query", "canceled", "cancel superuser query"),
        Signal::Terminate => ("process", "terminated", "terminate superuser process"),
    };
    if access.is_superuser(of) && !access.is_superuser(role) {
        return Err(Error::new("42501", format!("must be a superuser to {doing}")));
    }
    if role != of && !access.is_member(role, of) {
        return Err(Error::new(
            "42501",
            format!("must be a member of the role whose {whose} is being {done}"),
        ));
    }
    Ok(())
}

/// True for who may see what a user's sessions do.
pub(super) fn may_see(role: &str, of: &str, access: &Access) -> bool {
    role == of || access.is_member(role, of)
}

/// Where a session is in its conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// Runs a statement.
    Active,
    /// Waits for its client.
    #[default]
    Idle,
    /// Waits for its client and holds a cut.
    InTransaction,
    /// Waits for the end of a transaction that failed.
    InFailedTransaction,
}

impl Doing {
    /// As `pg_stat_activity.state` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Doing::Active => "active",
            Doing::Idle => "idle",
            Doing::InTransaction => "idle in transaction",
            Doing::InFailedTransaction => "idle in transaction (aborted)",
        }
    }
}

/// What a session was last seen doing.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where it is.
    pub doing: Doing,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// The statement that runs, or ran last, without passwords.
    pub query: String,
    /// When it began.
    pub query_began: Option<DateTime<Utc>>,
    /// When the transaction began.
    pub transaction_began: Option<DateTime<Utc>>,
    /// Runs side by side, of a session whose rows are read in parts.
    runs: usize,
}

/// What one session does, and the signals that it gets.
#[derive(Debug)]
pub struct Activity {
    /// When the session began.
    pub began: DateTime<Utc>,
    seen: Mutex<Seen>,
    /// How often statements were cancelled.
    cancels: watch::Sender<u64>,
    terminated: CancellationToken,
}

impl Default for Activity {
    fn default() -> Self {
        let (seen, terminated) = (Mutex::default(), CancellationToken::new());
        Self { began: clock::now(), seen, cancels: watch::Sender::new(0), terminated }
    }
}

impl Activity {
    /// What the session is doing.
    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// The client asks for something.
    pub(super) fn begin(&self, query: &str) {
        let query = shown(query);
        let now = Some(clock::now());
        let mut seen = self.seen.lock();
        if seen.doing != Doing::Active {
            (seen.doing, seen.since) = (Doing::Active, now);
        }
        (seen.query, seen.query_began) = (query, now);
        seen.transaction_began = seen.transaction_began.or(now);
    }

    /// It is the client's turn.
    pub(super) fn rest(&self, doing: Doing) {
        let mut seen = self.seen.lock();
        if doing == Doing::Idle {
            seen.transaction_began = None;
        }
        if seen.doing != doing {
            (seen.doing, seen.since) = (doing, Some(clock::now()));
        }
    }

    /// A run of a statement in a transaction, which lasts until what is given is dropped.
    pub(super) fn run(self: &Arc<Self>, query: &str) -> Run {
        self.begin(query);
        self.seen.lock().runs += 1;
        Run(Arc::clone(self))
    }

    /// Has the statement that runs now given up; an idle session is not touched.
    pub(super) fn cancel(&self) {
        self.cancels.send_modify(|cancels| *cancels += 1);
    }

    fn terminate(&self) {
        self.terminated.cancel();
    }

    /// The signals that are sent from now on.
    pub(super) fn signals(&self) -> Signals {
        Signals { cancels: self.cancels.subscribe(), terminated: self.terminated.clone() }
    }
}

/// The signals that a session gets.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    cancels: watch::Receiver<u64>,
    terminated: CancellationToken,
}

impl Signals {
    /// Resolves when the statement is cancelled.
    pub(super) async fn cancelled(&self) {
        if self.cancels.clone().changed().await.is_err() {
            // The session is gone, and who waits with it.
            std::future::pending().await
        }
    }

    /// Resolves when the session has to end.
    pub(super) async fn terminated(&self) {
        self.terminated.cancelled().await;
    }
}

/// A statement that runs.
#[derive(Debug)]
pub(super) struct Run(Arc<Activity>);

impl Drop for Run {
    fn drop(&mut self) {
        let runs = {
            let mut seen = self.0.seen.lock();
            seen.runs -= 1;
            seen.runs
        };
        if runs == 0 {
            self.0.rest(Doing::InTransaction);
        }
    }
}

/// Over which protocol a session speaks, and from where.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `postgres` or `flight`.
    pub protocol: &'static str,
    /// The client's end; `None` where none is known.
    pub address: Option<SocketAddr>,
}

/// As much of a statement as is shown.
fn shown(query: &str) -> String {
    let query = super::audit::without_passwords(query);
    let end = (0..=QUERY_BYTES_MAX.min(query.len())).rev().find(|at| query.is_char_boundary(*at));
    query[..end.unwrap_or(0)].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn statements_are_shown_cut_and_without_passwords() {
        assert_eq!(shown("ALTER ROLE a PASSWORD 'x'"), "ALTER ROLE a PASSWORD '***'");
        assert_eq!(shown(&"ä".repeat(1000)).len(), QUERY_BYTES_MAX);
        assert_eq!(shown(&format!("x{}", "ä".repeat(1000))).len(), QUERY_BYTES_MAX - 1);
        // The end of the string lies beyond what is shown.
        assert!(!shown(&format!("ALTER ROLE a PASSWORD '{}'", "secret".repeat(300))).contains("secret"));
    }

    #[test]
    fn a_session_is_active_until_its_last_run_ends() {
        let activity = Arc::new(Activity::default());
        assert_eq!(activity.seen().doing, Doing::Idle);
        let (one, other) = (activity.run("SELECT 1"), activity.run("SELECT 1"));
        drop(one);
        assert_eq!(activity.seen().doing, Doing::Active);
        drop(other);
        let seen = activity.seen();
        assert_eq!((seen.doing, seen.query.as_str()), (Doing::InTransaction, "SELECT 1"));
        assert!(seen.transaction_began.is_some());
        activity.rest(Doing::Idle);
        assert!(activity.seen().transaction_began.is_none());
    }

    #[test]
    fn a_cancel_is_for_what_runs_then() {
        let activity = Activity::default();
        activity.cancel();
        let signals = activity.signals();
        assert!(signals.cancelled().now_or_never().is_none());
        activity.cancel();
        assert!(signals.cancelled().now_or_never().is_some());
        assert!(activity.signals().cancelled().now_or_never().is_none());
    }
}
