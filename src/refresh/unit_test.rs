//! A model over rows that a unit test gives: in a lake of its own, step by step, by the refreshes that it has in a
//! warehouse.

use super::Error;
use super::control::Extent;
use super::incremental::Base;
use super::lane::refresh_view;
use super::model::{Model, Reads, open_model};
use super::output::shape;
use super::streaming::{self, Ground};
use crate::catalog::cut::{Cut, CutTable, Freshness, Relation, RelationKind};
use crate::catalog::plan::{PlannedModel, plan_unit_test};
use crate::catalog::project::Model as Definition;
use crate::engine::Engine;
use crate::lake::{self, Commit, Effort, Lake, Scratch, Table, TableDefinition, TableKind, TableName};
use crate::ops::clock;
use crate::quality::difference;
use crate::sql::{self, Mock, TestRows, UnitTestDefinition, quoted, quoted_table, schema_of};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A model that is to be tested, and the tables that it reads.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The model.
    pub definition: Definition,
    /// Its columns and query.
    pub planned: PlannedModel,
    /// What it reads: columns, and whether rows only ever come.
    pub inputs: BTreeMap<TableName, (SchemaRef, TableKind)>,
}

impl Subject {
    /// What keeps a unit test from being run.
    pub(super) fn errors_of<'a>(
        &'a self,
        test: &'a UnitTestDefinition,
        engine: &'a Engine,
    ) -> BoxFuture<'a, Vec<sql::Error>> {
        let inputs = self.inputs.iter().map(|(name, (schema, _))| (name, schema));
        plan_unit_test(test, &self.definition, &self.planned, inputs.collect(), engine).boxed()
    }
}

/// What came of a unit test that was asked for.
#[derive(Debug)]
pub enum Tested {
    /// It could not be run.
    Wrong(Vec<sql::Error>),
    /// It ran: what was wrong with the rows, if anything was.
    Ran(Option<String>),
}

/// Runs a unit test in a lake of its own: what was wrong, if anything was.
pub fn unit_test_failure<'a>(
    subject: &'a Subject,
    test: &'a UnitTestDefinition,
    engine: &'a Engine,
) -> BoxFuture<'a, Option<String>> {
    async move {
        let scratch = match tokio::task::spawn_blocking(Scratch::new).await {
            Ok(Ok(scratch)) => scratch,
            Ok(Err(error)) => return Some(lake::chain(&error)),
            Err(error) => return Some(error.to_string()),
        };
        match run_unit_test(subject, test, engine, scratch.lake()).await {
            Ok(difference) => difference,
            Err(error) => Some(lake::chain(&error)),
        }
    }
    .boxed()
}

/// What is wrong with the rows that come of a test, if they are not those expected.
async fn run_unit_test(
    subject: &Subject,
    test: &UnitTestDefinition,
    engine: &Engine,
    lake: &Arc<Lake>,
) -> Result<Option<String>, Error> {
    let mut stage = Stage::set(subject, test, engine, lake).await?;
    for step in &test.steps {
        for mock in step {
            stage.take(mock).await?;
        }
        stage.refresh().await?;
    }
    stage.compare(&test.expected).await
}

/// The lake of a test.
struct Stage<'a> {
    engine: &'a Engine,
    lake: &'a Arc<Lake>,
    name: TableName,
    time: DateTime<Utc>,
    relations: Vec<Arc<Relation>>,
    tables: BTreeMap<TableName, Arc<Table>>,
    /// The model, if it is stored.
    model: Option<Arc<Model>>,
    /// What its rows were computed from.
    consumed: BTreeMap<TableName, i64>,
    base: Option<Arc<Cut>>,
}

impl<'a> Stage<'a> {
    async fn set(
        subject: &Subject,
        test: &UnitTestDefinition,
        engine: &'a Engine,
        lake: &'a Arc<Lake>,
    ) -> Result<Self, Error> {
        let name = subject.definition.name().clone();
        let (opened, house) = (subject.clone(), Arc::clone(lake));
        let open = move || {
            let mut tables = BTreeMap::new();
            for (name, (schema, kind)) in &opened.inputs {
                tables.insert(name.clone(), house.ensure(name, &input_definition(schema, *kind))?);
            }
            let stored = opened.inputs.keys().cloned().collect();
            let reads = Reads { stored, ..Reads::default() };
            // Audits compare with tables that no test has.
            let model = open_model(&house, &opened.definition, &opened.planned, reads, Vec::new())?;
            Ok::<_, lake::Error>((tables, model.map(Arc::new)))
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let (mut tables, model) = opened.map_err(|_| lake::Error::Stopped { table: name.clone() })??;
        let mut relations: Vec<_> = subject
            .inputs
            .iter()
            .map(|(name, (schema, kind))| relation(name, kind_of(*kind), schema, None))
            .collect();
        let (kind, query) = match (&subject.definition, &model) {
            (_, None) => (RelationKind::View, Some(subject.planned.query.clone())),
            (Definition::StreamingTable(_), _) => (RelationKind::StreamingTable, None),
            _ => (RelationKind::MaterializedView, None),
        };
        relations.push(relation(&name, kind, &subject.planned.schema, query));
        if let Some(model) = &model {
            tables.insert(name.clone(), Arc::clone(&model.table));
        }
        let time = test.at.unwrap_or_else(clock::now);
        let (consumed, base) = (BTreeMap::new(), None);
        Ok(Self { engine, lake, name, time, relations, tables, model, consumed, base })
    }

    /// What stands now.
    fn cut(&self) -> Arc<Cut> {
        let table = |relation: &Arc<Relation>| {
            let stored = self.tables.get(&relation.name).map(|table| table.snapshot());
            let table = CutTable {
                relation: Arc::clone(relation),
                version: stored.as_ref().map_or(0, |snapshot| snapshot.version),
                freshness: Freshness::Fresh,
                provider: stored.map(|snapshot| self.lake.provider(&snapshot)),
                computed: None,
            };
            (relation.name.clone(), table)
        };
        let tables = self.relations.iter().map(table).collect();
        Arc::new(Cut { epoch: 1, wave_time: self.time, tables, shape: 1 })
    }

    /// The rows of a mock come to their table.
    async fn take(&self, mock: &Mock) -> Result<(), Error> {
        let Some(table) = self.tables.get(&mock.table) else { return Ok(()) };
        let schema = Arc::clone(&table.snapshot().schema);
        let rows = self.rows(&mock.rows, &mock.table).await?;
        let columns = mock.rows.columns.iter();
        let stored = columns.filter_map(|column| schema.field_with_name(&column.name).ok().cloned());
        let stored = Arc::new(Schema::new(stored.collect::<Vec<_>>()));
        let rows: Vec<RecordBatch> =
            rows.iter().map(|batch| shape(&mock.table, batch, &stored)).collect::<Result<_, _>>()?;
        let files = table.write(rows, Effort::Fast).await?;
        table.commit(Commit::append(files, Vec::new())).await?;
        Ok(())
    }

    /// Brings the model to what its inputs are now.
    async fn refresh(&mut self) -> Result<(), Error> {
        let Some(model) = self.model.clone() else { return Ok(()) };
        let cut = self.cut();
        if model.is_streaming {
            let snapshots =
                self.tables.iter().map(|(name, table)| (name.clone(), table.snapshot())).collect();
            let ground = Ground {
                lake: self.lake,
                engine: self.engine,
                cut: &cut,
                snapshots: &snapshots,
                tables: &self.tables,
                time: self.time,
            };
            streaming::refresh(&model, &ground, Extent::Changes).await?;
            return Ok(());
        }
        let (lake, tables) = (self.lake, &self.tables);
        let base = Base { lake, tables, consumed: &self.consumed, cut: self.base.as_ref() };
        let done = refresh_view(&model, self.engine, &cut, base).await?;
        self.consumed = done.consumed;
        self.base = Some(cut);
        Ok(())
    }

    async fn compare(&self, expected: &TestRows) -> Result<Option<String>, Error> {
        let columns: Vec<String> = expected.columns.iter().map(|column| quoted(&column.name)).collect();
        let query = format!("SELECT {} FROM {}", columns.join(", "), quoted_table(&self.name));
        let actual = self.engine.collect_over(&self.cut(), &query).await?;
        let schema = schema_of(&expected.columns);
        let actual: Vec<RecordBatch> =
            actual.iter().map(|batch| shape(&self.name, batch, &schema)).collect::<Result<_, _>>()?;
        let wanted = self.rows(expected, &self.name).await?;
        let names: Vec<&str> = expected.columns.iter().map(|column| column.name.as_str()).collect();
        Ok(difference(&names, &wanted, &actual)?)
    }

    /// The rows that a test gives, in the types that it declares.
    async fn rows(&self, given: &TestRows, of: &TableName) -> Result<Vec<RecordBatch>, Error> {
        let placed = |error: &dyn std::error::Error| {
            Error::Output(format!("{}: {}", given.origin, lake::chain(error)))
        };
        let rows = self.engine.collect_over(&self.cut(), &given.query.to_string()).await;
        let rows = rows.map_err(|error| placed(&error))?;
        let schema = schema_of(&given.columns);
        let typed = rows.iter().map(|batch| shape(of, batch, &schema));
        typed.collect::<Result<_, _>>().map_err(|error| placed(&error))
    }
}

/// An input's table: whatever a test leaves out is NULL.
fn input_definition(schema: &SchemaRef, kind: TableKind) -> TableDefinition {
    let fields = schema.fields().iter().map(|field| Field::clone(field).with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    TableDefinition { schema, partition_columns: Vec::new(), kind, properties: BTreeMap::new() }
}

fn kind_of(kind: TableKind) -> RelationKind {
    match kind {
        TableKind::AppendOnly => RelationKind::Source,
        TableKind::Maintained => RelationKind::MaterializedView,
    }
}

fn relation(
    name: &TableName,
    kind: RelationKind,
    schema: &SchemaRef,
    query: Option<String>,
) -> Arc<Relation> {
    Arc::new(Relation {
        name: name.clone(),
        kind,
        schema: Arc::clone(schema),
        comment: None,
        column_comments: HashMap::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        query,
    })
}
