//! REFRESH POLICY INCREMENTAL STRICT, held to its word when a project is read: derived over empty tables of the planned
//! columns, before any table is opened.

use super::Planned;
use crate::catalog::cut::{Cut, CutTable, Freshness, Relation, RelationKind};
use crate::catalog::plan::ForeignColumns;
use crate::catalog::project::{Model as Definition, Project};
use crate::catalog::watermarks::followers;
use crate::engine::Engine;
use crate::lake::TableName;
use crate::refresh;
use crate::sql::{
    Error, MaterializedViewDefinition, RefreshPolicy, quarantine_schema, table_schema, watermark_schema,
    word_origin,
};
use arrow::datatypes::SchemaRef;
use chrono::DateTime;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The strict views of a project that have no incremental rule, each with its error.
pub(crate) async fn refused(
    project: &Project,
    planned: &Planned,
    foreign: &ForeignColumns,
    engine: &Engine,
) -> BTreeMap<TableName, Error> {
    let mut errors = BTreeMap::new();
    let strict = project.models.iter().filter_map(|definition| match definition {
        Definition::MaterializedView(view) if view.refresh_policy == RefreshPolicy::IncrementalStrict => {
            Some((view, planned.get(&view.name)?))
        }
        _ => None,
    });
    let mut cut: Option<Arc<Cut>> = None;
    for (view, plan) in strict {
        let cut = cut.get_or_insert_with(|| Arc::new(empty_cut(project, planned, foreign)));
        // Boxed: a planning future is large.
        let error = match Box::pin(refresh::why_not(view, &plan.schema, engine, cut)).await {
            Ok(None) => continue,
            Ok(Some(why)) => no_rule(view, &why),
            Err(error) => no_rule(view, &crate::lake::chain(&error)),
        };
        errors.insert(view.name.clone(), error);
    }
    errors
}

fn no_rule(view: &MaterializedViewDefinition, why: &str) -> Error {
    let origin = word_origin(&view.sql, &view.origin, "STRICT").unwrap_or_else(|| view.origin.clone());
    Error::unsupported(origin, format!("\"{}\" cannot be refreshed incrementally: {why}", view.name)).with_hint(
        "Change the query where EXPLAIN CREATE MATERIALIZED VIEW says \"recomputed\", or leave STRICT out.",
    )
}

/// Every relation of a project without rows.
fn empty_cut(project: &Project, planned: &Planned, foreign: &ForeignColumns) -> Cut {
    let mut tables = BTreeMap::new();
    let mut add = |name: TableName, kind, schema: SchemaRef, query: Option<String>| {
        let stored = query.is_none();
        let rows = || Arc::new(EmptyTable::new(Arc::clone(&schema))) as Arc<dyn TableProvider>;
        let provider = stored.then(rows);
        let relation = Relation {
            name: name.clone(),
            kind,
            schema,
            comment: None,
            column_comments: HashMap::new(),
            primary_key: Vec::new(),
            foreign_keys: Vec::new(),
            query,
        };
        let relation = Arc::new(relation);
        let freshness = Freshness::Fresh;
        tables.insert(name, CutTable { relation, version: 0, freshness, provider, computed: None });
    };
    for source in project.sources.values() {
        add(source.name.clone(), RelationKind::Source, table_schema(source), None);
        add(source.name.quarantine(), RelationKind::Source, quarantine_schema(), None);
        add(source.name.watermark(), RelationKind::Source, watermark_schema(), None);
    }
    for (table, _) in followers(project) {
        add(table.watermark(), RelationKind::Source, watermark_schema(), None);
    }
    for (name, schema) in foreign {
        add(name.clone(), RelationKind::Foreign, Arc::clone(schema), None);
    }
    for definition in &project.models {
        let name = definition.name();
        let Some(plan) = planned.get(name) else { continue };
        let (kind, query) = match definition {
            Definition::StreamingTable(_) => (RelationKind::StreamingTable, None),
            Definition::MaterializedView(_) => (RelationKind::MaterializedView, None),
            Definition::View(view) => (RelationKind::View, Some(view.query.ast.to_string())),
        };
        add(name.clone(), kind, Arc::clone(&plan.schema), query);
        if kind == RelationKind::StreamingTable {
            add(name.quarantine(), RelationKind::Source, quarantine_schema(), None);
        }
    }
    Cut { epoch: 0, wave_time: DateTime::UNIX_EPOCH, tables, shape: 0 }
}
