//! The planted answers hold for any seed, within the bounds that the shop's own data set gave.

use super::*;
use sha2::{Digest as _, Sha256};

const SEEDS: [u64; 6] = [42, 7, 0, 1, 2_026, u64::MAX];

fn within(found: usize, expected: usize, percent: usize) -> bool {
    found.abs_diff(expected) * 100 <= expected * percent
}

#[test]
fn every_seed_plants_what_was_promised() {
    for seed in SEEDS {
        let truth = DataSet::new(seed).truth();
        let counts = (truth.orders.good, truth.orders.quarantined, truth.order_items, truth.products);
        assert_eq!(counts, (1_948, 52, 4_904, 50), "seed {seed}");
        assert_eq!(truth.orders.quarantined_ids.len(), 52);
        let customers = (truth.customers.rows, truth.customers.missing_email, truth.customers.with_orders);
        assert_eq!(customers, (500, 53, 488), "seed {seed}");
        assert_eq!((truth.inventory.rows, truth.inventory.negative), (150, 4), "seed {seed}");
        assert_eq!((truth.clickstream.events, truth.clickstream.sessions), (3_000, 3_000), "seed {seed}");
        assert!(truth.clickstream.visitors < 1_101, "some visitors come back");
        assert_eq!(truth.payments.rows, 2_000, "seed {seed}");
        for (segment, expected) in truth::SEGMENTS.into_iter().zip([87, 132, 150, 67, 52]) {
            assert!(
                within(truth.rfm[segment], expected, 15),
                "seed {seed}: {segment} {}",
                truth.rfm[segment]
            );
        }
        let tiers = &truth.payments.tiers;
        assert!(within(truth.payments.statistical, 77, 10), "seed {seed}: {}", truth.payments.statistical);
        assert!(within(tiers["CRITICAL"], 106, 10), "seed {seed}: {tiers:?}");
        assert!(within(tiers["HIGH"], 325, 10), "seed {seed}: {tiers:?}");
        assert!(tiers["MEDIUM"] > 0 && tiers["LOW"] > 1_000, "seed {seed}: {tiers:?}");
    }
}

#[test]
fn seeds_differ_and_repeat() {
    let (first, again, other) = (DataSet::new(42), DataSet::new(42), DataSet::new(7));
    assert_eq!(first.truth(), again.truth());
    assert_ne!(first.truth().orders.quarantined_ids, other.truth().orders.quarantined_ids);
    assert_ne!(first.truth().net_sales, other.truth().net_sales);
    for generator in Generator::ALL.into_iter().filter(|generator| !generator.is_live()) {
        let records = first.records(generator, b',');
        assert_eq!(records, again.records(generator, b','), "{}", generator.name());
        assert_eq!(Some(records.len() as u64), generator.bound(), "{}", generator.name());
        assert_ne!(records, other.records(generator, b','), "{}", generator.name());
    }
}

#[test]
fn seed_42_never_changes() {
    let data = DataSet::new(42);
    let mut digest = Sha256::new();
    for generator in Generator::ALL {
        data.records(generator, b',').iter().for_each(|record| digest.update(record));
    }
    let found = hex::encode(digest.finalize());
    assert_eq!(found, SEED_42, "tests/slt/shopsmart.slt and every user's figures change with the data set");
}

/// SHA-256 of all bounded records of seed 42.
const SEED_42: &str = "8f8198eaeedd61218b7ded3847cae073b3d907b7360887b67907b7ae6a743251";

#[test]
fn times_make_sense() {
    let data = DataSet::new(3);
    let newest = data.orders.iter().filter(|o| o.status.is_some()).map(|o| o.day).max();
    assert_eq!(newest, Some(LAST_DAY));
    assert!(
        data.orders
            .iter()
            .all(|o| (FIRST_DAY..=LAST_DAY).contains(&o.day) && (0..DAY_SECONDS).contains(&o.second))
    );
    assert!(data.orders.is_sorted_by_key(|order| (order.placed_at(), order.id)));
    assert!(data.orders.iter().all(|order| (1..=5).contains(&order.lines.len())));
}

#[test]
fn ordinary_amounts_stay_far_from_outliers() {
    let data = DataSet::new(11);
    let mut amounts: Vec<i64> = data.payments.iter().map(|payment| payment.amount_cents).collect();
    amounts.sort_unstable();
    assert!(
        amounts
            .iter()
            .all(|cents| *cents <= -140_000 || (1_000..=62_000).contains(cents) || *cents >= 130_000)
    );
}
