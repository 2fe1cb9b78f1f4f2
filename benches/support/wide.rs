//! Rows of ten columns of mixed types, for benches of what leaves the server.

use super::feed::{parquet_source, scattered, write_parquet};
use super::{Server, Warehouse};
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use std::sync::Arc;
use std::time::Duration;

/// Rows of one file.
const PIECE: u64 = 500_000;
const ARRIVED: Duration = Duration::from_secs(600);

/// All columns of the rows, and the table's name is to follow.
pub const ROWS: &str =
    "SELECT id, customer, quantity, price, ratio, sold_on, sold_at, paid, status, note FROM";

/// A server whose bronze table has all rows.
pub fn filled(warehouse: &Warehouse, rows: u64) -> Server {
    warehouse.write("catalog/warehouse.toml", "[users.sluice]\ntrust_loopback = true\n");
    let columns = "id BIGINT, customer INT, quantity INT, price DECIMAL(18,2), ratio DOUBLE, sold_on DATE, sold_at TIMESTAMP, \
                   paid BOOLEAN, status STRING, note STRING";
    let source = format!("CREATE SOURCE bronze.sales ({columns})\n{}", parquet_source("sales"));
    warehouse.write("catalog/sales.sql", source);
    for from in (0..rows).step_by(PIECE as usize) {
        let piece = batch(from as i64..(from + PIECE).min(rows) as i64);
        write_parquet(warehouse, &format!("sales/{from:09}"), &piece);
    }
    let server = warehouse.serve();
    server.wait_until_within("SELECT count(*) FROM bronze.sales", &rows.to_string(), ARRIVED);
    server
}

/// Rows of ten columns: numbers, text, times, every thirteenth note NULL.
fn batch(numbers: std::ops::Range<i64>) -> RecordBatch {
    let each = || numbers.clone().map(|id| (id, scattered(id)));
    let texts =
        |text: fn(u64) -> Option<String>| Arc::new(StringArray::from_iter(each().map(|(_, n)| text(n))));
    let ints = |int: fn(u64) -> i32| Arc::new(Int32Array::from_iter_values(each().map(|(_, n)| int(n))));
    let prices = Decimal128Array::from_iter_values(each().map(|(_, n)| i128::from(n >> 44)));
    let columns: [(&str, ArrayRef); 10] = [
        ("id", Arc::new(Int64Array::from_iter_values(numbers.clone()))),
        ("customer", ints(|n| (n >> 16) as i32 & 0xF_FFFF)),
        ("quantity", ints(|n| (n & 63) as i32)),
        ("price", Arc::new(prices.with_precision_and_scale(18, 2).unwrap())),
        ("ratio", Arc::new(Float64Array::from_iter_values(each().map(|(_, n)| (n >> 11) as f64 / 9.0)))),
        (
            "sold_on",
            Arc::new(Date32Array::from_iter_values(each().map(|(id, _)| 19_000 + (id / 5_000) as i32))),
        ),
        (
            "sold_at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                each().map(|(id, n)| 1_700_000_000_000_000 + id * 1_000_003 + (n & 0xFFFF) as i64),
            )),
        ),
        ("paid", Arc::new(BooleanArray::from_iter(each().map(|(_, n)| Some(n & 1 == 0))))),
        ("status", texts(|n| Some(["open", "paid", "shipped", "returned"][(n & 3) as usize].to_string()))),
        ("note", texts(|n| (n % 13 > 0).then(|| format!("{:024x}", u128::from(n) * 7)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
