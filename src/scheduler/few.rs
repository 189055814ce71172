//! A sorted set, and a map, that take no memory of their own while they have one element, as most
//! of them here do.

use std::collections::{BTreeMap, BTreeSet};

/// A sorted set, mostly of one.
#[derive(Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    /// From the second one until the last has gone.
    Many(BTreeSet<T>),
}

/// A map in the order of its keys, mostly of one.
#[derive(Debug)]
pub(super) enum FewBy<K, V> {
    One(K, V),
    /// None, or from the second one until the last has gone. Boxed, because most have two or
    /// three then, and a node of the tree is for eleven.
    Many(BTreeMap<K, Box<V>>),
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

// === impl FewBy ===

impl<K: Copy + Ord, V> FewBy<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::One(one, value) => (one == key).then_some(value),
            Self::Many(many) => many.get(key).map(|value| &**value),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::One(one, value) => (one == key).then_some(value),
            Self::Many(many) => many.get_mut(key).map(|value| &mut **value),
        }
    }

    /// What is there for that key, or else comes there.
    pub(super) fn get_or_insert_with(&mut self, key: K, new: impl Fn() -> V) -> &mut V {
        match self {
            Self::One(one, _) if *one != key => {
                if let Self::One(one, value) = std::mem::take(self) {
                    *self = Self::Many(BTreeMap::from([(one, Box::new(value))]));
                }
            }
            Self::Many(many) if many.is_empty() => *self = Self::One(key, new()),
            _ => {}
        }
        match self {
            Self::One(_, value) => value,
            Self::Many(many) => many.entry(key).or_insert_with(|| Box::new(new())),
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        match self {
            Self::One(one, _) if one == key => *self = Self::default(),
            Self::One(..) => {}
            Self::Many(many) => {
                many.remove(key);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (one, many) = match self {
            Self::One(key, value) => (Some((key, value)), None),
            Self::Many(many) => (None, Some(many)),
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(key, value)| (key, &**value)))
    }
}

impl<K, V> Default for FewBy<K, V> {
    fn default() -> Self {
        Self::Many(BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Red where the one is lost when a second comes, or stays when it is taken out.
        #[test]
        fn few_are_as_many(steps in prop::collection::vec((0..4_u8, any::<bool>()), 0..60)) {
            let (mut set, mut map, mut all) = (Few::None, FewBy::default(), BTreeMap::new());
            for (number, (key, comes)) in steps.into_iter().enumerate() {
                if comes {
                    set.insert(key);
                    let there = *map.get_or_insert_with(key, || number);
                    assert_eq!(there, *all.entry(key).or_insert(number));
                } else {
                    set.remove(key);
                    map.remove(&key);
                    all.remove(&key);
                }
                assert_eq!(set.is_empty(), all.is_empty());
                assert_eq!(set.first(), all.keys().next().copied());
                assert!(map.iter().eq(&all));
                for key in 0..4 {
                    assert_eq!(set.first_from(key), all.range(key..).map(|(key, _)| *key).next());
                    assert_eq!(map.get(&key), all.get(&key));
                    assert_eq!(map.get_mut(&key), all.get_mut(&key));
                }
            }
        }
    }
}
