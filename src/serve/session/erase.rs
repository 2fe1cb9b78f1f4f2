//! `ERASE SUBJECT`: a person is in no row, and in no file, any more.

use super::models::one_batch;
use super::{Answer, Session, TransactionStatus};
use crate::catalog::definer::{Erased, Purpose};
use crate::serve::Error;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use std::time::Instant;

/// The columns that it answers with: what stays in `sluice.erasures`.
pub(super) fn columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let count = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("id"),
        text("table_name"),
        text("by"),
        count("rows"),
        count("files"),
        Field::new("verified", DataType::Boolean, true),
    ]))
}

impl Session {
    /// Answered when nothing of the person is left; goes on by itself when who asked has gone.
    pub(super) async fn erase(
        &self,
        subject: (&str, &str),
        dry_run: bool,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        if self.transaction_status() != TransactionStatus::Idle {
            return Err(Error::new("25001", "ERASE SUBJECT cannot run inside a transaction block")
                .with_hint("A transaction keeps the cut that it reads: COMMIT first."));
        }
        self.check_administers("ERASE SUBJECT")?;
        let purpose = if dry_run { Purpose::Check } else { Purpose::Apply };
        let erased = self.readers.definer.erase(subject, self.user(), purpose).await?;
        one_batch(columns(), values(&erased, dry_run), "ERASE SUBJECT", deadline)
    }
}

fn values(erased: &[Erased], dry_run: bool) -> Vec<ArrayRef> {
    let texts = |of: &dyn Fn(&Erased) -> Option<&str>| -> ArrayRef {
        Arc::new(erased.iter().map(of).collect::<StringArray>())
    };
    let done = |erased: &Erased| (!dry_run).then_some(erased.files);
    let verified = |erased: &Erased| (!dry_run).then_some(erased.verified);
    vec![
        texts(&|erased| Some(erased.id.as_str()).filter(|id| !id.is_empty())),
        texts(&|erased| Some(&erased.table)),
        texts(&|erased| Some(&erased.by)),
        Arc::new(Int64Array::from_iter_values(erased.iter().map(|erased| erased.rows))),
        Arc::new(erased.iter().map(done).collect::<Int64Array>()),
        Arc::new(erased.iter().map(verified).collect::<BooleanArray>()),
    ]
}
