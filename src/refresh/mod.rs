//! Models: waves, lanes, epochs.
