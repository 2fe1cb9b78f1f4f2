//! The only code that touches object stores and Delta: store, snapshots, scan, commit, upkeep.

mod name;
mod storable;

pub use name::TableName;
