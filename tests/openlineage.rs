//! OpenLineage events: what a receiver is told of each refresh, and that one in trouble holds nothing up.

use crate::support::receiver::Receiver;
use crate::support::{FLOW, Warehouse, trial, until};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use std::net::TcpListener;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("openlineage::refreshes_are_told", refreshes_are_told),
        trial("openlineage::failures_are_told", failures_are_told),
        trial("openlineage::a_receiver_in_trouble_holds_nothing_up", a_receiver_in_trouble_holds_nothing_up),
    ]
}

fn shop(url: &str) -> Warehouse {
    let warehouse = Warehouse::of("shop");
    warehouse.write(
        "catalog/warehouse.toml",
        format!(
            "[users.sluice]\ntrust_loopback = true\n[openlineage]\nurl = \"{url}\"\nnamespace = \"shop\"\n"
        ),
    );
    warehouse
}

/// The events that end a run of a job, the first that wrote rows if it is complete, and that begin it.
fn events_of(receiver: &Receiver, job: &str, kind: &str) -> Option<[Value; 2]> {
    let posted = receiver.posted();
    let events: Vec<Value> =
        posted.iter().map(|posted| serde_json::from_str(&posted.body).unwrap()).collect();
    let wrote = |event: &Value| {
        event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"].as_i64() > Some(0)
    };
    let ended = events.iter().find(|event| {
        event["job"]["name"] == job && event["eventType"] == kind && (kind == "FAIL" || wrote(event))
    })?;
    let run = &ended["run"]["runId"];
    let started =
        events.iter().find(|event| event["run"]["runId"] == *run && event["eventType"] == "START")?;
    Some([started.clone(), ended.clone()])
}

fn wait_for(receiver: &Receiver, job: &str, kind: &str) -> [Value; 2] {
    until("the event", FLOW, || events_of(receiver, job, kind).ok_or_else(|| format!("{kind} of {job}")))
}

fn refreshes_are_told() {
    // The first tries fail, and are made again.
    let receiver = Receiver::start(vec![503, 500]);
    let warehouse = shop(&format!("http://{}/api/v1/lineage", receiver.address));
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");
    let [started, ended] = wait_for(&receiver, "gold.daily_sales", "COMPLETE");
    assert_eq!(ended["inputs"], json!([{"namespace": "shop", "name": "silver.orders"}]));
    assert!(started["eventTime"].as_str() <= ended["eventTime"].as_str());
    let output = &ended["outputs"][0];
    assert_eq!(output["name"], "gold.daily_sales");
    let facets = &output["facets"];
    assert_eq!(facets["schema"]["fields"][0], json!({"name": "order_date", "type": "DATE"}));
    assert_eq!(
        facets["columnLineage"]["fields"]["revenue"]["inputFields"],
        json!([{"namespace": "shop", "name": "silver.orders", "field": "amount",
            "transformations": [{"type": "DIRECT", "subtype": "AGGREGATION", "masking": false}]}])
    );
    assert_eq!(facets["columnLineage"]["dataset"][0]["transformations"][0]["subtype"], "GROUP_BY");
    let posted = receiver.posted();
    assert!(
        posted[0].headers.contains(&"content-type: application/json".to_string()),
        "{:?}",
        posted[0].headers
    );
}

fn failures_are_told() {
    let receiver = Receiver::start(vec![]);
    let warehouse = shop(&format!("http://{}/", receiver.address));
    warehouse.write(
        "sql/gold/bad.sql",
        "CREATE MATERIALIZED VIEW gold.bad AS SELECT CAST(status AS INT) AS n FROM silver.orders;\n",
    );
    let _server = warehouse.serve();
    let [_, ended] = wait_for(&receiver, "gold.bad", "FAIL");
    let message = ended["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert!(message.contains("Cannot cast") || message.contains("cast"), "{message}");
}

fn a_receiver_in_trouble_holds_nothing_up() {
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let warehouse = shop(&format!("http://{}/", silent.local_addr().unwrap()));
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 0 FROM gold.daily_sales", "t");
    server.query("REFRESH TABLE gold.daily_sales");
    assert_eq!(server.terminate().0.code(), Some(0));
}
