//! The only code that touches object stores and Delta: store, snapshots, scan, commit, upkeep.

mod name;

pub use name::TableName;
