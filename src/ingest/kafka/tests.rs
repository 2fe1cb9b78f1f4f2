//! The source against librdkafka's mock cluster: a broker on loopback inside this process.

use super::KafkaSource;
use crate::ingest::{Batch, Outlet, Past, Reporter, Resume, Source as _, SourceError};
use crate::lake::TableName;
use crate::sql::{ColumnDefinition, Connector, Encode, Origin, SourceDefinition};
use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Int64Type};
use async_trait::async_trait;
use parking_lot::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use rdkafka::types::RDKafkaRespErr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine; nothing waits that long when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", partitions, 1).unwrap();
    cluster
}

fn definition() -> SourceDefinition {
    SourceDefinition {
        name: TableName::new("bronze", "orders"),
        columns: vec![ColumnDefinition {
            name: "id".to_string(),
            data_type: DataType::Int64,
            nullable: true,
        }],
        tags: vec![],
        watermark: None,
        includes: Vec::new(),
        masking: Default::default(),
        connector: Connector::Kafka,
        connection: None,
        options: BTreeMap::new(),
        encode: Encode::Json,
        sql: String::new(),
        origin: Origin::default(),
    }
}

fn options(brokers: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let base = [("topic", "orders"), ("bootstrap.servers", brokers), ("reconnect.backoff.max.ms", "500")];
    base.iter().chain(more).map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect()
}

fn produce(brokers: &str, partition: i32, payloads: impl IntoIterator<Item = String>) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    for payload in payloads {
        let record = BaseRecord::<(), str>::to("orders").partition(partition).payload(&payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(DEADLINE).unwrap();
}

fn events(ids: std::ops::Range<i64>) -> impl Iterator<Item = String> {
    ids.map(|id| format!(r#"{{"id":{id}}}"#))
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Trouble(String),
    Healthy,
}

#[derive(Default)]
struct Listener {
    said: Mutex<Vec<Said>>,
    lag: Mutex<Option<i64>>,
}

impl Reporter for Listener {
    fn trouble(&self, message: &str) {
        self.said.lock().push(Said::Trouble(message.to_string()));
    }
    fn healthy(&self) {
        self.said.lock().push(Said::Healthy);
    }
    fn lag_records(&self, records: i64) {
        *self.lag.lock() = Some(records);
    }
}

impl Listener {
    async fn wait(&self, what: &str, found: impl Fn(&Said) -> bool) -> Said {
        eventually(what, || self.said.lock().iter().find(|said| found(said)).cloned()).await
    }

    async fn trouble_with(&self, word: &str) -> String {
        let said = self.wait(word, |said| matches!(said, Said::Trouble(text) if text.contains(word))).await;
        match said {
            Said::Trouble(text) => text,
            Said::Healthy => unreachable!("asked for trouble"),
        }
    }
}

async fn eventually<T>(what: &str, probe: impl Fn() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = probe() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// A running source and what bronze would hold of it.
struct Running {
    batches: mpsc::Receiver<Batch>,
    listener: Arc<Listener>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SourceError>>,
    taken: Taken,
}

#[derive(Default)]
struct Taken {
    ids: Vec<i64>,
    rejected: Vec<(String, i64, &'static str)>,
    positions: BTreeMap<String, i64>,
}

impl Running {
    fn start(options: &BTreeMap<String, String>, resume: Resume) -> Self {
        let (sender, batches) = mpsc::channel(4);
        let listener = Arc::new(Listener::default());
        let stop = CancellationToken::new();
        let outlet = Outlet { batches: sender, reporter: listener.clone(), stop: stop.clone() };
        let source = Box::new(KafkaSource::new(Arc::new(definition()), options, None).unwrap());
        let task = tokio::spawn(source.run(resume, outlet));
        Self { batches, listener, stop, task, taken: Taken::default() }
    }

    async fn next(&mut self) -> Option<()> {
        let batch = tokio::time::timeout(DEADLINE, self.batches.recv()).await.expect("a batch in time")?;
        self.taken.ids.extend(batch.rows["id"].as_primitive::<Int64Type>().values());
        self.taken.rejected.extend(batch.rejected.into_iter().map(|r| (r.partition, r.offset, r.rule)));
        for position in batch.positions {
            let before = self.taken.positions.insert(position.partition, position.next);
            assert!(before.is_none_or(|before| before <= position.next), "positions never go back");
        }
        Some(())
    }

    async fn until_rows(&mut self, rows: usize) {
        while self.taken.ids.len() + self.taken.rejected.len() < rows {
            self.next().await.expect("the source goes on");
        }
        assert_eq!(self.taken.ids.len() + self.taken.rejected.len(), rows);
    }

    async fn stop(self) -> Taken {
        self.stop.cancel();
        self.end().await.0.unwrap()
    }

    /// Waits for the source's own end.
    async fn end(mut self) -> (Result<Taken, SourceError>, Arc<Listener>) {
        let outcome = tokio::time::timeout(DEADLINE, &mut self.task).await.expect("ends in time").unwrap();
        (outcome.map(|()| self.taken), self.listener)
    }

    async fn error(self) -> SourceError {
        self.end().await.0.err().expect("ends with an error")
    }
}

/// Bronze that holds one record at every position.
struct Holds(&'static str);

#[async_trait]
impl Past for Holds {
    async fn raw_at(&self, _partition: &str, _offset: i64) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(self.0.as_bytes().to_vec()))
    }
}

fn at(partition: &str, next: i64, past: Option<&'static str>) -> Resume {
    Resume {
        positions: BTreeMap::from([(partition.to_string(), next)]),
        files: Vec::new(),
        past: past.map(|raw| Arc::new(Holds(raw)) as Arc<dyn Past>),
    }
}

#[tokio::test]
async fn resumes_where_positions_stand() {
    let cluster = cluster(2);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, events(0..500));
    produce(&brokers, 1, events(500..1000));
    let options = options(&brokers, &[]);

    let mut first = Running::start(&options, Resume::default());
    first.until_rows(1000).await;
    assert_eq!(first.taken.positions, BTreeMap::from([("0".to_string(), 500), ("1".to_string(), 500)]));
    let lag = first.listener.clone();
    let taken = first.stop().await;
    let mut ids = taken.ids;

    produce(&brokers, 0, events(1000..1500));
    let resume = Resume { positions: taken.positions, ..Resume::default() };
    let mut second = Running::start(&options, resume);
    second.until_rows(500).await;
    ids.extend(second.stop().await.ids);
    ids.sort_unstable();
    assert_eq!(ids, (0..1500).collect::<Vec<_>>());
    assert_eq!(lag.said.lock().len(), 0, "no trouble was seen");
}

#[tokio::test]
async fn a_bad_record_costs_no_neighbour() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, ["{\"id\":1}", "{\"id\":", "{\"id\":3}"].map(str::to_string));
    let mut running = Running::start(&options(&brokers, &[]), Resume::default());
    running.until_rows(3).await;
    let taken = running.stop().await;
    assert_eq!(taken.ids, [1, 3]);
    assert_eq!(taken.rejected, [("0".to_string(), 1, "syntax")]);
    assert_eq!(taken.positions["0"], 3);
}

#[tokio::test]
async fn latest_is_pinned_before_anything_is_read() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, events(0..10));
    let options = options(&brokers, &[("scan.startup.mode", "latest")]);
    let mut first = Running::start(&options, Resume::default());
    first.next().await.unwrap();
    let taken = first.stop().await;
    assert_eq!((taken.ids.len(), taken.positions["0"]), (0, 10));

    // Comes while nothing runs, and is not skipped.
    produce(&brokers, 0, events(10..20));
    let mut second = Running::start(&options, Resume { positions: taken.positions, ..Resume::default() });
    second.until_rows(10).await;
    assert_eq!(second.stop().await.ids, (10..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broker_that_goes_and_comes_back_is_trouble_and_no_loss() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, events(0..10));
    let mut running = Running::start(&options(&brokers, &[]), Resume::default());
    running.until_rows(10).await;
    cluster.broker_down(1).unwrap();
    let text = running.listener.trouble_with("cannot be reached").await;
    assert!(text.contains(&brokers), "{text}");
    cluster.broker_up(1).unwrap();
    produce(&brokers, 0, events(10..20));
    running.until_rows(20).await;
    running.listener.wait("healthy", |said| *said == Said::Healthy).await;
    assert_eq!(running.stop().await.ids, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_unreachable_broker_is_named_and_a_stop_is_prompt() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let running = Running::start(&options(&nobody, &[]), Resume::default());
    let text = running.listener.trouble_with("cannot be reached").await;
    assert!(text.contains(&nobody) && text.contains("bootstrap.servers"), "{text}");
    let start = std::time::Instant::now();
    running.stop().await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_missing_topic_is_awaited() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, events(0..3));
    cluster.topic_error("orders", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let mut running = Running::start(&options(&brokers, &[]), Resume::default());
    let text = running.listener.trouble_with("does not exist").await;
    assert!(text.contains("\"orders\"") && text.contains(&brokers), "{text}");
    cluster.topic_error("orders", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    running.until_rows(3).await;
    running.stop().await;
}

#[tokio::test]
async fn a_shorter_log_is_a_topic_made_anew() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, events(0..10));
    let error = Running::start(&options(&brokers, &[]), at("0", 11, None)).error().await;
    assert!(matches!(error, SourceError::TopicRecreated(_)), "{error}");
    for word in ["\"orders\"", "bronze.orders", "offset 10", "up to 10"] {
        assert!(error.to_string().contains(word), "{word} is missing in: {error}");
    }
    let error = Running::start(&options(&brokers, &[]), at("4", 1, None)).error().await;
    assert!(matches!(error, SourceError::TopicRecreated(_)), "a partition is gone: {error}");
}

#[tokio::test]
async fn another_record_at_a_known_position_is_a_topic_made_anew() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, events(0..10));
    let error = Running::start(&options(&brokers, &[]), at("0", 5, Some("{\"id\":99}"))).error().await;
    assert!(matches!(error, SourceError::TopicRecreated(_)), "{error}");
    assert!(error.to_string().contains("record 4 of partition 0"), "{error}");

    // The same record: nothing is skipped and nothing taken twice.
    let mut running = Running::start(&options(&brokers, &[]), at("0", 5, Some("{\"id\":4}")));
    running.until_rows(5).await;
    assert_eq!(running.stop().await.ids, (5..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn records_that_retention_removed_are_named() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    // The mock keeps about 5 MB of a partition.
    let wide = "x".repeat(10_000);
    produce(&brokers, 0, (0..1000).map(|id| format!(r#"{{"id":{id},"wide":"{wide}"}}"#)));
    let error = Running::start(&options(&brokers, &[]), at("0", 1, None)).error().await;
    assert!(matches!(error, SourceError::OffsetsLost(_)), "{error}");
    for word in ["\"orders\"", "partition 0", "record 1 is", "on_loss"] {
        assert!(error.to_string().contains(word), "{word} is missing in: {error}");
    }

    let mut running = Running::start(&options(&brokers, &[("on_loss", "earliest")]), at("0", 1, None));
    while running.taken.positions.get("0") != Some(&1000) {
        running.next().await.unwrap();
    }
    assert!(!running.taken.ids.contains(&1) && running.taken.ids.contains(&999));
    running.stop().await;
}

#[tokio::test]
async fn a_full_channel_holds_the_reader_and_a_stop_frees_it() {
    let cluster = cluster(1);
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, 0, events(0..60_000));
    let running = Running::start(&options(&brokers, &[]), Resume::default());
    // Nobody receives: what is read stays bounded, and lag says so.
    eventually("lag", || running.listener.lag.lock().filter(|lag| *lag > 0)).await;
    let start = std::time::Instant::now();
    running.stop().await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn wrong_settings_are_refused_before_anything_runs() {
    let refused = |more: &[(&str, &str)]| {
        let error = KafkaSource::new(Arc::new(definition()), &options("127.0.0.1:1", more), None);
        error.err().expect("is refused").to_string()
    };
    let text = refused(&[("fetch.wait.max.ms", "soon")]);
    assert!(text.contains("fetch.wait.max.ms"), "{text}");
    let text = refused(&[("no.such.property", "1")]);
    assert!(text.contains("no.such.property"), "{text}");
}
