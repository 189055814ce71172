//! What people call a workspace and a bot, for the pages that operators read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use console::table::shown;
use foldhash::fast::RandomState;
use lru::LruCache;
use slack::instead_of_token;

/// The name of an id. Clones share them.
#[derive(Clone, Debug)]
pub struct Names {
    by_id: Arc<Mutex<ById>>,
}

type ById = LruCache<Arc<str>, Arc<str>, RandomState>;

/// So many are known at once; of more, those that were told last.
const KNOWN: usize = 4_096;
/// The longest name that is shown whole, in characters.
const LONGEST: usize = 60;

// === impl Names ===

impl Default for Names {
    fn default() -> Self {
        let by_id = LruCache::unbounded_with_hasher(RandomState::default());
        Self { by_id: Arc::new(Mutex::new(by_id)) }
    }
}

impl Names {
    /// The thing with that id has this name. Who may rename it chooses the text: what could be a token,
    /// and what would not be shown as it is, is left out.
    pub(super) fn tell(&self, id: &Arc<str>, name: &str) {
        let name: String = shown(name).chars().take(LONGEST).collect();
        if name.is_empty() || instead_of_token(&name).is_some() {
            return;
        }
        let mut by_id = self.lock();
        if by_id.len() >= KNOWN && !by_id.contains(id) {
            by_id.pop_lru();
        }
        by_id.put(Arc::clone(id), name.into());
    }

    /// What had one id has the other from now on.
    pub(super) fn moved(&self, from: &str, to: &Arc<str>) {
        let name = self.lock().pop(from);
        if let Some(name) = name {
            self.tell(to, &name);
        }
    }

    /// All that are known.
    pub fn all(&self) -> HashMap<Arc<str>, Arc<str>> {
        self.lock().iter().map(|(id, name)| (Arc::clone(id), Arc::clone(name))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, ById> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(names: &Names, id: &str) -> Option<String> {
        names.all().get(id).map(ToString::to_string)
    }

    /// Red when a name is shown that turns the line, holds a token, or has no end.
    #[test]
    fn a_name_is_text_that_can_be_shown() {
        let names = Names::default();
        let id: Arc<str> = "T1".into();
        names.tell(&id, "Ac\u{1b}me\u{202e}\n");
        assert_eq!(name(&names, "T1").unwrap(), "Acme");
        for useless in ["", "\n", "xoxb-1-2"] {
            names.tell(&id, useless);
            assert_eq!(name(&names, "T1").unwrap(), "Acme", "{useless:?}");
        }
        names.tell(&id, &"é".repeat(100));
        assert_eq!(name(&names, "T1").unwrap().chars().count(), LONGEST);
    }

    #[test]
    fn a_name_goes_along_when_its_id_changes() {
        let names = Names::default();
        names.tell(&"B1".into(), "helper");
        names.moved("B1", &"A1".into());
        assert_eq!((name(&names, "B1"), name(&names, "A1").as_deref()), (None, Some("helper")));
        names.moved("B2", &"A1".into());
        assert_eq!(name(&names, "A1").as_deref(), Some("helper"));
    }

    #[test]
    fn they_are_bounded() {
        let names = Names::default();
        (0..KNOWN + 9).for_each(|n| names.tell(&n.to_string().into(), "a"));
        assert_eq!(names.all().len(), KNOWN);
    }
}
