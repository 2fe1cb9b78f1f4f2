//! A real Kafka broker (SASL_SSL, PLAIN, user `$ConnectionString`, as Azure Event Hubs has) and the real server.

use crate::support::kafka::{Broker, BrokerOptions, PASSWORD, USER, missing};
use crate::support::traces::traces;
use crate::support::{FLOW, Server, Warehouse, trial};
use libtest_mimic::Trial;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    let missing = missing();
    if let Some(why) = &missing {
        eprintln!("tests with a Kafka broker are ignored: {why}");
    }
    [
        trial("kafka::a_topic_is_taken_exactly_once", a_topic_is_taken_exactly_once),
        trial("kafka::keys_headers_and_bad_records", keys_headers_and_bad_records),
        trial("kafka::a_broker_comes_back", a_broker_comes_back),
        trial("kafka::a_topic_made_anew_stops_its_source", a_topic_made_anew_stops_its_source),
        trial(
            "kafka::offsets_that_were_removed_stop_their_source",
            offsets_that_were_removed_stop_their_source,
        ),
        trial("kafka::a_wrong_password_is_named_and_not_shown", a_wrong_password_is_named_and_not_shown),
        trial("kafka::a_rotated_password_needs_no_restart", a_rotated_password_needs_no_restart),
        trial("kafka::masked_keys_and_headers_are_kept_nowhere", masked_keys_and_headers_are_kept_nowhere),
        trial("kafka::csv_lines_become_rows", csv_lines_become_rows),
        trial(
            "kafka::latest_holds_and_new_partitions_start_early",
            latest_holds_and_new_partitions_start_early,
        ),
        trial(
            "kafka::a_topic_made_anew_while_it_is_read_is_noticed",
            a_topic_made_anew_while_it_is_read_is_noticed,
        ),
    ]
    .into_iter()
    .map(|trial| trial.with_ignored_flag(missing.is_some()))
    .collect()
}

/// From the broker's return to the next record (FAULTS: 30 s).
const RESUMED: Duration = Duration::from_secs(30);
const PARTITIONS: i32 = 3;

/// One broker for every test that leaves it running.
fn broker() -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| Broker::start(BrokerOptions::default()))
}

/// A project with one topic as `bronze.orders` and a folder that has nothing to do with the broker.
fn warehouse(broker: &Broker, topic: &str, password: &str) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/hub.password", format!("{password}\n"));
    warehouse.write(
        "catalog/login.sql",
        "CREATE SECRET hub_login WITH (backend = 'file') AS 'catalog/hub.password';\n",
    );
    warehouse.write(
        "catalog/hub.sql",
        format!(
            "CREATE CONNECTION hub TO KAFKA (bootstrap.servers = '{}', security.protocol = 'SASL_SSL',\n  \
             sasl.mechanism = 'PLAIN', sasl.username = '{USER}', sasl.password = SECRET hub_login,\n  \
             ssl.ca.location = '{}');\n",
            broker.address(),
            broker.ca().display()
        ),
    );
    warehouse.write(
        "catalog/orders.sql",
        format!(
            "CREATE SOURCE bronze.orders (id BIGINT, amount DECIMAL(18,2))\n\
             INCLUDE key AS _key, header 'trace' AS _trace\n\
             WITH (connector = 'kafka', connection = hub, topic = '{topic}', scan.startup.mode = 'earliest')\n\
             FORMAT PLAIN ENCODE JSON;\n"
        ),
    );
    warehouse.write(
        "catalog/other.sql",
        "CREATE SOURCE bronze.other (id BIGINT) WITH (connector = 'files', path = 'input/other')\n\
         FORMAT PLAIN ENCODE JSON;\n",
    );
    warehouse.write(
        "sql/gold/totals.sql",
        "CREATE MATERIALIZED VIEW gold.totals AS\n\
         SELECT _partition AS partition, count(*) AS orders, sum(id) AS ids FROM bronze.orders GROUP BY _partition;\n",
    );
    warehouse
}

fn produce(broker: &Broker, topic: &str, ids: std::ops::Range<i64>) {
    let producer = broker.producer();
    for id in ids {
        producer.send(
            topic,
            (id % i64::from(PARTITIONS)) as i32,
            format!("{{\"id\": {id}, \"amount\": \"{id}.25\"}}"),
        );
    }
    producer.flush();
}

/// Other sources go on, whatever one of them does.
fn the_other_source_goes_on(warehouse: &Warehouse, server: &Server) {
    warehouse.write("input/other/one.json", "{\"id\": 1}\n");
    server.wait_until("SELECT count(*) FROM bronze.other", "1");
}

fn a_topic_is_taken_exactly_once() {
    const RECORDS: i64 = 60_000;
    let broker = broker();
    broker.create_topic("once", PARTITIONS, &[]);
    let warehouse = warehouse(broker, "once", PASSWORD);
    let done = AtomicBool::new(false);
    let server = thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..RECORDS).step_by(5_000) {
                produce(broker, "once", from..from + 5_000);
            }
            done.store(true, Ordering::Relaxed);
        });
        // Killed while records come, until the last one is there.
        while !done.load(Ordering::Relaxed) {
            let server = warehouse.serve();
            let before: u64 = server.query("SELECT count(*) FROM bronze.orders").parse().unwrap();
            if !done.load(Ordering::Relaxed) {
                server.wait_until(&format!("SELECT count(*) > {before} FROM bronze.orders"), "t");
            }
            server.kill9();
        }
        warehouse.serve()
    });
    let sum = RECORDS * (RECORDS - 1) / 2;
    server.wait_until(
        "SELECT count(*), count(DISTINCT id), sum(id), sum(amount) FROM bronze.orders",
        &format!("{RECORDS}|{RECORDS}|{sum}|{}.00", sum + RECORDS / 4),
    );
    let each = RECORDS / i64::from(PARTITIONS);
    server.wait_until(
        "SELECT _partition, count(*), count(DISTINCT _offset), min(_offset), max(_offset) FROM bronze.orders \
         GROUP BY 1 ORDER BY 1",
        &(0..PARTITIONS).map(|p| format!("{p}|{each}|{each}|0|{}", each - 1)).collect::<Vec<_>>().join("\n"),
    );
    server.wait_until("SELECT sum(orders), sum(ids) FROM gold.totals", &format!("{RECORDS}|{sum}"));
    server.wait_until(
        "SELECT partition, position FROM sluice.ingest_progress WHERE source = 'bronze.orders' ORDER BY 1",
        &(0..PARTITIONS).map(|p| format!("{p}|{each}")).collect::<Vec<_>>().join("\n"),
    );
    assert!(!server.log().contains("SharedAccessKey="), "secrets are never logged");
    assert_eq!(server.terminate().0.code(), Some(0));
}

fn keys_headers_and_bad_records() {
    let broker = broker();
    broker.create_topic("mixed", PARTITIONS, &[]);
    let producer = broker.producer();
    producer.send_with("mixed", 0, Some(b"{\"id\": 1, \"amount\": 2.5}"), Some(b"k1"), &[("trace", b"t1")]);
    producer.send_with("mixed", 0, Some(b"not json"), Some(b"k2"), &[]);
    producer.send_with("mixed", 0, Some(b"{\"id\": 3, \"amount\": \"much\"}"), None, &[]);
    producer.send_with("mixed", 0, None, Some(b"k4"), &[]);
    producer.send_with("mixed", 0, Some(b"{\"id\": 5}"), None, &[("other", b"x"), ("trace", b"t5")]);
    producer.flush();
    let warehouse = warehouse(broker, "mixed", PASSWORD);
    let server = warehouse.serve();
    server.wait_until(
        "SELECT _offset, id, amount, CAST(_key AS TEXT), _trace FROM bronze.orders ORDER BY 1",
        "0|1|2.50|k1|t1\n4|5|||t5",
    );
    server.wait_until(
        "SELECT \"offset\", CAST(raw AS TEXT), rule <> '', reason <> '' FROM bronze.orders__quarantine ORDER BY 1",
        "1|not json|t|t\n2|{\"id\": 3, \"amount\": \"much\"}|t|t\n3||t|t",
    );
}

fn a_broker_comes_back() {
    let mut broker = Broker::start(BrokerOptions::default());
    broker.create_topic("away", PARTITIONS, &[]);
    produce(&broker, "away", 0..300);
    let warehouse = warehouse(&broker, "away", PASSWORD);
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM bronze.orders", "300");
    broker.stop();
    server.wait_until("SELECT error IS NOT NULL FROM sluice.sources WHERE source = 'bronze.orders'", "t");
    the_other_source_goes_on(&warehouse, &server);
    assert_eq!(server.query("SELECT count(*) FROM bronze.orders"), "300");
    broker.start_again();
    produce(&broker, "away", 300..600);
    server.wait_until_within("SELECT count(*), sum(id) FROM bronze.orders", "600|179700", RESUMED);
    server.wait_until(
        "SELECT state, error IS NULL FROM sluice.sources WHERE source = 'bronze.orders'",
        "running|t",
    );
}

fn a_topic_made_anew_stops_its_source() {
    let broker = broker();
    broker.create_topic("anew", PARTITIONS, &[]);
    produce(broker, "anew", 0..300);
    let warehouse = warehouse(broker, "anew", PASSWORD);
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM bronze.orders", "300");
    assert_eq!(server.terminate().0.code(), Some(0));
    broker.delete_topic("anew");
    broker.create_topic("anew", PARTITIONS, &[]);
    // As many records as before, so that only their contents tell that it is another topic.
    produce(broker, "anew", 10_000..10_300);
    let server = warehouse.serve();
    server.wait_until(
        "SELECT state, error LIKE '%recreated%', error LIKE '%anew%' FROM sluice.sources \
         WHERE source = 'bronze.orders'",
        "failed|t|t",
    );
    assert_eq!(server.query("SELECT count(*), sum(id) FROM bronze.orders"), "300|44850");
    the_other_source_goes_on(&warehouse, &server);
}

fn offsets_that_were_removed_stop_their_source() {
    let broker = broker();
    broker.create_topic("lost", PARTITIONS, &[]);
    produce(broker, "lost", 0..300);
    let warehouse = warehouse(broker, "lost", PASSWORD);
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM bronze.orders", "300");
    assert_eq!(server.terminate().0.code(), Some(0));
    produce(broker, "lost", 300..600);
    broker.remove_before("lost", 1, 150);
    let server = warehouse.serve();
    server.wait_until(
        "SELECT state, error LIKE '%offsets lost%' FROM sluice.sources WHERE source = 'bronze.orders'",
        "failed|t",
    );
    the_other_source_goes_on(&warehouse, &server);
}

fn a_wrong_password_is_named_and_not_shown() {
    let broker = broker();
    broker.create_topic("closed", PARTITIONS, &[]);
    let warehouse = warehouse(broker, "closed", "niagara-falls");
    let server = warehouse.serve();
    server.wait_until_within(
        "SELECT error ILIKE '%authenticat%' OR error ILIKE '%login%' FROM sluice.sources WHERE source = 'bronze.orders'",
        "t",
        FLOW,
    );
    the_other_source_goes_on(&warehouse, &server);
    let told = server.query("SELECT error FROM sluice.sources WHERE source = 'bronze.orders'");
    assert!(!told.contains("niagara-falls") && !server.log().contains("niagara-falls"), "{told}");
}

fn a_rotated_password_needs_no_restart() {
    let mut broker = Broker::start(BrokerOptions::default());
    broker.create_topic("rotated", PARTITIONS, &[]);
    produce(&broker, "rotated", 0..300);
    let warehouse = warehouse(&broker, "rotated", PASSWORD);
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM bronze.orders", "300");
    broker.stop();
    broker.set_password("rotated-since");
    broker.start_again();
    produce(&broker, "rotated", 300..600);
    server.wait_until_within(
        "SELECT error LIKE 'login to Kafka%refused%' FROM sluice.sources WHERE source = 'bronze.orders'",
        "t",
        FLOW,
    );
    assert_eq!(server.query("SELECT count(*) FROM bronze.orders"), "300");
    server.wait_until(
        "SELECT count(*) > 0 FROM sluice.ingest_log WHERE outcome = 'failed' AND batch IS NULL AND error LIKE 'login to%'",
        "t",
    );
    warehouse.write("catalog/hub.password", "rotated-since\n");
    server.wait_until_within("SELECT count(*), sum(id) FROM bronze.orders", "600|179700", RESUMED);
    server.wait_until(
        "SELECT state, error IS NULL FROM sluice.sources WHERE source = 'bronze.orders'",
        "running|t",
    );
    assert!(!server.log().contains("rotated-since"), "secrets are never logged");
}

/// A key that says who somebody is, and a header: neither is in any file as it came, nor is it in the rows set apart.
fn masked_keys_and_headers_are_kept_nowhere() {
    let broker = broker();
    broker.create_topic("masked", 1, &[]);
    let producer = broker.producer();
    let headers: [(&str, &[u8]); 2] = [("trace", b"caller-5550198877"), ("other", b"unasked-5550198866")];
    let key: Option<&[u8]> = Some(b"wilhelmina@example.com");
    for payload in ["{\"id\": 1}", "{\"id\": \"many\"}", "torn wilhelmina@example.com"] {
        producer.send_with("masked", 0, Some(payload.as_bytes()), key, &headers);
    }
    producer.flush();
    let warehouse = warehouse(broker, "masked", PASSWORD);
    warehouse.write(
        "catalog/orders.sql",
        "CREATE SOURCE bronze.orders (id BIGINT)\nINCLUDE key AS _key, header 'trace' AS _trace\n\
         MASK (_key WITH mask_email, _trace WITH sha256)\n\
         WITH (connector = 'kafka', connection = hub, topic = 'masked', scan.startup.mode = 'earliest')\n\
         FORMAT PLAIN ENCODE JSON;\n",
    );
    warehouse.write(
        "sql/gold/totals.sql",
        "CREATE VIEW gold.totals AS SELECT count(*) AS orders FROM bronze.orders;\n",
    );
    let server = warehouse.serve();
    // Asked for as it came it would stand in the audit log.
    let hash = "5ba47d6e060566a7d43819b80b91db4eede91dfd86ea22275bf9e6caaf9c2cb7";
    let kept = "SELECT id, CAST(_key AS TEXT), _trace FROM bronze.orders ORDER BY id";
    server.wait_until(kept, &format!("1|w***@example.com|{hash}"));
    let apart = "SELECT rule, CAST(raw AS TEXT), beside LIKE '%' || encode('w***@example.com', 'hex') || '%' \
                 FROM bronze.orders__quarantine ORDER BY \"offset\"";
    server.wait_until(apart, "type|{\"id\":\"many\"}|t\nsyntax||");
    // Decoded once more, what is masked is not masked again.
    assert_eq!(server.query("REPLAY QUARANTINE bronze.orders"), "bronze.orders|1|0|1|1");
    server.wait_until(apart, "type|{\"id\":\"many\"}|t\nsyntax||");
    drop(server);
    for text in ["wilhelmina", "5550198877", "5550198866"] {
        let (found, looked_at) = traces(&warehouse.data(), text);
        assert!(looked_at > 5, "{looked_at} files");
        assert!(found.is_empty(), "{text:?} is in {found:?}");
    }
    assert!(!traces(&warehouse.data(), "w***@example.com").0.is_empty(), "what is there is found");
}

fn csv_lines_become_rows() {
    let broker = broker();
    broker.create_topic("lines", 1, &[]);
    let producer = broker.producer();
    for line in ["1,one,1.50", "2,\"two, too\",2.25", "three,no number,0"] {
        producer.send("lines", 0, line);
    }
    producer.flush();
    let warehouse = warehouse(broker, "lines", PASSWORD);
    warehouse.write(
        "catalog/lines.sql",
        "CREATE SOURCE bronze.lines (id BIGINT, name TEXT, amount DECIMAL(18,2))\n\
         WITH (connector = 'kafka', connection = hub, topic = 'lines') FORMAT PLAIN ENCODE CSV (header = false);\n",
    );
    let server = warehouse.serve();
    server.wait_until(
        "SELECT id, name, amount, _offset FROM bronze.lines ORDER BY id",
        "1|one|1.50|0\n2|two, too|2.25|1",
    );
    server.wait_until(
        "SELECT \"partition\", \"offset\", rule, reason LIKE '%id%' FROM bronze.lines__quarantine",
        "0|2|type|t",
    );
}

fn latest_holds_and_new_partitions_start_early() {
    let broker = broker();
    broker.create_topic("growing", 1, &[]);
    // A new producer each time: one that has known the topic keeps its old number of partitions for minutes.
    let send = |partition: i32, ids: std::ops::Range<i64>| {
        let producer = broker.producer();
        for id in ids {
            producer.send("growing", partition, format!("{{\"id\": {id}}}"));
        }
        producer.flush();
    };
    send(0, 0..10);
    let warehouse = warehouse(broker, "growing", PASSWORD);
    warehouse.write(
        "catalog/growing.sql",
        "CREATE SOURCE bronze.growing (id BIGINT)\n\
         WITH (connector = 'kafka', connection = hub, topic = 'growing', scan.startup.mode = 'latest',\n  \
         topic.metadata.refresh.interval.ms = 2000) FORMAT PLAIN ENCODE JSON;\n",
    );
    let held = "SELECT min(id), max(id), count(*), count(DISTINCT id) FROM bronze.growing";
    let server = warehouse.serve();
    // Where it starts is durable before a record came.
    server.wait_until("SELECT position FROM sluice.ingest_progress WHERE source = 'bronze.growing'", "10");
    server.terminate();
    send(0, 10..20);
    let server = warehouse.serve();
    server.wait_until(held, "10|19|10|10");
    broker.add_partitions("growing", 2);
    send(1, 20..30);
    server.wait_until(held, "10|29|20|20");
}

fn a_topic_made_anew_while_it_is_read_is_noticed() {
    let broker = broker();
    broker.create_topic("swapped", PARTITIONS, &[]);
    produce(broker, "swapped", 0..300);
    let warehouse = warehouse(broker, "swapped", PASSWORD);
    let server = warehouse.serve();
    server.wait_until("SELECT count(*), sum(id) FROM bronze.orders", "300|44850");
    broker.delete_topic("swapped");
    broker.create_topic("swapped", PARTITIONS, &[]);
    // Longer than the old one: every offset that comes next is there, so offsets do not tell.
    produce(broker, "swapped", 1_000..2_500);
    server.wait_until(
        "SELECT state, error LIKE '%topic recreated%swapped%' FROM sluice.sources WHERE source = 'bronze.orders'",
        "failed|t",
    );
    assert_eq!(server.query("SELECT count(*), sum(id) FROM bronze.orders"), "300|44850");
    the_other_source_goes_on(&warehouse, &server);
}
