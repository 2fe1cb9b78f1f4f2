//! A benchmark's tables in memory and its refresh stream: orders that come (TPC-H's RF1), orders that go (RF2), rows that
//! change.
//!
//! Orders have numbers, and a number's last digits say what becomes of it: of sixteen, one waits to be inserted, one to
//! be deleted, the rest stay. So the keys that come lie between those that are there, as dbgen's do.
//!
//! A changed row keeps its key and takes all else from another row of its table: whatever a query asks for is then as
//! common afterwards as before, and any change may move a row into its result or out of it.

use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;
use std::ops::Range;

/// The parts that orders are divided in by number.
const PARTS: usize = 16;
/// Orders of this part come with the stream.
const COMES: usize = 7;
/// Orders of this part go with the stream.
const GOES: usize = 3;

/// A table's rows, those that wait to be inserted included.
pub struct Rows {
    /// Its name.
    pub name: &'static str,
    /// Its primary key.
    pub key: &'static [&'static str],
    /// What a changed row keeps beside its key: names, which tell rows apart in results.
    pub keeps: &'static [&'static str],
    pub all: RecordBatch,
    /// For a table of facts: the first row of each order, and how many rows there are.
    pub starts: Option<Vec<usize>>,
}

/// One commit to one table: rows of some keys go, rows come.
pub struct Change {
    pub table: &'static str,
    /// The columns that keys are of.
    pub key: &'static [&'static str],
    pub gone: HashSet<Vec<i64>>,
    /// In an update, the new rows of the same keys.
    pub rows: Option<RecordBatch>,
}

/// A benchmark: its tables and where its stream stands.
pub struct Stream {
    pub tables: Vec<Rows>,
    orders: usize,
    inserted: usize,
    deleted: usize,
    random: ChaCha8Rng,
}

impl Stream {
    /// A stream over these tables, of which those of facts hold `orders` orders.
    pub fn new(tables: Vec<Rows>, orders: usize, seed: u64) -> Self {
        Self { tables, orders, inserted: 0, deleted: 0, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// How many orders there are, those that wait included.
    pub fn order_count(&self) -> usize {
        self.orders
    }

    /// The rows that a table starts with.
    pub fn base(&self, table: &Rows) -> RecordBatch {
        let Some(starts) = &table.starts else { return table.all.clone() };
        let stays = (0..self.orders).filter(|order| order % PARTS != COMES);
        taken(&table.all, stays.flat_map(|order| starts[order]..starts[order + 1]))
    }

    /// RF1: orders come, with their lines.
    pub fn insert_orders(&mut self, count: usize) -> Vec<Change> {
        let orders = self.next(COMES, self.inserted, count);
        self.inserted += count;
        self.facts(&orders, |table, rows| Change {
            table: table.name,
            key: table.key,
            gone: HashSet::new(),
            rows: Some(taken(&table.all, rows)),
        })
    }

    /// RF2: orders go, with their lines.
    pub fn delete_orders(&mut self, count: usize) -> Vec<Change> {
        let orders = self.next(GOES, self.deleted, count);
        self.deleted += count;
        self.facts(&orders, |table, rows| Change {
            table: table.name,
            key: table.key,
            gone: keys(&taken(&table.all, rows), table.key),
            rows: None,
        })
    }

    /// Rows of a table change, a quarter of it at most; of facts, rows of orders that neither come nor go.
    pub fn update(&mut self, table: &str, count: usize) -> Change {
        let at = self.tables.iter().position(|rows| rows.name == table).expect("a table of the benchmark");
        let count = count.min(self.tables[at].all.num_rows() / 4);
        let mut chosen = HashSet::new();
        while chosen.len() < count {
            let row = match &self.tables[at].starts {
                None => self.random.random_range(0..self.tables[at].all.num_rows()),
                Some(starts) => {
                    let order = self.random.random_range(0..self.orders / PARTS) * PARTS;
                    self.random.random_range(starts[order]..starts[order + 1])
                }
            };
            chosen.insert(row);
        }
        let mut chosen: Vec<usize> = chosen.into_iter().collect();
        chosen.sort_unstable();
        let table = &self.tables[at];
        let others: Vec<usize> =
            chosen.iter().map(|_| self.random.random_range(0..table.all.num_rows())).collect();
        let (own, others) = (taken(&table.all, chosen), taken(&table.all, others));
        let columns = own.schema_ref().fields().iter().zip(own.columns()).zip(others.columns());
        let columns = columns.map(|((field, own), other)| {
            let name = field.name().as_str();
            let keeps = table.key.contains(&name) || table.keeps.contains(&name);
            ArrayRef::clone(if keeps { own } else { other })
        });
        let rows = RecordBatch::try_new(own.schema(), columns.collect()).unwrap();
        Change { table: table.name, key: table.key, gone: keys(&own, table.key), rows: Some(rows) }
    }

    fn next(&self, part: usize, from: usize, count: usize) -> Vec<usize> {
        let orders: Vec<usize> =
            (0..self.orders).filter(|order| order % PARTS == part).skip(from).take(count).collect();
        assert_eq!(orders.len(), count, "the stream has no more orders: {from} of them have moved");
        orders
    }

    fn facts(&self, orders: &[usize], change: impl Fn(&Rows, Vec<usize>) -> Change) -> Vec<Change> {
        let facts = self.tables.iter().filter_map(|table| Some((table, table.starts.as_ref()?)));
        let changes = facts.map(|(table, starts)| {
            let rows = orders.iter().flat_map(|order| -> Range<usize> { starts[*order]..starts[order + 1] });
            change(table, rows.collect())
        });
        changes.collect()
    }
}

fn taken(batch: &RecordBatch, rows: impl IntoIterator<Item = usize>) -> RecordBatch {
    let rows = UInt64Array::from_iter_values(rows.into_iter().map(|row| row as u64));
    take_record_batch(batch, &rows).unwrap()
}

/// The keys of a batch's rows.
pub fn keys(batch: &RecordBatch, key: &[&str]) -> HashSet<Vec<i64>> {
    key_columns(batch, key).map_rows().collect()
}

/// Columns of keys, all as integers.
pub struct KeyColumns(Vec<Int64Array>);

/// The columns of a batch that its keys are of.
pub fn key_columns(batch: &RecordBatch, key: &[&str]) -> KeyColumns {
    let column = |name: &&str| {
        let column = cast(batch.column_by_name(name).unwrap(), &DataType::Int64).unwrap();
        column.as_primitive::<Int64Type>().clone()
    };
    KeyColumns(key.iter().map(column).collect())
}

impl KeyColumns {
    /// The key of a row.
    pub fn of(&self, row: usize) -> Vec<i64> {
        self.0.iter().map(|column| column.value(row)).collect()
    }

    fn map_rows(&self) -> impl Iterator<Item = Vec<i64>> {
        (0..self.0.first().map_or(0, |column| column.len())).map(|row| self.of(row))
    }
}
