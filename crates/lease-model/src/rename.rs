//! A bucket that gets another name, at different moments in each replica: when it turns out whose the calls of a token
//! are. Slack counts the calls under both names together.
//!
//! Messages are not modelled: what a replica says is heard and answered at once. What comes of lost and late ones is
//! that of a bucket with one name.
//!
//! Each replica has the bucket under the old name before it learns the other one: one that learns it before has
//! nothing to rename, and uses the new name like one that always knew it. Replicas learn the other name within a period and a flight of each other, and who holds nothing under the old
//! name while another one knows the new one learns it before its next call goes. Without either of that the quota
//! may be used under each name.

use stateright::{Model, Property};

/// What is tried.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// Slots in all.
    pub quota: u8,
    /// Replicas.
    pub replicas: usize,
    /// How long a slot ages after the response.
    pub period: u8,
    /// How long a call can be in flight.
    pub flight: u8,
    /// How many calls may be sent in all.
    pub sends: u8,
    /// The rule that is broken, if any.
    pub broken: Option<Broken>,
}

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Under the new name all of the quota is used at once.
    MostIgnored,
    /// What is held under the old name is given back at once.
    GivenBackAtOnce,
    /// What is in use is not told under the new name.
    UseUntold,
    /// It ends when a slot may have aged, whatever was in flight.
    EndsAfterAPeriod,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    replicas: Vec<Replica>,
    /// By whom each call that counts was sent, and how it counts.
    calls: Vec<(usize, Counts)>,
    /// How long ago the first replica learnt the new name.
    first: Option<u8>,
    sends: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Replica {
    /// Whether it goes by the new name.
    knows: bool,
    /// What it holds under the old name, and under the new one.
    held: [u8; 2],
    /// How many of those under its name were granted lately, and may be used.
    fresh: u8,
    /// How many slots it may use at most, and for how long.
    most: Option<(u8, u8)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Counts {
    Flight(u8),
    Aging(u8),
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are told where they happen")]
pub enum Happens {
    Tick,
    Ask(usize),
    Send(usize),
    Answer(usize),
    Learn(usize),
    AskOfTheOldName(usize),
}

// === impl Renamed ===

impl Renamed {
    /// The smallest.
    pub fn small() -> Self {
        Self { quota: 2, replicas: 2, period: 1, flight: 1, sends: 6, broken: None }
    }

    fn longest(&self) -> u8 {
        let flies = self.broken != Some(Broken::EndsAfterAPeriod);
        self.period + if flies { self.flight } else { 0 }
    }
}

impl Model for Renamed {
    type State = Moment;
    type Action = Happens;

    fn init_states(&self) -> Vec<Moment> {
        let replicas = vec![Replica::default(); self.replicas];
        vec![Moment { replicas, calls: Vec::new(), first: None, sends: self.sends }]
    }

    fn actions(&self, now: &Moment, out: &mut Vec<Happens>) {
        let flies = |(_, counts): &(usize, Counts)| *counts == Counts::Flight(self.flight);
        let is_late = now.first.is_some_and(|since| since + 1 >= self.period + self.flight);
        let all_know = now.replicas.iter().all(|replica| replica.knows);
        if !now.calls.iter().any(flies) && (all_know || !is_late) {
            out.push(Happens::Tick);
        }
        for (at, replica) in now.replicas.iter().enumerate() {
            // Its next call asks whose it is, and waits for the answer.
            let asks_first = now.first.is_some() && !replica.knows && replica.held[0] == 0;
            if !asks_first {
                out.push(Happens::Ask(at));
            }
            if replica.fresh > 0 && now.sends > 0 {
                out.push(Happens::Send(at));
            }
            if !replica.knows {
                out.push(Happens::Learn(at));
            }
            if replica.most.is_some() {
                out.push(Happens::AskOfTheOldName(at));
            }
        }
        let flights = now.calls.iter().enumerate();
        let flights = flights.filter(|(_, (_, counts))| matches!(counts, Counts::Flight(_)));
        out.extend(flights.map(|(call, _)| Happens::Answer(call)));
    }

    fn next_state(&self, before: &Moment, what: Happens) -> Option<Moment> {
        let mut now = before.clone();
        match what {
            Happens::Tick => now.tick(self),
            Happens::Ask(at) => now.ask(self, at),
            Happens::Send(at) => {
                now.sends -= 1;
                now.replicas[at].fresh -= 1;
                now.calls.push((at, Counts::Flight(0)));
            }
            Happens::Answer(call) => now.calls[call].1 = Counts::Aging(self.period),
            Happens::Learn(at) => {
                let used = now.used(at);
                let replica = &mut now.replicas[at];
                (replica.knows, replica.fresh) = (true, 0);
                let told = if self.broken == Some(Broken::UseUntold) { 0 } else { used };
                let most = (replica.held[0], self.longest());
                replica.most = Some(most).filter(|_| self.broken != Some(Broken::MostIgnored));
                replica.held[1] = told;
                if self.broken == Some(Broken::GivenBackAtOnce) {
                    replica.held[0] = 0;
                }
                now.first.get_or_insert(0);
            }
            Happens::AskOfTheOldName(at) => {
                let others = now.replicas.iter().filter(|replica| !replica.knows);
                if others.map(|replica| replica.held[0]).sum::<u8>() == 0 {
                    now.replicas[at].ends();
                }
            }
        }
        now.calls.sort_unstable();
        (now != *before).then_some(now)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let within = |case: &Self, now: &Moment| now.calls.len() <= usize::from(case.quota);
        vec![Property::<Self>::always(crate::case::NEVER_ABOVE, within)]
    }
}

// === impl Moment ===

impl Moment {
    fn used(&self, at: usize) -> u8 {
        let own = self.calls.iter().filter(|(by, _)| *by == at);
        u8::try_from(own.count()).unwrap_or(u8::MAX)
    }

    fn tick(&mut self, case: &Renamed) {
        for (_, counts) in &mut self.calls {
            *counts = match *counts {
                Counts::Flight(since) => Counts::Flight(since + 1),
                Counts::Aging(left) => Counts::Aging(left - 1),
            };
        }
        self.calls.retain(|(_, counts)| *counts != Counts::Aging(0));
        for replica in &mut self.replicas {
            match &mut replica.most {
                Some((_, 1)) => replica.ends(),
                Some((_, left)) => *left -= 1,
                None => {}
            }
        }
        self.first = self.first.map(|since| (since + 1).min(case.period + case.flight));
    }

    /// A replica gives back what has aged, and wants a slot under its name.
    fn ask(&mut self, case: &Renamed, at: usize) {
        let used = self.used(at);
        let name = usize::from(self.replicas[at].knows);
        let replica = &mut self.replicas[at];
        replica.held[name] = replica.held[name].min(used);
        replica.fresh = 0;
        let may = replica.most.is_none_or(|(most, _)| used < most);
        let all: u8 = self.replicas.iter().map(|replica| replica.held[name]).sum();
        if may && all < case.quota {
            self.replicas[at].held[name] += 1;
            self.replicas[at].fresh = 1;
        }
    }
}

// === impl Replica ===

impl Replica {
    /// Nobody else uses slots under the old name.
    fn ends(&mut self) {
        (self.most, self.held[0]) = (None, 0);
    }
}
