//! A folder in which files appear, and what comes out of the channel.

use super::*;
use crate::ingest::{FileProgress, Reporter};
use crate::lake::TableName;
use crate::sql::{ColumnDefinition, Connector, Origin};
use ::parquet::arrow::ArrowWriter;
use arrow::array::{Array, AsArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;
use std::fs;
use std::path::Path;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod looks;

const CSV: Encode = Encode::Csv { delimiter: b',', header: true };
/// Long enough for a slow machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Reporter for Told {
    fn trouble(&self, message: &str) {
        self.0.lock().push(message.to_string());
    }
    fn healthy(&self) {
        self.0.lock().push("healthy".to_string());
    }
    fn lag_records(&self, _: i64) {}
}

/// A source at work.
struct Running {
    batches: mpsc::Receiver<Batch>,
    told: Arc<Told>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SourceError>>,
    /// What has become durable.
    durable: Vec<FileProgress>,
    rejected: Vec<(String, i64, &'static str, String)>,
}

/// `(id, _source, _partition, _offset, _raw)` of a row.
type Row = (i64, String, String, i64, Option<String>);

fn definition(encode: Encode) -> Arc<SourceDefinition> {
    let column =
        |name: &str, data_type, nullable| ColumnDefinition { name: name.to_string(), data_type, nullable };
    Arc::new(SourceDefinition {
        name: TableName::new("bronze", "things"),
        columns: vec![
            column("id", DataType::Int64, false),
            column("name", DataType::Utf8, true),
            column("amount", DataType::Decimal128(10, 2), true),
        ],
        tags: vec![],
        watermark: None,
        includes: Vec::new(),
        masking: Default::default(),
        connector: Connector::Files,
        connection: None,
        options: Default::default(),
        encode,
        sql: String::new(),
        origin: Origin::default(),
    })
}

fn start(
    folder: &Path,
    path: &str,
    encode: Encode,
    on_change: OnChange,
    durable: Vec<FileProgress>,
) -> Running {
    let settings =
        FilesSettings { start: folder.to_path_buf(), path: path.to_string(), on_change, poll: POLL };
    let source = Box::new(FilesSource::new(definition(encode), settings).unwrap());
    let (sender, batches) = mpsc::channel(1);
    let (told, stop) = (Arc::new(Told::default()), CancellationToken::new());
    let reporter = Arc::clone(&told) as Arc<dyn Reporter>;
    let outlet = Outlet { batches: sender, reporter, stop: stop.clone() };
    let resume = Resume { files: durable.clone(), ..Resume::default() };
    let task = tokio::spawn(source.run(resume, outlet));
    Running { batches, told, stop, task, durable, rejected: Vec::new() }
}

impl Running {
    /// The rows of the next batch.
    async fn batch(&mut self) -> Vec<Row> {
        let batch = tokio::time::timeout(PATIENCE, self.batches.recv()).await.unwrap().unwrap();
        self.durable.extend(batch.files);
        self.rejected.extend(batch.rejected.into_iter().map(|r| {
            assert!(r.partition.contains('@'), "{}", r.partition);
            (String::from_utf8_lossy(&r.raw).into_owned(), r.offset, r.rule, r.reason)
        }));
        let text = |column: &str| batch.rows.column_by_name(column).unwrap().as_string::<i32>().clone();
        let number =
            |column: &str| batch.rows.column_by_name(column).unwrap().as_primitive::<Int64Type>().clone();
        let (ids, offsets, sources, partitions) =
            (number("id"), number("_offset"), text("_source"), text("_partition"));
        let raws = batch.rows.column_by_name("_raw").unwrap().as_binary::<i32>().clone();
        let raw = |row| raws.is_valid(row).then(|| String::from_utf8_lossy(raws.value(row)).into_owned());
        (0..batch.rows.num_rows())
            .map(|row| {
                let (source, partition) = (sources.value(row).to_string(), partitions.value(row).to_string());
                (ids.value(row), source, partition, offsets.value(row), raw(row))
            })
            .collect()
    }

    /// Rows until so many have come, rejected ones included.
    async fn rows(&mut self, count: usize) -> Vec<Row> {
        let (mut rows, before) = (Vec::new(), self.rejected.len());
        while rows.len() + self.rejected.len() - before < count {
            rows.extend(self.batch().await);
        }
        assert_eq!(rows.len() + self.rejected.len() - before, count);
        rows
    }

    async fn ids(&mut self, count: usize) -> Vec<i64> {
        self.rows(count).await.into_iter().map(|row| row.0).collect()
    }

    /// Lets several looks pass, in which nothing must come.
    async fn quiet(&mut self) {
        tokio::time::sleep(12 * POLL).await;
        assert!(self.batches.try_recv().is_err());
    }

    async fn told(&self, part: &str) {
        let waiting = async {
            while !self.told.0.lock().iter().any(|told| told.contains(part)) {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{part} was not told, but {:?}", self.told.0.lock());
        }
    }

    async fn stop(self) -> Vec<FileProgress> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
        self.durable
    }
}

/// Puts a file there whole, as one does who renames it in.
fn put(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let hidden = folder.join(format!(".{}.writing", name.replace('/', "_")));
    fs::write(&hidden, content).unwrap();
    fs::rename(hidden, folder.join(name)).unwrap();
}

fn parquet_file(columns: Vec<(&str, Arc<dyn Array>)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_files_are_lines_or_an_array() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("in/deep")).unwrap();
    put(folder.path(), "in/a.json", "{\"id\":1}\n\n{\"id\":\"x\"}\n{\"id\":2}");
    put(folder.path(), "in/deep/b.json", " [ {\"id\": 3},\n{\"id\": 4} ] ");
    put(folder.path(), "in/empty.json", "");
    let mut running = start(folder.path(), "in", Encode::Json, OnChange::Take, Vec::new());
    let rows = running.rows(5).await;
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let (_, source, partition, offset, raw) = &rows[1];
    assert_eq!((source.as_str(), *offset, raw.as_deref()), ("a.json", 2, Some("{\"id\":2}")));
    let progress = running.durable.iter().find(|p| p.path == "a.json" && p.done).unwrap();
    assert_eq!((progress.taken, progress.content.len()), (3, 64));
    assert_eq!(*partition, format!("a.json@{}", &progress.content[..12]));
    assert_eq!(
        (rows[3].1.as_str(), rows[3].3, rows[3].4.as_deref()),
        ("deep/b.json", 1, Some("\n{\"id\": 4} "))
    );
    let (raw, offset, rule, reason) = &running.rejected[0];
    assert_eq!((raw.as_str(), *offset, *rule), ("{\"id\":\"x\"}", 1, "type"));
    assert_eq!(reason, "field \"id\": cannot read \"x\" as BIGINT");
    running.told("healthy").await;
    assert!(running.durable.iter().all(|p| p.path != "empty.json"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_files_have_headers_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.csv", "\u{feff}name,id\r\n\"two\nlines\",1\r\n,2\r\n");
    put(folder.path(), "b.csv", "id,other\n3,x\n4,\"open\n5,y\n");
    put(folder.path(), "c.txt", "id\n9\n");
    put(folder.path(), "d.csv", "nothing,known\n1,2\n");
    let mut running = start(folder.path(), "*.csv", CSV, OnChange::Take, Vec::new());
    let rows = running.rows(5).await;
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3, 5]);
    assert_eq!((rows[0].3, rows[0].4.as_deref()), (0, Some("\"two\nlines\",1")));
    assert_eq!(running.rejected[0].0, "4,\"open");
    assert_eq!((running.rejected[0].1, running.rejected[0].2), (1, "syntax"));
    running.told("file \"d.csv\": the header line names none of the columns id, name, amount").await;
    // Put right, it is taken, and the trouble is over.
    put(folder.path(), "d.csv", "id\n6\n");
    assert_eq!(running.ids(1).await, [6]);
    running.told("healthy").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_content_of_a_path_is_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.json", "{\"id\":1}");
    let mut running = start(folder.path(), ".", Encode::Json, OnChange::Take, Vec::new());
    assert_eq!(running.ids(1).await, [1]);
    running.quiet().await;
    // Touched: the same content is no arrival. Rewritten: it is one. Put back: known.
    put(folder.path(), "a.json", "{\"id\":1}");
    running.quiet().await;
    put(folder.path(), "a.json", "{\"id\":2}");
    assert_eq!(running.ids(1).await, [2]);
    put(folder.path(), "a.json", "{\"id\":1}");
    running.quiet().await;
    // The same content at another path is another arrival.
    put(folder.path(), "b.json", "{\"id\":1}");
    assert_eq!(running.ids(1).await, [1]);
    let durable = running.stop().await;
    let mut running = start(folder.path(), ".", Encode::Json, OnChange::Take, durable.clone());
    running.quiet().await;
    running.stop().await;
    put(folder.path(), "b.json", "{\"id\":3}");
    let mut running = start(folder.path(), ".", Encode::Json, OnChange::Error, durable);
    let error = tokio::time::timeout(PATIENCE, &mut running.task).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, SourceError::FileChanged(_)), "{error}");
    assert!(error.to_string().contains("file \"b.json\" was taken with content "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_inside_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let lines = |range: std::ops::Range<i64>| range.map(|id| format!("{id},n{id}\n")).collect::<String>();
    put(folder.path(), "big.csv", format!("id,name\n{}", lines(0..70_000)));
    put(folder.path(), "small.csv", format!("id,name\n{}", lines(70_000..70_003)));
    let mut running = start(folder.path(), ".", CSV, OnChange::Take, Vec::new());
    let mut ids: Vec<i64> = running.batch().await.into_iter().map(|row| row.0).collect();
    assert_eq!(running.durable.len(), 1);
    assert_eq!((running.durable[0].taken, running.durable[0].done), (65_536, false));
    let durable = running.stop().await;
    let mut running = start(folder.path(), ".", CSV, OnChange::Take, durable);
    ids.extend(running.ids(70_003 - 65_536).await);
    assert!(ids.into_iter().eq(0..70_003), "each record once, in order");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parquet_files_are_cast_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let file = parquet_file(vec![
        ("amount", Arc::new(Float64Array::from(vec![Some(1.5), Some(0.125), None, Some(1e12), Some(2.0)]))),
        ("id", Arc::new(StringArray::from(vec![Some("1"), Some("2"), Some("3"), Some("4"), None]))),
        ("unknown", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]))),
    ]);
    put(folder.path(), "a.parquet", &file);
    put(folder.path(), "b.parquet", b"PAR1 is not enough");
    let other = parquet_file(vec![("unknown", Arc::new(Int64Array::from(vec![1])))]);
    put(folder.path(), "c.parquet", other);
    let mut running = start(folder.path(), ".", Encode::Parquet, OnChange::Take, Vec::new());
    let rows = running.rows(5).await;
    assert_eq!(
        rows.iter().map(|row| (row.0, row.3, row.4.clone())).collect::<Vec<_>>(),
        [(1, 0, None), (3, 2, None)]
    );
    let rejected: Vec<_> = running.rejected.iter().map(|r| (r.1, r.2, r.3.as_str())).collect();
    assert_eq!(
        rejected,
        [
            (1, "type", "field \"amount\": cannot read 0.125 as DECIMAL(10,2)"),
            (3, "type", "field \"amount\": cannot read 1000000000000.0 as DECIMAL(10,2)"),
            (4, "not_null", "field \"id\": is NOT NULL, but the record has no value for it"),
        ]
    );
    assert_eq!(running.rejected[0].0, "{\"amount\":0.125,\"id\":\"2\"}");
    running.told("file \"b.parquet\": cannot be read as parquet").await;
    running.told("file \"c.parquet\": it has none of the columns id, name, amount").await;
    let durable = running.stop().await;
    // Taken up to the second row, it goes on at the third.
    let mut begun = durable.iter().find(|p| p.path == "a.parquet").unwrap().clone();
    (begun.taken, begun.done) = (2, false);
    let mut running = start(folder.path(), ".", Encode::Parquet, OnChange::Take, vec![begun]);
    let rows = running.rows(3).await;
    assert_eq!((rows[0].0, rows[0].3), (3, 2));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_file_of_the_source_is_left_alone() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(outside.path(), "secret.json", "{\"id\":666}");
    std::os::unix::fs::symlink(outside.path().join("secret.json"), folder.path().join("link.json")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("linked")).unwrap();
    put(folder.path(), "half.json.tmp", "{\"id\":2}");
    put(folder.path(), "half.json.PART", "{\"id\":3}");
    put(folder.path(), ".hidden.json", "{\"id\":4}");
    put(folder.path(), "a.json", "{\"id\":1}");
    std::os::unix::fs::symlink(folder.path().join("a.json"), folder.path().join("b.json")).unwrap();
    let mut running = start(folder.path(), ".", Encode::Json, OnChange::Take, Vec::new());
    assert_eq!(running.ids(2).await, [1, 1]);
    running.told("file \"link.json\": the link leads out of the source's folder").await;
    running.quiet().await;
    fs::rename(folder.path().join("half.json.tmp"), folder.path().join("half.json")).unwrap();
    assert_eq!(running.ids(1).await, [2]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start(folder.path(), "later/*.json", Encode::Json, OnChange::Take, Vec::new());
    running.told("cannot be looked at").await;
    fs::create_dir(folder.path().join("later")).unwrap();
    put(folder.path(), "later/a.json", "{\"id\":1}");
    assert_eq!(running.ids(1).await, [1]);
    running.told("healthy").await;
    running.stop().await;
}
