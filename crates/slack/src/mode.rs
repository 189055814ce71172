//! Whether limits are kept, or calls are only watched.

/// What is done with a call that its limits have no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is held, or shed.
    #[default]
    Enforce,
    /// It goes all the same; what would have been is counted.
    Shadow,
}

// === impl Mode ===

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Enforce, Self::Shadow];

    /// The name in configuration and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }

    /// The mode of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}
