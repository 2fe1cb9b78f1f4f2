//! Whether a refresh takes the change or the whole: weighed by what both took before, and by how much there is to read.

use crate::lake::TableName;
use std::collections::{BTreeMap, BTreeSet};

/// How much dearer the change must look before the whole is taken: a guess should win clearly.
const DEARER_MIN: f64 = 1.25;
/// A smaller change than the last is not taken to cost less than this share of it: part of it is paid whatever changes.
const SHARE_MIN: f64 = 0.25;
/// A larger change than the last is taken to cost so much of it more for each time that it is larger. What is guessed too
/// dear is not tried, and so never known; what is guessed too cheap is known once it was tried. (TPC-H and the star schema
/// benchmark at scale 1: ten times the rows take 1.0 to 3.1 times as long.)
const GROWTH: f64 = 0.2;
/// The first computation writes every row, a later whole only what is new: it may take so much less.
const FIRST_MAX: f64 = 2.0;
/// After so many wholes the change is tried again: what it took may have been another's fault.
const WHOLES_MAX: u32 = 20;
/// Of so many sets of changed inputs it is kept what they took.
const CHANGES_MAX: usize = 32;

/// What a refresh has before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    /// The inputs that have changed.
    pub(super) changed: BTreeSet<TableName>,
    /// Rows of these that came or went.
    pub(super) changed_rows: u64,
    /// Rows of all inputs.
    pub(super) all_rows: u64,
}

/// What a model's refreshes took.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    whole: Option<Whole>,
    /// By the inputs that had changed: a row of a dimension may cost a thousand times what one of the facts does.
    changes: BTreeMap<BTreeSet<TableName>, Change>,
    /// Wholes taken since a change was.
    wholes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Whole {
    all_rows: u64,
    seconds: f64,
    /// It wrote every row.
    is_first: bool,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    changed_rows: u64,
    rows_read: u64,
    seconds: f64,
}

impl Past {
    /// Notes that the whole was computed over so many input rows; for the first time or not.
    pub(super) fn took_whole(&mut self, all_rows: u64, is_first: bool, seconds: f64) {
        let before =
            self.whole.filter(|before| before.is_first == is_first).map(|before| before.at(all_rows));
        let seconds = before.map_or(seconds, |before| (before + seconds) / 2.0);
        self.whole = Some(Whole { all_rows, seconds, is_first });
        self.wholes += 1;
    }

    /// Notes that the change was, by reading so many rows.
    pub(super) fn took_change(&mut self, task: &Task, rows_read: u64, seconds: f64) {
        if self.changes.len() == CHANGES_MAX && !self.changes.contains_key(&task.changed) {
            self.changes.pop_first();
        }
        let change = Change { changed_rows: task.changed_rows, rows_read, seconds };
        self.changes.insert(task.changed.clone(), change);
        self.wholes = 0;
    }

    /// Why the whole is taken rather than the change; `None` when it is not, as where the change was never tried.
    pub(super) fn why_whole(&self, task: &Task) -> Option<String> {
        let before = self.changes.get(&task.changed).filter(|_| self.wholes < WHOLES_MAX)?;
        let change = before.at(task.changed_rows);
        let ms = |seconds: f64| (seconds * 1000.0).round();
        let whole = self.whole.map(|whole| (whole.at(task.all_rows), whole.is_first));
        match whole {
            Some((whole, false)) => (change > whole * DEARER_MIN).then(|| {
                format!(
                    "by past runs {} changed input rows would take {} ms, all of it {} ms",
                    task.changed_rows,
                    ms(change),
                    ms(whole)
                )
            }),
            Some((first, true)) if change * FIRST_MAX > first => Some(format!(
                "to see what all of it takes: {} changed input rows would take {} ms, the first computation took {} ms",
                task.changed_rows,
                ms(change),
                ms(first)
            )),
            _ => (before.rows_read > task.all_rows).then(|| {
                format!(
                    "to see what all of it takes: the last change read {} rows, all inputs have {}",
                    before.rows_read, task.all_rows
                )
            }),
        }
    }
}

impl Whole {
    /// What it takes over so many input rows.
    fn at(&self, all_rows: u64) -> f64 {
        self.seconds * all_rows.max(1) as f64 / self.all_rows.max(1) as f64
    }
}

impl Change {
    /// What so many changed rows take.
    fn at(&self, changed_rows: u64) -> f64 {
        let times = changed_rows as f64 / self.changed_rows.max(1) as f64;
        self.seconds * if times > 1.0 { 1.0 + GROWTH * (times - 1.0) } else { times.max(SHARE_MIN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::refresh::law_tests::house::{House, append};
    use crate::refresh::model::Model;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn task(table: &str, changed_rows: u64, all_rows: u64) -> Task {
        Task { changed: BTreeSet::from([TableName::new("silver", table)]), changed_rows, all_rows }
    }

    fn facts(changed_rows: u64) -> Task {
        task("facts", changed_rows, 100_000)
    }

    /// Hidden tables that are made are of the whole; those that are kept are not.
    #[tokio::test]
    async fn the_first_whole_is_noted_where_hidden_tables_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let column = |name| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![column("k"), column("v")]));
        let rows = |k: [i64; 3], v: [i64; 3]| {
            let columns = [k, v].map(|values| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef);
            RecordBatch::try_new(Arc::clone(&schema), columns.to_vec()).unwrap()
        };
        let engine = Engine::new(1 << 30, 2).unwrap();
        let house = House::open(folder.path(), &engine, &[("a", Arc::clone(&schema))]);
        append(&house.table("a"), rows([1, 1, 2], [5, 6, 7])).await;
        let cut = house.cut();
        let query = "SELECT k, sum(v) AS s FROM s.a GROUP BY k HAVING sum(v) > (SELECT avg(CAST(v AS DECIMAL(10,2))) FROM s.a)";
        let model = house.model("v", query, &["a"], &cut, DataType::clone, None).await.unwrap();
        house.first(&model, &cut).await.unwrap();
        assert!(model.hidden_in_use.lock().as_ref().is_some_and(|hidden| !hidden.is_empty()));
        let noted = |model: &Model| model.past.lock().whole.map(|whole| (whole.all_rows, whole.is_first));
        assert_eq!(noted(&model), Some((3, true)));

        append(&house.table("a"), rows([2, 3, 3], [1, 8, 9])).await;
        let next = house.cut();
        let done = house.refresh_as_lane(&model, &next, &model.consumed(), Some(&cut)).await.unwrap();
        assert_eq!(done.record.mode, "incremental", "{}", done.record.reason);
        assert_eq!(noted(&model), Some((3, true)));
    }

    #[test]
    fn the_whole_is_taken_when_it_was_clearly_cheaper() {
        let mut past = Past::default();
        past.took_whole(100_000, false, 0.1);
        assert_eq!(past.why_whole(&facts(1_000)), None, "no change was tried yet");
        past.took_change(&facts(1_000), 1_000, 0.12);
        assert_eq!(past.why_whole(&facts(1_000)), None, "hardly dearer");
        let why = past.why_whole(&facts(2_000)).unwrap();
        assert_eq!(why, "by past runs 2000 changed input rows would take 144 ms, all of it 100 ms");
        assert!(past.why_whole(&facts(1_200)).is_none(), "a larger change is not as dear as its rows");
        assert_eq!(past.why_whole(&facts(10)), None, "a small change is not as dear as a large one");
        past.took_change(&facts(1_000), 1_000, 1.0);
        assert!(past.why_whole(&facts(1)).is_some(), "but not as cheap as its rows");
    }

    #[test]
    fn a_change_is_weighed_by_the_inputs_that_changed() {
        let mut past = Past::default();
        past.took_whole(100_000, false, 0.1);
        past.took_change(&task("dimension", 10, 100_000), 50_000, 0.2);
        past.took_change(&facts(1_000), 1_000, 0.01);
        assert!(past.why_whole(&task("dimension", 10, 100_000)).is_some());
        assert_eq!(past.why_whole(&facts(1_000)), None);
    }

    #[test]
    fn the_whole_of_a_larger_table_takes_longer() {
        let mut past = Past::default();
        past.took_whole(100, false, 0.001);
        past.took_change(&facts(1_000), 1_000, 0.01);
        assert_eq!(past.why_whole(&facts(1_000)), None);
        assert!(past.why_whole(&task("facts", 1_000, 100)).is_some());
    }

    #[test]
    fn the_whole_is_tried_once_where_it_may_be_cheaper() {
        let mut past = Past::default();
        past.took_whole(100_000, true, 0.3);
        past.took_change(&facts(1_000), 1_000, 0.1);
        assert_eq!(past.why_whole(&facts(1_000)), None, "it cannot be that much cheaper than the first");
        past.took_change(&facts(1_000), 1_000, 0.2);
        let why = past.why_whole(&facts(1_000)).unwrap();
        assert!(
            why.starts_with("to see what all of it takes: 1000 changed input rows would take 200 ms"),
            "{why}"
        );
        past.took_whole(100_000, false, 0.25);
        assert_eq!(past.why_whole(&facts(1_000)), None, "it was not");
    }

    #[test]
    fn after_a_start_the_rows_read_tell() {
        let mut past = Past::default();
        past.took_change(&facts(1_000), 90_000, 0.1);
        assert_eq!(past.why_whole(&facts(1_000)), None);
        past.took_change(&facts(1_000), 150_000, 0.1);
        let why = past.why_whole(&facts(1_000)).unwrap();
        assert_eq!(
            why,
            "to see what all of it takes: the last change read 150000 rows, all inputs have 100000"
        );
    }

    #[test]
    fn the_change_is_tried_again_after_many_wholes() {
        let mut past = Past::default();
        past.took_change(&facts(1_000), 1_000, 1.0);
        for _ in 0..WHOLES_MAX {
            past.took_whole(100_000, false, 0.1);
        }
        assert_eq!(past.why_whole(&facts(1_000)), None);
        past.took_change(&facts(1_000), 1_000, 1.0);
        assert!(past.why_whole(&facts(1_000)).is_some());
    }

    #[test]
    fn it_forgets_when_inputs_change_in_too_many_ways() {
        let mut past = Past::default();
        for number in 0..2 * CHANGES_MAX {
            past.took_change(&task(&format!("t{number}"), 1, 1), 1, 1.0);
        }
        assert_eq!(past.changes.len(), CHANGES_MAX);
    }
}
