//! Streams that never end: each record is a function of seed and index, and of the clock for its event time.

use super::random::{Random, Sequences};
use super::shopsmart::{Click, PRODUCT_COUNT, Visit, list_price_cents};
use chrono::{DateTime, SecondsFormat, Utc};
use std::io::Write as _;

/// Visitors that are in the shop at the same time.
const VISITORS_AT_ONCE: u64 = 40;
/// Page views after which all of them have gone and others are there.
const CLICKS_PER_CROWD: u64 = 600;
/// Stores that sell.
const STORE_COUNT: i64 = 12;

/// Page views as they happen.
#[derive(Debug)]
pub(super) struct StreamingClickstream {
    seed: u64,
    clicks: Sequences,
    visitors: Sequences,
}

impl StreamingClickstream {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            clicks: Sequences::new(seed, "shopsmart.streaming_clickstream"),
            visitors: Sequences::new(seed, "shopsmart.streaming_clickstream.visitors"),
        }
    }

    pub(super) fn record(&self, index: u64, now: DateTime<Utc>) -> Vec<u8> {
        let random = &mut self.clicks.at(index);
        // Numbers far above those of the month that is over.
        let crowd = index / CLICKS_PER_CROWD;
        let visitor = 1_000_000 + crowd * VISITORS_AT_ONCE + random.below(VISITORS_AT_ONCE);
        let visit = Visit::new(&mut self.visitors.at(visitor), visitor);
        let id = format!("s{}-{index:09}", self.seed);
        Click::new(random, id, now.timestamp_micros(), visit).render()
    }
}

/// Sales of all stores as they happen.
#[derive(Debug)]
pub(super) struct Sales {
    seed: u64,
    sales: Sequences,
}

impl Sales {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, sales: Sequences::new(seed, "shopsmart.sales") }
    }

    pub(super) fn record(&self, index: u64, now: DateTime<Utc>) -> Vec<u8> {
        let random = &mut self.sales.at(index);
        let store = random.between(1, STORE_COUNT);
        let product = product(random);
        let quantity = random.weighted(&[(1, 70), (2, 20), (3, 7), (6, 3)]);
        let cents = list_price_cents(product) * random.weighted(&[(100, 80), (90, 15), (75, 5)]) / 100;
        let mut payload = Vec::with_capacity(160);
        // Numbers and times need no escaping; writing to memory does not fail.
        let _ = write!(
            payload,
            r#"{{"sale_id":"{}-{index:010}","event_time":"{}","store":{store},"product":{product},"quantity":{quantity},"price":{}.{:02}}}"#,
            self.seed,
            now.to_rfc3339_opts(SecondsFormat::Micros, true),
            cents / 100,
            cents % 100,
        );
        payload
    }
}

/// Some products sell much better than others.
fn product(random: &mut Random) -> i64 {
    let (a, b) = (random.below(PRODUCT_COUNT), random.below(PRODUCT_COUNT));
    a.min(b) as i64 + 1
}
