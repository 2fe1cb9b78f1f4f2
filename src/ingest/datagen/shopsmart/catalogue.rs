//! Products, and the daily snapshot of what the warehouses hold.

use super::super::random::Random;
use super::render::{csv_line, date, iso_time, json_money};
use super::vocabulary::{PRODUCTS, WAREHOUSES};
use super::{DAY_SECONDS, FIRST_DAY, LAST_DAY};
use serde_json::json;

/// How many products the shop has.
pub(in super::super) const PRODUCT_COUNT: u64 = PRODUCTS.len() as u64;
/// How many stock rows are negative by mistake.
const NEGATIVE_STOCK: usize = 4;

/// The fields of the inventory snapshot.
pub(in super::super) const STOCK_HEADER: &[&str] =
    &["snapshot_date", "warehouse", "product_id", "quantity_on_hand", "quantity_reserved", "reorder_point"];

/// The list price of a product, whose ids start at 1.
pub(in super::super) fn list_price_cents(product_id: i64) -> i64 {
    PRODUCTS[(product_id - 1) as usize].4
}

/// A product.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) id: i64,
    pub(super) price_cents: i64,
    cost_cents: i64,
    weight_grams: i64,
    updated_at: i64,
}

/// How much of a product a warehouse holds.
#[derive(Debug)]
pub(super) struct Stock {
    warehouse: &'static str,
    product_id: i64,
    pub(super) on_hand: i64,
    reserved: i64,
    reorder_point: i64,
}

/// The catalogue.
pub(super) fn products(seed: u64) -> Vec<Product> {
    let mut random = Random::new(seed, "shopsmart.products");
    PRODUCTS
        .iter()
        .zip(1..)
        .map(|(product, id)| Product {
            id,
            price_cents: product.4,
            cost_cents: product.4 * random.between(48, 72) / 100,
            weight_grams: random.between(1, 60) * 50,
            updated_at: FIRST_DAY * DAY_SECONDS - random.between(1, 200 * DAY_SECONDS),
        })
        .collect()
}

/// One snapshot: every product in every warehouse.
pub(super) fn stock(seed: u64) -> Vec<Stock> {
    let mut random = Random::new(seed, "shopsmart.inventory");
    let mut stock: Vec<Stock> = WAREHOUSES
        .iter()
        .flat_map(|warehouse| (1..=PRODUCT_COUNT as i64).map(move |product_id| (*warehouse, product_id)))
        .map(|(warehouse, product_id)| {
            let on_hand = random.between(0, 240);
            Stock {
                warehouse,
                product_id,
                on_hand,
                reserved: random.between(0, on_hand / 4),
                reorder_point: random.between(2, 8) * 5,
            }
        })
        .collect();
    for index in random.sample(stock.len(), NEGATIVE_STOCK) {
        stock[index].on_hand = -random.between(1, 15);
        stock[index].reserved = 0;
    }
    stock
}

/// Products as a document store exports them.
pub(super) fn render_products(products: &[Product]) -> Vec<Vec<u8>> {
    products
        .iter()
        .map(|product| {
            let (name, category, subcategory, brand, _) = PRODUCTS[(product.id - 1) as usize];
            json!({
                "product_id": product.id,
                "sku": format!("{}-{:04}", category[..3].to_lowercase(), product.id),
                "name": name,
                "category": { "main": category, "sub": subcategory },
                "pricing": {
                    "list": json_money(product.price_cents),
                    "cost": json_money(product.cost_cents),
                    "currency": "usd",
                },
                "attributes": { "brand": brand, "weight_grams": product.weight_grams },
                "tags": [category.to_lowercase(), brand.to_lowercase()],
                "updated_at": iso_time(product.updated_at),
            })
            .to_string()
            .into_bytes()
        })
        .collect()
}

/// The snapshot as CSV.
pub(super) fn render_stock(stock: &[Stock], delimiter: u8) -> Vec<Vec<u8>> {
    stock
        .iter()
        .map(|row| {
            let fields = [
                date(LAST_DAY),
                row.warehouse.to_string(),
                row.product_id.to_string(),
                row.on_hand.to_string(),
                row.reserved.to_string(),
                row.reorder_point.to_string(),
            ];
            csv_line(&fields, delimiter)
        })
        .collect()
}
