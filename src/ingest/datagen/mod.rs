//! The `datagen` connector: a seeded generator as a source.
//!
//! Comes in: options `generator`, `seed` (default 42), `rows_per_second` (0 is flat out; by default flat out for data
//! that ends, a steady rate for live streams) and `rows` (ends after that many). Goes out: raw payloads, decoded as any
//! other source's are, at partition `0` and offset = index.
//!
//! Guarantee: record `i` is a function of generator, seed and `i`, so that a restart goes on with exactly the records
//! that are missing. The event time of live streams is the time at which a record is made. Failure: only options can
//! be wrong, and they are checked before anything runs.

mod generator;
mod live;
mod pace;
mod random;
mod shopsmart;

pub use generator::{Encoding, Generator, Records};
pub use pace::Pace;
pub use shopsmart::Truth;

use super::decode::{Record, RecordBuffer};
use super::{Batch, Outlet, Position, Resume, Source, SourceError};
use crate::ops::clock;
use crate::sql::{Encode, OptionValue, Options, SourceDefinition};
use async_trait::async_trait;
use std::fmt::Display;
use std::str::FromStr;

/// The seed when none is given.
pub const DEFAULT_SEED: u64 = 42;
/// Records of one batch at most.
const BATCH_ROWS_MAX: u64 = 4_096;
/// The only partition.
const PARTITION: &str = "0";
/// The connector's options.
const OPTIONS: [&str; 4] = ["generator", "seed", "rows", "rows_per_second"];

/// What a seed has planted in the shopsmart data set.
pub fn shopsmart_truth(seed: u64) -> Truth {
    shopsmart::DataSet::new(seed).truth()
}

/// A generator, ready to run as a source.
#[derive(Debug)]
pub struct DatagenSource {
    definition: SourceDefinition,
    generator: Generator,
    seed: u64,
    /// Records in all; `None` when there is no end.
    rows: Option<u64>,
    rows_per_second: u32,
    delimiter: u8,
}

impl DatagenSource {
    /// Reads the options of a definition whose connector is `datagen`.
    pub fn new(definition: &SourceDefinition) -> Result<Self, SourceError> {
        let options = &definition.options;
        if let Some(unknown) = options.keys().find(|key| !OPTIONS.contains(&key.as_str())) {
            let known = OPTIONS.join(", ");
            return Err(SourceError::Setting(format!("datagen has no option \"{unknown}\", it has {known}")));
        }
        let name: String = option(options, "generator")?.ok_or_else(|| {
            SourceError::Setting(format!("datagen needs generator = '...', one of {}", names()))
        })?;
        let generator = Generator::named(&name)
            .ok_or_else(|| SourceError::Setting(format!("no generator \"{name}\", there are {}", names())))?;
        let delimiter = match (generator.encoding(), &definition.encode) {
            (Encoding::Json, Encode::Json) => b',',
            (Encoding::Csv(_), Encode::Csv { delimiter, .. }) => *delimiter,
            (Encoding::Json, _) => return Err(encoding_error(generator, "JSON")),
            (Encoding::Csv(_), _) => return Err(encoding_error(generator, "CSV")),
        };
        let rows: Option<u64> = option(options, "rows")?;
        Ok(Self {
            definition: definition.clone(),
            generator,
            seed: option(options, "seed")?.unwrap_or(DEFAULT_SEED),
            rows: rows.into_iter().chain(generator.bound()).min(),
            rows_per_second: option(options, "rows_per_second")?.unwrap_or(generator.rows_per_second()),
            delimiter,
        })
    }

    /// Columns take CSV fields by name, whichever of them are declared in whichever order.
    fn buffer(&self) -> Result<RecordBuffer, SourceError> {
        let mut buffer = RecordBuffer::new(&self.definition)?;
        if let Encoding::Csv(fields) = self.generator.encoding() {
            let header = fields.join(&char::from(self.delimiter).to_string());
            buffer.set_header(header.as_bytes(), false).map_err(SourceError::Setting)?;
        }
        Ok(buffer)
    }

    /// Decodes records `from..to` as one batch.
    fn batch(
        &self,
        records: &Records,
        buffer: &mut RecordBuffer,
        from: u64,
        to: u64,
    ) -> Result<Batch, SourceError> {
        let now = clock::now();
        let mut taken = from;
        let mut bytes = 0;
        while taken < to
            && let Some(payload) = records.record(taken, now)
        {
            bytes += payload.len() as u64;
            buffer.push(&Record {
                payload: &payload,
                source: self.generator.name(),
                partition: PARTITION,
                offset: taken as i64,
                key: None,
                timestamp_us: Some(now.timestamp_micros()),
                headers: &[],
            });
            taken += 1;
        }
        let decoded = buffer.finish()?;
        Ok(Batch {
            rows: decoded.rows,
            rejected: decoded.rejected,
            positions: vec![Position { partition: PARTITION.to_string(), next: taken as i64 }],
            files: vec![],
            bytes,
            acknowledge: None,
        })
    }
}

#[async_trait]
impl Source for DatagenSource {
    async fn run(self: Box<Self>, resume: Resume, outlet: Outlet) -> Result<(), SourceError> {
        let mut next = match resume.positions.get(PARTITION) {
            None => 0,
            Some(next) => u64::try_from(*next).map_err(|_| {
                SourceError::Fatal(format!("position {next} of partition {PARTITION} is negative"))
            })?,
        };
        let end = self.rows.unwrap_or(i64::MAX as u64);
        if next < end {
            // A bounded data set is made whole: too long to stand in the way of other tasks.
            let (generator, seed, delimiter) = (self.generator, self.seed, self.delimiter);
            let records = tokio::task::spawn_blocking(move || generator.records(seed, delimiter))
                .await
                .map_err(|error| SourceError::Fatal(format!("generator {}: {error}", generator.name())))?;
            let mut buffer = self.buffer()?;
            let started = clock::instant();
            let mut pace = Pace::new(self.rows_per_second);
            while next < end && !outlet.stop.is_cancelled() {
                let due = pace.take(started.elapsed(), BATCH_ROWS_MAX.min(end - next));
                if due > 0 {
                    let batch = self.batch(&records, &mut buffer, next, next + due)?;
                    next += due;
                    // Whoever listens has gone: the warehouse is stopping.
                    if outlet.batches.send(batch).await.is_err() {
                        return Ok(());
                    }
                    outlet.reporter.lag_records(self.rows.map_or(0, |rows| rows.saturating_sub(next) as i64));
                }
                let pause = pace.pause(started.elapsed());
                if !pause.is_zero() {
                    tokio::select! {
                        () = outlet.stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        if next >= end {
            outlet.reporter.lag_records(0);
        }
        Ok(())
    }
}

fn names() -> String {
    Generator::ALL.map(Generator::name).join(", ")
}

fn encoding_error(generator: Generator, encoding: &str) -> SourceError {
    let name = generator.name();
    SourceError::Setting(format!("generator {name} makes {encoding}: declare FORMAT PLAIN ENCODE {encoding}"))
}

fn option<T>(options: &Options, key: &str) -> Result<Option<T>, SourceError>
where
    T: FromStr,
    T::Err: Display,
{
    match options.get(key) {
        None => Ok(None),
        Some(OptionValue::Secret(_)) => {
            Err(SourceError::Setting(format!("datagen option \"{key}\" is not a secret: write its value")))
        }
        Some(OptionValue::Text(text)) => {
            text.trim().parse().map(Some).map_err(|error| {
                SourceError::Setting(format!("datagen option \"{key}\" = '{text}': {error}"))
            })
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod warehouse_tests;
