//! `sluice test`: run the unit tests of a project, each in a lake of its own, several at once.
//!
//! What came of each goes to standard output, with expected and actual rows where they differ; errors of the project to
//! standard error, as `sluice check` says them. With `--junit` a file tells the same to whoever builds.

use super::junit;
use super::planned::{PLAN_MEMORY_BYTES_MAX, PlannedProject, on_deep_stack, plan_folder, refuse};
use crate::catalog::inputs::inputs_of;
use crate::engine::Engine;
use crate::ops::clock;
use crate::refresh::{Subject, unit_test_failure};
use crate::sql::{Error, UnitTestDefinition};
use anyhow::{Context as _, bail};
use clap::Args;
use futures::StreamExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Flags of `sluice test`.
#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// Run tests only whose model and name contain this, as in gold.fact_sales or late
    filter: Option<String>,
    /// Project folder: holds catalog/ and sql/
    #[arg(long, value_name = "DIR", env = "SLUICE_PROJECT", default_value = ".")]
    project: PathBuf,
    /// Write the outcome as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A test that was run.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) test: Arc<UnitTestDefinition>,
    pub(super) took: Duration,
    /// What was wrong, if anything was.
    pub(super) failure: Option<String>,
}

/// Runs the tests; exit code 1 when one fails, or the project has errors.
pub(super) fn run(arguments: TestArguments) -> anyhow::Result<ExitCode> {
    crate::warehouse::check_project(&arguments.project)?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let started = clock::instant();
    let (folder, filter) = (arguments.project.clone(), arguments.filter.clone());
    let ran = on_deep_stack(threads, async move { run_all(&folder, filter.as_deref(), threads).await })??;
    let ran = ran.or_else(|errors| refuse(&arguments.project, &errors))?;
    if let (Some(filter), true) = (&arguments.filter, ran.is_empty()) {
        bail!("no unit test has \"{filter}\" in its model's name or its own");
    }
    ran.iter().for_each(|ran| print!("{}", shown(ran)));
    let failed = ran.iter().filter(|ran| ran.failure.is_some()).count();
    println!("{} passed, {failed} failed, in {:.1} s", ran.len() - failed, started.elapsed().as_secs_f64());
    if let Some(file) = &arguments.junit {
        let report = junit::report(&ran, started.elapsed());
        std::fs::write(file, report).with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every test that the filter names, in the order of the models and of their files; or the project's errors.
async fn run_all(
    folder: &Path,
    filter: Option<&str>,
    at_once: usize,
) -> anyhow::Result<Result<Vec<Ran>, Vec<Error>>> {
    let engine = Engine::new(PLAN_MEMORY_BYTES_MAX, 1).context("the query engine did not start")?;
    let PlannedProject { project, models: planned, foreign } = match plan_folder(folder, &engine).await {
        Ok(planned) => planned,
        Err(errors) => return Ok(Err(errors)),
    };
    let mut tests = Vec::new();
    for model in &project.models {
        let Some(planned_model) = planned.get(model.name()) else { continue };
        let subject = Arc::new(Subject {
            definition: model.clone(),
            planned: planned_model.clone(),
            inputs: inputs_of(model, &project, &planned, &foreign),
        });
        let of_model = project.unit_tests.get(model.name()).into_iter().flatten();
        let wanted = of_model.filter(|test| filter.is_none_or(|filter| title(test).contains(filter)));
        tests.extend(wanted.map(|test| (Arc::clone(&subject), Arc::clone(test))));
    }
    let runs = tests.into_iter().map(|(subject, test)| {
        let engine = engine.clone();
        async move {
            let started = clock::instant();
            let name = Arc::clone(&test);
            let run = tokio::spawn(async move { unit_test_failure(&subject, &test, &engine).await });
            let failure = run.await.unwrap_or_else(|error| Some(format!("the test stopped: {error}")));
            Ran { test: name, took: started.elapsed(), failure }
        }
    });
    Ok(Ok(futures::stream::iter(runs).buffered(at_once).collect().await))
}

/// `gold.fact_sales late_sale`
fn title(test: &UnitTestDefinition) -> String {
    format!("{} {}", test.of, test.name)
}

fn shown(ran: &Ran) -> String {
    let (title, took) = (title(&ran.test), ran.took.as_millis());
    match &ran.failure {
        None => format!("ok      {title} ({took} ms)\n"),
        Some(failure) => {
            let indented: Vec<String> = failure.lines().map(|line| format!("    {line}")).collect();
            format!("FAILED  {title} ({took} ms)\n  --> {}\n{}\n", ran.test.origin, indented.join("\n"))
        }
    }
}
