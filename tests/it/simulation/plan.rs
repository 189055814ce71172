//! What a seed makes of a run: a Slack, a network, a disk, clients with their calls, and what befalls them.

use std::time::Duration;

use config::QueueBounds;
use fake_slack::{Fault, FaultRule, Latency, Options, Penalty, Shape};

use super::site::How;
use crate::{
    harness::{ms, secs},
    mix::SplitMix,
};

/// A run. Times are since its start.
pub(super) struct Plan {
    pub(super) slack: Options,
    pub(super) config: String,
    pub(super) callers: Vec<Caller>,
    /// In the order in which they come.
    pub(super) calls: Vec<Planned>,
    pub(super) events: Vec<(Duration, Event)>,
    /// When nobody can connect to Slack.
    pub(super) outages: Vec<(Duration, Duration)>,
    /// Of a hundred connections to Slack, so many break after a while.
    pub(super) breaks: u64,
    /// How long the disk takes for a write, if state is kept, and when it has no room.
    pub(super) disk: Option<(Duration, Vec<(Duration, Duration)>)>,
    /// When the proxy ends, how, and for how long it is away.
    pub(super) ends: Vec<(Duration, How, Duration)>,
    /// What calls may hold.
    pub(super) bounds: Bounds,
}

/// What calls may hold at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) calls: usize,
}

/// A program that calls.
pub(super) struct Caller {
    pub(super) lane: String,
    /// The longest that a call of it is held.
    pub(super) patience: Duration,
    pub(super) token: String,
    pub(super) h2: bool,
}

/// A call that will be made.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) at: Duration,
    pub(super) caller: usize,
    pub(super) method: &'static str,
    /// A post names its channel.
    pub(super) channel: Option<u64>,
    /// When its client hangs up, unless it has its answer.
    pub(super) hangs_up: Option<Duration>,
    /// So many bytes come with it that nobody needs.
    pub(super) padding: usize,
}

/// What befalls the proxy.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Its configuration is another one.
    Reload(String),
    /// Its configuration has a mistake.
    Mistake,
    /// An operator pauses something for so long.
    Pause(&'static str, String, Duration),
    /// It ends, and is away for so long.
    Ends(How, Duration),
}

/// For so long calls come.
const LENGTH: u64 = 120_000;

/// Methods that read, and some that write.
const METHODS: [&str; 7] = [
    "conversations.list",
    "users.info",
    "conversations.close",
    "auth.test",
    "chat.postMessage",
    "chat.postMessage",
    "reactions.add",
];

/// Those of a run in which all want the same.
const FEW_METHODS: [&str; 4] =
    ["conversations.list", "conversations.list", "conversations.list", "chat.postMessage"];

// === impl Plan ===

impl Plan {
    pub(super) fn of(seed: u64, base: Options) -> Self {
        let mut chance = Chance(SplitMix(seed));
        let mut slack = chance.slack(seed, base);
        // Of one workspace, for little else than one list: its window is full all the time.
        let crowded = chance.one_of(2);
        let workspaces = if crowded { 1 } else { 3 };
        let callers =
            (0..chance.from(1, 8)).map(|n| chance.caller(n, workspaces)).collect::<Vec<_>>();
        let busy = chance.from(20, 400);
        let mut calls: Vec<_> = (0..busy).map(|_| chance.call(callers.len(), crowded)).collect();
        calls.sort_by_key(|call| call.at);
        let (queue, bounds) = chance.queue();
        let config = chance.config(queue);
        let events = (0..chance.below(4)).map(|_| (chance.time(), chance.event(queue))).collect();
        let outages = (0..chance.below(3)).map(|_| (chance.time(), ms(chance.from(50, 15_000))));
        let (outages, breaks) = (outages.collect(), chance.pick(&[0, 0, 5, 30]));
        let (disk, ends) = chance.disk();
        if !ends.is_empty() {
            // What is on its way when a process ends is taken to be counted within a second of the next start.
            slack.latency = Latency::between(ms(0), ms(chance.pick(&[0, 20, 400]))).unwrap();
        }
        Self { slack, config, callers, calls, events, outages, breaks, disk, ends, bounds }
    }
}

/// Draws.
struct Chance(SplitMix);

// === impl Chance ===

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next() % bound
    }

    fn from(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    fn one_of(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let nth = self.below(all.len() as u64);
        all[usize::try_from(nth).unwrap()]
    }

    fn time(&mut self) -> Duration {
        ms(self.below(LENGTH))
    }

    fn slack(&mut self, seed: u64, base: Options) -> Options {
        let most = self.pick(&[0, 20, 400, 3_000]);
        let faults = (0..self.below(4)).map(|_| FaultRule {
            method: None,
            fault: self.pick(&Fault::ALL),
            part: self.pick(&[0.005, 0.02, 0.1]),
        });
        Options {
            faults: faults.collect(),
            shape: self.pick(&[Shape::Sliding, Shape::Fixed, Shape::FixedClock, Shape::Bucket]),
            penalty: self.pick(&[Penalty::None, Penalty::Method, Penalty::Workspace, Penalty::App]),
            latency: Latency::between(ms(most / 10), ms(most)).unwrap(),
            seed,
            ..base
        }
    }

    /// What changes only with a restart.
    fn queue(&mut self) -> (&'static str, Bounds) {
        let QueueBounds { max_bytes, spare, .. } = QueueBounds::default();
        let all = QueueBounds::default().at_once();
        self.pick(&[
            ("{}", Bounds { bytes: max_bytes, calls: all }),
            ("{ max_depth: 30 }", Bounds { bytes: max_bytes, calls: all }),
            ("{ max_total: 60, max_bytes: 64KiB }", Bounds { bytes: 64 << 10, calls: 60 + spare }),
        ])
    }

    /// The disk, if state is kept, and when the proxy ends, how, and for how long.
    #[expect(clippy::type_complexity, reason = "it is what a plan has")]
    fn disk(
        &mut self,
    ) -> (Option<(Duration, Vec<(Duration, Duration)>)>, Vec<(Duration, How, Duration)>) {
        if !self.one_of(2) {
            return (None, Vec::new());
        }
        // Calls wait a second for it at most.
        let latency = ms(self.pick(&[5, 40, 400]));
        let full =
            if self.one_of(4) { vec![(self.time(), ms(self.from(1_000, 20_000)))] } else { vec![] };
        let all = [How::Killed, How::Killed, How::PowerLost, How::Told, How::ToldAndRebooted];
        let mut ends: Vec<_> = (0..self.below(4))
            .map(|_| (self.end(), self.pick(&all), ms(self.from(100, 20_000))))
            .collect();
        ends.sort_by_key(|(at, ..)| *at);
        (Some((latency, full)), ends)
    }

    fn config(&mut self, queue: &str) -> String {
        let more = self.pick(&[
            "",
            "tiers: { tier2: { limit: 10, per: 1m } }",
            "callers: [{ name: c0, class: interactive }, { name: c1, max_class: background }]",
        ]);
        // One token for each workspace, so each stands for its own.
        format!("identity: {{ app: A1, resolve: false }}\nqueue: {queue}\n{more}\n")
    }

    /// At any time, or when much has just been sent and little of it been answered.
    fn end(&mut self) -> Duration {
        if self.one_of(4) {
            return self.time();
        }
        ms(10_000 * self.below(LENGTH / 10_000) + self.below(150))
    }

    fn caller(&mut self, n: u64, workspaces: u64) -> Caller {
        let patience = secs(self.pick(&[1, 10, 60, 300]));
        let class = self.pick(&["", ";class=background", ";class=interactive"]);
        Caller {
            lane: format!("c{n};max-wait={}s{class}", patience.as_secs()),
            patience,
            token: format!("xoxb-T{}-A1-secret", self.from(1, workspaces)),
            h2: self.one_of(4),
        }
    }

    fn call(&mut self, callers: usize, crowded: bool) -> Planned {
        let method = if crowded { self.pick(&FEW_METHODS) } else { self.pick(&METHODS) };
        let in_burst = self.one_of(2);
        Planned {
            // Half of them come in bursts.
            at: if in_burst { ms(10_000 * self.below(LENGTH / 10_000)) } else { self.time() },
            caller: usize::try_from(self.below(callers as u64)).unwrap(),
            method,
            channel: method.starts_with("chat.").then(|| self.below(2)),
            hangs_up: self.one_of(10).then(|| ms(self.below(30_000))),
            padding: self.pick(&[0, 0, 0, 1_000, 4_000]),
        }
    }

    fn event(&mut self, queue: &str) -> Event {
        match self.below(3) {
            0 => Event::Reload(self.config(queue)),
            1 => Event::Mistake,
            _ => {
                let (kind, name) = match self.below(2) {
                    0 => ("method", self.pick(&METHODS).to_owned()),
                    _ => ("caller", format!("c{}", self.below(4))),
                };
                Event::Pause(kind, name, ms(self.from(100, 20_000)))
            }
        }
    }
}
