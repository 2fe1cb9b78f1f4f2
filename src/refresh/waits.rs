//! What a model waits for before it is computed: inputs that have nothing to say to its definition yet, and such as were
//! rejected.

use super::model::Model;
use crate::catalog::cut::{Cut, Freshness};
use crate::lake::TableName;
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
}

impl Maintained {
    pub(super) fn of<'a>(models: impl Iterator<Item = &'a Model> + Clone) -> Self {
        let inputs = models.clone().map(|model| (model.name.clone(), model.inputs.clone())).collect();
        let in_lanes = models.filter(|model| !model.is_streaming);
        let columns = in_lanes.map(|model| (model.name.clone(), model.schema.clone())).collect();
        Self { columns, inputs }
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
