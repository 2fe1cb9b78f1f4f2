//! The only reader of files and environment for settings: `catalog/warehouse.toml`, then `SLUICE_*` variables, then
//! flags; the later wins.
//!
//! Comes in: flags, the environment, one file. Goes out: [`Settings`] in which every field is set and within its range.
//! Failure: an [`Error`] that names the file, line and key, or the variable or flag. Values are not repeated: a line of
//! settings may hold a verifier.

mod error;
mod file;
mod limits;

pub use error::Error;
pub use file::{check_file, user_names};

use crate::cli::ServeArguments;
use file::FileSettings;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where settings stand in a project.
pub const SETTINGS_FILE: &str = "catalog/warehouse.toml";

/// The user whom `--demo` lets in.
pub const DEMO_USER: &str = "sluice";

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
    /// How connections are encrypted; `None` leaves them plain.
    pub tls: Option<TlsSettings>,
    /// Who is told which tables each refresh read and wrote; nobody by default.
    pub openlineage: Option<OpenLineageSettings>,
    /// Named limits.
    pub limits: LimitSettings,
}

/// Who is told of refreshes in OpenLineage's events, `[openlineage]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenLineageSettings {
    /// Where events are posted to, as in `http://marquez:5000/api/v1/lineage`.
    pub url: String,
    /// The namespace of jobs and datasets. Default `sluice`.
    #[serde(default = "namespace")]
    pub namespace: String,
}

fn namespace() -> String {
    "sluice".to_string()
}

/// Encryption, `[tls]`. Paths are relative to the project; files are PEM and taken anew when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of authorities; with it clients must show a certificate of one of them.
    pub client_ca: Option<PathBuf>,
    /// Whether connections that are not encrypted are refused. Default true.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

impl TlsSettings {
    fn within(self, project: &Path) -> Self {
        Self {
            certificate: project.join(self.certificate),
            key: project.join(self.key),
            client_ca: self.client_ca.map(|path| project.join(path)),
            required: self.required,
        }
    }
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
    /// Makes the user a superuser, who defines views, roles and rights over a connection. Default false.
    #[serde(default)]
    pub may_define: bool,
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
    /// How long a client may take nothing of the rows it asked for, milliseconds. Default 5 minutes.
    pub stall_ms_max: u64,
    /// Age at which bronze rows are committed, milliseconds. Default 100.
    pub flush_age_ms_max: u64,
    /// Size of one HTTP push, bytes. Default 16 MiB.
    pub push_bytes_max: usize,
    /// How long a bearer token of Flight SQL lives unused, seconds. Default 8 hours: a notebook survives lunch.
    pub token_idle_seconds_max: u64,
    /// How long a ticket of Flight SQL waits to be read, and keeps what it reads, seconds. Default 5 minutes.
    pub ticket_idle_seconds_max: u64,
    /// Waves a second at most. Default 10.
    pub waves_per_second_max: u32,
    /// Failed tries again after which a source's or a model's trouble is an incident. Default 3.
    pub retries_max: u32,
    /// How long epochs can be read back, seconds. Default 3600.
    pub epochs_keep_seconds: u64,
    /// How long `sluice.ingest_log`, `refreshes`, `expectations` and `audit_log` reach back, seconds. Default 7 days.
    pub journals_keep_seconds: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            query_memory_bytes_max: 2 << 30,
            connections_max: 100,
            statement_timeout_ms: 0,
            stall_ms_max: 300_000,
            flush_age_ms_max: 100,
            push_bytes_max: 16 << 20,
            token_idle_seconds_max: 8 * 3600,
            ticket_idle_seconds_max: 300,
            waves_per_second_max: 20,
            retries_max: 3,
            epochs_keep_seconds: 3600,
            journals_keep_seconds: 7 * 86_400,
        }
    }
}

impl Settings {
    /// Reads `catalog/warehouse.toml` of the project, then the environment, then flags. Variables that begin with
    /// `SLUICE_` and mean nothing are warned about in the log.
    pub fn load(flags: &ServeArguments) -> Result<Settings, Error> {
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        let (settings, warnings) = resolve(flags, &variables, file::read)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(settings)
    }
}

const VARIABLE_PREFIX: &str = "SLUICE_";

/// Variables that others read: the log's filter, failpoints of tests.
const OTHER_VARIABLES: &[&str] = &["SLUICE_LOG", "SLUICE_FAILPOINTS"];
const OTHER_PREFIX: &str = "SLUICE_TEST_";

/// What variables say, each still to be overruled by a flag.
#[derive(Default)]
struct Variables {
    project: Option<PathBuf>,
    data: Option<String>,
    pg_listen: Option<SocketAddr>,
    flight_listen: Option<SocketAddr>,
    http_listen: Option<SocketAddr>,
    ready_file: Option<PathBuf>,
    demo: Option<bool>,
    watch: Option<bool>,
    /// Limits by name.
    limits: Vec<(&'static str, u64, String)>,
    warnings: Vec<String>,
}

/// The settings that flags, variables and the file of the project give together, and what was odd about them.
fn resolve(
    flags: &ServeArguments,
    variables: &[(String, String)],
    read: impl FnOnce(&Path) -> Result<FileSettings, Error>,
) -> Result<(Settings, Vec<String>), Error> {
    let variables = Variables::read(variables)?;
    let project = flags.project.clone().or(variables.project).unwrap_or_else(|| PathBuf::from("."));
    let file = read(&project)?;

    let mut limits = file.limits;
    for (name, value, variable) in variables.limits {
        limits::set(&mut limits, name, value, &variable)?;
    }
    let data = flags.data.clone().or(variables.data).or(file.data).unwrap_or_else(|| "./data".to_string());
    let demo = flags.demo || variables.demo.or(file.demo).unwrap_or(false);
    let mut users = file.users;
    if demo {
        let trusted = UserSettings { verifier: None, trust_loopback: true, may_define: false };
        users.entry(DEMO_USER.to_string()).or_insert(trusted);
    }
    if users.is_empty() {
        return Err(Error::NoUsers);
    }
    let listen =
        |flag: Option<SocketAddr>, variable: Option<SocketAddr>, file: Option<SocketAddr>, port: u16| {
            flag.or(variable).or(file).unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        };
    let settings = Settings {
        tls: file.tls.map(|tls| tls.within(&project)),
        project,
        data: folder_of(&data)?,
        pg_listen: listen(flags.pg_listen, variables.pg_listen, file.pg_listen, 5433),
        flight_listen: listen(flags.flight_listen, variables.flight_listen, file.flight_listen, 5434),
        http_listen: listen(flags.http_listen, variables.http_listen, file.http_listen, 5435),
        ready_file: flags.ready_file.clone().or(variables.ready_file),
        demo,
        watch: flags.watch || variables.watch.or(file.watch).unwrap_or(false),
        users,
        openlineage: file.openlineage,
        limits,
    };
    Ok((settings, variables.warnings))
}

impl Variables {
    fn read(variables: &[(String, String)]) -> Result<Self, Error> {
        let mut read = Self::default();
        for (name, value) in variables {
            read.one(name, value)?;
        }
        Ok(read)
    }

    fn one(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "SLUICE_PROJECT" => self.project = Some(PathBuf::from(value)),
            "SLUICE_DATA" => self.data = Some(value.to_string()),
            "SLUICE_READY_FILE" => self.ready_file = Some(PathBuf::from(value)),
            "SLUICE_PG_LISTEN" => self.pg_listen = Some(parsed(name, value, ADDRESS)?),
            "SLUICE_FLIGHT_LISTEN" => self.flight_listen = Some(parsed(name, value, ADDRESS)?),
            "SLUICE_HTTP_LISTEN" => self.http_listen = Some(parsed(name, value, ADDRESS)?),
            "SLUICE_DEMO" => self.demo = Some(parsed(name, value, "true or false")?),
            "SLUICE_WATCH" => self.watch = Some(parsed(name, value, "true or false")?),
            _ if OTHER_VARIABLES.contains(&name) || name.starts_with(OTHER_PREFIX) => {}
            _ => match limits::by_variable(name) {
                Some(limit) => {
                    self.limits.push((limit, parsed(name, value, "a whole number")?, name.to_string()))
                }
                None => self.warnings.push(unknown_variable(name)),
            },
        }
        Ok(())
    }
}

const ADDRESS: &str = "an address and a port, as in 127.0.0.1:5433";

fn parsed<T: std::str::FromStr>(variable: &str, value: &str, expected: &'static str) -> Result<T, Error> {
    value
        .trim()
        .parse()
        .map_err(|_| Error::Variable { variable: variable.to_string(), expected: expected.to_string() })
}

fn unknown_variable(name: &str) -> String {
    const NAMES: &[&str] = &[
        "SLUICE_PROJECT",
        "SLUICE_DATA",
        "SLUICE_READY_FILE",
        "SLUICE_PG_LISTEN",
        "SLUICE_FLIGHT_LISTEN",
        "SLUICE_HTTP_LISTEN",
        "SLUICE_DEMO",
        "SLUICE_WATCH",
    ];
    let limits = limits::variables();
    let known = NAMES.iter().copied().chain(limits.iter().map(String::as_str));
    match crate::sql::did_you_mean(name, known) {
        Some(near) => format!("variable {name} means nothing here, did you mean {near}?"),
        None => format!("variable {name} means nothing here"),
    }
}

/// The folder that a data setting names: a path, or a `file://` URL.
fn folder_of(data: &str) -> Result<String, Error> {
    match data.split_once("://") {
        None => Ok(data.to_string()),
        Some(("file", path)) if path.starts_with('/') => Ok(path.to_string()),
        Some((scheme, _)) => Err(Error::DataScheme { scheme: scheme.to_string() }),
    }
}

#[cfg(test)]
mod tests;
