//! Somebody else commits to the table after its rows were read: upkeep, which moves rows, or this refresh itself, landed
//! although it looked failed. Another lake over the same folders plays them: what it commits, this one has not seen.

use super::*;
use crate::engine::Engine;
use crate::lake::Error as LakeError;
use crate::refresh::law_tests::house::{House, append, fold, stored};
use arrow::array::{ArrayRef, AsArray as _, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use std::path::Path;

/// Keys and values.
type Rows = Vec<(i64, i64)>;

fn schema() -> SchemaRef {
    let column = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![column("k"), column("v")]))
}

fn batch(rows: &[(i64, i64)]) -> RecordBatch {
    let columns: [ArrayRef; 2] = [
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
    ];
    RecordBatch::try_new(schema(), columns.to_vec()).unwrap()
}

fn rows_of(table: &Arc<Table>) -> Rows {
    let mut rows = Rows::new();
    for batch in stored(table) {
        let column = |i: usize| batch.column(i).as_primitive::<Int64Type>().values().clone();
        rows.extend(column(0).iter().copied().zip(column(1).iter().copied()));
    }
    rows.sort_unstable();
    rows
}

fn consumed(version: i64) -> BTreeMap<TableName, i64> {
    BTreeMap::from([(TableName::new("s", "a"), version)])
}

async fn house(root: &Path) -> (House, Model) {
    let house = House::open(root, &Engine::new(1 << 30, 2).unwrap(), &[("a", schema())]);
    let cut = house.cut();
    let model = house.model("v", "SELECT k, v FROM s.a", &["a"], &cut, DataType::clone, Some("k")).await;
    let model = model.unwrap();
    (house, model)
}

/// A view of two files, and somebody else's hold of it.
struct Two {
    mine: (House, Model),
    theirs: (House, Model),
    _folders: [tempfile::TempDir; 2],
}

impl Two {
    async fn new() -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mine = house(folders[0].path()).await;
        std::os::unix::fs::symlink(folders[0].path().join("s"), folders[1].path().join("s")).unwrap();
        for rows in [[(1, 10), (2, 20)], [(1, 11), (2, 21)]] {
            append(&mine.1.table, batch(&rows)).await;
        }
        let theirs = house(folders[1].path()).await;
        Self { mine, theirs, _folders: folders }
    }

    fn table(&self) -> &Arc<Table> {
        &self.mine.1.table
    }

    async fn apply(&self, target: Target, version: i64) -> Result<Option<Applied>, Error> {
        apply(&self.mine.1, target, &consumed(version), true, None).await
    }

    async fn apply_theirs(&self, target: Target, version: i64) {
        let applied = apply(&self.theirs.1, target, &consumed(version), true, None).await;
        assert!(applied.unwrap().is_some());
    }

    /// Upkeep makes one file of those of each partition.
    async fn fold(&self) {
        self.theirs.1.table.newest().await.unwrap();
        assert_eq!(fold(&self.theirs.1.table).await, self.table().snapshot().files.len());
    }
}

/// Every kind of target, made of what the table is now, and what the rows are to be.
async fn targets(table: &Arc<Table>) -> Vec<(Target, Rows)> {
    let keys = KeySet::new(&schema(), vec![0], &[batch(&[(1, 0)]).project(&[0]).unwrap()]).unwrap();
    let keys = Arc::new(keys);
    let stood = Stood::read(table, &keys).await.unwrap();
    let values = |k: i64| BTreeMap::from([("k".to_string(), Some(k.to_string()))]);
    vec![
        (Target::All(vec![batch(&[(1, 10), (2, 99)])]), vec![(1, 10), (2, 99)]),
        (
            Target::OfKeys { rows: vec![batch(&[(1, 11), (1, 12)])], keys, stood },
            vec![(1, 11), (1, 12), (2, 20), (2, 21)],
        ),
        (
            Target::OfPartitions { rows: vec![batch(&[(2, 22)])], partitions: BTreeSet::from([values(2)]) },
            vec![(1, 10), (1, 11), (2, 22)],
        ),
        (
            Target::Change { inserted: vec![batch(&[(3, 30)])], deleted: vec![batch(&[(2, 21)])] },
            vec![(1, 10), (1, 11), (2, 20), (3, 30)],
        ),
        (
            Target::Change { inserted: vec![batch(&[(3, 30)])], deleted: vec![] },
            vec![(1, 10), (1, 11), (2, 20), (2, 21), (3, 30)],
        ),
    ]
}

/// What upkeep has moved meanwhile is looked for again, once.
#[tokio::test]
async fn rows_that_were_moved_are_found() {
    for number in 0..5 {
        let two = Two::new().await;
        let (target, rows) = targets(two.table()).await.swap_remove(number);
        two.fold().await;
        let version = two.table().snapshot().version;
        let shown = format!("{target:?}");
        let applied = two.apply(target, 7).await.unwrap().unwrap();
        assert_eq!(rows_of(two.table()), rows, "{shown}");
        assert_eq!(applied.snapshot.version, version + 3, "after a fold of each partition: {shown}");
        assert_eq!(two.mine.1.consumed(), consumed(7));
        // The log says the same.
        two.theirs.1.table.newest().await.unwrap();
        assert_eq!(rows_of(&two.theirs.1.table), rows, "{shown}");
    }
}

/// A target that has landed already, over a version of the input and maybe behind a fold; and what the rows are now.
async fn landed(number: usize, is_folded: bool, version: i64) -> (Two, Target, Rows) {
    let two = Two::new().await;
    let (target, _) = targets(two.table()).await.swap_remove(number);
    let (landed, rows) = targets(two.table()).await.swap_remove(number);
    if is_folded {
        two.fold().await;
    }
    two.apply_theirs(landed, version).await;
    (two, target, rows)
}

/// It looked failed and has landed, so that its number is taken: it is not made twice, also where upkeep came in between.
#[tokio::test]
async fn a_refresh_that_has_landed_is_not_made_again() {
    for number in 0..5 {
        for is_folded in [false, true] {
            let (two, target, rows) = landed(number, is_folded, 7).await;
            let shown = format!("{target:?}");
            two.apply(target, 7).await.unwrap().unwrap();
            assert_eq!(rows_of(two.table()), rows, "{shown}, folded: {is_folded}");
            assert_eq!(two.table().snapshot().version, two.theirs.1.table.snapshot().version);
        }
    }
}

/// It landed over other versions of its inputs than those of this try: what is in the table is gone on from, and this
/// try, which knows nothing of it, must end.
#[tokio::test]
async fn a_refresh_of_other_inputs_ends_this_one() {
    for number in 0..5 {
        for is_folded in [false, true] {
            let (two, target, rows) = landed(number, is_folded, 8).await;
            let shown = format!("{target:?}");
            let failed = two.apply(target, 7).await;
            assert!(matches!(failed, Err(Error::Lake(LakeError::Conflict { .. }))), "{shown}: {failed:?}");
            assert_eq!(rows_of(two.table()), rows, "{shown}, folded: {is_folded}");
            assert_eq!(two.mine.1.consumed(), consumed(8), "the lane goes on from what the table says");
        }
    }
}
