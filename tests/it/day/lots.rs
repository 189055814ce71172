//! A channel through which things go in lots, because one at a time would cost as much as what it
//! is about.

use std::{
    mem,
    sync::mpsc::{self, SyncSender},
};

/// Its sending end.
pub(super) struct Teller<T> {
    lot: Vec<T>,
    lots: SyncSender<Vec<T>>,
}

/// So many go together: few enough that those under way leave room in a cache.
const LOT: usize = 512;
/// So many lots may be on their way.
const UNDER_WAY: usize = 16;

/// Both ends.
pub(super) fn channel<T>() -> (Teller<T>, impl Iterator<Item = T>) {
    let (lots, told) = mpsc::sync_channel(UNDER_WAY);
    (Teller { lot: Vec::new(), lots }, told.into_iter().flatten())
}

// === impl Teller ===

impl<T> Teller<T> {
    pub(super) fn tell(&mut self, what: T) {
        self.lot.push(what);
        if self.lot.len() == LOT {
            self.send();
        }
    }

    fn send(&mut self) {
        // Should nobody listen any more, its thread has failed, and says why when it is joined.
        let _ = self.lots.send(mem::replace(&mut self.lot, Vec::with_capacity(LOT)));
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        self.send();
    }
}
