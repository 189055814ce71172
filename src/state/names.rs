//! By which names the store of shared limits knows the processes of this file. Pure: time is an
//! argument.
//!
//! Whoever takes a file over tells that store what the processes before used, and that they have ended.
//! Their slots are free then, so it must not be said of a process that lives, nor if the file may not
//! know all that one used. A lock is held by one process at a time, but a copy of a file has another
//! lock. So names count only
//!
//! - under the lock under which they were written, on the machine as it has been running since;
//! - if nothing has changed the file since it was written: an older copy may have been put in its place.
//!
//! In any other case they are dropped: the other replicas wait until that store forgets them.

use super::{clock::Micros, record::Record};

/// The names, and what tells whether they can be believed.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each with since when it has ended, if so. The oldest first.
    all: Vec<(String, Option<Micros>)>,
    /// Of which lock the file is.
    pub(super) lock: Option<(u64, u64)>,
    /// When it was written, as far as it says so.
    pub(super) written: Micros,
}

/// So many are kept. Of more, those that came last.
const MOST: usize = 16;
/// So long they are kept after their end: no slot counts for longer.
const KEPT: Micros = 3_600_000_000;
/// How often the file says that it was written, at most.
const OFTEN: Micros = 1_000_000;
/// How much later than it says so it may have been.
const LATER: Micros = 2 * OFTEN;

// === impl Names ===

impl Names {
    pub(super) fn add(&mut self, name: String, ended: Option<Micros>) {
        self.all.retain(|(other, _)| *other != name);
        self.all.push((name, ended));
        let too_many = self.all.len().saturating_sub(MOST);
        self.all.drain(..too_many);
    }

    /// The file was found under that lock, and was changed then. Drops the names if it may be another
    /// file than the one in which they were written.
    pub(super) fn are_of(&mut self, lock: Option<(u64, u64)>, changed: Micros) {
        let is_same = lock.is_some() && lock == self.lock;
        if !is_same || changed > self.written.saturating_add(LATER) {
            self.forget();
        }
    }

    /// None of them can be believed.
    pub(super) fn forget(&mut self) {
        self.all.clear();
    }

    /// All processes that had them have ended.
    pub(super) fn end(&mut self, now: Micros) {
        self.all.iter_mut().for_each(|(_, ended)| *ended = ended.or(Some(now)));
        self.drop_old(now);
    }

    fn drop_old(&mut self, now: Micros) {
        let is_old = |ended: &Micros| ended.saturating_add(KEPT) < now;
        self.all.retain(|(_, ended)| !ended.as_ref().is_some_and(is_old));
    }

    /// Those that have ended.
    pub(super) fn ended(&self) -> Vec<String> {
        let ended = self.all.iter().filter(|(_, ended)| ended.is_some());
        ended.map(|(name, _)| name.clone()).collect()
    }

    /// Whether the file is to say that it is written now.
    pub(super) fn are_due(&self, now: Micros) -> bool {
        !self.all.is_empty() && self.written.saturating_add(OFTEN) <= now
    }

    pub(super) fn write(&mut self, now: Micros, say: &mut impl FnMut(Record)) {
        self.drop_old(now);
        if self.all.is_empty() {
            return;
        }
        if let Some((device, number)) = self.lock {
            say(Record::Lock(device, number));
        }
        self.written = now;
        say(Record::Written(now));
        for (name, ended) in &self.all {
            say(Record::Name(name.clone(), *ended));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use scheduler::Instant;
    use tempfile::tempdir;

    use super::*;
    use crate::{
        metrics::Registry,
        state::{ClockReading, Ledger, StoreMetrics, open},
    };

    /// A process has the file, by that name if it has one, until it ends. Returns whose names it found.
    fn process(path: &Path, now: &ClockReading, name: Option<&str>) -> Vec<String> {
        let opened = open(path, Instant::from_nanos(0), now).unwrap();
        let ended = opened.ended();
        let metrics = StoreMetrics::register(&Registry::default()).unwrap();
        let (store, thread) = opened.start(metrics).unwrap();
        if let Some(name) = name {
            store.named(name.to_owned());
        }
        store.close();
        thread.join().unwrap();
        ended
    }

    /// Red when a name is lost, and when that of a process that lives is among them.
    #[test]
    fn a_process_finds_the_names_of_those_before() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state");
        assert_eq!(process(&path, &ClockReading::now(), Some("a.0")), [""; 0]);
        assert_eq!(process(&path, &ClockReading::now(), None), ["a.0"]);
        assert_eq!(process(&path, &ClockReading::now(), Some("b.0")), ["a.0"]);
        assert_eq!(process(&path, &ClockReading::now(), None), ["a.0", "b.0"]);
        let later = ClockReading::now();
        let later = ClockReading { steady: later.steady + KEPT + OFTEN, ..later };
        assert_eq!(process(&path, &later, None), [""; 0], "no slot of it counts any more");
    }

    /// Two processes can have one file if each has a copy. Red when both have its names.
    #[test]
    fn a_copy_has_no_names() {
        let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
        let path = folder.path().join("state");
        process(&path, &ClockReading::now(), Some("a.0"));
        for end in ["", ".lock"] {
            let file = format!("state{end}");
            fs::copy(folder.path().join(&file), other.path().join(&file)).unwrap();
        }
        let copy = other.path().join("state");
        assert_eq!(process(&copy, &ClockReading::now(), None), [""; 0]);
        assert_eq!(process(&copy, &ClockReading::now(), None), [""; 0], "nor later");
        assert_eq!(process(&path, &ClockReading::now(), None), ["a.0"]);
    }

    /// After a reboot it may be another machine. Red when its names are told.
    #[test]
    fn another_machine_has_no_names() {
        let folder = tempdir().unwrap();
        for boot in ["other", ""] {
            let path = folder.path().join(format!("state-{boot}"));
            let there = ClockReading { boot: boot.to_owned(), ..ClockReading::now() };
            process(&path, &there, Some("a.0"));
            let here = if boot.is_empty() { there } else { ClockReading::now() };
            assert_eq!(process(&path, &here, None), [""; 0], "{boot:?}");
        }
    }

    /// Red when names are told of a file that does not tell all that they used.
    #[test]
    fn a_file_that_is_doubted_has_no_names() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state");
        process(&path, &ClockReading::now(), Some("a.0"));
        let mut text = fs::read(&path).unwrap();
        text.extend(b"00000000 {}\n");
        fs::write(&path, text).unwrap();
        assert_eq!(process(&path, &ClockReading::now(), None), [""; 0]);
        assert_eq!(process(&path, &ClockReading::now(), None), [""; 0], "nor later");
    }

    /// An older file may have been put in its place, which does not know what was used last. Red when
    /// its names are told.
    #[test]
    fn a_file_that_was_changed_later_has_no_names() {
        let written = |at| {
            let mut names = Names { lock: Some((1, 2)), written: at, ..Names::default() };
            names.add("a.0".to_owned(), Some(at));
            names
        };
        for (lock, changed, has_any) in [
            (Some((1, 2)), 7 + LATER, true),
            (Some((1, 2)), 8 + LATER, false),
            (Some((1, 3)), 7, false),
            (None, 7, false),
        ] {
            let mut names = written(7);
            names.are_of(lock, changed);
            assert_eq!(!names.ended().is_empty(), has_any, "{lock:?} {changed}");
        }
        let mut unlocked = Names { lock: None, ..written(7) };
        unlocked.are_of(None, 7);
        assert_eq!(unlocked.ended(), [""; 0]);
    }

    /// Of what was used by a name nobody knows any more. Red when it is told.
    #[test]
    fn after_a_gap_there_are_no_names() {
        let mut ledger = Ledger::new();
        let mut text = Vec::new();
        ledger.say(Record::Name("a.0".to_owned(), None), &mut text);
        ledger.lose(7);
        ledger.names.end(8);
        assert_eq!(ledger.names.ended(), [""; 0]);
    }

    /// Red when the end of a process begins anew with each one that comes, when a process that lives is taken for
    /// ended, and when one name is told of twice.
    #[test]
    fn a_process_ends_once() {
        let mut names = Names::default();
        names.add("a.0".to_owned(), None);
        names.add("a.0".to_owned(), None);
        assert_eq!(names.ended(), [""; 0], "it lives");
        names.end(1);
        assert_eq!(names.ended(), ["a.0"]);
        names.add("b.0".to_owned(), None);
        assert_eq!(names.ended(), ["a.0"], "the other one lives");
        names.end(KEPT);
        assert_eq!(names.ended(), ["a.0", "b.0"]);
        names.end(KEPT + 1);
        assert_eq!(names.ended(), ["a.0", "b.0"]);
        names.end(KEPT + 2);
        assert_eq!(names.ended(), ["b.0"]);
    }

    /// Red when a file does not say what its names are believed by, or keeps names of which nothing counts.
    #[test]
    fn what_is_written_is_what_names_are_believed_by() {
        let written = |names: &mut Names, now| {
            let mut all = Vec::new();
            names.write(now, &mut |record| all.push(format!("{record:?}")));
            all
        };
        let mut names = Names { lock: Some((1, 2)), ..Names::default() };
        assert_eq!((written(&mut names, 7), names.are_due(OFTEN)), (Vec::new(), false));
        names.add("a.0".to_owned(), Some(5));
        names.add("b.0".to_owned(), None);
        let all = written(&mut names, 7);
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(all[0].contains("Lock") && all[1].contains("Written"), "{all:?}");
        assert_eq!([6, 7].map(|at| names.are_due(at + OFTEN)), [false, true]);
        assert_eq!(written(&mut names, 6 + KEPT).len(), 3);
    }

    /// Red when names are kept without a bound.
    #[test]
    fn of_many_names_the_last_are_kept() {
        let mut names = Names::default();
        (0..100).for_each(|n| names.add(n.to_string(), Some(0)));
        assert_eq!((names.all.len(), &*names.all[MOST - 1].0), (MOST, "99"));
    }
}
