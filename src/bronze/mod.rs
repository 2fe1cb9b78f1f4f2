//! Rows and positions become one Delta commit.
