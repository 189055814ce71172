//! Runs a scenario: clients, scheduler and server on one queue of events.
//!
//! Nothing waits and nothing is concurrent: the next event is taken from the queue, or the
//! scheduler is asked when it wants to be, whichever is earlier, until the run is over.

mod exchange;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use fake_slack::Flight;
use limits::{BucketKey, Share};
use scheduler::{
    Bounds, Call, Enqueued, Event, Instant, Outcome, Permit, PlaceId, Policy, Refusal, Scheduler,
    Ticket,
};

use super::{
    arrivals::Process,
    chance::Chance,
    file::BoundsSpec,
    record::{End, Made, Record},
    server::Server,
    world::World,
};

/// Runs it and tells what happened.
pub(super) fn run(world: &World) -> Record {
    let mut driver = Driver::new(world);
    driver.run();
    driver.record
}

struct Driver<'w> {
    world: &'w World,
    scheduler: Scheduler,
    server: Server,
    processes: Vec<Process>,
    /// How many calls each caller has made.
    made: Vec<u64>,
    calls: Vec<Live>,
    /// Whose ticket it is.
    tickets: HashMap<u64, usize>,
    queue: BTreeMap<(Instant, u64), Happening>,
    happenings: u64,
    armed: Option<Instant>,
    now: Instant,
    bucket_ids: HashMap<BucketKey, usize>,
    record: Record,
}

/// A call between client and server.
struct Live {
    call: fake_slack::Call,
    stage: Stage,
    /// The client no longer waits.
    left: bool,
    chance: Chance,
}

enum Stage {
    /// With the client.
    Away,
    Held(Ticket),
    /// Sent: which entry of the record, and the accepted call's flight.
    Sent(Permit, usize, Option<Flight>),
}

/// What is going to happen.
enum Happening {
    /// A caller makes its next call.
    Call { member: usize },
    /// A client brings a call again.
    Return { call: usize },
    /// The server has a call.
    Land { call: usize, send: usize, lost: bool },
    /// The proxy has the answer.
    Answer { call: usize, refused: Option<Duration> },
    /// The proxy gives an answer up.
    GiveUp { call: usize },
    /// A client leaves.
    HangUp { call: usize, attempt: u32 },
}

// === impl Driver ===

impl<'w> Driver<'w> {
    fn new(world: &'w World) -> Self {
        let seed = world.scenario.seed;
        let BoundsSpec { per_bucket, total } = world.scenario.bounds;
        let members = world.members.iter();
        let process = members.map(|member| {
            let chance = Chance::of(seed, &(&member.name, "arrivals"));
            Process::new(member.spec.arrivals.clone(), chance, member.phase)
        });
        Self {
            world,
            scheduler: Scheduler::new(Policy {
                bounds: Bounds { per_bucket, total },
                background: Share::default(),
                learning: scheduler::Learning::default(),
            }),
            server: Server::new(world),
            processes: process.collect(),
            made: vec![0; world.members.len()],
            calls: Vec::new(),
            tickets: HashMap::new(),
            queue: BTreeMap::new(),
            happenings: 0,
            armed: None,
            now: Instant::ZERO,
            bucket_ids: HashMap::new(),
            record: Record::default(),
        }
    }

    fn run(&mut self) {
        for member in 0..self.processes.len() {
            for at in self.processes[member].first() {
                self.at(at, Happening::Call { member });
            }
        }
        let end = Instant::ZERO + self.world.scenario.runs_for.0;
        loop {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wake = self.armed.filter(|armed| next.is_none_or(|next| *armed <= next));
            let Some(at) = wake.or(next).filter(|at| *at < end) else { return };
            self.now = at;
            if wake.is_none()
                && let Some((_, happening)) = self.queue.pop_first()
            {
                self.happens(&happening);
            }
            self.pump();
        }
    }

    fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Call { member } => self.call(member),
            Happening::Return { call } => self.bring(call),
            Happening::Land { call, send, lost } => self.land(call, send, lost),
            Happening::Answer { call, refused: None } => self.answered(call),
            Happening::Answer { call, refused: Some(pause) } => self.refused(call, pause),
            Happening::GiveUp { call } => {
                if let Stage::Sent(permit, _, flight) = self.take(call) {
                    self.over(flight);
                    self.scheduler.settle(self.now, permit, Outcome::Lost);
                    self.end(call, End::TimedOut);
                }
            }
            Happening::HangUp { call, attempt } => self.hang_up(call, attempt),
        }
    }

    /// Hears what the scheduler has decided.
    fn pump(&mut self) {
        let mut events = Vec::new();
        self.armed = self.scheduler.poll(self.now, &mut events);
        assert!(self.armed.is_none_or(|at| at > self.now), "the scheduler asks for the past");
        for event in events {
            match event {
                Event::Granted { ticket, permit } => {
                    let call = self.tickets.remove(&ticket.number()).unwrap();
                    self.send(call, permit);
                }
                Event::Expired { ticket, refusal } => {
                    let call = self.tickets.remove(&ticket.number()).unwrap();
                    self.shed(call, &refusal);
                }
            }
        }
    }

    fn call(&mut self, member: usize) {
        let number = self.made[member];
        self.made[member] += 1;
        let name = &self.world.members[member].name;
        self.calls.push(Live {
            call: self.world.members[member].call(number),
            stage: Stage::Away,
            left: false,
            chance: Chance::of(self.world.scenario.seed, &(name, number)),
        });
        let (at, end, sent, told) = (self.now, None, None, Duration::ZERO);
        self.record.calls.push(Made { member, at, attempts: 0, sheds: 0, told, sent, end });
        if let Some(next) = self.processes[member].next(self.now) {
            self.at(next, Happening::Call { member });
        }
        self.bring(self.calls.len() - 1);
    }

    /// A client brings a call, for the first time or again.
    fn bring(&mut self, call: usize) {
        let made = &mut self.record.calls[call];
        made.attempts += 1;
        let attempt = made.attempts;
        let member = &self.world.members[made.member];
        let live = &mut self.calls[call];
        if let Some(hangs_up) = &member.spec.hangs_up
            && live.chance.happens(hangs_up.share)
        {
            let at = self.now + live.chance.within(hangs_up.after);
            self.at(at, Happening::HangUp { call, attempt });
        }
        let method = &self.world.methods[&member.spec.method];
        let asks = Call {
            buckets: member.buckets(&self.calls[call].call, method),
            class: member.spec.class.0,
            caller: member.caller,
            deadline: member.spec.patience.map_or(Instant::FAR, |span| self.now + span.0),
            max_depth: None,
            place: Some(PlaceId::of(call as u64)),
            again: Duration::ZERO,
        };
        let enqueued = self.scheduler.enqueue(self.now, &asks);
        self.enqueued(call, enqueued);
    }

    fn enqueued(&mut self, call: usize, enqueued: Enqueued) {
        match enqueued {
            Enqueued::Granted(permit) => self.send(call, permit),
            Enqueued::Held(ticket) => {
                self.tickets.insert(ticket.number(), call);
                self.calls[call].stage = Stage::Held(ticket);
            }
            Enqueued::Refused(refusal) => self.shed(call, &refusal),
        }
    }

    fn shed(&mut self, call: usize, refusal: &Refusal) {
        self.calls[call].stage = Stage::Away;
        self.record.calls[call].sheds += 1;
        let left = refusal.retry_at.since(self.now);
        let whole = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let told = Duration::from_secs(whole.max(1));
        let made = &mut self.record.calls[call];
        made.told = made.told.max(told);
        self.comes_back(call, told);
    }

    /// The client heeds `Retry-After`, or does not, or gives the call up.
    fn comes_back(&mut self, call: usize, retry_after: Duration) {
        let made = &self.record.calls[call];
        let again = self.world.members[made.member].spec.comes_back;
        let again = again.filter(|again| again.times.is_none_or(|times| made.attempts <= times));
        match again {
            Some(again) if !self.calls[call].left => {
                let late = self.calls[call].chance.within(again.late);
                let after = again.after.map_or(retry_after, |after| after.0);
                self.at(self.now + after + late, Happening::Return { call });
            }
            _ => self.end(call, End::GivenUp),
        }
    }

    fn hang_up(&mut self, call: usize, attempt: u32) {
        let made = &self.record.calls[call];
        if made.end.is_some() || made.attempts != attempt {
            return;
        }
        match &self.calls[call].stage {
            Stage::Away => return,
            // The exchange goes on to its answer.
            Stage::Sent(..) => {}
            Stage::Held(ticket) => {
                self.tickets.remove(&ticket.number());
                self.scheduler.cancel(self.now, *ticket);
                self.calls[call].stage = Stage::Away;
            }
        }
        self.calls[call].left = true;
        self.end(call, End::HungUp);
    }

    /// The call is over for its client, if it was not before.
    fn end(&mut self, call: usize, end: End) {
        let made = &mut self.record.calls[call];
        if made.end.is_none() {
            made.end = Some((self.now, end));
            let member = made.member;
            if let Some(next) = self.processes[member].after(self.now) {
                self.at(next, Happening::Call { member });
            }
        }
    }

    fn take(&mut self, call: usize) -> Stage {
        std::mem::replace(&mut self.calls[call].stage, Stage::Away)
    }

    fn bucket(&mut self, key: BucketKey) -> usize {
        let known = &mut self.record.buckets;
        *self.bucket_ids.entry(key).or_insert_with_key(|key| {
            known.push(key.clone());
            known.len() - 1
        })
    }

    /// What happens at the same instant happens in the order in which it was planned.
    fn at(&mut self, at: Instant, happening: Happening) {
        self.happenings += 1;
        self.queue.insert((at, self.happenings), happening);
    }
}
