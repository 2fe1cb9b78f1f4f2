//! `PLAN`, `APPLY`: what edited files would change, and running them.

use super::models::one_batch;
use super::{Answer, Session, TransactionStatus};
use crate::catalog::definer::{Files, PlannedChange, Purpose};
use crate::serve::Error;
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use std::time::Instant;

/// The columns that `PLAN` and `APPLY` answer with.
pub(super) fn columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("name"),
        text("object"),
        text("change"),
        text("impact"),
        text("rows"),
        Field::new("stored_rows", DataType::Int64, true),
        text("details"),
        text("affects"),
    ]))
}

impl Session {
    /// `PLAN`: a row for each object that is not as it was; nothing is changed. `APPLY`: the same, and these files run from
    /// now on; answered once readers see them.
    pub(super) async fn deploy(
        &self,
        files: Files,
        purpose: Purpose,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let tag = if purpose == Purpose::Check { "PLAN" } else { "APPLY" };
        if purpose == Purpose::Apply && self.transaction_status() != TransactionStatus::Idle {
            return Err(Error::new("25001", "APPLY cannot run inside a transaction block")
                .with_hint("A transaction sees one cut: COMMIT first."));
        }
        self.check_administers(tag)?;
        let found = self.readers.definer.deploy(files, self.user(), purpose).await?;
        one_batch(columns(), rows(&found), tag, deadline)
    }
}

fn rows(found: &[PlannedChange]) -> Vec<ArrayRef> {
    let text = |of: &dyn Fn(&PlannedChange) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(found.iter().map(of)))
    };
    let counts = found.iter().map(|found| found.stored_rows.and_then(|rows| i64::try_from(rows).ok()));
    vec![
        text(&|found| found.change.name.clone()),
        text(&|found| found.change.object.to_string()),
        text(&|found| found.change.kind.as_str().to_string()),
        text(&|found| found.change.impact.as_str().to_string()),
        text(&|found| found.change.rows.as_str().to_string()),
        Arc::new(counts.collect::<Int64Array>()),
        text(&|found| found.change.details.join("; ")),
        text(&|found| found.change.affected().join(", ")),
    ]
}
