//! What a project looks like to readers and waves.

use super::House;
use super::open::Opened;
use super::reads::depends_on_clock;
use super::relations::{model_relation, quarantine_relation, relation, watermark_relation};
use super::system;
use crate::catalog::cut::{Relation, RelationKind};
use crate::catalog::inputs::inputs_of;
use crate::catalog::project::Model as Definition;
use crate::catalog::watermarks::followers;
use crate::lake::TableName;
use crate::refresh::{Shape, Subject};
use crate::sql::table_schema;
use std::collections::BTreeMap;
use std::sync::Arc;

impl House {
    /// The next shape: of an opened project.
    pub(super) fn shape(&self, opened: &Opened) -> Shape {
        let Opened { project, planned, sources, foreign, models, board, .. } = opened;
        let (mut relations, quarantines) = relations(opened);
        let system = system::tables(system::Shown {
            project,
            planned,
            models,
            lake: &self.lake,
            sources,
            foreign,
            board,
            epochs: &self.epochs,
            definitions: self.typing.table(),
            deployments: self.deployments.table(),
            rights: &self.rights,
            journals: &self.journals,
            alerts: &self.alerts,
            cuts: self.cuts.subscribe(),
            quarantines: &quarantines,
            backends: &self.backends,
        });
        let mut live = BTreeMap::new();
        for (name, (relation, provider)) in system {
            relations.insert(name.clone(), relation);
            live.extend(provider.map(|provider| (name, provider)));
        }
        let others = foreign.iter().filter_map(|f| Some((f.name().clone(), f.table()?)));
        let columns = others.map(|(name, table)| (name, Arc::clone(&table.snapshot().schema))).collect();
        let subject = |definition: &Definition| {
            let inputs = inputs_of(definition, project, planned, &columns);
            let planned = planned.get(definition.name())?.clone();
            Some((definition.name().clone(), Subject { definition: definition.clone(), planned, inputs }))
        };
        let subjects = Arc::new(project.models.iter().filter_map(subject).collect());
        let clock_models = project.models.iter().filter(|model| {
            let query = model.query();
            depends_on_clock(project, &query.ast, &query.inputs)
        });
        Shape {
            number: self.cuts.borrow().shape + 1,
            relations,
            live,
            streams: sources.iter().filter_map(|s| s.stream.clone()).collect(),
            foreign: foreign.iter().filter_map(|f| f.for_waves()).collect(),
            models: models.to_vec(),
            clock_models: clock_models.map(|m| m.name().clone()).collect(),
            subjects,
        }
    }
}

/// The project's tables and views, and which of them are quarantines.
pub(super) fn relations(opened: &Opened) -> (BTreeMap<TableName, Arc<Relation>>, Vec<TableName>) {
    let Opened { project, planned, sources, foreign, models, .. } = opened;
    let mut relations = BTreeMap::new();
    let mut quarantines = Vec::new();
    let mut add = |relation: Relation| {
        relations.insert(relation.name.clone(), Arc::new(relation));
    };
    for stream in sources.iter().filter_map(|s| s.stream.as_ref()) {
        let schema = table_schema(&stream.definition);
        add(relation(project, &stream.definition.name, RelationKind::Source, schema));
        add(quarantine_relation(&stream.definition.name));
        quarantines.push(stream.definition.name.quarantine());
        if stream.definition.watermark.is_some() {
            add(watermark_relation(&stream.definition.name));
        }
    }
    for (name, table) in foreign.iter().filter_map(|f| Some((f.name(), f.table()?))) {
        add(relation(project, name, RelationKind::Foreign, Arc::clone(&table.snapshot().schema)));
    }
    for definition in &project.models {
        let name = definition.name();
        let Some(plan) = planned.get(name) else { continue };
        if matches!(definition, Definition::View(_)) || models.iter().any(|m| m.name == *name) {
            add(model_relation(project, definition, plan));
        }
    }
    for (table, _) in followers(project) {
        if models.iter().any(|model| model.name == table) {
            add(watermark_relation(&table));
        }
    }
    for model in models.iter().filter(|m| m.quarantine.is_some()) {
        add(quarantine_relation(&model.name));
        quarantines.push(model.name.quarantine());
    }
    (relations, quarantines)
}
