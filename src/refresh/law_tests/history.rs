//! Histories: what is committed to the tables between refreshes.

use super::house::{self, House};
use super::run::table_name;
use super::values::{self, Column, Columns, Kind, NULL, Row};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{RowConverter, SortField};
use arrow::util::pretty::pretty_format_batches;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

/// What happens to one table.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Insert(Vec<Row>),
    /// Rows without a key.
    InsertNullKeys(Vec<Row>),
    /// Rows from before all others.
    InsertLate(Vec<Row>),
    /// Rows come once more.
    Duplicate(Rows),
    Delete(Rows),
    DeleteAll,
    /// A column's cells are replaced, in one commit.
    Update(Rows, Index, u8),
    /// Rows go and others come, in one commit.
    Replace(Rows, Vec<Row>),
    Fold,
    AddColumn(Kind),
    /// One of the columns that can be is made wider.
    WidenColumn(Index),
}

/// Which rows.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// Those of one key.
    OfKey(u8),
    /// Each n-th, from one on.
    Each(usize, usize),
    /// Those with one value in a column.
    Valued(Index, u8),
}

/// A change, and the table that it happens to.
#[derive(Clone, Debug)]
pub(super) struct Step {
    table: Index,
    change: Change,
}

/// All commits between two refreshes, whether the views' own files are folded meanwhile, and whether the refresh is the
/// first after a restart.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) steps: Vec<Step>,
    pub(super) folds_views: bool,
    pub(super) restarts: bool,
}

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(any::<Row>(), 1..=most)
}

/// The rows that tables start with.
pub(super) fn first_rows() -> impl Strategy<Value = Vec<Vec<Row>>> {
    prop::collection::vec(prop::collection::vec(any::<Row>(), 2..10), 4)
}

fn which() -> impl Strategy<Value = Rows> {
    prop_oneof![
        any::<u8>().prop_map(Rows::OfKey),
        (1usize..4, 0usize..4).prop_map(|(by, from)| Rows::Each(by, from)),
        (any::<Index>(), any::<u8>()).prop_map(|(column, value)| Rows::Valued(column, value)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => rows(4).prop_map(Change::Insert),
        3 => rows(2).prop_map(Change::InsertNullKeys),
        3 => rows(2).prop_map(Change::InsertLate),
        3 => which().prop_map(Change::Duplicate),
        8 => which().prop_map(Change::Delete),
        8 => (which(), any::<Index>(), any::<u8>())
            .prop_map(|(which, column, value)| Change::Update(which, column, value)),
        5 => (which(), rows(2)).prop_map(|(which, rows)| Change::Replace(which, rows)),
        4 => Just(Change::Fold),
        1 => values::kind().prop_map(Change::AddColumn),
        1 => any::<Index>().prop_map(Change::WidenColumn),
        2 => Just(Change::DeleteAll),
    ]
}

/// Two rounds, mostly; now and then so many that a view is made of what was made of what was made.
pub(super) fn rounds() -> impl Strategy<Value = Vec<Round>> {
    prop_oneof![15 => rounds_of(2), 1 => rounds_of(6)]
}

fn rounds_of(most: usize) -> impl Strategy<Value = Vec<Round>> {
    let step = (any::<Index>(), change()).prop_map(|(table, change)| Step { table, change });
    let steps = prop::collection::vec(step, 1..5);
    let round = (steps, prop::bool::weighted(0.15), prop::bool::weighted(0.2));
    let round = round.prop_map(|(steps, folds_views, restarts)| Round { steps, folds_views, restarts });
    let rounds = prop::collection::vec(prop::option::weighted(0.9, round), most);
    rounds.prop_map(|rounds| rounds.into_iter().flatten().collect())
}

impl Round {
    /// The round with columns of values that DuckDB is asked about.
    pub(super) fn share(&mut self) {
        for step in &mut self.steps {
            if let Change::AddColumn(kind) = &mut step.change {
                *kind = kind.shared();
            }
        }
    }
}

impl Step {
    /// In words, with the rows that come. `tables` is as long as the story's.
    pub(super) fn told(&self, tables: &[Columns]) -> String {
        let number = self.table.index(tables.len());
        let columns = &tables[number];
        let rows = |rows: &[Row]| {
            let rows = values::batch(columns, rows, matches!(self.change, Change::InsertLate(_)));
            pretty_format_batches(&[rows]).unwrap().to_string()
        };
        let what = match &self.change {
            Change::Insert(come) | Change::InsertLate(come) | Change::InsertNullKeys(come) => rows(come),
            Change::Replace(which, come) => format!("{}\n{}", which.told(columns), rows(come)),
            Change::Delete(which) => which.told(columns),
            Change::Update(which, column, value) => {
                let column = &columns[column.index(columns.len())];
                let value = column.kind.value(*value).map(|value| column.kind.literal(value));
                format!("{} to {} {}", which.told(columns), column.name, value.unwrap_or_default())
            }
            Change::Duplicate(which) => which.told(columns),
            Change::AddColumn(kind) => kind.sql().to_string(),
            Change::WidenColumn(column) => {
                narrow(columns, column).map_or(String::new(), |column| columns[column].name.clone())
            }
            Change::DeleteAll | Change::Fold => String::new(),
        };
        format!("{} of {}: {what}", self.kind(), table_name(number))
    }

    /// What the run counts it as.
    pub(super) fn kind(&self) -> &'static str {
        match &self.change {
            Change::Insert(_) => "insert",
            Change::InsertNullKeys(_) => "insert of NULL keys",
            Change::InsertLate(_) => "insert of late rows",
            Change::Duplicate(_) => "insert of duplicates",
            Change::Delete(_) => "delete",
            Change::DeleteAll => "delete of all rows",
            Change::Update(..) => "update",
            Change::Replace(..) => "replacement",
            Change::Fold => "fold",
            Change::AddColumn(_) => "new column",
            Change::WidenColumn(_) => "wider type",
        }
    }

    /// Commits the change; tells whether it changed any row.
    pub(super) async fn take(&self, house: &House, tables: &mut [Columns]) -> bool {
        let number = self.table.index(tables.len());
        let table = house.table(&table_name(number));
        let columns = &mut tables[number];
        let batch = |columns: &[Column], rows: &[Row]| values::batch(columns, rows, false);
        let changed = match &self.change {
            Change::Insert(rows) => house::append(&table, batch(columns, rows)).await,
            Change::InsertNullKeys(rows) => {
                let rows: Vec<Row> = rows.iter().map(|row| without_key(*row)).collect();
                house::append(&table, batch(columns, &rows)).await
            }
            Change::InsertLate(rows) => house::append(&table, values::batch(columns, rows, true)).await,
            Change::Duplicate(which) => {
                let mut which = which.among(columns);
                house::append(&table, house::rows_where(&table, |rows| which.of(rows))).await
            }
            Change::Delete(which) => {
                let mut which = which.among(columns);
                house::replace(&table, |rows| which.of(rows), |_| None).await
            }
            Change::DeleteAll => house::replace(&table, |rows| vec![true; rows.num_rows()], |_| None).await,
            Change::Update(which, column, value) => {
                let mut which = which.among(columns);
                let column = column.index(columns.len());
                let kind = columns[column].kind;
                let updated = |old: RecordBatch| {
                    let cells = kind.column(&vec![*value; old.num_rows()], false);
                    Some(with_column(&old, column, cells))
                };
                house::replace(&table, |rows| which.of(rows), updated).await
            }
            Change::Replace(which, rows) => {
                let mut which = which.among(columns);
                house::replace(&table, |rows| which.of(rows), |_| Some(batch(columns, rows))).await
            }
            Change::Fold => house::fold(&table).await,
            // As many as a row has cells.
            Change::AddColumn(_) if columns.len() == std::mem::size_of::<Row>() => 0,
            Change::AddColumn(kind) => {
                columns.push(Column { name: format!("c{}", columns.len()), kind: *kind });
                house.widen(&table, values::schema(columns));
                1
            }
            Change::WidenColumn(column) => match narrow(columns, column) {
                None => 0,
                Some(column) => {
                    let kind = &mut columns[column].kind;
                    *kind = kind.wider().unwrap_or(*kind);
                    house.widen(&table, values::schema(columns));
                    1
                }
            },
        };
        changed > 0
    }
}

/// Tells which of a table's rows are meant, batch after batch.
enum Which {
    Each { by: usize, next: usize },
    Valued { column: usize, value: ArrayRef },
}

impl Which {
    fn of(&mut self, rows: &RecordBatch) -> Vec<bool> {
        match self {
            Which::Each { by, next } => {
                let first = *next;
                *next += rows.num_rows();
                (first..*next).map(|row| row % *by == 0).collect()
            }
            Which::Valued { column, value } => {
                let kind = value.data_type().clone();
                let converter = RowConverter::new(vec![SortField::new(kind)]).unwrap();
                let wanted = converter.convert_columns(&[Arc::clone(value)]).unwrap();
                let cells = converter.convert_columns(&[Arc::clone(rows.column(*column))]).unwrap();
                cells.iter().map(|cell| cell == wanted.row(0)).collect()
            }
        }
    }
}

impl Rows {
    fn told(&self, columns: &[Column]) -> String {
        let valued = |column: &Column, value: u8| {
            let value = column.kind.value(value).map(|value| column.kind.literal(value));
            format!("where {} is {}", column.name, value.as_deref().unwrap_or("NULL"))
        };
        match self {
            Rows::OfKey(value) => valued(&columns[0], *value),
            Rows::Each(by, from) => format!("every {by}th from {from}"),
            Rows::Valued(column, value) => valued(&columns[column.index(columns.len())], *value),
        }
    }

    fn among(&self, columns: &[Column]) -> Which {
        let valued = |column: usize, value: u8| Which::Valued {
            column,
            value: columns[column].kind.column(&[value], false),
        };
        match self {
            Rows::OfKey(value) => valued(0, *value),
            Rows::Each(by, from) => Which::Each { by: *by, next: *from },
            Rows::Valued(column, value) => valued(column.index(columns.len()), *value),
        }
    }
}

/// One of the columns that can be wider.
fn narrow(columns: &[Column], which: &Index) -> Option<usize> {
    let narrow = (0..columns.len()).filter(|i| columns[*i].kind.wider().is_some()).collect::<Vec<_>>();
    if narrow.is_empty() { None } else { Some(*which.get(&narrow)) }
}

fn without_key(mut row: Row) -> Row {
    row[0] = NULL;
    row
}

fn with_column(rows: &RecordBatch, column: usize, cells: ArrayRef) -> RecordBatch {
    let mut columns = rows.columns().to_vec();
    columns[column] = cells;
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}
