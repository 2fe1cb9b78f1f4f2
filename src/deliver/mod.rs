//! What leaves the warehouse for others, without their asking for it. Nothing here holds up what the warehouse does: what
//! cannot be delivered is tried again, then given up, and said.

pub mod alerts;
pub mod openlineage;
