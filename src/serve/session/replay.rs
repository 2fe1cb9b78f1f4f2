//! `REPLAY QUARANTINE`, `BACKFILL`: what was set apart, or taken in a range of time, goes through the present definition
//! again.

use super::models::{one_batch, wrong_kind};
use super::{Answer, Session, TransactionStatus};
use crate::catalog::access::Action;
use crate::catalog::cut::RelationKind;
use crate::refresh::Range;
use crate::serve::Error;
use crate::serve::statement::Named;
use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use std::time::Instant;

/// The columns that it answers with.
pub(super) fn columns() -> SchemaRef {
    let count = |name| Field::new(name, DataType::Int64, true);
    let table = Field::new("table_name", DataType::Utf8, true);
    Arc::new(Schema::new(vec![table, count("taken"), count("passed"), count("failed"), count("left")]))
}

impl Session {
    /// `BACKFILL ...`: begun when it returns; `sluice.backfills` shows how far it has come.
    pub(super) async fn backfill(
        &self,
        name: &Named,
        range: Range,
        history_may_be_lost: bool,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        if self.transaction_status() != TransactionStatus::Idle {
            return Err(Error::new("25001", "BACKFILL cannot run inside a transaction block")
                .with_hint("A transaction sees one cut: COMMIT first."));
        }
        let cut = self.cut(deadline).await?;
        let table = self.find(name, &cut)?;
        if table.relation.kind != RelationKind::StreamingTable {
            return Err(wrong_kind(table, "a streaming table"));
        }
        self.check_may(Action::Maintain(&table.relation.name), &table.relation.name, &cut)?;
        self.readers.control.backfill(&table.relation.name, range, history_may_be_lost).await?;
        Ok(Answer::Tag("BACKFILL".into()))
    }

    /// Done when the session's next statement sees what came of it.
    pub(super) async fn replay(
        &self,
        name: &Named,
        predicate: Option<String>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        if self.transaction_status() != TransactionStatus::Idle {
            return Err(Error::new("25001", "REPLAY QUARANTINE cannot run inside a transaction block")
                .with_hint("A transaction sees one cut: COMMIT first."));
        }
        let cut = self.cut(deadline).await?;
        let table = self.find(name, &cut)?;
        let (name, kind) = (&table.relation.name, table.relation.kind);
        self.check_may(Action::Maintain(name), name, &cut)?;
        let has_quarantine = cut.tables.contains_key(&name.quarantine());
        let replayed = match kind {
            RelationKind::Source | RelationKind::StreamingTable if !has_quarantine => {
                return Err(Error::new("42809", format!("{name} has no quarantine")).with_hint(
                    "Rows are kept apart by ON VIOLATION QUARANTINE ROW, and by NOT NULL columns.",
                ));
            }
            RelationKind::StreamingTable => self.readers.control.replay(name, predicate).await?,
            RelationKind::Source => {
                let predicate = predicate.as_deref();
                let (done, version) = self.readers.control.replay_records(name, predicate, &cut).await?;
                self.cut_after(&format!("{name}@{version}"), deadline).await?;
                done
            }
            _ => return Err(wrong_kind(table, "a source or a streaming table, beside which rows are kept")),
        };
        let count = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        let values = vec![
            Arc::new(StringArray::from(vec![name.to_string()])) as ArrayRef,
            count(replayed.taken),
            count(replayed.passed),
            count(replayed.failed),
            count(replayed.left),
        ];
        one_batch(columns(), values, "REPLAY QUARANTINE", deadline)
    }
}
