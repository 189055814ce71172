//! The reads that may be joined, and the answers that are remembered. It outlives a reload.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use dashmap::{DashMap, Entry as MapEntry};
use foldhash::quality::RandomState;
use tokio_util::sync::CancellationToken;

use super::{
    key::{Known, ReadKey, Words},
    memory::Memory,
    writes::Writes,
};
use crate::{
    call::Call,
    joint::{Joint, SavedMetrics, WeakJoint},
};

/// The reads that may be joined, and the answers that are remembered. Clones share them.
#[derive(Debug)]
pub struct ReadBook<E> {
    shared: Arc<Inner<E>>,
}

#[derive(Debug)]
pub(super) struct Inner<E> {
    /// Those that somebody waits for.
    joints: DashMap<ReadKey, Entry<E>, RandomState>,
    /// How many there are, so that a call that has nothing to do with them costs a look at a number.
    count: AtomicUsize,
    numbers: AtomicU64,
    pub(super) memory: Memory,
    pub(super) writes: Writes,
}

#[derive(Debug)]
struct Entry<E> {
    number: u64,
    words: Words,
    joint: WeakJoint<E>,
}

/// Takes a read out of the book when nobody waits for it any more, unless another one has its place.
struct Over<E> {
    book: ReadBook<E>,
    key: ReadKey,
    number: u64,
}

/// How a read is to the call that it waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is its own.
    Leads,
    /// It has joined it, and asks in the same words.
    Same,
    /// It has joined it, and asks in others.
    Other,
}

/// What operators are shown of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadsSnapshot {
    /// Reads that are held or under way and may be joined.
    pub joinable: usize,
    /// Answers that are remembered.
    pub remembered: usize,
    /// How much memory these take.
    pub bytes: usize,
}

/// A map with room for so many is made smaller when it is empty.
const LARGE: usize = 1024;

// === impl ReadBook ===

impl<E: Send + 'static> ReadBook<E> {
    /// An empty one. The metrics tell how much it remembers.
    pub fn new(metrics: &SavedMetrics) -> Self {
        Self {
            shared: Arc::new(Inner {
                joints: DashMap::default(),
                count: AtomicUsize::new(0),
                numbers: AtomicU64::new(0),
                memory: Memory::new(metrics),
                writes: Writes::new(),
            }),
        }
    }

    /// Forgets answers when it is time, until told to end.
    pub async fn keep_time(&self, end: CancellationToken) {
        self.shared.memory.keep_time(end).await;
    }

    /// Whether some read may be joined, or might have been.
    pub(super) fn is_used(&self) -> bool {
        self.shared.count.load(Relaxed) > 0
    }

    pub(super) fn inner(&self) -> &Inner<E> {
        &self.shared
    }

    /// A read whose answer is the call's, too: one that is not sent yet, or that was sent when no write had ended
    /// that it might not know of.
    pub(super) fn joinable(&self, read: &Known, call: &Call) -> Option<(Joint<E>, Part)> {
        // It leaves the map before it is looked at: it may be the last that holds its call, and then ends it,
        // which takes it out of the map.
        let entry = self.shared.joints.get(&read.key)?.clone();
        let joint = entry.joint.upgrade().filter(|joint| self.may_be_joined(joint, call))?;
        Some((joint, entry.part(read)))
    }

    /// The same, or one that may be joined from now on, which `begin` makes with a guard that takes it out again.
    pub(super) fn join_or_lead(
        &self,
        read: &Known,
        call: &Call,
        begin: impl FnOnce(Box<dyn Send>) -> Joint<E>,
    ) -> (Joint<E>, Part) {
        let Inner { joints, count, numbers, .. } = &*self.shared;
        // Both are dropped when the map is free again, as above.
        let (older, joint);
        let entry = joints.entry(read.key);
        if let MapEntry::Occupied(entry) = &entry {
            older = entry.get().joint.upgrade();
            if let Some(joint) = older.as_ref().filter(|joint| self.may_be_joined(joint, call)) {
                return (joint.clone(), entry.get().part(read));
            }
        }
        let number = numbers.fetch_add(1, Relaxed);
        joint = begin(Box::new(Over { book: self.clone(), key: read.key, number }));
        if let Some(weak) = joint.downgrade() {
            if matches!(entry, MapEntry::Vacant(_)) {
                count.fetch_add(1, Relaxed);
            }
            drop(entry.insert(Entry { number, words: read.words, joint: weak }));
        }
        (joint, Part::Leads)
    }

    fn may_be_joined(&self, joint: &Joint<E>, call: &Call) -> bool {
        let is_new = |sent| !self.shared.writes.has_ended_since(sent, call);
        joint.several().under_way().is_none_or(is_new)
    }

    /// What operators are shown.
    pub fn snapshot(&self) -> ReadsSnapshot {
        let Inner { count, memory, .. } = &*self.shared;
        ReadsSnapshot {
            joinable: count.load(Relaxed),
            remembered: memory.len(),
            bytes: memory.bytes(),
        }
    }
}

impl<E> Clone for ReadBook<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

// === impl Entry ===

impl<E> Entry<E> {
    /// How that read is to it.
    fn part(&self, read: &Known) -> Part {
        if self.words == read.words { Part::Same } else { Part::Other }
    }
}

impl<E> Clone for Entry<E> {
    fn clone(&self) -> Self {
        Self { joint: self.joint.clone(), ..*self }
    }
}

// === impl Over ===

impl<E> Drop for Over<E> {
    fn drop(&mut self) {
        let Inner { joints, count, .. } = &*self.book.shared;
        if joints.remove_if(&self.key, |_, entry| entry.number == self.number).is_some()
            && count.fetch_sub(1, Relaxed) == 1
            && joints.capacity() > LARGE
        {
            joints.shrink_to_fit();
        }
    }
}
