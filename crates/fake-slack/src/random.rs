//! Numbers by chance that a seed repeats: `SplitMix64`, enough for latencies and offsets.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

/// A sequence of numbers that depends on its seed only.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

/// A share of `span`, below it, that depends on `seed` and `of` only.
pub(super) fn share_of(span: Duration, seed: u64, of: &impl Hash) -> Duration {
    // Unlike a map's hasher this one is the same in every process.
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    of.hash(&mut hasher);
    Random::new(hasher.finish()).up_to(span)
}

// === impl Random ===

impl Random {
    /// The sequence of that seed.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A duration below `most`; zero if that is zero.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        // The upper half of the product is uniform below `most`, without a division.
        let nanos = (u128::from(self.next()) * u128::from(most)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether a thing happens that happens in that part of all cases.
    pub(super) fn hits(&mut self, part: f64) -> bool {
        // As many bits as a float holds.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < part
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
