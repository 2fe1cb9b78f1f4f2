//! Statements that real clients sent to a PostgreSQL 15, on a small warehouse. `statements/` holds them as captured.

mod captured;
mod fixture;
mod model;
mod psql;
