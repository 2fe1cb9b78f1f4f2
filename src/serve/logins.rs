//! Who may log in, and what it takes: users of the settings, and roles with LOGIN whose password is a secret.

use super::users::{ITERATIONS, Proof, Verifier, nobody, proof};
use crate::catalog::access::Access;
use crate::config::UserSettings;
use crate::ops::secret::{Secrets, Value};
use crate::sql::Password;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Who may log in.
#[derive(Debug, Default)]
pub struct Logins {
    users: Arc<BTreeMap<String, UserSettings>>,
    access: Arc<ArcSwap<Access>>,
    secrets: Arc<Secrets>,
    /// Verifiers of passwords that are secrets: making one is slow by design.
    made: Mutex<HashMap<String, (Value, Verifier)>>,
}

impl Logins {
    /// Users of the settings, roles as they are now, and where their passwords are.
    pub fn new(
        users: Arc<BTreeMap<String, UserSettings>>,
        access: Arc<ArcSwap<Access>>,
        secrets: Arc<Secrets>,
    ) -> Self {
        Self { users, access, secrets, made: Mutex::default() }
    }

    /// What a user who knocks from an address has to prove. Who cannot get in at all gets a verifier that nothing fits.
    pub(super) async fn proof(&self, user: &str, address: IpAddr) -> Proof {
        if self.users.contains_key(user) {
            return proof(&self.users, user, address);
        }
        let password = match self.access.load().roles().get(user) {
            Some(role) if role.login => role.password.clone(),
            _ => None,
        };
        let verifier = match password {
            Some(Password::Verifier(verifier)) => Verifier::parse(&verifier),
            Some(Password::Secret(secret)) => self.of_secret(user, &secret).await,
            Some(Password::None) | None => None,
        };
        Proof::Password(verifier.unwrap_or_else(|| nobody(user)))
    }

    async fn of_secret(&self, user: &str, secret: &str) -> Option<Verifier> {
        let value = match self.secrets.get(secret).await {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(user, %error, "nobody can log in as this role");
                return None;
            }
        };
        if let Some((of, verifier)) = self.made.lock().get(user)
            && *of == value
        {
            return Some(verifier.clone());
        }
        let password = value.clone();
        let made = tokio::task::spawn_blocking(move || match Verifier::parse(password.reveal()) {
            Some(verifier) => verifier,
            None => Verifier::of(password.reveal(), &rand::random::<[u8; 16]>(), ITERATIONS),
        });
        let verifier = made.await.ok()?;
        self.made.lock().insert(user.to_string(), (value, verifier.clone()));
        Some(verifier)
    }

    /// A login failed: the password may be another one by now.
    pub(super) fn failed(&self, user: &str) {
        if let Some(role) = self.access.load().roles().get(user)
            && let Some(Password::Secret(secret)) = &role.password
        {
            self.secrets.doubt(secret);
        }
    }

    /// True for who may be logged in.
    pub(super) fn may_log_in(&self, user: &str) -> bool {
        self.users.contains_key(user) || self.access.load().roles().get(user).is_some_and(|role| role.login)
    }
}
