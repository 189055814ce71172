//! What the operator has paused. Pure, and made to be written down and read again: a pause outlives
//! the process that it was told.

use std::{collections::BTreeMap, fmt, sync::Arc};

use config::CallerName;
use limits::{BucketKey, Dimension};
use serde::{Deserialize, Serialize};
use slack::PAUSED;

/// All that is paused, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    methods: BTreeMap<Arc<str>, Paused>,
    callers: BTreeMap<Arc<str>, Paused>,
    workspaces: BTreeMap<Arc<str>, Paused>,
}

/// What can be paused, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A method of the catalogue; `other` is all that are not in it.
    Method(Arc<str>),
    /// A caller.
    Caller(CallerName),
    /// A workspace.
    Workspace(Arc<str>),
}

/// A pause that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when, in milliseconds of Unix time.
    pub since: u64,
    /// Whether calls are shed at once, and not held.
    pub shed: bool,
}

/// A pause as it is written down: `{"caller":"cleanup","since":1770000000000,"shed":false}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// What is paused.
    #[serde(flatten)]
    pub target: Target,
    /// Since when, in milliseconds of Unix time.
    pub since: u64,
    /// Whether calls are shed at once, and not held.
    pub shed: bool,
}

/// What a pause did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// It is on from now on.
    New,
    /// It was on, and now sheds where it held, or holds where it shed.
    Changed,
    /// It was on already.
    Already,
}

/// As much is paused as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} things are paused already, and more cannot be; resume one first")]
pub struct TooMany;

/// What the pauses make of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meets {
    /// It waits behind these gates, if any.
    Gates(Vec<BucketKey>),
    /// It is shed at once; this is what is paused.
    Shed(BucketKey),
}

/// Who a call is to the pauses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'c> {
    pub(crate) method: Option<&'c str>,
    pub(crate) caller: &'c str,
    pub(crate) buckets: &'c [BucketKey],
}

/// So many pauses there may be at once.
pub const MOST: usize = 1000;

// === impl Pauses ===

impl Pauses {
    /// Pauses something from `now` on, in milliseconds of Unix time.
    ///
    /// # Errors
    /// If too much is paused already.
    pub fn pause(&mut self, target: &Target, now: u64, shed: bool) -> Result<Began, TooMany> {
        let full = self.len() >= MOST;
        let pauses = self.of_kind(target);
        match pauses.get_mut(target.name()) {
            Some(pause) if pause.shed == shed => Ok(Began::Already),
            Some(pause) => {
                pause.shed = shed;
                Ok(Began::Changed)
            }
            None if full => Err(TooMany),
            None => {
                let new = Paused { target: target.clone(), since: now, shed };
                pauses.insert(Arc::clone(target.name()), new);
                Ok(Began::New)
            }
        }
    }

    /// Ends a pause, and tells which; none if it was not on.
    pub fn resume(&mut self, target: &Target) -> Option<Pause> {
        let Paused { since, shed, .. } = self.of_kind(target).remove(target.name())?;
        Some(Pause { since, shed })
    }

    /// The pause of that, if it is on.
    pub(crate) fn get(&mut self, target: &Target) -> Option<Paused> {
        self.of_kind(target).get(target.name()).cloned()
    }

    /// All that is paused: methods, callers, workspaces, each by name.
    pub fn list(&self) -> impl Iterator<Item = Paused> {
        let all = self.methods.values().chain(self.callers.values());
        all.chain(self.workspaces.values()).cloned()
    }

    /// What was written down is paused again. Of too many the rest is not.
    pub fn restore(written: impl IntoIterator<Item = Paused>) -> Self {
        let mut pauses = Self::default();
        for paused in written.into_iter().take(MOST) {
            let name = Arc::clone(paused.target.name());
            pauses.of_kind(&paused.target).insert(name, paused);
        }
        pauses
    }

    /// How many things are paused.
    pub fn len(&self) -> usize {
        self.methods.len() + self.callers.len() + self.workspaces.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether some workspace is paused.
    pub(crate) fn has_workspaces(&self) -> bool {
        !self.workspaces.is_empty()
    }

    /// What the pauses make of a call.
    pub(crate) fn meet(&self, call: Who<'_>) -> Meets {
        if self.is_empty() {
            return Meets::Gates(Vec::new());
        }
        let method = call.method.and_then(|name| self.methods.get_key_value(name));
        let caller = self.callers.get_key_value(call.caller);
        let workspace = workspace_of(call.buckets);
        let workspace = workspace.and_then(|name| self.workspaces.get_key_value(name));
        let mut gates = Vec::new();
        for (limit, pause) in PAUSED.iter().zip([method, caller, workspace]) {
            let Some((name, pause)) = pause else { continue };
            let gate = BucketKey { limit: Arc::clone(limit), values: Arc::clone(name).into() };
            if pause.shed {
                return Meets::Shed(gate);
            }
            gates.push(gate);
        }
        Meets::Gates(gates)
    }

    fn of_kind(&mut self, target: &Target) -> &mut BTreeMap<Arc<str>, Paused> {
        match target {
            Target::Method(_) => &mut self.methods,
            Target::Caller(_) => &mut self.callers,
            Target::Workspace(_) => &mut self.workspaces,
        }
    }
}

/// The workspace that a call counts for, by the name that it is known by now.
fn workspace_of(buckets: &[BucketKey]) -> Option<&str> {
    buckets.iter().find_map(|key| key.value(Dimension::Workspace))
}

// === impl Target ===

impl Target {
    /// What kinds of things can be paused.
    pub const KINDS: [&str; 3] = ["method", "caller", "workspace"];

    /// The thing of that kind and name; none for a kind that cannot be paused.
    pub fn of(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "method" => Some(Self::Method(name.into())),
            "caller" => CallerName::new(name).ok().map(Self::Caller),
            "workspace" => Some(Self::Workspace(name.into())),
            _ => None,
        }
    }

    /// What kind of thing it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Method(_) => "method",
            Self::Caller(_) => "caller",
            Self::Workspace(_) => "workspace",
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Method(name) | Self::Workspace(name) => name,
            Self::Caller(name) => name.shared(),
        }
    }

    /// The bucket that holds its calls while it is paused.
    pub(crate) fn gate(&self) -> BucketKey {
        let [method, caller, workspace] = &*PAUSED;
        let limit = match self {
            Self::Method(_) => method,
            Self::Caller(_) => caller,
            Self::Workspace(_) => workspace,
        };
        BucketKey { limit: Arc::clone(limit), values: Arc::clone(self.name()).into() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused(kind: &str, name: &str) -> Target {
        Target::of(kind, name).unwrap()
    }

    #[test]
    fn a_pause_is_on_once_and_over_once() {
        let mut pauses = Pauses::default();
        let target = paused("caller", "cleanup");
        assert_eq!(pauses.pause(&target, 7, false), Ok(Began::New));
        assert_eq!(pauses.pause(&target, 8, false), Ok(Began::Already));
        assert_eq!(pauses.pause(&target, 9, true), Ok(Began::Changed));
        assert_eq!(pauses.resume(&paused("method", "cleanup")), None);
        assert_eq!(pauses.resume(&target), Some(Pause { since: 7, shed: true }));
        assert_eq!(pauses.resume(&target), None);
        assert!(pauses.is_empty());
    }

    #[test]
    fn what_is_written_down_is_paused_again() {
        let mut pauses = Pauses::default();
        for (kind, name) in [("workspace", "T1"), ("caller", "a/b"), ("method", "chat.update")] {
            pauses.pause(&paused(kind, name), 1_770_000_000_000, kind == "caller").unwrap();
        }
        let text = serde_json::to_string(&pauses.list().collect::<Vec<_>>()).unwrap();
        assert!(text.contains(r#"{"caller":"a/b","since":1770000000000,"shed":true}"#), "{text}");
        let read: Vec<Paused> = serde_json::from_str(&text).unwrap();
        assert_eq!(Pauses::restore(read), pauses);
    }

    /// Red when the set has no bound.
    #[test]
    fn so_much_can_be_paused_and_no_more() {
        let mut pauses = Pauses::default();
        for n in 0..MOST {
            pauses.pause(&paused("caller", &n.to_string()), 0, false).unwrap();
        }
        assert_eq!(pauses.pause(&paused("caller", "one more"), 0, false), Err(TooMany));
        assert_eq!(pauses.pause(&paused("caller", "0"), 0, true), Ok(Began::Changed));
        let many = (0..MOST + 5).map(|n| n.to_string());
        let many =
            many.map(|name| Paused { target: paused("method", &name), since: 0, shed: false });
        assert_eq!(Pauses::restore(many).len(), MOST);
    }
}
