//! The command line: one file per command.
//!
//! Exit codes: 0 done, 1 it failed (the message says what and what to do), 2 the command line itself is wrong.

mod check;
mod datagen;
mod dev;
mod docs;
mod init;
mod junit;
mod lineage;
mod plan;
mod planned;
mod remote;
mod serve;
mod test;
mod user;

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// An analytics warehouse: streams in, Delta bronze, SQL models kept up to date, PostgreSQL and Arrow Flight SQL out.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 110)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the warehouse: ingest, refresh and answer until stopped
    Serve(ServeArguments),
    /// Run the edited project over the tables of production, which it leaves as they are
    Dev(dev::DevArguments),
    /// Read and plan all SQL files of a project; touch no data
    Check(check::CheckArguments),
    /// Run the unit tests of a project: each model over rows that the test gives
    Test(test::TestArguments),
    /// Show what edited files would change of a running server, or between two folders
    Plan(plan::PlanArguments),
    /// Have a running server take the edited files of its project, or go back
    Apply(plan::ApplyArguments),
    /// Show what a table or a column comes of, or what comes of it
    Lineage(lineage::LineageArguments),
    /// Write the project's documentation: static pages, and a manifest as dbt writes it
    Docs(docs::DocsArguments),
    /// Make a small project of one's own that runs at once
    Init(init::InitArguments),
    /// Print the settings of a user who logs in with a password
    User(user::UserArguments),
    /// Write what the seeded generators make: to stdout, or as files
    Datagen(datagen::DatagenArguments),
}

/// Flags of `sluice serve`; each wins over its `SLUICE_*` variable and over `catalog/warehouse.toml`.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeArguments {
    /// Project folder: holds catalog/ and sql/ [default: .]
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Where tables live: a folder or a URL [default: ./data]
    #[arg(long, value_name = "DIR-or-URL")]
    pub data: Option<String>,
    /// Postgres wire protocol [default: 127.0.0.1:5433; port 0 takes a free one]
    #[arg(long, value_name = "ADDRESS")]
    pub pg_listen: Option<SocketAddr>,
    /// Arrow Flight SQL [default: 127.0.0.1:5434]
    #[arg(long, value_name = "ADDRESS")]
    pub flight_listen: Option<SocketAddr>,
    /// HTTP: ready, metrics, ingest [default: 127.0.0.1:5435]
    #[arg(long, value_name = "ADDRESS")]
    pub http_listen: Option<SocketAddr>,
    /// Write one JSON line with the pg, flight and http addresses here once the server answers
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Demo: user sluice needs no password on loopback
    #[arg(long)]
    pub demo: bool,
    /// Reload the project when its files change
    #[arg(long)]
    pub watch: bool,
}

/// DataFusion plans by recursion: deep queries need more stack than a thread has by default, bytes.
const STACK_BYTES: usize = 16 << 20;

/// Runs one command and turns its outcome into an exit code.
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        Command::Serve(arguments) => serve::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Dev(arguments) => dev::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Check(arguments) => check::run(arguments),
        Command::Test(arguments) => test::run(arguments),
        Command::Plan(arguments) => plan::plan(arguments),
        Command::Apply(arguments) => plan::apply(arguments),
        Command::Lineage(arguments) => lineage::run(arguments),
        Command::Docs(arguments) => docs::run(arguments),
        Command::Init(arguments) => init::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::User(arguments) => user::run(arguments).map(|()| ExitCode::SUCCESS),
        Command::Datagen(arguments) => datagen::run(arguments).map(|()| ExitCode::SUCCESS),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sluice: {error:#}");
            ExitCode::FAILURE
        }
    }
}
