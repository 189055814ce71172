//! What goes wrong with the fleet, as the seed draws it, and what ends it.

use std::time::Duration;

use super::{
    chance::Chance,
    process::{LEASE, Process, SHARDS},
    world::{Event, Net, Version, World},
};

/// What begins to go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// What kind of an hour it is, and then what goes wrong in it.
    Hour,
    Any {
        left: u32,
        mean: Duration,
    },
    Net,
    Cut,
    Stops,
    Dies,
    Rolls {
        left: usize,
    },
    Scales,
    /// The store is emptied, by a command.
    Empties {
        tries: u32,
    },
    /// It restarts with what it had, with nothing, or with a copy of a second ago.
    Restarts {
        tries: u32,
    },
    Clock,
    /// An operator ends all freezes at one replica.
    Thaws,
}

/// What ends.
#[derive(Debug)]
pub(super) enum End {
    Net,
    Cut(Vec<usize>, u8),
    Goes(usize),
    Starts(Before),
    /// A server is back, with what it kept.
    Server(usize, Keeps),
    Copy(usize),
}

/// The process before, if its state file is there.
pub(super) struct Before(Option<Box<Process>>);

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "with a file: {}", self.0.is_some())
    }
}

/// What a server keeps over its restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    All,
    Nothing,
    Copy,
}

const LONG: u32 = 30;
/// So many replicas are updated.
const ALL: usize = 10;
/// How long a call may count after its process was heard last: a lease, a flight and a period.
const COUNTS: Duration = Duration::from_secs(180);

impl World {
    pub(super) fn goes_wrong(&mut self, fault: Fault) {
        // What has begun to be updated ends so.
        let goes_on = matches!(fault, Fault::Rolls { left } if left < ALL);
        if self.is_ending() && !goes_on {
            return;
        }
        if !matches!(fault, Fault::Hour | Fault::Any { .. }) {
            self.counts.faults += 1;
        }
        match fault {
            Fault::Hour => {
                self.after(Duration::from_secs(3600), Event::Fault(Fault::Hour));
                // The first one is a bad one.
                let kind = if self.counts.faults == 0 { 9 } else { self.chance.below(10) };
                let (left, mean) = match kind {
                    0..4 => return,
                    4..8 => (4, 900),
                    _ => (30, 60),
                };
                let mean = Duration::from_secs(mean);
                let next = self.chance.after(mean);
                self.after(next, Event::Fault(Fault::Any { left, mean }));
            }
            Fault::Any { left, mean } => {
                let fault = Fault::drawn(&mut self.chance);
                self.notes(&format!("{fault:?}"));
                self.goes_wrong(fault);
                if left > 1 {
                    let next = self.chance.after(mean);
                    self.after(next, Event::Fault(Fault::Any { left: left - 1, mean }));
                }
            }
            Fault::Net => {
                let chance = &mut self.chance;
                self.net = Net {
                    lost: chance.below(50),
                    doubled: chance.below(300),
                    delay: [5, 50, 120, 400][chance.index(4)],
                };
                let time = chance.seconds(1, 120);
                self.begins(time, End::Net);
            }
            Fault::Cut => self.cuts(),
            Fault::Stops => {
                let Some(at) = self.one_of_those_on() else { return };
                let chance = &mut self.chance;
                let time =
                    if chance.hits(600) { chance.seconds(1, 29) } else { chance.seconds(31, 240) };
                if let Some(process) = &mut self.processes[at] {
                    process.stopped = true;
                }
                self.begins(time, End::Goes(at));
            }
            Fault::Dies => {
                let Some(at) = self.one_of_those_on() else { return };
                let has_file = self.chance.hits(500);
                let process = self.ends_process(at, false, has_file);
                let process = process.filter(|_| has_file).map(Box::new);
                let time = self.chance.seconds(1, 30);
                self.begins(time, End::Starts(Before(process)));
            }
            Fault::Rolls { left } => {
                if left == ALL && self.is_calm() {
                    if self.chance.hits(400) {
                        self.version = self.version.other();
                    }
                    self.careful ^= self.chance.hits(400);
                }
                let Some(at) = self.pods.iter().flatten().min().copied() else { return };
                let has_file = self.chance.hits(500);
                let process = self.ends_process(at, true, has_file);
                let process = process.filter(|_| has_file).map(Box::new);
                let time = self.chance.millis(500, 5_000);
                self.begins(time, End::Starts(Before(process)));
                if left > 1 {
                    let next = self.chance.seconds(5, 30);
                    self.after(next, Event::Fault(Fault::Rolls { left: left - 1 }));
                }
            }
            Fault::Scales => {
                let wanted = 3 + self.chance.index(8);
                let now: Vec<_> = self.pods.iter().flatten().copied().collect();
                for &at in now.iter().skip(wanted) {
                    let says_so = self.chance.hits(900);
                    self.ends_process(at, says_so, false);
                }
                for _ in now.len()..wanted {
                    let time = self.chance.seconds(1, 20);
                    self.begins(time, End::Starts(Before(None)));
                }
                self.is_troubled();
            }
            Fault::Empties { .. } | Fault::Restarts { .. } | Fault::Clock => {
                self.store_goes_wrong(fault);
            }
            Fault::Thaws => {
                let Some(at) = self.one_of_those_on() else { return };
                self.thaws(at);
            }
        }
    }

    fn store_goes_wrong(&mut self, fault: Fault) {
        let server = self.chance.index(self.down.len());
        match fault {
            Fault::Empties { tries } => {
                let may = self.may_forget(server, tries, Fault::Empties { tries: tries + 1 });
                if !may {
                    return;
                }
                self.forgets(server, Keeps::Nothing);
                self.is_troubled();
            }
            Fault::Restarts { tries } => {
                if !self.may_forget(server, tries, Fault::Restarts { tries: tries + 1 }) {
                    return;
                }
                if self.chance.hits(330) {
                    self.copies_server(server);
                    self.begins(Duration::from_secs(1), End::Copy(server));
                } else {
                    let keeps = if self.chance.hits(500) { Keeps::All } else { Keeps::Nothing };
                    self.goes_down(server, keeps);
                }
            }
            Fault::Clock => {
                let step = self.chance.below(60_000);
                if self.chance.hits(500) {
                    self.ahead[server] = self.ahead[server].saturating_sub(step);
                } else {
                    self.ahead[server] += step;
                    self.is_kept_shorter(server);
                }
                self.is_troubled();
            }
            _ => {}
        }
    }

    /// A server's clock is ahead: what it keeps for those that it does not hear is free earlier.
    fn is_kept_shorter(&mut self, server: usize) {
        self.gone.retain(|(_, since)| *since + COUNTS > self.now);
        let is_unheard = |at: &usize| !self.is_on(*at) || self.cut[*at] & (1 << server) != 0;
        let pods = self.pods.iter().flatten().copied().filter(is_unheard);
        let unheard: Vec<_> = pods.chain(self.gone.iter().map(|(at, _)| *at)).collect();
        for at in unheard {
            for shard in self.shards_of(server) {
                self.judge.is_lost(self.now + LEASE, at, shard);
            }
        }
    }

    pub(super) fn goes_well(&mut self, end: End) {
        self.troubles -= 1;
        self.is_troubled();
        match end {
            End::Net => self.net = Net::GOOD,
            End::Cut(processes, servers) => {
                for at in processes {
                    self.cut[at] &= !servers;
                }
            }
            End::Goes(at) => self.goes_on(at),
            End::Starts(before) => self.starts(before.0.map(|before| *before)),
            End::Copy(server) => self.goes_down(server, Keeps::Copy),
            End::Server(server, keeps) => {
                self.down[server] = false;
                self.forgets(server, keeps);
            }
        }
    }

    fn begins(&mut self, time: Duration, end: End) {
        self.troubles += 1;
        self.is_troubled();
        self.after(time, Event::End(end));
    }

    fn one_of_those_on(&mut self) -> Option<usize> {
        let pods: Vec<_> = self.pods.iter().flatten().copied().collect();
        let on: Vec<_> = pods.into_iter().filter(|at| self.is_on(*at)).collect();
        if on.len() < 3 {
            return None;
        }
        let nth = self.chance.index(on.len());
        Some(on[nth])
    }

    /// One, half or all of the replicas do not reach a server, or any.
    fn cuts(&mut self) {
        let pods: Vec<_> = self.pods.iter().flatten().copied().collect();
        let chance = &mut self.chance;
        let count = match chance.below(3) {
            0 => 1,
            1 => pods.len() / 2,
            _ => pods.len(),
        };
        let from = chance.index(pods.len());
        let which: Vec<_> = pods.iter().cycle().skip(from).take(count).copied().collect();
        let servers = if chance.hits(700) { u8::MAX } else { 1 << chance.index(self.down.len()) };
        let time = match chance.below(3) {
            0 => chance.millis(100, 3_000),
            1 => chance.seconds(1, 40),
            _ => chance.seconds(30, 600),
        };
        // Of two that overlap the first one to end ends both.
        for at in &which {
            self.cut[*at] |= servers;
        }
        self.begins(time, End::Cut(which, servers));
    }

    /// Whether a server may lose its memory now: whoever it does not hear of from anybody it cannot wait for.
    fn may_forget(&mut self, server: usize, tries: u32, again: Fault) -> bool {
        let may = !self.down[server] && self.all_are_known(server);
        if !may && tries < LONG {
            self.counts.faults -= 1;
            self.after(Duration::from_secs(1), Event::Fault(again));
        }
        may
    }

    fn shards_of(&self, server: usize) -> std::ops::Range<u8> {
        let server = u8::try_from(server).unwrap();
        if self.down.len() == 1 { 0..SHARDS } else { server..server + 1 }
    }

    fn copies_server(&mut self, server: usize) {
        for shard in self.shards_of(server) {
            for version in Version::BOTH {
                let at = version.store(shard);
                let closed = self.closed[version as usize].clone();
                self.copies[at] = Some((self.stores[at].clone(), closed));
            }
        }
    }

    fn goes_down(&mut self, server: usize, keeps: Keeps) {
        if self.down[server] {
            return;
        }
        self.down[server] = true;
        let time = match self.chance.below(3) {
            0 => self.chance.millis(50, 900),
            1 => self.chance.seconds(1, 20),
            _ => self.chance.seconds(20, 300),
        };
        self.begins(time, End::Server(server, keeps));
    }

    fn forgets(&mut self, server: usize, keeps: Keeps) {
        for shard in self.shards_of(server) {
            for version in Version::BOTH {
                let store = &mut self.stores[version.store(shard)];
                let closed = &mut self.closed[version as usize];
                let copy = self.copies[version.store(shard)].take();
                match (keeps, copy) {
                    (Keeps::All, _) => {}
                    (Keeps::Copy, Some((old, old_closed))) => {
                        *store = old;
                        if shard == 0 {
                            *closed = old_closed;
                        }
                    }
                    _ => {
                        store.flush();
                        if shard == 0 {
                            closed.flush();
                        }
                    }
                }
                store.restart();
                if shard == 0 {
                    closed.restart();
                }
            }
            for at in 0..self.processes.len() {
                let owes = self.processes[at].as_ref().is_some_and(|it| it.owes(shard.into()));
                if owes {
                    self.judge.is_lost(self.now, at, shard);
                }
            }
        }
    }
}

// === impl Fault ===

impl Fault {
    fn drawn(chance: &mut Chance) -> Self {
        match chance.below(16) {
            0 | 1 => Self::Net,
            2..5 => Self::Cut,
            5..7 => Self::Stops,
            7 | 8 => Self::Dies,
            9 => Self::Rolls { left: ALL },
            10 => Self::Scales,
            11 | 12 => Self::Empties { tries: 0 },
            13 => Self::Restarts { tries: 0 },
            14 => Self::Clock,
            _ => Self::Thaws,
        }
    }
}
