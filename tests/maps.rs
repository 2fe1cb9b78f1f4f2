//! Columns that are maps, as tables of others have them: JSON to PostgreSQL's clients, in text, binary and `COPY`; maps to
//! Arrow's.

use crate::flight::Flight;
use crate::support::delta::DeltaTable;
use crate::support::{Pg, Warehouse, trial};
use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, Int64Builder, ListBuilder, MapBuilder, MapFieldNames,
    RecordBatch, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Int64Type};
use bytes::Bytes;
use futures::TryStreamExt as _;
use libtest_mimic::Trial;
use serde_json::json;
use std::sync::Arc;
use tokio_postgres::types::{FromSql, Type};

pub fn trials() -> Vec<Trial> {
    vec![trial("maps::of_others_are_json_and_arrows_maps", of_others_are_json_and_arrows_maps)]
}

/// A value as it came over the wire.
struct Sent(Vec<u8>);

impl<'a> FromSql<'a> for Sent {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The values of a query's last column in binary, which for JSON is its text; its type has to be `json`.
fn sent(pg: &Pg, sql: &str) -> Vec<Option<String>> {
    let rows = pg.run(pg.client().query(sql, &[])).unwrap();
    let value = |row: &tokio_postgres::Row| {
        let last = row.len() - 1;
        assert_eq!(row.columns()[last].type_(), &Type::JSON, "{sql}");
        row.get::<_, Option<Sent>>(last).map(|sent| String::from_utf8(sent.0).unwrap())
    };
    rows.iter().map(value).collect()
}

/// What a `COPY ... TO STDOUT` gives.
fn copied(pg: &Pg, sql: &str) -> Vec<u8> {
    pg.run(async {
        let stream = pg.client().copy_out(sql).await.unwrap();
        stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
    })
}

fn names() -> Option<MapFieldNames> {
    Some(MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() })
}

/// Visits with how often each page was seen, and when: entries, a value that is NULL, names that JSON has to escape, no
/// entries, no map.
fn visits() -> RecordBatch {
    let mut counts = MapBuilder::new(names(), StringBuilder::new(), Int64Builder::new());
    let mut hours = MapBuilder::new(names(), StringBuilder::new(), ListBuilder::new(Int64Builder::new()));
    let rows: [Option<&[(&str, Option<i64>)]>; 4] =
        [Some(&[("home", Some(2)), ("cart", None)]), Some(&[("a \"b\"\n\\ü", Some(-1))]), Some(&[]), None];
    for row in rows {
        for (page, count) in row.unwrap_or_default() {
            counts.keys().append_value(page);
            counts.values().append_option(*count);
            hours.keys().append_value(page);
            hours.values().append_option(count.map(|count| [Some(count), None]));
        }
        counts.append(row.is_some()).unwrap();
        hours.append(row.is_some()).unwrap();
    }
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let (counts, hours): (ArrayRef, ArrayRef) = (Arc::new(counts.finish()), Arc::new(hours.finish()));
    RecordBatch::try_from_iter([("id", ids), ("counts", counts), ("hours", hours)]).unwrap()
}

const COUNTS: &str =
    r#"{"type": "map", "keyType": "string", "valueType": "long", "valueContainsNull": true}"#;
const HOURS: &str = r#"{"type": "map", "keyType": "string", "valueContainsNull": true,
    "valueType": {"type": "array", "elementType": "long", "containsNull": true}}"#;

fn of_others_are_json_and_arrows_maps() {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/lake.sql",
        "CREATE SOURCE lakehouse.visits WITH (connector = 'delta', path = '../lake/visits', poll_ms = 50);\n",
    );
    warehouse.write(
        "sql/gold/visits.sql",
        "CREATE MATERIALIZED VIEW gold.visits AS SELECT id, hours, counts FROM lakehouse.visits;\n",
    );
    let columns = [("id", "long"), ("counts", COUNTS), ("hours", HOURS)];
    let mut table = DeltaTable::create(&warehouse.folder().join("lake/visits"), &columns, &json!({}));
    let add = table.file_of(&visits(), "", json!({}));
    table.commit(&[add]);
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) FROM gold.visits", "4");
    let pg = server.connect();
    let (odd, odd_hours) = (r#"{"a \"b\"\n\\ü":-1}"#, r#"{"a \"b\"\n\\ü":[-1,null]}"#);
    // The table of others, and what is made of it here.
    for of in ["lakehouse.visits", "gold.visits"] {
        let counts = format!("SELECT counts FROM {of} ORDER BY id");
        let hours = format!("SELECT hours FROM {of} ORDER BY id");
        assert_eq!(pg.text(&counts), format!("{{\"home\":2,\"cart\":null}}\n{odd}\n{{}}\n"), "{of}");
        assert_eq!(
            pg.text(&hours),
            format!("{{\"home\":[2,null],\"cart\":null}}\n{odd_hours}\n{{}}\n"),
            "{of}"
        );
        let some = |text: &str| Some(text.to_string());
        assert_eq!(
            sent(&pg, &counts),
            [some(r#"{"home":2,"cart":null}"#), some(odd), some("{}"), None],
            "{of}"
        );
        assert_eq!(pg.text(&format!("SELECT pg_typeof(counts) FROM {of} LIMIT 1")), "json");
        let told = format!(
            "SELECT string_agg(data_type, ',') FROM information_schema.columns WHERE column_name IN ('counts', 'hours') \
             AND table_schema || '.' || table_name = '{of}'"
        );
        assert_eq!(pg.text(&told), "json,json");
        assert_eq!(
            pg.text(&format!("SELECT counts['home'], hours['home'] FROM {of} WHERE id = 1")),
            "2|{2,NULL}"
        );
        assert_eq!(pg.text(&format!("SELECT id FROM {of} WHERE counts['home'] > 1")), "1");

        let rows = format!("SELECT id, counts FROM {of} WHERE id IN (2, 4) ORDER BY id");
        let text = copied(&pg, &format!("COPY ({rows}) TO STDOUT"));
        assert_eq!(String::from_utf8(text).unwrap(), "2\t{\"a \\\\\"b\\\\\"\\\\n\\\\\\\\ü\":-1}\n4\t\\N\n");
        let csv = copied(&pg, &format!("COPY ({rows}) TO STDOUT (FORMAT csv)"));
        assert_eq!(String::from_utf8(csv).unwrap(), "2,\"{\"\"a \\\"\"b\\\"\"\\n\\\\ü\"\":-1}\"\n4,\n");
        let binary = copied(&pg, &format!("COPY ({rows}) TO STDOUT (FORMAT binary)"));
        let cell = [&(odd.len() as u32).to_be_bytes()[..], odd.as_bytes()].concat();
        assert!(binary.windows(cell.len()).any(|window| window == cell), "{binary:?}");
    }
    assert!(pg.text("VERIFY MATERIALIZED VIEW gold.visits").contains("|4|0|0|equal|"));

    let mut flight = Flight::connect(&server, "sluice", "").unwrap();
    for of in ["lakehouse.visits", "gold.visits"] {
        let batches = flight.query(&format!("SELECT counts, hours FROM {of} ORDER BY id")).unwrap();
        let rows = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
        assert!(matches!(rows.column(1).data_type(), DataType::Map(..)), "{:?}", rows.schema());
        let counts = rows.column(0).as_map();
        assert_eq!((0..4).map(|row| counts.is_null(row)).collect::<Vec<_>>(), [false, false, false, true]);
        assert_eq!((0..3).map(|row| counts.value_length(row)).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(
            counts.keys().as_string::<i32>(),
            &StringArray::from(vec!["home", "cart", "a \"b\"\n\\ü"])
        );
        assert_eq!(
            counts.values().as_primitive::<Int64Type>(),
            &Int64Array::from(vec![Some(2), None, Some(-1)])
        );
    }
    table.assert_only_read();
}
