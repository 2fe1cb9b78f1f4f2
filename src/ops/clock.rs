//! The only code that reads the clock, so that time can be reasoned about in one place.

use chrono::{DateTime, Utc};
use std::time::{Duration, Instant, SystemTime};

/// Wall-clock time, UTC.
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Wall-clock time in milliseconds since 1970, as Delta's logs write it.
pub fn now_ms() -> i64 {
    now().timestamp_millis()
}

/// Wall-clock time in microseconds since 1970, as our tables hold it.
pub fn now_us() -> i64 {
    now().timestamp_micros()
}

/// A monotonic instant, for durations.
pub fn instant() -> Instant {
    Instant::now()
}

/// Wall-clock time since `then`; zero when that lies ahead (clocks jump).
pub fn since(then: SystemTime) -> Duration {
    SystemTime::now().duration_since(then).unwrap_or_default()
}
