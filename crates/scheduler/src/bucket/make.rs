//! How a bucket begins, and how it becomes another one: its limit is replaced, or two become one.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::num::NonZeroU32;

use limits::{AgeFrom, BucketKey, Dimension, Limit, Rule, Share};

use super::{Bucket, Rare};
use crate::{Instant, fair_queue::FairQueue, reserve::Reserve, split::Replica, window::Window};

// === impl Bucket ===

impl Bucket {
    /// One of the whole limit.
    #[cfg(test)]
    pub(crate) fn new(key: BucketKey, share: Share) -> Self {
        Self::of_replica(key, share, None)
    }

    /// One with a part of the limit, if this is one of several replicas.
    pub(crate) fn of_replica(key: BucketKey, share: Share, replica: Option<&Replica>) -> Self {
        let rule = key.limit.rule;
        Self::of_rule(key, rule, share, replica)
    }

    /// One that keeps to another rule than that of its limit, or to a part of that rule.
    pub(super) fn of_rule(
        key: BucketKey,
        rule: Rule,
        share: Share,
        replica: Option<&Replica>,
    ) -> Self {
        let mut new = Self::of_whole(key, rule, share);
        if let Some((window, burst)) = replica.and_then(|replica| replica.windows(&new.key, rule)) {
            if new.has_reserve() {
                new.reserve = Reserve::new(window.quota(), share);
            }
            new.window = window;
            new.rare = burst.map(|burst| Box::new(Rare { burst: Some(burst), ..Rare::default() }));
        }
        new
    }

    pub(super) fn of_whole(key: BucketKey, rule: Rule, share: Share) -> Self {
        let (window, rare, reserve) = match rule {
            Rule::Open | Rule::Gate => (Window::open(), None, Reserve::new(0, share)),
            Rule::Concurrency(quota) => (Window::at_once(quota), None, Reserve::new(0, share)),
            Rule::InOrder(_) => (Window::at_once(NonZeroU32::MIN), None, Reserve::new(0, share)),
            Rule::Rate(rate) => (
                Window::sliding(rate.limit, rate.per),
                rate.burst.map(|burst| {
                    let per =
                        rate.per.mul_f64(f64::from(burst.get()) / f64::from(rate.limit.get()));
                    let burst = Some(Window::sliding(burst, per));
                    Box::new(Rare { burst, ..Rare::default() })
                }),
                // A caller's own limit has no slots that calls of others could find free.
                if key.limit.scope.contains(Dimension::Caller) {
                    Reserve::new(0, share)
                } else {
                    Reserve::new(rate.limit.get(), share)
                },
            ),
        };
        Self {
            key,
            rare,
            queue: FairQueue::default(),
            waiting: 0,
            places: 0,
            alarm: None,
            touched: false,
            is_watched: false,
            learns: false,
            claim: None,
            window,
            reserve,
            in_flight: 0,
            used_at: Instant::ZERO,
            half_open: None,
        }
    }

    /// Takes over all that another bucket of the same limit remembers, except the calls that wait
    /// for it.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (window, other) in self.windows_mut().zip(other.windows()) {
            window.absorb(other);
        }
        self.in_flight += other.in_flight;
        self.used_at = self.used_at.max(other.used_at);
        let both = [self.half_open.take(), other.half_open].into_iter().flatten();
        self.half_open = both.reduce(|one, two| Box::new(one.and(*two)));
        let (evidence, lessons) =
            other.rare.map_or((None, None), |rare| (rare.evidence, rare.lessons));
        self.absorb_lessons(lessons);
        if let Some(evidence) = evidence
            && self.evidence().is_none_or(|own| own.since <= evidence.since)
        {
            self.rare().evidence = Some(evidence);
        }
        self.reserve.absorb(other.reserve);
    }

    /// A slot that was taken before there was this bucket ages from that instant.
    pub(crate) fn remember(&mut self, now: Instant, ages_from: Instant) {
        self.windows_mut().for_each(|window| window.remember(now, ages_from));
    }

    /// Counts all of its slots as taken, each ageing from that instant.
    pub(crate) fn fill(&mut self, now: Instant, ages_from: Instant) {
        for window in self.windows_mut() {
            for _ in 0..window.quota() {
                window.remember(now, ages_from);
            }
        }
    }

    /// Replaces its limit by another one of the same name. The slots that are taken stay taken.
    pub(crate) fn relimit(
        &mut self,
        now: Instant,
        limit: Arc<Limit>,
        share: Share,
        replica: Option<&Replica>,
    ) {
        self.unlearn_for(&limit);
        self.rebuild(now, limit, share, replica);
    }

    /// Becomes a bucket of that limit, at the pace that is believed.
    pub(super) fn rebuild(
        &mut self,
        now: Instant,
        limit: Arc<Limit>,
        share: Share,
        replica: Option<&Replica>,
    ) {
        let rule = self.rule_of(&limit);
        let key = BucketKey { limit, values: self.key.values.clone() };
        let new = Self::of_rule(key, rule, share, replica);
        let mut since: Vec<_> = self.window.ages_from().collect();
        let ages_from_send = new.key.limit.age_from == AgeFrom::Send && !new.counts_in_flight();
        let flying = if ages_from_send {
            // Slots that had to wait for their answers, and have an end from now on.
            since.extend((0..self.window.in_flight()).map(|_| now));
            0
        } else if self.patience().is_some() {
            // The others have an end.
            self.window.in_flight()
        } else {
            self.in_flight
        };
        let Self { key, rare, mut window, mut reserve, .. } = new;
        let mut burst = rare.and_then(|rare| rare.burst);
        for window in [Some(&mut window), burst.as_mut()].into_iter().flatten() {
            if !matches!(key.limit.rule, Rule::Open | Rule::Gate) {
                window.take_over(now, flying, since.iter().copied());
            }
        }
        reserve.take_over(now, &self.reserve, &window);
        let cap = self.window.cap();
        (self.key, self.window, self.reserve) = (key, window, reserve);
        if self.lease().is_some() {
            self.window.set_cap(cap);
        }
        if burst.is_some() || self.rare.is_some() {
            self.rare().burst = burst;
        }
        if self.learns {
            self.knows_its_part();
        }
    }
}
