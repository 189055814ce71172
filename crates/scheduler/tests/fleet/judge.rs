//! What is judged: it knows each call that was sent by any process, and nothing of how they share.
//!
//! Each rule costs a call a constant time, spread over all calls.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use limits::{AgeFrom, BucketKey};
use scheduler::Instant;

use super::{
    catalogue::{Catalogue, quota_of},
    process::FLIGHT,
};

/// The calls that count, by bucket, and what has been closed.
#[derive(Debug)]
pub(super) struct Judge {
    windows: Vec<Option<Window>>,
    orders: HashMap<(usize, u32), Order>,
    closed: HashMap<u32, Closed>,
    apart: Vec<Apart>,
    replicas: u32,
    pub(super) sent: u64,
    /// How often a limit was exceeded within what is allowed, and by how many calls at most.
    pub(super) exceeded: (u64, u32),
    pub(super) probes: u64,
    pub(super) shares: HashMap<String, Share>,
}

/// The calls that count against a limit.
#[derive(Debug)]
struct Window {
    quota: u32,
    period: Duration,
    from_send: bool,
    tolerates: bool,
    /// Without an answer.
    open: u32,
    /// From when the others age.
    aged: VecDeque<Instant>,
    shard: u8,
    /// Since when calls have waited for it without a break, the part of it that they may have, and how many
    /// were sent.
    busy: Option<(Instant, f64)>,
    sent: u32,
}

/// The calls of an order at one process.
#[derive(Debug, Default)]
struct Order {
    waits: BTreeSet<u64>,
    /// Those of them whose turn was given up while they were in flight.
    late: BTreeSet<u64>,
    flying: Vec<(u64, Instant)>,
}

/// A bucket that Slack has closed, as the first who was refused knows it.
#[derive(Debug)]
struct Closed {
    since: Instant,
    until: Instant,
    by: usize,
    probes: Vec<(u64, Instant)>,
    /// When the last of them that did not pass has ended.
    tried: Instant,
}

/// A process that does not reach a part of the store, or did not lately: what it uses may come on top.
#[derive(Debug)]
struct Apart {
    process: usize,
    shard: u8,
    how: How,
    until: Option<Instant>,
}

/// How a process stands to a part of the store, so that what it uses may come on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It does not reach it: its part of a limit may.
    Apart,
    /// It is granted nothing: only limits that tolerate bursts go on.
    Cold,
    /// What it has used is known to nobody.
    Lost,
}

/// How much of a limit was used while calls waited for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) used: f64,
    pub(super) could: f64,
    period: Duration,
}

/// How long it takes until all have heard of something.
const HEARD: Duration = Duration::from_millis(500);
/// The resolution of the store's clock, and the way to it.
const MOMENT: Duration = Duration::from_millis(5);
/// How long the calls of an order wait for one without an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a call may count at most: a flight and a period.
const LONGEST: Duration = Duration::from_secs(151);
/// From the moment at which a slot has aged to the response of the call that has it, for nearly all calls.
const LATENCY: Duration = Duration::from_millis(600);
/// The share of a limit that is used at least while calls wait for it, where so many could have gone.
const USED: f64 = 0.9;
const ENOUGH: f64 = 100.0;
const LONG: Duration = Duration::from_secs(10);
/// How long a turn to probe may be kept.
const TURN: Duration = Duration::from_secs(61);
/// For how long it matters at least that a bucket was closed, after nobody tries it any more.
const MATTERS: Duration = Duration::from_secs(10);

// === impl Judge ===

impl Judge {
    pub(super) fn of(all: &Catalogue, replicas: u32) -> Self {
        Self {
            windows: all.keys.iter().map(Window::of).collect(),
            orders: HashMap::new(),
            closed: HashMap::new(),
            apart: Vec::new(),
            replicas,
            sent: 0,
            exceeded: (0, 0),
            probes: 0,
            shares: HashMap::new(),
        }
    }

    /// A call goes, for so many times. Returns what is wrong with that.
    pub(super) fn goes(
        &mut self,
        now: Instant,
        (call, attempt): (u64, u32),
        by: usize,
        buckets: &[u32],
        quiet: Option<Instant>,
    ) -> Result<(), String> {
        self.sent += 1;
        for &bucket in buckets {
            self.is_within_its_limit(now, bucket)?;
            self.is_in_order(now, (call, attempt > 1), by, bucket)?;
            self.is_open(now, call, by, bucket, quiet)?;
        }
        Ok(())
    }

    fn is_within_its_limit(&mut self, now: Instant, bucket: u32) -> Result<(), String> {
        let Some(window) = &mut self.windows[bucket as usize] else { return Ok(()) };
        window.sent += 1;
        if window.from_send {
            window.aged.push_back(now);
        } else {
            window.open += 1;
        }
        let count = window.count(now);
        let (quota, tolerates, shard) = (window.quota, window.tolerates, window.shard);
        let counts = window.period + if window.from_send { MOMENT } else { FLIGHT + MOMENT };
        let over = count.saturating_sub(quota);
        if over == 0 {
            return Ok(());
        }
        self.apart.retain(|apart| apart.until.is_none_or(|until| until + LONGEST > now));
        let counts = |apart: &&Apart| {
            apart.shard == shard && apart.until.is_none_or(|until| until + counts > now)
        };
        let apart = self.apart.iter().filter(counts);
        let part = |apart: &Apart| match apart.how {
            How::Lost => quota,
            How::Apart | How::Cold if tolerates => quota,
            How::Apart => quota / self.replicas,
            How::Cold => 0,
        };
        let allowed: u32 = apart.map(part).sum();
        self.exceeded.0 += 1;
        self.exceeded.1 = self.exceeded.1.max(over);
        if over > allowed {
            return Err(format!("{count} calls of {quota} count, and {allowed} more may"));
        }
        Ok(())
    }

    fn is_in_order(
        &mut self,
        now: Instant,
        (call, had_its_turn): (u64, bool),
        by: usize,
        bucket: u32,
    ) -> Result<(), String> {
        let Some(order) = self.orders.get_mut(&(by, bucket)) else { return Ok(()) };
        order.flying.retain(|(_, sent)| *sent + PATIENCE > now);
        if let Some((other, _)) = order.flying.iter().find(|(other, _)| *other != call) {
            return Err(format!("it goes beside call {other} of its order"));
        }
        // Of two that were in flight at once the younger one may keep its turn.
        let is_before = |other: &&u64| !(had_its_turn && order.late.contains(*other));
        if let Some(first) = order.waits.range(..call).find(is_before) {
            return Err(format!("it overtakes call {first} of its order"));
        }
        order.waits.remove(&call);
        order.flying.push((call, now));
        Ok(())
    }

    fn is_open(
        &mut self,
        now: Instant,
        call: u64,
        by: usize,
        bucket: u32,
        quiet: Option<Instant>,
    ) -> Result<(), String> {
        if self.is_forgotten(now, bucket) {
            self.closed.remove(&bucket);
        }
        let Some(closed) = self.closed.get_mut(&bucket) else { return Ok(()) };
        let is_quiet = quiet.is_some_and(|since| since <= closed.since);
        if now + MOMENT < closed.until {
            if is_quiet && (closed.by == by || closed.since + HEARD < now) {
                return Err(format!("{} closed it, until {:?}", closed.by, closed.until));
            }
            return Ok(());
        }
        self.probes += 1;
        closed.probes.retain(|(_, sent)| *sent + TURN > now);
        let other = closed.probes.iter().find(|(_, sent)| *sent + HEARD < now);
        if let Some((other, _)) = other.filter(|_| is_quiet) {
            return Err(format!("call {other} tries already whether it is open"));
        }
        closed.probes.push((call, now));
        Ok(())
    }

    /// Whether it does not matter any more that a bucket was closed.
    fn is_forgotten(&self, now: Instant, bucket: u32) -> bool {
        let Some(closed) = self.closed.get(&bucket) else { return false };
        let period = self.windows[bucket as usize].as_ref().map(|window| window.period);
        let kept = MATTERS.max(period.unwrap_or_default());
        let lapsed = closed.probes.iter().map(|(_, sent)| *sent + TURN);
        let last = lapsed.fold(closed.until.max(closed.tried), Instant::max);
        last + kept <= now
    }

    /// A call waits that is in an order.
    pub(super) fn waits(&mut self, call: u64, by: usize, bucket: u32) {
        self.orders.entry((by, bucket)).or_default().waits.insert(call);
    }

    /// A call waits again that is in an order.
    pub(super) fn waits_again(&mut self, now: Instant, call: u64, by: usize, bucket: u32) {
        let order = self.orders.entry((by, bucket)).or_default();
        let is_in_time = |(other, sent): &(u64, Instant)| *other == call && *sent + PATIENCE > now;
        let is_late = order.late.contains(&call) || !order.flying.iter().any(is_in_time);
        self.leaves_order(call, by, bucket);
        self.waits(call, by, bucket);
        if is_late {
            self.orders.entry((by, bucket)).or_default().late.insert(call);
        }
    }

    /// The process knows that a call is answered, or it ends without being sent.
    pub(super) fn leaves_order(&mut self, call: u64, by: usize, bucket: u32) {
        if let Some(order) = self.orders.get_mut(&(by, bucket)) {
            order.waits.remove(&call);
            order.late.remove(&call);
            order.flying.retain(|(other, _)| *other != call);
            if order.waits.is_empty() && order.flying.is_empty() {
                self.orders.remove(&(by, bucket));
            }
        }
    }

    /// Whether a call tries buckets that were closed.
    pub(super) fn is_trying(&self, now: Instant, buckets: &[u32]) -> bool {
        let is_half_open = |it: &u32| {
            let closed = self.closed.get(it).filter(|closed| closed.until <= now + MOMENT);
            closed.is_some() && !self.is_forgotten(now, *it)
        };
        !self.closed.is_empty() && buckets.iter().any(is_half_open)
    }

    /// Whether it is a call's turn in an order.
    pub(super) fn is_next(&self, now: Instant, call: u64, by: usize, bucket: u32) -> bool {
        self.orders.get(&(by, bucket)).is_none_or(|order| {
            order.flying.iter().all(|(_, sent)| *sent + PATIENCE <= now)
                && order.waits.first().is_none_or(|first| *first >= call)
        })
    }

    /// Slack has counted a call, at the latest, or never has.
    pub(super) fn counted(&mut self, now: Instant, sent: Instant, buckets: &[u32], counts: bool) {
        for &bucket in buckets {
            if let Some(window) = &mut self.windows[bucket as usize] {
                window.counted(now, sent, counts);
            }
        }
    }

    /// An attempt has ended: whether the call has passed what it tried.
    pub(super) fn tried(&mut self, now: Instant, call: u64, buckets: &[u32], passed: bool) {
        if self.closed.is_empty() {
            return;
        }
        for bucket in buckets {
            let Some(closed) = self.closed.get_mut(bucket) else { continue };
            let before = closed.probes.len();
            closed.probes.retain(|(other, _)| *other != call);
            if closed.probes.len() < before {
                closed.tried = now;
                if passed {
                    self.closed.remove(bucket);
                }
            }
        }
    }

    /// Slack has refused a call: the process closes that bucket.
    pub(super) fn closes(&mut self, now: Instant, by: usize, bucket: u32, until: Instant) {
        let before = self.closed.get(&bucket).map(|closed| closed.until);
        if before.is_none_or(|before| before < until) {
            let new = Closed { since: now, until, by, probes: Vec::new(), tried: now };
            self.closed.insert(bucket, new);
        }
    }

    /// An operator ends it: nothing is said of that bucket until it is closed again.
    pub(super) fn thaws(&mut self, bucket: u32) {
        self.closed.remove(&bucket);
    }

    /// A process stands so to a part of the store, or does not any more.
    pub(super) fn is_apart(
        &mut self,
        now: Instant,
        process: usize,
        shard: u8,
        (how, is_so): (How, bool),
    ) {
        let mut all = self.apart.iter_mut();
        let open = all.find(|it| {
            (it.process, it.shard, it.how) == (process, shard, how) && it.until.is_none()
        });
        match open {
            None if is_so => self.apart.push(Apart { process, shard, how, until: None }),
            Some(apart) if !is_so => apart.until = Some(now),
            _ => {}
        }
    }

    /// What a process has used may be used again by others.
    pub(super) fn is_lost(&mut self, now: Instant, process: usize, shard: u8) {
        self.apart.push(Apart { process, shard, how: How::Lost, until: Some(now) });
    }

    /// A process is gone: what it has sent counts for a while.
    pub(super) fn is_gone(&mut self, now: Instant, process: usize) {
        let own = self.apart.iter_mut().filter(|apart| apart.process == process);
        own.for_each(|apart| apart.until = apart.until.or(Some(now)));
        self.orders.retain(|(by, _), _| *by != process);
    }

    /// Calls wait for a bucket, and all of it is used that they may have.
    pub(super) fn is_busy(&mut self, now: Instant, bucket: u32, share: f64) {
        let Some(window) = &mut self.windows[bucket as usize] else { return };
        if let Some((_, least)) = &mut window.busy {
            *least = least.min(share);
        } else {
            (window.busy, window.sent) = (Some((now, share)), 0);
        }
    }

    /// They do not any more. In each period that is over they were to have their part of its slots, each a
    /// moment later than it had aged.
    pub(super) fn was_busy(&mut self, now: Instant, key: &BucketKey, bucket: u32) {
        let Some(window) = &mut self.windows[bucket as usize] else { return };
        let Some((since, share)) = window.busy.take() else { return };
        let periods = now.since(since).div_duration_f64(window.period + LATENCY).floor();
        if window.period.is_zero() || periods < 1.0 {
            return;
        }
        let could = share * f64::from(window.quota) * periods;
        let all = self.shares.entry(key.limit.name.to_string()).or_default();
        all.used += f64::from(window.sent).min(could);
        all.could += could;
        all.period = window.period;
    }

    /// Something has gone wrong: how much is used meanwhile does not matter.
    pub(super) fn is_troubled(&mut self, bucket: u32) {
        if let Some(window) = &mut self.windows[bucket as usize] {
            window.busy = None;
        }
    }

    /// Whether the limits were used while calls waited for them. Of limits of a second it is not known well
    /// enough when calls waited.
    pub(super) fn is_used(&self) -> Result<(), String> {
        for (limit, Share { used, could, period }) in &self.shares {
            if *could > ENOUGH && *period > LONG && used / could < USED {
                return Err(format!("of {could:.0} calls of {limit} only {used:.0} went"));
            }
        }
        Ok(())
    }

    /// Whether anything is in flight as it knows.
    pub(super) fn is_quiet(&self) -> bool {
        self.windows.iter().flatten().all(|window| window.open == 0)
    }
}

// === impl Window ===

impl Window {
    fn of(key: &BucketKey) -> Option<Self> {
        let (quota, period) = quota_of(key)?;
        let tolerates =
            matches!(key.limit.rule, limits::Rule::Rate(rate) if rate.tolerates.is_some());
        Some(Self {
            quota,
            period,
            from_send: key.limit.age_from == AgeFrom::Send,
            tolerates,
            open: 0,
            aged: VecDeque::new(),
            shard: super::process::shard(key).0,
            busy: None,
            sent: 0,
        })
    }

    fn count(&mut self, now: Instant) -> u32 {
        while self.aged.front().is_some_and(|from| *from + self.period <= now) {
            self.aged.pop_front();
        }
        self.open + u32::try_from(self.aged.len()).unwrap()
    }

    fn counted(&mut self, now: Instant, sent: Instant, counts: bool) {
        match (self.from_send, counts) {
            (true, true) => {}
            (true, false) => {
                if let Some(at) = self.aged.iter().rposition(|from| *from == sent) {
                    self.aged.remove(at);
                }
            }
            (false, _) => {
                self.open -= 1;
                if counts && !self.period.is_zero() {
                    self.aged.push_back(now);
                }
            }
        }
    }
}
