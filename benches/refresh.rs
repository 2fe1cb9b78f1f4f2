//! What a refresh costs by the size of what lies behind it: 1,000 rows that come, change or go on 100,000, 1 M and 10 M.
//!
//! Facts and a dimension come as change feeds from parquet files. The models are on a schedule that never comes: each is
//! asked to refresh while all else is at rest, so that the CPU time of the server is that of one refresh. A REFRESH that
//! finds nothing to do costs something too (a wave, an epoch); that is measured and taken off. The first round of a base
//! warms caches and indexes and is not counted. `BENCH_BASES` (comma between) and `BENCH_ROUNDS` change the sizes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench that panics has failed")]

mod support;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::feed::{parquet_source, scattered, write_parquet};
use support::harness::Pg;
use support::{Server, Warehouse, median, number, usage};

/// Rows of a change.
const CHANGE: i64 = 1_000;
/// Rows of one file as the base is written.
const PIECE: i64 = 500_000;
/// The dimension grows with the facts, so that a change of it touches as many of them on every base.
const FACTS_OF_A_PRODUCT: i64 = 10;
/// What was written must be in bronze within this.
const ARRIVED: Duration = Duration::from_secs(600);

/// A model, inputs first.
const SALES: &str = "silver.sales";
const HISTORY: &str = "silver.sale_history";
const PRODUCTS: &str = "silver.products";
const DAILY: &str = "gold.daily_sales";
const CATEGORY: &str = "gold.by_category";
const MODELS: [(&str, &str); 5] = [
    (SALES, "deduplication by key"),
    (HISTORY, "SCD2"),
    (PRODUCTS, "the dimension itself"),
    (DAILY, "daily sales"),
    (CATEGORY, "star join, sums"),
];

/// What changes in a step of a round, and how far apart the bases may lie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Inserts,
    Updates,
    Deletes,
    Dimension,
}

impl Change {
    const ALL: [Change; 4] = [Change::Inserts, Change::Updates, Change::Deletes, Change::Dimension];

    fn name(self) -> &'static str {
        match self {
            Change::Inserts => "facts come",
            Change::Updates => "facts change",
            Change::Deletes => "facts go",
            Change::Dimension => "the dimension changes",
        }
    }

    /// The most that CPU time on one base may be of that on another.
    fn bar(self) -> f64 {
        if self == Change::Dimension { 3.0 } else { 1.2 }
    }

    /// The models that it reaches, in the order of their refreshes.
    fn reaches(self) -> &'static [&'static str] {
        match self {
            Change::Dimension => &[PRODUCTS, CATEGORY],
            _ => &[SALES, HISTORY, DAILY, CATEGORY],
        }
    }

    /// The rows of a round on a base. Those that change and those that go are spread over all of it, never twice the same.
    fn rows(self, base: i64, round: i64) -> RecordBatch {
        let spread = |place: i64| move |n: i64| n * (base / CHANGE) + 2 * round + place;
        match self {
            Change::Inserts => sales(base, (0..CHANGE).map(|n| base + (round - 1) * CHANGE + n), "I", 0),
            Change::Updates => sales(base, (0..CHANGE).map(spread(0)), "U", round),
            Change::Deletes => sales(base, (0..CHANGE).map(spread(1)), "D", round),
            Change::Dimension => {
                let all = base / FACTS_OF_A_PRODUCT;
                products((0..CHANGE).map(|n| n * (all / CHANGE) + round % (all / CHANGE)), round)
            }
        }
    }
}

/// What one refresh took.
struct Refresh {
    cpu_ms: f64,
    wall_ms: f64,
    /// Mode, rows read, rows written.
    how: [String; 3],
}

/// Refreshes by what changed and the model.
type Refreshes = BTreeMap<(Change, &'static str), Vec<Refresh>>;

fn main() {
    support::announce("refresh");
    let rounds = i64::try_from(number("BENCH_ROUNDS", 7)).unwrap();
    let bases = std::env::var("BENCH_BASES").unwrap_or_else(|_| "100000,1000000,10000000".to_string());
    let bases: Vec<i64> = bases.split(',').map(|base| base.trim().parse().unwrap()).collect();
    let measured: Vec<Refreshes> = bases.iter().map(|base| measure(*base, rounds)).collect();
    report(&bases, &measured);
}

fn measure(base: i64, rounds: i64) -> Refreshes {
    assert!(
        base >= CHANGE * FACTS_OF_A_PRODUCT && 2 * rounds + 3 < base / CHANGE,
        "too many rounds for {base}"
    );
    let started = Instant::now();
    let warehouse = Warehouse::new();
    project(&warehouse);
    let mut rows = [0, 0];
    let mut write = |table: usize, name: &str, batch: &RecordBatch| {
        let folder = ["sales", "products"][table];
        write_parquet(&warehouse, &format!("{folder}/{name}"), batch);
        rows[table] += batch.num_rows();
        (format!("SELECT count(*) FROM bronze.{folder}"), rows[table].to_string())
    };
    for from in (0..base).step_by(PIECE as usize) {
        write(0, &format!("base-{from:09}"), &sales(base, from..(from + PIECE).min(base), "I", 0));
    }
    write(1, "base", &products(0..base / FACTS_OF_A_PRODUCT, 0));
    let server = warehouse.serve();
    let session = server.connect();
    server.wait_until_within("SELECT count(*) FROM bronze.sales", &base.to_string(), ARRIVED);
    for (model, _) in MODELS {
        session.text(&format!("REFRESH TABLE {model}"));
    }
    support::wait_until_idle(&server);
    println!("{base} rows loaded in {:.0} s", started.elapsed().as_secs_f64());

    let mut refreshes = Refreshes::new();
    let mut nothing = Vec::new();
    for round in 1..=rounds + 1 {
        for change in Change::ALL {
            let table = usize::from(change == Change::Dimension);
            let (question, answer) =
                write(table, &format!("round-{round:03}-{}", change as u8), &change.rows(base, round));
            server.wait_until_within(&question, &answer, ARRIVED);
            for model in change.reaches() {
                let took = refresh(&server, &session, model);
                let idle = refresh(&server, &session, model);
                if round > 1 {
                    refreshes.entry((change, *model)).or_default().push(took);
                    nothing.push(idle.cpu_ms);
                }
            }
        }
    }
    check(&session, base, rounds + 1);
    let nothing = median(nothing);
    println!(
        "{base} rows: a REFRESH with nothing to do takes {nothing:.1} ms of CPU time, which is taken off"
    );
    refreshes.values_mut().flatten().for_each(|refresh| refresh.cpu_ms -= nothing);
    refreshes
}

/// Refreshes a model alone: before and after, every thread of the server sleeps.
fn refresh(server: &Server, session: &Pg, model: &str) -> Refresh {
    let before = usage::threads_asleep(server.pid());
    session.text(&format!("REFRESH TABLE {model}"));
    let cpu = usage::threads_asleep(server.pid()).since(&before);
    let last = session.text(&format!(
        "SELECT seconds, mode, rows_read, rows_inserted + rows_deleted FROM sluice.refreshes \
         WHERE model = '{model}' ORDER BY at DESC LIMIT 1"
    ));
    let mut cells = last.split('|').map(ToString::to_string);
    let seconds: f64 = cells.next().unwrap().parse().unwrap();
    let how = std::array::from_fn(|_| cells.next().unwrap());
    Refresh { cpu_ms: cpu.as_secs_f64() * 1000.0, wall_ms: seconds * 1000.0, how }
}

/// Panics unless every model holds what so many rounds make of the base.
fn check(session: &Pg, base: i64, rounds: i64) {
    // As many come as go.
    assert_eq!(session.text("SELECT count(*) FROM silver.sales"), base.to_string());
    let of_all = session.text("SELECT count(*), sum(amount) FROM silver.sales");
    for model in [DAILY, CATEGORY] {
        assert_eq!(session.text(&format!("SELECT sum(sales), sum(amount) FROM {model}")), of_all, "{model}");
    }
    let versions = base + 2 * rounds * CHANGE;
    assert_eq!(session.text(&format!("SELECT count(*) FROM {HISTORY}")), versions.to_string());
}

fn report(bases: &[i64], measured: &[Refreshes]) {
    println!("\nCPU ms (wall ms), medians\n");
    let heads: String = bases.iter().map(|base| format!(" {base} rows |")).collect();
    println!("| change of {CHANGE} rows | view |{heads} apart | bar | mode, rows read, rows written |");
    println!("|---|---|{}---|---|---|", "---|".repeat(bases.len()));
    for change in Change::ALL {
        for (model, what) in MODELS.iter().filter(|(model, _)| change.reaches().contains(model)) {
            let of = |refreshes: &Refreshes, part: fn(&Refresh) -> f64| {
                median(refreshes[&(change, *model)].iter().map(part).collect())
            };
            let cpu: Vec<f64> = measured.iter().map(|refreshes| of(refreshes, |r| r.cpu_ms)).collect();
            let cells: String = measured
                .iter()
                .zip(&cpu)
                .map(|(refreshes, cpu)| format!(" {cpu:.1} ({:.1}) |", of(refreshes, |r| r.wall_ms)))
                .collect();
            let (least, most) =
                (cpu.iter().copied().fold(f64::MAX, f64::min), cpu.iter().copied().fold(0.0, f64::max));
            let last = &measured.last().unwrap()[&(change, *model)].last().unwrap().how;
            println!(
                "| {} | {what} |{cells} {:.2}x | {}x | {} |",
                change.name(),
                most / least,
                change.bar(),
                last.join(", ")
            );
        }
    }
}

fn project(warehouse: &Warehouse) {
    // Waves as fast as they come: what is measured is not the pause between two of them.
    warehouse.write(
        "catalog/warehouse.toml",
        "[users.sluice]\ntrust_loopback = true\n[limits]\nwaves_per_second_max = 1000\n",
    );
    let source = |name: &str, columns: &str| {
        let source = format!("CREATE SOURCE bronze.{name} ({columns})\n{}", parquet_source(name));
        warehouse.write(&format!("catalog/{name}.sql"), source);
    };
    source(
        "sales",
        "sale_id BIGINT, op STRING, version BIGINT, day DATE, product_id INT, amount DECIMAL(18,2)",
    );
    source("products", "product_id INT, version BIGINT, category INT");
    let feed = |model: &str, source: &str, key: &str, kept: &str| {
        let definition = format!(
            "CREATE OR REFRESH STREAMING TABLE {model}\nSCHEDULE EVERY 24 HOURS\n\
             FLOW AUTO CDC FROM STREAM bronze.{source} KEYS ({key}) {kept};\n"
        );
        warehouse.write(&format!("sql/{}.sql", model.replace('.', "/")), definition);
    };
    let sale = |scd_type: u8| {
        format!(
            "APPLY AS DELETE WHEN op = 'D' SEQUENCE BY version COLUMNS * EXCEPT (op) STORED AS SCD TYPE {scd_type}"
        )
    };
    feed(SALES, "sales", "sale_id", &sale(1));
    feed(HISTORY, "sales", "sale_id", &sale(2));
    feed(PRODUCTS, "products", "product_id", "SEQUENCE BY version STORED AS SCD TYPE 1");
    let view = |model: &str, query: &str| {
        let definition = format!("CREATE MATERIALIZED VIEW {model}\nSCHEDULE EVERY 24 HOURS\nAS {query};\n");
        warehouse.write(&format!("sql/{}.sql", model.replace('.', "/")), definition);
    };
    view(DAILY, "SELECT day, count(*) AS sales, sum(amount) AS amount FROM silver.sales GROUP BY day");
    view(
        CATEGORY,
        "SELECT p.category, count(*) AS sales, sum(s.amount) AS amount \
         FROM silver.sales s JOIN silver.products p ON p.product_id = s.product_id GROUP BY p.category",
    );
}

/// Sales as the feed has them: what becomes of each, in which version, on a base of this size.
fn sales(base: i64, numbers: impl Iterator<Item = i64>, op: &str, version: i64) -> RecordBatch {
    let numbers: Vec<i64> = numbers.collect();
    let one_of = |shift: u32, count: i64| {
        let pick = move |sale: &i64| i32::try_from((scattered(*sale) >> shift) % count as u64).unwrap();
        numbers.iter().map(pick)
    };
    let days = one_of(20, 730).map(|day| 19_723 + day);
    let amounts = numbers.iter().map(|sale| i128::from(scattered(*sale) >> 50) + i128::from(version));
    let columns: [(&str, ArrayRef); 6] = [
        ("op", Arc::new(StringArray::from(vec![op; numbers.len()]))),
        ("version", Arc::new(Int64Array::from(vec![version; numbers.len()]))),
        ("day", Arc::new(Date32Array::from_iter_values(days))),
        ("product_id", Arc::new(Int32Array::from_iter_values(one_of(12, base / FACTS_OF_A_PRODUCT)))),
        (
            "amount",
            Arc::new(Decimal128Array::from_iter_values(amounts).with_precision_and_scale(18, 2).unwrap()),
        ),
        ("sale_id", Arc::new(Int64Array::from(numbers))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn products(numbers: impl Iterator<Item = i64>, version: i64) -> RecordBatch {
    let numbers: Vec<i64> = numbers.collect();
    let number = |value: i64| i32::try_from(value).unwrap();
    let category = |product: &i64| number(((scattered(*product) >> 40) as i64 + version) % 40);
    let columns: [(&str, ArrayRef); 3] = [
        ("product_id", Arc::new(Int32Array::from_iter_values(numbers.iter().map(|n| number(*n))))),
        ("version", Arc::new(Int64Array::from(vec![version; numbers.len()]))),
        ("category", Arc::new(Int32Array::from_iter_values(numbers.iter().map(category)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
