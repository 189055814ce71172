//! The proxy's own scheduler in virtual time: the calls of a job, those that wait before them, and
//! perhaps others beside them, each with an answer after a round trip.
//!
//! What it tells of a job is what the scheduler does, and no arithmetic about it: so a plan cannot
//! differ from the proxy but by what it assumes. Nothing is refused here; who is sent away in truth
//! keeps its place and comes back at its time.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use limits::{BucketKey, Class, Limit, Rule, Weight};
use scheduler::{
    BlockReason, Bounds, Call, Caller, CallerId, Enqueued, Event, Instant, Learning, Memory,
    Outcome, Permit, Policy, Scheduler, Ticket,
};

use super::{
    super::drain::pace::Pace,
    before::Before,
    job::{Ask, Job},
    record::{Record, Wait},
};

/// How much is simulated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// So many calls of the job are answered.
    pub(super) calls: u64,
    /// So much time has passed.
    pub(super) time: Duration,
}

/// Other callers, who always have calls waiting.
#[derive(Clone, Debug)]
pub(super) struct Others {
    /// How urgent theirs are.
    pub(super) class: Class,
    /// Which limit they fill.
    pub(super) limit: Arc<Limit>,
}

/// What happens in there.
struct World<'j> {
    job: &'j Job,
    others: Option<Others>,
    scheduler: Scheduler,
    now: Instant,
    /// The answers under way, the next first: all take as long.
    answers: VecDeque<(Instant, Permit, Whose)>,
    held: HashMap<u64, Whose>,
    /// Those of the job that are held, the oldest first.
    waiting: BTreeMap<u64, Ticket>,
    /// The channels of its calls under way: no other call for one of them begins.
    channels: Vec<u64>,
    pace: Option<Pace>,
    /// When the cap lets the next one begin.
    turn: Option<Instant>,
    begun: u64,
    under_way: usize,
    others_begun: u64,
    others_under_way: usize,
    counts: HashMap<BucketKey, u64>,
    record: Record,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug)]
enum Whose {
    /// The job's, perhaps for a channel.
    Own(Option<u64>),
    /// The others'.
    Other,
    /// It waited before.
    Before,
}

/// The start. Slots that were taken before it have a time, too.
const START: Instant = Instant::from_nanos(1 << 62);
/// The most that is simulated, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
const STEPS: u32 = 2_000_000;
/// So many calls of others are under way or wait.
const OTHERS: usize = 16;
/// Channels that no call of a job names.
const ELSEWHERE: u64 = 1 << 60;
/// Who calls. Callers of calls that wait before have other numbers.
pub(super) const OWN: CallerId = CallerId(0);
const THEIRS: CallerId = CallerId(1);
/// The first number of those who wait before.
pub(super) const FIRST_BEFORE: u64 = 2;

/// Simulates a job behind what waits before it, and beside others if there are any.
pub(super) fn simulate(job: &Job, before: &Before, others: Option<Others>, until: Until) -> Record {
    let bounds = Bounds { per_bucket: usize::MAX, total: usize::MAX };
    let mut world = World {
        job,
        others,
        scheduler: Scheduler::new(Policy {
            bounds,
            background: job.background,
            learning: Learning::OFF,
        }),
        now: START,
        answers: VecDeque::new(),
        held: HashMap::new(),
        waiting: BTreeMap::new(),
        channels: Vec::new(),
        pace: job.pace(),
        turn: None,
        begun: 0,
        under_way: 0,
        others_begun: 0,
        others_under_way: 0,
        counts: HashMap::new(),
        record: Record::default(),
    };
    world.restore(before);
    world.run(until);
    world.end()
}

// === impl World ===

impl World<'_> {
    /// What the proxy had before the first call of the job.
    fn restore(&mut self, before: &Before) {
        for slots in &before.slots {
            let ages_from = vec![START; usize::try_from(slots.used).unwrap_or(0)];
            let frozen_until = (!slots.frozen_for.is_zero()).then(|| START + slots.frozen_for);
            let memory = Memory { ages_from, frozen_until, learnt: None };
            self.scheduler.restore(START, slots.bucket.clone(), &memory);
        }
        for queue in &before.queues {
            for _ in 0..queue.calls {
                self.enqueue(queue.buckets.clone(), queue.class, queue.caller, Whose::Before);
            }
        }
    }

    fn run(&mut self, until: Until) {
        let mut events = Vec::new();
        for _ in 0..STEPS {
            self.begin(until.calls);
            let wakes = self.poll(&mut events);
            let finished = u64::try_from(self.record.finishes.len()).unwrap_or(u64::MAX);
            if finished >= until.calls {
                return;
            }
            let answer = self.answers.front().map(|(at, ..)| *at);
            let Some(next) = [answer, wakes, self.turn].into_iter().flatten().min() else { return };
            if next.since(START) > until.time.min(LONGEST) {
                return;
            }
            self.charge(next);
            self.now = next;
            self.land();
        }
    }

    fn end(self) -> Record {
        let mut record = self.record;
        for (bucket, calls) in self.counts {
            let busiest = record.busiest.entry(Arc::clone(&bucket.limit.name)).or_default();
            *busiest = calls.max(*busiest);
        }
        record.took = self.now.since(START);
        record
    }

    /// Begins what may begin now.
    fn begin(&mut self, calls: u64) {
        self.turn = None;
        while self.begun < calls && self.under_way < self.job.at_once {
            let Some(ask) = self.job.ask(self.begun) else { break };
            let planned = self.job.methods.get(ask.method);
            let channel =
                ask.channel.filter(|_| planned.is_some_and(|it| it.entry.channel_arg.is_some()));
            if channel.is_some_and(|channel| self.channels.contains(&channel)) {
                break;
            }
            if let Some(pace) = &mut self.pace {
                let now = millis(self.now.since(START));
                if let Some(wait) = pace.wait(now) {
                    self.turn = Some(START + Duration::from_millis(now) + wait);
                    break;
                }
                pace.sent(now);
            }
            self.own(ask, channel);
        }
        while self.others.is_some() && self.others_under_way < OTHERS {
            self.other();
        }
    }

    fn own(&mut self, ask: Ask, channel: Option<u64>) {
        let Some(planned) = self.job.methods.get(ask.method) else { return };
        let buckets = self.job.buckets(ask, None);
        for bucket in &buckets {
            if matches!(bucket.limit.rule, Rule::Rate(_)) {
                *self.counts.entry(bucket.clone()).or_default() += 1;
            }
        }
        self.begun += 1;
        self.under_way += 1;
        self.channels.extend(channel);
        let caller = Caller { id: OWN, weight: planned.terms.weight };
        self.enqueue(buckets, planned.terms.class, caller, Whose::Own(channel));
    }

    /// A call of others to the bucket that the job's first call is in.
    fn other(&mut self) {
        let Some(Others { class, limit }) = self.others.clone() else { return };
        let is_under = |ask: &Ask| {
            let planned = self.job.methods.get(ask.method);
            planned.is_some_and(|it| it.entry.limits.iter().any(|own| own.name == limit.name))
        };
        let lot = self.job.count.min(1000);
        let Some(mut ask) = (0..lot).filter_map(|n| self.job.ask(n)).find(is_under) else {
            self.others = None;
            return;
        };
        self.others_begun += 1;
        if !super::is_narrow(&limit) {
            ask.channel = Some(ELSEWHERE + self.others_begun);
            ask.user = ask.channel;
        }
        self.others_under_way += 1;
        let buckets = self.job.buckets(ask, Some("others"));
        self.enqueue(buckets, class, Caller { id: THEIRS, weight: Weight::ONE }, Whose::Other);
    }

    fn enqueue(&mut self, buckets: Vec<BucketKey>, class: Class, caller: Caller, whose: Whose) {
        let deadline = Instant::FAR;
        let again = Duration::ZERO;
        let call = Call { buckets, class, caller, deadline, max_depth: None, place: None, again };
        match self.scheduler.enqueue(self.now, &call) {
            Enqueued::Granted(permit) => self.send(permit, whose),
            Enqueued::Held(ticket) => {
                self.held.insert(ticket.number(), whose);
                if matches!(whose, Whose::Own(_)) {
                    self.waiting.insert(ticket.number(), ticket);
                }
            }
            // Nobody's time is up, and no queue is full.
            Enqueued::Refused(_) => self.over(whose),
        }
    }

    fn send(&mut self, permit: Permit, whose: Whose) {
        self.answers.push_back((self.now + self.job.round_trip, permit, whose));
    }

    /// Lets the scheduler see the time, and sends what it lets go.
    fn poll(&mut self, events: &mut Vec<Event>) -> Option<Instant> {
        let wakes = self.scheduler.poll(self.now, events);
        for event in events.drain(..) {
            let (ticket, permit) = match event {
                Event::Granted { ticket, permit } => (ticket, Some(permit)),
                Event::Expired { ticket, .. } => (ticket, None),
            };
            self.waiting.remove(&ticket.number());
            let Some(whose) = self.held.remove(&ticket.number()) else { continue };
            match permit {
                Some(permit) => self.send(permit, whose),
                None => self.over(whose),
            }
        }
        wakes
    }

    /// The answers that arrive now.
    fn land(&mut self) {
        while self.answers.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, permit, whose)) = self.answers.pop_front() else { return };
            self.scheduler.settle(self.now, permit, Outcome::Answered);
            self.over(whose);
        }
    }

    /// A call has its answer.
    fn over(&mut self, whose: Whose) {
        let at = self.now.since(START);
        match whose {
            Whose::Own(channel) => {
                self.under_way -= 1;
                if let Some(at) = self.channels.iter().position(|it| Some(*it) == channel) {
                    self.channels.swap_remove(at);
                }
                self.record.finishes.push(at);
            }
            Whose::Other => {
                self.others_under_way -= 1;
                self.record.others.push(at);
            }
            Whose::Before => {}
        }
    }

    /// For what the job waits until then: its oldest call tells.
    fn charge(&mut self, until: Instant) {
        let time = until.since(self.now);
        let oldest = self.waiting.first_key_value().map(|(_, ticket)| *ticket);
        let blocked = oldest.and_then(|ticket| self.scheduler.waits_for(self.now, ticket));
        let (wait, why) = match (self.turn, blocked) {
            (Some(_), _) => (Wait::Cap, None),
            (None, Some((bucket, block))) => {
                (Wait::Limit(Arc::clone(&bucket.limit.name)), Some(block.reason))
            }
            (None, None) => (Wait::Answers, None),
        };
        if why == Some(BlockReason::Reserved) {
            *self.record.for_people.entry(wait.clone()).or_default() += time;
        }
        *self.record.waits.entry(wait).or_default() += time;
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
