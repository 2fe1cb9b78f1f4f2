//! The law of incremental refreshes over the queries that the field measures itself by: all 22 of TPC-H and the 13 of
//! the star schema benchmark stand as views while their tables take the refresh stream; after each step every view's
//! rows are its query's, as a bag. Which of them are refreshed from changes is written down here, so that a loss fails.

mod columns;
mod house;
mod ssb;
mod stream;
mod tpch;

use super::law_tests::house::{bag, stored};
use super::model::{Model, RefreshRecord};
use crate::catalog::cut::Cut;
use crate::ops::clock;
use arrow::util::pretty::pretty_format_batches;
use house::House;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stream::Stream;

/// 3,000 orders, 12,000 lines.
const SCALE: f64 = 0.002;
/// Of so many orders, one comes, or goes, in a step.
const ORDERS_FOR_ONE: usize = 250;
/// Rows of a table that change in a step.
const ROWS: usize = 16;

/// Parameters for a small scale, where those of the specification select nothing.
type Parameters = &'static [(&'static str, &'static str, &'static str)];

const TPCH_PARAMETERS: Parameters = &[
    ("q02", "p_size = 15", "p_size <= 25"),
    ("q03", "c_mktsegment = 'BUILDING'", "c_mktsegment <> 'BUILDING'"),
    ("q03", "LIMIT 10", "LIMIT 60"),
    ("q07", "= 'FRANCE'", "< 'I'"),
    ("q07", "= 'GERMANY'", ">= 'I'"),
    ("q08", "nation = 'BRAZIL'", "nation < 'M'"),
    ("q08", "p_type = 'ECONOMY ANODIZED STEEL'", "p_type LIKE '%STEEL'"),
    ("q11", "n_name = 'GERMANY'", "n_name < 'M'"),
    ("q11", "0.0001", "0.001"),
    ("q15", "INTERVAL '3' MONTH", "INTERVAL '3' YEAR"),
    ("q17", "p_brand = 'Brand#23'", "p_brand > 'Brand#23'"),
    ("q17", "p_container = 'MED BOX'", "p_container LIKE 'MED%'"),
    ("q18", "> 300", "> 200"),
    ("q19", "p_brand = ", "p_brand > "),
    ("q19", "<= 1 + 10", "<= 1 + 40"),
    ("q19", "p_size BETWEEN 1 AND 5", "p_size BETWEEN 1 AND 50"),
    ("q19", "    AND l_shipinstruct = 'DELIVER IN PERSON'\n", ""),
    ("q20", "'forest%'", "'%green%'"),
    ("q20", "0.5 * sum", "200 * sum"),
    ("q20", "n_name = 'CANADA'", "n_name < 'M'"),
    ("q21", "n_name = 'SAUDI ARABIA'", "n_name < 'M'"),
    ("q22", "IN ('13', '31', '23', '29', '30', '18', '17')", "< '35'"),
];

const SSB_PARAMETERS: Parameters = &[
    ("q12", "d_yearmonthnum = 199401", "d_year = 1994"),
    ("q13", "d_weeknuminyear = 6", "d_weeknuminyear <= 26"),
    ("q22", "BETWEEN 'MFGR#2221' AND 'MFGR#2228'", "BETWEEN 'MFGR#22' AND 'MFGR#24'"),
    ("q23", "p_brand1 = 'MFGR#2221'", "p_category = 'MFGR#22'"),
    ("q32", "c_nation = 'UNITED STATES'", "c_region = 'AMERICA'"),
    ("q32", "s_nation = 'UNITED STATES'", "s_region = 'AMERICA'"),
    ("q33", "city = 'UNITED KI1'", "city < 'J'"),
    ("q34", "city = 'UNITED KI1'", "city < 'J'"),
    ("q34", "d_yearmonth = 'Dec1997'", "d_yearmonth LIKE '%1997'"),
    ("q43", "s_nation = 'UNITED STATES'", "s_region = 'AMERICA'"),
    ("q43", "p_category = 'MFGR#14'", "p_mfgr = 'MFGR#1'"),
];

/// Queries that some refresh computes anew, and why; the others are refreshed from changes at every step.
type Recomputed = &'static [(&'static str, &'static str)];

const TPCH_RECOMPUTED: Recomputed = &[];

const SSB_RECOMPUTED: Recomputed = &[];

#[test]
fn tpch_is_kept() {
    block_on(async {
        let stream = tpch::stream(SCALE, seed());
        let dimensions = ["customer", "part", "supplier", "partsupp"];
        keep("tpch", stream, tpch::QUERIES, TPCH_PARAMETERS, &dimensions, TPCH_RECOMPUTED).await;
    });
}

#[test]
fn ssb_is_kept() {
    block_on(async {
        let stream = ssb::stream(SCALE, seed());
        let dimensions = ["customer", "part", "supplier", "date"];
        keep("ssb", stream, ssb::QUERIES, SSB_PARAMETERS, &dimensions, SSB_RECOMPUTED).await;
    });
}

/// Which rows change and what they become; `SLUICE_TEST_SEED` gives another.
fn seed() -> u64 {
    let seed = std::env::var("SLUICE_TEST_SEED").ok().map_or(2, |text| text.parse().unwrap());
    println!("seed {seed}");
    seed
}

/// How many refreshes of each view; `SLUICE_BENCHMARK_STEPS` asks for more.
fn steps() -> usize {
    std::env::var("SLUICE_BENCHMARK_STEPS").ok().map_or(2, |text| text.parse().unwrap())
}

fn block_on(work: impl Future<Output = ()>) {
    // Planning recurses deeply, and unoptimised frames are large.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_stack_size(16 << 20).enable_all().build();
    runtime.unwrap().block_on(work);
}

/// What the refreshes of a query came to.
#[derive(Default)]
struct Kept {
    refreshes: u32,
    incremental: u32,
    rows_read: i64,
    rows_changed: i64,
    rows: usize,
    /// Of the refreshes that computed it anew.
    why: Option<String>,
    how: Vec<String>,
    spent: Duration,
    spent_whole: Duration,
}

async fn keep(
    schema: &'static str,
    mut stream: Stream,
    queries: &'static [(&'static str, &'static str)],
    parameters: Parameters,
    dimensions: &[&str],
    recomputed: Recomputed,
) {
    let house = Arc::new(House::open(schema, &stream).await);
    let views = queries.iter().map(|(name, text)| {
        let (house, query) = (Arc::clone(&house), with_parameters(name, text, parameters));
        tokio::spawn(async move { house.view(name, query).await })
    });
    let mut models = Vec::new();
    for view in futures::future::join_all(views).await {
        models.push(Arc::new(view.unwrap()));
    }
    let mut kept: BTreeMap<&str, Kept> = BTreeMap::new();
    let mut from = house.cut();
    for step in 0..steps() {
        take(&house, &mut stream, step, dimensions).await;
        let to = house.cut();
        let checks = models.iter().map(|model| {
            let (house, model, from, to) = (house.clone(), model.clone(), from.clone(), to.clone());
            tokio::spawn(async move { check(&house, &model, &from, &to, step).await })
        });
        for (checked, (name, _)) in futures::future::join_all(checks).await.into_iter().zip(queries) {
            if let Some(checked) = checked.unwrap() {
                note(kept.entry(name).or_default(), checked);
            }
        }
        from = to;
    }
    report(schema, &kept);
    assert_eq!(kept.len(), queries.len(), "{schema}: a query's inputs never move");
    let wrong: Vec<String> = kept
        .iter()
        .filter_map(|(name, kept)| Some(format!("{name} {}", wrong(name, kept, recomputed)?)))
        .collect();
    assert!(wrong.is_empty(), "{schema}:\n{}", wrong.join("\n"));
}

/// What a query's refreshes should have been and were not.
fn wrong(name: &str, kept: &Kept, recomputed: Recomputed) -> Option<String> {
    if kept.rows == 0 || kept.rows_changed == 0 {
        return Some(format!(
            "has {} rows, of which {} changed: nothing is tried",
            kept.rows, kept.rows_changed
        ));
    }
    let expected = recomputed.iter().find(|(query, _)| *query == name).map(|(_, why)| *why);
    let is_so = match (&kept.why, expected) {
        (None, None) => true,
        (Some(why), Some(expected)) => why.contains(expected),
        _ => false,
    };
    (!is_so).then(|| format!("was computed anew for {:?}, should be for {expected:?}", kept.why))
}

fn with_parameters(name: &str, text: &str, parameters: Parameters) -> String {
    let mut text = text.to_string();
    for (_, from, to) in parameters.iter().filter(|(query, _, _)| *query == name) {
        assert!(text.contains(from), "{name} has no {from}");
        text = text.replace(from, to);
    }
    text
}

/// Orders come, in several commits; in every other step orders go and rows of all tables change too, over folded tables.
async fn take(house: &House, stream: &mut Stream, step: usize, dimensions: &[&str]) {
    let facts: Vec<&str> =
        stream.tables.iter().filter(|table| table.starts.is_some()).map(|t| t.name).collect();
    let orders = stream.order_count() / ORDERS_FOR_ONE;
    let mut changes = stream.insert_orders(orders);
    changes.extend(stream.insert_orders(orders));
    if step % 2 == 1 {
        house.fold().await;
        changes.extend(stream.delete_orders(orders));
        changes.extend(facts.iter().chain(dimensions).map(|table| stream.update(table, ROWS)));
    }
    for change in &changes {
        house.take(change).await;
    }
}

struct Checked {
    record: RefreshRecord,
    rows: usize,
    spent_whole: Duration,
}

/// Refreshes a view and compares it; none where no input has moved.
async fn check(house: &House, model: &Model, from: &Arc<Cut>, to: &Arc<Cut>, step: usize) -> Option<Checked> {
    if model.versions_in(from) == model.versions_in(to) {
        return None;
    }
    let record = house.refresh(model, from, to).await;
    let started = clock::instant();
    let should = house.whole(model, to).await;
    let spent_whole = started.elapsed();
    let is = stored(&model.table);
    assert!(
        bag(&model.schema, &is) == bag(&model.schema, &should),
        "{} after step {step} ({record:?})\nstored:\n{}\nshould be:\n{}",
        model.name,
        pretty_format_batches(&is).unwrap(),
        pretty_format_batches(&should).unwrap()
    );
    Some(Checked { record, rows: should.iter().map(|batch| batch.num_rows()).sum(), spent_whole })
}

fn note(kept: &mut Kept, checked: Checked) {
    let Checked { record, rows, spent_whole } = checked;
    kept.rows = kept.rows.max(rows);
    kept.spent_whole += spent_whole;
    kept.refreshes += 1;
    kept.rows_changed += record.rows_inserted + record.rows_deleted;
    kept.spent += Duration::from_secs_f64(record.seconds);
    if record.mode == "incremental" {
        kept.incremental += 1;
        kept.rows_read += record.rows_read;
        kept.how.push(record.reason);
    } else {
        kept.why = Some(record.reason);
    }
}

fn report(schema: &str, kept: &BTreeMap<&str, Kept>) {
    for (name, kept) in kept {
        println!(
            "{schema} {name}: {} of {} incremental ({} rows read), {} rows, {} changed; {:.2} s, whole {:.2} s; {}",
            kept.incremental,
            kept.refreshes,
            kept.rows_read,
            kept.rows,
            kept.rows_changed,
            kept.spent.as_secs_f64(),
            kept.spent_whole.as_secs_f64(),
            kept.why.clone().unwrap_or_else(|| kept.how.join("; ")),
        );
    }
}
