//! OpenLineage run events: which tables each refresh read, what came out, column by column.
//!
//! Comes in: refreshes as they end. Goes out: a START and a COMPLETE or FAIL event for each, by HTTP POST, as
//! openlineage.io's specification 2-0-2 has them, with the facets sql, schema, columnLineage, outputStatistics and
//! errorMessage. Guarantee: at most once, in order; a receiver that is away for long misses events, and the log says so.

use crate::catalog::lineage::{Influence, Lineage, TableColumn, Transformation};
use crate::catalog::plan::PlannedModel;
use crate::catalog::project::Model;
use crate::config::OpenLineageSettings;
use crate::lake::TableName;
use crate::ops::retry::spread;
use crate::ops::secret;
use crate::refresh::RefreshRecord;
use crate::sql::type_name;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, redirect};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Refreshes that wait to be told at most.
const WAITING_MAX: usize = 4_096;
/// How long the receiver may take for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Pauses between the tries of one event; the last failure gives it up.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

const PRODUCER: &str = concat!("urn:sluice:", env!("CARGO_PKG_VERSION"));
const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// What is said of a model with each of its refreshes.
struct Described {
    inputs: Vec<TableName>,
    sql: String,
    schema: SchemaRef,
    lineage: Arc<Lineage>,
    is_streaming: bool,
}

/// Tells of the refreshes of a project's models.
pub struct Teller {
    settings: OpenLineageSettings,
    models: BTreeMap<TableName, Described>,
    waiting: mpsc::Sender<[Value; 2]>,
    lost: AtomicU64,
}

impl Teller {
    /// Begins to tell of these models, until `stop`.
    pub fn start<'a>(
        settings: OpenLineageSettings,
        models: impl IntoIterator<Item = (&'a Model, &'a PlannedModel)>,
        stop: CancellationToken,
    ) -> Self {
        let described = |(model, planned): (&Model, &PlannedModel)| {
            let described = Described {
                inputs: model.query().inputs.clone(),
                sql: model.sql().to_string(),
                schema: Arc::clone(&planned.schema),
                lineage: Arc::clone(&planned.lineage),
                is_streaming: matches!(model, Model::StreamingTable(_)),
            };
            (model.name().clone(), described)
        };
        let models = models.into_iter().map(described).collect();
        let (waiting, events) = mpsc::channel(WAITING_MAX);
        tokio::spawn(send(settings.clone(), events, stop));
        Self { settings, models, waiting, lost: AtomicU64::new(0) }
    }

    /// Tells of a refresh; never waits.
    pub fn tell(&self, record: &RefreshRecord) {
        let Some(model) = self.models.get(&record.model) else { return };
        let run = uuid::Uuid::new_v4().to_string();
        if self.waiting.try_send(events(&self.settings.namespace, model, record, &run)).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                tracing::warn!(lost, "the receiver of OpenLineage events is too slow: refreshes go untold");
            }
        }
    }
}

/// The two events of a refresh.
fn events(namespace: &str, model: &Described, record: &RefreshRecord, run: &str) -> [Value; 2] {
    let started = chrono::Duration::try_milliseconds((record.seconds * 1_000.0) as i64).unwrap_or_default();
    let event = |kind: &str, at: DateTime<Utc>, run: Value, outputs: Value| {
        json!({
            "eventType": kind,
            "eventTime": at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "producer": PRODUCER,
            "schemaURL": EVENT_SCHEMA,
            "run": run,
            "job": job(namespace, model, &record.model),
            "inputs": model.inputs.iter().map(|input| dataset(namespace, input)).collect::<Vec<_>>(),
            "outputs": outputs,
        })
    };
    let mut output = dataset(namespace, &record.model);
    output["facets"] = json!({
        "schema": schema(&model.schema),
        "columnLineage": column_lineage(namespace, model),
    });
    let mut facets = Map::new();
    let kind = match &record.error {
        None => {
            let statistics = json!({ "rowCount": record.rows_inserted });
            output["outputFacets"] = json!({ "outputStatistics": facet("OutputStatisticsOutputDatasetFacet", "1-0-2", &statistics) });
            "COMPLETE"
        }
        Some(error) => {
            let message = json!({ "message": error, "programmingLanguage": "SQL" });
            facets.insert("errorMessage".to_string(), facet("ErrorMessageRunFacet", "1-0-1", &message));
            "FAIL"
        }
    };
    let output = json!([output]);
    [
        event("START", record.at - started, json!({ "runId": run }), output.clone()),
        event(kind, record.at, json!({ "runId": run, "facets": facets }), output),
    ]
}

fn job(namespace: &str, model: &Described, name: &TableName) -> Value {
    let kind = json!({
        "processingType": if model.is_streaming { "STREAMING" } else { "BATCH" },
        "integration": "SLUICE",
        "jobType": "MODEL",
    });
    json!({
        "namespace": namespace,
        "name": name.to_string(),
        "facets": {
            "sql": facet("SQLJobFacet", "1-0-1", &json!({ "query": model.sql })),
            "jobType": facet("JobTypeJobFacet", "2-0-3", &kind),
        },
    })
}

fn dataset(namespace: &str, table: &TableName) -> Value {
    json!({ "namespace": namespace, "name": table.to_string() })
}

/// A facet: what it says, who says it, and how it is to be read.
fn facet(name: &str, version: &str, says: &Value) -> Value {
    let mut facet = says.clone();
    facet["_producer"] = PRODUCER.into();
    facet["_schemaURL"] =
        format!("https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}").into();
    facet
}

fn schema(schema: &SchemaRef) -> Value {
    let fields = schema.fields().iter();
    let fields: Vec<Value> =
        fields.map(|field| json!({ "name": field.name(), "type": type_name(field.data_type()) })).collect();
    facet("SchemaDatasetFacet", "1-1-1", &json!({ "fields": fields }))
}

fn column_lineage(namespace: &str, model: &Described) -> Value {
    let input = |from: &TableColumn, kind: &str, subtype: &str, masking: bool| {
        json!({
            "namespace": namespace,
            "name": from.table.to_string(),
            "field": from.column,
            "transformations": [{ "type": kind, "subtype": subtype, "masking": masking }],
        })
    };
    let fields = model.schema.fields().iter().zip(&model.lineage.columns).map(|(field, lineage)| {
        let direct = lineage.direct.iter();
        let direct = direct
            .map(|(from, flow)| input(from, "DIRECT", direct_subtype(flow.transformation), flow.masked));
        let indirect = lineage.indirect.iter();
        let indirect = indirect.map(|(from, how)| input(from, "INDIRECT", indirect_subtype(*how), false));
        (field.name().clone(), json!({ "inputFields": direct.chain(indirect).collect::<Vec<_>>() }))
    });
    let fields: Map<String, Value> = fields.collect();
    let rows = model.lineage.rows.iter();
    let rows: Vec<Value> =
        rows.map(|(from, how)| input(from, "INDIRECT", indirect_subtype(*how), false)).collect();
    facet("ColumnLineageDatasetFacet", "1-2-0", &json!({ "fields": fields, "dataset": rows }))
}

fn direct_subtype(transformation: Transformation) -> &'static str {
    match transformation {
        Transformation::Identity => "IDENTITY",
        Transformation::Transformation => "TRANSFORMATION",
        Transformation::Aggregation => "AGGREGATION",
    }
}

fn indirect_subtype(influence: Influence) -> &'static str {
    match influence {
        Influence::Join => "JOIN",
        Influence::GroupBy => "GROUP_BY",
        Influence::Filter => "FILTER",
        Influence::Sort => "SORT",
        Influence::Window => "WINDOW",
        Influence::Conditional => "CONDITIONAL",
    }
}

/// Sends what waits, one event after the other; what still waits at the end is sent as far as the receiver takes it at
/// once.
async fn send(
    settings: OpenLineageSettings,
    mut events: mpsc::Receiver<[Value; 2]>,
    stop: CancellationToken,
) {
    let client = Client::builder().timeout(ANSWER_MAX).redirect(redirect::Policy::none()).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "no OpenLineage events can be sent"),
    };
    let key = secret::from_environment("OPENLINEAGE_API_KEY");
    let mut is_away = false;
    loop {
        let next = tokio::select! {
            () = stop.cancelled() => events.try_recv().ok(),
            next = events.recv() => next,
        };
        let Some(pair) = next else { return };
        for event in pair {
            match post(&client, &settings.url, key.as_deref(), &event, &stop).await {
                Ok(()) => is_away = false,
                Err(_) if is_away => {}
                Err(error) => {
                    is_away = true;
                    tracing::warn!(error, "an OpenLineage event could not be delivered");
                }
            }
        }
    }
}

async fn post(
    client: &Client,
    url: &str,
    key: Option<&str>,
    event: &Value,
    stop: &CancellationToken,
) -> Result<(), String> {
    let mut pauses = PAUSES.iter();
    loop {
        let mut request = client.post(url).header(CONTENT_TYPE, "application/json").body(event.to_string());
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let error = match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            // What it does not understand it will not understand the next time.
            Ok(answer) if answer.status().is_client_error() => return Err(answer.status().to_string()),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.without_url().to_string(),
        };
        let Some(pause) = pauses.next().filter(|_| !stop.is_cancelled()) else { return Err(error) };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(spread(*pause, rand::random())) => {}
        }
    }
}
