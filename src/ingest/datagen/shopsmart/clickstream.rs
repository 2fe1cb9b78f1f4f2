//! Page views: a month of them that is over, and the shape that live ones share.

use super::super::random::{Random, Sequences};
use super::catalogue::PRODUCT_COUNT;
use super::customers::CUSTOMER_COUNT;
use super::truth::ClickTruth;
use super::{DAY_SECONDS, LAST_DAY};
use chrono::{DateTime, SecondsFormat};
use serde_json::json;
use std::collections::BTreeMap;

/// How many page views there are.
const CLICK_COUNT: usize = 3_000;
/// How many visitors they come from.
const VISITOR_COUNT: usize = 1_100;
/// What ends a session: this much time without a page view.
const SESSION_GAP_SECONDS: i64 = 30 * 60;
/// The month before the last order begins here.
const MONTH_START: i64 = (LAST_DAY - 30) * DAY_SECONDS;

/// What stays the same from page to page.
#[derive(Clone, Debug)]
pub(in super::super) struct Visit {
    visitor: u64,
    customer_id: Option<i64>,
    device: &'static str,
    browser: &'static str,
    source: &'static str,
}

/// One page view.
#[derive(Clone, Debug)]
pub(in super::super) struct Click {
    /// Unique over all page views of the generator.
    pub(in super::super) id: String,
    /// Microseconds since 1970.
    pub(in super::super) at_us: i64,
    /// Who looks.
    pub(in super::super) visit: Visit,
    event_type: &'static str,
    product_id: Option<i64>,
}

impl Visit {
    /// A visitor, always the same for the same number and random sequence.
    pub(in super::super) fn new(random: &mut Random, visitor: u64) -> Self {
        let customer_id = random.chance(45).then(|| random.between(1, CUSTOMER_COUNT as i64));
        Self {
            visitor,
            customer_id,
            device: random.weighted(&[("mobile", 55), ("desktop", 38), ("tablet", 7)]),
            browser: random.weighted(&[("Chrome", 60), ("Safari", 25), ("Firefox", 10), ("Edge", 5)]),
            source: random.weighted(&[("search", 40), ("direct", 25), ("social", 20), ("email", 15)]),
        }
    }
}

impl Click {
    /// A page that this visitor looks at.
    pub(in super::super) fn new(random: &mut Random, id: String, at_us: i64, visit: Visit) -> Self {
        let event_type = random.weighted(&[
            ("page_view", 45),
            ("product_view", 32),
            ("search", 8),
            ("add_to_cart", 9),
            ("checkout", 4),
            ("purchase", 2),
        ]);
        let product_id = matches!(event_type, "product_view" | "add_to_cart")
            .then(|| random.between(1, PRODUCT_COUNT as i64));
        Self { id, at_us, visit, event_type, product_id }
    }

    /// As the shop's pages send it.
    pub(in super::super) fn render(&self) -> Vec<u8> {
        let page = match (self.event_type, self.product_id) {
            (_, Some(product_id)) => format!("/products/{product_id}"),
            ("search", None) => "/search".to_string(),
            ("checkout" | "purchase", None) => format!("/{}", self.event_type),
            _ => "/".to_string(),
        };
        let time = DateTime::from_timestamp_micros(self.at_us).unwrap_or_default();
        json!({
            "event_id": self.id,
            "event_time": time.to_rfc3339_opts(SecondsFormat::Millis, true),
            "event_type": self.event_type,
            "visitor_id": format!("v{:07}", self.visit.visitor),
            "customer_id": self.visit.customer_id,
            "page": page,
            "product_id": self.product_id,
            "device": { "type": self.visit.device, "browser": self.visit.browser },
            "traffic_source": self.visit.source,
        })
        .to_string()
        .into_bytes()
    }
}

/// The month's page views, in order of time. Every visitor leaves half an hour or more between two of them; the
/// shortest gap is exactly half an hour, where an off-by-one would show.
pub(super) fn clicks(seed: u64) -> Vec<Click> {
    let mut random = Random::new(seed, "shopsmart.clickstream");
    let visitors = Sequences::new(seed, "shopsmart.clickstream.visitors");
    let mut last_seconds: BTreeMap<u64, i64> = BTreeMap::new();
    let mut times: Vec<(i64, u64)> = (0..CLICK_COUNT)
        .map(|_| {
            let visitor = 1 + random.below(VISITOR_COUNT as u64);
            let second = match last_seconds.get(&visitor) {
                None => MONTH_START + random.between(0, 12 * DAY_SECONDS),
                Some(last) if random.chance(5) => last + SESSION_GAP_SECONDS,
                Some(last) => last + SESSION_GAP_SECONDS + random.between(1, DAY_SECONDS),
            };
            last_seconds.insert(visitor, second);
            (second, visitor)
        })
        .collect();
    times.sort_unstable();
    times
        .into_iter()
        .zip(1..)
        .map(|((second, visitor), n): ((i64, u64), u64)| {
            let visit = Visit::new(&mut visitors.at(visitor), visitor);
            Click::new(&mut random, format!("c{n:06}"), second * 1_000_000, visit)
        })
        .collect()
}

/// Counts events, sessions and visitors.
pub(super) fn truth(clicks: &[Click]) -> ClickTruth {
    let mut last: BTreeMap<u64, i64> = BTreeMap::new();
    let mut sessions = 0;
    for click in clicks {
        let before = last.insert(click.visit.visitor, click.at_us);
        let goes_on = before.is_some_and(|before| click.at_us - before < SESSION_GAP_SECONDS * 1_000_000);
        sessions += usize::from(!goes_on);
    }
    ClickTruth { events: clicks.len(), sessions, visitors: last.len() }
}
