//! A sorted set and a sorted map that most often have few elements: one element takes no memory of
//! its own, and up to [`SORTED`] lie side by side in a sorted list, where a look at one brings the
//! others into the cache, too. Beyond that they are in a tree.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::mem;

use super::prefetch::prefetch_list;

/// A sorted set that most often has few elements.
#[derive(Debug, Default)]
pub(super) enum SmallSet<T> {
    #[default]
    Empty,
    One(T),
    /// From the second element on until the last has gone, in order.
    Sorted(Vec<T>),
    /// From the first element that a list is too short for until the last has gone.
    #[expect(clippy::box_collection, reason = "one takes as little memory as it can")]
    Tree(Box<BTreeSet<T>>),
}

/// A map in the order of its keys that most often has few elements.
#[derive(Debug)]
pub(super) enum SmallMap<K, V> {
    One(K, V),
    /// Empty, or from the second element on until the last has gone, in order. The keys lie apart,
    /// so that a search among them looks at no value but the one that it finds.
    Sorted(Vec<K>, Vec<V>),
    /// From the first element that a list is too short for until the last has gone. The values are
    /// boxed, because a node of the tree has space for eleven.
    Tree(BTreeMap<K, Box<V>>),
}

/// At most so many elements lie in a list: up to there, to insert one is cheaper than in a tree.
const SORTED: usize = 16;

// === impl SmallSet ===

impl<T: Copy + Ord> SmallSet<T> {
    /// Fetches it into the cache: it is needed soon.
    pub(super) fn prefetch(&self) {
        if let Self::Sorted(list) = self {
            prefetch_list(list);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub(super) fn first(&self) -> Option<T> {
        match self {
            Self::Empty => None,
            Self::One(one) => Some(*one),
            Self::Sorted(list) => list.first().copied(),
            Self::Tree(tree) => tree.first().copied(),
        }
    }

    pub(super) fn insert(&mut self, new: T) {
        match self {
            Self::Empty => *self = Self::One(new),
            Self::One(one) if *one == new => {}
            Self::One(one) => *self = Self::Sorted(vec![new.min(*one), new.max(*one)]),
            Self::Sorted(list) => {
                let Err(at) = list.binary_search(&new) else { return };
                if list.len() < SORTED {
                    list.insert(at, new);
                } else {
                    let all = mem::take(list).into_iter().chain([new]);
                    *self = Self::Tree(Box::new(all.collect()));
                }
            }
            Self::Tree(tree) => {
                tree.insert(new);
            }
        }
    }

    /// Returns whether it was there.
    pub(super) fn remove(&mut self, gone: T) -> bool {
        let (was_there, is_empty) = match self {
            Self::Empty => (false, true),
            Self::One(one) => (*one == gone, *one == gone),
            Self::Sorted(list) => {
                let at = list.binary_search(&gone);
                if let Ok(at) = at {
                    list.remove(at);
                }
                (at.is_ok(), list.is_empty())
            }
            Self::Tree(tree) => (tree.remove(&gone), tree.is_empty()),
        };
        if is_empty {
            *self = Self::Empty;
        }
        was_there
    }
}

// === impl SmallMap ===

impl<K: Copy + Ord, V> SmallMap<K, V> {
    /// Fetches it into the cache: it is needed soon.
    pub(super) fn prefetch(&self) {
        if let Self::Sorted(keys, values) = self {
            prefetch_list(keys);
            prefetch_list(values);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Sorted(keys, _) if keys.is_empty())
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::One(one, value) => (one == key).then_some(value),
            Self::Sorted(keys, values) => keys.binary_search(key).ok().map(|at| &values[at]),
            Self::Tree(tree) => tree.get(key).map(|value| &**value),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::One(one, value) => (one == key).then_some(value),
            Self::Sorted(keys, values) => keys.binary_search(key).ok().map(|at| &mut values[at]),
            Self::Tree(tree) => tree.get_mut(key).map(|value| &mut **value),
        }
    }

    /// The value of that key, which is inserted if there is none.
    pub(super) fn get_or_insert_with(&mut self, key: K, new: impl Fn() -> V) -> &mut V {
        self.grow_for(&key, &new);
        match self {
            Self::One(_, value) => value,
            Self::Sorted(keys, values) => {
                let at = keys.binary_search(&key).unwrap_or_else(|at| {
                    keys.insert(at, key);
                    values.insert(at, new());
                    at
                });
                &mut values[at]
            }
            Self::Tree(tree) => tree.entry(key).or_insert_with(|| Box::new(new())),
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        let is_empty = match self {
            Self::One(one, _) => one == key,
            Self::Sorted(keys, values) => {
                if let Ok(at) = keys.binary_search(key) {
                    keys.remove(at);
                    values.remove(at);
                }
                keys.is_empty()
            }
            Self::Tree(tree) => {
                tree.remove(key);
                tree.is_empty()
            }
        };
        if is_empty {
            *self = Self::default();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (one, list, tree) = match self {
            Self::One(key, value) => (Some((key, value)), None, None),
            Self::Sorted(keys, values) => (None, Some(keys.iter().zip(values)), None),
            Self::Tree(tree) => (None, None, Some(tree)),
        };
        let list = list.into_iter().flatten();
        let tree = tree.into_iter().flatten().map(|(key, value)| (key, &**value));
        one.into_iter().chain(list).chain(tree)
    }

    /// Takes the form that has space for that key.
    fn grow_for(&mut self, key: &K, new: impl Fn() -> V) {
        let all = match self {
            Self::Sorted(keys, _) if keys.is_empty() => return *self = Self::One(*key, new()),
            Self::One(one, _) if one != key => mem::take(self),
            Self::Sorted(keys, _) if keys.len() == SORTED && keys.binary_search(key).is_err() => {
                mem::take(self)
            }
            _ => return,
        };
        *self = match all {
            Self::One(one, value) => Self::Sorted(vec![one], vec![value]),
            Self::Sorted(keys, values) => {
                Self::Tree(keys.into_iter().zip(values.into_iter().map(Box::new)).collect())
            }
            Self::Tree(tree) => Self::Tree(tree),
        };
    }
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Sorted(Vec::new(), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Red where elements are lost when a list becomes a tree, or one stays that is removed.
        #[test]
        fn a_small_set_and_map_behave_as_large_ones(
            steps in prop::collection::vec((0..24_u8, 0..3_u8), 0..300),
        ) {
            let (mut set, mut map, mut all) = (SmallSet::Empty, SmallMap::default(), BTreeMap::new());
            for (number, (key, what)) in steps.into_iter().enumerate() {
                // Two of three come, so that there are many at times.
                if what > 0 {
                    set.insert(key);
                    let there = *map.get_or_insert_with(key, || number);
                    assert_eq!(there, *all.entry(key).or_insert(number));
                } else {
                    assert_eq!(set.remove(key), all.remove(&key).is_some());
                    map.remove(&key);
                }
                assert_eq!(set.is_empty(), all.is_empty());
                assert_eq!(set.first(), all.keys().next().copied());
                assert_eq!(map.is_empty(), all.is_empty());
                assert!(map.iter().eq(&all));
                for key in 0..24 {
                    assert_eq!(map.get(&key), all.get(&key));
                    assert_eq!(map.get_mut(&key), all.get_mut(&key));
                }
            }
        }
    }
}
