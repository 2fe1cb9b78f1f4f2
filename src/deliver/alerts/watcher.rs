//! Looks at one alert again and again.

use super::{Alerts, rows, timing};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::chain;
use crate::ops::clock;
use crate::ops::panics::caught;
use crate::ops::retry::{backoff, spread};
use crate::refresh::{CLOCK_PERIOD, next_due};
use crate::sql::{AlertDefinition, Trigger};
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Looks that run at once: alerts leave the machine to what they watch.
pub(super) const LOOKS_AT_ONCE: usize = 2;
/// How long one may take.
const LOOK_MAX: Duration = Duration::from_secs(60);

pub(super) struct Watcher {
    pub(super) alerts: Arc<Alerts>,
    pub(super) alert: Arc<AlertDefinition>,
    pub(super) depends_on_clock: bool,
    pub(super) engine: Engine,
    pub(super) cuts: watch::Receiver<Arc<Cut>>,
    pub(super) turn: Arc<Semaphore>,
}

impl Watcher {
    /// Runs until stopped, from the first cut of this shape on.
    pub(super) async fn run(mut self, shape: u64, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow(shape) => {}
        }
    }

    async fn follow(&mut self, shape: u64) {
        if self.cuts.wait_for(|cut| cut.shape >= shape).await.is_err() {
            return;
        }
        if matches!(self.alert.schedule, Trigger::Cron { .. }) {
            sleep_until(next_due(&self.alert.schedule, Some(clock::now()))).await;
        }
        loop {
            let cut = Arc::clone(&self.cuts.borrow_and_update());
            let started = clock::instant();
            let now = self.look(&cut).await;
            match &self.alert.schedule {
                Trigger::OnUpdate { .. } => {
                    // As long a rest as the work took.
                    tokio::time::sleep(started.elapsed()).await;
                    if !self.moved().await {
                        return;
                    }
                }
                schedule => sleep_until(next_due(schedule, Some(now))).await,
            }
        }
    }

    /// Looks at it; when that was.
    async fn look(&self, cut: &Arc<Cut>) -> DateTime<Utc> {
        // Nobody closes it.
        let _turn = self.turn.acquire().await;
        let now = clock::now();
        // Boxed: a planning future is large.
        let rows = rows::look(&self.engine, cut, &self.alert, now).boxed();
        let seen = match tokio::time::timeout(LOOK_MAX, caught(rows)).await {
            Ok(Ok(seen)) => seen.map_err(|error| chain(&error)),
            Ok(Err(panic)) => Err(format!("an operator of the query panicked: {panic}")),
            Err(_) => Err(format!("the query took longer than {} s", LOOK_MAX.as_secs())),
        };
        self.alerts.looked(&self.alert, seen, now).await;
        now
    }

    /// Resolves with the next epoch, when time has passed that the query asks for or that an instance gets further by, or
    /// when a query that failed is to be asked again. False when there are no more epochs.
    async fn moved(&mut self) -> bool {
        let standing = self.alerts.standing(&self.alert.name);
        let due = standing.instances.next_due(timing(&self.alert));
        let retry = standing.error.and_then(|_| {
            let pause = spread(backoff(standing.failures), rand::random());
            clock::now().checked_add_signed(chrono::Duration::from_std(pause).ok()?)
        });
        let of_clock = standing.looked_at.filter(|_| self.depends_on_clock).map(|last| last + CLOCK_PERIOD);
        let due = due.into_iter().chain(retry).chain(of_clock).min();
        tokio::select! {
            changed = self.cuts.changed() => changed.is_ok(),
            () = sleep_until(due) => true,
        }
    }
}

/// Never ends without a time.
pub(super) async fn sleep_until(time: Option<DateTime<Utc>>) {
    match time {
        Some(time) => tokio::time::sleep((time - clock::now()).to_std().unwrap_or_default()).await,
        None => std::future::pending().await,
    }
}
