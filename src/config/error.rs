//! What can be wrong with settings.

use std::fmt;
use std::path::PathBuf;

/// Settings with which the server does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The settings file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something in the settings file is wrong.
    File {
        /// The file, relative to the project.
        path: PathBuf,
        /// 1-based line.
        line: u64,
        /// 1-based column.
        column: u64,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A variable holds something else than it should.
    Variable {
        /// The variable.
        variable: String,
        /// What it should hold.
        expected: String,
    },
    /// The data URL has a scheme that this program was not built with.
    DataScheme {
        /// The scheme.
        scheme: String,
    },
    /// Nobody could log in.
    NoUsers,
}

impl Error {
    /// What to do about it: a full sentence.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Unreadable { .. } => None,
            Error::File { hint, .. } => hint.clone(),
            Error::Variable { variable, expected } => Some(format!("Set {variable} to {expected}, or unset it.")),
            Error::DataScheme { .. } => Some("Name a local folder, as in --data ./data.".to_string()),
            Error::NoUsers => Some(
                "Run sluice user NAME and put the lines it prints into catalog/warehouse.toml, or start with --demo to let \
                 user sluice in from this machine."
                    .to_string(),
            ),
        }
    }

    /// What is wrong: lower case, no full stop, without the place.
    pub fn message(&self) -> String {
        match self {
            Error::Unreadable { path, reason } => format!("{} could not be read: {reason}", path.display()),
            Error::File { message, .. } => message.clone(),
            Error::Variable { variable, expected } => format!("variable {variable} is not {expected}"),
            Error::DataScheme { scheme } => format!("data cannot be kept at {scheme}:// URLs yet"),
            Error::NoUsers => "nobody could log in: no user is defined".to_string(),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Error::File { path, line, column, .. } = self {
            write!(f, "{}:{line}:{column}: ", path.display())?;
        }
        f.write_str(&self.message())?;
        match self.hint() {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
