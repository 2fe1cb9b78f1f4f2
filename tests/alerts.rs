//! Alerts: they fire, tell webhooks and mailboxes, are resolved; at least once, with one key, whatever is killed or away.

use crate::support::http::Http;
use crate::support::mailbox::Mailbox;
use crate::support::receiver::{Posted, Receiver};
use crate::support::{FLOW, Server, Warehouse, shared, trial, until};
use libtest_mimic::Trial;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("alerts::one_fires_and_is_resolved", one_fires_and_is_resolved),
        trial("alerts::a_kill_before_delivery_changes_no_key", a_kill_before_delivery_changes_no_key),
        trial("alerts::a_target_in_trouble_holds_nothing_up", a_target_in_trouble_holds_nothing_up),
        trial("alerts::what_waits_comes_in_order", what_waits_comes_in_order),
        trial("alerts::chats_get_what_they_read", chats_get_what_they_read),
        trial("alerts::a_query_that_fails_is_shown", a_query_that_fails_is_shown),
        trial("alerts::all_system_tables_can_be_asked", all_system_tables_can_be_asked),
        trial("alerts::what_is_asked_no_more_is_given_up", what_is_asked_no_more_is_given_up),
        trial("alerts::mail_comes_once_with_its_key", mail_comes_once_with_its_key),
        trial("alerts::silence_fires", silence_fires),
        trial("alerts::those_that_ship_fire", those_that_ship_fire),
    ]
}

const LEVELS: &str = "CREATE SOURCE bronze.levels (tank TEXT, level INT, seen_at TIMESTAMPTZ) WITH (connector = 'http') \
                      FORMAT PLAIN ENCODE JSON;\n";

/// A project with a source `levels`, the newest level of each tank, and what else a test has in its catalog.
pub fn tanks(catalog: &str) -> Warehouse {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/levels.sql", LEVELS);
    warehouse.write("catalog/alerts.sql", catalog);
    warehouse.write(
        "sql/gold/levels.sql",
        "CREATE MATERIALIZED VIEW gold.levels AS SELECT tank, last_value(level ORDER BY seen_at) AS level \
         FROM bronze.levels GROUP BY tank;\n",
    );
    warehouse
}

pub const EMPTY_TANKS: &str = "IF (EXISTS (SELECT tank, level FROM gold.levels WHERE level < 10))";

pub fn push(server: &Server, tank: &str, level: i32, second: u32) {
    let row = format!(
        "{{\"tank\": \"{tank}\", \"level\": {level}, \"seen_at\": \"2026-01-01 00:00:{second:02}Z\"}}"
    );
    let reply = Http::new(FLOW).post(server.http, "/ingest/levels", &[], row).unwrap();
    assert!(reply.status < 300, "{reply:?}");
}

fn body(posted: &Posted) -> Value {
    serde_json::from_str(&posted.body).unwrap()
}

fn header<'a>(posted: &'a Posted, name: &str) -> &'a str {
    let value = posted.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no header {name} in {:?}", posted.headers))
}

fn wait_for(receiver: &Receiver, messages: usize) -> Vec<Posted> {
    until(&format!("{messages} messages"), FLOW, || {
        let posted = receiver.posted();
        if posted.len() >= messages { Ok(posted) } else { Err(format!("{} came", posted.len())) }
    })
}

fn one_fires_and_is_resolved() {
    let receiver = Receiver::start(vec![]);
    let warehouse = tanks(&format!(
        "CREATE SECRET address WITH (backend = 'file') AS 'address';\n\
         CREATE SECRET key WITH (backend = 'file') AS 'key';\n\
         CREATE ALERT empty LABELS (team = 'yard') {EMPTY_TANKS}\n\
         THEN NOTIFY (WEBHOOK yard URL SECRET address SIGNED SECRET key);\n"
    ));
    warehouse.write("address", format!("http://{}/hooks/s3cr3t\n", receiver.address));
    warehouse.write("key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let server = warehouse.serve();
    server.wait_until("SELECT state, rows, targets FROM sluice.alerts", "inactive|0|webhook yard");
    push(&server, "a", 50, 1);
    push(&server, "b", 5, 1);
    server.wait_until("SELECT alert, state, rows, firing FROM sluice.alerts", "empty|firing|1|1");
    assert_eq!(
        server.query("SELECT labels, \"values\" FROM sluice.alert_instances"),
        "{\"tank\":\"b\"}|{\"level\":\"5\"}"
    );
    let fired = wait_for(&receiver, 1).remove(0);
    let message = body(&fired);
    assert_eq!(
        (&message["status"], &message["alerts"][0]["labels"]["tank"]),
        (&"firing".into(), &"b".into())
    );
    assert_eq!(message["alerts"][0]["labels"]["team"], "yard");
    assert_eq!(message["alerts"][0]["annotations"]["level"], "5");
    assert_eq!(header(&fired, "idempotency-key"), message["idempotencyKey"]);
    assert_eq!(header(&fired, "webhook-id"), message["idempotencyKey"]);
    assert!(header(&fired, "webhook-signature").starts_with("v1,"));
    header(&fired, "webhook-timestamp").parse::<i64>().unwrap();

    // Its level changes, it is still the same instance: nobody is told again.
    push(&server, "b", 4, 2);
    server.wait_until("SELECT \"values\" FROM sluice.alert_instances", "{\"level\":\"4\"}");
    push(&server, "b", 60, 3);
    server.wait_until("SELECT state FROM sluice.alerts", "inactive");
    let messages = wait_for(&receiver, 2);
    assert_eq!(messages.len(), 2, "{messages:?}");
    let message = body(&messages[1]);
    assert_eq!(
        (&message["status"], &message["alerts"][0]["status"]),
        (&"resolved".into(), &"resolved".into())
    );
    server.wait_until(
        "SELECT count(*), count(DISTINCT key), min(state), max(state) FROM sluice.notifications",
        "2|2|delivered|delivered",
    );
    server.wait_until("SELECT waiting, delivered FROM sluice.alert_targets", "0|2");
    let everything =
        "SELECT count(*) FROM sluice.alert_log WHERE message LIKE '%s3cr3t%' OR error LIKE '%s3cr3t%'";
    assert_eq!(server.query(everything), "0");
    assert!(!server.log().contains("s3cr3t"), "the address stands in the log");
}

fn a_kill_before_delivery_changes_no_key() {
    // Nothing is taken before the kill.
    let receiver = Receiver::start(vec![500; 2]);
    let warehouse = tanks(&format!(
        "CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (WEBHOOK yard URL 'http://{}/');\n",
        receiver.address
    ));
    let server = warehouse.serve();
    push(&server, "a", 5, 1);
    server.wait_until("SELECT state, attempts > 0 FROM sluice.notifications", "waiting|t");
    let key = server.query("SELECT key FROM sluice.notifications");
    server.kill9();
    let server = warehouse.serve();
    let delivered = wait_for(&receiver, 1);
    assert_eq!(header(&delivered[0], "idempotency-key"), key);
    server.wait_until("SELECT key, state FROM sluice.notifications", &format!("{key}|delivered"));
    server.wait_until("SELECT state, evaluations > 0 FROM sluice.alerts", "firing|t");
    // It fired before: that is not told again, its end is.
    push(&server, "a", 50, 2);
    let delivered = wait_for(&receiver, 2);
    assert_eq!(body(&delivered[1])["status"], "resolved");
}

fn a_target_in_trouble_holds_nothing_up() {
    // It takes connections and never answers; the other one is not there at all.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let receiver = Receiver::start(vec![]);
    let warehouse = tanks(&format!(
        "CREATE CONNECTION post TO SMTP (host = '127.0.0.1', port = 9, tls = 'none', from = 'sluice@example.com');\n\
         CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (WEBHOOK silent URL 'http://{}/'),\n\
         (EMAIL 'yard@example.com' CONNECTION post), (WEBHOOK away URL 'http://127.0.0.1:9/'), (WEBHOOK yard URL 'http://{}/');\n",
        silent.local_addr().unwrap(),
        receiver.address
    ));
    let limits = ["env", "SLUICE_LIMITS_RETRIES_MAX=1"];
    let server = Server::launch_within(&limits, &warehouse, &[]).ready().unwrap();
    push(&server, "a", 5, 1);
    wait_for(&receiver, 1);
    push(&server, "a", 50, 2);
    wait_for(&receiver, 2);
    server.wait_until("SELECT count(*) FROM bronze.levels", "2");
    server.wait_until(
        "SELECT waiting, failures > 0, error <> '' FROM sluice.alert_targets WHERE target = 'webhook away'",
        "2|t|t",
    );
    server.wait_until(
        "SELECT object, kind, state FROM sluice.incidents WHERE object IN ('webhook away', 'email yard@example.com over post') \
         ORDER BY object",
        "email yard@example.com over post|notification|open\nwebhook away|notification|open",
    );
    assert!(server.terminate().0.success());
}

fn what_waits_comes_in_order() {
    let receiver = Receiver::start(vec![503; 3]);
    let warehouse = tanks(&format!(
        "CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (WEBHOOK yard URL 'http://{}/');\n",
        receiver.address
    ));
    let server = warehouse.serve();
    for second in 1..=4 {
        push(&server, "a", if second % 2 == 1 { 5 } else { 50 }, second);
        let state = if second % 2 == 1 { "firing" } else { "inactive" };
        server.wait_until("SELECT state FROM sluice.alerts", state);
    }
    let messages = wait_for(&receiver, 4);
    let states: Vec<Value> = messages.iter().map(|posted| body(posted)["status"].clone()).collect();
    assert_eq!(states, ["firing", "resolved", "firing", "resolved"]);
    server.wait_until(
        "SELECT max(attempts), count(*) FROM sluice.notifications WHERE state = 'delivered'",
        "4|4",
    );
}

fn chats_get_what_they_read() {
    let (teams, slack) = (Receiver::start(vec![]), Receiver::start(vec![]));
    let warehouse = tanks(&format!(
        "CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (WEBHOOK teams URL 'http://{}/' FORMAT teams),\n\
         (WEBHOOK slack URL 'http://{}/' FORMAT slack);\n",
        teams.address, slack.address
    ));
    let server = warehouse.serve();
    push(&server, "a", 5, 1);
    let card = body(&wait_for(&teams, 1)[0]);
    let content = &card["attachments"][0]["content"];
    assert_eq!(
        (&content["type"], &content["body"][0]["text"]),
        (&"AdaptiveCard".into(), &"[FIRING:1] empty".into())
    );
    let chat = body(&wait_for(&slack, 1)[0]);
    assert_eq!(chat["text"], "[FIRING:1] empty");
    assert!(chat["blocks"].to_string().contains("tank = a, level = 5"), "{chat}");
}

fn a_query_that_fails_is_shown() {
    let warehouse = tanks(
        "CREATE ALERT broken IF EXISTS (SELECT 1 / (level - level) AS one FROM gold.levels);\n\
         CREATE ALERT sound SCHEDULE EVERY 1 SECOND FOR INTERVAL '1' SECOND KEEP FIRING FOR INTERVAL '1' HOUR\n\
         IF EXISTS (SELECT source FROM sluice.sources);\n",
    );
    let limits = ["env", "SLUICE_LIMITS_RETRIES_MAX=1"];
    let server = Server::launch_within(&limits, &warehouse, &[]).ready().unwrap();
    push(&server, "a", 5, 1);
    server.wait_until(
        "SELECT error LIKE '%zero%', evaluations_failed > 1 FROM sluice.alerts WHERE alert = 'broken'",
        "t|t",
    );
    server.wait_until("SELECT object, kind FROM sluice.incidents WHERE state = 'open'", "alert broken|alert");
    server.wait_until("SELECT state, schedule FROM sluice.alerts WHERE alert = 'sound'", "firing|every 1 s");
    server.wait_until("SELECT count(*) FROM gold.levels", "1");
}

/// Alerts are planned before there are any tables: what is known of them then is what there is.
fn all_system_tables_can_be_asked() {
    let server = shared::server();
    let columns = server.query(
        "SELECT table_name, string_agg(column_name, ', ') FROM information_schema.columns WHERE table_schema = 'sluice' \
         GROUP BY table_name",
    );
    let alert = |line: &str| {
        let (table, columns) = line.split_once('|').unwrap();
        let columns: Vec<String> = columns.split(", ").map(|column| format!("\"{column}\"")).collect();
        format!("CREATE ALERT of_{table} IF EXISTS (SELECT {} FROM sluice.{table});\n", columns.join(", "))
    };
    let alerts: Vec<String> = columns.lines().map(alert).collect();
    assert!(alerts.len() > 20, "{columns}");
    let warehouse = Warehouse::new();
    warehouse.write("catalog/alerts.sql", alerts.concat());
    warehouse.sluice(&["check"]).expect(0, &[]);
}

fn what_is_asked_no_more_is_given_up() {
    let warehouse = tanks(&format!(
        "CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (WEBHOOK away URL 'http://127.0.0.1:9/');\n"
    ));
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\nmay_define = true\n");
    let server = warehouse.serve();
    push(&server, "a", 5, 1);
    server.wait_until("SELECT state FROM sluice.notifications", "waiting");
    let receiver = Receiver::start(vec![]);
    warehouse.write(
        "catalog/alerts.sql",
        format!(
            "CREATE ALERT dry {EMPTY_TANKS} THEN NOTIFY (WEBHOOK yard URL 'http://{}/');\n",
            receiver.address
        ),
    );
    let planned = server.query("PLAN");
    assert!(planned.contains("dry") && planned.contains("empty"), "{planned}");
    server.query("APPLY");
    assert_eq!(body(&wait_for(&receiver, 1)[0])["groupLabels"]["alertname"], "dry");
    server.wait_until(
        "SELECT state, error FROM sluice.notifications WHERE alert = 'empty'",
        "given up|no alert names this target any more",
    );
    assert_eq!(server.query("SELECT alert, state FROM sluice.alerts"), "dry|firing");
    let newest =
        "SELECT last_value(state ORDER BY at) FROM sluice.alert_log WHERE alert = 'empty' AND key IS NULL";
    assert_eq!(server.query(newest), "inactive");
}

fn mail_comes_once_with_its_key() {
    // The first is put off, as by greylisting.
    let mailbox = Mailbox::start(1);
    let warehouse = tanks(&format!(
        "CREATE CONNECTION post TO SMTP (host = '127.0.0.1', port = {}, tls = 'none', from = 'Sluice <sluice@example.com>');\n\
         CREATE ALERT empty {EMPTY_TANKS} THEN NOTIFY (EMAIL 'a@example.com, b@example.com' CONNECTION post SUBJECT 'Tank');\n",
        mailbox.address.port()
    ));
    let server = warehouse.serve();
    push(&server, "a", 5, 1);
    let mails = until("the mail", FLOW, || {
        let mails = mailbox.mails();
        if mails.is_empty() { Err("none".to_string()) } else { Ok(mails) }
    });
    server.wait_until("SELECT state, attempts FROM sluice.notifications", "delivered|2");
    let key = server.query("SELECT key FROM sluice.notifications");
    assert_eq!(mails[0].to, ["<a@example.com>", "<b@example.com>"]);
    for line in [
        format!("Message-ID: <{key}@sluice>"),
        "Subject: [FIRING:1] Tank".to_string(),
        "tank = a, level = 5".to_string(),
    ] {
        assert!(mails[0].text.contains(&line), "{line} is missing in\n{}", mails[0].text);
    }
}

/// Nothing comes any more and nobody asks, only time passes: what depends on `now()`, in a view that is stored, in one that is
/// not, and in the alert itself, and what depends on a window that silence closes.
fn silence_fires() {
    let receiver = Receiver::start(vec![]);
    let told = format!("THEN NOTIFY (WEBHOOK yard URL 'http://{}/');\n", receiver.address);
    let warehouse = tanks(&format!(
        "CREATE ALERT stored IF (EXISTS (SELECT tank FROM gold.stored)) {told}\
         CREATE ALERT shown IF (EXISTS (SELECT tank FROM gold.shown)) {told}\
         CREATE ALERT asked IF (EXISTS (SELECT tank FROM gold.last WHERE last < now() - INTERVAL '3' SECOND)) {told}\
         CREATE ALERT closed IF (EXISTS (SELECT tank FROM gold.closed WHERE level < 10)) {told}"
    ));
    warehouse.write(
        "catalog/levels.sql",
        "CREATE SOURCE bronze.levels (tank TEXT, level INT, seen_at TIMESTAMPTZ,\n\
         WATERMARK FOR seen_at AS seen_at - INTERVAL '1' MINUTE)\n\
         WITH (connector = 'http', watermark.idle_after = '3 seconds') FORMAT PLAIN ENCODE JSON;\n",
    );
    for (name, query) in [
        (
            "MATERIALIZED VIEW gold.last",
            "SELECT tank, max(_ingested_at) AS last FROM bronze.levels GROUP BY tank",
        ),
        (
            "MATERIALIZED VIEW gold.stored",
            "SELECT tank, max(_ingested_at) AS last FROM bronze.levels GROUP BY tank\n\
             HAVING max(_ingested_at) < now() - INTERVAL '3' SECOND",
        ),
        ("VIEW gold.shown", "SELECT tank FROM gold.last WHERE last < now() - INTERVAL '3' SECOND"),
        (
            "MATERIALIZED VIEW gold.closed",
            "SELECT tank, window_end, min(level) AS level FROM TUMBLE(bronze.levels, seen_at, INTERVAL '5' MINUTE)\n\
             GROUP BY tank, window_end EMIT ON WINDOW CLOSE",
        ),
    ] {
        let file = format!("sql/{}.sql", name.rsplit(' ').next().unwrap().replace('.', "/"));
        warehouse.write(&file, format!("CREATE {name} AS {query};\n"));
    }
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM sluice.freshness WHERE state <> 'fresh'", "0");
    // The slower of two senders holds the watermark, and so the window, until it is idle.
    let send = |sender: &str, tank: &str, at: &str| {
        let row = format!("{{\"tank\": \"{tank}\", \"level\": 5, \"seen_at\": \"{at}\"}}");
        let headers = [("channel", sender), ("token", "1")];
        let reply = Http::new(FLOW).post(server.http, "/ingest/levels", &headers, row).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    send("slow", "a", "2026-01-01T10:01:00Z");
    send("fast", "a", "2026-01-01T10:31:00Z");
    let messages = wait_for(&receiver, 4);
    let mut fired: Vec<String> = messages
        .iter()
        .map(|posted| {
            let told = body(posted);
            assert_eq!(told["alerts"][0]["labels"]["tank"], "a", "{told}");
            format!(
                "{} {}",
                told["groupLabels"]["alertname"].as_str().unwrap(),
                told["status"].as_str().unwrap()
            )
        })
        .collect();
    fired.sort();
    assert_eq!(fired, ["asked firing", "closed firing", "shown firing", "stored firing"]);
    assert_eq!(server.query("SELECT count(*) FROM bronze.levels"), "2");
}

/// An alert of `catalog/alerts.sql`, or all of them, with times that a test need not wait for.
pub fn shipped(name: Option<&str>) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog/alerts.sql");
    let text = fs::read_to_string(file).unwrap();
    let statements = text
        .split_inclusive(';')
        .filter(|statement| name.is_none_or(|name| statement.contains(&format!("CREATE ALERT {name} "))));
    let mut quick: String = statements.collect();
    assert!(quick.contains("CREATE ALERT"), "catalog/alerts.sql has no {name:?}");
    for (slow, soon) in [
        ("EVERY 1 MINUTE", "EVERY 1 SECOND"),
        ("FOR INTERVAL '5' MINUTE", "FOR INTERVAL '1' SECOND"),
        ("INTERVAL '15' MINUTE", "INTERVAL '0' MINUTE"),
        ("lag_seconds > 300", "lag_seconds > 1"),
        ("lag_seconds > 900", "lag_seconds > 0"),
    ] {
        quick = quick.replace(slow, soon);
    }
    quick
}

/// All but what needs a disk that is full, which `full_disk` has; the disk's own alert and that of pushes which are asked to
/// come later fire there by their own figures.
fn those_that_ship_fire() {
    let warehouse = Warehouse::new();
    let source = |name: &str| {
        format!(
            "CREATE SOURCE bronze.{name} (id TEXT, event_time TIMESTAMPTZ, WATERMARK FOR event_time AS event_time - INTERVAL \
             '1' SECOND) WITH (connector = 'http') FORMAT PLAIN ENCODE JSON;\n"
        )
    };
    warehouse.write("catalog/sources.sql", source("sales") + &source("streaming_clickstream"));
    let eager =
        shipped(None).replace("rate > 10000", "rate > 0").replace("free_percent < 10", "free_percent < 101");
    warehouse.write("catalog/alerts.sql", eager);
    warehouse.write(
        "catalog/away.sql",
        "CREATE ALERT told IF EXISTS (SELECT source FROM sluice.sources) THEN NOTIFY (WEBHOOK away URL 'http://127.0.0.1:9/');\n",
    );
    warehouse.write(
        "sql/gold/low_stock.sql",
        "CREATE VIEW gold.low_stock AS SELECT 'NORTH' AS warehouse, 1 AS product_id, 'Mug' AS product_name, \
         0 AS quantity_available;\n",
    );
    warehouse.write(
        "sql/gold/numbers.sql",
        "CREATE MATERIALIZED VIEW gold.numbers AS SELECT CAST(id AS BIGINT) AS id FROM bronze.sales;\n",
    );
    warehouse.write(
        "sql/silver/sales.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.sales (id TEXT, CONSTRAINT known EXPECT (id <> '2') ON VIOLATION \
         QUARANTINE ROW) AS SELECT id FROM STREAM bronze.sales;\n",
    );
    let limits = ["env", "SLUICE_LIMITS_RETRIES_MAX=1"];
    let server = Server::launch_within(&limits, &warehouse, &[]).ready().unwrap();
    let sell = |id: &str| {
        let row = format!("{{\"id\": \"{id}\", \"event_time\": \"2026-01-01 00:00:00Z\"}}");
        let reply = Http::new(FLOW).post(server.http, "/ingest/sales", &[], row).unwrap();
        assert!(reply.status < 300, "{reply:?}");
    };
    sell("1");
    server.wait_until("SELECT count(*) FROM gold.numbers", "1");
    let fired = |alert: &str| {
        format!("SELECT count(*) > 0 FROM sluice.alert_log WHERE alert = '{alert}' AND state = 'firing'")
    };
    // Old events lag for as long as they come.
    until("ingest_lag", FLOW, || {
        sell("2");
        let answer = server.query(&fired("ingest_lag"));
        if answer == "t" { Ok(()) } else { Err(answer) }
    });
    sell("many");
    for alert in [
        "no_input",
        "ingest_limit_exceeded",
        "refresh_failing",
        "freshness_breached",
        "quarantine_rate",
        "target_away",
        "disk_full",
        "stock_out",
    ] {
        server.wait_until(&fired(alert), "t");
    }
    assert_eq!(
        server.query("SELECT labels FROM sluice.alert_instances WHERE alert = 'stock_out'"),
        "{\"product_id\":\"1\",\"warehouse\":\"NORTH\"}"
    );
}
