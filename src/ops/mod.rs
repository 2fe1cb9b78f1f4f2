//! What every stage leans on: the clock and shutdown.

pub mod clock;
pub mod opaque;
pub mod secret;
pub mod shutdown;
