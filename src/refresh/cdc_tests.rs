//! The law of change feeds: whatever order the changes come in and however they are cut into batches, what is stored
//! follows from them alone, and is what the plainest program makes of them.

use super::apply::{Target, apply};
use super::derive::{self, Source, Sources};
use super::incremental::{self, Attempt, Base};
use super::law_tests::asked::{Asked, Tried, folder};
use super::law_tests::house::cut_of;
use super::model::Model;
use super::recompute;
use crate::catalog::cut::Cut;
use crate::engine::{Engine, logical_plan};
use crate::lake::{Commit, Effort, Error, Lake, Table, TableDefinition, TableKind, TableName};
use crate::sql::{Definition, RefreshPolicy, Trigger, continuation, defining_query, parse_file};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlan;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// A change as it comes. `NULL` as key and as sequence are values like any other.
#[derive(Clone, Debug)]
struct Change {
    id: Option<i64>,
    at: Option<i64>,
    deletes: bool,
    v: Option<i64>,
    t: Option<u8>,
    /// `_partition` and `_offset`, which no two changes share.
    position: (u8, i64),
}

/// A statement, and what it means.
struct Feed {
    clauses: &'static str,
    versions: bool,
    deletes: bool,
    /// The columns beside the key and, of them, those of which a change opens a version.
    kept: fn(&Change) -> Vec<String>,
    tracked: fn(&Change) -> Vec<String>,
}

const FEEDS: &[Feed] = &[
    Feed {
        clauses: "APPLY AS DELETE WHEN op = 'D' SEQUENCE BY at COLUMNS * EXCEPT (op, at) STORED AS SCD TYPE 1",
        versions: false,
        deletes: true,
        kept: |c| vec![number(c.v), letter(c.t)],
        tracked: |_| vec![],
    },
    Feed {
        clauses: "APPLY AS DELETE WHEN op = 'D' SEQUENCE BY at COLUMNS * EXCEPT (op)",
        versions: false,
        deletes: true,
        kept: |c| vec![number(c.at), number(c.v), letter(c.t)],
        tracked: |_| vec![],
    },
    Feed {
        clauses: "SEQUENCE BY at COLUMNS (t, at)",
        versions: false,
        deletes: false,
        kept: |c| vec![letter(c.t), number(c.at)],
        tracked: |_| vec![],
    },
    Feed {
        clauses: "APPLY AS DELETE WHEN op = 'D' SEQUENCE BY at COLUMNS * EXCEPT (op) STORED AS SCD TYPE 2",
        versions: true,
        deletes: true,
        kept: |c| vec![number(c.at), number(c.v), letter(c.t)],
        tracked: |c| vec![number(c.v), letter(c.t)],
    },
    Feed {
        clauses: "APPLY AS DELETE WHEN op = 'D' SEQUENCE BY at COLUMNS (v, t) STORED AS SCD TYPE 2 TRACK HISTORY ON * EXCEPT (t)",
        versions: true,
        deletes: true,
        kept: |c| vec![number(c.v), letter(c.t)],
        tracked: |c| vec![number(c.v)],
    },
    Feed {
        clauses: "APPLY AS DELETE WHEN op = 'D' SEQUENCE BY at COLUMNS (v, at, t) STORED AS SCD TYPE 2 TRACK HISTORY ON v",
        versions: true,
        deletes: true,
        kept: |c| vec![number(c.v), number(c.at), letter(c.t)],
        tracked: |c| vec![number(c.v)],
    },
    Feed {
        clauses: "SEQUENCE BY at COLUMNS (t) STORED AS SCD TYPE 2",
        versions: true,
        deletes: false,
        kept: |c| vec![letter(c.t)],
        tracked: |c| vec![letter(c.t)],
    },
];

const NULL: &str = "NULL";

fn number(value: Option<i64>) -> String {
    value.map_or(NULL.to_string(), |value| value.to_string())
}

fn letter(value: Option<u8>) -> String {
    value.map_or(NULL.to_string(), |value| char::from(b'a' + value).to_string())
}

/// What a feed makes of changes, written straight from its definition.
fn reference(feed: &Feed, changes: &[Change]) -> Vec<Vec<String>> {
    let mut by_key: BTreeMap<Option<i64>, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        by_key.entry(change.id).or_default().push(change);
    }
    let mut rows = vec![];
    for (key, mut changes) in by_key {
        // NULL comes first, in sequence as in Rust's order of Option.
        changes.sort_by_key(|change| (change.at, change.position));
        let is_last = |i: &usize| changes.get(i + 1).is_none_or(|next| next.at != changes[*i].at);
        let settled: Vec<&Change> = (0..changes.len()).filter(is_last).map(|i| changes[i]).collect();
        let row =
            |change: &Change, rest: Vec<String>| [vec![number(key)], (feed.kept)(change), rest].concat();
        let deletes = |change: &Change| feed.deletes && change.deletes;
        if !feed.versions {
            rows.extend(settled.last().filter(|last| !deletes(last)).map(|last| row(last, vec![])));
            continue;
        }
        let mut open: Option<(Option<i64>, &Change)> = None;
        for change in settled {
            open = match open {
                Some((start, before))
                    if !deletes(change) && (feed.tracked)(before) == (feed.tracked)(change) =>
                {
                    Some((start, change))
                }
                before => {
                    if let Some((start, last)) = before {
                        rows.push(row(last, vec![number(start), number(change.at)]));
                    }
                    (!deletes(change)).then_some((change.at, change))
                }
            };
        }
        rows.extend(open.map(|(start, last)| row(last, vec![number(start), NULL.to_string()])));
    }
    rows.sort();
    rows
}

fn input_schema(has_positions: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("op", DataType::Utf8, true),
        Field::new("at", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
    ];
    if has_positions {
        fields.push(Field::new("_partition", DataType::Utf8, true));
        fields.push(Field::new("_offset", DataType::Int64, true));
    }
    Arc::new(Schema::new(fields))
}

fn rows_of(changes: &[Change], has_positions: bool) -> RecordBatch {
    let texts =
        |text: fn(&Change) -> Option<String>| Arc::new(StringArray::from_iter(changes.iter().map(text)));
    let numbers =
        |number: fn(&Change) -> Option<i64>| Arc::new(Int64Array::from_iter(changes.iter().map(number)));
    let mut columns: Vec<ArrayRef> = vec![
        numbers(|c| c.id),
        // No op at all is no delete.
        texts(|c| if c.deletes { Some("D".to_string()) } else { c.v.map(|_| "U".to_string()) }),
        numbers(|c| c.at),
        numbers(|c| c.v),
        texts(|c| c.t.map(|_| letter(c.t))),
    ];
    if has_positions {
        columns.push(texts(|c| Some(c.position.0.to_string())));
        columns.push(numbers(|c| Some(c.position.1)));
    }
    RecordBatch::try_new(input_schema(has_positions), columns).unwrap()
}

/// A table of changes and the feeds that read it.
struct House {
    lake: Arc<Lake>,
    engine: Engine,
    tables: BTreeMap<TableName, Arc<Table>>,
    changes: Arc<Table>,
    has_positions: bool,
    models: Vec<Model>,
    base: Arc<Cut>,
    /// How many refreshes were incremental, and how many were not.
    refreshes: (u32, u32),
    /// Of each feed, how many keys its last refresh went on from, and whether it changed rows.
    gone_on_from: Vec<usize>,
    changed: Vec<bool>,
}

impl House {
    async fn open(root: &std::path::Path, has_positions: bool) -> Self {
        let lake = Arc::new(Lake::open(root).unwrap());
        let changes = ensure(&lake, "changes", input_schema(has_positions), TableKind::AppendOnly);
        let tables = BTreeMap::from([(changes.name().clone(), Arc::clone(&changes))]);
        let engine = Engine::new(1 << 30, 2).unwrap();
        let base = cut_of(&lake, &tables);
        let mut house = Self {
            lake,
            engine,
            tables,
            changes,
            has_positions,
            models: vec![],
            base,
            refreshes: (0, 0),
            gone_on_from: vec![],
            changed: vec![],
        };
        for (number, feed) in FEEDS.iter().enumerate() {
            let model = house.model(number, feed.clauses).await;
            let inputs = model.versions_in(&house.base);
            apply(&model, Target::All(vec![]), &inputs, true, None).await.unwrap().unwrap();
            house.tables.insert(model.name.clone(), Arc::clone(&model.table));
            house.models.push(model);
        }
        house.base = cut_of(&house.lake, &house.tables);
        house
    }

    async fn model(&self, number: usize, clauses: &str) -> Model {
        let name = TableName::new("s", format!("feed_{number}"));
        let statement =
            format!("CREATE STREAMING TABLE {name} FLOW AUTO CDC FROM STREAM s.changes KEYS (id) {clauses};");
        let definitions = parse_file(std::path::Path::new("feed.sql"), &statement).unwrap();
        let [Definition::StreamingTable(definition)] = definitions.as_slice() else {
            panic!("{definitions:?}")
        };
        let feed = definition.auto_cdc.as_ref().unwrap();
        let query = defining_query(feed, &input_schema(self.has_positions)).unwrap();
        let continuation = continuation(feed, &input_schema(self.has_positions), &name);
        let plan = self.engine.plan_over(&self.base, &query).await.unwrap();
        let fields = plan.schema().fields().iter().map(|field| {
            let data_type = match field.data_type() {
                DataType::Utf8View => DataType::Utf8,
                other => other.clone(),
            };
            Field::new(field.name(), data_type, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let table = ensure(&self.lake, &name.name, Arc::clone(&schema), TableKind::Maintained);
        Model {
            name,
            table,
            quarantine: None,
            schema,
            partitioned_by: Vec::new(),
            query,
            continuation,
            streams: vec![],
            inputs: vec![self.changes.name().clone()],
            trigger: Trigger::default(),
            policy: RefreshPolicy::Auto,
            audits: Vec::new(),
            expectations: vec![],
            definition_hash: 1,
            is_streaming: false,
            hidden_in_use: Default::default(),
            why_not: OnceLock::new(),
            chain: Default::default(),
            continued: Default::default(),
            plans: Default::default(),
            past: Default::default(),
        }
    }

    /// Appends changes in one commit and refreshes every feed.
    async fn take(&mut self, changes: &[Change]) {
        let rows = rows_of(changes, self.has_positions);
        let files = self.changes.write(vec![rows], Effort::Fast).await.unwrap();
        self.changes.commit(Commit::append(files, vec![])).await.unwrap();
        let now = cut_of(&self.lake, &self.tables);
        (self.gone_on_from, self.changed) = (vec![], vec![]);
        for model in &self.models {
            let consumed = model.consumed();
            let base =
                Base { lake: &self.lake, tables: &self.tables, consumed: &consumed, cut: Some(&self.base) };
            let record = match incremental::refresh(model, &self.engine, &now, base).await.unwrap() {
                Attempt::Done(refreshed) => {
                    self.refreshes.0 += 1;
                    refreshed.record
                }
                Attempt::Refused(why) => {
                    self.refreshes.1 += 1;
                    recompute::refresh(model, &self.engine, &now, &why).await.unwrap().record
                }
            };
            self.gone_on_from.push(keys_gone_on_from(&record.reason));
            self.changed.push(record.rows_inserted + record.rows_deleted > 0);
        }
        self.base = now;
    }

    fn stored(&self, feed: usize) -> Vec<Vec<String>> {
        let table = &self.models[feed].table;
        let (snapshot, options) = (table.snapshot(), FormatOptions::new().with_null(NULL));
        let mut rows = vec![];
        for file in &snapshot.files {
            table
                .read_file::<Error>(&snapshot, file, |batch, _| {
                    let columns: Vec<_> = batch
                        .columns()
                        .iter()
                        .map(|c| ArrayFormatter::try_new(c, &options).unwrap())
                        .collect();
                    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
                    rows.extend((0..batch.num_rows()).map(row));
                    Ok(())
                })
                .unwrap();
        }
        rows.sort();
        rows
    }
}

fn ensure(lake: &Lake, name: &str, schema: SchemaRef, kind: TableKind) -> Arc<Table> {
    let properties = BTreeMap::new();
    let definition = TableDefinition { schema, partition_columns: vec![], kind, properties };
    lake.ensure(&TableName::new("s", name), &definition).unwrap()
}

/// Changes of few keys and times, so that they tie, repeat and come late; and two ways of cutting them up.
type Case = (Vec<Change>, Vec<Change>, Vec<usize>);

fn case() -> impl Strategy<Value = Case> {
    let rare = |values: std::ops::Range<i64>| prop_oneof![1 => Just(None), 7 => values.prop_map(Some)];
    let change =
        (rare(0..3), rare(0..6), prop::bool::weighted(0.25), rare(0..2), prop::option::of(0u8..2), 0u8..2);
    let changes = prop::collection::vec(change, 1..16).prop_map(|changes| {
        let placed = changes.into_iter().enumerate();
        placed
            .map(|(offset, (id, at, deletes, v, t, partition))| {
                // Offsets do not grow with the order in which changes were made up: they are a property of a change.
                let position = (partition, (offset as i64 * 7) % 17);
                Change { id, at, deletes, v, t, position }
            })
            .collect::<Vec<_>>()
    });
    let shuffled = changes.prop_flat_map(|changes| (Just(changes.clone()), Just(changes).prop_shuffle()));
    (shuffled, prop::collection::vec(1usize..5, 1..6)).prop_map(|((a, b), sizes)| (a, b, sizes))
}

/// What a change is to those before it.
fn kinds<'a>(
    change: &Change,
    before: impl Iterator<Item = &'a Change>,
) -> impl Iterator<Item = &'static str> {
    let of_key: Vec<&Change> = before.filter(|other| other.id == change.id).collect();
    let is_late = of_key.iter().any(|other| other.at > change.at);
    [
        ("change of a new key", of_key.is_empty()),
        ("late change", is_late && !change.deletes),
        ("late delete", is_late && change.deletes),
        ("tie", of_key.iter().any(|other| other.at == change.at)),
        ("delete", change.deletes && !is_late),
        ("NULL key", change.id.is_none()),
        ("NULL sequence", change.at.is_none()),
    ]
    .into_iter()
    .filter_map(|(kind, is)| is.then_some(kind))
}

/// What a refresh says of itself.
fn keys_gone_on_from(reason: &str) -> usize {
    let Some((before, _)) = reason.split_once(" keys gone on from") else { return 0 };
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Cuts a list into pieces of these sizes, over and over.
fn batches<'a>(mut changes: &'a [Change], sizes: &[usize]) -> Vec<&'a [Change]> {
    let mut batches = vec![];
    for size in sizes.iter().cycle() {
        if changes.is_empty() {
            break;
        }
        let (batch, rest) = changes.split_at((*size).min(changes.len()));
        batches.push(batch);
        changes = rest;
    }
    batches
}

async fn follow(case: Case, tried: Tried) {
    let (ordered, shuffled, sizes) = case;
    let (all, one, other) = (folder(), folder(), folder());
    let mut house = House::open(all.path(), true).await;
    let mut seen: Vec<Change> = vec![];
    for batch in batches(&shuffled, &sizes) {
        house.take(batch).await;
        for (at, change) in batch.iter().enumerate() {
            kinds(change, seen.iter().chain(&batch[..at])).for_each(|kind| tried.add(kind, true));
        }
        seen.extend(batch.iter().cloned());
        for (number, feed) in FEEDS.iter().enumerate() {
            let expected = reference(feed, &seen);
            assert_eq!(house.stored(number), expected, "{} after {seen:?}", feed.clauses);
            tried.add(feed.clauses, house.changed[number]);
        }
    }
    assert!(
        house.refreshes.0 > 0 && house.refreshes.1 == 0,
        "incremental, recomputed: {:?}",
        house.refreshes
    );
    // The reference knows no order of arrival: what is stored is the same for every other one.
    for (number, feed) in FEEDS.iter().enumerate() {
        assert_eq!(house.stored(number), reference(feed, &ordered), "{}", feed.clauses);
    }
    // Without positions it is the rows themselves that settle ties.
    let mut at_once = House::open(one.path(), false).await;
    at_once.take(&ordered).await;
    let mut in_batches = House::open(other.path(), false).await;
    for batch in batches(&shuffled, &sizes) {
        in_batches.take(batch).await;
    }
    for (number, feed) in FEEDS.iter().enumerate() {
        assert_eq!(in_batches.stored(number), at_once.stored(number), "{} of {ordered:?}", feed.clauses);
    }
}

/// How many random histories are run.
const HISTORIES: u64 = 4;

#[test]
fn a_change_feed_is_a_function_of_its_changes() {
    let asked = Asked::anew(HISTORIES);
    let tried = Tried::default();
    asked.hold(&case(), |case| follow(case, tried.clone()));
    tried.tell("law of change feeds", &asked);
}

/// Each feed's keys: one that stands and changes, one that is closed and one that stands and is deleted; what is late,
/// and what comes at the same time, is no continuation.
#[tokio::test(flavor = "multi_thread")]
async fn later_changes_go_on_from_what_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::open(folder.path(), true).await;
    let change = |id, at, deletes, v, offset| {
        let (id, v, t) = (Some(id), Some(v), Some(u8::from(at > Some(4))));
        Change { id, at, deletes, v, t, position: (0, offset) }
    };
    let batches = [
        // As many rows that the table is worth looking up in.
        (0..8).map(|id| change(id, Some(1), false, 0, id)).collect::<Vec<_>>(),
        vec![
            change(0, Some(3), false, 1, 10),
            change(1, Some(2), true, 0, 11),
            change(0, Some(4), false, 1, 12),
        ],
        vec![
            change(0, Some(6), false, 1, 20),
            change(1, Some(5), false, 1, 21),
            change(2, Some(1), false, 1, 22),
        ],
        vec![
            change(0, Some(7), true, 1, 30),
            change(1, Some(4), false, 0, 31),
            change(3, None, false, 0, 32),
        ],
        vec![
            change(0, Some(9), false, 2, 40),
            change(1, Some(9), false, 2, 41),
            change(3, Some(8), false, 0, 42),
        ],
    ];
    let mut seen = vec![];
    // By batch, the keys that feeds with and without deletes go on from.
    let expected = [(0, 0), (2, 2), (1, 2), (1, 1), (2, 3)];
    for (batch, (with_deletes, without)) in batches.iter().zip(expected) {
        house.take(batch).await;
        seen.extend(batch.iter().cloned());
        for (number, feed) in FEEDS.iter().enumerate() {
            assert_eq!(house.stored(number), reference(feed, &seen), "{} after {seen:?}", feed.clauses);
            let shows_sequence = house.models[number].continuation.is_some();
            let expected = if !shows_sequence {
                0
            } else if feed.deletes {
                with_deletes
            } else {
                without
            };
            assert_eq!(house.gone_on_from[number], expected, "{} after {seen:?}", feed.clauses);
        }
    }
    let continued = house.models.iter().filter(|model| model.continuation.is_some()).count();
    assert_eq!(continued, 4, "feeds whose rows show how far they have come");
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_see_the_keys_that_changed_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open(folder.path(), true).await;
    let rows = provider_as_source(house.base.tables[house.changes.name()].provider.clone().unwrap());
    let source = Source { old: Arc::clone(&rows), inserted: vec![rows], deleted: Vec::new() };
    let sources = Sources::from(HashMap::from([(house.changes.name().clone(), source)]));
    let state = house.engine.state_at(&house.base, house.base.wave_time);
    for (model, feed) in house.models.iter().zip(FEEDS) {
        let plan = logical_plan(&state, &model.query).await.unwrap();
        let plan = derive::normalise(&state, LogicalPlan::clone(&plan)).unwrap();
        let Ok(Some(keyed)) = derive::keyed(&plan, &sources) else { panic!("{}: no key", feed.clauses) };
        let Ok(rows) = keyed.rows(keyed.affected.as_ref().unwrap()) else {
            panic!("{}: no rows", feed.clauses)
        };
        let shown = rows.display_indent().to_string();
        let (windows, below) = shown.split_once("LeftSemi Join").unwrap();
        assert_eq!(windows.matches("WindowAggr").count(), if feed.versions { 3 } else { 1 }, "{shown}");
        assert!(!below.contains("WindowAggr"), "{shown}");
    }
}
