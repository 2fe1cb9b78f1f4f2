//! Which statement a cancel request means: it comes over a connection of its own and names another's key.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The keys of all sessions.
#[derive(Debug, Default)]
pub(super) struct CancelKeys {
    sessions: Mutex<HashMap<(i32, Bytes), Arc<Notify>>>,
}

/// A session's key; gone when dropped.
#[derive(Debug)]
pub(super) struct CancelKey {
    keys: Arc<CancelKeys>,
    pub(super) process_id: i32,
    pub(super) secret: Bytes,
    cancelled: Arc<Notify>,
}

impl CancelKeys {
    /// A key for a session, of so many bytes.
    pub(super) fn register(self: &Arc<Self>, process_id: i32, bytes: usize) -> CancelKey {
        let secret: Bytes = std::iter::repeat_with(rand::random::<u8>).take(bytes).collect();
        let cancelled = Arc::new(Notify::new());
        self.sessions.lock().insert((process_id, secret.clone()), Arc::clone(&cancelled));
        CancelKey { keys: Arc::clone(self), process_id, secret, cancelled }
    }

    /// Stops what the session runs now, if the key is right; an idle session is not touched.
    pub(super) fn cancel(&self, process_id: i32, secret: Bytes) {
        if let Some(session) = self.sessions.lock().get(&(process_id, secret)) {
            session.notify_waiters();
        }
    }
}

impl CancelKey {
    /// Resolves when a cancel request comes after this call.
    pub(super) fn cancelled(&self) -> tokio::sync::futures::Notified<'_> {
        self.cancelled.notified()
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.keys.sessions.lock().remove(&(self.process_id, self.secret.clone()));
    }
}
