//! A sorted set, and a map, for the few elements that most of them have here: one takes no memory of
//! its own, and up to a dozen or so lie side by side, where a look at one brings the others along.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::mem;

use super::prefetch::prefetch_list;

/// A sorted set.
#[derive(Debug, Default)]
pub(super) enum Few<T> {
    #[default]
    None,
    One(T),
    /// From the second one until the last has gone, in order.
    Some(Vec<T>),
    /// From the one that is too many until the last has gone.
    #[expect(clippy::box_collection, reason = "one takes as little memory as it can")]
    Many(Box<BTreeSet<T>>),
}

/// A map in the order of its keys.
#[derive(Debug)]
pub(super) enum FewBy<K, V> {
    One(K, V),
    /// None, or from the second one until the last has gone, in order. The keys lie apart, so that
    /// a search among them looks at no value but the one that it finds.
    Some(Vec<K>, Vec<V>),
    /// From the one that is too many until the last has gone. Boxed, because a node of the tree has
    /// room for eleven.
    Many(BTreeMap<K, Box<V>>),
}

/// So many lie side by side: to make room for one among them is cheaper than a tree.
const SOME: usize = 16;

// === impl Few ===

impl<T: Copy + Ord> Few<T> {
    /// It is looked at soon.
    pub(super) fn prefetch(&self) {
        if let Self::Some(some) = self {
            prefetch_list(some);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn first(&self) -> Option<T> {
        match self {
            Self::None => None,
            Self::One(one) => Some(*one),
            Self::Some(some) => some.first().copied(),
            Self::Many(many) => many.first().copied(),
        }
    }

    pub(super) fn insert(&mut self, new: T) {
        match self {
            Self::None => *self = Self::One(new),
            Self::One(one) if *one == new => {}
            Self::One(one) => *self = Self::Some(vec![new.min(*one), new.max(*one)]),
            Self::Some(some) => {
                let Err(at) = some.binary_search(&new) else { return };
                if some.len() < SOME {
                    some.insert(at, new);
                } else {
                    let all = mem::take(some).into_iter().chain([new]);
                    *self = Self::Many(Box::new(all.collect()));
                }
            }
            Self::Many(many) => {
                many.insert(new);
            }
        }
    }

    /// Tells whether it was there.
    pub(super) fn remove(&mut self, gone: T) -> bool {
        let (was_there, is_empty) = match self {
            Self::None => (false, true),
            Self::One(one) => (*one == gone, *one == gone),
            Self::Some(some) => {
                let at = some.binary_search(&gone);
                if let Ok(at) = at {
                    some.remove(at);
                }
                (at.is_ok(), some.is_empty())
            }
            Self::Many(many) => (many.remove(&gone), many.is_empty()),
        };
        if is_empty {
            *self = Self::None;
        }
        was_there
    }
}

// === impl FewBy ===

impl<K: Copy + Ord, V> FewBy<K, V> {
    /// It is looked at soon.
    pub(super) fn prefetch(&self) {
        if let Self::Some(keys, values) = self {
            prefetch_list(keys);
            prefetch_list(values);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Some(keys, _) if keys.is_empty())
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::One(one, value) => (one == key).then_some(value),
            Self::Some(keys, values) => keys.binary_search(key).ok().map(|at| &values[at]),
            Self::Many(many) => many.get(key).map(|value| &**value),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::One(one, value) => (one == key).then_some(value),
            Self::Some(keys, values) => keys.binary_search(key).ok().map(|at| &mut values[at]),
            Self::Many(many) => many.get_mut(key).map(|value| &mut **value),
        }
    }

    /// What is there for that key, or else comes there.
    pub(super) fn get_or_insert_with(&mut self, key: K, new: impl Fn() -> V) -> &mut V {
        self.make_room(&key, &new);
        match self {
            Self::One(_, value) => value,
            Self::Some(keys, values) => {
                let at = keys.binary_search(&key).unwrap_or_else(|at| {
                    keys.insert(at, key);
                    values.insert(at, new());
                    at
                });
                &mut values[at]
            }
            Self::Many(many) => many.entry(key).or_insert_with(|| Box::new(new())),
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        let is_empty = match self {
            Self::One(one, _) => one == key,
            Self::Some(keys, values) => {
                if let Ok(at) = keys.binary_search(key) {
                    keys.remove(at);
                    values.remove(at);
                }
                keys.is_empty()
            }
            Self::Many(many) => {
                many.remove(key);
                many.is_empty()
            }
        };
        if is_empty {
            *self = Self::default();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (one, some, many) = match self {
            Self::One(key, value) => (Some((key, value)), None, None),
            Self::Some(keys, values) => (None, Some(keys.iter().zip(values)), None),
            Self::Many(many) => (None, None, Some(many)),
        };
        let some = some.into_iter().flatten();
        let many = many.into_iter().flatten().map(|(key, value)| (key, &**value));
        one.into_iter().chain(some).chain(many)
    }

    /// Takes the form in which there is room for that key.
    fn make_room(&mut self, key: &K, new: impl Fn() -> V) {
        let all = match self {
            Self::Some(keys, _) if keys.is_empty() => return *self = Self::One(*key, new()),
            Self::One(one, _) if one != key => mem::take(self),
            Self::Some(keys, _) if keys.len() == SOME && keys.binary_search(key).is_err() => {
                mem::take(self)
            }
            _ => return,
        };
        *self = match all {
            Self::One(one, value) => Self::Some(vec![one], vec![value]),
            Self::Some(keys, values) => {
                Self::Many(keys.into_iter().zip(values.into_iter().map(Box::new)).collect())
            }
            Self::Many(many) => Self::Many(many),
        };
    }
}

impl<K, V> Default for FewBy<K, V> {
    fn default() -> Self {
        Self::Some(Vec::new(), Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Red where some are lost when one too many comes, or one stays when it is taken out.
        #[test]
        fn few_are_as_many(steps in prop::collection::vec((0..24_u8, 0..3_u8), 0..300)) {
            let (mut set, mut map, mut all) = (Few::None, FewBy::default(), BTreeMap::new());
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
