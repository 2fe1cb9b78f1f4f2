//! Where secrets are kept: environment variables, files, Azure Key Vault, HashiCorp Vault.
//!
//! Comes in: names, and the places that a project gives them. Goes out: values, which no log, message or table ever shows.
//! What is far away is asked for again after a while, and when a value turned out to be wrong; while it cannot be had, the
//! value that was there before holds.

mod key_vault;
mod vault;
mod web;

pub use key_vault::{Identity, KeyVault};
pub use vault::{Login, Vault};

use super::clock;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A value is not read again more often than this, however often it turns out to be wrong.
const REREAD_MIN: Duration = Duration::from_secs(1);

/// A secret's value.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    /// The value itself: for who needs it, and for nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(..)")
    }
}

/// Where a value is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An environment variable.
    Environment(String),
    /// A file, without its trailing line break.
    File(PathBuf),
    /// Azure Key Vault.
    KeyVault(KeyVault),
    /// HashiCorp Vault, key-value store version 2.
    Vault(Vault),
}

/// Why a value cannot be had: says where it was looked for, and nothing of what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret \"{name}\": {reason}")]
pub struct Error {
    /// The secret.
    pub name: String,
    /// What went wrong.
    pub reason: String,
    /// It may be otherwise the next time.
    pub may_pass: bool,
}

/// Why a place does not give its value.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    reason: String,
    may_pass: bool,
}

impl Trouble {
    fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_pass: false }
    }

    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_pass: true }
    }
}

#[derive(Clone, Debug)]
struct Kept {
    value: Value,
    read_at: Instant,
    is_doubted: bool,
}

/// The secrets of a project.
#[derive(Debug, Default)]
pub struct Secrets {
    places: RwLock<BTreeMap<String, Arc<Place>>>,
    kept: Mutex<HashMap<String, Kept>>,
    web: web::Web,
}

impl Secrets {
    /// Gives names their places, in the stead of all that were.
    pub fn place(&self, places: BTreeMap<String, Place>) {
        let places: BTreeMap<_, _> =
            places.into_iter().map(|(name, place)| (name, Arc::new(place))).collect();
        let mut now = self.places.write();
        self.kept.lock().retain(|name, _| places.get(name) == now.get(name));
        *now = places;
    }

    /// A secret's value.
    pub async fn get(&self, name: &str) -> Result<Value, Error> {
        let error = |trouble: Trouble| Error {
            name: name.to_string(),
            reason: trouble.reason,
            may_pass: trouble.may_pass,
        };
        let place = self.places.read().get(name).cloned();
        let place = place.ok_or_else(|| error(Trouble::lasting("it is not defined")))?;
        let ttl = match place.as_ref() {
            // Near enough to be asked each time.
            Place::Environment(variable) => {
                return near(&Place::Environment(variable.clone())).map_err(error);
            }
            Place::File(path) => return near(&Place::File(path.clone())).map_err(error),
            Place::KeyVault(vault) => vault.ttl,
            Place::Vault(vault) => vault.ttl,
        };
        let now = clock::instant();
        let kept = self.kept.lock().get(name).cloned();
        if let Some(kept) = &kept {
            let age = now.saturating_duration_since(kept.read_at);
            if age < ttl && !(kept.is_doubted && age >= REREAD_MIN) {
                return Ok(kept.value.clone());
            }
        }
        let read = match place.as_ref() {
            Place::KeyVault(vault) => self.web.key_vault(vault, self).await,
            Place::Vault(vault) => self.web.vault(vault, self).await,
            Place::Environment(_) | Place::File(_) => near(&place),
        };
        match (read, kept) {
            (Ok(value), _) => {
                let kept = Kept { value: value.clone(), read_at: now, is_doubted: false };
                self.kept.lock().insert(name.to_string(), kept);
                Ok(value)
            }
            (Err(trouble), Some(kept)) if trouble.may_pass => {
                tracing::warn!(secret = name, reason = trouble.reason, "could not be read again");
                Ok(kept.value)
            }
            (Err(trouble), _) => Err(error(trouble)),
        }
    }

    /// A value of a place that is near, for who logs in to one that is far away.
    fn near(&self, name: &str) -> Result<Value, Trouble> {
        let place = self.places.read().get(name).cloned();
        match place {
            Some(place) => near(&place).map_err(|trouble| Trouble {
                reason: format!("secret \"{name}\": {}", trouble.reason),
                ..trouble
            }),
            None => Err(Trouble::lasting(format!("secret \"{name}\" is not defined"))),
        }
    }

    /// A value turned out to be wrong: it is read again when it is needed next.
    pub fn doubt(&self, name: &str) {
        if let Some(kept) = self.kept.lock().get_mut(name) {
            kept.is_doubted = true;
        }
    }
}

fn near(place: &Place) -> Result<Value, Trouble> {
    match place {
        Place::Environment(variable) => from_environment(variable)
            .map(Value)
            .ok_or_else(|| Trouble::lasting(format!("there is no environment variable {variable}"))),
        Place::File(path) => from_file(path).map(Value).map_err(|error| {
            Trouble::passing(format!("could not read file {}: {}", path.display(), error.kind()))
        }),
        Place::KeyVault(_) | Place::Vault(_) => {
            Err(Trouble::lasting("a vault's own login is kept in the environment or in a file"))
        }
    }
}

/// An environment variable's value; `None` when it is not set or not text.
pub fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A file's text without its trailing line break.
pub fn from_file(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}

#[cfg(test)]
mod tests;
