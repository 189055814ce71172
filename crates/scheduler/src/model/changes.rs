//! Changes to what the model remembers: other names, other limits, other buckets, another process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use limits::{BucketKey, Class, Dimension, Limit, Rule, Scope};

use crate::Instant;

use super::{End, Model, books::Grant, bucket, policy, scheduler};

// === impl Model ===

impl Model {
    /// What counted for one identity counts for another: each call of the past, too. `all` are
    /// the buckets that there are.
    pub(crate) fn rename(&mut self, all: &mut [BucketKey], of: &[Dimension], from: &str, to: &str) {
        self.scheduler.rename(self.now, Scope::of(of), from, to);
        self.former.push((of.to_vec(), from.into()));
        let names: BTreeMap<_, _> = all
            .iter_mut()
            .map(|key| {
                let before = key.to_string();
                *key = renamed(key, of, from, to);
                (before, key.to_string())
            })
            .collect();
        let change = |keys: &mut Vec<BucketKey>| {
            let mut once = BTreeSet::new();
            *keys = keys.iter().map(|key| renamed(key, of, from, to)).collect();
            keys.retain(|key| once.insert(key.to_string()));
        };
        self.needs().for_each(change);
        for grant in self.grants.values_mut().flatten() {
            grant.bucket = renamed(&grant.bucket, of, from, to);
        }
        for times in [&mut self.people, &mut self.drained, &mut self.frozen] {
            for (name, at) in std::mem::take(times) {
                let latest = times.entry(names[&name].clone()).or_insert(at);
                *latest = at.max(*latest);
            }
        }
        self.probed = self.probed.iter().map(|name| names[name].clone()).collect();
        self.poll();
    }

    /// A limit is another one of its name from now on, of the calls of the past, too.
    pub(crate) fn relimit(&mut self, limit: &Arc<Limit>) {
        self.scheduler.relimit(self.now, policy(self.bounds), [limit].into_iter());
        let change = |key: &mut BucketKey| {
            if key.limit.name == limit.name {
                key.limit = Arc::clone(limit);
            }
        };
        self.needs().flatten().for_each(change);
        self.grants.values_mut().flatten().for_each(|grant| change(&mut grant.bucket));
        self.poll();
    }

    /// The process is killed and started again: who waits is gone, and what is in flight has no
    /// answer. `shorter` says whether the file was written anew before.
    pub(crate) fn restart(&mut self, all: &[BucketKey], shorter: bool) {
        while let Some((number, _)) = self.held.pop_first() {
            self.leave(number, End::Cancelled);
        }
        while let Some((number, _)) = self.in_flight.pop_first() {
            for grant in self.grants.get_mut(&number).into_iter().flatten() {
                // Of calls at once, the one without an answer may still be on its way.
                let at_once = matches!(grant.bucket.limit.rule, Rule::Concurrency(_));
                let between = self.between.contains(&number);
                let grace = match (between, at_once) {
                    (true, _) => Duration::ZERO,
                    (_, true) => Duration::from_secs(60),
                    (_, false) => Duration::from_secs(1),
                };
                grant.answered.get_or_insert(self.now + grace);
            }
            self.ended.push((number, End::Answered));
        }
        self.began.clear();
        self.between.clear();
        self.places.clear();
        // It is not kept who is expected, and what background calls have.
        self.people.clear();
        self.drained.clear();
        self.grants.values_mut().flatten().for_each(|grant| grant.class = Class::Normal);
        self.scheduler = scheduler(self.bounds);
        for (bucket, memory) in self.keeper.restart(self.now, all, shorter) {
            self.scheduler.restore(self.now, bucket, &memory);
        }
        self.poll();
    }

    /// Held calls count against other buckets.
    pub(crate) fn rebucket(&mut self, changes: Vec<(u64, Vec<BucketKey>)>) {
        let tickets = changes.iter().map(|(number, to)| (self.held[number].0, to.clone()));
        let tickets = tickets.collect();
        for (number, to) in changes {
            let concurrency =
                |grant: &&mut Grant| grant.answered.is_none() && !to.contains(&grant.bucket);
            let grants = self.grants.get_mut(&number).into_iter().flatten();
            grants.filter(concurrency).for_each(|grant| grant.answered = Some(self.now));
            self.held.get_mut(&number).unwrap().1.buckets = to;
        }
        self.rebucketed = true;
        self.scheduler.rebucket(self.now, tickets);
        self.poll();
    }

    /// Somebody joins a held call, of that class, who may wait till then.
    pub(crate) fn raise(&mut self, number: u64, class: Class, deadline: Instant) {
        let (ticket, call) = self.held.get_mut(&number).unwrap();
        let keeps = self
            .grants
            .get(&number)
            .is_some_and(|all| all.iter().any(|grant| grant.answered.is_none()));
        call.deadline = call.deadline.max(deadline);
        if !keeps {
            call.class = call.class.min(class);
        }
        if class == Class::Interactive {
            let kept = self.grants.get(&number).into_iter().flatten();
            let kept: Vec<_> = kept.filter(|grant| grant.answered.is_none()).collect();
            let needs = call.buckets.iter().filter(|key| kept.iter().all(|it| it.bucket != **key));
            for bucket in needs {
                self.people.insert(bucket.to_string(), self.now);
            }
        }
        self.scheduler.raise(self.now, *ticket, class, deadline);
        self.poll();
    }

    /// Somebody joins a call that goes, who may wait till then.
    pub(crate) fn allow_until(&mut self, number: u64, deadline: Instant) {
        let (permit, call) = self.in_flight.get_mut(&number).unwrap();
        call.deadline = call.deadline.max(deadline);
        self.scheduler.allow_until(permit, deadline);
    }

    /// Whether the name was given away.
    pub(crate) fn is_former(&self, of: &[Dimension], name: &str) -> bool {
        self.former.iter().any(|(scope, former)| scope == of && former == name)
    }

    /// What each call needs that is held, in flight or sent away, and for what places are kept.
    fn needs(&mut self) -> impl Iterator<Item = &mut Vec<BucketKey>> {
        let held = self.held.values_mut().map(|(_, call)| &mut call.buckets);
        let in_flight = self.in_flight.values_mut().map(|(_, call)| &mut call.buckets);
        let away = self.away.iter_mut().map(|call| &mut call.buckets);
        let places = self.places.iter_mut().map(|kept| &mut kept.buckets);
        held.chain(in_flight).chain(away).chain(places)
    }
}

/// A bucket's name once `from` is called `to`.
fn renamed(key: &BucketKey, of: &[Dimension], from: &str, to: &str) -> BucketKey {
    let identity = [Dimension::Org, Dimension::App, Dimension::Workspace];
    let just_these = from.split('/').count() == of.len()
        && identity.iter().all(|by| key.limit.scope.contains(*by) == of.contains(by));
    match key.values.as_str().strip_prefix(from) {
        Some(rest) if just_these && (rest.is_empty() || rest.starts_with('/')) => {
            bucket(&key.limit, &format!("{to}{rest}"))
        }
        _ => key.clone(),
    }
}
