//! Wires the stages together; owns start order and stop order.
