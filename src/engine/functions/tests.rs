//! The functions as SQL sees them, over every shape that text comes in.

use super::register;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, LargeStringArray, StringArray, StringViewArray};
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
