//! `sluice user`: print the settings of a user who logs in with a password.
//!
//! The password is asked for on the terminal, without showing it, or read from standard input. It is kept nowhere: what
//! is printed proves it without holding it.

use crate::serve::users::verifier;
use anyhow::{Context as _, bail};
use clap::Args;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

/// Flags of `sluice user`.
#[derive(Debug, Args)]
pub(super) struct UserArguments {
    /// The user's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Asks for the password and prints the lines for `catalog/warehouse.toml`.
pub(super) fn run(arguments: UserArguments) -> anyhow::Result<()> {
    let name = &arguments.name;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        bail!("\"{name}\" cannot name a user\n  hint: Use lower-case letters, digits and underscores.");
    }
    let password = if arguments.password_stdin { first_line()? } else { asked(name)? };
    if password.is_empty() {
        bail!("the password is empty");
    }
    eprintln!("# put these lines into catalog/warehouse.toml");
    println!("[users.{name}]\nverifier = \"{}\"", verifier(&password));
    Ok(())
}

fn first_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("standard input could not be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_string())
}

/// Asks twice, so that a slip is not kept.
fn asked(name: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        bail!("standard input is no terminal\n  hint: Add --password-stdin to read the password from it.");
    }
    let _hidden = HiddenInput::start()?;
    let ask = |question: String| -> anyhow::Result<String> {
        eprint!("{question}");
        io::stderr().flush().context("the terminal could not be written to")?;
        let line = first_line();
        eprintln!();
        line
    };
    let password = ask(format!("password of {name}: "))?;
    if ask("once more: ".to_string())? != password {
        bail!("the passwords differ");
    }
    Ok(password)
}

/// While this lives, the terminal does not show what is typed.
struct HiddenInput;

impl HiddenInput {
    fn start() -> anyhow::Result<Self> {
        if !stty("-echo") {
            bail!(
                "the terminal cannot hide what is typed\n  hint: Add --password-stdin to read the password from standard input."
            );
        }
        Ok(Self)
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// Sets the terminal by the program that every Unix has for it.
fn stty(setting: &str) -> bool {
    let run = Command::new("stty").arg(setting).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}
