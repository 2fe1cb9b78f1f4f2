//! `sluice docs`: what a project holds, as a folder of static pages and as a manifest that catalogue tools read.
//!
//! Comes in: a planned project. Goes out: `index.html`, a page for each table, `manifest.json` as dbt writes it (schema
//! version 12). The pages load nothing from anywhere: they can be opened from disk or put on any server.

mod graph;
mod manifest;
mod object;
mod site;

use super::planned::planned;
use crate::ops::clock;
use anyhow::Context as _;
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `sluice docs`.
#[derive(Debug, Args)]
pub(super) struct DocsArguments {
    /// Folder to write to; what is in the way there is replaced
    #[arg(long, value_name = "DIR", default_value = "docs-site")]
    out: PathBuf,
    /// What the project is called [default: the name of its folder]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Project folder: holds catalog/ and sql/
    #[arg(long, value_name = "DIR", env = "SLUICE_PROJECT", default_value = ".")]
    project: PathBuf,
}

/// Writes the pages and says where they are.
pub(super) fn run(arguments: DocsArguments) -> anyhow::Result<ExitCode> {
    let planned = planned(&arguments.project)?;
    let folder = planned.project.folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = arguments.name.or(folder).unwrap_or_else(|| "project".to_string());
    let objects = object::objects(&planned);
    let mut files = site::pages(&name, &objects);
    let manifest = manifest::manifest(&name, &objects, clock::now());
    files.push(("manifest.json".to_string(), format!("{manifest:#}\n")));
    for (path, text) in &files {
        let path = arguments.out.join(path);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(&arguments.out))?;
            fs::write(&path, text)
        };
        write().with_context(|| format!("could not write {}", path.display()))?;
    }
    println!("{} tables: {}", objects.len(), arguments.out.join("index.html").display());
    Ok(ExitCode::SUCCESS)
}
