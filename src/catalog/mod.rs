//! What the warehouse consists of: the project's definitions and their graph, the cut that readers see, system tables.

pub mod access;
mod audits;
pub mod changes;
pub mod cut;
pub mod definer;
pub mod definitions;
pub mod derivation;
pub mod environment;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod foreign;
pub mod inputs;
mod keys;
pub mod lineage;
pub mod live;
mod model;
pub mod options;
mod order;
pub mod plan;
mod plan_error;
pub mod project;
pub mod subject;
pub mod tags;
pub mod watermarks;
