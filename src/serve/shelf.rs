//! A bounded store of things that expire: bearer tokens, tickets, prepared statements.
//!
//! Comes in: values and the time. Goes out: the value under a key for as long as it was used within `idle_max`. Over
//! `len_max` the one that was used least recently goes, so that no client can make the server grow or lock others out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Random bytes of a key: not to be guessed within the universe's time.
const KEY_BYTES: usize = 32;

/// A key that nobody can guess.
pub(crate) fn random_key() -> Vec<u8> {
    rand::random::<[u8; KEY_BYTES]>().to_vec()
}

/// The store. Time comes in as an argument: the owner reads the clock.
#[derive(Debug)]
pub(crate) struct Shelf<V> {
    entries: HashMap<Vec<u8>, Entry<V>>,
    len_max: usize,
    idle_max: Duration,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: Instant,
}

impl<V> Shelf<V> {
    /// An empty shelf for `len_max` values that stay as long as they are used every `idle_max`.
    pub(crate) fn new(len_max: usize, idle_max: Duration) -> Self {
        Self { entries: HashMap::new(), len_max: len_max.max(1), idle_max }
    }

    /// Puts a value, making room first.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: V, now: Instant) {
        self.entries.retain(|_, entry| now.saturating_duration_since(entry.used) < self.idle_max);
        if self.entries.len() >= self.len_max && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, Entry { value, used: now });
    }

    /// The value, if it is there and has not expired; being asked for keeps it.
    pub(crate) fn get(&mut self, key: &[u8], now: Instant) -> Option<&mut V> {
        let entry = self.entries.get_mut(key)?;
        if now.saturating_duration_since(entry.used) >= self.idle_max {
            self.entries.remove(key);
            return None;
        }
        entry.used = now;
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Takes a value away.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        self.entries.remove(key).map(|entry| entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Vec<u8> {
        vec![n]
    }

    #[test]
    fn what_is_not_used_expires_and_what_is_used_stays() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut shelf = Shelf::new(10, Duration::from_secs(60));
        shelf.put(key(1), "used", at(0));
        shelf.put(key(2), "left", at(0));
        assert!(shelf.get(&key(1), at(59)).is_some());
        assert!(shelf.get(&key(1), at(100)).is_some());
        assert!(shelf.get(&key(2), at(60)).is_none());
        assert!(shelf.remove(&key(2)).is_none());
        assert_eq!(shelf.remove(&key(1)), Some("used"));
    }

    #[test]
    fn a_full_shelf_gives_up_the_least_recently_used() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut shelf = Shelf::new(2, Duration::from_secs(60));
        shelf.put(key(1), 1, at(0));
        shelf.put(key(2), 2, at(1));
        shelf.get(&key(1), at(2));
        shelf.put(key(3), 3, at(3));
        assert!(shelf.get(&key(2), at(4)).is_none());
        assert_eq!(shelf.get(&key(1), at(4)).copied(), Some(1));
        assert_eq!(shelf.get(&key(3), at(4)).copied(), Some(3));
        // Replacing needs no room.
        shelf.put(key(3), 30, at(5));
        assert_eq!(shelf.get(&key(1), at(6)).copied(), Some(1));
    }

    #[test]
    fn keys_do_not_repeat() {
        assert_ne!(random_key(), random_key());
        assert_eq!(random_key().len(), KEY_BYTES);
    }
}
