//! All cells, found by what they need.

use core::{
    hash::BuildHasher,
    ops::{Index, IndexMut},
};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use limits::Class;

use super::{
    cell::{BucketId, BucketIds, Cell, CellId},
    table::Table,
};

/// The cells, each until its last call has left it.
#[derive(Debug, Default)]
pub(super) struct Cells {
    all: Table<Cell>,
    /// Of each class, by the buckets that stand in the cell.
    by_buckets: [HashTable<CellId>; 3],
    hasher: RandomState,
}

// === impl Cells ===

impl Cells {
    /// The cell of that class and these buckets; a new one stands in the line of `blocking`.
    pub(super) fn of(&mut self, class: Class, buckets: &[BucketId], blocking: BucketId) -> CellId {
        let Self { all, by_buckets, hasher } = self;
        let ids = &mut by_buckets[class.index()];
        let hash = hasher.hash_one(buckets);
        if let Some(id) = ids.find(hash, |id| *all[*id].buckets == *buckets) {
            return *id;
        }
        let id = all.insert(Cell::new(BucketIds::from_slice(buckets), blocking));
        ids.insert_unique(hash, id, |id| hasher.hash_one(&*all[*id].buckets));
        id
    }

    /// It is looked at soon.
    pub(super) fn prefetch(&self, id: CellId) {
        self.all.prefetch(id);
    }

    /// So is the cell of that class whose calls need just these buckets. Tells which it is, by its
    /// hash.
    pub(super) fn prefetch_of(&self, class: Class, buckets: &[BucketId]) -> Option<CellId> {
        let hash = self.hasher.hash_one(buckets);
        let id = self.by_buckets[class.index()].find(hash, |_| true).copied();
        id.inspect(|id| self.prefetch(*id))
    }

    /// Drops a cell of that class.
    pub(super) fn remove(&mut self, class: Class, id: CellId) {
        let hash = self.hasher.hash_one(&*self.all[id].buckets);
        if let Ok(entry) = self.by_buckets[class.index()].find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.all.remove(id);
    }
}

impl Index<CellId> for Cells {
    type Output = Cell;

    fn index(&self, id: CellId) -> &Cell {
        &self.all[id]
    }
}

impl IndexMut<CellId> for Cells {
    fn index_mut(&mut self, id: CellId) -> &mut Cell {
        &mut self.all[id]
    }
}
