//! The only reader of files and environment for settings: `catalog/warehouse.toml`, then `SLUICE_*` variables, then
//! flags; the later wins.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project folder: holds `catalog/` and `sql/`. Default `.`.
    pub project: PathBuf,
    /// The lake's root: a folder or a URL. Default `./data`.
    pub data: String,
    /// Postgres wire. Default 127.0.0.1:5433; port 0 takes a free one.
    pub pg_listen: SocketAddr,
    /// Flight SQL. Default 127.0.0.1:5434.
    pub flight_listen: SocketAddr,
    /// HTTP: ready, metrics, ingest. Default 127.0.0.1:5435.
    pub http_listen: SocketAddr,
    /// Gets one JSON line with the three addresses once the server answers.
    pub ready_file: Option<PathBuf>,
    /// Trusts user `sluice` on loopback and runs the demo's generators.
    pub demo: bool,
    /// Reloads the project when its files change.
    pub watch: bool,
    /// Who may log in, by name.
    pub users: BTreeMap<String, UserSettings>,
    /// Named limits.
    pub limits: LimitSettings,
}

/// A user of `[users.<name>]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSettings {
    /// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>` as PostgreSQL's `pg_authid.rolpassword` has it
    /// (RFC 5803). `None` together with `trust_loopback` needs no password.
    pub verifier: Option<String>,
    /// Lets the user in without a password from 127.0.0.1 and ::1. Default false.
    #[serde(default)]
    pub trust_loopback: bool,
}

/// Named limits, `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Memory that all queries together may hold, bytes. Default 2 GiB.
    pub query_memory_bytes_max: usize,
    /// Open client connections. Default 100.
    pub connections_max: usize,
    /// Longest run of a statement, sending included, milliseconds; 0 means none. Default 0.
    pub statement_timeout_ms: u64,
    /// Age at which bronze rows are committed, milliseconds. Default 100.
    pub flush_age_ms_max: u64,
    /// Size of one HTTP push, bytes. Default 16 MiB.
    pub push_bytes_max: usize,
    /// Waves a second at most. Default 10.
    pub waves_per_second_max: u32,
    /// How long epochs can be read back, seconds. Default 3600.
    pub epochs_keep_seconds: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            query_memory_bytes_max: 2 << 30,
            connections_max: 100,
            statement_timeout_ms: 0,
            flush_age_ms_max: 100,
            push_bytes_max: 16 << 20,
            waves_per_second_max: 10,
            epochs_keep_seconds: 3600,
        }
    }
}
