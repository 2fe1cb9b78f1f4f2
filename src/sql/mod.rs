//! Our statements: a parser on top of sqlparser, and typed definitions.
//!
//! Comes in: the text of one SQL file (or of one statement typed in psql). Goes out: [`Definition`]s with their
//! [`Origin`], or an [`Error`] that says what, where (file, line, column), why and what to do. Nothing is guessed: what
//! the language knows but this server does not do yet is refused by name.
//!
//! Reading order: [`parse_file`] splits a file into statements and dispatches on their first words; `outside` holds the
//! statements of `catalog/` (`foreign` those for tables that others write, `mask` what of records is not kept, `alert` who is told of what), `model` those of `sql/`, `cdc` their change feeds, which `cdc_query` turns into queries,
//! `audit` what must hold of them, `unit_test` what must come of rows that are given;
//! all stand on `columns`, `clauses`, `types`, `query` and the
//! `cursor` over tokens; `misread` says in other words what the parser does not read, `precedence` mends what it binds wrongly, `spelling` says in the engine's words what PostgreSQL says in its own, `forms` in its forms of queries, `using` which table a joined column is of; `windows` turns TUMBLE, HOP and SESSION into plain queries, `closing` keeps back what is not
//! closed and apart what is late. `refusal` lists what is known and not done.

mod access;
mod alert;
mod apart;
mod audit;
mod cdc;
mod cdc_query;
mod clauses;
mod clock;
mod closing;
mod columns;
mod cursor;
mod definition;
mod error;
mod foreign;
pub mod forms;
mod interval;
mod keys;
mod layout;
mod mask;
mod misread;
mod model;
mod outside;
mod parser;
mod place;
mod precedence;
mod query;
mod refusal;
mod remarks;
mod smtp;
mod spelling;
mod suggest;
mod syntax;
mod types;
mod undetermined;
mod unit_test;
mod using;
mod vault;
mod windows;

pub use access::{
    AccessDefinition, AccessStatement, GrantedOn, Grants, MaskDefinition, Memberships, PUBLIC, Password,
    PolicyDefinition, Privilege, RESERVED_ROLES, RoleAttributes,
};
pub use alert::{ALERT_NAME, AlertDefinition, Email, PayloadFormat, Target, Webhook};
pub use apart::{APART_REASON, APART_RULE, apart_view};
pub use cdc::{AutoCdc, ColumnName, DeleteCondition, History, Selection};
pub use cdc_query::{Continuation, END_AT, START_AT, continuation, defining_query};
pub use clock::asks_for_time;
pub use closing::late_view;
pub use definition::*;
pub use error::Error;
pub use interval::interval_parts;
pub use layout::{quarantine_schema, row_schema, table_schema, watermark_schema};
pub use mask::{FieldMask, MaskKey, MaskMethod, Masking};
pub use misread::respelled;
pub use parser::parse_file;
pub use place::word_origin;
pub use precedence::{bind_as_written, bind_expression_as_written};
pub use query::{NamedRelation, relations};
pub use refusal::TABLESAMPLE;
pub use remarks::remarks;
pub use spelling::{spell_for_engine, with_seconds};
pub use suggest::{did_you_mean, hint_did_you_mean};
pub use syntax::{call, function, is_sampled, literal, quoted, quoted_table, take};
pub use types::type_name;
pub use undetermined::{Undetermined, undetermined};
pub use unit_test::{Mock, TestRows, UnitTestDefinition};
pub use windows::{WindowError, expand_windows};
