//! A PostgreSQL of one's own, from Debian's packages.

use super::until;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Debian's number of the user that owns nothing, and of its group.
const NOBODY: u32 = 65_534;

/// A running server, for as long as it is held.
pub struct Postgres {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

/// A program of PostgreSQL, from the PATH or from where Debian puts servers; the bare name where there is none.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let places = std::env::split_paths(&path).chain(installed.map(|version| version.path().join("bin")));
    places.map(|place| place.join(name)).find(|found| found.exists()).unwrap_or_else(|| name.into())
}

impl Postgres {
    /// Starts one with these settings (`name=value`). It refuses to run as root; then it runs as nobody.
    pub fn start(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("sluice-test-postgres-").tempdir().unwrap();
        let is_root = fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
        let command = |name: &str| {
            let mut command = Command::new(program(name));
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.path().join("data");
        let made = command("initdb")
            .args(["-U", "sluice", "-A", "trust", "-E", "UTF8", "--no-sync", "-D"])
            .arg(&data)
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut serve = command("postgres");
        serve.arg("-D").arg(&data).args(["-p", &address.port().to_string()]);
        let fixed = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
        for setting in fixed.iter().chain(settings) {
            serve.args(["-c", setting]);
        }
        let server = Self { child: serve.spawn().unwrap(), address, _folder: folder };
        until("another PostgreSQL", Duration::from_secs(30), || {
            let asked = server.psql(&["-c", "SELECT 1"]);
            let said = || String::from_utf8_lossy(&asked.stderr).into_owned();
            if asked.status.success() { Ok(()) } else { Err(said()) }
        });
        server
    }

    /// What psql says to these arguments, rows as `psql -A -t` prints them.
    pub fn psql(&self, arguments: &[&str]) -> Output {
        self.psql_command().args(arguments).output().unwrap()
    }

    /// psql, connected to it.
    pub fn psql_command(&self) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        psql.args(["-U", "sluice", "-d", "postgres"]);
        psql
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
