//! Columns of random types, and the few values that stand in them, so that keys meet.

use super::tape::Tape;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use std::sync::Arc;

/// A column's type, as the queries' grammar tells types apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Big,
    /// BIGINT up to its limits: sums begin anew behind them. DuckDB's do not: it is not asked.
    Edge,
    Int,
    Decimal,
    /// DECIMAL(18, 2): what a decimal is made into when it is to be wider.
    Wide,
    /// DECIMAL(38, 2), whose values are as large as sums of some hundred rows allow.
    Large,
    Double,
    /// Doubles with NaN and -0.0 among them. The law alone is tried on these: DuckDB is not asked.
    Odd,
    Text,
    Bool,
    Date,
    Time,
    /// Shown in results, and nothing else is made of it: lists, averages of decimals.
    Other,
}

/// What columns of tables may be.
const STORED: [Kind; 11] = [
    Kind::Big,
    Kind::Edge,
    Kind::Text,
    Kind::Int,
    Kind::Decimal,
    Kind::Double,
    Kind::Odd,
    Kind::Bool,
    Kind::Date,
    Kind::Time,
    Kind::Large,
];

const BIGS: [i64; 7] = [0, 1, 2, 3, 5, -1, 1000];
const EDGES: [i64; 6] = [0, i64::MAX, i64::MIN, 1, -1, i64::MAX - 1];
const INTS: [i32; 8] = [0, 1, 2, 3, 7, -2, i32::MAX, i32::MIN];
/// Cents.
const DECIMALS: [i128; 7] = [0, 150, 200, 1, -325, 9_999_999_999, -9_999_999_999];
const LARGES: [i128; 5] = [0, 100, 999_999_999_999_999_999_999_999_999_999_999, -(10i128.pow(33)), 1];
const DOUBLES: [f64; 6] = [0.0, 1.0, 2.5, -1.0, f64::INFINITY, f64::NEG_INFINITY];
/// With both zeros, which are one key.
const ODDS: [f64; 7] = [f64::NAN, 2.5, 0.0, -0.0, 1.0, f64::INFINITY, -1.0];
const TEXTS: [&str; 6] = ["", "a", "b", "ab", "B", "c"];
/// 2024-02-27.
const DAY: i32 = 19_780;
const DAY_US: i64 = 86_400_000_000;
/// How many days earlier rows are that come late.
const LATE_DAYS: i32 = 40;

/// Which value stands in a cell: a NULL for one in eight.
pub(super) type Choice = u8;
/// The choice that is NULL in every column.
pub(super) const NULL: Choice = 255;

impl Kind {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Kind::Big | Kind::Edge => DataType::Int64,
            Kind::Int => DataType::Int32,
            Kind::Decimal => DataType::Decimal128(10, 2),
            Kind::Wide => DataType::Decimal128(18, 2),
            Kind::Large | Kind::Other => DataType::Decimal128(38, 2),
            Kind::Double | Kind::Odd => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Bool => DataType::Boolean,
            Kind::Date => DataType::Date32,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }

    /// Its name in SQL.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Kind::Big | Kind::Edge => "BIGINT",
            Kind::Int => "INT",
            Kind::Decimal => "DECIMAL(10, 2)",
            Kind::Wide => "DECIMAL(18, 2)",
            Kind::Large | Kind::Other => "DECIMAL(38, 2)",
            Kind::Double | Kind::Odd => "DOUBLE",
            Kind::Text => "TEXT",
            Kind::Bool => "BOOLEAN",
            Kind::Date => "DATE",
            Kind::Time => "TIMESTAMPTZ",
        }
    }

    /// Literals and conditions can be made of it.
    pub(super) fn is_plain(self) -> bool {
        self != Kind::Other
    }

    /// A least and a greatest value are those of the rows, and as DuckDB has them. Whether NaN is the greatest depends on
    /// the order in which the engine's `max` meets it. Of infinities alone, its groups have a greatest finite value for
    /// their least.
    pub(super) fn has_extremes(self, shared: bool) -> bool {
        self != Kind::Other && self != Kind::Odd && !(shared && self == Kind::Double)
    }

    /// Sums have one answer in whatever order.
    pub(super) fn sums_exactly(self) -> bool {
        matches!(self, Kind::Big | Kind::Edge | Kind::Int | Kind::Decimal | Kind::Large)
    }

    /// The same type without the values that DuckDB is not asked about.
    pub(super) fn shared(self) -> Self {
        match self {
            Kind::Odd => Kind::Double,
            Kind::Edge => Kind::Big,
            other => other,
        }
    }

    /// The wider type that a column may be given.
    pub(super) fn wider(self) -> Option<Self> {
        match self {
            Kind::Int => Some(Kind::Big),
            Kind::Decimal => Some(Kind::Wide),
            _ => None,
        }
    }

    /// How many different values there are.
    fn values(self) -> usize {
        match self {
            Kind::Big => BIGS.len(),
            Kind::Edge => EDGES.len(),
            Kind::Int => INTS.len(),
            Kind::Decimal | Kind::Wide => DECIMALS.len(),
            Kind::Large | Kind::Other => LARGES.len(),
            Kind::Double => DOUBLES.len(),
            Kind::Odd => ODDS.len(),
            Kind::Text => TEXTS.len(),
            Kind::Bool => 2,
            Kind::Date | Kind::Time => 5,
        }
    }

    /// Which value a choice means; `None` for NULL.
    pub(super) fn value(self, choice: Choice) -> Option<usize> {
        (choice < 224).then(|| usize::from(choice) % self.values())
    }

    /// A value as a literal.
    pub(super) fn literal(self, value: usize) -> String {
        let cents = |n: i128| format!("CAST('{}' AS {})", Cents(n), self.sql());
        match self {
            Kind::Big => format!("({})", BIGS[value]),
            Kind::Edge => format!("CAST('{}' AS BIGINT)", EDGES[value]),
            Kind::Int => format!("CAST({} AS INT)", INTS[value]),
            Kind::Decimal | Kind::Wide => cents(DECIMALS[value]),
            Kind::Large | Kind::Other => cents(LARGES[value]),
            Kind::Double => format!("CAST('{}' AS DOUBLE)", DOUBLES[value]),
            Kind::Odd => format!("CAST('{}' AS DOUBLE)", ODDS[value]),
            Kind::Text => format!("'{}'", TEXTS[value]),
            Kind::Bool => ["TRUE", "FALSE"][value].to_string(),
            Kind::Date => format!("DATE '2024-02-{}'", 25 + value),
            Kind::Time => format!("CAST('2024-02-{}T06:30:00Z' AS TIMESTAMPTZ)", 25 + value),
        }
    }

    /// A random literal.
    pub(super) fn some_literal(self, tape: &mut Tape<'_>) -> String {
        self.literal(tape.pick(self.values()))
    }

    /// The cells of a column.
    pub(super) fn column(self, choices: &[Choice], is_late: bool) -> ArrayRef {
        let days = if is_late { LATE_DAYS } else { 2 };
        let values = choices.iter().map(|choice| self.value(*choice));
        let cents = |all: &[i128]| {
            let array = Decimal128Array::from_iter(values.clone().map(|v| v.map(|v| all[v])));
            Arc::new(array.with_data_type(self.data_type())) as ArrayRef
        };
        let day = |value: usize| DAY - days + i32::try_from(value).unwrap();
        match self {
            Kind::Big => Arc::new(Int64Array::from_iter(values.map(|v| v.map(|v| BIGS[v])))),
            Kind::Edge => Arc::new(Int64Array::from_iter(values.map(|v| v.map(|v| EDGES[v])))),
            Kind::Int => Arc::new(Int32Array::from_iter(values.map(|v| v.map(|v| INTS[v])))),
            Kind::Decimal | Kind::Wide => cents(&DECIMALS),
            Kind::Large | Kind::Other => cents(&LARGES),
            Kind::Double => Arc::new(Float64Array::from_iter(values.map(|v| v.map(|v| DOUBLES[v])))),
            Kind::Odd => Arc::new(Float64Array::from_iter(values.map(|v| v.map(|v| ODDS[v])))),
            Kind::Text => Arc::new(StringArray::from_iter(values.map(|v| v.map(|v| TEXTS[v])))),
            Kind::Bool => Arc::new(BooleanArray::from_iter(values.map(|v| v.map(|v| v == 0)))),
            Kind::Date => Arc::new(Date32Array::from_iter(values.map(|v| v.map(day)))),
            Kind::Time => {
                let us = values.map(|v| v.map(|v| i64::from(day(v)) * DAY_US + DAY_US * 13 / 48));
                Arc::new(TimestampMicrosecondArray::from_iter(us).with_timezone("UTC"))
            }
        }
    }
}

/// A decimal of two digits behind the point.
struct Cents(i128);

impl std::fmt::Display for Cents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let all = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", all / 100, all % 100)
    }
}

/// A column's name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A table's columns: the first is a BIGINT that every table has.
pub(super) type Columns = Vec<Column>;

/// Rows as choices: one for each column that a table may ever have.
pub(super) type Row = [Choice; 8];

/// Two to four tables.
pub(super) fn tables() -> impl Strategy<Value = Vec<Columns>> {
    let columns = prop::collection::vec(prop::sample::select(STORED.to_vec()), 1..5);
    prop::collection::vec(columns.prop_map(|kinds| named(&kinds)), 2..5)
}

fn named(kinds: &[Kind]) -> Columns {
    let all = std::iter::once(&Kind::Big).chain(kinds);
    all.enumerate().map(|(i, kind)| Column { name: format!("c{i}"), kind: *kind }).collect()
}

/// One more column of any type.
pub(super) fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(STORED.to_vec())
}

pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| Field::new(&column.name, column.kind.data_type(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(super) fn batch(columns: &[Column], rows: &[Row], is_late: bool) -> RecordBatch {
    let cells = |i: usize| rows.iter().map(|row| row[i]).collect::<Vec<_>>();
    let arrays = columns.iter().enumerate().map(|(i, c)| c.kind.column(&cells(i), is_late));
    RecordBatch::try_new(schema(columns), arrays.collect()).unwrap()
}

#[test]
fn literals_and_cells_are_the_same_values() {
    assert_eq!(Kind::Decimal.literal(4), "CAST('-3.25' AS DECIMAL(10, 2))");
    assert_eq!(Kind::Decimal.literal(3), "CAST('0.01' AS DECIMAL(10, 2))");
    let cells = Kind::Date.column(&[0, 4, NULL], false);
    let shown = arrow::util::pretty::pretty_format_columns("d", &[cells]).unwrap().to_string();
    assert!(shown.contains("2024-02-25") && shown.contains("2024-02-29"), "{shown}");
}
