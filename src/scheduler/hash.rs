//! A quick hash for the scheduler's tables.
//!
//! Every call looks a handful of keys up, and the usual hash costs as much as all the rest of a
//! look-up. This one multiplies each eight bytes into the state and folds the product. It is
//! seeded anew in each process, so nobody outside can choose names that collide.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes the hashers of one table.
#[derive(Clone, Debug)]
pub(super) struct Quick {
    seed: u64,
}

/// The state.
#[derive(Clone, Debug)]
pub(super) struct Folding(u64);

/// Odd, and with as many ones as zeros: the fraction of pi.
const FACTOR: u64 = 0x243f_6a88_85a3_08d3;

// === impl Quick ===

impl Default for Quick {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(FACTOR) }
    }
}

impl BuildHasher for Quick {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(self.seed)
    }
}

// === impl Folding ===

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
        // Both halves are below 2^64.
        self.0 = u64::try_from(low ^ high).unwrap_or_default();
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}
