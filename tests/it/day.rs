//! A day of traffic through the scheduler alone: a thousand workspaces with twenty methods each,
//! five million calls, and half of the buckets asked for more than they give.
//!
//! The judge shares nothing with what it judges: it has a ring of slots per bucket, each with
//! the last answer that it stands for, and looks for one that is over at every grant.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unchecked_time_subtraction,
    clippy::print_stdout,
    reason = "the figures of a day are far below what these lints warn of"
)]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    num::{NonZeroU8, NonZeroU32},
    sync::Arc,
    time::Duration,
};

use foldhash::fast::RandomState;
use slackwater::{
    scheduler::{
        Bounds, BucketKey, Call, Caller, CallerId, Class, Enqueued, Event, Instant, Outcome,
        Permit, PlaceId, Policy, Scheduler, Share, Ticket, Weight,
    },
    slack::{AgeFrom, Dimension, Limit, OPEN, Rate, Rule, Scope},
};

use crate::mix::SplitMix;

/// How much traffic there is, and in how many places.
#[derive(Clone, Copy)]
struct Size {
    workspaces: usize,
    calls: usize,
    /// Within how long they come.
    length: Duration,
}

/// The day.
struct Day {
    size: Size,
    scheduler: Scheduler,
    now: Instant,
    buckets: Vec<Bucket>,
    /// The calls that are held, by the number of their ticket.
    held: HashMap<u64, Held, RandomState>,
    /// The calls that were sent, by their number.
    flights: HashMap<usize, Flight, RandomState>,
    /// Answers come soon, and what clients do comes late: among few, the next one is found sooner.
    to_come: [BinaryHeap<Reverse<(Instant, Next)>>; 2],
    events: Vec<Event>,
    wake: Option<Instant>,
    /// Of each call, whether it has ended.
    ended: Vec<bool>,
    ends: BTreeMap<&'static str, usize>,
}

/// A method in a workspace.
struct Bucket {
    /// Its own, its workspace's and its app's.
    keys: [BucketKey; 3],
    quota: u32,
    period: Duration,
    /// When the call that has each slot was counted at the latest; far while nobody knows.
    ring: Vec<Instant>,
    /// Calls that were sent after the queues had grown.
    sent: u32,
}

/// A call: all that it will do follows from its number.
#[derive(Clone, Copy)]
struct Asked {
    bucket: usize,
    class: Class,
    caller: Caller,
    patience: Duration,
    /// Its client does not wait as long as it said.
    hangs_up_after: Option<Duration>,
    /// It is refused as too late, it comes again at the time that it is told.
    returns: bool,
    outcome: Outcome,
    round_trip: Duration,
}

struct Held {
    ticket: Ticket,
    number: usize,
    deadline: Instant,
}

struct Flight {
    permit: Permit,
    asked: Asked,
    /// Which of the ring's slots it has, and what that stood for before.
    slot: usize,
    before: Instant,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// The call with this number is over.
    Answer(usize),
    /// The client of the call with this number and this ticket is gone.
    HangUp(usize, u64),
    /// The call with this number comes again.
    Return(usize),
}

const METHODS: usize = 20;
/// The part of the calls that goes to the half of the methods that is crowded.
const CROWD: f64 = 0.85;
/// Calls per period of the crowded methods: windows of several sizes, all of the same rate.
const QUOTAS: [u32; 5] = [1, 2, 4, 6, 12];
/// From one call of a crowded method to the next.
const PACE: Duration = Duration::from_secs(300);
/// The others have room for all that comes.
const ROOMY: (u32, Duration) = (20, Duration::from_secs(60));
/// By then the queues have grown.
const GROWN: Duration = Duration::from_secs(7_200);
/// A call that was given up may still be answered so much later.
const LATE: Duration = Duration::from_secs(60);

// === impl Day ===

impl Day {
    fn new(size: Size) -> Self {
        let bounds = Bounds { per_bucket: 1_000_000, total: 1_000_000 };
        Self {
            size,
            scheduler: Scheduler::new(Policy { bounds, background: Share::default() }),
            now: Instant::ZERO,
            buckets: buckets(size.workspaces),
            held: HashMap::default(),
            flights: HashMap::default(),
            to_come: Default::default(),
            events: Vec::new(),
            wake: None,
            ended: vec![false; size.calls],
            ends: BTreeMap::new(),
        }
    }

    /// Lets it pass, until nothing more happens.
    fn pass(&mut self) {
        let between = self.size.length.as_nanos() as f64 / self.size.calls as f64;
        let mut chance = Chance::of(u64::MAX);
        let mut arrival = Some((0, Instant::ZERO));
        loop {
            let due = self.due();
            let times = [due, arrival.map(|(_, at)| at), self.wake];
            let Some(now) = times.into_iter().flatten().min() else { return };
            self.now = now;
            if due == Some(now) {
                let first = self.to_come.iter_mut().find(|to_come| first(to_come) == due);
                let Some(Reverse((_, next))) = first.and_then(BinaryHeap::pop) else { return };
                self.happens(next);
            } else if let Some((number, _)) = arrival.filter(|(_, at)| *at == now) {
                self.arrive(number, true);
                let after = Duration::from_nanos((-(1.0 - chance.unit()).ln() * between) as u64);
                arrival = (number + 1 < self.size.calls).then_some((number + 1, now + after));
            }
            self.poll();
        }
    }

    /// When the next of what is to come does.
    fn due(&self) -> Option<Instant> {
        self.to_come.iter().filter_map(first).min()
    }

    fn comes(&mut self, at: Instant, next: Next) {
        let answers = matches!(next, Next::Answer(_));
        self.to_come[usize::from(!answers)].push(Reverse((at, next)));
    }

    fn happens(&mut self, next: Next) {
        match next {
            Next::Answer(number) => self.answer(number),
            Next::Return(number) => self.arrive(number, false),
            Next::HangUp(number, ticket) => {
                if let Some(held) = self.held.remove(&ticket) {
                    self.scheduler.cancel(self.now, held.ticket);
                    self.end(number, "hung up");
                }
            }
        }
    }

    fn arrive(&mut self, number: usize, may_return: bool) {
        let asked = Asked::by(number, self.size);
        let deadline = self.now + asked.patience;
        let call = Call {
            buckets: self.buckets[asked.bucket].keys.to_vec(),
            class: asked.class,
            caller: asked.caller,
            deadline,
            max_depth: None,
            place: Some(PlaceId(number as u64)),
        };
        match self.scheduler.enqueue(self.now, call) {
            Enqueued::Granted(permit) => self.send(number, asked, permit),
            Enqueued::Held(ticket) => {
                if let Some(after) = asked.hangs_up_after {
                    self.comes(self.now + after, Next::HangUp(number, ticket.number()));
                }
                self.held.insert(ticket.number(), Held { ticket, number, deadline });
            }
            Enqueued::Refused(refusal) if asked.returns && may_return => {
                self.comes(refusal.retry_at, Next::Return(number));
            }
            Enqueued::Refused(_) => self.end(number, "refused"),
        }
    }

    fn poll(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        self.wake = self.scheduler.poll(self.now, &mut events);
        for event in events.drain(..) {
            match event {
                Event::Granted { ticket, permit } => {
                    let held = self.held.remove(&ticket.number()).unwrap();
                    self.send(held.number, Asked::by(held.number, self.size), permit);
                }
                Event::Expired { ticket, .. } => {
                    let held = self.held.remove(&ticket.number()).unwrap();
                    assert!(held.deadline <= self.now, "nobody is sent away before time");
                    self.end(held.number, "expired");
                }
            }
        }
        self.events = events;
    }

    fn send(&mut self, number: usize, asked: Asked, permit: Permit) {
        let bucket = &mut self.buckets[asked.bucket];
        let over = |counted: &Instant| {
            counted.as_nanos() == 0
                || (*counted != Instant::FAR && *counted + bucket.period <= self.now)
        };
        let slot = bucket.ring.iter().position(over);
        let slot =
            slot.unwrap_or_else(|| panic!("{} has no room at {:?}", bucket.keys[0], self.now));
        let before = std::mem::replace(&mut bucket.ring[slot], Instant::FAR);
        let end = Instant::ZERO + self.size.length;
        if asked.outcome != Outcome::Unsent && self.now > Instant::ZERO + GROWN && self.now <= end {
            bucket.sent += 1;
        }
        self.comes(self.now + asked.round_trip, Next::Answer(number));
        self.flights.insert(number, Flight { permit, asked, slot, before });
    }

    fn answer(&mut self, number: usize) {
        let Flight { permit, asked, slot, before } = self.flights.remove(&number).unwrap();
        let (counted, end) = match asked.outcome {
            Outcome::Unsent => (before, "unsent"),
            Outcome::Lost => (self.now + LATE, "lost"),
            Outcome::Answered | Outcome::Refused => (self.now, "answered"),
        };
        self.buckets[asked.bucket].ring[slot] = counted;
        self.scheduler.settle(self.now, permit, asked.outcome);
        self.end(number, end);
    }

    fn end(&mut self, number: usize, how: &'static str) {
        assert!(!std::mem::replace(&mut self.ended[number], true), "call {number} ends twice");
        *self.ends.entry(how).or_default() += 1;
    }

    /// The part of its limit that each crowded bucket had, the least first.
    fn shares(&self) -> Vec<f64> {
        let counted = (self.size.length - GROWN).as_secs_f64();
        let crowded = self.buckets.iter().filter(|bucket| bucket.quota != ROOMY.0);
        let mut shares: Vec<_> = crowded
            .map(|bucket| {
                let limit = f64::from(bucket.quota) * counted / bucket.period.as_secs_f64();
                f64::from(bucket.sent) / limit
            })
            .collect();
        shares.sort_by(f64::total_cmp);
        shares
    }
}

/// When the first of these comes.
fn first(to_come: &BinaryHeap<Reverse<(Instant, Next)>>) -> Option<Instant> {
    to_come.peek().map(|Reverse((at, _))| *at)
}

/// The buckets of every method in every workspace; the first half of the methods is crowded.
fn buckets(workspaces: usize) -> Vec<Bucket> {
    let limit = |name: String, rule, scope: &[Dimension]| {
        Arc::new(Limit {
            name: name.into(),
            rule,
            scope: Scope::of(scope),
            age_from: AgeFrom::Answer,
        })
    };
    let team = &[Dimension::App, Dimension::Workspace];
    let [workspace, app] = &*OPEN;
    let app = BucketKey { limit: Arc::clone(app), values: "A1".into() };
    let methods: Vec<_> = (0..METHODS)
        .map(|method| {
            let (quota, per) = match QUOTAS.get(method / 2) {
                Some(quota) => (*quota, PACE * *quota),
                None => ROOMY,
            };
            let limit_of = NonZeroU32::new(quota).unwrap();
            let rate = Rate { limit: limit_of, per, burst: None, tolerates: None };
            (limit(format!("method{method}"), Rule::Rate(rate), team), quota, per)
        })
        .collect();
    let mut buckets = Vec::new();
    for w in 0..workspaces {
        let values: Arc<str> = format!("A1/T{w}").into();
        let key = |limit: &Arc<Limit>| BucketKey {
            limit: Arc::clone(limit),
            values: Arc::clone(&values),
        };
        for (limit, quota, period) in &methods {
            buckets.push(Bucket {
                keys: [key(limit), key(workspace), app.clone()],
                quota: *quota,
                period: *period,
                ring: vec![Instant::ZERO; *quota as usize],
                sent: 0,
            });
        }
    }
    buckets
}

// === impl Asked ===

impl Asked {
    fn by(number: usize, size: Size) -> Self {
        let mut chance = Chance::of(number as u64);
        let crowded = chance.happens(CROWD);
        let method = chance.below(METHODS / 2) + if crowded { 0 } else { METHODS / 2 };
        let workspace = chance.below(size.workspaces);
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let (class, patience) = match chance.below(20) {
            0 => (Class::Interactive, chance.between(minutes(1), minutes(30))),
            1..5 => (Class::Background, chance.between(minutes(60), minutes(300))),
            _ => (Class::Normal, chance.between(minutes(30), minutes(180))),
        };
        let who = chance.below(5);
        let caller = Caller {
            id: CallerId((workspace * 5 + who) as u64),
            weight: Weight::new(NonZeroU8::new(if who == 0 { 3 } else { 1 }).unwrap()),
        };
        let hangs_up = chance.happens(0.02);
        let after = chance.between(Duration::ZERO, patience);
        let answer = chance.between(Duration::from_millis(50), Duration::from_millis(300));
        let (outcome, round_trip) = match chance.below(1_000) {
            0..3 => (Outcome::Lost, Duration::from_secs(30)),
            3..8 => (Outcome::Unsent, Duration::from_millis(50)),
            _ => (Outcome::Answered, answer),
        };
        Self {
            bucket: workspace * METHODS + method,
            class,
            caller,
            patience,
            hangs_up_after: hangs_up.then_some(after),
            returns: chance.happens(0.25),
            outcome,
            round_trip,
        }
    }
}

/// Numbers by chance, the same ones whenever a call is looked at.
struct Chance(SplitMix);

// === impl Chance ===

impl Chance {
    fn of(number: u64) -> Self {
        Self(SplitMix(number.wrapping_mul(0xd134_2543_de82_ef95)))
    }

    fn unit(&mut self) -> f64 {
        (self.0.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.next() as usize % bound
    }

    fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let nanos = (most - least).as_nanos() * u128::from(self.0.next());
        least + Duration::from_nanos((nanos >> u64::BITS) as u64)
    }
}

/// No window is exceeded, each call ends exactly once, what is crowded is used, and nothing is
/// left behind.
#[test]
#[ignore = "takes minutes unoptimized: cargo test --release --test it day -- --ignored"]
fn a_day_of_traffic() {
    passes(Size { workspaces: 1_000, calls: 5_000_000, length: Duration::from_secs(86_400) });
}

/// The same with a fiftieth of the workspaces.
#[test]
fn a_day_of_traffic_in_a_few_workspaces() {
    passes(Size { workspaces: 20, calls: 100_000, length: Duration::from_secs(86_400) });
}

fn passes(size: Size) {
    let mut day = Day::new(size);
    day.pass();
    let shares = day.shares();
    let all = shares.iter().sum::<f64>() / shares.len() as f64;
    println!(
        "{:?}; crowded buckets had {:.4} of their limit, the least {:.4}",
        day.ends, all, shares[0]
    );
    assert!(day.ended.iter().all(|ended| *ended), "each call ends");
    assert!(all >= 0.99, "{all}");
    assert!(shares[0] >= 0.95, "{}", shares[0]);
    assert_eq!(day.scheduler.held() + day.scheduler.places(), 0);
    assert_eq!(day.scheduler.buckets(day.now).count(), 0, "memory follows live traffic");
}
