//! Rows that a session puts into sources: at once, or all that a transaction has when it commits. The statements of one
//! message, or of one pipeline, are a transaction too; one of them that reads tables sees what those before it put in, which
//! is durable from then on.
//!
//! The rows of a source are one push, and one commit: COMMIT of a transaction that has rows for several sources makes
//! them durable one source after the other. Statements that follow see what their session has put in. A push may have a
//! place: the channel and the token that the session's settings name. It is taken once, and the token is used up, so that
//! what is put in next cannot be mistaken for the same.

use super::place::Place;
use super::{Session, State};
use crate::catalog::access::Action;
use crate::ingest::{Committed, row_bytes};
use crate::lake::TableName;
use crate::serve::statement::{Named, Statement};
use crate::serve::{Error, incoming};
use crate::sql::ColumnDefinition;
use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::sql::sqlparser::ast;
use std::ops::ControlFlow;
use std::sync::Arc;
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
        let place = Place::of(&self.settings().lock())?;
        if let Some(waiting) = self.state.lock().waiting_rows(place.is_some()) {
            let of_source = waiting.iter().filter(|(table, _)| *table == target.table);
            let before: usize = of_source.map(|(_, rows)| row_bytes(rows)).sum();
            if before + row_bytes(&rows) > target.bytes_max {
                return Err(too_large(target.bytes_max));
            }
            waiting.push((target.table.clone(), rows));
            return Ok(count);
        }
        self.commit_rows().await?;
        if rows.num_rows() == 0 {
            return Ok(0);
        }
        let is_new = self.push(&target.table, place.as_ref(), rows).await?;
        self.use_up(place)?;
        Ok(if is_new { count } else { 0 })
    }

    /// Whether a batch has rows that are still to be committed.
    pub fn has_gathered(&self) -> bool {
        !self.state.lock().gathered.is_empty()
    }

    /// Commits what a batch has gathered before a statement that may see it.
    pub(super) async fn settle(&self, statement: &Statement) -> Result<(), Error> {
        let sees_rows = match statement {
            Statement::Execute { name, .. } => reads_tables(self.kept(name)?.statement()),
            statement => reads_tables(statement),
        };
        match sees_rows && self.has_gathered() {
            true => self.commit_rows().await,
            false => Ok(()),
        }
    }

    /// Hands over the rows of the transaction, if it is about to commit, or of the batch.
    pub async fn commit_rows(&self) -> Result<(), Error> {
        let mut rows = {
            let mut state = self.state.lock();
            match &mut state.transaction {
                Some(transaction) if transaction.failed => return Ok(()),
                Some(transaction) => std::mem::take(&mut transaction.rows),
                None => std::mem::take(&mut state.gathered),
            }
        };
        rows.retain(|(_, batch)| batch.num_rows() > 0);
        if rows.is_empty() {
            return Ok(());
        }
        let place = Place::of(&self.settings().lock())?;
        while let Some((table, _)) = rows.first() {
            let table = table.clone();
            let (of_table, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(of, _)| *of == table);
            rows = others;
            let batches: Vec<_> = of_table.into_iter().map(|(_, batch)| batch).collect();
            self.push(&table, place.as_ref(), together(&batches)?).await?;
        }
        self.use_up(place)
    }

    /// A push is done: its token is not the next one's.
    fn use_up(&self, place: Option<Place>) -> Result<(), Error> {
        match place {
            Some(place) => place.use_up(&mut self.settings().lock()),
            None => Ok(()),
        }
    }

    /// Hands over rows, and returns when they are durable; tells whether they are new, and not a push that was taken before.
    async fn push(&self, table: &TableName, place: Option<&Place>, rows: RecordBatch) -> Result<bool, Error> {
        let Some(inbox) = incoming::inbox(&self.readers, &table.name) else {
            return Err(Error::new("57P03", format!("source \"{table}\" is gone")));
        };
        let channel = place.map(|place| (place.channel.clone(), place.token));
        let taken = incoming::push(inbox.as_ref(), &table.name, channel, rows).await?;
        if taken.rejected > 0 {
            let message = format!("{} rows are in {table}__quarantine", taken.rejected);
            self.notice(Error::new("01000", message));
        }
        match (taken.committed, place) {
            (Some(Committed { version, .. }), _) => {
                let token = format!("{table}@{version}");
                self.settings().lock().set("sluice.read_after", Some(&token), false)?;
                Ok(true)
            }
            (None, Some(place)) => {
                self.notice(place.taken_before(table));
                Ok(false)
            }
            (None, None) => Ok(true),
        }
    }
}

impl State {
    /// Where rows wait for the end of what they are a part of; nowhere if they are durable at once, as those with a place in a
    /// batch are: whether they are new is known only then.
    fn waiting_rows(&mut self, has_place: bool) -> Option<&mut Vec<(TableName, RecordBatch)>> {
        match &mut self.transaction {
            Some(transaction) => Some(&mut transaction.rows),
            None => (self.batch.is_some() && !has_place).then_some(&mut self.gathered),
        }
    }
}

/// Whether a statement may see rows of tables.
fn reads_tables(statement: &Statement) -> bool {
    match (statement.query(), statement) {
        (Some(query), _) => ast::visit_relations(&**query, |_| ControlFlow::Break(())).is_break(),
        (None, statement) => !matches!(
            statement,
            Statement::CopyIn(_)
                | Statement::Begin(_)
                | Statement::Commit { .. }
                | Statement::Rollback { .. }
                | Statement::Prepare { .. }
                | Statement::Set { .. }
                | Statement::Show(_)
                | Statement::Empty
        ),
    }
}

/// Batches as one; the columns that only some have are NULL in the others.
fn together(batches: &[RecordBatch]) -> Result<RecordBatch, Error> {
    let all = Schema::try_merge(batches.iter().map(|batch| batch.schema().as_ref().clone()))?;
    let fields = all.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let whole = |batch: &RecordBatch| {
        let column = |field: &FieldRef| {
            let found = batch.column_by_name(field.name()).cloned();
            found.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
        };
        RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect())
    };
    let wholes = batches.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &wholes)?)
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
