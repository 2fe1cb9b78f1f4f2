//! What a model waits for before it is computed: inputs that have nothing to say to its definition yet, such as were
//! rejected, and for a moment such as are just being computed.

use super::model::Model;
use crate::catalog::cut::{Cut, Freshness};
use crate::lake::TableName;
use crate::sql::Trigger;
use arrow::datatypes::SchemaRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the models are to each other.
#[derive(Debug)]
pub(super) struct Maintained {
    /// Those that are computed beside the waves, with the columns that their definitions have.
    columns: BTreeMap<TableName, SchemaRef>,
    /// What each reads.
    inputs: BTreeMap<TableName, Vec<TableName>>,
    /// Those that follow their inputs at once.
    prompt: BTreeSet<TableName>,
}

impl Maintained {
    pub(super) fn of<'a>(models: impl Iterator<Item = &'a Model> + Clone) -> Self {
        let inputs = models.clone().map(|model| (model.name.clone(), model.inputs.clone())).collect();
        let in_lanes = models.filter(|model| !model.is_streaming);
        let columns = in_lanes.clone().map(|model| (model.name.clone(), model.schema.clone())).collect();
        let prompt = in_lanes.filter(|model| model.trigger == Trigger::default());
        let prompt = prompt.map(|model| model.name.clone()).collect();
        Self { columns, inputs, prompt }
    }

    /// True when all that a model reads has taken what there was `since`, or will not do so soon: computed sooner, the model
    /// would be computed again for each of them.
    pub(super) fn is_settled(&self, model: &TableName, since: &Cut, now: &Cut) -> bool {
        let inputs = self.inputs.get(model).into_iter().flatten();
        let mut lanes = inputs.filter(|input| self.prompt.contains(input));
        lanes.all(|lane| self.is_up_to(lane, since, now) && self.is_settled(lane, since, now))
    }

    /// True when a model has taken what there was `since` of its sources, and of other models what there is now.
    fn is_up_to(&self, lane: &TableName, since: &Cut, now: &Cut) -> bool {
        let Some(table) = now.tables.get(lane).filter(|table| !table.freshness.is_failure()) else {
            return true;
        };
        let Some(computed) = &table.computed else { return true };
        computed.inputs.iter().all(|(input, version)| {
            let there = if self.columns.contains_key(input) { now } else { since };
            there.tables.get(input).is_none_or(|there| *version >= there.version)
        })
    }

    /// True when something that a model reads is computed anew, and is shown to it when that is done.
    pub(super) fn awaits(&self, model: &Model, cut: &Cut) -> bool {
        let is_awaited = |input: &TableName| {
            cut.tables.get(input).is_some_and(|table| table.freshness == Freshness::Awaited)
        };
        model.inputs.iter().any(is_awaited)
    }

    /// What a model reads, itself or through others, whose newest rows were rejected: computed meanwhile it would be of
    /// inputs that do not go together.
    pub(super) fn behind<'a>(
        &'a self,
        model: &'a Model,
        is_rejected: impl Fn(&TableName) -> bool,
    ) -> Option<&'a TableName> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&TableName> = model.inputs.iter().collect();
        while let Some(name) = open.pop() {
            if is_rejected(name) {
                return Some(name);
            }
            if seen.insert(name) {
                open.extend(self.inputs.get(name).into_iter().flatten());
            }
        }
        None
    }

    /// An input of a view that was never computed, or that [`Maintained::remade`] tells of.
    pub(super) fn ungrounded<'a>(&self, model: &'a Model, cut: &Cut) -> Option<&'a TableName> {
        let is_new = |input: &TableName| {
            let table = cut.tables.get(input).filter(|_| self.columns.contains_key(input));
            table.is_some_and(|table| table.version == 0 && table.freshness == Freshness::Stale)
        };
        let stored = |input: &TableName| Some(Arc::clone(&cut.tables.get(input)?.relation.schema));
        model.inputs.iter().find(|input| is_new(input)).or_else(|| self.remade(model, stored))
    }

    /// An input that still stands in the columns of an older definition, which this model's new one does not read. A
    /// model whose own definition stands goes on with the columns that it was made for.
    pub(super) fn remade<'a>(
        &self,
        model: &'a Model,
        stored: impl Fn(&TableName) -> Option<SchemaRef>,
    ) -> Option<&'a TableName> {
        let stands_in_old_columns = |input: &TableName| {
            let columns = self.columns.get(input).zip(stored(input));
            columns.is_some_and(|(defined, stored)| stored.fields() != defined.fields())
        };
        model.inputs.iter().find(|input| stands_in_old_columns(input)).filter(|_| model.is_outdated())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::cut::{Computed, CutTable, Relation, RelationKind};
    use arrow::datatypes::Schema;
    use chrono::DateTime;
    use std::collections::HashMap;

    fn named(name: &str) -> TableName {
        TableName::new("gold", name)
    }

    fn versions(of: &[(&str, i64)]) -> BTreeMap<TableName, i64> {
        of.iter().map(|(name, version)| (named(name), *version)).collect()
    }

    /// A source, a dimension made of it, facts made of both, and sums of the facts.
    fn star() -> Maintained {
        let reads = |of: &[&str]| of.iter().map(|name| named(name)).collect::<Vec<_>>();
        let lanes = ["dimension", "facts", "sums"].map(named);
        Maintained {
            columns: lanes.iter().map(|name| (name.clone(), Arc::new(Schema::empty()))).collect(),
            inputs: BTreeMap::from([
                (named("dimension"), reads(&["source"])),
                (named("facts"), reads(&["source", "dimension"])),
                (named("sums"), reads(&["facts"])),
            ]),
            prompt: lanes.into_iter().collect(),
        }
    }

    /// Tables: their names, their versions, and those that they were computed from.
    fn cut(tables: &[(&str, i64, &[(&str, i64)])]) -> Cut {
        let table = |(name, version, inputs): &(&str, i64, &[(&str, i64)])| {
            let relation = Relation {
                name: named(name),
                kind: RelationKind::MaterializedView,
                schema: Arc::new(Schema::empty()),
                comment: None,
                column_comments: HashMap::new(),
                primary_key: Vec::new(),
                foreign_keys: Vec::new(),
                query: None,
            };
            let computed = Computed { inputs: versions(inputs), at: None };
            let table = CutTable {
                relation: Arc::new(relation),
                version: *version,
                freshness: Freshness::Stale,
                provider: None,
                computed: (!inputs.is_empty()).then(|| Arc::new(computed)),
            };
            (named(name), table)
        };
        let tables = tables.iter().map(table).collect();
        Cut { epoch: 1, wave_time: DateTime::UNIX_EPOCH, tables, shape: 1 }
    }

    #[test]
    fn facts_wait_for_the_dimension_of_the_same_rows() {
        let star = star();
        let since = cut(&[
            ("source", 2, &[]),
            ("dimension", 1, &[("source", 1)]),
            ("facts", 1, &[("source", 1), ("dimension", 1)]),
        ]);
        let settled = |model: &str, now: &Cut| star.is_settled(&named(model), &since, now);
        assert!(settled("dimension", &since), "it reads no other view");
        assert!(!settled("facts", &since));
        assert!(!settled("sums", &since));

        let behind = [("source", 2), ("dimension", 1)];
        let dimension_came = cut(&[
            // More has come meanwhile: that is not waited for.
            ("source", 3, &[]),
            ("dimension", 2, &[("source", 2)]),
            ("facts", 2, &behind),
        ]);
        assert!(settled("facts", &dimension_came));
        assert!(!settled("sums", &dimension_came), "the facts have still to take the dimension");

        let facts_came = cut(&[
            ("source", 3, &[]),
            ("dimension", 2, &[("source", 2)]),
            ("facts", 3, &[("source", 2), ("dimension", 2)]),
        ]);
        assert!(settled("sums", &facts_came));
    }

    #[test]
    fn what_fails_or_has_a_schedule_is_not_waited_for() {
        let mut since = cut(&[("source", 2, &[]), ("dimension", 1, &[("source", 1)])]);
        let mut star = star();
        star.prompt.remove(&named("dimension"));
        assert!(star.is_settled(&named("facts"), &since, &since));
        star.prompt.insert(named("dimension"));
        assert!(!star.is_settled(&named("facts"), &since, &since));
        since.tables.get_mut(&named("dimension")).unwrap().freshness = Freshness::Failed;
        assert!(star.is_settled(&named("facts"), &since, &since));
    }
}
