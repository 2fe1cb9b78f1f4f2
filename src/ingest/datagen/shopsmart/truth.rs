//! What a warehouse must find in a data set.
//!
//! Computed from what was made, before it is rendered, by plain code that shares nothing with the SQL models: the
//! rules of the shop, written a second time.

use super::DataSet;
use super::orders::{Line, Order};
use super::payments::Payment;
use super::render::money;
use serde::Serialize;
use std::collections::BTreeMap;

/// RFM segments, best first.
pub(super) const SEGMENTS: [&str; 5] =
    ["Champions", "Loyal Customers", "Potential Loyalists", "At Risk", "Hibernating"];

/// The known answers of one seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Truth {
    /// The seed.
    pub seed: u64,
    /// Orders.
    pub orders: OrderTruth,
    /// Order lines.
    pub order_items: usize,
    /// Order lines of orders that are kept.
    pub fact_sales: usize,
    /// What those lines cost together, after discounts.
    pub net_sales: String,
    /// Days on which kept orders were placed.
    pub days_with_sales: usize,
    /// Customers.
    pub customers: CustomerTruth,
    /// Products.
    pub products: usize,
    /// Stock rows.
    pub inventory: InventoryTruth,
    /// Payments.
    pub payments: PaymentTruth,
    /// Page views.
    pub clickstream: ClickTruth,
    /// Customers by RFM segment.
    pub rfm: BTreeMap<&'static str, usize>,
}

/// Orders that are kept, and those that are not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderTruth {
    /// With a status.
    pub good: usize,
    /// Without one.
    pub quarantined: usize,
    /// Which ones.
    pub quarantined_ids: Vec<i64>,
}

/// Customers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CustomerTruth {
    /// All of them.
    pub rows: usize,
    /// Flagged, not dropped.
    pub missing_email: usize,
    /// Those with an order that is kept.
    pub with_orders: usize,
}

/// Stock rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InventoryTruth {
    /// All of them.
    pub rows: usize,
    /// Corrected to nothing.
    pub negative: usize,
}

/// Payments by anomaly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaymentTruth {
    /// All of them.
    pub rows: usize,
    /// More than three standard deviations from their method's mean.
    pub statistical: usize,
    /// By tier.
    pub tiers: BTreeMap<&'static str, usize>,
}

/// Page views.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClickTruth {
    /// All of them.
    pub events: usize,
    /// Those that come 30 minutes or more after the visitor's one before.
    pub sessions: usize,
    /// Different visitors.
    pub visitors: usize,
}

/// How suspicious a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Low,
    Medium,
    High,
    Critical,
}

impl Tier {
    /// The tier that points make.
    pub(super) fn of(points: i64) -> Self {
        match points {
            ..=1 => Tier::Low,
            2 => Tier::Medium,
            3 | 4 => Tier::High,
            5.. => Tier::Critical,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Tier::Low => "LOW",
            Tier::Medium => "MEDIUM",
            Tier::High => "HIGH",
            Tier::Critical => "CRITICAL",
        }
    }
}

impl Truth {
    pub(super) fn of(data: &DataSet) -> Self {
        let good: Vec<&Order> = data.orders.iter().filter(|order| order.status.is_some()).collect();
        let lines: Vec<&Line> = good.iter().flat_map(|order| &order.lines).collect();
        let days: std::collections::BTreeSet<i64> = good.iter().map(|order| order.day).collect();
        let amounts: Vec<(&str, i64)> = data.payments.iter().map(|p| (p.method, p.amount_cents)).collect();
        let points = points_of_amounts(&amounts);
        let mut tiers = BTreeMap::new();
        for (payment, points) in data.payments.iter().zip(&points) {
            *tiers.entry(Tier::of(points + payment.signals.points()).name()).or_insert(0) += 1;
        }
        let rfm = segments(data);
        Self {
            seed: data.seed,
            orders: OrderTruth {
                good: good.len(),
                quarantined: data.orders.len() - good.len(),
                quarantined_ids: data.orders.iter().filter(|o| o.status.is_none()).map(|o| o.id).collect(),
            },
            order_items: data.orders.iter().map(|order| order.lines.len()).sum(),
            fact_sales: lines.len(),
            net_sales: money(lines.iter().map(|line| line.net_cents()).sum()),
            days_with_sales: days.len(),
            customers: CustomerTruth {
                rows: data.customers.len(),
                missing_email: data.customers.iter().filter(|c| c.email.is_none()).count(),
                with_orders: rfm.values().sum(),
            },
            products: data.products.len(),
            inventory: InventoryTruth {
                rows: data.stock.len(),
                negative: data.stock.iter().filter(|row| row.on_hand < 0).count(),
            },
            payments: PaymentTruth {
                rows: data.payments.len(),
                statistical: points.iter().filter(|points| **points >= 2).count(),
                tiers,
            },
            clickstream: super::clickstream::truth(&data.clicks),
            rfm,
        }
    }
}

/// Points that amounts alone make: 2 beyond three standard deviations of the method's mean, 1 above its 95th
/// percentile (interpolated between neighbours).
pub(super) fn points_of_amounts(amounts: &[(&str, i64)]) -> Vec<i64> {
    let mut by_method: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (method, cents) in amounts {
        by_method.entry(method).or_default().push(*cents as f64);
    }
    let bounds: BTreeMap<&str, (f64, f64, f64)> = by_method
        .into_iter()
        .map(|(method, mut cents)| {
            cents.sort_by(f64::total_cmp);
            let count = cents.len() as f64;
            let mean = cents.iter().sum::<f64>() / count;
            let variance =
                cents.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0).max(1.0);
            let at = 0.95 * (count - 1.0);
            let (below, above) = (cents[at.floor() as usize], cents[at.ceil() as usize]);
            (method, (mean, variance.sqrt(), below + (above - below) * at.fract()))
        })
        .collect();
    amounts
        .iter()
        .map(|(method, cents)| {
            let (mean, deviation, percentile) = bounds[method];
            let cents = *cents as f64;
            2 * i64::from((cents - mean).abs() > 3.0 * deviation) + i64::from(cents > percentile)
        })
        .collect()
}

/// Kept orders and cents paid for them, by customer.
pub(super) fn frequency_and_money(orders: &[Order], payments: &[Payment]) -> BTreeMap<i64, (i64, i64)> {
    let mut behaviour: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.status.is_some()) {
        behaviour.entry(order.customer_id).or_default().0 += 1;
    }
    for payment in payments.iter().filter(|payment| payment.counts_for_customer) {
        behaviour.entry(payment.customer_id).or_default().1 += payment.amount_cents;
    }
    behaviour
}

/// Scores 1 to 5 by quintile of `(value, customer id)`, the smallest first; the first quintiles take what is over.
pub(super) fn quintiles(values: impl Iterator<Item = (i64, i64)>) -> BTreeMap<i64, i64> {
    let mut sorted: Vec<(i64, i64)> = values.collect();
    sorted.sort_unstable();
    let (size, over) = (sorted.len() / 5, sorted.len() % 5);
    let sizes = (0..5).map(|quintile| size + usize::from(quintile < over));
    let scores = sizes.zip(1..).flat_map(|(size, score)| std::iter::repeat_n(score, size));
    sorted.into_iter().zip(scores).map(|((_, id), score)| (id, score)).collect()
}

/// The index in [`SEGMENTS`] that the sum of three scores falls in.
pub(super) fn segment(sum: i64) -> usize {
    match sum {
        13.. => 0,
        10..=12 => 1,
        7..=9 => 2,
        5..=6 => 3,
        ..=4 => 4,
    }
}

fn segments(data: &DataSet) -> BTreeMap<&'static str, usize> {
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    for order in data.orders.iter().filter(|order| order.status.is_some()) {
        let day = last.entry(order.customer_id).or_insert(order.day);
        *day = order.day.max(*day);
    }
    let behaviour = frequency_and_money(&data.orders, &data.payments);
    // A later day is a smaller recency, so days rank as recency does from its end.
    let recency = quintiles(last.iter().map(|(id, day)| (*day, *id)));
    let frequency = quintiles(behaviour.iter().map(|(id, (orders, _))| (*orders, *id)));
    let money = quintiles(behaviour.iter().map(|(id, (_, cents))| (*cents, *id)));
    let mut segments = BTreeMap::new();
    for id in last.keys() {
        *segments.entry(SEGMENTS[segment(recency[id] + frequency[id] + money[id])]).or_insert(0) += 1;
    }
    segments
}
