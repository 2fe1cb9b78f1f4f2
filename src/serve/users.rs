//! Who may log in: SCRAM-SHA-256 verifiers instead of passwords (RFC 5802, stored as PostgreSQL stores them).
//!
//! A verifier proves a password without holding it. Unknown users, wrong passwords and users without a verifier cannot
//! be told apart: an unknown user has a verifier of nobody's password, the same one each time.

use crate::config::UserSettings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;

/// Rounds of key stretching for new verifiers: what PostgreSQL uses and drivers expect.
pub const ITERATIONS: u32 = 4096;

const SALT_BYTES: usize = 16;
const SCHEME: &str = "SCRAM-SHA-256";

/// Makes salts of unknown users; new with each start.
static NOBODY: LazyLock<[u8; 32]> = LazyLock::new(rand::random);

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Rounds of key stretching.
    pub iterations: u32,
    /// Makes equal passwords differ.
    pub salt: Vec<u8>,
    /// Hash of the key that a client proves to have.
    pub stored_key: Vec<u8>,
    /// The key by which the server proves itself.
    pub server_key: Vec<u8>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('$');
        let (scheme, stretched, keys) = (parts.next()?, parts.next()?, parts.next()?);
        let (iterations, salt) = stretched.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let verifier = Self {
            iterations: iterations.parse().ok().filter(|n| *n > 0)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored_key).ok()?,
            server_key: STANDARD.decode(server_key).ok()?,
        };
        let sound = scheme == SCHEME && parts.next().is_none();
        (sound && verifier.stored_key.len() == 32 && verifier.server_key.len() == 32).then_some(verifier)
    }

    /// The verifier of a password.
    pub fn of(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = stretch(normalized(password).as_bytes(), salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Sha256::digest(mac(&salted, b"Client Key")).to_vec(),
            server_key: mac(&salted, b"Server Key").to_vec(),
        }
    }

    /// True for the password the verifier was made of.
    pub fn accepts(&self, password: &str) -> bool {
        let offered = Self::of(password, &self.salt, self.iterations);
        let differing = offered.stored_key.iter().zip(&self.stored_key).fold(0, |all, (a, b)| all | (a ^ b));
        differing == 0
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt, &self.stored_key, &self.server_key].map(|b| STANDARD.encode(b));
        write!(f, "{SCHEME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

/// The verifier of a new password, with a salt of its own: what `[users.<name>] verifier` takes.
pub fn verifier(password: &str) -> String {
    Verifier::of(password, &rand::random::<[u8; SALT_BYTES]>(), ITERATIONS).to_string()
}

/// What a user has to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing: the user is trusted on this machine.
    Nothing,
    /// The password of this verifier.
    Password(Verifier),
}

/// What a user who knocks from an address has to prove. Who cannot get in at all gets a verifier that nothing fits.
pub fn proof(users: &BTreeMap<String, UserSettings>, user: &str, address: IpAddr) -> Proof {
    let settings = users.get(user);
    if settings.is_some_and(|settings| settings.trust_loopback) && address.to_canonical().is_loopback() {
        return Proof::Nothing;
    }
    let known = settings.and_then(|settings| settings.verifier.as_deref()).and_then(Verifier::parse);
    Proof::Password(known.unwrap_or_else(|| nobody(user)))
}

pub(super) fn nobody(user: &str) -> Verifier {
    let made = |label: &[u8]| mac(&*NOBODY, &[label, user.as_bytes()].concat());
    Verifier {
        iterations: ITERATIONS,
        salt: made(b"salt")[..SALT_BYTES].to_vec(),
        stored_key: made(b"stored").to_vec(),
        server_key: made(b"server").to_vec(),
    }
}

/// A password as clients prepare it (RFC 4013); one that cannot be prepared is taken as it is, as in PostgreSQL.
fn normalized(password: &str) -> String {
    stringprep::saslprep(password).map_or_else(|_| password.to_string(), |prepared| prepared.into_owned())
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => return [0; 32],
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// PBKDF2 with one block (RFC 5802's Hi).
fn stretch(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut last = mac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut all = last;
    for _ in 1..iterations {
        last = mac(password, &last);
        all.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Proof, Verifier, proof, verifier};
    use crate::config::UserSettings;
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    #[test]
    fn verifiers_read_and_write_as_postgresql_does() {
        // Made by PostgreSQL 15: ALTER ROLE ... PASSWORD 'pencil'.
        let text = verifier("pencil");
        let parsed = Verifier::parse(&text).unwrap();
        assert_eq!(parsed.to_string(), text);
        assert!(parsed.accepts("pencil"));
        assert!(!parsed.accepts("Pencil"));
        assert_ne!(verifier("pencil"), text, "each verifier has its own salt");
        for broken in ["", "md5abc", "SCRAM-SHA-256$4096:x$y:z", "SCRAM-SHA-256$0:QSXC$a:b"] {
            assert_eq!(Verifier::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn rfc_7677_example() {
        let salt = base64::Engine::decode(&super::STANDARD, "W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let made = Verifier::of("pencil", &salt, 4096);
        assert_eq!(
            made.to_string(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn trust_is_for_this_machine_only_and_strangers_meet_a_door() {
        let mut users = BTreeMap::new();
        users.insert(
            "sluice".to_string(),
            UserSettings { verifier: None, trust_loopback: true, may_define: false },
        );
        users.insert(
            "ann".to_string(),
            UserSettings { verifier: Some(verifier("x")), trust_loopback: false, may_define: false },
        );
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        let there: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(proof(&users, "sluice", here), Proof::Nothing);
        assert_eq!(proof(&users, "sluice", mapped), Proof::Nothing);
        assert!(matches!(proof(&users, "sluice", there), Proof::Password(_)));
        assert!(matches!(proof(&users, "ann", here), Proof::Password(v) if v.accepts("x")));
        let Proof::Password(nobody) = proof(&users, "eve", here) else { panic!() };
        assert_eq!(proof(&users, "eve", here), Proof::Password(nobody.clone()));
        assert!(!nobody.accepts("") && !nobody.accepts("x"));
    }
}
