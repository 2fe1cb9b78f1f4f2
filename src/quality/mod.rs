//! Expectations, quarantine, audits, incidents.
//!
//! Comes in: a model's output rows and its rules. Goes out: the rows that may be kept, the rows that are set apart with
//! rule and reason, and how many passed and failed each rule. Rows in = rows kept + dropped + quarantined.
//!
//! Of a result as a whole comes in what its rules counted and what its audits found; goes out a [`Verdict`], whose
//! objection, if it has one, keeps the result from being committed.

mod difference;
mod expectations;
mod incidents;
mod picked;
mod quarantine;
mod rows;
mod subject;
mod verdict;

pub use difference::difference;
pub use expectations::{Judged, RuleCount, Rules};
pub use incidents::{Health, Incident, Incidents};
pub use picked::{Picked, Place, Predicate, Replayed, TakenOut, take_out};
pub use quarantine::{ApartState, Entry, Trace};
pub use rows::shown;
pub use subject::{LOOKED_AT, blotted, blotted_remarks, blotted_text, mentions, set_apart, told, without};
pub use verdict::{Audited, Verdict};
