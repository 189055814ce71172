//! What holds whatever happens, and each part of the behaviour in a module of its own.

mod attempts;
mod bounds;
mod claims;
mod crowds;
mod evidence;
mod forecast;
mod headroom;
mod learn;
mod order;
mod places;
mod raise;
mod rebucket;
mod refusals;
mod relimit;
mod rename;
mod reserve;
mod shared;
mod slots;
mod split;
mod turnstile;

use std::time::Duration;

use limits::{AgeFrom, BucketKey, Class, Dimension, Weight};
use proptest::prelude::*;

use super::{
    Bounds, Call, Caller, Instant, Outcome, PlaceId,
    model::{
        self, InMemory, Model, PATIENT, at_once, bucket, gate, in_bursts, in_order, of, open, per,
        rate,
    },
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn weight(weight: u8) -> Weight {
    Weight::new(weight.try_into().unwrap())
}

/// So many normal calls of one caller arrive.
fn flood(model: &mut Model, buckets: &[BucketKey], caller: u64, calls: u32) -> Vec<u64> {
    (0..calls).map(|_| model.arrive(buckets, Class::Normal, caller, PATIENT)).collect()
}

/// The calls that went after the first `skip`, in order.
fn sent(model: &Model, skip: usize) -> Vec<u64> {
    model.sent.iter().skip(skip).map(|(_, number)| *number).collect()
}

/// A million steps, unless proptest's environment variable asks for another number of cases.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    let cases = if config.cases == 256 { 20_000 } else { config.cases };
    ProptestConfig { cases, ..config }
}

proptest! {
    #![proptest_config(config())]

    /// No bucket ever grants more than N in any period, nobody waits for nothing, nobody is
    /// overtaken in its own line, each call ends exactly once, a place is kept for its time,
    /// no queue grows beyond its bound, and nothing is left behind.
    ///
    /// Red with each of: slots that age from the send, or from the end of a long answer; slots
    /// refunded when the client hangs up after the send; a call group that is not moved on when
    /// another bucket blocks it; a replay that queues at the end; no grain; no share for
    /// background; a second window that is not looked at; places that never expire; buckets that
    /// are never dropped; of two buckets that become one, slots of the fuller one alone; permits
    /// that are not told; calls that change their buckets and keep a slot of one that they have no
    /// more, take a second one of one of which they kept it, or wait behind those that came later;
    /// a call that is raised and keeps its class, its deadline, or the slots that it collected; over a
    /// restart, no slot for what has no answer, renames or freezes that are not kept.
    #[test]
    fn whatever_happens_the_limits_hold(steps in model::steps()) {
        model::walk(model::WIDE, steps, Box::new(InMemory::default()));
    }

    /// The same in queues that are full after a few calls. Two tests, so that they run side by side.
    #[test]
    fn whatever_happens_the_limits_hold_in_narrow_queues(
        bounds in model::narrow(),
        steps in model::steps(),
    ) {
        model::walk(bounds, steps, Box::new(InMemory::default()));
    }
}
