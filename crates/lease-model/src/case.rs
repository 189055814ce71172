//! A case: sizes, faults and bounds. All that can happen in it is tried.

use stateright::{Model, Property};

use crate::{
    replica::Link,
    rules::{Mutation, NAMES, Rules},
    store::Store,
    world::{Message, Right, Slack, World},
};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Case {
    /// A short name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Sizes, times, and the rule that is broken.
    pub rules: Rules,
    /// How it begins.
    pub start: Start,
    /// What may go wrong.
    pub faults: Faults,
    /// How many asks replicas may send in all.
    pub asks: u8,
    /// How many beats. The answer to a beat comes at once, or counts no more.
    pub beats: u8,
    /// The only replica that asks, and the only one that beats, if not all do.
    pub speaks: (Option<usize>, Option<usize>),
    /// Whether beats may also arrive late.
    pub late_beats: bool,
    /// How many messages may be on their way at a time. More are lost.
    pub net: usize,
    /// How many messages may come twice.
    pub doubled: u8,
    /// By how many calls a limit may be exceeded.
    pub exceeds: Exceeds,
    /// Whether everybody who waits is to be served within a bounded time once all goes well.
    pub settles: bool,
}

/// How a case begins.
#[derive(Clone, Debug)]
pub enum Start {
    /// With an empty store that nobody has heard.
    New,
    /// All have heard of each other. The first replicas hold so many slots each, and use so many.
    Heard(Vec<u8>, Vec<u8>),
    /// The same, and the first replica has been granted a slot, of which it has not heard yet.
    Granted,
    /// All have heard that nothing is held, and the first replica has been suspended for long since then.
    Stopped,
    /// All have heard that nothing is held, and the first replica has not heard the store for long since then.
    Cut,
    /// The second replica uses the slot. There is an older copy of the store, which granted it to the first one,
    /// and that has not heard of it.
    Regranted,
    /// The first replica holds all slots, and uses so many. The last one is new, and has another version of the
    /// scripts.
    Updated(u8),
    /// The first replica uses the slot. There is an older copy of the store, in which it waits for the second
    /// one to return it.
    Behind,
}

/// What may go wrong.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each may happen or not by itself")]
pub struct Faults {
    /// How many times in all.
    pub count: u8,
    /// A replica dies.
    pub kill: bool,
    /// A replica leaves.
    pub leave: bool,
    /// Whoever has died or left is restarted with its state file.
    pub restart: bool,
    /// It is suspended, and goes on.
    pub stop: bool,
    /// The store is emptied.
    pub flush: bool,
    /// The store falls back to an older copy.
    pub failover: bool,
    /// A bucket of which nothing is left is dropped.
    pub drop: bool,
}

/// By how many calls the limit may be exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeds {
    /// By none.
    Never,
    /// By quota / replicas for each replica that has been cut off for longer than its lease, a
    /// period and a flight.
    ByLong,
    /// By as much for each replica that uses its part at all.
    ByParts,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are told where they happen")]
pub enum Action {
    Tick,
    Ask { by: usize, wants: u8 },
    Beat { by: usize },
    LateBeat { by: usize },
    TimesOut { at: usize },
    Send { by: usize },
    Answer { call: usize },
    Arrives { message: Message, again: bool },
    Lost { message: Message },
    Stop { at: usize },
    GoesOn { at: usize },
    Kill { at: usize },
    Leave { at: usize },
    Restart { at: usize },
    Drop { at: usize },
    Flush,
    Copy,
    Failover,
}

/// The properties, by the names under which a counterexample is found.
pub const NEVER_ABOVE: &str = "never above the quota";
/// See [`Case::settles`].
pub const SETTLES: &str = "whoever waits is served once all goes well";

// === impl Case ===

impl Case {
    /// The smallest case: two replicas that share one slot over a bad network.
    pub fn small(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            rules: Rules::small(),
            start: Start::Heard(vec![0, 0, 0], vec![0, 0, 0]),
            faults: Faults::default(),
            asks: 2,
            beats: 0,
            speaks: (None, None),
            late_beats: false,
            net: 2,
            doubled: 0,
            exceeds: Exceeds::Never,
            settles: false,
        }
    }

    /// The same with a rule broken.
    #[must_use]
    pub fn broken(mut self, mutation: Mutation) -> Self {
        self.rules.broken = Some(mutation);
        self
    }

    fn within(&self, world: &World) -> bool {
        let more = match self.exceeds {
            Exceeds::Never => 0,
            Exceeds::ByLong => world.parts(&self.rules, &[Right::Long]),
            Exceeds::ByParts => world.parts(&self.rules, &[Right::Cold, Right::Long]),
        };
        world.counted() <= usize::from(self.rules.quota) + more
    }

    fn actions_of(&self, world: &World, at: usize, out: &mut Vec<Action>) {
        let replica = &world.replicas[at];
        let faults = world.faults > 0;
        if !replica.alive {
            if self.faults.restart && world.may_restart(at) {
                out.push(Action::Restart { at });
            }
            return;
        }
        if replica.stopped {
            out.push(Action::GoesOn { at });
            return;
        }
        let has_room = world.net.len() < self.net;
        let (asker, beater) = self.speaks;
        let asks = world.asks > 0 && has_room && asker.is_none_or(|it| it == at);
        if asks && replica.link == Link::Connected && replica.asking.is_none() {
            out.extend([0, 1].map(|wants| Action::Ask { by: at, wants }));
        }
        if world.beats > 0 && beater.is_none_or(|it| it == at) {
            out.push(Action::Beat { by: at });
            if self.late_beats && has_room {
                out.push(Action::LateBeat { by: at });
            }
        }
        // Whoever may send nothing more is alone, too.
        let is_done = world.beats == 0 && replica.link == Link::Connected;
        if replica.asking.is_some() || is_done {
            out.push(Action::TimesOut { at });
        }
        if world.may_send(&self.rules, at) {
            out.push(Action::Send { by: at });
        }
        if self.faults.drop && replica.is_settled() && world.used(at) == 0 && replica.granted > 0 {
            out.push(Action::Drop { at });
        }
        if faults && self.faults.stop {
            out.push(Action::Stop { at });
        }
        if faults && self.faults.kill {
            out.push(Action::Kill { at });
        }
        if faults && self.faults.leave && has_room && replica.link == Link::Connected {
            out.push(Action::Leave { at });
        }
    }
}

impl Model for Case {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = match &self.start {
            Start::New => World::new(&self.rules),
            Start::Heard(held, used) => World::heard(&self.rules, held, used),
            Start::Granted => World::granted(&self.rules),
            Start::Stopped => World::stopped(&self.rules),
            Start::Cut => World::cut(&self.rules),
            Start::Regranted => World::regranted(&self.rules),
            Start::Behind => World::behind(&self.rules),
            Start::Updated(used) => World::updated(&self.rules, *used),
        };
        (world.asks, world.beats) = (self.asks, self.beats);
        (world.doubles, world.faults) = (self.doubled, self.faults.count);
        vec![world]
    }

    fn actions(&self, world: &World, out: &mut Vec<Action>) {
        // A call is in flight for so long at most.
        let flight = self.rules.flight;
        let overdue = |slack| matches!(slack, Slack::Flight(since) if since >= flight);
        if !world.calls.iter().any(|call| overdue(call.slack)) {
            out.push(Action::Tick);
        }
        for at in 0..world.replicas.len() {
            self.actions_of(world, at, out);
        }
        for (call, it) in world.calls.iter().enumerate() {
            let first = call == 0 || world.calls[call - 1] != *it;
            if first && matches!(it.slack, Slack::Flight(_)) {
                out.push(Action::Answer { call });
            }
        }
        for &message in &world.net {
            let to = message.to().map(|name| world.named(name));
            let hears = to.is_none_or(|to| to.is_some_and(|to| world.replicas[to].is_on()));
            if hears {
                out.push(Action::Arrives { message, again: false });
            }
            if hears && world.doubles > 0 {
                out.push(Action::Arrives { message, again: true });
            }
            // Otherwise it need not arrive.
            if world.net.len() >= self.net {
                out.push(Action::Lost { message });
            }
        }
        if world.faults > 0 && self.faults.flush {
            out.push(Action::Flush);
        }
        if world.faults > 0 && self.faults.failover {
            out.push(if world.copy.is_none() { Action::Copy } else { Action::Failover });
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let rules = &self.rules;
        let mut world = before.clone();
        match action {
            Action::Tick => world.tick(rules),
            Action::Ask { by, wants } => {
                world.asks -= 1;
                let (name, ask) = world.ask(rules, by, wants);
                world.net.insert(Message::Ask(name, 0, ask));
            }
            Action::Beat { by } => {
                world.beats -= 1;
                let message = world.beat(by);
                for answer in world.arrives(rules, message) {
                    world.arrives(rules, answer);
                }
            }
            Action::LateBeat { by } => {
                world.beats -= 1;
                let message = world.beat(by);
                world.replicas[by].times_out();
                world.net.insert(message);
            }
            Action::TimesOut { at } => world.replicas[at].times_out(),
            Action::Send { by } => world.send(rules, by),
            Action::Answer { call } => world.answer(rules, call),
            Action::Arrives { message, again } => {
                if again {
                    world.doubles -= 1;
                } else {
                    world.net.remove(&message);
                }
                let out = world.arrives(rules, message);
                world.net.extend(out);
            }
            Action::Lost { message } => {
                world.net.remove(&message);
            }
            Action::Stop { at } => world.stop(at),
            Action::GoesOn { at } => world.goes_on(rules, at),
            Action::Kill { at } => world.kill(at, self.faults.restart),
            Action::Leave { at } => {
                let message = world.leave(rules, at, self.faults.restart);
                world.net.insert(message);
            }
            Action::Restart { at } => world.restart(rules, at),
            Action::Drop { at } => world.replicas[at].drops(rules),
            Action::Flush => {
                (world.store, world.apart) = (Store::default(), Store::default());
                world.versions = [None; 2];
            }
            Action::Copy => world.copy = Some(world.store.clone()),
            Action::Failover => {
                world.store = world.copy.take()?;
                world.store.restarted = true;
            }
        }
        let is_fault = matches!(
            action,
            Action::Stop { .. }
                | Action::Kill { .. }
                | Action::Leave { .. }
                | Action::Flush
                | Action::Failover
        );
        world.faults -= u8::from(is_fault);
        if !self.settles && !self.faults.restart {
            world.forgets_what_cannot_matter();
        }
        world.tidy();
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![Property::<Self>::always(NEVER_ABOVE, Self::within)];
        if self.settles {
            let settles = |case: &Self, world: &World| crate::calm::settles(&case.rules, world);
            all.push(Property::<Self>::always(SETTLES, settles));
        }
        all
    }

    fn within_boundary(&self, world: &World) -> bool {
        let names = world.replicas.iter().all(|replica| replica.name < NAMES);
        names && world.net.len() <= self.net
    }
}
