//! A bucket's name: its limit, and the values that it counts by.

use alloc::{format, sync::Arc};
use core::{
    fmt,
    hash::{Hash, Hasher},
};

use crate::{Limit, Scope};

/// Which bucket: a limit and the values it counts by.
///
/// Limits are told apart by name; one name has one definition.
#[derive(Clone, Debug)]
pub struct BucketKey {
    /// The limit.
    pub limit: Arc<Limit>,
    /// The values of the limit's dimensions, widest first, as `A1/T1/conversations.close`.
    pub values: Arc<str>,
}

// === impl BucketKey ===

impl BucketKey {
    /// The same limit and the same values, of another identity.
    #[must_use]
    pub fn of_identity(&self, identity: &str) -> Self {
        let (.., rest) = self.split();
        Self { limit: Arc::clone(&self.limit), values: format!("{identity}{rest}").into() }
    }

    /// The dimensions of its identity, their values, and the values of the other dimensions.
    pub fn split(&self) -> (Scope, &str, &str) {
        let scope = self.limit.scope.identity();
        let mut ends = self.values.match_indices('/').map(|(at, _)| at);
        let end = match scope.len() as usize {
            0 => 0,
            parts => ends.nth(parts - 1).unwrap_or(self.values.len()),
        };
        let (identity, rest) = self.values.split_at(end);
        (scope, identity, rest)
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
