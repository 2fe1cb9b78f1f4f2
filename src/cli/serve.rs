//! `sluice serve`: run the warehouse until SIGTERM or Ctrl-C.

use super::ServeArguments;

/// Runs the server; returns when it has drained.
pub(super) fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    let _ = arguments;
    anyhow::bail!("not wired yet")
}
