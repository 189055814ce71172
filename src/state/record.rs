//! One line of the file: a checksum and what it says.
//!
//! Lines can be read by people, and after a damaged one the next is found again.

use std::sync::Arc;

use limits::{Dimension, Scope};
use serde::{Deserialize, Serialize};
use slack::{Facts, TokenHash};

use super::clock::{ClockReading, Micros};
use crate::{identity::Learnt, pauses::Paused};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Record {
    /// The times that follow are of this clock.
    Clock(ClockReading),
    /// All was written that there was.
    Closed(ClockReading),
    /// Nobody knows what was taken before.
    Doubt(Micros),
    /// What the bucket of that number is.
    Bucket {
        id: u32,
        limit: Arc<str>,
        #[serde(with = "scope")]
        by: Scope,
        values: Arc<str>,
        per: Micros,
        ages: Ages,
    },
    /// A call took a slot in each of these buckets.
    Grant(u64, Micros, Vec<u32>),
    /// The same, where the slots that age from the grant are told by themselves.
    Flying(u64, Micros, Vec<u32>),
    /// It has ended, and its slots age from then; without a time they are free.
    End(u64, Option<Micros>),
    /// Slots of a bucket, by when they began to age.
    Slots(u32, Vec<Micros>),
    /// A bucket is closed until then.
    Freeze(u32, Micros),
    /// What a bucket has learnt of its limit.
    Learnt(u32, Lesson),
    /// It has forgotten that.
    Forgot(u32),
    /// What counted for one identity counts for another.
    Rename {
        #[serde(with = "scope")]
        of: Scope,
        from: Arc<str>,
        to: Arc<str>,
    },
    /// Whose a token is, by its SHA-256.
    Token { sha256: String, facts: Facts },
    /// All that the operator has paused.
    Paused(Vec<Paused>),
    /// By that name the store of shared limits knows a process: this one, or one that has ended, since
    /// then.
    Name(String, Option<Micros>),
    /// Of which lock the file is: its device and its number there.
    Lock(u64, u64),
    /// It was written then.
    Written(Micros),
    /// Of which app a bot is.
    Bot { workspace: Arc<str>, bot: Arc<str>, app: Arc<str> },
}

/// What a bucket has learnt of its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lesson {
    /// What was documented then.
    pub(super) documented: u32,
    pub(super) per: Micros,
    /// What is believed.
    pub(super) quota: u32,
    pub(super) period: Micros,
    pub(super) refused: Option<u32>,
    pub(super) bursts: bool,
    pub(super) since: Option<Micros>,
    /// When it mattered last.
    pub(super) used: Micros,
}

/// From when a bucket's slots age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ages {
    /// From the answer.
    Answer,
    /// From the grant.
    Grant,
    /// They end with the call.
    Never,
}

/// The length of a checksum and the blank after it.
const SUM: usize = 9;

// === impl Record ===

impl Record {
    /// Appends the line.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        let start = text.len();
        text.extend_from_slice(&[b' '; SUM]);
        // A record can always be written as JSON.
        let _ = serde_json::to_writer(&mut *text, self);
        let sum = crc32fast::hash(&text[start + SUM..]);
        text[start..start + SUM - 1].copy_from_slice(format!("{sum:08x}").as_bytes());
        text.push(b'\n');
    }

    /// Reads a line without its end; nothing if it is damaged.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let (sum, json) = line.split_at_checked(SUM)?;
        let sum = u32::from_str_radix(str::from_utf8(sum).ok()?.strip_suffix(' ')?, 16).ok()?;
        if crc32fast::hash(json) != sum {
            return None;
        }
        serde_json::from_slice(json).ok()
    }

    pub(super) fn learnt(learnt: &Learnt) -> Self {
        match learnt {
            Learnt::Token(token, facts) => {
                Self::Token { sha256: token.to_hex(), facts: facts.clone() }
            }
            Learnt::Bot { workspace, bot, app } => Self::Bot {
                workspace: Arc::clone(workspace),
                bot: Arc::clone(bot),
                app: Arc::clone(app),
            },
        }
    }

    /// The token of [`Self::Token`].
    pub(super) fn token(sha256: &str) -> Option<TokenHash> {
        TokenHash::from_hex(sha256)
    }
}

/// A scope as the names of its dimensions.
mod scope {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::{Dimension, Scope};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: Serializer>(scope: &Scope, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(scope.iter().map(Dimension::as_str))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Scope, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        let by = names.iter().map(|name| Dimension::parse(name).ok_or(name));
        let by: Result<Vec<_>, _> = by.collect();
        let by = by.map_err(|name| D::Error::custom(format_args!("no dimension: {name:?}")))?;
        Ok(Scope::of(&by))
    }
}
