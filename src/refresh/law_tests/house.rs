//! A lake of small tables with models over them, refreshed as lanes refresh them.

use crate::catalog::cut::{Cut, CutTable, Freshness, Relation, RelationKind};
use crate::engine::{Engine, logical_plan, plan_text};
use crate::lake::{
    Commit, Effort, Error as LakeError, Lake, Table, TableDefinition, TableKind, TableName, chain, conform,
    storable,
};
use crate::quality::Rules;
use crate::refresh::Error;
use crate::refresh::derive::HIDDEN_SCHEMA;
use crate::refresh::incremental::{self, Attempt, Base};
use crate::refresh::model::Model;
use crate::refresh::output::judge_all;
use crate::refresh::recompute;
use crate::refresh::streaming::Refreshed;
use crate::refresh::watermark;
use crate::sql::{RefreshPolicy, Trigger, watermark_schema};
use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::physical_plan::collect;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The tables, of schema `s` where none is named, and the engine that reads them.
pub(in crate::refresh) struct House {
    lake: Arc<Lake>,
    pub(super) engine: Engine,
    tables: BTreeMap<TableName, Arc<Table>>,
}

impl House {
    pub(in crate::refresh) fn open(root: &Path, engine: &Engine, tables: &[(&str, SchemaRef)]) -> Self {
        let lake = Arc::new(Lake::open(root).unwrap());
        let tables = tables.iter().map(|(name, schema)| {
            let table = lake.ensure(&named(name), &definition(Arc::clone(schema))).unwrap();
            (table.name().clone(), table)
        });
        let tables = tables.collect();
        Self { lake, engine: engine.clone(), tables }
    }

    pub(in crate::refresh) fn table(&self, name: &str) -> Arc<Table> {
        Arc::clone(&self.tables[&named(name)])
    }

    /// Views are made of this table, too, from the next cut on.
    pub(super) fn show(&mut self, table: &Arc<Table>) {
        self.tables.insert(table.name().clone(), Arc::clone(table));
    }

    /// The table of a view, and its hidden ones.
    pub(super) fn tables_of(&self, model: &Model) -> Vec<Arc<Table>> {
        let hidden = self.lake.tables_of(HIDDEN_SCHEMA).unwrap().into_iter();
        let belongs = |table: &Arc<Table>| table.name().name.starts_with(&format!("{}.", model.name));
        hidden.filter(belongs).chain([Arc::clone(&model.table)]).collect()
    }

    /// Gives a table more columns, or wider ones.
    pub(super) fn widen(&self, table: &Table, schema: SchemaRef) {
        self.lake.ensure(table.name(), &definition(schema)).unwrap();
    }

    /// The newest version of every table.
    pub(in crate::refresh) fn cut(&self) -> Arc<Cut> {
        cut_of(&self.lake, &self.tables)
    }

    /// A view that reads these tables. Its columns are of the types that its query's are stored as, or of those that
    /// `declared` makes of them.
    pub(in crate::refresh) async fn model(
        &self,
        name: &str,
        query: &str,
        inputs: &[&str],
        cut: &Arc<Cut>,
        declared: impl Fn(&DataType) -> DataType,
        partitioned_by: Option<&str>,
    ) -> Result<Model, String> {
        let state = self.engine.state_at(cut, cut.wave_time);
        let plan = logical_plan(&state, query).await.map_err(|error| error.to_string())?;
        let schema = storable(plan.schema().as_arrow()).map_err(|error| error.to_string())?;
        let fields = schema.fields().iter();
        let fields = fields.map(|field| Field::new(field.name(), declared(field.data_type()), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let partitioned_by: Vec<String> = partitioned_by.map(str::to_string).into_iter().collect();
        let definition =
            TableDefinition { partition_columns: partitioned_by.clone(), ..definition(Arc::clone(&schema)) };
        let table = self.lake.ensure(&TableName::new("s", name), &definition).unwrap();
        Ok(Model {
            name: table.name().clone(),
            table,
            quarantine: None,
            schema,
            partitioned_by,
            query: query.to_string(),
            continuation: None,
            streams: Vec::new(),
            inputs: inputs.iter().map(|name| named(name)).collect(),
            trigger: Trigger::default(),
            policy: RefreshPolicy::Auto,
            expectations: Vec::new(),
            audits: Vec::new(),
            definition_hash: 1,
            is_streaming: false,
            hidden_in_use: Default::default(),
            why_not: OnceLock::new(),
            chain: Default::default(),
            continued: Default::default(),
            plans: Default::default(),
            past: Default::default(),
        })
    }

    /// The query's rows, as they would be stored.
    pub(super) async fn whole(&self, model: &Model, cut: &Arc<Cut>) -> Result<Vec<RecordBatch>, Error> {
        let state = self.engine.state_at(cut, cut.wave_time);
        let physical = plan_text(&state, &model.query).await?;
        let batches = collect(physical, state.task_ctx()).await?;
        let mut rules = Rules::compile(&state, &model.expectations, &model.schema)?;
        judge_all(model, &mut rules, &batches)
    }

    /// Computes a view for the first time.
    pub(in crate::refresh) async fn first(&self, model: &Model, cut: &Arc<Cut>) -> Result<(), Error> {
        if let Attempt::Refused(why) = self.refresh(model, cut, &BTreeMap::new(), None).await? {
            self.recompute(model, cut, &why).await?;
        }
        Ok(())
    }

    /// Brings a view from the versions it was computed from, of which `base` is a cut that is still in memory, to a cut.
    pub(super) async fn refresh(
        &self,
        model: &Model,
        cut: &Arc<Cut>,
        consumed: &BTreeMap<TableName, i64>,
        base: Option<&Arc<Cut>>,
    ) -> Result<Attempt, Error> {
        let base = Base { lake: &self.lake, tables: &self.tables, consumed, cut: base };
        incremental::refresh(model, &self.engine, cut, base).await
    }

    /// Refreshes a view as its lane does: what its changes do not tell is computed whole.
    pub(in crate::refresh) async fn refresh_as_lane(
        &self,
        model: &Model,
        cut: &Arc<Cut>,
        consumed: &BTreeMap<TableName, i64>,
        base: Option<&Arc<Cut>>,
    ) -> Result<Refreshed, Error> {
        let why = match self.refresh(model, cut, consumed, base).await {
            Ok(Attempt::Done(done)) => return Ok(*done),
            Ok(Attempt::Refused(why)) => why,
            Err(error) => chain(&error),
        };
        self.recompute(model, cut, &why).await
    }

    /// Computes a view anew, as is done when its changes cannot be had.
    pub(super) async fn recompute(
        &self,
        model: &Model,
        cut: &Arc<Cut>,
        why: &str,
    ) -> Result<Refreshed, Error> {
        recompute::refresh(model, &self.engine, cut, why).await
    }
}

fn named(name: &str) -> TableName {
    let (schema, name) = name.split_once('.').unwrap_or(("s", name));
    TableName::new(schema, name)
}

fn relation(name: &TableName, kind: RelationKind, schema: SchemaRef) -> Arc<Relation> {
    Arc::new(Relation {
        name: name.clone(),
        kind,
        schema,
        comment: None,
        column_comments: HashMap::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        query: None,
    })
}

/// The newest version of every table, and the watermarks of sources.
pub(in crate::refresh) fn cut_of(lake: &Lake, tables: &BTreeMap<TableName, Arc<Table>>) -> Arc<Cut> {
    let sources = tables.iter().filter(|(name, _)| name.schema == "bronze");
    let watermarks = sources.map(|(name, table)| {
        let relation = relation(&name.watermark(), RelationKind::Source, watermark_schema());
        (name.watermark(), watermark::in_cut(&relation, &table.snapshot()))
    });
    let watermarks: Vec<(TableName, CutTable)> = watermarks.collect();
    let tables = tables.iter().map(|(name, table)| {
        let snapshot = table.snapshot();
        let table = CutTable {
            relation: relation(name, RelationKind::StreamingTable, Arc::clone(&snapshot.schema)),
            version: snapshot.version,
            freshness: Freshness::Fresh,
            provider: Some(lake.provider(&snapshot)),
            computed: None,
        };
        (name.clone(), table)
    });
    let tables = tables.chain(watermarks).collect();
    Arc::new(Cut { epoch: 1, wave_time: crate::ops::clock::now(), tables, shape: 1 })
}

pub(in crate::refresh) fn definition(schema: SchemaRef) -> TableDefinition {
    TableDefinition {
        schema,
        partition_columns: Vec::new(),
        kind: TableKind::Maintained,
        properties: BTreeMap::new(),
    }
}

/// Commits more rows; tells how many.
pub(in crate::refresh) async fn append(table: &Arc<Table>, rows: RecordBatch) -> usize {
    replace(table, |old| vec![false; old.num_rows()], |_| Some(rows)).await
}

/// One commit: rows that go, by deletion vectors or with their file, and rows that come, made of those that go. Tells how
/// many rows that were.
pub(super) async fn replace(
    table: &Arc<Table>,
    mut goes: impl FnMut(&RecordBatch) -> Vec<bool>,
    come: impl FnOnce(RecordBatch) -> Option<RecordBatch>,
) -> usize {
    let snapshot = table.snapshot();
    let mut commit = Commit::append(Vec::new(), Vec::new());
    let mut old = Vec::new();
    for file in &snapshot.files {
        let before = Table::deleted_rows(file);
        let (mut gone, mut live) = (before.clone(), 0);
        table
            .read_file::<LakeError>(&snapshot, file, |batch, positions| {
                let batch = conform(table.name(), &batch, &snapshot.schema)?;
                let goes = goes(&batch);
                live += positions.len() as u64;
                gone.extend(positions.into_iter().zip(&goes).filter(|(_, goes)| **goes).map(|(at, _)| at));
                old.push(filter_record_batch(&batch, &goes.into()).unwrap());
                Ok(())
            })
            .unwrap();
        // A file goes whole as long as it has no vector, and else by a vector of all its rows.
        if before.is_empty() && gone.len() == live && live > 0 {
            commit.removes.push(Arc::clone(file));
        } else if gone.len() > before.len() {
            commit.deletes.push((Arc::clone(file), gone));
        }
    }
    let old = concat_batches(&snapshot.schema, &old).unwrap();
    let gone = old.num_rows();
    let rows = come(old).filter(|rows| rows.num_rows() > 0);
    let came = rows.as_ref().map_or(0, RecordBatch::num_rows);
    if let Some(rows) = rows {
        commit.adds = table.write(vec![rows], Effort::Fast).await.unwrap();
    }
    table.commit(commit).await.unwrap();
    gone + came
}

/// Makes one file of a table's files, of those of each partition; tells of how many.
pub(in crate::refresh) async fn fold(table: &Arc<Table>) -> usize {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let snapshot = table.snapshot();
    for file in &snapshot.files {
        groups.entry(&file.partition_values).or_default().push(Arc::clone(file));
    }
    let mut count = 0;
    for files in groups.into_values() {
        if files.len() > 1 || files.iter().any(|file| file.deletion_vector.is_some()) {
            count += files.len();
            table.fold(files).await.unwrap();
        }
    }
    count
}

/// A table's rows, in its newest columns.
pub(in crate::refresh) fn stored(table: &Arc<Table>) -> Vec<RecordBatch> {
    let snapshot = table.snapshot();
    let mut batches = Vec::new();
    for file in &snapshot.files {
        table
            .read_file::<LakeError>(&snapshot, file, |batch, _| {
                batches.push(conform(table.name(), &batch, &snapshot.schema)?);
                Ok(())
            })
            .unwrap();
    }
    batches
}

/// Some of a table's rows.
pub(super) fn rows_where(
    table: &Arc<Table>,
    mut meant: impl FnMut(&RecordBatch) -> Vec<bool>,
) -> RecordBatch {
    let rows = concat_batches(&table.snapshot().schema, &stored(table)).unwrap();
    let meant = meant(&rows);
    filter_record_batch(&rows, &meant.into()).unwrap()
}

/// Rows as a bag that can be compared.
pub(in crate::refresh) fn bag(schema: &Schema, batches: &[RecordBatch]) -> Vec<Vec<u8>> {
    let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for batch in batches {
        rows.extend(
            converter.convert_columns(batch.columns()).unwrap().iter().map(|row| row.data().to_vec()),
        );
    }
    rows.sort_unstable();
    rows
}
