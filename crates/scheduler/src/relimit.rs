//! The limits change while calls wait and are in flight.
//!
//! A limit of another name is another limit. Of one that keeps its name and what it is counted by,
//! the buckets stay: **their slots are those that are taken, whatever the quota is now**. There may
//! be more of them than the quota; no call goes until there are fewer. Each ages for the new period
//! from when it began. What had aged already by the old period is not known any more, so a period
//! that is made longer counts from the change on.
//!
//! The scheduler does not know the methods of the calls that wait, so the driver gives them their
//! new buckets; see [`Scheduler::rebucket`](super::rebucket).

use alloc::{sync::Arc, vec::Vec};

use limits::Limit;

use super::{Instant, Policy, Scheduler, bucket::Bucket, call_group::BucketId, serve::rings};

impl Scheduler {
    /// Replaces the policy, and each limit by the one of the same name. A limit that is not named
    /// is kept by the calls that are under it. What was learnt of limits is forgotten where it is
    /// to be learnt in another way.
    pub fn relimit<'l>(
        &mut self,
        now: Instant,
        policy: Policy,
        limits: impl Iterator<Item = &'l Arc<Limit>>,
    ) {
        self.advance(now);
        self.limits = limits.map(|limit| (Arc::clone(&limit.name), Arc::clone(limit))).collect();
        let share_changed = policy.background != self.policy.background;
        if policy.learning != self.policy.learning {
            self.forget_lessons(now);
        }
        self.policy = policy;
        let changed = |bucket: &Bucket| {
            let before = &bucket.key.limit;
            let limit = self.limit_of_now(before);
            (limit != before || share_changed).then(|| Arc::clone(limit))
        };
        let all = self.buckets.iter();
        let all: Vec<_> = all.filter_map(|(id, bucket)| Some((id, changed(bucket)?))).collect();
        for (id, limit) in all {
            self.relimit_bucket(now, id, limit);
        }
        self.run(now);
    }

    /// Replaces the limit of a bucket.
    pub(super) fn relimit_bucket(&mut self, now: Instant, id: BucketId, limit: Arc<Limit>) {
        self.buckets[id].relimit(now, limit, self.policy.background, self.replica.as_ref());
        self.tell_lesson(id, true);
        self.look_again(id);
    }

    /// Looks at a bucket whose alarm may come too late for what is open now.
    pub(super) fn look_again(&mut self, id: BucketId) {
        if let Some(at) = self.buckets[id].alarm.take() {
            self.alarms.took_back(at, id, |at, id| rings(&self.buckets, at, id));
        }
        self.touch(id);
    }

    /// What has become of a limit. One that is counted by something else now is another one.
    pub(super) fn limit_of_now<'l>(&'l self, limit: &'l Arc<Limit>) -> &'l Arc<Limit> {
        let now = self.limits.get(&limit.name).filter(|now| now.scope == limit.scope);
        now.unwrap_or(limit)
    }
}
