//! What rules cost: a backlog of events becomes a streaming table without rules, with rules that all rows meet, and with
//! one that every tenth breaks, which sets it apart with its bytes.
//!
//! 2 M events of 308 bytes lie in files before each start; the clock runs from the ready file until readers see all of
//! them behind the rules. The three take turns, `BENCH_RUNS` times. `BENCH_EVENTS` changes the size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use std::thread;
use std::time::{Duration, Instant};
use support::{Warehouse, events, median, number, usage};

/// Files that the events come in.
const FILES: u64 = 8;
/// How often the count is asked for. Asking costs the server as well.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// All events must be there within this.
const DEADLINE: Duration = Duration::from_secs(1_800);
/// One event in so many is bad.
const BAD: u64 = 10;
/// What the rules may cost, in percent of the rate without.
const RULES_COST_MAX: f64 = 5.0;
const QUARANTINE_COST_MAX: f64 = 20.0;

/// A streaming table's rules.
struct Variant {
    name: &'static str,
    rules: &'static str,
    is_bad: bool,
    cost_max: Option<f64>,
}

const MET: &str = "CONSTRAINT seq_known EXPECT (seq IS NOT NULL) ON VIOLATION QUARANTINE ROW,\n\
     CONSTRAINT quantity_positive EXPECT (quantity > 0) ON VIOLATION DROP ROW,\n\
     CONSTRAINT price_usual EXPECT (price BETWEEN 0 AND 1000),\n\
     CONSTRAINT type_known EXPECT (event_type IN ('page_view', 'add_to_cart', 'purchase', 'search')),\n\
     CONSTRAINT user_known EXPECT (user_id IS NOT NULL) AT LEAST 99 PERCENT";

const BROKEN: &str = "CONSTRAINT seq_usual EXPECT (seq % 10 <> 0) ON VIOLATION QUARANTINE ROW";

const VARIANTS: [Variant; 3] = [
    Variant { name: "no rules", rules: "", is_bad: false, cost_max: None },
    Variant { name: "five rules, all met", rules: MET, is_bad: false, cost_max: Some(RULES_COST_MAX) },
    Variant { name: "a tenth set apart", rules: BROKEN, is_bad: true, cost_max: Some(QUARANTINE_COST_MAX) },
];

fn main() {
    let count = number("BENCH_EVENTS", 2_000_000).next_multiple_of(BAD);
    let runs = number("BENCH_RUNS", 5);
    support::announce("quality");
    let files: Vec<Vec<u8>> = (0..FILES).map(|file| lines(file, count)).collect();
    let mut taken: [Vec<Taken>; 3] = Default::default();
    for _ in 0..runs {
        for (variant, taken) in VARIANTS.iter().zip(&mut taken) {
            taken.push(take(variant, &files, count));
        }
    }
    println!("\n{count} events, median of {runs}\n");
    println!("| | events/s | cost | bar | CPU s | cost |");
    println!("|---|---|---|---|---|---|");
    let middle = |taken: &[Taken], of: fn(&Taken) -> f64| median(taken.iter().map(of).collect());
    let (rate, cpu) = (middle(&taken[0], |t| t.rate), middle(&taken[0], |t| t.cpu));
    for (variant, taken) in VARIANTS.iter().zip(&taken) {
        let (own_rate, own_cpu) = (middle(taken, |t| t.rate), middle(taken, |t| t.cpu));
        let bar = variant.cost_max.map_or(String::new(), |max| format!("{max:.0} %"));
        println!(
            "| {} | {own_rate:.0} | {:.1} % | {bar} | {own_cpu:.2} | {:.1} % |",
            variant.name,
            (rate / own_rate - 1.0) * 100.0,
            (own_cpu / cpu - 1.0) * 100.0
        );
    }
}

/// The events of one file.
fn lines(file: u64, count: u64) -> Vec<u8> {
    let (mut event, mut lines) = (Vec::new(), Vec::new());
    for seq in (file..count).step_by(FILES as usize) {
        events::write(seq, &mut event);
        lines.extend_from_slice(&event);
        lines.push(b'\n');
    }
    lines
}

/// What one run reached.
struct Taken {
    /// Events a second.
    rate: f64,
    /// CPU seconds.
    cpu: f64,
}

fn take(variant: &Variant, files: &[Vec<u8>], count: u64) -> Taken {
    let warehouse = Warehouse::new();
    warehouse.write(
        "catalog/events.sql",
        format!(
            "CREATE SOURCE bronze.events (\n  {}\n)\nWITH (connector = 'files', path = 'input/events')\n\
             FORMAT PLAIN ENCODE JSON;\n",
            events::COLUMNS
        ),
    );
    let rules = if variant.rules.is_empty() { String::new() } else { format!(" (\n{}\n)", variant.rules) };
    warehouse.write(
        "sql/silver/events.sql",
        format!(
            "CREATE OR REFRESH STREAMING TABLE silver.events{rules}\nAS SELECT seq, event_time, user_id, event_type, \
             store_id, product_id, quantity, price, quantity * price AS revenue FROM STREAM bronze.events;\n"
        ),
    );
    for (number, lines) in files.iter().enumerate() {
        warehouse.write(&format!("input/events/{number}.json"), lines);
    }
    let server = warehouse.serve();
    let start = Instant::now();
    let before = usage::of(server.pid());
    let session = server.connect();
    let bad = if variant.is_bad { count / BAD } else { 0 };
    let apart =
        if variant.rules.is_empty() { "0" } else { "(SELECT count(*) FROM silver.events__quarantine)" };
    let seen = format!("SELECT (SELECT count(*) FROM silver.events) || ' ' || {apart}");
    let all = format!("{} {bad}", count - bad);
    while session.text(&seen) != all {
        assert!(
            start.elapsed() < DEADLINE,
            "{}: {}; it said:\n{}",
            variant.name,
            session.text(&seen),
            server.log()
        );
        thread::sleep(ASK_EVERY);
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = (usage::of(server.pid()).cpu - before.cpu).as_secs_f64();
    if variant.is_bad {
        // What was set apart can be taken again: its bytes and its position are there.
        let kept = "SELECT count(*) FROM silver.events__quarantine WHERE state = 'open' AND raw IS NOT NULL \
                    AND input_batch IS NOT NULL";
        assert_eq!(session.text(kept), bad.to_string());
    }
    println!("{}: {count} events in {seconds:.2} s, {cpu:.2} CPU s", variant.name);
    Taken { rate: count as f64 / seconds, cpu }
}
