//! Files of JSON and CSV: records one by one, in bounded memory.

use super::take::{Taker, Taking, Trouble};
use crate::ingest::decode::Record;
use crate::ingest::decode::split::{Piece, RECORD_BYTES_MAX, Shape, Splitter};
use crate::sql::Encode;

/// Records between two looks at whether to stop.
const RECORDS_PER_LOOK: i64 = 4_096;

/// Takes a file's records behind those that are taken already.
pub(super) fn take(taker: &mut Taker, taking: &mut Taking) -> Result<(), Trouble> {
    let (shape, header) = match taker.definition().encode {
        Encode::Csv { delimiter, header } => (Shape::Csv { delimiter }, Some(header)),
        _ => (Shape::Json, None),
    };
    let mut splitter = Splitter::new(&taking.file, shape);
    match header {
        None => {}
        Some(false) => taker.buffer()?.clear_header(),
        Some(true) => match splitter.next()? {
            Some(Piece::Record(line)) => taker.buffer()?.set_header(line, false).map_err(Trouble::Content)?,
            Some(_) => return Err(Trouble::Content("its header line is too long".to_string())),
            None => return Ok(()),
        },
    }
    let skipped = taking.progress.taken;
    let mut number = 0;
    while let Some(piece) = splitter.next()? {
        number += 1;
        if number % RECORDS_PER_LOOK == 0 {
            taker.way_out.go_on()?;
        }
        if number <= skipped {
            continue;
        }
        let record = |payload| Record {
            payload,
            source: &taking.progress.path,
            partition: &taking.partition,
            offset: number - 1,
            key: None,
            timestamp_us: None,
            headers: &[],
        };
        let buffer = taker.buffer()?;
        match piece {
            Piece::Record(payload) => buffer.push(&record(payload)),
            Piece::Fragment(payload, why) => buffer.refuse(&record(payload), "syntax", why.to_string()),
            Piece::TooLong(head) => {
                let reason =
                    format!("the record is longer than {RECORD_BYTES_MAX} bytes; only its head is kept here");
                buffer.refuse(&record(head), "size", reason);
            }
        }
        taking.progress.taken = number;
        taker.flush_if_full(&taking.progress)?;
    }
    Ok(())
}
