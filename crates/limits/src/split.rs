//! The part of every limit that is a replica's, where several replicas share limits without a store.
//!
//! Replicas that do not talk keep to a limit together if each keeps to its part of it. A limit of at
//! least as many calls as there are replicas has **slots for each**: of 20 calls in a minute three
//! replicas have 7, 7 and 6, and what they send together in any minute is no more than 20. Who has a
//! slot more depends on the bucket, so that no replica is always the poor one.
//!
//! A limit of fewer calls has no slot for each. One call per replica and as many periods is right on
//! average and wrong in the worst window, in which all of them go at once. So replicas take **turns**
//! by the wall clock: each turn is one call, and so many turns as the limit has calls take a little
//! longer than its period: by the time in which the call of a turn may begin, and by the margin. As
//! long as the clocks are no further apart, the way of a call to the server included, no window has a
//! call too many.
//!
//! A limit that tolerates bursts of at least as many calls as there are replicas needs no turns: one
//! call of each replica at the same time is a burst that it tolerates.

use core::{num::NonZeroU32, time::Duration};

use crate::{BucketKey, Rate, Rule};

/// Which of how many replicas this one is, and how exactly their clocks agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    replicas: NonZeroU32,
    ordinal: u32,
    margin: Duration,
}

/// A replica's part of so many calls in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// So many calls in any such period, or in flight.
    Slots(NonZeroU32, Duration),
    /// One call in each of its turns.
    Turns(Turns),
}

/// The turns of a replica, by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// How long it takes until all replicas have had a turn.
    pub cycle: Duration,
    /// When one of its turns begins, after 1970 began; within the first cycle.
    pub start: Duration,
    /// How long the call of a turn may begin.
    pub open: Duration,
}

/// So long the call of a turn may begin at least: timers and other calls make it late.
const OPEN: Duration = Duration::from_millis(50);
/// The same as a part of the period, a twentieth. A call that waits for two limits needs both at
/// once, so the turns of a slow limit are long.
const OPEN_PART: u32 = 20;

/// A call in flight is counted until it ends, and nobody tells the others when. So long it has.
const FLIGHT: Duration = Duration::from_secs(2);
/// So long the turn of a limit on calls in flight is open.
const OPEN_FOR_FLIGHT: Duration = Duration::from_secs(1);

// === impl Split ===

impl Split {
    /// The margin where the operator says nothing.
    pub const MARGIN: Duration = Duration::from_millis(200);

    /// Replica `ordinal` of so many, counted from 0. `margin` is how far their clocks may be apart,
    /// together with the time that a call takes to be counted by the server. `None` if there is no
    /// such replica.
    pub fn new(replicas: NonZeroU32, ordinal: u32, margin: Duration) -> Option<Self> {
        (ordinal < replicas.get()).then_some(Self { replicas, ordinal, margin })
    }

    /// How many replicas there are.
    pub const fn replicas(self) -> NonZeroU32 {
        self.replicas
    }

    /// Which one this is, counted from 0.
    pub const fn ordinal(self) -> u32 {
        self.ordinal
    }

    /// The part of a bucket's limit; of a rate that refuses bursts also the part of its shorter
    /// window. Nothing of a limit that is not split: calls in order are those of one caller, and
    /// what has no figure has no part.
    pub fn part(self, key: &BucketKey) -> Option<(Part, Option<Part>)> {
        self.part_of(key, key.limit.rule)
    }

    /// The same for a bucket that keeps to another rule than that of its limit.
    pub fn part_of(self, key: &BucketKey, rule: Rule) -> Option<(Part, Option<Part>)> {
        let by = hash(key);
        match rule {
            Rule::Open | Rule::Gate | Rule::InOrder(_) => None,
            Rule::Concurrency(most) => {
                let turns = || {
                    let spacing = (FLIGHT + OPEN_FOR_FLIGHT + self.margin) / most.get();
                    self.turns(spacing, OPEN_FOR_FLIGHT, by)
                };
                Some((self.slots(most, Duration::ZERO, by).unwrap_or_else(turns), None))
            }
            Rule::Rate(rate) => {
                let part = |most, per| {
                    let turns = || self.turns_of(most, per, rate.tolerates, by);
                    self.slots(most, per, by).unwrap_or_else(turns)
                };
                let burst = rate.burst_window().map(|(most, per)| part(most, per));
                Some((part(rate.limit, rate.per), burst))
            }
        }
    }

    /// Slots, if there is one for each replica.
    fn slots(self, most: NonZeroU32, per: Duration, by: u64) -> Option<Part> {
        let (most, replicas) = (most.get(), self.replicas.get());
        let has_more = self.place(by) < most % replicas;
        let slots = NonZeroU32::new(most / replicas)?.saturating_add(u32::from(has_more));
        Some(Part::Slots(slots, per))
    }

    /// What a replica has of fewer calls than there are replicas.
    fn turns_of(
        self,
        most: NonZeroU32,
        per: Duration,
        tolerates: Option<NonZeroU32>,
        by: u64,
    ) -> Part {
        let replicas = self.replicas.get();
        let pace = per / most.get();
        let bursts = tolerates.map_or(0, NonZeroU32::get);
        if replicas <= bursts {
            // Two calls of one replica may be counted closer than they were sent.
            return Part::Slots(NonZeroU32::MIN, pace * replicas + self.margin);
        }
        // The calls of a burst may come from turns that are open at the same time.
        let together = (pace * bursts.saturating_sub(1)).saturating_sub(self.margin);
        if together >= OPEN {
            return self.turns(pace, together, by);
        }
        let open = OPEN.max(per / OPEN_PART);
        self.turns((per + self.margin + open) / most.get(), open, by)
    }

    /// Turns, of which one of some replica begins after each `spacing`.
    fn turns(self, spacing: Duration, open: Duration, by: u64) -> Part {
        // What is rounded down must not add up.
        let spacing = spacing + Duration::from_nanos(1);
        let cycle = spacing * self.replicas.get();
        let nanos = u64::try_from(cycle.as_nanos()).unwrap_or(u64::MAX);
        // Buckets have their turns at different times, or all of them would be used at once.
        let first = Duration::from_nanos(by.rotate_left(32) % nanos);
        let start = first + spacing * self.place(by);
        let start = start.checked_sub(cycle).unwrap_or(start);
        Part::Turns(Turns { cycle, start, open: open.min(cycle) })
    }

    /// Where this replica is in the order of a bucket, counted from 0.
    fn place(self, by: u64) -> u32 {
        let replicas = u64::from(self.replicas.get());
        let place = (u64::from(self.ordinal) + by % replicas) % replicas;
        u32::try_from(place).unwrap_or(0)
    }
}

// === impl Rate ===

impl Rate {
    /// The shorter window of a server that refuses bursts.
    pub fn burst_window(self) -> Option<(NonZeroU32, Duration)> {
        let burst = self.burst?;
        Some((burst, self.per.mul_f64(f64::from(burst.get()) / f64::from(self.limit.get()))))
    }
}

/// The same number in every process: FNV-1a, and the last step of `MurmurHash3`, since what is taken of it
/// is what remains of a division by a small number.
fn hash(key: &BucketKey) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = key.limit.name.bytes().chain([b':']).chain(key.values.as_str().bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325, fnv);
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, format, sync::Arc, vec::Vec};

    use super::*;
    use crate::{AgeFrom, Limit, Scope};

    const MINUTE: Duration = Duration::from_secs(60);

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    fn rate(limit: u32, per: Duration) -> Rate {
        Rate { limit: count(limit), per, burst: None, tolerates: None }
    }

    fn key(rule: Rule, values: &str) -> BucketKey {
        let (name, scope, age_from) = ("l".into(), Scope::default(), AgeFrom::Answer);
        BucketKey { limit: Arc::new(Limit { name, rule, scope, age_from }), values: values.into() }
    }

    /// The part of each replica.
    fn parts(replicas: u32, key: &BucketKey) -> Vec<(Part, Option<Part>)> {
        let split = |it| Split::new(count(replicas), it, Split::MARGIN).unwrap();
        (0..replicas).map(|it| split(it).part(key).unwrap()).collect()
    }

    fn slots(part: Part) -> u32 {
        match part {
            Part::Slots(slots, _) => slots.get(),
            Part::Turns(_) => panic!("{part:?}"),
        }
    }

    /// When the first turn of any replica begins, the times from each turn to the next, and one
    /// replica's turns.
    fn turns(replicas: u32, rule: Rule, values: &str) -> (Duration, Vec<Duration>, Turns) {
        let turns = parts(replicas, &key(rule, values)).into_iter().map(|part| match part {
            (Part::Turns(turns), None) => turns,
            part => panic!("{part:?}"),
        });
        let turns: Vec<Turns> = turns.collect();
        let mut starts: Vec<_> = turns.iter().map(|turns| turns.start).collect();
        starts.sort_unstable();
        starts.push(starts[0] + turns[0].cycle);
        let apart = starts.windows(2).map(|pair| pair[1].checked_sub(pair[0]).unwrap());
        (starts[0], apart.collect(), turns[0])
    }

    #[test]
    fn the_parts_are_the_whole() {
        for most in 1..40 {
            for replicas in 1..=most {
                let burst = NonZeroU32::new(most - 1).filter(|burst| burst.get() >= replicas);
                let rate = Rate { burst, ..rate(most, MINUTE) };
                let parts = parts(replicas, &key(Rule::Rate(rate), "w"));
                assert_eq!(parts.iter().map(|part| slots(part.0)).sum::<u32>(), most);
                let bursts = parts.iter().filter_map(|part| part.1);
                let bursts: Vec<u32> = bursts.map(slots).collect();
                assert_eq!(bursts.iter().sum::<u32>(), burst.map_or(0, NonZeroU32::get));
                let fits = |(part, burst): (&(Part, _), &u32)| *burst <= slots(part.0);
                assert!(parts.iter().zip(&bursts).all(fits), "{parts:?}");
            }
        }
    }

    #[test]
    fn no_replica_is_always_the_poor_one() {
        let mut poor = [0; 3];
        for it in 0..300 {
            let parts = parts(3, &key(Rule::Rate(rate(20, MINUTE)), &format!("A1/T{it}/m")));
            let parts: Vec<u32> = parts.into_iter().map(|part| slots(part.0)).collect();
            assert_eq!(parts.iter().sum::<u32>(), 20);
            poor[parts.iter().position(|part| *part == 6).unwrap()] += 1;
        }
        assert!(poor.iter().all(|times| (80..120).contains(times)), "{poor:?}");
    }

    #[test]
    fn turns_are_apart_by_the_period_and_the_margin() {
        for (most, per, replicas) in
            [(1, MINUTE, 3), (1, Duration::from_secs(1), 2), (2, MINUTE, 3), (9, MINUTE, 10)]
        {
            let (_, apart, Turns { open, .. }) = turns(replicas, Rule::Rate(rate(most, per)), "w");
            assert_eq!(open, OPEN.max(per / OPEN_PART));
            let whole = per + open + Split::MARGIN;
            for apart in apart {
                let all = apart * most;
                assert!(all >= whole && all < whole + Duration::from_micros(1));
            }
        }
        let (_, apart, turns) = turns(3, Rule::Concurrency(count(1)), "w");
        assert!(apart.iter().all(|apart| *apart >= turns.open + FLIGHT));
    }

    #[test]
    fn a_limit_that_tolerates_bursts_needs_no_turns_of_few_replicas() {
        let second = Duration::from_secs(1);
        let rule = Rule::Rate(Rate { tolerates: NonZeroU32::new(3), ..rate(1, second) });
        let parts = parts(3, &key(rule, "w"));
        assert!(
            parts
                .iter()
                .all(|part| *part == (Part::Slots(count(1), second * 3 + Split::MARGIN), None))
        );
        let (_, apart, turns) = turns(4, rule, "w");
        assert!(apart.iter().all(|apart| *apart == second + Duration::from_nanos(1)));
        assert_eq!(turns.open + Split::MARGIN, second * 2);
    }

    #[test]
    fn buckets_have_their_turns_at_different_times() {
        let starts = |it| turns(3, Rule::Rate(rate(1, MINUTE)), &format!("T{it}")).0;
        assert_eq!((0..50).map(starts).collect::<BTreeSet<_>>().len(), 50);
    }

    /// Another number here would be another order in a rollout of another version.
    #[test]
    fn the_order_never_changes() {
        assert_eq!(hash(&key(Rule::Open, "A1/T1/chat.update")), 8_411_552_249_734_641_977);
    }
}
