//! What is measured in a run.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use scheduler::Instant;
use serde::{Deserialize, Serialize};

use super::{
    file::Band,
    record::{End, Frozen, Judged, Made, Record, Send},
    world::World,
};

/// A number that a run has.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Measure {
    /// Calls that broke a limit that the proxy knows.
    Violations,
    /// Calls refused for what the proxy cannot know.
    Refused,
    /// Calls that the server let through, as a share of what `limit` allows in all its buckets
    /// that were met.
    Goodput,
    /// Calls sent.
    Sent,
    /// Calls sent, as a share of all that were.
    Share,
    /// Calls sent, as a share of those made.
    Served,
    /// How often a call was shed.
    Shed,
    /// Calls that their clients gave up after they were shed or refused, and those that never
    /// ended.
    Lost,
    /// How often a call was brought to the proxy.
    Attempts,
    /// No call was told to come back after longer when it was shed.
    ToldMax,
    /// Half of the calls waited no longer, from when they were first made until they were sent.
    /// Who waits at the end of the run has waited until then; who left before it was sent does
    /// not count.
    WaitP50,
    /// Of a hundred calls one waited longer.
    WaitP99,
    /// No call waited longer.
    WaitMax,
    /// When the last call ended.
    Done,
    /// The most calls sent in any time of length `within` in one bucket of `limit`; the
    /// limit's period where it does not say.
    MostWithin,
    /// The fewest calls of any ten in a row that were sent in one bucket of `limit`.
    LeastOfTen,
    /// Calls that reached the server after a later one of the same caller that counts against
    /// the same buckets. One whose answer never came may have been anywhere.
    Overtaken,
    /// How often a bucket was closed.
    Freezes,
    /// Calls sent in a closed bucket.
    SentFrozen,
    /// The most calls sent in a bucket in the time `within` after it opened again.
    AfterFreeze,
}

/// What a measure looks at.
pub(super) struct View<'r> {
    world: &'r World,
    record: &'r Record,
    band: &'r Band,
    from: Instant,
    until: Instant,
}

// === impl Measure ===

impl Measure {
    /// Whether it is about each caller alone, so that of several of a kind each is measured.
    fn is_per_caller(self) -> bool {
        use Measure as M;
        matches!(
            self,
            M::Sent | M::Share | M::Served | M::WaitP50 | M::WaitP99 | M::WaitMax | M::Done
        )
    }

    /// Its name in the file.
    pub(super) fn name(self) -> String {
        serde_yaml::to_string(&self).map_or_else(|_| format!("{self:?}"), |name| name.trim().into())
    }

    /// The number as people read it.
    pub(super) fn show(self, value: f64) -> String {
        use Measure as M;
        match self {
            M::Goodput | M::Share | M::Served => format!("{:.2} %", value * 100.0),
            M::ToldMax | M::WaitP50 | M::WaitP99 | M::WaitMax | M::Done => {
                format!("{value:.3} s")
            }
            _ => format!("{value}"),
        }
    }
}

// === impl View ===

impl<'r> View<'r> {
    pub(super) fn new(world: &'r World, record: &'r Record, band: &'r Band) -> Self {
        let at = |span: Duration| Instant::ZERO + span;
        let from = at(band.from.map_or(Duration::ZERO, |span| span.0));
        let until = at(band.until.unwrap_or(world.scenario.runs_for).0);
        Self { world, record, band, from, until }
    }

    /// The values that must lie in the band: one, or one for each caller of a kind.
    pub(super) fn values(&self) -> Vec<f64> {
        let of = |name: &str| {
            let members = self.world.members.iter().enumerate();
            members.filter(|(_, member)| member.kind == name).map(|(id, _)| id).collect()
        };
        let members: Vec<usize> = match &self.band.of {
            Some(name) => of(name),
            None => (0..self.world.members.len()).collect(),
        };
        if self.band.of.is_some() && self.band.measure.is_per_caller() {
            members.into_iter().map(|member| self.value(&[member])).collect()
        } else {
            vec![self.value(&members)]
        }
    }

    fn value(&self, members: &[usize]) -> f64 {
        let judged = |what| count(self.landed(members).filter(|send| send.judged == what).count());
        match self.band.measure {
            Measure::Violations => judged(Judged::Violation),
            Measure::Refused => judged(Judged::Refused),
            Measure::Goodput => self.goodput(members),
            Measure::Sent => count(self.sent(members).count()),
            Measure::Share => {
                let all: Vec<_> = (0..self.world.members.len()).collect();
                count(self.sent(members).count()) / count(self.sent(&all).count())
            }
            Measure::Served => {
                let sent = self.made(members).filter(|made| made.sent.is_some()).count();
                count(sent) / count(self.made(members).count())
            }
            Measure::Shed => self.made(members).map(|made| f64::from(made.sheds)).sum(),
            Measure::Lost => {
                let lost = |made: &&Made| made.end.is_none_or(|(_, end)| end == End::GivenUp);
                count(self.made(members).filter(lost).count())
            }
            Measure::Attempts => self.made(members).map(|made| f64::from(made.attempts)).sum(),
            Measure::ToldMax => {
                self.made(members).map(|made| made.told.as_secs_f64()).fold(0.0, f64::max)
            }
            Measure::WaitP50 => self.wait(members, 50),
            Measure::WaitP99 => self.wait(members, 99),
            Measure::WaitMax => self.wait(members, 100),
            Measure::Done => self.done(members),
            Measure::MostWithin => self.most_within(members),
            Measure::LeastOfTen => self.least_of_ten(members),
            Measure::Overtaken => count(self.overtaken(members)),
            Measure::Freezes => count(self.record.freezes.len()),
            Measure::SentFrozen => {
                count(self.around_freezes(|at, freeze| freeze.at < at && at < freeze.until))
            }
            Measure::AfterFreeze => {
                let within = self.band.within.map_or(Duration::ZERO, |span| span.0);
                count(
                    self.around_freezes(|at, freeze| {
                        freeze.until <= at && at < freeze.until + within
                    }),
                )
            }
        }
    }

    fn covers(&self, at: Instant) -> bool {
        self.from <= at && at < self.until
    }

    fn counts(&self, bucket: usize) -> bool {
        let name = &self.record.buckets[bucket].limit.name;
        self.band.limit.as_ref().is_none_or(|limit| **limit == **name)
    }

    /// What these callers sent.
    fn sent(&self, members: &[usize]) -> impl Iterator<Item = &'r Send> {
        self.sends(members).filter(|send| self.covers(send.at))
    }

    /// What of these callers the server counted or refused.
    fn landed(&self, members: &[usize]) -> impl Iterator<Item = &'r Send> {
        self.sends(members).filter(|send| send.landed.is_some_and(|at| self.covers(at)))
    }

    fn sends(&self, members: &[usize]) -> impl Iterator<Item = &'r Send> {
        self.record.sends.iter().filter(|send| {
            members.contains(&send.member) && send.buckets.iter().any(|id| self.counts(*id))
        })
    }

    fn made(&self, members: &[usize]) -> impl Iterator<Item = &'r Made> {
        let made = self.record.calls.iter();
        made.filter(|made| members.contains(&made.member) && self.covers(made.at))
    }

    fn goodput(&self, members: &[usize]) -> f64 {
        let rate = self.band.limit.as_ref().and_then(|limit| self.world.rate(limit));
        let Some(rate) = rate else { return f64::NAN };
        let accepted = self.landed(members).filter(|send| send.judged == Judged::Accepted).count();
        let buckets = (0..self.record.buckets.len()).filter(|id| self.counts(*id)).count();
        let periods = self.until.since(self.from).as_secs_f64() / rate.per.as_secs_f64();
        count(accepted) / (f64::from(rate.limit.get()) * periods * count(buckets))
    }

    /// So many percent of the calls waited no longer.
    fn wait(&self, members: &[usize], percent: usize) -> f64 {
        let over = Instant::ZERO + self.world.scenario.runs_for.0;
        let wait = |made: &Made| match (made.sent, made.end) {
            (Some(sent), _) => Some(sent.since(made.at)),
            (None, Some(_)) => None,
            (None, None) => Some(over.since(made.at)),
        };
        let mut waits: Vec<_> = self.made(members).filter_map(wait).collect();
        waits.sort_unstable();
        let nth = (waits.len() * percent).div_ceil(100).saturating_sub(1);
        waits.get(nth).map_or(f64::NAN, Duration::as_secs_f64)
    }

    fn done(&self, members: &[usize]) -> f64 {
        let end = |made: &Made| made.end.map(|(at, _)| at.since(Instant::ZERO).as_secs_f64());
        self.made(members).map(|made| end(made).unwrap_or(f64::INFINITY)).fold(0.0, f64::max)
    }

    fn most_within(&self, members: &[usize]) -> f64 {
        let rate = self.band.limit.as_ref().and_then(|limit| self.world.rate(limit));
        let within = self.band.within.map(|span| span.0).or(rate.map(|rate| rate.per));
        let Some(within) = within else { return f64::NAN };
        let mut recent: HashMap<usize, VecDeque<Instant>> = HashMap::new();
        let mut most = 0;
        for send in self.sent(members) {
            for id in send.buckets.iter().filter(|id| self.counts(**id)) {
                let recent = recent.entry(*id).or_default();
                while recent.front().is_some_and(|first| *first + within <= send.at) {
                    recent.pop_front();
                }
                recent.push_back(send.at);
                most = most.max(recent.len());
            }
        }
        count(most)
    }

    fn least_of_ten(&self, members: &[usize]) -> f64 {
        let mut buckets: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
        for send in self.record.sends.iter().filter(|send| self.covers(send.at)) {
            for id in send.buckets.iter().filter(|id| self.counts(**id)) {
                buckets.entry(*id).or_default().push(members.contains(&send.member));
            }
        }
        let tens = buckets.values().flat_map(|sends| sends.windows(10));
        let least = tens.map(|ten| ten.iter().filter(|one| **one).count()).min();
        least.map_or(f64::NAN, count)
    }

    fn overtaken(&self, members: &[usize]) -> usize {
        let mut landed: Vec<_> = self.landed(members).collect();
        landed.retain(|send| send.judged == Judged::Accepted && !send.lost);
        landed.sort_by_key(|send| send.landed);
        let mut latest: HashMap<(usize, &[usize]), usize> = HashMap::new();
        let mut overtaken = 0;
        for send in landed {
            let latest = latest.entry((send.member, &*send.buckets)).or_default();
            overtaken += usize::from(send.call < *latest);
            *latest = send.call.max(*latest);
        }
        overtaken
    }

    /// The most calls sent in one bucket whose instant has this relation to one of its freezes.
    fn around_freezes(&self, is: impl Fn(Instant, &Frozen) -> bool) -> usize {
        let freezes = self.record.freezes.iter();
        let sends = |freeze| {
            let sends = self.record.sends.iter();
            sends.filter(move |send| in_bucket(send, freeze)).filter(|send| is(send.at, freeze))
        };
        freezes.map(|freeze| sends(freeze).count()).max().unwrap_or(0)
    }
}

fn in_bucket(send: &Send, freeze: &Frozen) -> bool {
    send.buckets.contains(&freeze.bucket)
}

fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}
