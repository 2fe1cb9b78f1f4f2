//! The protocol from outside: psql, a driver and raw sockets against a listener over tables in memory.

mod copy;
mod cursors;
mod fixture;
mod limits;
mod login;
mod queries;
mod sessions;
