//! Who waits, in what, and for how long.

use super::*;

impl World {
    /// An operator ends all freezes at a process, and so for all.
    pub(crate) fn thaws(&mut self, at: usize) {
        let thawed = self.lets(at, |process, now, _| process.scheduler.thaw(now, |_| true));
        for key in thawed {
            if let Some(bucket) = self.all.number(&key) {
                self.judge.thaws(bucket);
            }
        }
    }

    /// How much of a limit of Slack's a replica may use that is configured with this one.
    fn part_of(&self, bucket: u32, key: &BucketKey) -> f64 {
        let (own, of) = (quota_of(key), quota_of(&self.all.keys[bucket as usize]));
        let (Some((own, own_period)), Some((of, period))) = (own, of) else { return 1.0 };
        if own_period == period {
            return f64::from(own) / f64::from(of);
        }
        f64::from(own) * period.as_secs_f64() / (f64::from(of) * own_period.as_secs_f64())
    }

    pub(super) fn samples(&mut self) {
        self.after(SAMPLE, Event::Sample);
        let is_calm = self.is_calm();
        self.counts.calm += u64::from(is_calm);
        if !is_calm {
            self.is_troubled();
            return;
        }
        let aged = self.calm_since + AGED;
        let before = std::mem::take(&mut self.idle);
        let mut busy: BTreeMap<u32, f64> = BTreeMap::new();
        let mut lines = std::mem::take(&mut self.lines);
        for ((by, _), line) in &mut lines {
            let waits = |number: &u64| self.calls.get(number).is_some_and(|it| it.ticket.is_some());
            while line.front().is_some_and(|number| !waits(number)) {
                line.pop_front();
            }
            let Some(&number) = line.front() else { continue };
            let call = &self.calls[&number];
            let (Some(process), Some(ticket)) = (&mut self.processes[*by], call.ticket) else {
                continue;
            };
            let Some((key, block)) = process.scheduler.waits_for(self.now, ticket) else {
                continue;
            };
            if !matches!(block.reason, BlockReason::Full | BlockReason::Shared | BlockReason::Turn)
            {
                continue;
            }
            let Some(bucket) = self.all.number(&key) else { continue };
            if let Some((quota, period)) = quota_of(&key) {
                let most = match call.ask.class {
                    Class::Background => (quota * 3 / 4).min(quota.saturating_sub(1)).max(1),
                    _ => quota,
                };
                let seen = self.people.get(&bucket).is_some_and(|at| *at + period * 11 > self.now);
                if self.used(&key) >= most {
                    let share = f64::from(most) / f64::from(quota) * self.part_of(bucket, &key);
                    let all = busy.entry(bucket).or_default();
                    *all = all.max(share);
                    continue;
                }
                if seen && call.ask.class != Class::Interactive {
                    continue;
                }
            } else if !self.judge.is_next(self.now, number, *by, bucket) {
                continue;
            }
            let since = before.get(&number).filter(|(it, _)| *it == bucket);
            let since = since.map_or(self.now, |(_, since)| *since);
            self.idle.insert(number, (bucket, since));
            if self.now.since(since.max(aged)) > IDLE {
                let (ask, waits) = (call.ask, self.now.since(since));
                let used = self.used(&key);
                let wrong = format!(
                    "call {number}, {ask:?}, waits at process {by} for {waits:?} in {key}, of which {used} are used: {block:?}"
                );
                self.wrong.get_or_insert(wrong);
            }
        }
        lines.retain(|_, line| !line.is_empty());
        self.lines = lines;
        if self.now <= aged {
            return;
        }
        for (bucket, share) in &busy {
            self.judge.is_busy(self.now, *bucket, *share);
        }
        for bucket in std::mem::replace(&mut self.busy, busy).into_keys() {
            if !self.busy.contains_key(&bucket) {
                self.judge.was_busy(self.now, &self.all.keys[bucket as usize], bucket);
            }
        }
    }
}
