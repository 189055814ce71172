//! A day of traffic through the scheduler alone: a thousand workspaces with twenty methods each,
//! five million calls, and half of the buckets asked for more than they give.
//!
//! One thread drives the scheduler, and tells another one, in order, what it does, which judges it:
//! so what a day takes is nearly the scheduler's time. What the calls do follows from their numbers,
//! so a day is the same whenever it is played.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unchecked_time_subtraction,
    clippy::print_stdout,
    reason = "the figures of a day are far below what these lints warn of"
)]

mod judge;
mod liars;
mod lots;
mod traffic;

use std::{
    cmp::Reverse, collections::BinaryHeap, iter::Peekable, num::NonZeroU32, sync::Arc, thread,
    time::Duration,
};

use limits::{AgeFrom, BucketKey, Class, Dimension, Limit, Rate, Rule, Scope, Share, Weight};
use rustix::time::{ClockId, clock_gettime};
use scheduler::{
    Bounds, Call, Caller, CallerId, Enqueued, Event, Instant, Learning, Outcome, Permit, PlaceId,
    Policy, Scheduler, Ticket,
};
use slab::Slab;
use slack::OPEN;

use self::{
    judge::{End, Judge, Seen},
    liars::Liars,
    lots::Teller,
    traffic::Asked,
};

/// How much traffic there is, and in how many places.
#[derive(Clone, Copy)]
struct Size {
    workspaces: usize,
    calls: usize,
    /// Within how long they come.
    length: Duration,
}

/// The day.
struct Day<A: Iterator> {
    size: Size,
    scheduler: Scheduler,
    now: Instant,
    arrivals: Peekable<A>,
    /// The limit of each method.
    limits: Vec<Arc<Limit>>,
    /// What a workspace's limits count by.
    workspaces: Vec<Arc<str>>,
    /// Any call of any of them.
    call: Call,
    /// The calls that are held, each at the number of its ticket.
    held: Vec<Option<Held>>,
    flights: Slab<Flight>,
    /// Answers come soon, and what clients do comes late: among few, the next one is found sooner.
    to_come: [BinaryHeap<Reverse<(Instant, Next)>>; 2],
    events: Vec<Event>,
    wake: Option<Instant>,
    judge: Teller<Seen>,
    /// What the server does to buckets whose limit is not what is documented.
    liars: Liars,
}

struct Held {
    number: usize,
    ticket: Ticket,
    deadline: Instant,
}

struct Flight {
    number: usize,
    permit: Permit,
    outcome: Outcome,
    deadline: Instant,
    /// The pause that the server asks for, if it refuses the call.
    refused: Option<Duration>,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// The call in this flight is over.
    Answer(usize),
    /// The client that holds this ticket is gone.
    HangUp(Ticket),
    /// The call with this number comes again.
    Return(usize),
}

const METHODS: usize = 20;
/// Calls per period of the crowded methods: windows of several sizes, all of the same rate.
const QUOTAS: [u32; 5] = [1, 2, 4, 6, 12];
/// From one call of a crowded method to the next.
const PACE: Duration = Duration::from_secs(300);
/// The others have room for all that comes.
const ROOMY: (u32, Duration) = (20, Duration::from_secs(60));

// === impl Day ===

impl<A: Iterator<Item = (usize, Instant)>> Day<A> {
    fn new(size: Size, arrivals: A, judge: Teller<Seen>, learning: Learning, liars: Liars) -> Self {
        let bounds = Bounds { per_bucket: 1_000_000, total: 1_000_000 };
        Self {
            size,
            scheduler: Scheduler::new(Policy { bounds, background: Share::default(), learning }),
            now: Instant::ZERO,
            arrivals: arrivals.peekable(),
            limits: (0..METHODS).map(limit_of).collect(),
            workspaces: (0..size.workspaces).map(|of| format!("A1/T{of}").into()).collect(),
            call: any_call(),
            held: Vec::new(),
            flights: Slab::new(),
            to_come: Default::default(),
            events: Vec::new(),
            wake: None,
            judge,
            liars,
        }
    }

    /// Lets it pass, until nothing more happens.
    fn pass(&mut self) {
        loop {
            let due = self.due();
            let arrival = self.arrivals.peek().map(|(_, at)| *at);
            let Some(now) = [due, arrival, self.wake].into_iter().flatten().min() else { return };
            self.now = now;
            if due == Some(now) {
                let first = self.to_come.iter_mut().find(|to_come| first(to_come) == due);
                let Some(Reverse((_, next))) = first.and_then(BinaryHeap::pop) else { return };
                self.happens(next);
            } else if let Some((number, _)) = self.arrivals.next_if(|(_, at)| *at == now) {
                self.arrive(number, true);
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
            Next::Answer(flight) => self.answer(flight),
            Next::Return(number) => self.arrive(number, false),
            Next::HangUp(ticket) => {
                // Once it has been refused, it has another ticket of the same number.
                let held =
                    self.held[ticket.number() as usize].take_if(|held| held.ticket == ticket);
                if let Some(held) = held {
                    self.scheduler.cancel(self.now, ticket);
                    self.judge.tell(Seen::Ended(held.number, End::HungUp));
                }
            }
        }
    }

    fn arrive(&mut self, number: usize, may_return: bool) {
        let asked = Asked::by(number, self.size);
        let call = &mut self.call;
        let [of_method, of_workspace, _of_app] = &mut call.buckets[..] else { return };
        of_method.limit.clone_from(&self.limits[asked.method]);
        of_method.values = Arc::clone(&self.workspaces[asked.workspace]).into();
        of_workspace.values.clone_from(&of_method.values);
        call.class = asked.class;
        call.caller = asked.caller;
        call.deadline = self.now + asked.patience;
        call.place = Some(PlaceId::of(number as u64));
        let deadline = call.deadline;
        match self.scheduler.enqueue(self.now, call) {
            Enqueued::Granted(permit) => self.send(number, deadline, &asked, permit),
            Enqueued::Held(ticket) => {
                if let Some(after) = asked.hangs_up_after {
                    self.comes(self.now + after, Next::HangUp(ticket));
                }
                self.hold(Held { number, ticket, deadline });
            }
            Enqueued::Refused(refusal) if asked.returns && may_return => {
                self.comes(refusal.retry_at, Next::Return(number));
            }
            Enqueued::Refused(_) => self.judge.tell(Seen::Ended(number, End::Refused)),
        }
    }

    fn hold(&mut self, held: Held) {
        let at = held.ticket.number() as usize;
        if self.held.len() <= at {
            self.held.resize_with(at + 1, || None);
        }
        self.held[at] = Some(held);
    }

    fn poll(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        self.wake = self.scheduler.poll(self.now, &mut events);
        for event in events.drain(..) {
            match event {
                Event::Granted { ticket, permit } => {
                    let Held { number, deadline, .. } = self.no_longer_held(ticket).unwrap();
                    self.send(number, deadline, &Asked::by(number, self.size), permit);
                }
                Event::Expired { ticket, .. } => {
                    let held = self.no_longer_held(ticket).unwrap();
                    assert!(held.deadline <= self.now, "nobody is sent away before time");
                    self.judge.tell(Seen::Ended(held.number, End::Expired));
                }
            }
        }
        self.events = events;
    }

    fn no_longer_held(&mut self, ticket: Ticket) -> Option<Held> {
        self.held[ticket.number() as usize].take()
    }

    fn send(&mut self, number: usize, deadline: Instant, asked: &Asked, permit: Permit) {
        self.judge.tell(Seen::Sent(number, self.now));
        let refused = self.liars.refuse(self.now, asked);
        let outcome = asked.outcome;
        let flight = self.flights.insert(Flight { number, permit, outcome, deadline, refused });
        self.comes(self.now + asked.round_trip, Next::Answer(flight));
    }

    fn answer(&mut self, flight: usize) {
        let Flight { number, permit, outcome, deadline, refused } = self.flights.remove(flight);
        let Some(retry_after) = refused else {
            self.judge.tell(Seen::Answered(number, self.now));
            return self.scheduler.settle(self.now, permit, outcome);
        };
        self.judge.tell(Seen::SlackRefused(number, self.now));
        self.scheduler.refused(self.now, &permit, retry_after);
        match self.scheduler.replay(self.now, permit, Outcome::Refused, &[]) {
            Enqueued::Granted(permit) => {
                self.send(number, deadline, &Asked::by(number, self.size), permit);
            }
            Enqueued::Held(ticket) => self.hold(Held { number, ticket, deadline }),
            Enqueued::Refused(_) => self.judge.tell(Seen::Ended(number, End::Refused)),
        }
    }
}

/// When the first of these comes.
fn first(to_come: &BinaryHeap<Reverse<(Instant, Next)>>) -> Option<Instant> {
    to_come.peek().map(|Reverse((at, _))| *at)
}

/// How many calls a method takes in which time; the first half of the methods is crowded.
fn quota_of(method: usize) -> (u32, Duration) {
    QUOTAS.get(method / 2).map_or(ROOMY, |quota| (*quota, PACE * *quota))
}

fn limit_of(method: usize) -> Arc<Limit> {
    let (quota, per) = quota_of(method);
    let limit = NonZeroU32::new(quota).unwrap();
    Arc::new(Limit {
        name: format!("method{method}").into(),
        rule: Rule::Rate(Rate { limit, per, burst: None, tolerates: None }),
        scope: Scope::of(&[Dimension::App, Dimension::Workspace]),
        age_from: AgeFrom::Answer,
    })
}

/// A call. It needs its method's bucket, its workspace's and its app's.
fn any_call() -> Call {
    let [of_workspace, of_app] = &*OPEN;
    let key = |limit, values: &str| BucketKey { limit, values: values.into() };
    Call {
        buckets: vec![
            key(limit_of(0), "A1/T0"),
            key(Arc::clone(of_workspace), "A1/T0"),
            key(Arc::clone(of_app), "A1"),
        ],
        class: Class::Normal,
        caller: Caller { id: CallerId(0), weight: Weight::ONE },
        deadline: Instant::ZERO,
        max_depth: None,
        place: None,
        again: Duration::ZERO,
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

/// Where the limit of a tenth of the buckets is half of what is documented, learning costs the
/// scheduler at most a tenth more time, and few calls are refused.
#[test]
#[ignore = "takes minutes unoptimized: cargo test --release --test it day -- --ignored"]
fn a_day_on_which_a_tenth_of_the_limits_is_lower() {
    let size = Size { workspaces: 1_000, calls: 5_000_000, length: Duration::from_secs(86_400) };
    let run = |learning, liars| {
        let (judge, time, refused) = plays(size, learning, liars);
        assert!(judge.all_ended(), "each call ends");
        (time, refused)
    };
    let mut times = Vec::new();
    for _ in 0..3 {
        let (with, refused) = run(Learning::default(), Liars::tenth());
        let (without, more) = run(Learning::OFF, Liars::tenth());
        println!("learning: {with:?}, {refused} refused; without: {without:?}, {more} refused");
        assert!(refused * 10 < more, "{refused} of {more}");
        times.push(with.as_secs_f64() / without.as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    assert!(times[1] <= 1.1, "{times:?}");
}

/// The same in a few workspaces: half of the buckets would be refused in each period for ever. Red when
/// nothing is learnt.
#[test]
fn a_day_on_which_some_limits_are_lower() {
    let size = Size { workspaces: 20, calls: 100_000, length: Duration::from_secs(86_400) };
    let (judge, _, refused) = plays(size, Learning::default(), Liars::tenth());
    assert!(judge.all_ended(), "each call ends");
    let (_, _, more) = plays(size, Learning::OFF, Liars::tenth());
    assert!(refused * 10 < more, "{refused} of {more}");
}

/// Plays a day. Tells what the judge has seen, how much of the processor's time it took, and how many
/// calls the server refused.
fn plays(size: Size, learning: Learning, liars: Liars) -> (Judge, Duration, usize) {
    thread::scope(|scope| {
        let (seen, to_judge) = lots::channel();
        let judge = scope.spawn(move || Judge::of(size, to_judge));
        let mut day = Day::new(size, traffic::arrivals(size), seen, learning, liars);
        let began = clock_gettime(ClockId::ThreadCPUTime);
        day.pass();
        let ended = clock_gettime(ClockId::ThreadCPUTime);
        let nanos = (ended.tv_sec - began.tv_sec) * 1_000_000_000 + ended.tv_nsec - began.tv_nsec;
        assert_eq!(day.scheduler.held() + day.scheduler.places(), 0);
        assert_eq!(day.scheduler.buckets(day.now).count(), 0, "memory follows live traffic");
        let refused = day.liars.refused;
        drop(day);
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap());
        (judge.join().unwrap(), time, refused)
    })
}

fn passes(size: Size) {
    let (judge, ..) = plays(size, Learning::default(), Liars::none());
    let shares = judge.shares();
    let all = shares.iter().sum::<f64>() / shares.len() as f64;
    println!(
        "{:?}; crowded buckets had {:.4} of their limit, the least {:.4}",
        judge.ends(),
        all,
        shares[0]
    );
    assert!(judge.all_ended(), "each call ends");
    assert!(all >= 0.99, "{all}");
    assert!(shares[0] >= 0.95, "{}", shares[0]);
}
