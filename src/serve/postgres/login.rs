//! From a connection to a session: start-up read, the user proven.
//!
//! Failure: FATAL and the end of the connection. A user who is not known and a password that is not right look the same.

use super::cancel::CancelKeys;
use super::frame::{Broken, Inbox, Message, Opening};
use super::guesses::Guesses;
use super::outbox::{Outbox, Severity};
use crate::engine::DATABASE;
use crate::ops::clock;
use crate::serve::backends::Peer;
use crate::serve::session::Session;
use crate::serve::settings::is_other_encoding;
use crate::serve::users::{Proof, Verifier};
use crate::serve::{Error, Readers};
use bytes::{Buf, Bytes};
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};
use std::net::SocketAddr;

/// What the audit log calls it.
const PROTOCOL: &str = "postgres";
/// The newest version 3 that is spoken. There is no 3.1 of its own.
const MINOR_MAX: u16 = 2;
/// Bytes of a cancel key up to protocol 3.1, and from 3.2 on, as PostgreSQL 18 makes them.
const KEY_BYTES: usize = 4;
const LONG_KEY_BYTES: usize = 32;
const MECHANISM: &str = "SCRAM-SHA-256";
/// The same, bound to the certificate of the connection: nobody in between can pass it on.
const MECHANISM_BOUND: &str = "SCRAM-SHA-256-PLUS";

/// How a login ended.
pub(super) enum Login {
    /// With a session, and the length of its cancel key.
    Session(Box<Session>, usize),
    /// With a cancel request, which has been passed on.
    Cancelled,
}

/// What a client asked for.
struct Request {
    user: String,
    database: String,
    settings: Vec<(String, String)>,
    /// Of the protocol that is spoken.
    minor: u16,
}

/// Logs a client in. `certificate` encrypts the connection, if it is encrypted.
pub(super) async fn login(
    inbox: &mut Inbox,
    outbox: &mut Outbox,
    address: SocketAddr,
    certificate: Option<&Vec<u8>>,
    readers: &Readers,
    keys: &CancelKeys,
    guesses: &Guesses,
) -> Result<Login, Broken> {
    let Some(request) = start(inbox, outbox, keys).await? else { return Ok(Login::Cancelled) };
    let user = request.user.clone();
    let login = session(inbox, outbox, address, certificate, readers, guesses, request).await;
    if let Err(Broken::Fatal(error)) = &login {
        readers.audit.refused(PROTOCOL, address.ip(), &user, error);
    }
    login
}

/// Has a client prove who it says to be.
async fn session(
    inbox: &mut Inbox,
    outbox: &mut Outbox,
    address: SocketAddr,
    certificate: Option<&Vec<u8>>,
    readers: &Readers,
    guesses: &Guesses,
    request: Request,
) -> Result<Login, Broken> {
    if certificate.is_none() && readers.tls.as_ref().is_some_and(|tls| tls.is_required()) {
        let error = Error::new("28000", "connections to this server must be encrypted");
        return Err(Broken::Fatal(error.with_hint("Connect with sslmode=require, or better verify-full.")));
    }
    match readers.logins.proof(&request.user, address.ip()).await {
        Proof::Nothing => {}
        Proof::Password(verifier) => {
            let may_try = guesses.may_try(address.ip(), &request.user, clock::instant());
            let proven = scram(inbox, outbox, verifier, certificate).await?;
            if !(proven && may_try) {
                guesses.failed(address.ip(), &request.user, clock::instant());
                readers.logins.failed(&request.user);
                let message = format!("password authentication failed for user \"{}\"", request.user);
                return Err(Broken::Fatal(Error::new("28P01", message)));
            }
            guesses.succeeded(address.ip(), &request.user);
        }
    }
    if request.database != DATABASE {
        let message = format!("database \"{}\" does not exist", request.database);
        return Err(Broken::Fatal(
            Error::new("3D000", message).with_hint(format!("The database is called {DATABASE}.")),
        ));
    }
    let peer = Peer { protocol: PROTOCOL, address: Some(address) };
    let session = Session::new(readers.clone(), &request.user, peer);
    outbox.add(PgWireBackendMessage::Authentication(Authentication::Ok));
    for (name, value) in &request.settings {
        let set = session.settings().lock().set_initial(name, value);
        match set {
            // psql on a Windows console asks for that of its code page, and goes by what it is told that it gets.
            Err(_) if name.eq_ignore_ascii_case("client_encoding") && is_other_encoding(value) => {
                let warning = Error::new("01000", format!("client_encoding is UTF8 instead of \"{value}\""));
                let hint = "Set PGCLIENTENCODING=UTF8; on Windows, \"chcp 65001\" shows it.";
                outbox.notice(&warning.with_hint(hint), Severity::Warning);
            }
            set => set.map_err(Broken::Fatal)?,
        }
    }
    let key_bytes = if request.minor >= 2 { LONG_KEY_BYTES } else { KEY_BYTES };
    Ok(Login::Session(Box::new(session), key_bytes))
}

/// Reads what comes before a session.
async fn start(inbox: &mut Inbox, outbox: &mut Outbox, keys: &CancelKeys) -> Result<Option<Request>, Broken> {
    match inbox.opening().await? {
        Opening::Encryption => Err(Broken::Fatal(Error::new("08P01", "too many requests for encryption"))),
        Opening::Cancel { process_id, secret } => {
            keys.cancel(process_id, secret);
            Ok(None)
        }
        Opening::Startup { major: 3, minor, parameters } => {
            let (options, parameters): (Vec<_>, Vec<_>) =
                parameters.into_iter().partition(|(name, _)| name.starts_with("_pq_."));
            let spoken = minor.min(MINOR_MAX);
            if minor > MINOR_MAX || !options.is_empty() {
                let options = options.into_iter().map(|(name, _)| name).collect();
                let version = (3 << 16) | i32::from(spoken);
                let answer = NegotiateProtocolVersion::new(version, options);
                outbox.add(PgWireBackendMessage::NegotiateProtocolVersion(answer));
            }
            request(parameters, spoken).map(Some).map_err(Broken::Fatal)
        }
        Opening::Startup { major, minor, .. } => {
            let message = format!(
                "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{MINOR_MAX}"
            );
            Err(Broken::Fatal(Error::new("0A000", message)))
        }
    }
}

fn request(parameters: Vec<(String, String)>, minor: u16) -> Result<Request, Error> {
    let mut settings = Vec::new();
    let (mut user, mut database) = (None, None);
    for (name, value) in parameters {
        match name.as_str() {
            "user" => user = Some(value),
            "database" => database = Some(value),
            "options" => settings.extend(command_line(&value)?),
            "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
            "replication" => return Err(Error::new("0A000", "replication connections are not supported")),
            _ => settings.push((name, value)),
        }
    }
    let user = user.filter(|user| !user.is_empty());
    let user =
        user.ok_or_else(|| Error::new("28000", "no PostgreSQL user name specified in startup packet"))?;
    let database = database.filter(|name| !name.is_empty()).unwrap_or_else(|| user.clone());
    Ok(Request { user, database, settings, minor })
}

/// `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps the character after it.
fn command_line(options: &str) -> Result<Vec<(String, String)>, Error> {
    let mut words: Vec<String> = Vec::new();
    let mut word = None;
    let mut letters = options.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\\' => word.get_or_insert_with(String::new).extend(letters.next()),
            letter => word.get_or_insert_with(String::new).push(letter),
        }
    }
    words.extend(word);
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let assignment = match word.as_str() {
            "-c" => words.next(),
            word => word.strip_prefix("--").or(word.strip_prefix("-c")).map(str::to_string),
        };
        let pair = assignment.as_deref().and_then(|assignment| assignment.split_once('='));
        match pair {
            Some((name, value)) => settings.push((name.replace('-', "_"), value.to_string())),
            None => {
                return Err(Error::new(
                    "42601",
                    format!("invalid command-line argument for server process: {word}"),
                ));
            }
        }
    }
    Ok(settings)
}

/// SCRAM-SHA-256 (RFC 5802). False if the password is not the verifier's.
async fn scram(
    inbox: &mut Inbox,
    outbox: &mut Outbox,
    verifier: Verifier,
    certificate: Option<&Vec<u8>>,
) -> Result<bool, Broken> {
    let mut server = ScramServerAuth::new();
    let mut mechanisms = vec![MECHANISM.to_string()];
    // What is signed in a way that has no hash of its own cannot be bound to.
    if certificate.is_some_and(|pem| server.configure_certificate(pem).is_ok()) {
        mechanisms.insert(0, MECHANISM_BOUND.to_string());
    }
    outbox.add(PgWireBackendMessage::Authentication(Authentication::SASL(mechanisms.clone())));
    outbox.flush().await?;
    let first = first_response(answer(inbox).await?, &mechanisms)?;
    let secret = ScramSecret::Verifier {
        salt: verifier.salt,
        iterations: verifier.iterations as usize,
        stored_key: verifier.stored_key,
        server_key: verifier.server_key,
    };
    let (challenge, exchange) =
        server.on_client_first_message_with_secret(&first, secret).map_err(|_| not_scram())?;
    outbox.add(PgWireBackendMessage::Authentication(Authentication::SASLContinue(challenge.into())));
    outbox.flush().await?;
    let last = answer(inbox).await?;
    let Ok(proof) = exchange.on_client_final_message(&last) else { return Ok(false) };
    outbox.add(PgWireBackendMessage::Authentication(Authentication::SASLFinal(proof.into())));
    Ok(true)
}

async fn answer(inbox: &mut Inbox) -> Result<Bytes, Broken> {
    match inbox.next().await? {
        Message::Password(body) => Ok(body),
        Message::Terminate => Err(Broken::Gone),
        _ => Err(Broken::Fatal(Error::new("08P01", "expected SASL response"))),
    }
}

/// `SASLInitialResponse`: the mechanism's name, then the length of its first message and the message.
fn first_response(mut body: Bytes, mechanisms: &[String]) -> Result<Bytes, Broken> {
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(not_scram)?;
    let mechanism = body.split_to(end);
    body.advance(1);
    if !mechanisms.iter().any(|offered| mechanism == offered.as_bytes()) {
        return Err(Broken::Fatal(Error::new(
            "08P01",
            "client selected an invalid SASL authentication mechanism",
        )));
    }
    if body.remaining() < 4 {
        return Err(not_scram());
    }
    let length = body.get_i32();
    // Who is bound says so in the message, too.
    let bound = mechanism == MECHANISM_BOUND.as_bytes();
    let fits = usize::try_from(length) == Ok(body.len()) && body.starts_with(b"p=") == bound;
    if fits { Ok(body) } else { Err(not_scram()) }
}

fn not_scram() -> Broken {
    Broken::Fatal(Error::new("08P01", "malformed SCRAM message"))
}

#[cfg(test)]
mod tests {
    use super::command_line;

    #[test]
    fn options() {
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(
            command_line(r"-c a=1  -cb=x\ y --statement-timeout=5s").unwrap(),
            [pair("a", "1"), pair("b", "x y"), pair("statement_timeout", "5s")]
        );
        assert!(command_line("-d 5").is_err());
    }
}
