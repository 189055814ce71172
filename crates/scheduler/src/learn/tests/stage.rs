//! A client that floods a server, in virtual time, and what is counted meanwhile.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use super::{
    Pace,
    server::{Limiter, Shape},
};
use crate::Instant;

/// Who sends calls.
pub(crate) trait Client {
    /// The calls that go now.
    fn go(&mut self, now: Instant) -> Vec<u64>;
    /// When it is to be asked again, if nothing else happens.
    fn wake(&mut self, now: Instant) -> Option<Instant>;
    /// A call is answered: accepted, or refused with a pause.
    fn answered(&mut self, now: Instant, call: u64, refused: Option<Duration>);
    /// The pace at which it goes.
    fn pace(&mut self, now: Instant) -> Pace;
    /// How many refusals it was surprised by.
    fn surprises(&self) -> u32;
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    /// The documented quota.
    pub(crate) quota: u32,
    /// The true limit, in percent of the documented one.
    pub(crate) percent: u32,
    pub(crate) shape: Shape,
    /// How long a call, and an answer, is on the way: from, to, in milliseconds.
    pub(crate) delay: (u64, u64),
    pub(crate) mood: Mood,
    /// Who else spends the limit, in percent of it, and until which window.
    pub(crate) others: Option<Others>,
    pub(crate) windows: usize,
    pub(crate) seed: u64,
}

/// What else a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Nothing.
    Honest,
    /// It refuses everything in these windows.
    Shut(usize, usize),
    /// It refuses so many of a hundred calls until that window, whatever the limit.
    Random(u64, usize),
    /// Every other window until that one its limit is half.
    Flaps(usize),
    /// It never says how long the pause is to be: thirty seconds are assumed.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Others {
    pub(crate) percent: u32,
    pub(crate) until: usize,
    /// Whether their calls come at random times.
    pub(crate) random: bool,
}

/// What was counted in each window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) accepted: u32,
    pub(crate) refused: u32,
    pub(crate) surprises: u32,
    /// The pace at its end, in calls per thousand documented periods.
    pub(crate) pace: u64,
    /// The fastest one.
    pub(crate) most: u64,
}

/// The documented period.
pub(crate) const PERIOD: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(u64),
    Answered(u64, Option<Duration>),
    Wakes,
    OthersCall,
}

/// Numbers that are random enough, and the same each time.
#[derive(Debug)]
struct Random(u64);

// === impl Play ===

impl Play {
    pub(crate) fn new(quota: u32, percent: u32, shape: Shape) -> Self {
        let (mood, others) = (Mood::Honest, None);
        Self { quota, percent, shape, delay: (50, 50), mood, others, windows: 250, seed: 1 }
    }

    /// The true limit.
    pub(crate) fn limit(&self) -> (u32, Duration) {
        match self.quota * self.percent / 100 {
            0 => (1, PERIOD * 100 / (self.quota * self.percent)),
            limit => (limit, PERIOD * limit * 100 / (self.quota * self.percent)),
        }
    }

    /// The smaller one of the true limit and the documented one, in calls per window.
    pub(crate) fn possible(&self) -> f64 {
        let (limit, per) = self.limit();
        (f64::from(limit) * PERIOD.as_secs_f64() / per.as_secs_f64()).min(f64::from(self.quota))
    }

    /// Plays it, and counts by window.
    pub(crate) fn run(&self, client: &mut impl Client) -> Vec<Count> {
        let (limit, per) = self.limit();
        let mut server = Limiter::new(self.shape, limit, per);
        let mut half = Limiter::new(self.shape, limit.div_ceil(2), per);
        let mut random = Random(self.seed);
        let mut counts = vec![Count::default(); self.windows];
        let mut events = BinaryHeap::new();
        let mut number = 0;
        let mut woken = Instant::FAR;
        // Others have what they spend before the first call goes.
        let begins = if self.others.is_some() { PERIOD } else { Duration::ZERO };
        events.push(Reverse((Instant::ZERO + begins, 0, Event::Wakes)));
        if self.others.is_some() {
            events.push(Reverse((Instant::ZERO, 0, Event::OthersCall)));
        }
        while let Some(Reverse((now, _, event))) = events.pop() {
            let window = usize::try_from(now.as_nanos() / 60_000_000_000).unwrap();
            let Some(count) = counts.get_mut(window) else { break };
            let mut plan = |at: Instant, event| {
                number += 1;
                events.push(Reverse((at, number, event)));
            };
            match event {
                Event::Arrives(call) => {
                    let mut wait = server.wait(now);
                    if matches!(self.mood, Mood::Flaps(until) if window < until) && window % 2 == 1
                    {
                        wait = wait.max(half.wait(now));
                    }
                    wait = wait.max(self.whim(window, &mut random));
                    if wait.is_zero() {
                        server.take(now);
                        half.take(now);
                        count.accepted += 1;
                    } else {
                        count.refused += 1;
                    }
                    let pause = match self.mood {
                        Mood::Silent => 30,
                        _ => wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
                    };
                    let refused = (!wait.is_zero()).then(|| Duration::from_secs(pause));
                    plan(now + self.delay(&mut random), Event::Answered(call, refused));
                }
                Event::Answered(call, refused) => {
                    let before = client.surprises();
                    client.answered(now, call, refused);
                    count.surprises += client.surprises() - before;
                }
                // One that was planned for later, before, plans nothing.
                Event::Wakes if now < woken => {}
                Event::Wakes => woken = Instant::FAR,
                Event::OthersCall => {
                    if let Some(others) = self.others.filter(|others| window < others.until) {
                        if server.wait(now).is_zero() {
                            server.take(now);
                        }
                        let gap = per * 100 / (limit * others.percent);
                        let gap = if others.random { gap.mul_f64(random.wait()) } else { gap };
                        plan(now + gap, Event::OthersCall);
                    }
                }
            }
            if now < Instant::ZERO + begins {
                continue;
            }
            for call in client.go(now) {
                plan(now + self.delay(&mut random), Event::Arrives(call));
            }
            let pace = client.pace(now);
            count.pace = u64::from(pace.quota) * 60_000_000
                / u64::try_from(pace.period.as_millis()).unwrap();
            count.most = count.most.max(count.pace);
            if let Some(at) = client.wake(now).filter(|at| *at < woken) {
                woken = at;
                plan(at, Event::Wakes);
            }
        }
        counts
    }

    /// How long the server's mood keeps a call away.
    fn whim(&self, window: usize, random: &mut Random) -> Duration {
        let refuses = match self.mood {
            Mood::Shut(from, until) => (from..until).contains(&window),
            Mood::Random(percent, until) => random.below(100) < percent && window < until,
            _ => false,
        };
        if refuses { Duration::from_millis(1 + random.below(60_000)) } else { Duration::ZERO }
    }

    fn delay(&self, random: &mut Random) -> Duration {
        let (from, to) = self.delay;
        Duration::from_micros(from * 1000 + random.below((to - from) * 1000 + 1))
    }
}

// === impl Random ===

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 16) % end
    }

    /// The time until something happens that happens once in a time of one on average.
    fn wait(&mut self) -> f64 {
        let part = u32::try_from(1 + self.below(1_000_000)).unwrap();
        -(f64::from(part) / 1_000_001.0).ln()
    }
}
