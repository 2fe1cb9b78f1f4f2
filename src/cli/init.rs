//! `sluice init`: make a small project of one's own that runs at once.

use anyhow::{Context as _, bail};
use clap::Args;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Flags of `sluice init`.
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// Folder of the new project
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Write into a folder that is not empty; files that exist there are kept
    #[arg(long)]
    force: bool,
}

/// The project, file by file.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("init/README.md")),
    (".gitignore", "/data/\n"),
    ("catalog/warehouse.toml", include_str!("init/catalog/warehouse.toml")),
    ("catalog/shop.sql", include_str!("init/catalog/shop.sql")),
    ("sql/silver/orders.sql", include_str!("init/sql/silver/orders.sql")),
    ("sql/gold/daily_sales.sql", include_str!("init/sql/gold/daily_sales.sql")),
    ("sql/gold/page_views.sql", include_str!("init/sql/gold/page_views.sql")),
    ("inbox/orders/2026-01-15.csv", include_str!("init/inbox/orders/2026-01-15.csv")),
];

/// Makes the project and says what to type next.
pub(super) fn run(arguments: InitArguments) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    if !arguments.force && !is_empty(folder)? {
        bail!(
            "{} is not empty\n  hint: Name a new folder, or add --force to add what is missing there.",
            folder.display()
        );
    }
    let mut made = 0;
    for (path, text) in FILES {
        if add(&folder.join(path), text)? {
            made += 1;
        }
    }
    let place = folder.display();
    println!("made a project of {made} files in {place}\n");
    println!("  cd {place}");
    println!("  sluice check                                   # read and plan its SQL files");
    println!("  sluice serve                                   # run it; stop with Ctrl-C");
    println!("  psql -h 127.0.0.1 -p 5433 -U sluice -c 'SELECT * FROM gold.daily_sales'");
    println!("\nREADME.md in it tells what to try then.");
    Ok(())
}

/// True when nothing would be mixed with something else.
fn is_empty(folder: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("{} could not be read", folder.display())),
    }
}

/// Writes a file unless it exists; true when it was written.
fn add(path: &Path, text: &str) -> anyhow::Result<bool> {
    let could_not = || format!("{} could not be written", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(could_not)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).with_context(could_not).map(|()| true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(could_not),
    }
}
