//! What is defined over connections: planned, kept in `sluice.definitions`, run beside what the files define.
//!
//! Comes in: changes of the definitions. Goes out: the project that is to run from now on, or why it cannot. The set as
//! it then is becomes durable in one commit before anything runs by it.

use super::loaded::{Loaded, load_without};
use super::relations::model_relation;
use super::{House, all_errors};
use crate::catalog::access::Rules;
use crate::catalog::definer::{Defined, Purpose, Request};
use crate::catalog::definitions::{
    Change, Definitions, Refusal, Typed, TypedKind, TypedName, Watch, WatchName, watch_at,
};
use crate::catalog::live::{Row, rewrite, time, unreadable, written};
use crate::catalog::project::Project;
use crate::lake::{Error, Lake, Table, TableDefinition, TableName, chain};
use crate::sql;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;
use datafusion::common::ScalarValue;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// What those are told who asked for what the warehouse now starts with, once it can be read. Who has gone needs no
/// answer.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// The definitions as they are now, and the table that keeps them.
pub(super) struct Typing {
    table: Arc<Table>,
    now: Mutex<Definitions>,
}

pub(super) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("schema_name"),
        text("table_name"),
        text("kind"),
        text("definition"),
        text("comment"),
        text("column_comments"),
        text("changed_by"),
        Field::new("changed_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        // Of an audit or an alert; what an audit is on stands before it.
        text("name"),
    ]))
}

impl Typing {
    /// Opens (and creates) `sluice.definitions`. Blocks.
    pub(super) fn open(lake: &Lake) -> Result<Self, Error> {
        let table =
            lake.ensure(&TableName::new("sluice", "definitions"), &TableDefinition::append_only(schema()))?;
        let mut now = Definitions::default();
        for batch in written(&table)? {
            read(&batch, &mut now).ok_or_else(|| unreadable(&table, "a definition cannot be read"))?;
        }
        Ok(Self { table, now: Mutex::new(now) })
    }

    /// The table itself.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The definitions as they are.
    pub(super) fn now(&self) -> Definitions {
        self.now.lock().clone()
    }

    /// Makes these the definitions, durably, in the place of those that were.
    pub(super) async fn keep(&self, definitions: Definitions) -> Result<(), Error> {
        if *self.now.lock() == definitions {
            return Ok(());
        }
        let models = definitions.models.values().map(row_of);
        let rows = models.chain(definitions.watches.values().map(row_of_watch)).collect();
        rewrite(&self.table, &schema(), rows).await?;
        *self.now.lock() = definitions;
        Ok(())
    }
}

fn row_of(model: &Typed) -> Row {
    let comments = serde_json::to_string(&model.column_comments).unwrap_or_default();
    vec![
        model.name.schema.as_str().into(),
        model.name.name.as_str().into(),
        model.kind.words().into(),
        model.body.as_str().into(),
        ScalarValue::Utf8(model.comment.clone()),
        comments.into(),
        model.changed_by.as_str().into(),
        time(Some(model.changed_at)),
    ]
}

fn row_of_watch(watch: &Watch) -> Row {
    let on = |part: fn(&TableName) -> &String| ScalarValue::Utf8(watch.name.on().map(part).cloned());
    vec![
        on(|on| &on.schema),
        on(|on| &on.name),
        watch.name.word().into(),
        watch.body.as_str().into(),
        ScalarValue::Utf8(None),
        ScalarValue::Utf8(None),
        watch.changed_by.as_str().into(),
        time(Some(watch.changed_at)),
        watch.name.name().into(),
    ]
}

/// Adds the definitions of these rows.
fn read(batch: &RecordBatch, definitions: &mut Definitions) -> Option<()> {
    let column = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (schemas, names, kinds) = (column("schema_name")?, column("table_name")?, column("kind")?);
    let (bodies, comments, columns) = (column("definition")?, column("comment")?, column("column_comments")?);
    let users = column("changed_by")?;
    let times = batch.column_by_name("changed_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let watches = column("name")?;
    for row in 0..batch.num_rows() {
        let table = TableName::new(schemas.value(row), names.value(row));
        let (body, changed_by) = (bodies.value(row).to_string(), users.value(row).to_string());
        let changed_at = DateTime::from_timestamp_micros(times.value(row))?;
        let name = || watches.value(row).to_string();
        let watch = match kinds.value(row) {
            "AUDIT" => WatchName::Audit { on: table, name: name() },
            "ALERT" => WatchName::Alert(name()),
            kind => {
                let kinds_known = [TypedKind::View, TypedKind::MaterializedView];
                let kind = kinds_known.into_iter().find(|known| known.words() == kind)?;
                let comment = comments.is_valid(row).then(|| comments.value(row).to_string());
                let column_comments = serde_json::from_str(columns.value(row)).ok()?;
                let name = table.clone();
                let model = Typed { name, kind, body, comment, column_comments, changed_by, changed_at };
                definitions.models.insert(table, model);
                continue;
            }
        };
        let watch = Watch { name: watch, body, changed_by, changed_at };
        definitions.watches.insert(watch.name.clone(), watch);
    }
    Some(())
}

impl House {
    /// Does what is asked for. `Some` is what is to run from now on.
    pub(super) async fn define(&self, project: &Project, request: Request) -> Option<(Loaded, Answer)> {
        let Request { changes, user, purpose, done } = request;
        let is_of_rights = |change: &Change| matches!(change, Change::Access { .. });
        let (mut rules, notices) = match self.changed_rules(project, &changes, &user) {
            Ok(changed) => changed,
            Err(refusal) => {
                let _ = done.send(Err(refusal));
                return None;
            }
        };
        if changes.iter().all(is_of_rights) {
            // Models stand as they are: nothing is to be started anew.
            let outcome = match purpose {
                Purpose::Check => Ok(()),
                Purpose::Apply => self.keep_rules(project, rules, &user).await,
            };
            let _ = done.send(outcome.map(|()| Defined { notices, ..Defined::default() }));
            return None;
        }
        let outcome = self.redefined(project, &changes, purpose).await;
        let (definitions, loaded, defined) = match outcome {
            Ok((definitions, loaded, defined)) => (definitions, loaded, Defined { notices, ..defined }),
            Err(refusal) => {
                let _ = done.send(Err(refusal));
                return None;
            }
        };
        if purpose == Purpose::Check {
            let _ = done.send(Ok(defined));
            return None;
        }
        for name in changes.iter().filter_map(Change::takes) {
            if !definitions.models.contains_key(name) && is_dropped(&changes, name) {
                rules.forget(name);
            }
        }
        if let Err(refusal) = self.keep_rules(project, rules, &user).await {
            let _ = done.send(Err(refusal));
            return None;
        }
        if let Err(error) = self.typing.keep(definitions).await {
            let message = format!("could not keep the definition: {}", chain(&error));
            let _ = done.send(Err(Refusal { code: "58030", message, detail: None, hint: None }));
            return None;
        }
        tracing::info!(user, "the project is reloaded: something was defined over a connection");
        Some((loaded, Box::new(move || drop(done.send(Ok(defined))))))
    }

    /// Makes these the typed rules, at once.
    async fn keep_rules(&self, project: &Project, rules: Rules, user: &str) -> Result<(), Refusal> {
        if rules == self.rights.now() {
            return Ok(());
        }
        self.rights.keep(rules.clone()).await.map_err(|error| {
            let message = format!("could not keep the rights: {}", chain(&error));
            Refusal { code: "58030", message, detail: None, hint: None }
        })?;
        self.access.store(Arc::new(self.access_with(project, rules)));
        tracing::info!(user, "roles and rights were changed over a connection");
        Ok(())
    }

    /// The definitions after these changes, the project with them, and what of it is new.
    async fn redefined(
        &self,
        project: &Project,
        changes: &[Change],
        purpose: Purpose,
    ) -> Result<(Definitions, Loaded, Defined), Refusal> {
        let before = self.typing.now();
        let mut after = before.clone();
        after.change(changes, project, purpose == Purpose::Check)?;
        let touched: BTreeSet<TypedName> = changes.iter().filter_map(Change::defines_any).collect();
        let replaces = changes.iter().filter_map(Change::takes).any(|name| after.models.contains_key(name));
        let runs = |name: &TypedName| match name {
            TypedName::Model(name) => project.models.iter().any(|model| model.name() == name),
            TypedName::Watch(name) => name.runs_in(project),
        };
        // In a transaction that is not over, and where another object takes a name over, what reads it may be without it:
        // PostgreSQL would let it go by DROP ... CASCADE of what had the name before.
        let may_fall = |name: &TypedName| {
            !touched.contains(name) && (purpose == Purpose::Check || replaces || !runs(name))
        };
        let (loaded, fallen) =
            load_without(&self.written(), &after, &self.engine, may_fall).await.map_err(refused)?;
        let mut lost = vec![];
        if purpose == Purpose::Apply {
            lost.extend(fallen.iter().filter(|name| runs(name)).cloned());
            lost.iter().for_each(|name| after.leave_out(name));
        }
        let gone = before.models.keys().filter(|name| !after.models.contains_key(*name)).cloned().collect();
        let models = loaded.project.models.iter();
        let new = models.filter(|model| {
            let name = model.name();
            after.models.contains_key(name) && before.models.get(name) != after.models.get(name)
        });
        let relations = new.filter_map(|model| {
            let plan = loaded.planned.get(model.name())?;
            Some(model_relation(&loaded.project, model, plan))
        });
        let relations = relations.collect();
        Ok((after, loaded, Defined { relations, gone, lost, notices: vec![] }))
    }
}

fn is_dropped(changes: &[Change], name: &TableName) -> bool {
    changes.iter().any(|change| matches!(change, Change::Drop { name: dropped, .. } if dropped == name))
}

/// The first error of a project that would not stand.
pub(super) fn refused(errors: Vec<sql::Error>) -> Refusal {
    let Some(first) = errors.first().cloned() else {
        let message = all_errors(errors).to_string();
        return Refusal { code: "XX000", message, detail: None, hint: None };
    };
    let in_file = first.origin.file.as_path() != Path::new("");
    let detail = in_file.then(|| format!("In the definition of {}.", defined_in(&first.origin.file)));
    Refusal { code: first.code, message: first.message, detail, hint: first.hint }
}

/// `sql/gold/sales.sql` → gold.sales
fn defined_in(file: &Path) -> String {
    if let Some(watch) = watch_at(file) {
        return watch;
    }
    let parts: Vec<_> =
        file.with_extension("").iter().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    parts.join(".")
}
