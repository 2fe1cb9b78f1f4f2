//! The thread that reads a topic.
//!
//! ```text
//!        ┌────────────────────────── topic gone, offset out of range, new partitions ─────┐
//!        ▼                                                                                │
//!   find the topic ──► place every partition (watermarks, verdict) ──► read ──────────────┘
//!     retried with backoff, reported                                     │ stop, error
//!                                                                        ▼
//! ```

mod login;
mod placing;

use super::client::{self, Consumer, View};
use super::health::Health;
use super::intake::{Intake, Taken};
use super::pipeline::{Closed, Pipeline};
use super::settings::Settings;
use super::trouble;
use crate::ingest::open::Renew;
use crate::ingest::{Outlet, Resume, SourceError};
use crate::sql::SourceDefinition;
use login::Login;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// How long the reader sleeps in librdkafka while nothing comes; a stop waits for it.
const IDLE_POLL: Duration = Duration::from_millis(100);

/// How long log lines and errors that wait are served for.
const EVENTS_POLL: Duration = Duration::from_millis(20);

/// After how many records the clock and the stop are looked at when records come without a pause.
const RECORDS_PER_LOOK: u32 = 256;

/// The first and the longest wait between tries.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(8);

/// Reads one topic; see the module.
pub(super) struct Reader {
    definition: Arc<SourceDefinition>,
    settings: Settings,
    resume: Resume,
    outlet: Outlet,
    runtime: Handle,
    consumer: Consumer,
    intake: Intake,
    pipeline: Pipeline,
    health: Health,
    login: Login,
    /// True until the partitions of a first start have their places.
    first: bool,
    /// How often in a row a log was found shorter than it was.
    doubts: u32,
}

/// Why a step did not end as hoped.
enum Halt {
    /// A stop was asked for, or the receiver of batches is gone.
    Stop,
    /// The topic must be found and placed anew.
    Again,
    /// For good.
    Failed(SourceError),
}

impl From<Closed> for Halt {
    fn from(_: Closed) -> Self {
        Halt::Stop
    }
}

impl Reader {
    /// A reader that continues where `resume` stands.
    pub(super) fn new(
        definition: Arc<SourceDefinition>,
        settings: Settings,
        resume: Resume,
        outlet: Outlet,
        runtime: Handle,
    ) -> Result<Self, SourceError> {
        let consumer = client::connect(&settings)?;
        let pipeline = Pipeline::start(&definition, outlet.clone(), runtime.clone())?;
        let buffer = pipeline
            .buffer()
            .map_err(|Closed| SourceError::Fatal("the decoder thread did not start".to_string()))?;
        let intake = Intake::new(&definition, &settings.topic, &resume.positions, buffer)?;
        let health = Health::new(Arc::clone(&outlet.reporter));
        let first = resume.positions.is_empty();
        Ok(Self {
            definition,
            settings,
            resume,
            outlet,
            runtime,
            consumer,
            intake,
            pipeline,
            health,
            login: Login::default(),
            first,
            doubts: 0,
        })
    }

    /// The same, with secrets that are read anew when the login is refused.
    pub(super) fn renewing(self, renew: Option<Renew>) -> Self {
        Self { login: Login::new(renew), ..self }
    }

    /// Reads until stopped or until the topic cannot be continued.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let outcome = loop {
            let Err(halt) = self.place().and_then(|()| self.read());
            match halt {
                Halt::Again => {}
                Halt::Stop => break Ok(()),
                Halt::Failed(error) => {
                    // What was read before the trouble is good.
                    let _ = self.flush();
                    break Err(error);
                }
            }
        };
        // A decoder that failed is why the reader was stopped.
        self.pipeline.finish().and(outcome)
    }

    /// Reads until something other than records comes.
    fn read(&mut self) -> Result<Infallible, Halt> {
        let mut taken = 0_u32;
        loop {
            // Records that librdkafka holds already cost no wait; only when there are none is the clock read.
            let ready = self.consumer.poll(Duration::ZERO);
            let polled = match ready {
                Some(outcome) => Some(outcome),
                None => {
                    self.between_records()?;
                    self.consumer.poll(self.patience())
                }
            };
            let message = match polled {
                None => continue,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.judge_error(&error)?;
                    continue;
                }
            };
            // Told before the first record of the new topic comes: not one of them is taken.
            if self.consumer.client().context().was_made_anew() {
                return Err(Halt::Failed(self.recreated("it got a new identity while it was read")));
            }
            match self.intake.take(&message) {
                Taken::Done => {}
                Taken::Full => self.intake.flush(&self.pipeline)?,
                Taken::Alien { partition, offset } => {
                    return Err(Halt::Failed(self.recreated(&format!(
                        "record {offset} of partition {partition} is not the one that bronze holds"
                    ))));
                }
            }
            drop(message);
            taken = taken.wrapping_add(1);
            if taken.is_multiple_of(RECORDS_PER_LOOK) {
                self.between_records()?;
            }
        }
    }

    /// How long the reader may sleep.
    fn patience(&self) -> Duration {
        // A timeout below librdkafka's millisecond would spin.
        self.intake.time_left().map_or(IDLE_POLL, |left| left.max(Duration::from_millis(1)))
    }

    /// What is due when no record is at hand, or after many.
    fn between_records(&mut self) -> Result<(), Halt> {
        self.check_stop()?;
        if self.intake.time_left().is_some_and(|left| left.is_zero()) {
            self.flush()?;
        }
        if self.consumer.client().context().was_made_anew() {
            return Err(Halt::Failed(self.recreated("it got a new identity while it was read")));
        }
        if self.log_in_anew()? {
            self.flush()?;
            return Err(Halt::Again);
        }
        match self.consumer.client().context().view() {
            Some(view) => self.heed(&view),
            None => Ok(()),
        }
    }

    /// Draws lag, health and new partitions from statistics.
    fn heed(&mut self, view: &View) -> Result<(), Halt> {
        for (id, seen) in &view.partitions {
            match self.intake.partitions.get_mut(id) {
                Some(partition) => partition.marks.high = partition.marks.high.max(seen.high),
                None => {
                    self.flush()?;
                    return Err(Halt::Again);
                }
            }
        }
        self.outlet.reporter.lag_records(self.intake.lag());
        let up = |id: &i32| view.partitions.get(id).is_some_and(|seen| seen.up);
        if self.intake.partitions.keys().all(up) {
            if self.health.calm() {
                self.consumer.client().context().forget();
            }
        } else if self.health.outlasts_grace() {
            let text = self.consumer.client().context().cause().unwrap_or_else(|| {
                let reason = "a partition's leader is not connected";
                trouble::describe(&self.settings, Code::BrokerTransportFailure, reason)
            });
            self.health.trouble(&text);
        }
        Ok(())
    }

    fn judge_error(&mut self, error: &KafkaError) -> Result<(), Halt> {
        if let KafkaError::PartitionEOF(id) = error {
            if let Some(partition) = self.intake.partitions.get_mut(id) {
                partition.at_end = true;
            }
            return Ok(());
        }
        let code = client::code_of(error);
        let text = || trouble::describe(&self.settings, code, &code.to_string());
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(Halt::Failed(SourceError::Fatal(text())));
        }
        match code {
            Code::AutoOffsetReset
            | Code::OffsetOutOfRange
            | Code::LogTruncation
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic => {
                self.flush()?;
                return Err(Halt::Again);
            }
            Code::TopicAuthorizationFailed => {
                // librdkafka does not ask again by itself.
                self.health.trouble(&text());
                self.flush()?;
                self.sleep(BACKOFF_MAX)?;
                return Err(Halt::Again);
            }
            Code::AllBrokersDown | Code::Authentication | Code::SaslAuthenticationFailed => {
                let cause = self.consumer.client().context().cause();
                self.health.trouble(&cause.unwrap_or_else(text));
            }
            // Noted by the observer; statistics tell whether it lasts.
            Code::BrokerTransportFailure | Code::OperationTimedOut | Code::Resolve | Code::SSL => {}
            _ if trouble::harmless(code) => {}
            _ => self.health.trouble(&text()),
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Halt> {
        Ok(self.intake.flush(&self.pipeline)?)
    }

    /// Lets callbacks run while nothing is assigned that could give records.
    fn serve_events(&mut self) {
        // Without a timeout a poll ends after a single log line.
        while self.consumer.poll(EVENTS_POLL).is_some() {}
    }

    fn check_stop(&self) -> Result<(), Halt> {
        if self.outlet.stop.is_cancelled() || self.outlet.batches.is_closed() {
            return Err(Halt::Stop);
        }
        Ok(())
    }

    fn sleep(&self, duration: Duration) -> Result<(), Halt> {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.outlet.stop.cancelled() => Err(Halt::Stop),
                () = tokio::time::sleep(duration) => Ok(()),
            }
        })
    }

    fn recreated(&self, found: &str) -> SourceError {
        SourceError::TopicRecreated(format!(
            "topic \"{}\" at {} is not the one that {} was read from: {found}. Restore the old topic, or read the new \
             one into a source of another name",
            self.settings.topic,
            self.settings.brokers(),
            self.definition.name
        ))
    }
}
