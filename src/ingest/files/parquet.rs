//! Parquet files: columns by name, row group by row group.

use super::take::{Taker, Taking, Trouble};
use crate::ingest::decode::Record;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Rows read at once.
const BATCH_ROWS: usize = 16_384;

/// Takes a file's rows behind those that are taken already.
pub(super) fn take(taker: &mut Taker, taking: &mut Taking) -> Result<(), Trouble> {
    let unreadable =
        |error: &dyn std::fmt::Display| Trouble::Content(format!("cannot be read as parquet: {error}"));
    let file = taking.file.try_clone()?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| unreadable(&error))?;
    let wanted: Vec<usize> = {
        let fields = builder.schema().fields();
        let position = |name: &str| fields.iter().position(|field| field.name() == name);
        taker.caster().columns().filter_map(position).collect()
    };
    if wanted.is_empty() {
        let columns: Vec<_> = taker.caster().columns().collect();
        return Err(Trouble::Content(format!("it has none of the columns {}", columns.join(", "))));
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let skipped = usize::try_from(taking.progress.taken).unwrap_or(0);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .with_offset(skipped)
        .build()
        .map_err(|error| unreadable(&error))?;
    for batch in reader {
        taker.way_out.go_on()?;
        let batch = batch.map_err(|error| unreadable(&error))?;
        let first = Record {
            payload: &[],
            source: &taking.progress.path,
            partition: &taking.partition,
            offset: taking.progress.taken,
            key: None,
            timestamp_us: None,
            headers: &[],
        };
        let decoded =
            taker.caster().cast(&batch, &first).map_err(|error| Trouble::End(super::End::Failed(error)))?;
        taking.progress.taken += i64::try_from(batch.num_rows()).unwrap_or(0);
        taker.send(decoded, batch.get_array_memory_size(), Some(&taking.progress))?;
    }
    Ok(())
}
