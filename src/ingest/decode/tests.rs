//! What decoders promise, on a source with a column of every kind.

use super::*;
use crate::ingest::row_schema;
use crate::lake::TableName;
use crate::sql::{ColumnDefinition, Connector, Encode, Include, IncludeKind, Origin, SourceDefinition};
use arrow::array::{Array, AsArray, BinaryArray, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;

mod corpus;
mod properties;

/// A source of these columns; names that end in `!` are NOT NULL.
fn source(columns: &[(&str, DataType)], encode: Encode) -> SourceDefinition {
    let columns = columns.iter().map(|(name, data_type)| ColumnDefinition {
        name: name.trim_end_matches('!').to_string(),
        data_type: data_type.clone(),
        nullable: !name.ends_with('!'),
    });
    SourceDefinition {
        name: TableName::new("bronze", "things"),
        columns: columns.collect(),
        tags: vec![],
        watermark: None,
        includes: Vec::new(),
        masking: Default::default(),
        connector: Connector::Http,
        connection: None,
        options: Default::default(),
        encode,
        sql: String::new(),
        origin: Origin::default(),
    }
}

fn timestamptz() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn address() -> DataType {
    let city = Field::new("city", DataType::Utf8, true);
    let zip = Field::new("zip", DataType::Int32, false);
    DataType::Struct(vec![city, zip].into())
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// A column of every kind.
fn every_kind() -> Vec<(&'static str, DataType)> {
    vec![
        ("id!", DataType::Int64),
        ("small", DataType::Int16),
        ("amount", DataType::Decimal128(10, 2)),
        ("ratio", DataType::Float64),
        ("flag", DataType::Boolean),
        ("name", DataType::Utf8),
        ("day", DataType::Date32),
        ("at", timestamptz()),
        ("bytes", DataType::Binary),
        ("address", address()),
        ("tags", list(DataType::Utf8)),
        ("stops", list(address())),
    ]
}

fn json() -> SourceDefinition {
    source(&every_kind(), Encode::Json)
}

fn csv(columns: &[(&str, DataType)]) -> SourceDefinition {
    source(columns, Encode::Csv { delimiter: b',', header: true })
}

fn record(payload: &[u8], offset: i64) -> Record<'_> {
    Record { payload, source: "test", partition: "0", offset, key: None, timestamp_us: None, headers: &[] }
}

fn decode(source: &SourceDefinition, payloads: &[&[u8]]) -> Decoded {
    let mut buffer = RecordBuffer::new(source).unwrap();
    for (offset, payload) in payloads.iter().enumerate() {
        buffer.push(&record(payload, offset as i64));
    }
    assert_eq!(buffer.len(), payloads.len());
    let decoded = buffer.finish().unwrap();
    assert!(buffer.is_empty());
    assert_eq!(decoded.rows.schema(), row_schema(source));
    decoded
}

/// One value of a batch as text, `NULL` for none.
fn shown(decoded: &Decoded, column: &str, row: usize) -> String {
    let array = decoded.rows.column_by_name(column).unwrap();
    let options = FormatOptions::default().with_null("NULL");
    ArrayFormatter::try_new(array, &options).unwrap().value(row).to_string()
}

/// What one JSON value becomes in a column of this type: the value as text, or the rule it breaks.
fn value(data_type: &DataType, value: &str) -> String {
    let payload = format!("{{\"v\": {value}}}");
    one(decode(&source(&[("v", data_type.clone())], Encode::Json), &[payload.as_bytes()]))
}

/// What one CSV line becomes in a source of one column.
fn field(data_type: &DataType, line: &str) -> String {
    one(decode(&csv(&[("v", data_type.clone())]), &[line.as_bytes()]))
}

fn one(decoded: Decoded) -> String {
    match decoded.rejected.as_slice() {
        [] => shown(&decoded, "v", 0),
        [rejected] => format!("{}: {}", rejected.rule, rejected.reason),
        more => panic!("{more:?}"),
    }
}

#[track_caller]
fn check(cases: &[(&str, &str)], read: impl Fn(&str) -> String) {
    for (input, expected) in cases {
        assert_eq!(read(input), *expected, "for {input}");
    }
}

#[test]
fn a_record_of_every_kind_becomes_a_row() {
    let payload = br#"{"id": 7, "small": -3, "amount": 12.5, "ratio": 0.25, "flag": true, "name": "caf\u00e9 \ud83d\ude00",
        "day": "2024-02-29", "at": "2024-01-02T03:04:05.678Z", "bytes": "\\x00ff", "extra": {"deep": [1, {"x": null}]},
        "address": {"zip": 1010, "city": "Wien", "more": []}, "tags": ["a", null, "b"], "stops": [{"zip": 1}, {"zip": 2}]}"#;
    let decoded = decode(&json(), &[payload]);
    assert_eq!(decoded.rejected, []);
    let row = |column| shown(&decoded, column, 0);
    let columns = ["id", "small", "amount", "ratio", "flag", "name", "day", "at", "bytes"];
    assert_eq!(
        columns.map(row),
        ["7", "-3", "12.50", "0.25", "true", "café 😀", "2024-02-29", "2024-01-02T03:04:05.678Z", "00ff"]
    );
    assert_eq!(row("address"), "{city: Wien, zip: 1010}");
    assert_eq!(row("tags"), "[a, NULL, b]");
    assert_eq!(row("stops"), "[{city: NULL, zip: 1}, {city: NULL, zip: 2}]");
    let raw: &BinaryArray = decoded.rows.column_by_name("_raw").unwrap().as_binary();
    assert_eq!(raw.value(0), payload);
}

#[test]
fn included_columns_follow_their_records_past_rejected_ones() {
    let mut definition = source(&[("id", DataType::Int64)], Encode::Json);
    let include = |kind, column: &str| Include { kind, column: column.to_string() };
    definition.includes = vec![
        include(IncludeKind::Key, "_key"),
        include(IncludeKind::Partition, "_p"),
        include(IncludeKind::Offset, "_o"),
        include(IncludeKind::Timestamp, "_t"),
        include(IncludeKind::Header("trace".to_string()), "_trace"),
    ];
    let mut buffer = RecordBuffer::new(&definition).unwrap();
    let headers: [(&str, &[u8]); 3] = [("trace", b"first"), ("trace", b"last"), ("other", b"x")];
    let first = Record {
        payload: b"{\"id\":1}",
        source: "orders",
        partition: "3",
        offset: 10,
        key: Some(b"k"),
        timestamp_us: Some(1_000_000),
        headers: &headers,
    };
    buffer.push(&first);
    buffer.push(&Record { payload: b"{", offset: 11, ..first });
    buffer.push(&Record { partition: "4", offset: 12, key: None, timestamp_us: None, headers: &[], ..first });
    assert_eq!(buffer.bytes(), 17);
    let decoded = buffer.finish().unwrap();
    assert_eq!(decoded.rejected.len(), 1);
    assert_eq!((decoded.rejected[0].partition.as_str(), decoded.rejected[0].offset), ("3", 11));
    let columns = ["_key", "_p", "_o", "_t", "_trace", "_source", "_partition", "_offset"];
    assert_eq!(
        columns.map(|column| shown(&decoded, column, 0)),
        ["6b", "3", "10", "1970-01-01T00:00:01Z", "last", "orders", "3", "10"]
    );
    assert_eq!(
        columns.map(|column| shown(&decoded, column, 1)),
        ["NULL", "4", "12", "NULL", "NULL", "orders", "4", "12"]
    );
}

#[test]
fn numbers_are_exact_or_refused() {
    check(
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "type: field \"v\": cannot read 9223372036854775808 as BIGINT"),
            (
                "170141183460469231731687303715884105728",
                "type: field \"v\": cannot read 170141183460469231731687303715884105728 as BIGINT",
            ),
            ("\" 42 \"", "42"),
            ("12.0", "12"),
            ("1e3", "1000"),
            ("12.5", "type: field \"v\": cannot read 12.5 as BIGINT"),
            ("true", "type: field \"v\": cannot read true as BIGINT"),
            ("\"\"", "type: field \"v\": cannot read \"\" as BIGINT"),
            ("[1]", "type: field \"v\": cannot read [1] as BIGINT"),
            ("null", "NULL"),
        ],
        |input| value(&DataType::Int64, input),
    );
    check(
        &[
            ("0.1", "0.10"),
            ("12345678.90", "12345678.90"),
            ("12345678.9000000000000000000000000000000000000000000000000000", "12345678.90"),
            ("\"-0012.5\"", "-12.50"),
            ("1.5e-1", "0.15"),
            ("0e999999999999", "0.00"),
            ("123456789", "type: field \"v\": cannot read 123456789 as DECIMAL(10,2)"),
            ("0.125", "type: field \"v\": cannot read 0.125 as DECIMAL(10,2)"),
            ("1e999999999999", "type: field \"v\": cannot read 1e999999999999 as DECIMAL(10,2)"),
            ("\"abc\"", "type: field \"v\": cannot read \"abc\" as DECIMAL(10,2)"),
            ("\"NaN\"", "type: field \"v\": cannot read \"NaN\" as DECIMAL(10,2)"),
        ],
        |input| value(&DataType::Decimal128(10, 2), input),
    );
    check(
        &[
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            (
                "100000000000000000000000000000000000000",
                "type: field \"v\": cannot read 100000000000000000000000000000000000000 as DECIMAL(38,0)",
            ),
        ],
        |input| value(&DataType::Decimal128(38, 0), input),
    );
    check(
        &[
            ("0.1", "0.1"),
            ("\"Infinity\"", "inf"),
            ("\"NaN\"", "NaN"),
            ("1e400", "type: field \"v\": cannot read 1e400 as DOUBLE PRECISION"),
            ("1e-400", "type: field \"v\": cannot read 1e-400 as DOUBLE PRECISION"),
            ("-0", "-0.0"),
        ],
        |input| value(&DataType::Float64, input),
    );
    check(&[("127", "127"), ("128", "type: field \"v\": cannot read 128 as TINYINT")], |input| {
        value(&DataType::Int8, input)
    });
}

#[test]
fn dates_and_timestamps_are_iso_or_epoch() {
    check(
        &[
            ("\"1970-01-01\"", "1970-01-01"),
            ("\"0001-01-01\"", "0001-01-01"),
            ("\"9999-12-31\"", "9999-12-31"),
            ("\"2000-02-29\"", "2000-02-29"),
            ("\"1900-02-29\"", "type: field \"v\": cannot read \"1900-02-29\" as DATE"),
            ("\"2024-1-02\"", "type: field \"v\": cannot read \"2024-1-02\" as DATE"),
            ("\"2024-13-01\"", "type: field \"v\": cannot read \"2024-13-01\" as DATE"),
            ("20240101", "type: field \"v\": cannot read 20240101 as DATE"),
        ],
        |input| value(&DataType::Date32, input),
    );
    let bad = |text: &str| format!("type: field \"v\": cannot read {text} as TIMESTAMPTZ");
    check(
        &[
            ("\"2024-01-02\"", "2024-01-02T00:00:00Z"),
            ("\"2024-01-02T03:04\"", "2024-01-02T03:04:00Z"),
            ("\"2024-01-02 03:04:05.1234567\"", "2024-01-02T03:04:05.123457Z"),
            ("\"2024-01-02T03:04:05+02:30\"", "2024-01-02T00:34:05Z"),
            ("\"2024-01-02 03:04:05-08\"", "2024-01-02T11:04:05Z"),
            ("\"2024-01-02 03:04:05 UTC\"", "2024-01-02T03:04:05Z"),
            ("\"2024-06-30T23:59:60Z\"", "2024-07-01T00:00:00Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000.5", "2023-11-14T22:13:20.500Z"),
            ("1700000000123", "2023-11-14T22:13:20.123Z"),
            ("1700000000123456", "2023-11-14T22:13:20.123456Z"),
            ("\"1700000000\"", "2023-11-14T22:13:20Z"),
            ("-1.5", "1969-12-31T23:59:58.500Z"),
            ("\"20240102\"", &bad("\"20240102\"")),
            ("\"2024-01-02T25:00\"", &bad("\"2024-01-02T25:00\"")),
            ("\"2024-01-02T03:04:05.\"", &bad("\"2024-01-02T03:04:05.\"")),
            ("\"2024-01-02T03:04:05 Mars\"", &bad("\"2024-01-02T03:04:05 Mars\"")),
            ("\"0001-01-01T00:00:00+02\"", &bad("\"0001-01-01T00:00:00+02\"")),
            ("9e30", &bad("9e30")),
            ("false", &bad("false")),
        ],
        |input| value(&timestamptz(), input),
    );
}

#[test]
fn text_keeps_what_it_is_given() {
    check(
        &[
            ("\"plain\"", "plain"),
            ("\"a\\\"b\\\\c\\n\\u20ac\"", "a\"b\\c\n€"),
            ("12.50", "12.50"),
            ("true", "true"),
            ("{\"b\": [1,  2]}", "{\"b\": [1,  2]}"),
            ("[ ]", "[ ]"),
            ("\"\"", ""),
            ("\"x\\u0000y\"", "encoding: field \"v\": text cannot hold the NUL character \\u0000"),
            ("\"\\ud800\"", "encoding: field \"v\": a surrogate escape stands without its other half"),
            ("\"\\udc00\\ud800\"", "encoding: field \"v\": a surrogate escape stands without its other half"),
        ],
        |input| value(&DataType::Utf8, input),
    );
    check(
        &[
            ("\"\\\\x0aFF\"", "0aff"),
            ("\"\\\\xz\"", "type: field \"v\": cannot read \"\\xz\" as BINARY"),
            ("\"hi\"", "6869"),
        ],
        |input| value(&DataType::Binary, input),
    );
}

#[test]
fn nested_faults_name_their_path_and_cut_their_value() {
    check(
        &[
            ("[{\"zip\": 1}, {\"zip\": \"x\"}]", "type: field \"v[1].zip\": cannot read \"x\" as INTEGER"),
            (
                "[{\"city\": \"a\"}]",
                "not_null: field \"v[0].zip\": is NOT NULL, but the record has no value for it",
            ),
            (
                "[{\"zip\": null}]",
                "not_null: field \"v[0].zip\": is NOT NULL, but the record has no value for it",
            ),
            ("[null, {\"zip\": 1}]", "[NULL, {city: NULL, zip: 1}]"),
            ("{}", "type: field \"v\": cannot read {} as STRUCT[]"),
        ],
        |input| value(&list(address()), input),
    );
    let long = format!("\"{}\"", "é".repeat(100));
    assert_eq!(
        value(&DataType::Int64, &long),
        format!("type: field \"v\": cannot read \"{}...\" as BIGINT", "é".repeat(60))
    );
}

#[test]
fn of_two_fields_of_one_name_the_last_counts() {
    let source = source(&[("a!", DataType::Int64), ("b", list(DataType::Int64))], Encode::Json);
    let decoded = decode(
        &source,
        &[
            b"{\"a\": 1, \"b\": [1, 2], \"a\": 2, \"b\": [3]}",
            b"{\"a\": \"bad\", \"b\": null, \"a\": 3}",
            b"{\"a\": 1, \"a\": \"bad\"}",
            b"{\"a\": 1, \"a\": null}",
            b"{\"\\u0061\": 4}",
        ],
    );
    assert_eq!((shown(&decoded, "a", 0), shown(&decoded, "b", 0)), ("2".to_string(), "[3]".to_string()));
    assert_eq!((shown(&decoded, "a", 1), shown(&decoded, "b", 1)), ("3".to_string(), "NULL".to_string()));
    assert_eq!(shown(&decoded, "a", 2), "4");
    let rules: Vec<_> = decoded.rejected.iter().map(|r| (r.offset, r.rule)).collect();
    assert_eq!(rules, [(2, "type"), (3, "not_null")]);
}

#[test]
fn fields_in_any_order_find_their_columns() {
    let names: Vec<String> = (0..20).map(|i| format!("c{i}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), DataType::Int64)).collect();
    let source = source(&columns, Encode::Json);
    let payloads: Vec<String> = (0..50usize)
        .map(|record| {
            let mut fields: Vec<String> = (0..20).map(|i| format!("\"c{i}\":{}", record * 100 + i)).collect();
            fields.rotate_left(record % 20);
            if record % 3 == 0 {
                fields.truncate(7);
            }
            if record % 5 == 0 {
                fields.insert(3, format!("\"unknown{record}\":[{{}}]"));
            }
            format!("{{{}}}", fields.join(","))
        })
        .collect();
    let decoded = decode(&source, &payloads.iter().map(String::as_bytes).collect::<Vec<_>>());
    assert_eq!(decoded.rejected, []);
    for record in 0..50usize {
        for i in 0..20usize {
            let array = decoded.rows.column(i).as_primitive::<Int64Type>();
            let kept = record % 3 != 0 || (i + 20 - record % 20) % 20 < 7;
            assert_eq!(array.is_valid(record), kept, "record {record} column {i}");
            if kept {
                assert_eq!(array.value(record), (record * 100 + i) as i64);
            }
        }
    }
}

#[test]
fn csv_fields_go_by_position() {
    let source = csv(&[("id!", DataType::Int64), ("name", DataType::Utf8), ("ok", DataType::Boolean)]);
    let decoded =
        decode(&source, &[b"1,a,t\r\n", b"2,,0", b"3,\"\",FALSE,extra", b"4", b"5,\"x\"\"y\nz,\",1\n"]);
    assert_eq!(decoded.rejected, []);
    let names: &StringArray = decoded.rows.column(1).as_string();
    let names: Vec<_> = names.iter().collect();
    assert_eq!(names, [Some("a"), None, Some(""), None, Some("x\"y\nz,")]);
    let flags: Vec<_> = decoded.rows.column(2).as_boolean().iter().collect();
    assert_eq!(flags, [Some(true), Some(false), Some(false), None, Some(true)]);
    check(
        &[
            ("\"a", "syntax: expected a closing quote at byte 2"),
            ("\"a\"b", "syntax: expected a delimiter or the end of the record at byte 3"),
            ("a\nb", "syntax: expected one record, not several lines, at byte 1"),
            ("a\0b", "encoding: field \"v\": text cannot hold the NUL character"),
            ("\n", "empty: the record is empty"),
            ("5\" pipe", "5\" pipe"),
        ],
        |input| field(&DataType::Utf8, input),
    );
    check(
        &[
            (r#""{""city"": ""Graz"", ""zip"": 8010}""#, "{city: Graz, zip: 8010}"),
            ("{", "type: field \"v\": cannot read \"{\" as STRUCT"),
            ("{} {}", "type: field \"v\": cannot read \"{} {}\" as STRUCT"),
        ],
        |input| field(&address(), input),
    );
}

#[test]
fn csv_fields_go_by_header_once_it_is_set() {
    let source = csv(&[("id!", DataType::Int64), ("name", DataType::Utf8)]);
    let mut buffer = RecordBuffer::new(&source).unwrap();
    buffer.push(&record(b"1,one", 0));
    buffer.set_header(b"Name,x,ID\r\n", false).unwrap();
    buffer.push(&record(b"two,,2", 1));
    buffer.push(&record(b"three,3", 2));
    buffer.push(&record(b"four,,4,5", 3));
    buffer.clear_header();
    buffer.push(&record(b"5,five", 4));
    let error = buffer.set_header(b"a,b", false).unwrap_err();
    assert_eq!(error, "the header line names none of the columns id, name");
    buffer.set_header(b"id,other", true).unwrap_err();
    let decoded = buffer.finish().unwrap();
    let rows: Vec<_> = (0..3).map(|row| (shown(&decoded, "id", row), shown(&decoded, "name", row))).collect();
    let expected = [("1", "one"), ("2", "two"), ("5", "five")];
    assert_eq!(rows, expected.map(|(id, name)| (id.to_string(), name.to_string())));
    let rules: Vec<_> = decoded.rejected.iter().map(|r| (r.offset, r.rule)).collect();
    assert_eq!(rules, [(2, "not_null"), (3, "syntax")]);
}

#[test]
fn types_that_no_record_can_hold_are_refused_by_name() {
    let error = RecordBuffer::new(&source(&[("t", DataType::UInt8)], Encode::Json)).unwrap_err();
    assert_eq!(error.to_string(), "source bronze.things: column \"t\": no record can be read as UInt8");
    RecordBuffer::new(&source(&[("t", DataType::Int8)], Encode::Parquet)).unwrap_err();
}
