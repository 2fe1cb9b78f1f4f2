//! Which statement a cancel request means: it comes over a connection of its own and names another's key.

use crate::serve::backends::Activity;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The keys of all sessions.
#[derive(Debug, Default)]
pub(super) struct CancelKeys {
    sessions: Mutex<HashMap<(i32, Bytes), Arc<Activity>>>,
}

/// A session's key; gone when dropped.
#[derive(Debug)]
pub(super) struct CancelKey {
    keys: Arc<CancelKeys>,
    pub(super) process_id: i32,
    pub(super) secret: Bytes,
}

impl CancelKeys {
    /// A key for a session, of so many bytes.
    pub(super) fn register(
        self: &Arc<Self>,
        process_id: i32,
        activity: &Arc<Activity>,
        bytes: usize,
    ) -> CancelKey {
        let secret: Bytes = std::iter::repeat_with(rand::random::<u8>).take(bytes).collect();
        self.sessions.lock().insert((process_id, secret.clone()), Arc::clone(activity));
        CancelKey { keys: Arc::clone(self), process_id, secret }
    }

    /// Stops what the session runs now, if the key is right; an idle session is not touched.
    pub(super) fn cancel(&self, process_id: i32, secret: Bytes) {
        if let Some(session) = self.sessions.lock().get(&(process_id, secret)) {
            session.cancel();
        }
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.keys.sessions.lock().remove(&(self.process_id, self.secret.clone()));
    }
}
