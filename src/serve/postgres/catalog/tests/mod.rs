//! Statements that real clients sent to a PostgreSQL 15, on a small warehouse.

mod fixture;
mod model;
mod psql;
