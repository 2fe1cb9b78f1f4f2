//! What is said of a person in definitions: in the texts that are kept of what was typed, and of which files ran.
//!
//! What is said for people alone (comments, who defined it) is blotted. What has a meaning is not, since it would then mean
//! another thing for everybody else: a policy that named the person would show rows that it hid. Where it runs it stays, and
//! the certificate says so, until somebody who knows what it is for has changed it and asks for the person to be erased
//! again. Files that ran before, and that nobody need run again, are given up in its place.

use super::{House, Note};
use crate::catalog::access::{RuleSource, Rules, statement_of};
use crate::catalog::definer::Erased;
use crate::catalog::definitions::{Definitions, Typed, Watch};
use crate::catalog::files::{Texts, texts};
use crate::quality::{blotted_remarks, blotted_text, mentions};
use crate::warehouse::deploy::Run;
use std::sync::Arc;
use tokio::task::spawn_blocking;

impl House {
    /// Blots what is kept about those who are to be erased, before anything is read of it.
    pub(in crate::warehouse) async fn blot_definitions_of_all(&self) {
        let blotted = async {
            for note in Note::all(&self.lake).await? {
                self.blot_definitions(&note.subject).await?;
            }
            anyhow::Ok(())
        };
        if let Err(error) = blotted.await {
            // Nothing is lost: the erasure does it again before its end, and waits where it cannot.
            tracing::error!(error = format!("{error:#}"), "definitions could not be blotted; will try again");
        }
    }

    /// Takes a value out of what is kept of definitions, as far as these mean the same without it, and out of their files.
    pub(super) async fn blot_definitions(&self, value: &str) -> anyhow::Result<()> {
        self.typing.keep(without_remarks(self.typing.now(), value)).await?;
        self.rights.keep(without_names(self.rights.now(), value)).await?;
        let running = self.running_texts();
        self.deployments.keep(without_texts(self.deployments.all(), &running, value)).await?;
        for table in [self.typing.table(), self.rights.table(), self.deployments.table()] {
            let table = Arc::clone(table);
            if table.snapshot().version > 0 {
                spawn_blocking(move || table.purge()).await??;
            }
        }
        Ok(())
    }

    /// Where a value stands in what runs, and must be taken out by somebody who knows what for.
    pub(super) fn named_by_definitions(&self, value: &str) -> Vec<Erased> {
        let (typed, rules) = (self.typing.now(), self.rights.now());
        let models = typed.models.values().map(|model| (model.name.to_string(), model.text()));
        let watches = typed.watches.values().map(|watch| (watch.name.to_string(), watch.text()));
        let rules = rules.0.iter().map(|(key, held)| {
            let statement = statement_of(key, &held.rule);
            (statement.clone(), statement)
        });
        let running = self.running_texts();
        let files = running.iter().map(|(path, text)| (path.display().to_string(), text.clone()));
        let named = |table: &'static str, texts: Vec<(String, String)>| {
            texts.into_iter().filter_map(move |(name, text)| mention(table, &name, &text, value))
        };
        let typed = named("sluice.definitions", models.chain(watches).collect());
        let files = named("sluice.deployments", files.collect());
        typed.chain(named("sluice.access_rules", rules.collect())).chain(files).collect()
    }

    /// The files that run.
    fn running_texts(&self) -> Arc<Texts> {
        let kept = self.kept.lock().clone();
        kept.unwrap_or_else(|| Arc::new(texts(&self.settings.project)))
    }
}

/// A definition that has the value in its text.
fn mention(table: &str, name: &str, text: &str, value: &str) -> Option<Erased> {
    let times = mentions(text, value);
    (times > 0).then(|| Erased {
        table: table.to_string(),
        // The certificate must not say whom it is about.
        by: blotted_text(name, value),
        rows: i64::try_from(times).unwrap_or(i64::MAX),
        ..Erased::default()
    })
}

fn without_remarks(mut definitions: Definitions, value: &str) -> Definitions {
    for Typed { body, comment, column_comments, changed_by, .. } in definitions.models.values_mut() {
        let texts = comment.iter_mut().chain(column_comments.values_mut()).chain([changed_by]);
        texts.for_each(|text| *text = blotted_text(text, value));
        *body = blotted_remarks(body, value);
    }
    for Watch { body, changed_by, .. } in definitions.watches.values_mut() {
        *changed_by = blotted_text(changed_by, value);
        *body = blotted_remarks(body, value);
    }
    definitions
}

fn without_names(mut rules: Rules, value: &str) -> Rules {
    for held in rules.0.values_mut() {
        if let RuleSource::Typed { by, .. } = &mut held.source {
            *by = blotted_text(by, value);
        }
    }
    rules
}

/// Deployments without a value in the comments of their files. Of earlier ones that have it elsewhere the files go, once
/// what runs does not name it any more: as long as that does, giving them up would help nobody.
fn without_texts(runs: Vec<Run>, running: &Texts, value: &str) -> Vec<Run> {
    let is_named = |texts: &Texts| texts.values().any(|text| mentions(text, value) > 0);
    let last = runs.last().map(|run| run.number);
    let blot = |mut run: Run| {
        let texts = run.texts.iter().map(|(path, text)| (path.clone(), blotted_remarks(text, value)));
        let mut texts: Texts = texts.collect();
        if is_named(&texts) && !is_named(running) && Some(run.number) != last {
            texts.clear();
        }
        (run.by, run.texts) = (blotted_text(&run.by, value), Arc::new(texts));
        run
    };
    runs.into_iter().map(blot).collect()
}
