//! Payments, with fraud among them.

use super::super::random::{Random, Sequences};
use super::DAY_SECONDS;
use super::catalogue::Product;
use super::customers::Buyer;
use super::orders::Order;
use super::render::{iso_time, json_money, untidy};
use super::truth::{Tier, points_of_amounts};
use super::vocabulary::FOREIGN_COUNTRIES;
use serde_json::json;
use std::collections::BTreeMap;

/// Method, its payments, among them bulk orders of fraudsters and refunds of fraudsters.
const METHODS: &[(&str, usize, usize, usize)] = &[
    ("credit_card", 900, 27, 8),
    ("debit_card", 480, 14, 4),
    ("paypal", 420, 13, 3),
    ("bank_transfer", 200, 6, 2),
];
/// What fraudsters get refunded, in cents: as far below the ordinary as bulk orders are above it.
const REFUND_CENTS: (i64, i64) = (140_000, 170_000);
/// Payments that are CRITICAL and HIGH, give or take what the seed says.
const CRITICAL: i64 = 106;
const HIGH: i64 = 325;
const MEDIUM: usize = 160;
/// Bulk orders, and fraudsters' refunds, that are HIGH only.
const BULK_HIGH: usize = 3;
const REFUNDS_HIGH: usize = 1;
/// Large honest payments that are HIGH.
const LARGE_HIGH: usize = 3;

/// A payment.
#[derive(Debug)]
pub(super) struct Payment {
    /// Given last, in order of time.
    id: i64,
    pub(super) method: &'static str,
    pub(super) amount_cents: i64,
    pub(super) status: &'static str,
    pub(super) signals: Signals,
    /// The order's index while it is drafted, its id afterwards.
    order: i64,
    pub(super) customer_id: i64,
    pub(super) counts_for_customer: bool,
    is_refund: bool,
    /// Seconds since 1970.
    at: i64,
    risk_score: i64,
}

/// What makes a payment suspicious beside its amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals {
    pub(super) off_hours: bool,
    pub(super) risky: bool,
    pub(super) international: bool,
}

impl Signals {
    /// As many points as the signals weigh.
    pub(super) fn points(self) -> i64 {
        i64::from(self.off_hours) + 2 * i64::from(self.risky) + i64::from(self.international)
    }

    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            off_hours: bits & 1 != 0,
            risky: bits & 2 != 0,
            international: bits & 4 != 0,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Honest,
    Bulk,
    Refund,
}

/// Pays for the orders, and fills their baskets on the way, since the fraudsters' are unlike the others.
pub(super) fn draft(seed: u64, orders: &mut [Order], products: &[Product], buyers: &[Buyer]) -> Vec<Payment> {
    let mut random = Random::new(seed, "shopsmart.payments");
    let budgets: BTreeMap<i64, i64> = buyers.iter().map(|buyer| (buyer.customer_id, buyer.budget)).collect();
    let slots = slots(&mut random);
    let refunds = slots.iter().filter(|(_, kind)| *kind == Kind::Refund).count();

    // As many orders are never paid as there are refunds without a charge: they are cancelled.
    let good: Vec<usize> = (0..orders.len()).filter(|i| orders[*i].status.is_some()).collect();
    let unpaid: Vec<usize> = random.sample(good.len(), refunds).into_iter().map(|i| good[i]).collect();
    let mut to_pay: Vec<usize> = (0..orders.len()).filter(|i| !unpaid.contains(i)).collect();
    random.shuffle(&mut to_pay);
    for index in &unpaid {
        let budget = budgets.get(&orders[*index].customer_id).copied().unwrap_or(0);
        orders[*index].fill(&mut random, products, budget);
        orders[*index].status = Some("cancelled");
    }

    let mut to_pay = to_pay.into_iter();
    let mut payments = vec![];
    for (method, kind) in slots {
        let (index, amount_cents) = match kind {
            Kind::Refund => (*random.pick(&good), -random.between(REFUND_CENTS.0, REFUND_CENTS.1)),
            Kind::Honest | Kind::Bulk => {
                let Some(index) = to_pay.next() else { break };
                let order = &mut orders[index];
                if kind == Kind::Bulk {
                    order.fill_in_bulk(&mut random, products);
                } else {
                    order.fill(&mut random, products, budgets.get(&order.customer_id).copied().unwrap_or(0));
                }
                (index, order.total_cents())
            }
        };
        let status = match (kind, orders[index].status) {
            (Kind::Refund, _) => random.weighted(&[("pending", 60), ("failed", 40)]),
            (_, Some("cancelled")) => random.weighted(&[("failed", 60), ("refunded", 40)]),
            (_, Some("returned")) => "refunded",
            (_, Some("pending")) => "pending",
            _ => "completed",
        };
        payments.push(Payment {
            id: 0,
            method,
            amount_cents,
            status,
            signals: Signals::default(),
            order: index as i64,
            customer_id: orders[index].customer_id,
            counts_for_customer: orders[index].status.is_some() && status == "completed",
            is_refund: kind == Kind::Refund,
            at: 0,
            risk_score: 0,
        });
    }
    payments
}

/// Methods and kinds of all payments. Fraud keeps its share within each method, as outliers are outliers within one.
fn slots(random: &mut Random) -> Vec<(&'static str, Kind)> {
    let mut slots = vec![];
    for (method, count, bulk, refunds) in METHODS {
        let many = *count >= 900;
        let bulk = if many { bulk + random.below(5) as usize - 2 } else { *bulk };
        let refunds = if many { refunds + random.below(3) as usize - 1 } else { *refunds };
        slots.extend(std::iter::repeat_n((*method, Kind::Bulk), bulk));
        slots.extend(std::iter::repeat_n((*method, Kind::Refund), refunds));
        slots.extend(std::iter::repeat_n((*method, Kind::Honest), count - bulk - refunds));
    }
    random.shuffle(&mut slots);
    slots
}

/// Deals hours, risk scores and countries, so that the planned numbers of payments end in each tier.
pub(super) fn deal_signals(seed: u64, payments: &mut [Payment]) {
    let mut random = Random::new(seed, "shopsmart.payments.signals");
    let amounts: Vec<(&str, i64)> = payments.iter().map(|p| (p.method, p.amount_cents)).collect();
    let points = points_of_amounts(&amounts);
    let mut by_points: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, points) in points.iter().enumerate() {
        by_points.entry(*points).or_default().push(index);
    }
    for group in by_points.values_mut() {
        random.shuffle(group);
    }
    let critical = CRITICAL + random.between(-3, 3);
    let high = HIGH + random.between(-10, 10);
    let group = |points: i64| by_points.get(&points).map_or(&[][..], Vec::as_slice);

    let mut tiers = vec![Tier::Low; payments.len()];
    let mut left = BTreeMap::from([(Tier::Critical, critical), (Tier::High, high)]);
    let mut deal = |indices: &[usize], tier: Tier| {
        for index in indices {
            tiers[*index] = tier;
            left.entry(tier).and_modify(|left| *left -= 1);
        }
        left.get(&tier).copied().unwrap_or(0).max(0) as usize
    };
    // Bulk orders have 3 points by their amount, refunds 2, large honest payments 1, all others none.
    let (bulk, refunds, large, ordinary) = (group(3), group(2), group(1), group(0));
    let (bulk_high, bulk) = bulk.split_at(BULK_HIGH.min(bulk.len()));
    let (refunds_high, refunds) = refunds.split_at(REFUNDS_HIGH.min(refunds.len()));
    deal(bulk, Tier::Critical);
    let critical_left = deal(refunds, Tier::Critical);
    let (large_critical, large) = large.split_at(critical_left.min(large.len()));
    deal(large_critical, Tier::Critical);
    deal(&large[..LARGE_HIGH.min(large.len())], Tier::High);
    deal(bulk_high, Tier::High);
    let high_left = deal(refunds_high, Tier::High);
    let (ordinary_high, ordinary) = ordinary.split_at(high_left.min(ordinary.len()));
    deal(ordinary_high, Tier::High);
    deal(&ordinary[..MEDIUM.min(ordinary.len())], Tier::Medium);

    for ((payment, tier), points) in payments.iter_mut().zip(tiers).zip(points) {
        let fitting: Vec<Signals> =
            Signals::all().filter(|signals| Tier::of(points + signals.points()) == tier).collect();
        // Most payments have nothing about them.
        let quiet = tier == Tier::Low && random.chance(88);
        payment.signals = match fitting.first() {
            Some(first) if quiet => *first,
            Some(_) => *random.pick(&fitting),
            None => Signals::default(),
        };
        payment.risk_score =
            if payment.signals.risky { random.between(80, 99) } else { random.between(0, 79) };
    }
}

/// Gives payments and orders their times and, in that order, their ids.
pub(super) fn date(seed: u64, payments: &mut [Payment], orders: &mut [Order]) {
    let mut random = Random::new(seed, "shopsmart.payments.times");
    for payment in payments.iter_mut() {
        let order = &mut orders[payment.order as usize];
        // Ten minutes at least after midnight, so that the order before it is of the same day.
        let second = if payment.signals.off_hours {
            random.between(600, 6 * 3_600 - 1)
        } else {
            random.between(6 * 3_600, DAY_SECONDS - 1)
        };
        let day = if payment.is_refund {
            order.day + random.between(2, 20)
        } else {
            order.second = second - random.between(5, 600);
            order.day
        };
        payment.at = day * DAY_SECONDS + second;
    }
    let mut by_time: Vec<usize> = (0..orders.len()).collect();
    by_time.sort_by_key(|index| (orders[*index].placed_at(), *index));
    for (index, id) in by_time.iter().zip(1..) {
        orders[*index].id = id;
    }
    for payment in payments.iter_mut() {
        payment.order = orders[payment.order as usize].id;
    }
    orders.sort_by_key(|order| order.id);
    payments.sort_by_key(|payment| (payment.at, payment.order));
    for (payment, id) in payments.iter_mut().zip(1..) {
        payment.id = id;
    }
}

/// Payments as a payment gateway reports them.
pub(super) fn render(seed: u64, payments: &[Payment]) -> Vec<Vec<u8>> {
    let typing = Sequences::new(seed, "shopsmart.payments.raw");
    payments
        .iter()
        .map(|payment| {
            let random = &mut typing.at(payment.id as u64);
            let country = if payment.signals.international { *random.pick(FOREIGN_COUNTRIES) } else { "US" };
            json!({
                "payment_id": format!("pay_{:06}", payment.id),
                "order_id": payment.order,
                "type": if payment.is_refund { "refund" } else { "charge" },
                "method": untidy(random, payment.method),
                "amount": json_money(payment.amount_cents),
                "currency": untidy(random, "usd"),
                "status": untidy(random, payment.status),
                "risk": {
                    "score": payment.risk_score,
                    "international": payment.signals.international,
                    "ip_country": untidy(random, &country.to_lowercase()),
                },
                "created_at": iso_time(payment.at),
            })
            .to_string()
            .into_bytes()
        })
        .collect()
}
