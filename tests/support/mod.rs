//! What every test leans on: a warehouse in a folder of its own, the server process, clients, waiting.

pub mod cache;
pub mod delta;
pub mod http;
pub mod kafka;
pub mod mailbox;
pub mod needs;
pub mod pg;
pub mod postgres;
pub mod receiver;
pub mod seed;
pub mod server;
pub mod shared;
pub mod traces;
pub mod wait;
pub mod warehouse;

pub use pg::Pg;
pub use server::Server;
pub use wait::until;
pub use warehouse::Warehouse;

use libtest_mimic::Trial;
use std::time::Duration;

/// How long a server may take to answer, a start or a new connection: a debug build on a busy machine. What a limit of
/// this length proves is that it answers at all; how fast it does is for the benches.
pub const READY: Duration = Duration::from_secs(60);
/// How long data may take from its source to the last model.
pub const FLOW: Duration = Duration::from_secs(60);
/// How long an orderly stop may take on a busy machine; alone, the server drains within 10 s.
pub const DRAIN: Duration = Duration::from_secs(30);

/// A test: it has passed when `run` returns and failed when it panics.
pub fn trial(name: &str, run: fn()) -> Trial {
    trial_of(name.to_string(), run)
}

/// As [`trial`], for a test that carries something.
pub fn trial_of(name: String, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
