//! A result before its commit: its rules' counts and its blocking audits, judged on the table as it would stand.

use super::model::Model;
use super::{Error, settled};
use crate::catalog::cut::{Cut, CutTable};
use crate::engine::{Engine, plan_text};
use crate::lake::{Commit, TableName};
use crate::ops::opaque::Opaque;
use crate::quality::{Audited, RuleCount, Rules, Verdict};
use crate::sql::{AuditDefinition, quoted_table};
use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use datafusion::catalog::TableProvider;
use datafusion::execution::context::SessionState;
use datafusion::physical_plan::execute_stream;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use std::sync::Arc;

/// What a result is judged by, and over which other tables.
pub(super) struct Bench<'a> {
    pub(super) engine: &'a Engine,
    pub(super) cut: &'a Arc<Cut>,
    pub(super) rules: &'a Rules,
}

impl Bench<'_> {
    /// What is to be said of the rows that a commit would leave. [`Error::Rejected`] when that speaks against it.
    pub(super) fn judge<'b>(
        &'b self,
        model: &'b Model,
        commit: &'b Commit,
    ) -> BoxFuture<'b, Result<Verdict, Error>> {
        async move {
            let mut verdict = Verdict { rules: self.rules.counts(), audits: Vec::new() };
            let blocking: Vec<_> = model.audits.iter().filter(|audit| audit.blocking).collect();
            let of_all = |rule: &RuleCount| rule.at_least.is_some() && !model.is_streaming;
            let shares: Vec<_> = verdict.rules.iter_mut().filter(|rule| of_all(rule)).collect();
            if !blocking.is_empty() || !shares.is_empty() {
                let state = self.over(&model.name, model.table.staged(commit));
                for rule in shares {
                    count_all(&state, &model.name, rule).await?;
                }
                for audit in blocking {
                    verdict.audits.push(found(&state, audit).await);
                }
            }
            match verdict.objection(&model.name.to_string()) {
                None => Ok(verdict),
                Some(message) => Err(Error::Rejected { message, verdict: Box::new(verdict) }),
            }
        }
        .boxed()
    }

    /// The planner's state over the cut with these rows in the place of a model's.
    fn over(&self, model: &TableName, rows: Arc<dyn TableProvider>) -> Opaque<SessionState> {
        let mut cut = Cut::clone(self.cut);
        if let Some(table) = cut.tables.get_mut(model) {
            *table = CutTable { provider: Some(rows), ..table.clone() };
        }
        self.engine.state_at(&Arc::new(cut), self.cut.wave_time)
    }
}

/// The rows that an audit finds; why it could not look is part of the answer.
pub(super) async fn found(state: &Opaque<SessionState>, audit: &AuditDefinition) -> Audited {
    let mut audited = Audited::of(audit);
    if let Err(error) = settled(take_all(state, audit, &mut audited)).await {
        audited.error = Some(crate::lake::chain(&error));
    }
    audited
}

async fn take_all(
    state: &Opaque<SessionState>,
    audit: &AuditDefinition,
    audited: &mut Audited,
) -> Result<(), Error> {
    let query = audit.query.to_string();
    let physical = plan_text(state, &query).await?;
    let mut batches = execute_stream(physical, state.task_ctx())?;
    while let Some(batch) = batches.next().await {
        audited.take(&batch?)?;
    }
    Ok(())
}

/// A share is one of all rows of a view, not of those that a refresh happened to touch.
async fn count_all(
    state: &Opaque<SessionState>,
    model: &TableName,
    rule: &mut RuleCount,
) -> Result<(), Error> {
    let (passes, table) = (&rule.predicate, quoted_table(model));
    let query = format!(
        "SELECT count(*) FILTER (WHERE {passes}), count(*) FILTER (WHERE ({passes}) IS NOT TRUE) FROM {table}"
    );
    let physical = plan_text(state, &query).await?;
    let mut batches = execute_stream(physical, state.task_ctx())?;
    (rule.passed, rule.failed) = (0, 0);
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let sum =
            |column: usize| batch.column(column).as_primitive::<Int64Type>().values().iter().sum::<i64>();
        rule.passed += sum(0);
        rule.failed += sum(1);
    }
    Ok(())
}
