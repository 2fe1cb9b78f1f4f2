//! Which files run: what others would change, those from now on, or those of before.
//!
//! Every set of files that is run is kept in `sluice.deployments`, the newest few of them, so that there is a way back
//! that does not depend on anybody's folder. After a way back the kept files run, also after a restart, until the folder
//! holds others than those that were left, or is applied anew.

use super::House;
use super::define::{Answer, refused};
use super::loaded::{Loaded, Planned, Written, load};
use crate::catalog::changes::{Rows, Version, changes};
use crate::catalog::definer::{Deployment, Files, PlannedChange, Purpose};
use crate::catalog::definitions::{Definitions, Refusal};
use crate::catalog::environment::Production;
use crate::catalog::files::{Texts, texts};
use crate::catalog::live::{Row, rewrite, unreadable, written};
use crate::catalog::project::Project;
use crate::lake::{Error, Lake, Table, TableDefinition, TableName, chain};
use crate::ops::clock;
use anyhow::{Context as _, anyhow};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::common::ScalarValue;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;

/// Deployments that are kept.
const KEPT_MAX: usize = 20;

/// Files that were run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) number: i64,
    at: DateTime<Utc>,
    pub(super) by: String,
    /// `start`, `watch`, `apply` or `rollback`.
    how: String,
    /// Which files these are.
    files: String,
    /// After a way back: the deployment whose files run again.
    back_to: Option<i64>,
    /// After a way back: the files of the folder, which do not run.
    instead_of: Option<String>,
    /// None of one whose files named a person who was erased.
    pub(super) texts: Arc<Texts>,
}

/// The deployments, oldest first, and the table that keeps them.
pub(super) struct Deployments {
    table: Arc<Table>,
    runs: Mutex<Vec<Run>>,
}

pub(super) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("deployment", DataType::Int64, true),
        Field::new("deployed_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        text("deployed_by"),
        text("how"),
        text("files_hash"),
        Field::new("back_to", DataType::Int64, true),
        text("instead_of"),
        text("files"),
    ]))
}

/// A number of texts and their paths.
fn hash(texts: &Texts) -> String {
    let mut digest = Sha256::new();
    for (path, text) in texts {
        for part in [path.to_string_lossy().as_bytes(), text.as_bytes()] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
    }
    hex::encode(&digest.finalize()[..8])
}

impl Deployments {
    /// Opens (and creates) `sluice.deployments`. Blocks.
    pub(super) fn open(lake: &Lake) -> Result<Self, Error> {
        let definition = TableDefinition::append_only(schema());
        let table = lake.ensure(&deployments_table(), &definition)?;
        let runs = Mutex::new(runs_in(&table)?);
        Ok(Self { table, runs })
    }

    /// The table itself.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The files to start with in the place of a folder's: those that the last way back led to, unless the folder holds
    /// others than those that were left then.
    pub(super) fn kept(&self, folder: &Texts) -> Option<Arc<Texts>> {
        let runs = self.runs.lock();
        let last = runs.last()?;
        (last.instead_of.as_deref() == Some(&hash(folder))).then(|| Arc::clone(&last.texts))
    }

    /// The deployment that a way back leads to: the one of a number, or the last one before what runs that had other
    /// files.
    fn earlier(&self, number: Option<i64>) -> Result<Run, Refusal> {
        let runs = self.runs.lock();
        let refusal = |message: String, hint: &str| Refusal {
            code: "55000",
            message,
            detail: None,
            hint: Some(hint.to_string()),
        };
        let hint = "sluice.deployments lists those that are kept.";
        if let Some(number) = number {
            let found = runs.iter().find(|run| run.number == number);
            let found = found.ok_or_else(|| refusal(format!("deployment {number} is not kept"), hint))?;
            if found.texts.is_empty() {
                let message = format!("the files of deployment {number} are not kept");
                return Err(refusal(message, "They named a person who was erased."));
            }
            return Ok(found.clone());
        }
        let nothing = || refusal("there is no deployment before this one".to_string(), hint);
        let last = runs.last().ok_or_else(nothing)?;
        let stands_at = last.back_to.unwrap_or(last.number);
        let before = runs
            .iter()
            .rev()
            .find(|run| run.number < stands_at && run.files != last.files && !run.texts.is_empty());
        before.cloned().ok_or_else(nothing)
    }

    /// Notes that files run from now on; the same files as before are not noted again.
    pub(super) async fn note(
        &self,
        texts: Arc<Texts>,
        how: &str,
        by: &str,
        back: Option<(i64, String)>,
    ) -> Result<(), Error> {
        let mut runs = self.runs.lock().clone();
        let files = hash(&texts);
        if back.is_none() && runs.last().is_some_and(|run| run.files == files && run.instead_of.is_none()) {
            return Ok(());
        }
        let number = runs.last().map_or(1, |run| run.number + 1);
        let (back_to, instead_of) = back.unzip();
        let (how, by, at) = (how.to_string(), by.to_string(), clock::now());
        runs.push(Run { number, at, by, how, files, back_to, instead_of, texts });
        self.keep(runs.split_off(runs.len().saturating_sub(KEPT_MAX))).await
    }

    /// The deployments, oldest first.
    pub(super) fn all(&self) -> Vec<Run> {
        self.runs.lock().clone()
    }

    /// Makes these the deployments, durably, in the place of those that were.
    pub(super) async fn keep(&self, runs: Vec<Run>) -> Result<(), Error> {
        if *self.runs.lock() == runs {
            return Ok(());
        }
        rewrite(&self.table, &schema(), runs.iter().map(row_of).collect()).await?;
        *self.runs.lock() = runs;
        Ok(())
    }
}

fn row_of(run: &Run) -> Row {
    let texts: serde_json::Map<String, serde_json::Value> = run
        .texts
        .iter()
        .map(|(path, text)| (path.to_string_lossy().into_owned(), text.as_str().into()))
        .collect();
    let at = ScalarValue::TimestampMicrosecond(Some(run.at.timestamp_micros()), Some("UTC".into()));
    vec![
        run.number.into(),
        at,
        run.by.as_str().into(),
        run.how.as_str().into(),
        run.files.as_str().into(),
        ScalarValue::Int64(run.back_to),
        ScalarValue::Utf8(run.instead_of.clone()),
        serde_json::Value::Object(texts).to_string().into(),
    ]
}

fn runs_of(batch: &RecordBatch) -> Option<Vec<Run>> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
    let (numbers, back) = (number("deployment")?, number("back_to")?);
    let times = batch.column_by_name("deployed_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let (by, how, hashes) = (text("deployed_by")?, text("how")?, text("files_hash")?);
    let (instead_of, files) = (text("instead_of")?, text("files")?);
    let run = |row: usize| {
        Some(Run {
            number: numbers.value(row),
            at: DateTime::from_timestamp_micros(times.value(row))?,
            by: by.value(row).to_string(),
            how: how.value(row).to_string(),
            files: hashes.value(row).to_string(),
            back_to: back.is_valid(row).then(|| back.value(row)),
            instead_of: instead_of.is_valid(row).then(|| instead_of.value(row).to_string()),
            texts: Arc::new(serde_json::from_str(files.value(row)).ok()?),
        })
    };
    (0..batch.num_rows()).map(run).collect()
}

/// A warehouse as others may read it: its folder, and the project that it ran last. Blocks.
pub fn production(root: &Path) -> anyhow::Result<Production> {
    let name = deployments_table();
    let table = Table::open_foreign(&name, &root.join(&name.schema).join(&name.name))?;
    let last = runs_in(&table)?.pop().context("it has never run a project")?;
    let project = Project::load_with(root, Some(&last.texts), &Definitions::default());
    let project = project.map_err(|errors| match errors.first() {
        Some(error) => anyhow!("what it runs cannot be read: {error}"),
        None => anyhow!("what it runs cannot be read"),
    })?;
    Ok(Production { root: root.to_path_buf(), project })
}

fn deployments_table() -> TableName {
    TableName::new("sluice", "deployments")
}

/// The deployments of a table, oldest first. Blocks.
fn runs_in(table: &Table) -> Result<Vec<Run>, Error> {
    let mut runs = vec![];
    for batch in written(table)? {
        runs.extend(runs_of(&batch).ok_or_else(|| unreadable(table, "a deployment cannot be read"))?);
    }
    runs.sort_by_key(|run| run.number);
    Ok(runs)
}

/// What runs now.
pub(super) struct Running<'a> {
    pub(super) project: &'a Project,
    pub(super) planned: &'a Planned,
}

impl House {
    /// Where the project is read from.
    pub(super) fn written(&self) -> Written {
        Written {
            folder: self.settings.project.clone(),
            kept: self.kept.lock().clone(),
            production: self.production.clone(),
        }
    }

    /// The project of the folder runs from now on.
    pub(super) async fn note_folder(&self, how: &str) {
        *self.kept.lock() = None;
        let texts = Arc::new(texts(&self.settings.project));
        if let Err(error) = self.deployments.note(texts, how, "", None).await {
            tracing::warn!(error = chain(&error), "could not note which files run");
        }
    }

    /// Does what is asked for. `Some` is what is to run from now on.
    pub(super) async fn deploy(
        &self,
        running: Running<'_>,
        deployment: Deployment,
    ) -> Option<(Loaded, Answer)> {
        let Deployment { files, user, purpose, done } = deployment;
        match self.deployed(running, files, &user, purpose).await {
            Ok((_, found)) if purpose == Purpose::Check => drop(done.send(Ok(found))),
            Ok((loaded, found)) => {
                tracing::info!(user, ?files, "other files run from now on");
                return Some((loaded, Box::new(move || drop(done.send(Ok(found))))));
            }
            Err(refusal) => drop(done.send(Err(refusal))),
        }
        None
    }

    async fn deployed(
        &self,
        running: Running<'_>,
        files: Files,
        user: &str,
        purpose: Purpose,
    ) -> Result<(Loaded, Vec<PlannedChange>), Refusal> {
        let folder = Arc::new(texts(&self.settings.project));
        let (kept, back) = match files {
            Files::Folder => (None, None),
            Files::Earlier(number) => {
                let run = self.deployments.earlier(number)?;
                (Some(run.texts), Some((run.number, hash(&folder))))
            }
        };
        let written = Written { kept: kept.clone(), ..self.written() };
        let loaded = load(&written, &self.typing.now(), &self.engine).await.map_err(refused)?;
        let found = self.planned_changes(running, &loaded);
        if purpose == Purpose::Apply {
            let how = if back.is_some() { "rollback" } else { "apply" };
            let texts = kept.clone().unwrap_or(folder);
            self.deployments.note(texts, how, user, back).await.map_err(|error| Refusal {
                code: "58030",
                message: format!("could not note the deployment: {}", chain(&error)),
                detail: None,
                hint: None,
            })?;
            *self.kept.lock() = kept;
        }
        Ok((loaded, found))
    }

    fn planned_changes(&self, running: Running<'_>, loaded: &Loaded) -> Vec<PlannedChange> {
        let before = Version { project: running.project, planned: running.planned };
        let after = Version { project: &loaded.project, planned: &loaded.planned };
        let rows = |name: &str| {
            let (schema, name) = name.split_once('.')?;
            self.lake.table(&TableName::new(schema, name)).ok()??.snapshot().rows()
        };
        let found = changes(before, after).into_iter();
        let found = found.map(|change| PlannedChange {
            stored_rows: (change.rows == Rows::Rebuilt).then(|| rows(&change.name)).flatten(),
            change,
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_path_and_text() {
        let texts = |pairs: &[(&str, &str)]| -> Texts {
            pairs.iter().map(|(path, text)| (path.into(), (*text).to_string())).collect()
        };
        assert_eq!(hash(&texts(&[("a", "b")])), hash(&texts(&[("a", "b")])));
        assert_ne!(hash(&texts(&[("a", "bc")])), hash(&texts(&[("ab", "c")])));
        assert_ne!(hash(&texts(&[("a", "b")])), hash(&texts(&[("a", "b"), ("c", "")])));
    }
}
