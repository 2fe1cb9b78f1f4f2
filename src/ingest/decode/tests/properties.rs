//! Any bytes at all, and records that come back as they were written.

use super::*;
use proptest::prelude::*;

/// Bytes that are likely to get far: JSON's own characters, names of columns, pieces of values.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\\",
            "\"id\"",
            "\"name\":",
            "\"tags\":[",
            "\"stops\":[{\"zip\":",
            "\"address\":{",
            "null",
            "true",
            "false",
            "1",
            "-1.5e3",
            "\"x\"",
            "\\u0041",
            "\\ud83d",
            " ",
            "\n",
            "{\"id\":1",
            "2024-01-01",
            "T10:00:00Z",
            "99999999999999999999",
            ".5",
            "\"\"",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A row of columns that JSON and CSV both can hold.
#[derive(Clone, Debug)]
struct Sample {
    id: i64,
    cents: Option<i64>,
    ratio: Option<f64>,
    name: Option<String>,
    day: Option<i32>,
    micros: Option<i64>,
    flag: Option<bool>,
}

fn sample() -> impl Strategy<Value = Sample> {
    let text = proptest::collection::vec(any::<char>().prop_filter("NUL", |c| *c != '\0'), 0..12);
    let some = proptest::option::of::<BoxedStrategy<String>>;
    (
        any::<i64>(),
        proptest::option::of(-9_999_999_999i64..=9_999_999_999),
        proptest::option::of(proptest::num::f64::NORMAL | proptest::num::f64::ZERO),
        some(text.prop_map(|text| text.into_iter().collect::<String>()).boxed()),
        proptest::option::of(-719_162i32..=2_932_896),
        proptest::option::of(-62_135_596_800_000_000i64..=253_402_300_799_999_999),
        any::<Option<bool>>(),
    )
        .prop_map(|(id, cents, ratio, name, day, micros, flag)| Sample {
            id,
            cents,
            ratio,
            name,
            day,
            micros,
            flag,
        })
}

const COLUMNS: [&str; 7] = ["id", "amount", "ratio", "name", "day", "at", "flag"];

fn sample_columns() -> Vec<(&'static str, DataType)> {
    let types = [
        DataType::Int64,
        DataType::Decimal128(10, 2),
        DataType::Float64,
        DataType::Utf8,
        DataType::Date32,
        timestamptz(),
        DataType::Boolean,
    ];
    COLUMNS.into_iter().zip(types).collect()
}

impl Sample {
    /// Its values as text, in the order of the columns.
    fn texts(&self) -> [Option<String>; 7] {
        let sign = |cents: i64| if cents < 0 { "-" } else { "" };
        let date = |days: i32| chrono::NaiveDate::from_epoch_days(days).unwrap().to_string();
        let time = |micros: i64| {
            let moment = chrono::DateTime::from_timestamp_micros(micros).unwrap();
            moment.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
        };
        [
            Some(self.id.to_string()),
            self.cents.map(|c| format!("{}{}.{:02}", sign(c), c.abs() / 100, c.abs() % 100)),
            self.ratio.map(|ratio| format!("{ratio:?}")),
            self.name.clone(),
            self.day.map(date),
            self.micros.map(time),
            self.flag.map(|flag| flag.to_string()),
        ]
    }

    fn json(&self, pretty: bool) -> Vec<u8> {
        let mut object = serde_json::Map::new();
        for (name, text) in COLUMNS.into_iter().zip(self.texts()) {
            let value = match (name, text) {
                (_, None) => serde_json::Value::Null,
                ("id", _) => self.id.into(),
                ("flag", _) => self.flag.into(),
                (_, Some(text)) => text.into(),
            };
            object.insert(name.to_string(), value);
        }
        if pretty {
            serde_json::to_vec_pretty(&object).unwrap()
        } else {
            serde_json::to_vec(&object).unwrap()
        }
    }

    fn csv(&self) -> Vec<u8> {
        let fields = self.texts().map(|text| match text {
            None => String::new(),
            Some(text) if text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Some(text) => text,
        });
        fields.join(",").into_bytes()
    }
}

fn check_rows(decoded: &Decoded, samples: &[Sample]) -> Result<(), TestCaseError> {
    prop_assert_eq!(&decoded.rejected, &[]);
    for (row, sample) in samples.iter().enumerate() {
        for (column, text) in COLUMNS.into_iter().zip(sample.texts()) {
            let expected = match (column, text) {
                (_, None) => "NULL".to_string(),
                ("ratio", _) => format!("{:?}", sample.ratio.unwrap()),
                (_, Some(text)) => text,
            };
            let actual = match column {
                "ratio" if sample.ratio.is_some() => {
                    let ratios = decoded.rows.column(2).as_primitive::<arrow::datatypes::Float64Type>();
                    format!("{:?}", ratios.value(row))
                }
                _ => shown(decoded, column, row),
            };
            prop_assert_eq!(actual, expected, "row {} column {}", row, column);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_become_rows_or_rejections(
        payloads in proptest::collection::vec(prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), fragments()], 0..12),
    ) {
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        let csv = csv(&every_kind());
        for source in [json(), csv] {
            let decoded = decode(&source, &payloads);
            prop_assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), payloads.len());
            let raws: &BinaryArray = decoded.rows.column_by_name("_raw").unwrap().as_binary();
            let offsets = decoded.rows.column_by_name("_offset").unwrap().as_primitive::<Int64Type>();
            for (raw, offset) in raws.iter().zip(offsets.values()) {
                prop_assert_eq!(raw.unwrap(), payloads[*offset as usize]);
            }
            for rejected in &decoded.rejected {
                prop_assert_eq!(rejected.raw.as_slice(), payloads[rejected.offset as usize]);
            }
        }
    }

    #[test]
    fn a_json_reader_of_repute_agrees_on_syntax(payload in fragments()) {
        let source = source(&[("unrelated", DataType::Int64)], Encode::Json);
        let decoded = decode(&source, &[&payload]);
        let theirs = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&payload);
        if theirs.is_ok() {
            prop_assert_eq!(decoded.rejected, []);
        } else if let Ok(text) = std::str::from_utf8(&payload) {
            // Theirs also refuses surrogates and numbers that ours leaves alone in fields it does not read.
            if !text.contains("\\ud") && !text.contains("e3") {
                prop_assert_eq!(decoded.rejected.len(), 1);
            }
        }
    }

    #[test]
    fn records_come_back_as_they_were_written(samples in proptest::collection::vec(sample(), 1..8), pretty: bool) {
        let payloads: Vec<_> = samples.iter().map(|s| s.json(pretty)).collect();
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        check_rows(&decode(&source(&sample_columns(), Encode::Json), &payloads), &samples)?;
        let payloads: Vec<_> = samples.iter().map(Sample::csv).collect();
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        check_rows(&decode(&csv(&sample_columns()), &payloads), &samples)?;
    }

    #[test]
    fn good_records_among_bad_ones_are_all_present(
        records in proptest::collection::vec(prop_oneof![sample().prop_map(Ok), fragments().prop_map(Err)], 0..20),
    ) {
        let payloads: Vec<_> = records.iter().map(|r| match r {
            Ok(sample) => sample.json(false),
            // Never good: nothing starts with a comma.
            Err(junk) => [b",", junk.as_slice()].concat(),
        }).collect();
        let payloads: Vec<_> = payloads.iter().map(Vec::as_slice).collect();
        let mut decoded = decode(&source(&sample_columns(), Encode::Json), &payloads);
        prop_assert_eq!(decoded.rejected.len(), records.iter().filter(|r| r.is_err()).count());
        decoded.rejected.clear();
        check_rows(&decoded, &records.into_iter().flatten().collect::<Vec<_>>())?;
    }
}
