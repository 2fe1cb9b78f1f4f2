//! What a process has used, read from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

/// Threads that have used no more than this between two looks are asleep.
const ASLEEP: Duration = Duration::from_micros(100);
/// Between two looks at whether threads sleep.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The kernel counts CPU time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time since its start.
    pub cpu: Duration,
    /// Resident memory now, MiB.
    pub resident_mib: f64,
    /// The most it ever was, MiB.
    pub peak_mib: f64,
}

/// Reads the usage of a running process.
pub fn of(pid: u32) -> Usage {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in parentheses, may hold blanks.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
    };
    Usage { cpu: TICK * ticks, resident_mib: mib("VmRSS:"), peak_mib: mib("VmHWM:") }
}

/// CPU time of each thread of a process.
#[derive(Clone, Debug)]
pub struct Threads(BTreeMap<String, Duration>);

impl Threads {
    /// What was used since. A thread that has ended took its count along; the server's end after ten seconds without
    /// work, so that nothing of a window of milliseconds is lost.
    pub fn since(&self, before: &Threads) -> Duration {
        let earlier = |thread| before.0.get(thread).copied().unwrap_or_default();
        self.0.iter().map(|(thread, used)| used.saturating_sub(earlier(thread))).sum()
    }
}

/// What each thread has used, to the nanosecond where it sleeps; of one that runs, up to its last tick.
pub fn threads(pid: u32) -> Threads {
    let folder = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |thread: fs::DirEntry| {
        // It may have ended meanwhile.
        let line = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let nanoseconds = line.split(' ').next()?.parse().ok()?;
        Some((thread.file_name().to_string_lossy().into_owned(), Duration::from_nanos(nanoseconds)))
    };
    Threads(folder.filter_map(|thread| of(thread.ok()?)).collect())
}

/// As [`threads`], once all of them sleep: to the nanosecond.
pub fn threads_asleep(pid: u32) -> Threads {
    let mut last = threads(pid);
    loop {
        thread::sleep(LOOK_EVERY);
        let now = threads(pid);
        if now.since(&last) <= ASLEEP {
            return now;
        }
        last = now;
    }
}

/// Forgets the most memory that a process ever held: from now on its peak is that of what comes.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

/// Bytes that a process has caused to be written to disk, whole pages and what it has deleted since included.
pub fn bytes_to_disk(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}
