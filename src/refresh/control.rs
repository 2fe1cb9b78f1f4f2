//! What is asked of the models from outside: a refresh now, whatever its trigger says; a comparison with its query.
//!
//! Comes in: requests of readers. Goes out: to the model's lane, or to the waves for a streaming table; the answer comes
//! with the epoch in which the refresh is seen, so that who asked reads what came of it.

use super::Error;
use super::backfill::Range;
use super::model::Model;
use super::unit_test::{Subject, Tested, unit_test_failure};
use super::verify::{self, Verified};
use crate::bronze::{self, LoadRecord, Stream};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::{Lake, Table, TableName};
use crate::quality::{Predicate, Replayed};
use crate::sql::UnitTestDefinition;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for one model at most; more wait to be sent.
const WAITING_MAX: usize = 64;

/// How much of a model a refresh computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// What has changed.
    Changes,
    /// All of it, if its inputs still hold all that it was ever computed from.
    Full,
    /// All that its inputs still hold.
    WhatIsLeft,
}

/// A refresh that is asked for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) model: TableName,
    pub(super) extent: Extent,
    done: oneshot::Sender<Result<(), Arc<Error>>>,
}

impl Ask {
    /// Tells who asked, if they still wait.
    pub(super) fn answer(self, outcome: Result<(), Arc<Error>>) {
        let _ = self.done.send(outcome);
    }
}

/// Where requests are put, and where they come out.
pub(super) fn mailbox() -> (mpsc::Sender<Ask>, mpsc::Receiver<Ask>) {
    mpsc::channel(WAITING_MAX)
}

/// The requests of one lane.
#[derive(Debug)]
pub(super) struct Asks {
    receiver: mpsc::Receiver<Ask>,
    waiting: Vec<Ask>,
}

impl Asks {
    pub(super) fn new(receiver: mpsc::Receiver<Ask>) -> Self {
        Self { receiver, waiting: Vec::new() }
    }

    /// Resolves when there is a request.
    pub(super) async fn come(&mut self) {
        match self.receiver.recv().await {
            Some(ask) => self.waiting.push(ask),
            None => std::future::pending().await,
        }
    }

    /// True when someone waits. Who has gone does not count.
    pub(super) fn are_there(&mut self) -> bool {
        while let Ok(ask) = self.receiver.try_recv() {
            self.waiting.push(ask);
        }
        self.waiting.retain(|ask| !ask.done.is_closed());
        !self.waiting.is_empty()
    }

    /// All requests.
    pub(super) fn take(&mut self) -> Vec<Ask> {
        self.are_there();
        std::mem::take(&mut self.waiting)
    }

    /// Answers all requests with one error.
    pub(super) fn refuse(&mut self, error: Error) {
        let error = Arc::new(error);
        self.take().into_iter().for_each(|ask| ask.answer(Err(Arc::clone(&error))));
    }
}

/// Who asked for a refresh and waits for the epoch that holds it.
#[derive(Debug, Default)]
pub(super) struct Asked(Vec<Ask>);

impl Asked {
    pub(super) fn extend(&mut self, asks: impl IntoIterator<Item = Ask>) {
        self.0.extend(asks);
    }

    /// True when someone asked for this model.
    pub(super) fn of(&self, model: &TableName) -> bool {
        self.0.iter().any(|ask| ask.model == *model)
    }

    /// How much of this model is asked for.
    pub(super) fn extent(&self, model: &TableName) -> Extent {
        let extents = self.0.iter().filter(|ask| ask.model == *model).map(|ask| ask.extent);
        extents.max().unwrap_or(Extent::Changes)
    }

    /// The epoch stands; who asked for a model that it does not show yet still waits.
    pub(super) fn answer(&mut self, waits: impl Fn(&TableName) -> bool) {
        let answered = self.0.extract_if(.., |ask| !waits(&ask.model));
        answered.for_each(|ask| ask.answer(Ok(())));
    }

    /// A model's refresh failed.
    pub(super) fn refuse(&mut self, model: &TableName, error: &Arc<Error>) {
        let refused = self.0.extract_if(.., |ask| ask.model == *model);
        refused.for_each(|ask| ask.answer(Err(Arc::clone(error))));
    }
}

/// A replay that is asked for.
#[derive(Debug)]
pub(super) struct ReplayAsk {
    pub(super) model: TableName,
    /// Which rows are meant; all without.
    pub(super) predicate: Option<String>,
    done: oneshot::Sender<Result<Replayed, Arc<Error>>>,
}

/// Replays that wait for their wave, and such as wait for the epoch that shows what came of them.
#[derive(Debug, Default)]
pub(super) struct Replays {
    pub(super) waiting: Vec<ReplayAsk>,
    done: Vec<(ReplayAsk, Replayed)>,
}

impl Replays {
    /// Those of a model that wait; who has gone does not count.
    pub(super) fn take(&mut self, model: &TableName) -> Vec<ReplayAsk> {
        self.waiting.extract_if(.., |ask| ask.model == *model).filter(|ask| !ask.done.is_closed()).collect()
    }

    /// A model's replay is done, in no epoch yet.
    pub(super) fn note(&mut self, ask: ReplayAsk, replayed: Replayed) {
        self.done.push((ask, replayed));
    }

    /// The epoch stands.
    pub(super) fn answer(&mut self) {
        for (ask, replayed) in self.done.drain(..) {
            let _ = ask.done.send(Ok(replayed));
        }
    }
}

impl ReplayAsk {
    /// It failed.
    pub(super) fn refuse(self, error: &Arc<Error>) {
        let _ = self.done.send(Err(Arc::clone(error)));
    }
}

/// A backfill that is asked for.
#[derive(Debug)]
pub(super) struct BackfillAsk {
    pub(super) model: TableName,
    pub(super) range: Range,
    pub(super) history_may_be_lost: bool,
    done: oneshot::Sender<Result<String, Arc<Error>>>,
}

impl BackfillAsk {
    /// Tells who asked its name, or why there is none.
    pub(super) fn answer(self, outcome: Result<String, Arc<Error>>) {
        let _ = self.done.send(outcome);
    }
}

/// Models as they run.
pub(super) struct Running {
    pub(super) lake: Arc<Lake>,
    pub(super) engine: Engine,
    pub(super) models: Vec<Arc<Model>>,
    /// Models and views whose query asks for the time.
    pub(super) clock_models: Vec<TableName>,
    /// Models and views as unit tests take them.
    pub(super) subjects: Arc<BTreeMap<TableName, Subject>>,
    /// Every table that keeps changes.
    pub(super) tables: Arc<BTreeMap<TableName, Arc<Table>>>,
    /// How each materialized view is asked.
    pub(super) lanes: BTreeMap<TableName, mpsc::Sender<Ask>>,
    /// How streaming tables are asked.
    pub(super) waves: mpsc::Sender<Ask>,
    /// How streaming tables are asked to take again what was set apart.
    pub(super) replays: mpsc::Sender<ReplayAsk>,
    /// How backfills are asked for.
    pub(super) backfills: mpsc::Sender<BackfillAsk>,
    /// The sources.
    pub(super) streams: Vec<Arc<Stream>>,
    /// Where their loads are recorded.
    pub(super) loaded: Arc<dyn Fn(LoadRecord) + Send + Sync>,
}

impl Running {
    fn model(&self, name: &TableName) -> Result<&Arc<Model>, Refusal> {
        let found = self.models.iter().find(|model| model.name == *name);
        found.ok_or_else(|| Refusal::NoModel(name.clone()))
    }
}

/// The way from readers to the running models.
#[derive(Clone, Default)]
pub struct Control(Arc<RwLock<Option<Arc<Running>>>>);

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No stored model of this name runs.
    #[error("{0} is no model that runs")]
    NoModel(TableName),
    /// A streaming table is not what its query gives now: each row was taken when it came.
    #[error("{0} is a streaming table")]
    Streaming(TableName),
    /// The waves have stopped.
    #[error("the models are stopping")]
    Stopping,
    /// The view was not computed by its definition yet.
    #[error("{0} was not computed yet")]
    NotComputed(TableName),
    /// A version of an input that the view was computed from cannot be read any more.
    #[error("version {version} of {input}, which {model} was computed from, is gone")]
    Gone {
        /// The view.
        model: TableName,
        /// Its input.
        input: TableName,
        /// The input's version.
        version: i64,
    },
    /// It was tried, and failed.
    #[error(transparent)]
    Failed(Arc<Error>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Failed(Arc::new(error))
    }
}

impl Control {
    /// From now on these models are asked.
    pub(super) fn run(&self, running: Running) {
        *self.0.write() = Some(Arc::new(running));
    }

    fn running(&self) -> Result<Arc<Running>, Refusal> {
        self.0.read().clone().ok_or(Refusal::Stopping)
    }

    /// Takes again what a streaming table's rules have set apart; resolves when readers see what came of it.
    pub async fn replay(&self, name: &TableName, predicate: Option<String>) -> Result<Replayed, Refusal> {
        let running = self.running()?;
        running.model(name)?;
        let asker = running.replays.clone();
        drop(running);
        let (done, answer) = oneshot::channel();
        let ask = ReplayAsk { model: name.clone(), predicate, done };
        asker.send(ask).await.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)?.map_err(Refusal::Failed)
    }

    /// Begins to make a range of time of a streaming table anew; its name.
    pub async fn backfill(
        &self,
        name: &TableName,
        range: Range,
        history_may_be_lost: bool,
    ) -> Result<String, Refusal> {
        let running = self.running()?;
        running.model(name)?;
        let asker = running.backfills.clone();
        drop(running);
        let (done, answer) = oneshot::channel();
        let ask = BackfillAsk { model: name.clone(), range, history_may_be_lost, done };
        asker.send(ask).await.map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)?.map_err(Refusal::Failed)
    }

    /// Decodes again what a source could not read; resolves when it is durable, with the table's version then.
    pub async fn replay_records(
        &self,
        name: &TableName,
        predicate: Option<&str>,
        cut: &Arc<Cut>,
    ) -> Result<(Replayed, i64), Refusal> {
        let running = self.running()?;
        let session = running.engine.state_at(cut, cut.wave_time);
        let predicate = predicate.map(|text| Predicate::compile(&session, text)).transpose();
        let predicate = predicate.map_err(Error::from)?;
        let stream = running.streams.iter().find(|stream| stream.definition.name == *name).cloned();
        let loaded = Arc::clone(&running.loaded);
        drop(running);
        let stream = stream.ok_or_else(|| Refusal::NoModel(name.clone()))?;
        // Who asked may go: what is begun comes to its end.
        let replay = tokio::spawn(async move { bronze::replay(&stream, predicate, &*loaded).await });
        match replay.await {
            Ok(Ok(done)) => done.ok_or(Refusal::Stopping),
            Ok(Err(error)) => Err(Refusal::from(Error::from(error))),
            Err(_) => Err(Refusal::Stopping),
        }
    }

    /// Refreshes a model now; resolves when readers see the result.
    pub async fn refresh(&self, name: &TableName, extent: Extent) -> Result<(), Refusal> {
        let running = self.running()?;
        running.model(name)?;
        let asker = running.lanes.get(name).unwrap_or(&running.waves).clone();
        // While it waits, the models may be replaced: what is not held here then ends with them.
        drop(running);
        let (done, answer) = oneshot::channel();
        let ask = Ask { model: name.clone(), extent, done };
        asker.send(ask).await.map_err(|_| Refusal::Stopping)?;
        drop(asker);
        answer.await.map_err(|_| Refusal::Stopping)?.map_err(Refusal::Failed)
    }

    /// Compares a view's rows in a cut with its query over the inputs that they were computed from.
    pub async fn verify(&self, name: &TableName, cut: &Arc<Cut>) -> Result<Verified, Refusal> {
        let running = self.running()?;
        let model = running.model(name)?;
        if model.is_streaming {
            return Err(Refusal::Streaming(name.clone()));
        }
        let asks_for_time = running.clock_models.contains(name);
        let ground = verify::Ground { lake: &running.lake, tables: &running.tables, engine: &running.engine };
        verify::verify(model, &ground, cut, asks_for_time).await
    }

    /// Runs a unit test of a model or view, over rows of its own.
    pub async fn unit_test(&self, test: &UnitTestDefinition) -> Result<Tested, Refusal> {
        let running = self.running()?;
        let subject = running.subjects.get(&test.of).cloned();
        let (subject, engine) =
            (subject.ok_or_else(|| Refusal::NoModel(test.of.clone()))?, running.engine.clone());
        drop(running);
        let errors = subject.errors_of(test, &engine).await;
        if !errors.is_empty() {
            return Ok(Tested::Wrong(errors));
        }
        Ok(Tested::Ran(unit_test_failure(&subject, test, &engine).await))
    }

    /// True when a model or view asks for the time.
    pub fn asks_for_time(&self, name: &TableName) -> bool {
        self.running().is_ok_and(|running| running.clock_models.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(extent: Extent) -> (Ask, oneshot::Receiver<Result<(), Arc<Error>>>) {
        let (done, answer) = oneshot::channel();
        (Ask { model: TableName::new("gold", "x"), extent, done }, answer)
    }

    #[tokio::test]
    async fn requests_of_those_who_have_gone_are_dropped() {
        let (sender, receiver) = mailbox();
        let mut asks = Asks::new(receiver);
        assert!(!asks.are_there());
        let (first, gone) = ask(Extent::Full);
        let (second, waits) = ask(Extent::Changes);
        sender.send(first).await.unwrap();
        sender.send(second).await.unwrap();
        drop(gone);
        asks.come().await;
        let taken = asks.take();
        assert_eq!(taken.iter().map(|ask| ask.extent).collect::<Vec<_>>(), [Extent::Changes]);
        taken.into_iter().for_each(|ask| ask.answer(Ok(())));
        assert!(waits.await.unwrap().is_ok());
        assert!(!asks.are_there());
    }

    #[tokio::test]
    async fn a_control_without_models_is_stopping() {
        let control = Control::default();
        let refused = control.refresh(&TableName::new("gold", "x"), Extent::Changes).await;
        assert!(matches!(refused, Err(Refusal::Stopping)), "{refused:?}");
    }
}
