//! Who is calling: basic credentials, bearer tokens, trust in loopback.
//!
//! Comes in: the `authorization` header and whether the peer is this machine. Goes out: the user's name, or 28P01 /
//! 28000. A password is only ever compared through its SCRAM verifier (RFC 5803); an unknown user costs as much time as
//! a known one. Tokens are random, expire when unused and are bounded in number.

use super::shelf::{Shelf, random_key};
use crate::config::UserSettings;
use crate::ops::clock;
use crate::serve::Error;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The user that a call from this machine without credentials acts as, if it is trusted.
const DEFAULT_USER: &str = "sluice";
/// Bearer tokens alive at a time.
const TOKENS_MAX: usize = 4096;
/// How long an unused token lives: a working day, so that a notebook survives lunch.
const TOKEN_IDLE_MAX: Duration = Duration::from_secs(8 * 3600);
/// Passwords that were just found right and need no second derivation.
const PROVEN_MAX: usize = 1024;
/// How long they are remembered when unused.
const PROVEN_IDLE_MAX: Duration = Duration::from_secs(60);
/// Derivations that may run at once: they are slow by design.
const CHECKS_MAX: usize = 2;
/// Checked in place of an unknown user's verifier, so that names cannot be told apart by time.
const NOBODY: &str = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// What a call shows of its caller.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// A name and a password.
    Basic { user: String, password: String },
    /// A token that was handed out before.
    Bearer(String),
}

impl Credentials {
    /// Reads an `authorization` header.
    pub(crate) fn from_header(header: Option<&str>) -> Result<Self, Error> {
        let Some(header) = header else { return Ok(Self::None) };
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Self::Bearer(rest.to_string()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Error::new("28000", "authorization scheme is not supported")
                .with_hint("Use basic credentials or a bearer token."));
        }
        let malformed = || Error::new("28000", "basic credentials are not base64 of name:password");
        // Some clients leave the padding out.
        let bytes = STANDARD
            .decode(rest)
            .or_else(|_| URL_SAFE_NO_PAD.decode(rest.trim_end_matches('=')))
            .map_err(|_| malformed())?;
        let text = String::from_utf8(bytes).map_err(|_| malformed())?;
        let (user, password) = text.split_once(':').ok_or_else(malformed)?;
        Ok(Self::Basic { user: user.to_string(), password: password.to_string() })
    }
}

/// Lets callers in.
pub(crate) struct Gate {
    users: Arc<BTreeMap<String, UserSettings>>,
    tokens: Mutex<Shelf<String>>,
    proven: Mutex<Shelf<()>>,
    proven_key: Vec<u8>,
    checks: Semaphore,
}

impl Gate {
    /// A gate for these users.
    pub(crate) fn new(users: Arc<BTreeMap<String, UserSettings>>) -> Self {
        Self {
            users,
            tokens: Mutex::new(Shelf::new(TOKENS_MAX, TOKEN_IDLE_MAX)),
            proven: Mutex::new(Shelf::new(PROVEN_MAX, PROVEN_IDLE_MAX)),
            proven_key: random_key(),
            checks: Semaphore::new(CHECKS_MAX),
        }
    }

    /// The caller's user name.
    pub(crate) async fn admit(&self, credentials: Credentials, loopback: bool) -> Result<String, Error> {
        match credentials {
            Credentials::None if self.trusted(DEFAULT_USER, loopback) => Ok(DEFAULT_USER.to_string()),
            Credentials::None => Err(Error::new("28000", "no credentials were given")
                .with_hint("Give a user name and a password, or a bearer token from a handshake.")),
            Credentials::Bearer(token) => {
                self.tokens.lock().get(token.as_bytes(), clock::instant()).cloned().ok_or_else(|| {
                    Error::new("28000", "bearer token is unknown or has expired").with_hint("Log in again.")
                })
            }
            Credentials::Basic { user, .. } if self.trusted(&user, loopback) => Ok(user),
            Credentials::Basic { user, password } => {
                if self.password_is_right(&user, password).await {
                    Ok(user)
                } else {
                    tracing::warn!(user, "password authentication failed");
                    Err(Error::new("28P01", format!("password authentication failed for user \"{user}\"")))
                }
            }
        }
    }

    /// A fresh token for a user who was let in.
    pub(crate) fn token(&self, user: &str) -> String {
        let token = URL_SAFE_NO_PAD.encode(random_key());
        self.tokens.lock().put(token.clone().into_bytes(), user.to_string(), clock::instant());
        token
    }

    fn trusted(&self, user: &str, loopback: bool) -> bool {
        loopback && self.users.get(user).is_some_and(|settings| settings.trust_loopback)
    }

    async fn password_is_right(&self, user: &str, password: String) -> bool {
        let mark = self.mark(user, &password);
        if self.proven.lock().get(&mark, clock::instant()).is_some() {
            return true;
        }
        let Ok(_permit) = self.checks.acquire().await else { return false };
        let verifier = self.users.get(user).and_then(|settings| settings.verifier.clone());
        let known = verifier.is_some();
        let verifier = verifier.unwrap_or_else(|| NOBODY.to_string());
        let right = tokio::task::spawn_blocking(move || matches_verifier(&verifier, &password)).await;
        let right = matches!(right, Ok(true)) && known;
        if right {
            self.proven.lock().put(mark, (), clock::instant());
        }
        right
    }

    /// What a proven password is remembered by: of no use outside this process.
    fn mark(&self, user: &str, password: &str) -> Vec<u8> {
        hmac(&self.proven_key, &[user.as_bytes(), &[0], password.as_bytes()])
    }
}

/// Whether a password is the one that a `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>` was made from.
fn matches_verifier(verifier: &str, password: &str) -> bool {
    let Some((iterations, salt, stored_key)) = parse_verifier(verifier) else { return false };
    let salted = derive(password.as_bytes(), &salt, iterations);
    let stored: Vec<u8> = Sha256::digest(hmac(&salted, &[b"Client Key"])).to_vec();
    // Compared through a keyed hash, so that time tells nothing about where they differ.
    let key = random_key();
    hmac(&key, &[&stored]) == hmac(&key, &[&stored_key])
}

fn parse_verifier(verifier: &str) -> Option<(u32, Vec<u8>, Vec<u8>)> {
    let rest = verifier.strip_prefix("SCRAM-SHA-256$")?;
    let (head, keys) = rest.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored, _) = keys.split_once(':')?;
    Some((iterations.parse().ok()?, STANDARD.decode(salt).ok()?, STANDARD.decode(stored).ok()?))
}

/// PBKDF2-HMAC-SHA-256 with one block of output, `Hi` of RFC 5802.
fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut block = hmac(password, &[salt, &1u32.to_be_bytes()]);
    let mut result = block.clone();
    for _ in 1..iterations {
        block = hmac(password, &[&block]);
        for (byte, with) in result.iter_mut().zip(&block) {
            *byte ^= with;
        }
    }
    result
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // A key of any length is taken: the error cannot come, and an empty hash equals no real one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// A verifier for tests.
#[cfg(test)]
pub(crate) fn verifier_for(password: &str) -> String {
    let salted = derive(password.as_bytes(), b"0123456789abcdef", 4096);
    let stored = STANDARD.encode(Sha256::digest(hmac(&salted, &[b"Client Key"])));
    let server = STANDARD.encode(hmac(&salted, &[b"Server Key"]));
    format!("SCRAM-SHA-256$4096:{}${stored}:{server}", STANDARD.encode(b"0123456789abcdef"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(verifier: Option<String>, trust_loopback: bool) -> Gate {
        let users = [("sluice".to_string(), UserSettings { verifier, trust_loopback })];
        Gate::new(Arc::new(users.into_iter().collect()))
    }

    fn basic(user: &str, password: &str) -> Credentials {
        let header = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Credentials::from_header(Some(&header)).unwrap()
    }

    /// The signature in RFC 7677 section 3 is made with the server key, so the derivation is checked against the RFC.
    #[test]
    fn keys_agree_with_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = derive(b"pencil", &salt, 4096);
        let server_key = hmac(&salted, &[b"Server Key"]);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = STANDARD.encode(hmac(&server_key, &[message.as_bytes()]));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_verifier_knows_its_password() {
        assert!(matches_verifier(&verifier_for("pencil"), "pencil"));
        assert!(!matches_verifier(&verifier_for("pencil"), "Pencil"));
        assert!(!matches_verifier("", "pencil"));
        assert!(!matches_verifier("SCRAM-SHA-256$x:y$z", ""));
        assert!(parse_verifier(NOBODY).is_some());
    }

    #[tokio::test]
    async fn passwords_are_asked_for_unless_the_peer_is_trusted() {
        let gate = gate(Some(verifier_for("pencil")), false);
        assert_eq!(gate.admit(basic("sluice", "pencil"), false).await.unwrap(), "sluice");
        // The second time it is remembered; a wrong one still is wrong.
        assert_eq!(gate.admit(basic("sluice", "pencil"), true).await.unwrap(), "sluice");
        assert_eq!(gate.admit(basic("sluice", "pen"), true).await.unwrap_err().code, "28P01");
        assert_eq!(gate.admit(basic("nobody", "pencil"), true).await.unwrap_err().code, "28P01");
        assert_eq!(gate.admit(Credentials::None, true).await.unwrap_err().code, "28000");
    }

    #[tokio::test]
    async fn trust_is_for_loopback_and_for_who_has_it() {
        let gate = gate(None, true);
        assert_eq!(gate.admit(Credentials::None, true).await.unwrap(), "sluice");
        assert_eq!(gate.admit(basic("sluice", "anything"), true).await.unwrap(), "sluice");
        assert!(gate.admit(Credentials::None, false).await.is_err());
        assert!(gate.admit(basic("sluice", ""), false).await.is_err());
        assert!(gate.admit(basic("other", ""), true).await.is_err());
    }

    #[tokio::test]
    async fn tokens_stand_for_the_user_they_were_given_to() {
        let gate = gate(None, true);
        let token = gate.token("sluice");
        let header = format!("bearer {token}");
        let credentials = Credentials::from_header(Some(&header)).unwrap();
        assert_eq!(gate.admit(credentials, false).await.unwrap(), "sluice");
        assert!(gate.admit(Credentials::Bearer("guess".into()), true).await.is_err());
    }

    #[test]
    fn headers_that_are_not_credentials_are_refused() {
        for header in ["", "Basic", "Basic !!!", "Digest abc", "Basic bm9jb2xvbg=="] {
            assert!(Credentials::from_header(Some(header)).is_err(), "{header}");
        }
    }
}
