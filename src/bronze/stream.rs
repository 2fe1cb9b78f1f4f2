//! A source's tables: the rows, the quarantine beside them, the manifest of files.

use super::resume::{self, BATCH, NEWEST};
use super::schema::manifest_schema;
use super::watermark::Watermarks;
use crate::ingest::{FileProgress, Past, Resume};
use crate::lake::{Error, Lake, Snapshot, Table, TableDefinition, TableName};
use crate::ops::clock;
use crate::sql::{Connector, SourceDefinition, quarantine_schema, table_schema};
use arrow::array::{Array, AsArray as _};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The versions that belong together after a commit.
#[derive(Clone, Debug)]
pub struct BronzeCut {
    /// The rows.
    pub main: Arc<Snapshot>,
    /// The rejected records that go with them.
    pub quarantine: Arc<Snapshot>,
}

/// A source's tables, ready to be written.
#[derive(Debug)]
pub struct Stream {
    /// What it is.
    pub definition: Arc<SourceDefinition>,
    pub(super) main: Arc<Table>,
    pub(super) quarantine: Arc<Table>,
    pub(super) manifest: Option<Arc<Table>>,
    pub(super) cuts: watch::Sender<BronzeCut>,
    /// Records taken of each file, as the manifest has them.
    files: Mutex<BTreeMap<String, i64>>,
    /// Held by who commits; true once nobody may begin to any more but the writer.
    pub(super) commits: tokio::sync::Mutex<bool>,
}

impl Stream {
    /// Opens (and creates) the tables, takes back what a crash left between two commits, and tells where to resume.
    pub async fn open(lake: Arc<Lake>, definition: Arc<SourceDefinition>) -> Result<(Self, Resume), Error> {
        let name = definition.name.clone();
        let source = Arc::clone(&definition);
        let opened = tokio::task::spawn_blocking(move || open_tables(&lake, &source)).await;
        let (main, quarantine, manifest) = opened.map_err(|_| Error::Stopped { table: name.clone() })??;
        let main_batch = main.snapshot().transaction(BATCH).unwrap_or(0);
        for side in std::iter::once(&quarantine).chain(&manifest) {
            side.take_back(BATCH, main_batch).await?;
        }
        let files = match &manifest {
            Some(manifest) => read_manifest(manifest).await?,
            None => Vec::new(),
        };
        let taken = files.iter().map(|file| (file.path.clone(), file.taken)).collect();
        let past = Arc::new(TablePast { main: Arc::clone(&main), quarantine: Arc::clone(&quarantine) });
        // What is kept of a masked record is not what a broker still has of it.
        let past = definition.masking.fields.is_empty().then_some(past as Arc<dyn Past>);
        let resume = Resume { positions: resume::positions(&main.snapshot()), files, past };
        let (cuts, _) =
            watch::channel(BronzeCut { main: main.snapshot(), quarantine: quarantine.snapshot() });
        let (files, commits) = (Mutex::new(taken), tokio::sync::Mutex::default());
        Ok((Self { definition, main, quarantine, manifest, cuts, files, commits }, resume))
    }

    /// Waits for a replay that is going on, and lets none begin any more.
    pub async fn close(&self) {
        *self.commits.lock().await = true;
    }

    /// The newest versions that belong together, and a signal for each new pair.
    pub fn cuts(&self) -> watch::Receiver<BronzeCut> {
        self.cuts.subscribe()
    }

    /// The bronze table.
    pub fn table(&self) -> &Arc<Table> {
        &self.main
    }

    /// The quarantine table.
    pub fn quarantine(&self) -> &Arc<Table> {
        &self.quarantine
    }

    /// How far each partition is durable; a file counts as one, its position being the records taken of it.
    pub fn positions(&self) -> BTreeMap<String, i64> {
        let mut positions = resume::positions(&self.main.snapshot());
        positions.extend(self.files.lock().iter().map(|(path, taken)| (path.clone(), *taken)));
        positions
    }

    /// Notes what of files has become durable.
    pub(super) fn note_files(&self, files: &[FileProgress]) {
        self.files.lock().extend(files.iter().map(|file| (file.path.clone(), file.taken)));
    }

    /// The number of the last commit.
    pub(super) fn batch(&self) -> i64 {
        self.main.snapshot().transaction(BATCH).unwrap_or(0)
    }

    /// The watermark that stands, microseconds since 1970.
    pub fn watermark(&self) -> Option<i64> {
        resume::watermark_at(&self.main.snapshot())
    }

    /// What is known of its partitions' time; `None` when it declares no watermark.
    pub(super) fn watermarks(&self) -> Option<Watermarks> {
        let declared = self.definition.watermark.as_ref()?;
        let snapshot = self.main.snapshot();
        let newest = snapshot.transactions_of(NEWEST).map(|(name, newest)| (name.to_string(), newest));
        Some(Watermarks::new(declared, self.watermark(), newest, clock::instant()))
    }
}

type Tables = (Arc<Table>, Arc<Table>, Option<Arc<Table>>);

fn open_tables(lake: &Lake, source: &SourceDefinition) -> Result<Tables, Error> {
    let definition = TableDefinition::append_only;
    let main = lake.ensure(&source.name, &definition(table_schema(source)))?;
    let quarantine = lake.ensure(&source.name.quarantine(), &definition(quarantine_schema()))?;
    let manifest = match source.connector {
        Connector::Files => {
            let name = TableName::new(&source.name.schema, format!("{}__files", source.name.name));
            Some(lake.ensure(&name, &definition(manifest_schema()))?)
        }
        Connector::Kafka | Connector::Http | Connector::Datagen => None,
    };
    Ok((main, quarantine, manifest))
}

async fn read_manifest(manifest: &Arc<Table>) -> Result<Vec<FileProgress>, Error> {
    let name = manifest.name().clone();
    let table = Arc::clone(manifest);
    let read = tokio::task::spawn_blocking(move || {
        let snapshot = table.snapshot();
        let mut steps = Vec::new();
        for file in &snapshot.files {
            table.read_file::<Error>(&snapshot, file, |rows, _| {
                let batches =
                    rows.column_by_name("batch").map(|c| c.as_primitive::<Int64Type>().values().to_vec());
                steps.extend(batches.unwrap_or_default().into_iter().zip(resume::progress(&rows)));
                Ok(())
            })?;
        }
        // Folding keeps rows but not the order of files: the commit's number does.
        steps.sort_by_key(|(batch, step)| (*batch, step.taken));
        Ok::<_, Error>(steps.into_iter().map(|(_, step)| step).collect())
    });
    read.await.map_err(|_| Error::Stopped { table: name })?
}

/// Looks a record up by position: newest files first, skipping those whose bounds exclude it.
struct TablePast {
    main: Arc<Table>,
    quarantine: Arc<Table>,
}

#[async_trait]
impl Past for TablePast {
    async fn raw_at(&self, partition: &str, offset: i64) -> Result<Option<Vec<u8>>, String> {
        let tables = [
            (Arc::clone(&self.main), "_partition", "_offset", "_raw"),
            (Arc::clone(&self.quarantine), "partition", "offset", "raw"),
        ];
        let partition = partition.to_string();
        let found = tokio::task::spawn_blocking(move || {
            for (table, partition_column, offset_column, raw_column) in tables {
                let found =
                    find_raw(&table, (partition_column, &partition), (offset_column, offset), raw_column)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok::<_, Error>(None)
        });
        found.await.map_err(|e| e.to_string())?.map_err(|e| crate::lake::chain(&e))
    }
}

fn find_raw(
    table: &Table,
    (partition_column, partition): (&str, &str),
    (offset_column, offset): (&str, i64),
    raw_column: &str,
) -> Result<Option<Vec<u8>>, Error> {
    use datafusion::common::ScalarValue;
    let snapshot = table.snapshot();
    for file in snapshot.files.iter().rev() {
        let statistics = file.statistics(&snapshot.schema);
        let excluded = statistics.columns.get(offset_column).is_some_and(|bounds| {
            let wanted = ScalarValue::Int64(Some(offset));
            bounds.min.as_ref().is_some_and(|min| *min > wanted)
                || bounds.max.as_ref().is_some_and(|max| *max < wanted)
        });
        if excluded {
            continue;
        }
        let mut found = None;
        table.read_file::<Error>(&snapshot, file, |rows, _| {
            let columns = (
                rows.column_by_name(partition_column),
                rows.column_by_name(offset_column),
                rows.column_by_name(raw_column),
            );
            if let (Some(partitions), Some(offsets), Some(raw)) = columns {
                let partitions = partitions.as_string::<i32>();
                let offsets = offsets.as_primitive::<Int64Type>();
                let hit = (0..rows.num_rows()).find(|row| {
                    offsets.is_valid(*row)
                        && offsets.value(*row) == offset
                        && partitions.is_valid(*row)
                        && partitions.value(*row) == partition
                });
                if let Some(row) = hit {
                    found = raw.is_valid(row).then(|| raw.as_binary::<i32>().value(row).to_vec());
                }
            }
            Ok(())
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
