//! Customers: who they are, and how much they like to buy.

use super::super::random::{Random, Sequences};
use super::orders::Order;
use super::render::{iso_time, untidy};
use super::vocabulary::{CITIES, FIRST_NAMES, LAST_NAMES, MAIL_DOMAINS, STREETS};
use super::{DAY_SECONDS, FIRST_DAY, LAST_DAY};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many customers there are.
pub(super) const CUSTOMER_COUNT: usize = 500;
/// How many of them have ordered.
const BUYER_COUNT: usize = 488;
/// How many have left no e-mail address.
const MISSING_EMAIL: usize = 53;

/// A customer who buys.
#[derive(Debug)]
pub(super) struct Buyer {
    pub(super) customer_id: i64,
    /// How readily they come back, 0 to 1000.
    pub(super) loyalty: i64,
    /// How much they spend when they do, 0 to 1000.
    pub(super) budget: i64,
}

/// A customer.
#[derive(Debug)]
pub(super) struct Customer {
    id: i64,
    first_name: &'static str,
    last_name: &'static str,
    pub(super) email: Option<String>,
    phone: String,
    street: String,
    city: usize,
    postal_code: String,
    newsletter: bool,
    created_at: i64,
}

/// Who buys, by customer id. Loyal customers tend to spend more.
pub(super) fn buyers(seed: u64) -> Vec<Buyer> {
    let mut random = Random::new(seed, "shopsmart.buyers");
    let mut who = random.sample(CUSTOMER_COUNT, BUYER_COUNT);
    who.sort_unstable();
    who.into_iter()
        .map(|index| {
            let loyalty = random.between(0, 1_000);
            let budget = (loyalty + random.between(0, 1_000)) / 2;
            Buyer { customer_id: index as i64 + 1, loyalty, budget }
        })
        .collect()
}

/// All customers. Each was there before the first thing they ordered.
pub(super) fn customers(seed: u64, buyers: &[Buyer], orders: &[Order]) -> Vec<Customer> {
    let mut random = Random::new(seed, "shopsmart.customers");
    let mut first_day: BTreeMap<i64, i64> = BTreeMap::new();
    for order in orders {
        let day = first_day.entry(order.customer_id).or_insert(order.day);
        *day = order.day.min(*day);
    }
    debug_assert!(buyers.iter().all(|buyer| first_day.contains_key(&buyer.customer_id)));
    let mut without_email = random.sample(CUSTOMER_COUNT, MISSING_EMAIL);
    without_email.sort_unstable();
    (1..=CUSTOMER_COUNT as i64)
        .map(|id| {
            let first_name = *random.pick(FIRST_NAMES);
            let last_name = *random.pick(LAST_NAMES);
            let city = random.below(CITIES.len() as u64) as usize;
            let before = first_day.get(&id).copied().unwrap_or(random.between(FIRST_DAY, LAST_DAY));
            let domain = *random.pick(MAIL_DOMAINS);
            let email = without_email
                .binary_search(&(id as usize - 1))
                .is_err()
                .then(|| format!("{}.{}{id}@{domain}", ascii(first_name), ascii(last_name)));
            Customer {
                id,
                first_name,
                last_name,
                email,
                phone: phone(&mut random),
                street: format!("{} {}", random.between(1, 2_400), random.pick(STREETS)),
                city,
                postal_code: format!("{}{:02}", CITIES[city].2, random.below(100)),
                newsletter: random.chance(40),
                created_at: before * DAY_SECONDS - random.between(1, 300 * DAY_SECONDS),
            }
        })
        .collect()
}

/// Customers as a REST API gives them.
pub(super) fn render(seed: u64, customers: &[Customer]) -> Vec<Vec<u8>> {
    let typing = Sequences::new(seed, "shopsmart.customers.raw");
    customers
        .iter()
        .map(|customer| {
            let random = &mut typing.at(customer.id as u64);
            let (city, state, _) = CITIES[customer.city];
            let mut contact = json!({ "phone": customer.phone });
            match &customer.email {
                Some(email) => contact["email"] = untidy(random, email).into(),
                // Missing in the three ways in which it is missing in practice.
                None => match random.below(3) {
                    0 => contact["email"] = Value::Null,
                    1 => contact["email"] = "".into(),
                    _ => {}
                },
            }
            json!({
                "customer_id": customer.id,
                "name": {
                    "first": untidy(random, customer.first_name),
                    "last": untidy(random, customer.last_name),
                },
                "contact": contact,
                "address": {
                    "street": customer.street,
                    "city": untidy(random, city),
                    "state": untidy(random, state),
                    "postal_code": customer.postal_code,
                    "country": untidy(random, "us"),
                },
                "preferences": { "newsletter": customer.newsletter, "language": "en" },
                "created_at": iso_time(customer.created_at),
            })
            .to_string()
            .into_bytes()
        })
        .collect()
}

fn phone(random: &mut Random) -> String {
    let (area, line) = (random.between(201, 989), random.below(10_000));
    match random.below(3) {
        0 => format!("+1 ({area}) 555-{line:04}"),
        1 => format!("{area}-555-{line:04}"),
        _ => format!("+1{area}555{line:04}"),
    }
}

/// A name as it stands in an e-mail address.
fn ascii(name: &str) -> String {
    name.chars()
        .filter_map(|letter| match letter {
            'é' | 'ë' => Some('e'),
            'ö' | 'ó' => Some('o'),
            'í' => Some('i'),
            'ü' => Some('u'),
            letter if letter.is_ascii_alphabetic() => Some(letter.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}
