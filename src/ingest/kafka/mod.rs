//! A Kafka topic (Azure Event Hubs too) as a source.
//!
//! Comes in: the records of every partition of one topic, from the offsets that bronze holds. Goes out: [`Batch`]es of
//! decoded rows with the next offset of each partition they took records from. No consumer group is joined and no offset
//! is stored at the broker: the Delta commit is the only memory.
//!
//! ```text
//! librdkafka ─ bounded queue ─► reader thread ─ buffers ─► decoder thread ─ bounded channel ─► bronze
//!   (fetches ahead)              (copies bytes)             (columns)
//! ```
//! Every arrow blocks when what is behind it is full, so a slow disk slows the fetching and memory stays bounded.
//!
//! Guarantee: every record from the start offset on is in exactly one batch, in order within its partition. A partition
//! is only continued when its log is still the one that was read: see [`continuity`]. Failure: what passes by itself
//! (broker away, login refused, topic missing) is reported and retried for ever, a
//! login with the secrets as they are then; lost offsets and a topic made anew
//! end the source with a named error.
//!
//! [`Batch`]: super::Batch

mod client;
mod continuity;
mod health;
mod intake;
mod pipeline;
mod reader;
mod settings;
mod trouble;

#[cfg(test)]
mod tests;

use super::open::Renew;
use super::{Outlet, Resume, Source, SourceError};
use crate::sql::SourceDefinition;
use async_trait::async_trait;
use reader::Reader;
use settings::Settings;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// `connector = 'kafka'`.
pub struct KafkaSource {
    definition: Arc<SourceDefinition>,
    settings: Settings,
    renew: Option<Renew>,
}

impl KafkaSource {
    /// A source that is not connected yet; settings are checked here, so this fails before anything runs.
    ///
    /// `options` are those of the connection and, over them, those of the source, with secrets looked up;
    /// `renew` gives them once more when the broker refuses the login.
    pub fn new(
        definition: Arc<SourceDefinition>,
        options: &BTreeMap<String, String>,
        renew: Option<Renew>,
    ) -> Result<Self, SourceError> {
        let settings = Settings::new(&definition.name.name, options)?;
        client::check(&settings)?;
        Ok(Self { definition, settings, renew })
    }
}

#[async_trait]
impl Source for KafkaSource {
    async fn run(self: Box<Self>, resume: Resume, outlet: Outlet) -> Result<(), SourceError> {
        // Dropping this future stops the threads as well.
        let stop = outlet.stop.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let outlet = Outlet { stop, ..outlet };
        let Self { definition, settings, renew } = *self;
        let runtime = Handle::current();
        let (done, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("kafka-{}", definition.name.name))
            .spawn(move || {
                let reader = Reader::new(definition, settings, resume, outlet, runtime);
                let outcome = reader.and_then(|reader| reader.renewing(renew).run());
                // Nobody listens any more when the future was dropped.
                let _ = done.send(outcome);
            })
            .map_err(|error| SourceError::Fatal(format!("could not start the reader thread: {error}")))?;
        match ended.await {
            Ok(outcome) => outcome,
            Err(_) => Err(SourceError::Fatal("the reader thread ended unexpectedly".to_string())),
        }
    }
}
