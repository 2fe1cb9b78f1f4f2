//! Expectations and quarantine.
