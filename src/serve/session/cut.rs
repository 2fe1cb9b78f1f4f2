//! Which cut a statement sees: the newest, the transaction's, or the first that holds a push.

use super::{Session, Transaction};
use crate::catalog::cut::Cut;
use crate::lake::TableName;
use crate::ops::clock;
use crate::serve::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a statement waits for the epoch of `sluice.read_after` when no timeout is set.
const READ_AFTER_WAIT_MAX: Duration = Duration::from_secs(30);

impl Session {
    /// The cut a statement that begins now sees.
    pub(super) async fn cut(&self, deadline: Option<Instant>) -> Result<Arc<Cut>, Error> {
        if let Some(Transaction { cut: Some(cut), .. }) = &self.state.lock().transaction {
            return Ok(Arc::clone(cut));
        }
        let token = self.settings().lock().get("sluice.read_after")?;
        let cut = match token.is_empty() {
            true => self.readers.cuts.borrow().clone(),
            false => self.cut_after(&token, deadline).await?,
        };
        let (max, age) =
            (self.settings().lock().duration("sluice.staleness_max"), clock::now() - cut.wave_time);
        if let Some(max) = max
            && age.to_std().is_ok_and(|age| age > max)
        {
            let message = format!(
                "the newest epoch is {} ms old, older than sluice.staleness_max",
                age.num_milliseconds()
            );
            return Err(Error::new("55000", message));
        }
        if let Some(transaction) = &mut self.state.lock().transaction {
            transaction.cut = Some(Arc::clone(&cut));
        }
        Ok(cut)
    }

    /// Waits for the first cut that holds a push: `bronze.orders@17` is that table's version.
    pub(super) async fn cut_after(&self, token: &str, deadline: Option<Instant>) -> Result<Arc<Cut>, Error> {
        let (table, version) = parse_token(token)?;
        let mut cuts = self.readers.cuts.clone();
        if !cuts.borrow().tables.contains_key(&table) {
            return Err(Error::new(
                "42P01",
                format!("relation \"{table}\" of sluice.read_after does not exist"),
            ));
        }
        let holds = |cut: &Arc<Cut>| cut.tables.get(&table).is_some_and(|found| found.version >= version);
        let wait = deadline.unwrap_or_else(|| clock::instant() + READ_AFTER_WAIT_MAX);
        match tokio::time::timeout_at(wait.into(), cuts.wait_for(holds)).await {
            Ok(Ok(cut)) => Ok(cut.clone()),
            Ok(Err(_)) => Err(Error::new("57P01", "the warehouse is shutting down")),
            Err(_) => Err(Error::new("57014", format!("no epoch holds {token} yet"))
                .with_hint("Ask again later, or RESET sluice.read_after.")),
        }
    }
}

fn parse_token(token: &str) -> Result<(TableName, i64), Error> {
    let invalid = || {
        Error::new("22023", format!("invalid value for parameter \"sluice.read_after\": \"{token}\""))
            .with_hint("A push answers with a token of the form schema.table@version.")
    };
    let (table, version) = token.rsplit_once('@').ok_or_else(invalid)?;
    let (schema, name) = table.split_once('.').ok_or_else(invalid)?;
    Ok((TableName::new(schema, name), version.parse().map_err(|_| invalid())?))
}
