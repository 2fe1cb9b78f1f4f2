//! Views whose definition has changed, and the views above them: computed beside what stands, shown in one epoch.
//!
//! Each view commits on its own when its lane is done. If each was shown then, readers would meet the new rows of one
//! beside rows that another has computed from the old ones. So the last epoch's versions stay until the last of them is
//! computed; meanwhile lanes see the new versions, each view once those that it reads are there. If one fails, what is
//! good does not wait for it: from then on each is shown when it is done.

use super::super::model::{DEFINITION, Model, RefreshRecord};
use super::super::standing::{Showcase, Standing, behind};
use super::super::streaming::Refreshed;
use super::{Run, Shape, Waves};
use crate::catalog::cut::{Cut, Freshness};
use crate::lake::{Lake, TableName};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Views that are shown together.
pub(super) struct Drafts {
    /// Their new versions; `None` for what is still computed.
    views: BTreeMap<TableName, Option<Standing>>,
    /// What their refreshes did.
    records: Vec<RefreshRecord>,
    showcase: Showcase,
    /// There is more to see than lanes were shown.
    have_moved: bool,
}

impl Drafts {
    /// Of the views that stand by another definition than theirs, and those above; `None` if there are none.
    pub(super) fn of(shape: &Shape, standing: &BTreeMap<TableName, Standing>) -> Option<Self> {
        let is_changed = |model: &Model| {
            let shown = standing.get(&model.name).map(|standing| &standing.snapshot);
            shown.is_some_and(|shown| shown.transaction(DEFINITION).is_some() && !model.is_of(shown))
        };
        let in_lanes = shape.models.iter().filter(|model| !model.is_streaming);
        let views = with_those_above(in_lanes.map(|m| (&m.name, m.inputs.as_slice(), is_changed(m))));
        let views: BTreeMap<_, _> = views.into_iter().map(|name| (name.clone(), None)).collect();
        (!views.is_empty()).then(|| Self {
            views,
            records: Vec::new(),
            showcase: Showcase::of(shape),
            have_moved: false,
        })
    }

    pub(super) fn contain(&self, view: &TableName) -> bool {
        self.views.contains_key(view)
    }

    /// A refresh of one of them is done.
    pub(super) fn take(&mut self, view: &TableName, done: Refreshed, as_of: DateTime<Utc>) {
        let standing = Standing::fresh(done.snapshot, done.inputs, as_of);
        let before = self.views.insert(view.clone(), Some(standing.clone())).flatten();
        if before.is_none_or(|before| before.snapshot.version != standing.snapshot.version) {
            self.records.push(done.record);
        }
        self.have_moved = true;
    }

    /// Views that stand by their own definition go on as they are where nothing has come of what they read: no lane will
    /// compute them.
    fn rest(&mut self, models: &[Arc<Model>], shown: &BTreeMap<TableName, Standing>) {
        for model in models {
            let Some((None, standing)) = self.views.get(&model.name).zip(shown.get(&model.name)) else {
                continue;
            };
            let is_taken = |input: &TableName| {
                let now = match self.views.get(input) {
                    Some(draft) => draft.as_ref(),
                    None => behind(shown, input),
                };
                now.is_some_and(|now| standing.inputs.get(input) == Some(&now.snapshot.version))
            };
            if model.is_of(&standing.snapshot) && model.inputs.iter().all(is_taken) {
                self.views.insert(model.name.clone(), Some(standing.clone()));
                self.have_moved = true;
            }
        }
    }

    /// What lanes see beside what is shown: the new versions, as far as there are any.
    fn cut(&mut self, shape: &Shape, shown: &BTreeMap<TableName, Standing>, lake: &Lake, of: &Cut) -> Cut {
        let mut standing = shown.clone();
        for (name, draft) in &self.views {
            match draft {
                Some(draft) => {
                    standing.insert(name.clone(), draft.clone());
                }
                None => {
                    standing.entry(name.clone()).and_modify(|old| old.freshness = Freshness::Awaited);
                }
            }
        }
        self.have_moved = false;
        self.showcase.cut(shape, &standing, lake, of.epoch, of.wave_time)
    }
}

/// Views that have changed, and those that read them, themselves or through others. `views` are told with their inputs and
/// whether they have changed, inputs first.
fn with_those_above<'a>(
    views: impl Iterator<Item = (&'a TableName, &'a [TableName], bool)>,
) -> BTreeSet<&'a TableName> {
    let mut together = BTreeSet::new();
    for (name, inputs, is_changed) in views {
        if is_changed || inputs.iter().any(|input| together.contains(input)) {
            together.insert(name);
        }
    }
    together
}

impl Run {
    /// Shows drafts that are complete, and such as one of them will not join for now.
    pub(super) fn settle_drafts(&mut self) {
        if let Some(drafts) = &mut self.drafts {
            drafts.rest(&self.waves.shape.models, &self.standing);
        }
        let Some(drafts) = &self.drafts else { return };
        let failure = |name: &TableName| {
            self.standing.get(name).map(|standing| standing.freshness).filter(|state| state.is_failure())
        };
        let will_not_come = |model: &Arc<Model>| {
            drafts.contain(&model.name)
                && (failure(&model.name).is_some() || self.behind_rejected(model).is_some())
        };
        let are_complete = drafts.views.values().all(Option::is_some);
        if !are_complete && !self.waves.shape.models.iter().any(will_not_come) {
            return;
        }
        let Some(drafts) = self.drafts.take() else { return };
        for (name, draft) in drafts.views {
            let Some(mut draft) = draft else { continue };
            // A later refresh may have failed.
            let failure = self.standing.get(&name).map(|s| s.freshness).filter(|f| f.is_failure());
            draft.freshness = failure.unwrap_or(draft.freshness);
            self.standing.insert(name, draft);
        }
        self.records.extend(drafts.records);
        self.unpublished = true;
    }

    /// Lanes go by drafts that have come since they were shown some.
    pub(super) fn show_drafts(&mut self) {
        if self.drafts.as_ref().is_some_and(|drafts| drafts.have_moved) {
            let shown = self.waves.cuts.borrow().clone();
            self.show_lanes(&shown);
        }
    }

    /// What lanes go by from now on, beside the cut that readers were shown.
    pub(super) fn show_lanes(&mut self, shown: &Arc<Cut>) {
        let Waves { shape, lake, .. } = &self.waves;
        let cut = match &mut self.drafts {
            Some(drafts) => Arc::new(drafts.cut(shape, &self.standing, lake, shown)),
            None => Arc::clone(shown),
        };
        self.lane_cuts.send_replace(cut);
    }
}
