//! Encrypted connections, by psql: who must, who may, and certificates that change while the server runs.

use crate::support::pg::describe;
use crate::support::{READY, Server, Warehouse, needs, trial};
use libtest_mimic::Trial;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_postgres::Error;
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

pub fn trials() -> Vec<Trial> {
    needs::openssl(needs::psql(vec![
        trial("encryption::is_asked_for_and_checked", is_asked_for_and_checked),
        trial("encryption::a_new_certificate_is_taken", a_new_certificate_is_taken),
        trial("encryption::a_login_is_bound_to_the_certificate", a_login_is_bound_to_the_certificate),
        trial("encryption::clients_may_begin_with_tls", clients_may_begin_with_tls),
        trial("encryption::each_port_speaks_its_own_protocol", each_port_speaks_its_own_protocol),
        trial("encryption::clients_show_certificates", clients_show_certificates),
        trial("encryption::fails_closed", fails_closed),
        trial("encryption::as_the_readme_says_for_power_bi", as_the_readme_says_for_power_bi),
    ]))
}

const USER: &str = "[users.sluice]\ntrust_loopback = true\n";
const TLS: &str = "[tls]\ncertificate = \"tls/server.crt\"\nkey = \"tls/server.key\"\n";

/// A project with an authority of its own under `tls/`, and a server's certificate of it.
pub fn warehouse(settings: &str) -> Warehouse {
    let warehouse = Warehouse::new();
    fs::create_dir_all(warehouse.project().join("tls")).unwrap();
    let tls = warehouse.project().join("tls");
    authority(&tls, "ca");
    certificate(&tls, "ca", "server", "subjectAltName=IP:127.0.0.1");
    warehouse.write("catalog/warehouse.toml", format!("{USER}{TLS}{settings}"));
    warehouse
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let new =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let output = Command::new("openssl").current_dir(folder).args(new).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn authority(folder: &Path, name: &str) {
    let (key, out, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
    openssl(folder, &["-keyout", &key, "-out", &out, "-subj", &subject]);
}

pub fn certificate(folder: &Path, authority: &str, name: &str, extension: &str) {
    let (ca, ca_key) = (format!("{authority}.crt"), format!("{authority}.key"));
    let (key, out, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
    let files = ["-CA", &ca, "-CAkey", &ca_key, "-keyout", &key, "-out", &out, "-subj", &subject];
    openssl(
        folder,
        &[&files[..], &["-addext", "basicConstraints=critical,CA:FALSE", "-addext", extension]].concat(),
    );
}

/// What psql says, or why it could not.
fn psql(server: &Server, options: &str, command: &str) -> Result<String, String> {
    let (host, port) = (server.pg.ip(), server.pg.port());
    let target = format!(
        "host={host} port={port} user=sluice dbname=sluice connect_timeout={} {options}",
        READY.as_secs()
    );
    let output =
        Command::new("psql").args(["-X", "-A", "-t", "-d", &target, "-c", command]).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

fn trusting(warehouse: &Warehouse, authority: &str) -> String {
    let file = warehouse.project().join("tls").join(format!("{authority}.crt"));
    format!("sslmode=verify-full sslrootcert={}", file.display())
}

fn is_asked_for_and_checked() {
    let warehouse = warehouse("");
    let server = warehouse.serve();
    let trusting = trusting(&warehouse, "ca");
    let told = psql(&server, &trusting, "\\conninfo").unwrap();
    assert!(told.contains("protocol: TLSv1.3"), "{told}");
    let older = format!("{trusting} ssl_max_protocol_version=TLSv1.2");
    assert!(psql(&server, &older, "\\conninfo").unwrap().contains("protocol: TLSv1.2"));
    let rows = "SELECT count(*), max(length(t)) FROM (SELECT repeat('x', n::int) t FROM generate_series(1, 2000) AS s(n)) q";
    assert_eq!(psql(&server, &trusting, rows).unwrap(), "2000|2000");
    assert_eq!(psql(&server, &trusting, "SHOW ssl").unwrap(), "on");

    let plain = psql(&server, "sslmode=disable", "SELECT 1").unwrap_err();
    assert!(plain.contains("connections to this server must be encrypted"), "{plain}");
    let too_old = format!("{trusting} ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.1");
    assert!(psql(&server, &too_old, "SELECT 1").is_err());
    // Noise in place of a handshake ends its own connection only.
    for noise in [
        b"\0\0\0\x08\x04\xd2\x16\x2fGET / HTTP/1.1\r\n\r\n".as_slice(),
        b"\x16\x03\x01garbage that is no hello",
    ] {
        let mut socket = std::net::TcpStream::connect(server.pg).unwrap();
        std::io::Write::write_all(&mut socket, noise).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        std::io::Read::read_to_end(&mut socket, &mut vec![]).ok();
    }
    assert_eq!(psql(&server, &trusting, "SELECT 1").unwrap(), "1");
}

fn a_new_certificate_is_taken() {
    let warehouse = warehouse("required = false\n");
    let server = warehouse.serve();
    assert_eq!(psql(&server, "sslmode=disable", "SELECT 1").unwrap(), "1", "where it is not required");
    let tls = warehouse.project().join("tls");
    authority(&tls, "other");
    certificate(&tls, "other", "server", "subjectAltName=IP:127.0.0.1");
    later(&tls.join("server.crt"), 1);
    assert_eq!(psql(&server, &trusting(&warehouse, "other"), "SELECT 1").unwrap(), "1");
    let stranger = psql(&server, &trusting(&warehouse, "ca"), "SELECT 1").unwrap_err();
    assert!(stranger.contains("certificate verify failed"), "{stranger}");

    // A file that cannot be read changes nothing, and is said once.
    fs::write(tls.join("server.key"), "no key").unwrap();
    later(&tls.join("server.key"), 2);
    for _ in 0..2 {
        assert_eq!(psql(&server, &trusting(&warehouse, "other"), "SELECT 1").unwrap(), "1");
    }
    assert_eq!(server.log().matches("the TLS certificate stays as it was").count(), 1);
}

/// Files of one moment look unchanged where the clock of the file system is coarse.
fn later(file: &Path, seconds: u64) {
    let file = fs::File::options().append(true).open(file).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

fn a_login_is_bound_to_the_certificate() {
    let warehouse = warehouse(&format!("[users.ada]\nverifier = \"{}\"\n", crate::readers::VERIFIER));
    let server = warehouse.serve();
    let trusting = trusting(&warehouse, "ca");
    let login = |password: &str, binding: &str| {
        let who = format!("{trusting} user=ada password={password} channel_binding={binding}");
        psql(&server, &who, "SELECT current_user")
    };
    for binding in ["require", "prefer", "disable"] {
        assert_eq!(login("wasserfall", binding).unwrap(), "ada", "{binding}");
        assert!(
            login("niagara", binding).unwrap_err().contains("password authentication failed"),
            "{binding}"
        );
    }
}

/// What trusts the project's authority and names these protocols (ALPN).
fn naming(warehouse: &Warehouse, protocols: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let authority = warehouse.project().join("tls/ca.crt");
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// Logs in with TLS from the first byte on (`sslnegotiation=direct` of PostgreSQL 17's clients), bound to the certificate.
fn direct(server: &Server, tls: ClientConfig) -> Result<String, Error> {
    let mut target = tokio_postgres::Config::new();
    target.host(server.pg.ip().to_string()).port(server.pg.port()).user("ada").password("wasserfall");
    target.dbname("sluice").connect_timeout(READY).channel_binding(ChannelBinding::Require);
    target.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (client, connection) = target.connect(MakeRustlsConnect::new(tls)).await?;
        tokio::spawn(connection);
        let row = client.query_one("SELECT current_user::text || ' ' || current_setting('ssl')", &[]).await?;
        Ok(row.get(0))
    })
}

/// Who begins with TLS has to name the protocol, so that no other protocol's client can be led here.
fn clients_may_begin_with_tls() {
    let ada = format!("[users.ada]\nverifier = \"{}\"\n", crate::readers::VERIFIER);
    let warehouse = warehouse(&ada);
    let server = warehouse.serve();
    for protocols in [&["postgresql"][..], &["h2", "postgresql"]] {
        assert_eq!(direct(&server, naming(&warehouse, protocols)).unwrap(), "ada on", "{protocols:?}");
    }
    let other = describe(&direct(&server, naming(&warehouse, &["h2"])).unwrap_err());
    assert!(other.contains("NoApplicationProtocol"), "{other}");
    direct(&server, naming(&warehouse, &[])).unwrap_err();
    assert_eq!(psql(&server, &trusting(&warehouse, "ca"), "SELECT 1").unwrap(), "1");

    // Where there is no certificate it is refused.
    drop(server);
    warehouse.write("catalog/warehouse.toml", format!("{USER}{ada}"));
    let server = warehouse.serve();
    direct(&server, naming(&warehouse, &["postgresql"])).unwrap_err();
    assert_eq!(server.query("SELECT 1"), "1");
}

/// The protocol that a port agrees on with a client that names these.
fn agreed(address: SocketAddr, tls: ClientConfig) -> Result<String, String> {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let socket = TcpStream::connect(address).await.unwrap();
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, socket).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let protocol = stream.get_ref().1.alpn_protocol().unwrap_or_default();
        Ok(String::from_utf8_lossy(protocol).into_owned())
    })
}

fn each_port_speaks_its_own_protocol() {
    let warehouse = warehouse("");
    let server = warehouse.serve();
    for (port, protocol, other) in [(server.pg, "postgresql", "h2"), (server.flight, "h2", "postgresql")] {
        let both = naming(&warehouse, &[other, protocol]);
        assert_eq!(agreed(port, both).unwrap(), protocol);
        let refused = agreed(port, naming(&warehouse, &[other])).unwrap_err();
        assert!(refused.contains("NoApplicationProtocol"), "{protocol}: {refused}");
    }
}

/// The commands by which the README makes an authority and a certificate, which a client then checks as Windows does: the
/// authority is trusted, and the certificate made out to the name that it asked for.
fn as_the_readme_says_for_power_bi() {
    let readme = include_str!("../README.md");
    let section = readme.split("### Power BI").nth(1).unwrap();
    let commands: Vec<&str> = section
        .lines()
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .collect();
    assert!(commands.len() >= 4 && commands[0].starts_with("openssl "), "{commands:?}");
    let warehouse = Warehouse::new();
    let users = format!("[users.ada]\nverifier = \"{}\"\n", crate::readers::VERIFIER);
    warehouse.write("catalog/warehouse.toml", format!("{users}{TLS}"));
    fs::create_dir_all(warehouse.project().join("tls")).unwrap();
    let made = Command::new("sh")
        .current_dir(warehouse.project())
        .args(["-e", "-c", &commands.join("\n")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let server = warehouse.serve();
    let authority = warehouse.project().join("ca.crt");
    let as_reached_by = |name: &str| {
        let (address, port, authority) = (server.pg.ip(), server.pg.port(), authority.display());
        let target = format!(
            "host={name} hostaddr={address} port={port} user=ada password=wasserfall dbname=sluice \
             sslmode=verify-full sslrootcert={authority}"
        );
        let sql = "SELECT current_user";
        Command::new("psql").args(["-X", "-A", "-t", "-c", sql, &target]).output().unwrap()
    };
    let known = as_reached_by("warehouse.example");
    assert_eq!(
        String::from_utf8_lossy(&known.stdout).trim(),
        "ada",
        "{}",
        String::from_utf8_lossy(&known.stderr)
    );
    let other = as_reached_by("elsewhere.example");
    assert!(String::from_utf8_lossy(&other.stderr).contains("does not match host name"), "{other:?}");
}

/// A project whose clients have to show a certificate, and under `tls/` one that will do and one that will not.
pub fn warehouse_for_clients() -> Warehouse {
    let warehouse = warehouse("client_ca = \"tls/ca.crt\"\n");
    let tls = warehouse.project().join("tls");
    certificate(&tls, "ca", "client", "extendedKeyUsage=clientAuth");
    authority(&tls, "other");
    certificate(&tls, "other", "stranger", "extendedKeyUsage=clientAuth");
    warehouse
}

fn clients_show_certificates() {
    let warehouse = warehouse_for_clients();
    let tls = warehouse.project().join("tls");
    let server = warehouse.serve();
    let trusting = trusting(&warehouse, "ca");
    let showing = |name: &str| {
        let (crt, key): (PathBuf, PathBuf) =
            (tls.join(format!("{name}.crt")), tls.join(format!("{name}.key")));
        Command::new("chmod").arg("600").arg(&key).status().unwrap();
        psql(&server, &format!("{trusting} sslcert={} sslkey={}", crt.display(), key.display()), "SELECT 1")
    };
    assert_eq!(showing("client").unwrap(), "1");
    assert!(showing("stranger").is_err());
    assert!(
        psql(&server, &format!("{trusting} sslcert=/nowhere"), "SELECT 1").is_err(),
        "without a certificate"
    );
}

fn fails_closed() {
    let warehouse = warehouse("");
    fs::remove_file(warehouse.project().join("tls/server.key")).unwrap();
    Server::refused(&warehouse, &[]).expect(1, &["server.key", "could not be read"]);
    fs::copy(warehouse.project().join("tls/ca.key"), warehouse.project().join("tls/server.key")).unwrap();
    Server::refused(&warehouse, &[]).expect(1, &["server.crt", "do not go together"]);
    warehouse.write("catalog/warehouse.toml", format!("{USER}[tls]\ncertificate = \"x\"\n"));
    Server::refused(&warehouse, &[]).expect(1, &["warehouse.toml:3", "key"]);
}
