//! Records held until there are enough of them for columns.
//!
//! Payloads are copied once, end to end, into what becomes the `_raw` column. They are decoded together, so that
//! checking UTF-8 and growing columns cost once a batch and not once a record.

use super::beside::Beside;
use super::column::{Row, length_i32};
use super::csv::{self, Mapping};
use super::fault::Fault;
use super::mask::Masker;
use super::{Decoded, Record, json};
use crate::ingest::{Rejected, SourceError, row_schema};
use crate::sql::{Encode, IncludeKind, SourceDefinition};
use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, GenericByteBuilder, Int64Array, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ByteArrayType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::borrow::Cow;
use std::mem;
use std::sync::Arc;

/// Bytes that a buffer can hold, payloads and what comes beside them: what the offsets of an Arrow column can count.
const BUFFER_BYTES_MAX: usize = i32::MAX as usize;

/// What masking a key or a header may make of a short one.
const MASKED_BYTES_MAX: usize = 1 << 10;

/// Collects records and decodes them together.
#[derive(Debug)]
pub struct RecordBuffer {
    schema: SchemaRef,
    format: Format,
    columns: Row,
    payloads: Vec<u8>,
    ends: Vec<i32>,
    offsets: Vec<i64>,
    places: Vec<Place>,
    includes: Vec<Included>,
    headers: Vec<Header>,
    refused: Vec<Rejected>,
    refused_bytes: usize,
    /// The most that any column of this batch can hold.
    weight: usize,
    /// Lent to the JSON reader.
    nesting: Vec<u8>,
    masker: Masker,
    /// The fields' names in the header that holds now, for the masker.
    names: Vec<String>,
    /// Lent to the masker.
    masked: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Json,
    Csv { delimiter: u8 },
}

/// Records from `first` on came from here.
#[derive(Debug)]
struct Place {
    first: usize,
    source: String,
    partition: String,
}

/// Records from `first` on have fields in this order.
#[derive(Debug)]
struct Header {
    first: usize,
    mapping: Mapping,
    /// The line that said so.
    line: Option<String>,
}

/// A column that `INCLUDE` adds.
#[derive(Debug)]
enum Included {
    /// Its column.
    Key(String, BinaryBuilder),
    Partition,
    Offset,
    Timestamp(Vec<Option<i64>>),
    /// Its name and its column.
    Header(String, String, StringBuilder),
}

impl RecordBuffer {
    /// A buffer for records of this source, which are masked as it says. CSV fields go by position until a header is set.
    pub fn new(definition: &SourceDefinition) -> Result<Self, SourceError> {
        let format = match definition.encode {
            Encode::Json => Format::Json,
            Encode::Csv { delimiter, .. } => Format::Csv { delimiter },
            Encode::Parquet => {
                let name = &definition.name;
                let message = format!("source {name}: records cannot be read as PARQUET, only files can");
                return Err(SourceError::Setting(message));
            }
        };
        let schema = row_schema(definition);
        let columns = Row::new(schema.fields().iter().take(definition.columns.len()))
            .map_err(|why| SourceError::Setting(format!("source {}: {why}", definition.name)))?;
        let includes = definition.includes.iter().map(|include| match &include.kind {
            IncludeKind::Key => Included::Key(include.column.clone(), BinaryBuilder::new()),
            IncludeKind::Partition => Included::Partition,
            IncludeKind::Offset => Included::Offset,
            IncludeKind::Timestamp => Included::Timestamp(Vec::new()),
            IncludeKind::Header(name) => {
                Included::Header(name.clone(), include.column.clone(), StringBuilder::new())
            }
        });
        Ok(Self {
            masker: Masker::new(definition)?,
            names: definition.columns.iter().map(|column| column.name.clone()).collect(),
            masked: Vec::new(),
            includes: includes.collect(),
            schema,
            format,
            columns,
            payloads: Vec::new(),
            ends: vec![0],
            offsets: Vec::new(),
            places: Vec::new(),
            headers: vec![Header { first: 0, mapping: Mapping::ByPosition, line: None }],
            refused: Vec::new(),
            refused_bytes: 0,
            weight: 0,
            nesting: Vec::new(),
        })
    }

    /// Copies one record in, masked.
    pub fn push(&mut self, record: &Record<'_>) {
        if self.masker.is_idle() || self.format.is_blank(record.payload) {
            return self.take(record);
        }
        let mut masked = mem::take(&mut self.masked);
        masked.clear();
        let written = match (self.format, self.headers.last()) {
            (Format::Csv { delimiter }, Some(header)) => {
                let header = (&header.mapping, &self.names[..]);
                self.masker.write_csv(record.payload, delimiter, header, &mut masked)
            }
            _ => self.masker.write_json(record.payload, &mut masked, &mut self.nesting),
        };
        match written {
            Ok(()) => self.take(&Record { payload: &masked, ..*record }),
            Err(fault) => {
                let (rule, reason) = fault.into_reason();
                self.refuse(record, rule, reason);
            }
        }
        self.masked = masked;
    }

    fn take(&mut self, record: &Record<'_>) {
        let weight = self.weight.saturating_add(record_weight(record, &self.masker));
        if weight > BUFFER_BYTES_MAX {
            let reason =
                format!("the record's {} bytes are more than a batch can hold", record.payload.len());
            return self.refuse(record, "size", reason);
        }
        self.weight = weight;
        let row = self.offsets.len();
        self.payloads.extend_from_slice(record.payload);
        self.ends.push(length_i32(self.payloads.len()));
        self.offsets.push(record.offset);
        let here = self.places.last();
        if here.is_none_or(|place| place.partition != record.partition || place.source != record.source) {
            let (source, partition) = (record.source.to_string(), record.partition.to_string());
            self.places.push(Place { first: row, source, partition });
        }
        for include in &mut self.includes {
            include.push(record, &self.masker);
        }
    }

    /// Takes a record that its source already knows to be no row. Where fields are masked its bytes are not kept: which
    /// of them are the fields' cannot be told.
    pub fn refuse(&mut self, record: &Record<'_>, rule: &'static str, reason: String) {
        let (raw, reason) = match self.masker.is_idle() {
            true => (record.payload.to_vec(), reason),
            false => (Vec::new(), self.masker.withheld(record.payload, &reason)),
        };
        self.refused_bytes += record.payload.len();
        self.refused.push(Rejected {
            partition: record.partition.to_string(),
            offset: record.offset,
            raw,
            rule,
            reason,
            source: record.source.to_string(),
            beside: None,
        });
    }

    /// The records pushed from now on are CSV with fields in the order of this header line. An error says why it is
    /// none; `names_only` also refuses fields that no column has.
    pub fn set_header(&mut self, line: &[u8], names_only: bool) -> Result<(), String> {
        let Format::Csv { delimiter } = self.format else { return Ok(()) };
        let names = csv::header_names(csv::without_line_end(line), delimiter)
            .map_err(|fault| format!("the header line cannot be read: {}", fault.into_reason().1))?;
        let mapping = Mapping::from_header(&names, &self.columns).filter(|mapping| match mapping {
            Mapping::ByHeader(fields) => !names_only || fields.iter().all(Option::is_some),
            Mapping::ByPosition => false,
        });
        let Some(mapping) = mapping else {
            let columns: Vec<_> = self.columns.fields.iter().map(|f| f.field.name().as_str()).collect();
            return Err(format!("the header line names none of the columns {}", columns.join(", ")));
        };
        self.set_mapping(mapping, Some(line));
        self.names = names;
        Ok(())
    }

    /// The records pushed from now on are CSV with fields in the order of the declared columns.
    pub fn clear_header(&mut self) {
        self.set_mapping(Mapping::ByPosition, None);
        self.names = self.columns.fields.iter().map(|field| field.field.name().clone()).collect();
    }

    /// Records held.
    pub fn len(&self) -> usize {
        self.offsets.len() + self.refused.len()
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Payload bytes held.
    pub fn bytes(&self) -> usize {
        self.payloads.len() + self.refused_bytes
    }

    /// Decodes what is held and empties the buffer.
    pub fn finish(&mut self) -> Result<Decoded, SourceError> {
        let mut rejected = mem::take(&mut self.refused);
        let good = self.decode(&mut rejected);
        let rows = self.build(&good);
        self.clear();
        let rows = rows.map_err(|error| SourceError::Fatal(format!("rows do not fit together: {error}")))?;
        Ok(Decoded { rows, rejected })
    }

    fn set_mapping(&mut self, mapping: Mapping, line: Option<&[u8]>) {
        let line = line.map(|line| String::from_utf8_lossy(csv::without_line_end(line)).into_owned());
        if self.headers.last().is_none_or(|header| header.mapping != mapping || header.line != line) {
            self.headers.push(Header { first: self.offsets.len(), mapping, line });
        }
    }

    /// What came beside a record that is held.
    fn beside(&self, record: usize, header: usize) -> Beside {
        let header = self.headers.get(header).and_then(|header| header.line.clone());
        let mut beside = Beside::default();
        beside.header = header;
        beside.masked = self.masker.names().to_vec();
        self.includes.iter().for_each(|include| include.note(record, &mut beside));
        beside
    }

    /// Reads every payload into the columns; which records became rows.
    fn decode(&mut self, rejected: &mut Vec<Rejected>) -> Vec<bool> {
        // Text that is valid as a whole and in which no record starts inside a character is valid record by record.
        let all_text = std::str::from_utf8(&self.payloads);
        self.columns.reserve(self.offsets.len());
        let (mut place, mut header, mut row) = (0, 0, 0);
        let mut good = vec![true; self.offsets.len()];
        for (index, bounds) in self.ends.windows(2).enumerate() {
            let bounds = usize::try_from(bounds[0]).unwrap_or(0)..usize::try_from(bounds[1]).unwrap_or(0);
            let payload = &self.payloads[bounds.clone()];
            while self.places.get(place + 1).is_some_and(|next| next.first <= index) {
                place += 1;
            }
            while self.headers.get(header + 1).is_some_and(|next| next.first <= index) {
                header += 1;
            }
            let is_text = match all_text {
                Ok(text) => text.is_char_boundary(bounds.start) && text.is_char_boundary(bounds.end),
                Err(_) => std::str::from_utf8(payload).is_ok(),
            };
            let outcome = if !is_text {
                Err(Fault::encoding("the record is not UTF-8"))
            } else if self.format.is_blank(payload) {
                Err(Box::new(Fault::Value {
                    rule: "empty",
                    path: String::new(),
                    detail: "the record is empty".to_string(),
                }))
            } else {
                match self.format {
                    Format::Json => json::read_record(payload, &mut self.columns, row, &mut self.nesting),
                    Format::Csv { delimiter } => csv::read_record(
                        csv::without_line_end(payload),
                        delimiter,
                        &self.headers[header].mapping,
                        &mut self.columns,
                        row,
                        &mut self.nesting,
                    ),
                }
            };
            match outcome {
                Ok(()) => row += 1,
                Err(fault) => {
                    self.columns.truncate(row);
                    good[index] = false;
                    let (rule, reason) = fault.into_reason();
                    let partition = self.places[place].partition.clone();
                    let (offset, raw) = (self.offsets[index], payload.to_vec());
                    let source = self.places[place].source.clone();
                    let beside = Some(self.beside(index, header));
                    rejected.push(Rejected { partition, offset, raw, rule, reason, source, beside });
                }
            }
        }
        good
    }

    /// The rows: decoded columns, and of what came beside them the part that belongs to good records.
    fn build(&mut self, good: &[bool]) -> Result<RecordBatch, ArrowError> {
        let mut arrays = self.columns.finish()?;
        let mut beside: Vec<ArrayRef> = Vec::with_capacity(self.includes.len() + 4);
        let partitions = repeated(&self.places, good.len(), |place| &place.partition);
        let offsets: ArrayRef = Arc::new(Int64Array::from(mem::take(&mut self.offsets)));
        for include in &mut self.includes {
            beside.push(match include {
                Included::Key(_, keys) => Arc::new(keys.finish()),
                Included::Partition => Arc::clone(&partitions),
                Included::Offset => Arc::clone(&offsets),
                Included::Timestamp(times) => {
                    Arc::new(TimestampMicrosecondArray::from(mem::take(times)).with_timezone("UTC"))
                }
                Included::Header(_, _, values) => Arc::new(values.finish()),
            });
        }
        let next = Vec::with_capacity(self.payloads.len());
        let payloads = Buffer::from_vec(mem::replace(&mut self.payloads, next));
        let ends = OffsetBuffer::new(ScalarBuffer::from(mem::replace(&mut self.ends, vec![0])));
        beside.push(Arc::new(BinaryArray::try_new(ends, payloads, None)?));
        beside.push(repeated(&self.places, good.len(), |place| &place.source));
        beside.push(partitions);
        beside.push(offsets);
        if good.contains(&false) {
            let good = BooleanArray::from(good.to_vec());
            for array in &mut beside {
                *array = arrow::compute::filter(array, &good)?;
            }
        }
        arrays.append(&mut beside);
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }

    /// Forgets everything but the header and room for more.
    fn clear(&mut self) {
        self.columns.truncate(0);
        self.weight = 0;
        self.refused_bytes = 0;
        self.payloads.clear();
        self.ends.truncate(1);
        self.offsets.clear();
        self.places.clear();
        self.headers.drain(..self.headers.len() - 1);
        self.headers.iter_mut().for_each(|header| header.first = 0);
    }
}

impl Format {
    fn is_blank(self, payload: &[u8]) -> bool {
        match self {
            Format::Json => payload.trim_ascii().is_empty(),
            // Blanks are a field's text, and may be delimiters.
            Format::Csv { .. } => csv::without_line_end(payload).is_empty(),
        }
    }
}

impl Included {
    fn push(&mut self, record: &Record<'_>, masker: &Masker) {
        match self {
            Included::Key(column, keys) => match record.key.and_then(|key| masker.beside(column, key)) {
                Some(masked) => keys.append_value(masked),
                None => keys.append_option(record.key),
            },
            Included::Partition | Included::Offset => {}
            Included::Timestamp(times) => times.push(record.timestamp_us),
            Included::Header(name, column, values) => {
                // Of several headers of one name the last counts, as for Kafka's own clients.
                let value = record.headers.iter().rev().find(|(header, _)| header == name);
                values.append_option(value.map(|(_, value)| match masker.beside(column, value) {
                    Some(masked) => Cow::Owned(masked),
                    None => String::from_utf8_lossy(value),
                }));
            }
        }
    }
}

impl Included {
    /// Notes what a record that is held came with.
    fn note(&self, record: usize, beside: &mut Beside) {
        match self {
            Included::Key(_, keys) => {
                if let Some(key) = value_of(keys, record) {
                    beside.note_key(key);
                }
            }
            Included::Partition | Included::Offset => {}
            Included::Timestamp(times) => beside.note_timestamp(times.get(record).copied().flatten()),
            Included::Header(name, _, values) => {
                let value = value_of(values, record).and_then(|value| std::str::from_utf8(value).ok());
                if let Some(value) = value {
                    beside.note_header(name, value);
                }
            }
        }
    }
}

/// A value that a builder holds.
fn value_of<T: ByteArrayType<Offset = i32>>(values: &GenericByteBuilder<T>, record: usize) -> Option<&[u8]> {
    let is_null = |bits: &[u8]| bits.get(record / 8).is_some_and(|byte| byte >> (record % 8) & 1 == 0);
    if values.validity_slice().is_some_and(is_null) {
        return None;
    }
    let offset = |at: usize| usize::try_from(*values.offsets_slice().get(at)?).ok();
    values.values_slice().get(offset(record)?..offset(record + 1)?)
}

/// What a record may add to a single column, whichever that is. A header's bytes may triple when they are not UTF-8.
fn record_weight(record: &Record<'_>, masker: &Masker) -> usize {
    let headers = record.headers.iter().map(|(_, value)| 3 * value.len()).sum::<usize>();
    let places = record.source.len() + record.partition.len();
    let masked = if masker.is_idle() { 0 } else { MASKED_BYTES_MAX * (1 + record.headers.len()) };
    record.payload.len() + record.key.map_or(0, <[u8]>::len) + headers + places + masked
}

/// A column with one value for each run of records.
fn repeated(places: &[Place], rows: usize, value: impl Fn(&Place) -> &str) -> ArrayRef {
    let ends = places.iter().skip(1).map(|next| next.first).chain([rows]);
    let runs: Vec<_> =
        places.iter().zip(ends).map(|(place, end)| (value(place), end - place.first)).collect();
    let bytes = runs.iter().map(|(value, count)| value.len() * count).sum();
    let mut builder = StringBuilder::with_capacity(rows, bytes);
    for (value, count) in runs {
        for _ in 0..count {
            builder.append_value(value);
        }
    }
    Arc::new(builder.finish())
}
