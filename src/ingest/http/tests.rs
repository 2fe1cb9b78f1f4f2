//! Pushes, and what comes out of the channel.

use super::*;
use crate::ingest::Reporter;
use crate::lake::TableName;
use crate::sql::{ColumnDefinition, Connector, Origin};
use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, LargeStringArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use bytes::Bytes;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Silent;

impl Reporter for Silent {
    fn trouble(&self, _: &str) {}
    fn healthy(&self) {}
    fn lag_records(&self, _: i64) {}
}

/// A source at work.
struct Running {
    inbox: Arc<dyn Inbox>,
    batches: mpsc::Receiver<Batch>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SourceError>>,
}

const CSV: Encode = Encode::Csv { delimiter: b';', header: true };
/// Long enough for a slow machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

fn definition(encode: Encode) -> Arc<SourceDefinition> {
    let column =
        |name: &str, data_type| ColumnDefinition { name: name.to_string(), data_type, nullable: true };
    Arc::new(SourceDefinition {
        name: TableName::new("bronze", "things"),
        columns: vec![column("id", DataType::Int64), column("name", DataType::Utf8)],
        tags: vec![],
        watermark: None,
        includes: Vec::new(),
        masking: Default::default(),
        connector: Connector::Http,
        connection: None,
        options: Default::default(),
        encode,
        sql: String::new(),
        origin: Origin::default(),
    })
}

async fn start(encode: Encode, positions: &[(&str, i64)]) -> Running {
    let (source, inbox) = HttpSource::new(definition(encode)).unwrap();
    let early = inbox.push(Push { channel: None, body: Body::Text(Bytes::from_static(b"{}")) }).await;
    assert_eq!(early, PushOutcome::Stopped("source bronze.things is starting".to_string()));
    let (sender, batches) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let outlet = Outlet { batches: sender, reporter: Arc::new(Silent), stop: stop.clone() };
    let positions = positions.iter().map(|(name, token)| (name.to_string(), *token)).collect();
    let task = tokio::spawn(Box::new(source).run(Resume { positions, ..Resume::default() }, outlet));
    while matches!(*lock(&inbox, &task).await, PushOutcome::Stopped(_)) {
        tokio::task::yield_now().await;
    }
    Running { inbox, batches, stop, task }
}

/// Asks with a push that is refused once the door is open.
async fn lock(inbox: &Arc<dyn Inbox>, task: &JoinHandle<Result<(), SourceError>>) -> Box<PushOutcome> {
    assert!(!task.is_finished());
    Box::new(inbox.push(Push { channel: None, body: Body::Text(Bytes::new()) }).await)
}

impl Running {
    fn push(&self, channel: Option<(&str, i64)>, body: &str) -> JoinHandle<PushOutcome> {
        let inbox = Arc::clone(&self.inbox);
        let channel = channel.map(|(name, token)| (name.to_string(), token));
        let body = Bytes::copy_from_slice(body.as_bytes());
        tokio::spawn(async move { inbox.push(Push { channel, body: Body::Text(body) }).await })
    }

    async fn batch(&mut self) -> Batch {
        tokio::time::timeout(PATIENCE, self.batches.recv()).await.unwrap().unwrap()
    }

    async fn quiet(&mut self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(self.batches.try_recv().is_err());
    }
}

fn commit(batch: Batch, version: i64) -> Committed {
    let committed = Committed { batch: version, version };
    batch.acknowledge.unwrap().send(committed.clone()).unwrap();
    committed
}

async fn outcome(push: JoinHandle<PushOutcome>) -> PushOutcome {
    tokio::time::timeout(PATIENCE, push).await.unwrap().unwrap()
}

fn taken(rows: u64, rejected: u64, committed: Committed) -> PushOutcome {
    PushOutcome::Taken { rows, rejected, committed: Some(committed) }
}

const DUPLICATE: PushOutcome = PushOutcome::Taken { rows: 0, rejected: 0, committed: None };

fn places(batch: &Batch) -> Vec<(i64, String, i64)> {
    let text = |column: &str| batch.rows.column_by_name(column).unwrap().as_string::<i32>().clone();
    let number =
        |column: &str| batch.rows.column_by_name(column).unwrap().as_primitive::<Int64Type>().clone();
    let (ids, partitions, offsets) = (number("id"), text("_partition"), number("_offset"));
    (0..batch.rows.num_rows())
        .map(|row| (ids.value(row), partitions.value(row).to_string(), offsets.value(row)))
        .collect()
}

#[tokio::test]
async fn a_push_is_answered_when_it_is_durable() {
    let mut running = start(Encode::Json, &[]).await;
    let push = running.push(Some(("till-1", 42)), "{\"id\":1}\n{\"id\":\n\n{\"id\":3}\n");
    let batch = running.batch().await;
    assert_eq!(
        places(&batch),
        [(1, "till-1".to_string(), 42_000_000), (3, "till-1".to_string(), 42_000_002)]
    );
    assert_eq!((batch.rejected[0].offset, batch.rejected[0].rule), (42_000_001, "syntax"));
    assert_eq!(batch.positions, [Position { partition: "till-1".to_string(), next: 42 }]);
    assert_eq!(batch.bytes, 26);
    running.quiet().await;
    assert!(!push.is_finished());
    let committed = commit(batch, 7);
    assert_eq!(outcome(push).await, taken(2, 1, committed));
}

#[tokio::test]
async fn a_token_that_does_not_grow_is_a_duplicate_once_it_is_durable() {
    let mut running = start(Encode::Json, &[("a", 5)]).await;
    assert_eq!(outcome(running.push(Some(("a", 5)), "{\"id\":1}")).await, DUPLICATE);
    assert_eq!(outcome(running.push(Some(("a", 3)), "{\"id\":1}")).await, DUPLICATE);
    let first = running.push(Some(("a", 6)), "{\"id\":1}");
    let batch = running.batch().await;
    let again = running.push(Some(("a", 6)), "{\"id\":1}");
    // Another channel has tokens of its own.
    let other = running.push(Some(("b", 1)), "{\"id\":2}");
    let batch_of_other = running.batch().await;
    running.quiet().await;
    assert!(!first.is_finished() && !again.is_finished());
    let committed = commit(batch, 1);
    assert_eq!(outcome(first).await, taken(1, 0, committed));
    assert_eq!(outcome(again).await, DUPLICATE);
    let committed = commit(batch_of_other, 2);
    assert_eq!(outcome(other).await, taken(1, 0, committed));
    running.quiet().await;
}

#[tokio::test]
async fn a_push_without_channel_has_a_partition_of_its_own() {
    let mut running = start(Encode::Json, &[]).await;
    let bodies = ["{\n  \"id\": 1\n}", " [{\"id\": 1}, {\"id\": 2}]"];
    let mut partitions = Vec::new();
    for (body, rows) in bodies.into_iter().zip([1, 2]) {
        let push = running.push(None, body);
        let batch = running.batch().await;
        assert_eq!(batch.positions, []);
        let places = places(&batch);
        assert_eq!(places.iter().map(|place| place.2).collect::<Vec<_>>(), (0..rows).collect::<Vec<_>>());
        assert!(places[0].1.starts_with("anonymous-"), "{}", places[0].1);
        partitions.push(places[0].1.clone());
        let committed = commit(batch, rows);
        assert_eq!(outcome(push).await, taken(rows.unsigned_abs(), 0, committed));
    }
    assert_ne!(partitions[0], partitions[1]);
}

#[tokio::test]
async fn csv_lines_may_have_a_header() {
    let mut running = start(CSV, &[]).await;
    for body in ["1;a\n2;b\n", "name;id\na;1\n\"b\nc\";2\n"] {
        let push = running.push(None, body);
        let batch = running.batch().await;
        assert_eq!(places(&batch).iter().map(|place| place.0).collect::<Vec<_>>(), [1, 2]);
        commit(batch, 1);
        assert!(matches!(outcome(push).await, PushOutcome::Taken { rows: 2, rejected: 0, .. }));
    }
}

#[tokio::test]
async fn what_can_never_be_taken_is_refused() {
    let running = start(Encode::Json, &[]).await;
    let long = "x".repeat(CHANNEL_BYTES_MAX + 1);
    let cases = [
        (Some(("", 1)), "{}"),
        (Some((long.as_str(), 1)), "{}"),
        (Some(("anonymous-1", 1)), "{}"),
        (Some(("a", -1)), "{}"),
        (Some(("a", TOKEN_MAX + 1)), "{}"),
        (None, ""),
        (None, " \n\n"),
        (None, "[]"),
    ];
    for (channel, body) in cases {
        let outcome = outcome(running.push(channel, body)).await;
        assert!(matches!(outcome, PushOutcome::Refused(_)), "{channel:?} {body}: {outcome:?}");
    }
    assert!((TOKEN_MAX * PUSH_RECORDS_MAX).checked_add(PUSH_RECORDS_MAX - 1).is_some());
}

#[tokio::test]
async fn a_full_queue_is_busy_and_recovers() {
    let mut running = start(Encode::Json, &[]).await;
    let pushes: Vec<_> = (0..QUEUE_PUSHES_MAX + 10).map(|_| running.push(None, "{\"id\":1}")).collect();
    for _ in 0..QUEUE_PUSHES_MAX {
        tokio::task::yield_now().await;
    }
    for version in 0..QUEUE_PUSHES_MAX {
        let batch = running.batch().await;
        commit(batch, i64::try_from(version).unwrap());
    }
    let mut busy = 0;
    for push in pushes {
        busy += usize::from(outcome(push).await == PushOutcome::Busy);
    }
    assert_eq!(busy, 10);
    let push = running.push(None, "{\"id\":1}");
    let batch = running.batch().await;
    commit(batch, 0);
    assert!(matches!(outcome(push).await, PushOutcome::Taken { .. }));
    // So is one of which the bytes do not fit beside those that wait.
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(QUEUE_BYTES_MAX * 3 / 4));
    let first = running.push(None, &large);
    let batch = running.batch().await;
    assert_eq!(outcome(running.push(None, &large)).await, PushOutcome::Busy);
    let committed = commit(batch, 0);
    assert_eq!(outcome(first).await, taken(1, 0, committed));
    let larger = Bytes::from(vec![b' '; QUEUE_BYTES_MAX + 1]);
    let outcome = running.inbox.push(Push { channel: None, body: Body::Text(larger) }).await;
    assert!(matches!(outcome, PushOutcome::Refused(_)), "{outcome:?}");
}

#[tokio::test]
async fn pushes_end_with_the_source() {
    let mut running = start(Encode::Json, &[]).await;
    let sent = running.push(Some(("a", 1)), "{\"id\":1}");
    let batch = running.batch().await;
    running.stop.cancel();
    running.task.await.unwrap().unwrap();
    let late = running.inbox.push(Push { channel: None, body: Body::Text(Bytes::from_static(b"{}")) }).await;
    assert_eq!(late, PushOutcome::Stopped("source bronze.things is stopped".to_string()));
    // What was sent before is still committed, and answered.
    let committed = commit(batch, 1);
    assert_eq!(outcome(sent).await, taken(1, 0, committed));
}

#[tokio::test]
async fn a_push_that_is_not_committed_stops_the_source() {
    let mut running = start(Encode::Json, &[]).await;
    let first = running.push(Some(("a", 1)), "{\"id\":1}");
    drop(running.batch().await);
    assert!(matches!(outcome(first).await, PushOutcome::Stopped(_)));
    let error = running.task.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "source bronze.things: a push could not be committed");
}

/// Columns in the client's own order and types are the rows that their text would be, whatever the source's FORMAT.
#[tokio::test]
async fn columns_become_the_rows_that_text_becomes() {
    let names: ArrayRef = Arc::new(LargeStringArray::from(vec![Some("x"), None, Some("y")]));
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(1.5), None]));
    let columns = [("name", names, true), ("id", numbers, true)];
    let columns = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let text = Bytes::from_static(b"{\"id\":1,\"name\":\"x\"}\n{\"id\":1.5}\n{\"name\":\"y\"}\n");
    let mut batches = Vec::new();
    for (encode, body) in [(Encode::Json, Body::Text(text)), (CSV, Body::Rows(columns))] {
        let mut running = start(encode, &[]).await;
        let (inbox, channel) = (Arc::clone(&running.inbox), Some(("till-1".to_string(), 3)));
        tokio::spawn(async move { inbox.push(Push { channel, body }).await });
        batches.push(running.batch().await);
    }
    let [by_text, by_columns] = batches.try_into().unwrap();
    for column in ["id", "name", "_source", "_partition", "_offset"] {
        assert_eq!(by_columns.rows.column_by_name(column), by_text.rows.column_by_name(column), "{column}");
    }
    assert_eq!(by_columns.positions, by_text.positions);
    let kept_apart = |batch: &Batch| batch.rejected.iter().map(|r| (r.offset, r.rule)).collect::<Vec<_>>();
    assert_eq!(kept_apart(&by_columns), [(3_000_001, "type")]);
    assert_eq!(kept_apart(&by_text), kept_apart(&by_columns));
    assert_eq!(by_columns.rejected[0].raw, b"{\"id\":1.5}");
    let raw = by_columns.rows.column_by_name("_raw").unwrap().as_binary::<i32>().value(0);
    assert_eq!(raw, b"{\"name\":\"x\",\"id\":1.0}");
}

#[tokio::test]
async fn columns_that_a_source_does_not_have_are_refused_by_name() {
    let running = start(Encode::Json, &[]).await;
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let columns = [("id", Arc::clone(&flags)), ("colour", flags)];
    let body = Body::Rows(RecordBatch::try_from_iter(columns).unwrap());
    let why = "bronze.things has columns (id BIGINT, name TEXT): column \"id\" is BIGINT, not Boolean; \
               there is no column \"colour\"";
    let refused = running.inbox.push(Push { channel: None, body }).await;
    assert_eq!(refused, PushOutcome::Refused(why.to_string()));
}
