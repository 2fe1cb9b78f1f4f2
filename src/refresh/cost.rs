//! Whether a refresh takes the change or the whole: weighed by what both took before.

/// How much dearer the change must look before the whole is taken: a guess should win clearly.
const DEARER_MIN: f64 = 1.5;
/// A smaller change than the last is not taken to cost less than this share of it: part of it is paid whatever changes.
const SHARE_MIN: f64 = 0.25;
/// After so many wholes the change is tried again: what it took may have been another's fault.
const WHOLES_MAX: u32 = 20;

/// What a model's refreshes took, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    whole: Option<f64>,
    /// How many input rows had changed, and what it took.
    change: Option<(u64, f64)>,
    /// Wholes taken since a change was.
    wholes: u32,
}

impl Past {
    /// Notes that the whole was computed.
    pub(super) fn took_whole(&mut self, seconds: f64) {
        self.whole = Some(self.whole.map_or(seconds, |before| (before + seconds) / 2.0));
        self.wholes += 1;
    }

    /// Notes that a change of so many input rows was.
    pub(super) fn took_change(&mut self, rows: u64, seconds: f64) {
        self.change = Some((rows, seconds));
        self.wholes = 0;
    }

    /// Why the whole is taken rather than a change of so many input rows; `None` when it is not, as where one of them
    /// was never tried.
    pub(super) fn why_whole(&self, rows: u64) -> Option<String> {
        let (whole, (rows_before, seconds)) = (self.whole?, self.change?);
        let share = (rows as f64 / rows_before.max(1) as f64).max(SHARE_MIN);
        let change = seconds * share;
        let is_cheaper = change > whole * DEARER_MIN && self.wholes < WHOLES_MAX;
        is_cheaper.then(|| {
            let ms = |seconds: f64| (seconds * 1000.0).round();
            format!(
                "by past runs {rows} changed input rows would take {} ms, all of it {} ms",
                ms(change),
                ms(whole)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_taken_when_it_was_clearly_cheaper() {
        let mut past = Past::default();
        past.took_whole(0.1);
        assert_eq!(past.why_whole(1_000), None, "no change was tried yet");
        past.took_change(1_000, 0.12);
        assert_eq!(past.why_whole(1_000), None, "hardly dearer");
        let why = past.why_whole(2_000).unwrap();
        assert_eq!(why, "by past runs 2000 changed input rows would take 240 ms, all of it 100 ms");
        assert_eq!(past.why_whole(10), None, "a small change is not as dear as a large one");
        past.took_change(1_000, 1.0);
        assert!(past.why_whole(1).is_some(), "but not as cheap as its rows");
    }

    #[test]
    fn the_change_is_tried_again_after_many_wholes() {
        let mut past = Past::default();
        past.took_change(1_000, 1.0);
        for _ in 0..WHOLES_MAX {
            past.took_whole(0.1);
        }
        assert_eq!(past.why_whole(1_000), None);
        past.took_change(1_000, 1.0);
        assert!(past.why_whole(1_000).is_some());
    }
}
