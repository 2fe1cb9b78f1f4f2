//! A panic ends the piece of work that it came of, not the task that goes on to the next.

use futures::FutureExt as _;
use std::any::Any;
use std::panic::AssertUnwindSafe;

/// What a piece of work comes to, or what its panic says. Nothing may be left half done behind it that the caller goes on
/// with.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| text(&*panic))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_panic_says_is_told() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        assert_eq!(caught(async { panic!("one") }).await, Err::<(), _>("one".to_string()));
        let two = 2;
        assert_eq!(
            caught(async { assert_eq!(two, 1) }).await.unwrap_err().lines().next(),
            Some("assertion `left == right` failed")
        );
    }
}
