//! The law of incremental refreshes: whatever has changed, the stored rows are the query's rows, as a bag.
//!
//! ```text
//! limits      values at the limits of their types, and queries that fail on them
//! time        while time passes: windows, lateness, filters by now()
//! operators   fixed queries, one for each operator that has a rule, under random histories; and what has no rule
//! cases       random (schema, query, history), many of them: SLUICE_LAW_CASES, SLUICE_LAW_SEED, SLUICE_LAW_STATE
//! ```
//!
//! Each of them prints the seed that repeats it, and shrinks what fails ([`asked`]).
//!
//! A case is made of [`values`] (columns and what stands in them), a query that [`query`] draws from a [`tape`], and
//! [`history`] (commits between refreshes). Its tables are tables of a real [`house`]; after each refresh the stored rows
//! are compared with the query computed whole, and for some cases with what DuckDB makes of the same rows ([`oracle`]).

mod aggregate;
pub(super) mod asked;
mod cases;
mod expression;
mod history;
pub(super) mod house;
mod join;
mod limits;
mod operators;
mod oracle;
mod query;
mod run;
mod tally;
mod tape;
mod time;
mod values;
