//! What a model waits for before it is computed: inputs that have nothing to say to its definition yet.

use super::model::Model;
use crate::catalog::cut::{Cut, Freshness};
use crate::lake::TableName;
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The models that are computed beside the waves, with the columns that their definitions have.
#[derive(Debug)]
pub(super) struct Maintained(BTreeMap<TableName, SchemaRef>);

impl Maintained {
    pub(super) fn of<'a>(models: impl Iterator<Item = &'a Model>) -> Self {
        Self(models.map(|model| (model.name.clone(), model.schema.clone())).collect())
    }

    /// An input of a view that was never computed, or that [`Maintained::remade`] tells of.
    pub(super) fn ungrounded<'a>(&self, model: &'a Model, cut: &Cut) -> Option<&'a TableName> {
        let is_new = |input: &TableName| {
            let table = cut.tables.get(input).filter(|_| self.0.contains_key(input));
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
            let columns = self.0.get(input).zip(stored(input));
            columns.is_some_and(|(defined, stored)| stored.fields() != defined.fields())
        };
        model.inputs.iter().find(|input| stands_in_old_columns(input)).filter(|_| model.is_outdated())
    }
}
