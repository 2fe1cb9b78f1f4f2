//! Encryption: the certificate that clients see, taken anew when its files change.
//!
//! Comes in: paths of PEM files. Goes out: what encrypts a connection, TLS 1.2 or newer. Fails closed: a server whose
//! certificate cannot be read does not start. One that cannot be read later is logged, and the one before stays.

use crate::config::TlsSettings;
use parking_lot::Mutex;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// What a client that speaks TLS from its first byte names (ALPN).
pub const ALPN: &[u8] = b"postgresql";
/// What gRPC names.
const ALPN_HTTP2: &[u8] = b"h2";
/// The first byte of a client that begins with TLS.
pub const HANDSHAKE: u8 = 0x16;

/// What one connection is encrypted with.
#[derive(Clone)]
pub struct Offer {
    /// Encrypts it for the PostgreSQL protocol.
    pub acceptor: TlsAcceptor,
    /// Encrypts it for gRPC.
    pub http2: TlsAcceptor,
    /// The certificate's PEM file, to which a login can be bound.
    pub certificate: Arc<Vec<u8>>,
}

/// Encrypts connections.
pub struct Tls {
    settings: TlsSettings,
    current: Mutex<Current>,
}

struct Current {
    offer: Offer,
    /// When each file was last changed.
    changed: Vec<Option<SystemTime>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificate and its key; says which file is wrong.
    pub fn load(settings: TlsSettings) -> Result<Self, String> {
        let current = Mutex::new(Current::load(&settings)?);
        Ok(Self { settings, current })
    }

    /// Whether clients must encrypt.
    pub fn is_required(&self) -> bool {
        self.settings.required
    }

    /// What encrypts a connection that begins now.
    pub fn offer(&self) -> Offer {
        let mut current = self.current.lock();
        let changed = changed(&self.settings);
        if changed != current.changed {
            match Current::load(&self.settings) {
                Ok(loaded) => {
                    tracing::info!("TLS certificate read anew");
                    *current = loaded;
                }
                Err(error) => {
                    tracing::error!("the TLS certificate stays as it was: {error}");
                    // Said once a change, not once a connection.
                    current.changed = changed;
                }
            }
        }
        current.offer.clone()
    }
}

impl Current {
    fn load(settings: &TlsSettings) -> Result<Self, String> {
        // Taken before the files are read: a change meanwhile is seen by the next connection.
        let changed = changed(settings);
        let config = config(settings)?;
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsAcceptor::from(Arc::new(config))
        };
        let (acceptor, http2) = (speaking(ALPN), speaking(ALPN_HTTP2));
        let certificate = std::fs::read(&settings.certificate).map_err(|error| error.to_string())?;
        Ok(Self { offer: Offer { acceptor, http2, certificate: Arc::new(certificate) }, changed })
    }
}

fn changed(settings: &TlsSettings) -> Vec<Option<SystemTime>> {
    let files = [Some(&settings.certificate), Some(&settings.key), settings.client_ca.as_ref()];
    let files = files.into_iter().flatten();
    files.map(|file| std::fs::metadata(file).and_then(|found| found.modified()).ok()).collect()
}

fn config(settings: &TlsSettings) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|error| format!("the TLS key {} could not be read: {error}", settings.key.display()))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable = |error: &dyn fmt::Display| {
                format!("the certificates of clients' authorities {} cannot be used: {error}", path.display())
            };
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|error| unusable(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| unusable(&error))?)
        }
    };
    builder.with_single_cert(chain, key).map_err(|error| {
        let (certificate, key) = (settings.certificate.display(), settings.key.display());
        format!("the TLS certificate {certificate} and the key {key} do not go together: {error}")
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error: &dyn fmt::Display| {
        format!("the TLS certificate {} could not be read: {error}", path.display())
    };
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    if chain.is_empty() { Err(unreadable(&"it holds no certificate")) } else { Ok(chain) }
}
