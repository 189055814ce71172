//! The sizes and times of a model, and the rules of the protocol that can be broken in it.

/// How many names replicas can have in one model, new ones after they were forgotten included.
pub const NAMES: usize = 8;

/// The name of a replica. A replica that was forgotten goes on by another one.
pub type Name = usize;

/// Sizes, and times in ticks.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Slots of the bucket.
    pub quota: u8,
    /// Replicas.
    pub replicas: usize,
    /// How long a slot ages after the response.
    pub period: u8,
    /// How much longer those of another limit do.
    pub slower: u8,
    /// How long a call can be in flight.
    pub flight: u8,
    /// After how long a replica that is silent may be forgotten. Its lease lasts as long.
    pub lease: u8,
    /// After how long without any message the store no longer trusts its records; and how long a
    /// replica may be silent and still be granted slots.
    pub stale: u8,
    /// Whether the last replica has another version of the scripts, and with it a store of its own.
    pub apart: bool,
    /// Whether a replica without the store may use its part of a cold bucket.
    pub parts: bool,
    /// The rule that is broken, if any.
    pub broken: Option<Mutation>,
}

/// A rule that is broken on purpose: the model has to find what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// What was granted in an epoch that the replica has left counts.
    OldEpochCounts,
    /// The store grants at once after a loss of its memory.
    NeverCold,
    /// Slots of a replica that was forgotten are kept for a period, and not for the time that a
    /// call can be in flight.
    OrphansAgeAPeriod,
    /// A replica is forgotten before its lease is over.
    ForgottenTooEarly,
    /// A slot is used after it was returned.
    UsedAfterReturn,
    /// A replica does not check its lease before it sends.
    LeaseUnchecked,
    /// The store grants again after a period, whoever has told what it holds.
    ColdEndsByTime,
    /// Who has told nothing after a loss is waited for until its lease is over, and not as long as its last
    /// calls count.
    MissingForALease,
    /// Who has told nothing after a loss is forgotten when its lease is over, if its slots are missed.
    MissingForgotten,
    /// What the store granted in an earlier epoch counts, although the replica had not heard of it.
    UnheardGrantKept,
    /// The store takes the numbers of the last message instead of the highest.
    LastMessageCounts,
    /// A replica that was forgotten comes back by its name.
    ForgottenComesBack,
    /// What a replica held under a lease that is over it claims from a store that was emptied.
    StaleClaim,
    /// The numbers of a bucket that was dropped begin at zero in the same life.
    OneLife,
    /// The wants of a late ask count.
    LateWantsCount,
    /// The store takes names of others from any beat.
    AnyBeatNames,
    /// A slot that has aged is used again while the store answers.
    AgedSlotKept,
    /// The store keeps records that nobody has told in its epoch.
    UntoldKept,
    /// Calls that are due go before a replica notices that its lease is over.
    TimeBeforeLink,
    /// A bucket is cold if at most half of it is used.
    HalfIsCold,
    /// A name ends before its successor has told all that was used under it.
    EndedUntold,
    /// What a replica has used that leaves is free at once.
    LeftAtOnce,
    /// A restarted replica does not know which calls it has sent.
    LedgerLost,
    /// How many replicas there are, and that the bucket is cold, is taken from a store that does
    /// not know yet what is held.
    PartOfAnUnsureStore,
    /// A bucket is cold although slots of it are kept that no member holds, or may still be in use by
    /// who was forgotten lately.
    OrphansAreCold,
    /// A replica uses its part of a bucket beside what it holds.
    PartBesideHeld,
    /// A replica uses its part of a bucket as soon as its lease is over, also if more than a part of it was
    /// used when the store was heard last.
    PartOfAHotBucket,
    /// A replica that was suspended goes by what it heard before, and uses its part of a bucket although the
    /// store may answer.
    PartAfterSuspension,
    /// Without the store, a replica uses slots again of which the store has not heard.
    UntoldReused,
    /// Without the store, a replica uses slots again that were in use when its lease was over.
    ClaimedReused,
    /// Replicas with another version of the scripts are not noticed.
    VersionUnnoticed,
    /// A replica uses its part as soon as it notices replicas with another version.
    PartBesideVersion,
    /// A replica that notices replicas with another version waits until no call of theirs counts that they
    /// send now, and not for the end of the lease of one that has not noticed yet.
    VersionWithoutLease,
    /// A replica whose lease was over goes on with its part beside replicas with another version.
    VersionKnownForLong,
    /// Any answer confirms the lease of a replica.
    LeaseByAnyAnswer,
    /// Replicas with another version are forgotten when their lease is over.
    VersionForALease,
    /// A replica names only the members of the last beat to a store that was emptied, and not those
    /// that were forgotten lately.
    ForgottenUnnamed,
}

// === impl Mutation ===

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 37] = [
        Self::OldEpochCounts,
        Self::NeverCold,
        Self::OrphansAgeAPeriod,
        Self::ForgottenTooEarly,
        Self::UsedAfterReturn,
        Self::LeaseUnchecked,
        Self::ColdEndsByTime,
        Self::MissingForALease,
        Self::MissingForgotten,
        Self::UnheardGrantKept,
        Self::LastMessageCounts,
        Self::ForgottenComesBack,
        Self::StaleClaim,
        Self::OneLife,
        Self::LateWantsCount,
        Self::AnyBeatNames,
        Self::AgedSlotKept,
        Self::UntoldKept,
        Self::TimeBeforeLink,
        Self::HalfIsCold,
        Self::EndedUntold,
        Self::LeftAtOnce,
        Self::LedgerLost,
        Self::PartOfAnUnsureStore,
        Self::OrphansAreCold,
        Self::PartBesideHeld,
        Self::PartOfAHotBucket,
        Self::PartAfterSuspension,
        Self::UntoldReused,
        Self::ClaimedReused,
        Self::VersionUnnoticed,
        Self::PartBesideVersion,
        Self::VersionWithoutLease,
        Self::VersionKnownForLong,
        Self::LeaseByAnyAnswer,
        Self::VersionForALease,
        Self::ForgottenUnnamed,
    ];
}

// === impl Rules ===

impl Rules {
    /// The smallest.
    pub fn small() -> Self {
        Self {
            quota: 1,
            replicas: 2,
            period: 1,
            slower: 0,
            flight: 1,
            lease: 2,
            stale: 2,
            apart: false,
            parts: false,
            broken: None,
        }
    }

    /// Whether that rule is broken.
    pub fn breaks(&self, mutation: Mutation) -> bool {
        self.broken == Some(mutation)
    }

    /// After how long a replica that is silent is forgotten.
    pub fn forget(&self) -> u8 {
        self.lease - u8::from(self.breaks(Mutation::ForgottenTooEarly))
    }

    /// How long a slot can be in use after its call was sent.
    pub fn longest(&self) -> u8 {
        self.period + self.flight
    }

    /// How long a slot of any limit can be in use after its call was sent.
    pub fn slowest(&self) -> u8 {
        self.longest() + self.slower
    }

    /// For how long a replica that has told nothing after a loss keeps others from slots of the bucket.
    pub fn missing(&self) -> u8 {
        let only_the_lease = self.breaks(Mutation::MissingForALease);
        self.forget() + if only_the_lease { 0 } else { self.longest() }
    }

    /// For how long a replica with another version may have calls that count since it was heard last.
    pub fn versions(&self) -> u8 {
        let only_the_lease = self.breaks(Mutation::VersionForALease);
        self.lease + if only_the_lease { 0 } else { self.longest() }
    }

    /// For how long a replica has to wait for its part that has noticed others with another version: these
    /// may use what they hold until their lease is over, or they notice, too.
    pub fn parting(&self) -> u8 {
        match self.broken {
            Some(Mutation::PartBesideVersion) => 0,
            Some(Mutation::VersionWithoutLease) => self.longest(),
            _ => self.lease + self.longest(),
        }
    }

    /// How long the slots of a replica are kept that was forgotten.
    pub fn orphaned(&self) -> u8 {
        let flies = !self.breaks(Mutation::OrphansAgeAPeriod);
        self.period + if flies { self.flight } else { 0 }
    }

    /// For how long slots can be in use that a replica held when it was forgotten: it uses them for as
    /// long as they are kept, and the last of its calls counts as long again.
    pub fn missed(&self) -> u8 {
        2 * self.longest()
    }

    /// The part of the quota that is a replica's, if there are so many; none if it is not known.
    pub fn part(&self, replicas: u8) -> u8 {
        // With other versions it is the configured number that counts.
        let all = if self.apart { u8::try_from(self.replicas).unwrap_or(u8::MAX) } else { 0 };
        let replicas = if replicas > 0 { replicas.max(all) } else { 0 };
        if self.parts { self.quota.checked_div(replicas).unwrap_or(0) } else { 0 }
    }

    /// The times a counter has to tell apart.
    pub fn latest(&self) -> u8 {
        self.lease + 1
    }
}
