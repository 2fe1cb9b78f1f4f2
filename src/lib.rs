//! Sluice: an analytics warehouse server in one binary.
//!
//! Streams flow into Delta *bronze* exactly once; *silver* and *gold* models, written as SQL files, are kept up to
//! date; anyone reads them over the PostgreSQL protocol and Arrow Flight SQL.
//!
//! ```text
//! outside world          bronze                silver, gold                     readers
//! Kafka, Event Hubs  ┐                                                     ┌ Postgres wire: psql, Power BI, JDBC
//! HTTP push          ├─ ingest ─ append ─ Delta ─ refresh (waves) ─ Delta ─┼ Flight SQL: pandas, ADBC, JDBC
//! files              ┘  (rows + positions,      (changes in, changes out,  └ HTTP: ready, metrics, ingest
//!                        one commit)             one commit)
//! Delta tables that others write ─── read in place ───┘
//!                                 \____ each wave ends in an EPOCH: one version per table, the cut that readers see
//! ```
//!
//! # Map, in reading order
//! A folder is a stage of the flow; a file holds one idea.
//!
//! - [`sql`]: the statements users write: a parser on top of sqlparser, typed definitions.
//! - [`catalog`]: definitions → dependency graph; what comes of what, column by column; what an edit changes; where
//!   a person is; the cut that readers see; system tables; roles and rights, with the one decision over them.
//! - [`ingest`]: sources produce records with positions; decoders make Arrow batches; knows nothing of Delta.
//! - [`bronze`]: rows + positions → one Delta commit; where to resume.
//! - [`refresh`]: models: waves, lanes, epochs; the change of a query derived from the changes of its inputs;
//!   refresh now, verify, explain.
//! - [`quality`]: expectations, quarantine, audits, incidents.
//! - [`lake`]: the only code that touches object stores and Delta: snapshots, scan, commit, upkeep.
//! - [`engine`]: DataFusion: sessions, memory, functions.
//! - [`deliver`]: what leaves the warehouse without being asked for: alerts, OpenLineage events.
//! - [`serve`]: readers: statement list, sessions, Postgres wire, Flight SQL, HTTP.
//! - [`ops`]: clock, shutdown, secrets, failpoints.
//! - [`config`], [`warehouse`], [`cli`]: settings, wiring, commands.
//!
//! # Invariants
//! - A record's position becomes durable in the Delta commit that holds its rows; there is no other store of offsets.
//! - Readers see epochs only: one version of every table, never a model that is half refreshed.
//! - Arrows go one way: serve → refresh, ingest, bronze, quality → catalog, sql, engine → lake → ops.
//! - Only `lake` names deltalake and object_store; only `ingest::kafka` rdkafka; only `serve::postgres` pgwire; only
//!   `serve::flight` arrow_flight; only `ops` reads the clock.

pub mod bronze;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod engine;
pub mod ingest;
pub mod lake;
pub mod ops;
pub mod quality;
pub mod refresh;
pub mod serve;
pub mod sql;
pub mod warehouse;
