//! A real Apache Kafka broker for tests and benches: one KRaft node, plain `java`, data in a temporary folder.
//!
//! Its listener asks for SASL_SSL with PLAIN and user `$ConnectionString`, as Azure Event Hubs does; the certificate is
//! made anew each time. `.ci/fetch-kafka` gets the broker; without it (or java) [`missing`] says so in one line.

use super::cache::cache;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user that Event Hubs has, and the password of the tests.
pub const USER: &str = "$ConnectionString";
/// See [`USER`]. Shaped like a connection string, so that its signs are tested too.
pub const PASSWORD: &str =
    "Endpoint=sb://test.example.net/;SharedAccessKeyName=all;SharedAccessKey=c2x1aWNl+/w==";

/// A busy machine takes its time to start a JVM.
const START_DEADLINE: Duration = Duration::from_secs(120);
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
const STORE_PASSWORD: &str = "changeit";
/// Any number names the cluster.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// Why no broker can be started here, if so.
pub fn missing() -> Option<String> {
    let runs = |command: &str, flag: &str| {
        let status = Command::new(command).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok()
    };
    if !runs("java", "-version") || !runs("keytool", "-help") {
        return Some("no java and keytool on the PATH (Debian: default-jre-headless)".to_string());
    }
    let stamp = jars().join(".pom");
    (!stamp.exists()).then(|| format!("no broker in {} (run .ci/fetch-kafka)", jars().display()))
}

/// Where `.ci/fetch-kafka` puts the broker.
fn jars() -> PathBuf {
    cache().join("kafka")
}

/// How a broker is started.
#[derive(Clone, Copy, Debug)]
pub struct BrokerOptions {
    /// Java heap, MiB.
    pub heap_mib: u32,
    /// Starts quickly and runs slower: right for tests, wrong for benches.
    pub quick: bool,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self { heap_mib: 384, quick: true }
    }
}

/// A running broker. Dropped (or when this process ends, however), it is ended.
pub struct Broker {
    folder: TempDir,
    options: BrokerOptions,
    /// The SASL_SSL listener.
    pub port: u16,
    /// A listener without login and encryption, for benches.
    #[allow(dead_code, reason = "benches use it")]
    pub plain_port: u16,
    process: Option<Child>,
    controller_port: u16,
    password: String,
}

impl Broker {
    /// Starts a broker with nothing in it; panics with its log when it does not come.
    pub fn start(options: BrokerOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("sluice-kafka-").tempdir().unwrap();
        let [port, plain_port, controller_port] = free_ports();
        make_certificate(folder.path());
        let password = PASSWORD.to_string();
        let mut broker = Self { folder, options, port, plain_port, process: None, controller_port, password };
        broker.write_properties();
        let format = broker
            .java("kafka.tools.StorageTool")
            .args(["format", "-t", CLUSTER, "-c", "server.properties"])
            .output()
            .unwrap();
        assert!(format.status.success(), "storage not formatted: {format:?}");
        broker.start_again();
        broker
    }

    /// Has a broker that was stopped take another password.
    #[allow(dead_code, reason = "benches have no need")]
    pub fn set_password(&mut self, password: &str) {
        assert!(self.process.is_none(), "it reads its settings when it starts");
        self.password = password.to_string();
        self.write_properties();
    }

    fn write_properties(&self) {
        let (folder, data) = (self.folder.path(), self.folder.path().join("data"));
        let ports = [self.port, self.plain_port, self.controller_port];
        fs::write(folder.join("server.properties"), properties(folder, &data, ports, &self.password))
            .unwrap();
    }

    /// Starts a broker that was stopped: same ports, same data.
    pub fn start_again(&mut self) {
        let log = File::create(self.folder.path().join("broker.log")).unwrap();
        let java = self.java("kafka.Kafka");
        // The shell ends the broker as soon as its input closes, which it does when this process ends in whatever way.
        let mut guarded = Command::new("sh");
        guarded
            .args(["-c", r#""$@" </dev/null & broker=$!; cat >/dev/null; kill -9 $broker"#, "sh"])
            .arg(java.get_program())
            .args(java.get_args())
            .arg("server.properties")
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.process = Some(guarded.spawn().unwrap());
        let start = Instant::now();
        // The port opens a moment before the broker answers.
        while !self.answers() {
            if start.elapsed() > START_DEADLINE {
                let log = fs::read_to_string(self.folder.path().join("broker.log")).unwrap_or_default();
                panic!("Kafka not up within {START_DEADLINE:?}; its log:\n{log}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the broker's process; its data stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }

    /// `host:port` of the SASL_SSL listener.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` of the listener without login and encryption.
    #[allow(dead_code, reason = "benches use it")]
    pub fn plain_address(&self) -> String {
        format!("127.0.0.1:{}", self.plain_port)
    }

    /// The certificate that clients must trust.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A client's settings for the SASL_SSL listener.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.address())
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanisms", "PLAIN")
            .set("sasl.username", USER)
            .set("sasl.password", &self.password)
            .set("ssl.ca.location", self.ca().to_string_lossy());
        config
    }

    /// Makes a topic and waits until it can be used.
    pub fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            topic = topic.set(key, value);
        }
        admin(self.admin().create_topics([&topic], &AdminOptions::new()));
        let consumer: BaseConsumer = self.client().create().unwrap();
        wait_for("the new topic", || {
            let metadata = consumer.fetch_metadata(Some(name), ANSWER_DEADLINE).ok()?;
            let topic = metadata.topics().first()?;
            let led = topic.partitions().iter().filter(|p| p.leader() >= 0).count();
            (led == partitions as usize).then_some(())
        });
    }

    /// Deletes a topic and waits until it is gone.
    pub fn delete_topic(&self, name: &str) {
        admin(self.admin().delete_topics(&[name], &AdminOptions::new()));
        let consumer: BaseConsumer = self.client().create().unwrap();
        wait_for("the topic to go", || {
            let metadata = consumer.fetch_metadata(None, ANSWER_DEADLINE).ok()?;
            metadata.topics().iter().all(|t| t.name() != name).then_some(())
        });
    }

    /// Raises a topic's number of partitions.
    pub fn add_partitions(&self, name: &str, partitions: usize) {
        admin(self.admin().create_partitions([&NewPartitions::new(name, partitions)], &AdminOptions::new()));
    }

    /// Removes the records before an offset, as retention does.
    pub fn remove_before(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        futures::executor::block_on(self.admin().delete_records(&list, &AdminOptions::new())).unwrap();
    }

    /// A producer that waits for the broker's word.
    pub fn producer(&self) -> Producer {
        Producer::new(self.client())
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    fn answers(&self) -> bool {
        if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            return false;
        }
        let consumer: BaseConsumer = self.client().create().unwrap();
        consumer.fetch_metadata(None, Duration::from_secs(5)).is_ok_and(|m| !m.brokers().is_empty())
    }

    fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        java.current_dir(self.folder.path());
        java.arg(format!("-Xmx{}m", self.options.heap_mib)).arg("-XX:+UseSerialGC");
        if self.options.quick {
            java.args(["-XX:TieredStopAtLevel=1", "-Xshare:auto"]);
        }
        // `*` is read by java, not by a shell.
        java.arg("-cp").arg(jars().join("*")).arg(class);
        java
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends records; [`Producer::flush`] returns when the broker has all of them.
pub struct Producer {
    inner: ThreadedProducer<DefaultProducerContext>,
}

impl Producer {
    /// A producer with these client settings.
    pub fn new(mut config: ClientConfig) -> Self {
        config.set("linger.ms", "5").set("queue.buffering.max.kbytes", "262144").set("acks", "all");
        Self { inner: config.create().unwrap() }
    }

    /// Queues one record.
    pub fn send(&self, topic: &str, partition: i32, payload: impl AsRef<[u8]>) {
        self.send_with(topic, partition, Some(payload.as_ref()), None, &[]);
    }

    /// Queues one record with key and headers; without payload it is a tombstone.
    pub fn send_with(
        &self,
        topic: &str,
        partition: i32,
        payload: Option<&[u8]>,
        key: Option<&[u8]>,
        headers: &[(&str, &[u8])],
    ) {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        record.payload = payload;
        record.key = key;
        if !headers.is_empty() {
            let all = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(*value) })
            });
            record = record.headers(all);
        }
        let mut record = Some(record);
        wait_for("room in the producer's queue", || match self.inner.send(record.take()?) {
            Ok(()) => Some(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = Some(back);
                None
            }
            Err((error, _)) => panic!("not produced: {error}"),
        });
    }

    /// Waits until every record is at the broker.
    pub fn flush(&self) {
        self.inner.flush(ANSWER_DEADLINE).unwrap();
    }
}

fn admin<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: impl Future<Output = Result<Vec<Result<T, E>>, KafkaError>>,
) {
    for outcome in futures::executor::block_on(result).unwrap() {
        outcome.unwrap();
    }
}

fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < ANSWER_DEADLINE, "{what}: not within {ANSWER_DEADLINE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    // Held together, so that they differ.
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn make_certificate(folder: &Path) {
    let keytool = |arguments: &[&str]| {
        let output = Command::new("keytool")
            .current_dir(folder)
            .args(arguments)
            .args(["-alias", "broker", "-keystore", "broker.p12", "-storepass", STORE_PASSWORD])
            .output()
            .unwrap();
        assert!(output.status.success(), "keytool: {output:?}");
    };
    keytool(&[
        "-genkeypair",
        "-keyalg",
        "EC",
        "-groupname",
        "secp256r1",
        "-dname",
        "CN=localhost",
        "-ext",
        "SAN=ip:127.0.0.1,dns:localhost",
        "-ext",
        "BC=ca:true",
        "-validity",
        "30",
        "-storetype",
        "PKCS12",
    ]);
    keytool(&["-exportcert", "-rfc", "-file", "ca.pem"]);
}

fn properties(
    folder: &Path,
    data: &Path,
    [port, plain_port, controller_port]: [u16; 3],
    password: &str,
) -> String {
    let (folder, data) = (folder.display(), data.display());
    format!(
        r#"process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{plain_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=SASL_SSL://127.0.0.1:{port},PLAINTEXT://127.0.0.1:{plain_port}
listener.security.protocol.map=SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{password}";
listener.name.sasl_ssl.ssl.keystore.type=PKCS12
listener.name.sasl_ssl.ssl.keystore.location={folder}/broker.p12
listener.name.sasl_ssl.ssl.keystore.password={STORE_PASSWORD}
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
file.delete.delay.ms=100
log.cleaner.enable=false
"#
    )
}
