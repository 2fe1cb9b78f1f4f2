//! Expectations and quarantine.
//!
//! Comes in: a model's output rows and its rules. Goes out: the rows that may be kept, the rows that are set apart with
//! rule and reason, and how many passed and failed each rule. Rows in = rows kept + dropped + quarantined.

mod expectations;

pub use expectations::{Judged, RuleCount, Rules};
