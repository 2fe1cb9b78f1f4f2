//! What every stage leans on: the clock, shutdown, failpoints, panics.

pub mod clock;
pub mod failpoint;
pub mod opaque;
pub mod panics;
pub mod retry;
pub mod secret;
pub mod shutdown;
