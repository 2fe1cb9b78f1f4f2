//! Seeds of random tests: printed before the run, given back to replay it.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// A generator from `SLUICE_TEST_SEED`, or from a new seed; either is printed with the test's name.
pub fn generator(test: &str) -> ChaCha8Rng {
    let seed = match env::var("SLUICE_TEST_SEED") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("SLUICE_TEST_SEED={text} is not a number")),
        Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()),
    };
    eprintln!("{test}: seed {seed} (SLUICE_TEST_SEED={seed} cargo test --test it -- {test} replays it)");
    ChaCha8Rng::seed_from_u64(seed)
}
