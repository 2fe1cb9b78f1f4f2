//! `sluice datagen`: the generators of the `datagen` connector, outside a warehouse.
//!
//! Without a name it lists them. One generator goes to stdout or, with `--out`, to a file of its own; `shopsmart` is
//! all its bounded generators as the files that a shop would export.

use crate::ingest::datagen::{DEFAULT_SEED, Encoding, Generator, Pace, Records, shopsmart_truth};
use crate::ops::clock;
use anyhow::{Context as _, bail};
use clap::Args;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The data set of all bounded generators.
const SHOPSMART: &str = "shopsmart";
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Records between two looks at the clock, when flat out.
const ROWS_PER_LOOK: u64 = 1_000;

/// Flags of `sluice datagen`.
#[derive(Clone, Debug, Args)]
pub struct DatagenArguments {
    /// A generator (`shopsmart.orders`) or `shopsmart` for all files; without it, the generators are listed
    name: Option<String>,
    /// Write files into this folder instead of stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The same seed gives the same records on every machine
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// End after this many records of each generator
    #[arg(long)]
    rows: Option<u64>,
    /// Records a second; 0 is as fast as can be [default: 0 for data that ends, a steady rate for live streams]
    #[arg(long, value_name = "ROWS")]
    rate: Option<u32>,
    /// Leave the header line of CSV out, as messages on a broker do
    #[arg(long)]
    no_header: bool,
    /// Print what the seed has planted in shopsmart, as JSON
    #[arg(long)]
    truth: bool,
}

/// Runs `sluice datagen`.
pub(super) fn run(arguments: DatagenArguments) -> anyhow::Result<()> {
    let outcome = match arguments.name.as_deref() {
        Some(SHOPSMART) if arguments.truth => print_truth(arguments.seed),
        _ if arguments.truth => {
            bail!("--truth belongs to shopsmart: sluice datagen shopsmart --truth --seed N")
        }
        None => list(),
        Some(SHOPSMART) => all_files(&arguments),
        Some(name) => match Generator::named(name) {
            Some(generator) => one(generator, &arguments),
            None => bail!("no generator \"{name}\"; `sluice datagen` lists what there is"),
        },
    };
    // `sluice datagen shopsmart.sales | head` is a fine way to end.
    match outcome {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        outcome => outcome,
    }
}

fn list() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{:<32}{:<9}{:>8}  what", "generator", "encode", "rows")?;
    for generator in Generator::ALL {
        let encode = match generator.encoding() {
            Encoding::Json => "JSON",
            Encoding::Csv(_) => "CSV",
        };
        let rows = generator.bound().map_or("live".to_string(), |rows| rows.to_string());
        writeln!(out, "{:<32}{encode:<9}{rows:>8}  {}", generator.name(), generator.description())?;
    }
    writeln!(out, "\n{SHOPSMART:<32}all that end, as files: sluice datagen {SHOPSMART} --out DIR")?;
    Ok(())
}

fn print_truth(seed: u64) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &shopsmart_truth(seed))?;
    writeln!(out)?;
    Ok(())
}

fn all_files(arguments: &DatagenArguments) -> anyhow::Result<()> {
    let Some(folder) = &arguments.out else {
        bail!("{SHOPSMART} is several files: give a folder with --out DIR, or name one generator");
    };
    for generator in Generator::ALL.into_iter().filter(|generator| !generator.is_live()) {
        to_file(generator, folder, arguments)?;
    }
    Ok(())
}

fn one(generator: Generator, arguments: &DatagenArguments) -> anyhow::Result<()> {
    match &arguments.out {
        Some(folder) => to_file(generator, folder, arguments),
        None => {
            let layout = Layout::of(generator, false);
            write_records(generator, layout, &mut BufWriter::new(io::stdout().lock()), arguments)?;
            Ok(())
        }
    }
}

fn to_file(generator: Generator, folder: &Path, arguments: &DatagenArguments) -> anyhow::Result<()> {
    let layout = Layout::of(generator, true);
    let name = generator.name().rsplit('.').next().unwrap_or_default();
    let path = folder.join(format!("{name}.{}", layout.extension()));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let rows = write_records(generator, layout, &mut BufWriter::new(file), arguments)
        .with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("{}: {rows} rows", path.display());
    Ok(())
}

/// What stands around and between records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// CSV with a header line.
    Csv(&'static [&'static str]),
    /// One JSON object a line.
    JsonLines,
    /// A JSON array, as APIs and document stores export.
    JsonArray,
}

impl Layout {
    fn of(generator: Generator, as_file: bool) -> Self {
        match (generator.encoding(), generator) {
            (Encoding::Csv(header), _) => Layout::Csv(header),
            (Encoding::Json, Generator::Customers | Generator::Products) if as_file => Layout::JsonArray,
            (Encoding::Json, _) => Layout::JsonLines,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Layout::Csv(_) => "csv",
            Layout::JsonLines | Layout::JsonArray => "json",
        }
    }

    fn before_all(self) -> String {
        match self {
            Layout::Csv(header) => format!("{}\n", header.join(",")),
            Layout::JsonLines => String::new(),
            Layout::JsonArray => "[\n".to_string(),
        }
    }

    fn before(self, index: u64) -> &'static str {
        if self == Layout::JsonArray && index > 0 { ",\n" } else { "" }
    }

    fn after(self) -> &'static str {
        if self == Layout::JsonArray { "" } else { "\n" }
    }

    fn after_all(self) -> &'static str {
        if self == Layout::JsonArray { "\n]\n" } else { "" }
    }
}

/// Writes records at their rate until they end; tells how many there were.
fn write_records(
    generator: Generator,
    layout: Layout,
    out: &mut impl Write,
    arguments: &DatagenArguments,
) -> anyhow::Result<u64> {
    let records: Records = generator.records(arguments.seed, b',');
    let mut pace = Pace::new(arguments.rate.unwrap_or(generator.rows_per_second()));
    let end = arguments.rows.into_iter().chain(generator.bound()).min().unwrap_or(u64::MAX);
    let started = clock::instant();
    let mut told = Duration::ZERO;
    let mut written = 0;
    if !(arguments.no_header && matches!(layout, Layout::Csv(_))) {
        out.write_all(layout.before_all().as_bytes())?;
    }
    while written < end {
        let due = pace.take(started.elapsed(), ROWS_PER_LOOK.min(end - written));
        let now = clock::now();
        for _ in 0..due {
            let Some(record) = records.record(written, now) else { bail!("no record {written}") };
            out.write_all(layout.before(written).as_bytes())?;
            out.write_all(&record)?;
            out.write_all(layout.after().as_bytes())?;
            written += 1;
        }
        let elapsed = started.elapsed();
        if elapsed - told >= PROGRESS_EVERY {
            told = elapsed;
            eprintln!("{}: {written} rows, {} s", generator.name(), elapsed.as_secs());
        }
        let pause = pace.pause(elapsed);
        if written < end && !pause.is_zero() {
            // Whoever reads a slow stream sees each record when it is made.
            out.flush()?;
            std::thread::sleep(pause);
        }
    }
    out.write_all(layout.after_all().as_bytes())?;
    out.flush()?;
    Ok(written)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
