//! A sliding window: which slots of a limit are taken, and until when.
//!
//! A slot is taken when a call is granted and stays taken while the call is in flight,
//! because the server counts the call at an unknown moment between send and answer.
//! When the answer arrives the slot starts to age, and a period later it is free. So in
//! any period the server can have counted at most `quota` calls, wherever in its flight
//! each was counted.
//!
//! A limit that tolerates short bursts may age its slots from the send instead; then the
//! slot's end is known at the grant. A limit on calls in flight has no period: its slots
//! end with the answer.
//!
//! A limit of fewer calls than there are schedulers has its slots in [turns](super::turns): such a window
//! has one slot, which is free while it is its turn, and counts as taken from one turn to the next.
//!
//! Where several schedulers share a limit, each may take a part of the slots, which is its *cap*.
//! What is divided by the quota is still divided by it: the pace of a limit is that of all.
//!
//! A cap above the quota is one that *eases*: more slots are taken than a quota has that has just been
//! lowered. Instead of none until all of these have aged, one goes when one has aged, and the cap falls to
//! what is taken then. Somebody else has to keep calls apart, or the pace would stay as it was.

use alloc::{boxed::Box, collections::VecDeque};
use core::{num::NonZeroU32, time::Duration};

use super::{
    prefetch::prefetch,
    time::Instant,
    turns::{Turns, WallClock},
};

/// Added to every period, so that a clock of coarse grain at either end does no harm.
const GRAIN: Duration = Duration::from_millis(20);

/// The slots of one limit.
#[derive(Debug)]
pub(super) struct Window {
    quota: u32,
    /// How many of them may be taken here: as many as the quota, unless others share the limit.
    cap: u32,
    in_flight: u32,
    /// How long a slot ages, in nanoseconds; zero where it ends with the answer.
    period: u64,
    /// When each ageing slot becomes free, earliest first.
    ends: VecDeque<Instant>,
    /// The first of them; [`Instant::FAR`] where there is none. Most looks at a window need only
    /// this one and the last, and the list lies elsewhere in memory.
    first: Instant,
    /// The last of them, while there is one.
    last: Instant,
    /// When its slot is free, if that is only in turns.
    turns: Option<Box<InTurns>>,
}

/// The turns of a window.
#[derive(Debug)]
struct InTurns {
    turns: Turns,
    /// Whether one slot has no call and counts as taken until the next turn.
    is_between: bool,
}

/// [`Window::forecast`], or [`Window::latest`].
pub(super) type Forecast = fn(&Window, Instant, u64) -> Instant;

// === impl Window ===

impl Window {
    /// At most `quota` calls in any `period`.
    pub(super) fn sliding(quota: NonZeroU32, period: Duration) -> Self {
        Self::new(quota.get(), (Instant::ZERO + (period + GRAIN)).as_nanos())
    }

    /// A part of the slots of another window.
    pub(super) fn like(other: &Self, quota: u32) -> Self {
        Self::new(quota, other.period)
    }

    /// Any number of calls.
    pub(super) fn open() -> Self {
        Self::new(u32::MAX, 0)
    }

    /// At most `quota` calls at once.
    pub(super) fn at_once(quota: NonZeroU32) -> Self {
        Self::new(quota.get(), 0)
    }

    /// One call in each turn.
    pub(super) fn in_turns(turns: Turns) -> Self {
        let period = (Instant::ZERO + turns.cycle()).as_nanos();
        let turns = Some(Box::new(InTurns { turns, is_between: false }));
        Self { turns, ..Self::new(1, period) }
    }

    fn new(quota: u32, period: u64) -> Self {
        Self {
            quota,
            cap: quota,
            period,
            in_flight: 0,
            ends: VecDeque::new(),
            first: Instant::FAR,
            last: Instant::ZERO,
            turns: None,
        }
    }

    /// Turns are told by that clock from now on. Whether it has any.
    pub(super) fn set_clock(&mut self, clock: WallClock) -> bool {
        let Some(it) = &mut self.turns else { return false };
        it.turns.set_clock(clock);
        if it.is_between && self.ends.len() == 1 {
            // The next turn is at another time.
            it.is_between = false;
            self.ends.clear();
            self.look_at_first();
        }
        true
    }

    /// Fetches what it has elsewhere in memory into the cache: it is needed soon.
    pub(super) fn prefetch(&self) {
        self.ends.front().into_iter().for_each(prefetch);
    }

    /// Slots in all.
    pub(super) fn quota(&self) -> u32 {
        self.quota
    }

    /// Lets so many of its slots be taken here, or all of them if it has fewer.
    pub(super) fn set_cap(&mut self, cap: u32) {
        self.cap = cap.min(self.quota);
    }

    /// Lets slots beyond a lowered quota age one by one: so many of those that are taken. A few are left
    /// as they are, since that costs little time, in which a server with a stock of calls fills it.
    pub(super) fn ease(&mut self, most: u32) {
        let most = self.used().min(most);
        if self.turns.is_none() && most > self.quota + self.quota / 4 {
            self.cap = self.cap.max(most);
        }
    }

    /// How many of its slots may be taken here.
    pub(super) fn cap(&self) -> u32 {
        self.cap
    }

    /// Slots that are free here, after [`Self::expire`].
    pub(super) fn free(&self) -> u32 {
        self.cap.saturating_sub(self.used())
    }

    /// Slots taken, counting those whose end may have passed since the last [`Self::expire`].
    pub(super) fn used(&self) -> u32 {
        self.in_flight + self.ageing()
    }

    /// Slots taken by calls.
    pub(super) fn taken(&self) -> u32 {
        self.used() - u32::from(self.is_between())
    }

    /// Whether a slot is free, after [`Self::expire`].
    pub(super) fn has_free_slot(&self) -> bool {
        self.used() < self.cap
    }

    /// Frees the slots whose time has come.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.first <= now && self.ends.pop_front().is_some() {
            self.look_at_first();
        }
        if self.turns.is_some() && self.used() == 0 {
            self.wait_for_turn(now);
        }
    }

    /// From one turn to the next, a slot that no call has counts as taken.
    fn wait_for_turn(&mut self, now: Instant) {
        let Some(it) = &mut self.turns else { return };
        it.is_between = !it.turns.is_open(now);
        if it.is_between {
            let next = it.turns.after(now);
            self.age(next);
        }
    }

    /// Takes a slot that ages from the answer.
    pub(super) fn take(&mut self) {
        self.in_flight += 1;
        self.tighten();
    }

    /// Takes a slot that ages from now.
    pub(super) fn take_ageing(&mut self, now: Instant) {
        self.age(self.end(now));
        self.tighten();
    }

    /// A cap that eases is no larger than what is taken.
    fn tighten(&mut self) {
        if self.cap > self.quota {
            self.cap = self.used().clamp(self.quota, self.cap);
        }
    }

    /// Gives back a slot of [`Self::take`]: its call was never sent.
    pub(super) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Gives back a slot of [`Self::take_ageing`] at `taken`: its call was never sent.
    pub(super) fn give_back_ageing(&mut self, taken: Instant) {
        if let Ok(at) = self.ends.binary_search(&self.end(taken)) {
            self.ends.remove(at);
            self.look_at_first();
            self.last = self.ends.back().copied().unwrap_or(Instant::ZERO);
        }
    }

    /// Lets a slot of [`Self::take`] age from `answered`.
    pub(super) fn answered(&mut self, answered: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.ages() {
            self.age(self.end(answered));
        }
    }

    /// Lets a slot of [`Self::take`] age as if its answer came at `answered`, also where slots
    /// end with the answer.
    pub(super) fn lost(&mut self, answered: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.age(self.end(answered));
    }

    /// Counts a slot that was taken before and ages from that instant, if it is not free yet.
    pub(super) fn remember(&mut self, now: Instant, ages_from: Instant) {
        let end = self.end(ages_from);
        if end > now {
            self.age(end);
        }
    }

    /// From when each ageing slot ages.
    pub(super) fn ages_from(&self) -> impl Iterator<Item = Instant> {
        // One in turns ages from some time in the last cycle; the latest is never wrong.
        let age = if self.turns.is_some() { 1 } else { self.period };
        self.ends().map(move |end| end.minus(age))
    }

    /// When each ageing slot becomes free, the first one first.
    pub(super) fn ends(&self) -> impl Iterator<Item = Instant> {
        self.ends.iter().skip(usize::from(self.is_between())).copied()
    }

    /// How many slots have no end yet.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Takes over the slots of another window: so many without an end, and the instants from which
    /// the others age.
    pub(super) fn take_over(
        &mut self,
        now: Instant,
        in_flight: u32,
        ages_from: impl Iterator<Item = Instant>,
    ) {
        self.in_flight = in_flight;
        ages_from.for_each(|since| self.remember(now, since));
    }

    /// When a slot becomes free if nothing else happens; `None` if that is unknown until a response
    /// arrives.
    pub(super) fn next_free_at(&self, now: Instant) -> Option<Instant> {
        self.falls_to(now, self.cap.checked_sub(1)?)
    }

    /// When at most so many slots are taken if nothing else happens; `None` if that is unknown
    /// until a response arrives.
    pub(super) fn falls_to(&self, now: Instant, used: u32) -> Option<Instant> {
        match self.used().checked_sub(used + 1) {
            None => Some(self.opens(now)),
            Some(0) => self.first_end(),
            Some(over) => self.ends.get(over as usize).copied(),
        }
    }

    /// The earliest that the call behind `ahead` others can have a slot, as if every answer came at
    /// once and every slot were taken again as soon as it is free.
    pub(super) fn forecast(&self, now: Instant, ahead: u64) -> Instant {
        let now = self.opens(now);
        let quota = u64::from(self.quota.max(self.cap));
        let used = u64::from(self.used());
        if ahead + used < quota {
            return now;
        }
        if !self.ages() {
            return now;
        }
        // The ends in order: those known, then one a period from now for each slot that is
        // in flight, or free and taken at once by a call ahead.
        let end = |i: u64| {
            let known = usize::try_from(i).ok().and_then(|i| self.ends.get(i));
            known.copied().unwrap_or(self.end(now))
        };
        let turns = ahead + used - quota;
        let slots = used.max(quota);
        if turns < slots {
            end(turns)
        } else {
            let again = turns - slots;
            let periods = self.period.saturating_mul(1 + again / quota);
            end(slots - quota + again % quota).plus(periods)
        }
    }

    /// An upper bound: no forecast for a call behind that many others, or fewer, is later.
    pub(super) fn latest(&self, now: Instant, ahead: u64) -> Instant {
        let now = self.opens(now);
        let over = (ahead + u64::from(self.used())).checked_sub(u64::from(self.quota));
        match over {
            Some(turns) if self.ages() => {
                let last = self.last_end().map_or(now, |end| now.max(end.minus(self.period)));
                last.plus(self.period.saturating_mul(1 + turns / u64::from(self.quota)))
            }
            _ => now,
        }
    }

    /// How many slots are free at `at`, if no call goes and no answer comes until then.
    pub(super) fn free_at(&self, at: Instant) -> u32 {
        let ended = self.ends.partition_point(|end| *end <= at);
        let ageing = u32::try_from(self.ends.len() - ended).unwrap_or(u32::MAX);
        self.cap.saturating_sub(self.in_flight.saturating_add(ageing))
    }

    /// How long a slot ages.
    pub(super) fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }

    /// How long the limit takes for one slot, if its slots are taken evenly.
    pub(super) fn pace(&self) -> Duration {
        match &self.turns {
            // One that is late in its turn must not miss the next.
            Some(it) => it.turns.pause(),
            None => self.period() / self.quota,
        }
    }

    /// Until when it remembers calls, as far as that is known.
    pub(super) fn remembers_until(&self) -> Option<Instant> {
        self.last_end().filter(|_| self.ends.len() > usize::from(self.is_between()))
    }

    /// Whether a slot counts as taken that no call has.
    fn is_between(&self) -> bool {
        self.turns.as_ref().is_some_and(|it| it.is_between)
    }

    /// When the turn is in which a free slot can be taken, if it has turns.
    fn opens(&self, now: Instant) -> Instant {
        match &self.turns {
            Some(it) if self.used() == 0 && !it.turns.is_open(now) => it.turns.after(now),
            _ => now,
        }
    }

    /// Whether slots age, and do not end with the answer.
    fn ages(&self) -> bool {
        self.period > 0
    }

    /// When a slot becomes free that ages from then.
    fn end(&self, ages_from: Instant) -> Instant {
        match &self.turns {
            Some(it) => it.turns.after(ages_from),
            None => ages_from.plus(self.period),
        }
    }

    /// When the next ageing slot becomes free.
    pub(super) fn first_end(&self) -> Option<Instant> {
        (!self.ends.is_empty()).then_some(self.first)
    }

    /// When the last ageing slot becomes free.
    pub(super) fn last_end(&self) -> Option<Instant> {
        (!self.ends.is_empty()).then_some(self.last)
    }

    /// From when the last slot ages that has an end, even if it is free again.
    pub(super) fn last_aged_from(&self) -> Option<Instant> {
        (self.last > Instant::ZERO).then(|| self.last.minus(self.period))
    }

    fn ageing(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Takes over the slots that are taken of another window of the same limit. There may be more
    /// than the quota then.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.quota = self.quota.min(other.quota);
        self.cap = self.cap.min(self.quota);
        self.in_flight += other.in_flight;
        for end in other.ends.iter().skip(usize::from(other.is_between())) {
            self.age(*end);
        }
    }

    /// Ends come in order but for calls that were lost, which age later.
    fn age(&mut self, end: Instant) {
        if self.last_end().is_none_or(|last| last <= end) {
            self.ends.push_back(end);
            self.last = end;
        } else {
            let at = self.ends.partition_point(|other| *other <= end);
            self.ends.insert(at, end);
        }
        self.first = self.first.min(end);
    }

    fn look_at_first(&mut self) {
        self.first = self.ends.front().copied().unwrap_or(Instant::FAR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);

    fn window(quota: u32) -> Window {
        Window::sliding(NonZeroU32::new(quota).unwrap(), PERIOD)
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_slot_ages_from_the_answer() {
        let mut window = window(1);
        window.take();
        window.expire(at(600));
        assert!(!window.has_free_slot(), "still in flight");
        assert_eq!(window.next_free_at(at(600)), None);
        window.answered(at(600));
        assert_eq!(window.next_free_at(at(600)), Some(at(660) + GRAIN));
        window.expire(at(660));
        assert!(!window.has_free_slot(), "the grain is part of the period");
        window.expire(at(660) + GRAIN);
        assert!(window.has_free_slot());
    }

    #[test]
    fn a_lost_call_ages_later_than_those_answered_after_it() {
        let mut window = window(2);
        window.take();
        window.take();
        window.answered(at(70)); // lost at 10, presumed answered at 70
        window.answered(at(20));
        assert_eq!(window.next_free_at(at(20)), Some(at(80) + GRAIN));
    }

    #[test]
    fn what_was_never_sent_gives_its_slot_back() {
        let mut window = window(2);
        window.take();
        window.give_back();
        window.take_ageing(at(1));
        window.take_ageing(at(2));
        window.take_ageing(at(3));
        window.give_back_ageing(at(1));
        window.give_back_ageing(at(3));
        assert_eq!(window.used(), 1);
        assert_eq!(window.last_end(), Some(at(62) + GRAIN));
    }

    /// Red where nothing goes until all that is too much has aged, and where that much goes again.
    #[test]
    fn slots_beyond_a_lowered_quota_age_one_by_one() {
        let mut window = window(2);
        (0..4).for_each(|second| window.remember(at(4), at(second)));
        window.ease(5);
        assert!(!window.has_free_slot());
        assert_eq!(window.next_free_at(at(4)), Some(at(60) + GRAIN));
        assert_eq!(window.forecast(at(4), 0), at(60) + GRAIN);
        window.expire(at(62));
        window.take();
        assert!(!window.has_free_slot(), "three are taken, as before the two that have aged");
        window.expire(at(70));
        assert_eq!((window.cap(), window.free()), (3, 2));
        window.take();
        assert_eq!((window.cap(), window.free()), (2, 0));
    }

    /// Red where the pace of a limit is that of its part: nothing can be divided by no slots.
    #[test]
    fn a_part_of_a_window_keeps_the_pace_of_the_whole() {
        let mut part = window(2);
        part.set_cap(0);
        assert!(!part.has_free_slot());
        assert_eq!((part.free(), part.free_at(at(600))), (0, 0));
        assert_eq!(part.next_free_at(at(0)), None, "whatever ends here");
        assert_eq!(part.forecast(at(10), 5), window(2).forecast(at(10), 5));
        assert_eq!(part.latest(at(10), 5), window(2).latest(at(10), 5));
        part.set_cap(1);
        part.take();
        assert!(!part.has_free_slot());
        part.answered(at(0));
        assert_eq!(part.next_free_at(at(1)), Some(at(60) + GRAIN));
        part.set_cap(9);
        assert_eq!(part.cap(), 2, "no part is larger than the whole");
    }

    #[test]
    fn the_forecast_counts_whole_turns() {
        let mut window = window(2);
        window.take();
        window.answered(at(0));
        let full = PERIOD + GRAIN;
        assert_eq!(window.forecast(at(10), 0), at(10));
        assert_eq!(window.forecast(at(10), 1), at(0) + full);
        assert_eq!(window.forecast(at(10), 2), at(10) + full);
        assert_eq!(window.forecast(at(10), 3), at(0) + full * 2);
        assert_eq!(window.forecast(at(10), 5), at(0) + full * 3);
    }
}
