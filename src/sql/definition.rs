//! What a project's SQL files define, typed. The parser makes these; every later stage reads them.

use super::{AccessDefinition, AlertDefinition, AutoCdc, Masking, UnitTestDefinition};
use crate::lake::TableName;
use crate::ops::opaque::Opaque;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::Query;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a definition stands, for messages: 1-based line and column.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// The file, relative to the project folder.
    pub file: PathBuf,
    /// 1-based line.
    pub line: u64,
    /// 1-based column.
    pub column: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One definition of a project.
#[derive(Clone, Debug)]
pub enum Definition {
    /// `CREATE SECRET`
    Secret(SecretDefinition),
    /// `CREATE CONNECTION`
    Connection(ConnectionDefinition),
    /// `CREATE SCHEMA ... PUBLIC`
    Schema(SchemaDefinition),
    /// `CREATE SOURCE`
    Source(SourceDefinition),
    /// `CREATE SOURCE ... WITH (connector = 'delta', ...)`
    Foreign(ForeignDefinition),
    /// `CREATE OR REFRESH STREAMING TABLE`
    StreamingTable(StreamingTableDefinition),
    /// `CREATE MATERIALIZED VIEW`
    MaterializedView(MaterializedViewDefinition),
    /// `CREATE VIEW`
    View(ViewDefinition),
    /// `COMMENT ON`
    Comment(CommentDefinition),
    /// `CREATE AUDIT`
    Audit(AuditDefinition),
    /// `EXECUTE UNIT TEST`
    UnitTest(UnitTestDefinition),
    /// `CREATE ALERT`
    Alert(AlertDefinition),
    /// `CREATE ROLE`, `GRANT`, `CREATE POLICY` and the like
    Access(AccessDefinition),
}

/// Where a secret's value is kept. The value itself never stands in a file of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretBackend {
    /// An environment variable.
    Env,
    /// A file, whose trailing newline is cut.
    File,
    /// Azure Key Vault.
    AzureKeyVault,
    /// HashiCorp Vault.
    Vault,
}

/// `CREATE SECRET name WITH (backend = 'env') AS 'KEY'`
#[derive(Clone, Debug)]
pub struct SecretDefinition {
    /// The secret's name.
    pub name: String,
    /// Where the value is kept.
    pub backend: SecretBackend,
    /// The variable's name, the file's path (relative paths start at the project folder), the name in Key Vault, or
    /// `mount/path#field` in Vault.
    pub key: String,
    /// Where the vault is, and who asks there.
    pub options: Options,
    /// After how long a vault is asked again.
    pub ttl: Duration,
    /// Where it is defined.
    pub origin: Origin,
}

/// An option's value: text as written, or a reference to a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// The literal's text (`'earliest'`, `10`, `true`).
    Text(String),
    /// `SECRET name`
    Secret(String),
}

/// `key = value` pairs of WITH (...) and TO KAFKA (...); keys lower case.
pub type Options = BTreeMap<String, OptionValue>;

/// `CREATE CONNECTION name TO KAFKA (...)`
#[derive(Clone, Debug)]
pub struct ConnectionDefinition {
    /// The connection's name.
    pub name: String,
    /// What it connects to, lower case: `kafka`, `smtp`.
    pub kind: String,
    /// Client settings, passed through.
    pub options: Options,
    /// Where it is defined.
    pub origin: Origin,
}

/// A declared column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type in Arrow: what Delta can hold (timestamps in microseconds; TIMESTAMPTZ has zone UTC).
    pub data_type: DataType,
    /// False when declared NOT NULL.
    pub nullable: bool,
}

/// The Arrow schema of declared columns.
pub fn schema_of(columns: &[ColumnDefinition]) -> SchemaRef {
    let field =
        |column: &ColumnDefinition| Field::new(&column.name, column.data_type.clone(), column.nullable);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// `column ... TAG pii` or `column ... UNTAG pii`: what kind of value a column holds, or that it holds none of that kind
/// although it comes of columns that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnTag {
    /// The column.
    pub column: String,
    /// The tag, lower case.
    pub tag: String,
    /// False for `UNTAG`.
    pub holds: bool,
    /// Where the clause stands.
    pub origin: Origin,
}

/// `CREATE SCHEMA name PUBLIC`: a schema for everybody's eyes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaDefinition {
    /// The schema.
    pub name: String,
    /// Where it is defined.
    pub origin: Origin,
}

/// `WATERMARK FOR column AS column - INTERVAL ...`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The event-time column.
    pub column: String,
    /// How late an event may be.
    pub delay: Duration,
    /// After how long a silence a partition does not hold the others up any more.
    pub idle_after: Duration,
    /// How far an event may lie ahead of the clock and still move the watermark.
    pub tolerance: Duration,
}

impl Watermark {
    /// A watermark with the settings that hold where WITH names none.
    pub fn new(column: impl Into<String>, delay: Duration) -> Self {
        let minute = Duration::from_secs(60);
        Self { column: column.into(), delay, idle_after: minute, tolerance: minute }
    }
}

/// What `INCLUDE` adds to a bronze row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncludeKind {
    /// The record's key (BINARY).
    Key,
    /// The partition (STRING).
    Partition,
    /// The offset (BIGINT).
    Offset,
    /// The broker's timestamp (TIMESTAMPTZ).
    Timestamp,
    /// One header's value (STRING).
    Header(String),
}

/// `INCLUDE kind AS column`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// What is included.
    pub kind: IncludeKind,
    /// Under which column name.
    pub column: String,
}

/// Where records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connector {
    /// A Kafka topic (Azure Event Hubs too).
    Kafka,
    /// Pushed to `POST /ingest/<source>`.
    Http,
    /// Files of a folder.
    Files,
    /// A seeded generator.
    Datagen,
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Connector::Kafka => "kafka",
            Connector::Http => "http",
            Connector::Files => "files",
            Connector::Datagen => "datagen",
        })
    }
}

/// How a record's bytes are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encode {
    /// One JSON object a record; files hold NDJSON or an array of objects.
    Json,
    /// CSV with a header line in files.
    Csv {
        /// Field separator, `,` by default.
        delimiter: u8,
        /// Whether files start with a header line (true by default). Without one, fields go by position.
        header: bool,
    },
    /// Parquet files; columns by name.
    Parquet,
}

/// `CREATE SOURCE`: a stream and its bronze table.
#[derive(Clone, Debug)]
pub struct SourceDefinition {
    /// The bronze table, `bronze.<name>`.
    pub name: TableName,
    /// Declared columns, without what bronze adds.
    pub columns: Vec<ColumnDefinition>,
    /// What kind of values columns hold.
    pub tags: Vec<ColumnTag>,
    /// The event-time watermark, if declared.
    pub watermark: Option<Watermark>,
    /// Extra columns.
    pub includes: Vec<Include>,
    /// What of its records is masked or dropped before they are kept.
    pub masking: Masking,
    /// Where records come from.
    pub connector: Connector,
    /// The connection it uses, by name.
    pub connection: Option<String>,
    /// The remaining options of WITH (...).
    pub options: Options,
    /// How bytes are read.
    pub encode: Encode,
    /// `CREATE SOURCE IF NOT EXISTS`'s statement text, for display.
    pub sql: String,
    /// Where it is defined.
    pub origin: Origin,
}

/// `CREATE SOURCE ... WITH (connector = 'delta', ...)`: a table that others write, read where it lies.
#[derive(Clone, Debug)]
pub struct ForeignDefinition {
    /// The name under which models read it.
    pub name: TableName,
    /// Columns that it must have; it may have more.
    pub columns: Vec<ColumnDefinition>,
    /// What kind of values columns hold.
    pub tags: Vec<ColumnTag>,
    /// Its folder, as written; relative paths start at the project folder.
    pub path: String,
    /// How often it is looked at for new versions.
    pub poll: Duration,
    /// The statement's text.
    pub sql: String,
    /// Where it is defined.
    pub origin: Origin,
}

/// What happens to a row that breaks an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViolationAction {
    /// Kept, and counted.
    Warn,
    /// Dropped, and counted.
    DropRow,
    /// Kept apart in `<table>__quarantine`, and counted.
    QuarantineRow,
    /// The refresh that brought it is given up: the last good rows stand.
    FailUpdate,
}

impl ViolationAction {
    /// The word in system tables.
    pub fn as_str(self) -> &'static str {
        match self {
            ViolationAction::Warn => "warn",
            ViolationAction::DropRow => "drop",
            ViolationAction::QuarantineRow => "quarantine",
            ViolationAction::FailUpdate => "fail",
        }
    }

    /// True when a row that breaks the rule is not stored, though the refresh goes on.
    pub fn keeps_rows_out(self) -> bool {
        matches!(self, ViolationAction::DropRow | ViolationAction::QuarantineRow)
    }
}

/// `CONSTRAINT name EXPECT (predicate) [AT LEAST n PERCENT] [ON VIOLATION action]`
#[derive(Clone, Debug)]
pub struct Expectation {
    /// Its name.
    pub name: String,
    /// The predicate as written, over the model's output columns. NULL counts as a violation.
    pub predicate: String,
    /// What happens to rows that break it.
    pub action: ViolationAction,
    /// `AT LEAST n PERCENT`: the share of rows for which it must be true; all of them without.
    pub at_least: Option<f64>,
    /// Where it stands.
    pub origin: Origin,
}

/// `[CONSTRAINT name] FOREIGN KEY (columns) REFERENCES table [(referenced)]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub table: TableName,
    /// Which of its columns; none are named when its primary key is meant.
    pub referenced: Vec<String>,
    /// Where the table is named.
    pub origin: Origin,
}

impl ForeignKey {
    /// The columns that are referred to, given the primary key of the table.
    pub fn referenced<'a>(&'a self, primary_key: &'a [String]) -> &'a [String] {
        if self.referenced.is_empty() { primary_key } else { &self.referenced }
    }

    /// Its name, or the one that PostgreSQL would give it.
    pub fn name_in(&self, table: &TableName) -> String {
        let given = || format!("{}_{}_fkey", table.name, self.columns.join("_"));
        self.name.clone().unwrap_or_else(given)
    }
}

/// When a model is refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// With every wave whose inputs moved, but at most this often.
    OnUpdate {
        /// The shortest time between two refreshes.
        at_most_every: Duration,
    },
    /// `SCHEDULE EVERY n HOUR`
    Every(Duration),
    /// `SCHEDULE CRON '...' AT TIME ZONE '...'`
    Cron {
        /// Five-field cron expression.
        expression: String,
        /// IANA zone name.
        zone: String,
    },
}

impl Default for Trigger {
    fn default() -> Self {
        Trigger::OnUpdate { at_most_every: Duration::ZERO }
    }
}

/// A query of a model: its tree, its text and the inputs it names.
#[derive(Clone, Debug)]
pub struct ModelQuery {
    /// The tree, with `STREAM` already removed.
    pub ast: Opaque<Query>,
    /// The text as written, without the statement around it.
    pub sql: String,
    /// Tables read with `STREAM`: each of their rows is taken once.
    pub streams: Vec<TableName>,
    /// Every table the query names (streams too), CTE names left out, in order of appearance, each once.
    pub inputs: Vec<TableName>,
    /// The table whose watermark closes its windows or makes rows late: `EMIT ON WINDOW CLOSE`, `LATE ROWS TO`.
    pub watermark_of: Option<TableName>,
    /// The rows that are late for its windows, where they are kept apart.
    pub late: Option<Box<LateRows>>,
}

/// `LATE ROWS TO gold.sales_5m__late`
#[derive(Clone, Debug)]
pub struct LateRows {
    /// Where they are kept.
    pub to: TableName,
    /// What they are.
    pub query: ModelQuery,
}

/// `CREATE OR REFRESH STREAMING TABLE`
#[derive(Clone, Debug)]
pub struct StreamingTableDefinition {
    /// `silver.orders`
    pub name: TableName,
    /// Declared columns, if any: output is cast to them.
    pub columns: Option<Vec<ColumnDefinition>>,
    /// Columns declared by name only, if any: types are the query's.
    pub column_names: Option<Vec<String>>,
    /// Row rules.
    pub expectations: Vec<Expectation>,
    /// Partition columns.
    pub partitioned_by: Vec<String>,
    /// When it is refreshed.
    pub trigger: Trigger,
    /// Declared key, shown to BI tools.
    pub primary_key: Vec<String>,
    /// Declared references to other tables' keys, shown to BI tools.
    pub foreign_keys: Vec<ForeignKey>,
    /// What kind of values columns hold.
    pub tags: Vec<ColumnTag>,
    /// What it computes; of a change feed, the changes.
    pub query: ModelQuery,
    /// What is kept of its changes, if it is `FLOW AUTO CDC`: its rows then come and go.
    pub auto_cdc: Option<Box<AutoCdc>>,
    /// The whole statement, for display.
    pub sql: String,
    /// Where it is defined.
    pub origin: Origin,
}

/// `REFRESH POLICY`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RefreshPolicy {
    /// The server chooses.
    #[default]
    Auto,
    /// Never recompute for cost, only where there is no rule.
    Incremental,
    /// As `Incremental`; a definition without a rule is refused.
    IncrementalStrict,
    /// Recompute and compare.
    Full,
}

impl RefreshPolicy {
    /// The words in system tables.
    pub fn as_str(self) -> &'static str {
        match self {
            RefreshPolicy::Auto => "auto",
            RefreshPolicy::Incremental => "incremental",
            RefreshPolicy::IncrementalStrict => "incremental strict",
            RefreshPolicy::Full => "full",
        }
    }
}

/// `CREATE MATERIALIZED VIEW`
#[derive(Clone, Debug)]
pub struct MaterializedViewDefinition {
    /// `gold.daily_sales`
    pub name: TableName,
    /// Declared columns, if any: output is cast to them.
    pub columns: Option<Vec<ColumnDefinition>>,
    /// Columns declared by name only, if any: types are the query's.
    pub column_names: Option<Vec<String>>,
    /// Row rules.
    pub expectations: Vec<Expectation>,
    /// Partition columns.
    pub partitioned_by: Vec<String>,
    /// When it is refreshed.
    pub trigger: Trigger,
    /// Declared key, shown to BI tools.
    pub primary_key: Vec<String>,
    /// Declared references to other tables' keys, shown to BI tools.
    pub foreign_keys: Vec<ForeignKey>,
    /// What kind of values columns hold.
    pub tags: Vec<ColumnTag>,
    /// Whether it may be recomputed.
    pub refresh_policy: RefreshPolicy,
    /// What it computes.
    pub query: ModelQuery,
    /// The rows that its rules set apart, if there are such rules.
    pub apart: Option<Box<ModelQuery>>,
    /// The view whose late rows it keeps, if that is what it is for.
    pub late_of: Option<TableName>,
    /// The view whose rows that were set apart it keeps, if that is what it is for.
    pub apart_of: Option<TableName>,
    /// The whole statement, for display.
    pub sql: String,
    /// Where it is defined.
    pub origin: Origin,
}

/// `CREATE VIEW`: a query that is not stored.
#[derive(Clone, Debug)]
pub struct ViewDefinition {
    /// `gold.current_stock`
    pub name: TableName,
    /// Columns declared by name, if any: types are the query's.
    pub column_names: Option<Vec<String>>,
    /// What kind of values columns hold.
    pub tags: Vec<ColumnTag>,
    /// What it computes.
    pub query: ModelQuery,
    /// The whole statement, for display.
    pub sql: String,
    /// Where it is defined.
    pub origin: Origin,
}

/// What a comment is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentTarget {
    /// `COMMENT ON TABLE | VIEW | MATERIALIZED VIEW | STREAMING TABLE | SOURCE name`
    Table(TableName),
    /// `COMMENT ON COLUMN schema.table.column`
    Column(TableName, String),
}

/// `COMMENT ON ... IS '...'`
#[derive(Clone, Debug)]
pub struct CommentDefinition {
    /// What it is on.
    pub target: CommentTarget,
    /// The text.
    pub text: String,
    /// Where it stands.
    pub origin: Origin,
}

/// `CREATE AUDIT name ON model [BLOCKING] AS query`, the query one that must give no rows.
#[derive(Clone, Debug)]
pub struct AuditDefinition {
    /// Its name, one of its own among the audits of the model.
    pub name: String,
    /// The model that it judges.
    pub on: TableName,
    /// Whether a result with such rows is given up before readers see it.
    pub blocking: bool,
    /// The rows that should not be there; `this` already stands for the model.
    pub query: Opaque<Query>,
    /// Every table that the query names, the model too.
    pub inputs: Vec<TableName>,
    /// The whole statement, for display.
    pub sql: String,
    /// Where it is defined.
    pub origin: Origin,
}
