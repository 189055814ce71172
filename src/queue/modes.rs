//! For which calls limits are kept and which are only watched. Pure.
//!
//! What was said while it runs counts over what the file says, and what is said of a method over what
//! is said of all, unless it was said before.

use std::{collections::BTreeMap, sync::Arc};

use slack::{Method, Mode};

/// The modes that are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// The file's, for methods of which it says nothing else.
    file: Mode,
    /// What was said while it runs.
    said: Option<Mode>,
    /// What was said since then of methods.
    methods: BTreeMap<Arc<str>, Mode>,
}

// === impl Modes ===

impl Modes {
    /// What the file says.
    pub fn configure(&mut self, file: Mode) {
        self.file = file;
    }

    /// Says it of all calls, whatever was said before; or of those of one method.
    pub fn say(&mut self, mode: Mode, method: Option<&Arc<str>>) {
        if let Some(method) = method {
            self.methods.insert(Arc::clone(method), mode);
        } else {
            self.said = Some(mode);
            self.methods.clear();
        }
    }

    /// Whether calls of a method are only watched; none stands for calls that are forwarded.
    pub fn is_shadow(&self, method: Option<&Method>) -> bool {
        let own = method.and_then(|method| self.methods.get(&method.name)).copied();
        let mode = own.or(self.said).or(method.and_then(|method| method.mode)).unwrap_or(self.file);
        mode == Mode::Shadow
    }

    /// The same file, and what was said otherwise.
    #[must_use]
    pub fn with(
        &self,
        said: Option<Mode>,
        methods: impl IntoIterator<Item = (Arc<str>, Mode)>,
    ) -> Self {
        Self { file: self.file, said, methods: methods.into_iter().collect() }
    }

    /// What was said of all calls while it runs.
    pub fn said(&self) -> Option<Mode> {
        self.said
    }

    /// The mode of calls of which nothing else is said.
    pub fn proxy(&self) -> Mode {
        self.said.unwrap_or(self.file)
    }

    /// What was said of methods while it runs.
    pub fn methods(&self) -> impl Iterator<Item = (&Arc<str>, Mode)> {
        self.methods.iter().map(|(name, mode)| (name, *mode))
    }
}

#[cfg(test)]
mod tests {
    use slack::{AppKind, Catalogue};

    use super::*;

    /// Red when the file's word on a method outlasts a switch, and when an older word on a method does.
    #[test]
    fn what_is_said_last_counts() {
        let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
        let plain = Method::clone(catalogue.method("chat.update"));
        let shadow = Method { mode: Some(Mode::Shadow), ..plain.clone() };
        let mut modes = Modes::default();
        let seen = |modes: &Modes| {
            [None, Some(&plain), Some(&shadow)].map(|method| modes.is_shadow(method))
        };
        assert_eq!(seen(&modes), [false, false, true]);
        modes.configure(Mode::Shadow);
        assert_eq!(seen(&modes), [true, true, true]);
        modes.say(Mode::Enforce, None);
        assert_eq!(seen(&modes), [false, false, false]);
        modes.say(Mode::Shadow, Some(&plain.name));
        assert_eq!(seen(&modes), [false, true, true]);
        modes.say(Mode::Enforce, None);
        assert_eq!(seen(&modes), [false, false, false]);
    }
}
