//! A bucket's name: its limit, and the values that it counts by.

use alloc::sync::Arc;
use core::{
    fmt,
    hash::{Hash, Hasher},
};

use crate::{Dimension, Limit, Scope, Values};

/// Which bucket: a limit and the values it counts by.
///
/// Limits are told apart by name; one name has one definition.
#[derive(Clone, Debug)]
pub struct BucketKey {
    /// The limit.
    pub limit: Arc<Limit>,
    /// The values of the limit's dimensions.
    pub values: Values,
}

// === impl BucketKey ===

impl BucketKey {
    /// The value of a dimension, if its limit counts by that.
    pub fn value(&self, by: Dimension) -> Option<&str> {
        self.values.get(self.limit.scope, by)
    }

    /// The same limit and the same values, of another identity.
    #[must_use]
    pub fn of_identity(&self, identity: &str) -> Self {
        let values = self.values.of_identity(self.limit.scope, identity);
        Self { limit: Arc::clone(&self.limit), values }
    }

    /// The dimensions of its identity, and their values.
    pub fn identity(&self) -> (Scope, &str) {
        let scope = self.limit.scope;
        (scope.identity(), self.values.split(scope).0)
    }
}

impl PartialEq for BucketKey {
    fn eq(&self, other: &Self) -> bool {
        let same_limit =
            Arc::ptr_eq(&self.limit, &other.limit) || self.limit.name == other.limit.name;
        same_limit && self.values == other.values
    }
}

impl Eq for BucketKey {}

impl Hash for BucketKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.limit.name.hash(state);
        self.values.hash(state);
    }
}

impl fmt::Display for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.limit.name, self.values)
    }
}
