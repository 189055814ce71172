//! A bucket: one limit at one value of its dimensions.

mod common;
mod learnt;
mod leased;
mod make;
mod slots;

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use limits::{BucketKey, Class, Dimension, Limit, Rule};

use self::learnt::Lessons;
use super::{
    Block, BlockReason, BucketState,
    claims::Claim,
    evidence::{EVIDENCE, Evidence, Suspicion},
    fair_queue::{Ahead, FairQueue},
    half_open::HalfOpen,
    headroom::Left,
    lease::Lease,
    reserve::Reserve,
    time::Instant,
    window::{Forecast, Window},
};

/// A bucket. Each look at it touches most of it, so it begins at a cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Bucket {
    pub(super) key: BucketKey,
    /// What few buckets have.
    rare: Option<Box<Rare>>,
    /// The calls that wait for it.
    pub(super) queue: FairQueue,
    /// How many calls are held for it, here or elsewhere.
    pub(super) waiting: u32,
    /// How many places of calls that were sent away it has.
    pub(super) places: u32,
    /// When it is looked at next, if nothing happens before.
    pub(super) alarm: Option<Instant>,
    /// Whether something changed since it was last looked at.
    pub(super) touched: bool,
    /// Whether it is looked at after each change: it matters for what is said to others.
    pub(super) is_watched: bool,
    /// Whether it learns its limit from refusals.
    pub(super) learns: bool,
    /// The call that its next slot is kept for.
    pub(super) claim: Option<Claim>,
    window: Window,
    /// When each class may take what is free.
    reserve: Reserve,
    in_flight: u32,
    /// When a call took a slot last.
    used_at: Instant,
    /// Its freeze, and the probes after it. Boxed, because it is rare.
    half_open: Option<Box<HalfOpen>>,
}

/// What few buckets have, apart from the others, so that most take little memory.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// The last names that the bucket had, the oldest first.
    pub(super) former: Vec<BucketKey>,
    /// The last refusal below it.
    pub(super) evidence: Option<Evidence>,
    /// The shorter window of a limit that refuses bursts.
    burst: Option<Window>,
    /// What is held of it, if it is shared.
    lease: Option<Lease>,
    /// What it has learnt of its limit.
    lessons: Option<Box<Lessons>>,
    /// How many calls may still go through it, if it is a gate that lets any pass.
    pub(super) passes: Option<u32>,
}

/// How long an open bucket outlives its last call.
const OPEN_FOR: Duration = Duration::from_secs(60);

/// How long after a call was given up its answer may still be on the way.
pub(super) const LOST_GRACE: Duration = Duration::from_secs(60);

const _: () = assert!(size_of::<Bucket>() <= 256);

// === impl Bucket ===

impl Bucket {
    /// Fetches what it has elsewhere in memory into the cache: it is needed soon.
    pub(super) fn prefetch(&self) {
        self.queue.prefetch();
        self.window.prefetch();
        self.reserve.prefetch();
    }

    /// What blocks a call of that class now. With `leave`, a slot has to be left for another call,
    /// which needs one by then.
    pub(super) fn blocked(
        &mut self,
        now: Instant,
        class: Class,
        leave: Option<Instant>,
    ) -> Option<Block> {
        self.shut(now, leave).or_else(|| self.withheld(now, class))
    }

    /// What blocks calls of every class now.
    pub(super) fn shut(&mut self, now: Instant, leave: Option<Instant>) -> Option<Block> {
        if self.is_gate() {
            return self.closed().map(|reason| Block { reason, until: None });
        }
        if self.is_open() && self.half_open.is_none() {
            return None;
        }
        self.expire(now);
        let full = self.full(now);
        if full.is_some() {
            return full;
        }
        if leave.is_some_and(|by| !self.can_leave_one(now, by)) {
            let until = self.windows().filter_map(Window::first_end).min();
            return Some(Block { reason: BlockReason::Claimed, until });
        }
        None
    }

    /// What blocks a call of that class now where more urgent ones might go: free slots are
    /// reserved for people.
    pub(super) fn withheld(&self, now: Instant, class: Class) -> Option<Block> {
        // Of slots on lease, the store has kept free those that are for people.
        if self.is_open() || self.lease().is_some_and(Lease::returns) {
            return None;
        }
        let opens = self.opens_at(now, class);
        let waits = opens.is_none_or(|at| at > now);
        waits.then_some(Block { reason: BlockReason::Reserved, until: opens })
    }

    /// Whether a call of that class may take a slot if one is free.
    pub(super) fn admits(&mut self, now: Instant, class: Class) -> bool {
        self.expire(now);
        self.opens_at(now, class).is_some_and(|at| at <= now)
    }

    /// How many calls of that class could go now, and when there may be more of them at the
    /// earliest, if no call goes and no answer comes.
    pub(super) fn spare(&mut self, now: Instant, class: Class) -> (u32, Option<Instant>) {
        self.expire(now);
        let free = self.windows().map(Window::free).min();
        let probes = self.half_open.as_ref().map(|half_open| half_open.left(self.in_flight));
        let reserved = self.reserve.at_once(now, class, &self.window);
        let spaced = self.learns.then(|| self.at_once(now)).flatten();
        let spare = [free, probes, reserved, spaced].into_iter().flatten().min().unwrap_or(0);
        let people_until = Some(self.reserve.people_until()).filter(|until| *until > now);
        let more = self.windows().filter_map(Window::first_end).chain(people_until).min();
        (spare, more)
    }

    /// When a call of that class may take a free slot; `None` if that is unknown until a response
    /// arrives.
    fn opens_at(&self, now: Instant, class: Class) -> Option<Instant> {
        if self.queue.is_due(class) {
            self.reserve.opens_for_due_at(now, class)
        } else {
            self.reserve.opens_at(now, class, &self.window)
        }
    }

    /// What blocks every call now: full windows, enough probes, or a freeze.
    fn full(&self, now: Instant) -> Option<Block> {
        let full = self.windows().filter(|window| !window.has_free_slot());
        let full = full.map(|window| self.full_until(now, window));
        let probing =
            self.half_open.as_ref().filter(|half_open| half_open.has_enough_probes(self.in_flight));
        let probing = probing.map(|_| Block { reason: BlockReason::Probing, until: None });
        let frozen = self.frozen_until(now);
        let frozen = frozen.map(|until| Block { reason: BlockReason::Frozen, until: Some(until) });
        let spaced = if self.learns { self.spaced(now) } else { None };
        // Of two whose end is not known the first one counts: for a slot it asks when it may use it.
        probing.into_iter().chain(full).chain(frozen).chain(spaced).reduce(Block::longer)
    }

    fn full_until(&self, now: Instant, window: &Window) -> Block {
        if window.cap() < window.quota() {
            // A slot that ages is given back, and who has the next one is not known.
            return Block { reason: BlockReason::Shared, until: None };
        }
        // The answer of a call in order comes long before it is given up, as a rule.
        let until = window.next_free_at(now).filter(|_| !self.is_in_order());
        Block { reason: BlockReason::Full, until }
    }

    pub(super) fn frozen_until(&self, now: Instant) -> Option<Instant> {
        self.half_open
            .as_ref()
            .filter(|half_open| half_open.is_frozen(now))
            .map(|half_open| half_open.until)
    }

    /// Whether, if a slot is taken now, another one is free at `by`.
    fn can_leave_one(&self, now: Instant, by: Instant) -> bool {
        self.windows().all(|window| {
            let back = !window.period().is_zero() && now + window.period() <= by;
            window.free_at(by) > u32::from(!back)
        })
    }

    /// An interactive call came.
    pub(super) fn expect_people(&mut self, now: Instant) {
        if let Rule::Rate(rate) = self.key.limit.rule {
            self.reserve.expect_people(now, rate.per);
            if let Some(lease) = self.lease_mut() {
                lease.people = true;
            }
        }
    }

    /// Whether its calls go in order.
    pub(super) fn is_in_order(&self) -> bool {
        self.patience().is_some()
    }

    /// Closes the bucket until `until`; then one call probes.
    pub(super) fn freeze(&mut self, until: Instant) {
        let new = self.half_open.as_ref().map_or(HalfOpen::new(until), |it| it.again(until));
        self.half_open = Some(Box::new(new));
    }

    /// Its freeze, and the probes after it.
    pub(super) fn half_open(&self) -> Option<&HalfOpen> {
        self.half_open.as_deref()
    }

    pub(super) fn half_open_mut(&mut self) -> Option<&mut HalfOpen> {
        self.half_open.as_deref_mut()
    }

    /// How many calls are in flight that took a slot.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Ends a freeze: one call probes now.
    pub(super) fn thaw(&mut self, now: Instant) {
        if let Some(half_open) = &mut self.half_open {
            half_open.until = half_open.until.min(now);
        }
    }

    /// Whether a refusal of a call that took its slot at `taken` says something new: the call went
    /// when no freeze was on, and none has begun since.
    pub(super) fn is_surprised(&self, taken: Instant) -> bool {
        self.half_open.as_ref().is_none_or(|half_open| taken >= half_open.until)
    }

    /// Whether its next slot is wanted: a call group is parked in its queue, or a call has claimed
    /// it.
    pub(super) fn is_wanted(&self) -> bool {
        self.claim.is_some() || self.queue.has_parked()
    }

    /// Whether the documentation of its limit allows short bursts.
    pub(super) fn tolerates_bursts(&self) -> bool {
        matches!(self.key.limit.rule, Rule::Rate(rate) if rate.tolerates.is_some())
    }

    /// Whether it counts no slots: any number of calls passes except during a freeze, or, if it is
    /// a gate, no call at all.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.key.limit.rule, Rule::Open | Rule::Gate)
    }

    /// Whether it is a gate: no call passes as long as it is there, or only as many as may.
    pub(super) fn is_gate(&self) -> bool {
        self.key.limit.rule == Rule::Gate
    }

    /// When a call of that class behind `ahead` others can go at the earliest.
    pub(super) fn forecast(&self, now: Instant, class: Class, ahead: Ahead) -> Instant {
        self.forecast_by(Window::forecast, now, class, ahead)
    }

    /// An upper bound: no forecast for a call of that class, of any caller, is later.
    pub(super) fn latest(&self, now: Instant, class: Class) -> Instant {
        self.forecast_by(Window::latest, now, class, self.queue.most_ahead_of(class))
    }

    fn forecast_by(&self, by: Forecast, now: Instant, class: Class, ahead: Ahead) -> Instant {
        let start = self.frozen_until(now).unwrap_or(now);
        let burst = self.burst().map_or(start, |burst| by(burst, start, ahead.all));
        let window = by(&self.window, start, ahead.all).max(burst);
        let window = if self.is_watched {
            window.max(self.forecast_of_all(start, ahead).unwrap_or(start))
        } else {
            window
        };
        let window =
            if self.learns { window.max(self.forecast_of_spaced(ahead.all)) } else { window };
        match class {
            Class::Background => {
                self.reserve.forecast(by, start, ahead.class, self.window.period()).max(window)
            }
            Class::Interactive | Class::Normal => window,
        }
    }

    /// How likely it is that a refused call, which holds a slot here, was refused for this
    /// limit. Never for one on calls in flight: it has no period that Slack could name.
    pub(super) fn suspicion(&self) -> Option<Suspicion> {
        match self.key.limit.rule {
            Rule::Concurrency(_) | Rule::InOrder(_) | Rule::Open | Rule::Gate => None,
            Rule::Rate(rate) => Some(Suspicion {
                used: self.used_by_all().saturating_sub(1),
                quota: self.window.quota(),
                narrowness: self.key.limit.scope.len(),
                period: rate.per,
            }),
        }
    }

    /// Whether it limits how many calls are in flight, and not how many go in a period.
    pub(super) fn counts_in_flight(&self) -> bool {
        matches!(self.key.limit.rule, Rule::Concurrency(_) | Rule::InOrder(_))
    }

    /// Whether some of its slots are reserved. A caller's own limit has none that calls of others
    /// could find free.
    fn has_reserve(&self) -> bool {
        let Limit { rule, scope, .. } = &*self.key.limit;
        matches!(rule, Rule::Rate(_)) && !scope.contains(Dimension::Caller)
    }

    /// How long a slot ages; zero where it ends with the answer.
    pub(super) fn period(&self) -> Duration {
        self.window.period()
    }

    /// When there is nothing left to remember, if nothing else happens; `None` while calls
    /// are held or in flight, or places kept.
    pub(super) fn idle_at(&self, now: Instant) -> Option<Instant> {
        let is_owed = self.lease().is_some_and(|lease| !lease.is_settled());
        if self.in_flight > 0 || self.waiting > 0 || self.places > 0 || is_owed {
            return None;
        }
        let ends = [
            self.windows().filter_map(Window::remembers_until).max(),
            Some(self.reserve.people_until()),
            self.evidence().map(|evidence| evidence.since + EVIDENCE),
            self.half_open
                .as_ref()
                .map(|half_open| half_open.matters_until(self.window.period().max(EVIDENCE))),
            // A whole app or workspace is seldom used once.
            self.is_open().then(|| self.used_at + OPEN_FOR),
            self.learns.then(|| self.learnt_until()),
        ];
        ends.into_iter().flatten().max().map(|last| last.max(now))
    }

    /// How many slots its rate has left, and when there is one more; `None` for a limit without a
    /// rate.
    pub(super) fn left(&mut self, now: Instant) -> Option<Left> {
        let Rule::Rate(_) = self.key.limit.rule else { return None };
        self.expire(now);
        let left = |window: &Window, used: u32| Left {
            slots: window.quota().saturating_sub(used),
            quota: window.quota(),
            more_at: window.first_end().unwrap_or_else(|| now + window.period()),
        };
        let burst = self.burst().map(|burst| left(burst, burst.used()));
        let all = [Some(left(&self.window, self.used_by_all())), burst].into_iter().flatten();
        let left = all.reduce(|one, other| if other.slots < one.slots { other } else { one })?;
        Some(match self.frozen_until(now) {
            Some(until) => Left {
                slots: 0,
                more_at: if left.slots == 0 { until.max(left.more_at) } else { until },
                ..left
            },
            None => left,
        })
    }

    /// Its state, for operators.
    pub(super) fn state(&mut self, now: Instant) -> BucketState {
        self.expire(now);
        BucketState {
            key: self.key.clone(),
            used: self.used_by_all(),
            quota: self.window.quota(),
            held: self.lease().map(Lease::held),
            frozen_until: self.frozen_until(now),
            probing: self.half_open.as_ref().is_some_and(|half_open| !half_open.is_frozen(now)),
            waiting: self.waiting.into(),
            places: self.places.into(),
            learnt: self.learnt(),
        }
    }

    /// How many calls may still go through it, if it is a gate that lets any pass.
    pub(super) fn passes(&self) -> Option<u32> {
        self.rare.as_ref()?.passes
    }

    /// Slots in all.
    pub(super) fn quota(&self) -> u32 {
        self.window.quota()
    }

    /// When a call took a slot last.
    pub(super) fn used_at(&self) -> Instant {
        self.used_at
    }

    /// Slots taken here.
    pub(super) fn used(&self) -> u32 {
        self.window.used()
    }

    /// When the first of its slots has aged, if nothing else happens.
    pub(super) fn ages_at(&self) -> Option<Instant> {
        self.window.first_end()
    }

    fn expire(&mut self, now: Instant) {
        self.windows_mut().for_each(|window| window.expire(now));
        if self.is_watched {
            self.uses_no_slot_again();
        }
    }

    /// The window of its limit, and the shorter one for bursts.
    fn windows(&self) -> impl Iterator<Item = &Window> {
        [Some(&self.window), self.burst()].into_iter().flatten()
    }

    pub(super) fn windows_mut(&mut self) -> impl Iterator<Item = &mut Window> {
        let burst = self.rare.as_mut().and_then(|rare| rare.burst.as_mut());
        [Some(&mut self.window), burst].into_iter().flatten()
    }

    fn burst(&self) -> Option<&Window> {
        self.rare.as_ref()?.burst.as_ref()
    }

    fn evidence(&self) -> Option<&Evidence> {
        self.rare.as_ref()?.evidence.as_ref()
    }

    /// What few buckets have; from now on, this one has it.
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The last names that it had, the oldest first.
    pub(super) fn former(&mut self) -> Option<&mut Vec<BucketKey>> {
        self.rare.as_mut().map(|rare| &mut rare.former)
    }
}
