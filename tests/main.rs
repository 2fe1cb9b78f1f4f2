//! Tests at the outer edge: they start the built `sluice`, talk to it as clients do, kill it, and read its folders with
//! other engines. They do not link the library, so that its insides may be rebuilt freely.
//!
//! `cargo test --test it -- smoke` runs what has `smoke` in its name. What a test needs beyond the program (psql, java,
//! python packages) and does not find is said in one line, and the test counts as ignored. Random tests print their
//! seed; `SLUICE_TEST_SEED=n` replays it. `SLUICE_TEST_KEEP=1` keeps the folders of the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that panics has failed")]

mod alerts;
mod backfill;
mod cdc;
mod check;
mod check_messages;
mod copy_in;
mod crash;
mod definitions;
mod deploy;
mod dev;
mod docs;
mod drivers;
mod encryption;
mod erasure;
mod evolution;
mod expectations;
mod failpoints;
mod faults;
mod flight;
mod flight_bad_clients;
mod flight_clients;
mod foreign;
mod foreign_history;
mod full_disk;
mod grants;
mod incidents;
mod insert;
mod kafka;
mod lake_readers;
mod lineage;
mod logins;
mod mail;
mod maps;
mod masking;
mod models;
mod npgsql;
mod openlineage;
mod policies;
mod postgresql;
mod protocol;
mod psql;
mod push;
mod quality;
mod readers;
mod readme;
mod replay;
mod roles;
mod secrets;
mod sessions;
mod shopsmart;
mod sizes;
mod smoke;
mod sql;
mod statements;
mod subqueries;
mod support;
mod system;
mod tidy;
mod time;
mod told;
mod unit_tests;
mod watches;

use libtest_mimic::Arguments;
use std::process::ExitCode;

/// Servers under test share the machine with their clients; more at once than this and deadlines measure the queue.
const TESTS_AT_ONCE_MAX: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TESTS_AT_ONCE_MAX);

    let trials = [
        tidy::trials(),
        check::trials(),
        check_messages::trials(),
        readme::trials(),
        replay::trials(),
        incidents::trials(),
        alerts::trials(),
        told::trials(),
        backfill::trials(),
        smoke::trials(),
        roles::trials(),
        policies::trials(),
        grants::trials(),
        secrets::trials(),
        sessions::trials(),
        sizes::trials(),
        shopsmart::trials(),
        faults::trials(),
        full_disk::trials(),
        push::trials(),
        masking::trials(),
        erasure::trials(),
        copy_in::trials(),
        expectations::trials(),
        quality::trials(),
        unit_tests::trials(),
        watches::trials(),
        cdc::trials(),
        system::trials(),
        logins::trials(),
        mail::trials(),
        maps::trials(),
        models::trials(),
        evolution::trials(),
        time::trials(),
        readers::trials(),
        docs::trials(),
        drivers::trials(),
        definitions::trials(),
        deploy::trials(),
        dev::trials(),
        encryption::trials(),
        flight::trials(),
        flight_bad_clients::trials(),
        flight_clients::trials(),
        foreign::trials(),
        foreign_history::trials(),
        npgsql::trials(),
        openlineage::trials(),
        postgresql::trials(),
        protocol::trials(),
        psql::trials(),
        sql::trials(),
        statements::trials(),
        subqueries::trials(),
        lake_readers::trials(),
        lineage::trials(),
        insert::trials(),
        kafka::trials(),
        crash::trials(),
        failpoints::trials(),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    support::shared::stop();
    conclusion.exit_code()
}
