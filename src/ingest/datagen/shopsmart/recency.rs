//! When customers were last seen: dealt so that the RFM segments come out as planned.
//!
//! How often they order and what they have paid is settled when this runs. Recency is independent of both as far as
//! the data is concerned, so it can be handed out freely: first roughly as real customers behave (who buys much was
//! here lately), then swapped between customers until every segment has its size.

use super::super::random::Random;
use super::LAST_DAY;
use super::customers::Buyer;
use super::orders::Order;
use super::payments::Payment;
use super::truth::{SEGMENTS, frequency_and_money, quintiles, segment};
use std::collections::BTreeMap;

/// Sizes of [`SEGMENTS`], give or take what the seed says.
const SEGMENT_SIZES: [i64; 5] = [87, 132, 150, 67, 52];
/// Customers that may move between neighbouring segments from seed to seed.
const DRIFT_MAX: i64 = 3;
/// Days since the last order for scores 1 to 5. The bands do not touch, so that no tie stands on a border.
const DAYS: [(i64, i64); 5] = [(171, 420), (81, 170), (36, 80), (13, 35), (0, 12)];
/// Swaps that are tried at most; a few thousand do.
const SWAPS_MAX: usize = 200_000;

/// The day of every buyer's last order, by customer id.
pub(super) fn deal(
    seed: u64,
    buyers: &[Buyer],
    orders: &[Order],
    payments: &[Payment],
) -> BTreeMap<i64, i64> {
    let mut random = Random::new(seed, "shopsmart.recency");
    let behaviour = frequency_and_money(orders, payments);
    let frequency = quintiles(behaviour.iter().map(|(id, (orders, _))| (*orders, *id)));
    let money = quintiles(behaviour.iter().map(|(id, (_, cents))| (*cents, *id)));
    let ids: Vec<i64> = buyers.iter().map(|buyer| buyer.customer_id).collect();
    let base: Vec<i64> = ids
        .iter()
        .map(|id| frequency.get(id).copied().unwrap_or(1) + money.get(id).copied().unwrap_or(1))
        .collect();

    // As behaviour suggests, with much chance in it.
    let suggested =
        quintiles(base.iter().zip(&ids).map(|(base, id)| (base * 100 + random.between(0, 400), *id)));
    let mut scores: Vec<i64> = ids.iter().map(|id| suggested.get(id).copied().unwrap_or(1)).collect();
    settle(&mut random, &base, &mut scores);

    let mut days: BTreeMap<i64, i64> = BTreeMap::new();
    for (id, score) in ids.iter().zip(&scores) {
        let (low, high) = DAYS[(*score - 1) as usize];
        days.insert(*id, LAST_DAY - random.between(low, high));
    }
    // Somebody orders on the newest day, from which recency counts.
    if let Some((id, _)) = ids.iter().zip(&scores).find(|(_, score)| **score == 5) {
        days.insert(*id, LAST_DAY);
    }
    days
}

/// Swaps scores until the segments have their sizes. How many customers have each score does not change.
fn settle(random: &mut Random, base: &[i64], scores: &mut [i64]) {
    let mut wanted = SEGMENT_SIZES;
    for border in 1..wanted.len() {
        let moved = random.between(-DRIFT_MAX, DRIFT_MAX);
        wanted[border - 1] -= moved;
        wanted[border] += moved;
    }
    let mut sizes = [0; SEGMENTS.len()];
    for (base, score) in base.iter().zip(scores.iter()) {
        sizes[segment(base + score)] += 1;
    }
    let distance = |sizes: &[i64; 5]| -> i64 { sizes.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).sum() };
    let mut now = distance(&sizes);
    for _ in 0..SWAPS_MAX {
        if now == 0 {
            return;
        }
        let (a, b) = (random.below(base.len() as u64) as usize, random.below(base.len() as u64) as usize);
        let mut swapped = sizes;
        swapped[segment(base[a] + scores[a])] -= 1;
        swapped[segment(base[b] + scores[b])] -= 1;
        swapped[segment(base[a] + scores[b])] += 1;
        swapped[segment(base[b] + scores[a])] += 1;
        let then = distance(&swapped);
        if then <= now {
            (sizes, now) = (swapped, then);
            scores.swap(a, b);
        }
    }
}
