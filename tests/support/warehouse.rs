//! A warehouse in a temporary folder: project, data and the server's log side by side.

use super::Server;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a test's project has unless it brings its own: user `sluice` needs no password on loopback.
const WAREHOUSE_TOML: &str = "[users.sluice]\ntrust_loopback = true\n";

/// A project folder and a data folder, removed when dropped.
pub struct Warehouse {
    folder: TempDir,
}

impl Warehouse {
    /// An empty project.
    pub fn new() -> Self {
        let mut folder = tempfile::Builder::new().prefix("sluice-test-").tempdir().unwrap();
        folder.disable_cleanup(std::env::var_os("SLUICE_TEST_KEEP").is_some());
        let warehouse = Self { folder };
        warehouse.write("catalog/warehouse.toml", WAREHOUSE_TOML);
        fs::create_dir_all(warehouse.project().join("sql")).unwrap();
        warehouse
    }

    /// A copy of `tests/projects/<name>`.
    pub fn of(name: &str) -> Self {
        let warehouse = Self::new();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects").join(name);
        copy(&from, &warehouse.project());
        warehouse
    }

    /// Writes a file of the project, renamed in whole.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let to = self.project().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let name = format!(".{}.tmp", to.file_name().unwrap().to_string_lossy());
        let staged = to.with_file_name(name);
        fs::write(&staged, content).unwrap();
        fs::rename(&staged, &to).unwrap();
    }

    /// The project folder.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Where everything of this warehouse lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `sluice serve` and waits until it answers.
    pub fn serve(&self) -> Server {
        Server::start(self, &[])
    }

    /// Starts `sluice serve` with further flags and waits until it answers.
    pub fn serve_with(&self, flags: &[&str]) -> Server {
        Server::start(self, flags)
    }

    /// Runs `sluice` to its end in the project folder.
    pub fn sluice(&self, arguments: &[&str]) -> Finished {
        self.sluice_given(arguments, "")
    }

    /// As [`Warehouse::sluice`], with something on its standard input.
    pub fn sluice_given(&self, arguments: &[&str], input: &str) -> Finished {
        let mut command = command();
        command.args(arguments).current_dir(self.project());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read all of it closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Finished::of(&child.wait_with_output().unwrap())
    }
}

/// What a command that has ended left.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    pub(super) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Both outputs, for messages and for tests that do not care which it was.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Panics unless it ended with `code` and says each of `words`.
    pub fn expect(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "exit code of a command that said:\n{}", self.text());
        for word in words {
            assert!(self.text().contains(word), "{word:?} is missing in:\n{}", self.text());
        }
        self
    }
}

/// The program under test (`SLUICE_BIN`, or the one that was just built), free of the caller's settings.
pub(super) fn command() -> Command {
    let program = std::env::var_os("SLUICE_BIN");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_sluice").into()));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SLUICE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
