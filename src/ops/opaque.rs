//! A value behind a pointer that hides its type from the compiler's auto traits.
//!
//! Syntax trees, logical plans and the engine's session state contain each other's types in many circles. Whether they
//! may cross threads is asked anew for every future that holds one, and each answer takes the compiler seconds (a check
//! of this crate took a minute and a half); behind this pointer it is asked once.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

trait Holds<T>: Send + Sync {
    fn held(&self) -> &T;
}

struct Holder<T>(T);

impl<T: Send + Sync> Holds<T> for Holder<T> {
    fn held(&self) -> &T {
        &self.0
    }
}

/// A shared, immutable value.
pub struct Opaque<T>(Arc<dyn Holds<T>>);

impl<T: Send + Sync + 'static> Opaque<T> {
    /// Puts a value behind the pointer.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Holder(value)))
    }
}

impl<T> Deref for Opaque<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.held()
    }
}

impl<T> Clone for Opaque<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Opaque<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.held().fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Opaque<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
