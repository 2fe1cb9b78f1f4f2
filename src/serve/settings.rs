//! What `SET`, `RESET`, `SHOW`, `current_setting()` and `pg_settings` speak of: one table, PostgreSQL's names and
//! defaults.
//!
//! Comes in: names and texts. Goes out: texts in the form `SHOW` prints. An unknown name is 42704, a value that does not
//! fit 22023, what can only be read 55P02.

use super::Error;
use arrow::array::timezone::Tz;
use std::collections::BTreeMap;
use std::time::Duration;

/// The PostgreSQL version whose behaviour is spoken. 13 keeps newer clients from asking for multiranges.
pub const SERVER_VERSION: &str = concat!("13.14 (Sluice ", env!("CARGO_PKG_VERSION"), ")");

/// Where names without a schema are looked for until a session says otherwise: what was made for readers first, so that
/// `\dt` and `\dm` list it and a query may leave the schema out.
const DEFAULT_SEARCH_PATH: &str = "gold, silver, bronze, public";

/// What a setting's text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `on` or `off`.
    Bool,
    /// A whole number between two bounds.
    Integer(i64, i64),
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A duration; a bare number counts milliseconds.
    Duration,
    /// Any text.
    Text,
    /// A time zone's name or offset.
    TimeZone,
    /// The form of dates, and an order of day and month.
    DateStyle,
    /// UTF-8 under one of its names.
    Encoding,
    /// Reading only.
    Fixed,
}

/// A setting that is known.
#[derive(Debug)]
pub struct Definition {
    /// Its name as `SHOW ALL` writes it.
    pub name: &'static str,
    /// What it is unless set.
    pub default: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Told to clients when it changes (ParameterStatus).
    pub reported: bool,
    /// What it is for.
    pub description: &'static str,
}

const fn define(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> Definition {
    Definition { name, default, kind, reported: false, description }
}

const fn reported(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> Definition {
    Definition { name, default, kind, reported: true, description }
}

/// Every setting, by name.
pub static DEFINITIONS: &[Definition] = &[
    reported("application_name", "", Kind::Text, "Name of the client program."),
    define("array_nulls", "on", Kind::Bool, "Reads NULL in arrays as null."),
    define("backslash_quote", "safe_encoding", Kind::Text, "Kept for clients."),
    define("block_size", "8192", Kind::Fixed, "Size of a disk block."),
    define("bytea_output", "hex", Kind::Enum(&["escape", "hex"]), "Output form of bytea."),
    define("check_function_bodies", "on", Kind::Bool, "Kept for clients."),
    reported("client_encoding", "UTF8", Kind::Encoding, "Character set of the client."),
    define("client_min_messages", "notice", Kind::Enum(MESSAGE_LEVELS), "Least notice that is sent."),
    define("constraint_exclusion", "partition", Kind::Text, "Kept for clients."),
    define("cursor_tuple_fraction", "0.1", Kind::Text, "Kept for clients."),
    reported("DateStyle", "ISO, MDY", Kind::DateStyle, "Form of dates."),
    define("default_table_access_method", "delta", Kind::Fixed, "Tables are Delta tables."),
    define("default_tablespace", "", Kind::Text, "Kept for clients."),
    define("default_transaction_deferrable", "off", Kind::Bool, "Kept for clients."),
    define(
        "default_transaction_isolation",
        "read committed",
        Kind::Enum(LEVELS),
        "Isolation of new transactions.",
    ),
    define("default_transaction_read_only", "on", Kind::Bool, "New transactions only read."),
    define("enable_bitmapscan", "on", Kind::Bool, "Kept for clients."),
    define("enable_hashagg", "on", Kind::Bool, "Kept for clients."),
    define("enable_hashjoin", "on", Kind::Bool, "Kept for clients."),
    define("enable_indexonlyscan", "on", Kind::Bool, "Kept for clients."),
    define("enable_indexscan", "on", Kind::Bool, "Kept for clients."),
    define("enable_material", "on", Kind::Bool, "Kept for clients."),
    define("enable_mergejoin", "on", Kind::Bool, "Kept for clients."),
    define("enable_nestloop", "on", Kind::Bool, "Kept for clients."),
    define("enable_seqscan", "on", Kind::Bool, "Kept for clients."),
    define("enable_sort", "on", Kind::Bool, "Kept for clients."),
    define("escape_string_warning", "on", Kind::Bool, "Kept for clients."),
    define("extra_float_digits", "1", Kind::Integer(-15, 3), "Digits of floats; in full if above zero."),
    define("from_collapse_limit", "8", Kind::Integer(1, 2_147_483_647), "Kept for clients."),
    define("geqo", "on", Kind::Bool, "Kept for clients."),
    define("gin_fuzzy_search_limit", "0", Kind::Integer(0, 2_147_483_647), "Kept for clients."),
    define("hot_standby", "on", Kind::Fixed, "Kept for clients."),
    define("idle_in_transaction_session_timeout", "0", Kind::Duration, "Longest idle time in a transaction."),
    define("idle_session_timeout", "0", Kind::Duration, "Longest idle time outside of a transaction."),
    reported("in_hot_standby", "off", Kind::Fixed, "This server is not a standby."),
    reported("integer_datetimes", "on", Kind::Fixed, "Times are whole microseconds."),
    reported("IntervalStyle", "postgres", Kind::Enum(INTERVAL_STYLES), "Form of intervals."),
    reported("is_superuser", "off", Kind::Fixed, "Who logged in may do everything."),
    define("jit", "off", Kind::Bool, "Kept for clients."),
    define("join_collapse_limit", "8", Kind::Integer(1, 2_147_483_647), "Kept for clients."),
    define("lc_collate", "C", Kind::Fixed, "Order of texts: by code point."),
    define("lc_ctype", "C.UTF-8", Kind::Fixed, "Classes of characters."),
    define("lc_messages", "C", Kind::Text, "Language of messages."),
    define("lc_monetary", "C", Kind::Text, "Form of money."),
    define("lc_numeric", "C", Kind::Text, "Form of numbers."),
    define("lc_time", "C", Kind::Text, "Names of days and months."),
    define("lock_timeout", "0", Kind::Duration, "Nothing is locked."),
    define("max_connections", "100", Kind::Fixed, "Open client connections at most."),
    define("max_identifier_length", "63", Kind::Fixed, "Length of names that is always kept."),
    define("max_index_keys", "32", Kind::Fixed, "Kept for clients."),
    define("max_parallel_workers_per_gather", "2", Kind::Integer(0, 1024), "Kept for clients."),
    define("password_encryption", "scram-sha-256", Kind::Enum(&["scram-sha-256"]), "Form of kept passwords."),
    define("plan_cache_mode", "auto", Kind::Text, "Kept for clients."),
    define("quote_all_identifiers", "off", Kind::Bool, "Kept for clients."),
    define("random_page_cost", "4", Kind::Text, "Kept for clients."),
    define("role", NO_ROLE, Kind::Fixed, "Current role."),
    define("row_security", "on", Kind::Bool, "Kept for clients."),
    define("search_path", DEFAULT_SEARCH_PATH, Kind::Text, "Schemas of names that have none."),
    reported("server_encoding", "UTF8", Kind::Fixed, "Character set of the server."),
    reported("server_version", SERVER_VERSION, Kind::Fixed, "Version that is spoken."),
    define("server_version_num", "130014", Kind::Fixed, "Version that is spoken, as a number."),
    reported("session_authorization", "", Kind::Fixed, "Current session's user."),
    define(
        CHANNEL,
        "",
        Kind::Text,
        "Who puts rows into sources: with it and a token each push is taken once.",
    ),
    define(
        "sluice.compression",
        "none",
        Kind::Enum(&["none", "lz4", "zstd"]),
        "Compression of the columns that Flight clients get.",
    ),
    define("sluice.dictionaries", "off", Kind::Bool, "Flight clients get texts as dictionaries."),
    define(
        "sluice.endpoints_max",
        "64",
        Kind::Integer(1, 1024),
        "Parts in which Flight clients may pull a result; 1 leaves it whole.",
    ),
    define("sluice.read_after", "", Kind::Text, "Token of a push: wait for the epoch that holds it."),
    define("sluice.staleness_max", "0", Kind::Duration, "Fail rather than read an older epoch; 0 reads any."),
    define(
        TOKEN,
        "",
        Kind::Integer(0, i64::MAX),
        "Number of the channel's next push; given again, it changes nothing.",
    ),
    define("ssl", "off", Kind::Fixed, "Connections may be encrypted."),
    define("ssl_renegotiation_limit", "0", Kind::Integer(0, 0), "Npgsql sets it where it encrypts."),
    reported("standard_conforming_strings", "on", Kind::Enum(&["on"]), "Backslashes are plain characters."),
    define("statement_timeout", "0", Kind::Duration, "Longest run of a statement, sending included."),
    define("synchronize_seqscans", "on", Kind::Bool, "Kept for clients."),
    define("synchronous_commit", "on", Kind::Text, "Nothing is committed."),
    define("tcp_keepalives_idle", "0", Kind::Integer(0, 2_147_483_647), "Kept for clients."),
    define("temp_tablespaces", "", Kind::Text, "Kept for clients."),
    reported("TimeZone", "UTC", Kind::TimeZone, "Zone in which timestamps with time zone are shown."),
    define("track_activity_query_size", "1024", Kind::Fixed, "Bytes of a statement in pg_stat_activity."),
    define("transaction_deferrable", "off", Kind::Bool, "Kept for clients."),
    define("transaction_isolation", "read committed", Kind::Enum(LEVELS), "Isolation of the transaction."),
    define("transaction_read_only", "on", Kind::Bool, "The transaction only reads."),
    define("transform_null_equals", "off", Kind::Bool, "Kept for clients."),
    define("work_mem", "4MB", Kind::Text, "Kept for clients."),
    define("xmloption", "content", Kind::Text, "Kept for clients."),
];

/// Who a session is to the sources that it puts rows into.
pub const CHANNEL: &str = "sluice.channel";
/// The number of the session's next push.
pub const TOKEN: &str = "sluice.token";

/// What `role` is while a session has the rights of who logged in.
pub const NO_ROLE: &str = "none";

const LEVELS: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];
const INTERVAL_STYLES: &[&str] = &["postgres", "postgres_verbose", "sql_standard", "iso_8601"];
const MESSAGE_LEVELS: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];

/// One session's settings.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What `RESET` goes back to where it is not the table's default: start-up parameters and limits.
    initial: BTreeMap<String, String>,
    /// What was set since.
    values: BTreeMap<String, String>,
    /// What `SET LOCAL` covered up; `None` was not set.
    covered: BTreeMap<String, Option<String>>,
    /// Grows with every change, for what is derived from settings.
    generation: u64,
}

impl Settings {
    /// Gives a setting the value `RESET` goes back to; not checked when it is fixed.
    pub fn set_initial(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let definition = find(name)?;
        let value = if definition.kind == Kind::Fixed {
            value.to_string()
        } else {
            check(definition, value, definition.default)?
        };
        self.initial.insert(definition.name.to_string(), value);
        self.generation += 1;
        Ok(())
    }

    /// `SHOW`, `current_setting()`.
    pub fn get(&self, name: &str) -> Result<String, Error> {
        if let Some(value) = self.values.get(&custom_key(name)) {
            return Ok(value.clone());
        }
        let definition = find(name)?;
        let value = self.values.get(definition.name).or_else(|| self.initial.get(definition.name));
        Ok(value.map_or(definition.default, String::as_str).to_string())
    }

    /// `SET`, `set_config()`; `None` is `DEFAULT`. Gives the setting's own spelling of its name.
    pub fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<String, Error> {
        let key = match find(name) {
            Ok(definition) if definition.kind == Kind::Fixed => {
                return Err(Error::new(
                    "55P02",
                    format!("parameter \"{}\" cannot be changed", definition.name),
                ));
            }
            Ok(definition) => definition.name.to_string(),
            // A name with a dot belongs to somebody's extension; anybody may keep a text there, except under ours.
            Err(_) if name.contains('.') && !name.to_lowercase().starts_with("sluice.") => custom_key(name),
            Err(error) => return Err(error),
        };
        let value = match (value, find(name)) {
            (None, _) => None,
            (Some(value), Ok(definition)) => Some(check(definition, value, &self.get(definition.name)?)?),
            (Some(value), Err(_)) => Some(value.to_string()),
        };
        if local {
            self.covered.entry(key.clone()).or_insert_with(|| self.values.get(&key).cloned());
        }
        match value {
            Some(value) => self.values.insert(key.clone(), value),
            None => self.values.remove(&key),
        };
        self.generation += 1;
        Ok(key)
    }

    /// `SET ROLE`, once it is known to be allowed.
    pub fn set_role(&mut self, role: Option<&str>, local: bool) {
        let key = "role".to_string();
        if local {
            self.covered.entry(key.clone()).or_insert_with(|| self.values.get(&key).cloned());
        }
        match role {
            Some(role) => self.values.insert(key, role.to_string()),
            None => self.values.remove(&key),
        };
        self.generation += 1;
    }

    /// `RESET ALL`; as in PostgreSQL, the role stays.
    pub fn reset_all(&mut self) {
        self.values.retain(|name, _| name == "role");
        self.generation += 1;
    }

    /// Ends what `SET LOCAL` did.
    pub fn end_local(&mut self) {
        for (name, value) in std::mem::take(&mut self.covered) {
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
            self.generation += 1;
        }
    }

    /// Goes back to how things stood, when a transaction is rolled back.
    pub fn restore(&mut self, before: Settings) {
        self.go_back(before);
        self.covered.clear();
    }

    /// Goes back to how things stood within a transaction.
    pub fn go_back(&mut self, before: Settings) {
        let generation = self.generation;
        *self = before;
        if self.generation != generation {
            self.generation = generation + 1;
        }
    }

    /// A number that differs after every change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Every setting and its value, in `SHOW ALL`'s order.
    pub fn all(&self) -> Vec<(&'static Definition, String)> {
        DEFINITIONS.iter().map(|d| (d, self.get(d.name).unwrap_or_default())).collect()
    }

    /// What `RESET` goes back to.
    pub fn initial(&self, definition: &Definition) -> &str {
        self.initial.get(definition.name).map_or(definition.default, String::as_str)
    }

    /// A duration setting; zero means none.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let ms = self.get(name).ok().and_then(|text| milliseconds(&text))?;
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    /// The zone in which timestamps are shown.
    pub fn time_zone(&self) -> String {
        self.get("TimeZone").unwrap_or_else(|_| "UTC".to_string())
    }
}

fn custom_key(name: &str) -> String {
    name.to_lowercase()
}

/// The definition of a setting.
pub fn find(name: &str) -> Result<&'static Definition, Error> {
    DEFINITIONS
        .iter()
        .find(|definition| definition.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| Error::new("42704", format!("unrecognized configuration parameter \"{name}\"")))
}

/// A value in the form in which it is kept, if it fits; `now` is what it takes the place of.
fn check(definition: &Definition, value: &str, now: &str) -> Result<String, Error> {
    let name = definition.name;
    let invalid = || Error::new("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
    match definition.kind {
        Kind::Text => Ok(value.to_string()),
        Kind::Fixed => Err(Error::new("55P02", format!("parameter \"{name}\" cannot be changed"))),
        Kind::Bool => match value.to_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".to_string()),
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".to_string()),
            _ => Err(Error::new("22023", format!("parameter \"{name}\" requires a Boolean value"))),
        },
        Kind::Integer(least, most) => match value.trim().parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number.to_string()),
            Ok(number) => Err(Error::new(
                "22023",
                format!("{number} is outside the valid range for parameter \"{name}\" ({least} .. {most})"),
            )),
            Err(_) => Err(invalid()),
        },
        Kind::Enum(words) => {
            let value = value.to_lowercase();
            let value =
                if words == ["on"] && matches!(value.as_str(), "true" | "yes" | "1") { "on" } else { &value };
            match words.iter().find(|word| **word == value) {
                Some(word) => Ok((*word).to_string()),
                None => Err(invalid().with_hint(format!("Available values: {}.", words.join(", ")))),
            }
        }
        Kind::Duration => milliseconds(value).map(show_milliseconds).ok_or_else(|| {
            invalid().with_hint(
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
            )
        }),
        Kind::TimeZone => time_zone(value).ok_or_else(invalid),
        Kind::DateStyle => date_style(value, now).map_err(|detail| invalid().with_detail(detail)),
        Kind::Encoding => {
            match folded_encoding(value).as_str() {
                "UTF8" | "UNICODE" => Ok("UTF8".to_string()),
                // The client takes bytes as they are.
                "SQLASCII" => Ok("SQL_ASCII".to_string()),
                _ => Err(invalid().with_hint("Only UTF8 is supported.")),
            }
        }
    }
}

/// True for the name of an encoding that PostgreSQL converts texts from and to, and we do not.
pub(super) fn is_other_encoding(name: &str) -> bool {
    const FAMILIES: [&str; 11] =
        ["BIG5", "EUC", "GB", "ISO8859", "JOHAB", "KOI8", "LATIN", "SJIS", "SHIFTJIS", "UHC", "WIN"];
    FAMILIES.iter().any(|family| folded_encoding(name).starts_with(family))
}

/// An encoding's name without what PostgreSQL does not look at.
fn folded_encoding(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    letters.to_uppercase()
}

/// A zone that can be computed with: a name, `UTC`, or an offset as PostgreSQL writes it (`+2` is east of Greenwich).
fn time_zone(value: &str) -> Option<String> {
    let value = value.trim();
    match value.to_lowercase().as_str() {
        "utc" | "gmt" | "zulu" | "z" | "default" | "etc/utc" | "universal" => return Some("UTC".to_string()),
        _ => {}
    }
    if let Ok(hours) = value.parse::<f64>() {
        let minutes = (hours * 60.0).round();
        let (sign, minutes) = if minutes < 0.0 { ('-', -minutes) } else { ('+', minutes) };
        if minutes >= 24.0 * 60.0 {
            return None;
        }
        return Some(format!("{sign}{:02}:{:02}", (minutes / 60.0).floor(), minutes % 60.0));
    }
    if let Some(offset) = posix_offset(value) {
        return Some(offset);
    }
    value.parse::<Tz>().is_ok().then(|| value.to_string())
}

/// `GMT-02:00`, `UTC-2`, `-02:00`: POSIX counts to the west.
fn posix_offset(value: &str) -> Option<String> {
    let letters = value.find(['+', '-'])?;
    let (name, offset) = value.split_at(letters);
    if !["", "GMT", "UTC"].contains(&name.to_uppercase().as_str()) {
        return None;
    }
    let sign = if offset.starts_with('-') { '+' } else { '-' };
    let (hours, minutes) = offset[1..].split_once(':').unwrap_or((&offset[1..], "0"));
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    (hours < 24 && minutes < 60).then(|| format!("{sign}{hours:02}:{minutes:02}"))
}

/// The form of dates and the order of day and month; what is not said stays as it is. Else what is wrong.
fn date_style(value: &str, now: &str) -> Result<String, String> {
    let (mut form, mut order) = (None, None);
    for word in value.split(',').map(str::trim) {
        let upper = word.to_uppercase();
        let (place, said) = match upper.as_str() {
            "ISO" => (&mut form, "ISO"),
            "SQL" => (&mut form, "SQL"),
            "GERMAN" => (&mut form, "German"),
            other if other.starts_with("POSTGRES") => (&mut form, "Postgres"),
            "MDY" => (&mut order, "MDY"),
            "DMY" => (&mut order, "DMY"),
            "YMD" => (&mut order, "YMD"),
            "US" => (&mut order, "MDY"),
            other if other.starts_with("NONEURO") => (&mut order, "MDY"),
            other if other.starts_with("EURO") => (&mut order, "DMY"),
            "DEFAULT" => continue,
            _ => return Err(format!("Unrecognized key word: \"{}\".", word.to_lowercase())),
        };
        if place.replace(said).is_some_and(|before| before != said) {
            return Err("Conflicting \"datestyle\" specifications.".to_string());
        }
    }
    let (form_now, order_now) = now.split_once(", ").unwrap_or(("ISO", "MDY"));
    let order = order.unwrap_or(if form == Some("German") { "DMY" } else { order_now });
    Ok(format!("{}, {order}", form.unwrap_or(form_now)))
}

/// `250`, `5s`, `1.5 min` in milliseconds.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.trim().parse().ok()?;
    let unit_ms = match unit.trim() {
        "" | "ms" => 1.0,
        "us" => 0.001,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    };
    let ms = (number * unit_ms).round();
    (0.0..=2_147_483_647.0).contains(&ms).then_some(ms as u64)
}

/// As PostgreSQL shows durations: in the largest unit that divides them.
fn show_milliseconds(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    match UNITS.iter().find(|(size, _)| ms > 0 && ms.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", ms / size),
        None if ms == 0 => "0".to_string(),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn values_are_checked_and_shown_as_postgresql_shows_them() {
        let mut settings = Settings::default();
        for (name, value, shown) in [
            ("statement_timeout", "30000", "30s"),
            ("statement_timeout", "1.5s", "1500ms"),
            ("statement_timeout", "0", "0"),
            ("timezone", "Europe/Berlin", "Europe/Berlin"),
            ("TimeZone", "-3.5", "-03:30"),
            ("TimeZone", "-02:00", "+02:00"),
            ("TimeZone", "GMT+03:30", "-03:30"),
            ("TimeZone", "UTC-2", "+02:00"),
            ("datestyle", "iso, dmy", "ISO, DMY"),
            ("datestyle", "SQL", "SQL, DMY"),
            ("datestyle", "postgresql, us", "Postgres, MDY"),
            ("datestyle", "german", "German, DMY"),
            ("datestyle", "YMD", "German, YMD"),
            ("IntervalStyle", "ISO_8601", "iso_8601"),
            ("bytea_output", "escape", "escape"),
            ("client_encoding", "utf-8", "UTF8"),
            ("jit", "TRUE", "on"),
            ("extra_float_digits", "3", "3"),
            ("myapp.user", "me", "me"),
        ] {
            settings.set(name, Some(value), false).unwrap();
            assert_eq!(settings.get(name).unwrap(), shown, "{name}");
        }
        for (name, value, code) in [
            ("no_such", "1", "42704"),
            ("sluice.no_such", "1", "42704"),
            ("server_version", "1", "55P02"),
            ("extra_float_digits", "4", "22023"),
            ("TimeZone", "Mars/Olympus", "22023"),
            ("DateStyle", "Swiss", "22023"),
            ("DateStyle", "SQL, ISO", "22023"),
            ("DateStyle", "DMY, MDY", "22023"),
            ("client_encoding", "LATIN1", "22023"),
        ] {
            assert_eq!(settings.set(name, Some(value), false).unwrap_err().code, code, "{name}");
        }
    }

    #[test]
    fn local_settings_and_rollback() {
        let mut settings = Settings::default();
        settings.set_initial("application_name", "start").unwrap();
        settings.set("application_name", Some("set"), false).unwrap();
        let before = settings.clone();
        settings.set("application_name", Some("local"), true).unwrap();
        settings.set("application_name", Some("local 2"), true).unwrap();
        assert_eq!(settings.get("application_name").unwrap(), "local 2");
        settings.end_local();
        assert_eq!(settings.get("application_name").unwrap(), "set");
        settings.set("jit", Some("on"), false).unwrap();
        settings.restore(before);
        assert_eq!(settings.get("jit").unwrap(), "off");
        settings.set("application_name", None, false).unwrap();
        assert_eq!(settings.get("application_name").unwrap(), "start");
    }
}
