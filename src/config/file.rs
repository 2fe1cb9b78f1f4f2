//! `catalog/warehouse.toml`.

use super::{Error, LimitSettings, OpenLineageSettings, SETTINGS_FILE, TlsSettings, UserSettings, limits};
use crate::sql::hint_did_you_mean;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the file may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileSettings {
    pub(super) data: Option<String>,
    pub(super) pg_listen: Option<SocketAddr>,
    pub(super) flight_listen: Option<SocketAddr>,
    pub(super) http_listen: Option<SocketAddr>,
    pub(super) demo: Option<bool>,
    pub(super) watch: Option<bool>,
    pub(super) users: BTreeMap<String, UserSettings>,
    pub(super) tls: Option<TlsSettings>,
    pub(super) openlineage: Option<OpenLineageSettings>,
    pub(super) limits: LimitSettings,
}

/// Checks the settings file of a project, if there is one.
pub fn check_file(project: &Path) -> Result<(), Error> {
    read(project).map(|_| ())
}

/// The users of a project's settings file; none where it cannot be read.
pub fn user_names(project: &Path) -> Vec<String> {
    read(project).map(|file| file.users.into_keys().collect()).unwrap_or_default()
}

/// The settings file of a project; without one, what holds by default.
pub(super) fn read(project: &Path) -> Result<FileSettings, Error> {
    let path = project.join(SETTINGS_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(FileSettings::default()),
        Err(error) => Err(Error::Unreadable { path, reason: error.to_string() }),
    }
}

/// Reads the file's text.
pub(super) fn parse(text: &str) -> Result<FileSettings, Error> {
    let file: FileSettings = toml::from_str(text).map_err(|error| {
        let (line, column) = error.span().map_or((1, 1), |span| line_and_column(text, span.start));
        let (message, hint) = in_our_words(error.message());
        placed(line, column, message, hint)
    })?;
    if let Some((name, expected)) = limits::out_of_range(&file.limits) {
        let (line, column) = place_of(text, name);
        return Err(placed(line, column, format!("{name} is not {expected}"), None));
    }
    if let Some(openlineage) = &file.openlineage
        && !is_web_address(&openlineage.url)
    {
        let (line, column) = place_of(text, &openlineage.url);
        let hint =
            "Write where events are posted to, as in \"http://marquez:5000/api/v1/lineage\".".to_string();
        return Err(placed(line, column, "the url of [openlineage] is no web address".into(), Some(hint)));
    }
    for (name, user) in &file.users {
        let (line, column) = place_of(text, &format!("[users.{name}]"));
        let hint = || Some(format!("Run sluice user {name} and put the lines it prints here."));
        match &user.verifier {
            Some(verifier) if !is_verifier(verifier) => {
                let message = format!("the verifier of user \"{name}\" is not a SCRAM-SHA-256 verifier");
                return Err(placed(line, column, message, hint()));
            }
            None if !user.trust_loopback => {
                return Err(placed(
                    line,
                    column,
                    format!("user \"{name}\" has no verifier and could not log in"),
                    hint(),
                ));
            }
            _ => {}
        }
    }
    Ok(file)
}

fn is_web_address(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}

fn placed(line: u64, column: u64, message: String, hint: Option<String>) -> Error {
    Error::File { path: PathBuf::from(SETTINGS_FILE), line, column, message, hint }
}

/// `SCRAM-SHA-256$4096:salt$stored:server`; whether its keys hold is checked at login.
fn is_verifier(text: &str) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    let is_pair = |part: &str| part.split_once(':').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    matches!(parts.as_slice(), ["SCRAM-SHA-256", stretched, keys] if is_pair(stretched) && is_pair(keys))
}

fn line_and_column(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    (line, column)
}

fn place_of(text: &str, word: &str) -> (u64, u64) {
    text.find(word).map_or((1, 1), |offset| line_and_column(text, offset))
}

/// serde's message without the values it repeats; an unknown key gets the nearest known one, or all of them.
fn in_our_words(message: &str) -> (String, Option<String>) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let words: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        if let Some((unknown, known)) = words.split_first() {
            let hint = hint_did_you_mean(unknown, known.iter().copied());
            let all = || format!("Keys here are {}.", known.join(", "));
            return (format!("unknown key \"{unknown}\""), Some(hint.unwrap_or_else(all)));
        }
    }
    if let Some((_, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        return (format!("the value is not {expected}"), None);
    }
    if let Some((_, expected)) =
        message.strip_prefix("invalid value: ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        return (format!("the value is not {expected}"), None);
    }
    if message.contains("socket address") {
        return (
            "the value is not an address and a port".to_string(),
            Some("Write \"127.0.0.1:5433\".".to_string()),
        );
    }
    let line = message.lines().next().unwrap_or_default();
    (line.trim_end_matches('.').to_string(), None)
}
