//! `ERASE SUBJECT`: a person is in no row, no version and no file any more.
//!
//! ```text
//! asked     a note is kept: who, and how far it is             (what a kill cuts short goes on from the note)
//! TAKE OUT  nothing else runs    rows leave the tables that say whose they are, and what was set apart beside them
//! FOLLOW    everything runs      views see the rows go; tables that do not say whose rows they hold are made anew
//! PURGE     nothing else runs    files, log and memory of what was go; looked through once more: the certificate
//! ```
//!
//! What is said of the person in definitions is looked after first (`definitions`). The first phase and the last change what
//! others count on (a streaming table's input loses rows, versions lose their files), so they are done while the warehouse
//! starts anew, before anything that runs has opened a table.

mod definitions;
mod tables;

use super::House;
use super::loaded::Planned;
use super::system::{Journals, optional_text, text, time};
use crate::catalog::definer::{Erased, Erasure, Purpose};
use crate::catalog::definitions::Refusal;
use crate::catalog::live::Row;
use crate::catalog::project::{Model, Project};
use crate::catalog::subject::Whereabouts;
use crate::lake::{Lake, TableName};
use crate::ops::clock;
use crate::ops::failpoint::{self, Point};
use crate::refresh::{Control, Extent};
use anyhow::Context as _;
use arrow::array::{AsArray as _, RecordBatch};
use chrono::DateTime;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tables::Tables;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How long what could not go on is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a streaming table may take for what came before an erasure.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

type Answered = Result<Vec<Erased>, Refusal>;

/// Who waits for erasures to be done.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    waiting: Mutex<HashMap<String, oneshot::Sender<Answered>>>,
    /// Why those that are not done are not, as it was written down.
    told: Mutex<HashMap<String, String>>,
}

impl Erasures {
    /// Writes down why an erasure waits, once.
    fn tell(&self, journals: &Journals, note: &Note, why: String) {
        if self.told.lock().insert(note.id.clone(), why.clone()).is_none_or(|known| known != why) {
            journals.erasures.note(row(note, None, None, Some(&why)));
        }
    }
}

/// A row of `sluice.erasures`: of a table that the person is erased from, or of an erasure that waits.
fn row(note: &Note, salted: Option<&(String, String)>, erased: Option<&Erased>, waits: Option<&str>) -> Row {
    let files = erased.map(|erased| erased.files);
    vec![
        text(&note.id),
        text(&note.tag),
        optional_text(salted.map(|(salt, _)| salt.as_str())),
        optional_text(salted.map(|(_, hash)| hash.as_str())),
        text(&note.user),
        time(DateTime::from_timestamp_micros(note.requested_at_us)),
        time(erased.map(|_| clock::now())),
        optional_text(erased.map(|erased| erased.table.as_str())),
        optional_text(erased.map(|erased| erased.by.as_str())),
        erased.map(|erased| erased.rows).into(),
        files.into(),
        erased.map(|erased| erased.verified).into(),
        text(if waits.is_some() { "waiting" } else { "done" }),
        optional_text(waits),
    ]
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    TakeOut,
    Follow,
    Purge,
}

/// An erasure that is not done. The only place where the value is kept, until it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    id: String,
    subject: String,
    tag: String,
    user: String,
    requested_at_us: i64,
    phase: Phase,
    /// Rows of the person by table, as they were found.
    rows: BTreeMap<String, i64>,
}

impl Note {
    async fn keep(&self, lake: &Arc<Lake>) -> anyhow::Result<()> {
        let (lake, name) = (Arc::clone(lake), self.id.clone());
        let bytes = serde_json::to_vec(self)?;
        spawn_blocking(move || lake.keep_note(&name, &bytes)).await??;
        failpoint::pass(Point::ErasurePhase, || "sluice.erasures".to_string());
        Ok(())
    }

    async fn forget(&self, lake: &Arc<Lake>) -> anyhow::Result<()> {
        let (lake, name) = (Arc::clone(lake), self.id.clone());
        Ok(spawn_blocking(move || lake.drop_note(&name)).await??)
    }

    /// The notes that there are, oldest first.
    async fn all(lake: &Arc<Lake>) -> anyhow::Result<Vec<Self>> {
        let lake = Arc::clone(lake);
        let texts = spawn_blocking(move || lake.notes()).await??;
        let notes = texts.iter().map(|text| serde_json::from_slice(text).context("the note of an erasure"));
        let mut notes = notes.collect::<anyhow::Result<Vec<Self>>>()?;
        notes.sort_by_key(|note| note.requested_at_us);
        Ok(notes)
    }

    /// Why it waits, without whom it is about.
    fn waits(&self, error: &anyhow::Error) -> String {
        format!("{error:#}").replace(&self.subject, "(erased)")
    }

    fn whereabouts(&self, project: &Project, planned: &Planned) -> Whereabouts {
        Whereabouts::of(project, planned, &self.tag)
    }
}

impl House {
    /// Looks at what an erasure would come to, or begins it: true when the warehouse is to start anew for it.
    pub(super) async fn erase(&self, project: &Project, planned: &Planned, erasure: Erasure) -> bool {
        let Erasure { subject, tag, user, purpose, done } = erasure;
        let found = Whereabouts::of(project, planned, &tag);
        if let Some(refusal) = self.refusal(&found, &tag) {
            let _ = done.send(Err(refusal));
            return false;
        }
        let looked = Tables::of(&self.lake, project, found).look(&subject).await;
        let looked = looked.map(|found| [found, self.named_by_definitions(&subject)].concat());
        if purpose == Purpose::Check || looked.is_err() {
            let _ = done.send(looked.map_err(|error| failed(&error)));
            return false;
        }
        let note = Note {
            id: uuid::Uuid::new_v4().to_string(),
            subject,
            tag,
            user,
            requested_at_us: clock::now_us(),
            phase: Phase::TakeOut,
            rows: BTreeMap::new(),
        };
        if let Err(error) = note.keep(&self.lake).await {
            let _ = done.send(Err(failed(&error)));
            return false;
        }
        self.blot_definitions_of_all().await;
        tracing::info!(
            erasure = note.id,
            user = note.user,
            "a person is to be erased: the warehouse starts anew for it"
        );
        self.erasures.waiting.lock().insert(note.id, done);
        true
    }

    fn refusal(&self, found: &Whereabouts, tag: &str) -> Option<Refusal> {
        let refusal =
            |code, message: String, hint: String| Refusal { code, message, detail: None, hint: Some(hint) };
        if self.production.is_some() {
            return Some(refusal(
                "0A000",
                "ERASE SUBJECT in an environment over production's tables".to_string(),
                "Erase the person in production; what is computed here follows.".to_string(),
            ));
        }
        if found.tables.is_empty() {
            return Some(refusal(
                "42704",
                format!("no column is tagged {tag}: nothing says whose a row is"),
                format!(
                    "Write TAG {tag} behind the column of each source that does: customer_id BIGINT TAG {tag}."
                ),
            ));
        }
        found.foreign.first().map(|table| {
            refusal(
                "42809",
                format!("{table} is written by others, who alone can erase somebody there"),
                format!("Erase the person there first, and leave TAG {tag} out of its declaration."),
            )
        })
    }

    /// Does of every erasure what must be done while nothing else runs. What fails is tried again later; nothing waits
    /// for it.
    pub(super) async fn go_on_erasing(&self, project: &Arc<Project>, planned: &Planned) {
        let notes = match Note::all(&self.lake).await {
            Ok(notes) => notes,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the notes of erasures cannot be read");
                return;
            }
        };
        for mut note in notes {
            let tables = Tables::of(&self.lake, project, note.whereabouts(project, planned));
            let outcome = match note.phase {
                Phase::TakeOut => self.take_out(&mut note, &tables).await,
                Phase::Purge => self.purge(&note, &tables).await,
                Phase::Follow => Ok(()),
            };
            if let Err(error) = outcome {
                let (erasure, phase) = (&note.id, note.phase);
                let why = note.waits(&error);
                tracing::error!(erasure, ?phase, error = why, "an erasure could not go on; will try again");
                self.erasures.tell(&self.journals, &note, why);
            }
        }
    }

    async fn take_out(&self, note: &mut Note, tables: &Tables) -> anyhow::Result<()> {
        for found in tables.look(&note.subject).await? {
            // Of an earlier try, what it found is gone.
            let known = note.rows.entry(found.table).or_default();
            *known = (*known).max(found.rows);
        }
        note.keep(&self.lake).await?;
        tables.take_out(&note.subject).await?;
        note.phase = Phase::Follow;
        note.keep(&self.lake).await
    }

    async fn purge(&self, note: &Note, tables: &Tables) -> anyhow::Result<()> {
        self.blot_definitions(&note.subject).await?;
        let files = tables.purge(&note.subject).await?;
        let left = tables.look(&note.subject).await?;
        let erased = left.into_iter().map(|left| Erased {
            id: note.id.clone(),
            rows: note.rows.get(&left.table).copied().unwrap_or_default(),
            files: files.get(&left.table).copied().unwrap_or_default(),
            verified: left.rows == 0,
            ..left
        });
        let named = self.named_by_definitions(&note.subject).into_iter();
        let named = named.map(|named| Erased { id: note.id.clone(), ..named });
        let erased: Vec<Erased> = erased.chain(named).collect();
        self.certify(note, &erased).await?;
        note.forget(&self.lake).await?;
        self.erasures.told.lock().remove(&note.id);
        tracing::info!(erasure = note.id, "a person is erased");
        if let Some(done) = self.erasures.waiting.lock().remove(&note.id) {
            let _ = done.send(Ok(erased));
        }
        Ok(())
    }

    /// Writes down that it was done: whom it was about is told to those alone who know the value.
    async fn certify(&self, note: &Note, erased: &[Erased]) -> anyhow::Result<()> {
        let salt = hex::encode(rand::random::<[u8; 16]>());
        let hash = hex::encode(Sha256::digest(format!("{salt}{}", note.subject)));
        let journal = Arc::clone(&self.journals.erasures);
        let written = spawn_blocking(move || journal.written()).await??;
        if written.iter().any(|rows| certifies(rows, &note.id)) {
            return Ok(());
        }
        for erased in erased {
            self.journals.erasures.note(row(note, Some(&(salt.clone(), hash.clone())), Some(erased), None));
        }
        Ok(self.journals.erasures.flush().await?)
    }

    /// Where an erasure waits for the warehouse to start anew: has streaming tables that have a schedule take what came
    /// before, since of what they did not take nothing can be erased.
    pub(super) async fn catch_up_to_erase(&self, project: &Project) {
        if Note::all(&self.lake).await.is_ok_and(|notes| notes.is_empty()) {
            return;
        }
        for model in project.models.iter().filter(|model| matches!(model, Model::StreamingTable(_))) {
            let refresh = self.control.refresh(model.name(), Extent::Changes);
            match tokio::time::timeout(CATCH_UP_MAX, refresh).await {
                Ok(Ok(())) => {}
                // The erasure says what it waits for.
                Ok(Err(error)) => tracing::warn!(model = %model.name(), %error, "could not take what came"),
                Err(_) => tracing::warn!(model = %model.name(), "took too long to take what came"),
            }
        }
    }

    /// Goes on, beside everything else, with the erasures whose rows others must see go.
    pub(super) fn follow_erasures(
        &self,
        project: &Arc<Project>,
        planned: &Planned,
        shape: u64,
        stop: &CancellationToken,
    ) {
        let follower = Follower {
            lake: Arc::clone(&self.lake),
            control: self.control.clone(),
            reload: Arc::clone(&self.reload),
            erasures: Arc::clone(&self.erasures),
            journals: self.journals.clone(),
        };
        let (project, planned, stop) = (Arc::clone(project), planned.clone(), stop.clone());
        let mut cuts = self.cuts.subscribe();
        tokio::spawn(async move {
            let follow = async {
                // The models can be asked once their first cut is out.
                if cuts.wait_for(|cut| cut.shape >= shape).await.is_ok() {
                    follower.follow_all(&project, &planned).await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = follow => {}
            }
        });
    }
}

/// What the second phase needs.
struct Follower {
    lake: Arc<Lake>,
    control: Control,
    reload: Arc<Notify>,
    erasures: Arc<Erasures>,
    journals: Journals,
}

impl Follower {
    /// Until none is left that others must still see go.
    async fn follow_all(&self, project: &Project, planned: &Planned) {
        loop {
            let notes = Note::all(&self.lake).await.unwrap_or_default();
            if notes.is_empty() {
                return;
            }
            let mut starts_anew = false;
            for mut note in notes {
                let outcome = match self.follow(&note, &note.whereabouts(project, planned)).await {
                    Ok(()) if note.phase == Phase::Follow => {
                        note.phase = Phase::Purge;
                        note.keep(&self.lake).await
                    }
                    outcome => outcome,
                };
                match outcome {
                    // What did not come to its end when the warehouse started is tried again with the next start.
                    Ok(()) => starts_anew = true,
                    Err(error) => {
                        let (erasure, why) = (&note.id, note.waits(&error));
                        tracing::error!(erasure, error = why, "an erasure waits; will try again");
                        self.erasures.tell(&self.journals, &note, why);
                    }
                }
            }
            // Those that wait for what others do would have it start over and over.
            let some_wait = !self.erasures.told.lock().is_empty();
            if some_wait || !starts_anew {
                tokio::time::sleep(PAUSE).await;
            }
            if starts_anew {
                self.reload.notify_one();
                return;
            }
        }
    }

    /// Refreshes what reads the tables that rows left, inputs first.
    async fn follow(&self, note: &Note, found: &Whereabouts) -> anyhow::Result<()> {
        for model in &found.followers {
            let extent = match note.phase == Phase::Follow && found.untold.contains(model) {
                true => Extent::Full,
                false => Extent::Changes,
            };
            let refreshed = self.control.refresh(model, extent).await;
            refreshed.with_context(|| format!("{model} could not be refreshed"))?;
        }
        Ok(())
    }
}

/// Whether these rows say that an erasure was done: a kill may have come between them and its note.
fn certifies(rows: &RecordBatch, id: &str) -> bool {
    let texts = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let (Some(ids), Some(states)) = (texts("id"), texts("state")) else { return false };
    ids.iter().zip(states).any(|(known, state)| known == Some(id) && state == Some("done"))
}

fn failed(error: &anyhow::Error) -> Refusal {
    Refusal { code: "58030", message: format!("could not erase: {error:#}"), detail: None, hint: None }
}

/// How the rows of a table are known in answers.
fn known_by(columns: &[String]) -> String {
    columns.join(", ")
}

/// A table, and how many rows were found there.
fn found(table: &TableName, by: String, rows: u64) -> Erased {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    Erased { table: table.to_string(), by, rows, ..Erased::default() }
}
