//! The tables of schema `sluice`: the server as the console, the alerts and the tests see it.

mod alerts;
mod columns;
mod lineage;
mod sessions;
mod storage;

use super::foreign::RunningForeign;
use super::loaded::Planned;
use super::rights::Rights;
use super::sources::RunningSource;
use super::{backfills, define, deploy, incidents, quarantined, rights};
use crate::catalog::cut::{Cut, Relation, RelationKind};
pub(super) use crate::catalog::live::time;
use crate::catalog::live::{Journal, JournalTable, LiveTable, NewestTable, Row};
use crate::catalog::project::{Model, Project};
use crate::deliver::alerts::{Alerts, NOTIFICATIONS, log_schema, notifications_schema};
use crate::lake::{Lake, Table, TableName};
use crate::ops::clock;
use crate::quality::Audited;
use crate::refresh::{EpochTable, RefreshRecord, StatusBoard, definition_id, epochs_schema};
use crate::serve::audit::AuditRecord;
use crate::serve::backends::Backends;
use crate::serve::failed_logins::{FailedLogin, FailedLogins, Noted};
use crate::sql::{Connector, History, Trigger};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use columns::{
    audit_log_schema, audits_schema, backfill_log_schema, backfills_schema, erasures_schema,
    expectations_schema, freshness_schema, incident_log_schema, incidents_schema, ingest_log_schema,
    models_schema, progress_schema, quarantine_schema, refreshes_schema, sources_schema,
};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// A system table's relation and rows.
pub(super) type SystemTables = BTreeMap<TableName, (Arc<Relation>, Option<Arc<dyn TableProvider>>)>;

/// How far the journal of alerts reaches back at least.
const ALERTS_KEPT_MIN: chrono::Duration = chrono::Duration::days(2);

/// What happened, kept in Delta.
#[derive(Clone)]
pub(super) struct Journals {
    pub(super) ingest_log: Arc<Journal>,
    pub(super) refreshes: Arc<Journal>,
    pub(super) expectations: Arc<Journal>,
    pub(super) audits: Arc<Journal>,
    pub(super) incidents: Arc<Journal>,
    pub(super) backfills: Arc<Journal>,
    pub(super) alerts: Arc<Journal>,
    pub(super) audit_log: Arc<Journal>,
    failed_logins: Arc<Mutex<FailedLogins>>,
    /// Never forgotten: it shows that somebody was.
    pub(super) erasures: Arc<Journal>,
}

impl Journals {
    /// Opens (and creates) the journals. Blocks.
    pub(super) fn open(lake: &Arc<Lake>) -> Result<Self, crate::lake::Error> {
        let open = |name: &str, columns, time_column| {
            Ok(Arc::new(Journal::open(Arc::clone(lake), name, columns, time_column)?))
        };
        Ok(Self {
            ingest_log: open("ingest_log", ingest_log_schema(), "started_at")?,
            refreshes: open("refreshes", refreshes_schema(), "at")?,
            expectations: open("expectations", expectations_schema(), "at")?,
            audits: open("audits", audits_schema(), "at")?,
            incidents: open("incident_log", incident_log_schema(), "at")?,
            backfills: open("backfill_log", backfill_log_schema(), "at")?,
            alerts: open("alert_log", log_schema(), "at")?,
            audit_log: open("audit_log", audit_log_schema(), "at")?,
            failed_logins: Arc::default(),
            erasures: open("erasures", erasures_schema(), "finished_at")?,
        })
    }

    fn all(&self) -> [&Arc<Journal>; 8] {
        let Self {
            ingest_log, refreshes, expectations, audits, incidents, backfills, alerts, audit_log, ..
        } = self;
        [ingest_log, refreshes, expectations, audits, incidents, backfills, alerts, audit_log]
    }

    /// Notes a statement of a reader.
    pub(super) fn note_statement(&self, record: &AuditRecord) {
        self.audit_log.note(vec![
            time(Some(record.at)),
            text(&record.role),
            i64::from(record.session).into(),
            text(&record.client),
            text(record.protocol),
            text(&record.statement),
            text(&record.objects.join(", ")),
            text(record.outcome),
            optional_text(record.sqlstate),
            record.seconds.into(),
            text(&record.login),
        ]);
    }

    /// Notes that somebody could not log in, or counts it.
    pub(super) fn note_failed_login(&self, login: FailedLogin) {
        let noted = self.failed_logins.lock().failed(login);
        self.note_failed_logins(noted);
    }

    fn note_failed_logins(&self, noted: Vec<Noted>) {
        self.audit_log.note_all(noted.into_iter().map(failed_login_row));
    }

    /// Notes a refresh and how its rules fared.
    pub(super) fn note_refresh(&self, record: &RefreshRecord) {
        self.refreshes.note(vec![
            record.epoch.into(),
            text(&record.model.to_string()),
            text(record.mode),
            text(&record.reason),
            record.rows_read.into(),
            record.rows_inserted.into(),
            record.rows_deleted.into(),
            record.seconds.into(),
            text(if record.error.is_some() { "failed" } else { "ok" }),
            optional_text(record.error.as_deref()),
            time(Some(record.at)),
        ]);
        for audit in &record.verdict.audits {
            self.note_audit(&record.model, record.epoch, audit, record.at);
        }
        for rule in &record.verdict.rules {
            self.expectations.note(vec![
                text(&record.model.to_string()),
                text(&rule.name),
                text(&rule.predicate),
                text(rule.action.as_str()),
                record.epoch.into(),
                rule.passed.into(),
                rule.failed.into(),
                time(Some(record.at)),
                rule.at_least.into(),
                rule.is_met().into(),
            ]);
        }
    }

    /// Notes how an audit fared.
    pub(super) fn note_audit(&self, model: &TableName, epoch: i64, audit: &Audited, at: DateTime<Utc>) {
        let examples = (!audit.examples.is_empty()).then(|| audit.examples.join("\n"));
        self.audits.note(vec![
            text(&model.to_string()),
            text(&audit.name),
            audit.blocking.into(),
            epoch.into(),
            text(audit.outcome()),
            audit.rows.into(),
            optional_text(examples.as_deref()),
            optional_text(audit.error.as_deref()),
            text(&audit.origin.to_string()),
            time(Some(at)),
        ]);
    }

    /// Notes a load.
    pub(super) fn note_load(&self, load: &crate::bronze::LoadRecord) {
        self.ingest_log.note(vec![
            text(&load.source),
            load.batch.into(),
            time(Some(load.started_at)),
            load.rows.into(),
            load.bytes.into(),
            text(if load.error.is_some() { "failed" } else { "ok" }),
            optional_text(load.error.as_deref()),
            i64::from(load.attempts).into(),
        ]);
    }

    /// Writes what waits; what the disk refuses waits on.
    pub(super) async fn flush(&self) {
        let due = self.failed_logins.lock().due(clock::now());
        self.note_failed_logins(due);
        for journal in self.all() {
            if let Err(error) = journal.flush().await {
                tracing::warn!(error = crate::lake::chain(&error), "could not write a journal");
            }
        }
    }

    /// Writes all that is known, before the end.
    pub(super) async fn end(&self) {
        let counted = self.failed_logins.lock().all();
        self.note_failed_logins(counted);
        self.flush().await;
    }

    /// Forgets what was noted before `before`.
    pub(super) async fn forget(&self, before: DateTime<Utc>) {
        for journal in self.all() {
            // Messages are tried for a day, and what fires is noted again each half.
            let is_of_alerts = Arc::ptr_eq(journal, &self.alerts);
            let before = if is_of_alerts { before.min(clock::now() - ALERTS_KEPT_MIN) } else { before };
            if let Err(error) = journal.forget(before).await {
                tracing::warn!(error = crate::lake::chain(&error), "could not forget a journal's old rows");
            }
        }
    }
}

fn failed_login_row(noted: Noted) -> Row {
    let Noted { last, more, users } = noted;
    let client =
        last.address.map_or("many addresses".to_string(), |address| address.to_canonical().to_string());
    let said = match more {
        0 => "LOGIN".to_string(),
        more => format!("LOGIN ({more} more within a minute)"),
    };
    vec![
        time(Some(last.at)),
        optional_text(None),
        0_i64.into(),
        text(&client),
        text(last.protocol),
        text(&said),
        text(&users.join(", ")),
        text("denied"),
        text(last.sqlstate),
        0.0.into(),
        text(&last.user),
    ]
}

/// What system tables show.
pub(super) struct Shown<'a> {
    pub(super) project: &'a Arc<Project>,
    pub(super) planned: &'a Planned,
    pub(super) models: &'a [Arc<crate::refresh::Model>],
    pub(super) lake: &'a Arc<Lake>,
    pub(super) sources: &'a Arc<Vec<RunningSource>>,
    pub(super) foreign: &'a [Arc<RunningForeign>],
    pub(super) board: &'a StatusBoard,
    pub(super) epochs: &'a EpochTable,
    pub(super) definitions: &'a Arc<Table>,
    pub(super) deployments: &'a Arc<Table>,
    pub(super) rights: &'a Arc<Rights>,
    pub(super) journals: &'a Journals,
    pub(super) alerts: &'a Arc<Alerts>,
    pub(super) cuts: watch::Receiver<Arc<Cut>>,
    /// The quarantine tables, whatever they stand beside.
    pub(super) quarantines: &'a [TableName],
    /// The open sessions.
    pub(super) backends: &'a Arc<Backends>,
}

/// Every system table of a running project.
pub(super) fn tables(shown: Shown<'_>) -> SystemTables {
    let Shown {
        project,
        planned,
        models,
        lake,
        sources,
        foreign,
        board,
        epochs,
        definitions,
        deployments,
        rights,
        journals,
        alerts,
        cuts,
        quarantines,
        backends,
    } = shown;
    let mut tables = SystemTables::new();
    let mut add = |name: &str, comment: &str, schema: SchemaRef, provider: Arc<dyn TableProvider>| {
        let name = TableName::new("sluice", name);
        tables.insert(name.clone(), (relation(name, comment, schema, None), Some(provider)));
    };
    let live = |schema: SchemaRef, rows: Arc<dyn Fn() -> Vec<Row> + Send + Sync>| -> Arc<dyn TableProvider> {
        Arc::new(LiveTable::new(schema, rows))
    };
    let source_rows = {
        let (sources, foreign) = (Arc::clone(sources), foreign.to_vec());
        let rows = move || {
            let others = foreign.iter().map(|foreign| foreign.row());
            sources.iter().map(source_row).chain(others).collect()
        };
        Arc::new(rows)
    };
    add("sources", "How each source is doing", sources_schema(), live(sources_schema(), source_rows));
    let progress_rows = {
        let sources = Arc::clone(sources);
        Arc::new(move || sources.iter().flat_map(progress_of).collect())
    };
    let schema = progress_schema();
    add(
        "ingest_progress",
        "How far each partition is durable",
        Arc::clone(&schema),
        live(schema, progress_rows),
    );
    let model_rows = {
        let (project, opened) = (Arc::clone(project), models.to_vec());
        Arc::new(move || {
            let opened = |definition: &Model| opened.iter().find(|model| model.name == *definition.name());
            project.models.iter().map(|definition| model_row(definition, opened(definition))).collect()
        })
    };
    add("models", "Every model as defined", models_schema(), live(models_schema(), model_rows));
    let of_plans = |schema: SchemaRef, rows: fn(&Project, &Planned) -> Vec<Row>| {
        let (project, planned) = (Arc::clone(project), planned.clone());
        live(schema, Arc::new(move || rows(&project, &planned)))
    };
    let schema = lineage::tables_schema();
    let rows = of_plans(Arc::clone(&schema), |project, _| lineage::table_rows(project));
    add("lineage", "Which tables each model reads", schema, rows);
    let schema = lineage::columns_schema();
    let rows = of_plans(Arc::clone(&schema), |_, planned| lineage::column_rows(planned));
    add("column_lineage", "Which columns each column comes of, and what bears on it", schema, rows);
    let schema = lineage::masks_schema();
    let rows = of_plans(Arc::clone(&schema), |project, _| lineage::mask_rows(project));
    add("source_masks", "Which fields sources mask or drop before they keep a record", schema, rows);
    let schema = lineage::tags_schema();
    let rows = of_plans(Arc::clone(&schema), lineage::tag_rows);
    add("column_tags", "Which columns hold values of a tagged kind, and where these come from", schema, rows);
    let freshness_rows = {
        let (board, cuts) = (board.clone(), cuts.clone());
        Arc::new(move || freshness_of(&board, &cuts.borrow()))
    };
    let schema = freshness_schema();
    add("freshness", "How old each table's rows are", Arc::clone(&schema), live(schema, freshness_rows));
    let journal =
        |journal: &Arc<Journal>| -> Arc<dyn TableProvider> { Arc::new(JournalTable(Arc::clone(journal))) };
    add("ingest_log", "Every load, good or failed", ingest_log_schema(), journal(&journals.ingest_log));
    add(
        "refreshes",
        "Every refresh that changed a model or failed",
        refreshes_schema(),
        journal(&journals.refreshes),
    );
    add(
        "expectations",
        "How many rows passed and failed each rule",
        expectations_schema(),
        journal(&journals.expectations),
    );
    add("audits", "What each audit found", audits_schema(), journal(&journals.audits));
    add(
        "incident_log",
        "When each incident opened, what became of it",
        incident_log_schema(),
        journal(&journals.incidents),
    );
    add(
        "backfill_log",
        "How far each backfill had come when",
        backfill_log_schema(),
        journal(&journals.backfills),
    );
    let definition_table = Arc::new(NewestTable::new(Arc::clone(lake), Arc::clone(definitions)));
    let schema = Arc::clone(&definitions.snapshot().schema);
    add(
        "definitions",
        "Models, audits and alerts that were defined over a connection",
        schema,
        definition_table,
    );
    let deployment_table = Arc::new(NewestTable::new(Arc::clone(lake), Arc::clone(deployments)));
    let schema = Arc::clone(&deployments.snapshot().schema);
    add("deployments", "Which files ran, since when and by whom", schema, deployment_table);
    let (schema, open) = (sessions::schema(), Arc::clone(backends));
    let rows = live(Arc::clone(&schema), Arc::new(move || sessions::rows(&open)));
    add("sessions", "Who is connected", schema, rows);
    add("audit_log", "Who ran what", audit_log_schema(), journal(&journals.audit_log));
    add("erasures", "Who was erased from which tables", erasures_schema(), journal(&journals.erasures));
    let shown = Arc::clone(rights);
    let rules = live(rights.schema(), Arc::new(move || shown.rows()));
    add("access_rules", "Roles and rights that were defined over a connection", rights.schema(), rules);
    for (name, comment, schema, rows) in alerts::tables(alerts, project) {
        add(name, comment, Arc::clone(&schema), live(schema, rows));
    }
    add("alert_log", "What each alert came to, whom it told", log_schema(), journal(&journals.alerts));
    let root = lake.root().to_path_buf();
    let rows = Arc::new(move || storage::rows(&root));
    add("storage", "Room on the data's disk", storage::schema(), live(storage::schema(), rows));
    let epoch_table: Arc<dyn TableProvider> =
        Arc::new(NewestTable::new(Arc::clone(lake), Arc::clone(epochs.table())));
    let epoch_schema = Arc::clone(&epochs.table().snapshot().schema);
    add("epochs", "One row for each table of each epoch", epoch_schema, epoch_table);

    let (name, query) = (TableName::new("sluice", "incidents"), incidents::QUERY.to_string());
    let comment = "Sources and models in trouble that does not pass by itself";
    tables.insert(name.clone(), (relation(name, comment, incidents_schema(), Some(query)), None));
    let (name, query) = (TableName::new("sluice", "notifications"), NOTIFICATIONS.to_string());
    let comment = "Whom alerts told of what, and how that went";
    tables.insert(name.clone(), (relation(name, comment, notifications_schema(), Some(query)), None));
    let (name, query) = (TableName::new("sluice", "backfills"), backfills::QUERY.to_string());
    let comment = "How far each backfill has come";
    tables.insert(name.clone(), (relation(name, comment, backfills_schema(), Some(query)), None));
    let name = TableName::new("sluice", "quarantine");
    let query = quarantined::query(quarantines, &project.models, models, planned);
    let comment = "Rows set apart, with rule and reason";
    tables.insert(name.clone(), (relation(name, comment, quarantine_schema(), Some(query)), None));
    tables
}

/// The columns of every system table, for what is planned before there are any.
pub(crate) fn schemas() -> BTreeMap<TableName, SchemaRef> {
    let schemas = [
        ("sources", sources_schema()),
        ("ingest_progress", progress_schema()),
        ("models", models_schema()),
        ("lineage", lineage::tables_schema()),
        ("column_lineage", lineage::columns_schema()),
        ("column_tags", lineage::tags_schema()),
        ("source_masks", lineage::masks_schema()),
        ("freshness", freshness_schema()),
        ("ingest_log", ingest_log_schema()),
        ("refreshes", refreshes_schema()),
        ("expectations", expectations_schema()),
        ("audits", audits_schema()),
        ("incident_log", incident_log_schema()),
        ("incidents", incidents_schema()),
        ("backfill_log", backfill_log_schema()),
        ("backfills", backfills_schema()),
        ("definitions", define::schema()),
        ("deployments", deploy::schema()),
        ("audit_log", audit_log_schema()),
        ("erasures", erasures_schema()),
        ("sessions", sessions::schema()),
        ("access_rules", rights::schema()),
        ("alerts", alerts::alerts_schema()),
        ("alert_instances", alerts::instances_schema()),
        ("alert_targets", alerts::targets_schema()),
        ("alert_log", log_schema()),
        ("notifications", notifications_schema()),
        ("storage", storage::schema()),
        ("epochs", epochs_schema()),
        ("quarantine", quarantine_schema()),
    ];
    schemas.into_iter().map(|(name, schema)| (TableName::new("sluice", name), schema)).collect()
}

fn relation(name: TableName, comment: &str, schema: SchemaRef, query: Option<String>) -> Arc<Relation> {
    Arc::new(Relation {
        name,
        kind: RelationKind::System,
        schema,
        comment: Some(comment.to_string()),
        column_comments: std::collections::HashMap::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        query,
    })
}

fn source_row(source: &RunningSource) -> Row {
    let status = source.status.get();
    let rows = |table: &Arc<crate::lake::Table>| -> ScalarValue {
        table.snapshot().rows().and_then(|rows| i64::try_from(rows).ok()).into()
    };
    let (rows_in, quarantined) = match &source.stream {
        Some(stream) => (rows(stream.table()), rows(stream.quarantine())),
        None => (ScalarValue::Int64(None), ScalarValue::Int64(None)),
    };
    let since = status.last_commit_at.unwrap_or(source.started_at);
    vec![
        text(&source.definition.name.to_string()),
        text(&source.definition.connector.to_string()),
        text(status.state.as_str()),
        optional_text(status.error.as_deref()),
        rows_in,
        quarantined,
        status.rate.into(),
        status.lag_records.into(),
        seconds_since(since).into(),
        time(status.last_event_at),
        time(status.last_commit_at),
        time(source.stream.as_ref().and_then(|s| s.watermark()).and_then(DateTime::from_timestamp_micros)),
        (source.definition.connector == Connector::Http).then_some(status.pushes_limited).into(),
        time(status.last_limited_at),
    ]
}

fn progress_of(source: &RunningSource) -> Vec<Row> {
    let Some(stream) = &source.stream else { return Vec::new() };
    let at = source.status.get().last_commit_at;
    let row = |(partition, position): (String, i64)| {
        vec![text(&source.definition.name.to_string()), text(&partition), position.into(), time(at)]
    };
    stream.positions().into_iter().map(row).collect()
}

fn model_row(model: &Model, opened: Option<&Arc<crate::refresh::Model>>) -> Row {
    // Whether changes alone are computed; not known before the first refresh.
    let why_not = opened.and_then(|model| model.why_not.get());
    let incremental = why_not.map(Option::is_none);
    let why_not = why_not.and_then(Option::as_deref);
    let (policy, trigger, keys, incremental, why_not) = match model {
        Model::StreamingTable(d) => {
            let keys = d.primary_key.join(", ");
            match &d.auto_cdc {
                None => ("append", Some(&d.trigger), keys, Some(true), None),
                Some(flow) => {
                    let policy = if flow.history == History::Newest { "scd type 1" } else { "scd type 2" };
                    let keys = flow.key_columns().join(", ");
                    (policy, Some(&d.trigger), keys, incremental, why_not)
                }
            }
        }
        Model::MaterializedView(d) => {
            (d.refresh_policy.as_str(), Some(&d.trigger), d.primary_key.join(", "), incremental, why_not)
        }
        Model::View(_) => ("none", None, String::new(), Some(false), Some("not stored")),
    };
    vec![
        text(&model.name().to_string()),
        text(model.kind()),
        text(&model.name().schema),
        text(policy),
        optional_text(trigger.map(trigger_text).as_deref()),
        text(&keys),
        incremental.into(),
        optional_text(why_not),
        text(&opened.map_or_else(|| definition_id(model), |model| model.definition_id())),
    ]
}

fn trigger_text(trigger: &Trigger) -> String {
    match trigger {
        Trigger::OnUpdate { at_most_every } if at_most_every.is_zero() => "on update".to_string(),
        Trigger::OnUpdate { at_most_every } => {
            format!("on update, at most every {} s", at_most_every.as_secs_f64())
        }
        Trigger::Every(period) => format!("every {} s", period.as_secs_f64()),
        Trigger::Cron { expression, zone } => format!("cron {expression} at time zone {zone}"),
    }
}

fn freshness_of(board: &StatusBoard, cut: &Cut) -> Vec<Row> {
    let row = |(name, status): (TableName, crate::refresh::ModelStatus)| {
        let known = cut.tables.get(&name).map(|t| t.freshness);
        vec![
            text(&name.to_string()),
            time(status.fresh_as_of),
            status.fresh_as_of.map(seconds_since).into(),
            text(known.unwrap_or(status.freshness).as_str()),
        ]
    };
    board.all().into_iter().map(row).collect()
}

pub(super) fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_string()))
}

pub(super) fn optional_text(value: Option<&str>) -> ScalarValue {
    ScalarValue::Utf8(value.map(str::to_string))
}

pub(super) fn seconds_since(then: DateTime<Utc>) -> f64 {
    (clock::now() - then).to_std().unwrap_or_default().as_secs_f64()
}
