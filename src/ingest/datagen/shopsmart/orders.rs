//! Orders and their lines.

use super::super::random::{Random, Sequences};
use super::catalogue::Product;
use super::customers::Buyer;
use super::render::{csv_line, money, sql_time, untidy};
use super::{DAY_SECONDS, FIRST_DAY};
use std::collections::{BTreeMap, BTreeSet};

/// Orders with a status, which the warehouse keeps.
const GOOD_ORDERS: usize = 1_948;
/// Orders without one, which it quarantines.
const STATUSLESS_ORDERS: usize = 52;
/// Lines of all orders together.
const LINES: usize = 4_904;
/// Lines of one order at most.
const LINES_MAX: usize = 5;
/// What an ordinary order costs at most, without shipping, in cents.
const ORDINARY_CENTS_MAX: i64 = 60_000;
/// What a fraudster's order costs, about, in cents: far beyond what anyone else spends.
const BULK_CENTS: (i64, i64) = (150_000, 170_000);
/// Prices of what fraudsters buy in bulk, in cents: small enough that whole pieces come close to the sum.
const BULK_PRICE_CENTS: (i64, i64) = (2_000, 6_000);

/// The fields of an exported order.
pub(in super::super) const ORDER_HEADER: &[&str] = &[
    "order_id",
    "customer_id",
    "order_date",
    "order_status",
    "channel",
    "currency",
    "shipping_amount",
    "total_amount",
];
/// The fields of an exported order line.
pub(in super::super) const ITEM_HEADER: &[&str] =
    &["order_item_id", "order_id", "line_number", "product_id", "quantity", "unit_price", "discount_percent"];

/// An order.
#[derive(Debug)]
pub(super) struct Order {
    /// Given last, in order of time.
    pub(super) id: i64,
    pub(super) customer_id: i64,
    /// `None` in exports that lost it.
    pub(super) status: Option<&'static str>,
    /// Days since 1970.
    pub(super) day: i64,
    /// When on that day.
    pub(super) second: i64,
    pub(super) lines: Vec<Line>,
    channel: &'static str,
    shipping_cents: i64,
    line_count: usize,
}

/// A line of an order.
#[derive(Debug)]
pub(super) struct Line {
    product_id: i64,
    quantity: i64,
    unit_cents: i64,
    discount_percent: i64,
}

impl Order {
    /// What the customer pays.
    pub(super) fn total_cents(&self) -> i64 {
        self.lines.iter().map(Line::net_cents).sum::<i64>() + self.shipping_cents
    }

    /// Seconds since 1970.
    pub(super) fn placed_at(&self) -> i64 {
        self.day * DAY_SECONDS + self.second
    }
}

impl Line {
    /// What the line costs after its discount, rounded half up.
    pub(super) fn net_cents(&self) -> i64 {
        (self.quantity * self.unit_cents * (100 - self.discount_percent) + 50) / 100
    }
}

/// Who orders how often, how many lines, with which status. Baskets, days and ids come later.
pub(super) fn draft(seed: u64, buyers: &[Buyer]) -> Vec<Order> {
    let mut random = Random::new(seed, "shopsmart.orders");
    // Everyone buys once; who is loyal comes back more often.
    let mut customers: Vec<(i64, bool)> = buyers.iter().map(|buyer| (buyer.customer_id, true)).collect();
    let loyalty: Vec<(i64, u64)> = buyers
        .iter()
        .map(|buyer| (buyer.customer_id, 10_000 + (buyer.loyalty * buyer.loyalty) as u64))
        .collect();
    while customers.len() < GOOD_ORDERS {
        customers.push((random.weighted(&loyalty), true));
    }
    for _ in 0..STATUSLESS_ORDERS {
        customers.push((random.pick(buyers).customer_id, false));
    }
    random.shuffle(&mut customers);

    let mut line_counts = vec![1; customers.len()];
    let mut left = LINES - customers.len();
    while left > 0 {
        let count = &mut line_counts[random.below(customers.len() as u64) as usize];
        if *count < LINES_MAX {
            *count += 1;
            left -= 1;
        }
    }

    let statuses = [
        ("delivered", 62),
        ("shipped", 14),
        ("processing", 9),
        ("pending", 5),
        ("cancelled", 5),
        ("returned", 5),
    ];
    let channels = [("web", 55), ("mobile_app", 35), ("marketplace", 10)];
    customers
        .into_iter()
        .zip(line_counts)
        .map(|((customer_id, good), line_count)| Order {
            id: 0,
            customer_id,
            status: good.then(|| random.weighted(&statuses)),
            day: 0,
            second: 0,
            lines: vec![],
            channel: random.weighted(&channels),
            shipping_cents: 0,
            line_count,
        })
        .collect()
}

impl Order {
    /// Fills the basket of an honest customer, within their budget.
    pub(super) fn fill(&mut self, random: &mut Random, products: &[Product], budget: i64) {
        let share = random.between(45, 100);
        let mut left = (5_000 + budget * (ORDINARY_CENTS_MAX - 5_000) / 1_000) * share / 100;
        let cheapest = products.iter().min_by_key(|product| product.price_cents);
        for line in 0..self.line_count {
            // Each line still to come keeps enough for something small.
            let at_most = left - 2_000 * (self.line_count - line - 1) as i64;
            let affordable: Vec<&Product> = products.iter().filter(|p| p.price_cents <= at_most).collect();
            let Some(product) =
                (if affordable.is_empty() { cheapest } else { Some(*random.pick(&affordable)) })
            else {
                break;
            };
            let wanted = random.weighted(&[(1, 72), (2, 20), (3, 8)]);
            let quantity = wanted.min(at_most / product.price_cents).max(1);
            let discount_percent = random.weighted(&[(0, 70), (5, 10), (10, 12), (20, 8)]);
            let line =
                Line { product_id: product.id, quantity, unit_cents: product.price_cents, discount_percent };
            left -= line.net_cents();
            self.lines.push(line);
        }
        let goods: i64 = self.lines.iter().map(Line::net_cents).sum();
        self.shipping_cents = if goods >= 10_000 { 0 } else { 599 };
    }

    /// Fills the basket of a fraudster: the same thing by the dozen.
    pub(super) fn fill_in_bulk(&mut self, random: &mut Random, products: &[Product]) {
        let (low, high) = BULK_PRICE_CENTS;
        let resellable: Vec<&Product> =
            products.iter().filter(|p| (low..=high).contains(&p.price_cents)).collect();
        let share = random.between(BULK_CENTS.0, BULK_CENTS.1) / self.line_count as i64;
        for _ in 0..self.line_count {
            let product = random.pick(&resellable);
            let quantity = ((share + product.price_cents / 2) / product.price_cents).max(1);
            self.lines.push(Line {
                product_id: product.id,
                quantity,
                unit_cents: product.price_cents,
                discount_percent: 0,
            });
        }
        if self.status.is_some() {
            self.status = Some(random.weighted(&[("delivered", 45), ("processing", 10), ("cancelled", 45)]));
        }
    }
}

/// Gives every order its day: one of a customer's good orders on the day dealt as their last, the others before it.
pub(super) fn date(seed: u64, orders: &mut [Order], last_days: &BTreeMap<i64, i64>) {
    let mut random = Random::new(seed, "shopsmart.orders.days");
    let mut dated = BTreeSet::new();
    for order in orders {
        let last_day = last_days.get(&order.customer_id).copied().unwrap_or(FIRST_DAY);
        let is_last = order.status.is_some() && dated.insert(order.customer_id);
        order.day = if is_last { last_day } else { random.between(FIRST_DAY, last_day) };
        // Overwritten where a payment says when.
        order.second = random.between(6 * 3_600, DAY_SECONDS - 1);
    }
}

/// Orders as PostgreSQL exports them.
pub(super) fn render_orders(seed: u64, orders: &[Order], delimiter: u8) -> Vec<Vec<u8>> {
    let typing = Sequences::new(seed, "shopsmart.orders.raw");
    orders
        .iter()
        .map(|order| {
            let random = &mut typing.at(order.id as u64);
            let status = match order.status {
                Some(status) => untidy(random, status),
                None if random.chance(25) => "  ".to_string(),
                None => String::new(),
            };
            let fields = [
                order.id.to_string(),
                order.customer_id.to_string(),
                sql_time(order.placed_at()),
                status,
                untidy(random, order.channel),
                untidy(random, "usd"),
                money(order.shipping_cents),
                money(order.total_cents()),
            ];
            csv_line(&fields, delimiter)
        })
        .collect()
}

/// Order lines as PostgreSQL exports them.
pub(super) fn render_items(orders: &[Order], delimiter: u8) -> Vec<Vec<u8>> {
    let lines =
        orders.iter().flat_map(|order| order.lines.iter().zip(1..).map(move |(line, n)| (order.id, n, line)));
    lines
        .zip(1..)
        .map(|((order_id, line_number, line), item_id): ((i64, i32, &Line), i64)| {
            let fields = [
                item_id.to_string(),
                order_id.to_string(),
                line_number.to_string(),
                line.product_id.to_string(),
                line.quantity.to_string(),
                money(line.unit_cents),
                line.discount_percent.to_string(),
            ];
            csv_line(&fields, delimiter)
        })
        .collect()
}
