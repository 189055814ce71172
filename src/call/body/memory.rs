//! How many calls are here with how many bytes of headers and bodies, and whose: a part of what may be here
//! is for those who have less than their share, as the last tenth of a queue is.
//!
//! A call counts from the arrival of its headers till it is answered or shed, and so do its bytes, for one
//! caller's calls of one class. What else is asked of bytes depends on how long they stay:
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

/// How many bytes may be held, over all calls, and how many calls there may be.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Accounts>,
}

#[derive(Debug)]
struct Accounts {
    bytes: Ledger,
    calls: Ledger,
}

/// So much of something, and who has it.
#[derive(Debug)]
struct Ledger {
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

/// What a call holds; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: usize,
    /// Of its headers. The rest is its body's.
    head: usize,
    /// One, or none where it is the proxy's own.
    calls: usize,
    owner: Option<Owner>,
    of: Memory,
}

/// The last of so many equal parts is for those who have less than their share.
const LAST: usize = 10;

/// Callers with an account of their own, as far as their hashes differ in that.
const CALLERS: u16 = 4096;

// === impl Memory ===

impl Memory {
    /// So many bytes, and so many calls at once.
    pub fn new(bytes: usize, calls: usize) -> Self {
        let accounts = Accounts { bytes: Ledger::new(bytes), calls: Ledger::new(calls) };
        Self { shared: Arc::new(accounts) }
    }

    /// How many bytes are held, and how many calls there are.
    pub fn held(&self) -> (usize, usize) {
        let Accounts { bytes, calls } = &*self.shared;
        (bytes.taken.load(Relaxed), calls.taken.load(Relaxed))
    }

    /// What the proxy asks for itself, so far nothing.
    pub(super) fn nothing(&self) -> Reservation {
        Reservation { bytes: 0, head: 0, calls: 0, owner: None, of: self.clone() }
    }

    /// A call whose headers have come. When that matters, `owner` says whose it is.
    pub(super) fn begin(
        &self,
        head: usize,
        owner: impl Fn() -> Owner,
    ) -> Result<Reservation, BodyError> {
        let mut call = self.nothing();
        let before = self.shared.calls.add(1).ok_or(BodyError::Memory)?;
        call.calls = 1;
        // A call whose body never comes does not ask again when it matters, so it is known before.
        if before >= self.shared.calls.most / LAST {
            let owner = owner();
            call.belongs_to(owner);
            let calls = &self.shared.calls;
            if before >= calls.for_a_moment() && !calls.is_share(owner, 1) {
                return Err(BodyError::Memory);
            }
        }
        call.head = head;
        call.grow(head, || Some(owner()))?;
        Ok(call)
    }
}

// === impl Accounts ===

impl Accounts {
    fn enter(&self, owner: Owner, bytes: usize, calls: usize) {
        self.bytes.enter(owner, bytes);
        self.calls.enter(owner, calls);
    }

    fn leave(&self, owner: Owner, bytes: usize, calls: usize) {
        self.bytes.leave(owner, bytes);
        self.calls.leave(owner, calls);
    }
}

// === impl Ledger ===

impl Ledger {
    fn new(most: usize) -> Self {
        let accounts = usize::from(CALLERS) * Class::ALL.len();
        Self {
            most,
            taken: AtomicUsize::new(0),
            accounts: (0..accounts).map(|_| AtomicUsize::new(0)).collect(),
            owners: AtomicUsize::new(0),
        }
    }

    /// Takes so much, if there is so much. Tells how much was taken before.
    fn add(&self, much: usize) -> Option<usize> {
        let more = |taken: usize| taken.checked_add(much).filter(|taken| *taken <= self.most);
        self.taken.fetch_update(Relaxed, Relaxed, more).ok()
    }

    fn give_back(&self, much: usize) {
        self.taken.fetch_sub(much, Relaxed);
    }

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

    /// So much of what is taken is that owner's.
    fn enter(&self, owner: Owner, much: usize) {
        if much > 0 && self.account(owner).fetch_add(much, Relaxed) == 0 {
            self.owners.fetch_add(1, Relaxed);
        }
    }

    fn leave(&self, owner: Owner, much: usize) {
        if much > 0 && self.account(owner).fetch_sub(much, Relaxed) == much {
            self.owners.fetch_sub(1, Relaxed);
        }
    }

    /// Whether an owner holds no more than its share, including so much that it holds already. There is
    /// always a share left for whoever comes next.
    fn is_share(&self, owner: Owner, much: usize) -> bool {
        let own = self.account(owner).load(Relaxed);
        let owners = self.owners.load(Relaxed);
        let before = if own == much { owners.saturating_sub(1) } else { owners };
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
    /// How many bytes of its body it has.
    pub(super) fn body(&self) -> usize {
        self.bytes - self.head
    }

    /// As much for the same owner once more, and no call: it is one that several have in common.
    pub(super) fn again(&self) -> Result<Self, BodyError> {
        let mut again = self.beside();
        again.head = self.head;
        again.grow(self.bytes, || self.owner)?;
        Ok(again)
    }

    /// For what else the same owner's call is to hold: nothing so far.
    pub(super) fn beside(&self) -> Self {
        let mut beside = self.of.nothing();
        beside.owner = self.owner;
        beside
    }

    /// Whether there is room for so many more bytes of the same owner's. They are counted anyway.
    pub fn takes(&mut self, bytes: usize) -> bool {
        let owner = self.owner;
        self.grow(bytes, || owner).is_ok()
    }

    /// As many more bytes have come. When that matters, `owner` says whose they are; without an owner they
    /// are the proxy's own.
    pub(super) fn grow(
        &mut self,
        bytes: usize,
        owner: impl FnOnce() -> Option<Owner>,
    ) -> Result<(), BodyError> {
        let ledger = &self.of.shared.bytes;
        let before = ledger.add(bytes).ok_or(BodyError::Memory)?;
        self.bytes += bytes;
        if let Some(owner) = self.owner {
            ledger.enter(owner, bytes);
        }
        if before + bytes <= ledger.for_a_moment() {
            return Ok(());
        }
        if let Some(owner) = owner() {
            self.belongs_to(owner);
            if !self.of.shared.bytes.is_share(owner, self.bytes) {
                return Err(BodyError::Memory);
            }
        }
        Ok(())
    }

    /// It is known whose it is.
    pub(super) fn belongs_to(&mut self, owner: Owner) {
        let accounts = &self.of.shared;
        if self.owner != Some(owner) {
            accounts.enter(owner, self.bytes, self.calls);
            if let Some(before) = self.owner.replace(owner) {
                accounts.leave(before, self.bytes, self.calls);
            }
        }
    }

    /// Whether a call may wait with it.
    pub(super) fn may_wait(&self) -> bool {
        let ledger = &self.of.shared.bytes;
        self.bytes == 0
            || ledger.taken.load(Relaxed) <= ledger.for_all()
            || self.owner.is_none_or(|owner| ledger.is_share(owner, self.bytes))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Accounts { bytes, calls } = &*self.of.shared;
        bytes.give_back(self.bytes);
        calls.give_back(self.calls);
        if let Some(owner) = self.owner {
            self.of.shared.leave(owner, self.bytes, self.calls);
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
        let memory = Memory::new(1_000, 1_000);
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
        let memory = Memory::new(1_000, 1_000);
        let _jobs = flood(&memory, 10, owner(1, Class::Background));
        assert!(held(&memory, 10, owner(1, Class::Interactive)).is_some());
    }

    /// Red when what is read has no part of the last tenth, and when it has all of it.
    #[test]
    fn what_is_soon_gone_may_have_half_of_the_last_tenth() {
        let memory = Memory::new(1_000, 1_000);
        let [job, bot] = [1, 2].map(|caller| owner(caller, Class::Normal));
        let _held = flood(&memory, 10, job);
        let read_by_job: Vec<_> = std::iter::from_fn(|| read(&memory, 10, job)).collect();
        assert_eq!(read_by_job.len(), 5);
        assert!(held(&memory, 10, bot).is_some());
    }

    /// Red when a body that has not been read is nobody's.
    #[test]
    fn bodies_that_are_being_read_are_their_callers_where_it_matters() {
        let memory = Memory::new(1_000, 1_000);
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
        let memory = Memory::new(1_000, 1_000);
        let [job, bot] = [1, 2].map(|caller| owner(caller, Class::Normal));
        let mut moved = read(&memory, 100, job).unwrap();
        moved.belongs_to(bot);
        assert_eq!(memory.shared.bytes.account(job).load(Relaxed), 0);
        assert_eq!(memory.shared.bytes.owners.load(Relaxed), 1);
        drop((moved, flood(&memory, 7, job)));
        assert_eq!(memory.shared.bytes.taken.load(Relaxed), 0);
        assert_eq!(memory.shared.bytes.owners.load(Relaxed), 0);
        let left = memory.shared.bytes.accounts.iter().filter(|account| account.load(Relaxed) > 0);
        assert_eq!(left.count(), 0);
    }

    /// Red when a call that finds nothing held has to be smaller than nine tenths.
    #[test]
    fn one_body_may_have_all() {
        let memory = Memory::new(1_000, 1_000);
        assert!(held(&memory, 1_000, owner(1, Class::Normal)).is_some());
        assert!(held(&memory, 1_001, owner(1, Class::Normal)).is_none());
    }

    /// Red when headers are for nothing, and when they count as a body.
    #[test]
    fn headers_are_bytes_too() {
        let memory = Memory::new(1_000, 1_000);
        let call = memory.begin(600, || owner(1, Class::Normal)).unwrap();
        assert_eq!((memory.shared.bytes.taken.load(Relaxed), call.body()), (600, 0));
        assert!(memory.begin(600, || owner(2, Class::Normal)).is_err());
        drop(call);
        assert!(memory.begin(600, || owner(2, Class::Normal)).is_ok());
        assert_eq!(memory.shared.bytes.taken.load(Relaxed), 0);
    }

    /// Red when calls are not counted, when one owner may have all of them, and when they do not end.
    #[test]
    fn calls_without_bytes_are_counted_and_have_owners() {
        let memory = Memory::new(1_000, 100);
        let begin = |caller| memory.begin(0, || owner(caller, Class::Normal));
        let calls: Vec<_> = std::iter::from_fn(|| begin(1).ok()).take(1_000).collect();
        assert_eq!(calls.len(), 95, "half of the last tenth is for others");
        let others: Vec<_> = std::iter::from_fn(|| begin(2).ok()).take(1_000).collect();
        assert_eq!(others.len(), 5);
        assert!(begin(3).is_err(), "there are no more");
        drop((calls, others));
        assert_eq!(memory.shared.calls.taken.load(Relaxed), 0);
        assert_eq!(memory.shared.calls.owners.load(Relaxed), 0);
    }
}
