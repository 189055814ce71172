//! Everything at one moment: the store, the replicas, what lies between them, and Slack.

use std::collections::BTreeSet;

use crate::{
    replica::{FIRST, Link, Replica},
    rules::{Mutation, NAMES, Name, Rules},
    store::{Ask, Beat, Beaten, Leave, MOST, Member, Record, Reply, Store, Told},
};

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The store.
    pub store: Store,
    /// The one of the last replica, if that has another version of the scripts.
    pub apart: Store,
    /// When each version was heard last: ticks ago.
    pub versions: [Option<u8>; 2],
    /// An older copy of the store.
    pub copy: Option<Store>,
    /// The last epoch that began.
    pub epochs: u8,
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// The calls that count, for Slack or for their replica.
    pub calls: Vec<Call>,
    /// Messages on their way.
    pub net: BTreeSet<Message>,
    /// How many asks replicas may still send.
    pub asks: u8,
    /// How many beats.
    pub beats: u8,
    /// How many messages may still come twice.
    pub doubles: u8,
    /// How many faults may still happen.
    pub faults: u8,
}

/// A call that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// The replica that sent it, by its place.
    pub by: usize,
    /// How Slack counts it.
    pub slack: Slack,
    /// How its replica does.
    pub own: Own,
    /// By which right.
    pub right: Right,
}

/// By which right a call was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// By a slot that the replica held.
    Held,
    /// As the replica's part of a bucket that was cold.
    Cold,
    /// As its part, long after its lease.
    Long,
}

/// How Slack counts a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slack {
    /// It is in flight, for so long.
    Flight(u8),
    /// It counts for so long.
    Aging(u8),
    /// It counts no longer.
    Gone,
}

/// How a replica counts its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Own {
    /// It waits for the response.
    Flight,
    /// It counts for so long.
    Aging(u8),
    /// The process has died; its state file knows of the call.
    Filed,
    /// It counts no longer.
    Gone,
}

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Message {
    /// To the store. It was sent so many ticks ago.
    Ask(Name, u8, Ask),
    /// To the store. It was sent so many ticks ago.
    Beat(Name, u8, Beat),
    /// To the store.
    Leave(Name, Leave),
    /// To a replica: an answer, or a push.
    Told(Name, Told),
    /// To a replica.
    Beaten(Name, Beaten),
    /// To a replica: the store has forgotten it.
    Forgotten(Name),
}

// === impl Message ===

impl Message {
    /// The replica that it is for, if it is not for the store.
    pub fn to(&self) -> Option<Name> {
        match self {
            Self::Ask(..) | Self::Beat(..) | Self::Leave(..) => None,
            Self::Told(to, _) | Self::Beaten(to, _) | Self::Forgotten(to) => Some(*to),
        }
    }

    fn tick(mut self, rules: &Rules) -> Self {
        let age = match &mut self {
            Self::Ask(_, age, _) | Self::Beat(_, age, _) => age,
            Self::Beaten(_, beaten) => &mut beaten.age,
            Self::Told(_, Told { answer: Some(answer), .. }) => &mut answer.age,
            Self::Told(..) | Self::Forgotten(_) | Self::Leave(..) => return self,
        };
        *age = (*age + 1).min(rules.latest());
        self
    }
}

// === impl World ===

impl World {
    /// Replicas that were just started, and a store that is empty.
    pub fn new(rules: &Rules) -> Self {
        Self {
            store: Store::default(),
            apart: Store::default(),
            versions: [None; 2],
            copy: None,
            epochs: 0,
            replicas: (0..rules.replicas).map(Replica::new).collect(),
            calls: Vec::new(),
            net: BTreeSet::new(),
            asks: 0,
            beats: 0,
            doubles: 0,
            faults: 0,
        }
    }

    /// All have heard of each other, and of what they hold. What they use was sent just now, and
    /// the rest of it may be used.
    pub fn heard(rules: &Rules, held: &[u8], used: &[u8]) -> Self {
        let mut world = Self::new(rules);
        (world.epochs, world.store.epoch) = (1, 1);
        let all: u8 = held.iter().take(rules.replicas).sum();
        for (at, replica) in world.replicas.iter_mut().enumerate() {
            let (held, used) = (held[at], used[at]);
            world.store.members[at] = Some(Member { silent: 0, told: true });
            let record =
                Record { told: true, life: 1, number: FIRST, granted: held, ..Record::default() };
            world.store.records[at] = (held > 0).then_some(record);
            (replica.epoch, replica.link, replica.granted) = (1, Link::Connected, held);
            replica.fresh = held - used;
            replica.count = u8::try_from(rules.replicas).unwrap_or(u8::MAX);
            let half = rules.breaks(Mutation::HalfIsCold);
            replica.hot = all > if half { rules.quota / 2 } else { rules.part(replica.count) };
            // Who has nothing of the bucket has not asked about it.
            replica.others_held = if held > 0 { all - held } else { 0 };
            replica.others[..rules.replicas].fill(Some(0));
            let call =
                Call { by: at, slack: Slack::Flight(0), own: Own::Flight, right: Right::Held };
            world.calls.extend(core::iter::repeat_n(call, used.into()));
        }
        world
    }

    /// All have heard of each other, and nobody holds anything but the first replica, which has
    /// not heard yet what it was granted.
    pub fn granted(rules: &Rules) -> Self {
        let mut none = [0; NAMES];
        let mut world = Self::heard(rules, &none, &none);
        none[0] = 1;
        world.store.records = Self::heard(rules, &none, &[0; NAMES]).store.records;
        let told = Told { epoch: 1, life: 1, granted: 1, answer: None };
        world.net.insert(Message::Told(0, told));
        world
    }

    /// All have heard that nothing is held, and the first replica has been suspended since then for longer
    /// than its lease.
    pub fn stopped(rules: &Rules) -> Self {
        let mut world = Self::heard(rules, &[0; NAMES], &[0; NAMES]);
        world.stop(0);
        world.replicas[0].confirmed = rules.latest();
        world.store.members[0] = Some(Member { silent: rules.lease, told: true });
        world
    }

    /// All have heard that nothing is held, and the first replica has noticed that it does not hear the store
    /// any more. Its lease is almost over.
    pub fn cut(rules: &Rules) -> Self {
        let mut world = Self::heard(rules, &[0; NAMES], &[0; NAMES]);
        (world.replicas[0].link, world.replicas[0].confirmed) = (Link::Alone, rules.lease);
        world.store.members[0] = Some(Member { silent: rules.lease, told: true });
        world
    }

    /// The first replica holds all slots, and uses so many. The last one comes, and has another version.
    pub fn updated(rules: &Rules, used: u8) -> Self {
        let mut none = [0; NAMES];
        (none[0], none[1]) = (rules.quota, 0);
        let mut world = Self::heard(rules, &none, &[used, 0, 0]);
        let last = rules.replicas - 1;
        world.replicas[last] = Replica::new(last);
        world.store.members[last] = None;
        world.replicas[0].others[last] = None;
        world.versions[0] = Some(0);
        world
    }

    /// The second replica uses a slot. There is a copy of the store of a time before it was emptied, when it had
    /// granted the slot to the first one, which has not heard of that.
    pub fn regranted(rules: &Rules) -> Self {
        let mut world = Self::heard(rules, &[0, 1, 0], &[0, 1, 0]);
        let mut copy = world.store.clone();
        let record = Record { told: true, life: 1, number: FIRST, ..Record::default() };
        (copy.records[0], copy.records[1]) = (Some(Record { granted: 1, ..record }), None);
        (world.copy, world.epochs, world.store.epoch) = (Some(copy), 2, 2);
        world.replicas.iter_mut().for_each(|replica| replica.epoch = 2);
        world
    }

    /// The first replica uses a slot that was granted to it when the second one had returned it. There is a
    /// copy of the store of the moment before.
    pub fn behind(rules: &Rules) -> Self {
        let mut world = Self::heard(rules, &[1, 0, 0], &[1, 0, 0]);
        let mut copy = world.store.clone();
        let record = Record { told: true, life: 1, number: FIRST, ..Record::default() };
        copy.records[0] = Some(Record { wants: 1, ..record });
        copy.records[1] = Some(Record { granted: 1, ..record });
        world.copy = Some(copy);
        (world.replicas[1].granted, world.replicas[1].returned) = (1, 1);
        world.store.records[1] = Some(Record { granted: 1, returned: 1, ..record });
        world
    }

    /// How many slots a replica uses.
    pub fn used(&self, at: usize) -> u8 {
        let own = |call: &&Call| call.by == at && !matches!(call.own, Own::Gone | Own::Filed);
        u8::try_from(self.calls.iter().filter(own).count()).unwrap_or(u8::MAX)
    }

    /// How many calls Slack counts.
    pub fn counted(&self) -> usize {
        self.calls.iter().filter(|call| call.slack != Slack::Gone).count()
    }

    /// The parts, as they know them, of the replicas that have calls that count by such a right.
    pub fn parts(&self, rules: &Rules, rights: &[Right]) -> usize {
        let uses = |at: &usize| {
            let counts = |call: &&Call| call.by == *at && call.slack != Slack::Gone;
            self.calls.iter().filter(counts).any(|call| rights.contains(&call.right))
        };
        let using = (0..self.replicas.len()).filter(uses);
        using.map(|at| usize::from(rules.part(self.replicas[at].count))).sum()
    }

    /// Whether a replica may send a call.
    pub fn may_send(&self, rules: &Rules, at: usize) -> bool {
        let (replica, used) = (&self.replicas[at], self.used(at));
        replica.is_on() && used < replica.cap(rules, used)
    }

    /// A replica sends a call.
    pub fn send(&mut self, rules: &Rules, at: usize) {
        let used = self.used(at);
        let replica = &mut self.replicas[at];
        let right = match replica.link {
            Link::Over(since) if since >= rules.longest() => Right::Long,
            Link::Unheard | Link::Alone | Link::Over(_) if used >= replica.reusable(rules) => {
                Right::Cold
            }
            _ => Right::Held,
        };
        replica.fresh = replica.fresh.saturating_sub(1);
        self.calls.push(Call { by: at, slack: Slack::Flight(0), own: Own::Flight, right });
    }

    /// Slack answers a call.
    pub fn answer(&mut self, rules: &Rules, which: usize) {
        let call = &mut self.calls[which];
        call.slack = Slack::Aging(rules.period);
        if call.own == Own::Flight && self.replicas[call.by].is_on() {
            call.own = Own::Aging(rules.period);
        }
    }

    /// A replica says what it has, and wants.
    pub fn ask(&mut self, rules: &Rules, at: usize, wants: u8) -> (Name, Ask) {
        let used = self.used(at);
        let replica = &mut self.replicas[at];
        let before = replica.returned;
        let ask = replica.ask(rules, used, wants);
        if rules.breaks(Mutation::UsedAfterReturn) && replica.returned > before {
            self.calls.push(Call {
                by: at,
                slack: Slack::Flight(0),
                own: Own::Gone,
                right: Right::Held,
            });
        }
        (self.replicas[at].name, ask)
    }

    /// A replica says that it is here.
    pub fn beat(&mut self, at: usize) -> Message {
        let replica = &mut self.replicas[at];
        Message::Beat(replica.name, 0, replica.beat())
    }

    /// A message comes, and what it leads to leaves.
    pub fn arrives(&mut self, rules: &Rules, message: Message) -> Vec<Message> {
        let mut out = Vec::new();
        match message {
            Message::Ask(name, age, ask) => {
                let mut pushes = Vec::new();
                match self.store_of(rules, name).ask(rules, name, ask, age, &mut pushes) {
                    Reply::Ok(told) => out.push(Message::Told(name, told)),
                    Reply::Forgotten => out.push(Message::Forgotten(name)),
                    Reply::Nothing => {}
                }
                out.extend(pushes.into_iter().map(|(to, told)| Message::Told(to, told)));
            }
            Message::Beat(name, age, beat) => {
                self.hears_version(rules, name);
                let new_epoch = self.epochs + 1;
                match self.store_of(rules, name).beat(rules, name, &beat, age, new_epoch) {
                    Reply::Ok(beaten) => out.push(Message::Beaten(name, beaten)),
                    Reply::Forgotten => out.push(Message::Forgotten(name)),
                    Reply::Nothing => {}
                }
                self.epochs = self.epochs.max(self.store.epoch).max(self.apart.epoch);
            }
            Message::Leave(name, leave) => {
                let mut pushes = Vec::new();
                self.store_of(rules, name).leave(rules, name, &leave, &mut pushes);
                out.extend(pushes.into_iter().map(|(to, told)| Message::Told(to, told)));
            }
            Message::Told(name, told) => {
                if let Some(at) = self.named(name) {
                    self.replicas[at].hear(rules, &told);
                }
            }
            Message::Beaten(name, beaten) => {
                if let Some(at) = self.named(name) {
                    let used = self.used(at);
                    self.replicas[at].beaten(rules, used, &beaten);
                }
            }
            Message::Forgotten(name) => {
                if let Some(at) = self.named(name) {
                    let used = self.used(at);
                    let new = name + self.replicas.len();
                    if new < NAMES {
                        self.replicas[at].forgotten(rules, new, used);
                    } else {
                        // The model has no names left.
                        self.kill(at, false);
                    }
                }
            }
        }
        out
    }

    /// Which version of the scripts that replica has.
    fn version(rules: &Rules, name: Name) -> usize {
        usize::from(rules.apart && name % rules.replicas == rules.replicas - 1)
    }

    fn store_of(&mut self, rules: &Rules, name: Name) -> &mut Store {
        if Self::version(rules, name) == 0 { &mut self.store } else { &mut self.apart }
    }

    /// A replica beats: the server knows of its version, and it hears of the other one.
    fn hears_version(&mut self, rules: &Rules, name: Name) {
        if rules.apart {
            let version = Self::version(rules, name);
            self.versions[version] = Some(0);
            let other = self.versions[1 - version].filter(|since| *since < rules.versions());
            let unnoticed = rules.breaks(Mutation::VersionUnnoticed);
            self.store_of(rules, name).apart = other.filter(|_| !unnoticed);
        }
    }

    /// The replica of that name.
    pub fn named(&self, name: Name) -> Option<usize> {
        self.replicas.iter().position(|replica| replica.name == name)
    }

    /// A tick passes.
    pub fn tick(&mut self, rules: &Rules) {
        for call in &mut self.calls {
            call.slack = match call.slack {
                Slack::Flight(since) => Slack::Flight(since + 1),
                Slack::Aging(0 | 1) | Slack::Gone => Slack::Gone,
                Slack::Aging(left) => Slack::Aging(left - 1),
            };
            call.own = match call.own {
                Own::Aging(0 | 1) => Own::Gone,
                Own::Aging(left) => Own::Aging(left - 1),
                other => other,
            };
        }
        self.store.tick(rules);
        self.apart.tick(rules);
        let ticks = |since: u8| (since + 1).min(rules.versions());
        self.versions = self.versions.map(|since| since.map(ticks));
        if let Some(copy) = &mut self.copy {
            copy.tick(rules);
        }
        self.net = self.net.iter().map(|message| message.tick(rules)).collect();
        for at in 0..self.replicas.len() {
            self.replicas[at].tick(rules);
            if self.replicas[at].is_on() {
                self.looks_at_its_lease(rules, at, 1);
            }
        }
        self.tidy();
    }

    /// A replica notices that its lease is over, `since` ticks after it was.
    fn looks_at_its_lease(&mut self, rules: &Rules, at: usize, since: u8) {
        if !self.replicas[at].is_overdue(rules) {
            return;
        }
        while rules.breaks(Mutation::TimeBeforeLink) && self.may_send(rules, at) {
            self.send(rules, at);
        }
        self.replicas[at].lease_is_over(rules, since);
    }

    /// A replica is suspended.
    pub fn stop(&mut self, at: usize) {
        self.replicas[at].stopped = true;
    }

    /// A replica that was suspended goes on.
    pub fn goes_on(&mut self, rules: &Rules, at: usize) {
        self.replicas[at].stopped = false;
        for call in self.calls.iter_mut().filter(|call| call.by == at && call.own == Own::Flight) {
            if !matches!(call.slack, Slack::Flight(_)) {
                call.own = Own::Aging(rules.period);
            }
        }
        self.looks_at_its_lease(rules, at, 0);
    }

    /// A replica dies. It may be restarted if it has a state file.
    pub fn kill(&mut self, at: usize, has_file: bool) {
        let replica = &mut self.replicas[at];
        (replica.alive, replica.stopped) = (false, false);
        let name = replica.name;
        let own = if has_file { Own::Filed } else { Own::Gone };
        for call in self.calls.iter_mut().filter(|call| call.by == at) {
            call.own = if call.own == Own::Gone { Own::Gone } else { own };
        }
        self.net.retain(|message| message.to() != Some(name));
    }

    /// A replica leaves, and says for how long what it has used still counts. Its state file is there if
    /// it has one.
    pub fn leave(&mut self, rules: &Rules, at: usize, has_file: bool) -> Message {
        let mut left = [0; MOST];
        let own = self.calls.iter().filter(|call| call.by == at);
        let counts = own.filter_map(|call| match call.own {
            Own::Flight => Some(rules.longest()),
            Own::Aging(left) => Some(left),
            Own::Filed | Own::Gone => None,
        });
        left.iter_mut().zip(counts).for_each(|(left, counts)| *left = counts);
        let (name, epoch) = (self.replicas[at].name, self.replicas[at].epoch);
        self.kill(at, has_file);
        Message::Leave(name, Leave { epoch, left })
    }

    /// Whether there is a name for the process that comes after a replica.
    pub fn may_restart(&self, at: usize) -> bool {
        self.replicas[at].name + self.replicas.len() < NAMES
    }

    /// A replica that has ended is started anew with its state file, by another name. Whatever may have
    /// been in flight counts as if it had been sent just now.
    pub fn restart(&mut self, rules: &Rules, at: usize) {
        let name = self.replicas[at].name + self.replicas.len();
        self.replicas[at].restarts(name);
        let lost = rules.breaks(Mutation::LedgerLost);
        for call in self.calls.iter_mut().filter(|call| call.by == at && call.own == Own::Filed) {
            call.own = if lost { Own::Gone } else { Own::Aging(rules.longest()) };
        }
    }

    /// Where the store is not heard any more, all that matters is what each replica may use.
    pub fn forgets_what_cannot_matter(&mut self) {
        let speaks = self.net.iter().any(|message| message.to().is_none());
        if speaks || self.asks > 0 || self.beats > 0 {
            return;
        }
        (self.store, self.copy, self.epochs) = (Store::default(), None, 0);
        (self.apart, self.versions) = (Store::default(), [None; 2]);
        if self.net.is_empty() {
            self.replicas.iter_mut().for_each(Replica::forgets_what_it_would_say);
        }
    }

    /// Puts in order what has none, so that equal moments are equal.
    pub fn tidy(&mut self) {
        self.calls.retain(|call| {
            call.slack != Slack::Gone || !matches!(call.own, Own::Gone | Own::Filed)
        });
        self.calls.sort_unstable();
    }
}
