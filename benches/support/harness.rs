//! The harness of the tests, as far as benches need it: a warehouse in a folder, the server process, a broker, waiting.

#[path = "../../tests/support/cache.rs"]
pub mod cache;
#[path = "../../tests/support/http.rs"]
pub mod http;
#[path = "../../tests/support/kafka.rs"]
pub mod kafka;
#[path = "../../tests/support/pg.rs"]
pub mod pg;
#[path = "../../tests/support/postgres.rs"]
pub mod postgres;
#[path = "../../tests/support/server.rs"]
pub mod server;
#[path = "../../tests/support/wait.rs"]
pub mod wait;
#[path = "../../tests/support/warehouse.rs"]
pub mod warehouse;

pub use pg::Pg;
pub use server::Server;
pub use wait::until;
pub use warehouse::Warehouse;

use std::time::Duration;

/// How long a server may take to answer, from its start.
pub const READY: Duration = Duration::from_secs(60);
/// How long data may take from its source to the last model.
pub const FLOW: Duration = Duration::from_secs(60);
/// How long an orderly stop may take.
pub const DRAIN: Duration = Duration::from_secs(10);
