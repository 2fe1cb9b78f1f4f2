//! The connector's options, and records by index.

use super::*;
use crate::lake::TableName;
use crate::sql::Origin;

fn definition(options: &[(&str, &str)], encode: Encode) -> SourceDefinition {
    SourceDefinition {
        name: TableName::new("bronze", "test"),
        columns: vec![],
        tags: vec![],
        watermark: None,
        includes: vec![],
        masking: Default::default(),
        connector: crate::sql::Connector::Datagen,
        connection: None,
        options: options.iter().map(|(k, v)| (k.to_string(), OptionValue::Text(v.to_string()))).collect(),
        encode,
        sql: String::new(),
        origin: Origin::default(),
    }
}

fn refusal(options: &[(&str, &str)], encode: Encode) -> String {
    DatagenSource::new(&definition(options, encode)).unwrap_err().to_string()
}

const CSV: Encode = Encode::Csv { delimiter: b';', header: false };

#[test]
fn options_are_read() {
    let source = DatagenSource::new(&definition(&[("generator", "shopsmart.orders")], CSV)).unwrap();
    assert_eq!(
        (source.seed, source.rows, source.rows_per_second, source.delimiter),
        (42, Some(2_000), 0, b';')
    );
    let options =
        [("generator", "shopsmart.sales"), ("seed", "7"), ("rows", "100"), ("rows_per_second", "0")];
    let source = DatagenSource::new(&definition(&options, Encode::Json)).unwrap();
    assert_eq!((source.seed, source.rows, source.rows_per_second), (7, Some(100), 0));
    let source = DatagenSource::new(&definition(&[("generator", "shopsmart.sales")], Encode::Json)).unwrap();
    assert_eq!((source.rows, source.rows_per_second), (None, 50));
}

#[test]
fn wrong_options_name_themselves() {
    assert!(refusal(&[], Encode::Json).contains("shopsmart.customers"));
    assert!(refusal(&[("generator", "shopsmart.order")], CSV).contains("no generator \"shopsmart.order\""));
    assert!(refusal(&[("generator", "shopsmart.orders")], Encode::Json).contains("ENCODE CSV"));
    assert!(refusal(&[("generator", "shopsmart.sales")], CSV).contains("ENCODE JSON"));
    let seed = refusal(&[("generator", "shopsmart.sales"), ("seed", "x")], Encode::Json);
    assert!(seed.contains("\"seed\" = 'x'"), "{seed}");
    assert!(refusal(&[("generator", "shopsmart.sales"), ("speed", "1")], Encode::Json).contains("\"speed\""));
}

#[test]
fn live_records_differ_by_time_only() {
    let earlier = chrono::DateTime::from_timestamp(1_750_000_000, 0).unwrap();
    let later = chrono::DateTime::from_timestamp(1_750_000_001, 0).unwrap();
    for generator in [Generator::StreamingClickstream, Generator::Sales] {
        let (one, two) = (generator.records(42, b','), generator.records(42, b','));
        let parse = |record: &[u8]| serde_json::from_slice::<serde_json::Value>(record).unwrap();
        for index in [0, 1, 599, 600, 1 << 40] {
            let mut a = parse(&one.record(index, earlier).unwrap());
            let mut b = parse(&two.record(index, later).unwrap());
            assert_ne!(a["event_time"], b["event_time"]);
            a["event_time"] = serde_json::Value::Null;
            b["event_time"] = serde_json::Value::Null;
            assert_eq!(a, b, "{} {index}", generator.name());
        }
        assert_ne!(one.record(5, earlier), generator.records(43, b',').record(5, earlier));
    }
}

#[test]
fn bounded_records_end() {
    let records = Generator::Inventory.records(42, b',');
    let now = chrono::DateTime::UNIX_EPOCH;
    assert!(records.record(149, now).is_some());
    assert!(records.record(150, now).is_none());
}
