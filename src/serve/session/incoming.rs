//! Rows that a session puts into sources: at once, or all that a transaction has when it commits.
//!
//! The rows of a source are one push, and one commit: COMMIT of a transaction that has rows for several sources makes
//! them durable one source after the other. Statements that follow see what their session has put in.

use super::Session;
use crate::catalog::access::Action;
use crate::ingest::{Committed, row_bytes};
use crate::lake::TableName;
use crate::serve::statement::Named;
use crate::serve::{Error, incoming};
use crate::sql::ColumnDefinition;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use std::time::Instant;

/// A source that takes rows.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its table.
    pub table: TableName,
    /// The columns that rows have, in the order in which they come.
    pub columns: Vec<ColumnDefinition>,
    /// How many bytes they may be.
    pub bytes_max: usize,
}

impl Session {
    /// The source of a name, with these of its columns.
    pub(super) async fn target(
        &self,
        name: &Named,
        columns: Option<&[String]>,
        deadline: Option<Instant>,
    ) -> Result<Target, Error> {
        let cut = self.cut(deadline).await?;
        let table = self.find(name, &cut)?.relation.name.clone();
        self.check_may(Action::Insert(&table), &table, &cut)?;
        let all = self.columns_of(&table)?;
        let columns = match columns {
            None => all,
            Some(names) => chosen(&all, names, &table)?,
        };
        Ok(Target { table, columns, bytes_max: self.readers.limits.push_bytes_max })
    }

    fn columns_of(&self, table: &TableName) -> Result<Vec<ColumnDefinition>, Error> {
        let inbox =
            (table.schema == incoming::SCHEMA).then(|| incoming::inbox(&self.readers, &table.name)).flatten();
        let Some(inbox) = inbox else {
            return Err(Error::new("42809", format!("\"{table}\" takes no rows over a connection"))
                .with_detail(incoming::known(&self.readers, &self.role()))
                .with_hint("Declare a source with connector = 'http' in catalog/."));
        };
        Ok(inbox.columns().to_vec())
    }

    /// Takes rows for a source; tells how many.
    pub async fn take_rows(&self, target: &Target, rows: RecordBatch) -> Result<u64, Error> {
        let count = u64::try_from(rows.num_rows()).unwrap_or(u64::MAX);
        if let Some(transaction) = &mut self.state.lock().transaction {
            let of_source = transaction.rows.iter().filter(|(table, _)| *table == target.table);
            let before: usize = of_source.map(|(_, rows)| row_bytes(rows)).sum();
            if before + row_bytes(&rows) > target.bytes_max {
                return Err(too_large(target.bytes_max));
            }
            transaction.rows.push((target.table.clone(), rows));
            return Ok(count);
        }
        if rows.num_rows() > 0 {
            self.push(&target.table, rows).await?;
        }
        Ok(count)
    }

    /// Hands over the rows of the transaction, if it is about to commit.
    pub(super) async fn commit_rows(&self) -> Result<(), Error> {
        let mut rows = match &mut self.state.lock().transaction {
            Some(transaction) if !transaction.failed => std::mem::take(&mut transaction.rows),
            _ => return Ok(()),
        };
        while let Some((table, _)) = rows.first() {
            let table = table.clone();
            let (of_table, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(of, _)| *of == table);
            rows = others;
            for batch in
                alike(of_table.into_iter().map(|(_, batch)| batch).filter(|batch| batch.num_rows() > 0))?
            {
                self.push(&table, batch).await?;
            }
        }
        Ok(())
    }

    async fn push(&self, table: &TableName, rows: RecordBatch) -> Result<(), Error> {
        let Some(inbox) = incoming::inbox(&self.readers, &table.name) else {
            return Err(Error::new("57P03", format!("source \"{table}\" is gone")));
        };
        let taken = incoming::push(inbox.as_ref(), &table.name, None, rows).await?;
        if taken.rejected > 0 {
            let message = format!("{} rows are in {table}__quarantine", taken.rejected);
            self.notice(Error::new("01000", message));
        }
        if let Some(Committed { version, .. }) = taken.committed {
            self.settings().lock().set("sluice.read_after", Some(&format!("{table}@{version}")), false)?;
        }
        Ok(())
    }
}

/// Batches with the same columns as one.
fn alike(batches: impl Iterator<Item = RecordBatch>) -> Result<Vec<RecordBatch>, Error> {
    let mut groups: Vec<Vec<RecordBatch>> = vec![];
    for batch in batches {
        match groups.iter_mut().find(|group| group[0].schema() == batch.schema()) {
            Some(group) => group.push(batch),
            None => groups.push(vec![batch]),
        }
    }
    groups.iter().map(|group| Ok(concat_batches(&group[0].schema(), group)?)).collect()
}

/// The error of more rows than a push may have.
pub fn too_large(bytes_max: usize) -> Error {
    Error::new("54000", format!("the rows are more than limits.push_bytes_max, {bytes_max} bytes"))
        .with_hint("Copy them in smaller pieces, each a transaction of its own.")
}

fn chosen(
    all: &[ColumnDefinition],
    names: &[String],
    table: &TableName,
) -> Result<Vec<ColumnDefinition>, Error> {
    let mut chosen: Vec<ColumnDefinition> = vec![];
    for name in names {
        if chosen.iter().any(|column| column.name == *name) {
            return Err(Error::new("42701", format!("column \"{name}\" specified more than once")));
        }
        let Some(column) = all.iter().find(|column| column.name == *name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(Error::new("42703", message));
        };
        chosen.push(column.clone());
    }
    // What is not given is NULL.
    match all.iter().find(|column| !column.nullable && !names.contains(&column.name)) {
        Some(column) => Err(null_violation(&column.name, table)),
        None => Ok(chosen),
    }
}

/// The error of a NULL where there must be none.
pub fn null_violation(column: &str, table: &TableName) -> Error {
    let message = format!(
        "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
        table.name
    );
    Error::new("23502", message)
}
