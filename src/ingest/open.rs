//! Definitions become sources.
//!
//! Comes in: a `CREATE SOURCE`, its connection, and a way to look up secrets. Goes out: a [`Source`] that is ready to
//! run, and the inbox of one that is pushed to. Failure: an option that is unknown, missing or wrong is named, with the
//! source and the options that there are.

use super::datagen::DatagenSource;
use super::files::{FilesSettings, FilesSource, OnChange};
use super::http::HttpSource;
use super::kafka::KafkaSource;
use super::{Inbox, Source, SourceError};
use crate::sql::{ConnectionDefinition, Connector, Encode, MaskKey, OptionValue, Options, SourceDefinition};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// A source ready to run.
pub struct Opened {
    /// The source.
    pub source: Box<dyn Source>,
    /// The door for pushes, for sources that have one.
    pub inbox: Option<Arc<dyn Inbox>>,
}

/// Looks up an option's value: a secret's, or the text itself.
pub type Resolve<'a> = &'a dyn Fn(&OptionValue) -> Result<String, SourceError>;

/// Gives a source's options once more, with its secrets read anew.
pub type Renew = Arc<dyn Fn() -> BoxFuture<'static, Result<BTreeMap<String, String>, String>> + Send + Sync>;

/// How often a files source looks at its folder.
const POLL_MS: u64 = 1_000;
/// How seldom it may: a day.
const POLL_MS_MAX: u64 = 86_400_000;

/// Makes the source that a definition describes. Relative paths start at the project folder. Whoever logs in somewhere asks
/// `renew` when the login is refused.
pub fn open_source(
    definition: &Arc<SourceDefinition>,
    project_folder: &Path,
    resolve: Resolve<'_>,
    connection: Option<&ConnectionDefinition>,
    renew: Option<Renew>,
) -> Result<Opened, SourceError> {
    let definition = &unlocked(definition, resolve)?;
    let settings = Settings { definition, resolve };
    let (source, inbox): (Box<dyn Source>, _) = match definition.connector {
        Connector::Files => (Box::new(files(&settings, project_folder, connection)?), None),
        Connector::Http => {
            settings.check(&[], connection)?;
            settings.refuse_parquet()?;
            let (source, inbox) = HttpSource::new(Arc::clone(definition))?;
            (Box::new(source), Some(inbox))
        }
        Connector::Kafka => {
            settings.refuse_parquet()?;
            let options = settings.with_connection(connection)?;
            (Box::new(KafkaSource::new(Arc::clone(definition), &options, renew)?), None)
        }
        Connector::Datagen => {
            settings.refuse_connection(connection)?;
            (Box::new(DatagenSource::new(definition)?), None)
        }
    };
    Ok(Opened { source, inbox })
}

/// The definition with the key that it masks fields with.
pub fn unlocked(
    definition: &Arc<SourceDefinition>,
    resolve: Resolve<'_>,
) -> Result<Arc<SourceDefinition>, SourceError> {
    let Some(name) = definition.masking.secret() else { return Ok(Arc::clone(definition)) };
    let key = resolve(&OptionValue::Secret(name.to_string()))?;
    if key.is_empty() {
        let source = &definition.name;
        return Err(SourceError::Setting(format!("source {source}: secret \"{name}\" of mask.key is empty")));
    }
    let mut unlocked = SourceDefinition::clone(definition);
    unlocked.masking.key = Some(MaskKey::Value(key.into()));
    Ok(Arc::new(unlocked))
}

fn files(
    settings: &Settings<'_>,
    project_folder: &Path,
    connection: Option<&ConnectionDefinition>,
) -> Result<FilesSource, SourceError> {
    settings.check(&["on_change", "path", "poll_ms"], connection)?;
    let path = settings.required("path")?;
    if path.trim().is_empty() {
        return Err(settings.error("option \"path\" is empty".to_string()));
    }
    let on_change = match settings.text("on_change")?.as_deref() {
        None | Some("take") => OnChange::Take,
        Some("error") => OnChange::Error,
        Some(other) => {
            return Err(settings.error(format!("option \"on_change\" is 'take' or 'error', not '{other}'")));
        }
    };
    let poll_ms = settings.number("poll_ms", 1..=POLL_MS_MAX)?.unwrap_or(POLL_MS);
    let files = FilesSettings {
        start: project_folder.to_path_buf(),
        path,
        on_change,
        poll: Duration::from_millis(poll_ms),
    };
    FilesSource::new(Arc::clone(settings.definition), files)
}

/// A source's options, read by name.
struct Settings<'a> {
    definition: &'a Arc<SourceDefinition>,
    resolve: Resolve<'a>,
}

impl Settings<'_> {
    fn error(&self, what: String) -> SourceError {
        SourceError::Setting(format!("source {}: {what}", self.definition.name))
    }

    fn refuse_connection(&self, connection: Option<&ConnectionDefinition>) -> Result<(), SourceError> {
        let connector = self.definition.connector;
        match connection.map(|c| &c.name).or(self.definition.connection.as_ref()) {
            None => Ok(()),
            Some(name) => {
                Err(self
                    .error(format!("connector '{connector}' takes no connection, but \"{name}\" is given")))
            }
        }
    }

    /// The connection's options and, over them, the source's, with secrets looked up.
    fn with_connection(
        &self,
        connection: Option<&ConnectionDefinition>,
    ) -> Result<BTreeMap<String, String>, SourceError> {
        let connector = self.definition.connector;
        match (connection, &self.definition.connection) {
            (Some(connection), _) if connection.kind != connector.to_string() => {
                let ConnectionDefinition { name, kind, .. } = connection;
                return Err(self.error(format!("connection \"{name}\" is to {kind}, not to {connector}")));
            }
            (None, Some(name)) => return Err(self.error(format!("connection \"{name}\" is not defined"))),
            _ => {}
        }
        let given = connection.into_iter().flat_map(|c| &c.options).chain(&self.definition.options);
        given.map(|(key, value)| Ok((key.clone(), (self.resolve)(value)?))).collect()
    }

    /// Refuses options that the connector does not have, and a connection.
    fn check(&self, known: &[&str], connection: Option<&ConnectionDefinition>) -> Result<(), SourceError> {
        self.refuse_connection(connection)?;
        let connector = self.definition.connector;
        let options: &Options = &self.definition.options;
        match options.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(unknown) if known.is_empty() => {
                Err(self.error(format!("connector '{connector}' has no options, but \"{unknown}\" is given")))
            }
            Some(unknown) => {
                let known = known.join(", ");
                Err(self
                    .error(format!("connector '{connector}' has no option \"{unknown}\"; it has {known}")))
            }
        }
    }

    fn refuse_parquet(&self) -> Result<(), SourceError> {
        let connector = self.definition.connector;
        match self.definition.encode {
            Encode::Parquet => {
                Err(self.error(format!("connector '{connector}' reads JSON or CSV; PARQUET is for files")))
            }
            Encode::Json | Encode::Csv { .. } => Ok(()),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, SourceError> {
        self.definition.options.get(key).map(self.resolve).transpose()
    }

    fn required(&self, key: &str) -> Result<String, SourceError> {
        let connector = self.definition.connector;
        self.text(key)?.ok_or_else(|| self.error(format!("connector '{connector}' needs option \"{key}\"")))
    }

    fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<Option<T>, SourceError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.trim().parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(self.error(format!(
                "option \"{key}\" is a number from {} to {}, not '{text}'",
                range.start(),
                range.end()
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
