//! The cases that are tried: T for the protocol, P for parts of a bucket, and one for each rule that
//! is broken.

use crate::{
    case::{Case, Exceeds, Faults, Start},
    rules::{Mutation, Rules},
};

/// All cases that have to hold. Their sizes are those of the tests.
pub fn all() -> Vec<Case> {
    let small = |name, about| Case { start: holds(1), ..Case::small(name, about) };
    let doubled = |case: Case| Case { doubled: 1, ..case };
    let faults = |faults, case: Case| Case { faults, ..case };
    let heir = |case| Case { asks: 1, beats: 2, speaks: (Some(1), Some(0)), ..case };
    let kill = Faults { count: 1, kill: true, ..Faults::default() };
    let stop = Faults { count: 1, stop: true, ..Faults::default() };
    let flush = Faults { count: 1, flush: true, ..Faults::default() };
    let failover = Faults { count: 1, failover: true, ..Faults::default() };
    let restart = Faults { restart: true, ..kill };
    let leave = Faults { count: 1, leave: true, ..Faults::default() };
    let leaves_and_comes = Faults { restart: true, ..leave };
    let twice = Faults { count: 2, stop: true, ..flush };
    let dies_too = Faults { count: 2, kill: true, ..flush };
    let drop = Faults { drop: true, ..Faults::default() };
    let two_slots = Rules { quota: 2, ..Rules::small() };
    let three = Rules { replicas: 3, ..Rules::small() };
    let parts = Rules { parts: true, ..two_slots.clone() };
    let outage = |held: [u8; 3], rules| Case {
        rules,
        asks: 0,
        beats: 0,
        start: Start::Heard(held.to_vec(), held.to_vec()),
        ..Case::small("P1", "an outage for all, of any length")
    };
    let six = Rules { quota: 6, replicas: 3, parts: true, ..Rules::small() };
    vec![
        doubled(small("T1", "messages are lost, doubled, late and overtaken")),
        Case { rules: two_slots, ..small("T2", "two slots") },
        Case { rules: three, ..small("T3", "three replicas") },
        faults(kill, small("T4", "a replica dies")),
        faults(stop, small("T5", "a replica is suspended")),
        faults(flush, Case { asks: 1, beats: 2, ..small("T6", "the store is emptied") }),
        faults(failover, Case { asks: 1, beats: 1, ..small("T7", "an older copy takes over") }),
        faults(twice, Case { asks: 1, beats: 1, ..small("T8", "emptied twice, and suspended") }),
        faults(restart, Case { asks: 1, beats: 1, ..small("T9", "restarted with a state file") }),
        faults(drop, small("T10", "a bucket is dropped and comes again")),
        faults(leave, small("T13", "a replica leaves")),
        heir(faults(leaves_and_comes, small("T14", "left and restarted"))),
        heir(faults(restart, small("T9", "whose name ends when its successor has told all"))),
        faults(dies_too, Case { asks: 1, beats: 1, ..small("T11", "a replica dies; emptied") }),
        behind(),
        updated(&Case { faults: stop, ..small("V1", "two versions, and one is suspended") }),
        outage([3, 0, 0], six.clone()),
        outage([2, 0, 0], six.clone()),
        outage([1, 0, 0], six),
        outage([1, 0, 0], parts.clone()),
        outage([2, 0, 0], parts.clone()),
        Case {
            rules: parts.clone(),
            exceeds: Exceeds::ByParts,
            asks: 1,
            beats: 1,
            start: holds(0),
            ..small("P2", "parts while others use the bucket up")
        },
        Case {
            rules: parts.clone(),
            exceeds: Exceeds::ByLong,
            asks: 0,
            beats: 2,
            start: holds(2),
            faults: flush,
            ..small("P3", "the store is emptied, and then gone")
        },
        suspended(parts.clone()),
        Case {
            rules: parts,
            exceeds: Exceeds::ByParts,
            asks: 2,
            beats: 1,
            speaks: (Some(1), Some(1)),
            start: Start::Cut,
            net: 1,
            ..small("P5", "cut off while another one uses the bucket up")
        },
    ]
}

/// The store falls back to a copy that knows of no slot of a replica which is not heard any more.
fn behind() -> Case {
    Case {
        rules: Rules { slower: 1, ..Rules::small() },
        faults: Faults { count: 1, failover: true, ..Faults::default() },
        asks: 3,
        beats: 3,
        speaks: (Some(1), Some(1)),
        start: Start::Behind,
        net: 1,
        ..Case::small("T12", "an older copy takes over, and a replica is not heard")
    }
}

/// A replica comes that has another version of the scripts.
fn updated(case: &Case) -> Case {
    let rules = Rules {
        quota: 2,
        flight: 0,
        lease: 1,
        stale: 1,
        apart: true,
        parts: true,
        ..Rules::small()
    };
    let speaks = (Some(0), None);
    let (start, exceeds) = (Start::Updated(1), Exceeds::ByLong);
    Case { rules, exceeds, asks: 1, beats: 3, speaks, start, net: 1, ..case.clone() }
}

/// One replica is suspended, and the other one uses the bucket up.
fn suspended(rules: Rules) -> Case {
    Case {
        rules,
        exceeds: Exceeds::ByLong,
        asks: 2,
        beats: 1,
        speaks: (Some(1), Some(1)),
        start: Start::Stopped,
        net: 1,
        ..Case::small("P4", "suspended while another one uses the bucket up")
    }
}

fn holds(slots: u8) -> Start {
    Start::Heard(vec![slots, 0, 0], vec![0, 0, 0])
}

/// For each rule, a case in which breaking it is found. It holds with the rule.
#[expect(clippy::too_many_lines, reason = "one arm for each rule")]
pub fn for_rule(mutation: Mutation) -> Case {
    use Mutation as M;
    let case = Case { start: holds(1), ..Case::small("M", "with a rule broken") };
    let faults = |count| Faults { count, ..Faults::default() };
    let flush = Faults { flush: true, ..faults(1) };
    let kill = Faults { kill: true, ..faults(1) };
    let restart = Faults { restart: true, ..kill };
    let settles = |case: Case| Case { settles: true, asks: 1, ..case };
    let parts = |quota, replicas| Rules { quota, replicas, parts: true, ..Rules::small() };
    match mutation {
        M::OldEpochCounts => Case {
            rules: Rules { stale: 1, flight: 0, ..Rules::small() },
            faults: flush,
            asks: 1,
            beats: 4,
            speaks: (Some(1), None),
            start: Start::Granted,
            ..case
        },
        M::NeverCold => Case { faults: flush, asks: 1, beats: 1, ..case },
        // Who has not beaten may use nothing.
        M::OrphansAgeAPeriod => Case { faults: kill, beats: 1, net: 1, ..case },
        M::ForgottenTooEarly | M::TimeBeforeLink => Case { beats: 1, net: 1, ..case },
        M::LeaseUnchecked | M::UsedAfterReturn => case,
        M::LastMessageCounts => Case { asks: 3, ..case },
        M::ColdEndsByTime => Case { faults: flush, asks: 1, beats: 2, ..case },
        M::MissingForALease => {
            Case { faults: flush, asks: 2, beats: 3, speaks: (Some(1), Some(1)), net: 1, ..case }
        }
        M::MissingForgotten => behind(),
        M::UnheardGrantKept => Case {
            faults: Faults { failover: true, ..faults(1) },
            asks: 1,
            beats: 2,
            start: Start::Regranted,
            ..case
        },
        M::ForgottenComesBack => Case { beats: 2, net: 1, ..case },
        M::StaleClaim => Case { faults: flush, beats: 2, net: 1, ..case },
        M::OneLife => Case { faults: Faults { drop: true, ..faults(0) }, asks: 3, ..case },
        M::LateWantsCount => Case { asks: 3, doubled: 1, ..settles(case) },
        M::AnyBeatNames => {
            let (rules, faults) =
                (Rules { replicas: 3, ..Rules::small() }, Faults { count: 2, ..kill });
            Case { rules, faults, beats: 2, ..Case { asks: 0, ..settles(case) } }
        }
        M::AgedSlotKept => settles(case),
        M::UntoldKept => Case { faults: Faults { failover: true, ..faults(1) }, ..settles(case) },
        M::HalfIsCold => {
            let start = Start::Heard(vec![3, 0, 0], vec![3, 0, 0]);
            Case { rules: parts(6, 3), start, asks: 0, ..case }
        }
        M::EndedUntold | M::LedgerLost => {
            Case { faults: restart, asks: 1, beats: 2, speaks: (Some(1), Some(0)), ..case }
        }
        M::LeftAtOnce => Case { faults: Faults { leave: true, ..faults(1) }, asks: 1, ..case },
        M::PartOfAnUnsureStore => {
            let (start, exceeds) = (holds(2), Exceeds::ByLong);
            Case { rules: parts(2, 2), faults: flush, exceeds, asks: 0, beats: 1, start, ..case }
        }
        M::OrphansAreCold => {
            let (start, exceeds) = (holds(2), Exceeds::ByLong);
            Case { rules: parts(2, 2), exceeds, asks: 0, beats: 1, start, ..case }
        }
        M::PartOfAHotBucket => {
            let start = Start::Heard(vec![2, 0, 0], vec![2, 0, 0]);
            Case { rules: parts(2, 2), start, asks: 0, ..case }
        }
        M::PartBesideHeld => {
            let start = Start::Heard(vec![2, 0, 0], vec![2, 0, 0]);
            Case { rules: parts(6, 3), start, asks: 0, ..case }
        }
        M::PartAfterSuspension => suspended(parts(2, 2)),
        M::VersionUnnoticed
        | M::PartBesideVersion
        | M::VersionWithoutLease
        | M::VersionKnownForLong
        | M::LeaseByAnyAnswer => {
            updated(&Case { faults: Faults { stop: true, ..faults(1) }, ..case })
        }
        M::VersionForALease => updated(&Case { beats: 4, ..case }),
        M::ClaimedReused => Case {
            faults: Faults { stop: true, ..faults(1) },
            asks: 2,
            beats: 2,
            speaks: (None, Some(0)),
            start: Start::Heard(vec![1, 0, 0], vec![1, 0, 0]),
            ..case
        },
        M::UntoldReused => Case {
            faults: Faults { stop: true, ..faults(1) },
            asks: 1,
            beats: 3,
            net: 1,
            start: Start::Heard(vec![1, 0, 0], vec![1, 0, 0]),
            ..case
        },
        M::ForgottenUnnamed => Case {
            rules: Rules { period: 4, ..Rules::small() },
            faults: flush,
            asks: 1,
            beats: 3,
            speaks: (Some(1), Some(1)),
            start: Start::Heard(vec![1, 0, 0], vec![1, 0, 0]),
            ..case
        },
    }
}
