//! Numbers by chance that a seed repeats: `SplitMix64`.

/// A sequence of numbers that depends on its seed only.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(pub(crate) u64);

// === impl SplitMix ===

impl SplitMix {
    /// The next of them.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
