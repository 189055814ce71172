//! What things are called in the store.
//!
//! No secret is in a name: a bucket's values have tokens and paths of webhooks as the first bytes of
//! their hash only, as everywhere else.

use std::sync::Arc;

use crc32fast::Hasher;
use limits::{AgeFrom, BucketKey, Limit, Rule, Scope, Values};
use scheduler::Shard;

/// The beginning of all names: the operator's prefix, and the version of the scripts. Scripts that
/// do not understand each other have names of their own, so two versions never share a bucket.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Arc<str>,
    base: Arc<str>,
}

/// The version of what the scripts read and write.
pub(super) const VERSION: u32 = 2;

/// Earlier versions that do not write [`Keys::versions`].
const SILENT: [u32; 1] = [1];

/// Into how many groups the buckets are divided: each lives in one slot of a cluster.
pub(super) const SHARDS: u8 = 16;

/// What is of no group: it lives in a slot of its own.
pub(super) const OF_ALL: Shard = Shard(SHARDS);

/// How many slots of a cluster are used: that of each group, and that of what is of none.
pub(super) const SLOTS_USED: usize = SHARDS as usize + 1;

/// All groups, and what is of none.
pub(super) fn all() -> impl Iterator<Item = Shard> {
    (0..=SHARDS).map(Shard)
}

/// The hash tag of a group's keys, which decides in which slot of a cluster they are.
pub(super) fn tag(shard: Shard) -> String {
    if shard == OF_ALL { "f".into() } else { shard.0.to_string() }
}

// === impl Keys ===

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), base: format!("{prefix}:{VERSION}:").into() }
    }

    /// The members of a group.
    pub(super) fn members(&self, shard: Shard) -> String {
        self.of(shard, "m")
    }

    /// The versions whose members were heard. All versions have this one name.
    pub(super) fn versions(&self, shard: Shard) -> String {
        format!("{}:{{{}}}:v", self.prefix, shard.0)
    }

    /// The members of a group, for versions that do not say there that they are used.
    pub(super) fn members_of_before(&self, shard: Shard) -> impl Iterator<Item = String> {
        SILENT
            .into_iter()
            .map(move |version| format!("{}:{version}:{{{}}}:m", self.prefix, shard.0))
    }

    /// Of which part of each bucket is used.
    pub(super) fn used(&self, shard: Shard) -> String {
        self.of(shard, "h")
    }

    /// When slots of replicas that are gone become free.
    pub(super) fn orphans(&self, shard: Shard) -> String {
        self.of(shard, "o")
    }

    /// The beginning of the buckets of a group.
    pub(super) fn buckets(&self, shard: Shard) -> String {
        self.of(shard, "b:")
    }

    /// The beginning of the replicas' channels.
    pub(super) fn channels(&self) -> String {
        format!("{}i:", self.base)
    }

    /// What all know, whatever the group of a bucket.
    pub(super) fn of_all(&self, what: &str) -> String {
        self.of(OF_ALL, what)
    }

    /// The channel on which all are told.
    pub(super) fn channel_of_all(&self) -> String {
        format!("{}i:all", self.base)
    }

    fn of(&self, shard: Shard, what: &str) -> String {
        format!("{}{{{}}}:{what}", self.base, tag(shard))
    }
}

/// The limit of the proxy's own question for a token's identity. A call waits for that a second at
/// most, so the question does not wait for the store: else it would count with an identity that is not
/// known yet, in each replica until another moment. Its quota is far above what replicas ask.
const OWN_QUESTION: &str = "auth_test";

/// The group of a bucket that is shared.
pub(super) fn shared(key: &BucketKey) -> Option<Shard> {
    (*key.limit.name != *OWN_QUESTION).then(|| shard(key))
}

/// The group of a bucket: the same in every replica.
pub(super) fn shard(key: &BucketKey) -> Shard {
    let mut hasher = Hasher::new();
    hasher.update(key.limit.name.as_bytes());
    hasher.update(b":");
    hasher.update(key.values.as_str().as_bytes());
    let [last, ..] = hasher.finalize().to_le_bytes();
    Shard(last % SHARDS)
}

/// The name of a bucket. The first colon ends the name of its limit.
pub(super) fn name(key: &BucketKey) -> String {
    let limit = &*key.limit.name;
    if limit.contains([':', '%']) {
        let limit = limit.replace('%', "%25").replace(':', "%3A");
        return format!("{limit}:{}", key.values);
    }
    format!("{limit}:{}", key.values)
}

/// The bucket of that name. Its limit has only a name.
pub(super) fn bucket(name: &str) -> Option<BucketKey> {
    let (limit, values) = name.split_once(':')?;
    let limit = Limit {
        name: limit.replace("%3A", ":").replace("%25", "%").into(),
        rule: Rule::Open,
        scope: Scope::default(),
        age_from: AgeFrom::default(),
    };
    Some(BucketKey { limit: Arc::new(limit), values: Values::from(values) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a limit's name is not escaped.
    #[test]
    fn a_bucket_is_found_by_its_name() {
        for (limit, values) in [("tier2", "A1/T1/chat.update"), ("my:own%3A", "C1:2/~abc")] {
            let mut key = bucket(&format!("x:{values}")).unwrap();
            Arc::make_mut(&mut key.limit).name = limit.into();
            assert_eq!(bucket(&name(&key)).as_ref(), Some(&key), "{}", name(&key));
        }
    }

    /// Replicas of all versions have to agree on it.
    #[test]
    fn a_bucket_has_its_group() {
        let groups = ["tier2:A1/T1/chat.update", "post:A1/T1/C1", "tier3:A1/T1/users.list"];
        let groups = groups.map(|name| shard(&bucket(name).unwrap()).0);
        assert_eq!(groups, [14, 11, 11]);
    }
}
