//! A materialized view's lane, or a change feed's: it is refreshed beside the waves and joins an epoch when done, so
//! that one slow view never holds up the rest.

use super::control::{Ask, Asks, Extent};
use super::incremental::{self, Attempt, Base};
use super::model::{Model, REFRESH};
use super::streaming::Refreshed;
use super::waits::Maintained;
use super::{Error, recompute, settled, trigger};
use crate::catalog::cut::{Cut, Freshness};
use crate::engine::Engine;
use crate::lake::{Lake, Table, TableName, chain};
use crate::ops::{clock, retry};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How often what depends on `now()` is computed while nothing moves that it reads.
pub const CLOCK_PERIOD: Duration = Duration::from_secs(1);

/// How long a view waits for others that it reads and that are just being computed, at most.
const GATHER_MAX: Duration = Duration::from_millis(100);

/// What a lane reports.
#[derive(Debug)]
pub(super) struct LaneReport {
    pub(super) model: TableName,
    pub(super) as_of: DateTime<Utc>,
    pub(super) seconds: f64,
    pub(super) result: Result<Refreshed, Error>,
    /// Who asked for this refresh.
    pub(super) asks: Vec<Ask>,
}

/// What a lane needs.
pub(super) struct Lane {
    pub(super) model: Arc<Model>,
    pub(super) lake: Arc<Lake>,
    /// Every table that keeps changes.
    pub(super) tables: Arc<BTreeMap<TableName, Arc<Table>>>,
    /// The models that have lanes.
    pub(super) maintained: Arc<Maintained>,
    pub(super) engine: Engine,
    pub(super) cuts: watch::Receiver<Arc<Cut>>,
    /// Bounds how many views are computed at once.
    pub(super) permits: Arc<Semaphore>,
    pub(super) reports: mpsc::Sender<LaneReport>,
    pub(super) asks: Asks,
    pub(super) depends_on_clock: bool,
    pub(super) stop: CancellationToken,
}

/// What a lane does next.
enum Step {
    /// Whoever asked is told why not.
    Refuse(Error),
    /// Until there is a newer cut, or so long.
    Wait(Duration),
    /// So long, whatever cuts come.
    Rest(Duration),
    Refresh,
}

/// How far a lane has come.
struct Progress {
    /// A version that a kill kept out of the last epoch is nobody's news: the view is gone over once, and reported.
    is_published: bool,
    consumed: BTreeMap<TableName, i64>,
    /// The cut that `consumed` is of: its tables are the old versions that changes are derived from.
    base: Option<Arc<Cut>>,
    /// When it was last refreshed. What has failed stays due, whatever its schedule.
    last: Option<DateTime<Utc>>,
    /// The first cut that it has not followed, and since when.
    due: Option<(Arc<Cut>, Instant)>,
    failures: u32,
}

impl Progress {
    fn new(model: &Model, is_published: bool) -> Self {
        let consumed = if is_published { model.consumed() } else { BTreeMap::new() };
        Self { is_published, consumed, base: None, last: None, due: None, failures: 0 }
    }

    /// Takes in how a refresh over `cut` ended.
    fn take_in(&mut self, model: &Model, cut: &Arc<Cut>, result: &Result<Refreshed, Error>) {
        self.due = None;
        match result {
            Ok(done) => {
                self.is_published = true;
                self.consumed = done.consumed.clone();
                self.base = Some(Arc::clone(cut));
                self.last = Some(clock::now());
                self.failures = 0;
            }
            Err(_) => {
                // Only the table knows whether a commit that looked failed has landed.
                self.consumed = model.consumed();
                self.base = None;
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// How long what has failed waits.
    fn backoff(&self) -> Option<Duration> {
        (self.failures > 0).then(|| retry::spread(retry::backoff(self.failures), rand::random()))
    }
}

impl Lane {
    /// Runs until stopped.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut progress = Progress::new(&self.model, self.is_published().await);
        loop {
            let cut = Arc::clone(&self.cuts.borrow_and_update());
            let goes_on = match self.next(&mut progress, &cut) {
                Step::Refuse(error) => {
                    self.asks.refuse(error);
                    true
                }
                Step::Wait(pause) => self.wait(pause).await,
                Step::Rest(pause) => {
                    self.rest(pause).await;
                    true
                }
                Step::Refresh => self.take_turn(&mut progress).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// What to do now that `cut` is the newest.
    fn next(&mut self, progress: &mut Progress, cut: &Arc<Cut>) -> Step {
        let is_asked = self.asks.are_there();
        if self.maintained.awaits(&self.model, cut) {
            return Step::Wait(Duration::MAX);
        }
        match self.waits(cut) {
            Some(error) if is_asked => return Step::Refuse(error),
            None if is_asked => return Step::Refresh,
            None if self.is_due(progress, cut) => {}
            _ => return Step::Wait(if self.depends_on_clock { CLOCK_PERIOD } else { Duration::MAX }),
        }
        let due = trigger::next_due(&self.model.trigger, progress.last);
        if let Some(wait) =
            due.and_then(|due| (due - clock::now()).to_std().ok()).filter(|wait| !wait.is_zero())
        {
            return Step::Rest(wait);
        }
        let (since, began) = progress.due.get_or_insert_with(|| (Arc::clone(cut), clock::instant()));
        let gathering = GATHER_MAX.saturating_sub(began.elapsed());
        if gathering.is_zero() || self.maintained.is_settled(&self.model.name, since, cut) {
            return Step::Refresh;
        }
        Step::Wait(gathering)
    }

    /// True when something has moved that the rows are made of, or time has.
    fn is_due(&self, progress: &Progress, cut: &Cut) -> bool {
        let has_rested =
            |last: DateTime<Utc>| (clock::now() - last).to_std().unwrap_or_default() >= CLOCK_PERIOD;
        !progress.is_published
            || !self.model.is_up_to(cut, &progress.consumed)
            || self.model.is_outdated()
            || self.depends_on_clock && progress.last.is_none_or(has_rested)
    }

    /// Refreshes when it is this lane's turn, reports, and rests; false when nobody listens any more.
    async fn take_turn(&mut self, progress: &mut Progress) -> bool {
        let Ok(permit) = self.permits.acquire().await else { return false };
        // The cut may have moved on while waiting for a turn: the newest is computed.
        let mut cut = Arc::clone(&self.cuts.borrow_and_update());
        if self.depends_on_clock {
            // Time passes although no epoch comes.
            cut = Arc::new(Cut { wave_time: clock::now(), ..Cut::clone(&cut) });
        }
        let asks = self.asks.take();
        let is_full = asks.iter().any(|ask| ask.extent > Extent::Changes);
        let started = clock::instant();
        let result = settled(self.refresh(&cut, progress, is_full)).await;
        let spent = started.elapsed();
        drop(permit);
        progress.take_in(&self.model, &cut, &result);
        let is_rejected = matches!(result, Err(Error::Rejected { .. }));
        let report = LaneReport {
            model: self.model.name.clone(),
            as_of: cut.wave_time,
            seconds: spent.as_secs_f64(),
            result,
            asks,
        };
        if self.reports.send(report).await.is_err() {
            return false;
        }
        // As long a rest as the work took: views never take more than half of the processors.
        let pause = progress.backoff().unwrap_or(spent);
        if is_rejected {
            // The same rows would be rejected again.
            self.rest(spent).await;
            self.rest_until_moved(&cut, pause).await;
        } else {
            self.rest(pause).await;
        }
        true
    }

    /// True when the last epoch has the newest refresh: what upkeep has folded since holds the same rows.
    async fn is_published(&self) -> bool {
        let published = self.cuts.borrow().tables.get(&self.model.name).map(|table| table.version);
        let newest = self.model.table.snapshot();
        match published {
            Some(version) if version == newest.version => true,
            Some(version) => {
                let published = self.model.table.snapshot_at(version).await;
                published.is_ok_and(|then| then.transaction(REFRESH) == newest.transaction(REFRESH))
            }
            None => false,
        }
    }

    /// Why the model is not computed over a cut.
    fn waits(&self, cut: &Cut) -> Option<Error> {
        let model = || self.model.name.clone();
        if let Some(input) = self.maintained.ungrounded(&self.model, cut) {
            return Some(Error::NotComputed { model: model(), input: input.clone() });
        }
        let is_rejected = |input: &TableName| {
            cut.tables.get(input).is_some_and(|table| table.freshness == Freshness::Rejected)
        };
        let input = self.maintained.behind(&self.model, is_rejected)?;
        Some(Error::Waits { model: model(), input: input.clone() })
    }

    /// Rests until something has moved that the rows are made of or judged by, at most so long, or until asked.
    async fn rest_until_moved(&mut self, since: &Cut, pause: Duration) {
        let mut due = std::pin::pin!(tokio::time::sleep(pause));
        loop {
            let cut = Arc::clone(&self.cuts.borrow_and_update());
            if self.model.judged_by(&cut) != self.model.judged_by(since) {
                return;
            }
            tokio::select! {
                changed = self.cuts.changed() => if changed.is_err() { return },
                () = self.asks.come() => return,
                () = &mut due => return,
            }
        }
    }

    /// Computes the changes where that can be done, else the whole view.
    async fn refresh(&self, cut: &Arc<Cut>, progress: &Progress, is_full: bool) -> Result<Refreshed, Error> {
        let Progress { consumed, base, .. } = progress;
        let base = Base { lake: &self.lake, tables: &self.tables, consumed, cut: base.as_ref() };
        if self.model.why_not.get().is_none() {
            let why_not = incremental::why_not(&self.model.outline(), &self.engine, cut).await?;
            self.model.why_not.get_or_init(|| why_not);
        }
        if is_full {
            return recompute::refresh(&self.model, &self.engine, cut, "REFRESH ... FULL").await;
        }
        refresh_view(&self.model, &self.engine, cut, base).await
    }

    /// Waits for the next cut or until asked, at most `pause`; false when there will be no cut.
    async fn wait(&mut self, pause: Duration) -> bool {
        let due = async {
            match pause {
                Duration::MAX => std::future::pending().await,
                pause => tokio::time::sleep(pause).await,
            }
        };
        tokio::select! {
            changed = self.cuts.changed() => changed.is_ok(),
            () = self.asks.come() => true,
            () = due => true,
        }
    }

    /// Rests for so long, or until asked.
    async fn rest(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.asks.come() => {}
        }
    }
}

/// Brings a view to a cut: by its changes where they can be computed, else as a whole.
pub(super) async fn refresh_view(
    model: &Model,
    engine: &Engine,
    cut: &Arc<Cut>,
    base: Base<'_>,
) -> Result<Refreshed, Error> {
    let why = match settled(incremental::refresh(model, engine, cut, base)).await {
        Ok(Attempt::Done(done)) => return Ok(*done),
        Ok(Attempt::Refused(why)) => why,
        // The rows are what the query gives, computed however.
        Err(error @ Error::Rejected { .. }) => return Err(error),
        // Files of an old version may be gone. If it is the query that fails, it fails again and says so.
        Err(error) => format!("its changes could not be computed: {}", chain(&error)),
    };
    recompute::refresh(model, engine, cut, &why).await
}
