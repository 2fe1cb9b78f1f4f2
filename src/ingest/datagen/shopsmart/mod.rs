//! The ShopSmart data set: a shop's raw exports, made from a seed, with known answers planted in them.
//!
//! Comes in: a seed. Goes out: a [`DataSet`], from which every generator takes its records, and its [`Truth`]: what a
//! warehouse must find. Counts that tell of quality (quarantined orders, missing e-mails, negative stock) are the same
//! for every seed; which rows they are, and the sizes of segments and risk tiers, differ a little from seed to seed.
//!
//! The order of making is the order of dependence: baskets fix amounts; amounts fix frequency and money spent, so
//! recency is dealt last and the segments come out as planned; amounts fix which payments stand out, so risk signals
//! are dealt last and the tiers come out as planned. Nothing is ever fitted to the queries' answers.

mod catalogue;
mod clickstream;
mod customers;
mod orders;
mod payments;
mod recency;
mod render;
mod truth;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use truth::Truth;

pub(super) use catalogue::{PRODUCT_COUNT, STOCK_HEADER, list_price_cents};
pub(super) use clickstream::{Click, Visit};
pub(super) use orders::{ITEM_HEADER, ORDER_HEADER};

use super::Generator;

/// Everything that one seed makes.
#[derive(Debug)]
pub(super) struct DataSet {
    seed: u64,
    products: Vec<catalogue::Product>,
    stock: Vec<catalogue::Stock>,
    customers: Vec<customers::Customer>,
    orders: Vec<orders::Order>,
    payments: Vec<payments::Payment>,
    clicks: Vec<Click>,
}

impl DataSet {
    /// Makes the data set of a seed: the same on every machine.
    pub(super) fn new(seed: u64) -> Self {
        let products = catalogue::products(seed);
        let stock = catalogue::stock(seed);
        let buyers = customers::buyers(seed);
        let mut orders = orders::draft(seed, &buyers);
        let mut payments = payments::draft(seed, &mut orders, &products, &buyers);
        payments::deal_signals(seed, &mut payments);
        let last_days = recency::deal(seed, &buyers, &orders, &payments);
        orders::date(seed, &mut orders, &last_days);
        payments::date(seed, &mut payments, &mut orders);
        let customers = customers::customers(seed, &buyers, &orders);
        let clicks = clickstream::clicks(seed);
        Self { seed, products, stock, customers, orders, payments, clicks }
    }

    /// What a warehouse must find in it.
    pub(super) fn truth(&self) -> Truth {
        Truth::of(self)
    }

    /// The raw records of one bounded generator, in order. `delimiter` separates the fields of CSV.
    pub(super) fn records(&self, generator: Generator, delimiter: u8) -> Vec<Vec<u8>> {
        match generator {
            Generator::Customers => customers::render(self.seed, &self.customers),
            Generator::Products => catalogue::render_products(&self.products),
            Generator::Inventory => catalogue::render_stock(&self.stock, delimiter),
            Generator::Orders => orders::render_orders(self.seed, &self.orders, delimiter),
            Generator::OrderItems => orders::render_items(&self.orders, delimiter),
            Generator::Payments => payments::render(self.seed, &self.payments),
            Generator::Clickstream => self.clicks.iter().map(Click::render).collect(),
            Generator::StreamingClickstream | Generator::Sales => vec![],
        }
    }
}

/// Days since 1970 of the first day that orders have, 2024-01-01.
const FIRST_DAY: i64 = 19_723;
/// Days since 1970 of the last one, 2025-12-31.
const LAST_DAY: i64 = 20_453;
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;
