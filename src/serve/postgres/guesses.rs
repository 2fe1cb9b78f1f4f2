//! Guessing passwords is slow: after some failures for a user from an address, only one try every few seconds counts.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Failures that cost nothing.
const FAILURES_FREE: u32 = 5;
/// Time between two tries after those.
const TRY_INTERVAL: Duration = Duration::from_secs(6);
/// After this time without a failure everything is forgotten.
const FORGET: Duration = Duration::from_secs(60);
/// Pairs of user and address that are kept in mind.
const REMEMBERED_MAX: usize = 10_000;

/// Failed logins.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    failures: Mutex<HashMap<(IpAddr, String), Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Guesses {
    /// False if a try made now fails whatever the password is.
    pub(super) fn may_try(&self, address: IpAddr, user: &str, now: Instant) -> bool {
        match self.failures.lock().get(&(address, user.to_string())) {
            Some(failures) if failures.count >= FAILURES_FREE => {
                now.duration_since(failures.last) >= TRY_INTERVAL
            }
            _ => true,
        }
    }

    /// A try failed.
    pub(super) fn failed(&self, address: IpAddr, user: &str, now: Instant) {
        let mut all = self.failures.lock();
        if all.len() >= REMEMBERED_MAX {
            all.retain(|_, failures| now.duration_since(failures.last) < FORGET);
        }
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        let failures = all.entry((address, user.to_string())).or_insert(Failures { count: 0, last: now });
        let forgotten = now.duration_since(failures.last) >= FORGET;
        failures.count = if forgotten { 1 } else { failures.count.saturating_add(1) };
        failures.last = now;
    }

    /// The right password was given.
    pub(super) fn succeeded(&self, address: IpAddr, user: &str) {
        self.failures.lock().remove(&(address, user.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::Guesses;
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    #[test]
    fn a_few_failures_are_free() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (here, there): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..5 {
            assert!(guesses.may_try(here, "ann", at(0)));
            guesses.failed(here, "ann", at(0));
        }
        assert!(!guesses.may_try(here, "ann", at(5_999)));
        assert!(guesses.may_try(here, "bob", at(0)) && guesses.may_try(there, "ann", at(0)));
        assert!(guesses.may_try(here, "ann", at(6_000)));
        guesses.succeeded(here, "ann");
        assert!(guesses.may_try(here, "ann", at(6_000)));
    }
}
