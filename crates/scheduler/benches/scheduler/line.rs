//! A queue of a given length, and the steps that are measured in it.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use limits::{Class, Share};
use slackwater_scheduler::{
    Bounds, Call, Enqueued, Event, Instant, Outcome, Permit, PlaceId, Policy, Scheduler, Ticket,
};

use crate::{
    meter::{Meter, Stopwatch},
    shape::{Calls, Kind, PERIOD, Shape},
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A call arrives and is held.
    Hold,
    /// A call arrives, goes, and is answered.
    Pass,
    /// A call is answered: its slot begins to age.
    Answer,
    /// A slot has aged, and a held call goes.
    Grant,
    /// A held call's client hangs up.
    Cancel,
    /// A held call has waited as long as it may.
    Expire,
}

/// A queue.
pub(crate) struct Line {
    scheduler: Scheduler,
    calls: Calls,
    now: Instant,
    /// Those that wait, with their kinds.
    held: Vec<(Ticket, usize)>,
    /// The same by number, where they go on their own.
    kinds: HashMap<u64, usize>,
    /// Those that were sent, the oldest first.
    flight: VecDeque<Permit>,
    events: Vec<Event>,
    arrived: u64,
    passed: usize,
}

/// So many steps are timed at once.
const BATCH: u64 = 256;

/// Longer than anybody would have to wait in any shape.
const LONG: Duration = Duration::from_secs(3 * 86_400);

/// Between two calls that pass, so that their buckets always have room.
const BREATH: Duration = Duration::from_millis(10);

/// How long an answer takes.
const ROUND_TRIP: Duration = Duration::from_millis(100);

// === impl Step ===

impl Step {
    pub(crate) const ALL: [Self; 6] =
        [Self::Hold, Self::Pass, Self::Answer, Self::Grant, Self::Cancel, Self::Expire];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Pass => "pass",
            Self::Answer => "answer",
            Self::Grant => "grant",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
        }
    }
}

// === impl Line ===

impl Line {
    /// Nobody goes: the calls before are never answered.
    pub(crate) fn shut(shape: Shape, held: usize) -> Self {
        let mut line = Self::full(shape, held);
        line.hold(held);
        // Buckets with room are alive, too.
        line.pass(line.calls.spares.len() as u64, &mut Stopwatch::default());
        line
    }

    /// Slots become free at an even pace.
    pub(crate) fn open(shape: Shape, held: usize) -> Self {
        let mut line = Self::full(shape, held);
        line.hold(held);
        line.kinds = line.held.drain(..).map(|(ticket, kind)| (ticket.number(), kind)).collect();
        for _ in 0..10 {
            let turns = line.flight.len() as u64 / 10 + 1;
            line.run_turns(Step::Grant, turns, &mut Stopwatch::default());
        }
        line
    }

    /// Nobody waits, and there is no room.
    pub(crate) fn full(shape: Shape, held: usize) -> Self {
        let bounds = Bounds { per_bucket: usize::MAX, total: usize::MAX };
        let calls = shape.calls(held);
        let mut line = Self {
            scheduler: Scheduler::new(Policy {
                bounds,
                background: Share::default(),
                learning: slackwater_scheduler::Learning::default(),
            }),
            now: Instant::ZERO + Duration::from_secs(1),
            held: Vec::with_capacity(held + BATCH as usize),
            flight: VecDeque::with_capacity(calls.fillers.len() * calls.quota as usize),
            calls,
            kinds: HashMap::new(),
            events: Vec::new(),
            arrived: 0,
            passed: 0,
        };
        for _ in 0..line.calls.quota {
            for filler in 0..line.calls.fillers.len() {
                let call = line.calls.fillers[filler].call(0, Instant::FAR);
                let Enqueued::Granted(permit) = line.scheduler.enqueue(line.now, &call) else {
                    panic!("it is not full");
                };
                line.flight.push_back(permit);
            }
        }
        line
    }

    /// Lets so many calls wait.
    pub(crate) fn hold(&mut self, times: usize) {
        for _ in 0..times {
            let (kind, call) = self.next(Instant::FAR);
            let enqueued = self.scheduler.enqueue(self.now, &call);
            self.held.push((ticket(enqueued), kind));
        }
    }

    /// How long so many steps take.
    pub(crate) fn time(&mut self, step: Step, times: u64) -> Duration {
        let mut stopwatch = Stopwatch::default();
        let taken = self.run(step, times, &mut stopwatch);
        stopwatch.took.mul_f64(times as f64 / taken as f64)
    }

    /// Takes at least so many steps, each of them below the meter. Returns how many it took.
    pub(crate) fn run(&mut self, step: Step, times: u64, meter: &mut impl Meter) -> u64 {
        // Of fewer, the first ones would count too much: they find nothing in the cache.
        let batches = times.div_ceil(BATCH);
        (0..batches)
            .map(|_| match step {
                Step::Hold => self.run_hold(BATCH, meter),
                Step::Pass => self.pass(BATCH, meter),
                Step::Answer | Step::Grant => self.run_turns(step, BATCH, meter),
                Step::Cancel => self.run_cancel(BATCH, meter),
                Step::Expire => self.run_expire(BATCH, meter),
            })
            .sum()
    }

    fn run_hold(&mut self, times: u64, meter: &mut impl Meter) -> u64 {
        let calls: Vec<_> = (0..times).map(|_| self.next(Instant::FAR)).collect();
        let mut came = Vec::with_capacity(calls.len());
        meter.around(|| {
            for (kind, call) in &calls {
                came.push((self.scheduler.enqueue(self.now, call), *kind));
            }
        });
        for (enqueued, _) in came {
            self.scheduler.cancel(self.now, ticket(enqueued));
        }
        times
    }

    fn pass(&mut self, times: u64, meter: &mut impl Meter) -> u64 {
        let mut calls = Vec::new();
        for _ in 0..times {
            self.passed += 1;
            let kind = &self.calls.spares[self.passed % self.calls.spares.len()];
            calls.push(kind.call(self.passed as u64, Instant::FAR));
        }
        let breath = BREATH.mul_f64(1_000.0 / self.calls.spares.len() as f64);
        meter.around(|| {
            for call in &calls {
                self.now = self.now + breath;
                let Enqueued::Granted(permit) = self.scheduler.enqueue(self.now, call) else {
                    panic!("there is room");
                };
                self.scheduler.settle(self.now, permit, Outcome::Answered);
            }
        });
        times
    }

    /// Lets slots become free and calls be answered, until so many calls have gone.
    fn run_turns(&mut self, step: Step, times: u64, meter: &mut impl Meter) -> u64 {
        let mut answers = 0;
        while (self.events.len() as u64) < times {
            let slots = self.calls.fillers.len() * self.calls.quota as usize;
            let pace = PERIOD.div_f64(slots as f64);
            self.now = self.now + pace;
            meter.around_if(step == Step::Grant, || {
                self.scheduler.poll(self.now, &mut self.events);
            });
            let flying = ROUND_TRIP.as_secs_f64() / pace.as_secs_f64();
            if self.flight.len() as f64 > flying
                && let Some(permit) = self.flight.pop_front()
            {
                meter.around_if(step == Step::Answer, || {
                    self.scheduler.settle(self.now, permit, Outcome::Answered);
                });
                answers += 1;
            }
        }
        // A few more may have gone with the last one.
        let taken = if step == Step::Answer { answers } else { self.events.len() as u64 };
        self.take_grants();
        taken.max(1)
    }

    /// Others like them come for those that went.
    fn take_grants(&mut self) {
        for event in std::mem::take(&mut self.events) {
            let Event::Granted { ticket: gone, permit } = event else {
                panic!("nobody is in a hurry")
            };
            self.flight.push_back(permit);
            let kind = self.kinds.remove(&gone.number()).unwrap();
            self.arrived += 1;
            let call = self.calls.kinds[kind].call(self.arrived, Instant::FAR);
            let came = ticket(self.scheduler.enqueue(self.now, &call));
            self.kinds.insert(came.number(), kind);
        }
    }

    fn run_cancel(&mut self, times: u64, meter: &mut impl Meter) -> u64 {
        // Some from everywhere in the queue.
        let mut gone = Vec::with_capacity(times as usize);
        for n in 0..times {
            let any = (self.arrived + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            gone.push(self.held.swap_remove(any as usize % self.held.len()));
        }
        meter.around(|| {
            for (ticket, _) in &gone {
                self.scheduler.cancel(self.now, *ticket);
            }
        });
        for (_, kind) in gone {
            self.arrived += 1;
            let call = self.calls.kinds[kind].call(self.arrived, Instant::FAR);
            let enqueued = self.scheduler.enqueue(self.now, &call);
            self.held.push((ticket(enqueued), kind));
        }
        times
    }

    fn run_expire(&mut self, times: u64, meter: &mut impl Meter) -> u64 {
        for n in 0..times {
            let (_, call) = self.next(self.now + LONG + Duration::from_nanos(n));
            ticket(self.scheduler.enqueue(self.now, &call));
        }
        self.now = self.now + LONG + Duration::from_nanos(times);
        // Buckets with room have been forgotten by then; that is not what is measured.
        let mut before = self.now;
        before = Instant::from_nanos(before.as_nanos() - 2 * times);
        self.scheduler.poll(before, &mut self.events);
        meter.around(|| {
            self.scheduler.poll(self.now, &mut self.events);
        });
        assert_eq!(self.events.len() as u64, times);
        self.events.clear();
        // Until their places are gone, too.
        self.now = self.now + LONG;
        self.scheduler.poll(self.now, &mut self.events);
        times
    }

    fn next(&mut self, deadline: Instant) -> (usize, Call) {
        self.arrived += 1;
        let kind = self.arrived as usize % self.calls.kinds.len();
        (kind, self.calls.kinds[kind].call(self.arrived, deadline))
    }
}

// === impl Kind ===

impl Kind {
    fn call(&self, number: u64, deadline: Instant) -> Call {
        Call {
            buckets: self.buckets.clone(),
            class: Class::Normal,
            caller: self.caller,
            deadline,
            max_depth: None,
            place: Some(PlaceId::of(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            again: Duration::ZERO,
        }
    }
}

fn ticket(enqueued: Enqueued) -> Ticket {
    match enqueued {
        Enqueued::Held(ticket) => ticket,
        other => panic!("it is not held: {other:?}"),
    }
}
