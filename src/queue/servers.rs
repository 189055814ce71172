//! How many calls are in flight to each server and in all, and who waits because of that.
//!
//! Each call in flight has a connection, and connections are files, of which a process has only so many.
//! A server that says nothing would in the end have all of them, for calls whose clients left long ago.
//! So there is a bound per server, and one for all that is larger: calls beyond it wait before a [gate of
//! the scheduler](scheduler::Scheduler::let_pass), in turns and by class like all that wait, and calls to
//! other servers pass them.
//!
//! Most processes never come near their bounds, and for them a call costs two additions. As long as all
//! calls that are held might go at once and stay within the bounds, none needs a gate. As soon as that is
//! not so, all get one. From then on the scheduler lets no more go than there is room for.

use std::sync::Arc;

use config::{QueueBounds, Upstream};
use limits::BucketKey;
use scheduler::Instant;
use slack::IN_FLIGHT;
use tokio::sync::Notify;

use super::{Inner, State};
use crate::call::in_flight::{Count, InFlight, Total};

/// All servers that calls go to.
#[derive(Debug)]
pub(super) struct Servers {
    bounds: Bounds,
    /// What the operating system allows, once that is known.
    most: usize,
    all: Load,
    total: Arc<Total>,
    each: Vec<Server>,
}

/// How many calls may be in flight.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    each: usize,
    all: usize,
}

#[derive(Debug)]
struct Server {
    count: Arc<Count>,
    load: Load,
}

/// The calls that are held for one server, or for all.
#[derive(Debug)]
struct Load {
    gate: BucketKey,
    held: usize,
    /// Those of them that stand before the gates.
    gated: usize,
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerId(usize);

/// Calls in flight to one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLoad {
    /// Its host and port; [`ServerLoad::ALL`] stands for all.
    pub server: Arc<str>,
    /// Calls in flight.
    pub in_flight: usize,
    /// How many there may be.
    pub most: usize,
    /// Calls that are held and go there.
    pub held: usize,
}

/// Bounds where neither the operator nor the operating system knows lower ones.
const MOST: usize = 8192;

/// What one server may have of what all may.
const PART: usize = 2;

// === impl Servers ===

impl Servers {
    /// None so far. `freed` is told when a call has ended for which others wait.
    pub(super) fn new(queue: &QueueBounds, freed: Arc<Notify>) -> Self {
        Self {
            bounds: Bounds::of(queue, MOST),
            most: MOST,
            all: Load::new(ServerLoad::ALL.into()),
            total: Total::new(freed),
            each: Vec::new(),
        }
    }

    /// The operating system allows so many in all.
    pub(super) fn allow(&mut self, most: usize, queue: &QueueBounds) {
        self.most = most;
        self.configure(queue);
    }

    /// The operator decides otherwise.
    pub(super) fn configure(&mut self, queue: &QueueBounds) {
        self.bounds = Bounds::of(queue, self.most);
    }

    /// The one that an upstream is at.
    pub(super) fn of(&mut self, upstream: &Upstream) -> ServerId {
        let host = upstream.url.authority().map_or("", |authority| authority.as_str());
        let known = self.each.iter().position(|server| server.load.gate.values.as_str() == host);
        ServerId(known.unwrap_or_else(|| {
            let count = Count::new(&self.total);
            self.each.push(Server { count, load: Load::new(host.into()) });
            self.each.len() - 1
        }))
    }

    /// A call goes there.
    pub(super) fn begin(&self, server: ServerId) -> InFlight {
        InFlight::begin(&self.each[server.0].count)
    }

    /// A call is held that will go there.
    pub(super) fn join(&mut self, server: ServerId, gated: bool) {
        for load in [&mut self.all, &mut self.each[server.0].load] {
            load.held += 1;
            load.gated += usize::from(gated);
        }
        if gated {
            self.tell_full(server);
        }
    }

    /// It is held no more.
    pub(super) fn leave(&mut self, server: ServerId, gated: bool) {
        for load in [&mut self.all, &mut self.each[server.0].load] {
            load.held -= 1;
            load.gated -= usize::from(gated);
        }
        if gated {
            self.tell_full(server);
        }
    }

    /// A call that is held stands before the gates from now on.
    pub(super) fn gate(&mut self, server: ServerId) {
        for load in [&mut self.all, &mut self.each[server.0].load] {
            load.gated += 1;
        }
        self.tell_full(server);
    }

    fn tell_full(&self, server: ServerId) {
        let Server { count, load } = &self.each[server.0];
        count.set_full(load.gated > 0);
        self.total.set_full(self.all.gated > 0);
    }

    /// Whether one call more might, with all that are held, be more than may be in flight: to that
    /// server, or in all.
    fn at_risk(&self, server: ServerId) -> (bool, bool) {
        let Server { count, load } = &self.each[server.0];
        (
            count.calls() + load.held >= self.bounds.each,
            self.total.calls() + self.all.held >= self.bounds.all,
        )
    }

    /// The gates before a server, and how many more calls may pass each.
    fn gates(&self, server: ServerId) -> [(BucketKey, u32); 2] {
        let Server { count, load } = &self.each[server.0];
        let room = |most: usize, calls: usize| {
            u32::try_from(most.saturating_sub(calls)).unwrap_or(u32::MAX)
        };
        [
            (load.gate.clone(), room(self.bounds.each, count.calls())),
            (self.all.gate.clone(), room(self.bounds.all, self.total.calls())),
        ]
    }

    /// The gates before which calls stand, and how many more may pass each.
    fn gates_in_use(&self) -> Vec<(BucketKey, u32)> {
        if self.all.gated == 0 {
            return Vec::new();
        }
        let used = self.ids().filter(|server| self.each[server.0].load.gated > 0);
        let mut used: Vec<_> = used.map(|server| self.gates(server)).collect();
        let all = used.last().map(|[_, all]| all.clone());
        used.drain(..).map(|[one, _]| one).chain(all).collect()
    }

    /// Whether some call that is held does not stand before the gates.
    pub(super) fn has_ungated(&self) -> bool {
        self.all.gated < self.all.held
    }

    fn ids(&self) -> impl Iterator<Item = ServerId> + use<> {
        (0..self.each.len()).map(ServerId)
    }

    /// How many calls are in flight to each, and in all.
    pub(super) fn loads(&self) -> Vec<ServerLoad> {
        let load = |load: &Load, in_flight, most| ServerLoad {
            server: Arc::clone(load.gate.values.shared()),
            in_flight,
            most,
            held: load.held,
        };
        let each = self.each.iter();
        let each = each.map(|server| load(&server.load, server.count.calls(), self.bounds.each));
        each.chain([load(&self.all, self.total.calls(), self.bounds.all)]).collect()
    }
}

// === impl ServerLoad ===

impl ServerLoad {
    /// All servers. No host has that name.
    pub const ALL: &str = "*";
}

// === impl Bounds ===

impl Bounds {
    fn of(queue: &QueueBounds, most: usize) -> Self {
        let all = queue.max_in_flight.unwrap_or(MOST).min(most).max(1);
        let each = queue.max_in_flight_per_server.unwrap_or(all.div_ceil(PART)).min(all);
        Self { each, all }
    }
}

// === impl Load ===

impl Load {
    fn new(host: Arc<str>) -> Self {
        let gate = BucketKey { limit: Arc::clone(&IN_FLIGHT), values: host.into() };
        Self { gate, held: 0, gated: 0 }
    }
}

// === impl State ===

impl State {
    /// The gates before which a call to that server has to stand, if any.
    pub(super) fn gates_before(
        &mut self,
        shared: &Inner,
        now: Instant,
        server: ServerId,
    ) -> Vec<BucketKey> {
        let (one, all) = self.waiting.servers.at_risk(server);
        if !one && !all {
            return Vec::new();
        }
        // What has been granted till now is in flight, and has taken its passes.
        self.tell(shared, now);
        self.stand_before_gates(now, |of| all || of == server);
        let gates = self.waiting.servers.gates(server);
        gates.map(|gate| self.let_pass_one(now, gate).0).to_vec()
    }

    /// The bounds have changed: lets all that are held stand before gates, if that matters now.
    pub(super) fn look_at_bounds(&mut self, shared: &Inner, now: Instant) {
        self.tell(shared, now);
        for server in self.waiting.servers.ids() {
            let (one, all) = self.waiting.servers.at_risk(server);
            if one || all {
                self.stand_before_gates(now, |of| all || of == server);
            }
        }
    }

    /// Lets as many pass the gates as there is room for. Whether any may have.
    pub(super) fn let_pass(&mut self, now: Instant) -> bool {
        let mut passed = false;
        for gate in self.waiting.servers.gates_in_use() {
            passed |= self.let_pass_one(now, gate).1;
        }
        passed
    }

    fn let_pass_one(&mut self, now: Instant, (gate, calls): (BucketKey, u32)) -> (BucketKey, bool) {
        let passed = self.scheduler.let_pass(now, &gate, calls);
        (gate, passed)
    }

    /// Lets all held calls to these servers stand before their gates.
    fn stand_before_gates(&mut self, now: Instant, of: impl Fn(ServerId) -> bool) {
        let ungated = self.waiting.gate(of);
        if ungated.is_empty() {
            return;
        }
        // Before calls stand there, which would take it for a pause.
        self.let_pass(now);
        let changes = ungated.into_iter().map(|(ticket, server)| {
            let gates = self.waiting.servers.gates(server).map(|(gate, _)| gate);
            let buckets = self.scheduler.buckets_of(ticket).into_iter().chain(gates);
            (ticket, buckets.collect())
        });
        let changes = changes.collect();
        self.scheduler.rebucket(now, changes);
    }
}
