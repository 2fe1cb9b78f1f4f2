//! The five tables of the star schema benchmark (SSB, O'Neil et al. 2009), made of TPC-H's as its authors do: orders and
//! lines become `lineorder`, nations and regions go into the dimensions, a calendar comes.
//!
//! Where this is not SSB's dbgen: customers, suppliers and parts are as many as TPC-H has, not fewer; the digit of a city
//! and the attributes of a part are mixed from its key.

use super::columns;
use super::stream::{Rows, Stream};
use super::tpch;
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Date32Type, Decimal128Type, Int32Type, Int64Type};
use chrono::{Datelike as _, Days, NaiveDate};

const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1992, 1, 1).unwrap();
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1998, 12, 31).unwrap();

/// The benchmark's queries, with the parameters that its specification validates by.
pub const QUERIES: &[(&str, &str)] = &[
    ("q11", include_str!("ssb/q11.sql")),
    ("q12", include_str!("ssb/q12.sql")),
    ("q13", include_str!("ssb/q13.sql")),
    ("q21", include_str!("ssb/q21.sql")),
    ("q22", include_str!("ssb/q22.sql")),
    ("q23", include_str!("ssb/q23.sql")),
    ("q31", include_str!("ssb/q31.sql")),
    ("q32", include_str!("ssb/q32.sql")),
    ("q33", include_str!("ssb/q33.sql")),
    ("q34", include_str!("ssb/q34.sql")),
    ("q41", include_str!("ssb/q41.sql")),
    ("q42", include_str!("ssb/q42.sql")),
    ("q43", include_str!("ssb/q43.sql")),
];

/// The benchmark at a scale; scale 1 has six million line orders.
pub fn stream(scale: f64, seed: u64) -> Stream {
    let source = tpch::stream(scale, seed);
    let of = |name: &str| source.tables.iter().find(|table| table.name == name).unwrap();
    let (orders, lines) = (of("orders"), of("lineitem"));
    let starts = lines.starts.clone().unwrap();
    let count = orders.all.num_rows();
    let places = Places::new(&of("nation").all, &of("region").all);
    let rows = |name, key, keeps, all| Rows { name, key, keeps, all, starts: None };
    let lineorder = lineorder(&orders.all, &lines.all, &starts, &of("part").all);
    let mut tables = vec![
        rows("date", &["d_datekey"], &[], calendar()),
        rows("customer", &["c_custkey"], &["c_name"], customer(&of("customer").all, &places)),
        rows("supplier", &["s_suppkey"], &["s_name"], supplier(&of("supplier").all, &places)),
        rows("part", &["p_partkey"], &[], part(&of("part").all)),
    ];
    let key = &["lo_orderkey", "lo_linenumber"];
    tables.push(Rows { starts: Some(starts), ..rows("lineorder", key, &[], lineorder) });
    Stream::new(tables, count, seed)
}

fn text_of<'a>(batch: &'a RecordBatch, column: &str, row: usize) -> &'a str {
    batch.column_by_name(column).unwrap().as_string::<i32>().value(row)
}

fn long_of(batch: &RecordBatch, column: &str, row: usize) -> i64 {
    batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().value(row)
}

fn int_of(batch: &RecordBatch, column: &str, row: usize) -> i32 {
    batch.column_by_name(column).unwrap().as_primitive::<Int32Type>().value(row)
}

/// A value in hundredths.
fn cents_of(batch: &RecordBatch, column: &str, row: usize) -> i64 {
    let value = batch.column_by_name(column).unwrap().as_primitive::<Decimal128Type>().value(row);
    i64::try_from(value).unwrap()
}

fn mixed(key: i64) -> u64 {
    key.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// The name and the region of each nation.
struct Places(Vec<(String, String)>);

impl Places {
    fn new(nation: &RecordBatch, region: &RecordBatch) -> Self {
        let place = |row| {
            let of = usize::try_from(long_of(nation, "n_regionkey", row)).unwrap();
            (text_of(nation, "n_name", row).to_string(), text_of(region, "r_name", of).to_string())
        };
        Self((0..nation.num_rows()).map(place).collect())
    }

    fn nation(&self, key: i64) -> &str {
        &self.0[usize::try_from(key).unwrap()].0
    }

    fn region(&self, key: i64) -> &str {
        &self.0[usize::try_from(key).unwrap()].1
    }

    /// Ten cities a nation: nine letters of its name and a digit.
    fn city(&self, nation: i64, key: i64) -> String {
        format!("{:9.9}{}", self.nation(nation), mixed(key) % 10)
    }
}

fn customer(from: &RecordBatch, places: &Places) -> RecordBatch {
    let nation = |row: &usize| long_of(from, "c_nationkey", *row);
    let key = |row: &usize| long_of(from, "c_custkey", *row);
    columns::of(0..from.num_rows())
        .long("c_custkey", key)
        .text("c_name", |row| text_of(from, "c_name", *row).to_string())
        .text("c_address", |row| text_of(from, "c_address", *row).to_string())
        .text("c_city", |row| places.city(nation(row), key(row)))
        .text("c_nation", |row| places.nation(nation(row)).to_string())
        .text("c_region", |row| places.region(nation(row)).to_string())
        .text("c_phone", |row| text_of(from, "c_phone", *row).to_string())
        .text("c_mktsegment", |row| text_of(from, "c_mktsegment", *row).to_string())
        .batch()
}

fn supplier(from: &RecordBatch, places: &Places) -> RecordBatch {
    let nation = |row: &usize| long_of(from, "s_nationkey", *row);
    let key = |row: &usize| long_of(from, "s_suppkey", *row);
    columns::of(0..from.num_rows())
        .long("s_suppkey", key)
        .text("s_name", |row| text_of(from, "s_name", *row).to_string())
        .text("s_address", |row| text_of(from, "s_address", *row).to_string())
        .text("s_city", |row| places.city(nation(row), key(row)))
        .text("s_nation", |row| places.nation(nation(row)).to_string())
        .text("s_region", |row| places.region(nation(row)).to_string())
        .text("s_phone", |row| text_of(from, "s_phone", *row).to_string())
        .batch()
}

/// Five makers, five categories each, forty brands each.
fn part(from: &RecordBatch) -> RecordBatch {
    let key = |row: &usize| long_of(from, "p_partkey", *row);
    let category = |row: &usize| {
        let mixed = mixed(key(row));
        (mixed % 5 + 1, mixed / 5 % 5 + 1)
    };
    columns::of(0..from.num_rows())
        .long("p_partkey", key)
        .text("p_name", |row| text_of(from, "p_name", *row).to_string())
        .text("p_mfgr", |row| format!("MFGR#{}", category(row).0))
        .text("p_category", |row| format!("MFGR#{}{}", category(row).0, category(row).1))
        .text("p_brand1", |row| {
            let (maker, category) = category(row);
            format!("MFGR#{maker}{category}{}", mixed(key(row)) / 25 % 40 + 1)
        })
        .text("p_color", |row| {
            text_of(from, "p_name", *row).split(' ').next().unwrap_or_default().to_string()
        })
        .text("p_type", |row| text_of(from, "p_type", *row).to_string())
        .int("p_size", |row| int_of(from, "p_size", *row))
        .text("p_container", |row| text_of(from, "p_container", *row).to_string())
        .batch()
}

/// A day as a number: 19940131.
fn day_key(day: NaiveDate) -> i32 {
    day.year() * 10_000 + i32::try_from(day.month() * 100 + day.day()).unwrap()
}

fn day_of(batch: &RecordBatch, column: &str, row: usize) -> i32 {
    let days = batch.column_by_name(column).unwrap().as_primitive::<Date32Type>();
    day_key(days.value_as_date(row).unwrap())
}

fn calendar() -> RecordBatch {
    let days = FIRST_DAY.iter_days().take_while(|day| *day <= LAST_DAY);
    columns::of(days)
        .int("d_datekey", |day| day_key(*day))
        .text("d_date", |day| day.format("%B %-d, %Y").to_string())
        .text("d_dayofweek", |day| day.format("%A").to_string())
        .text("d_month", |day| day.format("%B").to_string())
        .int("d_year", |day| day.year())
        .int("d_yearmonthnum", |day| day_key(*day) / 100)
        .text("d_yearmonth", |day| day.format("%b%Y").to_string())
        .int("d_daynuminweek", |day| day.weekday().num_days_from_sunday().cast_signed() + 1)
        .int("d_daynuminmonth", |day| day.day().cast_signed())
        .int("d_daynuminyear", |day| day.ordinal().cast_signed())
        .int("d_monthnuminyear", |day| day.month().cast_signed())
        .int("d_weeknuminyear", |day| day.ordinal0().cast_signed() / 7 + 1)
        .text("d_sellingseason", |day| season(*day).to_string())
        .int("d_lastdayinmonthfl", |day| i32::from((*day + Days::new(1)).day() == 1))
        .int("d_weekdayfl", |day| i32::from(day.weekday().num_days_from_monday() < 5))
        .batch()
}

fn season(day: NaiveDate) -> &'static str {
    match day.month() {
        1..=3 => "Winter",
        4 | 5 => "Spring",
        6..=8 => "Summer",
        9 | 10 => "Fall",
        _ => "Christmas",
    }
}

/// One row a line, with what its order says; money in whole hundredths.
fn lineorder(
    orders: &RecordBatch,
    lines: &RecordBatch,
    starts: &[usize],
    parts: &RecordBatch,
) -> RecordBatch {
    let order_of: Vec<usize> = starts
        .windows(2)
        .enumerate()
        .flat_map(|(order, bounds)| vec![order; bounds[1] - bounds[0]])
        .collect();
    let price = |row: &usize| cents_of(lines, "l_extendedprice", *row);
    let discount = |row: &usize| cents_of(lines, "l_discount", *row);
    let cost = |row: &usize| {
        let part = usize::try_from(long_of(lines, "l_partkey", *row) - 1).unwrap();
        cents_of(parts, "p_retailprice", part) * 6 / 10
    };
    let small = |value: i64| i32::try_from(value).unwrap();
    columns::of(0..lines.num_rows())
        .long("lo_orderkey", |row| long_of(lines, "l_orderkey", *row))
        .int("lo_linenumber", |row| int_of(lines, "l_linenumber", *row))
        .long("lo_custkey", |row| long_of(orders, "o_custkey", order_of[*row]))
        .long("lo_partkey", |row| long_of(lines, "l_partkey", *row))
        .long("lo_suppkey", |row| long_of(lines, "l_suppkey", *row))
        .int("lo_orderdate", |row| day_of(orders, "o_orderdate", order_of[*row]))
        .text("lo_orderpriority", |row| text_of(orders, "o_orderpriority", order_of[*row]).to_string())
        .int("lo_shippriority", |row| int_of(orders, "o_shippriority", order_of[*row]))
        .int("lo_quantity", |row| small(cents_of(lines, "l_quantity", *row) / 100))
        .long("lo_extendedprice", price)
        .long("lo_ordtotalprice", |row| cents_of(orders, "o_totalprice", order_of[*row]))
        .int("lo_discount", |row| small(discount(row)))
        .long("lo_revenue", |row| price(row) * (100 - discount(row)) / 100)
        .long("lo_supplycost", cost)
        .int("lo_tax", |row| small(cents_of(lines, "l_tax", *row)))
        .int("lo_commitdate", |row| day_of(lines, "l_commitdate", *row))
        .text("lo_shipmode", |row| text_of(lines, "l_shipmode", *row).to_string())
        .batch()
}
