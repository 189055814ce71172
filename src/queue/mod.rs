//! The async shell around the scheduler: the lock, the timer, and those who wait.
//!
//! [`Admission::ask`] grants a permit, sheds the call or holds it. Dropping what waits then
//! leaves the queue and costs no slot. A [`Permit`] that is dropped gives its slots back if its call was not sent; if it
//! was, its slots age as those of a call whose answer never came.

mod admit;
mod dead;
mod freezing;
mod ghosts;
mod joined;
mod lessons;
mod metrics;
mod modes;
mod pausing;
mod permit;
mod said;
mod servers;
mod shadow;
mod sharing;
mod shed;
mod snapshot;
mod split;
mod waiters;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicBool};

use config::{Adaptive, Config, FailFast, QueueBounds};
use limits::{BucketKey, Share};
use scheduler::{Bounds, Enqueued, Event, Learning, Lesson, Memory, Note, Policy, Scheduler};
use slack::{Identity, buckets};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::metrics::WAIT;
pub use self::{
    admit::{Admit, AdmitLayer, Admitted, Attempt, QueueRequest},
    metrics::QueueMetrics,
    modes::Modes,
    permit::{Closed, Permit, ReportedLimit},
    said::{AllSaid, Said},
    servers::ServerLoad,
    sharing::boot_time,
    shed::{Shed, ShedReason, Turned, whole_seconds},
    snapshot::{HeldCalls, QueueSnapshot},
    waiting::{QueueDecision, Waiting},
};
use self::{
    ghosts::Ghosts,
    servers::Servers,
    sharing::Leases,
    split::Replica,
    waiters::{Standing, Waiters},
};
use crate::{
    call::{Call, in_flight::InFlight},
    dead::Graves,
    identity::Learnt,
    pauses::Pauses,
    state::Store,
};

/// Where calls wait for their turn.
#[derive(Clone, Debug)]
pub struct Admission {
    shared: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// The timer has to be set anew.
    earlier: Arc<Notify>,
    /// What the scheduler's time [`START`] is.
    origin: Instant,
    metrics: QueueMetrics,
    /// Where grants are written before their calls are sent.
    store: OnceLock<Store>,
    /// There may be something to say to the other replicas' store.
    asks: Notify,
    /// Whether a token or a webhook is dead; else answers need not be looked at for that.
    some_are_dead: AtomicBool,
}

#[derive(Debug)]
struct State {
    scheduler: Scheduler,
    waiting: Waiters,
    /// What the operator has paused.
    pauses: Pauses,
    /// Tokens and webhooks whose calls are answered at once.
    graves: Graves,
    /// Which calls are only watched.
    modes: Modes,
    /// What would have become of those that were; none while none ever was.
    ghosts: Option<Box<Ghosts>>,
    policy: Policy,
    /// Which replica it is, if it has a part of each limit.
    replica: Option<Replica>,
    /// The limits of which others tell, if they are shared.
    limits: freezing::Limits,
    /// What operators have said that the others are to be told.
    to_say: said::ToSay,
    /// Until when the slots on lease are certainly this replica's.
    leases: Leases,
    /// When the timer rings.
    armed: Option<scheduler::Instant>,
    /// Held calls are no longer kept.
    closed: bool,
    /// Kept for its memory.
    events: Vec<Event>,
    notes: Vec<Note>,
    lessons: Vec<Lesson>,
}

/// The scheduler's time when the queue is made. What was long before has a time, too.
const START: scheduler::Instant = scheduler::Instant::from_nanos(1 << 62);

/// What a waiting call is told.
type Verdict = Result<Granted, Turned>;

/// A call that goes.
#[derive(Debug)]
pub struct Granted {
    permit: scheduler::Permit,
    /// It is in flight from now on.
    in_flight: InFlight,
}

// === impl Admission ===

impl Admission {
    /// An empty queue with these bounds; background calls take at most that share of a window.
    pub fn new(
        queue: &QueueBounds,
        background: Share,
        adaptive: Adaptive,
        metrics: QueueMetrics,
    ) -> Self {
        let policy = policy(queue, background, adaptive);
        let mut scheduler = Scheduler::new(policy);
        scheduler.bound_buckets(queue.max_buckets);
        let earlier = Arc::new(Notify::new());
        let servers = Servers::new(queue, Arc::clone(&earlier));
        Self {
            shared: Arc::new(Inner {
                state: Mutex::new(State {
                    scheduler,
                    waiting: Waiters::new(servers),
                    pauses: Pauses::default(),
                    graves: Graves::new(FailFast::default()),
                    modes: Modes::default(),
                    ghosts: None,
                    policy,
                    replica: None,
                    limits: freezing::Limits::default(),
                    to_say: said::ToSay::default(),
                    leases: Leases::default(),
                    armed: None,
                    closed: false,
                    events: Vec::new(),
                    notes: Vec::new(),
                    lessons: Vec::new(),
                }),
                earlier,
                origin: Instant::now(),
                metrics,
                store: OnceLock::new(),
                asks: Notify::new(),
                some_are_dead: AtomicBool::new(false),
            }),
        }
    }

    /// Asks for the right to send the call. One that had an attempt waits before all calls of its
    /// line that came later.
    ///
    /// # Errors
    /// If the call is shed or answered at once.
    pub fn ask(&self, call: &Call, attempt: Attempt) -> Result<QueueDecision<'_>, Turned> {
        let shared = &self.shared;
        let mut state = shared.lock();
        let now = shared.now();
        let server = state.waiting.servers.of(&call.upstream);
        if state.modes.is_shadow(call.method.as_deref()) {
            let decision = match attempt {
                Attempt::First(buckets) => {
                    Ok(QueueDecision::Granted(state.pass(shared, now, (call, server), buckets)))
                }
                // It was sent before, and what Slack said is handed on.
                Attempt::Again(_) => Err(Shed::upstream().into()),
            };
            state.pump(shared, now);
            return decision;
        }
        if call.disabled {
            return Err(Shed::disabled().into());
        }
        if let Some(answer) = state.meet_grave(shared, call) {
            return Err(Turned::Dead(answer));
        }
        let may_wait = call.body.may_wait();
        let gated;
        let enqueued = match attempt {
            Attempt::Again(permit) => {
                // Nobody holds a permit that is spent.
                let Some((permit, outcome)) = permit.into_inner() else {
                    return Err(Shed::draining().into());
                };
                // A pause may have begun while it was on its way, and others may have its place there.
                let mut needs = state.scheduler.needs(&permit);
                let own = needs.len();
                if let Err(shed) = state.meet(call, &mut needs) {
                    state.scheduler.settle(now, permit, outcome);
                    state.pump(shared, now);
                    return Err(shed.into());
                }
                let before = state.gates_before(shared, now, server);
                gated = !before.is_empty();
                needs.extend(before);
                if call.several.is_some() {
                    // Somebody may have joined it who waits for longer.
                    state.scheduler.allow_until(&permit, shared.at(call.deadline));
                }
                state.scheduler.replay(now, permit, outcome, &needs[own..])
            }
            Attempt::First(mut buckets) => {
                state.meet(call, &mut buckets)?;
                let before = state.gates_before(shared, now, server);
                gated = !before.is_empty();
                buckets.extend(before);
                let mut asks = shared.asks(call, buckets);
                if !may_wait {
                    // It may go at once, and else there is no room for it.
                    asks.max_depth = Some(0);
                }
                state.scheduler.enqueue(now, &asks)
            }
        };
        let decision = match enqueued {
            Enqueued::Granted(permit) => {
                let in_flight = state.waiting.servers.begin(server);
                let granted = Granted { permit, in_flight };
                Ok(QueueDecision::Granted(Permit::new(granted, shared)))
            }
            Enqueued::Refused(refusal) => {
                let shed = Shed::refused(&refusal, now);
                Err(if may_wait { shed } else { shed.of_memory() }.into())
            }
            Enqueued::Held(ticket) if state.closed => {
                state.scheduler.cancel(now, ticket);
                Err(Shed::draining().into())
            }
            Enqueued::Held(ticket) => {
                let (verdict, told) = oneshot::channel();
                let credential = state.graves.credential(call);
                let place = Standing { server, gated, credential };
                state.waiting.add(ticket, call, place, verdict);
                Ok(QueueDecision::Held(Waiting::new(shared, ticket, told)))
            }
        };
        state.pump(shared, now);
        decision
    }

    /// Keeps time for those who wait, until told to end.
    pub async fn keep_time(&self, end: CancellationToken) {
        let ring = async {
            loop {
                let next = {
                    let mut state = self.shared.lock();
                    let now = self.shared.now();
                    state.armed = state.tell(&self.shared, now);
                    state.armed
                };
                let earlier = self.shared.earlier.notified();
                match next {
                    None => earlier.await,
                    Some(at) => {
                        let at = self.shared.origin + at.since(START);
                        tokio::select! {
                            () = tokio::time::sleep_until(at) => {}
                            () = earlier => {}
                        }
                    }
                }
            }
        };
        tokio::select! {
            () = ring => {}
            () = end.cancelled() => {}
        }
    }

    /// Sheds all that wait, and from now on whatever would have to wait.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        state.closed = true;
        for waiter in state.waiting.take() {
            state.scheduler.cancel(now, waiter.ticket);
            // Whoever is gone needs no answer.
            let _ = waiter.verdict.send(Err(Shed::draining().into()));
        }
        state.pump(&self.shared, now);
    }

    /// Lets everything that counted for one identity count for another; see
    /// [`Scheduler::rename`].
    pub fn move_identity(&self, from: &Identity, to: &Identity) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        for (of, from, to) in buckets::renamed(from, to) {
            let (from, to) = (from.as_str(), to.as_str());
            state.scheduler.rename(now, of, from, to);
            if let Some(ghosts) = &mut state.ghosts {
                ghosts.rename(now, of, from, to);
            }
        }
        if from.workspace != to.workspace && state.pauses.has_workspaces() {
            // They may be calls of a workspace that is paused, or no longer.
            state.gate(now, |_| true);
        }
        state.pump(&self.shared, now);
    }

    /// The operator decides otherwise: these bounds and limits hold from now on, also for the calls
    /// that wait. They stay as old as they are.
    pub fn relimit(&self, before: &Config, config: &Config) {
        let policy = policy(&config.queue, config.background_share, config.adaptive);
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let now = self.shared.now();
        state.scheduler.bound_buckets(config.queue.max_buckets);
        state.scheduler.relimit(now, policy, config.catalogue.limits());
        let changes = state.waiting.in_queues(|_| true).filter_map(|(queue, ticket)| {
            let method = queue.method.as_ref()?;
            if before.catalogue.entry(&method.name) == config.catalogue.entry(&method.name) {
                return None;
            }
            let held = state.scheduler.buckets_of(ticket);
            Some((ticket, buckets::again(&config.catalogue, method, &held)))
        });
        let changes = changes.collect();
        state.scheduler.rebucket(now, changes);
        state.policy = policy;
        state.waiting.servers.configure(&config.queue);
        state.look_at_bounds(&self.shared, now);
        if !state.limits.is_empty() {
            state.limits = freezing::limits(&config.catalogue);
        }
        if let Some(ghosts) = &mut state.ghosts {
            ghosts.relimit(now, policy, &config.catalogue);
        }
        state.modes.configure(config.mode);
        state.set_fail_fast(&self.shared, config.fail_fast);
        state.let_watched_go(now, |modes, method| {
            modes.is_shadow(method.map(|method| &**config.catalogue.entry(&method.name)))
        });
        state.pump(&self.shared, now);
    }

    /// The operating system allows no more than so many calls in flight.
    pub fn allow_in_flight(&self, most: usize, queue: &QueueBounds) {
        self.shared.lock().waiting.servers.allow(most, queue);
    }

    /// Lets buckets remember what was before the process. With `cautious_since` nobody knows what was
    /// taken before that: every limit counts as just used up then.
    pub fn restore(
        &self,
        buckets: impl Iterator<Item = (BucketKey, Memory)>,
        cautious_since: Option<scheduler::Instant>,
    ) {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        if let Some(since) = cautious_since {
            state.scheduler.be_cautious(since);
        }
        for (bucket, memory) in buckets {
            state.scheduler.restore(now, bucket, &memory);
        }
        state.pump(&self.shared, now);
    }

    /// From now on every grant is written there before its call is sent. Nothing may have been
    /// granted before.
    pub fn keep(&self, store: Store) {
        self.shared.lock().scheduler.take_notes();
        // A queue is kept in one place.
        let _ = self.shared.store.set(store);
    }

    /// Lets buckets forget what they have learnt of their limits; tells how many have.
    pub fn forget_learnt(&self, forgets: impl Fn(&BucketKey) -> bool) -> usize {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let gone = state.scheduler.forget(now, forgets);
        state.pump(&self.shared, now);
        gone
    }

    /// Keeps what was learnt of tokens, where anything is kept.
    pub fn keep_learnt(&self, learnt: Vec<Learnt>) {
        if let Some(store) = self.shared.store.get().filter(|_| !learnt.is_empty()) {
            store.learnt(learnt);
        }
    }

    /// Now, in the scheduler's time.
    pub fn now(&self) -> scheduler::Instant {
        self.shared.now()
    }

    /// How many calls wait.
    pub fn held(&self) -> usize {
        self.shared.lock().scheduler.held()
    }
}

// === impl Inner ===

impl Inner {
    /// The lock guards a few lines at a time and never an await. After a panic in there the
    /// state is still the best there is.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.check_leases(self);
        state
    }

    fn now(&self) -> scheduler::Instant {
        self.at(Instant::now())
    }

    /// A call as the scheduler sees it.
    fn asks(&self, call: &Call, buckets: Vec<BucketKey>) -> scheduler::Call {
        scheduler::Call {
            buckets,
            class: call.class,
            caller: scheduler::Caller { id: call.caller_id, weight: call.weight },
            deadline: self.at(call.deadline),
            max_depth: call.max_depth,
            place: Some(call.place),
            again: call.again,
        }
    }

    /// For which bucket a held call stands in line, and why it does not go.
    fn waits_for(&self, ticket: scheduler::Ticket) -> Option<(BucketKey, &'static str)> {
        let mut state = self.lock();
        let now = self.now();
        let (bucket, block) = state.scheduler.waits_for(now, ticket)?;
        Some((bucket, block.reason.as_str()))
    }

    fn at(&self, instant: Instant) -> scheduler::Instant {
        START + instant.saturating_duration_since(self.origin)
    }
}

// === impl State ===

impl State {
    /// Tells those whose time has come, and sets the timer.
    fn pump(&mut self, shared: &Inner, now: scheduler::Instant) {
        let next = self.tell(shared, now);
        if next.is_some_and(|next| self.armed.is_none_or(|armed| next < armed)) {
            self.armed = next;
            shared.earlier.notify_one();
        }
    }

    /// Tells those whose time has come, and says when the next one's comes.
    fn tell(&mut self, shared: &Inner, now: scheduler::Instant) -> Option<scheduler::Instant> {
        let ghosts = self.ghosts.as_mut().and_then(|ghosts| ghosts.tell(now, &shared.metrics));
        loop {
            let mut events = std::mem::take(&mut self.events);
            let next = self.scheduler.poll(now, &mut events);
            self.scheduler.lessons(&mut self.lessons);
            self.lessons.drain(..).for_each(|lesson| lessons::tell(&lesson));
            if let Some(store) = shared.store.get() {
                self.scheduler.notes(&mut self.notes);
                store.note(&mut self.notes);
            }
            let mut returned = false;
            for event in events.drain(..) {
                let (ticket, verdict) = match event {
                    Event::Granted { ticket, permit } => (ticket, Ok(permit)),
                    Event::Expired { ticket, refusal } => {
                        (ticket, Err(Shed::refused(&refusal, now).into()))
                    }
                };
                let verdict = match self.waiting.remove(ticket) {
                    Some(waiter) => {
                        let in_flight = || self.waiting.servers.begin(waiter.server);
                        let granted =
                            verdict.map(|permit| Granted { permit, in_flight: in_flight() });
                        waiter.verdict.send(granted).map_err(|it| it.map(|it| it.permit))
                    }
                    None => Err(verdict),
                };
                // Whoever left in this very moment gives the permit to the next.
                if let Err(Ok(permit)) = verdict {
                    self.scheduler.settle(now, permit, scheduler::Outcome::Unsent);
                    returned = true;
                }
            }
            self.events = events;
            if !self.let_pass(now) && !returned {
                if self.scheduler.has_asks() || self.to_say.has() {
                    shared.asks.notify_one();
                }
                return [next, ghosts].into_iter().flatten().min();
            }
        }
    }
}

fn policy(queue: &QueueBounds, background: Share, adaptive: Adaptive) -> Policy {
    let Adaptive { down, up, ceiling } = adaptive;
    Policy {
        bounds: Bounds { per_bucket: queue.max_depth, total: queue.max_total },
        background,
        learning: Learning { down, up: up.then_some(ceiling) },
    }
}
