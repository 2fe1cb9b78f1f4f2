//! A mail server that keeps what it is given, over plain connections or encrypted ones, from everybody or who logs in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};

/// A mail: whom it is for, and its text with `\n` at the ends of lines.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    pub to: Vec<String>,
    pub text: String,
    /// It came over an encrypted connection.
    pub encrypted: bool,
    /// Who had logged in.
    pub user: Option<String>,
}

/// What a mail server asks for.
#[derive(Clone, Default)]
pub struct Demands {
    /// So many mails are asked to come again, first.
    pub put_off: usize,
    /// The name and the password without which no mail is taken.
    pub login: Option<(String, String)>,
    /// How connections are encrypted.
    pub tls: Option<Tls>,
}

/// How connections are encrypted.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    /// From the first byte on, and not when asked by STARTTLS.
    at_once: bool,
}

impl Tls {
    /// With `name.crt` and `name.key` of a folder.
    pub fn of(folder: &Path, name: &str, at_once: bool) -> Self {
        let certificates = CertificateDer::pem_file_iter(folder.join(format!("{name}.crt"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates.collect::<Result<_, _>>().unwrap(), key)
            .unwrap();
        Self { config: Arc::new(config), at_once }
    }
}

/// Keeps mail; ends with the test's process.
pub struct Mailbox {
    pub address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// What came over connections that were not encrypted.
    heard: Arc<Mutex<String>>,
}

impl Mailbox {
    /// Asks the first `put_off` mails to come again.
    pub fn start(put_off: usize) -> Self {
        Self::demanding(Demands { put_off, ..Demands::default() })
    }

    pub fn demanding(demands: Demands) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mails, heard) = (Arc::<Mutex<Vec<Mail>>>::default(), Arc::<Mutex<String>>::default());
        let (kept, listening) = (Arc::clone(&mails), Arc::clone(&heard));
        let mut demands = demands;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who has gone needs no answer.
                let _ = Talk::new(stream, &mut demands, &listening).and_then(|talk| talk.run(&kept));
            }
        });
        Self { address, mails, heard }
    }

    /// What was taken, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    /// What anybody on the way could have read.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// The server's side of RFC 5321 (mail), 3207 (STARTTLS) and 4954 (AUTH).
struct Talk<'a> {
    wire: Box<dyn Wire>,
    /// The connection itself, until it is encrypted.
    plain: Option<TcpStream>,
    demands: &'a mut Demands,
    heard: &'a Mutex<String>,
    mail: Mail,
}

impl<'a> Talk<'a> {
    fn new(stream: TcpStream, demands: &'a mut Demands, heard: &'a Mutex<String>) -> io::Result<Self> {
        let (wire, plain) = (Box::new(stream.try_clone()?), Some(stream));
        let mut talk = Self { wire, plain, demands, heard, mail: Mail::default() };
        if talk.demands.tls.as_ref().is_some_and(|tls| tls.at_once) {
            talk.encrypt()?;
        }
        Ok(talk)
    }

    fn encrypt(&mut self) -> io::Result<()> {
        if let (Some(stream), Some(tls)) = (self.plain.take(), &self.demands.tls) {
            let server = ServerConnection::new(Arc::clone(&tls.config)).map_err(io::Error::other)?;
            self.wire = Box::new(StreamOwned::new(server, stream));
            self.mail.encrypted = true;
        }
        Ok(())
    }

    fn run(mut self, mails: &Mutex<Vec<Mail>>) -> io::Result<()> {
        let mut in_text = false;
        self.wire.write_all(b"220 test\r\n")?;
        while let Some(line) = self.line()? {
            if in_text && line != "." {
                self.mail.text.push_str(&line);
                self.mail.text.push('\n');
                continue;
            }
            let greeting = self.greeting();
            let words = line.split_once(':').map_or(line.as_str(), |(words, _)| words).to_uppercase();
            let answer = match words.split(' ').next().unwrap_or_default() {
                "." => {
                    in_text = false;
                    mails.lock().unwrap().push(self.mail.clone());
                    "250 kept"
                }
                "EHLO" => &greeting,
                "STARTTLS" => "220 go on",
                "AUTH" => self.log_in(&line),
                "MAIL" if self.demands.login.is_some() && self.mail.user.is_none() => "530 log in first",
                "MAIL" if self.demands.put_off > 0 => {
                    self.demands.put_off -= 1;
                    "451 come again"
                }
                "RCPT" => {
                    self.mail.to.extend(line.split_once(':').map(|(_, address)| address.trim().to_string()));
                    "250 known"
                }
                "DATA" => {
                    in_text = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                _ => "250 fine",
            };
            self.wire.write_all(format!("{answer}\r\n").as_bytes())?;
            self.wire.flush()?;
            if words == "STARTTLS" {
                self.encrypt()?;
            }
        }
        Ok(())
    }

    fn greeting(&self) -> String {
        let starttls = self.plain.is_some() && self.demands.tls.is_some();
        let lines = [(starttls, "STARTTLS"), (self.demands.login.is_some(), "AUTH PLAIN")];
        let offered = lines.iter().filter(|(is_offered, _)| *is_offered);
        offered.map(|(_, line)| format!("250-{line}\r\n")).collect::<String>() + "250 fine"
    }

    fn log_in(&mut self, line: &str) -> &'static str {
        let given = line.split(' ').nth(2).and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
        let given = String::from_utf8(given).unwrap_or_default();
        let mut parts = given.split('\0').skip(1);
        match (&self.demands.login, parts.next(), parts.next()) {
            (Some((name, password)), Some(user), Some(said)) if name == user && password == said => {
                self.mail.user = Some(user.to_string());
                "235 welcome"
            }
            _ => "535 wrong password",
        }
    }

    /// The next line; nothing at the end.
    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = vec![];
        let mut byte = [0];
        while self.wire.read(&mut byte)? == 1 {
            if byte == *b"\n" {
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_string();
                if self.plain.is_some() {
                    self.heard.lock().unwrap().push_str(&format!("{line}\n"));
                }
                return Ok(Some(line));
            }
            line.extend(byte);
        }
        Ok(None)
    }
}
