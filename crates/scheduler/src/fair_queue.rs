//! A fair queue: in what order a bucket serves the calls that wait for it.
//!
//! Classes come first: interactive before normal before background, with floors, so that
//! a flood of urgent calls slows the others down but never stops them. Within a class
//! callers take turns by start-time fair queueing: a caller's turn carries the tag
//! `max(virtual time, end of its last turn)`, the lowest tag is next, and a grant moves the
//! caller's end one step on. A caller with ten thousand calls and one with a single call
//! thus alternate until the single call is done. A caller of weight three moves on by a third
//! of a step and so has three turns where one of weight one has one. Within a caller the
//! oldest call goes first, whatever groups its calls are in.
//!
//! A turn is charged in every bucket that the call takes a slot of, also where the call was
//! not parked: otherwise a caller spread over thirty channels would get thirty
//! turns in the bucket that the channels share. Tags matter only while calls wait, so a class
//! in which none does forgets them all, but for who had the last turn: a caller whose burst has
//! just taken the last slot does not start in the queue as if it had had none.
//!
//! A caller that waits keeps its tag while its calls are parked elsewhere, but comes back at most
//! one turn behind the others: what it could not use here is not saved up. So does one that is away
//! and has a place here.
//!
//! Places are counted apart from calls. They are no part of a queue: only what a call is told that
//! has to come back depends on them.

use alloc::{boxed::Box, vec::Vec};

use limits::{Class, Weight};

use super::{
    Caller, CallerId,
    call::Sequence,
    call_group::{Aged, CallId, GroupId, HeadChange},
    prefetch::prefetch,
    small::{SmallMap, SmallSet},
};

/// The calls that wait for a bucket. What is read of every class at every look is here, and not in
/// the class's own queue: that is memory which is seldom in the cache.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    /// Absent while no call of the class waits or has a place, which is most of a bucket's life.
    classes: [Option<Box<ClassQueue>>; 3],
    /// Calls of the class that wait for this bucket, here or elsewhere.
    waiting: [u32; 3],
    /// Whether a group of the class is parked here.
    parked: [bool; 3],
    /// Grants to other classes since the last one of the class, while a group of it was parked
    /// here.
    passed_over: [u8; 3],
    /// The caller that had the last turn, and its class, if there was one.
    last: CallerId,
    last_class: Option<Class>,
}

/// By how much a caller's next turn is after the others'.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead {
    pub(super) class: Class,
    pub(super) caller: CallerId,
    pub(super) by: Tag,
}

/// How many calls go before another one at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    /// Of all classes.
    pub(super) all: u64,
    /// Of its own class.
    pub(super) class: u64,
}

#[derive(Debug, Default)]
struct ClassQueue {
    virtual_time: Tag,
    /// The callers that wait or have places, and those whose last turn ends after the virtual time.
    turns: SmallMap<CallerId, Turn>,
    /// The callers with groups parked here, each by its tag and its oldest call, the next one
    /// first.
    ready: SmallSet<(Tag, Head)>,
    /// The callers that neither wait nor have places, by the end of their last turn.
    resting: SmallSet<(Tag, CallerId)>,
    /// Callers that have calls that wait for this bucket, here or elsewhere.
    callers: u32,
    /// Callers that have such calls, or places.
    present: u32,
    /// Places in all.
    places: u32,
}

/// One caller's place among the others.
#[derive(Debug)]
struct Turn {
    /// Its tag.
    start: Tag,
    weight: Weight,
    waiting: u32,
    places: u32,
    /// How many turns it has had since this entry was made.
    served: u32,
    /// Its groups that are parked here, each by its oldest call of this caller.
    groups: SmallSet<Head>,
}

/// A group that is parked here, by its oldest call of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    age: Sequence,
    pub(super) call: CallId,
    pub(super) group: GroupId,
}

/// Virtual time: [`STEP`] is one grant to a caller of weight one.
pub(super) type Tag = u64;

/// Fine enough for every weight, and small enough for a million million grants.
const STEP: Tag = 1 << 24;

/// A class that has been passed over so often is served next. Of any ten grants one is
/// background's and, normal's turn being put off by at most one, two are normal's.
const FLOORS: [u8; 3] = [NEVER, 3, 9];
const NEVER: u8 = u8::MAX;

/// A forecast looks at so many callers one by one; of the others it counts the last round only.
const LOOKED_AT: usize = 64;
/// To find those that wait, among callers that have places, it looks at no more than so many.
const LOOKED_OVER: usize = 4 * LOOKED_AT;

// === impl FairQueue ===

impl FairQueue {
    /// Fetches the classes' queues into the cache: they are needed soon.
    pub(super) fn prefetch(&self) {
        self.classes.iter().flatten().for_each(|queue| prefetch(&**queue));
    }

    /// Fetches the callers in them, too.
    #[inline]
    pub(super) fn prefetch_turns(&self) {
        for queue in self.classes.iter().flatten() {
            queue.ready.prefetch();
            queue.turns.prefetch();
        }
    }

    /// How many callers wait, here or elsewhere; one of two classes counts twice.
    pub(super) fn callers(&self) -> u64 {
        self.classes.iter().flatten().map(|queue| u64::from(queue.callers)).sum()
    }

    /// How many calls of that caller and class wait, here or elsewhere.
    pub(super) fn waiting_of(&self, class: Class, caller: CallerId) -> u64 {
        self.turn(class, caller).map_or(0, |turn| u64::from(turn.waiting))
    }

    /// The same with the places that it has.
    pub(super) fn present_of(&self, class: Class, caller: CallerId) -> u64 {
        self.turn(class, caller).map_or(0, |turn| u64::from(turn.present()))
    }

    /// How many turns that caller has had since its entry was made; zero if it has none.
    pub(super) fn served(&self, class: Class, caller: CallerId) -> u64 {
        self.turn(class, caller).map_or(0, |turn| u64::from(turn.served))
    }

    /// Whether a group is parked here.
    pub(super) fn has_parked(&self) -> bool {
        self.parked.contains(&true)
    }

    /// Whether a group of that class is parked here.
    pub(super) fn has_parked_of(&self, class: Class) -> bool {
        self.parked[class.index()]
    }

    /// Whether the class has been passed over so often that it is next. Does not depend on
    /// whether a group of it is parked here now, or a call that is looked at would change what it
    /// sees.
    pub(super) fn is_due(&self, class: Class) -> bool {
        self.passed_over[class.index()] >= FLOORS[class.index()]
    }

    /// Counts a call that is held.
    pub(super) fn join(&mut self, class: Class, caller: Caller) {
        let queue = self.queue_of(class, caller);
        let turn = queue.enter(caller);
        turn.waiting += 1;
        queue.callers += u32::from(turn.waiting == 1);
        self.waiting[class.index()] += 1;
    }

    /// Uncounts a held call that goes: granted, cancelled or expired.
    pub(super) fn leave(&mut self, class: Class, caller: CallerId) {
        let Some(queue) = &mut self.classes[class.index()] else { return };
        self.waiting[class.index()] -= 1;
        if self.waiting[class.index()] == 0 && queue.places == 0 {
            self.close(class);
            return;
        }
        queue.exit(caller, |turn| turn.waiting -= 1);
    }

    /// Counts a place that is kept.
    pub(super) fn keep_place(&mut self, class: Class, caller: Caller) {
        let queue = self.queue_of(class, caller);
        queue.enter(caller).places += 1;
        queue.places += 1;
    }

    /// Uncounts a place that is kept no more.
    pub(super) fn drop_place(&mut self, class: Class, caller: CallerId) {
        let Some(queue) = &mut self.classes[class.index()] else { return };
        queue.places -= 1;
        if self.waiting[class.index()] == 0 && queue.places == 0 {
            self.close(class);
            return;
        }
        queue.exit(caller, |turn| turn.places -= 1);
    }

    /// A class's queue, for one that comes. The caller that had the last turn does not start as if
    /// it had had none.
    fn queue_of(&mut self, class: Class, caller: Caller) -> &mut ClassQueue {
        let queue = self.classes[class.index()].get_or_insert_default();
        let was_empty = queue.present == 0;
        if was_empty && (self.last_class, self.last) == (Some(class), caller.id) {
            let turn = || Turn { start: step(caller.weight), ..Turn::new(caller.weight) };
            queue.turns.get_or_insert_with(caller.id, turn);
        }
        queue
    }

    /// Forgets a class in which nobody is left.
    fn close(&mut self, class: Class) {
        self.classes[class.index()] = None;
        self.parked[class.index()] = false;
        self.passed_over[class.index()] = 0;
    }

    /// The caller's calls in a group that is parked here have another one in front, come, or leave.
    pub(super) fn change_head(
        &mut self,
        class: Class,
        caller: CallerId,
        heads: HeadChange,
        group: GroupId,
    ) {
        let Some(queue) = &mut self.classes[class.index()] else { return };
        queue.reposition(caller, |turn| {
            let head = |(age, call): Aged| Head { age, call, group };
            if let Some(before) = heads.before {
                turn.groups.remove(head(before));
            }
            if let Some(after) = heads.after {
                turn.groups.insert(head(after));
            }
        });
        self.parked[class.index()] = !queue.ready.is_empty();
    }

    /// Which call is next, of the classes for which the bucket is `open`.
    pub(super) fn next(&self, open: [bool; 3]) -> Option<(Class, Head)> {
        let may_go = |class: &Class| open[class.index()] && self.has_parked_of(*class);
        let class = Class::ALL
            .into_iter()
            .rev()
            .find(|class| may_go(class) && self.is_due(*class))
            .or_else(|| Class::ALL.into_iter().find(may_go))?;
        let (_, head) = self.class_queue(class)?.ready.first()?;
        Some((class, head))
    }

    /// Charges the caller's turn for a call that takes a slot of the bucket.
    pub(super) fn charge(&mut self, class: Class, caller: Caller) {
        (self.last_class, self.last) = (Some(class), caller.id);
        for other in Class::ALL {
            let waits = other != class && self.has_parked_of(other);
            let passed_over = &mut self.passed_over[other.index()];
            *passed_over = if waits { passed_over.saturating_add(1).min(NEVER - 1) } else { 0 };
        }
        if let Some(queue) = &mut self.classes[class.index()] {
            queue.charge(caller);
        }
    }

    /// How many calls at least go before one of that class and caller, which has `own` calls of its
    /// caller before it, if no other call comes: these, of each other caller as many as it has
    /// turns until then, and the more urgent ones.
    pub(super) fn ahead_of(&self, class: Class, caller: Caller, own: u64) -> Ahead {
        let class_ahead = self.class_queue(class).map_or(0, |queue| queue.ahead_of(caller, own));
        let urgent = self.waiting[..class.index()].iter().copied().map(u64::from).sum();
        Self::ahead(class, class_ahead, urgent)
    }

    /// How many calls and places are before such a call by their tags: what it is told by that has
    /// to come back. It is `older` than those whose next turns have the tag of its own.
    pub(super) fn line_before(&self, class: Class, caller: Caller, own: u64, older: bool) -> Ahead {
        let queue = self.class_queue(class);
        let class_ahead = queue.map_or(0, |queue| queue.line_before(caller, own, older));
        let places = self.classes[..class.index()].iter().flatten();
        let places = places.map(|queue| u64::from(queue.places));
        let waiting = self.waiting[..class.index()].iter().copied().map(u64::from);
        Self::ahead(class, class_ahead, waiting.chain(places).sum())
    }

    /// What is before a call of that class that has so many of its class before it, and so many that
    /// are more urgent.
    fn ahead(class: Class, class_ahead: u64, urgent: u64) -> Ahead {
        // The floors give a lower class its part of the grants, so the urgent hold it up
        // by a multiple of its own queue at most.
        let floor = match class {
            Class::Interactive | Class::Normal => u64::from(FLOORS[Class::Normal.index()]),
            Class::Background => u64::from(FLOORS[Class::Background.index()]),
        };
        Ahead { all: class_ahead + urgent.min(floor * (class_ahead + 1)), class: class_ahead }
    }

    /// No call of that class has more before it, as far as [`Self::ahead_of`] counts.
    pub(super) fn most_ahead_of(&self, class: Class) -> Ahead {
        let all = self.waiting[..=class.index()].iter().copied().map(u64::from).sum();
        Ahead { all, class: self.waiting[class.index()].into() }
    }

    /// The callers that had more turns than others, and by how much.
    pub(super) fn leads(&self) -> Vec<Lead> {
        let queues =
            Class::ALL.into_iter().filter_map(|class| Some((class, self.class_queue(class)?)));
        let leads = queues.flat_map(|(class, queue)| {
            queue.turns.iter().map(move |(caller, turn)| {
                let by = turn.start.saturating_sub(queue.virtual_time);
                Lead { class, caller: *caller, by }
            })
        });
        leads.collect()
    }

    /// A caller that waits here had more turns elsewhere, which count here now.
    pub(super) fn lead(&mut self, class: Class, caller: CallerId, by: Tag) {
        let Some(queue) = &mut self.classes[class.index()] else { return };
        if let Some(turn) = queue.turns.get_mut(&caller).filter(|turn| turn.present() > 0) {
            let start = turn.start.max(queue.virtual_time + by);
            queue.reposition(caller, |turn| turn.start = start);
        }
    }

    fn class_queue(&self, class: Class) -> Option<&ClassQueue> {
        self.classes[class.index()].as_deref()
    }

    fn turn(&self, class: Class, caller: CallerId) -> Option<&Turn> {
        self.class_queue(class)?.turns.get(&caller)
    }
}

// === impl ClassQueue ===

impl ClassQueue {
    /// One more call or place of a caller is about to be counted.
    fn enter(&mut self, Caller { id, weight }: Caller) -> &mut Turn {
        let turn = self.turns.get_or_insert_with(id, || Turn::new(weight));
        if turn.present() == 0 {
            self.resting.remove((turn.start, id));
            self.present += 1;
            turn.start = turn.start.max(self.virtual_time);
        }
        turn.weight = weight;
        turn
    }

    /// Uncounts a call or place of a caller.
    fn exit(&mut self, caller: CallerId, uncount: impl FnOnce(&mut Turn)) {
        let Some(turn) = self.turns.get_mut(&caller) else { return };
        let waited = turn.waiting > 0;
        uncount(turn);
        self.callers -= u32::from(waited && turn.waiting == 0);
        if turn.present() == 0 {
            self.present -= 1;
            if turn.start > self.virtual_time {
                self.resting.insert((turn.start, caller));
            } else {
                self.turns.remove(&caller);
            }
        }
    }

    fn charge(&mut self, Caller { id, weight }: Caller) {
        let turn = self.turns.get_or_insert_with(id, || Turn::new(weight));
        let start = match turn.present() {
            0 => turn.start.max(self.virtual_time),
            _ => turn.next(self.virtual_time),
        };
        let end = start + step(weight);
        if turn.present() == 0 {
            self.resting.remove((turn.start, id));
            self.resting.insert((end, id));
        }
        turn.served = turn.served.saturating_add(1);
        // The virtual time never passes the tag of a caller with groups parked here.
        let first = self.ready.first().map_or(start, |(tag, _)| tag);
        self.virtual_time = self.virtual_time.max(start.min(first));
        while let Some((end, rested)) = self.resting.first()
            && end <= self.virtual_time
        {
            self.resting.remove((end, rested));
            self.turns.remove(&rested);
        }
        self.reposition(id, |turn| turn.start = end);
    }

    /// Changes a caller's tag, or its groups that are parked here, and moves it to where it
    /// belongs.
    fn reposition(&mut self, caller: CallerId, change: impl FnOnce(&mut Turn)) {
        let Some(turn) = self.turns.get_mut(&caller) else { return };
        let (start, before) = (turn.start, turn.groups.first());
        change(turn);
        let after = turn.groups.first();
        // A caller that already has groups parked here keeps its tag: the virtual time moves on,
        // its turn does not.
        if before.is_none() && after.is_some() {
            turn.start = turn.tag(self.virtual_time);
        }
        let (before, after) =
            (before.map(|head| (start, head)), after.map(|head| (turn.start, head)));
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.ready.remove(before);
        }
        if let Some(after) = after {
            self.ready.insert(after);
        }
    }

    /// How many calls of this class go before one that has so many of its caller's before it.
    /// In the last round of turns half of the others are before it, as far as is known.
    fn ahead_of(&self, Caller { id, weight }: Caller, own: u64) -> u64 {
        let waits = self.turns.get(&id).is_some_and(|turn| turn.waiting > 0);
        let mut last_round = u64::from(self.callers - u32::from(waits));
        let mut ahead = own;
        if last_round == 0 {
            return ahead;
        }
        let others = self.turns.iter().take(LOOKED_OVER);
        let others = others.filter(|(other, turn)| **other != id && turn.waiting > 0);
        for (_, turn) in others.take(LOOKED_AT) {
            let turns = own * u64::from(turn.weight.get()) / u64::from(weight.get());
            let waiting = u64::from(turn.waiting);
            ahead += waiting.min(turns);
            last_round -= u64::from(waiting <= turns);
        }
        ahead + last_round.div_ceil(2)
    }

    /// The same by tags, with places: those of each other caller's turns that come first. Whose
    /// tags are not looked at is taken to have one.
    fn line_before(&self, Caller { id, weight }: Caller, own: u64, older: bool) -> u64 {
        let own_turn = self.turns.get(&id);
        let waits = own_turn.is_some_and(|turn| turn.present() > 0);
        let mut others = u64::from(self.present - u32::from(waits));
        let tag = own_turn.map_or(self.virtual_time, |turn| match turn.present() {
            0 => turn.start.max(self.virtual_time),
            _ => turn.next(self.virtual_time),
        });
        let tag = tag + own * step(weight);
        let (mut before, mut tied) = (own, 0);
        let looked_at = self.turns.iter().take(LOOKED_OVER);
        let looked_at = looked_at.filter(|(other, turn)| **other != id && turn.present() > 0);
        for (_, turn) in looked_at.take(LOOKED_AT) {
            let until = |tag: Tag| {
                let turns = tag.saturating_sub(turn.next(self.virtual_time));
                turns.div_ceil(step(turn.weight)).min(turn.present().into())
            };
            let (earlier, all) = (until(tag), until(tag + 1));
            before += earlier;
            tied += all - earlier;
            others -= 1;
        }
        // Of turns with one tag the older one is first. It is not known which those are.
        before + others + if older { tied.div_ceil(2) } else { tied }
    }
}

// === impl Turn ===

impl Turn {
    fn new(weight: Weight) -> Self {
        Self { start: 0, weight, waiting: 0, places: 0, served: 0, groups: SmallSet::Empty }
    }

    /// Its calls and places.
    fn present(&self) -> u32 {
        self.waiting + self.places
    }

    /// The tag of its next turn.
    fn next(&self, virtual_time: Tag) -> Tag {
        if self.groups.is_empty() { self.tag(virtual_time) } else { self.start }
    }

    /// The tag of a caller whose first group is parked here.
    fn tag(&self, virtual_time: Tag) -> Tag {
        self.start.max(virtual_time.saturating_sub(step(self.weight)))
    }
}

fn step(weight: Weight) -> Tag {
    STEP / Tag::from(weight.get())
}
