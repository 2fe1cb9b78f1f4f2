//! Waiting is polling a condition with a deadline, never a fixed time.

use std::thread;
use std::time::{Duration, Instant};

const POLL_EVERY: Duration = Duration::from_millis(20);

/// Calls `probe` until it gives a value; panics with what it said last when `deadline` has passed.
pub fn until<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if start.elapsed() > deadline => {
                panic!("{what}: not within {deadline:?}; last seen: {last}")
            }
            Err(_) => thread::sleep(POLL_EVERY),
        }
    }
}
