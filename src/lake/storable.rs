//! Which Arrow types our Delta tables can hold, and what a query's output is cast to.
