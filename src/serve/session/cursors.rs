//! Cursors: queries read in steps, each over the cut that stood when it was declared.
//!
//! Comes in: `DECLARE`, `FETCH`, `MOVE`, `CLOSE`. Goes out: the rows passed, streamed. Nothing is held but the batch that is
//! being read, so that a cursor WITH HOLD costs as little as any other; only SCROLL keeps what was read, within the
//! memory of all queries. Going back to before the first row runs the query again on the same cut.

use super::{Answer, Batch, Prepared, Session};
use crate::catalog::cut::Cut;
use crate::ops::clock;
use crate::serve::Error;
use crate::serve::query::{self, Planned, RowStream};
use crate::serve::statement::{Declaration, Direction, Statement};
use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Cursors of one session.
const CURSORS_MAX: usize = 1_000;

/// The cursors of a session, by name.
#[derive(Default)]
pub struct Cursors(BTreeMap<String, Arc<OpenCursor>>);

/// A cursor that has been declared and not closed.
pub struct OpenCursor {
    /// What was said of it.
    pub declaration: Declaration,
    /// When.
    pub created: DateTime<Utc>,
    schema: SchemaRef,
    /// How many savepoints stood then; `None` once it outlives its transaction.
    savepoints: Option<usize>,
    source: Source,
    rows: Arc<Mutex<CursorRows>>,
}

/// What the rows come from, to begin again.
#[derive(Clone)]
struct Source {
    cut: Arc<Cut>,
    planned: Planned,
    values: Vec<ScalarValue>,
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Cursors {
    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &OpenCursor> {
        self.0.values().map(Arc::as_ref)
    }

    /// Whether there is one of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a cursor's rows are sent in binary.
    pub fn is_binary(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|cursor| cursor.declaration.binary)
    }

    /// The columns of a cursor's rows.
    pub fn columns(&self, name: &str) -> Option<SchemaRef> {
        self.0.get(name).map(|cursor| cursor.schema.clone())
    }

    fn get(&self, name: &str) -> Result<Arc<OpenCursor>, Error> {
        self.0.get(name).cloned().ok_or_else(|| no_such_cursor(name))
    }

    /// `CLOSE name`.
    pub fn close(&mut self, name: &str) -> Result<(), Error> {
        self.0.remove(name).map(drop).ok_or_else(|| no_such_cursor(name))
    }

    /// `CLOSE ALL`.
    pub(super) fn close_all(&mut self) {
        self.0.clear();
    }

    /// The transaction is over: only what it committed WITH HOLD stays, and what stood before it.
    pub(super) fn end_transaction(&mut self, committed: bool) {
        self.0.retain(|_, cursor| cursor.savepoints.is_none() || committed && cursor.declaration.hold);
        self.set_savepoints(|_| None);
    }

    /// Back at the savepoint numbered `at` from 0: what was declared after it is closed.
    pub(super) fn rolled_back_to(&mut self, at: usize) {
        self.0.retain(|_, cursor| cursor.savepoints.is_none_or(|savepoints| savepoints <= at));
    }

    /// The savepoint numbered `at` and those after it are no more.
    pub(super) fn released(&mut self, at: usize) {
        self.set_savepoints(|savepoints| Some(savepoints?.min(at)));
    }

    fn set_savepoints(&mut self, change: impl Fn(Option<usize>) -> Option<usize>) {
        for cursor in self.0.values_mut() {
            let savepoints = change(cursor.savepoints);
            if savepoints != cursor.savepoints {
                *cursor = Arc::new(OpenCursor {
                    declaration: cursor.declaration.clone(),
                    created: cursor.created,
                    schema: cursor.schema.clone(),
                    savepoints,
                    source: cursor.source.clone(),
                    rows: Arc::clone(&cursor.rows),
                });
            }
        }
    }
}

impl Session {
    /// `DECLARE`.
    pub(super) async fn declare(
        &self,
        declaration: &Declaration,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let savepoints = self.savepoints();
        if savepoints.is_none() && !declaration.hold {
            return Err(Error::new("25P01", "DECLARE CURSOR can only be used in transaction blocks")
                .with_hint("Say BEGIN before it, or declare the cursor WITH HOLD."));
        }
        self.open_cursor(declaration.clone(), savepoints, prepared, values, deadline).await?;
        Ok(Answer::Tag("DECLARE CURSOR".into()))
    }

    /// Opens a query as a cursor for a protocol that reads in steps: its portal, which SQL sees, too. It is closed with
    /// the transaction, or by [`Session::end_portals`].
    pub async fn open_portal(
        &self,
        name: &str,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
    ) -> Result<(), Error> {
        self.check_transaction(&prepared.statement)?;
        let Statement::Query(query) = &prepared.statement else {
            return Err(Error::internal("a portal of no query was opened as a cursor"));
        };
        let (name, text) = (name.to_string(), query.to_string());
        let query = query.clone();
        let declaration = Declaration { name, scroll: None, hold: false, binary: false, query, text };
        let savepoints = Some(self.savepoints().unwrap_or(0));
        self.open_cursor(declaration, savepoints, prepared, values, self.deadline()).await
    }

    /// Reads a portal on, or a cursor as if it were one: at most so many rows, or all.
    pub async fn read_portal(&self, name: &str, rows_max: Option<u64>) -> Result<Answer, Error> {
        self.check_transaction(&Statement::Empty)?;
        self.fetch(name, Direction::Forward(rows_max), false, self.deadline()).await
    }

    /// Outside of a transaction portals end with the batch that they were opened in.
    pub fn end_portals(&self) {
        if self.state.lock().transaction.is_none() {
            self.cursors().lock().end_transaction(true);
        }
    }

    /// How many savepoints stand; `None` outside of transactions.
    fn savepoints(&self) -> Option<usize> {
        let state = self.state.lock();
        let transaction = state.transaction.as_ref().map(|transaction| transaction.savepoints.len());
        transaction.or_else(|| (state.batch == Some(Batch::Message)).then_some(0))
    }

    async fn open_cursor(
        &self,
        declaration: Declaration,
        savepoints: Option<usize>,
        prepared: &Prepared,
        values: Vec<ScalarValue>,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let name = declaration.name.clone();
        {
            let cursors = self.cursors().lock();
            if cursors.contains(&name) {
                return Err(Error::new("42P03", format!("cursor \"{name}\" already exists")));
            }
            if cursors.0.len() >= CURSORS_MAX {
                let message = format!("a session keeps at most {CURSORS_MAX} cursors");
                return Err(Error::new("54000", message).with_hint("CLOSE what is not needed any more."));
            }
        }
        let cut = self.cut(deadline).await?;
        let planned = self.planned(prepared, &values, &cut).await?;
        let scope = self.scope(&cut)?;
        let (schema, stream) = query::run(&scope, planned.clone(), values.clone()).await?;
        let kept = (declaration.scroll == Some(true))
            .then(|| MemoryConsumer::new("cursor").register(&scope.state.runtime_env().memory_pool));
        let cursor = OpenCursor {
            declaration,
            created: clock::now(),
            schema,
            savepoints,
            source: Source { cut, planned, values },
            rows: Arc::new(Mutex::new(CursorRows::new(stream, kept))),
        };
        self.cursors().lock().0.insert(name, Arc::new(cursor));
        Ok(())
    }

    /// `FETCH` and `MOVE`.
    pub(super) async fn fetch(
        &self,
        name: &str,
        direction: Direction,
        moves: bool,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        let cursor = self.cursors().lock().get(name)?;
        let mut rows = Arc::clone(&cursor.rows)
            .try_lock_owned()
            .map_err(|_| Error::new("55006", format!("cursor \"{name}\" is being read by another portal")))?;
        let passage = match rows.way(direction, moves).await? {
            Way::Pass(passage) => passage,
            Way::Rewind { passed } => {
                if !rows.keeps_all() && cursor.declaration.scroll == Some(false) && rows.position > 0 {
                    return Err(forward_only());
                }
                if rows.rewind() {
                    let Source { cut, planned, values } = cursor.source.clone();
                    let (_, stream) = query::run(&self.scope(&cut)?, planned, values).await?;
                    *rows = CursorRows::new(stream, None);
                }
                Passage { passed, ..Passage::NONE }
            }
        };
        if moves {
            let passed = rows.pass(passage).await?;
            return Ok(Answer::Tag(format!("MOVE {passed}").into()));
        }
        Ok(Answer::Rows {
            schema: cursor.schema.clone(),
            rows: rows_of(rows, passage),
            tag: "FETCH",
            deadline,
        })
    }
}

fn no_such_cursor(name: &str) -> Error {
    Error::new("34000", format!("cursor \"{name}\" does not exist"))
}

fn forward_only() -> Error {
    Error::new("55000", "cursor can only scan forward")
        .with_hint("Declare it with SCROLL option to enable backward scan.")
}

/// Rows in reach of a cursor, and where it stands.
struct CursorRows {
    /// `None` when it has ended.
    stream: Option<RowStream>,
    /// An error ended it.
    failed: bool,
    /// Batches that were read: the last one, or all of a scrollable cursor.
    kept: Vec<RecordBatch>,
    /// Rows before those.
    dropped: u64,
    /// Rows read so far.
    read: u64,
    /// 0 stands before the first row, 1 on it.
    position: u64,
    /// The memory of a scrollable cursor.
    memory: Option<MemoryReservation>,
}

/// Where a direction leads.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Pass(Passage),
    /// To before the first row, over so many rows that are not wanted.
    Rewind {
        passed: u64,
    },
}

/// Rows to be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Passage {
    next: u64,
    left: u64,
    backward: bool,
    /// Rows passed already.
    passed: u64,
}

impl Passage {
    const NONE: Self = Self { next: 0, left: 0, backward: false, passed: 0 };
}

/// The rows of a passage. The cursor is held as long as the stream.
fn rows_of(rows: OwnedMutexGuard<CursorRows>, passage: Passage) -> RowStream {
    futures::stream::try_unfold((rows, passage), |(mut rows, mut passage)| async move {
        Ok(rows.step(&mut passage).await?.map(|batch| (batch, (rows, passage))))
    })
    .boxed()
}

impl CursorRows {
    fn new(stream: RowStream, memory: Option<MemoryReservation>) -> Self {
        Self { stream: Some(stream), failed: false, kept: vec![], dropped: 0, read: 0, position: 0, memory }
    }

    fn keeps_all(&self) -> bool {
        self.memory.is_some()
    }

    /// Goes to before the first row; true if the rows have to be read again for that.
    fn rewind(&mut self) -> bool {
        self.position = 0;
        !self.keeps_all() && self.read > 0
    }

    /// Reads on until a row is in reach; false if there is none.
    async fn reach(&mut self, row: u64) -> Result<bool, Error> {
        if self.failed {
            return Err(Error::new("55000", "the cursor failed before and cannot be read on")
                .with_hint("Close it and declare it again."));
        }
        while self.read < row {
            let Some(stream) = &mut self.stream else { return Ok(false) };
            match stream.next().await {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => self.keep(batch)?,
                Some(Err(error)) => {
                    self.stream = None;
                    self.failed = true;
                    return Err(error);
                }
                None => self.stream = None,
            }
        }
        Ok(true)
    }

    fn keep(&mut self, batch: RecordBatch) -> Result<(), Error> {
        match &mut self.memory {
            Some(memory) => memory.try_grow(batch.get_array_memory_size())?,
            None => {
                self.kept.clear();
                self.dropped = self.read;
            }
        }
        self.read += batch.num_rows() as u64;
        self.kept.push(batch);
        Ok(())
    }

    async fn way(&mut self, direction: Direction, moves: bool) -> Result<Way, Error> {
        let onward = |next, left| Passage { next, left, ..Passage::NONE };
        Ok(Way::Pass(match direction {
            Direction::Forward(Some(0)) | Direction::Backward(Some(0)) | Direction::Relative(0) => {
                let stands = (1..=self.read).contains(&self.position);
                onward(self.position, u64::from(stands))
            }
            Direction::Forward(count) => onward(self.position + 1, count.unwrap_or(u64::MAX)),
            Direction::Backward(count) => {
                let (next, left) = (self.position.saturating_sub(1), count.unwrap_or(u64::MAX));
                if left > next && (moves || next == 0) {
                    return Ok(Way::Rewind { passed: next });
                }
                if !self.keeps_all() {
                    return Err(forward_only());
                }
                Passage { backward: true, ..onward(next, left) }
            }
            Direction::Absolute(row) if row < 0 => {
                self.reach(u64::MAX).await?;
                return self.to((self.read + 1).saturating_sub(row.unsigned_abs())).await;
            }
            Direction::Absolute(row) => return self.to(row.unsigned_abs()).await,
            Direction::Relative(steps) => return self.to(self.position.saturating_add_signed(steps)).await,
        }))
    }

    /// To one row.
    async fn to(&mut self, row: u64) -> Result<Way, Error> {
        if row == 0 {
            return Ok(Way::Rewind { passed: 0 });
        }
        if row < self.position && !self.keeps_all() {
            return Err(forward_only());
        }
        self.reach(row).await?;
        Ok(Way::Pass(Passage { next: row, left: 1, ..Passage::NONE }))
    }

    /// The next rows of a passage, as many as lie together; `None` when it is over.
    async fn step(&mut self, passage: &mut Passage) -> Result<Option<RecordBatch>, Error> {
        if passage.left == 0 {
            return Ok(None);
        }
        if passage.next == 0 || !self.reach(passage.next).await? {
            // Before the first row, or after the last.
            self.position = if passage.next == 0 { 0 } else { self.read + 1 };
            return Ok(None);
        }
        let (batch, at) = self.batch_of(passage.next).ok_or_else(forward_only)?;
        let before = at + 1;
        let together = if passage.backward { before } else { batch.num_rows() - at };
        let count = together.min(usize::try_from(passage.left).unwrap_or(usize::MAX));
        let rows = match passage.backward {
            false => batch.slice(at, count),
            true => {
                let indices = (before - count..before).rev().map(|row| row as u64);
                take_record_batch(batch, &UInt64Array::from_iter_values(indices))?
            }
        };
        let count = count as u64;
        passage.left -= count;
        passage.passed += count;
        if passage.backward {
            self.position = passage.next + 1 - count;
            passage.next -= count;
        } else {
            passage.next += count;
            self.position = passage.next - 1;
        }
        Ok(Some(rows))
    }

    /// The kept batch that holds a row, and where in it.
    fn batch_of(&self, row: u64) -> Option<(&RecordBatch, usize)> {
        let mut at = usize::try_from(row.checked_sub(self.dropped + 1)?).ok()?;
        for batch in &self.kept {
            match at.checked_sub(batch.num_rows()) {
                Some(beyond) => at = beyond,
                None => return Some((batch, at)),
            }
        }
        None
    }

    /// Passes rows that nobody wants; gives their number.
    async fn pass(&mut self, mut passage: Passage) -> Result<u64, Error> {
        while self.step(&mut passage).await?.is_some() {}
        Ok(passage.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::statement::Direction::{Absolute, Backward, Forward, Relative};
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};

    /// Rows 1 to 7 in batches of three.
    fn cursor(scroll: bool) -> CursorRows {
        let numbers: Vec<i64> = (1..=7).collect();
        let batches: Vec<_> = numbers
            .chunks(3)
            .map(|chunk| {
                let column: ArrayRef = Arc::new(Int64Array::from(chunk.to_vec()));
                Ok(RecordBatch::try_from_iter([("n", column)]).unwrap())
            })
            .collect();
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
        let memory = scroll.then(|| MemoryConsumer::new("cursor").register(&pool));
        CursorRows::new(futures::stream::iter(batches).boxed(), memory)
    }

    async fn fetch(cursor: &mut CursorRows, direction: Direction) -> Result<Vec<i64>, Error> {
        let mut passage = match cursor.way(direction, false).await? {
            Way::Pass(passage) => passage,
            Way::Rewind { .. } => {
                cursor.rewind();
                return Ok(vec![]);
            }
        };
        let mut rows = vec![];
        while let Some(batch) = cursor.step(&mut passage).await? {
            rows.extend(batch.column(0).as_primitive::<Int64Type>().values());
        }
        Ok(rows)
    }

    #[tokio::test]
    async fn a_scrollable_cursor_goes_both_ways() {
        let mut cursor = cursor(true);
        for (direction, rows, position) in [
            (Forward(Some(0)), vec![], 0),
            (Forward(Some(4)), vec![1, 2, 3, 4], 4),
            (Relative(0), vec![4], 4),
            (Backward(Some(2)), vec![3, 2], 2),
            (Absolute(-1), vec![7], 7),
            (Forward(Some(1)), vec![], 8),
            (Backward(None), vec![7, 6, 5, 4, 3, 2, 1], 0),
            (Relative(3), vec![3], 3),
            (Relative(-1), vec![2], 2),
            (Backward(Some(1)), vec![1], 1),
            (Backward(Some(1)), vec![], 0),
            (Absolute(9), vec![], 8),
            (Absolute(-8), vec![], 0),
            (Forward(None), vec![1, 2, 3, 4, 5, 6, 7], 8),
        ] {
            assert_eq!(fetch(&mut cursor, direction).await.unwrap(), rows, "{direction:?}");
            assert_eq!(cursor.position, position, "{direction:?}");
        }
    }

    #[tokio::test]
    async fn others_go_forward_and_keep_one_batch() {
        let mut cursor = cursor(false);
        assert_eq!(fetch(&mut cursor, Forward(Some(2))).await.unwrap(), [1, 2]);
        assert_eq!(fetch(&mut cursor, Absolute(5)).await.unwrap(), [5]);
        assert_eq!(cursor.kept.len(), 1);
        for back in [Absolute(4), Relative(-1), Backward(Some(1)), Absolute(-7), Backward(None)] {
            let mut cursor = self::cursor(false);
            fetch(&mut cursor, Forward(Some(5))).await.unwrap();
            assert_eq!(fetch(&mut cursor, back).await.unwrap_err().code, "55000", "{back:?}");
        }
        // Rows that are only moved over do not have to be there.
        assert_eq!(cursor.way(Backward(None), true).await.unwrap(), Way::Rewind { passed: 4 });
        assert!(cursor.rewind());
    }

    #[tokio::test]
    async fn what_a_scrollable_cursor_keeps_has_a_limit() {
        let mut cursor = cursor(true);
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1));
        cursor.memory = Some(MemoryConsumer::new("cursor").register(&pool));
        assert_eq!(fetch(&mut cursor, Forward(Some(1))).await.unwrap_err().code, "53200");
    }
}
