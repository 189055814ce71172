//! How large a part is: of a window, and of a class's turns.

use core::num::NonZeroU8;

/// The part of a window that background calls may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

/// How large a caller's part is: one of weight 3 has three turns where one of weight 1 has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(NonZeroU8);

// === impl Share ===

impl Share {
    /// That part of one: above 0, and 1 at most.
    pub fn new(part: f64) -> Option<Self> {
        (part > 0.0 && part <= 1.0).then_some(Self(part))
    }

    /// Its slots of a window that has so many.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a u32 that is not negative is one, and the cast rounds down"
    )]
    pub fn of(self, quota: u32) -> u32 {
        (f64::from(quota) * self.0) as u32
    }
}

/// Three quarters.
impl Default for Share {
    fn default() -> Self {
        Self(0.75)
    }
}

// === impl Weight ===

impl Weight {
    /// The weight of whoever has none of its own.
    pub const ONE: Self = Self(NonZeroU8::MIN);

    /// So many turns where others have one.
    pub const fn new(weight: NonZeroU8) -> Self {
        Self(weight)
    }

    /// As a number.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}
