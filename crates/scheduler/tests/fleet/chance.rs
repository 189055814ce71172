//! Numbers by chance that a seed repeats: `SplitMix64`.

use std::time::Duration;

/// A sequence of numbers that depends on its seed only.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

// === impl Chance ===

impl Chance {
    /// The sequence of that seed for that purpose.
    pub(super) fn of(seed: u64, purpose: u64) -> Self {
        let mut chance = Self(seed ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03));
        chance.next();
        chance
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(super) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    /// Whether one of so many parts per thousand hits.
    pub(super) fn hits(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.below(1000) < per_mille
    }

    /// Between 0 and 1.
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    pub(super) fn part(&mut self) -> f64 {
        (self.next() >> 32) as f64 / f64::from(u32::MAX)
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from * 1000 + self.below((to - from) * 1000))
    }

    pub(super) fn seconds(&mut self, from: u64, to: u64) -> Duration {
        self.millis(from * 1000, to * 1000)
    }

    /// The time to the next of what happens after `mean` on average, at any moment.
    pub(super) fn after(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.part() * 0.999_999).ln())
    }

    /// One of so many, the first ones far more often: as large and small workspaces are.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand at most"
    )]
    pub(super) fn ranked(&mut self, count: usize) -> usize {
        let rank = ((count as f64 + 1.0).ln() * self.part()).exp() as usize;
        rank.clamp(1, count) - 1
    }
}
