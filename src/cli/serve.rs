//! `sluice serve`: run the warehouse until SIGTERM or Ctrl-C.

use super::{STACK_BYTES, ServeArguments};
use crate::catalog::environment::Production;
use crate::config::Settings;
use crate::ops::shutdown::Shutdown;
use crate::ops::{clock, failpoint, secret};
use crate::serve::http::Addresses;
use crate::warehouse;
use anyhow::Context as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Runs the server; returns when it has drained.
pub(super) fn run(arguments: ServeArguments) -> anyhow::Result<()> {
    run_over(arguments, None)
}

/// After how many polls of tasks a busy worker looks for what came over the network. The default of 61 suits polls of
/// microseconds; planning a statement or applying a change takes a worker for milliseconds, and new connections would
/// wait for a hundred such turns.
const EVENT_INTERVAL: u32 = 4;
/// How long a stop waits, once all is drained, for work that nobody waits for any more.
const ABANDONED_MAX: Duration = Duration::from_secs(1);

/// Runs the server, over production's tables if there are some; returns when it has drained.
pub(super) fn run_over(arguments: ServeArguments, production: Option<Production>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("SLUICE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,datafusion=error,datafusion_common=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if let Some(project) = &arguments.project {
        warehouse::check_project(project)?;
    }
    failpoint::arm(&secret::from_environment("SLUICE_FAILPOINTS").unwrap_or_default())
        .context("SLUICE_FAILPOINTS")?;
    let settings = Settings::load(&arguments)?;
    warehouse::check_project(&settings.project)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .event_interval(EVENT_INTERVAL)
        .build()?;
    let served = runtime.block_on(serve(settings, production));
    // A statement may still be planned for nobody.
    runtime.shutdown_timeout(ABANDONED_MAX);
    served
}

async fn serve(settings: Settings, production: Option<Production>) -> anyhow::Result<()> {
    let started = clock::instant();
    let shutdown = Shutdown::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: draining sources, waves and connections");
        asked.request();
        // A second signal does not wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(1);
    });
    let ready_file = settings.ready_file.clone();
    let project = settings.project.clone();
    let data = settings.data.clone();
    let announce = move |addresses: Addresses| {
        if let Some(file) = &ready_file {
            write_ready_file(file, addresses)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("{}", summary(&project, &data, addresses, seconds));
        Ok(())
    };
    warehouse::run(settings, production, shutdown, announce).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Written beside and renamed, so that whoever waits for it never reads half a line.
fn write_ready_file(file: &Path, addresses: Addresses) -> anyhow::Result<()> {
    let line = format!("{}\n", serde_json::to_string(&addresses)?);
    let beside = file.with_extension("tmp");
    std::fs::write(&beside, line)
        .and_then(|()| std::fs::rename(&beside, file))
        .with_context(|| format!("could not write the ready file {}", file.display()))
}

fn summary(project: &Path, data: &str, addresses: Addresses, seconds: f64) -> String {
    let Addresses { pg, flight, http } = addresses;
    format!(
        "\nSluice {version} is ready after {seconds:.1} s\n  \
         project     {project}\n  \
         data        {data}\n  \
         PostgreSQL  {pg}    psql -h {host} -p {port} -U sluice\n  \
         Flight SQL  {flight}    grpc://{flight}\n  \
         HTTP        {http}    curl http://{http}/ready\n\n\
         Next: psql -h {host} -p {port} -U sluice -c 'SELECT * FROM sluice.sources'\n",
        version = env!("CARGO_PKG_VERSION"),
        project = project.display(),
        host = pg.ip(),
        port = pg.port(),
    )
}
