//! What operators say at one replica holds at all: pauses, and which calls are only watched.

use std::sync::Arc;

use slack::Mode;

use super::{Admission, modes::Modes};
use crate::pauses::{Paused, Pauses, Target};

/// Something that an operator has said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// That is paused.
    Paused(Paused),
    /// That is no longer.
    Resumed(Target),
    /// The mode of all calls, whatever was said before; or of those of one method.
    Mode(Mode, Option<Arc<str>>),
}

/// All that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllSaid {
    /// What is paused.
    pub paused: Vec<Paused>,
    /// The mode of all calls, if it was said.
    pub mode: Option<Mode>,
    /// That of those of a method.
    pub methods: Vec<(Arc<str>, Mode)>,
}

/// What is to be told to the others; nothing is where there are none.
#[derive(Debug, Default)]
pub(super) struct ToSay {
    shared: bool,
    said: Vec<Said>,
}

/// So much is kept to be told. Of more, the oldest is not.
const MOST: usize = 2048;

// === impl ToSay ===

impl ToSay {
    pub(super) fn share(&mut self) {
        self.shared = true;
    }

    pub(super) fn has(&self) -> bool {
        !self.said.is_empty()
    }

    pub(super) fn say(&mut self, said: Said) {
        if self.shared {
            if self.said.len() >= MOST {
                self.said.remove(0);
            }
            self.said.push(said);
        }
    }
}

// === impl AllSaid ===

impl AllSaid {
    /// It was said after the rest.
    fn then(&mut self, said: &Said) {
        match said {
            Said::Paused(paused) => {
                self.paused.retain(|other| other.target != paused.target);
                self.paused.push(paused.clone());
            }
            Said::Resumed(target) => self.paused.retain(|other| other.target != *target),
            Said::Mode(mode, None) => (self.mode, self.methods) = (Some(*mode), Vec::new()),
            Said::Mode(mode, Some(method)) => {
                self.methods.retain(|(other, _)| other != method);
                self.methods.push((Arc::clone(method), *mode));
            }
        }
    }
}

// === impl Admission ===

impl Admission {
    /// Moves what operators have said here into `out`.
    pub fn move_said(&self, out: &mut Vec<Said>) {
        out.append(&mut self.shared.lock().to_say.said);
    }

    /// The others could not be told that, which was said before anything that is to be told now.
    pub fn say_again(&self, mut said: Vec<Said>) {
        let mut state = self.shared.lock();
        said.append(&mut state.to_say.said);
        state.to_say.said = said;
    }

    /// Whether there is something to tell the others.
    pub fn has_said(&self) -> bool {
        self.shared.lock().to_say.has()
    }

    /// What operators have said, as it is here.
    pub fn all_said(&self) -> AllSaid {
        let state = self.shared.lock();
        let methods = state.modes.methods().map(|(method, mode)| (Arc::clone(method), mode));
        AllSaid {
            paused: state.pauses.list().collect(),
            mode: state.modes.said(),
            methods: methods.collect(),
        }
    }

    /// All that operators have said holds here, and what was said here since. Whether that is new.
    pub fn hold_to(&self, mut all: AllSaid) -> bool {
        let mut state = self.shared.lock();
        state.to_say.said.iter().for_each(|said| all.then(said));
        let pauses = Pauses::restore(all.paused);
        let modes = state.modes.with(all.mode, all.methods);
        let (new_pauses, new_modes) = (pauses != state.pauses, modes != state.modes);
        let now = self.shared.now();
        if new_modes {
            state.modes = modes;
            state.let_watched_go(now, Modes::is_shadow);
        }
        if new_pauses {
            state.pauses = pauses;
            state.gate(now, |_| true);
        }
        state.pump(&self.shared, now);
        drop(state);
        if new_pauses {
            self.keep_pauses();
        }
        new_pauses || new_modes
    }
}
