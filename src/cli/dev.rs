//! `sluice dev`: the project of this folder over production's tables, on ports of its own.
//!
//! What is defined there as it is here is read where it lies, and followed; what differs is computed into a data folder of
//! its own, anew with every edit. Production is never written to and needs not know.

use super::{ServeArguments, serve};
use crate::warehouse;
use anyhow::{Context as _, bail};
use clap::Args;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Flags of `sluice dev`.
#[derive(Debug, Args)]
pub(super) struct DevArguments {
    /// Production's data folder
    #[arg(long, value_name = "DIR")]
    production: PathBuf,
    #[command(flatten)]
    serve: ServeArguments,
}

/// The ports of a server in development: production may run on the same machine.
const PORTS: [u16; 3] = [6433, 6434, 6435];

/// Where what differs is kept, unless `--data` says otherwise; next to the project's files, hidden.
const DATA: &str = ".sluice/dev";

/// Runs until it is stopped.
pub(super) fn run(arguments: DevArguments) -> anyhow::Result<()> {
    let DevArguments { production, mut serve } = arguments;
    let folder = production.canonicalize();
    let folder =
        folder.with_context(|| format!("production's data folder {} is not there", production.display()))?;
    let project = serve.project.clone().unwrap_or_else(|| PathBuf::from("."));
    let data = serve.data.get_or_insert_with(|| project.join(DATA).to_string_lossy().into_owned());
    if PathBuf::from(&*data).canonicalize().is_ok_and(|data| data == folder) {
        bail!("--data is production's own folder: what differs needs another");
    }
    let [pg, flight, http] = PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    serve.pg_listen.get_or_insert(pg);
    serve.flight_listen.get_or_insert(flight);
    serve.http_listen.get_or_insert(http);
    serve.watch = true;
    let production = warehouse::production(&folder)
        .with_context(|| format!("{} is no warehouse's data folder", folder.display()))?;
    serve::run_over(serve, Some(production))
}
