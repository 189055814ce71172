//! A slab: entries by number. The number of an entry that is removed is used again.

use alloc::vec::Vec;
use core::{
    mem,
    num::NonZeroU32,
    ops::{Index, IndexMut},
};

use super::prefetch::prefetch;

/// Entries by their number, in one list, so the address of an entry follows from its number.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: Vec<Entry<T>>,
    /// The free entry that is used next.
    free: Option<Id>,
    len: usize,
}

/// The number of an entry. An `Option` of it takes four bytes, too: held calls have many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(NonZeroU32);

#[derive(Debug)]
enum Entry<T> {
    There(T),
    /// A free entry, and the free one that is used after it.
    Gone(Option<Id>),
}

// === impl Table ===

impl<T> Table<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn insert(&mut self, new: T) -> Id {
        self.len += 1;
        let Some(id) = self.free else {
            self.entries.push(Entry::There(new));
            return Id::of(self.entries.len() - 1);
        };
        let entry = &mut self.entries[id.index()];
        if let Entry::Gone(before) = entry {
            self.free = *before;
        }
        *entry = Entry::There(new);
        id
    }

    /// Removes what is there.
    pub(super) fn remove(&mut self, id: Id) -> T {
        match mem::replace(&mut self.entries[id.index()], Entry::Gone(self.free)) {
            Entry::There(it) => {
                self.free = Some(id);
                self.len -= 1;
                it
            }
            Entry::Gone(_) => gone(id),
        }
    }

    /// Fetches it into the cache: it is needed soon.
    pub(super) fn prefetch(&self, id: Id) {
        self.entries.get(id.index()).into_iter().for_each(prefetch);
    }

    pub(super) fn get(&self, id: Id) -> Option<&T> {
        match self.entries.get(id.index())? {
            Entry::There(it) => Some(it),
            Entry::Gone(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        match self.entries.get_mut(id.index())? {
            Entry::There(it) => Some(it),
            Entry::Gone(_) => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match entry {
            Entry::There(it) => Some((Id::of(index), it)),
            Entry::Gone(_) => None,
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut T)> {
        self.entries.iter_mut().enumerate().filter_map(|(index, entry)| match entry {
            Entry::There(it) => Some((Id::of(index), it)),
            Entry::Gone(_) => None,
        })
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: None, len: 0 }
    }
}

impl<T> Index<Id> for Table<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        self.get(id).unwrap_or_else(|| gone(id))
    }
}

impl<T> IndexMut<Id> for Table<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        self.get_mut(id).unwrap_or_else(|| gone(id))
    }
}

#[cold]
fn gone(id: Id) -> ! {
    unreachable!("nothing has the number {id:?} any more")
}

// === impl Id ===

impl Id {
    /// Four thousand million entries are more than any memory holds.
    fn of(index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Self(NonZeroU32::MIN.saturating_add(index))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A placeholder until the number is known.
impl Default for Id {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Red where a number is given twice, a place that is free is not taken again, or what is
        /// gone is still found.
        #[test]
        fn each_has_its_number(steps in prop::collection::vec(any::<(bool, u8)>(), 0..300)) {
            let (mut table, mut all, mut most) = (Table::default(), BTreeMap::new(), 0);
            for (comes, what) in steps {
                if comes || all.is_empty() {
                    assert_eq!(all.insert(table.insert(what), what), None);
                    most = most.max(all.len());
                } else {
                    let id = *all.keys().nth(usize::from(what) % all.len()).unwrap();
                    assert_eq!(Some(table.remove(id)), all.remove(&id));
                    assert_eq!(table.get(id), None);
                }
                assert_eq!((table.len(), table.entries.len()), (all.len(), most));
                assert!(table.iter().map(|(id, what)| (id, *what)).eq(all.clone()));
                assert!(all.iter().all(|(id, what)| table[*id] == *what));
            }
        }
    }
}
