//! What the language knows and this server does not do (yet): refused by name, with what to do instead.

use super::Error;
use super::cursor::Cursor;

/// Words that begin something known, and what to do instead. A word of one punctuation character is that token.
pub(super) struct Known {
    pub(super) words: &'static [&'static str],
    pub(super) hint: &'static str,
}

const fn known(words: &'static [&'static str], hint: &'static str) -> Known {
    Known { words, hint }
}

/// Refuses with 0A000 if the cursor stands at one of these.
pub(super) fn refuse(cursor: &Cursor<'_>, list: &[Known]) -> Result<(), Error> {
    // Of several the longest names it best: APPLY CHANGES rather than APPLY.
    let longest =
        list.iter().filter(|known| cursor.at_words(known.words)).max_by_key(|known| known.words.len());
    longest.map_or(Ok(()), |known| Err(refusal(cursor, known)))
}

fn refusal(cursor: &Cursor<'_>, known: &Known) -> Error {
    Error::unsupported(cursor.origin(), format!("{} is not supported yet", name(known.words)))
        .with_hint(known.hint)
}

/// The words without punctuation: `TUMBLE (` is called TUMBLE.
fn name(words: &[&str]) -> String {
    words.iter().filter(|w| w.starts_with(char::is_alphabetic)).copied().collect::<Vec<_>>().join(" ")
}

/// Statements that stand in SQL.md but are not done, and statements of PostgreSQL that define nothing here.
pub(super) const STATEMENTS: &[Known] = &[
    known(&["CREATE", "SINK"], "Read the table over the PostgreSQL protocol or Arrow Flight SQL meanwhile."),
    known(
        &["CREATE", "FLOW"],
        "Write one CREATE STREAMING TABLE with one query, with UNION ALL for several inputs.",
    ),
    known(&["CREATE", "FUNCTION"], "Write the expression in the model."),
    known(&["CREATE", "OR", "REPLACE", "FUNCTION"], "Write the expression in the model."),
    known(&["CREATE", "AGGREGATE"], "Write the expression in the model."),
    known(&["CREATE", "PROCEDURE"], MODELS),
    known(&["CREATE", "MODEL"], "Write the features as a materialized view."),
    known(&["CREATE", "INDEX"], "Tables are pruned by file statistics; PARTITIONED BY narrows them further."),
    known(&["CREATE", "UNIQUE", "INDEX"], "Declare PRIMARY KEY in the table's column list."),
    known(&["CREATE", "DATABASE"], "There is one database, sluice."),
    known(&["CREATE", "CATALOG"], "There is one database, sluice."),
    known(
        &["CREATE", "EXTERNAL", "TABLE"],
        "Declare a CREATE SOURCE with connector = 'files', or 'delta' for a table that others write.",
    ),
    known(&["CREATE", "TABLE"], TABLES),
    known(&["CREATE", "OR", "REPLACE", "TABLE"], TABLES),
    known(&["CREATE", "OR", "REFRESH", "TABLE"], TABLES),
    known(&["CREATE", "TEMP"], TABLES),
    known(&["CREATE", "TEMPORARY"], TABLES),
    known(&["CREATE", "TEMPORARY", "VIEW"], "Write a CREATE VIEW."),
    known(&["CREATE", "RECURSIVE", "VIEW"], "Write a CREATE VIEW."),
    known(&["CREATE", "STREAM"], "Declare a CREATE SOURCE for a stream of the outside world."),
    known(&["CREATE", "TASK"], "Write SCHEDULE CRON '...' in a materialized view."),
    known(&["CREATE", "TRIGGER"], MODELS),
    known(&["CREATE", "SEQUENCE"], MODELS),
    known(&["CREATE", "TYPE"], "Write the type where it is used, as STRUCT<...>."),
    known(&["CREATE", "DOMAIN"], "Write an expectation on the column."),
    known(&["CREATE", "EXTENSION"], MODELS),
    known(&["CREATE", "TAG"], MODELS),
    known(&["CREATE", "LIVE"], "Write CREATE OR REFRESH STREAMING TABLE or CREATE MATERIALIZED VIEW."),
    known(&["CREATE", "OR", "REFRESH", "LIVE"], "Write CREATE OR REFRESH STREAMING TABLE."),
    known(&["CREATE", "OR", "REPLACE", "SECRET"], "Files are the truth: write CREATE SECRET."),
    known(&["CREATE", "OR", "REPLACE", "CONNECTION"], "Files are the truth: write CREATE CONNECTION."),
    known(&["CREATE", "OR", "REPLACE", "SOURCE"], "Files are the truth: write CREATE SOURCE."),
    known(&["EXPLAIN"], "Type EXPLAIN in psql."),
    known(&["REFRESH"], "Models are refreshed with every wave; type REFRESH in psql to have it at once."),
    known(&["BACKFILL"], "Type BACKFILL in psql."),
    known(&["REPLAY"], "Type REPLAY QUARANTINE in psql."),
    known(&["VERIFY"], "Type VERIFY in psql."),
    known(&["PLAN"], "Type PLAN in psql, or run sluice plan."),
    known(&["APPLY"], "Type APPLY in psql, or run sluice apply."),
    known(&["SUBSCRIBE"], "Poll the table meanwhile."),
    known(&["VALIDATE", "SECRET"], VALIDATE),
    known(&["ALTER"], "Edit the definition in its file."),
    known(&["DROP"], "Delete the file that defines the object."),
    known(&["SELECT"], "A file defines objects: put the query behind CREATE VIEW name AS."),
    known(&["WITH"], "A file defines objects: put the query behind CREATE VIEW name AS."),
    known(&["VALUES"], "A file defines objects: put the query behind CREATE VIEW name AS."),
    known(&["INSERT"], WRITES),
    known(&["UPDATE"], WRITES),
    known(&["DELETE"], WRITES),
    known(&["MERGE"], WRITES),
    known(&["TRUNCATE"], WRITES),
    known(&["COPY"], WRITES),
    known(
        &["APPLY", "CHANGES"],
        "Write CREATE OR REFRESH STREAMING TABLE name FLOW AUTO CDC FROM STREAM ....",
    ),
    known(&["SET"], "Settings stand in catalog/warehouse.toml."),
    known(&["RESET"], "Settings stand in catalog/warehouse.toml."),
    known(&["USE"], "Write names as schema.name."),
    known(&["SHOW"], "Type it in psql."),
    known(&["BEGIN"], "A file is taken as a whole: leave transactions out."),
    known(&["COMMIT"], "A file is taken as a whole: leave transactions out."),
    known(&["ROLLBACK"], "A file is taken as a whole: leave transactions out."),
    known(&["VACUUM"], "Upkeep runs by itself."),
    known(&["OPTIMIZE"], "Upkeep runs by itself."),
    known(&["ANALYZE"], "Statistics are kept with every commit."),
    known(&["DO"], MODELS),
    known(&["CALL"], MODELS),
];

const MODELS: &str = "Files hold CREATE SECRET, CONNECTION, SOURCE, STREAMING TABLE, MATERIALIZED VIEW, VIEW, AUDIT, UNIT TEST and COMMENT ON.";
const TABLES: &str = "Declare a CREATE SOURCE for what comes in, a CREATE STREAMING TABLE or CREATE MATERIALIZED VIEW for what is computed.";
const WRITES: &str = "Rows come in through sources only: declare one with connector = 'http' and push to it.";
const VALIDATE: &str = "Keep the HTTP address on loopback, behind a proxy that checks signatures.";

/// Clauses of CREATE SOURCE.
pub(super) const SOURCE_CLAUSES: &[Known] = &[
    known(&["VALIDATE"], VALIDATE),
    known(&["SCHEDULE"], "Folders are watched all the time: leave the schedule out."),
    known(&["FORMAT", "DEBEZIUM"], "Declare before, after and op as columns of FORMAT PLAIN ENCODE JSON."),
    known(&["FORMAT", "UPSERT"], "Write FORMAT PLAIN, and keep the newest row of each key by FLOW AUTO CDC."),
    known(&["FORMAT", "NATIVE"], "Write FORMAT PLAIN ENCODE JSON."),
    known(&["FORMAT", "CANAL"], "Write FORMAT PLAIN ENCODE JSON."),
    known(&["FORMAT", "MAXWELL"], "Write FORMAT PLAIN ENCODE JSON."),
    known(&["ENCODE", "XML"], JSON_OR_CSV),
    known(&["ENCODE", "AVRO"], JSON_OR_CSV),
    known(&["ENCODE", "PROTOBUF"], JSON_OR_CSV),
    known(
        &["ENCODE", "BYTES"],
        "The record's bytes are in _raw of every bronze row: declare one column and ENCODE JSON.",
    ),
    known(
        &["ENCODE", "TEXT"],
        "The record's bytes are in _raw of every bronze row: declare one column and ENCODE JSON.",
    ),
    known(&["PARTITIONED", "BY"], "Bronze is kept in order of arrival; partition the silver table."),
    known(&["TBLPROPERTIES"], "Leave it out: upkeep chooses them."),
    known(&["TRIGGER"], "A source takes records as they come; models have triggers."),
    known(&["AS"], "A source has no query: write a CREATE STREAMING TABLE that reads it."),
    known(&["PRIMARY", "KEY"], "Declare the key in the silver table that reads the source."),
    known(&["INCLUDE", "PAYLOAD"], "The record's bytes are in _raw of every bronze row."),
    known(&["INCLUDE", "FILE"], "The file's path is in _source of every bronze row."),
];

const JSON_OR_CSV: &str = "Write ENCODE JSON, ENCODE CSV (...) or, for files, ENCODE PARQUET.";

/// Clauses of tables and views, between the column list and AS.
pub(super) const MODEL_CLAUSES: &[Known] = &[
    known(
        &["FLOW"],
        "Write AS SELECT ..., or FLOW AUTO CDC FROM STREAM table KEYS (...) SEQUENCE BY column.",
    ),
    known(&["TBLPROPERTIES"], "Leave it out: upkeep chooses them."),
    known(&["CLUSTER", "BY"], "Write PARTITIONED BY for a column of few values."),
    known(&["CLUSTERED", "BY"], "Write PARTITIONED BY for a column of few values."),
    known(&["ORDER", "BY"], "Tables have no order: write ORDER BY where you read them."),
    known(&["COMMENT"], "Write COMMENT ON TABLE name IS '...'; in the same file."),
    known(&["TAG"], "Tags are of columns: write TAG name behind a column's type."),
    known(&["WITH"], "Leave WITH (...) out: a model's settings are its clauses."),
    known(&["USING"], "Every table is a Delta table: leave USING out."),
    known(&["LOCATION"], "Tables stand under the data folder, by schema and name."),
    known(&["ROW", "FILTER"], "Filter in a view."),
    known(&["DEFINER"], "Leave it out."),
    known(&["EMIT"], "Write EMIT ON WINDOW CLOSE at the end, behind the query."),
    known(&["LATE", "ROWS", "TO"], "Write LATE ROWS TO schema.table at the end, behind the query."),
    known(
        &["TRIGGER", "ON", "UPDATE", "AFTER"],
        "Write TRIGGER ON UPDATE AT MOST EVERY INTERVAL '1' SECOND.",
    ),
];

/// Clauses of FLOW AUTO CDC.
pub(super) const CDC_CLAUSES: &[Known] = &[
    known(&["FROM", "SNAPSHOT"], "Write FROM STREAM schema.table, whose rows are changes."),
    known(&["IGNORE", "NULL", "UPDATES"], "Write coalesce(new, old) in a view, or send whole rows."),
    known(&["APPLY", "AS", "TRUNCATE", "WHEN"], "Write APPLY AS DELETE WHEN for each key that goes."),
    known(&["WHERE"], "Filter in the streaming table that the flow reads."),
];

/// What may stand behind a column's type.
pub(super) const COLUMN_CLAUSES: &[Known] = &[
    known(&["TAGS"], "Write TAG name behind the type, once for each."),
    known(&["MASK"], "Mask the column in the model."),
    known(&["DEFAULT"], "Write coalesce(column, value) in the model."),
    known(&["GENERATED"], "Write the expression in the model."),
    known(&["AS", "("], "Write the expression in the model."),
    known(&["UNIQUE"], "Declare PRIMARY KEY in the column list."),
    known(&["CHECK"], "Write CONSTRAINT name EXPECT (condition)."),
    known(&["COLLATE"], "Text compares by its bytes: leave COLLATE out."),
    known(&["COMMENT"], "Write COMMENT ON COLUMN schema.table.column IS '...'; in the same file."),
];

/// Constraints among the columns.
pub(super) const CONSTRAINTS: &[Known] = &[
    known(&["UNIQUE", "("], "Declare PRIMARY KEY (...)."),
    known(&["CHECK", "("], "Write CONSTRAINT name EXPECT (condition)."),
    known(&["EXCLUDE"], "Write CONSTRAINT name EXPECT (condition)."),
];

/// What may stand behind REFERENCES schema.table (...).
pub(super) const REFERENCE_CLAUSES: &[Known] = &[
    known(&["MATCH"], REFERENCE),
    known(&["ON", "DELETE"], REFERENCE),
    known(&["ON", "UPDATE"], REFERENCE),
    known(&["DEFERRABLE"], REFERENCE),
    known(&["NOT", "DEFERRABLE"], REFERENCE),
    known(&["NOT", "VALID"], REFERENCE),
];

const REFERENCE: &str =
    "Leave it out: a foreign key tells readers how tables belong together, and changes no row.";

/// What a query may hold only in an engine that keeps windows: found anywhere in it.
pub(super) const QUERY_CLAUSES: &[Known] = &[
    known(
        &["FOR", "SYSTEM_TIME", "AS", "OF"],
        "A model reads the newest version of its inputs: leave it out.",
    ),
    known(&["AS", "OF", "EPOCH"], "A model reads the newest version of its inputs: leave it out."),
    known(&["JSON_AGG", "("], JSON),
    known(&["JSONB_AGG", "("], JSON),
    known(&["JSON_OBJECT_AGG", "("], JSON),
    known(&["JSONB_OBJECT_AGG", "("], JSON),
    known(&["JSON_BUILD_OBJECT", "("], JSON),
    known(&["JSONB_BUILD_OBJECT", "("], JSON),
    known(&["JSON_BUILD_ARRAY", "("], JSON),
    known(&["JSONB_BUILD_ARRAY", "("], JSON),
    known(&["ROW_TO_JSON", "("], JSON),
    known(&["ARRAY_TO_JSON", "("], JSON),
    known(&["TO_JSON", "("], JSON),
    known(&["TO_JSONB", "("], JSON),
    known(&["::", "JSON"], JSON),
    known(&["::", "JSONB"], JSON),
    known(&["AS", "JSON", ")"], JSON),
    known(&["AS", "JSONB", ")"], JSON),
];

const JSON: &str = "Keep JSON as TEXT, which -> and ->> read, and make it where the model is read: SELECT json_agg(...) FROM ....";

/// What to do instead of TABLESAMPLE, which is refused wherever it stands: the engine would leave it out without a word.
pub const TABLESAMPLE: &str =
    "Keep rows by a hash of their key: WHERE md5(id::text) < '8' keeps half of them, the same each time.";

/// Table functions that are known and not done.
pub(super) const TABLE_FUNCTIONS: &[Known] = &[
    known(&["CUMULATE", "("], "Write a window function with a frame."),
    known(&["FORECAST", "("], "Write the forecast as a query, for instance an average by weekday."),
    known(&["DETECT_OUTLIERS", "("], "Compare with avg and stddev in a query."),
    known(&["PLAN_ROUTES", "("], "Read the stops from gold and plan the routes outside."),
];

/// Connectors of CREATE SOURCE that are known and not done.
pub(super) const CONNECTORS: &[&str] = &[
    "rest", "postgres", "mysql", "mongodb", "kinesis", "pulsar", "nats", "mqtt", "pubsub", "webhook", "s3",
    "sftp", "jdbc",
];

/// Kinds of CREATE CONNECTION that are known and not done.
pub(super) const CONNECTIONS: &[&str] =
    &["postgres", "http", "https", "s3", "azure", "mysql", "rest", "webhook"];

/// Backends of CREATE SECRET that are known and not done.
pub(super) const SECRET_BACKENDS: &[&str] = &["key_vault", "keyvault", "aws", "gcp", "kubernetes"];
