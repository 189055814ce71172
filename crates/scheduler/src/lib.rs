//! Which call goes when: a state machine that is told the time.
//!
//! The scheduler owns no clock, no task, no socket and no lock. Its driver tells it what happened
//! and when, and asks it at what time to poll it again. A day of traffic thus runs in a test in
//! seconds, the same way every time.
//!
//! # What a call needs
//!
//! A call counts against several limits at once: its method's tier in its workspace,
//! perhaps its channel, perhaps the whole app. Each limit at one value of its dimensions is
//! a [bucket], with a [sliding window](window) of slots. A call goes when **all**
//! of its buckets have a slot for it, and takes one in each, all or nothing; while it waits
//! it takes none. A slot is taken while the call is in flight and ages from its answer, because
//! Slack counts the call somewhere between the two.
//!
//! # Where it waits
//!
//! Calls of one class that need the same buckets form a [call group](call_group). A group that
//! cannot go is parked in the [fair queue](fair_queue) of exactly one bucket that blocks it. When
//! that bucket has a slot, the group that is next in its order is looked at: its next call goes,
//! or, if another of its buckets blocks it, the group moves to that one's queue. Two things follow.
//! A bucket that is open to a class has no group of that class parked in it, so a new call to which
//! all of its buckets are open may go at once: no call is before it. And a call to a busy channel
//! never holds up one to another channel: it is parked in the channel's queue, not in the one that
//! they share.
//!
//! # In what order
//!
//! - By class, with floors, then by callers in turns, then by age; see [`fair_queue`].
//! - Some slots are reserved for people, so that a click finds one free; see [`reserve`].
//! - A call that is blocked elsewhere whenever it is its turn claims the next slot of each of
//!   its buckets; see [`claims`].
//! - A call that would wait longer than its client does is refused at once, with the time when to
//!   come back, and keeps its place in the queue until then; see [`forecast`] and [`places`].
//! - Calls in order, such as posts of one caller to one thread, go one at a time, and none
//!   goes while an older one waits; see [`lines`]. A replayed call
//!   keeps its slot while it waits, so no other overtakes it. A slot whose call has no answer after
//!   a few seconds is given up: the next call goes, and two calls may change places.
//!
//! # When Slack refuses
//!
//! When Slack refuses a call for a limit, the bucket that most likely refused it is frozen, and
//! perhaps a wider one with it; see [`evidence`]. The call can be replayed, as one can whose attempt
//! brought no response: it keeps its age, so it is first in its queue; see [`attempts`]. After the
//! freeze the bucket is half-open: one call probes, and each that passes admits one more; see
//! [`half_open`].
//!
//! Such a refusal may also show that a limit is not what is documented. Then the bucket learns the
//! true one; see [`learn`] and [`teach`].
//!
//! # When it turns out whose calls they are
//!
//! What counted for one identity may have to count for another, because it is the same: its
//! buckets are renamed, and where both have one, the two become one; see
//! [`Scheduler::rename`](rename).
//!
//! # When the operator changes the limits
//!
//! Buckets of a limit that keeps its name keep their slots, and calls that wait are given their new
//! buckets; see [`relimit`] and [`rebucket`].
//!
//! # When others share its limits
//!
//! Several schedulers may share their limits through a store. Each uses only the slots that it holds
//! on lease, and ages them itself; see [`shared`]. A call that needs several of them gets one after
//! the other; see [`collect`]. While the store does not answer, what is held is used again; see
//! [`alone`]. What Slack refuses one of them all know of, and one call of all probes; see [`freezes`].
//! What refusals teach they learn together; see [`in_common`].
//! A limit that is not shared knows nothing of all that, and costs no more than if no limit
//! could be shared: what is for shared ones only is out of the way (`#[cold]`), and what both need is
//! inlined where it was with one caller (`#[inline]`).
//!
//! # When it is one of several
//!
//! Several schedulers can keep to the same limits if each has a part of them; see [`split`].
//!
//! # What outlives it
//!
//! It notes what a successor has to know to take over from it, and takes over from such notes; see
//! [`notes`].
//!
//! # When what it counts against changes
//!
//! The operator pauses a method, a caller or a workspace: calls of it then also need a gate, which
//! is a bucket that no call passes. Or the limits are replaced. Either way calls that are held
//! change their buckets and keep their age; see [`Scheduler::rebucket`](rebucket). Some gates let calls
//! pass as what is behind them has room; see [`turnstile`].
//!
//! # When somebody joins a held call
//!
//! Several may be served by one call: it becomes as urgent as the most urgent of them, and may wait
//! as long as the most patient; see [`Scheduler::raise`](raise).
//!
//! # Why it ends
//!
//! A change in a bucket marks it as touched, if a call waits for it, and [`Scheduler::run`](serve)
//! looks at touched buckets until none is left. At one instant, what blocks a call depends only on
//! the state of its buckets, which only grants change, and on claims, of which the more urgent and
//! older one always wins. So between two grants a group moves at most once, to a bucket that does
//! not let it go, and there are no more grants than calls. A look costs the logarithm of the number
//! of held calls; a move costs it once for each caller in the group.
//!
//! A granted call holds a permit until it is [settled](Scheduler::settle): an unsettled permit
//! occupies its slots, so the driver settles every permit, however its call
//! ended. Nothing is forgotten too early and everything is forgotten in the end: a bucket
//! without waiting calls, calls in flight, freeze, evidence, people or ageing slots is dropped,
//! so memory follows live traffic and not history.

#![cfg_attr(not(any(test, feature = "model")), no_std)]

extern crate alloc;

mod admit;
mod agenda;
mod alone;
mod attempts;
mod bucket;
mod buckets;
mod bypass;
mod call;
mod call_group;
mod call_groups;
mod claims;
mod collect;
mod crowds;
mod events;
mod evidence;
mod fair_queue;
mod forecast;
mod former;
mod freezes;
mod half_open;
mod headroom;
mod hold;
mod identity_index;
mod in_common;
mod in_turn;
mod learn;
mod lease;
mod leave;
mod lines;
mod notes;
mod places;
mod prefetch;
mod raise;
mod rebucket;
mod relimit;
mod rename;
mod reserve;
mod serve;
mod shared;
mod small;
mod split;
mod table;
mod teach;
mod time;
mod turns;
mod turnstile;
mod window;

#[cfg(any(test, feature = "model"))]
#[cfg_attr(not(test), expect(dead_code, reason = "the tests beside it drive it in more ways"))]
#[expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "it checks in tests")]
pub mod model;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use hashbrown::HashMap;

use foldhash::quality::RandomState;
use limits::{BucketKey, Class, Limit, Share};

use self::{
    agenda::Agenda,
    attempts::Between,
    bucket::Bucket,
    buckets::Buckets,
    call::{Granted, Held, Sequence, Terms},
    call_group::BucketId,
    call_groups::CallGroups,
    forecast::Arrival,
    hold::{Callers, is_held},
    lines::Lines,
    places::{Places, Returned},
    shared::Leases,
    split::Replica,
    table::Table,
};
pub use self::{
    call::{Call, Caller, CallerId, Outcome, Permit, Ticket},
    events::{
        Block, BlockReason, BucketState, Enqueued, Event, Freeze, Refusal, RefusalReason, Refused,
    },
    freezes::{Notice, Noticed, Prober, Shut, Standing},
    headroom::Headroom,
    in_common::{InCommon, Is, Tale},
    leave::Farewell,
    notes::{Memory, Note},
    places::PlaceId,
    shared::{Answer, Ask, Epoch, Hint, Link, Shard, Sharing, Told},
    teach::{KeptLesson, Learning, Learnt, Lesson},
    time::Instant,
};

/// The state machine.
#[derive(Debug)]
pub struct Scheduler {
    policy: Policy,
    buckets: Buckets,
    groups: CallGroups,
    held: Table<Held>,
    granted: Table<Granted>,
    between: Between,
    places: Places,
    lines: Lines,
    callers: Callers,
    /// When each bucket is looked at next.
    alarms: Agenda<BucketId>,
    deadlines: Agenda<Ticket>,
    /// The buckets in which something changed since they were looked at.
    touched: Vec<BucketId>,
    sequence: Sequence,
    events: Vec<Event>,
    /// The notes for a successor, if notes are taken.
    notes: Option<Vec<Note>>,
    /// The limits, if they have changed since calls came that may still name the old ones.
    limits: HashMap<Arc<str>, Arc<Limit>, RandomState>,
    /// If set, the slots of new buckets count as taken, ageing from then.
    cautious_since: Option<Instant>,
    /// What is known of the store, if limits are shared with others.
    leases: Option<Box<Leases>>,
    /// Which replica it is, if it is one of several that have a part of each limit.
    replica: Option<Replica>,
    /// The buckets that have a learner; some may have lost it, or be gone.
    learning: Vec<BucketId>,
    /// What buckets have learnt, and nobody has been told.
    lessons: Vec<Lesson>,
    /// How many buckets there may be, before names share some.
    most_buckets: usize,
}

/// What the operator decides.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How many calls may be held.
    pub bounds: Bounds,
    /// How much of a window background calls may take.
    pub background: Share,
    /// How limits are learnt from refusals.
    pub learning: Learning,
}

/// How many calls may be held.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Per bucket.
    pub per_bucket: usize,
    /// In all.
    pub total: usize,
}

// === impl Scheduler ===

impl Scheduler {
    /// An empty scheduler.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            buckets: Buckets::default(),
            groups: CallGroups::default(),
            held: Table::default(),
            granted: Table::default(),
            between: Between::default(),
            places: Places::default(),
            lines: Lines::default(),
            callers: Callers::default(),
            alarms: Agenda::default(),
            deadlines: Agenda::default(),
            touched: Vec::new(),
            sequence: 0,
            events: Vec::new(),
            notes: None,
            limits: HashMap::default(),
            cautious_since: None,
            leases: None,
            replica: None,
            learning: Vec::new(),
            lessons: Vec::new(),
            most_buckets: usize::MAX,
        }
    }

    /// A call arrives: it goes, is held, or is refused because it would wait past its
    /// deadline or a bound is reached.
    pub fn enqueue(&mut self, now: Instant, call: &Call) -> Enqueued {
        self.advance(now);
        let buckets = self.resolve(now, &call.buckets);
        if call.class == Class::Interactive {
            for &id in &buckets {
                self.buckets[id].expect_people(now);
            }
        }
        self.prefetch_arrival(call.class, &buckets);
        let come = now + call.again;
        let returned = call.place.and_then(|id| self.take_place(come, id, &buckets, call.class));
        let (sequence, arrival) = match returned {
            None => (self.next_sequence(), Arrival::New),
            Some(Returned { sequence, own, is_due: true, .. }) => {
                (sequence, Arrival::Returned { sequence, own })
            }
            // Another number, too: the call that left the place may not have heard of it yet.
            Some(Returned { sequence, own, .. }) => {
                (self.next_sequence(), Arrival::Early { sequence, own })
            }
        };
        let held = Held::new(sequence, call.class, call.caller, call.deadline);
        let held = Held { place: call.place, ..held };
        let terms = Terms { max_depth: call.max_depth, again: call.again };
        let enqueued = self.admit(now, &buckets, held, arrival, terms);
        if let Some(Returned { left, .. }) = returned {
            self.leave_place(&left);
        }
        if let (Some(place), Enqueued::Refused(_)) = (call.place, &enqueued) {
            self.bound_places(place);
        }
        self.run(now);
        enqueued
    }

    /// The client of a held call is gone. Costs no slot. A ticket whose call is no longer
    /// held is ignored.
    pub fn cancel(&mut self, now: Instant, ticket: Ticket) {
        self.advance(now);
        if is_held(&self.held, ticket) {
            let held = self.take_out(ticket.index);
            self.release(now, held.kept(), held.class, Outcome::Unsent);
            self.run(now);
        }
    }

    /// The answer of a granted call begins. Its slots age from now on, whatever it says and
    /// however long it takes to say it.
    pub fn answered(&mut self, now: Instant, permit: &Permit) {
        if let Some(granted) = self.granted.get_mut(permit.index) {
            granted.answered = Some(now);
        }
    }

    /// A granted call has ended.
    pub fn settle(&mut self, now: Instant, permit: Permit, outcome: Outcome) {
        self.advance(now);
        let was_between = self.between.leave(&permit);
        let granted = self.granted.remove(permit.spend());
        granted.slots.iter().for_each(|slot| self.buckets.prefetch(slot.bucket));
        let ended = granted.answered.unwrap_or(now);
        let outcome = if was_between {
            // Its last attempt has ended, and is noted. What it kept for the next is free.
            Outcome::Unsent
        } else {
            self.note_end(granted.sequence, &granted.slots, ended, outcome);
            outcome
        };
        self.release(ended, &granted.slots, granted.class, outcome);
        self.run(now);
    }

    /// Closes a bucket until `until`. After that one call probes it.
    pub fn freeze(&mut self, now: Instant, bucket: BucketKey, until: Instant) {
        self.advance(now);
        for id in self.resolve(now, &[bucket]) {
            self.close(now, id, until);
        }
        self.run(now);
    }

    /// Lets time pass. Moves what has happened since the last poll into `events`. Returns when to
    /// poll next, if nothing happens before.
    pub fn poll(&mut self, now: Instant, events: &mut Vec<Event>) -> Option<Instant> {
        self.advance(now);
        events.append(&mut self.events);
        self.next().map(|(at, _)| at)
    }

    /// How many calls are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many places are kept for calls that were sent away.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// Whether a place is kept for that call.
    #[cfg(any(test, feature = "model"))]
    pub(crate) fn has_place(&self, id: PlaceId) -> bool {
        self.places.has(id)
    }

    /// The bucket in whose queue a held call is parked, and why the call does not go.
    pub fn waits_for(&mut self, now: Instant, ticket: Ticket) -> Option<(BucketKey, Block)> {
        let held = self.held.get(ticket.index).filter(|held| held.sequence == ticket.sequence)?;
        let (class, age, parked) = (held.class, held.sequence, self.groups[held.group].parked);
        let turn = Block { reason: BlockReason::Turn, until: None };
        let block = self.blocked(now, parked, class, age, Some(ticket.index)).unwrap_or(turn);
        Some((self.buckets[parked].key.clone(), block))
    }

    /// The state of every bucket that is alive.
    pub fn buckets(&mut self, now: Instant) -> impl Iterator<Item = BucketState> {
        self.buckets.iter_mut().map(move |(_, bucket)| bucket.state(now))
    }

    fn next_sequence(&mut self) -> Sequence {
        self.sequence += 1;
        self.sequence
    }
}
