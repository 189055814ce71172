//! What outlives a process: keeps what a scheduler notes, and tells its successor.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use limits::{AgeFrom, BucketKey, Rule, Scope, Values};

use crate::{Instant, Memory, Note, Scheduler};

/// Keeps what a scheduler notes over the end of its process. A state file is one.
pub trait Keeper {
    /// Fetches what the scheduler has noted since the last time.
    fn keep(&mut self, scheduler: &mut Scheduler);

    /// What the next process reads of these buckets. `shorter` asks for the shortest form of what
    /// is kept, where there are several.
    fn restart(
        &mut self,
        now: Instant,
        all: &[BucketKey],
        shorter: bool,
    ) -> Vec<(BucketKey, Memory)>;
}

/// Keeps the notes in memory, by their plainest meaning.
#[derive(Debug, Default)]
pub struct InMemory {
    /// By limit and values.
    buckets: BTreeMap<(Arc<str>, Values), (BucketKey, Memory)>,
    in_flight: BTreeMap<u64, (Instant, Vec<BucketKey>)>,
}

/// How long a call may still be on its way that was sent just before the process ended.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// How long Slack may be at work on it.
const AT_WORK: Duration = Duration::from_secs(60);

// === impl InMemory ===

impl InMemory {
    fn memory(&mut self, key: &BucketKey) -> &mut Memory {
        let name = (Arc::clone(&key.limit.name), key.values.clone());
        &mut self.buckets.entry(name).or_insert_with(|| (key.clone(), Memory::default())).1
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Granted { call, at, buckets } => {
                for key in buckets.iter().filter(|key| ages_from_grant(key)) {
                    self.memory(key).ages_from.push(at);
                }
                self.in_flight.insert(call, (at, buckets));
            }
            Note::Ended { call, ages_from } => {
                let Some((at, buckets)) = self.in_flight.remove(&call) else { return };
                for key in &buckets {
                    let memory = self.memory(key);
                    match (ages_from_grant(key), ages_from) {
                        (false, Some(from)) => memory.ages_from.push(from),
                        (true, None) => {
                            let slot = memory.ages_from.iter().position(|slot| *slot == at);
                            slot.map(|slot| memory.ages_from.remove(slot));
                        }
                        (false, None) | (true, Some(_)) => {}
                    }
                }
            }
            Note::Frozen(freeze) => {
                self.memory(&freeze.bucket).frozen_until = Some(freeze.until);
            }
            Note::Learnt { bucket, lesson } => self.memory(&bucket).learnt = lesson,
            Note::Renamed { of, from, to } => self.rename(of, &from, &to),
        }
    }

    fn rename(&mut self, of: Scope, from: &str, to: &str) {
        let renamed = |key: &BucketKey| {
            let (scope, identity) = key.identity();
            if scope == of && identity == from { key.of_identity(to) } else { key.clone() }
        };
        for (key, memory) in std::mem::take(&mut self.buckets).into_values() {
            let into = self.memory(&renamed(&key));
            into.ages_from.extend(memory.ages_from);
            into.frozen_until = into.frozen_until.max(memory.frozen_until);
            let learnt = [into.learnt, memory.learnt].into_iter().flatten();
            into.learnt = learnt.min_by_key(|it| (it.quota, Reverse(it.period)));
        }
        for key in self.in_flight.values_mut().flat_map(|(_, buckets)| buckets) {
            *key = renamed(key);
        }
    }
}

impl Keeper for InMemory {
    fn keep(&mut self, scheduler: &mut Scheduler) {
        let mut notes = Vec::new();
        scheduler.notes(&mut notes);
        for note in notes {
            self.note(note);
        }
    }

    fn restart(&mut self, now: Instant, all: &[BucketKey], _: bool) -> Vec<(BucketKey, Memory)> {
        for (_, (_, buckets)) in std::mem::take(&mut self.in_flight) {
            for key in buckets.iter().filter(|key| !ages_from_grant(key)) {
                let counts_at_once = matches!(key.limit.rule, Rule::Concurrency(_));
                let grace = if counts_at_once { AT_WORK } else { ON_ITS_WAY };
                self.memory(key).ages_from.push(now + grace);
            }
        }
        self.buckets.retain(|_, (key, memory)| {
            let per = match key.limit.rule {
                Rule::Rate(rate) => rate.per,
                Rule::Concurrency(_) | Rule::InOrder(_) | Rule::Open | Rule::Gate => Duration::ZERO,
            };
            // The scheduler adds a little to a period.
            memory.ages_from.retain(|from| *from + per + ON_ITS_WAY > now);
            memory.frozen_until = memory.frozen_until.filter(|until| *until > now);
            *memory != Memory::default()
        });
        let limit = |key: &BucketKey| {
            let of = all.iter().find(|it| it.limit.name == key.limit.name);
            of.map_or_else(|| Arc::clone(&key.limit), |it| Arc::clone(&it.limit))
        };
        let kept = self.buckets.values();
        kept.map(|(key, memory)| (BucketKey { limit: limit(key), ..key.clone() }, memory.clone()))
            .collect()
    }
}

fn ages_from_grant(key: &BucketKey) -> bool {
    matches!(key.limit.rule, Rule::Rate(_)) && key.limit.age_from == AgeFrom::Send
}
