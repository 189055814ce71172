//! Things that are told apart by a number, which another one may have once they are gone.

use std::{
    num::NonZeroU32,
    ops::{Index, IndexMut},
};

use slab::Slab;

/// Things by their number.
#[derive(Debug)]
pub(super) struct Table<T>(Slab<T>);

/// A thing's number, or none, in four bytes: what is held is full of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(NonZeroU32);

// === impl Table ===

impl<T> Table<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&mut self, new: T) -> Id {
        Id::of(self.0.insert(new))
    }

    /// Removes what is there.
    pub(super) fn remove(&mut self, id: Id) -> T {
        self.0.remove(id.index())
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.0.get(id.index())
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.0.get_mut(id.index())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.0.iter().map(|(index, it)| (Id::of(index), it))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut T)> {
        self.0.iter_mut().map(|(index, it)| (Id::of(index), it))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Slab::new())
    }
}

impl<T> Index<Id> for Table<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        &self.0[id.index()]
    }
}

impl<T> IndexMut<Id> for Table<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        &mut self.0[id.index()]
    }
}

// === impl Id ===

impl Id {
    /// Four thousand million things are more than any memory holds.
    fn of(index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The first one's, until it is known which.
impl Default for Id {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}
