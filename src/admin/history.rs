//! The last minutes, for whoever opens the live page after it has happened: a ring of samples, which
//! is bounded whatever callers do. Told the time; it looks at nothing by itself.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::sums::Counts;

/// The last [`SAMPLES`] samples.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Arc<Sample>>,
    /// How many there have been.
    taken: u64,
    /// What had been counted at the last of them.
    counted: BTreeMap<String, Counts>,
}

/// How things stood at one moment, and what has been counted since the sample before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Sample {
    /// Its number: whoever has seen all of them has seen the one before.
    n: u64,
    /// When, in milliseconds of Unix time.
    at: u64,
    /// Calls held.
    held: u64,
    #[serde(flatten)]
    counts: Counts,
    /// The same of methods of which there is something to tell, the busiest of them: calls held,
    /// answered, refused by Slack, refused instead of held.
    methods: BTreeMap<String, [u64; 4]>,
}

/// How often a sample is taken.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// So many are kept: five minutes of them.
const SAMPLES: usize = 150;
/// So many methods are told of in one.
const METHODS: usize = 40;

// === impl History ===

impl History {
    /// Takes a sample of the calls held now and of all that has been counted, both by method.
    pub(super) fn take(
        &mut self,
        at: u64,
        held: &HashMap<Arc<str>, u64>,
        counted: BTreeMap<String, Counts>,
    ) {
        let mut total = Counts::default();
        let mut busy = Vec::new();
        for (name, counts) in &counted {
            let held = held.get(&**name).copied().unwrap_or(0);
            let before = self.counted.get(name).copied().unwrap_or_default();
            let since = *counts - before;
            total += since;
            if held > 0 || since != Counts::default() {
                busy.push((held + since.sum(), name, held, since));
            }
        }
        // A method whose first calls all wait has been counted nowhere.
        let unseen = held.iter().filter(|(name, _)| !counted.contains_key(&***name));
        let unseen: Vec<_> = unseen.map(|(name, held)| (name.to_string(), *held)).collect();
        busy.extend(unseen.iter().map(|(name, held)| (*held, name, *held, Counts::default())));
        busy.sort_by_key(|(much, name, ..)| (Reverse(*much), *name));
        let methods = busy.into_iter().take(METHODS).map(|(_, name, held, counts)| {
            let Counts { answered, refused_by_slack, shed } = counts;
            (name.clone(), [held, answered, refused_by_slack, shed])
        });
        self.taken += 1;
        let sample = Sample {
            n: self.taken,
            at,
            held: held.values().sum(),
            counts: total,
            methods: methods.collect(),
        };
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Arc::new(sample));
        self.counted = counted;
    }

    /// All samples, the oldest first.
    pub(super) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().map(|sample| &**sample)
    }

    /// The newest one.
    pub(super) fn newest(&self) -> Option<Arc<Sample>> {
        self.samples.back().cloned()
    }
}

// === impl Sample ===

impl Sample {
    /// The methods that it tells of, by name.
    pub(super) fn methods(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(answered: u64) -> Counts {
        Counts { answered, ..Counts::default() }
    }

    fn counted(of: &[(&str, u64)]) -> BTreeMap<String, Counts> {
        of.iter().map(|(name, answered)| ((*name).to_owned(), counts(*answered))).collect()
    }

    fn held(of: &[(&str, u64)]) -> HashMap<Arc<str>, u64> {
        of.iter().map(|(name, held)| (Arc::from(*name), *held)).collect()
    }

    /// Red when a method is told of because it was busy once, and when one that only waits is not.
    #[test]
    fn a_sample_tells_of_methods_where_something_happens() {
        let mut history = History::default();
        history.take(1, &held(&[]), counted(&[("a", 3), ("b", 1)]));
        history.take(2, &held(&[("c", 7)]), counted(&[("a", 3), ("b", 2)]));
        let [first, second] = [0, 1].map(|n| Arc::clone(&history.samples[n]));
        assert_eq!(first.methods.keys().collect::<Vec<_>>(), ["a", "b"]);
        let methods = [("b".to_owned(), [0, 1, 0, 0]), ("c".to_owned(), [7, 0, 0, 0])];
        assert_eq!(second.methods, methods.into());
        assert_eq!((second.n, second.held, second.counts), (2, 7, counts(1)));
        assert_eq!(history.newest(), Some(second));
    }

    /// Red when the ring grows, and when every method there is has a place in a sample.
    #[test]
    fn it_is_bounded_whatever_happens() {
        let mut history = History::default();
        for n in 0..400 {
            let all: Vec<_> = (0..300).map(|m| (format!("m{m:03}"), counts(n * m))).collect();
            history.take(n, &held(&[("m000", 1)]), all.into_iter().collect());
        }
        assert_eq!(history.samples().count(), SAMPLES);
        assert_eq!(history.samples().map(|sample| sample.at).min(), Some(250));
        let newest = history.newest().unwrap();
        assert_eq!(newest.methods.len(), METHODS);
        assert!(newest.methods.contains_key("m299"), "the busiest are told of");
        let bytes = serde_json::to_vec(&history.samples().collect::<Vec<_>>()).unwrap().len();
        assert!(bytes < 300 << 10, "{bytes}");
    }
}
