//! A table against a list of numbers: whatever is done to the one is done to the other.

use super::*;
use crate::ops::clock;
use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use chrono::DateTime;
use datafusion::physical_plan::displayable;
use datafusion::prelude::{Expr, SessionConfig, SessionContext, col, lit};
use proptest::prelude::*;
use roaring::RoaringTreemap;
use std::time::Duration;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("word", DataType::Utf8, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]))
}

fn name() -> TableName {
    TableName::new("silver", "numbers")
}

fn open(root: &Path) -> (Lake, Arc<Table>) {
    let lake = Lake::open(root).unwrap();
    let definition = TableDefinition {
        schema: schema(),
        partition_columns: Vec::new(),
        kind: TableKind::Maintained,
        properties: BTreeMap::new(),
    };
    let table = lake.ensure(&name(), &definition).unwrap();
    (lake, table)
}

/// Rows of these numbers; all are as old as the number of microseconds since 1970.
fn rows(numbers: &[i64], word: Option<&str>) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(numbers.to_vec())),
        Arc::new(StringArray::from(vec![word; numbers.len()])),
        Arc::new(TimestampMicrosecondArray::from(numbers.to_vec()).with_timezone("UTC")),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

async fn append(table: &Arc<Table>, numbers: &[i64], word: Option<&str>) -> Arc<Snapshot> {
    let adds = table.write(vec![rows(numbers, word)], Effort::Fast).await.unwrap();
    table.commit(Commit::append(adds, Vec::new())).await.unwrap()
}

/// Deletes by deletion vectors.
async fn delete(table: &Arc<Table>, doomed: impl Fn(i64) -> bool) {
    let snapshot = table.snapshot();
    let mut deletes = Vec::new();
    for file in &snapshot.files {
        let mut gone = Table::deleted_rows(file);
        let before = gone.len();
        table
            .read_file::<Error>(&snapshot, file, |batch, positions| {
                let numbers = batch.column(0).as_primitive::<Int64Type>().values().iter();
                gone.extend(
                    numbers.zip(positions).filter(|(n, _)| doomed(**n)).map(|(_, position)| position),
                );
                Ok(())
            })
            .unwrap();
        if gone.len() > before {
            deletes.push((Arc::clone(file), gone));
        }
    }
    let commit = Commit { operation: "DELETE", deletes, ..Commit::append(Vec::new(), Vec::new()) };
    table.commit(commit).await.unwrap();
}

/// What a query sees of a snapshot, sorted.
async fn seen(lake: &Lake, snapshot: &Arc<Snapshot>) -> Vec<i64> {
    numbers(lake.provider(snapshot)).await
}

/// From its files; one who asks again and again sees the same.
async fn numbers(provider: Arc<dyn TableProvider>) -> Vec<i64> {
    let read = async |session: SessionContext| {
        let frame = session.read_table(Arc::clone(&provider)).unwrap();
        sorted(&frame.select_columns(&["n"]).unwrap().collect().await.unwrap())
    };
    let numbers = read(SessionContext::new()).await;
    for _ in 0..2 {
        assert_eq!(read(reads_again()).await, numbers);
    }
    numbers
}

fn reads_again() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_extension(Arc::new(ReadsAgain)))
}

fn sorted(batches: &[RecordBatch]) -> Vec<i64> {
    let numbers = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    let mut numbers: Vec<i64> = numbers.copied().collect();
    numbers.sort_unstable();
    numbers
}

/// What was there, and what came, without what went.
async fn changed(lake: &Lake, table: &Arc<Table>, since: &(i64, Vec<i64>)) -> Vec<i64> {
    let snapshot = table.snapshot();
    let changes = table.changes(since.0, snapshot.version).await.unwrap().unwrap();
    let came = numbers(lake.provider_of_files(&snapshot, changes.inserted.clone())).await;
    let went = numbers(lake.provider_of_files(&snapshot, changes.deleted.clone())).await;
    let count = |numbers: &[i64]| u64::try_from(numbers.len()).unwrap();
    assert_eq!(changes.rows(&snapshot), Some((count(&came), count(&went))));
    let mut numbers = [since.1.clone(), came].concat();
    for gone in went {
        let at = numbers.iter().position(|n| *n == gone).expect("a row went that was not there");
        numbers.swap_remove(at);
    }
    numbers.sort_unstable();
    numbers
}

fn is_key(number: &i64) -> bool {
    number % 7 == 3
}

/// The rows of some keys, found by their index: as a query reads them, and the same as upkeep would.
async fn looked_up(lake: &Lake, table: &Arc<Table>) -> Vec<i64> {
    let snapshot = table.snapshot();
    let keys = Int64Array::from_iter_values((0..100).filter(is_key));
    let keys = [RecordBatch::try_from_iter([("k", Arc::new(keys) as ArrayRef)]).unwrap()];
    let provider = lake.provider(&snapshot);
    let files = (provider.as_ref() as &dyn std::any::Any).downcast_ref::<FilesProvider>().unwrap();
    let queried = numbers(Arc::new(files.narrowed(&[0], &keys).unwrap().unwrap())).await;
    let mut read: Vec<i64> = Vec::new();
    for file in table.files_of_keys(&snapshot, &[0], &keys).unwrap().unwrap() {
        table
            .read_file::<Error>(&snapshot, &file, |batch, positions| {
                assert_eq!(batch.num_rows(), positions.len());
                read.extend(batch.column(0).as_primitive::<Int64Type>().values());
                Ok(())
            })
            .unwrap();
    }
    read.sort_unstable();
    assert_eq!(read, queried);
    queried
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<i64>),
    /// Deletes the numbers that leave `1` when divided by `0`.
    Delete(i64, i64),
    Fold,
    Tidy,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0i64..100, 1..20).prop_map(Step::Append),
        2 => (2i64..7, 0i64..7).prop_map(|(by, left)| Step::Delete(by, left % by)),
        1 => Just(Step::Fold),
        1 => Just(Step::Tidy),
        1 => Just(Step::Reopen),
    ]
}

/// Everything at once: the fold takes two files of a class, checkpoints come every third commit, nothing is kept.
const EAGER: UpkeepSettings = UpkeepSettings {
    fold_files_min: 2,
    fold_bytes_max: 64 << 20,
    deleted_percent_max: 30,
    checkpoint_commits: 3,
    keep: Duration::ZERO,
};

async fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted: Vec<i64> = Vec::new();
    let (mut lake, mut table) = open(folder.path());
    let mut since = (table.snapshot().version, Vec::new());
    for step in steps {
        match step {
            Step::Append(numbers) => {
                append(&table, &numbers, Some("word")).await;
                wanted.extend(numbers);
                wanted.sort_unstable();
            }
            Step::Delete(by, left) => {
                delete(&table, |n| n % by == left).await;
                wanted.retain(|n| n % by != left);
            }
            Step::Fold => {
                for group in plan_folds(&table.snapshot(), &EAGER) {
                    table.fold(group).await.unwrap();
                }
            }
            Step::Tidy => {
                table.tidy(table.snapshot().version, EAGER).await.unwrap();
                // Nobody was said to read older versions: their files are gone.
                since = (table.snapshot().version, wanted.clone());
            }
            Step::Reopen => {
                drop((lake, table));
                (lake, table) = open(folder.path());
            }
        }
        let snapshot = table.snapshot();
        assert_eq!(seen(&lake, &snapshot).await, wanted);
        assert_eq!(snapshot.rows(), u64::try_from(wanted.len()).ok());
        assert_eq!(changed(&lake, &table, &since).await, wanted);
        assert_eq!(looked_up(&lake, &table).await, wanted.iter().copied().filter(is_key).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Appends, deletion vectors, folds, checkpoints, vacuum and restarts in any order; its change feed tells the same.
    #[test]
    fn a_table_holds_what_was_put_in(steps in prop::collection::vec(step(), 1..25)) {
        tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(run(steps));
    }
}

#[tokio::test]
async fn a_commit_on_a_file_that_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = open(folder.path());
    let read = append(&table, &[1, 2, 3], None).await;
    delete(&table, |n| n == 1).await;
    let late = vec![(Arc::clone(&read.files[0]), RoaringTreemap::from_iter([1]))];
    let commit = Commit { deletes: late, ..Commit::append(Vec::new(), Vec::new()) };
    assert!(matches!(table.commit(commit).await, Err(Error::Conflict { .. })));
    assert_eq!(seen(&lake, &table.snapshot()).await, [2, 3]);
    // The version that was read is still what it was.
    assert_eq!(seen(&lake, &read).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_side_step_counts_once_the_main_table_has_come_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, side) = open(folder.path());
    let files = |n: i64| side.write(vec![rows(&[n], None)], Effort::Fast);
    side.commit_beside("step", 1, files(1).await.unwrap()).await.unwrap();
    // The same step again, after a failed main commit, replaces what the first try left.
    side.commit_beside("step", 2, files(2).await.unwrap()).await.unwrap();
    side.commit_beside("step", 2, files(22).await.unwrap()).await.unwrap();
    assert_eq!(seen(&lake, &side.snapshot()).await, [1, 22]);
    side.take_back("step", 1).await.unwrap();
    assert_eq!(seen(&lake, &side.snapshot()).await, [1]);
}

#[tokio::test]
async fn old_files_are_forgotten_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = open(folder.path());
    append(&table, &[1, 2], None).await;
    append(&table, &[2, 900], None).await;
    append(&table, &[3], None).await;
    let before = DateTime::from_timestamp_micros(100).unwrap();
    table.forget("at", before, |statistics| statistics.rows == Some(1)).await.unwrap();
    assert_eq!(seen(&lake, &table.snapshot()).await, [2, 3, 900]);
}

#[tokio::test]
async fn files_that_cannot_match_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = open(folder.path());
    // The first file has no bounds for the words: it has none.
    append(&table, &[1], None).await;
    append(&table, &[2], Some("apple")).await;
    append(&table, &[3], Some("pear")).await;
    let snapshot = table.snapshot();
    let frame = SessionContext::new().read_table(lake.provider(&snapshot)).unwrap();
    let plan = frame.filter(col("word").eq(lit("pear"))).unwrap().create_physical_plan().await.unwrap();
    let shown = displayable(plan.as_ref()).indent(false).to_string();
    let read = |file: &DataFile| shown.contains(&file.path);
    assert!(read(&snapshot.files[2]) && !read(&snapshot.files[1]), "{shown}");
}

/// Small tables come from memory, single rows of larger ones from where a key index says that they stand.
#[tokio::test]
async fn who_asks_again_opens_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = open(folder.path());
    let opened = async |filter: Option<Expr>| {
        let frame = reads_again().read_table(lake.provider(&table.snapshot())).unwrap();
        let frame = filter.map_or(frame.clone(), |filter| frame.filter(filter).unwrap());
        let plan = frame.clone().create_physical_plan().await.unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        (sorted(&frame.collect().await.unwrap()), shown.contains(".parquet"))
    };
    append(&table, &[1, 2, 3], Some("apple")).await;
    delete(&table, |n| n == 2).await;
    assert_eq!(opened(None).await, (vec![1, 3], false));
    assert_eq!(opened(Some(col("word").eq(lit("apple")))).await, (vec![1, 3], false));

    let many: Vec<i64> = (0..i64::try_from(decoded::SCAN_ROWS_MAX).unwrap()).collect();
    append(&table, &many, Some("pear")).await;
    delete(&table, |n| n == 4).await;
    assert!(opened(None).await.1);
    assert_eq!(opened(Some(col("n").eq(lit(3i64)))).await, (vec![3, 3], false));
    assert_eq!(opened(Some(lit(4i64).eq(col("n")))).await, (vec![], false));
    let two = col("n").in_list(vec![lit(3i64), lit(5i64)], false).and(col("word").eq(lit("pear")));
    assert_eq!(opened(Some(two)).await, (vec![3, 5], false));
    // The first file cannot match; the other alone is small.
    assert_eq!(opened(Some(col("n").gt(lit(61i64)))).await, (many[62..].to_vec(), false));
}

/// The newest file stays as it is: a step that is not finished may take it back.
#[tokio::test]
async fn a_much_deleted_file_takes_smaller_ones_along() {
    let folder = tempfile::tempdir().unwrap();
    let (_lake, table) = open(folder.path());
    let large: Vec<i64> = (0..10_000).map(|n| n * n % 9973).collect();
    append(&table, &large, Some("large")).await;
    append(&table, &large, Some("as large")).await;
    append(&table, &[10_000], None).await;
    append(&table, &[10_001], None).await;
    let folds = || {
        let snapshot = table.snapshot();
        let place = |file: &Arc<DataFile>| snapshot.files.iter().position(|f| f.path == file.path).unwrap();
        let in_order = |group: Vec<Arc<DataFile>>| {
            let mut places: Vec<_> = group.iter().map(place).collect();
            places.sort_unstable();
            places
        };
        plan_folds(&snapshot, &UpkeepSettings::default()).into_iter().map(in_order).collect::<Vec<_>>()
    };
    assert!(folds().is_empty());
    let snapshot = table.snapshot();
    let half = RoaringTreemap::from_iter(0..5_000);
    let deletes = vec![(Arc::clone(&snapshot.files[0]), half)];
    table.commit(Commit { deletes, ..Commit::append(Vec::new(), Vec::new()) }).await.unwrap();
    append(&table, &[10_002], None).await;
    let order =
        |file: &Arc<DataFile>| (file.deletion_vector.is_some(), file.size * 2 < snapshot.files[0].size);
    let places = table.snapshot().files.iter().map(order).collect::<Vec<_>>();
    assert_eq!(places, [(false, false), (false, true), (false, true), (true, false), (false, true)]);
    assert_eq!(folds(), [[1, 2, 3]]);
}

/// Of a file that was folded away nothing stays in memory but for a while.
#[tokio::test]
async fn files_that_left_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, table) = open(folder.path());
    append(&table, &[1, 2], None).await;
    append(&table, &[3], None).await;
    let read = async || {
        let frame = reads_again().read_table(lake.provider(&table.snapshot())).unwrap();
        sorted(&frame.collect().await.unwrap())
    };
    assert_eq!(read().await, [1, 2, 3]);
    let old = table.snapshot().files.clone();
    let is_kept = |file: &DataFile| table.indexes().has(&table.store().path(&file.path));
    assert!(old.iter().all(|file| is_kept(file)));

    table.fold(old.clone()).await.unwrap();
    assert_eq!(read().await, [1, 2, 3]);
    table.forget_gone(clock::now_ms());
    assert!(old.iter().all(|file| is_kept(file)), "just now they were read");
    table.forget_gone(clock::now_ms() + upkeep::REMEMBERED_MS + 1);
    assert!(!old.iter().any(|file| is_kept(file)));
    assert!(table.snapshot().files.iter().all(|file| is_kept(file)));
}

/// Each partition has a folder named by its value, whatever signs that has; a value that is too long for a name has none.
#[tokio::test]
async fn partitions_lie_in_folders_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let definition = TableDefinition {
        schema: schema(),
        partition_columns: vec!["word".to_string()],
        kind: TableKind::Maintained,
        properties: BTreeMap::new(),
    };
    let long = "x".repeat(300);
    let words = [Some("a b/c=50%"), None, Some("ü"), Some(long.as_str())];
    let lake = Lake::open(folder.path()).unwrap();
    let table = lake.ensure(&name(), &definition).unwrap();
    for (number, word) in (1..).zip(words) {
        append(&table, &[number, number + 10], word).await;
    }
    delete(&table, |n| n == 11).await;
    let folders = |table: &Arc<Table>| {
        let files = table.snapshot().files.clone();
        let mut folders: Vec<String> = files
            .iter()
            .map(|file| file.path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_string()))
            .collect();
        folders.sort();
        folders
    };
    let named = ["", "word=%C3%BC", "word=__HIVE_DEFAULT_PARTITION__", "word=a%20b%2Fc%3D50%25"];
    assert_eq!(folders(&table), named);
    assert_eq!(table.sweep_blocking(Duration::ZERO).unwrap(), 0, "all of them are read");
    let log = |version: i64| std::fs::read_to_string(table.store().path(&log::commit_path(version))).unwrap();
    assert!(log(1).contains("\"path\":\"word=a%2520b%252Fc%253D50%2525/part-"), "{}", log(1));
    let asked = async |table: &Arc<Table>, lake: &Lake| {
        let frame = SessionContext::new().read_table(lake.provider(&table.snapshot())).unwrap();
        let of_word = frame.filter(col("word").eq(lit("a b/c=50%"))).unwrap();
        sorted(&of_word.select_columns(&["n"]).unwrap().collect().await.unwrap())
    };
    assert_eq!(asked(&table, &lake).await, [1]);
    // From the log, and from a checkpoint.
    for _ in 0..2 {
        table.tidy(0, EAGER).await.unwrap();
        assert_eq!(seen(&lake, &table.snapshot()).await, [1, 2, 3, 4, 12, 13, 14]);
        let reopened = Table::open(&name(), table.store().clone(), table.shared_indexes()).unwrap().unwrap();
        let reopened = Arc::new(reopened);
        assert_eq!(folders(&reopened), named);
        assert_eq!(asked(&reopened, &lake).await, [1]);
    }
    // What is left of a partition is gone with an erasure: its name tells the value.
    delete(&table, |n| n == 1).await;
    let emptied = table.snapshot().files.iter().find(|file| file.path.contains("a%20b")).cloned().unwrap();
    let commit = Commit { removes: vec![emptied], ..Commit::append(Vec::new(), Vec::new()) };
    table.commit(commit).await.unwrap();
    tokio::task::spawn_blocking({
        let table = Arc::clone(&table);
        move || table.purge().unwrap()
    })
    .await
    .unwrap();
    assert!(table.store().path("word=%C3%BC").is_dir());
    assert!(!table.store().path("word=a%20b%2Fc%3D50%25").exists());
    assert_eq!(seen(&lake, &table.snapshot()).await, [2, 3, 4, 12, 13, 14]);
}
