//! What can be generated, by name.

use super::live::{Sales, StreamingClickstream};
use super::shopsmart::{DataSet, ITEM_HEADER, ORDER_HEADER, STOCK_HEADER};
use chrono::{DateTime, Utc};
use std::borrow::Cow;

/// A generator: bounded ones give an export that is over, live ones a stream that never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// `shopsmart.customers`
    Customers,
    /// `shopsmart.products`
    Products,
    /// `shopsmart.orders`
    Orders,
    /// `shopsmart.order_items`
    OrderItems,
    /// `shopsmart.inventory`
    Inventory,
    /// `shopsmart.payments`
    Payments,
    /// `shopsmart.clickstream`
    Clickstream,
    /// `shopsmart.streaming_clickstream`
    StreamingClickstream,
    /// `shopsmart.sales`
    Sales,
}

/// How a generator writes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One JSON object.
    Json,
    /// One line of CSV with these fields.
    Csv(&'static [&'static str]),
}

impl Generator {
    /// All of them.
    pub const ALL: [Generator; 9] = [
        Generator::Customers,
        Generator::Products,
        Generator::Orders,
        Generator::OrderItems,
        Generator::Inventory,
        Generator::Payments,
        Generator::Clickstream,
        Generator::StreamingClickstream,
        Generator::Sales,
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|generator| generator.name() == name)
    }

    /// Its name, as `generator = '...'` has it.
    pub fn name(self) -> &'static str {
        match self {
            Generator::Customers => "shopsmart.customers",
            Generator::Products => "shopsmart.products",
            Generator::Orders => "shopsmart.orders",
            Generator::OrderItems => "shopsmart.order_items",
            Generator::Inventory => "shopsmart.inventory",
            Generator::Payments => "shopsmart.payments",
            Generator::Clickstream => "shopsmart.clickstream",
            Generator::StreamingClickstream => "shopsmart.streaming_clickstream",
            Generator::Sales => "shopsmart.sales",
        }
    }

    /// What it gives, in a line.
    pub fn description(self) -> &'static str {
        match self {
            Generator::Customers => "customers of a REST API, nested",
            Generator::Products => "products of a document store, nested",
            Generator::Orders => "orders exported from PostgreSQL",
            Generator::OrderItems => "order lines exported from PostgreSQL",
            Generator::Inventory => "the daily snapshot of the warehouses' stock",
            Generator::Payments => "payments of a gateway, fraud among them",
            Generator::Clickstream => "a month of page views",
            Generator::StreamingClickstream => "page views as they happen",
            Generator::Sales => "sales of twelve stores as they happen",
        }
    }

    /// How it writes a record.
    pub fn encoding(self) -> Encoding {
        match self {
            Generator::Orders => Encoding::Csv(ORDER_HEADER),
            Generator::OrderItems => Encoding::Csv(ITEM_HEADER),
            Generator::Inventory => Encoding::Csv(STOCK_HEADER),
            _ => Encoding::Json,
        }
    }

    /// How many records it has; `None` when there is no end.
    pub fn bound(self) -> Option<u64> {
        match self {
            Generator::Customers => Some(500),
            Generator::Products => Some(50),
            Generator::Orders | Generator::Payments => Some(2_000),
            Generator::OrderItems => Some(4_904),
            Generator::Inventory => Some(150),
            Generator::Clickstream => Some(3_000),
            Generator::StreamingClickstream | Generator::Sales => None,
        }
    }

    /// True when it never ends.
    pub fn is_live(self) -> bool {
        self.bound().is_none()
    }

    /// Records a second when nothing else is said; 0 is as fast as can be.
    pub fn rows_per_second(self) -> u32 {
        match self {
            Generator::StreamingClickstream => 20,
            Generator::Sales => 50,
            _ => 0,
        }
    }

    /// Its records under a seed. `delimiter` separates the fields of CSV.
    pub fn records(self, seed: u64, delimiter: u8) -> Records {
        Records(match self {
            Generator::StreamingClickstream => {
                Kind::StreamingClickstream(Box::new(StreamingClickstream::new(seed)))
            }
            Generator::Sales => Kind::Sales(Box::new(Sales::new(seed))),
            _ => Kind::Made(DataSet::new(seed).records(self, delimiter)),
        })
    }
}

/// A generator's records under one seed, by index.
#[derive(Debug)]
pub struct Records(Kind);

#[derive(Debug)]
enum Kind {
    Made(Vec<Vec<u8>>),
    StreamingClickstream(Box<StreamingClickstream>),
    Sales(Box<Sales>),
}

impl Records {
    /// Record `index`: the same bytes whenever it is asked for, but for the event time of live streams, which is
    /// `now`. `None` beyond the end.
    pub fn record(&self, index: u64, now: DateTime<Utc>) -> Option<Cow<'_, [u8]>> {
        match &self.0 {
            Kind::Made(records) => usize::try_from(index)
                .ok()
                .and_then(|index| records.get(index))
                .map(|r| Cow::Borrowed(&r[..])),
            Kind::StreamingClickstream(stream) => Some(Cow::Owned(stream.record(index, now))),
            Kind::Sales(stream) => Some(Cow::Owned(stream.record(index, now))),
        }
    }
}
