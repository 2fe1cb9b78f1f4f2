//! Sessions: what a client sets once and all its calls then have.
//!
//! Comes in: options by name, for the session that a call's cookie or bearer token names. Goes out: settings for each call.
//! Options are the settings of `SHOW ALL`, `schema` for the first of the search path, and `catalog`, of which there is one.
//! Sessions expire when unused and are bounded in number; a session that is gone has no options.

use super::messages::{Fault, OptionValue};
use crate::engine::DATABASE;
use crate::ops::clock;
use crate::serve::Error;
use crate::serve::settings::{Kind, Settings};
use crate::serve::shelf::Shelf;
use crate::sql::quoted;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The cookie that names a session.
pub(super) const COOKIE: &str = "arrow_flight_session_id";
/// Sessions that have options, at a time.
const SESSIONS_MAX: usize = 4096;
/// Options of a session that are not settings of ours, and how long their texts may be.
const OPTIONS_MAX: usize = 256;
const OPTION_BYTES_MAX: usize = 16 << 10;

/// What one session has set: settings by name, as text.
pub(super) type Options = BTreeMap<String, String>;

/// The options of all sessions. What names a session does so for its user only.
pub(super) struct Sessions {
    shelf: Mutex<Shelf<Options>>,
}

impl Sessions {
    /// None yet; they are forgotten when not used for `idle_max`.
    pub(super) fn new(idle_max: Duration) -> Self {
        Self { shelf: Mutex::new(Shelf::new(SESSIONS_MAX, idle_max)) }
    }

    /// What a user's session has set.
    pub(super) fn options(&self, user: &str, session: &[u8]) -> Options {
        self.shelf.lock().get(&key(user, session), clock::instant()).cloned().unwrap_or_default()
    }

    /// Sets options in a user's session, which begins with that; tells which could not be set.
    pub(super) fn set(
        &self,
        user: &str,
        session: &[u8],
        given: HashMap<String, Option<OptionValue>>,
    ) -> HashMap<String, Fault> {
        let mut options = self.options(user, session);
        let faults = given
            .into_iter()
            .filter_map(|(name, value)| Some((name.clone(), set(&mut options, &name, value).err()?)))
            .collect();
        self.shelf.lock().put(key(user, session), options, clock::instant());
        faults
    }

    /// Forgets a user's session.
    pub(super) fn close(&self, user: &str, session: &[u8]) {
        self.shelf.lock().remove(&key(user, session));
    }
}

fn key(user: &str, session: &[u8]) -> Vec<u8> {
    [user.as_bytes(), &[0], session].concat()
}

/// Sets one option; no value takes it back.
fn set(options: &mut Options, name: &str, value: Option<OptionValue>) -> Result<(), Fault> {
    let (name, text) = match (name, value) {
        ("catalog", None) => return Ok(()),
        ("catalog", Some(OptionValue::String(catalog))) if catalog == DATABASE => return Ok(()),
        ("catalog", Some(_)) => return Err(Fault::InvalidValue),
        ("schema", None) => ("search_path", None),
        ("schema", Some(OptionValue::String(schema))) => ("search_path", Some(quoted(&schema))),
        ("schema", Some(_)) => return Err(Fault::InvalidValue),
        (name, value) => (name, value.map(text)),
    };
    if options.len() >= OPTIONS_MAX || text.as_ref().is_some_and(|text| text.len() > OPTION_BYTES_MAX) {
        return Err(Fault::Error);
    }
    // The settings know their names and what they may be.
    let key = Settings::default().set(name, text.as_deref(), false).map_err(|error| fault(&error))?;
    match text {
        Some(text) => options.insert(key, text),
        None => options.remove(&key),
    };
    Ok(())
}

fn fault(error: &Error) -> Fault {
    match error.code {
        "42704" => Fault::InvalidName,
        "22023" => Fault::InvalidValue,
        _ => Fault::Error,
    }
}

fn text(value: OptionValue) -> String {
    match value {
        OptionValue::String(text) => text,
        OptionValue::Bool(on) => on.to_string(),
        OptionValue::Int64(number) => number.to_string(),
        OptionValue::Double(number) => number.to_string(),
        OptionValue::StringList(list) => {
            list.values.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Every option with its value, of a session with these settings.
pub(super) fn all(settings: &Settings) -> HashMap<String, OptionValue> {
    let mut options = HashMap::from([("catalog".to_string(), OptionValue::String(DATABASE.to_string()))]);
    for (definition, value) in settings.all() {
        let value = match (definition.kind, value.parse()) {
            (Kind::Bool, _) => OptionValue::Bool(value == "on"),
            (Kind::Integer(..), Ok(number)) => OptionValue::Int64(number),
            _ => OptionValue::String(value),
        };
        options.insert(definition.name.to_string(), value);
    }
    let path = settings.get("search_path").unwrap_or_default();
    let first = path.split(',').next().unwrap_or_default().trim();
    let first = first.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(first);
    options.insert("schema".to_string(), OptionValue::String(first.replace("\"\"", "\"")));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Option<OptionValue> {
        Some(OptionValue::String(value.to_string()))
    }

    #[test]
    fn options_are_settings_and_belong_to_a_user() {
        let sessions = Sessions::new(Duration::from_secs(60));
        let given = HashMap::from([
            ("catalog".to_string(), text("sluice")),
            ("schema".to_string(), text("bronze")),
            ("timezone".to_string(), text("Asia/Tokyo")),
            ("statement_timeout".to_string(), Some(OptionValue::Int64(2500))),
            ("jit".to_string(), Some(OptionValue::Bool(true))),
            ("myapp.user".to_string(), text("me")),
            ("no_such".to_string(), text("1")),
            ("TimeZone".to_string() + " ", text("UTC")),
            ("extra_float_digits".to_string(), text("99")),
            ("server_version".to_string(), text("99")),
        ]);
        let faults = sessions.set("ada", b"key", given);
        let expected = [
            ("no_such", Fault::InvalidName),
            ("TimeZone ", Fault::InvalidName),
            ("extra_float_digits", Fault::InvalidValue),
            ("server_version", Fault::Error),
        ];
        assert_eq!(faults, expected.map(|(name, fault)| (name.to_string(), fault)).into());
        let options = sessions.options("ada", b"key");
        assert_eq!(options["search_path"], "\"bronze\"");
        assert_eq!(options["TimeZone"], "Asia/Tokyo");
        assert_eq!(options["statement_timeout"], "2500");
        assert!(sessions.options("bob", b"key").is_empty());

        sessions.set("ada", b"key", HashMap::from([("schema".to_string(), None), ("jit".to_string(), None)]));
        let options = sessions.options("ada", b"key");
        assert_eq!(options.keys().collect::<Vec<_>>(), ["TimeZone", "myapp.user", "statement_timeout"]);
        sessions.close("bob", b"key");
        assert!(!sessions.options("ada", b"key").is_empty());
        sessions.close("ada", b"key");
        assert!(sessions.options("ada", b"key").is_empty());
    }

    #[test]
    fn options_are_told_with_their_types() {
        let mut settings = Settings::default();
        settings.set("search_path", Some("\"odd \"\"name\", gold"), false).unwrap();
        settings.set("jit", Some("on"), false).unwrap();
        let options = all(&settings);
        assert_eq!(options["schema"], OptionValue::String("odd \"name".to_string()));
        assert_eq!(options["catalog"], OptionValue::String("sluice".to_string()));
        assert_eq!(options["jit"], OptionValue::Bool(true));
        assert_eq!(options["extra_float_digits"], OptionValue::Int64(1));
        assert_eq!(options["TimeZone"], OptionValue::String("UTC".to_string()));
    }
}
