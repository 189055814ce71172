//! The protocol of slots on lease, checked exhaustively at small sizes.
//!
//! Replicas are to share the quota of a limit through a store that counts only how many slots of a
//! bucket each of them holds. Each replica ages its own slots, and returns each one when it has aged.
//! This crate is a model of that protocol, by itself: it shares no code with the product, and nothing
//! depends on it.
//!
//! # What is modelled
//!
//! One bucket, one store, two or three replicas, and a Slack that counts each call from its sending to
//! a period after its response. [`store`] has the rules of the store, [`replica`] those of a replica,
//! [`world`] what lies between, [`case`] all that can happen next. A bucket that is renamed has a model of its
//! own, [`rename`].
//!
//! - Asks and their answers, and pushes, are lost, late and overtaken, and some come twice. The answer to
//!   a beat comes at once or counts no more, as in the protocol; where a case says so, beats are late.
//! - Replicas die, leave, are restarted with their state file, and are suspended.
//! - The store is emptied, and falls back to an older copy of itself.
//! - Time is in ticks, and what happens within a tick happens in any order. Bounds are closed: a lease may
//!   be used at its last tick, and be forgotten in it. So nothing is safe only by a tick.
//!
//! # What has to hold
//!
//! **Never above the quota**, or only by the part of a replica, quota / replicas, for each one that uses
//! a part: see [`case::Exceeds`]. **Whoever waits is served once all goes well**, and all slots are
//! returned: each moment is played on without faults for a bounded time; see [`calm`].
//!
//! # What is not modelled
//!
//! Several buckets and the order of collecting them, classes, people and floors, weights, freezes,
//! shadow, clocks that jump or run at different speeds, two stores at once, limits on concurrency, and limits that tolerate bursts. The sizes are
//! small: what needs more slots, replicas or messages than a case has is not found.
//!
//! # Change a rule
//!
//! Change it here and in the product together. Each rule that matters has a [`rules::Mutation`] that
//! breaks it, a case in [`cases::for_rule`] in which that is found, and a line in the tests. A rule
//! without one is not known to be needed.
//!
//! # Rules that the model asks for
//!
//! These rules are in no earlier version of the protocol. Without each of them the model exceeds
//! the quota:
//!
//! - [`PartOfAnUnsureStore`](rules::Mutation::PartOfAnUnsureStore): the answer to a beat says whether the
//!   store grants nothing yet. Such a store does not know what is held, nor who is there. A replica keeps
//!   what it knew of both, and uses no part of a bucket by what it was told.
//! - [`OrphansAreCold`](rules::Mutation::OrphansAreCold): a bucket is hot if any slot of it is kept that
//!   no member holds, and, for two periods and flights after a member was forgotten, if any slot of it is
//!   held. Otherwise the parts of all members come on top of what is not theirs.
//! - [`UntoldReused`](rules::Mutation::UntoldReused): without the store, a replica uses only those slots
//!   again that the store knows of. It may have taken more under a name that the store has forgotten.
//! - [`ForgottenUnnamed`](rules::Mutation::ForgottenUnnamed): replicas go on naming a member for a period
//!   and a flight after it was forgotten. A store that is emptied loses the slots that it kept for it,
//!   and would grant them at once.
//! - [`EndedUntold`](rules::Mutation::EndedUntold): what was held under a name is free only when its
//!   successor has told all that was used under it, in the epoch of now.
//! - [`LeftAtOnce`](rules::Mutation::LeftAtOnce): what a replica has used that leaves is kept from others
//!   until it has aged.
//! - [`MissingForALease`](rules::Mutation::MissingForALease) and
//!   [`MissingForgotten`](rules::Mutation::MissingForgotten): a store that has lost its memory grants no slot
//!   of a bucket while somebody has not told what it holds, until that one's lease is over and the last of
//!   its calls counts no more. It stays a member for longer, as long as another limit asks for it, also if a
//!   copy of the store knows of slots that it held.
//! - [`UnheardGrantKept`](rules::Mutation::UnheardGrantKept): what the store granted in an earlier epoch, and
//!   the replica had not heard of when it tells what it holds in this one, is granted no more. An older copy
//!   may have granted it, and the store that it replaced has granted it to another one since.
//! - [`PartOfAHotBucket`](rules::Mutation::PartOfAHotBucket) and
//!   [`PartBesideHeld`](rules::Mutation::PartBesideHeld): without the store, a replica uses its part of a
//!   bucket that was quiet, all the time; of another one only after a period and a flight. What it holds is
//!   in its part.
//! - [`PartAfterSuspension`](rules::Mutation::PartAfterSuspension): who was suspended while its lease ended
//!   uses no part by what it heard before. Whoever is cut off does, and exceeds the quota by it while others
//!   use the bucket up: a replica cannot tell that from an outage for all, where nothing is exceeded.
//!
//! - [`VersionUnnoticed`](rules::Mutation::VersionUnnoticed): replicas with another version of the scripts have a
//!   store of their own. Each version is heard at one place, and as long as another one may have calls that count
//!   ([`VersionForALease`](rules::Mutation::VersionForALease)) a store grants nothing. Each replica uses its part
//!   by the configured number, and until the others have noticed, and no call counts that they sent before, no
//!   more of it than it holds ([`PartBesideVersion`](rules::Mutation::PartBesideVersion),
//!   [`VersionWithoutLease`](rules::Mutation::VersionWithoutLease)): anew if its own lease was over
//!   ([`VersionKnownForLong`](rules::Mutation::VersionKnownForLong)). Only a beat confirms the lease, since only
//!   a beat tells of versions ([`LeaseByAnyAnswer`](rules::Mutation::LeaseByAnyAnswer)).
//!
//! # Sizes
//!
//! The cases of the tests have between a thousand and half a million states, and are up to 32 steps deep.
//! Some of the rules are seen broken only, since their cases have millions of states with the rule, and
//! that of [`OldEpochCounts`](rules::Mutation::OldEpochCounts) takes a minute and is ignored unless
//! asked for. That the wants of a late ask must not count
//! ([`LateWantsCount`](rules::Mutation::LateWantsCount)) is modelled, and no counterexample was found in
//! the sizes that were tried; nor was one for [`ClaimedReused`](rules::Mutation::ClaimedReused), which a
//! random walk of the scheduler found. A part is quota / replicas by what the replica heard last: whoever heard
//! last that it is alone has all of the quota for its part. In the product there are at least as many
//! replicas as are configured, so a part is smaller.

pub mod calm;
pub mod case;
pub mod cases;
pub mod rename;
pub mod replica;
pub mod rules;
pub mod store;
pub mod world;

#[cfg(test)]
mod tests;
