//! Reading a snapshot (or some of its files) with DataFusion: a plain parquet scan over a pinned file list.
//!
//! Each file carries two kinds of bounds. *Pruning* bounds are marked exact, with timestamps' maxima widened to the
//! next millisecond because other writers cut them; they only ever skip files that cannot match. *Planning* statistics
//! mark as inexact whatever might be widened, cut or counted before deletions, so that no query is answered from them.

use super::decoded::ReadsAgain;
use super::index::{Indexes, Keys};
use super::snapshot::{DataFile, Snapshot};
use super::stats::{ColumnBounds, FileStatistics};
use super::{Error, TableKind, schema, vector};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{
    ColumnStatistics, DFSchema, DataFusionError, ScalarValue, Statistics, project_schema,
};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion_datasource::compute_all_files_statistics;
use datafusion_datasource_parquet::ParquetRowSelection;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Microseconds by which another writer may have cut a timestamp's maximum.
const TIMESTAMP_CUT_US: i64 = 999;

/// So many rows that were looked up are held in memory.
const LOOKED_UP_ROWS_MAX: u64 = 65_536;

/// A table pinned to a file list.
#[derive(Debug)]
pub struct FilesProvider {
    pub(super) snapshot: Arc<Snapshot>,
    root: PathBuf,
    pub(super) files: Vec<Arc<DataFile>>,
    pub(super) indexes: Arc<Indexes>,
    table_schema: TableSchema,
    /// The table's own column order; files come first in [`TableSchema`], partition columns last.
    pub(super) schema: SchemaRef,
    order: Vec<usize>,
    /// The files stand for rows that were looked up.
    is_narrowed: bool,
    /// The files as scans need them, made by the first scan.
    planned: OnceLock<Vec<PlannedFile>>,
}

/// One file, ready for a scan.
#[derive(Clone, Debug)]
struct PlannedFile {
    data: Arc<DataFile>,
    file: PartitionedFile,
    planning: Arc<Statistics>,
}

impl FilesProvider {
    /// The rows of some of a snapshot's files.
    pub(super) fn new(
        snapshot: &Arc<Snapshot>,
        files: Vec<Arc<DataFile>>,
        root: PathBuf,
        indexes: Arc<Indexes>,
    ) -> Self {
        let schema = schema::query_schema(&snapshot.schema);
        let is_partition = |field: &Field| snapshot.partition_columns.contains(field.name());
        let (partition, data): (Vec<_>, Vec<_>) =
            schema.fields().iter().cloned().partition(|f| is_partition(f));
        let table_schema =
            TableSchema::builder(Arc::new(Schema::new(data))).with_table_partition_cols(partition).build();
        let order = schema
            .fields()
            .iter()
            .filter_map(|field| table_schema.table_schema().index_of(field.name()).ok())
            .collect();
        Self {
            snapshot: Arc::clone(snapshot),
            root,
            files,
            indexes,
            table_schema,
            schema,
            order,
            is_narrowed: false,
            planned: OnceLock::new(),
        }
    }

    /// How the table takes changes.
    pub fn kind(&self) -> TableKind {
        self.snapshot.kind()
    }

    /// How many rows there are, when every file says so.
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().map(|file| file.live_rows(&self.snapshot.schema)).sum()
    }

    /// How many bytes the files have.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The rows that may have one of the keys (for each of `columns` a column of values), found by an index, so that
    /// the others are not read. `None` when these columns cannot be looked up. Blocks.
    pub fn narrowed(&self, columns: &[usize], keys: &[RecordBatch]) -> Result<Option<Self>, Error> {
        let arrow = |source| Error::Arrow { table: self.snapshot.table.clone(), source };
        let Some(keys) = Keys::new(&self.snapshot, columns, keys).map_err(arrow)? else { return Ok(None) };
        let files = self.indexes.narrow(&self.snapshot, &self.root, &self.files, &keys)?;
        Ok(Some(Self { is_narrowed: true, ..self.of(files) }))
    }

    /// The rows of these files instead.
    pub(super) fn of(&self, files: Vec<Arc<DataFile>>) -> Self {
        Self::new(&self.snapshot, files, self.root.clone(), Arc::clone(&self.indexes))
    }

    /// How many rows a scan looks up one by one; `None` when it reads files from end to end.
    pub fn looked_up_rows(&self) -> Option<u64> {
        self.rows().filter(|rows| self.is_narrowed && *rows <= LOOKED_UP_ROWS_MAX)
    }

    /// Every file, ready for a scan: the same for all scans of this provider.
    fn planned(&self) -> Result<&[PlannedFile]> {
        if let Some(planned) = self.planned.get() {
            return Ok(planned);
        }
        let planned = self.files.iter().map(|file| self.plan_file(file)).collect::<Result<Vec<_>>>()?;
        Ok(self.planned.get_or_init(|| planned))
    }

    fn plan_file(&self, file: &Arc<DataFile>) -> Result<PlannedFile> {
        let statistics = file.statistics(&self.snapshot.schema);
        let location = ObjectPath::from_absolute_path(self.root.join(&file.path)).map_err(external)?;
        let mut planned = PartitionedFile::new_from_meta(ObjectMeta {
            location,
            last_modified: chrono::DateTime::from_timestamp_millis(file.modified_ms).unwrap_or_default(),
            size: file.size,
            e_tag: None,
            version: None,
        });
        planned.partition_values = self
            .table_schema
            .table_partition_cols()
            .iter()
            .map(|field| match file.partition_values.get(field.name()) {
                Some(Some(text)) => ScalarValue::try_from_string(text.clone(), field.data_type()),
                _ => ScalarValue::try_from(field.data_type()),
            })
            .collect::<Result<Vec<_>>>()?;
        let Some(rows) = statistics.rows.or((!file.is_partly_read()).then_some(0)) else {
            let table = &self.snapshot.table;
            let reason = format!("table {table}: file {} has deleted rows but no row count", file.path);
            return Err(DataFusionError::Execution(reason));
        };
        if let Some(selection) = vector::selection_of(file, rows) {
            planned = planned.with_extension(ParquetRowSelection::new(selection));
        }
        let bounds = |exactness| self.statistics(file, &statistics, exactness);
        let planning = with_statistics(planned.clone(), bounds(Exactness::Planning));
        let pruning = with_statistics(planned, bounds(Exactness::Pruning));
        let planning = planning.statistics.unwrap_or_default();
        Ok(PlannedFile { data: Arc::clone(file), file: pruning, planning })
    }

    /// Statistics of the file's own columns; [`with_statistics`] adds the partition columns.
    fn statistics(&self, file: &DataFile, known: &FileStatistics, exactness: Exactness) -> Statistics {
        // Others may say bounds that are wider than the values.
        let has_deletions = file.is_partly_read() || self.snapshot.store.is_foreign();
        let nothing = ColumnBounds::default();
        let columns = self.table_schema.file_schema().fields().iter().map(|field| {
            let bounds = known.columns.get(field.name()).unwrap_or(&nothing);
            column_statistics(bounds, field.data_type(), exactness, has_deletions)
        });
        let rows = file.live_rows(&self.snapshot.schema).and_then(|rows| usize::try_from(rows).ok());
        Statistics {
            num_rows: rows.map_or(Precision::Absent, Precision::Exact),
            total_byte_size: Precision::Inexact(usize::try_from(file.size).unwrap_or(usize::MAX)),
            column_statistics: columns.collect(),
        }
    }

    /// What the wanted rows hold to, by the columns of files.
    fn predicate(&self, state: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let schema = DFSchema::try_from(Arc::clone(self.table_schema.table_schema()))?;
        conjunction(filters.to_vec()).map(|filter| state.create_physical_expr(filter, &schema)).transpose()
    }

    /// Files that may hold matching rows.
    fn prune(
        &self,
        predicate: Option<&Arc<dyn PhysicalExpr>>,
        files: &[PlannedFile],
    ) -> Result<Vec<PlannedFile>> {
        let Some(predicate) = predicate.cloned() else { return Ok(files.to_vec()) };
        let schema = self.table_schema.table_schema();
        let bounds: Vec<_> = files.iter().filter_map(|f| f.file.statistics.clone()).collect();
        let keep = PruningPredicateBuilder::new()
            .with_file_schema(Arc::clone(schema))
            .try_build(predicate)
            .and_then(|pruning| pruning.prune(&PrunableStatistics::new(bounds, Arc::clone(schema))));
        // A predicate that cannot prune prunes nothing: the scan still filters.
        Ok(match keep {
            Ok(keep) if keep.len() == files.len() => {
                files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file.clone()).collect()
            }
            _ => files.to_vec(),
        })
    }
}

/// A file with its statistics and those of its partition columns. DataFusion 55 says of the latter that they are never NULL:
/// files of which all rows are would be left out where NULL is asked for.
fn with_statistics(file: PartitionedFile, statistics: Statistics) -> PartitionedFile {
    let rows = statistics.num_rows;
    let mut file = file.with_statistics(Arc::new(statistics));
    if let Some(statistics) = &mut file.statistics {
        let columns = Arc::make_mut(statistics).column_statistics.iter_mut().rev();
        for (column, value) in columns.zip(file.partition_values.iter().rev()) {
            if value.is_null() {
                (column.null_count, column.distinct_count) = (rows, Precision::Absent);
            }
        }
    }
    file
}

#[derive(Clone, Copy, PartialEq)]
enum Exactness {
    Planning,
    Pruning,
}

fn column_statistics(
    bounds: &ColumnBounds,
    data_type: &DataType,
    exactness: Exactness,
    has_deletions: bool,
) -> ColumnStatistics {
    let is_exact_type =
        data_type.is_integer() || matches!(data_type, DataType::Date32 | DataType::Decimal128(..));
    let exact = exactness == Exactness::Pruning || (is_exact_type && !has_deletions);
    let precision = |value: Option<ScalarValue>| match value.and_then(|v| v.cast_to(data_type).ok()) {
        // Pruning takes one array of bounds for all files: what is not known of a file is a NULL of the column's type.
        None if exactness == Exactness::Pruning => {
            ScalarValue::try_from(data_type).map_or(Precision::Absent, Precision::Exact)
        }
        None => Precision::Absent,
        Some(value) if exact => Precision::Exact(value),
        Some(value) => Precision::Inexact(value),
    };
    let max = match (&bounds.max, exactness) {
        (Some(ScalarValue::TimestampMicrosecond(Some(us), zone)), Exactness::Pruning) => {
            Some(ScalarValue::TimestampMicrosecond(Some(us.saturating_add(TIMESTAMP_CUT_US)), zone.clone()))
        }
        (max, _) => max.clone(),
    };
    let nulls = bounds.nulls.and_then(|n| usize::try_from(n).ok());
    let null_count = match nulls {
        None => Precision::Absent,
        Some(n) if has_deletions => Precision::Inexact(n),
        Some(n) => Precision::Exact(n),
    };
    ColumnStatistics {
        null_count,
        min_value: precision(bounds.min.clone()),
        max_value: precision(max),
        ..ColumnStatistics::new_unknown()
    }
}

#[async_trait]
impl TableProvider for FilesProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.looked_up_rows().is_some() {
            return self.look_up(projection).await;
        }
        let reads_again = state.config().get_extension::<ReadsAgain>().is_some();
        if reads_again && let Some(rows) = self.recall(projection, filters, limit).await? {
            return Ok(rows);
        }
        let predicate = self.predicate(state, filters)?;
        let files = self.prune(predicate.as_ref(), self.planned()?)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?)));
        }
        if reads_again && files.len() < self.files.len() {
            let left = self.of(files.iter().map(|file| Arc::clone(&file.data)).collect());
            if let Some(rows) = left.recall(projection, filters, limit).await? {
                return Ok(rows);
            }
        }
        self.scan_files(state, &files, projection, predicate, limit)
    }
}

impl FilesProvider {
    /// A scan of these files, in as many partitions as the session has.
    fn scan_files(
        &self,
        state: &dyn Session,
        files: &[PlannedFile],
        projection: Option<&Vec<usize>>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = match projection {
            Some(columns) => columns.iter().filter_map(|i| self.order.get(*i).copied()).collect(),
            None => self.order.clone(),
        };
        let schema = self.table_schema.table_schema();
        let groups = state.config().target_partitions().clamp(1, files.len());
        let per_group = files.len().div_ceil(groups);
        let planning_groups = files
            .chunks(per_group)
            .map(|group| {
                FileGroup::new(
                    group
                        .iter()
                        .map(|f| PartitionedFile {
                            statistics: Some(Arc::clone(&f.planning)),
                            ..f.file.clone()
                        })
                        .collect(),
                )
            })
            .collect();
        let (planning_groups, statistics) =
            compute_all_files_statistics(planning_groups, Arc::clone(schema), true, false)?;
        let groups = files
            .chunks(per_group)
            .zip(planning_groups)
            .map(|(group, planning)| {
                let group = FileGroup::new(group.iter().map(|f| f.file.clone()).collect());
                match planning.file_statistics(None) {
                    Some(statistics) => group.with_statistics(Arc::new(statistics.clone())),
                    None => group,
                }
            })
            .collect();
        let url = ObjectStoreUrl::local_filesystem();
        let store = state.runtime_env().object_store(&url)?;
        let mut options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        // Spark's timestamps, which in nanoseconds would end in the year 2262.
        options.global.coerce_int96 = Some("us".to_string());
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let readers = CachedParquetFileReaderFactory::new(store, footers);
        let mut source = ParquetSource::new(self.table_schema.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        if let Some(predicate) = predicate {
            // Row groups and pages are passed over by it; the rows themselves are filtered above.
            source = source.with_predicate(predicate);
        }
        let scan = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(wanted))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

pub(super) fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
