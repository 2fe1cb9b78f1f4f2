//! Feeding a server: parquet files into a source's folder, pushes over HTTP.

use super::harness::{Pg, until};
use super::{Http, Server, Warehouse};
use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use std::time::Duration;

/// How long one push may take.
const PUSH: Duration = Duration::from_secs(60);
/// A model must have followed a push within this.
const FRESH: Duration = Duration::from_secs(300);

/// The options of a source that takes parquet files from `input/<folder>`, found within a tenth of a second.
pub fn parquet_source(folder: &str) -> String {
    format!(
        "WITH (connector = 'files', path = 'input/{folder}', poll_ms = 50)\nFORMAT PLAIN ENCODE PARQUET;\n"
    )
}

/// A parquet file of these rows in `input/`, renamed in whole.
pub fn write_parquet(warehouse: &Warehouse, path: &str, rows: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    warehouse.write(&format!("input/{path}.parquet"), writer.into_inner().unwrap());
}

/// A number as good as random for each number (splitmix64): columns do not collapse, and a change touches most groups.
pub fn scattered(number: i64) -> u64 {
    let mixed = (number as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A push that was taken whole: its rows are durable in this version of the source's table.
pub struct Pushed {
    /// `bronze.<source>`
    pub table: String,
    pub version: i64,
}

impl Pushed {
    /// Waits until a model has been refreshed from it.
    pub fn wait_until_fresh(&self, session: &Pg, model: &str) {
        session.text(&format!("SET sluice.read_after = '{}@{}'", self.table, self.version));
        let state = format!("SELECT state FROM sluice.freshness WHERE table_name = '{model}'");
        until(&format!("{model} to be fresh"), FRESH, || match session.text(&state).as_str() {
            "fresh" => Ok(()),
            state => Err(state.to_string()),
        });
    }
}

/// Pushes records to a source, whose only sender this is; panics unless all of them are taken.
pub fn push(server: &Server, source: &str, token: i64, body: impl Into<Vec<u8>>) -> Pushed {
    push_from(server, "bench", source, token, body)
}

/// The same, of a sender that goes by a name.
pub fn push_from(
    server: &Server,
    channel: &str,
    source: &str,
    token: i64,
    body: impl Into<Vec<u8>>,
) -> Pushed {
    let token = token.to_string();
    let headers = [("channel", channel), ("token", token.as_str())];
    let reply = Http::new(PUSH).post(server.http, &format!("/ingest/{source}"), &headers, body).unwrap();
    assert_eq!(reply.status, 200, "{source}: {reply:?}");
    let reply = reply.json();
    assert_eq!(reply["rejected"].as_i64(), Some(0), "{source}: {reply}");
    let (table, version) = reply["read_token"].as_str().unwrap().split_once('@').unwrap();
    Pushed { table: table.to_string(), version: version.parse().unwrap() }
}
