//! A running server, spoken to as any client would: over the PostgreSQL protocol.

use anyhow::{Context as _, anyhow};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, SimpleQueryMessage, SimpleQueryRow};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Which server, and how to get in.
#[derive(Debug, Args)]
pub(super) struct ServerArguments {
    /// The running server; a password stands in the URL or in PGPASSWORD
    #[arg(
        long,
        value_name = "URL",
        env = "SLUICE_SERVER",
        default_value = "postgres://sluice@127.0.0.1:5433/sluice"
    )]
    server: String,
    /// Certificate authorities that the server's certificate may be of, beside those of the system
    #[arg(long, value_name = "PEM", env = "PGSSLROOTCERT")]
    ca: Option<PathBuf>,
}

/// Says one statement to the server; the rows that it answers with, as text.
pub(super) fn ask(arguments: &ServerArguments, statement: &str) -> anyhow::Result<Vec<SimpleQueryRow>> {
    let mut config: Config = arguments.server.parse().context("--server is no postgres:// URL")?;
    if let (None, Ok(password)) = (config.get_password(), std::env::var("PGPASSWORD")) {
        config.password(password);
    }
    config.application_name("sluice");
    let tls = tls(arguments.ca.as_deref(), config.get_ssl_mode())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = config
            .connect(tls)
            .await
            .map_err(|error| failure(&error))
            .context("could not connect to the server; give its address with --server")?;
        let running = tokio::spawn(connection);
        let outcome = client.simple_query(statement).await;
        drop(client);
        // What ended the connection is told by the statement's outcome.
        let _ = running.await;
        let messages = outcome.map_err(|error| failure(&error))?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        };
        anyhow::Ok(messages.into_iter().filter_map(row).collect())
    })
}

fn tls(ca: Option<&Path>, mode: SslMode) -> anyhow::Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    if mode != SslMode::Disable {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(path) = ca {
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("could not read {}", path.display()))?;
        roots.add_parsable_certificates(certificates);
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS is not available")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// An error as psql would say it.
fn failure(error: &tokio_postgres::Error) -> anyhow::Error {
    let Some(said) = error.as_db_error() else {
        return anyhow!(
            "{}",
            std::error::Error::source(error).map_or(error.to_string(), ToString::to_string)
        );
    };
    let more = [("detail", said.detail()), ("hint", said.hint())];
    let more = more.iter().filter_map(|(what, text)| Some(format!("\n{what}: {}", (*text)?)));
    anyhow!("{}{}", said.message(), more.collect::<String>())
}
