//! Who is calling: basic credentials, bearer tokens, trust in loopback.
//!
//! Comes in: the `authorization` header and the peer's address. Goes out: the user's name, or 28P01 / 28000. A password
//! is only ever compared through its verifier; an unknown user costs as much time as a known one. Tokens are random,
//! expire when unused and are bounded in number.

use super::Error;
use super::logins::Logins;
use super::shelf::{Shelf, random_key};
use super::users::{Proof, Verifier};
use crate::ops::clock;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The user that a call from this machine without credentials acts as, if it is trusted.
pub(crate) const DEFAULT_USER: &str = "sluice";
/// Bearer tokens alive at a time.
const TOKENS_MAX: usize = 4096;
/// Passwords that were just found right and need no second derivation.
const PROVEN_MAX: usize = 1024;
/// How long they are remembered when unused.
const PROVEN_IDLE_MAX: Duration = Duration::from_secs(60);
/// Derivations that may run at once: they are slow by design.
const CHECKS_MAX: usize = 2;
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

    /// Who the caller says to be; nobody without a name.
    pub(crate) fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } => user,
            Self::None | Self::Bearer(_) => "",
        }
    }
}

/// Lets callers in.
pub(crate) struct Gate {
    logins: Arc<Logins>,
    tokens: Mutex<Shelf<String>>,
    proven: Mutex<Shelf<()>>,
    proven_key: Vec<u8>,
    checks: Semaphore,
}

impl Gate {
    /// A gate for these users, whose tokens expire when they are not used for `token_idle_max`.
    pub(crate) fn new(logins: Arc<Logins>, token_idle_max: Duration) -> Self {
        Self {
            logins,
            tokens: Mutex::new(Shelf::new(TOKENS_MAX, token_idle_max)),
            proven: Mutex::new(Shelf::new(PROVEN_MAX, PROVEN_IDLE_MAX)),
            proven_key: random_key(),
            checks: Semaphore::new(CHECKS_MAX),
        }
    }

    /// The caller's user name.
    pub(crate) async fn admit(&self, credentials: Credentials, peer: IpAddr) -> Result<String, Error> {
        match credentials {
            Credentials::None => match self.logins.proof(DEFAULT_USER, peer).await {
                Proof::Nothing => Ok(DEFAULT_USER.to_string()),
                Proof::Password(_) => Err(Error::new("28000", "no credentials were given")
                    .with_hint("Give a user name and a password, or a bearer token from a handshake.")),
            },
            Credentials::Bearer(token) => {
                let user = self.tokens.lock().get(token.as_bytes(), clock::instant()).cloned();
                let user = user.filter(|user| self.logins.may_log_in(user));
                user.ok_or_else(|| {
                    Error::new("28000", "bearer token is unknown or has expired").with_hint("Log in again.")
                })
            }
            Credentials::Basic { user, password } => {
                if self.proves(&user, password, peer).await {
                    Ok(user)
                } else {
                    tracing::warn!(user, %peer, "password authentication failed");
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

    async fn proves(&self, user: &str, password: String, peer: IpAddr) -> bool {
        let Proof::Password(verifier) = self.logins.proof(user, peer).await else { return true };
        let mark = self.mark(user, &password, &verifier);
        if self.proven.lock().get(&mark, clock::instant()).is_some() {
            return true;
        }
        let Ok(_permit) = self.checks.acquire().await else { return false };
        let right = tokio::task::spawn_blocking(move || verifier.accepts(&password)).await.unwrap_or(false);
        if !right {
            self.logins.failed(user);
        } else {
            self.proven.lock().put(mark, (), clock::instant());
        }
        right
    }

    /// What a proven password is remembered by: of no use outside this process.
    fn mark(&self, user: &str, password: &str, verifier: &Verifier) -> Vec<u8> {
        // A key of any length is taken: the error cannot come.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.proven_key) else { return random_key() };
        for part in [user.as_bytes(), &[0], verifier.stored_key.as_slice(), password.as_bytes()] {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::super::users::verifier;
    use super::*;
    use crate::config::UserSettings;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn gate(verifier: Option<String>, trust_loopback: bool) -> Gate {
        let users = [("sluice".to_string(), UserSettings { verifier, trust_loopback, may_define: false })];
        let logins = Logins::new(Arc::new(users.into_iter().collect()), Arc::default(), Arc::default());
        Gate::new(Arc::new(logins), Duration::from_secs(60))
    }

    fn basic(user: &str, password: &str) -> Credentials {
        let header = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Credentials::from_header(Some(&header)).unwrap()
    }

    #[tokio::test]
    async fn passwords_are_asked_for_unless_the_peer_is_trusted() {
        let gate = gate(Some(verifier("pencil")), false);
        assert_eq!(gate.admit(basic("sluice", "pencil"), THERE).await.unwrap(), "sluice");
        // The second time it is remembered; a wrong one still is wrong.
        assert_eq!(gate.admit(basic("sluice", "pencil"), HERE).await.unwrap(), "sluice");
        assert_eq!(gate.admit(basic("sluice", "pen"), HERE).await.unwrap_err().code, "28P01");
        assert_eq!(gate.admit(basic("nobody", "pencil"), HERE).await.unwrap_err().code, "28P01");
        assert_eq!(gate.admit(Credentials::None, HERE).await.unwrap_err().code, "28000");
    }

    #[tokio::test]
    async fn trust_is_for_loopback_and_for_who_has_it() {
        let gate = gate(None, true);
        assert_eq!(gate.admit(Credentials::None, HERE).await.unwrap(), "sluice");
        assert_eq!(gate.admit(basic("sluice", "anything"), HERE).await.unwrap(), "sluice");
        assert!(gate.admit(Credentials::None, THERE).await.is_err());
        assert!(gate.admit(basic("sluice", ""), THERE).await.is_err());
        assert!(gate.admit(basic("other", ""), HERE).await.is_err());
    }

    #[tokio::test]
    async fn tokens_stand_for_the_user_they_were_given_to() {
        let gate = gate(None, true);
        let token = gate.token("sluice");
        let header = format!("bearer {token}");
        let credentials = Credentials::from_header(Some(&header)).unwrap();
        assert_eq!(gate.admit(credentials, THERE).await.unwrap(), "sluice");
        assert!(gate.admit(Credentials::Bearer("guess".into()), HERE).await.is_err());

        let hasty = Gate::new(Arc::clone(&gate.logins), Duration::ZERO);
        let expired = Credentials::Bearer(hasty.token("sluice"));
        let error = hasty.admit(expired, HERE).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), ("28000", "bearer token is unknown or has expired"));
    }

    #[test]
    fn headers_that_are_not_credentials_are_refused() {
        for header in ["", "Basic", "Basic !!!", "Digest abc", "Basic bm9jb2xvbg=="] {
            assert!(Credentials::from_header(Some(header)).is_err(), "{header}");
        }
    }
}
