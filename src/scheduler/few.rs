//! A sorted set that takes no memory of its own while it has one element, as most sets here do.

use std::collections::BTreeSet;

/// A sorted set, mostly of one.
#[derive(Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    /// From the second one until the last has gone.
    Many(BTreeSet<T>),
}

// === impl Few ===

impl<T: Copy + Ord> Few<T> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn first(&self) -> Option<T> {
        match self {
            Self::None => None,
            Self::One(one) => Some(*one),
            Self::Many(many) => many.first().copied(),
        }
    }

    /// The first that is not before `bound`.
    pub(super) fn first_from(&self, bound: T) -> Option<T> {
        match self {
            Self::None => None,
            Self::One(one) => Some(*one).filter(|one| *one >= bound),
            Self::Many(many) => many.range(bound..).next().copied(),
        }
    }

    pub(super) fn insert(&mut self, new: T) {
        match self {
            Self::None => *self = Self::One(new),
            Self::One(one) if *one == new => {}
            Self::One(one) => *self = Self::Many(BTreeSet::from([*one, new])),
            Self::Many(many) => {
                many.insert(new);
            }
        }
    }

    pub(super) fn remove(&mut self, gone: T) {
        let is_empty = match self {
            Self::None => true,
            Self::One(one) => *one == gone,
            Self::Many(many) => {
                many.remove(&gone);
                many.is_empty()
            }
        };
        if is_empty {
            *self = Self::None;
        }
    }
}
