//! MASK: what a source is told not to keep is in no file of the warehouse, whatever way it came.

use crate::push::push;
use crate::support::traces::traces;
use crate::support::{Server, Warehouse, trial};
use bytes::Bytes;
use futures::SinkExt as _;
use libtest_mimic::Trial;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("masking::what_is_masked_is_nowhere", what_is_masked_is_nowhere),
        trial("masking::files_of_lines_and_of_columns", files_of_lines_and_of_columns),
        trial("masking::a_key_that_is_not_there_stops_the_source_alone", without_key),
        trial("masking::what_is_masked_is_not_personal", what_is_masked_is_not_personal),
        trial("masking::records_kept_before_are_masked_when_replayed", kept_before),
    ]
}

const KEY: &str = "CREATE SECRET pepper WITH (backend = 'file') AS 'pepper';\n";

fn source(name: &str, columns: &str, masks: &str, with: &str, encode: &str) -> String {
    format!("CREATE SOURCE bronze.{name} ({columns})\n{masks}\nWITH ({with}) FORMAT PLAIN ENCODE {encode};\n")
}

fn members(warehouse: &Warehouse, id: &str) {
    let masks =
        "MASK (phone WITH hmac_sha256, email WITH mask_email, address.street WITH 'redacted', notes DROP)";
    let columns = format!("id {id}, email TEXT, phone TEXT, address TEXT");
    let with = "connector = 'http', mask.key = SECRET pepper";
    warehouse
        .write("catalog/members.sql", format!("{KEY}{}", source("members", &columns, masks, with, "JSON")));
}

#[track_caller]
fn nowhere(folder: &Path, texts: &[&str]) {
    for text in texts {
        let (found, looked_at) = traces(folder, text);
        assert!(looked_at > 5, "{looked_at} files");
        assert!(found.is_empty(), "{text:?} is in {found:?}");
    }
}

fn copy(server: &Server, sql: &str, data: &'static str) {
    let pg = server.connect();
    let copied = pg.run(async {
        let sink = pg.client().copy_in::<_, Bytes>(sql).await?;
        futures::pin_mut!(sink);
        sink.send(Bytes::from_static(data.as_bytes())).await?;
        sink.finish().await
    });
    copied.unwrap();
}

fn what_is_masked_is_nowhere() {
    let warehouse = Warehouse::new();
    warehouse.write("pepper", "correct horse\n");
    members(&warehouse, "INT");
    warehouse.write(
        "sql/silver/members.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.members (id INT, email TEXT,\n\
         CONSTRAINT known EXPECT (id > 0) ON VIOLATION QUARANTINE ROW)\n\
         AS SELECT id, email FROM STREAM bronze.members;\n",
    );
    let server = warehouse.serve();
    for (id, broken) in [("1", ""), ("-2", ""), ("\"three\"", ""), ("4", " broken")] {
        let record = format!(
            "{{\"id\": {id}, \"email\": \"wilhelmina@example.com\", \"Phone\": \"5550198877\", \"phone\": 5550198877, \
             \"address\": {{\"street\": \"Rosengasse 7\", \"city\": \"Ulm\"}}, \"notes\": [\"likes Zinfandel\"]}}{broken}"
        );
        assert_eq!(push(&server, "members", None, &record).unwrap().status, 200);
    }
    copy(
        &server,
        "COPY bronze.members (id, email, phone, address) FROM STDIN WITH (FORMAT csv)",
        "5,wilhelmina@example.com,5550198877,\"{\"\"street\"\": \"\"Rosengasse 7\"\"}\"\n",
    );
    server.wait_until("SELECT count(*) FROM silver.members", "2");
    assert_eq!(
        server.query("SELECT id, email, length(phone), address FROM bronze.members ORDER BY id"),
        "-2|w***@example.com|64|{\"street\":\"redacted\",\"city\":\"Ulm\"}\n\
         1|w***@example.com|64|{\"street\":\"redacted\",\"city\":\"Ulm\"}\n\
         5|w***@example.com|64|{\"street\":\"redacted\"}"
    );
    // Not asked by the number itself, which the audit log would keep.
    let plain = "ab147a7244aab78c799fcad100481439d6681cf213dba8063bf376ff5f3c66c8";
    let hash = format!("SELECT count(DISTINCT phone), min(phone) = '{plain}' FROM bronze.members");
    assert_eq!(server.query(&hash), "1|f", "one person is one hash, and not the plain one");
    let raw = server.query("SELECT CAST(_raw AS TEXT) FROM bronze.members WHERE id = 1");
    assert!(raw.starts_with("{\"id\":1,\"email\":\"w***@example.com\",\"Phone\":\""), "{raw}");
    assert!(raw.ends_with("\"address\":{\"street\":\"redacted\",\"city\":\"Ulm\"}}"), "{raw}");
    assert_eq!(
        server.query("SELECT rule, state, length(raw) > 0, reason LIKE '%bytes are not kept%' FROM sluice.quarantine ORDER BY 1"),
        "known|open|t|f\nsyntax|untraced|f|t\ntype|open|t|f"
    );
    let because = "SELECT untraced_because FROM sluice.quarantine WHERE state = 'untraced'";
    assert_eq!(server.query(because), "its bytes are not kept as they came");
    assert_eq!(
        server.query(
            "SELECT field, method FROM sluice.source_masks WHERE source = 'bronze.members' ORDER BY 1"
        ),
        "address.street|text\nemail|mask_email\nnotes|drop\nphone|hmac_sha256"
    );

    // Once more, under another definition: what is masked is not masked again.
    drop(server);
    warehouse.write(
        "sql/silver/members.sql",
        "CREATE VIEW silver.members AS SELECT id, email FROM bronze.members;\n",
    );
    let masks =
        "MASK (phone WITH hmac_sha256, email WITH mask_email, address.street WITH 'redacted', notes DROP)";
    let with = "connector = 'http', mask.key = SECRET pepper";
    let text =
        source("members", "id INT, email TEXT, phone TEXT, address TEXT, city TEXT", masks, with, "JSON");
    warehouse.write("catalog/members.sql", format!("{KEY}{text}"));
    let server = warehouse.serve();
    assert_eq!(server.query("REPLAY QUARANTINE bronze.members"), "bronze.members|1|0|1|1");
    assert!(!traces(&warehouse.data(), "redacted").0.is_empty(), "what is there is found");
    nowhere(&warehouse.data(), &["wilhelmina", "5550198877", "Rosengasse", "Zinfandel", "correct horse"]);
}

fn files_of_lines_and_of_columns() {
    let warehouse = Warehouse::new();
    let with = |path: &str| format!("connector = 'files', path = '{path}'");
    let masks = "MASK (name WITH mask_name, card DROP)";
    let lines = source("lines", "id INT, name TEXT", masks, &with("input/lines"), "CSV");
    let rows = source("rows", "id INT, name TEXT", "MASK (name WITH sha256)", &with("input/rows"), "PARQUET");
    warehouse.write("catalog/sources.sql", lines + &rows);
    warehouse.write(
        "input/lines/a.csv",
        "Card,id,NAME\n4111-2222-3333,1,\"Wilhelmina, Smith\"\n4111-2222-3333,x,Wilhelmina\n4111-2222-3333,3,a,Wilhelmina\n",
    );
    let batch = arrow::array::RecordBatch::try_from_iter([
        ("id", std::sync::Arc::new(arrow::array::Int32Array::from(vec![1])) as arrow::array::ArrayRef),
        ("name", std::sync::Arc::new(arrow::array::StringArray::from(vec!["Wilhelmina"]))),
        ("secret", std::sync::Arc::new(arrow::array::StringArray::from(vec!["4111-2222-3333"]))),
    ]);
    let mut file = Vec::new();
    let batch = batch.unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    warehouse.write("input/rows/a.parquet", file);
    let server = warehouse.serve();
    server
        .wait_until("SELECT id, name, CAST(_raw AS TEXT) FROM bronze.lines", "1|W*** S***|,1,\"W*** S***\"");
    server.wait_until(
        "SELECT rule, CAST(raw AS TEXT) FROM bronze.lines__quarantine ORDER BY 1",
        "syntax|\ntype|,x,\"W***\"",
    );
    let hash = "6e3dce14b3b2541e26c91b72d0c980ec0e6f17eb9c0e571c8c71b95e8d6ddeee";
    server.wait_until(&format!("SELECT name = '{hash}' FROM bronze.rows"), "t");
    nowhere(&warehouse.data(), &["Wilhelmina", "4111-2222-3333"]);
}

fn without_key() {
    let warehouse = Warehouse::new();
    members(&warehouse, "INT");
    warehouse.write("catalog/other.sql", source("other", "id INT", "", "connector = 'http'", "JSON"));
    warehouse.sluice(&["check"]).expect(0, &[]);
    let server = warehouse.serve();
    server.wait_until(
        "SELECT state, error LIKE '%pepper%' FROM sluice.sources WHERE source = 'bronze.members'",
        "failed|t",
    );
    assert_eq!(push(&server, "other", None, "{\"id\": 1}").unwrap().status, 200);
    assert_ne!(push(&server, "members", None, "{\"id\": 1}").unwrap().status, 200);
    drop(server);
    warehouse.write("pepper", "correct horse\n");
    let server = warehouse.serve();
    assert_eq!(push(&server, "members", None, "{\"id\": 1}").unwrap().status, 200);

    warehouse.write(
        "catalog/members.sql",
        source(
            "members",
            "id INT, a TEXT",
            "MASK (a WITH hmac_sha256)",
            "connector = 'http', mask.key = SECRET papper",
            "JSON",
        ) + KEY,
    );
    warehouse.sluice(&["check"]).expect(1, &["secret \"papper\" does not exist", "Did you mean \"pepper\"?"]);
}

fn what_is_masked_is_not_personal() {
    let warehouse = Warehouse::new();
    warehouse.write("catalog/schemas.sql", "CREATE SCHEMA gold PUBLIC;\n");
    let tagged =
        |masks: &str| source("people", "id INT, email TEXT TAG pii", masks, "connector = 'http'", "JSON");
    warehouse.write(
        "sql/gold/people.sql",
        "CREATE MATERIALIZED VIEW gold.people AS SELECT id, email, _raw FROM bronze.people;\n",
    );
    warehouse.write("catalog/people.sql", tagged(""));
    warehouse.sluice(&["check"]).expect(1, &["column \"email\" shows personal data"]);
    warehouse.write("catalog/people.sql", tagged("MASK (email WITH sha256)"));
    warehouse.sluice(&["check"]).expect(0, &[]);
}

fn kept_before() {
    let warehouse = Warehouse::new();
    let people = |id: &str, masks: &str| {
        source("people", &format!("id {id}, email TEXT"), masks, "connector = 'http'", "JSON")
    };
    warehouse.write("catalog/people.sql", people("INT", ""));
    let server = warehouse.serve();
    assert_eq!(
        push(&server, "people", None, "{\"id\": 1.5, \"email\": \"wilhelmina@example.com\"}").unwrap().status,
        200
    );
    server.wait_until("SELECT count(*) FROM bronze.people__quarantine", "1");
    drop(server);
    warehouse.write("catalog/people.sql", people("INT", "MASK (email WITH mask_email)"));
    let server = warehouse.serve();
    let replay = "REPLAY QUARANTINE bronze.people";
    let raw = "SELECT CAST(raw AS TEXT), state FROM bronze.people__quarantine";
    for _ in 0..2 {
        assert_eq!(server.query(replay), "bronze.people|1|0|1|0");
        assert_eq!(
            server.query(raw),
            "{\"id\":1.5,\"email\":\"w***@example.com\"}|failed again",
            "masked, and once"
        );
    }
}
