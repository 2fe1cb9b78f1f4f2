//! Readers: the statement list, sessions, and the protocols over them.
//!
//! Comes in: connections. Goes out: answers computed on one pinned cut. A statement sees the cut that was published
//! last when it began. Models are only asked to refresh, and rows only put into sources. Errors carry a SQLSTATE.

mod aside;
mod assignment;
pub mod audit;
pub mod backends;
mod blamed;
pub mod connections;
mod datetime;
mod dialect;
mod error;
mod explain;
pub mod failed_logins;
#[cfg(test)]
mod fixture;
pub mod flight;
mod functions;
mod gate;
mod guard;
pub mod http;
mod incoming;
mod labels;
mod lift;
pub mod logins;
mod misread;
mod parameters;
mod parts;
mod phrases;
pub mod postgres;
mod query;
pub mod session;
pub mod settings;
mod shelf;
mod sleep;
mod sqlstate;
pub mod statement;
mod terminate;
pub mod tls;
pub mod users;

pub use error::Error;
pub use parameters::ParameterType;
pub use parts::Parts;
pub use query::RowStream;

use crate::catalog::access::Access;
use crate::catalog::cut::Cut;
use crate::catalog::definer::Definer;
use crate::config::{LimitSettings, UserSettings};
use crate::engine::Engine;
use crate::ingest::Inboxes;
use crate::ops::shutdown::Shutdown;
use crate::refresh::Control;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What every protocol is given.
#[derive(Clone)]
pub struct Readers {
    /// The published cuts; the newest is what a new statement sees.
    pub cuts: watch::Receiver<Arc<Cut>>,
    /// The query engine.
    pub engine: Engine,
    /// Users of the settings, by name.
    pub users: Arc<BTreeMap<String, UserSettings>>,
    /// Who may log in.
    pub logins: Arc<logins::Logins>,
    /// Roles and rights as they are now.
    pub access: Arc<ArcSwap<Access>>,
    /// PostgreSQL's system catalogs, kept while the cut's shape is the same. Made with the server.
    pub catalogs: Arc<postgres::catalog::CatalogCache>,
    /// Plans of queries that sessions have in common.
    pub plans: Arc<session::SharedPlans>,
    /// How connections are encrypted; `None` leaves them plain.
    pub tls: Option<Arc<tls::Tls>>,
    /// Named limits.
    pub limits: LimitSettings,
    /// Where HTTP pushes go, by source.
    pub inboxes: Inboxes,
    /// What is asked of the models.
    pub control: Control,
    /// What is defined over connections.
    pub definer: Definer,
    /// Where records of statements go.
    pub audit: audit::AuditLog,
    /// The open sessions.
    pub backends: Arc<backends::Backends>,
    /// Stops listeners and sessions.
    pub shutdown: Shutdown,
}
