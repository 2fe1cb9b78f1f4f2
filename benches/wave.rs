//! How long the whole warehouse that ships takes to follow 1,000 new events: from their commit in bronze to the epoch in
//! which every model is fresh again.
//!
//! The repository's own `sql/` over its own sources, which are pushed to here; `sluice datagen` makes what is pushed. First
//! the history: all of the exports but their last rows, and as many page views and sales as have come in some hours. Then
//! rounds of 1,000 events at once: page views and sales, which is what comes all day, and rows of every stream but the
//! daily snapshots, which reach every model. By default there are 20 waves a second, and after a rest a second's worth of
//! them as fast as they come; that is measured, and the same with no bound that is felt. `BENCH_BEHIND` and `BENCH_ROUNDS`
//! change the sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;
use support::feed::{Pushed, push};
use support::harness::{Pg, until};
use support::{Server, Warehouse, median, number, usage};

/// Lines of one push of the history.
const PIECE: usize = 20_000;
/// Every model must have followed within this.
const FOLLOWED: Duration = Duration::from_secs(300);
/// Longer than the period of the one model that is refreshed at most once a second, so that every round finds it due.
const PAUSE: Duration = Duration::from_millis(1_500);

/// A source, and how many of its rows come in a round: of page views and sales alone, of all streams.
const SOURCES: [(&str, usize, usize); 9] = [
    ("streaming_clickstream", 500, 376),
    ("sales", 500, 376),
    ("orders", 0, 40),
    ("order_items", 0, 98),
    ("payments", 0, 40),
    ("clickstream", 0, 60),
    ("customers", 0, 10),
    ("products", 0, 0),
    ("inventory", 0, 0),
];

/// Which sources the events of a round are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Live,
    All,
}

/// What a round took.
struct Round {
    from_last_commit_ms: f64,
    from_first_commit_ms: f64,
    epochs: i64,
    cpu_ms: f64,
}

/// The refreshes of each model: milliseconds, and how the last was done.
type Models = BTreeMap<String, (Vec<f64>, String)>;

fn main() {
    support::announce("wave");
    let behind = usize::try_from(number("BENCH_BEHIND", 1_000_000)).unwrap();
    let rounds = usize::try_from(number("BENCH_ROUNDS", 7)).unwrap() * 2;
    let warehouse = Warehouse::new();
    project(&warehouse);
    let settings = [(20, "20 waves a second, as by default"), (1_000, "waves as fast as they come")];
    // A round of each kind warms up for each setting.
    let all_rounds = settings.len() * (rounds + 2);
    let mut senders = SOURCES.map(|(source, live, all)| {
        let rows = (live + all) * all_rounds / 2;
        Sender::new(&warehouse, source, rows, behind)
    });
    println!("{behind} page views and {behind} sales behind");
    println!(
        "\n| waves | events | from the last commit p50 ms, max | from the first commit p50 ms | epochs | CPU ms |"
    );
    println!("|---|---|---|---|---|---|");
    let mut models = Vec::new();
    for (waves, words) in settings {
        warehouse.write(
            "catalog/warehouse.toml",
            format!("[users.sluice]\ntrust_loopback = true\n[limits]\nwaves_per_second_max = {waves}\n"),
        );
        let server = warehouse.serve();
        let session = server.connect();
        for sender in &mut senders {
            sender.send_history(&server);
        }
        until("every model to follow the history", FOLLOWED, || {
            let stale = session.text("SELECT table_name, state FROM sluice.freshness WHERE state <> 'fresh'");
            if stale.is_empty() { Ok(()) } else { Err(stale) }
        });
        support::wait_until_idle(&server);
        let (mut live, mut all) = (Vec::new(), Vec::new());
        let mut seconds = Models::new();
        for number in 0..rounds + 2 {
            let kind = if number % 2 == 0 { Kind::Live } else { Kind::All };
            let mut of_this = Models::new();
            let round = measure(&server, &session, &mut senders, kind, &mut of_this);
            if number < 2 {
                continue;
            }
            if kind == Kind::Live {
                live.push(round);
                continue;
            }
            all.push(round);
            for (model, (ms, how)) in of_this {
                let refreshes = seconds.entry(model).or_default();
                refreshes.0.extend(ms);
                refreshes.1 = how;
            }
        }
        report(words, "page views and sales", &live);
        report(words, "of every stream", &all);
        models.push((words, seconds));
        verify(&session);
        drop(session);
        assert_eq!(server.terminate().0.code(), Some(0));
    }
    for (words, seconds) in models {
        report_models(words, seconds, rounds / 2);
    }
}

/// The repository's models over its sources, which are pushed to.
fn project(warehouse: &Warehouse) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = std::fs::read_to_string(repository.join("catalog/shopsmart.sql")).unwrap();
    let pushed = |line: &str| match line.starts_with("WITH (connector = 'datagen'") {
        true => "WITH (connector = 'http')\n".to_string(),
        false => format!("{line}\n"),
    };
    warehouse.write("catalog/shopsmart.sql", sources.lines().map(pushed).collect::<String>());
    for layer in ["sql/silver", "sql/gold"] {
        for file in repository.join(layer).read_dir().unwrap() {
            let path = file.unwrap().path();
            let name = format!("{layer}/{}", path.file_name().unwrap().to_string_lossy());
            warehouse.write(&name, std::fs::read(path).unwrap());
        }
    }
}

/// What is pushed to a source, in order.
struct Sender {
    source: &'static str,
    /// Of CSV, the line that every push begins with.
    header: Option<String>,
    lines: std::vec::IntoIter<String>,
    /// Lines that are history.
    history: usize,
    token: i64,
}

impl Sender {
    /// Everything that `sluice datagen` makes for a source; of a live stream so many lines behind. The last `kept_back` are
    /// for the rounds.
    fn new(warehouse: &Warehouse, source: &'static str, kept_back: usize, behind: usize) -> Self {
        let is_live = matches!(source, "streaming_clickstream" | "sales");
        let (generator, rows) = (format!("shopsmart.{source}"), (behind + kept_back).to_string());
        let end = if is_live { vec!["--rows", &rows] } else { vec![] };
        let made = warehouse.sluice(&[&["datagen", &generator, "--rate", "0"], end.as_slice()].concat());
        made.expect(0, &[]);
        let mut lines: Vec<String> = made.stdout.lines().map(ToString::to_string).collect();
        let header = (!lines[0].starts_with('{')).then(|| lines.remove(0));
        if is_live {
            spread_over_time(&mut lines, if source == "sales" { 50 } else { 20 });
        }
        let history = lines.len().checked_sub(kept_back).expect("too many rounds for the exports");
        Self { source, header, lines: lines.into_iter(), history, token: 0 }
    }

    fn send_history(&mut self, server: &Server) {
        while self.history > 0 {
            let count = self.history.min(PIECE);
            self.send(server, count);
            self.history -= count;
        }
    }

    fn send(&mut self, server: &Server, count: usize) -> Option<Pushed> {
        if count == 0 {
            return None;
        }
        let lines: Vec<String> = self.header.iter().cloned().chain(self.lines.by_ref().take(count)).collect();
        self.token += 1;
        Some(push(server, self.source, self.token, lines.join("\n")))
    }
}

/// Gives each event the time at which it would have come at the stream's own rate, the last one now.
fn spread_over_time(lines: &mut [String], a_second: i64) {
    const KEY: &str = r#""event_time":""#;
    let now = chrono::Utc::now();
    let count = i64::try_from(lines.len()).unwrap();
    for (line, number) in lines.iter_mut().zip(0..) {
        let time = now - chrono::Duration::milliseconds((count - number) * 1_000 / a_second);
        let from = line.find(KEY).unwrap() + KEY.len();
        let to = from + line[from..].find('"').unwrap();
        line.replace_range(from..to, &time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    }
}

/// Pushes a round's events at once and waits for the epoch that has followed them everywhere.
fn measure(server: &Server, session: &Pg, senders: &mut [Sender], kind: Kind, models: &mut Models) -> Round {
    thread::sleep(PAUSE);
    let before = session.text("SELECT max(epoch) FROM sluice.epochs");
    let used = usage::threads_asleep(server.pid());
    let pushed: Vec<Pushed> = thread::scope(|scope| {
        let send = |(sender, (_, live, all)): (_, (&str, usize, usize))| {
            let sender: &mut Sender = sender;
            scope.spawn(move || sender.send(server, if kind == Kind::Live { live } else { all }))
        };
        let sending: Vec<_> = senders.iter_mut().zip(SOURCES).map(send).collect();
        sending.into_iter().filter_map(|sending| sending.join().unwrap()).collect()
    });
    let holds: String =
        pushed.iter().map(|p| format!("WHEN '{}' THEN version >= {} ", p.table, p.version)).collect();
    let fresh = format!(
        "SELECT epoch, arrow_cast(at, 'Int64') FROM (SELECT epoch, min(published_at) AS at, bool_and(state = 'fresh') AND \
         bool_and(CASE table_name {holds}ELSE true END) AS done FROM sluice.epochs WHERE epoch > {before} GROUP BY epoch) \
         WHERE done ORDER BY epoch LIMIT 1"
    );
    let (epoch, at) = until("every model to follow", FOLLOWED, || {
        // Each look costs the server a little: fewer of them than waiting does by itself.
        thread::sleep(Duration::from_millis(200));
        let found = session.text(&fresh);
        let found = found.split_once('|').map(|(epoch, at)| (epoch.to_string(), at.parse::<i64>().unwrap()));
        found.ok_or_else(|| "not yet".to_string())
    });
    let cpu = usage::threads_asleep(server.pid()).since(&used);
    let named: Vec<String> = pushed.iter().map(|p| format!("'{}'", p.table)).collect();
    let commits = session.text(&format!(
        "SELECT arrow_cast(min(last_commit_at), 'Int64'), arrow_cast(max(last_commit_at), 'Int64') FROM sluice.sources \
         WHERE source IN ({})",
        named.join(", ")
    ));
    let (first, last) = commits.split_once('|').unwrap();
    let since = |commit: &str| (at - commit.parse::<i64>().unwrap()) as f64 / 1000.0;
    let refreshed = session.text(&format!(
        "SELECT model, seconds, mode, reason FROM sluice.refreshes WHERE epoch > {before} AND epoch <= {epoch} ORDER BY at"
    ));
    for refresh in refreshed.lines() {
        let [model, seconds, how] = refresh.splitn(3, '|').collect::<Vec<_>>().try_into().unwrap();
        let refreshes = models.entry(model.to_string()).or_default();
        refreshes.0.push(seconds.parse::<f64>().unwrap() * 1000.0);
        refreshes.1 = how.replace('|', ": ");
    }
    Round {
        from_last_commit_ms: since(last),
        from_first_commit_ms: since(first),
        epochs: epoch.parse::<i64>().unwrap() - before.parse::<i64>().unwrap(),
        cpu_ms: cpu.as_secs_f64() * 1000.0,
    }
}

fn report(waves: &str, events: &str, rounds: &[Round]) {
    let middle = |part: fn(&Round) -> f64| median(rounds.iter().map(part).collect());
    println!(
        "| {waves} | 1,000 {events} | {:.0}, {:.0} | {:.0} | {} | {:.0} |",
        middle(|round| round.from_last_commit_ms),
        rounds.iter().map(|round| round.from_last_commit_ms).fold(0.0, f64::max),
        middle(|round| round.from_first_commit_ms),
        middle(|round| round.epochs as f64),
        middle(|round| round.cpu_ms),
    );
}

fn report_models(waves: &str, models: Models, rounds: usize) {
    println!("\n1,000 events of every stream, {waves}: refreshes of a round\n");
    println!("| model | refreshes | ms | the last |");
    println!("|---|---|---|---|");
    let mut models: Vec<_> = models.into_iter().collect();
    let sum = |ms: &Vec<f64>| ms.iter().sum::<f64>() / rounds as f64;
    models.sort_by(|(_, (a, _)), (_, (b, _))| sum(b).total_cmp(&sum(a)));
    for (model, (ms, how)) in &models {
        println!("| {model} | {:.1} | {:.1} | {how} |", ms.len() as f64 / rounds as f64, sum(ms));
    }
    println!("| all of them | | {:.1} | |", models.iter().map(|(_, (ms, _))| sum(ms)).sum::<f64>());
}

/// Panics unless every view is its query's answer.
fn verify(session: &Pg) {
    let views = session.text("SELECT model FROM sluice.models WHERE kind = 'materialized view'");
    for view in views.lines() {
        let verdict = session.text(&format!("VERIFY MATERIALIZED VIEW {view}"));
        assert!(verdict.contains("|equal|"), "{verdict}");
    }
}
