//! The partners of changed rows: of each other table that a query names, the rows that join with them by key, directly or
//! through one another. A refresh may not read many times more than these and still call itself incremental.
//!
//! Each row counts once for each table that has changed, also where a query scans its table twice. From a nation or a
//! region, which many rows share, nothing goes on.
#![allow(clippy::unwrap_used, reason = "a bench that panics has failed")]

use crate::stream::{Change, Rows, key_columns, keys as keys_of};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use std::collections::HashSet;

/// A foreign key: its table and columns, the table that it points to and that table's columns.
pub type ForeignKey = (&'static str, &'static [&'static str], &'static str, &'static [&'static str]);

/// TPC-H's foreign keys.
pub const TPCH: &[ForeignKey] = &[
    ("lineitem", &["l_orderkey"], "orders", &["o_orderkey"]),
    ("lineitem", &["l_partkey"], "part", &["p_partkey"]),
    ("lineitem", &["l_suppkey"], "supplier", &["s_suppkey"]),
    ("lineitem", &["l_partkey", "l_suppkey"], "partsupp", &["ps_partkey", "ps_suppkey"]),
    ("orders", &["o_custkey"], "customer", &["c_custkey"]),
    ("partsupp", &["ps_partkey"], "part", &["p_partkey"]),
    ("partsupp", &["ps_suppkey"], "supplier", &["s_suppkey"]),
    ("customer", &["c_nationkey"], "nation", &["n_nationkey"]),
    ("supplier", &["s_nationkey"], "nation", &["n_nationkey"]),
    ("nation", &["n_regionkey"], "region", &["r_regionkey"]),
];

/// The star schema benchmark's.
pub const SSB: &[ForeignKey] = &[
    ("lineorder", &["lo_orderdate"], "date", &["d_datekey"]),
    ("lineorder", &["lo_custkey"], "customer", &["c_custkey"]),
    ("lineorder", &["lo_suppkey"], "supplier", &["s_suppkey"]),
    ("lineorder", &["lo_partkey"], "part", &["p_partkey"]),
];

/// Tables that rows are not gone on from.
const SHARED: [&str; 3] = ["nation", "region", "date"];

/// Changed rows of the tables that a query names, old and new, and their partners.
pub fn of_changes(tables: &[Rows], keys: &[ForeignKey], changes: &[Change], query: &str) -> (usize, usize) {
    let words: HashSet<&str> = query.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let (mut changed, mut partners) = (0, 0);
    for table in tables.iter().filter(|table| words.contains(table.name)) {
        let of_table = changes.iter().filter(|change| change.table == table.name);
        let rows: Vec<RecordBatch> = of_table.flat_map(|change| changed_rows(table, change)).collect();
        changed += rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        let rows = concat_batches(&table.all.schema(), &rows).unwrap();
        partners += of_rows(tables, keys, (table.name, rows), &words);
    }
    (changed, partners)
}

/// The rows of a change: as they were, as they are now.
fn changed_rows(table: &Rows, change: &Change) -> Vec<RecordBatch> {
    change.rows.iter().cloned().chain([matching(&table.all, change.key, &change.gone)]).collect()
}

fn of_rows(
    tables: &[Rows],
    keys: &[ForeignKey],
    changed: (&'static str, RecordBatch),
    words: &HashSet<&str>,
) -> usize {
    let (mut met, mut partners) = (HashSet::from([changed.0]), 0);
    let mut frontier = vec![changed];
    while let Some((name, rows)) = frontier.pop() {
        for (from, from_columns, to, to_columns) in keys {
            let (other, own_columns, other_columns) = match name {
                _ if name == *from => (to, from_columns, to_columns),
                _ if name == *to && !SHARED.contains(&name) => (from, to_columns, from_columns),
                _ => continue,
            };
            if !words.contains(other) || !met.insert(other) {
                continue;
            }
            let table = tables.iter().find(|table| table.name == *other).unwrap();
            let found = matching(&table.all, other_columns, &keys_of(&rows, own_columns));
            partners += found.num_rows();
            frontier.insert(0, (table.name, found));
        }
    }
    partners
}

/// The rows that have one of the keys.
fn matching(rows: &RecordBatch, columns: &[&str], keys: &HashSet<Vec<i64>>) -> RecordBatch {
    let of_rows = key_columns(rows, columns);
    let meant: BooleanArray = (0..rows.num_rows()).map(|row| Some(keys.contains(&of_rows.of(row)))).collect();
    filter_record_batch(rows, &meant).unwrap()
}
