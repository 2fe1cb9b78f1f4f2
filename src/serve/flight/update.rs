//! Statements that change something and give no rows: `INSERT`, definitions, refreshes, roles and rights.
//!
//! Comes in: a statement and rows of values. Goes out: how many rows it has put into sources; 0 for what puts none (the JDBC
//! driver takes -1, "unknown", for a query). All runs are one transaction: all of them are done, or none. Failure: an
//! [`Error`] with its SQLSTATE; 57014 when it is cancelled or its time is over.

use super::parameters::check_count;
use super::query::{Caller, Stop, manage, not_over_flight};
use super::statements::Prepared as Known;
use crate::ops::panics::caught;
use crate::serve::session::{Answer, Session};
use crate::serve::statement::{Begin, Statement};
use crate::serve::{Error, Readers};
use tokio_util::sync::CancellationToken;

/// True for what is run as an update. What is about the session itself is not: each call has one of its own.
pub(super) fn is_update(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Insert(_)
            | Statement::Define(_)
            | Statement::Access(_)
            | Statement::Refresh { .. }
            | Statement::Backfill { .. }
    )
}

/// Runs a statement for each row of values that is bound to it, once where none is; `server_stop` ends it.
pub(super) async fn run(
    readers: &Readers,
    caller: &Caller,
    known: Known,
    server_stop: CancellationToken,
) -> Result<i64, Error> {
    if !is_update(&known.statement) {
        let message = format!("{} is not an update", known.statement.tag());
        return Err(Error::new("0A000", message).with_hint("Ask for its rows."));
    }
    let session = caller.session(readers)?;
    let _running = session.activity().run(&known.text);
    let audited = session.audited(&known.statement, &known.text);
    let stop =
        Stop { cancelled: CancellationToken::new(), signals: session.activity().signals(), server_stop };
    let done = tokio::select! {
        biased;
        error = stop.reason(session.deadline()) => Err(error),
        done = caught(every_run(&session, known)) => done.unwrap_or_else(|panic| Err(Error::internal(panic))),
    };
    audited.end(done.as_ref().err());
    done
}

async fn every_run(session: &Session, known: Known) -> Result<i64, Error> {
    let Known { statement, parameters, mut values, .. } = known;
    if values.is_empty() {
        values.push(Vec::new());
    }
    values.iter().try_for_each(|run| check_count(run.len(), parameters.len()))?;
    let is_one = values.len() == 1;
    if !is_one {
        manage(session, Statement::Begin(Begin::default())).await?;
    }
    // Planned for the types that the values really have.
    let types: Vec<_> = values[0].iter().map(|value| Some(value.data_type().into())).collect();
    let prepared = session.prepare(statement, &types).await?;
    let mut rows = 0;
    for run in values {
        rows += match session.execute(&prepared, run).await? {
            // `INSERT 0 n`
            Answer::Tag(tag) => tag.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0),
            Answer::Rows { .. } | Answer::CopyIn(_) | Answer::Empty => {
                return Err(not_over_flight(prepared.statement().tag()));
            }
        };
    }
    if !is_one {
        manage(session, Statement::Commit { chain: false }).await?;
    }
    Ok(rows)
}
