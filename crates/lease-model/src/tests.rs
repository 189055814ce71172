//! Small cases hold, and each rule that is broken is found.

use stateright::{Checker, Model};

use crate::{
    case::{Case, NEVER_ABOVE, SETTLES},
    cases,
    rename::{Broken, Renamed},
    rules::Mutation,
};

/// Tries a case, and says which property is broken.
fn tries(case: Case) -> Option<&'static str> {
    let checker = case.checker().spawn_bfs().join();
    checker.discoveries().into_keys().next()
}

/// A case holds.
fn holds(name: &str) {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.name == name).collect();
    assert!(!cases.is_empty());
    for case in cases {
        let about = case.about;
        assert_eq!(tries(case), None, "{about}");
    }
}

/// A broken rule is found by that property, and the case holds with the rule.
fn finds(mutation: Mutation, property: &'static str) {
    let case = cases::for_rule(mutation);
    assert_eq!(tries(case.clone().broken(mutation)), Some(property));
    // These have too many states without a counterexample.
    let is_large = case.faults.drop || case.asks > 2 || case.net < 2;
    if !is_large {
        assert_eq!(tries(case), None, "the rule itself");
    }
}

macro_rules! cases {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { holds($name); })*
    };
}

macro_rules! rules {
    ($($test:ident: $mutation:ident, $property:ident;)*) => {
        $(#[test] fn $test() { finds(Mutation::$mutation, $property); })*
    };
}

cases! {
    messages_are_lost_doubled_late_and_overtaken: "T1",
    of_two_slots: "T2",
    among_three_replicas: "T3",
    a_replica_dies: "T4",
    a_replica_is_suspended: "T5",
    the_store_is_emptied: "T6",
    an_older_copy_takes_over: "T7",
    emptied_twice_and_suspended: "T8",
    restarted_with_a_state_file: "T9",
    a_bucket_is_dropped_and_comes_again: "T10",
    a_replica_dies_and_the_store_is_emptied: "T11",
    an_older_copy_takes_over_and_a_replica_is_not_heard: "T12",
    a_replica_leaves: "T13",
    left_and_restarted: "T14",
    an_outage_for_all: "P1",
    parts_while_others_use_the_bucket_up: "P2",
    emptied_and_then_gone: "P3",
    suspended_while_others_use_the_bucket_up: "P4",
    two_versions: "V1",
    cut_off_while_others_use_the_bucket_up: "P5",
}

rules! {
    never_cold: NeverCold, NEVER_ABOVE;
    orphans_age_a_period: OrphansAgeAPeriod, NEVER_ABOVE;
    forgotten_too_early: ForgottenTooEarly, NEVER_ABOVE;
    used_after_return: UsedAfterReturn, NEVER_ABOVE;
    lease_unchecked: LeaseUnchecked, NEVER_ABOVE;
    cold_ends_by_time: ColdEndsByTime, NEVER_ABOVE;
    missing_for_a_lease: MissingForALease, NEVER_ABOVE;
    missing_forgotten: MissingForgotten, NEVER_ABOVE;
    unheard_grant_kept: UnheardGrantKept, NEVER_ABOVE;
    last_message_counts: LastMessageCounts, NEVER_ABOVE;
    forgotten_comes_back: ForgottenComesBack, NEVER_ABOVE;
    stale_claim: StaleClaim, NEVER_ABOVE;
    one_life: OneLife, NEVER_ABOVE;
    any_beat_names: AnyBeatNames, SETTLES;
    aged_slot_kept: AgedSlotKept, SETTLES;
    untold_kept: UntoldKept, SETTLES;
    time_before_link: TimeBeforeLink, NEVER_ABOVE;
    half_is_cold: HalfIsCold, NEVER_ABOVE;
    ended_untold: EndedUntold, NEVER_ABOVE;
    left_at_once: LeftAtOnce, NEVER_ABOVE;
    ledger_lost: LedgerLost, NEVER_ABOVE;
    part_of_an_unsure_store: PartOfAnUnsureStore, NEVER_ABOVE;
    orphans_are_cold: OrphansAreCold, NEVER_ABOVE;
    part_beside_held: PartBesideHeld, NEVER_ABOVE;
    part_of_a_hot_bucket: PartOfAHotBucket, NEVER_ABOVE;
    part_after_suspension: PartAfterSuspension, NEVER_ABOVE;
    untold_reused: UntoldReused, NEVER_ABOVE;
    version_unnoticed: VersionUnnoticed, NEVER_ABOVE;
    part_beside_version: PartBesideVersion, NEVER_ABOVE;
    version_without_lease: VersionWithoutLease, NEVER_ABOVE;
    version_known_for_long: VersionKnownForLong, NEVER_ABOVE;
    lease_by_any_answer: LeaseByAnyAnswer, NEVER_ABOVE;
    version_for_a_lease: VersionForALease, NEVER_ABOVE;
    forgotten_unnamed: ForgottenUnnamed, NEVER_ABOVE;
}

/// A bucket gets another name, in each replica at another moment.
#[test]
fn a_bucket_is_renamed() {
    for replicas in [2, 3] {
        let sends = if replicas == 2 { 6 } else { 5 };
        let checker = Renamed { replicas, sends, ..Renamed::small() }.checker().spawn_bfs().join();
        assert_eq!(checker.discoveries().into_keys().next(), None, "{replicas}");
    }
    for broken in
        [Broken::MostIgnored, Broken::GivenBackAtOnce, Broken::UseUntold, Broken::EndsAfterAPeriod]
    {
        let case = Renamed { broken: Some(broken), ..Renamed::small() };
        let checker = case.checker().spawn_bfs().join();
        assert_eq!(checker.discoveries().into_keys().next(), Some(NEVER_ABOVE), "{broken:?}");
    }
}

/// It takes a minute.
#[test]
#[ignore = "run it with --run-ignored all, or by the command"]
fn old_epoch_counts() {
    let case = cases::for_rule(Mutation::OldEpochCounts);
    assert_eq!(tries(case.broken(Mutation::OldEpochCounts)), Some(NEVER_ABOVE));
}
