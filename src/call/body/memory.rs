//! How many bytes of bodies are held, and whose: a part of what may be held is for those who hold less than
//! their share, as the last tenth of a queue is.
//!
//! Bytes are counted from their arrival till their call is answered or shed, for one caller's calls
//! of one class. What else is asked of them depends on how long they stay:
//!
//! - *A call that is to wait* needs room in the first nine tenths.
//! - *A body that is being read* and a call that goes at once may also have half of the last tenth. They
//!   are soon gone, and of a call that has been read it is known when there is room for it.
//! - *The rest* is for those who hold less than an equal share of all.
//!
//! Until a body is read, only its headers say whose it is. That is asked when it matters: most bodies
//! come while there is plenty of room.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use limits::Class;
use scheduler::CallerId;

use super::BodyError;

/// How many bytes of bodies may be held, over all calls.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    most: usize,
    taken: AtomicUsize,
    /// What each owner has of that, and how many have any.
    accounts: Box<[AtomicUsize]>,
    owners: AtomicUsize,
}

/// Whose bytes they are: those of one caller's calls of one class. Of many callers, two may share an
/// account, and then their share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(u16);

/// Bytes that a call holds; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: usize,
    owner: Option<Owner>,
    of: Memory,
}

/// The last of so many equal parts is for those who have less than their share.
const LAST: usize = 10;

/// Callers with an account of their own, as far as their hashes differ in that.
const CALLERS: u16 = 4096;

// === impl Memory ===

impl Memory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        let accounts = usize::from(CALLERS) * Class::ALL.len();
        let inner = Inner {
            most: bytes,
            taken: AtomicUsize::new(0),
            accounts: (0..accounts).map(|_| AtomicUsize::new(0)).collect(),
            owners: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(inner) }
    }

    pub(super) fn nothing(&self) -> Reservation {
        Reservation { bytes: 0, owner: None, of: self.clone() }
    }
}

// === impl Inner ===

impl Inner {
    /// How much all may hold before it matters who holds how much.
    fn for_all(&self) -> usize {
        self.most - self.most / LAST
    }

    /// The same for what is soon gone.
    fn for_a_moment(&self) -> usize {
        self.most - self.most / LAST / 2
    }

    fn account(&self, owner: Owner) -> &AtomicUsize {
        &self.accounts[usize::from(owner.0)]
    }

    fn add(&self, owner: Owner, bytes: usize) {
        if bytes > 0 && self.account(owner).fetch_add(bytes, Relaxed) == 0 {
            self.owners.fetch_add(1, Relaxed);
        }
    }

    fn take(&self, owner: Owner, bytes: usize) {
        if bytes > 0 && self.account(owner).fetch_sub(bytes, Relaxed) == bytes {
            self.owners.fetch_sub(1, Relaxed);
        }
    }

    /// Whether an owner holds no more than its share, these bytes included, which it holds already.
    /// There is always a share left for whoever comes next.
    fn is_share(&self, owner: Owner, bytes: usize) -> bool {
        let own = self.account(owner).load(Relaxed);
        let owners = self.owners.load(Relaxed);
        let before = if own == bytes { owners.saturating_sub(1) } else { owners };
        own <= self.most / (before + 1)
    }
}

// === impl Owner ===

impl Owner {
    /// That caller's calls of that class.
    pub fn of(caller: CallerId, class: Class) -> Self {
        let caller = u16::try_from(caller.0 % u64::from(CALLERS)).unwrap_or_default();
        let class = u16::try_from(class.index()).unwrap_or_default();
        Self(class * CALLERS + caller)
    }
}

// === impl Reservation ===

impl Reservation {
    /// How many bytes it is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// As many more bytes have come of a body. When that matters, `owner` says whose it is; without
    /// an owner it is the proxy's own.
    pub(super) fn grow(
        &mut self,
        bytes: usize,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Result<(), BodyError> {
        let Inner { most, taken, .. } = &*self.of.shared;
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| taken <= most);
        let before = taken.fetch_update(Relaxed, Relaxed, more).map_err(|_| BodyError::Memory)?;
        self.bytes += bytes;
        if let Some(owner) = self.owner {
            self.of.shared.add(owner, bytes);
        }
        if before + bytes <= self.of.shared.for_a_moment() {
            return Ok(());
        }
        if let Some(owner) = owner() {
            self.belongs_to(owner);
            if !self.of.shared.is_share(owner, self.bytes) {
                return Err(BodyError::Memory);
            }
        }
        Ok(())
    }

    /// It is known whose they are.
    pub(super) fn belongs_to(&mut self, owner: Owner) {
        let shared = &self.of.shared;
        if self.owner != Some(owner) {
            shared.add(owner, self.bytes);
            if let Some(before) = self.owner.replace(owner) {
                shared.take(before, self.bytes);
            }
        }
    }

    /// Whether a call may wait with it.
    pub(super) fn may_wait(&self) -> bool {
        let shared = &self.of.shared;
        self.bytes == 0
            || shared.taken.load(Relaxed) <= shared.for_all()
            || self.owner.is_none_or(|owner| shared.is_share(owner, self.bytes))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.of.shared.taken.fetch_sub(self.bytes, Relaxed);
        if let Some(owner) = self.owner {
            self.of.shared.take(owner, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(caller: u64, class: Class) -> Owner {
        Owner::of(CallerId(caller), class)
    }

    /// A body of that owner's, if it may be read.
    fn read(memory: &Memory, bytes: usize, owner: Owner) -> Option<Reservation> {
        let mut read = memory.nothing();
        read.grow(bytes, || Some(owner)).ok()?;
        read.belongs_to(owner);
        Some(read)
    }

    /// A call of that owner's that waits, if it may.
    fn held(memory: &Memory, bytes: usize, owner: Owner) -> Option<Reservation> {
        read(memory, bytes, owner).filter(Reservation::may_wait)
    }

    fn flood(memory: &Memory, bytes: usize, owner: Owner) -> Vec<Reservation> {
        std::iter::from_fn(|| held(memory, bytes, owner)).take(10_000).collect()
    }

    /// Red when the last tenth is like the rest, and when it is nobody's.
    #[test]
    fn the_last_tenth_is_for_who_has_less_than_its_share() {
        let memory = Memory::new(1_000);
        let [job, bot] = [1, 2].map(|caller| owner(caller, Class::Normal));
        let mut held_by_job = flood(&memory, 10, job);
        assert_eq!(held_by_job.len(), 90, "nine tenths");
        assert_eq!(flood(&memory, 10, bot).len(), 10);
        let bots = flood(&memory, 10, bot);
        assert!(held(&memory, 1, job).is_none());
        drop(bots);
        held_by_job.truncate(89);
        assert!(held(&memory, 10, job).is_some(), "as before");
    }

    /// Red when an owner is a caller whatever the class.
    #[test]
    fn a_callers_clicks_are_none_of_its_jobs() {
        let memory = Memory::new(1_000);
        let _jobs = flood(&memory, 10, owner(1, Class::Background));
        assert!(held(&memory, 10, owner(1, Class::Interactive)).is_some());
    }

    /// Red when what is read has no part of the last tenth, and when it has all of it.
    #[test]
    fn what_is_soon_gone_may_have_half_of_the_last_tenth() {
        let memory = Memory::new(1_000);
        let [job, bot] = [1, 2].map(|caller| owner(caller, Class::Normal));
        let _held = flood(&memory, 10, job);
        let read_by_job: Vec<_> = std::iter::from_fn(|| read(&memory, 10, job)).collect();
        assert_eq!(read_by_job.len(), 5);
        assert!(held(&memory, 10, bot).is_some());
    }

    /// Red when a body that has not been read is nobody's.
    #[test]
    fn bodies_that_are_being_read_are_their_callers_where_it_matters() {
        let memory = Memory::new(1_000);
        let job = owner(1, Class::Normal);
        let mut reading: Vec<_> = (0..5).map(|_| memory.nothing()).collect();
        let mut rounds = 0;
        while reading.iter_mut().all(|body| body.grow(10, || Some(job)).is_ok()) {
            rounds += 1;
        }
        assert_eq!(rounds, 19, "95 of 100 parts");
        assert!(held(&memory, 10, owner(2, Class::Normal)).is_some());
    }

    /// Red when an account keeps what is dropped, or what has become another's.
    #[test]
    fn nothing_is_left_of_what_is_dropped() {
        let memory = Memory::new(1_000);
        let [job, bot] = [1, 2].map(|caller| owner(caller, Class::Normal));
        let mut moved = read(&memory, 100, job).unwrap();
        moved.belongs_to(bot);
        assert_eq!(memory.shared.account(job).load(Relaxed), 0);
        assert_eq!(memory.shared.owners.load(Relaxed), 1);
        drop((moved, flood(&memory, 7, job)));
        assert_eq!(memory.shared.taken.load(Relaxed), 0);
        assert_eq!(memory.shared.owners.load(Relaxed), 0);
        let left = memory.shared.accounts.iter().filter(|account| account.load(Relaxed) > 0);
        assert_eq!(left.count(), 0);
    }

    /// Red when a call that finds nothing held has to be smaller than nine tenths.
    #[test]
    fn one_body_may_have_all() {
        let memory = Memory::new(1_000);
        assert!(held(&memory, 1_000, owner(1, Class::Normal)).is_some());
        assert!(held(&memory, 1_001, owner(1, Class::Normal)).is_none());
    }
}
