//! Schedulers that share their limits through a store.

mod alone;
mod collect;
mod forecast;
mod former;
mod freezes;
mod in_turn;
mod learn;
mod leave;
mod numbers;
mod store;
mod walk;

use std::slice;

use limits::Scope;

use super::*;
use crate::{
    Answer, Ask, BlockReason, Enqueued, Epoch, Event, Hint, Link, Permit, Policy, Scheduler, Shard,
    Sharing, Ticket, Told,
    model::replicas::{Call as Shared, Net, World},
};

/// Limits that several schedulers meet in: slow and quick ones, and of calls at once.
fn limits() -> Vec<BucketKey> {
    let slow = rate("slow", 3, 600, AgeFrom::Answer);
    let quick = rate("quick", 1, 100, AgeFrom::Answer);
    let wide = rate("wide", 6, 1000, AgeFrom::Answer);
    let sent = rate("sent", 2, 300, AgeFrom::Send);
    let at_work = at_once("at_work", 2);
    let order = in_order("in_order", 700);
    let whole = open("whole", &[Dimension::App]);
    vec![
        bucket(&slow, "w"),
        bucket(&quick, "c"),
        bucket(&quick, "d"),
        bucket(&wide, "w"),
        bucket(&sent, "w"),
        bucket(&at_work, "w"),
        bucket(&order, "c/1"),
        bucket(&whole, "w"),
    ]
}

/// A scheduler that shares its limits, and what it has heard and said.
struct One {
    scheduler: Scheduler,
    now: Instant,
    permits: Vec<Permit>,
    asks: Vec<Ask>,
}

const SHARD: Shard = Shard(0);
const EPOCH: Epoch = Epoch(7);
/// It grants nothing.
const COLD: Link = Link::Cold { from: Duration::ZERO, apart: None };
const FLIGHT: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(30);

// === impl One ===

impl One {
    /// It has heard nobody yet.
    fn unheard(replicas: Option<u32>) -> Self {
        let bounds = Bounds { per_bucket: 1_000, total: 1_000 };
        let mut scheduler = Scheduler::new(Policy {
            bounds,
            background: limits::Share::default(),
            learning: crate::Learning::default(),
        });
        scheduler.share(Sharing {
            shard: |_| Some(SHARD),
            replicas: replicas.map(|replicas| replicas.try_into().unwrap()),
            flight: FLIGHT,
            lease: LEASE,
        });
        Self { scheduler, now: Instant::ZERO + seconds(1), permits: Vec::new(), asks: Vec::new() }
    }

    /// It is one of so many that hear the store.
    fn of(replicas: u32) -> Self {
        let mut one = Self::unheard(None);
        one.link(Link::NewEpoch(EPOCH));
        one.link(Link::Connected { replicas, hot: Vec::new() });
        one
    }

    fn link(&mut self, how: Link) {
        self.scheduler.alone(self.now, SHARD, how);
        self.look();
    }

    /// A call comes that waits for long.
    fn arrive(&mut self, buckets: &[BucketKey], class: Class, caller: u64) -> Option<Ticket> {
        let call = Call {
            buckets: buckets.to_vec(),
            class,
            caller: of(caller),
            deadline: self.now + PATIENT,
            max_depth: None,
            place: None,
            again: Duration::ZERO,
        };
        let enqueued = self.scheduler.enqueue(self.now, &call);
        self.enqueued(enqueued)
    }

    /// A call goes, or it is held.
    fn enqueued(&mut self, enqueued: Enqueued) -> Option<Ticket> {
        let ticket = match enqueued {
            Enqueued::Granted(permit) => {
                self.permits.push(permit);
                None
            }
            Enqueued::Held(ticket) => Some(ticket),
            Enqueued::Refused(refusal) => panic!("{refusal:?}"),
        };
        self.look();
        ticket
    }

    /// The first call that went is answered.
    fn answer(&mut self) {
        let permit = self.permits.remove(0);
        self.scheduler.settle(self.now, permit, Outcome::Answered);
        self.look();
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.look();
    }

    /// The store answers the last ask of a bucket: so many slots were granted ever, all hold so
    /// many, and others of that weight wait.
    fn told(&mut self, bucket: &BucketKey, granted: u64, used: u32, others: u64) {
        let ask = self.asks.iter().rposition(|ask| ask.bucket == *bucket).unwrap();
        let Ask { life, number, wants, callers, .. } = self.asks[ask];
        let own = if wants == [0; 3] { 0 } else { u64::from(callers) };
        let weight = own + others;
        let answer = Some(Answer { number, used, weight, hint: Hint::Open });
        let told = Told { epoch: EPOCH, life, granted, answer };
        self.scheduler.leased(self.now, bucket, told);
        self.look();
    }

    /// A call is to be sent again whose attempt has ended so.
    fn replay(&mut self, permit: Permit, outcome: Outcome) -> Option<Ticket> {
        let enqueued = self.scheduler.replay(self.now, permit, outcome, &[]);
        self.enqueued(enqueued)
    }

    /// How often it has asked of a bucket.
    fn asks_of(&self, bucket: &BucketKey) -> usize {
        self.asks.iter().filter(|ask| ask.bucket == *bucket).count()
    }

    /// The last ask of a bucket.
    fn asked(&self, bucket: &BucketKey) -> &Ask {
        self.asks.iter().rfind(|ask| ask.bucket == *bucket).unwrap()
    }

    fn look(&mut self) {
        let mut events = Vec::new();
        self.scheduler.poll(self.now, &mut events);
        self.scheduler.asks(self.now, &mut self.asks);
        self.scheduler.poll(self.now, &mut events);
        for event in events {
            if let Event::Granted { permit, .. } = event {
                self.permits.push(permit);
            }
        }
    }
}
