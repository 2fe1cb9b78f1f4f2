use super::{Encoder, Format, Style, numeric};
use crate::serve::postgres::catalog::types::PG_TYPE_KEY;
use crate::serve::postgres::types::{self, Column};
use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;
use bytes::{Buf, BytesMut};
use proptest::prelude::*;
use std::sync::Arc;

/// The values of one column as they go over the wire; `None` is null.
fn encode(array: ArrayRef, format: Format, zone: &str) -> Vec<Option<Vec<u8>>> {
    encode_as(Field::new("c", array.data_type().clone(), true), array, format, zone)
}

fn encode_as(field: Field, array: ArrayRef, format: Format, zone: &str) -> Vec<Option<Vec<u8>>> {
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field.clone()])), vec![array]).unwrap();
    let columns: Vec<Column> = vec![types::column(&field)];
    let encoder = Encoder::new(&batch, &columns, &[format], Style::exact(zone.parse().unwrap())).unwrap();
    (0..batch.num_rows())
        .map(|row| {
            let mut out = BytesMut::new();
            encoder.write(row, &mut out).unwrap();
            assert_eq!(out.get_u8(), b'D');
            assert_eq!(out.get_i32() as usize, out.len() + 4);
            assert_eq!(out.get_i16(), 1);
            let length = out.get_i32();
            (length >= 0).then(|| {
                assert_eq!(length as usize, out.len());
                out.to_vec()
            })
        })
        .collect()
}

fn text(array: impl Array + 'static) -> Vec<String> {
    text_in(Arc::new(array), "UTC")
}

fn text_in(array: ArrayRef, zone: &str) -> Vec<String> {
    encode(array, Format::Text, zone)
        .into_iter()
        .map(|value| value.map_or("<null>".to_string(), |bytes| String::from_utf8(bytes).unwrap()))
        .collect()
}

fn binary(array: impl Array + 'static) -> Vec<Option<Vec<u8>>> {
    encode(Arc::new(array), Format::Binary, "UTC")
}

#[test]
fn numbers_print_as_in_postgresql() {
    assert_eq!(text(BooleanArray::from(vec![Some(true), Some(false), None])), ["t", "f", "<null>"]);
    assert_eq!(
        text(Int64Array::from(vec![i64::MIN, 0, i64::MAX])),
        ["-9223372036854775808", "0", "9223372036854775807"]
    );
    assert_eq!(text(UInt64Array::from(vec![u64::MAX])), ["18446744073709551615"]);
    let doubles = [
        0.0,
        -0.0,
        1.0,
        1.5,
        -0.1,
        1e14,
        1e15,
        1.25e15,
        123456789012345.0,
        1e-4,
        1e-5,
        0.00012,
        1e300,
        5e-324,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        100.0,
        1234.5,
    ];
    assert_eq!(
        text(Float64Array::from(doubles.to_vec())),
        [
            "0",
            "-0",
            "1",
            "1.5",
            "-0.1",
            "100000000000000",
            "1e+15",
            "1.25e+15",
            "123456789012345",
            "0.0001",
            "1e-05",
            "0.00012",
            "1e+300",
            "5e-324",
            "NaN",
            "Infinity",
            "-Infinity",
            "100",
            "1234.5"
        ]
    );
    assert_eq!(text(Float32Array::from(vec![1e5, 1e6, 0.1, 1234.5])), ["100000", "1e+06", "0.1", "1234.5"]);
    let decimals = Decimal128Array::from(vec![Some(0), Some(5), Some(-12345), None, Some(10_i128.pow(37))]);
    assert_eq!(
        text(decimals.with_precision_and_scale(38, 2).unwrap()),
        ["0.00", "0.05", "-123.45", "<null>", "100000000000000000000000000000000000.00"]
    );
    let big = Decimal256Array::from(vec![i256::from_string(&"9".repeat(70)).unwrap()]);
    assert_eq!(text(big.with_precision_and_scale(76, 6).unwrap()), [format!("{}.999999", "9".repeat(64))]);
    let negative_scale = Decimal128Array::from(vec![12, 0]).with_precision_and_scale(5, -2).unwrap();
    assert_eq!(text(negative_scale), ["1200", "0"]);
}

#[test]
fn times_print_as_in_postgresql() {
    assert_eq!(
        text(Date32Array::from(vec![0, 19_782, -719_162, -719_163, 2_932_897])),
        ["1970-01-01", "2024-02-29", "0001-01-01", "0001-12-31 BC", "10000-01-01"]
    );
    let moments = vec![Some(0), Some(1_709_210_096_789_000), Some(-1), None];
    assert_eq!(
        text(TimestampMicrosecondArray::from(moments)),
        ["1970-01-01 00:00:00", "2024-02-29 12:34:56.789", "1969-12-31 23:59:59.999999", "<null>"]
    );
    assert_eq!(
        text(TimestampNanosecondArray::from(vec![-1, 1_500])),
        ["1969-12-31 23:59:59.999999", "1970-01-01 00:00:00.000001"]
    );
    let zoned: ArrayRef = Arc::new(
        TimestampMicrosecondArray::from(vec![1_709_210_096_000_000, 1_720_000_000_000_000])
            .with_timezone("UTC"),
    );
    assert_eq!(text_in(zoned.clone(), "UTC"), ["2024-02-29 12:34:56+00", "2024-07-03 09:46:40+00"]);
    assert_eq!(text_in(zoned.clone(), "Europe/Berlin"), ["2024-02-29 13:34:56+01", "2024-07-03 11:46:40+02"]);
    assert_eq!(text_in(zoned, "-03:30"), ["2024-02-29 09:04:56-03:30", "2024-07-03 06:16:40-03:30"]);
    assert_eq!(
        text(Time64MicrosecondArray::from(vec![0, 86_399_999_999, 3_600_500_000])),
        ["00:00:00", "23:59:59.999999", "01:00:00.5"]
    );
    let interval = |months, days, nanoseconds| Some(IntervalMonthDayNano::new(months, days, nanoseconds));
    let intervals = vec![
        interval(0, 0, 0),
        interval(14, 3, 14_706_789_000_000),
        interval(-14, 3, -1_000_000_000),
        interval(0, -1, 1_000_000_000),
        interval(1, 1, 0),
        None,
    ];
    assert_eq!(
        text(IntervalMonthDayNanoArray::from(intervals)),
        [
            "00:00:00",
            "1 year 2 mons 3 days 04:05:06.789",
            "-1 years -2 mons +3 days -00:00:01",
            "-1 days +00:00:01",
            "1 mon 1 day",
            "<null>"
        ]
    );
    assert_eq!(text(DurationMillisecondArray::from(vec![90_061_001])), ["1 day 01:01:01.001"]);
}

#[test]
fn texts_bytes_lists_and_structs() {
    assert_eq!(
        text(StringViewArray::from(vec![Some("a long text that is not inlined"), None, Some("")])),
        ["a long text that is not inlined", "<null>", ""]
    );
    assert_eq!(text(BinaryArray::from(vec![&b"\x00\xffA"[..]])), ["\\x00ff41"]);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
    assert_eq!(text(dictionary), ["x", "<null>", "x"]);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for value in [Some("a"), Some("b c"), None, Some("null"), Some(""), Some("q\"\\")] {
        lists.values().append_option(value);
    }
    lists.append(true);
    lists.append(true);
    lists.append(false);
    assert_eq!(text(lists.finish()), [r#"{a,"b c",NULL,"null","","q\"\\"}"#, "{}", "<null>"]);
    let nested =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None]), Some([Some(3), Some(4)])]);
    let item = Arc::new(Field::new_list_field(nested.data_type().clone(), true));
    let nested = ListArray::new(item, OffsetBuffer::from_lengths([2]), Arc::new(nested), None);
    assert_eq!(text(nested.clone()), ["{{1,NULL},{3,4}}"]);
    let sent = binary(nested)[0].clone().unwrap();
    assert_eq!(
        sent[..28],
        [0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1]
    );
    let members = StructArray::from(vec![
        (
            Arc::new(Field::new("n", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("t\"", DataType::Utf8, true)),
            Arc::new(StringArray::from(vec!["x\n", "y"])) as ArrayRef,
        ),
        (
            Arc::new(Field::new("f", DataType::Float64, true)),
            Arc::new(Float64Array::from(vec![1.5, f64::NAN])) as ArrayRef,
        ),
    ]);
    assert_eq!(text(members), [r#"{"n":1,"t\"":"x\n","f":1.5}"#, r#"{"n":null,"t\"":"y","f":"NaN"}"#]);
    let uuid = FixedSizeBinaryArray::try_from_iter([[0x11_u8; 16]].into_iter()).unwrap();
    let field = Field::new("u", DataType::FixedSizeBinary(16), true)
        .with_metadata([(PG_TYPE_KEY.to_string(), "uuid".to_string())].into());
    let sent = encode_as(field, Arc::new(uuid), Format::Text, "UTC");
    assert_eq!(sent, [Some(b"11111111-1111-1111-1111-111111111111".to_vec())]);
    let vector = ListArray::from_iter_primitive::<Int16Type, _, _>([Some([Some(1), Some(2)])]);
    let field = Field::new("v", vector.data_type().clone(), true)
        .with_metadata([(PG_TYPE_KEY.to_string(), "int2vector".to_string())].into());
    assert_eq!(encode_as(field, Arc::new(vector), Format::Text, "UTC"), [Some(b"1 2".to_vec())]);
}

#[test]
fn binary_forms_are_those_of_send_functions() {
    let one = |array: ArrayRef| encode(array, Format::Binary, "UTC")[0].clone().unwrap();
    assert_eq!(one(Arc::new(Int16Array::from(vec![-2]))), [0xff, 0xfe]);
    assert_eq!(one(Arc::new(BooleanArray::from(vec![true]))), [1]);
    assert_eq!(one(Arc::new(Date32Array::from(vec![10_958]))), [0, 0, 0, 1]);
    assert_eq!(
        one(Arc::new(TimestampMillisecondArray::from(vec![946_684_800_001]))),
        [0, 0, 0, 0, 0, 0, 0x03, 0xe8]
    );
    let interval = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(2, 3, 4_000)]);
    assert_eq!(one(Arc::new(interval)), [0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2]);
    let numeric = |digits: i128, scale: i8| {
        one(Arc::new(Decimal128Array::from(vec![digits]).with_precision_and_scale(38, scale).unwrap()))
    };
    // As PostgreSQL's numeric_send gives them: groups, weight, sign, scale, groups of four digits.
    assert_eq!(numeric(12_345_678, 3), [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
    assert_eq!(numeric(-5, 2), [0, 1, 0xff, 0xff, 0x40, 0, 0, 2, 0x01, 0xf4]);
    assert_eq!(numeric(0, 2), [0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(numeric(100_000_000, 2), [0, 1, 0, 1, 0, 0, 0, 2, 0, 100]);
    assert_eq!(numeric(1, 6), [0, 1, 0xff, 0xfe, 0, 0, 0, 6, 0, 100]);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(7), None]), Some(vec![])]);
    let sent = binary(list);
    assert_eq!(
        sent[0].as_deref().unwrap(),
        [
            [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 1].as_slice(),
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff]
        ]
        .concat()
    );
    assert_eq!(sent[1].as_deref().unwrap(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]);
}

#[test]
fn floats_are_rounded_where_the_session_asks_for_it() {
    let print = |value: f64, extra| {
        let mut out = BytesMut::new();
        numeric::put_f64(value, extra, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    // As PostgreSQL 15 prints them.
    for (value, extra, expected) in [
        (0.1 + 0.2, 1, "0.30000000000000004"),
        (0.1 + 0.2, 0, "0.3"),
        (1.0 / 3.0, 0, "0.333333333333333"),
        (1.0 / 3.0, -12, "0.333"),
        (123_456.789, -12, "1.23e+05"),
        (123_456.789, -15, "1e+05"),
        (1e15, 0, "1e+15"),
        (-2.5e-5, 0, "-2.5e-05"),
        (100.0, 0, "100"),
        (f64::NAN, 0, "NaN"),
        (f64::NEG_INFINITY, -3, "-Infinity"),
    ] {
        assert_eq!(print(value, extra), expected, "{value} {extra}");
    }
    let mut out = BytesMut::new();
    numeric::put_f32(1.0 / 3.0, 0, &mut out);
    assert_eq!(&out[..], b"0.333333");
}

proptest! {
    #[test]
    fn decimals_of_few_digits_are_sent_like_all_others(digits in any::<i64>(), shift in 0u32..60, scale in 0i8..=17) {
        let value = i128::from(digits >> shift);
        let (mut few, mut all) = (BytesMut::new(), BytesMut::new());
        numeric::put_binary(&value.to_string(), scale, &mut all);
        let is_few = numeric::put_few_binary(value, scale, &mut few);
        prop_assert_eq!(is_few, scale <= 16);
        prop_assert!(!is_few || few == all, "{} {}: {:?} {:?}", value, scale, few, all);
    }

    #[test]
    fn floats_read_back(bits in any::<u64>(), small in any::<f32>()) {
        let value = f64::from_bits(bits);
        let mut out = BytesMut::new();
        numeric::put_f64(value, 1, &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        prop_assert!(text.parse::<f64>().unwrap().to_bits() == bits || value.is_nan(), "{}", text);
        let mut out = BytesMut::new();
        numeric::put_f32(small, 1, &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        prop_assert!(text.parse::<f32>().unwrap().to_bits() == small.to_bits() || small.is_nan(), "{}", text);
    }
}
