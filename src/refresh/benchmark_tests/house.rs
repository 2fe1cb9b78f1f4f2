//! A lake with a benchmark's tables and its queries as views, refreshed as lanes do.

use super::stream::{Change, Stream, key_columns};
use crate::catalog::cut::Cut;
use crate::engine::Engine;
use crate::lake::{Commit, Effort, Error, Lake, Table, TableName, storable};
use crate::quality::Rules;
use crate::refresh::incremental::{self, Attempt, Base};
use crate::refresh::law_tests::house::{cut_of, definition};
use crate::refresh::model::{Model, RefreshRecord};
use crate::refresh::output::judge_all;
use crate::refresh::recompute;
use crate::sql::{RefreshPolicy, Trigger};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;

pub struct House {
    lake: Arc<Lake>,
    /// What each view was computed from last.
    consumed: Mutex<HashMap<TableName, BTreeMap<TableName, i64>>>,
    engine: Engine,
    schema: &'static str,
    tables: BTreeMap<TableName, Arc<Table>>,
    _folder: TempDir,
}

impl House {
    /// A lake whose tables hold what the stream starts with; `schema` is the first part of their names.
    pub async fn open(schema: &'static str, stream: &Stream) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Arc::new(Lake::open(folder.path()).unwrap());
        let mut tables = BTreeMap::new();
        for rows in &stream.tables {
            let table = ensure(&lake, &TableName::new(schema, rows.name), rows.all.schema());
            let files = table.write(vec![stream.base(rows)], Effort::Fast).await.unwrap();
            table.commit(Commit::append(files, Vec::new())).await.unwrap();
            tables.insert(table.name().clone(), table);
        }
        let engine = Engine::new(1 << 30, 2).unwrap();
        Self { lake, consumed: Mutex::default(), engine, schema, tables, _folder: folder }
    }

    /// What stands now.
    pub fn cut(&self) -> Arc<Cut> {
        cut_of(&self.lake, &self.tables)
    }

    /// A query as a materialized view, its columns as a project's plan gives them, computed for the first time.
    pub async fn view(&self, name: &str, query: String) -> Model {
        let cut = self.cut();
        let plan =
            self.engine.plan_over(&cut, &query).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let schema = Arc::new(storable(plan.schema().as_arrow()).unwrap());
        let table = ensure(&self.lake, &TableName::new("views", name), Arc::clone(&schema));
        let mut inputs = BTreeSet::new();
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                inputs.insert(TableName::new(self.schema, scan.table_name.table()));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        let model = Model {
            name: table.name().clone(),
            table,
            quarantine: None,
            schema,
            partitioned_by: Vec::new(),
            query,
            continuation: None,
            streams: Vec::new(),
            inputs: inputs.into_iter().collect(),
            trigger: Trigger::default(),
            // What there is a rule for is asked, not what is worth it on a machine that does other things, too.
            policy: RefreshPolicy::Incremental,
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
        };
        self.bring(&model, &cut, None).await;
        model
    }

    /// The query's rows, computed whole, as they would be stored.
    pub async fn whole(&self, model: &Model, cut: &Arc<Cut>) -> Vec<RecordBatch> {
        let batches = self.engine.collect_over(cut, &model.query).await;
        let batches = batches.unwrap_or_else(|error| panic!("{}: {error}", model.name));
        let state = self.engine.state_at(cut, cut.wave_time);
        let mut rules = Rules::compile(&state, &[], &model.schema).unwrap();
        judge_all(model, &mut rules, &batches).unwrap()
    }

    /// Brings a view from one cut to another, by changes where it can be done so.
    pub async fn refresh(&self, model: &Model, from: &Arc<Cut>, to: &Arc<Cut>) -> RefreshRecord {
        self.bring(model, to, Some(from)).await
    }

    async fn bring(&self, model: &Model, to: &Arc<Cut>, from: Option<&Arc<Cut>>) -> RefreshRecord {
        let consumed = self.consumed.lock().unwrap().get(&model.name).cloned().unwrap_or_default();
        let base = Base { lake: &self.lake, tables: &self.tables, consumed: &consumed, cut: from };
        let attempt = incremental::refresh(model, &self.engine, to, base).await;
        let done = match attempt.unwrap_or_else(|error| panic!("{}: {error:?}", model.name)) {
            Attempt::Done(done) => *done,
            Attempt::Refused(why) => recompute::refresh(model, &self.engine, to, &why).await.unwrap(),
        };
        self.consumed.lock().unwrap().insert(model.name.clone(), done.consumed);
        done.record
    }

    /// Commits a change: rows go by deletion vectors, rows come in a file.
    pub async fn take(&self, change: &Change) {
        let table = &self.tables[&TableName::new(self.schema, change.table)];
        let snapshot = table.snapshot();
        let mut deletes = Vec::new();
        let mut found = HashSet::new();
        for file in snapshot.files.iter().filter(|_| !change.gone.is_empty()) {
            let mut gone = Table::deleted_rows(file);
            let before = gone.len();
            table
                .read_file::<Error>(&snapshot, file, |batch, positions| {
                    let keys = key_columns(&batch, change.key);
                    for (row, at) in positions.into_iter().enumerate() {
                        let key = keys.of(row);
                        if change.gone.contains(&key) {
                            found.insert(key);
                            gone.insert(at);
                        }
                    }
                    Ok(())
                })
                .unwrap();
            if gone.len() > before {
                deletes.push((Arc::clone(file), gone));
            }
        }
        assert_eq!(found, change.gone, "{}: rows that should go are not there", change.table);
        let adds = match &change.rows {
            Some(rows) => table.write(vec![rows.clone()], Effort::Fast).await.unwrap(),
            None => Vec::new(),
        };
        table.commit(Commit { deletes, ..Commit::append(adds, Vec::new()) }).await.unwrap();
    }

    /// Folds the files of every table into one.
    pub async fn fold(&self) {
        for table in self.tables.values() {
            let files = table.snapshot().files.clone();
            if files.len() > 1 {
                table.fold(files).await.unwrap();
            }
        }
    }
}

fn ensure(lake: &Lake, name: &TableName, schema: SchemaRef) -> Arc<Table> {
    lake.ensure(name, &definition(schema)).unwrap()
}
