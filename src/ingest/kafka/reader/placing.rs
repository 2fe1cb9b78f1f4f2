//! Finding the topic and the place in each of its partitions where reading goes on.

use super::{BACKOFF_FIRST, BACKOFF_MAX, Halt, Reader};
use crate::ingest::SourceError;
use crate::ingest::kafka::client::{self, Topic};
use crate::ingest::kafka::continuity::{Partition, Verdict, Watermarks, judge};
use crate::ingest::kafka::settings::{OnLoss, Startup};
use crate::ingest::kafka::trouble;
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;

/// How often a log that is shorter than it was is asked for again before that is believed.
const DOUBTS_MAX: u32 = 2;

/// Why partitions could not be placed.
enum Misplaced {
    Halt(Halt),
    Code(Code),
    Text(String),
}

impl From<Halt> for Misplaced {
    fn from(halt: Halt) -> Self {
        Misplaced::Halt(halt)
    }
}

impl From<Code> for Misplaced {
    fn from(code: Code) -> Self {
        Misplaced::Code(code)
    }
}

impl Reader {
    /// Finds the topic and starts reading all of its partitions; repeats until that works.
    pub(super) fn place(&mut self) -> Result<(), Halt> {
        // What librdkafka holds of an earlier pass is read again from the positions.
        let _ = self.consumer.unassign();
        let mut backoff = BACKOFF_FIRST;
        loop {
            match self.try_place() {
                Ok(()) => {
                    // Reported until leaders are seen connected; what comes now is another trouble.
                    self.health.found();
                    self.consumer.client().context().forget();
                    self.doubts = 0;
                    return Ok(());
                }
                Err(Misplaced::Halt(halt)) => return Err(halt),
                Err(Misplaced::Code(code)) => {
                    self.serve_events();
                    self.unplaced(code);
                }
                Err(Misplaced::Text(text)) => self.health.trouble(&text),
            }
            self.sleep(backoff)?;
            self.log_in_anew()?;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn try_place(&mut self) -> Result<(), Misplaced> {
        self.check_stop()?;
        let ids = match client::topic(&self.consumer, &self.settings)? {
            Topic::Partitions(ids) => ids,
            Topic::Trouble(code) => return Err(code.into()),
        };
        if let Some(missing) = self.intake.partitions.keys().find(|id| !ids.contains(id)) {
            return Err(Halt::Failed(self.recreated(&format!(
                "partition {missing} was read before and the topic now has {} partitions",
                ids.len()
            )))
            .into());
        }
        let at_latest = self.first && self.settings.startup == Startup::Latest;
        let mut starts = Vec::with_capacity(ids.len());
        for id in ids {
            self.check_stop()?;
            let marks = client::watermarks(&self.consumer, &self.settings, id)?;
            let mut partition = match self.intake.partitions.remove(&id) {
                Some(partition) => partition,
                None => Partition::new(id, at_latest.then_some(marks.high)),
            };
            let start = self.start_of(&mut partition, marks);
            self.intake.partitions.insert(id, partition);
            starts.push((id, start?));
        }
        client::assign(&self.consumer, &self.settings, &starts)?;
        if at_latest {
            self.pin()?;
        }
        self.first = false;
        self.outlet.reporter.lag_records(self.intake.lag());
        let behind = self.intake.partitions.values().filter(|partition| partition.lag() > 0);
        self.outlet.reporter.awaited(behind.map(|partition| partition.name.clone()).collect());
        Ok(())
    }

    /// Where a partition's reading starts, if its log is still the one that was read.
    fn start_of(
        &mut self,
        partition: &mut Partition,
        marks: Watermarks,
    ) -> Result<rdkafka::Offset, Misplaced> {
        let Some(next) = partition.next else {
            partition.restart(marks, false);
            return Ok(rdkafka::Offset::Beginning);
        };
        if !partition.knows_last()
            && next > 0
            && let Some(past) = self.resume.past.clone()
        {
            let raw = self.runtime.block_on(past.raw_at(&partition.name, next - 1));
            match raw {
                Ok(Some(raw)) => partition.set_last(raw),
                Ok(None) => {}
                Err(error) => {
                    return Err(Misplaced::Text(format!(
                        "could not read record {} of partition {} back from {}: {error}",
                        next - 1,
                        partition.name,
                        self.definition.name
                    )));
                }
            }
        }
        let verdict = judge(marks, next, partition.knows_last());
        partition.restart(marks, verdict == Verdict::Compare);
        match verdict {
            Verdict::Continue => Ok(rdkafka::Offset::Offset(next)),
            Verdict::Compare => Ok(rdkafka::Offset::Offset(next - 1)),
            Verdict::Lost { wanted, earliest } => {
                let lost = self.lost(partition.id, wanted, earliest);
                if self.settings.on_loss == OnLoss::Error {
                    return Err(Halt::Failed(lost).into());
                }
                tracing::warn!(source = %self.definition.name, "{lost}; reading goes on there");
                partition.skip_to(earliest);
                Ok(rdkafka::Offset::Offset(earliest))
            }
            // A broker that has just come back may not know its end yet.
            Verdict::Shorter { .. } if self.doubts < DOUBTS_MAX => {
                self.doubts += 1;
                Err(Code::OffsetNotAvailable.into())
            }
            Verdict::Shorter { wanted, end } => Err(Halt::Failed(self.recreated(&format!(
                "partition {} ends at offset {end}, and bronze holds its records up to {}",
                partition.id,
                wanted - 1
            )))
            .into()),
        }
    }

    /// Makes the offsets of `scan.startup.mode = 'latest'` durable before anything is read, so that a restart does not
    /// skip what comes meanwhile.
    fn pin(&mut self) -> Result<(), Halt> {
        for partition in self.intake.partitions.values_mut() {
            partition.touched = true;
        }
        self.flush()
    }

    fn unplaced(&mut self, code: Code) {
        let explained = self.consumer.client().context().cause().filter(|_| !trouble::tells_most(code));
        let lasts = self.health.outlasts_grace();
        match explained {
            Some(cause) => self.health.trouble(&cause),
            None if lasts => {
                let text = trouble::describe(&self.settings, code, &code.to_string());
                self.health.trouble(&text);
            }
            None => {}
        }
    }

    fn lost(&self, partition: i32, wanted: i64, earliest: i64) -> SourceError {
        SourceError::OffsetsLost(format!(
            "topic \"{}\" partition {partition}: record {wanted} is the next one, and the oldest one left is {earliest}; \
             {} records were removed by retention before they were read. To go on without them set on_loss = 'earliest' \
             in {}, and raise retention.ms of the topic",
            self.settings.topic,
            earliest - wanted,
            self.definition.name
        ))
    }
}
