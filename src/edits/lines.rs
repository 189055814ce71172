//! The newest edit of each thing, while it is on its way: the one that a newer edit may replace.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use dashmap::{DashMap, Entry};
use foldhash::quality::RandomState;

use super::thing::{Edit, Thing};
use crate::{
    call::{Call, several::Content},
    joint::{Joint, WeakJoint},
};

/// The newest edit of each thing. Clones are one book.
#[derive(Debug)]
pub struct EditBook<E> {
    inner: Arc<Inner<E>>,
}

#[derive(Debug)]
struct Inner<E> {
    lines: DashMap<Thing, Line<E>, RandomState>,
    /// How many there are, so that a call that is none of them costs a look at a number.
    open: AtomicUsize,
    last: AtomicU64,
}

/// An edit that may be replaced while it is held.
#[derive(Debug)]
struct Line<E> {
    number: u64,
    method: Arc<str>,
    joint: WeakJoint<E>,
    /// What it says by now.
    edit: Edit,
    /// How often it was replaced.
    newer: Arc<AtomicU64>,
}

/// A call that waits for an edit, its own or a newer one.
pub(super) struct Turn<E> {
    pub(super) joint: Joint<E>,
    /// How often the edit has been replaced, and how often it had been with this call.
    newer: Arc<AtomicU64>,
    own: u64,
}

/// An edit is on its way, until this is dropped.
struct UnderWay<E> {
    book: EditBook<E>,
    thing: Thing,
    number: u64,
}

/// A map with room for so many is made smaller when it is empty.
const LARGE: usize = 1024;

// === impl EditBook ===

impl<E> EditBook<E> {
    /// Whether some edit is on its way that might be replaced.
    pub(super) fn is_used(&self) -> bool {
        self.inner.open.load(Relaxed) > 0
    }

    /// How many edits are on their way that may be, or might have been, replaced.
    pub fn open(&self) -> usize {
        self.inner.open.load(Relaxed)
    }

    /// Whether there is an edit of that thing that might be replaced.
    pub(super) fn has(&self, thing: &Thing) -> bool {
        self.inner.lines.contains_key(thing)
    }

    /// The edit of that thing is replaced by no call that comes later: another one stands between them.
    pub(super) fn close(&self, thing: &Thing) {
        if self.inner.lines.remove(thing).is_some() {
            self.inner.open.fetch_sub(1, Relaxed);
        }
    }
}

impl<E: Send + 'static> EditBook<E> {
    /// Lets a call take the place of the held edit of that thing, if it says all of it anew and there is
    /// memory for a second copy of it. Its turn is then that of the older one.
    pub(super) fn replace(&self, thing: &Thing, call: &Call, edit: &Edit) -> Option<Turn<E>> {
        // Dropped after the guard: it may be the last one that waits, and then its line goes.
        let joint;
        let mut line = self.inner.lines.get_mut(thing)?;
        let is_same = call.method.as_ref().is_some_and(|method| method.name == line.method);
        if !is_same || !edit.replaces(&line.edit) {
            return None;
        }
        joint = line.joint.upgrade()?;
        let (head, body) = (call.head.clone(), call.body.copy()?);
        let content = Content { head, body, record: Arc::clone(&call.record) };
        if joint.several().replace(content).is_err() {
            drop(line);
            return None;
        }
        line.edit = edit.clone();
        let newer = Arc::clone(&line.newer);
        let own = newer.fetch_add(1, Relaxed) + 1;
        drop(line);
        Some(Turn { joint, newer, own })
    }

    /// A call is the newest edit of that thing, by itself, and begins its way with what it is given.
    pub(super) fn begin(
        &self,
        thing: Thing,
        method: &Arc<str>,
        edit: Edit,
        begin: impl FnOnce(Box<dyn Send>) -> Joint<E>,
    ) -> Turn<E>
    where
        E: Send,
    {
        let number = self.inner.last.fetch_add(1, Relaxed);
        let guard = UnderWay { book: self.clone(), thing: thing.clone(), number };
        let joint = begin(Box::new(guard));
        let newer = Arc::new(AtomicU64::new(0));
        if let Some(weak) = joint.downgrade() {
            let (method, newer) = (Arc::clone(method), Arc::clone(&newer));
            let line = Line { number, method, joint: weak, edit, newer };
            match self.inner.lines.entry(thing) {
                Entry::Occupied(mut before) => drop(before.insert(line)),
                Entry::Vacant(free) => {
                    free.insert(line);
                    self.inner.open.fetch_add(1, Relaxed);
                }
            }
        }
        Turn { joint, newer, own: 0 }
    }
}

impl<E> Clone for EditBook<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E> Default for EditBook<E> {
    fn default() -> Self {
        let (open, last) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { lines: DashMap::default(), open, last }) }
    }
}

// === impl Turn ===

impl<E> Turn<E> {
    /// How many newer edits have taken the place of this one.
    pub(super) fn superseded(&self) -> u64 {
        self.newer.load(Relaxed).saturating_sub(self.own)
    }

    /// Whether it took the place of an older one.
    pub(super) fn joined(&self) -> bool {
        self.own > 0
    }
}

// === impl UnderWay ===

impl<E> Drop for UnderWay<E> {
    fn drop(&mut self) {
        let Inner { lines, open, .. } = &*self.book.inner;
        let is_own = |_: &Thing, line: &Line<E>| line.number == self.number;
        if lines.remove_if(&self.thing, is_own).is_some()
            && open.fetch_sub(1, Relaxed) == 1
            && lines.capacity() > LARGE
        {
            lines.shrink_to_fit();
        }
    }
}
