//! `pg_catalog` as one session sees it: the shared tables, and those that differ from session to
//! session: `pg_settings`, `pg_cursors`, `pg_prepared_statements`, `pg_stat_activity`.

use super::activity::Activities;
use super::data;
use super::model::Model;
use super::rows::{Rows, Value};
use crate::engine::FixedSchema;
use crate::serve::functions::Surroundings;
use crate::serve::settings::{Definition, Kind, milliseconds};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};
use std::sync::Arc;

/// The tables that are the session's own.
const SETTINGS: &str = "pg_settings";
const CURSORS: &str = "pg_cursors";
const STATEMENTS: &str = "pg_prepared_statements";
const ACTIVITY: &str = "pg_stat_activity";

/// A session's `pg_catalog`.
#[derive(Debug)]
pub struct SessionSchema {
    shared: Arc<FixedSchema>,
    model: Arc<Model>,
    session: Arc<Surroundings>,
}

impl SessionSchema {
    /// The shared tables, with the settings of one session.
    pub fn new(shared: Arc<FixedSchema>, model: Arc<Model>, session: Arc<Surroundings>) -> Self {
        Self { shared, model, session }
    }
}

#[async_trait]
impl SchemaProvider for SessionSchema {
    fn table_names(&self) -> Vec<String> {
        self.shared.table_names()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.shared.table_exist(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match name {
            SETTINGS => settings(&self.session).map(Some),
            CURSORS => cursors(&self.session).map(Some),
            STATEMENTS => statements(&self.session).map(Some),
            ACTIVITY => {
                let (model, session) = (Arc::clone(&self.model), Arc::clone(&self.session));
                Ok(Some(Arc::new(Activities { shape: shape(ACTIVITY)?, model, session })))
            }
            name => self.shared.table(name).await,
        }
    }
}

fn settings(session: &Surroundings) -> Result<Arc<dyn TableProvider>> {
    let mut rows = Rows::new(shape(SETTINGS)?);
    let settings = session.settings.lock();
    for (definition, value) in settings.all() {
        let initial = settings.initial(definition);
        let source = match value.as_str() {
            value if value != initial => "session",
            value if value != definition.default => "client",
            _ => "default",
        };
        let is_fixed = definition.kind == Kind::Fixed;
        let shown = [
            ("name", Value::from(definition.name)),
            ("setting", in_its_unit(definition, &value).into()),
            ("category", "Sluice".into()),
            ("short_desc", definition.description.into()),
            ("context", (if is_fixed { "internal" } else { "user" }).into()),
            ("source", source.into()),
            ("boot_val", in_its_unit(definition, definition.default).into()),
            ("reset_val", in_its_unit(definition, initial).into()),
            ("pending_restart", false.into()),
        ];
        rows.push(shown.into_iter().chain(range(definition.kind)));
    }
    drop(settings);
    table(rows)
}

/// A value as `pg_settings` has it: of a duration the number of milliseconds.
fn in_its_unit(definition: &Definition, value: &str) -> String {
    let milliseconds = match definition.kind {
        Kind::Duration => milliseconds(value),
        _ => None,
    };
    milliseconds.map_or_else(|| value.to_string(), |number| number.to_string())
}

/// What a setting's value may be.
fn range(kind: Kind) -> Vec<(&'static str, Value)> {
    let between =
        |least: i64, most: i64| [("min_val", least.to_string().into()), ("max_val", most.to_string().into())];
    let (vartype, more) = match kind {
        Kind::Bool => ("bool", vec![]),
        Kind::Integer(least, most) => ("integer", between(least, most).to_vec()),
        Kind::Duration => {
            let unit = [("unit", "ms".into())];
            ("integer", unit.into_iter().chain(between(0, i64::from(i32::MAX))).collect())
        }
        Kind::Enum(words) => {
            let words = words.iter().map(|word| (*word).to_string()).collect();
            ("enum", vec![("enumvals", Value::Texts(words))])
        }
        Kind::Fixed | Kind::Text | Kind::TimeZone | Kind::DateStyle | Kind::Encoding => ("string", vec![]),
    };
    [("vartype", vartype.into())].into_iter().chain(more).collect()
}

fn cursors(session: &Surroundings) -> Result<Arc<dyn TableProvider>> {
    let mut rows = Rows::new(shape(CURSORS)?);
    for cursor in session.cursors.lock().all() {
        let declared = &cursor.declaration;
        rows.push([
            ("name", Value::from(&declared.name)),
            ("statement", (&declared.text).into()),
            ("is_holdable", declared.hold.into()),
            ("is_binary", declared.binary.into()),
            ("is_scrollable", (declared.scroll == Some(true)).into()),
            ("creation_time", cursor.created.timestamp_micros().into()),
        ]);
    }
    table(rows)
}

fn statements(session: &Surroundings) -> Result<Arc<dyn TableProvider>> {
    let mut rows = Rows::new(shape(STATEMENTS)?);
    for (name, statement) in session.statements.lock().iter() {
        rows.push([
            ("name", Value::from(name)),
            ("statement", (&statement.text).into()),
            ("prepare_time", statement.since.timestamp_micros().into()),
            (
                "parameter_types",
                Value::Ints(statement.parameters.iter().map(|oid| i64::from(*oid)).collect()),
            ),
            ("from_sql", statement.from_sql.into()),
            // A plan is made for the values of each execution.
            ("generic_plans", Value::Int(0)),
            ("custom_plans", Value::Int(0)),
        ]);
    }
    table(rows)
}

fn shape(name: &str) -> Result<&'static data::CatalogRelation> {
    data::relation_named("pg_catalog", name)
        .ok_or_else(|| DataFusionError::Internal(format!("{name} has no shape")))
}

fn table(rows: Rows) -> Result<Arc<dyn TableProvider>> {
    let batch = rows.finish()?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}
