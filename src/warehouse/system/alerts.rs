//! `sluice.alerts`, `sluice.alert_instances`, `sluice.alert_targets`: as alerts stand now.

use super::columns::{LONG, TEXT, columns, timestamp};
use super::{optional_text, text, time, trigger_text};
use crate::catalog::live::Row;
use crate::catalog::project::Project;
use crate::deliver::alerts::{Alerts, Instance, Phase};
use crate::sql::{AlertDefinition, Target, Trigger};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

type Rows = Arc<dyn Fn() -> Vec<Row> + Send + Sync>;

/// Name, comment, columns and rows of each.
pub(super) fn tables(
    alerts: &Arc<Alerts>,
    project: &Arc<Project>,
) -> [(&'static str, &'static str, SchemaRef, Rows); 3] {
    let rows = |of: fn(&Alerts, &Project) -> Vec<Row>| -> Rows {
        let (alerts, project) = (Arc::clone(alerts), Arc::clone(project));
        Arc::new(move || of(&alerts, &project))
    };
    [
        ("alerts", "How each alert stands", alerts_schema(), rows(alert_rows)),
        ("alert_instances", "What alerts are about now", instances_schema(), rows(instance_rows)),
        ("alert_targets", "Whom alerts tell, and how that goes", targets_schema(), rows(target_rows)),
    ]
}

pub(super) fn alerts_schema() -> SchemaRef {
    columns(&[
        ("alert", TEXT),
        ("state", TEXT),
        ("since", timestamp()),
        ("last_evaluated_at", timestamp()),
        ("rows", LONG),
        ("pending", LONG),
        ("firing", LONG),
        ("labels", TEXT),
        ("schedule", TEXT),
        ("targets", TEXT),
        ("error", TEXT),
        ("evaluations", LONG),
        ("evaluations_failed", LONG),
    ])
}

fn alert_rows(alerts: &Alerts, project: &Project) -> Vec<Row> {
    let row = |alert: &Arc<AlertDefinition>| {
        let standing = alerts.standing(&alert.name);
        let phase = standing.instances.phase();
        let of_phase = standing.instances.all().filter(|instance| Some(instance.phase) == phase);
        let targets: Vec<String> = alert.targets.iter().map(Target::to_string).collect();
        let schedule = match &alert.schedule {
            Trigger::OnUpdate { .. } => "each epoch".to_string(),
            schedule => trigger_text(schedule),
        };
        vec![
            text(&alert.name),
            text(phase.map_or("inactive", Phase::as_str)),
            time(of_phase.map(|instance| instance.fired_at.unwrap_or(instance.active_since)).min()),
            time(standing.looked_at),
            count(standing.rows as u64),
            count(standing.instances.count(Phase::Pending) as u64),
            count(standing.instances.told() as u64),
            json(&alert.labels),
            text(&schedule),
            text(&targets.join(", ")),
            optional_text(standing.error.as_deref()),
            count(standing.looks),
            count(standing.looks_failed),
        ]
    };
    project.alerts.values().map(row).collect()
}

pub(super) fn instances_schema() -> SchemaRef {
    columns(&[
        ("alert", TEXT),
        ("state", TEXT),
        ("labels", TEXT),
        ("values", TEXT),
        ("active_since", timestamp()),
        ("fired_at", timestamp()),
    ])
}

fn instance_rows(alerts: &Alerts, project: &Project) -> Vec<Row> {
    let row = |alert: &str, instance: &Instance| {
        vec![
            text(alert),
            text(instance.phase.as_str()),
            json(&instance.labels),
            json(&instance.values),
            time(Some(instance.active_since)),
            time(instance.fired_at),
        ]
    };
    let names = project.alerts.keys();
    let rows = names.flat_map(|name| {
        let standing = alerts.standing(name);
        standing.instances.all().map(|instance| row(name, instance)).collect::<Vec<_>>()
    });
    rows.collect()
}

pub(super) fn targets_schema() -> SchemaRef {
    columns(&[
        ("target", TEXT),
        ("waiting", LONG),
        ("delivered", LONG),
        ("given_up", LONG),
        ("failures", LONG),
        ("error", TEXT),
        ("delivered_at", timestamp()),
    ])
}

fn target_rows(alerts: &Alerts, project: &Project) -> Vec<Row> {
    let targets = project.alerts.values().flat_map(|alert| &alert.targets);
    let targets: BTreeMap<String, ()> = targets.map(|target| (target.to_string(), ())).collect();
    let row = |target: String| {
        let outbox = alerts.outbox(&target);
        vec![
            text(&target),
            count(outbox.waiting() as u64),
            count(outbox.delivered),
            count(outbox.given_up),
            count(u64::from(outbox.failures)),
            optional_text(outbox.error.as_deref()),
            time(outbox.delivered_at),
        ]
    };
    targets.into_keys().map(row).collect()
}

fn count(number: u64) -> ScalarValue {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn json(value: &impl Serialize) -> ScalarValue {
    ScalarValue::Utf8(serde_json::to_string(value).ok())
}
