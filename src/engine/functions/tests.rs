//! The functions as SQL sees them, over every shape that text comes in.

use super::register;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, LargeStringArray, ListArray, StringArray, StringViewArray,
};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

async fn column(sql: &str, values: ArrayRef) -> Vec<Option<String>> {
    let context = SessionContext::new();
    register(&context);
    let batch = RecordBatch::try_from_iter_with_nullable([("v", values, true)]).unwrap();
    context.register_batch("t", batch).unwrap();
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    batches
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter().map(|v| v.map(String::from)))
        .collect()
}

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn sha256_is_hex_text_over_every_kind_of_text() {
    let texts = [Some("abc"), None, Some("")];
    let shapes: [ArrayRef; 4] = [
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(BinaryArray::from(vec![Some(&b"abc"[..]), None, Some(b"")])),
    ];
    for shape in shapes {
        let shown = shape.data_type().clone();
        let found = column("SELECT sha256(v) FROM t", shape).await;
        assert_eq!(found, [Some(ABC.to_string()), None, Some(EMPTY.to_string())], "{shown}");
    }
}

#[tokio::test]
async fn constants_and_nulls_work_too() {
    let one: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    assert_eq!(column("SELECT sha256('abc') FROM t", one.clone()).await, [Some(ABC.to_string())]);
    assert_eq!(column("SELECT mask_name(NULL) FROM t", one.clone()).await, [None]);
    assert_eq!(column("SELECT mask_phone('5551234567') FROM t", one).await, [Some("******4567".to_string())]);
}

#[tokio::test]
async fn masks_whole_columns() {
    let emails: ArrayRef = Arc::new(StringViewArray::from(vec![Some("anna@example.com"), None]));
    let found = column("SELECT mask_email(v) FROM t", emails).await;
    assert_eq!(found, [Some("a***@example.com".to_string()), None]);
}

async fn key(values: &str) -> i64 {
    let context = SessionContext::new();
    register(&context);
    let batches =
        context.sql(&format!("SELECT surrogate_key({values})")).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn surrogate_keys_are_the_same_for_ever() {
    // Computed by another program from the bytes that the function's file promises.
    for (values, expected) in [
        ("7, 'abc'", -730_726_745_856_530_183),
        ("7, TIMESTAMP '2026-01-01 00:00:00'", -8_671_907_148_070_510_146),
        ("NULL", 7_940_984_811_893_783_192),
        ("''", 7_801_535_902_881_005_369),
        ("CAST(1.50 AS DECIMAL(18,2))", -6_595_407_762_992_491_093),
        ("named_struct('a', 1, 'b', 'x')", -539_751_206_772_309_952),
        ("make_array(1, NULL)", 7_973_332_210_005_034_997),
        ("true", -7_075_269_769_599_703_517),
        ("DATE '2026-01-01'", -222_216_097_500_074_371),
        ("CAST(1.5 AS DOUBLE)", -6_656_496_763_448_312_200),
        ("x'00ff'", -5_097_157_732_933_013_546),
    ] {
        assert_eq!(key(values).await, expected, "{values}");
    }
}

#[tokio::test]
async fn surrogate_keys_tell_apart_what_sql_tells_apart() {
    for (one, other) in [
        ("7", "CAST(7 AS SMALLINT)"),
        ("7", "CAST(7.00 AS DECIMAL(18,2))"),
        ("70", "CAST(70 AS DECIMAL(38,0))"),
        ("'a'", "CAST('a' AS VARCHAR)"),
        ("TIMESTAMP '2026-01-01'", "CAST('2026-01-01T00:00:00Z' AS TIMESTAMPTZ)"),
        ("CAST(0.0 AS DOUBLE)", "CAST('-0.0' AS DOUBLE)"),
    ] {
        assert_eq!(key(one).await, key(other).await, "{one} is {other}");
    }
    for (one, other) in [
        ("'ab', 'c'", "'a', 'bc'"),
        ("NULL", "''"),
        ("NULL", "NULL, NULL"),
        ("1, 2", "2, 1"),
        ("7", "'7'"),
        ("make_array(1), 2", "make_array(1, 2)"),
        ("CAST(0.1 AS DECIMAL(3,2))", "CAST(0.01 AS DECIMAL(3,2))"),
    ] {
        assert_ne!(key(one).await, key(other).await, "{one} is not {other}");
    }
}

#[tokio::test]
async fn surrogate_keys_of_columns_are_those_of_their_values() {
    let context = SessionContext::new();
    register(&context);
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]));
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("abc"), None, Some("")]));
    let batch = RecordBatch::try_from_iter_with_nullable([("l", lists, true), ("t", texts, true)]).unwrap();
    // A slice does not begin where its array does.
    for from in 0..3 {
        context.register_batch("t", batch.slice(from, 3 - from)).unwrap();
        let found =
            context.sql("SELECT surrogate_key(l, t, 5) FROM t").await.unwrap().collect().await.unwrap();
        let found = found[0].column(0).as_primitive::<Int64Type>().values().to_vec();
        let values = ["make_array(1, NULL), 'abc', 5", "NULL, NULL, 5", "make_array(), '', 5"];
        for (row, values) in values[from..].iter().enumerate() {
            assert_eq!(found[row], key(values).await, "{values}");
        }
        context.deregister_table("t").unwrap();
    }
    let refused = context.sql("SELECT surrogate_key(INTERVAL '1 day')").await.unwrap_err();
    assert!(refused.to_string().contains("surrogate_key takes no"), "{refused}");
    assert!(context.sql("SELECT surrogate_key()").await.is_err());
}
