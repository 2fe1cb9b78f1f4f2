//! How many bytes are written for a byte of changed rows, over a day of updates to a table kept by key.
//!
//! 1,440 rounds, one for each minute of a day, each changing 1,000 of 1 M rows, come a tenth of a second apart; the server
//! folds, checkpoints and tidies as it always does. Nothing is deleted within the hour that epochs are kept, so that what
//! lies in the table's folder at the end is all that was ever written there, and its log says what each file was for.
//! `BENCH_ROWS`, `BENCH_CHANGE` and `BENCH_ROUNDS` change the sizes, `BENCH_PAUSE_MS` the time between two rounds. With
//! `BENCH_HOT` only so many of the newest rows ever change, as orders do that are on their way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use support::feed::{push, scattered};
use support::{Warehouse, number, usage};

/// Rows of one push of the base.
const PIECE: i64 = 50_000;
/// Bytes of one row of the table in memory: two numbers, 18 letters and where they end, a date, a decimal.
const ROW_BYTES: i64 = 8 + 8 + (18 + 4) + 4 + 16;
/// Epochs, and so removed files, are kept for an hour: a longer run would miss what was deleted.
const RUN_MAX: Duration = Duration::from_secs(3_500);

/// What a file was written for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    /// New rows, as they come.
    Rows,
    /// Which rows of other files are gone.
    Vectors,
    /// Rows written again by upkeep.
    Folds,
    /// Commits and checkpoints.
    Log,
    /// In vain: rows of a commit that another came before, as a fold does to a refresh.
    Abandoned,
}

impl Purpose {
    const ALL: [Purpose; 5] =
        [Purpose::Rows, Purpose::Vectors, Purpose::Folds, Purpose::Log, Purpose::Abandoned];
}

fn main() {
    support::announce("amplification");
    let size = |name: &str, default: u64| i64::try_from(number(name, default)).unwrap();
    let (rows, change) = (size("BENCH_ROWS", 1_000_000), size("BENCH_CHANGE", 1_000));
    let (rounds, hot) = (size("BENCH_ROUNDS", 1_440), size("BENCH_HOT", rows.unsigned_abs()));
    let pause = Duration::from_millis(number("BENCH_PAUSE_MS", 100));
    let started = Instant::now();
    let warehouse = Warehouse::new();
    project(&warehouse);
    let server = warehouse.serve();
    let session = server.connect();
    let mut token = 0;
    let mut send = |events: String| {
        token += 1;
        push(&server, "accounts", token, events).wait_until_fresh(&session, "silver.accounts");
    };
    for from in (0..rows).step_by(PIECE as usize) {
        send((from..(from + PIECE).min(rows)).map(|account| event(account, 0)).collect());
    }
    support::wait_until_idle(&server);

    let folder = warehouse.data().join("silver/accounts");
    let before = written(&folder);
    let (to_disk, all_before) = (usage::bytes_to_disk(server.pid()), size_of(&warehouse.data()));
    let mut payload = 0;
    let day = Instant::now();
    for round in 1..=rounds {
        let due = day + pause * u32::try_from(round).unwrap();
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A minute's changes hit any of them: what is worst for vectors and folds.
        let account =
            |n: i64| rows - 1 - i64::try_from(scattered(round * change + n) % hot.unsigned_abs()).unwrap();
        let events: String = (0..change).map(|n| event(account(n), round)).collect();
        payload += events.len() as u64;
        send(events);
    }
    let took = day.elapsed();
    support::wait_until_idle(&server);
    assert!(started.elapsed() < RUN_MAX, "files were deleted before they were counted");
    let to_disk = usage::bytes_to_disk(server.pid()) - to_disk;
    let everywhere = size_of(&warehouse.data()) - all_before;
    let whole = "SELECT count(*), count(DISTINCT account_id), max(version) FROM silver.accounts";
    assert_eq!(session.text(whole), format!("{rows}|{rows}|{rounds}"));
    println!("{rows} rows, {rounds} rounds of {change} of {hot} in {:.0} s", took.as_secs_f64());
    report(&before, &written(&folder), (rounds * change * ROW_BYTES) as f64 / f64::from(1 << 20));
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "\nThe whole data folder, bronze, epochs and journals included: {:.0} MiB of files, {:.0} MiB to disk by the kernel's \
         count, for {:.0} MiB of events: {:.2} times",
        mib(everywhere),
        mib(to_disk),
        mib(payload),
        to_disk as f64 / payload as f64
    );
}

fn project(warehouse: &Warehouse) {
    // A round soon follows a push; what it writes is the same.
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\nflush_age_ms_max = 1\nwaves_per_second_max = 1000\n",
    );
    warehouse.write(
        "catalog/accounts.sql",
        "CREATE SOURCE bronze.accounts (account_id BIGINT, version BIGINT, owner STRING, opened DATE, balance \
         DECIMAL(18,2))\nWITH (connector = 'http')\nFORMAT PLAIN ENCODE JSON;\n",
    );
    warehouse.write(
        "sql/silver/accounts.sql",
        "CREATE OR REFRESH STREAMING TABLE silver.accounts\n\
         FLOW AUTO CDC FROM STREAM bronze.accounts KEYS (account_id) SEQUENCE BY version STORED AS SCD TYPE 1;\n",
    );
}

fn event(account: i64, version: i64) -> String {
    let mixed = scattered(account + version);
    let mut event = String::new();
    writeln!(
        event,
        r#"{{"account_id":{account},"version":{version},"owner":"owner {:012x}","opened":"20{:02}-{:02}-{:02}","balance":{}.{:02}}}"#,
        scattered(account) >> 16,
        10 + account % 15,
        1 + account % 12,
        1 + account % 28,
        mixed >> 44,
        mixed % 100
    )
    .unwrap();
    event
}

/// Bytes of each purpose in a table's folder.
fn written(folder: &Path) -> BTreeMap<Purpose, u64> {
    let mut purposes: HashMap<String, Purpose> = HashMap::new();
    for file in fs::read_dir(folder.join("_delta_log")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let commit = fs::read_to_string(&path).unwrap();
            let actions: Vec<Value> =
                commit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let folds = actions.iter().any(|action| action["commitInfo"]["operation"] == "OPTIMIZE");
            let purpose = if folds { Purpose::Folds } else { Purpose::Rows };
            for added in actions.iter().filter_map(|action| action["add"]["path"].as_str()) {
                // A vector's change names the file again: what counts is the commit that wrote it.
                let known = purposes.entry(added.to_string()).or_insert(purpose);
                *known = (*known).max(purpose);
            }
        }
    }
    let mut bytes = BTreeMap::new();
    for (path, size) in files(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let purpose = match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.starts_with(folder.join("_delta_log")) => Purpose::Log,
            Some("bin") => Purpose::Vectors,
            _ => purposes.get(&name).copied().unwrap_or(Purpose::Abandoned),
        };
        *bytes.entry(purpose).or_default() += size;
    }
    bytes
}

fn files(folder: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        // What is still being written has another name when it is done.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => files.extend(self::files(&entry.path())),
            Ok(metadata) => files.push((entry.path(), metadata.len())),
            Err(_) => {}
        }
    }
    files
}

fn size_of(folder: &Path) -> u64 {
    files(folder).iter().map(|(_, size)| size).sum()
}

/// Shows what was written for what. Amplification is counted as storage engines count it, by the bytes of the changed rows
/// as they are handed in; and by what they take once they are compressed.
fn report(before: &BTreeMap<Purpose, u64>, after: &BTreeMap<Purpose, u64>, changed_mib: f64) {
    let of = |purpose: Purpose| {
        let bytes = |at: &BTreeMap<Purpose, u64>| at.get(&purpose).copied().unwrap_or_default();
        bytes(after).saturating_sub(bytes(before)) as f64 / f64::from(1 << 20)
    };
    let mib = Purpose::ALL.map(of);
    println!(
        "\n| new rows MiB | vectors MiB | folds MiB | log and checkpoints MiB | in vain MiB | for a byte of changed rows | for a \
         byte of them compressed |"
    );
    println!("|---|---|---|---|---|---|---|");
    let cells: String = mib.iter().map(|mib| format!("| {mib:.1} ")).collect();
    let all: f64 = mib.iter().sum();
    println!("{cells}| {:.2} | {:.2} |", all / changed_mib, all / mib[0]);
}
