//! The members of a group, and those that were some until lately.

use std::time::Duration;

use tokio::time::Instant;

/// Who is a member, as the store said last, and who was one lately.
///
/// A member that was forgotten is named as long as its slots may be in use: if the store loses its
/// memory, it has to wait for it, too.
#[derive(Debug, Default)]
pub(super) struct Members {
    here: Vec<String>,
    /// With when each was missed first, in that order.
    left: Vec<(String, Instant)>,
}

/// How many are named at most that are no members any more: those that were missed last.
const LEFT: usize = 64;

// === impl Members ===

impl Members {
    /// The store says who they are. Whoever is none any more is named for `ages`.
    pub(super) fn are(&mut self, now: Instant, members: Vec<String>, ages: Duration) {
        let before = std::mem::replace(&mut self.here, members);
        let missed = before.into_iter().filter(|name| !self.here.contains(name));
        self.left.extend(missed.map(|name| (name, now)));
        let here = &self.here;
        self.left.retain(|(name, since)| now - *since <= ages && !here.contains(name));
        let too_many = self.left.len().saturating_sub(LEFT);
        self.left.drain(..too_many);
    }

    /// This replica goes on by another name, under which it tells what it uses. Nobody has to wait for the
    /// one that it had.
    pub(super) fn renames(&mut self, own: &str) {
        self.here.retain(|name| name != own);
        self.left.retain(|(name, _)| name != own);
    }

    pub(super) fn count(&self) -> usize {
        self.here.len()
    }

    /// All whom a store has to wait for that has lost its memory.
    pub(super) fn names(&self, now: Instant, ages: Duration) -> impl Iterator<Item = &str> {
        let left = self.left.iter().filter(move |(_, since)| now - *since <= ages);
        self.here.iter().chain(left.map(|(name, _)| name)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGES: Duration = Duration::from_secs(60);

    fn members(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Red when a member is not named any more that the store has forgotten, and when it is for ever.
    #[test]
    fn who_was_forgotten_is_named_for_a_while() {
        let now = Instant::now();
        let mut known = Members::default();
        known.are(now, members(&["a", "b"]), AGES);
        known.are(now, members(&["a"]), AGES);
        // It goes on by another name.
        known.are(now + AGES / 2, members(&["c"]), AGES);
        let names = |known: &Members, now| known.names(now, AGES).collect::<Vec<_>>().join(" ");
        assert_eq!((known.count(), &*names(&known, now + AGES)), (1, "c b a"));
        assert_eq!(names(&known, now + AGES + AGES / 2), "c a");
        // A store of before has it still.
        known.are(now + AGES, members(&["a"]), AGES);
        assert_eq!(names(&known, now + AGES), "a b c");
        known.are(now + AGES * 2, members(&[]), AGES);
        assert_eq!(names(&known, now + AGES * 2), "c a");
    }

    /// Red when a store is told to wait for a name that is nobody's any more.
    #[test]
    fn a_name_that_was_given_up_is_not_named() {
        let now = Instant::now();
        for members_since in [&["a", "b"][..], &["b"]] {
            let mut known = Members::default();
            known.are(now, members(&["a", "b"]), AGES);
            known.are(now, members(members_since), AGES);
            known.renames("a");
            assert_eq!(known.names(now, AGES).collect::<Vec<_>>(), ["b"]);
        }
    }

    /// Red when names are kept without a bound.
    #[test]
    fn many_that_come_and_go_are_not_all_named() {
        let now = Instant::now();
        let mut known = Members::default();
        for n in 0..1_000 {
            known.are(now, vec![n.to_string()], AGES);
        }
        assert_eq!(known.names(now, AGES).count(), 1 + LEFT);
        assert!(known.names(now, AGES).any(|name| name == "998"));
    }
}
