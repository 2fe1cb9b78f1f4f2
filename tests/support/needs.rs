//! What some tests need beyond the program. Missing, it is said in one line and those tests count as ignored.

use libtest_mimic::Trial;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Marks tests that run `psql`.
pub fn psql(trials: Vec<Trial>) -> Vec<Trial> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let found = *FOUND.get_or_init(|| {
        let found = runs(Command::new("psql").arg("--version"));
        if !found {
            eprintln!("tests with psql are ignored: no psql on the PATH (Debian: postgresql-client)");
        }
        found
    });
    ignored_unless(found, trials)
}

/// Marks tests that make certificates.
pub fn openssl(trials: Vec<Trial>) -> Vec<Trial> {
    let found = runs(Command::new("openssl").arg("version"));
    if !found {
        eprintln!("tests with certificates are ignored: no openssl on the PATH (Debian: openssl)");
    }
    ignored_unless(found, trials)
}

/// Marks tests that run Python with these modules.
pub fn python(modules: &str, trials: Vec<Trial>) -> Vec<Trial> {
    let found = runs(Command::new(python_path()).arg("-c").arg(format!("import {modules}")));
    if !found {
        eprintln!(
            "tests with python's {modules} are ignored: {} cannot import them",
            python_path().display()
        );
    }
    ignored_unless(found, trials)
}

/// Marks tests that need a file of another program's; `hint` says how it is had.
pub fn file(path: &Path, hint: &str, trials: Vec<Trial>) -> Vec<Trial> {
    let found = path.exists();
    if !found {
        eprintln!("tests with {} are ignored: it is missing ({hint})", path.display());
    }
    ignored_unless(found, trials)
}

/// Marks tests that give the server a small disk of its own, in a mount namespace.
pub fn small_disk(trials: Vec<Trial>) -> Vec<Trial> {
    let found = runs(Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]));
    if !found {
        eprintln!("tests with a small disk are ignored: unshare (Debian: util-linux) may not mount here");
    }
    ignored_unless(found, trials)
}

/// `SLUICE_TEST_PYTHON`, or the environment that `.ci/run` makes, or `python3`.
pub fn python_path() -> PathBuf {
    if let Some(path) = env::var_os("SLUICE_TEST_PYTHON") {
        return path.into();
    }
    let cached = env::home_dir().unwrap_or_default().join(".cache/sluice-test-python/bin/python");
    if cached.exists() { cached } else { "python3".into() }
}

/// What is ignored for another reason stays so.
fn ignored_unless(found: bool, trials: Vec<Trial>) -> Vec<Trial> {
    if found { trials } else { trials.into_iter().map(|trial| trial.with_ignored_flag(true)).collect() }
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
